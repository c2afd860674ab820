package catalogue

import (
	"slices"
	"strings"
	"unicode"
)

// honorifics stay whole before a name: they tell nothing. Compared without case and
// final stop.
var honorifics = []string{"श्री", "श्रीमती", "सुश्री", "कुमारी", "डॉ", "स्व", "मैसर्स", "मै", "shri", "smt", "sushri", "km", "dr", "late", "ms", "mr", "mrs", "m/s"}

// Limits of a masked name.
const (
	maskedWordsMax  = 4
	maskedMaxBytes  = 112
	clusterMaxRunes = 8
	bullets         = "•••"
)

// Mask hides a name so that its owner knows it and nobody else learns it: each of
// the first words keeps its first letter as people see it, with its conjuncts and
// vowel signs, and honorifics stay. "श्री रमेश कुमार" gives "श्री र••• कु•••". The
// number of bullets tells nothing of the word's length.
func Mask(name string) string {
	words := strings.Fields(name)
	words = words[:min(len(words), maskedWordsMax)]
	leading := true
	for i, w := range words {
		leading = leading && i < len(words)-1 && slices.Contains(honorifics, strings.ToLower(strings.TrimRight(w, ".")))
		if !leading {
			words[i] = firstCluster(w) + bullets
		}
	}
	masked := strings.Join(words, " ")
	for len(masked) > maskedMaxBytes {
		words = words[:len(words)-1]
		masked = strings.Join(words, " ")
	}
	return masked
}

// firstCluster is the first letter with everything that is drawn with it: an
// extended grapheme cluster (UAX #29, with GB9c, which keeps conjuncts together).
// It is empty for a cluster of more than clusterMaxRunes. Conjuncts of scripts other
// than Devanagari come apart, which hides no less.
func firstCluster(word string) string {
	const (
		virama    = '\u094d'
		joiner    = '\u200d'
		nonJoiner = '\u200c'
	)
	runes := []rune(word)
	n := 1
	chain := consonant(runes[0]) // only what leaves a conjunct open follows its last consonant
	linked := false              // and a virama is among it
	for n < len(runes) {
		switch r := runes[n]; {
		case r == virama:
			linked = chain
		case r == nonJoiner || unicode.Is(unicode.Mc, r):
			chain, linked = false, false // a non-joiner shows the virama; a vowel sign ends the letter
		case r == joiner || unicode.Is(unicode.M, r):
		case linked && consonant(r):
			linked = false
		default:
			return string(runes[:n])
		}
		n++
		if n > clusterMaxRunes {
			return ""
		}
	}
	return string(runes)
}

// consonant tells the Devanagari letters that conjuncts are made of
// (Indic_Conjunct_Break=Consonant).
func consonant(r rune) bool {
	return r >= 0x915 && r <= 0x939 || r >= 0x958 && r <= 0x95f || r >= 0x978 && r <= 0x97f
}
