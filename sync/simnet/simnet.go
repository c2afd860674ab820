package simnet

import (
	"cmp"
	"container/heap"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"rasid/ledger"
	"rasid/sync/exchange"
	"rasid/sync/wire"
)

// Config shapes the world. Zero fields mean the defaults.
type Config struct {
	Seed      uint64
	Latency   time.Duration // one way, at most; default 300 ms
	BytesASec int           // of each direction of each connection; default 20,000
	// Exchange is the pattern for every node's limits; keys and functions are set
	// by the world.
	Exchange exchange.Config
}

// World is a network with its nodes and its own time. It starts nothing and is for
// one goroutine.
type World struct {
	Fleet *Fleet
	Nodes []*Node
	Stats Stats

	cfg   Config
	rand  *rand.Rand
	now   time.Time
	queue events
	order uint64
	links map[[2]int]bool // pairs that have a wire between them; true while it works
	live  map[[2]int]*conn
	conns uint64
}

// Stats counts what went over the network.
type Stats struct {
	Erased                          int // objects that a history erased, as its test counts them
	Renewed                         int // incarnations begun because the own log was seen forked
	Bytes, Messages                 int
	Runs, RunBytes                  int
	RunsHeldAlready                 int
	Dials, Cuts, Crashes            int
	Reports, OwnAhead, Byes         int
	StorageTroubles, Repeated, Gaps int
}

// Node is one machine. Its store outlives its crashes, its exchange does not.
type Node struct {
	Machine Machine
	Store   *Store
	// Faults are the logs that this node left out, with the code, over all sessions.
	Faults map[ledger.LogID]wire.FaultCode

	index  int
	up     bool
	life   int // counts starts: what an earlier life asked for comes to nothing
	ex     *exchange.Exchange
	stored time.Time // when the last run that came will be stored
	ends   map[exchange.Conn]*end
}

type conn struct {
	pair [2]int
	ends [2]*end
	dead bool
}

type end struct {
	node  *Node
	id    exchange.Conn
	conn  *conn
	other *end
	free  time.Time // when the wire is free to take more
	last  time.Time // arrival of what was sent last
	gone  bool
}

type event_ struct {
	at    time.Time
	order uint64
	do    func()
}

type events []event_

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	if c := q[i].at.Compare(q[j].at); c != 0 {
		return c < 0
	}
	return q[i].order < q[j].order
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(v any)   { *q = append(*q, v.(event_)) }
func (q *events) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// epoch is when every world begins; certificates of the fleets here last longer.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// NewWorld returns an empty world.
func NewWorld(cfg Config) *World {
	cfg.Latency = cmp.Or(cfg.Latency, 300*time.Millisecond)
	cfg.BytesASec = cmp.Or(cfg.BytesASec, 20_000)
	return &World{
		Fleet: NewFleet("simnet"), cfg: cfg, now: epoch,
		rand:  rand.New(rand.NewPCG(cfg.Seed, 1)),
		links: make(map[[2]int]bool), live: make(map[[2]int]*conn),
	}
}

// Now is the world's time.
func (w *World) Now() time.Time { return w.now }

// Rand is the world's source of chance, for the test's own choices.
func (w *World) Rand() *rand.Rand { return w.rand }

// Add starts a node for the machine.
func (w *World) Add(m Machine) (*Node, error) {
	s, err := NewStore(w.Fleet.Public, m)
	if err != nil {
		return nil, err
	}
	n := &Node{Machine: m, Store: s, index: len(w.Nodes), Faults: make(map[ledger.LogID]wire.FaultCode)}
	w.Nodes = append(w.Nodes, n)
	w.Start(n)
	return n, nil
}

// Disk is a copy of all that a machine keeps: its store, and the keys of its incarnation.
type Disk struct {
	machine Machine
	store   *Store
}

// Copy copies a node's disk as it is now.
func (n *Node) Copy() Disk { return Disk{n.Machine, n.Store.Copy()} }

// Clone starts a second node from a copy of a disk. Both go on with the same keys.
func (w *World) Clone(d Disk) *Node {
	c := &Node{index: len(w.Nodes), Faults: make(map[ledger.LogID]wire.FaultCode)}
	w.Nodes = append(w.Nodes, c)
	w.Restore(c, d)
	w.Start(c)
	return c
}

