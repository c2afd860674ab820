package simnet

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/sync/exchange"
)

var seeds = flag.Uint64("seeds", 100, "how many seeds to run")
var oneSeed = flag.Uint64("seed", 0, "run this seed alone")

func district(t testing.TB, w *World, kiosks int) {
	t.Helper()
	for slot := range uint32(kiosks + 1) {
		role := cert.RoleKiosk
		if slot == 0 {
			role = cert.RoleOffice
		}
		m, err := w.Fleet.Enrol(slot, role, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Add(m); err != nil {
			t.Fatal(err)
		}
	}
}

func commit(t testing.TB, w *World, n *Node, i int) {
	t.Helper()
	b, err := entryOf(&event.SoftwareStarted{Version: fmt.Sprintf("v%d", i)})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(n, b); err != nil {
		t.Fatal(err)
	}
}

func publish(t testing.TB, w *World, office *Node, i int) {
	t.Helper()
	b := fmt.Appendf(nil, "dues %d %s", i, make([]byte, 3000))
	if err := w.Put(office, b); err != nil {
		t.Fatal(err)
	}
	e, err := entryOf(&event.DuesPublished{Biller: "jvvnl", Object: ledger.ObjectHash(b), Bytes: uint64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(office, e); err != nil {
		t.Fatal(err)
	}
}

// TestSeeds: whatever is cut, crashed and repeated, once the network is whole
// everybody holds the same.
func TestSeeds(t *testing.T) {
	from, to := uint64(1), *seeds
	if *oneSeed != 0 {
		from, to = *oneSeed, *oneSeed
	}
	var total Stats
	for seed := from; seed <= to; seed++ {
		s := oneHistory(t, seed)
		total.Bytes += s.Bytes
		total.Runs += s.Runs
		total.RunBytes += s.RunBytes
		total.RunsHeldAlready += s.RunsHeldAlready
		total.Cuts += s.Cuts
		total.Crashes += s.Crashes
		total.Dials += s.Dials
		total.Erased += s.Erased
	}
	if total.Cuts == 0 || total.Crashes == 0 || total.RunsHeldAlready == 0 || total.Erased == 0 {
		t.Errorf("the histories lack cuts, crashes, repeats or erasures: %+v", total)
	}
	t.Logf("seeds %d to %d: %+v", from, to, total)
}

func oneHistory(t *testing.T, seed uint64) Stats {
	t.Helper()
	w := NewWorld(Config{Seed: seed, Exchange: exchange.Config{RunBytes: 300, CreditBytes: 900}})
	kiosks := 2 + w.Rand().IntN(4)
	district(t, w, kiosks)
	for i, a := range w.Nodes {
		for _, b := range w.Nodes[i+1:] {
			w.Link(a, b)
		}
	}
	var blobs blobs
	for i := range 60 {
		disturb(t, w, &blobs, i)
		w.Run(w.chance(15*time.Second), func() bool { return false })
	}
	for i, a := range w.Nodes {
		w.Start(a)
		for _, b := range w.Nodes[i+1:] {
			w.Link(a, b)
		}
	}
	healed := w.Now()
	if !w.Run(30*time.Minute, w.Equal) {
		for i, n := range w.Nodes {
			t.Logf("node %d: missing %d, faults %v, frontier %v", i, len(n.Store.MissingObjects()), n.Faults, sizes(n.Store.Frontier()))
		}
		t.Fatalf("seed %d: not equal half an hour after the network was whole (run with -seed %d)", seed, seed)
	}
	if w.Now().Sub(healed) > 5*time.Minute {
		t.Errorf("seed %d: equal only %s after the network was whole", seed, w.Now().Sub(healed))
	}
	blobs.check(t, w, seed)
	if w.Stats.Reports != 0 {
		t.Errorf("seed %d: %d logs were left out though nobody forked: %+v", seed, w.Stats.Reports, w.Stats)
	}
	return w.Stats
}

func sizes(f ledger.Frontier) []string {
	var out []string
	for log, tips := range f {
		out = append(out, fmt.Sprintf("%s:%d", log.String()[:4], tips[0].Size))
	}
	return out
}

// blobs are what a history sealed, and what of it the office erased.
type blobs struct{ sealed, erased []ledger.Hash }

// seal gives a kiosk a blob, and its log the entry that names it.
func (b *blobs) seal(t testing.TB, w *World, n *Node, i int) {
	t.Helper()
	blob := fmt.Appendf(nil, "blob %d", i)
	h := ledger.ObjectHash(blob)
	e, err := entryOf(&event.BlobSealed{Object: h, Bytes: uint64(len(blob)), Seal: 1})
	if err := errors.Join(err, w.Put(n, blob), w.Commit(n, e)); err != nil {
		t.Fatal(err)
	}
	b.sealed = append(b.sealed, h)
}

// erase erases a blob that exists somewhere.
func (b *blobs) erase(t testing.TB, w *World) {
	t.Helper()
	if len(b.sealed) == 0 {
		return
	}
	i := w.Rand().IntN(len(b.sealed))
	e, err := entryOf(&event.Erased{Objects: []ledger.Hash{b.sealed[i]}, Why: "test"})
	if err := errors.Join(err, w.Commit(w.Nodes[0], e)); err != nil {
		t.Fatal(err)
	}
	b.erased = append(b.erased, b.sealed[i])
	b.sealed = slices.Delete(b.sealed, i, i+1)
}

// check: everybody holds every blob but the erased ones, which nobody holds.
func (b *blobs) check(t testing.TB, w *World, seed uint64) {
	t.Helper()
	for i, n := range w.Nodes {
		for _, h := range b.sealed {
			if _, err := n.Store.Object(h); err != nil {
				t.Errorf("seed %d: node %d lacks a blob: %v", seed, i, err)
			}
		}
		for _, h := range b.erased {
			if _, err := n.Store.Object(h); err == nil {
				t.Errorf("seed %d: node %d holds a blob that was erased", seed, i)
			}
		}
	}
	w.Stats.Erased += len(b.erased)
}

func disturb(t *testing.T, w *World, blobs *blobs, i int) {
	a := w.Nodes[w.Rand().IntN(len(w.Nodes))]
	b := w.Nodes[w.Rand().IntN(len(w.Nodes))]
	switch k := w.Rand().IntN(12); {
	case k < 4:
		for range 1 + w.Rand().IntN(8) {
			commit(t, w, a, i)
		}
	case k < 5:
		publish(t, w, w.Nodes[0], i)
	case k < 7 && a != b:
		w.Cut(a, b)
	case k < 8 && a != b:
		w.Link(a, b)
	case k < 9:
		w.Crash(a)
	case k < 10 && a != w.Nodes[0]:
		blobs.seal(t, w, a, i)
	case k < 11:
		blobs.erase(t, w)
	default:
		w.Start(a)
	}
}

// TestNeighbourDelivers: a kiosk that never again reaches the office delivers
// through a neighbour that does.
func TestNeighbourDelivers(t *testing.T) {
	w := NewWorld(Config{Seed: 7})
	district(t, w, 2)
	office, a, b := w.Nodes[0], w.Nodes[1], w.Nodes[2]
	w.Link(a, b)
	w.Link(b, office)
	for i := range 20 {
		commit(t, w, a, i)
	}
	publish(t, w, office, 1)
	if !w.Run(5*time.Minute, w.Equal) {
		t.Fatalf("the office does not hold what the kiosk without a way to it wrote: %v", sizes(office.Store.Frontier()))
	}
	for i := range 5 {
		commit(t, w, a, i)
	}
	if !w.Run(10*time.Second, w.Equal) {
		t.Fatal("the way is open, and what is committed now does not arrive within seconds")
	}
}

// TestBytes: in a quiet full mesh one more entry costs each node its run once, and
// notices; nothing is sent back to where it came from.
func TestBytes(t *testing.T) {
	w := NewWorld(Config{Seed: 3})
	district(t, w, 3)
	for i, a := range w.Nodes {
		for _, b := range w.Nodes[i+1:] {
			w.Link(a, b)
		}
	}
	w.Run(2*time.Minute, func() bool { return false })
	for i := range 20 { // who brings what first is learnt
		commit(t, w, w.Nodes[1], i)
		w.Run(20*time.Second, func() bool { return false })
	}
	before := w.Stats
	const n = 50
	for i := range n {
		commit(t, w, w.Nodes[1], i)
		w.Run(20*time.Second, func() bool { return false })
	}
	if !w.Equal() {
		t.Fatal("not equal")
	}
	runs := w.Stats.Runs - before.Runs
	bytes := w.Stats.Bytes - before.Bytes
	t.Logf("one entry to 3 neighbours in a full mesh of 4: %.1f runs, %d bytes, of them runs %d", float64(runs)/n, bytes/n, (w.Stats.RunBytes-before.RunBytes)/n)
	if runs > 4*n {
		t.Errorf("%d runs for %d entries to 3 neighbours, want at most %d", runs, n, 4*n)
	}
}
