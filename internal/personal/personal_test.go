package personal

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

var people = map[string]string{"the number": "210123456789", "the name": "प्रार्थना", "the mobile": "9876543210"}

func wide(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return b
}

// Each datum, planted in each form among other bytes, is found.
func TestFindsEveryForm(t *testing.T) {
	s := New(people)
	for name, datum := range people {
		planted := map[string]string{
			"clear": datum, "utf16": string(wide(datum)), "hex": hex.EncodeToString([]byte(datum)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(datum))),
			"utf16 hex": hex.EncodeToString(wide(datum)),
		}
		for before := range 4 {
			text := strings.Repeat("x", before) + datum + "yy"
			planted[fmt.Sprintf("base64 after %d", before)] = base64.StdEncoding.EncodeToString([]byte(text))
			planted[fmt.Sprintf("base64url after %d", before)] = base64.RawURLEncoding.EncodeToString([]byte(text))
			planted[fmt.Sprintf("utf16 base64 after %d", before)] = base64.StdEncoding.EncodeToString(append(make([]byte, before), wide(datum)...))
		}
		if datum[0] < 0x80 {
			planted["groups of 4"] = datum[:4] + " " + datum[4:8] + " " + datum[8:]
			planted["hyphens"] = datum[:5] + "-" + datum[5:10] + strings.TrimSuffix("-"+datum[10:], "-")
			planted["devanagari"] = strings.Map(func(r rune) rune { return r - '0' + '०' }, datum)
		}
		for form, text := range planted {
			if got := s.Bytes("p", []byte("some bytes before"+text+"and after")); len(got) == 0 || !strings.Contains(got[0].Form, name) {
				t.Errorf("%s as %s is not found: %v", name, form, got)
			}
		}
	}
	if got := s.Bytes("p", []byte("210123456788 2101 2345 678 प्रा••• 98765")); len(got) != 0 {
		t.Errorf("found what is not there: %v", got)
	}
}

func TestTreeReadsNamesAndContents(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"bill-210123456789": "x", "core.17": "…9876543210…", "fine": "nothing"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, files, err := New(people).Tree(dir)
	if err != nil || files != 3 || len(found) != 2 {
		t.Errorf("%v in %d files, %v", found, files, err)
	}
}
