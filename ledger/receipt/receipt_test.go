package receipt

import (
	"crypto/ed25519"
	"testing"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

func key(b byte) ed25519.PrivateKey {
	var seed [32]byte
	seed[0] = b
	return ed25519.NewKeyFromSeed(seed[:])
}

func pub(k ed25519.PrivateKey) [32]byte { return [32]byte(k.Public().(ed25519.PublicKey)) }

func TestProofVerifies(t *testing.T) {
	fleet, district, machine, logKey := key(1), key(2), key(3), key(4)
	dc, _ := cert.Issue(fleet, cert.Certificate{Key: pub(district), Role: cert.RoleDistrict, NotAfter: 22000})
	mc, _ := cert.Issue(district, cert.Certificate{Key: pub(machine), Slot: 147, Cell: 3, Role: cert.RoleKiosk, NotAfter: 22000})
	g, err := cert.SignGrant(machine, cert.Grant{LogKey: pub(logKey), Ordinal: 1, Reason: cert.ReasonEnrolled})
	if err != nil {
		t.Fatal(err)
	}
	e, err := event.New(ledger.Time{WallMs: 1795500000000, Quality: 3, BootMs: 1234567}, &event.PaymentCommitted{Sale: 1000, Biller: "JVVNL", Due: 126400, Tendered: 130000, Applied: 126400, Surplus: 3600, Rule: event.SurplusNextBill, Tender: event.TenderCash, Notes: []uint64{1010, 1014, 1018, 1022}})
	if err != nil {
		t.Fatal(err)
	}
	entry, err := ledger.EncodeEntry(e)
	if err != nil {
		t.Fatal(err)
	}
	log := ledger.LogIDOf(logKey.Public().(ed25519.PublicKey))
	n := NonceFor(logKey, 1024)
	r, err := Sign(logKey, Claim{Log: log, Index: 1024, Size: 1025, Entry: entry, Consumer: ConsumerHash("210123456789", n)})
	if err != nil {
		t.Fatal(err)
	}
	text, err := Proof{Receipt: r, Consumer: "210123456789", Nonce: n, Grant: g, Machine: mc, District: dc}.Text()
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParseText(text)
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.Verify(fleet.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("entry %d B, receipt %d B, QR %d characters, number %s", len(entry), len(r), len(text), v.Number)
	if err := CheckNumber(v.Number); err != nil {
		t.Error(err)
	}
}