// Restore crashes a node and gives it a copy of a disk.
func (w *World) Restore(n *Node, d Disk) {
	w.Crash(n)
	n.Machine, n.Store = d.machine, d.store.Copy()
}

// Start starts a node that is down; it knows what its store holds. One that has seen its
// own log forked begins the next incarnation first (LEDGER.md §12.7).
func (w *World) Start(n *Node) {
	if n.up {
		return
	}
	if n.Store.Forked() {
		w.Stats.Renewed++
		m, err := n.Machine.Renew(fmt.Sprintf("renewed %d", w.Stats.Renewed), n.Store.Last())
		if err == nil {
			err = n.Store.Renew(m)
		}
		if err != nil {
			panic(fmt.Sprintf("broken invariant: a machine cannot begin its next incarnation: %v", err))
		}
		n.Machine = m
	}
	cfg := w.cfg.Exchange
	cfg.Fleet, cfg.Machine = w.Fleet.Public, n.Machine.Key.Public().(ed25519.PublicKey)
	cfg.Chain = n.Machine.Chain
	cfg.Own = func(log ledger.LogID) bool { return log == n.Machine.ID() }
	cfg.Class = func(log ledger.LogID) exchange.Class {
		if cfg.Own(log) {
			return exchange.ClassOwn
		}
		return exchange.ClassRest
	}
	n.up, n.ends = true, make(map[exchange.Conn]*end)
	n.life++
	n.ex = exchange.New(cfg, n.Store.Frontier(), w.now)
	w.step(n, exchange.Missing{Hashes: n.Store.MissingObjects()})
	w.ticks(n, n.life)
}

func (w *World) ticks(n *Node, life int) {
	if n.life != life || !n.up {
		return
	}
	w.step(n, exchange.Tick{Now: w.now, Trusted: true})
	w.after(5*time.Second, func() { w.ticks(n, life) })
}

// Crash stops a node at once: what it had not made durable is gone, and its
// connections are cut.
func (w *World) Crash(n *Node) {
	if !n.up {
		return
	}
	w.Stats.Crashes++
	n.up = false
	for _, other := range w.Nodes {
		if c := w.live[pairOf(n, other)]; c != nil {
			w.cut(c)
		}
	}
}

// Link lays a wire between two nodes, or repairs it; they find each other by
// themselves.
func (w *World) Link(a, b *Node) {
	pair := pairOf(a, b)
	_, laid := w.links[pair]
	w.links[pair] = true
	if !laid {
		w.dialling(pair)
	}
}

func pairOf(a, b *Node) [2]int { return [2]int{min(a.index, b.index), max(a.index, b.index)} }

// Cut breaks the wire between two nodes; what was under way is lost.
func (w *World) Cut(a, b *Node) {
	pair := pairOf(a, b)
	if !w.links[pair] {
		return
	}
	w.links[pair] = false
	if c := w.live[pair]; c != nil {
		w.cut(c)
	}
}

func (w *World) cut(c *conn) {
	w.Stats.Cuts++
	c.dead = true
	if w.live[c.pair] == c {
		delete(w.live, c.pair)
	}
	for _, e := range c.ends {
		w.notice(e)
	}
}

// notice tells an end, some time after, that its connection is gone.
func (w *World) notice(e *end) {
	life := e.node.life
	w.after(w.chance(20*time.Second), func() {
		if e.node.up && e.node.life == life && !e.gone {
			w.forget(e)
			w.step(e.node, exchange.Closed{Conn: e.id})
		}
	})
}

func (w *World) forget(e *end) {
	e.gone = true
	delete(e.node.ends, e.id)
}

// dialling tries a wire for ever; now and then both ends dial at once.
func (w *World) dialling(pair [2]int) {
	w.after(time.Second+w.chance(10*time.Second), func() {
		a, b := w.Nodes[pair[0]], w.Nodes[pair[1]]
		if c := w.live[pair]; w.links[pair] && a.up && b.up && (c == nil || c.dead) {
			if w.rand.IntN(2) == 0 {
				a, b = b, a
			}
			w.dial(pair, a, b)
			if w.rand.IntN(5) == 0 {
				w.dial(pair, b, a)
			}
		}
		w.dialling(pair)
	})
}

