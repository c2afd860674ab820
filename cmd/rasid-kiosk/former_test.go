package main

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/receipt"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
	"rasid/node/fleet"
)

// kioskHolding is the kiosk m with a ledger that holds these runs, taken in this order.
func kioskHolding(t *testing.T, f storetest.Fleet, m storetest.Machine, runs ...ledger.Run) *kiosk {
	t.Helper()
	s, err := store.Open(store.Config{Dir: filepath.Join(t.TempDir(), "data"), Fleet: f.Public, Machine: m.Key.Public().(ed25519.PublicKey)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	results, err := s.Ingest(t.Context(), runs)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if !r.Held {
			t.Fatalf("run %d is not held: %v", i, r.Err)
		}
	}
	return &kiosk{id: fleet.Identity{Chain: m.Opened.Chain}, key: fleet.LogKey{Grant: m.Opened.Grant}, store: s, feed: newFeed(s, nil, nil, nil, m.ID(), nil)}
}

// some is as many entries, which tell their log from another's.
func some(n int, mark string) []event.Body {
	var out []event.Body
	for i := range n {
		out = append(out, &event.SoftwareStarted{Version: fmt.Sprint(mark, i)})
	}
	return out
}

// logsGivenUp are logs of one kiosk and copies of it, and the incarnations that may write
// the next one.
type logsGivenUp struct {
	one, clone        *storetest.Author // 7 entries, and 10 of which the first 4 are the same
	two, cloneOfTwo   *storetest.Author // after one: 5 entries, and 10
	second, third     storetest.Machine // after one, and after two
	early, unknown    storetest.Machine // after 5 entries of one, and after what nobody knows
	twin              *storetest.Author // under the ordinal of one
	afterFirstOfTwins storetest.Machine // after the one of both whose id is smaller
}

func giveUp(t *testing.T, f storetest.Fleet) (l logsGivenUp) {
	t.Helper()
	must := func(m storetest.Machine, err error) storetest.Machine {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	changed := func(m storetest.Machine, key ed25519.PrivateKey) storetest.Machine {
		opened := *m.Opened
		opened.Grant.Before = nil
		m.LogKey, opened.Grant.LogKey = key, [32]byte(key.Public().(ed25519.PublicKey))
		var err error
		opened.Grant, err = cert.SignGrant(m.Key, opened.Grant)
		m.Opened = &opened
		return must(m, err)
	}
	first := must(f.Machine(cert.RoleKiosk, 1))
	l.one = history(t, first, some(6, "mine")...)
	l.clone = history(t, first, append(some(3, "mine"), some(6, "clone")...)...)
	l.second = must(first.Next(cert.ReasonDoubt, l.one.Log.End))
	l.two = history(t, l.second, some(4, "mine")...)
	l.cloneOfTwo = history(t, l.second, some(9, "clone")...)
	l.third = must(l.second.Next(cert.ReasonDoubt, l.two.Log.End))
	l.early = must(first.Next(cert.ReasonDoubt, l.one.Runs[4].End))
	l.unknown = changed(l.second, l.second.LogKey)
	l.twin = history(t, changed(first, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))), some(6, "twin")...)
	lesser := l.one
	if a, b := l.one.ID(), l.twin.ID(); slices.Compare(a[:], b[:]) > 0 {
		lesser = l.twin
	}
	l.afterFirstOfTwins = must(lesser.Next(cert.ReasonDoubt, lesser.Log.End))
	return l
}

// A log given up is whole when it is held up to the very state that the next one names,
// and so is every one after it; a history that a copy of the disk wrote is not it,
// however long it is and however early it came.
func TestWholeLogs(t *testing.T) {
	f, err := storetest.NewFleet("whole")
	if err != nil {
		t.Fatal(err)
	}
	l := giveUp(t, f)
	for _, c := range []struct {
		name string
		me   storetest.Machine
		runs [][]ledger.Run
		want []bool
		ends []*storetest.Author // the history chosen, nil: a part of one
	}{
		{"none", l.second, nil, []bool{}, nil},
		{"all of both", l.third, [][]ledger.Run{l.one.Runs, l.two.Runs}, []bool{true, true}, []*storetest.Author{l.one, l.two}},
		{"more than was known", l.early, [][]ledger.Run{l.one.Runs}, []bool{true}, []*storetest.Author{l.one}},
		{"a part of the first", l.third, [][]ledger.Run{l.one.Runs[:6], l.two.Runs}, []bool{false, true}, []*storetest.Author{nil, l.two}},
		{"a part of the second", l.third, [][]ledger.Run{l.one.Runs, l.two.Runs[:4]}, []bool{false, false}, []*storetest.Author{l.one, nil}},
		{"nothing of the second", l.third, [][]ledger.Run{l.one.Runs}, []bool{false}, []*storetest.Author{l.one}},
		{"nothing known of what was before", l.unknown, [][]ledger.Run{l.one.Runs}, []bool{false}, []*storetest.Author{l.one}},
		{"two of one ordinal", l.afterFirstOfTwins, [][]ledger.Run{l.one.Runs, l.twin.Runs}, []bool{false, false}, nil},
		{"only what a clone wrote", l.second, [][]ledger.Run{l.clone.Runs}, []bool{false}, []*storetest.Author{l.clone}},
		{"what a clone wrote came first", l.second, [][]ledger.Run{l.clone.Runs, {l.one.Whole()}}, []bool{true}, []*storetest.Author{l.one}},
		{"what a clone wrote came last", l.second, [][]ledger.Run{l.one.Runs, {l.clone.Whole()}}, []bool{true}, []*storetest.Author{l.one}},
		{"a clone of the second", l.third, [][]ledger.Run{l.one.Runs, l.cloneOfTwo.Runs}, []bool{false, false}, []*storetest.Author{l.one, l.cloneOfTwo}},
		{"both have forked", l.third, [][]ledger.Run{l.clone.Runs, {l.one.Whole()}, l.cloneOfTwo.Runs, {l.two.Whole()}}, []bool{true, true}, []*storetest.Author{l.one, l.two}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := kioskHolding(t, f, c.me, slices.Concat(c.runs...)...)
			got := []bool{}
			for i, held := range k.formerLogs() {
				got = append(got, held.whole)
				if c.ends != nil && c.ends[i] != nil && held.End() != c.ends[i].Log.End {
					t.Errorf("of log %d is chosen %+v, want %+v", i+1, held.End(), c.ends[i].Log.End)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("whole: %v, want %v", got, c.want)
			}
		})
	}
}

