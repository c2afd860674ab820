// Package peer runs sync between machines: connections, who may talk, the loop
// around exchange, and the store's side of it. It is the only importer of libp2p,
// of which it takes the parts: Noise with the machine key as identity, yamux and
// multistream-select over TCP. There is no identify, no relay, no DHT, no NAT
// traversal and no discovery: on a metered link everything that talks by itself
// costs (PROTOCOL.md §1).
package peer

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/sync/exchange"
	"rasid/sync/wire"
)

// Store is what sync needs of the ledger's store. Methods may be called
// concurrently, and also while a Grown is under way elsewhere.
type Store interface {
	// Frontier says what is held durably: the tip of each branch of each log, always in
	// the same order.
	Frontier() ledger.Frontier
	// ReadRun answers the exchange by exchange.Serve from the branches that are held
	// durably.
	ReadRun(q exchange.ReadRun) exchange.RunRead
	// Ingest verifies and stores runs; what it returned for is durable. The slice has one
	// verdict for each run, see exchange.Ingested; the error means that the store cannot
	// store.
	Ingest(ctx context.Context, runs []ledger.Run) ([]exchange.Verdict, error)
	// Updates returns a channel that gets a token after durable growth, from
	// whatever cause, and a function that ends that.
	Updates() (<-chan struct{}, func())
}

// ErrNoRoom is returned by Ingest and AcceptObject when the disk is full: nothing was
// taken, and the same is asked again later.
var ErrNoRoom = errors.New("there is no room on the disk")

// PrunedError is what a branch says of entries that were dropped.
type PrunedError = exchange.PrunedError

// ErrUnwanted is returned by AcceptObject for an object that is wanted no more: an
// entry that came meanwhile erases it, or none names it.
var ErrUnwanted = errors.New("the object is not wanted")

// Objects is what sync needs of the store of objects, concurrently too.
type Objects interface {
	// AcceptObject stores an object durably, or returns ErrUnwanted or ErrNoRoom.
	AcceptObject(ctx context.Context, b []byte) (ledger.Hash, error)
	// Object returns an object's bytes; any error means that it is not held.
	Object(h ledger.Hash) ([]byte, error)
	// MissingObjects lists the objects that held entries name and that are not held.
	MissingObjects() []ledger.Hash
}

// Description is what the owner knows of a log.
type Description struct {
	Own     bool
	Stream  cert.Stream
	Role    cert.Role
	Machine [ed25519.PublicKeySize]byte // whose log it is
}

// Config is what a Host needs. Fields without a default must be set.
type Config struct {
	Machine ed25519.PrivateKey // the identity towards peers
	Chain   cert.Chain         // its certificates
	Fleet   ed25519.PublicKey
	Store   Store
	Objects Objects
	// Describe says what is known of a log, false if nothing. Concurrent and quick.
	Describe func(ledger.LogID) (Description, bool)

	Listen string   // TCP address, "" to accept nobody
	Peers  []string // "host:port" or a multiaddr (/ip4/…/tcp/…, with /p2p/… to insist on one machine)

	// TimeTrusted says whether certificates' last days may be judged by Now; nil
	// means always. A machine that does not know the time admits everybody whose
	// chain verifies: alone must not become refused.
	TimeTrusted func() bool

	Log   *slog.Logger                         // default: discard
	Now   func() time.Time                     // default: time.Now
	After func(time.Duration) <-chan time.Time // default: time.After
	Rand  io.Reader                            // jitter; default: crypto/rand

	RunBytes    int           // see exchange.Config
	CreditBytes uint32        // see exchange.Config
	PeersMax    int           // see exchange.Config
	RedialMin   time.Duration // wait before dialling again, at first; default 1 s
	RedialMax   time.Duration // and at most; default 1 min
	KeepAlive   time.Duration // a silent connection is asked whether it lives; default 30 s
	Patience    time.Duration // for the answer, and for a write; default 1 min
}

const (
	pendingMax    = 64               // inbound connections that have not said who they are
	handshakeTime = 30 * time.Second // for Noise and the stream, on a slow link
	farewellTime  = 3 * time.Second  // for the other end to take the last message
	tickTime      = 5 * time.Second
	outMaxBytes   = 4 << 20 // waiting for a peer that does not read
)

// Host is one machine's place among its peers. Status and LastHeard may be called
// from anywhere at any time.
type Host struct {
	cfg      Config
	identity identity
	peers    []target
	listener net.Listener // set by Listen
	events   chan any
	ex       *exchange.Exchange        // owned by loop
	conns    map[exchange.Conn]*conn   // owned by loop
	reads    *mailbox[exchange.Action] // to readWorker
	writes   *mailbox[writeJob]        // to writeWorker
	objects  sync.Mutex                // orders what is said of objects
	status   board
	ids      counter
}

