package simnet

import (
	"fmt"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/sync/exchange"
)

// TestForkedSeeds: disks are restored from old copies and cloned while the network is cut
// and machines crash. Once it is whole everybody holds every branch of every log: one
// frontier, one digest, the same books, with all money in them.
func TestForkedSeeds(t *testing.T) {
	from, to := uint64(1), *seeds*2/5 // one costs more than a history without forks
	if *oneSeed != 0 {
		from, to = *oneSeed, *oneSeed
	}
	var total Stats
	branches := map[int]int{} // logs by how many branches they have
	for seed := from; seed <= to; seed++ {
		w := forkedHistory(t, seed)
		for id := range w.Nodes[0].Store.Frontier() {
			branches[len(w.Nodes[0].Store.Entries(id))]++
		}
		total.Runs += w.Stats.Runs
		total.Bytes += w.Stats.Bytes
		total.Renewed += w.Stats.Renewed
		total.Cuts += w.Stats.Cuts
		total.Crashes += w.Stats.Crashes
		total.OwnAhead += w.Stats.OwnAhead
	}
	t.Logf("seeds %d to %d: logs by branches %v, %+v", from, to, branches, total)
	if *oneSeed == 0 && (branches[2] == 0 || branches[3] == 0 || branches[4] == 0 || total.Renewed == 0) {
		t.Errorf("the histories lack forks: %v, %d renewed", branches, total.Renewed)
	}
}

// TestForksWhileConnected: branches of the logs of machines that are elsewhere come to
// nodes whose connections stay, by another way, in any order. They reach all nodes within
// these sessions, and no log is left out.
func TestForksWhileConnected(t *testing.T) {
	from, to := uint64(1), *seeds*3
	if *oneSeed != 0 {
		from, to = *oneSeed, *oneSeed
	}
	var total Stats
	for seed := from; seed <= to; seed++ {
		w := NewWorld(Config{Seed: seed, Exchange: exchange.Config{RunBytes: 300, CreditBytes: 900}})
		district(t, w, 1+w.rand.IntN(4))
		for i, n := range w.Nodes[1:] { // a tree, and some more
			w.Link(n, w.Nodes[w.rand.IntN(i+1)])
			if w.rand.IntN(2) == 0 {
				w.Link(n, w.Nodes[w.rand.IntN(i+1)])
			}
		}
		w.Run(time.Minute, func() bool { return false })
		dials := w.Stats.Dials
		for range 1 + w.rand.IntN(2) { // of one log there are at most eight
			for _, h := range historiesOf(t, w, 50) {
				n := w.Nodes[w.rand.IntN(len(w.Nodes))]
				if err := w.Bring(n, h...); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				w.Run(w.chance(3*time.Second), func() bool { return false })
			}
		}
		if !w.Run(10*time.Minute, w.Equal) {
			for i, n := range w.Nodes {
				t.Logf("node %d: faults %v, frontier %v", i, n.Faults, tipsOf(n.Store.Frontier()))
			}
			t.Fatalf("seed %d: not equal after ten minutes of connection (run with -seed %d)", seed, seed)
		}
		if w.Stats.Reports > 0 || w.Stats.Dials != dials {
			t.Errorf("seed %d: %d logs left out, %d dials", seed, w.Stats.Reports, w.Stats.Dials-dials)
		}
		total.Runs, total.RunsHeldAlready, total.Bytes = total.Runs+w.Stats.Runs, total.RunsHeldAlready+w.Stats.RunsHeldAlready, total.Bytes+w.Stats.Bytes
	}
	t.Logf("seeds %d to %d: %+v", from, to, total)
}

