package receipt

import (
	"bytes"
	"strings"
	"testing"

	"rasid/ledger"
	"rasid/ledger/internal/vector"
)

// TestISO7064 uses the published example of the Global Release Identifier, which
// takes its check character from ISO 7064 MOD 37,36: A1-2425G-ABC1234002-M.
func TestISO7064(t *testing.T) {
	if got := checkCharacter("A1-2425G-ABC1234002"); got != 'M' {
		t.Errorf("check character %c, want M", got)
	}
}

// TestBase45 uses the examples of RFC 9285 §4.3 and §4.4.
func TestBase45(t *testing.T) {
	for text, coded := range map[string]string{
		"AB": "BB8", "Hello!!": "%69 VD92EX0", "base-45": "UJCLQE7W581", "ietf!": "QED8WEX0", "": "",
	} {
		if got := encodeBase45([]byte(text)); got != coded {
			t.Errorf("%q is coded %q, want %q", text, got, coded)
		}
		if got, err := decodeBase45(coded); err != nil || string(got) != text {
			t.Errorf("%q is read as %q, %v", coded, got, err)
		}
	}
	for _, s := range []string{"A", "BB8A", "GGW", "::", ":::", "bb8", "BB8#B", "\u0967\u0967"} {
		if got, err := decodeBase45(s); err == nil {
			t.Errorf("%q is read as %x", s, got)
		}
	}
	if got, err := decodeBase45("FGW"); err != nil || !bytes.Equal(got, []byte{0xff, 0xff}) {
		t.Errorf("FGW is read as %x, %v", got, err)
	}
}

func TestNumberVectors(t *testing.T) {
	var v []vector.Vector
	add := func(name, class, reason, s string) {
		v = append(v, vector.Vector{Name: name, Spec: "§8.3", Expect: class, Reason: reason, Text: true, Data: []byte(s)})
	}
	leaf := ledger.LeafHash([]byte("entry"))
	n := Number(147, 1, 20, leaf)
	add("147-1-20", vector.OK, "", n)
	add("largest", vector.OK, "", Number(1<<32-1, 1<<32-1, ledger.LogMaxEntries-1, leaf))
	add("wrong-digit", vector.Value, "a character is wrong", strings.Replace(n, "147", "148", 1))
	add("swapped-digits", vector.Value, "a character is wrong", strings.Replace(n, "147", "174", 1))
	wrong := "0"
	if strings.HasSuffix(n, "0") {
		wrong = "1"
	}
	add("wrong-check", vector.Value, "a character is wrong", n[:len(n)-1]+wrong)
	with := func(s string) string { return s + "-" + string(checkCharacter(s)) }
	add("nothing", vector.Form, "it has the form", "")
	add("hyphens", vector.Form, "it has the form", with("---"))
	add("no-hyphens", vector.Form, "it has the form", strings.ReplaceAll(n, "-", ""))
	add("leading-zero", vector.Canonical, "it has the form", with("0147-1-20-K7QX"))
	add("tag-of-five", vector.Form, "it has the form", with("147-1-20-K7QXX"))
	add("tag-with-letter-o", vector.Form, "it has the form", with("147-1-20-K7OX"))
	add("slot-33-bits", vector.Limit, "it has the form", with("4294967296-1-20-K7QX"))
	add("index-49-bits", vector.Limit, "it has the form", with("147-1-281474976710656-K7QX"))
	add("letter-that-becomes-ascii", vector.Form, "it has the form", strings.Replace(with("147-1-20-K7SX"), "S", "\u017f", 1))
	vector.Keep(t, "number", v)
	for _, v := range vector.Load(t, "number") {
		err := CheckNumber(string(v.Data))
		v.Judge(t, err, ledger.ErrMalformed)
		if err == nil && CheckNumber(" "+strings.ToLower(string(v.Data))+"\n") != nil {
			t.Errorf("%s: lower case and space are not forgiven", v.Name)
		}
	}
}

// TestCheckCharacterCatches holds what the comment of Number says: every single
// wrong character, and nearly every swap of two different neighbours.
func TestCheckCharacterCatches(t *testing.T) {
	const part = "147-1-20-K7QX"
	want := checkCharacter(part)
	for i := range len(part) {
		for _, c := range checkAlphabet {
			if part[i] != '-' && byte(c) != part[i] && checkCharacter(part[:i]+string(c)+part[i+1:]) == want {
				t.Errorf("%c at %d goes unseen", c, i)
			}
		}
	}
	swaps, unseen := 0, 0
	for head := range 36 { // every state the computation can be in
		for _, a := range checkAlphabet {
			for _, b := range checkAlphabet {
				if a == b {
					continue
				}
				swaps++
				h := string(checkAlphabet[head])
				if checkCharacter(h+string(a)+string(b)) == checkCharacter(h+string(b)+string(a)) {
					unseen++
				}
			}
		}
	}
	if unseen == 0 || unseen*100 > swaps {
		t.Errorf("%d of %d swaps go unseen, want some and under 1 %%", unseen, swaps)
	}
}