// New checks the configuration and returns a host. It starts nothing and opens
// nothing.
func New(cfg Config) (*Host, error) {
	if cfg.Store == nil || cfg.Objects == nil || cfg.Describe == nil || len(cfg.Machine) != ed25519.PrivateKeySize {
		return nil, errors.New("couldn't set up sync: store, objects, description or machine key is missing")
	}
	defaults(&cfg)
	id, err := newIdentity(cfg.Machine)
	if err != nil {
		return nil, fmt.Errorf("couldn't set up sync: %w", err)
	}
	h := &Host{
		cfg: cfg, identity: id, events: make(chan any), conns: make(map[exchange.Conn]*conn),
		reads: newMailbox[exchange.Action](), writes: newMailbox[writeJob](),
	}
	h.status.init()
	for _, address := range cfg.Peers {
		t, err := parseTarget(address)
		if err != nil {
			return nil, err
		}
		h.peers = append(h.peers, t)
		h.status.address(address, func(*Address) {})
	}
	return h, nil
}

func defaults(cfg *Config) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.After == nil {
		cfg.After = time.After
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.TimeTrusted == nil {
		cfg.TimeTrusted = func() bool { return true }
	}
	for _, d := range []struct {
		of   *time.Duration
		zero time.Duration
	}{{&cfg.RedialMin, time.Second}, {&cfg.RedialMax, time.Minute}, {&cfg.KeepAlive, 30 * time.Second}, {&cfg.Patience, time.Minute}} {
		if *d.of <= 0 {
			*d.of = d.zero
		}
	}
}

// Listen opens the listening address, so that Addr is known before Run. Run calls
// it if nobody has. Calling it again does nothing.
func (h *Host) Listen(ctx context.Context) error {
	if h.listener != nil || h.cfg.Listen == "" {
		return nil
	}
	l, err := listenConfig.Listen(ctx, "tcp", h.cfg.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("couldn't listen for peers on %s: another program has this address; stop it, or configure another address", h.cfg.Listen)
	}
	if err != nil {
		return fmt.Errorf("couldn't listen for peers on %s: %w", h.cfg.Listen, err)
	}
	h.listener = l
	return nil
}

// Addr returns the address listened on, "" if none.
func (h *Host) Addr() string {
	if h.listener == nil {
		return ""
	}
	return h.listener.Addr().String()
}

// Run talks to peers until ctx ends, and then joins everything it started. It
// returns nil when ctx ended, and an error when it could not listen.
func (h *Host) Run(ctx context.Context) error {
	if err := h.Listen(ctx); err != nil {
		return err
	}
	updates, cancelUpdates := h.cfg.Store.Updates()
	defer cancelUpdates()
	held := h.cfg.Store.Frontier() // after Updates: nothing falls between
	h.ex = exchange.New(h.exchangeConfig(), held, h.cfg.Now())
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	if h.listener != nil {
		wg.Go(func() { h.accept(inner, &wg) })
	}
	for _, t := range h.peers {
		wg.Go(func() { h.dialling(inner, t) })
	}
	wg.Go(func() { h.watch(inner, updates, held) })
	wg.Go(func() { h.readWorker(inner) })
	wg.Go(func() { h.writeWorker(inner) })
	h.loop(ctx)
	if h.listener != nil {
		h.listener.Close()
	}
	stop()
	wg.Wait()
	return nil
}

func (h *Host) exchangeConfig() exchange.Config {
	return exchange.Config{
		Fleet: h.cfg.Fleet, Machine: h.cfg.Machine.Public().(ed25519.PublicKey), Chain: h.cfg.Chain,
		RunBytes: h.cfg.RunBytes, CreditBytes: h.cfg.CreditBytes, PeersMax: h.cfg.PeersMax,
		Own: func(log ledger.LogID) bool {
			d, ok := h.cfg.Describe(log)
			return ok && d.Own
		},
		Class: func(log ledger.LogID) exchange.Class {
			d, ok := h.cfg.Describe(log)
			switch {
			case ok && d.Role == cert.RoleOffice && d.Stream == cert.StreamAuthority:
				return exchange.ClassControl
			case ok && d.Own:
				return exchange.ClassOwn
			}
			return exchange.ClassRest
		},
	}
}

// loop owns the exchange. It never waits for anything but its next event.
func (h *Host) loop(ctx context.Context) {
	h.step(exchange.Tick{Now: h.cfg.Now(), Trusted: h.cfg.TimeTrusted()})
	tick := h.cfg.After(tickTime)
	for {
		select {
		case <-ctx.Done():
			h.farewell()
			return
		case <-tick:
			h.step(exchange.Tick{Now: h.cfg.Now(), Trusted: h.cfg.TimeTrusted()})
			tick = h.cfg.After(tickTime)
		case e := <-h.events:
			h.handle(e)
		}
	}
}

