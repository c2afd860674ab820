package peer

import (
	"os"
	"testing"

	"rasid/ledger/cert"
)

// untilSame waits until two nodes hold the same of every log.
func (n *diskNode) untilSame(o *diskNode) {
	n.t.Helper()
	mine, cancelMine := n.store.Updates()
	defer cancelMine()
	theirs, cancelTheirs := o.store.Updates()
	defer cancelTheirs()
	limit := deadline(n.t)
	for n.store.Frontier().Digest() != o.store.Frontier().Digest() {
		select {
		case <-mine:
		case <-theirs:
		case <-limit.Done():
			n.t.Fatalf("not the same in time: %v and %v", n.store.Frontier(), o.store.Frontier())
		}
	}
}

// TestRestoredDisk: a kiosk's disk is copied, and both copies write. Two neighbours that
// hold one branch each, whichever it is, end with both, and neither copy goes on.
func TestRestoredDisk(t *testing.T) {
	f := fleetOf(t)
	m := enrol(t, f, 1, cert.RoleKiosk)
	x, y := newDiskNode(t, f, enrol(t, f, 2, cert.RoleKiosk)), newDiskNode(t, f, enrol(t, f, 0, cert.RoleOffice))
	first := newDiskNode(t, f, m)
	for i := range 300 {
		first.commit(first.started(i))
	}
	first.halt()
	second := &diskNode{t: t, fleet: f, machine: m, dir: t.TempDir()}
	second.free.Store(1 << 40)
	if err := os.CopyFS(second.dir, os.DirFS(first.dir)); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct{ kiosk, neighbour *diskNode }{{first, x}, {second, y}} {
		c.kiosk.start(c.neighbour.host.Addr())
		t.Cleanup(func() { c.kiosk.halt() })
		var size uint64
		for j := range 200 + 60*i {
			size = c.kiosk.commit(c.kiosk.started(1000*i + j))
		}
		c.neighbour.until("a branch of the kiosk's log", m.ID(), size)
		c.kiosk.halt()
	}
	if len(x.store.Branches(m.ID())) != 1 || len(y.store.Branches(m.ID())) != 1 {
		t.Fatal("the neighbours know of each other's branch already")
	}
	y.halt()
	y.start(x.host.Addr())
	x.untilSame(y)
	for _, n := range []*diskNode{x, y} {
		branches := n.store.Branches(m.ID())
		if len(branches) != 2 || branches[1].Departs() != 301 || branches[0].End().Size+branches[1].End().Size != 301+200+301+260 {
			t.Fatalf("%d branches", len(branches))
		}
		if forks := n.store.Forks(); len(forks) == 0 {
			t.Error("no evidence is kept")
		}
		if s := n.host.Status().Counters; s.Forks+s.LogsLeftOut > 0 {
			t.Errorf("a log was left out: %+v", s)
		}
	}
	// Each copy that comes to a neighbour is shown what the other wrote, the longer one and
	// the shorter one, and signs no more.
	for _, kiosk := range []*diskNode{first, second} {
		kiosk.start(y.host.Addr())
		select {
		case <-kiosk.ended:
		case <-deadline(t).Done():
			t.Fatal("a kiosk whose disk was copied goes on")
		}
		kiosk.inDoubt = true
		kiosk.halt()
	}
	x.untilSame(y)
}
