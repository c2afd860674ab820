package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
)

const day = uint64(24 * time.Hour / time.Millisecond)

// pruneWorld is a store that holds a neighbour's log and the office's word on it.
type pruneWorld struct {
	damageWorld
	t      *testing.T
	fleet  storetest.Fleet
	office *storetest.Author
	store  *store.Store
	disk   *smallDisk
	writes [][]byte // the neighbour's entries
}

func newPruneWorld(t *testing.T, entries int) *pruneWorld {
	t.Helper()
	w := &pruneWorld{damageWorld: newDamageWorld(t), t: t}
	var err error
	w.fleet, err = storetest.NewFleet("damage")
	do(t, err)
	cell, err := w.fleet.Cell(200)
	do(t, err)
	w.office, err = storetest.NewAuthor(cell)
	do(t, err)
	w.disk = newSmallDisk(w.cfg.Dir)
	w.cfg.RoomBytes, w.cfg.Free, w.cfg.PruneAge = 16<<20, w.disk.free, 400*24*time.Hour
	for n := uint64(len(w.peer.Runs)); w.peer.Log.End.Size < uint64(entries); n++ {
		w.write(w.peer, n, min(20, entries-int(w.peer.Log.End.Size)))
	}
	w.writes = w.peer.Whole().Entries
	w.open()
	w.ingest(w.peer.Runs...)
	w.ingest(w.office.Runs...)
	return w
}

func (w *pruneWorld) write(a *storetest.Author, seed uint64, n int) ledger.Run {
	w.t.Helper()
	var entries []ledger.Entry
	for i := range n {
		e, err := storetest.Filler(seed<<20|uint64(i), 8+i%9)
		do(w.t, err)
		entries = append(entries, e)
	}
	run, err := a.Write(entries...)
	do(w.t, err)
	return run
}

func (w *pruneWorld) open() {
	w.t.Helper()
	var err error
	w.store, err = store.Open(w.cfg)
	do(w.t, err)
}

func (w *pruneWorld) reopen() {
	w.t.Helper()
	do(w.t, w.store.Close())
	w.open()
}

func (w *pruneWorld) ingest(runs ...ledger.Run) []store.IngestResult {
	w.t.Helper()
	results, err := w.store.Ingest(w.t.Context(), runs)
	do(w.t, err)
	return results
}

// acknowledges has the office say how far it holds the neighbour's log.
func (w *pruneWorld) acknowledges(at uint64, held ...event.Held) {
	w.t.Helper()
	e, err := storetest.Acknowledge(at, held...)
	do(w.t, err)
	run, err := w.office.Write(e)
	do(w.t, err)
	w.ingest(run)
}

// heldAt is what the office says that holds the neighbour's runs within so many entries.
func (w *pruneWorld) heldAt(size uint64) event.Held {
	held := event.Held{Log: w.peer.ID()}
	for _, r := range w.peer.Runs {
		if r.End.Size <= size {
			held.Size, held.Root = r.End.Size, r.End.Root
		}
	}
	return held
}

func (w *pruneWorld) tend(steps int) {
	w.t.Helper()
	for range steps {
		do(w.t, w.store.Tend())
	}
}

func (w *pruneWorld) from() uint64 {
	w.t.Helper()
	info, ok := w.store.Log(w.peer.ID())
	if !ok {
		w.t.Fatal("the log is not held")
	}
	return info.From
}

// What may go goes: below an acknowledgement of the history that is held, old enough by
// the office's own clock, or younger when the disk is short of room. Nothing else does.
func TestPruneWhat(t *testing.T) {
	w := newPruneWorld(t, 2000)
	want := func(what string, from uint64) {
		t.Helper()
		w.tend(10)
		if got := w.from(); got != from {
			t.Errorf("%s: held from %d, want %d", what, got, from)
		}
	}
	last := w.peer.Log.End.Size
	want("nothing acknowledged", 0)
	w.acknowledges(1000*day, w.heldAt(700))
	want("acknowledged just now", 0)
	w.acknowledges(1399*day, w.heldAt(last))
	want("acknowledged 399 days ago", 0)
	w.acknowledges(1400*day, w.heldAt(last))
	want("acknowledged 400 days ago", w.heldAt(700).Size/256*256)
	w.disk.others.Store(15 << 20)
	want("and short of room", w.heldAt(700).Size/256*256)
	w.acknowledges(1429*day, w.heldAt(last))
	want("30 days ago and short of room", w.heldAt(last).Size/256*256)
	w.reopen()
	want("after a restart", w.heldAt(last).Size/256*256)
}

