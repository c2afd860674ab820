package ledger_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"strings"
	"testing"

	"rasid/ledger"
	"rasid/ledger/internal/vector"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func good(name, spec string, data []byte) vector.Vector {
	return vector.Vector{Name: name, Spec: spec, Expect: vector.OK, Data: data}
}

func bad(name, spec, class, reason string, data []byte) vector.Vector {
	return vector.Vector{Name: name, Spec: spec, Expect: class, Reason: reason, Data: data}
}

func cborVectors(t *testing.T) []vector.Vector {
	var out []vector.Vector
	for name, h := range map[string]string{
		"integer-0": "00", "integer-23": "17", "integer-24": "1818", "integer-255": "18ff", "integer-256": "190100",
		"integer-65536": "1a00010000", "integer-max": "1b7fffffffffffffff", "integer-minus-1": "20", "integer-min": "3b7fffffffffffffff",
		"bytes-empty": "40", "bytes-3": "43010203", "text-empty": "60", "text-rasid-hindi": "6fe0a4b0e0a4b8e0a580e0a4a6e0a4be",
		"array-empty": "80", "array-mixed": "830120f6", "map-empty": "a0", "map-ordered": "a3000117021818 03",
		"false": "f4", "true": "f5", "null": "f6", "nested-8": "8181818181818181 00",
	} {
		out = append(out, good(name, "§2", unhex(t, h)))
	}
	for _, v := range []struct{ name, class, reason, hex string }{
		{"integer-long-form-1", vector.Canonical, "shortest form", "1817"},
		{"integer-long-form-2", vector.Canonical, "shortest form", "1900ff"},
		{"integer-long-form-4", vector.Canonical, "shortest form", "1a0000ffff"},
		{"integer-long-form-8", vector.Canonical, "shortest form", "1b00000000ffffffff"},
		{"length-long-form", vector.Canonical, "shortest form", "580100"},
		{"integer-64-bits", vector.Limit, "63 bits", "1b8000000000000000"},
		{"integer-below-63-bits", vector.Limit, "63 bits", "3b8000000000000000"},
		{"map-key-64-bits", vector.Limit, "63 bits", "a11b800000000000000000"},
		{"bytes-indefinite", vector.Canonical, "indefinite", "5f4100ff"},
		{"array-indefinite", vector.Canonical, "indefinite", "9f00ff"},
		{"map-indefinite", vector.Canonical, "indefinite", "bf0000ff"},
		{"reserved-length", vector.Form, "reserved", "1c"},
		{"float-half", vector.Form, "float", "f93c00"},
		{"float-single", vector.Form, "float", "fa3f800000"},
		{"float-double", vector.Form, "float", "fb3ff0000000000000"},
		{"undefined", vector.Form, "simple value", "f7"},
		{"simple-255", vector.Form, "simple value", "f8ff"},
		{"simple-long-false", vector.Canonical, "shortest form", "f814"},
		{"tag-date", vector.Form, "tag", "c100"},
		{"text-not-utf-8", vector.Form, "UTF-8", "61ff"},
		{"text-surrogate", vector.Form, "UTF-8", "63eda080"},
		{"text-overlong", vector.Form, "UTF-8", "62c080"},
		{"map-unordered", vector.Canonical, "map key 0 after 1", "a201000000"},
		{"map-repeated-key", vector.Canonical, "map key 0 after 0", "a200000001"},
		{"map-text-key", vector.Form, "unsigned", "a1613000"},
		{"map-negative-key", vector.Form, "unsigned", "a12000"},
		{"empty", vector.Form, "cut short", ""},
		{"bytes-cut-short", vector.Form, "cut short", "430102"},
		{"array-cut-short", vector.Form, "cut short", "8201"},
		{"array-of-2-to-the-62", vector.Limit, "the limit is 131072", "9b4000000000000000"},
		{"map-of-2-to-the-62", vector.Limit, "the limit is 131072", "bb4000000000000000"},
		{"bytes-of-2-to-the-63", vector.Form, "cut short", "5b8000000000000000"},
		{"trailing-byte", vector.Form, "after the value", "0000"},
		{"nested-9", vector.Limit, "nested deeper", "818181818181818181 00"},
		{"nested-9-empty", vector.Limit, "nested deeper", "818181818181818180"},
	} {
		out = append(out, bad(v.name, "§2", v.class, v.reason, unhex(t, v.hex)))
	}
	long := append(unhex(t, "9a00020001"), make([]byte, 1<<17+1)...)
	if err := ledger.CheckCanonical(long); err == nil { // too long for a file that people read
		t.Error("an array of 131,073 elements is accepted")
	}
	return out
}

