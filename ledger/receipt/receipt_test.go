package receipt

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/veraison/go-cose"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/internal/vector"
)

const consumer = "210123456789"

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func pub(name string) [32]byte { return [32]byte(vector.Public(name)) }

func entryOf(t testing.TB, b event.Body) []byte {
	t.Helper()
	e := must[ledger.Entry](t)(event.New(ledger.Time{WallMs: 1795500000000, Quality: ledger.TimeOffice, BootMs: 1234567}, b))
	return must[[]byte](t)(ledger.EncodeEntry(e))
}

func payment(notes ...uint64) *event.PaymentCommitted {
	return &event.PaymentCommitted{
		Sale: 1000, Biller: "JVVNL", Bill: event.BillKey{0xb1}, Due: 1264_00, Tendered: 1300_00, Applied: 1264_00,
		Surplus: 36_00, Rule: event.SurplusNextBill, Tender: event.TenderCash, Notes: event.RefNotes(notes...),
	}
}

func claimOf(t testing.TB, b event.Body) Claim {
	n := NonceFor(vector.Key("log"), 1024)
	return Claim{
		Log: ledger.LogIDOf(vector.Public("log")), Slot: 147, Ordinal: 1, Index: 1024, Size: 1025, Root: ledger.Hash{0x70, 0x07},
		Entry: entryOf(t, b), Consumer: ConsumerHash(consumer, n),
	}
}

// signed makes a COSE_Sign1 over any payload, whether or not Sign would.
func signed(t testing.TB, key ed25519.PrivateKey, payload []byte) []byte {
	t.Helper()
	msg := must[[]byte](t)(toBeSigned(payload))
	b := must[[]byte](t)(ledger.Encode(coseSign1{Protected: protectedHeader[:], Payload: payload, Signature: ed25519.Sign(key, msg)}))
	return append([]byte{coseTag}, b...)
}

func sentinel(v vector.Vector) error {
	if v.Expect == vector.Signature || v.Expect == vector.Role {
		return ErrRefused
	}
	return ledger.ErrMalformed
}

