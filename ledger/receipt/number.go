package receipt

import (
	"fmt"
	"strconv"
	"strings"

	"rasid/ledger"
)

// checkAlphabet is the alphabet of ISO/IEC 7064 MOD 37,36.
const checkAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// Number is the receipt number that people read, type and dictate: kiosk, ordinal
// of the incarnation, index, four characters of the leaf hash, and a check
// character that catches every single wrong character and nearly every swap of two
// neighbours (LEDGER.md §8). The hyphens carry nothing in it.
//
//	147-1-20-K7QX-5
func Number(slot, ordinal uint32, index uint64, leaf ledger.Hash) string {
	s := fmt.Sprintf("%d-%d-%d-%s", slot, ordinal, index, ledger.LeafTag(leaf))
	return s + "-" + string(checkCharacter(s))
}

// numberMaxChars is a number with every part at its limit.
const numberMaxChars = len("4294967295-4294967295-281474976710655-K7QX-5")

// CheckNumber reports whether s has the form of a receipt number and its check
// character fits. It forgives lower case and surrounding space.
func CheckNumber(s string) error {
	s = strings.Map(upper, strings.TrimSpace(s))
	if len(s) > numberMaxChars || !isNumber(strings.Split(s, "-")) {
		return fmt.Errorf("%w receipt number %.64q: it has the form 147-1-20-K7QX-5", ledger.ErrMalformed, s)
	}
	at := len(s) - 2
	if s[at+1] != checkCharacter(s[:at]) {
		return fmt.Errorf("%w receipt number %q: a character is wrong or two are swapped", ledger.ErrMalformed, s)
	}
	return nil
}

// upper leaves everything but a to z alone: Unicode has letters whose upper case is
// an ASCII letter.
func upper(r rune) rune {
	if r >= 'a' && r <= 'z' {
		return r - 'a' + 'A'
	}
	return r
}

func isNumber(parts []string) bool {
	if len(parts) != 5 || len(parts[3]) != 4 || len(parts[4]) != 1 {
		return false
	}
	for i, bits := range []int{32, 32, 48} {
		n, err := strconv.ParseUint(parts[i], 10, bits)
		if err != nil || strconv.FormatUint(n, 10) != parts[i] {
			return false
		}
	}
	// Crockford's base32 has no I, L, O and U.
	return strings.Trim(parts[3]+parts[4], checkAlphabet) == "" && !strings.ContainsAny(parts[3], "ILOU")
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
