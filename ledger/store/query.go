package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"rasid/ledger"
	"rasid/ledger/event"
)

// Payments returns the durable entries, payments and credit slips, that say money
// was taken for a bill, ascending by log and index; of entries on further branches
// of a forked log too. Only entries whose log may write such are among them.
func (s *Store) Payments(bill event.BillKey) ([]ledger.Position, error) {
	// What is on its way into the index is taken first: it may arrive meanwhile.
	found := map[ledger.Position]bool{}
	s.mu.RLock()
	for id, h := range s.logs {
		for _, g := range h.pending {
			for _, p := range g.payments {
				if p.bill == bill {
					found[ledger.Position{Log: id, Index: p.index}] = true
				}
			}
		}
	}
	s.mu.RUnlock()
	for _, x := range []*index{s.own, s.peers} {
		if err := x.payments(bill, func(p ledger.Position) { found[p] = true }); err != nil {
			return nil, err
		}
	}
	out := make([]ledger.Position, 0, len(found))
	for p := range found {
		out = append(out, p)
	}
	slices.SortFunc(out, comparePositions)
	return out, nil
}

func (x *index) payments(bill event.BillKey, f func(ledger.Position)) error {
	prefix := paymentPrefix(bill)
	return x.db.View(func(txn *badger.Txn) error {
		return scan(txn, prefix, prefix, func(item *badger.Item) (bool, error) {
			k := item.Key()[len(prefix):]
			f(ledger.Position{Log: ledger.LogID(k), Index: binary.BigEndian.Uint64(k[len(ledger.LogID{})+1:])})
			return true, nil
		})
	})
}

// Payment is an entry that took money for a bill and applied it, on one branch of its log.
type Payment struct {
	ledger.Position
	Opened       *event.LogOpened // what opens that branch; not to be changed
	WallMs       uint64           // when, as the writer believed
	Leaf         ledger.Hash
	Bill         event.BillKey
	Due, Applied ledger.Paise
}

// Ref is how other entries name it.
func (p Payment) Ref() event.Ref {
	return event.Ref{Log: p.Log, Index: p.Index, Leaf: [event.LeafBytes]byte(p.Leaf[:event.LeafBytes])}
}

// Paid returns the payments of the bills on every branch of every log, each once, also
// those whose entries were dropped (LEDGER.md §17.6), ascending by log and index. Where
// more than so many entries take money for them it is an error; 0: no limit.
func (s *Store) Paid(most int, bills ...event.BillKey) ([]Payment, error) {
	var at []ledger.Position
	for _, bill := range bills {
		found, err := s.Payments(bill)
		if err != nil {
			return nil, err
		}
		at = append(at, found...)
	}
	// The branches of a fork may have payments at one position, even of two bills.
	slices.SortFunc(at, comparePositions)
	at = slices.Compact(at)
	if most > 0 && len(at) > most {
		return nil, fmt.Errorf("%d entries take money for a bill, of which %d can be looked at", len(at), most)
	}
	var out []Payment
	for _, p := range at {
		for _, b := range s.Branches(p.Log) {
			if p.Index < b.Departs() || p.Index >= b.End().Size {
				continue // looked at on the branch that it departs from, or beyond its end
			}
			pay, err := b.payment(p.Index, bills)
			if err != nil {
				return nil, err
			}
			if slices.Contains(bills, pay.Bill) { // else a slip, or something else on this branch
				out = append(out, pay)
			}
		}
	}
	return out, nil
}

func comparePositions(a, b ledger.Position) int {
	return cmp.Or(bytes.Compare(a.Log[:], b.Log[:]), cmp.Compare(a.Index, b.Index))
}

// payment is the one of any of the bills at an index of the branch; of no bill where
// the entry is no payment.
func (b Branch) payment(index uint64, bills []event.BillKey) (Payment, error) {
	raw, err := b.Entry(index)
	if errors.Is(err, ErrPruned) {
		return b.droppedPayment(index, bills)
	}
	if err != nil {
		return Payment{}, err
	}
	return b.paymentOf(index, raw)
}

func (b Branch) paymentOf(index uint64, raw []byte) (Payment, error) {
	p := Payment{Position: ledger.Position{Log: b.Log(), Index: index}, Opened: b.Opened(), Leaf: ledger.LeafHash(raw)}
	e, err := ledger.DecodeEntry(raw)
	if err != nil {
		return p, err
	}
	p.WallMs = e.Time.WallMs
	if body, err := event.Decode(e); err == nil { // one that breaks its kind's form pays nothing
		if paid, is := body.(*event.PaymentCommitted); is {
			p.Bill, p.Due, p.Applied = paid.Bill, paid.Due, paid.Applied
		}
	}
	return p, nil
}

// Filter says which entries a Scan gives.
type Filter struct {
	Kinds        []ledger.Kind // none: all
	FromMs, ToMs uint64        // wall time as the writer believed, both included; ToMs 0: no end
}

func (f Filter) admits(e ledger.Entry) bool {
	return e.Time.WallMs >= f.FromMs && (f.ToMs == 0 || e.Time.WallMs <= f.ToMs) && (len(f.Kinds) == 0 || slices.Contains(f.Kinds, e.Kind))
}

func (f Filter) mayAdmit(s summary) bool {
	return s.toMs >= f.FromMs && (f.ToMs == 0 || s.fromMs <= f.ToMs) && (len(f.Kinds) == 0 || s.has(f.Kinds))
}

// Scan calls f with the durable entries from..to-1 of a log that the filter admits,
// in order, their envelopes read. An entry bundle that cannot hold one is passed by
// unread. As Range: of a log that has forked it reads the first branch.
func (s *Store) Scan(id ledger.LogID, from, to uint64, filter Filter, f func(index uint64, e ledger.Entry) error) error {
	h, err := s.view(id)
	if err != nil {
		return err
	}
	return Branch{h}.Scan(from, to, filter, f)
}

// Scan is Store.Scan on the branch.
func (b Branch) Scan(from, to uint64, filter Filter, f func(index uint64, e ledger.Entry) error) error {
	for at := from; at < to; {
		n := at / bundleEntries
		stop := min(to, (n+1)*bundleEntries)
		pass, err := b.h.passes(n, filter)
		if err != nil {
			return err
		}
		if !pass || stop > b.h.log.End.Size {
			if err := b.h.scan(at, stop, filter, f); err != nil {
				return err
			}
		}
		at = stop
	}
	return nil
}

// passes reports whether bundle n is full and can hold nothing that is asked for.
func (h held) passes(n uint64, filter Filter) (bool, error) {
	if (n+1)*bundleEntries > h.indexed() {
		return false, nil
	}
	var s summary
	err := h.index.db.View(func(txn *badger.Txn) (err error) {
		s, err = h.index.summary(txn, h.branch.owner((n+1)*bundleEntries), n)
		return err
	})
	return !filter.mayAdmit(s), err
}

func (h held) scan(from, to uint64, filter Filter, f func(index uint64, e ledger.Entry) error) error {
	return h.entries(from, to, func(i uint64, raw []byte) error {
		e, err := ledger.ParseEntry(raw)
		if err != nil || !filter.admits(e) {
			return err
		}
		return f(i, e)
	})
}
