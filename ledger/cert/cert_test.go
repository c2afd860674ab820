package cert_test

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/internal/vector"
)

// weak is a point of order 8; notCanonical writes y = 1 as p + 1.
var (
	weak         = [32]byte(unhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"))
	notCanonical = [32]byte(unhex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"))
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic("broken invariant: " + err.Error())
	}
	return b
}

func keyBytes(name string) []byte { return vector.Public(name) }

func key(name string) [32]byte { return [32]byte(vector.Public(name)) }

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func district(t testing.TB) cert.Certificate {
	return must[cert.Certificate](t)(cert.Issue(vector.Key("fleet"), cert.Certificate{Key: key("district"), Slot: 1, Cell: 5000, Role: cert.RoleDistrict, NotAfter: 24000}))
}

func machine(t testing.TB, role cert.Role) cert.Certificate {
	return machineAt(t, role, 147, key("machine"))
}

func machineAt(t testing.TB, role cert.Role, slot uint32, key [32]byte) cert.Certificate {
	return must[cert.Certificate](t)(cert.Issue(vector.Key("district"), cert.Certificate{Key: key, Slot: slot, Cell: 3, Role: role, NotAfter: 22000}))
}

func enc(t testing.TB, v any) []byte { return must[[]byte](t)(ledger.Encode(v)) }

// spoil is a bad vector beside a good one.
type spoil struct {
	name, class, reason string
	data                []byte
}

func vectors(spec string, with map[string]string, good map[string][]byte, spoiled []spoil) []vector.Vector {
	var out []vector.Vector
	for name, data := range good {
		out = append(out, vector.Vector{Name: name, Spec: spec, Expect: vector.OK, With: with, Data: data})
	}
	for _, s := range spoiled {
		out = append(out, vector.Vector{Name: s.name, Spec: spec, Expect: s.class, Reason: s.reason, With: with, Data: s.data})
	}
	return out
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

// A certificate's vector is verified as the district's, by the fleet's key.
func TestCertificateVectors(t *testing.T) {
	d, m := district(t), machine(t, cert.RoleKiosk)
	good := enc(t, d)
	with := map[string]string{"fleet-key": hex.EncodeToString(vector.Public("fleet"))}
	long := append([]byte{0x86, 0x58, 33, 0}, good[3:]...)
	vector.Keep(t, "certificate", vectors("§3.2", with, map[string][]byte{"district": good}, []spoil{
		{"key-altered", vector.Signature, "not signed by its issuer", flip(good, 10)},
		{"signature-altered", vector.Signature, "not signed by its issuer", flip(good, len(good)-1)},
		{"not-after-altered", vector.Signature, "not signed by its issuer", bytes.Replace(good, []byte{0x19, 0x5d, 0xc0}, []byte{0x19, 0x5d, 0xc1}, 1)},
		{"self-signed", vector.Signature, "not signed by its issuer", enc(t, must[cert.Certificate](t)(cert.Issue(vector.Key("district"), d)))},
		{"role-kiosk", vector.Role, "want district", enc(t, must[cert.Certificate](t)(cert.Issue(vector.Key("fleet"), m)))},
		{"role-altered", vector.Role, "want district", bytes.Replace(good, []byte{0x01, 0x19, 0x5d}, []byte{0x02, 0x19, 0x5d}, 1)},
		{"role-256", vector.Limit, "overflow", enc(t, []any{d.Key, 1, 5000, 256, 24000, d.Sig})},
		{"slot-33-bits", vector.Limit, "overflow", enc(t, []any{d.Key, 1 << 32, 5000, 1, 24000, d.Sig})},
		{"key-of-33-bytes", vector.Form, "malformed", long},
		{"key-as-array", vector.Canonical, "another canonical form", enc(t, []any{numbers(d.Key[:]), 1, 5000, 1, 24000, d.Sig})},
		{"weak-key", vector.Value, "of low order", enc(t, must[cert.Certificate](t)(cert.Issue(vector.Key("fleet"), cert.Certificate{Key: weak, Slot: 1, Cell: 5000, Role: cert.RoleDistrict, NotAfter: 24000})))},
		{"five-fields", vector.Form, "malformed", enc(t, []any{d.Key, 1, 5000, 1, 24000})},
		{"seven-fields", vector.Form, "malformed", enc(t, []any{d.Key, 1, 5000, 1, 24000, d.Sig, 0})},
		{"map", vector.Form, "malformed", enc(t, map[uint64]any{0: d.Key})},
		{"trailing-byte", vector.Form, "after the value", append(bytes.Clone(good), 0)},
	}))
	for _, v := range vector.Load(t, "certificate") {
		var c cert.Certificate
		sentinel := ledger.ErrMalformed
		err := ledger.Decode(v.Data, &c)
		if err == nil {
			if !bytes.Equal(enc(t, c), v.Data) {
				t.Errorf("%s: encodes as %x", v.Name, enc(t, c))
			}
			sentinel = cert.ErrRefused
			err = cert.Chain{District: c, Machine: m}.Verify(v.Hex(t, "fleet-key"))
		}
		v.Judge(t, err, sentinel)
	}
}

func numbers(b []byte) []uint64 {
	var out []uint64
	for _, x := range b {
		out = append(out, uint64(x))
	}
	return out
}

func TestChainVectors(t *testing.T) {
	d := district(t)
	with := map[string]string{"fleet-key": hex.EncodeToString(vector.Public("fleet"))}
	chain := func(role cert.Role) []byte { return enc(t, cert.Chain{District: d, Machine: machine(t, role)}) }
	good := chain(cert.RoleKiosk)
	at := func(slot uint32, key [32]byte) []byte {
		return enc(t, cert.Chain{District: d, Machine: machineAt(t, cert.RoleKiosk, slot, key)})
	}
	byFleet := must[cert.Certificate](t)(cert.Issue(vector.Key("fleet"), machine(t, cert.RoleKiosk)))
	vector.Keep(t, "chain", vectors("§3.2", with,
		map[string][]byte{"kiosk": good, "first-slot": at(1, key("machine")), "last-slot": at(5000, key("machine")), "office": chain(cert.RoleOffice), "auditor": chain(cert.RoleAuditor)}, []spoil{
			{"machine-role-district", vector.Role, "the machine certificate has the role district", chain(cert.RoleDistrict)},
			{"machine-role-0", vector.Role, "role 0", chain(0)},
			{"machine-role-5", vector.Role, "role 5", chain(5)},
			{"swapped", vector.Role, "want district", enc(t, cert.Chain{District: machine(t, cert.RoleKiosk), Machine: d})},
			{"machine-by-fleet", vector.Signature, "not signed by its issuer", enc(t, cert.Chain{District: d, Machine: byFleet})},
			{"machine-altered", vector.Signature, "kiosk certificate of slot 147", flip(good, len(good)-1)},
			{"district-altered", vector.Signature, "district certificate of slot 1", flip(good, 10)},
			{"slot-below", vector.Role, "not of this district", at(0, key("machine"))},
			{"slot-beyond", vector.Role, "not of this district", at(5001, key("machine"))},
			{"machine-weak-key", vector.Value, "of low order", at(147, weak)},
			{"machine-no-point", vector.Value, "no point", at(147, [32]byte{2})},
			{"one-certificate", vector.Form, "malformed", enc(t, []any{d})},
			{"null-machine", vector.Form, "another canonical form", enc(t, []any{d, nil})},
			{"trailing-byte", vector.Form, "after the value", append(bytes.Clone(good), 0)},
		}))
	for _, v := range vector.Load(t, "chain") {
		sentinel := ledger.ErrMalformed
		c, err := cert.DecodeChain(v.Data)
		if err == nil {
			if !bytes.Equal(enc(t, c), v.Data) {
				t.Errorf("%s: encodes as %x", v.Name, enc(t, c))
			}
			sentinel = cert.ErrRefused
			err = c.Verify(v.Hex(t, "fleet-key"))
		}
		v.Judge(t, err, sentinel)
	}
}

func TestGrantVectors(t *testing.T) {
	with := map[string]string{"machine-key": hex.EncodeToString(vector.Public("machine"))}
	grant := func(g cert.Grant) []byte {
		if g.LogKey == ([32]byte{}) {
			g.LogKey = key("log")
		}
		return enc(t, must[cert.Grant](t)(cert.SignGrant(vector.Key("machine"), g)))
	}
	before := &cert.Predecessor{Log: ledger.LogIDOf(vector.Public("log before")), Size: 1025, Root: ledger.Hash{1, 2, 3}}
	first := cert.Grant{Ordinal: 1, Reason: cert.ReasonEnrolled}
	good := grant(first)
	vector.Keep(t, "grant", vectors("§3.3", with, map[string][]byte{
		"first":     good,
		"lost-disk": grant(cert.Grant{Ordinal: 2, Reason: cert.ReasonDoubt}),
		"second":    grant(cert.Grant{Ordinal: 2, Reason: cert.ReasonRestored, Before: before}),
		"doubt":     grant(cert.Grant{Ordinal: 4294967295, Reason: cert.ReasonDoubt, Before: before}),
		"cell-log":  grant(cert.Grant{Stream: cert.StreamCell + 3, Ordinal: 1, Reason: cert.ReasonEnrolled}),
	}, []spoil{
		{"ordinal-0", vector.Value, "incarnation 0", grant(cert.Grant{Ordinal: 0, Reason: cert.ReasonEnrolled, Before: before})},
		{"first-with-predecessor", vector.Value, "incarnation 1", grant(cert.Grant{Ordinal: 1, Reason: cert.ReasonEnrolled, Before: before})},
		{"reason-0", vector.Value, "reason 0", grant(cert.Grant{Ordinal: 1})},
		{"reason-4", vector.Value, "reason 4", grant(cert.Grant{Ordinal: 1, Reason: 4})},
		{"log-key-altered", vector.Signature, "not signed by the machine", bytes.Replace(good, keyBytes("log"), keyBytes("other log"), 1)},
		{"weak-log-key", vector.Value, "of low order", grant(cert.Grant{LogKey: weak, Ordinal: 1, Reason: cert.ReasonEnrolled})},
		{"log-key-not-canonical", vector.Value, "no point of the curve in its one form", grant(cert.Grant{LogKey: notCanonical, Ordinal: 1, Reason: cert.ReasonEnrolled})},
		{"signature-altered", vector.Signature, "not signed by the machine", flip(good, len(good)-1)},
		{"by-log-key", vector.Signature, "not signed by the machine", enc(t, must[cert.Grant](t)(cert.SignGrant(vector.Key("log"), cert.Grant{LogKey: key("log"), Ordinal: 1, Reason: cert.ReasonEnrolled})))},
		{"stream-33-bits", vector.Limit, "overflow", enc(t, []any{key("log"), 1 << 32, 1, 1, nil, [64]byte{}})},
		{"predecessor-empty", vector.Form, "malformed", enc(t, []any{key("log"), 0, 1, 1, []any{}, [64]byte{}})},
		{"five-fields", vector.Form, "malformed", enc(t, []any{key("log"), 0, 1, 1, nil})},
		{"trailing-byte", vector.Form, "after the value", append(bytes.Clone(good), 0)},
	}))
	for _, v := range vector.Load(t, "grant") {
		sentinel := ledger.ErrMalformed
		g, err := cert.DecodeGrant(v.Data)
		if err == nil {
			if !bytes.Equal(enc(t, g), v.Data) {
				t.Errorf("%s: encodes as %x", v.Name, enc(t, g))
			}
			sentinel = cert.ErrRefused
			err = g.Verify(v.Hex(t, "machine-key"))
		}
		v.Judge(t, err, sentinel)
	}
}

func TestCurrentToTheEndOfTheLastDay(t *testing.T) {
	c := cert.Certificate{NotAfter: 22000}
	end := time.Unix(22001*86400, 0)
	if !c.Current(end.Add(-time.Second)) || c.Current(end) {
		t.Error("the last day is not the last day")
	}
}

func TestAKeyOfAnotherLengthVerifiesNothing(t *testing.T) {
	c := cert.Chain{District: district(t), Machine: machine(t, cert.RoleKiosk)}
	for _, fleet := range [][]byte{nil, make([]byte, 31), make([]byte, 33)} {
		if err := c.Verify(fleet); err == nil {
			t.Errorf("a fleet key of %d bytes verifies a chain", len(fleet))
		}
	}
}

func FuzzDecodeChain(f *testing.F) {
	for _, v := range vector.Load(f, "chain") {
		f.Add(v.Data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := cert.DecodeChain(b)
		if err != nil {
			return
		}
		if !bytes.Equal(enc(t, c), b) {
			t.Errorf("%x encodes as %x", b, enc(t, c))
		}
		_ = c.Verify(vector.Public("fleet")) // must not panic
	})
}

func FuzzDecodeGrant(f *testing.F) {
	for _, v := range vector.Load(f, "grant") {
		f.Add(v.Data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := cert.DecodeGrant(b)
		if err != nil {
			return
		}
		if !bytes.Equal(enc(t, g), b) {
			t.Errorf("%x encodes as %x", b, enc(t, g))
		}
		_ = g.Verify(vector.Public("machine")) // must not panic
	})
}
