package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/receipt"
	"rasid/ledger/store"
)

// matcher finds bills that were paid under two of their keys. The books pool payments by
// bill key and cannot know that two keys name one bill; the office can, by sameBills, and
// says so by entries of kind 82 (LEDGER.md §13.5).
type matcher struct {
	*ledgers
	next map[ledger.LogID]uint64 // how far payments were looked at; nil at first
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
	if m.next == nil {
		m.next = map[ledger.LogID]uint64{}
		for _, info := range m.store.Logs() {
			m.next[info.ID] = info.End.Size
		}
		for _, key := range m.same.later() {
			bills[key] = true
		}
	}
	for _, info := range m.store.Logs() {
		err := m.store.Scan(info.ID, m.next[info.ID], info.End.Size, store.Filter{Kinds: []ledger.Kind{event.KindPaymentCommitted}}, func(_ uint64, e ledger.Entry) error {
			if body, err := event.Decode(e); err == nil { // the books ask about others
				bills[body.(*event.PaymentCommitted).Bill] = true
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("couldn't look for bills that were paid twice: %w", err)
		}
		m.next[info.ID] = info.End.Size
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
	ref    event.Ref
	wall   uint64
	leaf   ledger.Hash
	number string // of its receipt
	body   *event.PaymentCommitted
	firm   bool // submitted to the biller, or acknowledged
}

// before is the order in which payments get what is due (LEDGER.md §13.5).
func (p paid) before(q paid) int {
	if p.firm != q.firm {
		if p.firm {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(p.wall, q.wall), bytes.Compare(p.ref.Log[:], q.ref.Log[:]), cmp.Compare(p.ref.Index, q.ref.Index))
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
		due = max(due, p.body.Due)
	}
	var counts []paid
	for _, p := range all {
		i := slices.IndexFunc(counts, func(c paid) bool { return c.body.Bill != p.body.Bill })
		if i < 0 || p.firm || p.body.Applied <= due-sum {
			counts = append(counts, p)
			sum = min(due, sum+p.body.Applied)
			continue
		}
		why := "the bill was paid before, under the key of another pepper: receipt " + counts[i].number
		if err := m.write(ctx, m.cell, cellStream(m.id), &event.BillerRejected{Payment: p.ref, Reason: why}); err != nil {
			return err
		}
	}
	return nil
}

// payments returns the payments held under the keys. Those of revoked machines are for
// people to decide.
func (m *matcher) payments(keys []event.BillKey) (all []paid, err error) {
	var gone map[[32]byte]bool
	for _, key := range keys {
		positions, err := m.store.Payments(key)
		if err != nil {
			return nil, err
		}
		for _, at := range positions {
			if gone == nil {
				if gone, err = m.revoked(); err != nil {
					return nil, err
				}
			}
			p, err := m.payment(at)
			info, _ := m.store.Log(at.Log)
			if err != nil {
				return nil, err
			}
			if p.body == nil || p.body.Bill != key || gone[info.Opened.Chain.Machine.Key] {
				continue // a slip, or on another branch of a log that has forked
			}
			p.number = receipt.Number(info.Opened.Chain.Machine.Slot, info.Opened.Grant.Ordinal, at.Index, p.leaf)
			all = append(all, p)
		}
	}
	return all, nil
}

func (m *matcher) payment(at ledger.Position) (paid, error) {
	raw, err := m.store.Entry(at)
	if err != nil {
		return paid{}, err
	}
	e, err := ledger.DecodeEntry(raw)
	if err != nil {
		return paid{}, err
	}
	p := paid{ref: event.RefTo(at, raw), wall: e.Time.WallMs, leaf: ledger.LeafHash(raw)}
	if body, err := event.Decode(e); err == nil {
		p.body, _ = body.(*event.PaymentCommitted)
	}
	return p, nil
}

// standing says which payments the biller has or is to have, and leaves out those that
// are rejected already.
func (m *matcher) standing(all []paid) ([]paid, error) {
	firm, rejected := map[event.Ref]bool{}, map[event.Ref]bool{}
	kinds := []ledger.Kind{event.KindBillerSubmitted, event.KindBillerAcknowledged, event.KindBillerRejected}
	for _, info := range m.store.Logs() {
		author := info.Opened.Author()
		if author.Role != cert.RoleOffice {
			continue
		}
		err := m.store.Scan(info.ID, 0, info.End.Size, store.Filter{Kinds: kinds}, func(index uint64, e ledger.Entry) error {
			body, err := event.Decode(e)
			if err != nil || !author.MayWrite(index, e.Kind) {
				return nil // the books ask about it
			}
			switch b := body.(type) {
			case *event.BillerSubmitted:
				firm[b.Payment] = true
			case *event.BillerAcknowledged:
				firm[b.Payment] = true
			case *event.BillerRejected:
				rejected[b.Payment] = true
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	var left []paid
	for _, p := range all {
		if p.firm = firm[p.ref]; !rejected[p.ref] {
			left = append(left, p)
		}
	}
	return left, nil
}