func (w *World) dial(pair [2]int, from, to *Node) {
	w.Stats.Dials++
	c := &conn{pair: pair}
	w.conns += 2
	c.ends = [2]*end{{node: from, id: exchange.Conn(w.conns), conn: c}, {node: to, id: exchange.Conn(w.conns + 1), conn: c}}
	c.ends[0].other, c.ends[1].other = c.ends[1], c.ends[0]
	w.live[pair] = c
	for i, e := range c.ends {
		e.free, e.last = w.now, w.now
		e.node.ends[e.id] = e
		key := e.other.node.Machine.Key.Public().(ed25519.PublicKey)
		w.step(e.node, exchange.Connected{Conn: e.id, Key: key, Dialed: i == 0})
	}
}

func (w *World) chance(most time.Duration) time.Duration {
	return time.Duration(w.rand.Int64N(int64(most)))
}

func (w *World) after(d time.Duration, do func()) {
	w.order++
	heap.Push(&w.queue, event_{at: w.now.Add(d), order: w.order, do: do})
}

// Run lets time pass until done, asked after every event, is true, or until the
// limit has passed. It returns whether done was true.
func (w *World) Run(limit time.Duration, done func() bool) bool {
	until := w.now.Add(limit)
	for {
		if done() {
			return true
		}
		if len(w.queue) == 0 || w.queue[0].at.After(until) {
			w.now = until
			return false
		}
		e := heap.Pop(&w.queue).(event_)
		w.now = e.at
		e.do()
	}
}

// Commit appends entries to the node's own log.
func (w *World) Commit(n *Node, entries ...[]byte) error {
	tips, err := n.Store.Commit(n.Machine, entries...)
	if err != nil || !n.up {
		return err
	}
	w.step(n, exchange.Grown{Log: n.Machine.ID(), Tips: tips})
	w.step(n, exchange.Missing{Hashes: n.Store.MissingObjects()})
	return nil
}

// Bring gives the node runs of others' logs by another way than the network, as a stick
// does.
func (w *World) Bring(n *Node, runs ...ledger.Run) error {
	verdicts, err := n.Store.Ingest(context.Background(), runs)
	if err != nil || !n.up {
		return err
	}
	for i, v := range verdicts {
		if v.Err != nil {
			return v.Err
		}
		w.step(n, exchange.Grown{Log: runs[i].Log, Tips: v.Tips})
	}
	return nil
}

// Put gives the node an object.
func (w *World) Put(n *Node, b []byte) error {
	h, err := n.Store.PutObject(context.Background(), b)
	if err == nil && n.up {
		w.step(n, exchange.ObjectHeld{Hash: h})
	}
	return err
}

func (w *World) step(n *Node, e exchange.Event) {
	for _, a := range n.ex.Step(e) {
		w.act(n, a)
	}
}

// later reports an event to the node if it has not crashed meanwhile.
func (w *World) later(n *Node, d time.Duration, e exchange.Event) {
	life := n.life
	w.after(d, func() {
		if n.up && n.life == life {
			w.step(n, e)
		}
	})
}

func (w *World) act(n *Node, a exchange.Action) {
	switch a := a.(type) {
	case exchange.Send:
		if e := n.ends[a.Conn]; e != nil {
			w.send(e, a)
		}
	case exchange.ReadRun:
		w.later(n, w.chance(10*time.Millisecond), n.Store.ReadRun(a))
	case exchange.ReadObject:
		b, _ := n.Store.Object(a.Hash)
		w.later(n, w.chance(10*time.Millisecond), exchange.ObjectRead{Conn: a.Conn, Hash: a.Hash, Bytes: b})
	case exchange.Ingest:
		w.ingest(n, a)
	case exchange.PutObject:
		w.put(n, a)
	case exchange.Close:
		w.close(n, a)
	case exchange.Gap:
		w.Stats.Gaps++
	case exchange.Report:
		w.Stats.Reports++
		n.Faults[a.Log] = a.Code
		if a.OwnAhead {
			w.Stats.OwnAhead++
		}
	}
}

