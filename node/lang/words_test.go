package lang

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
)

func TestWords(t *testing.T) {
	for _, c := range []struct {
		paise  int64
		hi, en string
	}{
		{0, "शून्य रुपये मात्र", "zero rupees only"},
		{1, "एक पैसा मात्र", "one paisa only"},
		{78, "अठहत्तर पैसे मात्र", "seventy-eight paise only"},
		{100, "एक रुपया मात्र", "one rupee only"},
		{101, "एक रुपया एक पैसा मात्र", "one rupee and one paisa only"},
		{126400, "एक हज़ार दो सौ चौंसठ रुपये मात्र", "one thousand two hundred sixty-four rupees only"},
		{126478, "एक हज़ार दो सौ चौंसठ रुपये अठहत्तर पैसे मात्र", "one thousand two hundred sixty-four rupees and seventy-eight paise only"},
		{100_0000000_00, "एक सौ करोड़ रुपये मात्र", "one hundred crore rupees only"},
		{123456_0000001_00, "एक लाख तेईस हज़ार चार सौ छप्पन करोड़ एक रुपये मात्र", "one lakh twenty-three thousand four hundred fifty-six crore one rupees only"},
	} {
		for l, want := range map[Lang]string{Hindi: c.hi, English: c.en} {
			got, err := Words(l, c.paise)
			if want = norm.NFC.String(want); err != nil || got != want {
				t.Errorf("Words(%s, %d) = %q, %v, want %q", l, c.paise, got, err, want)
			}
		}
	}
}

func TestWordsLimits(t *testing.T) {
	for _, l := range All() {
		got, err := Words(l, WordsMaxPaise)
		if err != nil || !norm.NFC.IsNormalString(got) {
			t.Errorf("Words(%s, the largest amount) = %q, %v", l, got, err)
		}
		for _, paise := range []int64{-1, WordsMaxPaise + 1} {
			if got, err := Words(l, paise); err == nil {
				t.Errorf("Words(%s, %d) = %q, want an error", l, paise, got)
			}
		}
	}
	if got, err := Words("raj", 100); err == nil {
		t.Errorf("Words in an unknown language = %q, want an error", got)
	}
}

// spelledOtherwise lists where CLDR's Hindi (left) and ours (right) spell the
// same number differently. Both are in use; ours are the spellings of the
// Central Hindi Directorate (anusvara for the nasal, -वे for the nineties).
func spelledOtherwise() map[string]string {
	return map[string]string{
		"पन्द्रह":   "पंद्रह",
		"चौवालीस":   "चवालीस",
		"तिरेपन":    "तिरपन",
		"तिरेसठ":    "तिरसठ",
		"इक्यानबे":  "इक्यानवे",
		"बानबे":     "बानवे",
		"तिरानबे":   "तिरानवे",
		"चौरानबे":   "चौरानवे",
		"पंचानबे":   "पंचानवे",
		"छियानबे":   "छियानवे",
		"सत्तानबे":  "सत्तानवे",
		"अट्ठानबे":  "अट्ठानवे",
		"निन्यानबे": "निन्यानवे",
	}
}

// oracle is what CLDR says: number → words, Hindi already in our spelling.
func oracle(t *testing.T) map[Lang]map[int64]string {
	t.Helper()
	data, err := os.ReadFile("testdata/words.tsv")
	if err != nil {
		t.Fatal(err)
	}
	said := map[Lang]map[int64]string{Hindi: {}, English: {}}
	used := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(cells) != 3 {
			t.Fatalf("words.tsv: %q must have three cells", line)
		}
		n, err := strconv.ParseInt(cells[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(norm.NFC.String(cells[1]))
		for i, w := range words {
			if ours, ok := spelledOtherwise()[w]; ok {
				words[i], used[w] = ours, true
			}
		}
		said[Hindi][n], said[English][n] = strings.Join(words, " "), cells[2]
	}
	if len(said[Hindi]) < 140 {
		t.Fatalf("words.tsv holds only %d numbers", len(said[Hindi]))
	}
	if len(used) != len(spelledOtherwise()) {
		t.Errorf("the table of spellings has %d rows, CLDR uses %d of them; remove the rest", len(spelledOtherwise()), len(used))
	}
	return said
}

func TestWordsAgreeWithCLDR(t *testing.T) {
	numerals := map[Lang]*numerals{Hindi: hindiNumerals(), English: englishNumerals()}
	for l, said := range oracle(t) {
		for n := range int64(100) {
			if _, ok := said[n]; !ok {
				t.Fatalf("words.tsv lacks %d", n)
			}
		}
		for n, want := range said {
			if got := numerals[l].say(n); got != want {
				t.Errorf("%s %d: %q, CLDR says %q", l, n, got, want)
			}
		}
	}
}

// Reading the words back by nothing but CLDR's words for 0..99 and the unit
// names must give the number: no two amounts share their words.
func TestWordsReadBack(t *testing.T) {
	r := newRand(t)
	said := oracle(t)
	for _, l := range All() {
		values := map[string]int64{}
		for n := range int64(100) {
			values[said[l][n]] = n
		}
		for range 20_000 {
			paise := r.Int64N(WordsMaxPaise) >> r.IntN(53)
			words, err := Words(l, paise)
			if err != nil {
				t.Fatal(err)
			}
			if got := readBack(t, words, values); got != paise {
				t.Fatalf("Words(%s, %d) = %q, which reads back as %d", l, paise, words, got)
			}
		}
	}
}

func readBack(t *testing.T, words string, below100 map[string]int64) (paise int64) {
	t.Helper()
	units := map[string]int64{"सौ": 100, "लाख": 100000, "hundred": 100, "thousand": 1000, "lakh": 100000, "crore": 10000000}
	units[norm.NFC.String("हज़ार")], units[norm.NFC.String("करोड़")] = 1000, 10000000
	var total, current int64 // total: closed units; current: the number before the next unit
	for word := range strings.FieldsSeq(words) {
		unit, isUnit := units[word]
		value, isValue := below100[word]
		switch {
		case isUnit && unit == 100:
			current *= 100
		case isUnit && unit == 10000000: // everything before it counts crore
			total, current = (total+current)*unit, 0
		case isUnit:
			total, current = total+current*unit, 0
		case isValue:
			current += value
		case word == "रुपया" || word == "रुपये" || word == "rupee" || word == "rupees":
			paise, total, current = (total+current)*100, 0, 0
		case word == "पैसा" || word == "पैसे" || word == "paisa" || word == "paise":
			paise, total, current = paise+total+current, 0, 0
		case word == "and" || word == "only" || word == "मात्र":
		default:
			t.Fatalf("%q: the word %q is unknown", words, word)
		}
	}
	return paise
}
