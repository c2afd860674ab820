package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

// ErrPruned is returned for entries of another kiosk's log that were dropped here
// (LEDGER.md §17.6), and for what cannot be told without them. The office has them;
// LogInfo.From says from where on they are held.
var ErrPruned = errors.New("pruned here")

// AlwaysHeld is how many entries at a log's beginning are never pruned.
const AlwaysHeld uint64 = bundleEntries

const (
	// pruneBundles is how many entry bundles one step drops.
	pruneBundles = 16
	// readEntries is how many entries of an office's log one step reads.
	readEntries = 4 * bundleEntries
	// pruneShortAge takes the place of a longer Config.PruneAge while the disk is short
	// of room.
	pruneShortAge = 30 * 24 * time.Hour
	// acksMax is how many acknowledgements of one log are remembered.
	acksMax = 64
)

// errPruned says that an entry was dropped, and from which one on all are held.
func errPruned(log ledger.LogID, index, from uint64) error {
	return fmt.Errorf("entry %s: %w: held from %d on", ledger.Position{Log: log, Index: index}, ErrPruned, from)
}

// ack is the office's word that it held a log so far, at a time by its own clock.
type ack struct {
	size uint64
	root ledger.Hash
	at   uint64 // wall milliseconds
}

// pruner decides what is dropped. It belongs to Tend.
type pruner struct {
	read   map[ledger.LogID]uint64 // how far the offices' logs were read
	acks   map[ledger.LogID][]ack  // of each log, as they came
	newest uint64                  // the latest time of any
	merged bool                    // what earlier runs dropped has left the disk
}

// prune does a step: it reads on in an office's log, or drops some bundles of one log.
// How old something is, the office's acknowledgements say: a kiosk's clock may be
// wrong, and without the office there is nothing to prune.
func (s *Store) prune() error {
	if s.cfg.PruneAge <= 0 {
		return nil
	}
	s.ingest.Lock()
	defer s.ingest.Unlock()
	p := &s.pruner
	if p.acks == nil {
		p.read, p.acks = map[ledger.LogID]uint64{}, map[ledger.LogID][]ack{}
	}
	for _, l := range s.Logs() {
		if l.Opened.Chain.Machine.Role == cert.RoleOffice && p.read[l.ID] < l.End.Size {
			return s.readAcks(l)
		}
	}
	age := uint64(s.cfg.PruneAge.Milliseconds())
	if room, err := s.Room(); err != nil || !room.OK {
		age = min(age, uint64(pruneShortAge.Milliseconds()))
	}
	if p.newest < age {
		return nil
	}
	for id := range p.acks {
		h, to, err := s.prunable(id, p.newest-age)
		if err != nil {
			return fmt.Errorf("couldn't see what of log %s may be pruned: %w", id, err)
		}
		if to > 0 {
			return s.dropTo(h, to)
		}
	}
	return nil
}

