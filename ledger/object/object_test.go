package object_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/cryptotest"

	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/ledger/internal/vector"
	"rasid/ledger/object"
)

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// sealKey is the office's key of the vectors.
func sealKey(t testing.TB, number uint32) object.OpenKey {
	return must[object.OpenKey](t)(object.NewOpenKey(number, vector.Key("seal").Seed()))
}

var (
	purpose = object.Purpose{Log: ledger.LogID{0x10}, Bill: event.BillKey{0xb1}}
	whole   = object.Personal{Number: "210123456789", Name: "श्री र••• कु•••", Mobile: "9876543210"}
)

func shown(p object.Personal) string { return p.Number + "|" + p.Name + "|" + p.Mobile }

// array makes one canonical array, whatever it means.
func array(t testing.TB, v ...any) []byte { return must[[]byte](t)(ledger.Encode(v)) }

// fields takes a format's outer array apart.
func fields(t testing.TB, b []byte) []any {
	var v []any
	if err := ledger.Decode(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func blobVectors(t *testing.T) []vector.Vector {
	var out []vector.Vector
	key := sealKey(t, 1)
	with := func(p string) map[string]string {
		m := map[string]string{"log": purpose.Log.String(), "bill": hex.EncodeToString(purpose.Bill[:])}
		if p != "" {
			m["personal"] = p
		}
		return m
	}
	seal := func(p object.Personal) []byte {
		b, _, err := object.Seal(key.Public(), purpose, p)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, p := range map[string]object.Personal{
		"whole": whole, "no-mobile": {Number: "210123456789", Name: "श्री र•••"}, "number-alone": {Number: "1"},
		"longest": {Number: strings.Repeat("9", 32), Name: strings.Repeat("n", 160), Mobile: strings.Repeat("9", 16)},
		// 24 bytes would be missing, which no byte string has with its head.
		"next-multiple": {Number: strings.Repeat("9", 32), Name: "é"},
	} {
		cryptotest.SetGlobalRandom(t, uint64(len(name)))
		out = append(out, vector.Vector{Name: name, Spec: "§10.2", Expect: vector.OK, With: with(shown(p)), Data: seal(p)})
	}
	cryptotest.SetGlobalRandom(t, 99)
	good := seal(whole)
	bad := func(name, class, reason string, b []byte) {
		out = append(out, vector.Vector{Name: name, Spec: "§10.2", Expect: class, Reason: reason, With: with(""), Data: b})
	}
	change := func(i int, v any) []byte { f := fields(t, good); f[i] = v; return array(t, f...) }
	flipped := fields(t, good)[3].([]byte)
	flipped[0] ^= 1
	bad("ciphertext-altered", vector.Signature, "it does not open", change(3, flipped))
	bad("enc-altered", vector.Signature, "it does not open", change(2, bytes.Repeat([]byte{9}, 32)))
	bad("enc-of-low-order", vector.Signature, "it does not open", change(2, make([]byte, 32)))
	bad("seal-key-2", vector.Signature, "for seal key 2", change(1, 2))
	bad("seal-key-0", vector.Value, "seal key 0", change(1, 0))
	bad("seal-key-33-bits", vector.Limit, "malformed", change(1, uint64(1)<<32))
	bad("version-2", vector.Value, "version 2", change(0, 2))
	bad("enc-of-31-bytes", vector.Form, "canonical form", change(2, make([]byte, 31)))
	bad("ciphertext-empty", vector.Form, "ciphertext of 0", change(3, []byte{}))
	bad("ciphertext-tag-alone", vector.Form, "ciphertext of 16", change(3, make([]byte, 16)))
	bad("ciphertext-unpadded", vector.Form, "ciphertext of 81", change(3, make([]byte, 81)))
	bad("ciphertext-null", vector.Canonical, "malformed", change(3, nil))
	bad("five-fields", vector.Form, "malformed", array(t, append(fields(t, good), 1)...))
	bad("trailing-byte", vector.Canonical, "after the value", append(bytes.Clone(good), 0))
	bad("beyond-limit", vector.Limit, "limit is 1024", change(3, make([]byte, 1024+16)))
	return out
}

func class(err error) error {
	if errors.Is(err, object.ErrSealed) {
		return object.ErrSealed
	}
	return ledger.ErrMalformed
}

func TestBlobVectors(t *testing.T) {
	vector.Keep(t, "blob", blobVectors(t))
	for _, v := range vector.Load(t, "blob") {
		p := object.Purpose{Log: ledger.LogID(v.Hex(t, "log")), Bill: event.BillKey(v.Hex(t, "bill"))}
		got, err := object.Open(sealKey(t, 1), p, v.Data)
		v.Judge(t, err, class(err))
		if v.Expect == vector.Signature != errors.Is(err, object.ErrSealed) {
			t.Errorf("%s: %v", v.Name, err)
		}
		if v.Expect == vector.OK && shown(got) != v.With["personal"] {
			t.Errorf("%s holds %q", v.Name, shown(got))
		}
	}
}

// A blob opens under its own log, bill and key alone, and with its content key.
func TestBlobOpensForItsPurposeAlone(t *testing.T) {
	key := sealKey(t, 1)
	b, content, err := object.Seal(key.Public(), purpose, whole)
	if err != nil {
		t.Fatal(err)
	}
	if got := must[object.Personal](t)(object.OpenContent(content, b)); got != whole {
		t.Errorf("with its content key it holds %q", shown(got))
	}
	other := must[object.OpenKey](t)(object.NewOpenKey(1, vector.Key("another seal").Seed()))
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, object.ErrSealed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = object.Open(other, purpose, b)
	refused("another key", err)
	_, err = object.Open(key, object.Purpose{Log: ledger.LogID{0x11}, Bill: purpose.Bill}, b)
	refused("another log", err)
	_, err = object.Open(key, object.Purpose{Log: purpose.Log, Bill: event.BillKey{0xb2}}, b)
	refused("another bill", err)
	content[0] ^= 1
	_, err = object.OpenContent(content, b)
	refused("another content key", err)
	again, _, err := object.Seal(key.Public(), purpose, whole)
	if err != nil || bytes.Equal(again, b) {
		t.Errorf("two blobs of one bill are alike, %v", err)
	}
	if n, err := object.SealedTo(b); n != 1 || err != nil {
		t.Errorf("sealed to %d, %v", n, err)
	}
}

// What is personal reaches no message, and what breaks a limit is not sealed.
func TestPersonalIsCheckedAndHidden(t *testing.T) {
	for name, p := range map[string]object.Personal{
		"no number": {Name: "x"}, "long number": {Number: strings.Repeat("7", 33)}, "number with a space": {Number: "77 77"},
		"long name": {Number: "7777", Name: strings.Repeat("n", 161)}, "turned name": {Number: "7777", Name: "a\u202eb"},
		"long mobile": {Number: "7777", Mobile: strings.Repeat("7", 17)}, "broken name": {Number: "7777", Name: "\xff"},
	} {
		_, _, err := object.Seal(sealKey(t, 1).Public(), purpose, p)
		if !errors.Is(err, ledger.ErrMalformed) || strings.Contains(err.Error(), "777") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := object.Seal(object.SealKey{Number: 1}, purpose, whole); err == nil {
		t.Error("sealed to a key of zeros")
	}
	b, content, err := object.Seal(sealKey(t, 1).Public(), purpose, whole)
	if err != nil {
		t.Fatal(err)
	}
	said := fmt.Sprintf("%v %+v %#v %s %v %#v %v %#v", whole, whole, whole, &whole, content, content, sealKey(t, 1), sealKey(t, 1))
	for _, secret := range []string{whole.Number, whole.Name, whole.Mobile, hex.EncodeToString(content[:]), hex.EncodeToString(vector.Key("seal").Seed())} {
		if strings.Contains(said, secret) || bytes.Contains(b, []byte(secret)) {
			t.Errorf("%q shows in %q or in the blob", secret, said)
		}
	}
}

// What opens and is padded otherwise, or senseless, is refused.
func TestBlobContentIsStrict(t *testing.T) {
	good, content, err := object.Seal(sealKey(t, 1).Public(), purpose, whole)
	if err != nil {
		t.Fatal(err)
	}
	reseal := func(plain []byte) []byte {
		f := fields(t, good)
		f[3] = object.SealContent(content, plain)
		return array(t, f...)
	}
	padded := func(zeros int, v ...any) []byte {
		b := array(t, append(v, make([]byte, zeros))...)
		if len(b)%64 != 0 {
			t.Fatalf("%d bytes", len(b))
		}
		return b
	}
	for name, plain := range map[string][]byte{
		"more padding":    padded(121, "1", "", ""),
		"padding of ones": array(t, "1", "", "", bytes.Repeat([]byte{1}, 64-7)),
		"no number":       padded(58, "", "", ""),
		"number and more": padded(56, "1", "", "", ""),
		"no array":        make([]byte, 64),
	} {
		if _, err := object.OpenContent(content, reseal(plain)); !errors.Is(err, ledger.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := must[object.Personal](t)(object.OpenContent(content, reseal(padded(57, "1", "", "")))); got.Number != "1" {
		t.Errorf("holds %q", shown(got))
	}
}

func machines(n int) []ed25519.PublicKey {
	var out []ed25519.PublicKey
	for i := range n {
		out = append(out, vector.Public(fmt.Sprintf("machine %d", i)))
	}
	return out
}

func pepperVectors(t *testing.T) []vector.Vector {
	cryptotest.SetGlobalRandom(t, 7)
	pepper := event.Pepper(vector.Key("pepper").Seed())
	good := must[[]byte](t)(object.BuildPepperSet(2, pepper, machines(3)))
	out := []vector.Vector{{Name: "three-machines", Spec: "§10.3", Expect: vector.OK, Data: good, With: map[string]string{"machine": "machine 1", "pepper": hex.EncodeToString(pepper[:])}}}
	bad := func(name, class, reason, machine string, b []byte) {
		out = append(out, vector.Vector{Name: name, Spec: "§10.3", Expect: class, Reason: reason, Data: b, With: map[string]string{"machine": machine}})
	}
	rows := func(change func([]any) []any) []byte {
		f := fields(t, good)
		f[2] = change(f[2].([]any))
		return array(t, f...)
	}
	bad("machine-without-row", vector.Role, "no row for this machine", "machine 3", good)
	bad("number-altered", vector.Signature, "it does not open", "machine 1", array(t, 1, 3, fields(t, good)[2]))
	bad("rows-altered", vector.Signature, "it does not open", "machine 1", rows(func(r []any) []any {
		for _, b := range r {
			b.([]byte)[60] ^= 1
		}
		return r
	}))
	bad("rows-swapped", vector.Form, "is not after", "machine 1", rows(func(r []any) []any { return []any{r[1], r[0], r[2]} }))
	bad("row-twice", vector.Form, "is not after", "machine 1", rows(func(r []any) []any { return []any{r[0], r[0]} }))
	bad("row-of-87-bytes", vector.Form, "has 87 bytes", "machine 1", rows(func(r []any) []any { return []any{r[0].([]byte)[:87]} }))
	bad("no-rows", vector.Value, "0 rows", "machine 1", rows(func([]any) []any { return []any{} }))
	bad("version-2", vector.Value, "version 2", "machine 1", array(t, 2, 2, fields(t, good)[2]))
	bad("number-0", vector.Value, "number 0", "machine 1", array(t, 1, 0, fields(t, good)[2]))
	bad("trailing-byte", vector.Canonical, "after the value", "machine 1", append(bytes.Clone(good), 0))
	return out
}

func TestPepperSetVectors(t *testing.T) {
	vector.Keep(t, "pepperset", pepperVectors(t))
	for _, v := range vector.Load(t, "pepperset") {
		number, pepper, err := object.OpenPepperSet(v.Data, vector.Key(v.With["machine"]))
		switch v.Expect {
		case vector.Role:
			v.Judge(t, err, object.ErrLeftOut)
		case vector.Signature:
			v.Judge(t, err, object.ErrSealed)
		default:
			v.Judge(t, err, ledger.ErrMalformed)
		}
		if v.Expect == vector.OK && (number != 2 || hex.EncodeToString(pepper[:]) != v.With["pepper"]) {
			t.Errorf("%s: pepper %d is %x", v.Name, number, pepper[:])
		}
	}
}

// Each machine that has a row opens it with its own key; a fleet at the limit fits an
// object.
func TestPepperSetForAWholeFleet(t *testing.T) {
	pepper := event.Pepper{1, 2, 3}
	set := must[[]byte](t)(object.BuildPepperSet(7, pepper, machines(20)))
	for i := range 20 {
		number, got, err := object.OpenPepperSet(set, vector.Key(fmt.Sprintf("machine %d", i)))
		if number != 7 || got != pepper || err != nil {
			t.Errorf("machine %d: pepper %d, %v", i, number, err)
		}
	}
	if bytes.Contains(set, pepper[:]) {
		t.Error("the pepper stands in its set in clear")
	}
	if len(set)/20*10_000 > ledger.ObjectMaxBytes {
		t.Errorf("20 machines take %d bytes: 10,000 do not fit an object", len(set))
	}
	if _, err := object.BuildPepperSet(7, pepper, nil); err == nil {
		t.Error("a pepper set for nobody is made")
	}
	if _, err := object.BuildPepperSet(7, pepper, []ed25519.PublicKey{make([]byte, 32)}); err == nil {
		t.Error("a pepper is sealed to a key of low order")
	}
}

func FuzzBlob(f *testing.F) {
	for _, v := range vector.Load(f, "blob") {
		f.Add(v.Data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := object.SealedTo(b); err != nil {
			return
		}
		if again := array(t, fields(t, b)...); !bytes.Equal(again, b) {
			t.Errorf("%x encodes as %x", b, again)
		}
		p, err := object.Open(sealKey(t, 1), purpose, b)
		if err == nil && len(p.Number) == 0 {
			t.Error("a blob without a number opens")
		}
	})
}

func FuzzPepperSet(f *testing.F) {
	for _, v := range vector.Load(f, "pepperset") {
		f.Add(v.Data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, err := object.OpenPepperSet(b, vector.Key("machine 1"))
		if errors.Is(err, ledger.ErrMalformed) {
			return
		}
		if again := array(t, fields(t, b)...); !bytes.Equal(again, b) {
			t.Errorf("%x encodes as %x", b, again)
		}
	})
}
