package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/sync/simnet"
)

// node is a machine under test: a real host over a store in memory.
type node struct {
	t       *testing.T
	machine simnet.Machine
	store   *simnet.Store
	host    *Host
	stop    context.CancelFunc
	done    chan error
}

func fleetOf(t testing.TB) *simnet.Fleet { return simnet.NewFleet(t.Name()) }

func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func enrol(t testing.TB, f *simnet.Fleet, slot uint32, role cert.Role) simnet.Machine {
	t.Helper()
	m, err := f.Enrol(slot, role, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func configOf(f *simnet.Fleet, m simnet.Machine, s *simnet.Store, all ...simnet.Machine) Config {
	return Config{
		Machine: m.Key, Chain: m.Chain, Fleet: f.Public, Store: s, Objects: s,
		Describe: func(log ledger.LogID) (Description, bool) {
			for _, o := range append(all, m) {
				if o.ID() == log {
					return Description{Own: log == m.ID(), Role: o.Chain.Machine.Role, Machine: o.Chain.Machine.Key}, true
				}
			}
			return Description{}, false
		},
		Listen: "127.0.0.1:0", RedialMin: 10 * time.Millisecond, RedialMax: 50 * time.Millisecond,
	}
}

func newNode(t *testing.T, f *simnet.Fleet, m simnet.Machine, change func(*Config), all ...simnet.Machine) *node {
	t.Helper()
	s, err := simnet.NewStore(f.Public, m)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, machine: m, store: s}
	n.start(f, change, all...)
	t.Cleanup(n.halt)
	return n
}

func (n *node) start(f *simnet.Fleet, change func(*Config), all ...simnet.Machine) {
	n.t.Helper()
	cfg := configOf(f, n.machine, n.store, all...)
	if testing.Verbose() {
		cfg.Log = slog.New(slog.NewTextHandler(n.t.Output(), nil)).With("node", n.machine.Chain.Machine.Slot)
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if n.host, err = New(cfg); err != nil {
		n.t.Fatal(err)
	}
	if err := n.host.Listen(context.Background()); err != nil {
		n.t.Fatal(err)
	}
	var ctx context.Context
	ctx, n.stop = context.WithCancel(context.Background())
	n.done = make(chan error, 1)
	go func() { n.done <- n.host.Run(ctx) }()
}

func (n *node) halt() {
	if n.stop == nil {
		return
	}
	n.stop()
	n.stop = nil
	if err := <-n.done; err != nil {
		n.t.Errorf("Run: %v", err)
	}
}

var serial int

func (n *node) commit(count int) {
	n.t.Helper()
	var entries [][]byte
	for range count {
		serial++
		entries = append(entries, entryOf(n.t, &event.SoftwareStarted{Version: fmt.Sprintf("v%d", serial)}))
	}
	if _, err := n.store.Commit(n.machine, entries...); err != nil {
		n.t.Fatal(err)
	}
}

func entryOf(t testing.TB, b event.Body) []byte {
	t.Helper()
	e, err := event.New(ledger.Time{}, b)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ledger.EncodeEntry(e)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (n *node) size(log ledger.LogID) uint64 {
	tip, _ := n.store.Frontier().Tip(log)
	return tip.Size
}

// until waits, woken by growth of the store, until ok.
func (n *node) until(what string, ok func() bool) {
	n.t.Helper()
	updates, cancel := n.store.Updates()
	defer cancel()
	limit := deadline(n.t)
	for !ok() {
		select {
		case <-updates:
		case <-limit.Done():
			n.t.Fatalf("not in time: %s (holds %v)", what, n.store.Frontier())
		}
	}
}

// status waits, woken by the host, until ok.
func (n *node) status(what string, ok func(Status) bool) {
	n.t.Helper()
	limit := deadline(n.t)
	for {
		changed := n.host.Changed()
		if ok(n.host.Status()) {
			return
		}
		select {
		case <-changed:
		case <-limit.Done():
			n.t.Fatalf("not in time: %s: %+v", what, n.host.Status())
		}
	}
}

func peers(addresses ...string) func(*Config) {
	return func(c *Config) { c.Peers = addresses }
}

func TestTwoHostsAndAnObject(t *testing.T) {
	f := fleetOf(t)
	office := newNode(t, f, enrol(t, f, 0, cert.RoleOffice), nil)
	dues := bytes.Repeat([]byte("dues"), 200<<10)
	h, err := office.store.PutObject(t.Context(), dues)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := office.store.Commit(office.machine, entryOf(t, &event.DuesPublished{Biller: "jvvnl", Object: h, Bytes: uint64(len(dues))})); err != nil {
		t.Fatal(err)
	}
	kiosk := newNode(t, f, enrol(t, f, 1, cert.RoleKiosk), peers(office.host.Addr()), office.machine)
	kiosk.commit(200)
	kiosk.until("the object", func() bool {
		b, err := kiosk.store.Object(h)
		return err == nil && bytes.Equal(b, dues)
	})
	office.until("the kiosk's log", func() bool { return office.size(kiosk.machine.ID()) == 201 })
	kiosk.commit(1)
	office.until("one more", func() bool { return office.size(kiosk.machine.ID()) == 202 })
	if err := kiosk.host.WaitHeld(deadline(t), kiosk.machine.ID(), 202); err != nil {
		t.Fatal(err)
	}
	if got := kiosk.host.Holders(kiosk.machine.ID()); len(got) != 1 || got[0].Role != cert.RoleOffice || got[0].Size != 202 {
		t.Errorf("Holders() = %+v, want the office at 202", got)
	}
	if heard, ok := kiosk.host.LastHeard(office.machine.ID()); !ok || !heard.Direct || heard.Slot != 0 {
		t.Errorf("LastHeard(office) = %+v, %t, want direct", heard, ok)
	}
}

// TestThroughNeighbour: a kiosk that knows no way to the office delivers through
// its neighbour, and the office can say so.
func TestThroughNeighbour(t *testing.T) {
	f := fleetOf(t)
	a, b, o := enrol(t, f, 1, cert.RoleKiosk), enrol(t, f, 2, cert.RoleKiosk), enrol(t, f, 0, cert.RoleOffice)
	office := newNode(t, f, o, nil, a, b)
	neighbour := newNode(t, f, b, peers(office.host.Addr()), a, o)
	cut := newNode(t, f, a, peers(neighbour.host.Addr()), b, o)
	cut.commit(10)
	office.until("the cut kiosk's log", func() bool { return office.size(a.ID()) == 11 })
	cut.until("the office's log", func() bool { return cut.size(o.ID()) == 1 })
	office.untilHeard(a.ID(), Heard{Slot: 2, Direct: false, Size: 11})
	office.untilHeard(b.ID(), Heard{Slot: 2, Direct: true, Size: 1})
}

// untilHeard waits for what the host says of a log: the store wakes it, and the
// loop, which learns of it after the store, is asked by way of another event.
func (n *node) untilHeard(log ledger.LogID, want Heard) {
	n.t.Helper()
	limit := deadline(n.t)
	for {
		got, _ := n.host.LastHeard(log)
		got.At = time.Time{}
		if got == want {
			return
		}
		if !n.host.tell(limit, nil) { // handled in turn, so whatever came before has been too
			n.t.Fatalf("LastHeard(%s) = %+v, want %+v", log, got, want)
		}
	}
}

// relay is a plain TCP proxy that a test can cut.
type relay struct {
	t      *testing.T
	l      net.Listener
	to     string
	mu     sync.Mutex
	open   bool
	active []net.Conn
	wg     sync.WaitGroup
}

func newRelay(t *testing.T, to string) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{t: t, l: l, to: to, open: true}
	r.wg.Go(r.run)
	t.Cleanup(func() { l.Close(); r.set(false); r.wg.Wait() })
	return r
}

func (r *relay) run() {
	for {
		in, err := r.l.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		if !r.open {
			in.Close()
			r.mu.Unlock()
			continue
		}
		out, err := net.Dial("tcp", r.to)
		if err != nil {
			in.Close()
			r.mu.Unlock()
			continue
		}
		r.active = append(r.active, in, out)
		r.mu.Unlock()
		for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
			r.wg.Go(func() {
				_, _ = io.Copy(pair[0], pair[1])
				pair[0].Close()
				pair[1].Close()
			})
		}
	}
}

func (r *relay) set(open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = open
	if !open {
		for _, c := range r.active {
			c.Close()
		}
		r.active = nil
	}
}

// TestCutAndResume: after a cut the frontier alone says where to go on.
func TestCutAndResume(t *testing.T) {
	f := fleetOf(t)
	office := newNode(t, f, enrol(t, f, 0, cert.RoleOffice), nil)
	r := newRelay(t, office.host.Addr())
	kiosk := newNode(t, f, enrol(t, f, 1, cert.RoleKiosk), peers(r.l.Addr().String()))
	id := kiosk.machine.ID()
	for range 20 {
		kiosk.commit(50)
	}
	office.until("the log", func() bool { return office.size(id) == 1001 })
	r.set(false)
	kiosk.status("nobody connected", func(s Status) bool { return len(s.Peers) == 0 })
	kiosk.commit(3)
	before := kiosk.host.Status().Counters.BytesOut
	r.set(true)
	office.until("what was written while cut", func() bool { return office.size(id) == 1004 })
	if err := kiosk.host.WaitHeld(deadline(t), id, 1004); err != nil {
		t.Fatal(err)
	}
	if sent := kiosk.host.Status().Counters.BytesOut - before; sent > 4000 {
		t.Errorf("%d bytes sent to resume with 3 entries, want at most 4000", sent)
	} else {
		t.Logf("re-connect and 3 entries: %d bytes out, handshakes of refused tries included", sent)
	}
}

// TestRestart: a machine that stops and starts again is connected again, whoever
// dialled.
func TestRestart(t *testing.T) {
	f := fleetOf(t)
	a, b := enrol(t, f, 1, cert.RoleKiosk), enrol(t, f, 2, cert.RoleKiosk)
	one := newNode(t, f, a, nil)
	address := one.host.Addr()
	two := newNode(t, f, b, peers(address))
	one.until("the other's log", func() bool { return one.size(b.ID()) == 1 })
	one.halt()
	two.commit(1)
	one.start(f, func(c *Config) { c.Listen, c.Peers = address, []string{two.host.Addr()} })
	one.until("what came meanwhile", func() bool { return one.size(b.ID()) == 2 })
	one.commit(1)
	two.until("what came after", func() bool { return two.size(a.ID()) == 2 })
	if got := len(one.host.Status().Peers); got != 1 {
		t.Errorf("%d connections between two machines that dial each other, want 1", got)
	}
}

// TestExpired: a certificate past its last day still hands over, and gets nothing.
func TestExpired(t *testing.T) {
	f := fleetOf(t)
	old, err := f.Enrol(1, cert.RoleKiosk, 100)
	if err != nil {
		t.Fatal(err)
	}
	office := newNode(t, f, enrol(t, f, 0, cert.RoleOffice), nil)
	office.commit(5)
	kiosk := newNode(t, f, old, func(c *Config) {
		c.Peers = []string{office.host.Addr()}
	})
	kiosk.commit(20)
	office.until("the expired kiosk's log", func() bool { return office.size(old.ID()) == 21 })
	office.commit(1)
	kiosk.commit(1)
	office.until("one more", func() bool { return office.size(old.ID()) == 22 })
	if err := kiosk.host.WaitHeld(deadline(t), old.ID(), 22); err != nil {
		t.Fatal(err)
	}
	if got := office.host.Status(); got.Counters.RunsOut != 0 || !got.Peers[0].Expired {
		t.Errorf("an expired machine got runs: %+v", got)
	}
	if len(kiosk.store.Frontier()) != 1 {
		t.Errorf("an expired machine holds more than its own log: %v", kiosk.store.Frontier())
	}
}

// TestClockUnknown: a machine that does not know the time admits whose chain verifies.
func TestClockUnknown(t *testing.T) {
	f := fleetOf(t)
	old, err := f.Enrol(1, cert.RoleKiosk, 100)
	if err != nil {
		t.Fatal(err)
	}
	office := newNode(t, f, enrol(t, f, 0, cert.RoleOffice), func(c *Config) { c.TimeTrusted = func() bool { return false } })
	kiosk := newNode(t, f, old, peers(office.host.Addr()))
	kiosk.until("the office's log", func() bool { return kiosk.size(office.machine.ID()) == 1 })
}

// TestStorageTrouble: what cannot be stored is not acknowledged, and comes again.
func TestStorageTrouble(t *testing.T) {
	f := fleetOf(t)
	office := newNode(t, f, enrol(t, f, 0, cert.RoleOffice), nil)
	office.store.Fail(errors.New("no space left on device"))
	kiosk := newNode(t, f, enrol(t, f, 1, cert.RoleKiosk), peers(office.host.Addr()))
	kiosk.untilCount(func(c Counters) bool { return c.RunsOut >= 3 })
	if got := kiosk.host.Holders(kiosk.machine.ID()); len(got) != 0 {
		t.Errorf("Holders() = %+v while nothing was stored", got)
	}
	office.store.Fail(nil)
	office.until("the log", func() bool { return office.size(kiosk.machine.ID()) == 1 })
}

func TestMeasureHeld(t *testing.T) {
	f := fleetOf(t)
	office := newNode(t, f, enrol(t, f, 0, cert.RoleOffice), nil)
	kiosk := newNode(t, f, enrol(t, f, 1, cert.RoleKiosk), peers(office.host.Addr()))
	took, err := kiosk.host.MeasureHeld(deadline(t), kiosk.machine.ID(), 200, func(context.Context) (uint64, error) {
		kiosk.commit(1)
		return kiosk.size(kiosk.machine.ID()), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(took)
	if took[0] <= 0 {
		t.Errorf("an entry was held %s after its commit", took[0])
	}
	t.Logf("committed to held by a peer over loopback, stores in memory: p50 %s p99 %s", took[len(took)/2], took[len(took)*99/100])
}
