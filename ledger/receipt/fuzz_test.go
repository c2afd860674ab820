package receipt

import (
	"bytes"
	"strings"
	"testing"

	"rasid/ledger"
	"rasid/ledger/internal/vector"
)

func FuzzVerify(f *testing.F) {
	for _, v := range vector.Load(f, "receipt") {
		f.Add(v.Data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Verify(vector.Public("log"), b)
		if err != nil {
			return
		}
		if again, err := Sign(vector.Key("log"), c); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x signs as %x, %v", b, again, err)
		}
	})
}

// FuzzClaim signs any payload: what is verified is the one encoding of its claim.
func FuzzClaim(f *testing.F) {
	f.Add([]byte{0x80})
	for _, v := range vector.Load(f, "receipt") {
		if c, err := Verify(vector.Public("log"), v.Data); err == nil {
			b, err := ledger.Encode(c)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := Verify(vector.Public("log"), signed(t, vector.Key("log"), payload))
		if err != nil {
			return
		}
		if again, err := ledger.Encode(c); err != nil || !bytes.Equal(again, payload) {
			t.Errorf("%x encodes as %x, %v", payload, again, err)
		}
	})
}

func FuzzParseText(f *testing.F) {
	for _, v := range vector.Load(f, "qr") {
		f.Add(string(v.Data))
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseText(s)
		if err != nil {
			return
		}
		if again, err := p.Text(); err != nil || again != strings.TrimSpace(s) {
			t.Errorf("%q writes %q, %v", s, again, err)
		}
		_, _ = p.Verify(vector.Public("fleet")) // must not panic
	})
}

// FuzzProof reaches the CBOR behind the base45.
func FuzzProof(f *testing.F) {
	for _, v := range vector.Load(f, "qr") {
		if text, ok := strings.CutPrefix(string(v.Data), qrPrefix); ok {
			if b, err := decodeBase45(text); err == nil {
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		text := qrPrefix + encodeBase45(b)
		p, err := ParseText(text)
		if err != nil {
			return
		}
		if again, err := p.Text(); err != nil || again != text {
			t.Errorf("%x writes %q, %v", b, again, err)
		}
		_, _ = p.Verify(vector.Public("fleet")) // must not panic
	})
}

func FuzzBase45(f *testing.F) {
	for _, v := range vector.Load(f, "qr") {
		f.Add(strings.TrimPrefix(string(v.Data), qrPrefix))
	}
	f.Fuzz(func(t *testing.T, s string) {
		if b, err := decodeBase45(s); err == nil && encodeBase45(b) != s {
			t.Errorf("%q is coded %q", s, encodeBase45(b))
		}
		if b, err := decodeBase45(encodeBase45([]byte(s))); err != nil || string(b) != s {
			t.Errorf("%q comes back as %q, %v", s, b, err)
		}
	})
}

func FuzzCheckNumber(f *testing.F) {
	for _, v := range vector.Load(f, "number") {
		f.Add(string(v.Data))
	}
	f.Fuzz(func(t *testing.T, s string) {
		if CheckNumber(s) != nil {
			return
		}
		s = strings.ToUpper(strings.TrimSpace(s))
		if len(s) > numberMaxChars || checkCharacter(s[:len(s)-2]) != s[len(s)-1] || strings.Trim(s, checkAlphabet+"-") != "" {
			t.Errorf("%q is accepted", s)
		}
	})
}
