package catalogue

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// vector is a file testdata/vectors/FAMILY/NAME in the form of LEDGER.md §14.
type vector struct {
	name, spec, expect, reason string
	with                       map[string]string
	data                       []byte
}

func (v vector) file() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "name: %s\nspec: DUES.md %s\nexpect: %s\n", v.name, v.spec, v.expect)
	if v.reason != "" {
		fmt.Fprintf(&b, "reason: %s\n", v.reason)
	}
	for _, k := range slices.Sorted(maps.Keys(v.with)) {
		fmt.Fprintf(&b, "%s: %s\n", k, v.with[k])
	}
	if strings.HasPrefix(v.spec, "§1") && utf8.Valid(v.data) && !bytes.HasPrefix(v.data, []byte("\ufeff")) && !bytes.Contains(v.data, []byte("\r")) {
		fmt.Fprintf(&b, "form: text\n\n%s\n", v.data)
		return b.Bytes()
	}
	b.WriteString("form: hex\n\n")
	for digits := hex.EncodeToString(v.data); digits != ""; {
		n := min(len(digits), 64)
		b.WriteString(digits[:n] + "\n")
		digits = digits[n:]
	}
	return b.Bytes()
}

// load reads a family back from its files, as another implementation would.
func load(t testing.TB, family string) []vector {
	t.Helper()
	dir := filepath.Join("testdata/vectors", family)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatalf("no vectors of the family %s: %v (RASID_UPDATE_VECTORS=1 go test writes them)", family, err)
	}
	var all []vector
	var good, bad int
	for _, f := range files {
		raw, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		head, data, _ := bytes.Cut(raw, []byte("\n\n"))
		v := vector{with: map[string]string{}}
		for line := range strings.SplitSeq(string(head), "\n") {
			key, value, ok := strings.Cut(line, ": ")
			if !ok {
				t.Fatalf("%s: header line %q", f.Name(), line)
			}
			v.with[key] = value
		}
		v.name, v.spec, v.expect, v.reason = v.with["name"], v.with["spec"], v.with["expect"], v.with["reason"]
		if v.data = bytes.TrimSuffix(data, []byte("\n")); v.with["form"] == "hex" {
			if v.data, err = hex.DecodeString(strings.ReplaceAll(string(data), "\n", "")); err != nil {
				t.Fatalf("%s: %v", f.Name(), err)
			}
		}
		if v.expect == "ok" {
			good++
		} else {
			bad++
		}
		all = append(all, v)
	}
	if good == 0 || bad == 0 {
		t.Fatalf("family %s has %d good and %d bad vectors, want at least one of each", family, good, bad)
	}
	return all
}

// keep compares the files of a family with what the generator makes: a changed byte
// is a changed format. With RASID_UPDATE_VECTORS=1 it writes them.
func keep(t *testing.T, family string, want []vector) {
	t.Helper()
	dir := filepath.Join("testdata/vectors", family)
	update := os.Getenv("RASID_UPDATE_VECTORS") == "1"
	if update {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	names := map[string]bool{}
	for _, v := range want {
		if names[v.name] {
			t.Fatalf("two vectors %s/%s", family, v.name)
		}
		names[v.name] = true
		path := filepath.Join(dir, v.name)
		if update {
			if err := os.WriteFile(path, v.file(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, v.file()) {
			t.Errorf("%s is not what the generator makes (%v): a format has changed, or a file", path, err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !names[f.Name()] {
			t.Errorf("%s is no vector of the generator", filepath.Join(dir, f.Name()))
		}
	}
}

// judge fails the test unless err is what the vector expects.
func (v vector) judge(t *testing.T, err error) {
	t.Helper()
	switch {
	case v.expect == "ok" && err != nil:
		t.Errorf("%s: refused, want ok: %v", v.name, err)
	case v.expect != "ok" && err == nil:
		t.Errorf("%s: accepted, want refused: %s", v.name, v.reason)
	case v.expect != "ok" && !strings.Contains(err.Error(), v.reason):
		t.Errorf("%s: %v, want the reason %q", v.name, err, v.reason)
	}
}