func TestPruneNever(t *testing.T) {
	for name, change := range map[string]func(w *pruneWorld) event.Held{
		"another history is acknowledged": func(w *pruneWorld) event.Held { h := w.heldAt(800); h.Root[0] ^= 1; return h },
		"the office holds more than we do": func(w *pruneWorld) event.Held {
			h := w.heldAt(800)
			h.Size = 1 << 20
			return h
		},
		"the log has forked": func(w *pruneWorld) event.Held {
			twin, err := storetest.NewAuthor(w.peer.Machine)
			do(w.t, err)
			w.ingest(w.write(twin, 99, 3))
			return w.heldAt(800)
		},
		"it is an office's": func(w *pruneWorld) event.Held {
			m, err := w.fleet.Machine(cert.RoleOffice, 201)
			do(w.t, err)
			w.peer, err = storetest.NewAuthor(m)
			do(w.t, err)
			for i := range uint64(18) {
				w.write(w.peer, i, 50)
			}
			w.ingest(w.peer.Runs...)
			return w.heldAt(800)
		},
		"pruning is off": func(w *pruneWorld) event.Held { w.cfg.PruneAge = 0; w.reopen(); return w.heldAt(800) },
		"it is the authority log that says so": func(w *pruneWorld) event.Held {
			m, err := w.fleet.Machine(cert.RoleOffice, 202)
			do(w.t, err)
			w.office, err = storetest.NewAuthor(m)
			do(w.t, err)
			w.ingest(w.office.Runs...)
			return w.heldAt(800)
		},
		"it is no office that says so": func(w *pruneWorld) event.Held {
			m, err := w.fleet.Machine(cert.RoleKiosk, 7)
			do(w.t, err)
			w.office, err = storetest.NewAuthor(m)
			do(w.t, err)
			w.ingest(w.office.Runs...)
			return w.heldAt(800)
		},
	} {
		w := newPruneWorld(t, 900)
		h := change(w)
		w.acknowledges(1000*day, h)
		w.acknowledges(2000*day, w.heldAt(1))
		w.tend(20)
		if from := w.from(); from != 0 {
			t.Errorf("%s: pruned to %d", name, from)
		}
		do(t, w.store.Close())
	}
}

// pruned drops what the neighbour wrote before its last 400 entries or so.
func pruned(t *testing.T) *pruneWorld {
	t.Helper()
	w := newPruneWorld(t, 2000)
	w.acknowledges(1000*day, w.heldAt(1700))
	w.acknowledges(2000*day, w.heldAt(1))
	w.tend(10)
	if w.from() != 1536 {
		t.Fatalf("held from %d, want 1536", w.from())
	}
	return w
}

// Who paid a bill is known when the entries are gone, as it was before.
func TestPrunedPaymentsAreKnown(t *testing.T) {
	w := newPruneWorld(t, 300)
	var written []store.Payment
	bill, other := event.BillKey{1}, event.BillKey{2}
	for _, body := range []event.Body{
		&event.PaymentCommitted{Sale: 1, Biller: "AVVNL", Bill: bill, Due: 900_00, Tendered: 100_00, Applied: 100_00, Rule: event.SurplusRefused, Tender: event.TenderCash, Notes: event.RefNotes(2)},
		&event.SlipIssued{Sale: 1, Amount: 50_00, Notes: event.RefNotes(2), Biller: "AVVNL", Bill: &bill},
		&event.PaymentCommitted{Sale: 1, Biller: "AVVNL", Bill: other, Due: 700_00, Tendered: 700_00, Applied: 700_00, Rule: event.SurplusRefused, Tender: event.TenderCash, Notes: event.RefNotes(2)},
	} {
		e, err := event.New(ledger.Time{WallMs: 77}, body)
		do(t, err)
		run, err := w.peer.Write(e)
		do(t, err)
		w.ingest(run)
		if p, ok := body.(*event.PaymentCommitted); ok {
			written = append(written, store.Payment{
				Position: ledger.Position{Log: w.peer.ID(), Index: run.First}, WallMs: 77, Leaf: ledger.LeafHash(run.Entries[0]), Bill: p.Bill, Due: p.Due, Applied: p.Applied,
			})
		}
	}
	for n := range uint64(20) {
		w.ingest(w.write(w.peer, 1000+n, 50))
	}
	check := func() {
		t.Helper()
		for _, c := range []struct {
			bills []event.BillKey
			want  []store.Payment
		}{{[]event.BillKey{bill}, written[:1]}, {[]event.BillKey{other}, written[1:]}, {[]event.BillKey{bill, other}, written}, {[]event.BillKey{{3}}, nil}} {
			got, err := w.store.Paid(0, c.bills...)
			do(t, err)
			for i := range got {
				if got[i].Opened == nil || got[i].Opened.Chain.Machine.Key != w.peer.Opened.Chain.Machine.Key {
					t.Errorf("payment %d is of a log opened by %+v", i, got[i].Opened)
				}
				got[i].Opened = nil
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("paid is %+v, want %+v", got, c.want)
			}
		}
	}
	check()
	w.acknowledges(1000*day, w.heldAt(1000))
	w.acknowledges(2000*day, w.heldAt(1))
	w.tend(10)
	if w.from() != 768 {
		t.Fatalf("held from %d, want 768", w.from())
	}
	check()
	w.reopen()
	check()
	if _, err := w.store.Paid(2, bill, other); err == nil {
		t.Error("three entries were looked at, want at most two")
	}
}

