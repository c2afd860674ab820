package receipt

import (
	"crypto/ed25519"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/internal/vector"
)

// signedPrefixes reads the table of LEDGER.md §3.1.
func signedPrefixes(t *testing.T) []string {
	t.Helper()
	spec := string(must[[]byte](t)(os.ReadFile("../../docs/LEDGER.md")))
	_, table, ok := strings.Cut(spec, "| key | what it signs | first bytes of what it signs |\n")
	if !ok {
		t.Fatal("LEDGER.md has no table of signed prefixes")
	}
	var out []string
	for line := range strings.SplitSeq(table, "\n") {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(line, "|")
		if strings.Contains(line, "---") {
			continue
		}
		out = append(out, prefixBytes(t, cells[3]))
	}
	return out
}

var prefixPart = regexp.MustCompile("`([^`]*)`|LF|0x([0-9a-f]{2})")

// prefixBytes reads a cell such as: 0x84 `text` LF.
func prefixBytes(t *testing.T, cell string) string {
	var b strings.Builder
	for _, part := range prefixPart.FindAllStringSubmatch(cell, -1) {
		switch {
		case part[0] == "LF":
			b.WriteByte('\n')
		case part[2] != "":
			n := must[uint64](t)(strconv.ParseUint(part[2], 16, 8))
			b.WriteByte(byte(n))
		default:
			b.WriteString(part[1])
		}
	}
	return b.String()
}

func TestNoTwoSignedPrefixesMeet(t *testing.T) {
	prefixes := signedPrefixes(t)
	if len(prefixes) != 6 {
		t.Errorf("the table has %d rows, this test knows 6: %q", len(prefixes), prefixes)
	}
	for i, a := range prefixes {
		for j, b := range prefixes {
			if a == "" || i != j && strings.HasPrefix(a, b) {
				t.Errorf("%q begins with %q", a, b)
			}
		}
	}
}

// TestSignedBytesBeginAsTheTableSays builds what is signed by hand from the
// specification and checks our signatures over it.
func TestSignedBytesBeginAsTheTableSays(t *testing.T) {
	p := proofOf(t, payment(1010))
	part := func(v any, keep int) string { // the first elements of an array, as an array
		var items []ledger.RawCBOR
		if err := ledger.Decode(must[[]byte](t)(ledger.Encode(v)), &items); err != nil {
			t.Fatal(err)
		}
		return string(must[[]byte](t)(ledger.Encode(items[:keep])))
	}
	root := ledger.Hash{1}
	checkpoint := ledger.SignCheckpoint(vector.Key("log"), 7, root)
	var s coseSign1
	if err := ledger.Decode(p.Receipt[1:], &s); err != nil {
		t.Fatal(err)
	}
	length := string([]byte{0x58, byte(len(s.Payload))}) // 24 to 255 bytes
	prefixes := signedPrefixes(t)
	for _, c := range []struct {
		key, text string
		sig       []byte
	}{
		{"fleet", "rasid/certificate/1\n" + part(p.District, 5), p.District.Sig[:]},
		{"district", "rasid/certificate/1\n" + part(p.Machine, 5), p.Machine.Sig[:]},
		{"machine", "rasid/grant/1\n" + part(p.Grant, 5), p.Grant.Sig[:]},
		{"log", "rasid/log/" + ledger.LogIDOf(vector.Public("log")).String() + "\n7\nAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", checkpoint.Sig[:]},
		{"log", "\x84\x6aSignature1\x43\xa1\x01\x27\x4frasid/receipt/1" + length + string(s.Payload), s.Signature},
	} {
		if !ed25519.Verify(vector.Public(c.key), []byte(c.text), c.sig) {
			t.Errorf("the key %s did not sign %.40q…", c.key, c.text)
		}
		if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(c.text, p) }) {
			t.Errorf("no row of the table begins %.40q…", c.text)
		}
	}
	if err := (cert.Chain{District: p.District, Machine: p.Machine}).Verify(vector.Public("fleet")); err != nil {
		t.Error(err)
	}
}
