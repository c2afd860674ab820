package powercut

import (
	"encoding/gob"
	"fmt"
	"math/rand/v2"
	"sync"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/storetest"
)

const (
	neighbours    = 3   // the last one writes long runs, so that whole bundles fill
	cellSlot      = 101 // of the office that acknowledges
	officeSlot    = 100
	neighbourRuns = 3 // entries in one run, at most
	longRuns      = 800
	duesEvery     = 6 // deliveries
	ackEvery      = 3
)

// world is one volume's outside: who sends, and what was shown.
type world struct {
	seed    uint64
	lives   uint64
	own     ledger.LogID
	objects map[ledger.Hash]bool // shown; false: not yet told by this start
	told    map[ledger.LogID]bool
	ready   bool
	prunings

	logs map[ledger.LogID]*account

	mu      sync.Mutex // guards what follows: the neighbours, who send while we listen
	rand    *rand.Rand
	authors []*sender
}

// sender is a neighbour, or the office, and the log that it writes.
type sender struct {
	*storetest.Author
	office bool
	cell   bool // acknowledges
	long   bool // writes long runs
	leaves []ledger.Hash
	next   int // the first run that this start has not been sent
}

func newWorld(seed uint64) (*world, error) {
	fleet, err := storetest.NewFleet(fleetName)
	if err != nil {
		return nil, err
	}
	me, err := fleet.Machine(cert.RoleKiosk, 1)
	if err != nil {
		return nil, err
	}
	w := &world{
		seed: seed, own: me.ID(), rand: rand.New(rand.NewPCG(seed, 1)),
		objects: map[ledger.Hash]bool{}, logs: map[ledger.LogID]*account{},
	}
	w.logs[w.own] = newAccount("the own log", me.Opened.Grant.PublicKey())
	for i := range uint32(neighbours) {
		m, err := fleet.Machine(cert.RoleKiosk, 2+i)
		if err := w.author(m, err, fmt.Sprintf("the log of neighbour %d", 1+i), sender{long: i == neighbours-1}); err != nil {
			return nil, err
		}
	}
	m, err := fleet.Machine(cert.RoleOffice, officeSlot)
	if err := w.author(m, err, "the office's log", sender{office: true}); err != nil {
		return nil, err
	}
	m, err = fleet.Cell(cellSlot)
	return w, w.author(m, err, "the log of a cell", sender{cell: true})
}

// author adds one who sends.
func (w *world) author(m storetest.Machine, err error, name string, s sender) error {
	if err != nil {
		return err
	}
	if s.Author, err = storetest.NewAuthor(m); err != nil {
		return err
	}
	s.leaves = splitLeaves(appendLeaves(nil, s.Runs[0].Entries...))
	w.authors = append(w.authors, &s)
	w.logs[s.ID()] = newAccount(name, s.Log.Key)
	return nil
}

// begin prepares for the next writer's start, and returns the objects to ask it for.
func (w *world) begin() []ledger.Hash {
	w.lives++
	w.ready, w.told = false, map[ledger.LogID]bool{}
	w.pruning, w.untold = false, false
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.authors {
		s.next = 0 // until the start tells how far it holds the log
	}
	var ask []ledger.Hash
	for h := range w.objects {
		w.objects[h] = false
		ask = append(ask, h)
	}
	return ask
}

// take notes what a writer showed. An error says what it contradicts.
func (w *world) take(r report) error {
	a := w.logs[r.Log]
	if a == nil && (r.Kind == kindHeld || r.Kind == kindCommit || r.Kind == kindTip || r.Kind == kindPruned) {
		return fmt.Errorf("log %s was shown, and nobody writes it", r.Log)
	}
	switch r.Kind {
	case kindHeld:
		w.told[r.Log] = true
		all, err := w.fillDropped(r)
		if err != nil {
			return err
		}
		if err := w.compareSent(r.Log, all); err != nil {
			return err
		}
		return a.restart(all, r.End)
	case kindObject:
		w.objects[r.Object] = true
	case kindReady:
		w.ready = true
		if err := w.nothingMissing(); err != nil {
			return err
		}
		return w.noneTooFar()
	case kindCommit:
		return a.show(r.First, splitLeaves(r.Leaves), r.End)
	case kindTip:
		return a.showEnd(r.End)
	case kindPruning:
		w.pruning = true
	case kindPruned:
		return w.showPruned(r)
	}
	return nil
}

// nothingMissing looks for logs and objects of which the start told nothing at all.
func (w *world) nothingMissing() error {
	for id, a := range w.logs {
		if a.size > 0 && !w.told[id] {
			return a.lost("%d entries were shown, none is there", a.size)
		}
	}
	for h, told := range w.objects {
		if !told {
			return fmt.Errorf("object %s was shown as held and is not there", h)
		}
	}
	return nil
}

// compareSent compares a neighbour's log with what it wrote, and has it go on
// sending from where the store holds it.
func (w *world) compareSent(id ledger.LogID, all []ledger.Hash) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.authors {
		if s.ID() != id {
			continue
		}
		if len(all) > len(s.leaves) {
			return w.logs[id].lost("%d entries are there, its writer wrote %d", len(all), len(s.leaves))
		}
		for i := range all {
			if all[i] != s.leaves[i] {
				return w.logs[id].lost("entry %d has other bytes than its writer wrote", i)
			}
		}
		for s.next = 0; s.next < len(s.Runs) && s.Runs[s.next].End.Size <= uint64(len(all)); {
			s.next++
		}
	}
	return nil
}

// deliver sends runs and objects until the writer is gone.
func (w *world) deliver(to *gob.Encoder) error {
	for n := 1; ; n++ {
		batch, err := w.nextDelivery(n)
		if err != nil {
			return err
		}
		for _, d := range batch {
			if err := to.Encode(d); err != nil {
				return nil // its end is the rig's doing
			}
		}
	}
}

func (w *world) nextDelivery(n int) ([]delivery, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.authors[w.rand.IntN(neighbours)]
	switch {
	case n%duesEvery == 0:
		s = w.authors[neighbours]
	case n%ackEvery == 0:
		s = w.authors[neighbours+1]
	}
	var object []byte
	if s.next == len(s.Runs) {
		var err error
		if object, err = w.write(s); err != nil {
			return nil, fmt.Errorf("couldn't write %s: %w", w.logs[s.ID()].name, err)
		}
	}
	b, err := s.Runs[s.next].Encode()
	if err != nil {
		return nil, err
	}
	s.next++
	out := []delivery{{Run: b}}
	if object != nil {
		out = append(out, delivery{Object: object})
	}
	return out, nil
}

// write has a sender write one run more; the office's names an object, the cell's
// acknowledges.
func (w *world) write(s *sender) (object []byte, err error) {
	var entries []ledger.Entry
	switch {
	case s.cell:
		e, err := w.acknowledge(s)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	case s.office:
		object = fmt.Appendf(nil, "dues set %d%*d", len(s.Runs), w.rand.IntN(objectBytes), 0)
		e, err := storetest.Dues(object)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	default:
		n, size := 1+w.rand.IntN(neighbourRuns), 8+w.rand.IntN(smallBytes)
		if s.long {
			n, size = 1+w.rand.IntN(longRuns), 8
		}
		for range n {
			e, err := storetest.Filler(w.rand.Uint64N(1<<40), size)
			if err != nil {
				return nil, err
			}
			entries = append(entries, e)
		}
	}
	run, err := s.Write(entries...)
	s.leaves = append(s.leaves, splitLeaves(appendLeaves(nil, run.Entries...))...)
	return object, err
}
