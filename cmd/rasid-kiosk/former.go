package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/receipt"
	"rasid/ledger/store"
	"rasid/node/till"
	"rasid/node/till/slip"
)

// paymentsMax bounds the payments of one bill that are looked at, the first ones by log.
const paymentsMax = 256

// formers lists what is held of the logs that this machine gave up, oldest first.
func (k *kiosk) formers() []till.FormerLog {
	var logs []store.LogInfo
	for _, l := range k.store.Logs() {
		o := l.Opened
		if o.Chain.Machine.Key == k.id.Chain.Machine.Key && o.Author() == (event.Author{Role: cert.RoleKiosk, Stream: cert.StreamMain}) && o.Grant.Ordinal < k.key.Grant.Ordinal {
			logs = append(logs, l)
		}
	}
	slices.SortFunc(logs, func(a, b store.LogInfo) int {
		return cmp.Or(cmp.Compare(a.Opened.Grant.Ordinal, b.Opened.Grant.Ordinal), slices.Compare(a.ID[:], b.ID[:]))
	})
	whole := whole(logs, k.key.Grant.Before)
	out := make([]till.FormerLog, len(logs))
	for i, l := range logs {
		_, err := k.formerSource(l.ID)
		out[i] = till.FormerLog{ID: l.ID, Size: l.End.Size, Whole: whole[i], Papers: err == nil, Each: func(f func(uint64, []byte) error) error {
			return k.store.Range(l.ID, 0, l.End.Size, f)
		}}
	}
	if own := k.key.Grant; own.Ordinal > 1 && (len(logs) == 0 || logs[len(logs)-1].Opened.Grant.Ordinal < own.Ordinal-1) {
		out = append(out, noneHeld(own.Before))
	}
	return out
}

// noneHeld is the log before of which nothing is held: something of it is missing.
func noneHeld(before *cert.Predecessor) till.FormerLog {
	l := till.FormerLog{Each: func(func(uint64, []byte) error) error { return nil }}
	if before != nil {
		l.ID = before.Log
	}
	return l
}

// whole tells of each log, oldest first, whether it and all after it are held up to the
// last state known, which the log that follows names. Of one that no log follows so
// nothing is known.
func whole(logs []store.LogInfo, before *cert.Predecessor) []bool {
	out := make([]bool, len(logs))
	for i := len(logs) - 1; i >= 0 && before != nil; i-- {
		l := logs[i]
		out[i] = before.Log == l.ID && l.End.Size >= before.Size
		if !out[i] {
			break // what it took over from those before is not known
		}
		before = l.Opened.Grant.Before
	}
	return out
}

// formerSource is a log that was given up, with its key: what its papers are made from.
func (k *kiosk) formerSource(id ledger.LogID) (slip.Source, error) {
	l, ok := k.store.Log(id)
	if !ok {
		return slip.Source{}, fmt.Errorf("nothing is held of log %s", id)
	}
	key, ok, err := k.id.FormerLogKey(cert.StreamMain, l.Opened.Grant.Ordinal)
	if err != nil {
		return slip.Source{}, err
	}
	if !ok || ledger.LogIDOf(key.Grant.PublicKey()) != id {
		return slip.Source{}, fmt.Errorf("the key of log %s is not here: nobody can sign its receipts any more", id)
	}
	return slip.Source{Key: key.Key, Grant: key.Grant, Log: ownLog{k.store, id}}, nil
}

// payments tells what is held of payments of a bill, at whatever kiosk, oldest first.
func (k *kiosk) payments(keys ...event.BillKey) ([]till.Paid, error) {
	var at []ledger.Position
	for _, key := range keys {
		found, err := k.store.Payments(key)
		if err != nil {
			return nil, err
		}
		at = append(at, found...)
	}
	var paid []till.Paid
	at = slices.Compact(at) // the branches of a fork may have payments at one position
	for _, p := range at[:min(len(at), paymentsMax)] {
		for _, b := range k.store.Branches(p.Log) {
			if p.Index < b.Departs() || p.Index >= b.End().Size {
				continue // looked at on the branch that it departs from, or beyond its end
			}
			found, err := k.paidOn(b, p.Index, keys)
			if err != nil {
				return nil, err
			}
			paid = append(paid, found...)
		}
	}
	slices.SortStableFunc(paid, func(a, b till.Paid) int { return a.At.Compare(b.At) })
	return paid, nil
}

// paidOn is the payment, if it is one of such a bill, at an index of a branch.
func (k *kiosk) paidOn(b store.Branch, index uint64, keys []event.BillKey) (paid []till.Paid, err error) {
	err = b.Range(index, index+1, func(_ uint64, raw []byte) error {
		e, err := ledger.DecodeEntry(raw)
		if err != nil {
			return err
		}
		body, err := event.Decode(e)
		payment, is := body.(*event.PaymentCommitted)
		if err != nil || !is || !slices.Contains(keys, payment.Bill) {
			return nil // a slip, or on this branch something else
		}
		o := b.Opened()
		paid = append(paid, till.Paid{
			Receipt: receipt.Number(o.Chain.Machine.Slot, o.Grant.Ordinal, index, ledger.LeafHash(raw)),
			Kiosk:   k.kioskName(o.Chain.Machine), At: time.UnixMilli(int64(e.Time.WallMs)), Applied: payment.Applied,
		})
		return nil
	})
	return paid, err
}

// kioskName is what people call another kiosk, empty for this one.
func (k *kiosk) kioskName(m cert.Certificate) string {
	if m.Key == k.id.Chain.Machine.Key {
		return ""
	}
	if name := k.feed.name(m.Key); name != "" {
		return name
	}
	return fmt.Sprintf("K%d", m.Slot) // as its receipts begin
}