// tell hands the loop an event, unless the host stops.
func (h *Host) tell(ctx context.Context, e any) bool {
	select {
	case h.events <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

type connUp struct{ c *conn }
type connGone struct{ c *conn }

// ingested is one run's result, with the connection that it came by.
type ingested struct {
	exchange.Ingested
	from *conn
}
type ingestedBatch []ingested

func (h *Host) handle(e any) {
	switch e := e.(type) {
	case connUp:
		h.conns[e.c.id] = e.c
		h.step(exchange.Connected{Conn: e.c.id, Key: e.c.key, Dialed: e.c.dialed})
	case connGone:
		h.step(exchange.Closed{Conn: e.c.id})
		delete(h.conns, e.c.id)
		h.status.gone(e.c.id)
	case ingestedBatch:
		for _, i := range e {
			h.heard(i)
			h.step(i.Ingested)
		}
	case exchange.Event:
		h.step(e)
	}
}

func (h *Host) step(e exchange.Event) {
	for _, a := range h.ex.Step(e) {
		h.act(a)
	}
}

func (h *Host) act(a exchange.Action) {
	switch a := a.(type) {
	case exchange.Send:
		h.send(a)
	case exchange.ReadRun, exchange.ReadObject:
		h.reads.put(a)
	case exchange.Ingest:
		h.status.count(func(c *Counters) { c.RunsIn++ })
		h.writes.put(writeJob{ingest: &a, from: h.conns[a.Conn]})
	case exchange.PutObject:
		h.status.count(func(c *Counters) { c.ObjectsIn++ })
		h.writes.put(writeJob{object: &a})
	case exchange.Admit:
		h.admit(a)
	case exchange.Close:
		h.closing(a)
	case exchange.Report:
		h.report(a)
	case exchange.Gap:
		h.status.count(func(n *Counters) { n.Gaps++ })
		h.cfg.Log.Warn("a peer has dropped what is lacking here of a log", "log", a.Log.String(), "serves from", a.From)
	case exchange.Holds:
		h.status.holdsNow(a)
	}
}

func (h *Host) send(a exchange.Send) {
	c := h.conns[a.Conn]
	if c == nil {
		return
	}
	frame := a.Frame
	if frame == nil {
		var err error
		if frame, err = wire.Append(nil, a.Message); err != nil {
			panic(fmt.Sprintf("broken invariant: the exchange sent what has no bytes: %v", err))
		}
	}
	switch a.Message.Type() {
	case wire.TypeRun:
		h.status.count(func(n *Counters) { n.RunsOut++ })
	case wire.TypeObject:
		h.status.count(func(n *Counters) { n.ObjectsOut++ })
	}
	c.write(frame, a.Bulk)
}

func (h *Host) admit(a exchange.Admit) {
	c := h.conns[a.Conn]
	if c == nil {
		return
	}
	m := a.Chain.Machine
	c.slot = m.Slot
	c.admitted.Store(true)
	c.release()
	h.status.admit(c, Peer{
		Slot: m.Slot, Cell: m.Cell, Role: m.Role, Key: c.key, Address: c.address,
		Dialed: c.dialed, Expired: a.Expired, Since: h.cfg.Now(),
	})
	h.cfg.Log.Info("peer admitted", "slot", m.Slot, "role", m.Role.String(), "address", c.address, "expired", a.Expired)
}

func (h *Host) closing(a exchange.Close) {
	c := h.conns[a.Conn]
	if c == nil {
		return
	}
	if !a.Theirs {
		h.status.count(func(n *Counters) {
			switch a.Code {
			case wire.ByeStranger:
				n.StrangersRefused++
			case wire.ByeMalformed, wire.ByeLimit:
				n.Malformed++
			}
		})
	}
	c.ended(a.Code, a.Theirs)
	h.status.gone(c.id)
	h.cfg.Log.Info("peer leaves", "address", c.address, "code", a.Code.String(), "theirs", a.Theirs, "reason", a.Reason)
	c.finish()
}

func (h *Host) report(a exchange.Report) {
	h.status.count(func(n *Counters) {
		switch {
		case a.OwnAhead:
			n.OwnAhead++
		case a.Code == wire.FaultFork:
			n.Forks++
		default:
			n.LogsLeftOut++
		}
	})
	text := "log left out for this session"
	if a.OwnAhead {
		text = "a peer holds more of this machine's own log than this machine: it was restored from an old copy, or copied"
	}
	h.cfg.Log.Warn(text, "log", a.Log.String(), "code", a.Code.String(), "theirs", a.Theirs)
}

// heard notes by which way a log came.
func (h *Host) heard(i ingested) {
	if i.Err != nil || i.from == nil {
		return
	}
	d, ok := h.cfg.Describe(i.Log)
	h.status.heard(i.Log, Heard{
		At: h.cfg.Now(), Size: i.End.Size, Slot: i.from.slot,
		Direct: ok && slices.Equal(d.Machine[:], i.from.key),
	})
}

// farewell says goodbye to everybody and waits a moment until it has left.
func (h *Host) farewell() {
	bye, err := wire.Append(nil, &wire.Bye{Code: wire.ByeDone, Text: "this machine stops"})
	if err != nil {
		panic(fmt.Sprintf("broken invariant: a farewell has no bytes: %v", err))
	}
	for _, c := range h.conns {
		if c.admitted.Load() {
			c.write(bye, false)
		}
		c.finish()
	}
	limit := h.cfg.After(farewellTime)
	for len(h.conns) > 0 {
		select {
		case e := <-h.events:
			if gone, ok := e.(connGone); ok {
				delete(h.conns, gone.c.id)
			}
		case <-limit:
			return
		}
	}
}