func TestCBORVectors(t *testing.T) {
	vector.Keep(t, "cbor", cborVectors(t))
	for _, v := range vector.Load(t, "cbor") {
		v.Judge(t, ledger.CheckCanonical(v.Data), ledger.ErrMalformed)
		var value any
		err := ledger.Decode(v.Data, &value)
		v.Judge(t, err, ledger.ErrMalformed)
		if err != nil {
			continue
		}
		if again, err := ledger.Encode(value); err != nil || !bytes.Equal(again, v.Data) {
			t.Errorf("%s: encodes as %x, %v", v.Name, again, err)
		}
	}
}

func TestLogIDVectors(t *testing.T) {
	key := vector.Public("log")
	id := ledger.LogIDOf(key).String()
	of := map[string]string{"public-key": hex.EncodeToString(key)}
	text := func(name, class, reason, s string) vector.Vector {
		return vector.Vector{Name: name, Spec: "§3.4", Expect: class, Reason: reason, Text: true, Data: []byte(s), With: of}
	}
	vector.Keep(t, "logid", []vector.Vector{
		text("of-key", vector.OK, "", id),
		text("upper-case", vector.Canonical, "lower-case", strings.ToUpper(id)),
		text("short", vector.Form, "want 32", id[:31]),
		text("long", vector.Form, "want 32", id+"0"),
		text("no-digit", vector.Form, "hexadecimal", id[:31]+"g"),
		text("space", vector.Form, "hexadecimal", " "+id[:31]),
	})
	for _, v := range vector.Load(t, "logid") {
		got, err := ledger.ParseLogID(string(v.Data))
		v.Judge(t, err, ledger.ErrMalformed)
		if err == nil && (got.String() != string(v.Data) || got != ledger.LogIDOf(v.Hex(t, "public-key"))) {
			t.Errorf("%s: got %s", v.Name, got)
		}
	}
}

// entryOf makes an entry of n bytes, whose body is {0: zeros}.
func entryOf(t testing.TB, n int) []byte {
	t.Helper()
	for pad := max(0, n-40); ; pad++ {
		body, err := ledger.Encode(map[uint64][]byte{0: make([]byte, pad)})
		if err != nil {
			t.Fatal(err)
		}
		b, err := ledger.Encode(ledger.Entry{Kind: 999, Time: ledger.Time{WallMs: 1795500000000, Quality: ledger.TimeOffice, BootMs: 1}, Body: body})
		if err != nil || len(b) > n {
			t.Fatalf("no entry of %d bytes: %v", n, err)
		}
		if len(b) == n {
			return b
		}
	}
}

