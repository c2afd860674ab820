// Package vector reads and keeps the test vectors of the ledger's formats, for
// tests only. A vector is a file testdata/vectors/FAMILY/NAME beside the package
// that owns the format: header lines, an empty line, then hexadecimal digits or
// text (docs/LEDGER.md §14).
package vector

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The classes that a bad vector is refused for, beside OK.
const (
	OK        = "ok"
	Canonical = "canonical" // a second way to write a value
	Form      = "form"      // not the shape that the specification gives
	Limit     = "limit"
	Value     = "value"     // well-formed and senseless
	Signature = "signature" // well-formed and not signed by who it says
	Role      = "role"      // signed by who may not
)

var classes = []string{OK, Canonical, Form, Limit, Value, Signature, Role}

const folder = "testdata/vectors"

// Vector is one file. Reason says why a bad one is refused, and stands in the
// error that our decoder gives. With holds what is needed beside the data, such as
// the key that verifies it.
type Vector struct {
	Name   string // within its family
	Spec   string // paragraph of LEDGER.md
	Expect string
	Reason string
	With   map[string]string
	Text   bool // Data is text, not bytes written in hexadecimal
	Data   []byte
}

// Key makes a private key whose seed is SHA-256("rasid/test/" + name), so that
// anybody can make the vectors again.
func Key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("rasid/test/" + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// Public returns the public half of Key.
func Public(name string) ed25519.PublicKey { return Key(name).Public().(ed25519.PublicKey) }

// Hex returns the bytes that the header named key holds in hexadecimal.
func (v Vector) Hex(t testing.TB, key string) []byte {
	b, err := hex.DecodeString(v.With[key])
	if err != nil || len(b) == 0 {
		t.Fatalf("%s: header %q is not hexadecimal: %q", v.Name, key, v.With[key])
	}
	return b
}

// Judge fails the test unless err is what the vector expects. Sentinel is what a
// refusal must wrap.
func (v Vector) Judge(t testing.TB, err error, sentinel error) {
	t.Helper()
	switch {
	case v.Expect == OK && err != nil:
		t.Errorf("%s: refused, want ok: %v", v.Name, err)
	case v.Expect != OK && err == nil:
		t.Errorf("%s: accepted, want refused for its %s: %s", v.Name, v.Expect, v.Reason)
	case v.Expect != OK && !errors.Is(err, sentinel):
		t.Errorf("%s: %v, want an error that wraps %q", v.Name, err, sentinel)
	case v.Expect != OK && !strings.Contains(err.Error(), v.Reason):
		t.Errorf("%s: %v, want the reason %q", v.Name, err, v.Reason)
	}
}

// Load reads a family. It fails the test if the family has no good or no bad vector.
func Load(t testing.TB, family string) []Vector {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(folder, family))
	if err != nil {
		t.Fatalf("no vectors of the family %s: %v (RASID_UPDATE_VECTORS=1 go test writes them)", family, err)
	}
	var good, bad int
	var out []Vector
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(folder, family, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		v, err := parse(b)
		if err != nil || v.Name != f.Name() {
			t.Fatalf("vector %s/%s, named %q: %v", family, f.Name(), v.Name, err)
		}
		if v.Expect == OK {
			good++
		} else {
			bad++
		}
		out = append(out, v)
	}
	if good == 0 || bad == 0 {
		t.Fatalf("family %s has %d good and %d bad vectors, want at least one of each", family, good, bad)
	}
	return out
}

// Keep compares the files of a family with what the generator makes: a changed byte
// is a changed format. With RASID_UPDATE_VECTORS=1 it writes them.
func Keep(t *testing.T, family string, want []Vector) {
	t.Helper()
	dir := filepath.Join(folder, family)
	update := os.Getenv("RASID_UPDATE_VECTORS") == "1"
	if update {
		if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	names := map[string]bool{}
	for _, v := range want {
		if names[v.Name] {
			t.Fatalf("two vectors %s/%s", family, v.Name)
		}
		names[v.Name] = true
		path := filepath.Join(dir, v.Name)
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

func (v Vector) file() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "name: %s\nspec: LEDGER.md %s\nexpect: %s\n", v.Name, v.Spec, v.Expect)
	if v.Reason != "" {
		fmt.Fprintf(&b, "reason: %s\n", v.Reason)
	}
	for _, k := range slices.Sorted(maps.Keys(v.With)) {
		fmt.Fprintf(&b, "%s: %s\n", k, v.With[k])
	}
	if v.Text {
		b.WriteString("form: text\n\n")
		b.Write(v.Data)
		b.WriteByte('\n')
		return b.Bytes()
	}
	b.WriteString("form: hex\n\n")
	for digits := hex.EncodeToString(v.Data); digits != ""; {
		n := min(len(digits), 64)
		b.WriteString(digits[:n] + "\n")
		digits = digits[n:]
	}
	return b.Bytes()
}

func parse(b []byte) (Vector, error) {
	v := Vector{With: map[string]string{}}
	head, data, ok := bytes.Cut(b, []byte("\n\n"))
	if !ok {
		return v, fmt.Errorf("no empty line after the headers")
	}
	form := ""
	for line := range strings.SplitSeq(string(head), "\n") {
		key, value, ok := strings.Cut(line, ": ")
		if !ok {
			return v, fmt.Errorf("header line %q", line)
		}
		switch key {
		case "name":
			v.Name = value
		case "spec":
			v.Spec = strings.TrimPrefix(value, "LEDGER.md ")
		case "expect":
			v.Expect = value
		case "reason":
			v.Reason = value
		case "form":
			form = value
		default:
			v.With[key] = value
		}
	}
	if !strings.HasPrefix(v.Spec, "§") || !slices.Contains(classes, v.Expect) || (v.Expect == OK) != (v.Reason == "") {
		return v, fmt.Errorf("spec %q, expect %q, reason %q", v.Spec, v.Expect, v.Reason)
	}
	var err error
	switch form {
	case "text":
		v.Text, v.Data = true, bytes.TrimSuffix(data, []byte("\n"))
	case "hex":
		v.Data, err = hex.DecodeString(strings.ReplaceAll(string(data), "\n", ""))
	default:
		err = fmt.Errorf("form %q", form)
	}
	return v, err
}
