package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
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
	slices.SortFunc(out, func(a, b ledger.Position) int {
		return cmp.Or(bytes.Compare(a.Log[:], b.Log[:]), cmp.Compare(a.Index, b.Index))
	})
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
// unread. As Range.
func (s *Store) Scan(id ledger.LogID, from, to uint64, filter Filter, f func(index uint64, e ledger.Entry) error) error {
	h, err := s.view(id)
	if err != nil {
		return err
	}
	for at := from; at < to; {
		n := at / bundleEntries
		stop := min(to, (n+1)*bundleEntries)
		pass, err := h.passes(n, filter)
		if err != nil {
			return err
		}
		if !pass || stop > h.log.End.Size {
			if err := h.scan(at, stop, filter, f); err != nil {
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
