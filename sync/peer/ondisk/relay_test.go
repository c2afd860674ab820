package ondisk_test

import (
	"crypto/ed25519"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
	"rasid/sync/exchange"
	"rasid/sync/peer/ondisk"
	"rasid/sync/wire"
)

var (
	relaySeed  = flag.Uint64("relay-seed", 1, "the first seed")
	relaySeeds = flag.Uint64("relay-seeds", 8, "how many seeds from there on")
)

// acrossMax is how far apart two kept checkpoints may stand where a branch departs between
// them (LEDGER.md §17.3).
const acrossMax = 2*ledger.BatchMaxEntries - 1

// relay is a machine that carries others' logs.
type relay struct {
	ondisk.Store
	me storetest.Machine
}

func newRelay(t *testing.T, fleet storetest.Fleet, slot uint32) *relay {
	t.Helper()
	m, err := fleet.Machine(cert.RoleKiosk, slot)
	try(t, err)
	s, err := store.Open(store.Config{
		Dir: t.TempDir(), Fleet: fleet.Public, Machine: m.Key.Public().(ed25519.PublicKey), PruneAge: 400 * 24 * time.Hour, MemTableBytes: 1 << 20,
	})
	try(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &relay{Store: ondisk.Store{Store: s}, me: m}
}

// meeting is a connection of two machines, without a network between them.
type meeting struct {
	t     *testing.T
	ends  [2]*relay
	ex    [2]*exchange.Exchange
	queue []func()
	runs  []ledger.Run // that were sent
}

// meet connects two machines until they have nothing more to say.
func meet(t *testing.T, fleet storetest.Fleet, credit uint32, a, b *relay) []ledger.Run {
	t.Helper()
	m := &meeting{t: t, ends: [2]*relay{a, b}}
	for i, r := range m.ends {
		m.ex[i] = exchange.New(exchange.Config{
			Fleet: fleet.Public, Machine: r.me.Key.Public().(ed25519.PublicKey), Chain: r.me.Opened.Chain, CreditBytes: credit,
		}, r.Frontier(), time.Time{})
	}
	for i := range m.ends {
		m.step(i, exchange.Connected{Conn: 1, Key: m.ends[1-i].me.Key.Public().(ed25519.PublicKey), Dialed: i == 0})
	}
	for steps := 0; len(m.queue) > 0; steps++ {
		if steps > 20_000 {
			t.Fatal("two machines talk without end")
		}
		do := m.queue[0]
		m.queue = m.queue[1:]
		do()
	}
	return m.runs
}

func (m *meeting) step(i int, e exchange.Event) {
	for _, a := range m.ex[i].Step(e) {
		m.act(i, a)
	}
}

func (m *meeting) later(i int, e func() exchange.Event) {
	m.queue = append(m.queue, func() { m.step(i, e()) })
}

func (m *meeting) act(i int, a exchange.Action) {
	m.t.Helper()
	switch a := a.(type) {
	case exchange.Send:
		frame, err := wire.Append(nil, a.Message)
		try(m.t, err)
		if r, ok := a.Message.(*wire.Run); ok {
			m.runs = append(m.runs, r.Run)
		}
		m.later(1-i, func() exchange.Event {
			message, err := wire.Decode(frame)
			return exchange.Received{Conn: 1, Message: message, Bytes: len(frame), Err: err}
		})
		if a.Bulk {
			m.later(i, func() exchange.Event { return exchange.Written{Conn: 1} })
		}
	case exchange.ReadRun:
		m.later(i, func() exchange.Event { return m.ends[i].ReadRun(a) })
	case exchange.Ingest:
		m.later(i, func() exchange.Event {
			verdicts, err := m.ends[i].Ingest(m.t.Context(), []ledger.Run{a.Run})
			try(m.t, err)
			return exchange.Ingested{Conn: 1, Log: a.Run.Log, End: ledger.Tip{Size: a.Run.End.Size, Root: a.Run.End.Root}, Verdict: verdicts[0], Bytes: a.Bytes}
		})
	case exchange.Admit, exchange.Gap:
	default:
		m.t.Errorf("%T: %+v", a, a)
	}
}

// history is what a writer wrote, one of several where its disk was copied.
type history struct {
	*storetest.Author
	batch func() int
}

func (h history) write(t *testing.T, r *rand.Rand, batches int) []ledger.Run {
	t.Helper()
	begin := len(h.Runs)
	for range batches {
		var entries []ledger.Entry
		for range h.batch() {
			e, err := storetest.Filler(uint64(r.Uint32()), 8+r.IntN(20))
			try(t, err)
			entries = append(entries, e)
		}
		_, err := h.Write(entries...)
		try(t, err)
	}
	return h.Runs[begin:]
}

// clone is the history as it was after some of its batches.
func (h history) clone(t *testing.T, after int) history {
	t.Helper()
	c := &storetest.Author{Machine: h.Machine, Runs: slices.Clone(h.Runs[:after]), Log: ledger.Log{Key: h.Log.Key}}
	for _, run := range c.Runs {
		var err error
		c.Log, _, err = c.Log.Extend(run)
		try(t, err)
	}
	return history{c, h.batch}
}

// takes has a machine hear what a writer, its neighbour, commits.
func (r *relay) takes(t *testing.T, runs []ledger.Run) {
	t.Helper()
	for _, run := range runs {
		taken(t, r.Store, []ledger.Run{run})
	}
}

// gaps checks how far apart the kept checkpoints of a log stand, one of whose branches
// departs at parts.
func (r *relay) gaps(t *testing.T, log ledger.LogID, parts uint64) {
	t.Helper()
	for i, b := range r.Branches(log) {
		for at := uint64(0); at < b.End().Size; {
			c, err := b.Covering(at)
			try(t, err)
			if !near(t, at, c.Size, parts) {
				t.Errorf("so keeps machine %d branch %d", r.me.Opened.Chain.Machine.Slot, i)
			}
			at = c.Size
		}
	}
}

// near checks that one checkpoint stands near after another.
func near(t *testing.T, from, to, parts uint64) bool {
	t.Helper()
	limit := uint64(ledger.BatchMaxEntries)
	if from < parts && parts < to {
		limit = acrossMax
	}
	if to-from > limit {
		t.Errorf("no checkpoint from %d to %d, a branch departs at %d", from, to, parts)
	}
	return to-from <= limit
}

// batches is how writers gather entries: each sale alone, as they come, or as many as
// a commit takes.
func batches(r *rand.Rand) func() int {
	return []func() int{
		func() int { return 1 },
		func() int { return 1 + r.IntN(9) },
		func() int { return 20 },
		func() int { return 33 },
		func() int { return 1 + r.IntN(ledger.BatchMaxEntries) },
		func() int { return ledger.BatchMaxEntries },
	}[r.IntN(6)]
}

func seeds(t *testing.T, f func(t *testing.T, r *rand.Rand)) {
	for seed := *relaySeed; seed < *relaySeed+*relaySeeds; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { f(t, rand.New(rand.NewPCG(seed, 9))) })
	}
}

