package receipt

import (
	"fmt"
	"strings"

	"rasid/ledger"
)

// checkAlphabet is the alphabet of ISO/IEC 7064 MOD 37,36.
const checkAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// Number is the receipt number that people read, type and dictate: kiosk, ordinal
// of the incarnation, index, four characters of the leaf hash, and a check
// character that catches one wrong or two swapped characters (LEDGER.md §8).
//
//	147-1-20-K7QX-5
func Number(slot, ordinal uint32, index uint64, leaf ledger.Hash) string {
	s := fmt.Sprintf("%d-%d-%d-%s", slot, ordinal, index, ledger.LeafTag(leaf))
	return s + "-" + string(checkCharacter(s))
}

// CheckNumber reports whether the check character fits. It forgives lower case and
// surrounding space.
func CheckNumber(s string) error {
	s = strings.ToUpper(strings.TrimSpace(s))
	at := strings.LastIndexByte(s, '-')
	if strings.Count(s, "-") != 4 || at != len(s)-2 || strings.Trim(s, checkAlphabet+"-") != "" {
		return fmt.Errorf("%w receipt number %q: it has the form 147-1-20-K7QX-5", ledger.ErrMalformed, s)
	}
	if s[at+1] != checkCharacter(s[:at]) {
		return fmt.Errorf("%w receipt number %q: a character is wrong or two are swapped", ledger.ErrMalformed, s)
	}
	return nil
}

// checkCharacter computes ISO/IEC 7064 MOD 37,36 over the letters and digits of s.
func checkCharacter(s string) byte {
	p := 36
	for i := range len(s) {
		v := strings.IndexByte(checkAlphabet, s[i])
		if v < 0 {
			continue // the hyphens group, they carry nothing
		}
		if p = (p + v) % 36; p == 0 {
			p = 36
		}
		p = p * 2 % 37
	}
	return checkAlphabet[(37-p)%36]
}