// readAcks reads some more of an office's log.
func (s *Store) readAcks(l LogInfo) error {
	p := &s.pruner
	from := p.read[l.ID]
	to := min(from+readEntries, l.End.Size)
	err := s.Scan(l.ID, from, to, Filter{Kinds: []ledger.Kind{event.KindAcknowledged}}, func(index uint64, e ledger.Entry) error {
		body, err := event.Decode(e)
		if err != nil || !l.Opened.Author().MayWrite(index, e.Kind) {
			return nil // it says nothing
		}
		p.newest = max(p.newest, e.Time.WallMs)
		for _, h := range body.(*event.Acknowledged).Held {
			p.acks[h.Log] = remember(p.acks[h.Log], ack{h.Size, h.Root, e.Time.WallMs})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("couldn't read what the office acknowledges: %w", err)
	}
	p.read[l.ID] = to
	return nil
}

// remember adds an acknowledgement that tells of a further bundle. Where there are too
// many every second one goes: what they allowed is allowed later.
func remember(acks []ack, a ack) []ack {
	if n := len(acks); n > 0 && a.size/bundleEntries <= acks[n-1].size/bundleEntries {
		return acks
	}
	if len(acks) == acksMax {
		for i := range acksMax / 2 {
			acks[i] = acks[2*i+1]
		}
		acks = acks[:acksMax/2]
	}
	return append(acks, a)
}

// prunable returns a log and up to where the office held it, by the cutoff and in the
// history that is held here, in whole bundles; 0 where nothing of it may go.
func (s *Store) prunable(id ledger.LogID, cutoff uint64) (held, uint64, error) {
	h, err := s.view(id)
	if errors.Is(err, ErrNotHeld) {
		return h, 0, nil
	}
	s.mu.RLock()
	forked := len(s.forked[id]) > 0
	s.mu.RUnlock()
	m := h.opened.Chain.Machine
	if h.own || forked || m.Role != cert.RoleKiosk || bytes.Equal(m.Key[:], s.cfg.Machine) {
		return h, 0, nil
	}
	acks := s.pruner.acks[id]
	for i := len(acks) - 1; i >= 0; i-- {
		a := acks[i]
		if a.at > cutoff || a.size > h.log.End.Size {
			continue
		}
		if a.size/bundleEntries*bundleEntries <= max(h.prunedTo, AlwaysHeld) {
			return h, 0, nil // done before
		}
		root, err := h.rootAt(a.size)
		if err != nil {
			return h, 0, err
		}
		if root != a.root {
			return h, 0, nil // the office holds another history: this one is not acknowledged
		}
		return h, a.size / bundleEntries * bundleEntries, nil
	}
	return h, 0, nil
}

// dropTo drops some of the bundles before entry to, all but the first, and says in the
// same transaction that they are gone. s.ingest is held.
func (s *Store) dropTo(h held, to uint64) error {
	from := max(h.prunedTo, AlwaysHeld)
	to = min(to, from+pruneBundles*bundleEntries)
	paid, err := h.paid(from, to)
	if err != nil {
		return fmt.Errorf("couldn't see which bills were paid in what is to be pruned: %w", err)
	}
	bytes, err := h.index.drop(h.branch, from, to, paid)
	if err != nil {
		err = fmt.Errorf("couldn't prune: %w", err)
		s.fail(err)
		return err
	}
	h.prunedTo = to
	s.mu.Lock()
	s.logs[h.branch.log] = &h
	s.dropped += bytes
	s.mu.Unlock()
	return nil
}

// keptPayment is what the index goes on knowing of a payment whose entry is dropped.
type keptPayment struct {
	payment
	value []byte
}

const keptPaymentBytes = 3*8 + ledger.HashBytes

// paid lists what takes money for a bill among entries that are to be dropped, in the
// form of LEDGER.md §17 `p`.
func (h held) paid(from, to uint64) (kept []keptPayment, err error) {
	err = h.entries(from, to, func(i uint64, raw []byte) error {
		g, err := h.growth(i, [][]byte{raw}, nil)
		if err != nil || len(g.payments) == 0 {
			return err
		}
		p, err := Branch{h}.paymentOf(i, raw)
		if err != nil {
			return err
		}
		v := binary.BigEndian.AppendUint64(nil, p.WallMs)
		v = binary.BigEndian.AppendUint64(v, uint64(p.Due))
		v = binary.BigEndian.AppendUint64(v, uint64(p.Applied)) // 0 of a slip
		kept = append(kept, keptPayment{g.payments[0], append(v, p.Leaf[:]...)})
		return nil
	})
	return kept, err
}

// droppedPayment is Branch.payment where the entry was dropped.
func (b Branch) droppedPayment(index uint64, bills []event.BillKey) (p Payment, err error) {
	x := b.h.index
	err = x.db.View(func(txn *badger.Txn) error {
		for _, bill := range bills {
			v, err := get(txn, b.h.branch.paymentKey(payment{bill, index}))
			if errors.Is(err, badger.ErrKeyNotFound) {
				continue
			}
			if err == nil && len(v) != keptPaymentBytes {
				err = fmt.Errorf("what is kept of the payment at %d of log %s has %d bytes, want %d", index, b.Log(), len(v), keptPaymentBytes)
			}
			if err != nil {
				return x.damaged(err)
			}
			p = Payment{
				Position: ledger.Position{Log: b.Log(), Index: index}, Opened: b.Opened(), WallMs: binary.BigEndian.Uint64(v), Leaf: ledger.Hash(v[24:]),
				Due: ledger.Paise(binary.BigEndian.Uint64(v[8:])), Applied: ledger.Paise(binary.BigEndian.Uint64(v[16:])),
			}
			if p.Applied > 0 {
				p.Bill = bill
			}
			return nil
		}
		return nil
	})
	return p, err
}

// Dropped is how many bytes were pruned since Open. Badger gives their room back when
// what says so has left its memory: at the next Open, then by Tend.
func (s *Store) Dropped() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.dropped
}

// merge has Badger merge its tables once after a start, where an earlier run dropped
// entries: only that gives room back to the disk. It needs some room itself.
func (s *Store) merge() error {
	if s.pruner.merged {
		return nil
	}
	if err := s.roomForOthers(); err != nil {
		return nil // later
	}
	s.pruner.merged = true
	if err := s.peers.merge(); err != nil {
		return fmt.Errorf("couldn't give back the room of what was pruned: %w", err)
	}
	return nil
}

var unmergedKey = []byte{prefixPruned} // there, while what was dropped takes room

func (x *index) merge() error {
	err := x.db.View(func(txn *badger.Txn) error {
		_, err := txn.Get(unmergedKey)
		return err
	})
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil
	}
	if err == nil {
		err = x.db.Flatten(2)
	}
	if err == nil {
		err = x.write(func(txn *badger.Txn) error { return txn.Delete(unmergedKey) })
	}
	return err
}