// Every question about dropped entries is answered with ErrPruned, every other one as
// before: entry 0 and its bundle, what follows, roots and proofs at bounds of bundles.
func TestPrunedReads(t *testing.T) {
	w := pruned(t)
	id, size := w.peer.ID(), w.peer.Log.End.Size
	for range 2 {
		for i := range size {
			if i%11 != 0 && i%256 > 1 && i%256 < 255 {
				continue
			}
			got, err := w.store.Entry(ledger.Position{Log: id, Index: i})
			gone := i >= 256 && i < 1536
			if gone && !errors.Is(err, store.ErrPruned) || !gone && (err != nil || !bytes.Equal(got, w.writes[i])) {
				t.Fatalf("entry %d: %v", i, err)
			}
			run, err := w.store.ReadRun(id, i, 1<<20)
			if i < 1536 && !errors.Is(err, store.ErrPruned) || i >= 1536 && (err != nil || run.First != i) {
				t.Fatalf("run from %d: %v", i, err)
			}
		}
		w.proofs(size)
		seen := 0
		filter := store.Filter{Kinds: []ledger.Kind{event.KindLogOpened}}
		do(t, w.store.Scan(id, 0, size, filter, func(uint64, ledger.Entry) error { seen++; return nil }))
		if err := w.store.Scan(id, 0, size, store.Filter{}, func(uint64, ledger.Entry) error { return nil }); seen != 1 || !errors.Is(err, store.ErrPruned) {
			t.Errorf("a scan for what is not there sees %d, one for all ends with %v", seen, err)
		}
		w.reopen()
	}
	for _, r := range w.peer.Runs {
		c, err := w.store.Covering(ledger.Position{Log: id, Index: r.First})
		do(t, err, c.Verify(w.peer.Log.Key))
	}
}

// proofs asks for what can be proven, and for what cannot.
func (w *pruneWorld) proofs(size uint64) {
	w.t.Helper()
	id := w.peer.ID()
	hidden := func(n uint64) bool { return n%256 != 0 && n > 256 && n < 1536 }
	edge := ledger.Edge{}
	for n := uint64(1); n <= size; n++ {
		var err error
		edge, err = edge.Append(ledger.LeafHash(w.writes[n-1]))
		do(w.t, err)
		if n%61 != 0 && n%256 != 0 {
			continue
		}
		p, err := w.store.ConsistencyProof(id, n, size)
		if hidden(n) != errors.Is(err, store.ErrPruned) {
			w.t.Fatalf("from %d: %v", n, err)
		}
		if err == nil {
			do(w.t, tlog.CheckTree(p, int64(size), tlog.Hash(w.peer.Log.End.Root), int64(n), tlog.Hash(edge.Root())))
		}
		q, err := w.store.InclusionProof(id, n-1, size)
		if gone := n-1 >= 256 && n-1 < 1536; gone != errors.Is(err, store.ErrPruned) {
			w.t.Fatalf("entry %d: %v", n-1, err)
		}
		if err == nil {
			do(w.t, tlog.CheckRecord(q, int64(size), tlog.Hash(w.peer.Log.End.Root), int64(n-1), tlog.RecordHash(w.writes[n-1])))
		}
	}
}

