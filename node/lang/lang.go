// Package lang holds every word a citizen or an office worker reads on screen
// or paper, in Hindi and English: the message catalogue, amounts in figures
// and in words, dates and ages. Nothing here reads a clock or keeps state;
// everything may be called concurrently.
//
// Digits are Latin (0-9) in both languages, because that is how the bills
// print them and a citizen compares the two. All text is in Unicode NFC, so
// equal words are equal bytes for the font shaper and for tests.
package lang

import "fmt"

// Lang is a language the screens and the paper speak: its BCP 47 tag, fit for
// the HTML lang attribute.
type Lang string

// The two languages. Hindi comes first wherever both stand together.
const (
	Hindi   Lang = "hi"
	English Lang = "en"
)

// All returns the languages in the order in which they are offered.
func All() []Lang { return []Lang{Hindi, English} }

// Parse returns the language whose tag is s. It accepts nothing but the exact
// tags "hi" and "en": a form or a configuration that sends another is wrong.
func Parse(s string) (Lang, error) {
	for _, l := range All() {
		if s == string(l) {
			return l, nil
		}
	}
	return "", fmt.Errorf(`language %q is not known; use "hi" or "en"`, s)
}

// Other returns the language that the language button switches to.
func (l Lang) Other() Lang {
	if l == Hindi {
		return English
	}
	return Hindi
}
