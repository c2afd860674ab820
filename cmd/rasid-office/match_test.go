package main

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/storetest"
	"rasid/node/catalogue"
	"rasid/node/fleet"
)

// renewed is an office whose pepper was renewed between two publications of one bill of
// 700 rupees, with three kiosks, and the bill's keys under both.
func renewed(t *testing.T) (b bench, tills []*kiosk, keys [2]event.BillKey) {
	t.Helper()
	b = newBench(t)
	dues := func(i int) {
		b.dues("JVVNL")
		var err error
		keys[i], err = event.BillKeyOf(b.ring.Newest().Secret, "JVVNL", catalogue.DemoNumber, "2026-10")
		b.do(err)
	}
	dues(0)
	_, err := b.rotate(t.Context(), rotateJob{Pepper: true})
	b.do(err)
	dues(1)
	for i := range 3 {
		k := b.kiosk(fmt.Sprintf("K-%d", i))
		tills = append(tills, &k)
	}
	return b, tills, keys
}

// pays writes a sale that pays the amount, as due and at the time, in one note.
func (k *kiosk) pays(key event.BillKey, due, amount ledger.Paise, wall uint64) {
	k.b.t.Helper()
	k.bring(k.sells(key, due, amount, wall))
}

// sells is pays, of which nobody hears yet.
func (k *kiosk) sells(key event.BillKey, due, amount ledger.Paise, wall uint64) ledger.Run {
	k.b.t.Helper()
	sale := k.Log.End.Size
	k.at = wall
	return k.writes(&event.SaleOpened{Service: 1, Language: event.Hindi}, &event.NoteEscrowed{Sale: sale, Value: amount}, &event.NoteStacked{Note: sale + 1, Evidence: event.EvidenceEvent},
		&event.PaymentCommitted{Sale: sale, Biller: "JVVNL", Bill: key, Due: due, Tendered: amount, Applied: amount, Rule: event.SurplusRefused, Tender: event.TenderCash, Notes: event.RefNotes(sale + 2)})
}

// books are what the office's books say now, and which sales of which kiosk they ask
// about as rejected.
func (b bench) books() (biller ledger.Paise, rejected []string) {
	b.t.Helper()
	books, err := book.Of(b.id.Fleet, viewLedger{b.store}.Books())
	b.do(err)
	for _, q := range books.Questions {
		if q.Reason != book.ReasonRejected {
			b.t.Errorf("the books ask %+v", q)
		}
		rejected = append(rejected, fmt.Sprintf("%d: %d", q.Slot, q.Amount))
	}
	slices.Sort(rejected)
	return books.Balances["Liabilities:Biller:JVVNL"], rejected
}

// TestBillPaidUnderTwoPeppers: the biller gets what was due, once; what was paid again
// under another key is the citizen's, whatever came first.
func TestBillPaidUnderTwoPeppers(t *testing.T) {
	type pays struct {
		till, key int
		amount    ledger.Paise
		wall      uint64
	}
	for name, c := range map[string]struct {
		pays     []pays
		biller   ledger.Paise
		rejected []string // slot and amount
	}{
		"once under each":                      {[]pays{{0, 0, 700_00, 1}, {1, 1, 700_00, 2}}, 700_00, []string{"3: 70000"}},
		"the earlier one comes later":          {[]pays{{1, 1, 700_00, 2}, {0, 0, 700_00, 1}}, 700_00, []string{"3: 70000"}},
		"in parts that fit":                    {[]pays{{0, 0, 500_00, 1}, {1, 1, 200_00, 2}}, 700_00, nil},
		"a part, then the whole":               {[]pays{{0, 0, 500_00, 1}, {1, 1, 700_00, 2}}, 500_00, []string{"3: 70000"}},
		"a part under each, then one too many": {[]pays{{0, 0, 300_00, 1}, {1, 1, 400_00, 2}, {2, 0, 500_00, 3}}, 700_00, []string{"4: 50000"}},
		"under one key":                        {[]pays{{0, 1, 700_00, 1}}, 700_00, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b, tills, keys := renewed(t)
			m := &matcher{ledgers: b.ledgers}
			for _, p := range c.pays {
				tills[p.till].pays(keys[p.key], 700_00, p.amount, p.wall)
				b.do(m.match(t.Context()))
			}
			size := b.cell.Size()
			// A start looks at all again, and finds nothing more to say.
			b.do((&matcher{ledgers: b.ledgers}).match(t.Context()))
			b.do(m.match(t.Context()))
			if biller, rejected := b.books(); biller != -c.biller || !slices.Equal(rejected, c.rejected) || b.cell.Size() != size {
				t.Errorf("the biller has %d, rejected is %q, %d entries became %d", biller, rejected, size, b.cell.Size())
			}
		})
	}
}