// twoKiosks are the one that asks and another of its fleet.
func twoKiosks(t *testing.T) (f storetest.Fleet, me, there storetest.Machine) {
	t.Helper()
	f, err := storetest.NewFleet("payments")
	if err == nil {
		me, err = f.Machine(cert.RoleKiosk, 1)
	}
	if err == nil {
		there, err = f.Machine(cert.RoleKiosk, 2)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f, me, there
}

// A bill that was paid on any history of a forked log is paid, once for each payment.
func TestPaymentsOnEveryBranch(t *testing.T) {
	f, me, there := twoKiosks(t)
	x, y := event.BillKey{1}, event.BillKey{2}
	pay := func(key event.BillKey, amount ledger.Paise) event.Body {
		return &event.PaymentCommitted{Sale: 1, Biller: "AVVNL", Bill: key, Due: 900_00, Tendered: amount, Applied: amount, Rule: event.SurplusRefused, Tender: event.TenderCash, Notes: event.RefNotes(2)}
	}
	shared := pay(x, 100_00)
	a := history(t, there, shared, pay(x, 200_00))
	b := history(t, there, shared, pay(y, 300_00), pay(x, 400_00))
	k := kioskHolding(t, f, me, append(slices.Clone(a.Runs), b.Whole())...)
	for _, c := range []struct {
		keys []event.BillKey
		want []ledger.Paise
	}{
		{[]event.BillKey{x}, []ledger.Paise{100_00, 200_00, 400_00}},
		{[]event.BillKey{y}, []ledger.Paise{300_00}},
		{[]event.BillKey{x, y}, []ledger.Paise{100_00, 200_00, 300_00, 400_00}},
		{[]event.BillKey{{3}}, nil},
	} {
		paid, err := k.payments(c.keys...)
		if err != nil {
			t.Fatal(err)
		}
		var got []ledger.Paise
		for _, p := range paid {
			got = append(got, p.Applied)
			if p.Kiosk != "K2" {
				t.Errorf("paid at %q, want K2", p.Kiosk)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("under keys %x are paid %v, want %v", c.keys, got, c.want)
		}
	}
	paid, err := k.payments(y)
	if err != nil {
		t.Fatal(err)
	}
	if want := receipt.Number(2, 1, 2, ledger.LeafHash(b.Runs[2].Entries[0])); len(paid) != 1 || paid[0].Receipt != want {
		t.Errorf("paid under %+v, want receipt %s", paid, want)
	}
}

// A bill with more payments than are looked at is not told as paid less.
func TestTooManyPayments(t *testing.T) {
	f, me, there := twoKiosks(t)
	x := event.BillKey{1}
	var bodies []event.Body
	for range paymentsMax + 1 {
		bodies = append(bodies, &event.PaymentCommitted{Sale: 1, Biller: "AVVNL", Bill: x, Due: 900_00, Tendered: 1_00, Applied: 1_00, Rule: event.SurplusRefused, Tender: event.TenderCash, Notes: event.RefNotes(2)})
	}
	a := history(t, there, bodies...)
	k := kioskHolding(t, f, me, a.Runs[:paymentsMax+1]...)
	if paid, err := k.payments(x); err != nil || len(paid) != paymentsMax {
		t.Fatalf("%d payments, %v, want %d", len(paid), err, paymentsMax)
	}
	if _, err := k.store.Ingest(t.Context(), a.Runs[paymentsMax+1:]); err != nil {
		t.Fatal(err)
	}
	if paid, err := k.payments(x); err == nil {
		t.Errorf("%d payments and no error, want that it cannot be told", len(paid))
	}
}
