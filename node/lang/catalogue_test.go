package lang

import (
	"errors"
	"fmt"
	"html/template"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// forms returns each wording of a text with the name of its form.
func (t text) forms() map[string]string {
	all := map[string]string{"other": t.other}
	if t.one != "" {
		all["one"] = t.one
	}
	return all
}

func TestLanguagesHoldTheSameKeysInTheSameOrder(t *testing.T) {
	hi, en := catalogue()[Hindi].keys, catalogue()[English].keys
	for i := range max(len(hi), len(en)) {
		if i >= len(hi) || i >= len(en) || hi[i] != en[i] {
			t.Fatalf("key %d: hi.json and en.json part here: %q, %q", i, hi[min(i, len(hi)-1)], en[min(i, len(en)-1)])
		}
	}
	if len(hi) < 150 {
		t.Fatalf("the catalogue holds only %d texts", len(hi))
	}
}

func TestKeysAreWellFormedAndGrouped(t *testing.T) {
	form := regexp.MustCompile(`^[a-z]+(\.[a-z0-9_]+)+$`)
	ended := map[string]bool{}
	var previous []string
	for _, key := range Keys() {
		if !form.MatchString(key) {
			t.Errorf("%q: a key is lower-case words joined by dots", key)
		}
		parts := strings.Split(key, ".")
		var groups []string
		for i := 1; i < len(parts); i++ {
			groups = append(groups, strings.Join(parts[:i], "."))
		}
		for _, g := range previous {
			if !slices.Contains(groups, g) {
				ended[g] = true
			}
		}
		for _, g := range groups {
			if ended[g] {
				t.Errorf("%q stands apart from the rest of group %q; move it there", key, g)
			}
		}
		previous = groups
	}
}

func TestPlaceholders(t *testing.T) {
	known := []string{
		"ago", "amount", "date", "kiosk", "limit", "more", "n", "need", "notes", "number",
		"phone", "receipt", "reference", "service", "time", "value", "why",
	}
	for _, key := range Keys() {
		hi, en := catalogue()[Hindi].texts[key], catalogue()[English].texts[key]
		if !slices.Equal(hi.placeholders(), en.placeholders()) {
			t.Errorf("%s: Hindi needs %v, English %v", key, hi.placeholders(), en.placeholders())
		}
		for _, name := range hi.placeholders() {
			if !slices.Contains(known, name) {
				t.Errorf("%s: the placeholder {%s} is not in the list; use one that is, or add it", key, name)
			}
		}
		for l, msg := range map[Lang]text{Hindi: hi, English: en} {
			if msg.one != "" && !strings.Contains(msg.other, "{n}") {
				t.Errorf("%s %s: a text with two forms counts {n}", l, key)
			}
			for form, s := range msg.forms() {
				for _, name := range msg.placeholders() {
					if !strings.Contains(s, "{"+name+"}") && name != "n" {
						t.Errorf("%s %s %s: {%s} is missing", l, key, form, name)
					}
				}
				for _, m := range placeholder().FindAllStringSubmatch(s, -1) {
					if !slices.Contains(msg.placeholders(), m[1]) {
						t.Errorf("%s %s %s: {%s} is not in the form \"other\"", l, key, form, m[1])
					}
				}
				if rest := placeholder().ReplaceAllString(s, ""); strings.ContainsAny(rest, "{}%") {
					t.Errorf("%s %s %s: a stray brace or percent sign in %q", l, key, form, s)
				}
			}
		}
	}
}

func TestTextsAreClean(t *testing.T) {
	for _, l := range All() {
		for _, key := range Keys() {
			for form, s := range catalogue()[l].texts[key].forms() {
				if err := cleanText(l, key, s); err != nil {
					t.Errorf("%s %s %s: %v: %q", l, key, form, err, s)
				}
			}
		}
	}
}

func cleanText(l Lang, key, s string) error {
	bare := placeholder().ReplaceAllString(s, "")
	hasDevanagari := strings.ContainsFunc(bare, func(r rune) bool { return unicode.In(r, unicode.Devanagari) && unicode.IsLetter(r) })
	hasLatin := strings.ContainsFunc(bare, func(r rune) bool { return unicode.In(r, unicode.Latin) })
	names := strings.HasPrefix(key, "lang.") // each language named in its own script
	switch {
	case strings.TrimSpace(s) == "":
		return errors.New("the text is empty")
	case strings.TrimSpace(s) != s || strings.Contains(s, "  "):
		return errors.New("spaces at an end or doubled")
	case !norm.NFC.IsNormalString(s):
		return errors.New("not in NFC")
	case Faulty(s):
		return errors.New("holds the mark of a mistake")
	case strings.ContainsFunc(s, func(r rune) bool { return r >= '०' && r <= '९' }):
		return errors.New("digits are Latin in both languages")
	case l == English && hasDevanagari && !names:
		return errors.New("Devanagari in an English text")
	case l == Hindi && hasLatin && !hasDevanagari && !names:
		return errors.New("a Hindi text without a Hindi word")
	}
	for _, r := range s {
		if !unicode.In(r, unicode.Latin, unicode.Devanagari, unicode.Common) || unicode.IsControl(r) || r == '।' && l == English {
			return fmt.Errorf("the character %q does not belong", r)
		}
	}
	return nil
}

// Every text filled with every argument, both forms, leaves no mark and no brace.
func TestEveryTextFills(t *testing.T) {
	for _, l := range All() {
		for _, key := range Keys() {
			names, _ := Placeholders(key)
			for _, n := range []int{0, 1, 2} {
				var pairs []any
				for _, name := range names {
					if name == "n" {
						pairs = append(pairs, name, n)
					} else {
						pairs = append(pairs, name, "‹"+name+"›")
					}
				}
				got := T(l, key, pairs...)
				if Faulty(got) || strings.ContainsAny(got, "{}") {
					t.Errorf("T(%s, %s, %v) = %q", l, key, pairs, got)
				}
				for _, name := range names {
					if name != "n" && !strings.Contains(got, "‹"+name+"›") {
						t.Errorf("T(%s, %s) lost {%s}: %q", l, key, name, got)
					}
				}
			}
		}
	}
}

func TestT(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{T(Hindi, "kiosk.recover.text", "amount", INRShort(110000)), "मशीन दोबारा चालू हुई है। उससे पहले ₹1,100 जमा हो चुके थे।"},
		{T(Hindi, "kiosk.identify.count.more", "n", 9, "more", 3), "9 अंक हुए, 3 और चाहिए"},
		{T(Hindi, "kiosk.identify.count.more", "n", 1, "more", int64(11)), "1 अंक हुआ, 11 और चाहिए"},
		{T(English, "kiosk.identify.count.more", "more", uint64(11), "n", 1), "1 digit entered, 11 more needed"},
		{T(English, "kiosk.cancel.part", "amount", "{n}"), "Pay {n} towards this bill"}, // a value is never filled again
		{T(Hindi, "receipt.status"), "प्राप्त — कार्यालय को भेजना बाकी"},
	} {
		if c.got != norm.NFC.String(c.want) {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestTMarksMistakes(t *testing.T) {
	for name, got := range map[string]string{
		"unknown language": T("raj", "kiosk.title"),
		"unknown key":      T(Hindi, "kiosk.titel"),
		"missing argument": T(Hindi, "kiosk.cancel.part"),
		"extra argument":   T(Hindi, "kiosk.title", "amount", "x"),
		"wrong name":       T(Hindi, "kiosk.cancel.part", "sum", "x"),
		"odd arguments":    T(Hindi, "kiosk.cancel.part", "amount"),
		"repeated name":    T(Hindi, "kiosk.cancel.part", "amount", "x", "amount", "y"),
		"name not string":  T(Hindi, "kiosk.cancel.part", 1, "x"),
		"float":            T(Hindi, "kiosk.cancel.part", "amount", 12.64),
	} {
		if !Faulty(got) || !strings.Contains(got, ": ") {
			t.Errorf("%s: %q carries no mark", name, got)
		}
	}
}

func TestParseTableRefuses(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"not an object":  {`["a"]`, "one JSON object"},
		"key twice":      {`{"a.b":"x","a.b":"y"}`, `"a.b" stands twice`},
		"number":         {`{"a.b":1}`, `the text of "a.b"`},
		"unknown form":   {`{"a.b":{"one":"x","other":"y","few":"z"}}`, `the text of "a.b"`},
		"other missing":  {`{"a.b":{"one":"x"}}`, "both"},
		"one missing":    {`{"a.b":{"other":"x"}}`, "both"},
		"not closed":     {`{"a.b":"x"`, `after "a.b"`},
		"something more": {`{"a.b":"x"} {}`, "follows"},
	} {
		if _, err := parseTable([]byte(c.in)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, l := range All() {
		if got, err := Parse(string(l)); err != nil || got != l {
			t.Errorf("Parse(%q) = %q, %v", l, got, err)
		}
		if l.Other() == l || l.Other().Other() != l {
			t.Errorf("%s.Other() = %s", l, l.Other())
		}
	}
	for _, s := range []string{"", "HI", "hi-IN", "raj"} {
		if got, err := Parse(s); err == nil {
			t.Errorf("Parse(%q) = %q, want an error", s, got)
		}
	}
}

func parseSet(t *testing.T, src string) *template.Template {
	t.Helper()
	set, err := template.New("page").Funcs(Funcs()).Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestTemplateEscapesWhatTReturns(t *testing.T) {
	set := parseSet(t, `<p title="{{t .L "kiosk.cancel.part" "amount" .A}}">{{t .L "kiosk.cancel.part" "amount" .A}}</p>{{inr .P}} {{inrShort .P}}`)
	if _, err := CheckTemplate(set); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := set.Execute(&out, map[string]any{"L": English, "A": `"><script>`, "P": int64(50000)}); err != nil {
		t.Fatal(err)
	}
	want := `<p title="Pay &#34;&gt;&lt;script&gt; towards this bill">Pay &#34;&gt;&lt;script&gt; towards this bill</p>₹500.00 ₹500`
	if out.String() != want {
		t.Errorf("got  %s\nwant %s", out.String(), want)
	}
}

func TestCheckTemplateFindsEveryCall(t *testing.T) {
	keys, err := CheckTemplate(parseSet(t, `
		{{define "part"}}{{t .L "kiosk.footer.back"}}{{end}}
		{{t $.L "kiosk.title"}}
		{{if eq (t .L "kiosk.footer.navigation") ""}}{{t .L "kiosk.footer.navigation"}}{{else}}{{t .L "kiosk.footer.cancel"}}{{end}}
		{{range .X}}{{t $.L "receipt.slip_title"}}{{else}}{{t .L "receipt.total"}}{{end}}
		{{with .X}}{{$s := t $.L "receipt.fee"}}{{$s}}{{end}}
		{{template "part"}}{{template "part" (t .L "receipt.kiosk")}}
		{{t .L .Computed}}`))
	want := []string{
		"kiosk.footer.back", "kiosk.footer.cancel", "kiosk.footer.navigation", "kiosk.title",
		"receipt.fee", "receipt.kiosk", "receipt.slip_title", "receipt.total",
	}
	if err != nil || !slices.Equal(keys, want) {
		t.Errorf("keys %v, error %v, want %v", keys, err, want)
	}
}

func TestCheckTemplateNamesMistakes(t *testing.T) {
	for name, c := range map[string]struct{ src, want string }{
		"unknown key":      {`{{t .L "kiosk.titel"}}`, `template "page": text "kiosk.titel" is not in the catalogue`},
		"missing argument": {`{{if .X}}{{t .L "kiosk.cancel.part"}}{{end}}`, `needs the arguments [amount], got []`},
		"wrong argument":   {`{{t .L "kiosk.cancel.part" "sum" .X}}`, `got [sum]`},
		"no value":         {`{{t .L "kiosk.cancel.part" "amount"}}`, `got [amount without a value]`},
		"computed name":    {`{{t .L "kiosk.cancel.part" .N .X}}`, `got [(computed)]`},
		"in a definition":  {`{{define "d"}}{{t .L "no.such"}}{{end}}`, `template "d": text "no.such"`},
	} {
		if _, err := CheckTemplate(parseSet(t, c.src)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.want)
		}
	}
}