// A pruned log grows as before and takes repeats for what they are; what cannot be told
// is no fork.
func TestPrunedRepeats(t *testing.T) {
	w := pruned(t)
	r := w.ingest(w.peer.Whole(), w.write(w.peer, 70, 300))
	if r[0] != (store.IngestResult{Held: true}) || r[1].Err != nil || r[1].Added != 300 {
		t.Fatalf("a repeat and growth: %+v", r)
	}
	untold := 0
	for _, run := range w.peer.Runs {
		switch r := w.ingest(run)[0]; {
		case errors.Is(r.Err, store.ErrPruned) && run.End.Size > 256 && run.End.Size < 1536 && r.Added == 0:
			untold++
		case r != (store.IngestResult{Held: true}):
			t.Errorf("a repeat from %d to %d: %+v", run.First, run.End.Size, r)
		}
	}
	if len(w.store.Forks()) != 0 {
		t.Fatal("a repeat was taken for a fork")
	}
	if untold == 0 {
		t.Error("every repeat could be told: the test needs ends that no checkpoint is kept of")
	}
}

// A fork within what was dropped is found by the roots that are kept.
func TestPrunedForks(t *testing.T) {
	w := pruned(t)
	id := w.peer.ID()
	twin, err := storetest.NewAuthor(w.peer.Machine)
	do(t, err)
	for _, run := range w.peer.Runs[1:31] {
		twin.Log, _, err = twin.Log.Extend(run)
		do(t, err)
		twin.Runs = append(twin.Runs, run)
	}
	parts := twin.Log.End.Size
	short := w.write(twin, 71, 20)
	if parts <= 512 || short.End.Size >= 768 {
		t.Fatalf("the test's fork is not where it should be: %d to %d", parts, short.End.Size)
	}
	if r := w.ingest(short)[0]; r.Added != 0 || !errors.Is(r.Err, store.ErrPruned) || len(w.store.Forks()) != 0 {
		t.Fatalf("what cannot be told: %+v", r)
	}
	w.write(twin, 72, 300)
	r := w.ingest(twin.Whole())
	if b := w.store.Branches(id); len(b) != 2 || b[1].From() != 512 {
		t.Fatalf("%d branches: %+v", len(b), r)
	}
	w.reopen()
	r = w.ingest(twin.Whole())
	branches := w.store.Branches(id)
	if len(branches) != 2 || len(w.store.Forks()) != 1 || !errors.Is(r[0].Err, ledger.ErrFork) {
		t.Fatalf("%d branches, %d forks, %+v", len(branches), len(w.store.Forks()), r)
	}
	b := branches[1]
	if b.Departs() != 512 || b.From() != 512 || b.End() != twin.Log.End {
		t.Errorf("departs at %d, held from %d to %d", b.Departs(), b.From(), b.End().Size)
	}
	i := b.From()
	theirs := twin.Whole().Entries
	do(t, b.Range(i, b.End().Size, func(n uint64, e []byte) error {
		if n != i || !bytes.Equal(e, theirs[n]) {
			return fmt.Errorf("entry %d is another", n)
		}
		i++
		return nil
	}))
	w.tend(20)
	w.acknowledges(3000*day, w.heldAt(1))
	w.tend(20)
	if w.from() != 1536 {
		t.Errorf("a log that has forked was pruned to %d", w.from())
	}
}

// tableBytes is what Badger's tables of others' logs take.
func (w *pruneWorld) tableBytes() (n int64) {
	w.t.Helper()
	for _, path := range sstables(w.t, w.path("peers", "index")) {
		info, err := os.Stat(path)
		do(w.t, err)
		n += info.Size()
	}
	return n
}

// What was pruned leaves the disk at the first Tend after the next start.
func TestPruneGivesRoomBack(t *testing.T) {
	w := newPruneWorld(t, 100)
	w.cfg.MemTableBytes = 4 << 20
	w.reopen()
	r := rand.New(rand.NewPCG(3, 4))
	for range 60 {
		var entries []ledger.Entry
		for range 400 {
			body := make([]byte, 200)
			for i := range body {
				body[i] = byte(r.Uint32())
			}
			raw, err := ledger.Encode(map[uint8][]byte{0: body})
			do(t, err)
			entries = append(entries, ledger.Entry{Kind: 200, Body: raw})
		}
		run, err := w.peer.Write(entries...)
		do(t, err)
		w.ingest(run)
	}
	w.reopen()
	before := w.tableBytes()
	w.acknowledges(1000*day, w.heldAt(1<<40))
	w.acknowledges(2000*day, w.heldAt(1))
	for w.from() < w.peer.Log.End.Size/256*256 {
		w.tend(1)
	}
	dropped := w.store.Dropped()
	w.reopen()
	w.tend(1)
	w.reopen() // it removes what the merge left
	if after := w.tableBytes(); dropped < 4<<20 || after > before/4 {
		t.Errorf("%d bytes dropped, the tables took %d and take %d", dropped, before, after)
	}
	if w.tend(5); w.store.Dropped() != 0 {
		t.Error("something was dropped twice")
	}
}
