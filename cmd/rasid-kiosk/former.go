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

// paymentsMax bounds the payments of one bill that are looked at.
const paymentsMax = 256

// formerLog is a log that this machine gave up: the history of it that goes on here.
type formerLog struct {
	store.Branch
	// whole says that it and all after it are held up to the last state known.
	whole bool
}

// formerLogs lists what is held of the logs that this machine gave up, oldest first: of
// one that has forked the history that the next log names as the one before it, and
// where that is not held the first.
func (k *kiosk) formerLogs() []formerLog {
	var logs [][]store.Branch
	for _, l := range k.store.Logs() {
		o := l.Opened
		if o.Chain.Machine.Key == k.id.Chain.Machine.Key && o.Author() == (event.Author{Role: cert.RoleKiosk, Stream: cert.StreamMain}) && o.Grant.Ordinal < k.key.Grant.Ordinal {
			logs = append(logs, k.store.Branches(l.ID))
		}
	}
	slices.SortFunc(logs, func(a, b []store.Branch) int {
		idA, idB := a[0].Log(), b[0].Log()
		return cmp.Or(cmp.Compare(a[0].Opened().Grant.Ordinal, b[0].Opened().Grant.Ordinal), slices.Compare(idA[:], idB[:]))
	})
	return follow(logs, k.key.Grant.Before)
}

// follow chooses of each log, oldest first, the history that leads to the last state
// known of it, which the log that follows names. Of one that no log follows so nothing is
// known, nor of any before it: what it took over from them may stand in what is missing.
func follow(logs [][]store.Branch, before *cert.Predecessor) []formerLog {
	out := make([]formerLog, len(logs))
	for i := len(logs) - 1; i >= 0; i-- {
		out[i] = formerLog{Branch: logs[i][0]}
		if at := slices.IndexFunc(logs[i], func(b store.Branch) bool { return leadsTo(b, before) }); at >= 0 {
			out[i] = formerLog{logs[i][at], true}
			before = out[i].Opened().Grant.Before
		} else {
			before = nil
		}
	}
	return out
}

// leadsTo reports whether the branch is held up to that very state. Another history of
// the same log, which a copy of the disk wrote, does not lead to it, however long it is.
func leadsTo(b store.Branch, state *cert.Predecessor) bool {
	if state == nil || state.Log != b.Log() || b.End().Size < state.Size {
		return false
	}
	root, err := b.Root(state.Size)
	return err == nil && root == state.Root // what cannot be read counts as not held
}

// formers is formerLogs for the till.
func (k *kiosk) formers() []till.FormerLog {
	held := k.formerLogs()
	out := make([]till.FormerLog, len(held))
	for i, h := range held {
		_, err := k.source(h)
		out[i] = till.FormerLog{ID: h.Log(), Size: h.End().Size, Whole: h.whole, Papers: err == nil, Each: func(f func(uint64, []byte) error) error {
			return h.Range(0, h.End().Size, f)
		}}
	}
	if own := k.key.Grant; own.Ordinal > 1 && (len(held) == 0 || held[len(held)-1].Opened().Grant.Ordinal < own.Ordinal-1) {
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

// formerSource is a log that was given up, with its key: what its papers are made from.
func (k *kiosk) formerSource(id ledger.LogID) (slip.Source, error) {
	for _, h := range k.formerLogs() {
		if h.Log() == id {
			return k.source(h)
		}
	}
	return slip.Source{}, fmt.Errorf("nothing is held of log %s", id)
}

func (k *kiosk) source(h formerLog) (slip.Source, error) {
	key, ok, err := k.id.FormerLogKey(cert.StreamMain, h.Opened().Grant.Ordinal)
	if err != nil {
		return slip.Source{}, err
	}
	if !ok || ledger.LogIDOf(key.Grant.PublicKey()) != h.Log() {
		return slip.Source{}, fmt.Errorf("the key of log %s is not here: nobody can sign its receipts any more", h.Log())
	}
	return slip.Source{Key: key.Key, Grant: key.Grant, Log: h}, nil
}

// payments tells what is held of payments of a bill, at whatever kiosk, oldest first.
func (k *kiosk) payments(keys ...event.BillKey) ([]till.Paid, error) {
	found, err := k.store.Paid(paymentsMax, keys...)
	if err != nil {
		return nil, err
	}
	var paid []till.Paid
	for _, p := range found {
		paid = append(paid, till.Paid{
			Receipt: receipt.Number(p.Opened.Chain.Machine.Slot, p.Opened.Grant.Ordinal, p.Index, p.Leaf),
			Kiosk:   k.kioskName(p.Opened.Chain.Machine), At: time.UnixMilli(int64(p.WallMs)), Applied: p.Applied,
		})
	}
	slices.SortStableFunc(paid, func(a, b till.Paid) int { return a.At.Compare(b.At) })
	return paid, nil
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
