package ipp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type vector struct {
	name, expect string
	bytes        []byte
}

func vectors(t testing.TB) []vector {
	t.Helper()
	files, err := filepath.Glob("testdata/vectors/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	var all []vector
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitN(string(raw), "\n", 4)
		b, err := hex.DecodeString(strings.Join(strings.Fields(lines[3]), ""))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, vector{strings.TrimPrefix(lines[0], "name: "), strings.TrimPrefix(lines[2], "expect: "), b})
	}
	return all
}

func TestVectors(t *testing.T) {
	good, bad := 0, 0
	for _, v := range vectors(t) {
		m, rest, err := Decode(v.bytes)
		if v.expect != "ok" {
			bad++
			if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), v.expect) {
				t.Errorf("%s: error %v, want one with %q", v.name, err, v.expect)
			}
			continue
		}
		good++
		again, encodeErr := m.Encode()
		if err != nil || encodeErr != nil || len(rest) > 0 || !bytes.Equal(again, v.bytes) {
			t.Errorf("%s: %v, %v, %d bytes left, again\n%x", v.name, err, encodeErr, len(rest), again)
		}
	}
	if good == 0 || bad == 0 {
		t.Errorf("%d good and %d bad vectors", good, bad)
	}
}

func FuzzDecode(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, rest, err := Decode(b)
		if err != nil {
			return
		}
		again, err := m.Encode()
		if err != nil || !bytes.Equal(append(again, rest...), b) {
			t.Errorf("decode and encode differ: %v\n%x\n%x", err, b, again)
		}
	})
}

func TestBareReasons(t *testing.T) {
	got := strings.Join(bareReasons([]string{"none", "media-empty-error", "toner-low-report", "media-jam"}), " ")
	if got != "media-empty toner-low media-jam" {
		t.Errorf("got %q", got)
	}
}

func TestAddress(t *testing.T) {
	for _, uri := range []string{"", "http://host/ipp", "ipp://", "ipp:print"} {
		if _, err := NewClient(uri); err == nil || !strings.Contains(err.Error(), "write it as ipp://") {
			t.Errorf("NewClient(%q): %v", uri, err)
		}
	}
}
