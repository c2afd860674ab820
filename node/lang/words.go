package lang

import (
	"fmt"
	"strings"
)

// WordsMaxPaise is the largest amount that Words says: ₹99,99,999 crore and
// all the digits below it, far above any bill or box.
const WordsMaxPaise = 9_999_999_9999999_99

const (
	hundred  = 100
	thousand = 1000
	lakh     = 100 * thousand
	crore    = 100 * lakh
)

// numerals is how one language says whole numbers in the Indian system.
type numerals struct {
	below100                       [100]string
	hundred, thousand, lakh, crore string
}

// Words writes an amount of paise, zero or more, in words, as a receipt does:
// "एक हज़ार दो सौ चौंसठ रुपये मात्र", "one thousand two hundred sixty-four rupees
// only". Rupees are left out when there are only paise, paise when there are
// none. Above 99 crore it goes on counting crore ("एक सौ करोड़"), because few
// readers are sure of अरब. It fails for a negative amount, for one above
// WordsMaxPaise and for an unknown language.
func Words(l Lang, paise int64) (string, error) {
	if paise < 0 || paise > WordsMaxPaise {
		return "", fmt.Errorf("couldn't say %d paise in words: the amount must lie between 0 and %d paise", paise, int64(WordsMaxPaise))
	}
	rupees, rest := paise/100, paise%100
	switch l {
	case Hindi:
		return wordsHindi(rupees, rest), nil
	case English:
		return wordsEnglish(rupees, rest), nil
	}
	return "", fmt.Errorf("couldn't say an amount in words: no numerals for language %q", string(l))
}

func wordsHindi(rupees, paise int64) string {
	n := hindiNumerals()
	var parts []string
	if rupees > 0 || paise == 0 {
		parts = append(parts, n.say(rupees), choose(rupees == 1, "रुपया", "रुपये"))
	}
	if paise > 0 {
		parts = append(parts, n.say(paise), choose(paise == 1, "पैसा", "पैसे"))
	}
	return strings.Join(append(parts, "मात्र"), " ")
}

func wordsEnglish(rupees, paise int64) string {
	n := englishNumerals()
	var parts []string
	if rupees > 0 || paise == 0 {
		parts = append(parts, n.say(rupees)+choose(rupees == 1, " rupee", " rupees"))
	}
	if paise > 0 {
		parts = append(parts, n.say(paise)+choose(paise == 1, " paisa", " paise"))
	}
	return strings.Join(parts, " and ") + " only"
}

// say spells n >= 0. Crore is the largest unit; how many crore is itself
// spelled in the units below it.
func (w *numerals) say(n int64) string {
	if n < 100 {
		return w.below100[n]
	}
	var parts []string
	for _, unit := range []struct {
		size int64
		name string
	}{{crore, w.crore}, {lakh, w.lakh}, {thousand, w.thousand}, {hundred, w.hundred}} {
		if n >= unit.size {
			parts = append(parts, w.say(n/unit.size), unit.name)
			n %= unit.size
		}
	}
	if n > 0 {
		parts = append(parts, w.below100[n])
	}
	return strings.Join(parts, " ")
}

func choose(one bool, singular, plural string) string {
	if one {
		return singular
	}
	return plural
}

// hindiNumerals uses the spellings of the Central Hindi Directorate; those
// that differ from CLDR's are listed in words_test.go.
func hindiNumerals() *numerals {
	return &numerals{
		below100: [100]string{
			"शून्य", "एक", "दो", "तीन", "चार", "पाँच", "छह", "सात", "आठ", "नौ",
			"दस", "ग्यारह", "बारह", "तेरह", "चौदह", "पंद्रह", "सोलह", "सत्रह", "अठारह", "उन्नीस",
			"बीस", "इक्कीस", "बाईस", "तेईस", "चौबीस", "पच्चीस", "छब्बीस", "सत्ताईस", "अट्ठाईस", "उनतीस",
			"तीस", "इकतीस", "बत्तीस", "तैंतीस", "चौंतीस", "पैंतीस", "छत्तीस", "सैंतीस", "अड़तीस", "उनतालीस",
			"चालीस", "इकतालीस", "बयालीस", "तैंतालीस", "चवालीस", "पैंतालीस", "छियालीस", "सैंतालीस", "अड़तालीस", "उनचास",
			"पचास", "इक्यावन", "बावन", "तिरपन", "चौवन", "पचपन", "छप्पन", "सत्तावन", "अट्ठावन", "उनसठ",
			"साठ", "इकसठ", "बासठ", "तिरसठ", "चौंसठ", "पैंसठ", "छियासठ", "सड़सठ", "अड़सठ", "उनहत्तर",
			"सत्तर", "इकहत्तर", "बहत्तर", "तिहत्तर", "चौहत्तर", "पचहत्तर", "छिहत्तर", "सतहत्तर", "अठहत्तर", "उनासी",
			"अस्सी", "इक्यासी", "बयासी", "तिरासी", "चौरासी", "पचासी", "छियासी", "सत्तासी", "अट्ठासी", "नवासी",
			"नब्बे", "इक्यानवे", "बानवे", "तिरानवे", "चौरानवे", "पंचानवे", "छियानवे", "सत्तानवे", "अट्ठानवे", "निन्यानवे",
		},
		hundred: "सौ", thousand: "हज़ार", lakh: "लाख", crore: "करोड़",
	}
}

func englishNumerals() *numerals {
	n := &numerals{hundred: "hundred", thousand: "thousand", lakh: "lakh", crore: "crore"}
	small := [20]string{
		"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
		"ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
	}
	tens := [10]string{2: "twenty", 3: "thirty", 4: "forty", 5: "fifty", 6: "sixty", 7: "seventy", 8: "eighty", 9: "ninety"}
	for i := range n.below100 {
		switch {
		case i < 20:
			n.below100[i] = small[i]
		case i%10 == 0:
			n.below100[i] = tens[i/10]
		default:
			n.below100[i] = tens[i/10] + "-" + small[i%10]
		}
	}
	return n
}
