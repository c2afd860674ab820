package catalogue

import (
	"slices"
	"strings"
	"unicode"
)

// honorifics stay whole: they tell nothing.
var honorifics = []string{"श्री", "श्रीमती", "सुश्री", "मैसर्स", "Shri", "Smt.", "Ms.", "Mr.", "Mrs.", "M/s"}

// Mask hides a name so that its owner knows it and nobody else learns it: each word
// keeps its first letter as people see it, with its vowel sign and conjuncts.
func Mask(name string) string {
	words := strings.Fields(name)
	for i, w := range words {
		if !slices.Contains(honorifics, w) {
			words[i] = firstCluster(w) + "•••"
		}
	}
	return strings.Join(words, " ")
}

// firstCluster is the first letter with everything that is drawn with it.
func firstCluster(word string) string {
	const virama, joiner = '\u094d', '\u200d'
	runes := []rune(word)
	n := 1
	for n < len(runes) {
		r, before := runes[n], runes[n-1]
		if !unicode.Is(unicode.M, r) && r != joiner && before != virama && before != joiner {
			break
		}
		n++
	}
	return string(runes[:n])
}