// What came while the office was down is found at its start.
func TestPaidTwiceWhileTheOfficeWasDown(t *testing.T) {
	b, tills, keys := renewed(t)
	tills[0].pays(keys[0], 700_00, 700_00, 1)
	tills[1].pays(keys[1], 700_00, 700_00, 2)
	same, err := openSameBills(b.dir)
	b.do(err)
	b.same = same
	b.do((&matcher{ledgers: b.ledgers}).match(t.Context()))
	if biller, rejected := b.books(); biller != -700_00 || len(rejected) != 1 {
		t.Errorf("the biller has %d, rejected is %q", biller, rejected)
	}
}

// Of a bill that the biller has, the other payment is rejected, though it came first.
func TestSubmittedPaymentStays(t *testing.T) {
	b, tills, keys := renewed(t)
	tills[0].pays(keys[0], 700_00, 700_00, 1)
	tills[1].pays(keys[1], 700_00, 700_00, 2)
	at := ledger.Position{Log: tills[1].ID(), Index: tills[1].Log.End.Size - 1}
	raw, err := b.store.Entry(at)
	b.do(err)
	b.do(b.write(t.Context(), b.cell, cellStream(b.id), &event.BillerSubmitted{Payment: event.RefTo(at, raw), Reference: "r"}))
	b.do((&matcher{ledgers: b.ledgers}).match(t.Context()))
	if biller, rejected := b.books(); biller != -700_00 || !slices.Equal(rejected, []string{"2: 70000"}) {
		t.Errorf("the biller has %d, rejected is %q", biller, rejected)
	}
}

// A revoked machine's payment rejects nobody's.
func TestRevokedMachineRejectsNothing(t *testing.T) {
	b, tills, keys := renewed(t)
	tills[0].pays(keys[0], 700_00, 700_00, 1)
	tills[1].pays(keys[1], 700_00, 700_00, 2)
	b.do(b.write(t.Context(), b.authority, 1, &event.MachineRevoked{Machine: tills[0].Opened.Chain.Machine.Key}))
	b.do((&matcher{ledgers: b.ledgers}).match(t.Context()))
	if b.cell.Size() != 0 {
		t.Error("a payment is rejected")
	}
}