// TestRelays: however long the way by which a log came, each machine on it keeps a
// checkpoint at least every 64 entries of each branch, somewhat less often only where one
// departs, so that what it took in pieces it can give in pieces.
func TestRelays(t *testing.T) {
	seeds(t, func(t *testing.T, r *rand.Rand) {
		fleet, err := storetest.NewFleet("relays")
		try(t, err)
		m, err := fleet.Machine(cert.RoleKiosk, 1)
		try(t, err)
		a, err := storetest.NewAuthor(m)
		try(t, err)
		first := history{a, batches(r)}
		var relays []*relay
		for slot := range uint32(7) {
			relays = append(relays, newRelay(t, fleet, 10+slot))
		}
		parts := uint64(0) // where the second branch departs
		credit := uint32(1000 << r.IntN(9))
		hand := func(from, to int) {
			for _, run := range meet(t, fleet, credit, relays[from], relays[to]) {
				near(t, run.First, run.End.Size, parts)
			}
		}
		// One chain hears one history, another one the other, at times of their own.
		relays[0].takes(t, a.Runs)
		relays[0].takes(t, first.write(t, r, 1+r.IntN(20)))
		hand(0, 1+r.IntN(2))
		relays[0].takes(t, first.write(t, r, 1+r.IntN(20)))
		second := first.clone(t, 1+r.IntN(len(first.Runs)))
		parts = second.Log.End.Size
		relays[3].takes(t, second.Runs)
		for range 2 {
			relays[0].takes(t, first.write(t, r, 1+r.IntN(40)))
			relays[3].takes(t, second.write(t, r, 1+r.IntN(40)))
			hand(0, 1)
			hand(1, 2)
			hand(3, 4)
			hand(4, 5)
		}
		meeting := r.IntN(3)
		hand(meeting, 3+r.IntN(3)) // the two histories meet
		hand(meeting, 6)
		for _, pair := range [][2]int{{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}, {2, 6}, {5, 6}, {0, 1}} {
			hand(pair[0], pair[1])
			hand(pair[1], pair[0])
		}
		for i, n := range relays {
			n.gaps(t, m.ID(), parts)
			if got := len(n.Branches(m.ID())); got != 2 {
				t.Errorf("machine %d has %d branches, want 2", i, got)
			}
		}
	})
}

