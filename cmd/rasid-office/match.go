package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/ledger/receipt"
	"rasid/ledger/store"
)

// matcher finds bills that were paid under two of their keys. The books pool payments by
// bill key and cannot know that two keys name one bill; the office can, by sameBills, and
// says so by entries of kind 82 (LEDGER.md §13.5).
type matcher struct {
	*ledgers
	next map[branch]uint64 // how far payments were looked at; nil at first
}

// branch is one history of a log: a log that has forked has several.
type branch struct {
	log    ledger.LogID
	number int
}

// matchBills rejects payments of bills that were paid before, as entries come, until ctx
// ends.
func (l *ledgers) matchBills(ctx context.Context) error {
	updates, cancel := l.store.Updates()
	defer cancel()
	m := &matcher{ledgers: l}
	for {
		if err := m.match(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-updates:
		}
	}
}

// match looks at the payments that are new; the first time, at those of every bill that
// is known to have two keys.
func (m *matcher) match(ctx context.Context) error {
	bills := map[event.BillKey]bool{}
	first := m.next == nil
	if first {
		m.next = map[branch]uint64{}
		for _, key := range m.same.later() {
			bills[key] = true
		}
	}
	for _, info := range m.store.Logs() {
		for n, b := range m.store.Branches(info.ID) {
			at := branch{info.ID, n}
			from := max(m.next[at], b.Departs()) // what it shares with another is read there
			m.next[at] = b.End().Size
			if first || from >= b.End().Size {
				continue
			}
			err := b.Scan(from, b.End().Size, store.Filter{Kinds: []ledger.Kind{event.KindPaymentCommitted}}, func(_ uint64, e ledger.Entry) error {
				if body, err := event.Decode(e); err == nil { // the books ask about others
					bills[body.(*event.PaymentCommitted).Bill] = true
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("couldn't look for bills that were paid twice: %w", err)
			}
		}
	}
	for bill := range bills {
		if err := m.reject(ctx, m.same.keys(bill)); err != nil {
			return fmt.Errorf("couldn't look for bills that were paid twice: %w", err)
		}
	}
	return nil
}

// paid is a payment of a bill, under one of its keys.
type paid struct {
	store.Payment
	firm bool // submitted to the biller, or acknowledged
}

// before is the order in which payments get what is due (LEDGER.md §13.5).
func (p paid) before(q paid) int {
	if p.firm != q.firm {
		if p.firm {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(p.WallMs, q.WallMs), bytes.Compare(p.Log[:], q.Log[:]), cmp.Compare(p.Index, q.Index), bytes.Compare(p.Leaf[:], q.Leaf[:]))
}

// reject rejects every payment of a bill that goes beyond what payments under its other
// keys have left of the due. What is beyond among payments under one key the books find
// by themselves.
func (m *matcher) reject(ctx context.Context, keys []event.BillKey) error {
	all, err := m.payments(keys)
	if err != nil || len(all) < 2 {
		return err
	}
	if all, err = m.standing(all); err != nil {
		return err
	}
	slices.SortFunc(all, paid.before)
	var due, sum ledger.Paise
	for _, p := range all {
		due = max(due, p.Due)
	}
	var counts []paid
	for _, p := range all {
		i := slices.IndexFunc(counts, func(c paid) bool { return c.Bill != p.Bill })
		if i < 0 || p.firm || p.Applied <= due-sum {
			counts = append(counts, p)
			sum = min(due, sum+p.Applied)
			continue
		}
		machine, ordinal := counts[i].Opened.Chain.Machine, counts[i].Opened.Grant.Ordinal
		why := "the bill was paid before, under the key of another pepper: receipt " + receipt.Number(machine.Slot, ordinal, counts[i].Index, counts[i].Leaf)
		if err := m.write(ctx, m.cell, cellStream(m.id), &event.BillerRejected{Payment: p.Ref(), Reason: why}); err != nil {
			return err
		}
	}
	return nil
}

// payments returns the payments held under the keys. Those of revoked machines are for
// people to decide.
func (m *matcher) payments(keys []event.BillKey) (all []paid, err error) {
	found, err := m.store.Paid(0, keys...)
	if err != nil || len(found) < 2 {
		return nil, err
	}
	gone, err := m.revoked()
	if err != nil {
		return nil, err
	}
	for _, p := range found {
		if !gone[p.Opened.Chain.Machine.Key] {
			all = append(all, paid{Payment: p})
		}
	}
	return all, nil
}

// standing says which payments the biller has or is to have, and leaves out those that
// are rejected already.
func (m *matcher) standing(all []paid) ([]paid, error) {
	firm, rejected := map[event.Ref]bool{}, map[event.Ref]bool{}
	kinds := []ledger.Kind{event.KindBillerSubmitted, event.KindBillerAcknowledged, event.KindBillerRejected}
	err := m.eachOfOffice(store.Filter{Kinds: kinds}, func(_ ledger.Entry, body event.Body) {
		switch b := body.(type) {
		case *event.BillerSubmitted:
			firm[b.Payment] = true
		case *event.BillerAcknowledged:
			firm[b.Payment] = true
		case *event.BillerRejected:
			rejected[b.Payment] = true
		}
	})
	if err != nil {
		return nil, err
	}
	var left []paid
	for _, p := range all {
		if p.firm = firm[p.Ref()]; !rejected[p.Ref()] {
			left = append(left, p)
		}
	}
	return left, nil
}