// drop takes the entries from..to-1 away, both at bounds of bundles, keeps what they
// paid, and returns how many bytes they took.
func (x *index) drop(b *branch, from, to uint64, paid []keptPayment) (uint64, error) {
	bytes := uint64(0)
	err := x.write(func(txn *badger.Txn) error {
		before := x.db.NewTransaction(false)
		defer before.Discard()
		for _, p := range paid {
			if err := txn.Set(b.paymentKey(p.payment), p.value); err != nil {
				return err
			}
		}
		for n := from / bundleEntries; n < to/bundleEntries; n++ {
			item, err := before.Get(b.key(prefixBundle, n))
			if err == nil {
				bytes += uint64(item.ValueSize())
				err = txn.Delete(item.KeyCopy(nil))
			}
			if err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
				return err
			}
			start := b.key(prefixPiece, n*bundleEntries) // those that no bundle took
			err = scan(before, start[:branchKeyBytes], start, func(item *badger.Item) (bool, error) {
				if keyNumber(item.Key()) >= (n+1)*bundleEntries {
					return false, nil
				}
				bytes += uint64(item.ValueSize())
				return true, txn.Delete(item.KeyCopy(nil))
			})
			if err != nil {
				return err
			}
		}
		if err := txn.Set(unmergedKey, nil); err != nil {
			return err
		}
		return txn.Set(b.prefix(prefixPruned), binary.BigEndian.AppendUint64(nil, to))
	})
	if err != nil {
		return 0, fmt.Errorf("couldn't drop from %s: %w", x.path, err)
	}
	x.recent.drop(b, to/bundleEntries)
	return bytes, nil
}

// prunedTo returns where the branch's own dropped entries end; 0 where there are none.
func (x *index) prunedTo(txn *badger.Txn, b *branch) (uint64, error) {
	v, err := get(txn, b.prefix(prefixPruned))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 0, nil
	}
	if err == nil && len(v) != 8 {
		err = fmt.Errorf("%w: %s: how far log %s is pruned has %d bytes", errDamagedIndex, x.path, b.log, len(v))
	}
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(v), nil
}

// heldFrom looks for the first entry after those that were dropped, or after the bundle
// that never is: an index that lost how far a log is pruned would be a log with a hole.
func (x *index) heldFrom(txn *badger.Txn, b *branch, from uint64) error {
	_, err := txn.Get(b.key(prefixBundle, from/bundleEntries))
	if errors.Is(err, badger.ErrKeyNotFound) {
		_, err = txn.Get(b.key(prefixPiece, from)) // a piece never reaches into a bundle
	}
	if errors.Is(err, badger.ErrKeyNotFound) {
		return fmt.Errorf("the entries of log %s from %d on are missing, and nothing says that they were pruned", b.log, from)
	}
	return err
}

// prunedBelow is where what the branch has of dropped entries ends: a further branch
// holds everything from its own base on.
func (b *branch) prunedBelow(parent uint64) uint64 {
	if to := min(parent, b.base()); to > AlwaysHeld {
		return to
	}
	return 0
}