// A payment that stands on a further branch of a log that has forked counts as any: what
// was paid again under the bill's other key is rejected, whether the first branch is
// shorter or has something else there, and whether it was held already at the start.
func TestBillPaidOnAnotherBranch(t *testing.T) {
	for name, c := range map[string]struct {
		first int // entries that the first branch has by itself
		late  bool
	}{
		"beyond the first branch":        {1, false},
		"beside the first branch":        {9, false},
		"beyond the first branch, later": {1, true},
		"beside the first branch, later": {9, true},
	} {
		t.Run(name, func(t *testing.T) {
			b, tills, keys := renewed(t)
			author := *tills[0].Author
			author.Runs = slices.Clone(author.Runs)
			clone := kiosk{Author: &author, b: b}
			for range c.first {
				tills[0].write(&event.SoftwareStarted{Version: "first"})
			}
			tills[1].pays(keys[1], 700_00, 700_00, 1)
			m := &matcher{ledgers: b.ledgers}
			if c.late {
				b.do(m.match(t.Context()))
			}
			clone.writes(&event.SoftwareStarted{Version: "clone"})
			clone.sells(keys[0], 700_00, 700_00, 2)
			clone.bring(clone.Whole())
			if !c.late {
				same, err := openSameBills(b.dir)
				b.do(err)
				b.same = same
			}
			b.do(m.match(t.Context()))
			books, err := book.Of(b.id.Fleet, viewLedger{b.store}.Books())
			b.do(err)
			if got := books.Balances["Liabilities:Biller:JVVNL"]; got != -700_00 {
				t.Errorf("the biller has %d, want -70000", got)
			}
			if !slices.ContainsFunc(books.Questions, func(q book.Question) bool { return q.Reason == book.ReasonRejected && q.Amount == 700_00 }) {
				t.Errorf("the books ask %+v", books.Questions)
			}
		})
	}
}

// What an office's log says on a further branch, an office that was restored said too.
func TestRevokedOnAnotherBranch(t *testing.T) {
	b, tills, keys := renewed(t)
	tills[0].pays(keys[0], 700_00, 700_00, 1)
	tills[1].pays(keys[1], 700_00, 700_00, 2)
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	grant, err := cert.SignGrant(b.id.Machine, cert.Grant{
		LogKey: [32]byte(key.Public().(ed25519.PublicKey)), Stream: cert.StreamAuthority, Ordinal: 7, Reason: cert.ReasonEnrolled,
	})
	b.do(err)
	office := storetest.Machine{Key: b.id.Machine, LogKey: key, Opened: &event.LogOpened{Chain: b.id.Chain, Grant: grant, Currency: event.Currency}}
	said := func(body event.Body) kiosk {
		a, err := storetest.NewAuthor(office)
		b.do(err)
		k := kiosk{Author: a, b: b}
		k.writes(body)
		return k
	}
	first, second := said(&event.SoftwareStarted{Version: "first"}), said(&event.MachineRevoked{Machine: tills[0].Opened.Chain.Machine.Key})
	first.bring(first.Whole())
	second.bring(second.Whole())
	b.do((&matcher{ledgers: b.ledgers}).match(t.Context()))
	if b.cell.Size() != 0 {
		t.Error("a payment is rejected, though a machine is revoked")
	}
}

// The files of bills with two keys hold no consumer number, have a limit, and are read
// whole or not at all.
func TestSameBills(t *testing.T) {
	dir := t.TempDir()
	s, err := openSameBills(dir)
	if err != nil {
		t.Fatal(err)
	}
	dues := []catalogue.Due{{Account: "210123456789", Period: "2026-10"}, {Account: "210123456790", Period: "2026-10"}}
	peppers := []event.Pepper{{1}, {2}, {3}, {4}, {5}}
	for n := uint32(2); n <= 5; n++ {
		for range 2 { // published again
			if err := s.note(fleet.Pepper{Number: n, Secret: peppers[n-1]}, peppers[n-2], "JVVNL", dues); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s, err = openSameBills(dir); err != nil {
		t.Fatal(err)
	}
	newest, err := event.BillKeyOf(peppers[4], "JVVNL", "210123456789", "2026-10")
	if err != nil {
		t.Fatal(err)
	}
	keys := s.keys(newest) // under peppers 2 to 5: the pairs of the oldest renewal are gone
	if len(keys) != 4 || keys[0] != newest || len(s.later()) != 6 || s.keys(event.BillKey{}) != nil {
		t.Errorf("%d keys of a bill, %d pairs", len(keys), len(s.later()))
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != pairFilesMax {
		t.Fatalf("files %v, %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil || len(b) != 64 {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if err := os.WriteFile(files[0], b[1:], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openSameBills(dir); err == nil {
		t.Error("a damaged file is read")
	}
}
