package receipt

import (
	"crypto/ed25519"
	"errors"
	"testing"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/internal/vector"
)

// recovered is what the office enters of the receipt of a proof.
func recovered(t testing.TB, p Proof) *event.PaperRecovered {
	t.Helper()
	c := must[Claim](t)(Verify(p.Grant.PublicKey(), p.Receipt))
	r := &event.PaperRecovered{
		Paper: event.Paper{Log: c.Log, Slot: c.Slot, Ordinal: c.Ordinal, Index: c.Index, Size: c.Size, Root: c.Root, Entry: c.Entry, Consumer: c.Consumer},
		Grant: p.Grant, Chain: cert.Chain{District: p.District, Machine: p.Machine},
	}
	copy(r.Sig[:], p.Receipt[len(p.Receipt)-ed25519.SignatureSize:])
	return r
}

// TestRecoveredReceipt: what a citizen's paper proves it proves in the office's log
// too, and nothing else does.
func TestRecoveredReceipt(t *testing.T) {
	fleet := vector.Public("fleet")
	proof := proofOf(t, payment(1010, 1014, 1018, 1022))
	good := recovered(t, proof)
	e := must[ledger.Entry](t)(event.New(ledger.Time{WallMs: 1}, good))
	if b := must[event.Body](t)(event.Decode(e)); VerifyRecovered(fleet, b.(*event.PaperRecovered)) != nil {
		t.Fatalf("a receipt does not verify: %v", VerifyRecovered(fleet, good))
	}
	for name, spoil := range map[string]func(p *event.PaperRecovered){
		"an altered entry":        func(p *event.PaperRecovered) { p.Paper.Entry = entryOf(t, payment(1010, 1014, 1018)) },
		"another index":           func(p *event.PaperRecovered) { p.Paper.Index-- },
		"another size":            func(p *event.PaperRecovered) { p.Paper.Size++ },
		"another root":            func(p *event.PaperRecovered) { p.Paper.Root[0] ^= 1 },
		"another consumer hash":   func(p *event.PaperRecovered) { p.Paper.Consumer[0] ^= 1 },
		"another slot":            func(p *event.PaperRecovered) { p.Paper.Slot++ },
		"another incarnation":     func(p *event.PaperRecovered) { p.Paper.Ordinal++ },
		"an altered signature":    func(p *event.PaperRecovered) { p.Sig[63] ^= 1 },
		"an altered grant":        func(p *event.PaperRecovered) { p.Grant.Sig[0] ^= 1 },
		"a grant for another key": func(p *event.PaperRecovered) { p.Grant.LogKey = pub("other log") },
		"an altered certificate":  func(p *event.PaperRecovered) { p.Chain.Machine.Cell++ },
		"an altered district":     func(p *event.PaperRecovered) { p.Chain.District.Sig[0] ^= 1 },
		"a machine that is no kiosk": func(p *event.PaperRecovered) {
			p.Chain.Machine.Role = cert.RoleOffice
			p.Chain.Machine = must[cert.Certificate](t)(cert.Issue(vector.Key("district"), p.Chain.Machine))
		},
	} {
		p := *good
		spoil(&p)
		if err := VerifyRecovered(fleet, &p); !errors.Is(err, ErrRefused) {
			t.Errorf("with %s: %v", name, err)
		}
	}
	if VerifyRecovered(vector.Public("other fleet"), good) == nil || VerifyRecovered(nil, good) == nil {
		t.Error("a receipt verifies by another fleet's key, or none")
	}
}
