package peer

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/store"
	"rasid/sync/exchange"
	"rasid/sync/simnet"
)

// onDisk fits a real store to what a Host needs.
type onDisk struct{ *store.Store }

func (s onDisk) Ingest(ctx context.Context, runs []ledger.Run) ([]exchange.Verdict, error) {
	results, err := s.Store.Ingest(ctx, runs)
	out := make([]exchange.Verdict, len(results))
	for i, r := range results {
		out[i] = exchange.Verdict{New: r.Added > 0, Tips: s.Frontier()[runs[i].Log], Err: r.Err}
		if r.Held || errors.Is(r.Err, store.ErrOwnLog) {
			out[i].Err = nil
		}
	}
	return out, noRoom(err)
}

func noRoom(err error) error {
	if errors.Is(err, store.ErrNoRoom) {
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	return err
}

func (s onDisk) ReadRun(q exchange.ReadRun) exchange.RunRead {
	var branches []exchange.Branch
	for _, b := range s.Branches(q.Log) {
		branches = append(branches, onBranch{b})
	}
	return exchange.Serve(branches, q)
}

type onBranch struct{ store.Branch }

func (b onBranch) Tip() ledger.Tip { return ledger.Tip{Size: b.End().Size, Root: b.End().Root} }

func (s onDisk) describe(log ledger.LogID) (Description, bool) {
	info, ok := s.Log(log)
	if !ok {
		return Description{}, false
	}
	m := info.Opened.Chain.Machine
	return Description{Own: info.Own, Stream: info.Opened.Grant.Stream, Role: m.Role, Machine: m.Key}, true
}

// diskNode is a machine with a real store and a real host.
type diskNode struct {
	t       *testing.T
	fleet   *simnet.Fleet
	machine simnet.Machine
	dir     string
	store   onDisk
	writer  *store.Writer
	host    *Host
	halt    func()
	free    atomic.Uint64                        // on its disk
	after   func(time.Duration) <-chan time.Time // nil: time.After
	ended   <-chan struct{}                      // the store, by itself or not
	inDoubt bool                                 // the store must end because its own log is in doubt
}

func newDiskNode(t *testing.T, f *simnet.Fleet, m simnet.Machine, addresses ...string) *diskNode {
	t.Helper()
	n := &diskNode{t: t, fleet: f, machine: m, dir: t.TempDir()}
	n.free.Store(1 << 40)
	n.start(addresses...)
	t.Cleanup(func() { n.halt() })
	return n
}

func (n *diskNode) start(addresses ...string) {
	n.t.Helper()
	s, err := store.Open(store.Config{Dir: n.dir, Fleet: n.fleet.Public, Machine: n.machine.Key.Public().(ed25519.PublicKey), Free: func(string) (uint64, error) { return n.free.Load(), nil }})
	if err != nil {
		n.t.Fatal(err)
	}
	n.store = onDisk{s}
	if n.writer, err = s.OpenOwn(n.machine.Log); err != nil {
		n.t.Fatal(err)
	}
	n.host, err = New(Config{
		Machine: n.machine.Key, Chain: n.machine.Chain, Fleet: n.fleet.Public, Store: n.store, Objects: n.store,
		Describe: n.store.describe, Listen: "127.0.0.1:0", Peers: addresses, RedialMin: 10 * time.Millisecond, RedialMax: 50 * time.Millisecond, After: n.after,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.host.Listen(context.Background()); err != nil {
		n.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var errs [2]error
	ended := make(chan struct{})
	n.ended = ended
	wg.Go(func() {
		errs[0] = s.Run(ctx)
		close(ended)
	})
	wg.Go(func() { errs[1] = n.host.Run(ctx) })
	n.halt = sync.OnceFunc(func() {
		stop()
		wg.Wait()
		if n.inDoubt && errors.Is(errs[0], store.ErrInDoubt) {
			errs[0], n.inDoubt = nil, false
		}
		if err := errors.Join(errs[0], errs[1], s.Close()); err != nil || n.inDoubt {
			n.t.Error(err)
		}
	})
	if n.writer.Size() == 0 {
		first, err := ledger.DecodeEntry(n.machine.Entry)
		if err != nil {
			n.t.Fatal(err)
		}
		n.commit(first)
	}
}

func (n *diskNode) commit(entries ...ledger.Entry) uint64 {
	n.t.Helper()
	c, err := n.writer.Commit(n.t.Context(), func(uint64) ([]ledger.Entry, error) { return entries, nil })
	if err != nil {
		n.t.Fatal(err)
	}
	return c.End.Size
}

func (n *diskNode) started(i int) ledger.Entry {
	e, err := event.New(ledger.Time{}, &event.SoftwareStarted{Version: fmt.Sprintf("v%d", i)})
	if err != nil {
		n.t.Fatal(err)
	}
	return e
}

func (n *diskNode) until(what string, log ledger.LogID, size uint64) {
	n.t.Helper()
	updates, cancel := n.store.Updates()
	defer cancel()
	limit := deadline(n.t)
	for {
		if info, ok := n.store.Log(log); ok && info.End.Size >= size {
			return
		}
		select {
		case <-updates:
		case <-limit.Done():
			n.t.Fatalf("not in time: %s", what)
		}
	}
}

// TestRealStores: entries written to one disk reach another over a third, across a
// restart of the one between.
func TestRealStores(t *testing.T) {
	f := fleetOf(t)
	a, b, o := enrol(t, f, 1, cert.RoleKiosk), enrol(t, f, 2, cert.RoleKiosk), enrol(t, f, 0, cert.RoleOffice)
	office := newDiskNode(t, f, o)
	between := newDiskNode(t, f, b, office.host.Addr())
	cut := newDiskNode(t, f, a, between.host.Addr())
	for i := range 300 {
		cut.commit(cut.started(i))
	}
	office.until("the log of a kiosk that knows no way to it", a.ID(), 301)
	cut.until("the office's log", o.ID(), 1)
	between.halt()
	size := cut.commit(cut.started(301), cut.started(302))
	between.start(office.host.Addr(), cut.host.Addr())
	office.until("what was written while the one between was down", a.ID(), size)
	if info, ok := office.store.Log(a.ID()); !ok || info.Opened.Chain.Machine.Slot != 1 {
		t.Errorf("Log = %+v, %t", info, ok)
	}

	dues := []byte("dues of November")
	h, err := office.store.PutObject(t.Context(), dues)
	if err != nil {
		t.Fatal(err)
	}
	e, err := event.New(ledger.Time{}, &event.DuesPublished{Biller: "jvvnl", Object: h, Bytes: uint64(len(dues)), AsOfMs: 1})
	if err != nil {
		t.Fatal(err)
	}
	office.commit(e)
	limit := deadline(t)
	for {
		if got, err := cut.store.Object(h); err == nil && string(got) == string(dues) {
			break
		}
		if !cut.host.tell(limit, nil) {
			t.Fatal("the object did not reach the kiosk behind the other")
		}
	}
}

func TestMeasureHeldOnDisk(t *testing.T) {
	f := fleetOf(t)
	office := newDiskNode(t, f, enrol(t, f, 0, cert.RoleOffice))
	kiosk := newDiskNode(t, f, enrol(t, f, 1, cert.RoleKiosk), office.host.Addr())
	took, err := kiosk.host.MeasureHeld(deadline(t), kiosk.machine.ID(), 100, func(context.Context) (uint64, error) {
		return kiosk.commit(kiosk.started(1)), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(took)
	t.Logf("committed durably to held durably by a peer over loopback, stores on disk: p50 %s p99 %s", took[50], took[99])
	if len(took) != 100 || took[0] <= 0 {
		t.Errorf("measured %d times, the least %s", len(took), took[0])
	}
}