func receiptVectors(t *testing.T) []vector.Vector {
	key := vector.Key("log")
	with := map[string]string{"log-key": hex.EncodeToString(vector.Public("log"))}
	claim := claimOf(t, payment(1010, 1014, 1018, 1022))
	enc := func(v any) []byte { return must[[]byte](t)(ledger.Encode(v)) }
	good := must[[]byte](t)(Sign(key, claim))
	v := []vector.Vector{{Name: "payment", Spec: "§8.1", Expect: vector.OK, Data: good, With: with}}
	for name, b := range map[string]event.Body{
		"slip":  &event.SlipIssued{Sale: 1000, Amount: 500_00, Notes: event.RefNotes(1010)},
		"claim": &event.NoteUnresolved{Note: 1002, Reason: event.DoubtNoEvidence},
	} {
		v = append(v, vector.Vector{Name: name, Spec: "§8.1", Expect: vector.OK, Data: must[[]byte](t)(Sign(key, claimOf(t, b))), With: with})
	}
	bad := func(name, class, reason string, data []byte) {
		v = append(v, vector.Vector{Name: name, Spec: "§8.1", Expect: class, Reason: reason, Data: data, With: with})
	}
	change := func(f func(c *Claim)) []byte {
		c := claim
		c.Entry = bytes.Clone(c.Entry)
		f(&c)
		return signed(t, key, enc(c))
	}
	sign1 := func(protected []byte, unprotected any) []byte {
		return append([]byte{coseTag}, enc([]any{protected, unprotected, enc(claim), good[len(good)-64:]})...)
	}
	bad("no-tag", vector.Form, "COSE_Sign1 tag", good[1:])
	bad("tag-twice", vector.Form, "tag 18", append([]byte{coseTag}, good...))
	bad("tag-long-form", vector.Canonical, "COSE_Sign1 tag", append([]byte{0xd8, 18}, good[1:]...))
	bad("nothing", vector.Form, "COSE_Sign1 tag", nil)
	bad("trailing-byte", vector.Form, "after the value", append(bytes.Clone(good), 0))
	bad("protected-minus-19", vector.Form, "protected header", sign1([]byte{0xa1, 1, 0x32}, map[uint64]any{}))
	bad("protected-empty", vector.Form, "protected header", sign1([]byte{}, map[uint64]any{}))
	bad("protected-long-form", vector.Canonical, "protected header", sign1([]byte{0xa1, 0x18, 1, 0x27}, map[uint64]any{}))
	bad("unprotected-field", vector.Form, "unknown field", sign1(protectedHeader[:], map[uint64]any{4: []byte("key")}))
	bad("unprotected-null", vector.Canonical, "another canonical form", sign1(protectedHeader[:], nil))
	bad("payload-detached", vector.Form, "malformed", append([]byte{coseTag}, enc([]any{protectedHeader[:], map[uint64]any{}, nil, good[len(good)-64:]})...))
	bad("signature-altered", vector.Signature, "did not sign", flip(good, len(good)-1))
	bad("signature-of-63-bytes", vector.Signature, "did not sign", append([]byte{coseTag}, enc([]any{protectedHeader[:], map[uint64]any{}, enc(claim), make([]byte, 63)})...))
	bad("root-altered", vector.Signature, "did not sign", bytes.Replace(good, []byte{0x70, 0x07}, []byte{0x70, 0x08}, 1))
	bad("other-key", vector.Signature, "did not sign", signed(t, vector.Key("other log"), enc(claim)))
	bad("no-external-aad", vector.Signature, "did not sign", withoutAAD(t, enc(claim)))
	bad("other-log", vector.Signature, "did not sign", change(func(c *Claim) { c.Log[0] ^= 1 }))
	bad("index-at-size", vector.Value, "under a checkpoint of 1025", change(func(c *Claim) { c.Index = 1025 }))
	bad("size-beyond-limit", vector.Limit, "under a checkpoint", change(func(c *Claim) { c.Size = ledger.LogMaxEntries + 1 }))
	bad("entry-not-canonical", vector.Canonical, "shortest form", change(func(c *Claim) { c.Entry = must[[]byte](t)(hex.DecodeString("a3001801018300000002a0")) }))
	bad("entry-empty", vector.Form, "cut short", change(func(c *Claim) { c.Entry = nil }))
	bad("payload-of-five", vector.Form, "malformed", signed(t, key, enc([]any{claim.Log, 1024, 1025, claim.Root, claim.Entry})))
	return v
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

func withoutAAD(t testing.TB, payload []byte) []byte {
	msg := must[[]byte](t)(ledger.Encode(sigStructure{Context: "Signature1", Protected: protectedHeader[:], Payload: payload}))
	return append([]byte{coseTag}, must[[]byte](t)(ledger.Encode(coseSign1{Protected: protectedHeader[:], Payload: payload, Signature: ed25519.Sign(vector.Key("log"), msg)}))...)
}

func TestReceiptVectors(t *testing.T) {
	vector.Keep(t, "receipt", receiptVectors(t))
	for _, v := range vector.Load(t, "receipt") {
		c, err := Verify(v.Hex(t, "log-key"), v.Data)
		v.Judge(t, err, sentinel(v))
		if err != nil {
			continue
		}
		if again := must[[]byte](t)(Sign(vector.Key("log"), c)); !bytes.Equal(again, v.Data) {
			t.Errorf("%s: signs as %x", v.Name, again)
		}
	}
}

// TestStockCOSEVerifiesReceipts compares with a COSE library that is not ours, both ways.
func TestStockCOSEVerifiesReceipts(t *testing.T) {
	verified := 0
	for _, v := range vector.Load(t, "receipt") {
		var msg cose.Sign1Message
		err := msg.UnmarshalCBOR(v.Data)
		if err == nil {
			verifier := must[cose.Verifier](t)(cose.NewVerifier(cose.AlgorithmEdDSA, ed25519.PublicKey(v.Hex(t, "log-key"))))
			err = msg.Verify([]byte("rasid/receipt/1"), verifier)
		}
		switch v.Expect {
		case vector.OK:
			if err != nil {
				t.Errorf("%s: the COSE library refuses it: %v", v.Name, err)
			}
			verified++
		case vector.Signature: // all but the log's name are COSE's own business
			if err == nil && v.Name != "other-log" {
				t.Errorf("%s: the COSE library accepts it", v.Name)
			}
		}
	}
	if verified == 0 {
		t.Error("no good receipt vector")
	}
	c := claimOf(t, payment(1010))
	msg := cose.NewSign1Message()
	msg.Headers.Protected.SetAlgorithm(cose.AlgorithmEdDSA)
	msg.Payload = must[[]byte](t)(ledger.Encode(c))
	signer := must[cose.Signer](t)(cose.NewSigner(cose.AlgorithmEdDSA, vector.Key("log")))
	if err := msg.Sign(nil, []byte("rasid/receipt/1"), signer); err != nil {
		t.Fatal(err)
	}
	if b := must[[]byte](t)(msg.MarshalCBOR()); !bytes.Equal(b, must[[]byte](t)(Sign(vector.Key("log"), c))) {
		t.Errorf("the COSE library writes %x", b)
	}
}

func proofOf(t testing.TB, b event.Body) Proof {
	t.Helper()
	issue := must[cert.Certificate](t)
	return Proof{
		Receipt: must[[]byte](t)(Sign(vector.Key("log"), claimOf(t, b))), Consumer: consumer, Nonce: NonceFor(vector.Key("log"), 1024),
		Grant:    must[cert.Grant](t)(cert.SignGrant(vector.Key("machine"), cert.Grant{LogKey: pub("log"), Ordinal: 1, Reason: cert.ReasonEnrolled})),
		Machine:  issue(cert.Issue(vector.Key("district"), cert.Certificate{Key: pub("machine"), Slot: 147, Cell: 3, Role: cert.RoleKiosk, NotAfter: 22000})),
		District: issue(cert.Issue(vector.Key("fleet"), cert.Certificate{Key: pub("district"), Slot: 1, Cell: 5000, Role: cert.RoleDistrict, NotAfter: 24000})),
	}
}

func qrVectors(t *testing.T) []vector.Vector {
	with := map[string]string{"fleet-key": hex.EncodeToString(vector.Public("fleet"))}
	var v []vector.Vector
	add := func(name, class, reason, text string) {
		v = append(v, vector.Vector{Name: name, Spec: "§8.4", Expect: class, Reason: reason, Text: true, Data: []byte(text), With: with})
	}
	base := proofOf(t, payment(1010, 1014, 1018, 1022))
	text := must[string](t)(base.Text())
	add("payment", vector.OK, "", text)
	add("slip", vector.OK, "", must[string](t)(proofOf(t, &event.SlipIssued{Sale: 1000, Amount: 500_00, Notes: event.RefNotes(1010)}).Text()))
	change := func(name, class, reason string, f func(*Proof)) {
		p := base
		f(&p)
		add(name, class, reason, qrPrefix+encodeBase45(must[[]byte](t)(ledger.Encode(p))))
	}
	change("consumer-altered", vector.Signature, "another consumer number", func(p *Proof) { p.Consumer = "210123456788" })
	change("nonce-altered", vector.Signature, "another consumer number", func(p *Proof) { p.Nonce[0] ^= 1 })
	change("receipt-altered", vector.Signature, "did not sign", func(p *Proof) { p.Receipt = flip(p.Receipt, len(p.Receipt)-1) })
	change("grant-altered", vector.Signature, "not signed by the machine", func(p *Proof) { p.Grant.Sig[0] ^= 1 })
	change("machine-altered", vector.Signature, "kiosk certificate", func(p *Proof) { p.Machine.Slot++ })
	change("district-altered", vector.Signature, "district certificate", func(p *Proof) { p.District.NotAfter++ })
	change("office-machine", vector.Role, "only a kiosk", func(p *Proof) {
		p.Machine = must[cert.Certificate](t)(cert.Issue(vector.Key("district"), cert.Certificate{Key: pub("machine"), Slot: 147, Role: cert.RoleOffice}))
	})
	change("stream-authority", vector.Role, "only a kiosk", func(p *Proof) {
		p.Grant = must[cert.Grant](t)(cert.SignGrant(vector.Key("machine"), cert.Grant{LogKey: pub("log"), Stream: 1, Ordinal: 1, Reason: 1}))
	})
	change("another-machine-grants-itself-the-log", vector.Role, "the certificates are of slot 148", func(p *Proof) {
		p.Machine = must[cert.Certificate](t)(cert.Issue(vector.Key("district"), cert.Certificate{Key: pub("log"), Slot: 148, Cell: 3, Role: cert.RoleKiosk, NotAfter: 22000}))
		p.Grant = must[cert.Grant](t)(cert.SignGrant(vector.Key("log"), cert.Grant{LogKey: pub("log"), Ordinal: 1, Reason: cert.ReasonEnrolled}))
	})
	change("another-incarnation", vector.Role, "incarnation 2", func(p *Proof) {
		p.Grant = must[cert.Grant](t)(cert.SignGrant(vector.Key("machine"), cert.Grant{LogKey: pub("log"), Ordinal: 2, Reason: cert.ReasonRestored}))
	})
	change("entry-of-another-kind", vector.Role, "no payment, slip or claim", func(p *Proof) { *p = proofOf(t, &event.StackIntent{Note: 3}) })
	change("receipt-empty", vector.Form, "COSE_Sign1 tag", func(p *Proof) { p.Receipt = nil })
	add("receipt-null", vector.Canonical, "another canonical form",
		qrPrefix+encodeBase45(must[[]byte](t)(ledger.Encode([]any{nil, base.Consumer, base.Nonce, base.Grant, base.Machine, base.District}))))
	change("consumer-33-bytes", vector.Limit, "33 bytes", func(p *Proof) { p.Consumer = strings.Repeat("1", 33) })
	change("consumer-escape", vector.Value, "printable ASCII", func(p *Proof) { p.Consumer = "1\x1b[2J" })
	change("consumer-space", vector.Value, "printable ASCII", func(p *Proof) { p.Consumer = " 2101" })
	add("prefix-2", vector.Form, "does not begin with RASID1:", strings.Replace(text, "RASID1", "RASID2", 1))
	add("prefix-lower-case", vector.Form, "does not begin with RASID1:", strings.Replace(text, "RASID1", "rasid1", 1))
	add("web-address", vector.Form, "another kind of code", "HTTPS://EXAMPLE.IN/")
	add("nothing", vector.Form, "cut short", qrPrefix)
	add("cut-one", vector.Form, "QR text", text[:len(text)-1])
	add("cut-two", vector.Form, "QR text", text[:len(text)-2])
	add("character-not-base45", vector.Form, "character 5 is not base45", text[:len(qrPrefix)+4]+"#"+text[len(qrPrefix)+5:])
	add("group-beyond-16-bits", vector.Canonical, "are no base45 group", text[:len(qrPrefix)+3]+":::"+text[len(qrPrefix)+6:])
	add("3392-characters", vector.Limit, "a QR code holds 3391", qrPrefix+strings.Repeat("0", 3392-len(qrPrefix)))
	return v
}

func TestQRVectors(t *testing.T) {
	vector.Keep(t, "qr", qrVectors(t))
	for _, v := range vector.Load(t, "qr") {
		p, err := ParseText(string(v.Data))
		if err == nil {
			if again, err := p.Text(); err != nil || again != string(v.Data) {
				t.Errorf("%s: writes %q, %v", v.Name, again, err)
			}
			var got Verified
			if got, err = p.Verify(v.Hex(t, "fleet-key")); err == nil {
				t.Logf("%s: %d characters, number %s", v.Name, len(v.Data), got.Number)
				if err := CheckNumber(got.Number); err != nil {
					t.Error(err)
				}
			}
		}
		v.Judge(t, err, sentinel(v))
	}
	if _, err := ParseText("\n " + must[string](t)(proofOf(t, payment(1010)).Text()) + "\r\n"); err != nil {
		t.Errorf("space around the text of a code reader is not forgiven: %v", err)
	}
}

// TestNotesThatFitAQRCode pins how many notes a payment can have before its QR code
// is full: the till must stop taking notes before. See LEDGER.md §8.4.
func TestNotesThatFitAQRCode(t *testing.T) {
	for _, c := range []struct {
		first uint64
		want  int
	}{{30_000, 1642}, {1_000_000, 1640}} {
		fits := 0
		for n := 1; ; n++ {
			notes := make([]uint64, n)
			for i := range notes {
				notes[i] = c.first + uint64(i)*4
			}
			if _, err := proofOf(t, payment(notes...)).Text(); err != nil {
				break
			}
			fits = n
		}
		if fits != c.want {
			t.Errorf("from index %d on %d notes fit, want %d", c.first, fits, c.want)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	c := claimOf(t, payment(1010))
	if _, err := Sign(vector.Key("other log"), c); err == nil {
		t.Error("a receipt is signed with another log's key")
	}
	c.Size = c.Index
	if _, err := Sign(vector.Key("log"), c); !errors.Is(err, ledger.ErrMalformed) {
		t.Errorf("a receipt before durability is signed: %v", err)
	}
}

func TestVerifyRefusesWithoutAKey(t *testing.T) {
	if _, err := Verify(nil, must[[]byte](t)(Sign(vector.Key("log"), claimOf(t, payment(1010))))); !errors.Is(err, ErrRefused) {
		t.Errorf("no key verifies a receipt: %v", err)
	}
	if _, err := Verify(vector.Public("log"), make([]byte, receiptMaxBytes+1)); !errors.Is(err, ledger.ErrMalformed) || !strings.Contains(err.Error(), "the limit is") {
		t.Errorf("a receipt beyond the limit is read: %v", err)
	}
}

func TestNonceIsOfKeyAndIndex(t *testing.T) {
	a := NonceFor(vector.Key("log"), 1)
	if a == NonceFor(vector.Key("log"), 2) || a == NonceFor(vector.Key("other log"), 1) || a != NonceFor(vector.Key("log"), 1) {
		t.Error("the nonce is not a function of key and index alone")
	}
}
