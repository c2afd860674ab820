package powercut

import (
	"time"

	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
)

// pruneAge is after what time, by the cell's clock, others' entries may be dropped. The
// cell acknowledges every ackPeriod, so that what it acknowledged before the last time may
// go and what it said the last time may not. It is not longer than the age that a store
// takes while its disk is short of room, so that a full disk changes nothing of that.
const (
	pruneAge  = 30 * 24 * time.Hour
	ackPeriod = pruneAge / 2
)

// prunings is what the rig knows of pruning. What may be dropped it works out from the
// acknowledgements, and asks no writer.
type prunings struct {
	acks    []acked
	pruning bool // a step is under way
	untold  bool // this start holds a log from farther on than was shown
	dropped int  // entries since it was last looked at
	drops   int  // steps that did so
}

// acked is one acknowledgement: that the entry of the cell's log at index says, at a
// time, that so many entries of a log are held.
type acked struct {
	index uint64
	at    uint64
	log   ledger.LogID
	size  uint64
}

// acknowledge is the cell's entry that it holds all that the neighbours wrote. Its clock
// goes on by ackPeriod each time.
func (w *world) acknowledge(s *sender) (ledger.Entry, error) {
	index := s.Log.End.Size
	at := index * uint64(ackPeriod.Milliseconds())
	var held []event.Held
	for _, other := range w.authors[:neighbours] {
		end := other.Log.End
		held = append(held, event.Held{Log: other.ID(), Size: end.Size, Root: end.Root})
		w.acks = append(w.acks, acked{index, at, other.ID(), end.Size})
	}
	return storetest.Acknowledge(at, held...)
}

// mayDrop is up to where a log's entries may be dropped by one who holds so many
// entries of the cell's log.
func (w *world) mayDrop(log ledger.LogID, cell uint64) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	newest, to := uint64(0), uint64(0)
	for _, a := range w.acks {
		if a.index < cell {
			newest = max(newest, a.at)
		}
	}
	for _, a := range w.acks {
		if a.log == log && a.index < cell && a.at+uint64(pruneAge.Milliseconds()) <= newest {
			to = max(to, a.size/store.AlwaysHeld*store.AlwaysHeld)
		}
	}
	return to
}

// due reports whether a step of pruning would drop something, by what was shown.
func (w *world) due() bool {
	for id, a := range w.logs {
		if w.mayDrop(id, w.logs[w.cell().ID()].size) > max(a.from, store.AlwaysHeld) {
			return true
		}
	}
	return false
}

// cell is who acknowledges.
func (w *world) cell() *sender { return w.authors[neighbours+1] }

// tooFar says that more was dropped than may be.
func (w *world) tooFar(r report, cell uint64) error {
	may := w.mayDrop(r.Log, cell)
	if r.From > may {
		return w.logs[r.Log].lost("it is pruned up to %d, by the %d entries of the cell's log it may be up to %d", r.From, cell, may)
	}
	return nil
}

// showPruned notes from where on a log is held after a step of pruning.
func (w *world) showPruned(r report) error {
	w.pruning = false
	a := w.logs[r.Log]
	if r.From < a.from {
		return a.lost("it was said to be held from %d on, now from %d", a.from, r.From)
	}
	w.drop(a, r.From)
	w.mu.Lock()
	cell := w.cell().Log.End.Size // the writer holds that much at most
	w.mu.Unlock()
	return w.tooFar(r, cell)
}

// drop counts and notes what is dropped of a log now.
func (w *world) drop(a *account, from uint64) {
	if from <= a.from {
		return
	}
	w.dropped += int(from - max(a.from, store.AlwaysHeld))
	w.drops++
	a.from = from
}

// fillDropped returns the leaves of a log at start, those of dropped entries as their
// writer wrote them: so much may be missing and no more, and what is proven without
// them is compared all the same.
func (w *world) fillDropped(r report) ([]ledger.Hash, error) {
	a, told := w.logs[r.Log], splitLeaves(r.Leaves)
	if r.From < a.from {
		return nil, a.lost("it was said to be held from %d on, now from %d", a.from, r.From)
	}
	if r.From == 0 {
		return told, nil
	}
	w.mu.Lock()
	var wrote []ledger.Hash
	for _, s := range w.authors {
		if s.ID() == r.Log {
			wrote = s.leaves
		}
	}
	w.mu.Unlock()
	if uint64(len(told)) < store.AlwaysHeld || r.From > uint64(len(wrote)) || r.From%store.AlwaysHeld != 0 {
		return nil, a.lost("%d entries are there and it is said to be held from %d on", len(told), r.From)
	}
	w.untold = w.untold || r.From > a.from
	w.drop(a, r.From)
	all := append([]ledger.Hash(nil), told[:store.AlwaysHeld]...)
	all = append(all, wrote[store.AlwaysHeld:r.From]...)
	return append(all, told[store.AlwaysHeld:]...), nil
}

// noneTooFar holds every log's bound at start to what is there of the cell's log: an
// acknowledgement that is gone allows nothing.
func (w *world) noneTooFar() error {
	cell := uint64(len(w.logs[w.cell().ID()].base))
	for id, a := range w.logs {
		if err := w.tooFar(report{Log: id, From: a.from}, cell); err != nil {
			return err
		}
	}
	return nil
}

// prunes does some steps of pruning, for the first ones read what the cell
// acknowledged, and some again whenever something came.
func (w *writer) prunes() error {
	const atOnce = 4
	updates, end := w.store.Updates()
	defer end()
	for n := 0; ; n++ {
		if n > 0 && n%atOnce == 0 {
			<-updates
		}
		if err := w.out.tell(report{Kind: kindPruning}); err != nil {
			return err
		}
		if err := w.store.Tend(); err != nil {
			return err
		}
		for _, info := range w.store.Logs() {
			if err := w.out.tell(report{Kind: kindPruned, Log: info.ID, From: info.From}); err != nil {
				return err
			}
		}
	}
}