// TestRelaysPruned: a machine that has dropped the beginning of a log hands on the rest in
// as small pieces as before.
func TestRelaysPruned(t *testing.T) {
	seeds(t, func(t *testing.T, r *rand.Rand) {
		fleet, err := storetest.NewFleet("relays")
		try(t, err)
		m, err := fleet.Machine(cert.RoleKiosk, 1)
		try(t, err)
		a, err := storetest.NewAuthor(m)
		try(t, err)
		cell, err := fleet.Cell(100)
		try(t, err)
		office, err := storetest.NewAuthor(cell)
		try(t, err)
		h := history{a, batches(r)}
		for a.Log.End.Size < 700 {
			h.write(t, r, 1)
		}
		early := len(a.Runs)
		for _, at := range []time.Duration{1000, 1400} {
			e, err := storetest.Acknowledge(uint64((at * 24 * time.Hour).Milliseconds()), event.Held{Log: m.ID(), Size: a.Log.End.Size, Root: a.Log.End.Root})
			try(t, err)
			_, err = office.Write(e)
			try(t, err)
		}
		for a.Log.End.Size < 1500 {
			h.write(t, r, 1)
		}
		relays := []*relay{newRelay(t, fleet, 10), newRelay(t, fleet, 11), newRelay(t, fleet, 12), newRelay(t, fleet, 13)}
		for _, n := range relays {
			n.takes(t, office.Runs)
		}
		for i := range relays[1:] { // all hold what will be dropped
			relays[0].takes(t, a.Runs[i*early/3:(i+1)*early/3])
			meet(t, fleet, 1<<16, relays[0], relays[1])
			meet(t, fleet, 1<<16, relays[1], relays[2])
			meet(t, fleet, 1<<16, relays[2], relays[3])
		}
		relays[0].takes(t, a.Runs[early:])
		for i, n := range relays {
			for range 10 {
				try(t, n.Tend())
			}
			if info, _ := n.Log(m.ID()); info.From != 512 {
				t.Errorf("machine %d holds the log from %d on, want 512", i, info.From)
			}
			if i > 0 {
				meet(t, fleet, 1<<16, relays[i-1], n)
			}
			n.gaps(t, m.ID(), 0)
			if end := n.Branches(m.ID())[0].End(); end != a.Log.End {
				t.Errorf("machine %d holds %d entries, want %d", i, end.Size, a.Log.End.Size)
			}
		}
	})
}