// ingest is durable some time before the node hears of it, and nothing at all if
// it crashes first.
func (w *World) ingest(n *Node, a exchange.Ingest) {
	life := n.life
	if n.stored = n.stored.Add(w.chance(20 * time.Millisecond)); n.stored.Before(w.now) { // in order
		n.stored = w.now.Add(w.chance(20 * time.Millisecond))
	}
	w.after(n.stored.Sub(w.now), func() {
		if !n.up || n.life != life {
			return
		}
		e := exchange.Ingested{Conn: a.Conn, Log: a.Run.Log, End: ledger.Tip{Size: a.Run.End.Size, Root: a.Run.End.Root}, Bytes: a.Bytes}
		if verdicts, err := n.Store.Ingest(context.Background(), []ledger.Run{a.Run}); err != nil {
			e.Err = err
		} else if e.Verdict = verdicts[0]; e.Err == nil && !e.New {
			w.Stats.RunsHeldAlready++
		}
		if n.Store.Forked() { // its process ends before it signs anything more
			w.Crash(n)
			w.after(time.Second+w.chance(10*time.Second), func() { w.Start(n) })
			return
		}
		d := w.chance(20 * time.Millisecond)
		w.later(n, d, e)
		w.after(d, func() {
			if n.up && n.life == life {
				w.step(n, exchange.Missing{Hashes: n.Store.MissingObjects()})
			}
		})
	})
}

func (w *World) put(n *Node, a exchange.PutObject) {
	_, err := n.Store.PutObject(context.Background(), a.Bytes)
	if errors.Is(err, ErrErased) {
		w.later(n, 0, exchange.ObjectUnwanted{Hash: a.Hash})
		return
	}
	if err != nil {
		w.Stats.StorageTroubles++
		w.later(n, 0, exchange.PutFailed{Conn: a.Conn, Hash: a.Hash})
		return
	}
	w.later(n, w.chance(20*time.Millisecond), exchange.ObjectHeld{Hash: a.Hash})
}

func (w *World) close(n *Node, a exchange.Close) {
	e := n.ends[a.Conn]
	if e == nil {
		return
	}
	w.Stats.Byes++
	w.forget(e)
	c := e.conn
	if w.live[c.pair] == c {
		delete(w.live, c.pair)
		var kept *end // the newest of those that stay
		for _, other := range w.Nodes[c.pair[0]].ends {
			if other.conn.pair == c.pair && other.conn != c && !other.conn.dead && (kept == nil || other.id > kept.id) {
				kept = other
			}
		}
		if kept != nil {
			w.live[c.pair] = kept.conn
		}
	}
	w.after(e.last.Sub(w.now)+w.cfg.Latency, func() { // the farewell arrives first
		if !e.other.gone {
			w.notice(e.other)
		}
	})
}

// send puts a message on the wire as the bytes it has, and takes it off as a
// stranger would: from the bytes.
func (w *World) send(e *end, a exchange.Send) {
	frame := a.Frame
	if frame == nil {
		var err error
		if frame, err = wire.Append(nil, a.Message); err != nil {
			panic(fmt.Sprintf("broken invariant: the exchange sent what has no bytes: %v", err))
		}
	}
	w.Stats.Bytes += len(frame)
	w.Stats.Messages++
	if a.Message.Type() == wire.TypeRun {
		w.Stats.Runs++
		w.Stats.RunBytes += len(frame)
	}
	start := slices.MaxFunc([]time.Time{e.free, w.now}, time.Time.Compare)
	e.free = start.Add(time.Duration(len(frame)) * time.Second / time.Duration(w.cfg.BytesASec))
	arrival := e.free.Add(w.chance(w.cfg.Latency))
	if arrival.Before(e.last) {
		arrival = e.last
	}
	e.last = arrival
	if a.Bulk {
		w.later(e.node, e.free.Sub(w.now), exchange.Written{Conn: e.id})
	}
	life := e.other.node.life
	w.after(arrival.Sub(w.now), func() {
		to := e.other
		if e.conn.dead || to.gone || !to.node.up || to.node.life != life {
			return
		}
		m, err := wire.Decode(frame)
		w.step(to.node, exchange.Received{Conn: to.id, Message: m, Bytes: len(frame), Err: err})
	})
}

// Equal reports whether all nodes hold the same frontier and lack no object.
func (w *World) Equal() bool {
	digest := w.Nodes[0].Store.Frontier().Digest()
	for _, n := range w.Nodes {
		if len(n.Store.MissingObjects()) > 0 || n.Store.Frontier().Digest() != digest {
			return false
		}
	}
	return true
}