// TestTwoBeginnings: a machine that was set up twice with one key has two logs of one entry
// each. Whoever holds one gets the other one.
func TestTwoBeginnings(t *testing.T) {
	for seed := range *seeds / 5 {
		w := NewWorld(Config{Seed: seed})
		district(t, w, 2)
		m, err := w.Fleet.Enrol(9, cert.RoleKiosk, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		first, err := ledger.DecodeEntry(m.Entry)
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range w.Nodes[1:] {
			first.Time.WallMs = uint64(i)
			if m.Entry, err = ledger.EncodeEntry(first); err != nil {
				t.Fatal(err)
			}
			s, err := NewStore(w.Fleet.Public, m)
			if err != nil {
				t.Fatal(err)
			}
			run, err := served{s.logs[m.ID()][0], m.ID()}.ReadRun(0, 1<<20)
			if err == nil {
				err = w.Bring(n, run)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		w.Link(w.Nodes[1], w.Nodes[2])
		w.Link(w.Nodes[0], w.Nodes[1+w.rand.IntN(2)])
		if !w.Run(5*time.Minute, w.Equal) || len(w.Nodes[0].Store.Entries(m.ID())) != 2 {
			t.Fatalf("seed %d: %v and %v", seed, tipsOf(w.Nodes[1].Store.Frontier()), tipsOf(w.Nodes[2].Store.Frontier()))
		}
	}
}

// historiesOf are up to six histories of the log of the machine in the slot, each whole, in
// runs, in the order in which they came about.
func historiesOf(t *testing.T, w *World, slot uint32) (out [][]ledger.Run) {
	t.Helper()
	m, err := w.Fleet.Enrol(slot+w.rand.Uint32N(3), cert.RoleKiosk, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	type disk struct {
		store *Store
		runs  []ledger.Run
	}
	first, err := NewStore(w.Fleet.Public, m)
	if err != nil {
		t.Fatal(err)
	}
	disks := []disk{{store: first}}
	grow := func(d *disk) {
		e, err := entryOf(&event.SoftwareStarted{Version: fmt.Sprint(w.rand.Uint32())})
		if err != nil {
			t.Fatal(err)
		}
		held := d.store.Last().Size
		if len(d.runs) == 0 {
			held = 0
		}
		if _, err := d.store.Commit(m, e); err != nil {
			t.Fatal(err)
		}
		run, err := served{d.store.logs[m.ID()][0], m.ID()}.ReadRun(held, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		d.runs = append(d.runs, run)
	}
	for range 1 + w.rand.IntN(20) {
		grow(&disks[0])
	}
	for range w.rand.IntN(3) {
		from := disks[w.rand.IntN(len(disks))]
		copied := disk{from.store.Copy(), append([]ledger.Run(nil), from.runs...)}
		for range 1 + w.rand.IntN(20) {
			if w.rand.IntN(3) == 0 {
				grow(&disks[0])
			}
			grow(&copied)
		}
		disks = append(disks, copied)
	}
	for _, d := range disks {
		out = append(out, d.runs)
	}
	w.rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// forkWorld is a world in which disks are copied.
type forkWorld struct {
	*World
	t     *testing.T
	disks map[*Node]Disk // an old copy of some
	sold  uint64
}

func forkedHistory(t *testing.T, seed uint64) *World {
	t.Helper()
	w := &forkWorld{World: NewWorld(Config{Seed: seed, Exchange: exchange.Config{RunBytes: 400, CreditBytes: 1200}}), t: t, disks: map[*Node]Disk{}}
	district(t, w.World, 2+w.rand.IntN(3))
	w.linkAll(0.5)
	for range 60 {
		w.disturb()
		w.Run(w.chance(15*time.Second), func() bool { return false })
	}
	w.linkAll(1)
	healed := w.Now()
	if !w.Run(2*time.Hour, w.Equal) {
		for i, n := range w.Nodes {
			t.Logf("node %d %s: up %v, faults %v, frontier %v", i, n.Machine.ID().String()[:4], n.up, n.Faults, tipsOf(n.Store.Frontier()))
		}
		t.Fatalf("seed %d: not equal two hours after the network was whole (run with -seed %d)", seed, seed)
	}
	if took := w.Now().Sub(healed); took > 15*time.Minute {
		t.Errorf("seed %d: equal only %s after the network was whole", seed, took)
	}
	for i, n := range w.Nodes {
		for log, code := range n.Faults {
			if code.String() != "fork" || n.Machine.ID() == log {
				t.Errorf("seed %d: node %d left out log %s: %s", seed, i, log, code)
			}
		}
	}
	w.checkBooks(seed)
	return w.World
}

// linkAll lays wires between all but clones of one machine, which take each other for
// themselves, and starts who is down.
func (w *forkWorld) linkAll(share float64) {
	for i, a := range w.Nodes {
		w.Start(a)
		for _, b := range w.Nodes[i+1:] {
			if !a.Machine.Key.Equal(b.Machine.Key) && w.rand.Float64() < share {
				w.Link(a, b)
			}
		}
	}
}

func (w *forkWorld) disturb() {
	a := w.Nodes[w.rand.IntN(len(w.Nodes))]
	b := w.Nodes[w.rand.IntN(len(w.Nodes))]
	disk, copied := w.disks[a]
	twins := a.Machine.Key.Equal(b.Machine.Key)
	switch k := w.rand.IntN(16); {
	case k < 5:
		for range 1 + w.rand.IntN(6) {
			w.sell(a)
		}
	case k < 7 && !twins:
		w.Cut(a, b)
	case k < 9 && !twins:
		w.Link(a, b)
	case k < 10:
		w.Crash(a)
	case k < 12:
		w.disks[a] = a.Copy()
	case k < 14 && copied:
		w.Restore(a, disk)
		for _, other := range w.Nodes { // else it hears at once what it was
			w.Cut(a, other)
		}
		w.Start(a)
		w.sell(a)
	case k < 15 && copied && len(w.Nodes) < 7:
		c := w.Clone(disk)
		w.sell(c)
		for _, other := range w.Nodes {
			if !other.Machine.Key.Equal(c.Machine.Key) && w.rand.IntN(3) == 0 {
				w.Link(c, other)
			}
		}
	default:
		w.Start(a)
	}
}

// sell takes a note at a kiosk, even while it is out of touch. A disk that was restored
// and has not been started yet is not sold from: its incarnation is not known.
func (w *forkWorld) sell(n *Node) {
	if !n.up {
		return
	}
	w.sold++
	first := n.Store.Last().Size
	var raw [][]byte
	for _, b := range []event.Body{
		&event.SaleOpened{Service: event.ServiceElectricity, Language: event.Hindi},
		&event.NoteEscrowed{Sale: first, Value: 100_00, Channel: 1}, &event.StackIntent{Note: first + 1}, &event.NoteStacked{Note: first + 1, Evidence: event.EvidenceEvent},
	} {
		e, err := event.New(ledger.Time{WallMs: 1_700_000_000_000 + w.sold}, b)
		if err != nil {
			w.t.Fatal(err)
		}
		bytes, err := ledger.EncodeEntry(e)
		if err != nil {
			w.t.Fatal(err)
		}
		raw = append(raw, bytes)
	}
	if err := w.Commit(n, raw...); err != nil {
		w.t.Fatal(err)
	}
}

// checkBooks: every node has the same books, and in the boxes is what all branches say.
func (w *forkWorld) checkBooks(seed uint64) {
	w.t.Helper()
	var want ledger.Hash
	for i, n := range w.Nodes {
		var logs []book.Log
		stacked := map[ledger.Hash]bool{} // by the root under it, so once for all branches that share it
		for id := range n.Store.Frontier() {
			for _, entries := range n.Store.Entries(id) {
				opened, err := event.OpenLog(w.Fleet.Public, id, entries[0])
				if err != nil {
					w.t.Fatal(err)
				}
				logs = append(logs, book.LogOf(id, opened, each(entries)))
				if opened.Chain.Machine.Role == cert.RoleKiosk {
					countStacked(w.t, entries, stacked)
				}
			}
		}
		books, err := book.Of(w.Fleet.Public, logs)
		if err != nil {
			w.t.Fatal(err)
		}
		digest, err := books.Digest()
		if err != nil {
			w.t.Fatal(err)
		}
		var cash ledger.Paise
		for slot := range w.Nodes {
			cash += books.Balances[fmt.Sprintf("Assets:Cash:K%d", slot)]
		}
		if cash != ledger.Paise(len(stacked))*100_00 {
			w.t.Errorf("seed %d: node %d has %d paise in boxes, %d notes were stacked", seed, i, cash, len(stacked))
		}
		if i == 0 {
			want = digest
		} else if digest != want {
			w.t.Errorf("seed %d: node %d has other books than node 0", seed, i)
		}
	}
}

func each(entries [][]byte) func(from uint64, f func(index uint64, entry []byte) error) error {
	return func(from uint64, f func(index uint64, entry []byte) error) error {
		for i := from; i < uint64(len(entries)); i++ {
			if err := f(i, entries[i]); err != nil {
				return err
			}
		}
		return nil
	}
}

func countStacked(t *testing.T, entries [][]byte, stacked map[ledger.Hash]bool) {
	t.Helper()
	var edge ledger.Edge
	for _, raw := range entries {
		e, err := ledger.DecodeEntry(raw)
		if err != nil {
			t.Fatal(err)
		}
		if edge, err = edge.Append(ledger.LeafHash(raw)); err != nil {
			t.Fatal(err)
		}
		if e.Kind == event.KindNoteStacked {
			stacked[edge.Root()] = true
		}
	}
}

func tipsOf(f ledger.Frontier) []string {
	var out []string
	for log, tips := range f {
		s := log.String()[:4]
		for _, t := range tips {
			s += fmt.Sprintf(":%d-%.4s", t.Size, t.Root.String())
		}
		out = append(out, s)
	}
	return out
}