func TestEntryVectors(t *testing.T) {
	v := []vector.Vector{
		good("unknown-kind-empty-body", "§4", unhex(t, "a3 00 1903e7 01 83 1b000001a20c1e8f00 03 01 02 a0")),
		good("time-latest", "§5", unhex(t, "a3 00 01 01 83 1b0000e677d21fdbff 00 1b7fffffffffffffff 02 a0")),
		good("size-16384", "§1", entryOf(t, ledger.EntryMaxBytes)),
		good("kind-65535", "§4", unhex(t, "a3 00 19ffff 01 83 00 00 00 02 a0")),
		bad("size-16385", "§1", vector.Limit, "the limit is 16384", entryOf(t, ledger.EntryMaxBytes+1)),
	}
	for _, b := range []struct{ name, class, reason, hex string }{
		{"kind-65536", vector.Limit, "malformed", "a3 00 1a00010000 01 83 00 00 00 02 a0"},
		{"kind-negative", vector.Value, "malformed", "a3 00 20 01 83 00 00 00 02 a0"},
		{"unknown-field", vector.Form, "unknown field", "a4 00 01 01 83 00 00 00 02 a0 03 00"},
		{"no-kind", vector.Form, "another canonical form", "a2 01 83 00 00 00 02 a0"},
		{"no-body", vector.Form, "another canonical form", "a2 00 01 01 83 00 00 00"},
		{"null-kind", vector.Form, "another canonical form", "a3 00 f6 01 83 00 00 00 02 a0"},
		{"body-array", vector.Form, "the body is not a map", "a3 00 01 01 83 00 00 00 02 80"},
		{"body-null", vector.Form, "the body is not a map", "a3 00 01 01 83 00 00 00 02 f6"},
		{"body-of-text-keys", vector.Form, "unsigned", "a3 00 01 01 83 00 00 00 02 a1613000"},
		{"body-not-canonical", vector.Canonical, "shortest form", "a3 00 01 01 83 00 00 00 02 a1001801"},
		{"body-float", vector.Form, "float", "a3 00 01 01 83 00 00 00 02 a100f93c00"},
		{"body-tag", vector.Form, "tag", "a3 00 01 01 83 00 00 00 02 a100c100"},
		{"time-of-two", vector.Form, "malformed", "a3 00 01 01 82 00 00 02 a0"},
		{"time-of-four", vector.Form, "malformed", "a3 00 01 01 84 00 00 00 00 02 a0"},
		{"time-quality-5", vector.Value, "time quality", "a3 00 01 01 83 00 05 00 02 a0"},
		{"time-year-10000", vector.Limit, "time 253402300800000 ms", "a3 00 01 01 83 1b0000e677d21fdc00 00 00 02 a0"},
		{"time-negative", vector.Value, "malformed", "a3 00 01 01 83 20 00 00 02 a0"},
		{"fields-unordered", vector.Canonical, "map key 0 after 1", "a3 01 83 00 00 00 00 01 02 a0"},
		{"trailing-byte", vector.Form, "after the value", "a3 00 01 01 83 00 00 00 02 a0 00"},
		{"array", vector.Form, "malformed", "83 01 83 00 00 00 a0"},
	} {
		v = append(v, bad(b.name, "§4", b.class, b.reason, unhex(t, b.hex)))
	}
	vector.Keep(t, "entry", v)
	for _, v := range vector.Load(t, "entry") {
		e, err := ledger.DecodeEntry(v.Data)
		v.Judge(t, err, ledger.ErrMalformed)
		if err == nil {
			sameEntry(t, v.Name, e, v.Data)
		}
	}
}

func sameEntry(t testing.TB, name string, e ledger.Entry, b []byte) {
	t.Helper()
	if again, err := ledger.EncodeEntry(e); err != nil || !bytes.Equal(again, b) {
		t.Errorf("%s: encodes as %x, %v", name, again, err)
	}
}

// smallLog is the log of key "log" with n entries of unknown kind, and each's bytes.
func smallLog(t testing.TB, name string, n int) (ledger.Log, [][]byte) {
	t.Helper()
	var entries [][]byte
	for i := range n {
		e, err := ledger.EncodeEntry(ledger.Entry{Kind: 999, Time: ledger.Time{WallMs: 1795500000000 + uint64(i)}, Body: []byte{0xa0}})
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	return ledger.Log{Key: vector.Public(name)}, entries
}

func mustRun(t testing.TB, l ledger.Log, key ed25519.PrivateKey, entries [][]byte) ledger.Run {
	t.Helper()
	r, err := l.NewRun(key, entries)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
