// Package exchange is the sync protocol as a pure step: what happened goes in,
// what is to be done comes out (PROTOCOL.md §5 to §8). It does no I/O, starts no
// goroutine and reads no clock, so that one seed replays a whole district.
// Package peer runs it over sockets, package simnet over a seeded network.
//
// Nothing is said about an entry (HAVE, NOTICE, FRONTIER, RUN) before the owner has
// reported it durable, by Grown or by Ingested.
package exchange

import (
	"crypto/ed25519"
	"maps"
	"slices"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/sync/wire"
)

// Conn names a connection; the owner never uses a number twice.
type Conn uint64

// Class orders logs for sending; a lower one goes first.
type Class uint8

// The classes (PROTOCOL.md §6). Objects go after ClassOwn and before ClassRest.
const (
	ClassControl Class = iota
	ClassOwn
	classObject
	ClassRest
)

// Config is what one node's exchange needs. Zero limits mean the defaults.
type Config struct {
	Fleet   ed25519.PublicKey
	Machine ed25519.PublicKey // our own, to know a duplicate's winner
	Chain   cert.Chain        // our own, sent in HELLO
	// Class says how urgent a log is. Pure; nil puts every log into ClassRest.
	Class func(ledger.LogID) Class
	// Own says whether this node writes the log. Pure; nil means none.
	Own func(ledger.LogID) bool

	RunBytes    int    // of the runs of one log that are sent in a row, unless other work is more urgent; default 64 KiB
	CreditBytes uint32 // granted to each peer; default 256 KiB
	PeersMax    int    // admitted at once; default 256
}

const (
	runBytes     = 64 << 10
	creditBytes  = 256 << 10
	peersMax     = 256
	askedTimes   = 8                // the same request for a log, then it is left out
	wantsAsked   = 8                // objects asked of one peer at once
	wantsKept    = 1024             // a peer's wants that we remember
	missingKept  = 4096             // objects missing that we chase at once
	helloTime    = 30 * time.Second // to say who one is
	duplicateAge = 30 * time.Second // below it two connections are a race, above it the newer is a re-connect
	lackTime     = time.Minute      // until an object is asked again of a peer that lacked it
)

// Exchange is one node's side of every conversation. Its methods are for one
// goroutine.
type Exchange struct {
	cfg     Config
	held    map[ledger.LogID][]ledger.Tip // of each branch, in the store's order
	peers   map[Conn]*peer
	pending map[ledger.LogID]pending // runs handed to Ingest, not yet answered
	serving map[ledger.LogID]Conn    // who brings us a log that they hold more of
	missing []ledger.Hash            // objects that entries held name and that are not held, ascending
	asked   map[ledger.Hash]Conn     // of them: whom we asked
	putting map[ledger.Hash]put      // of them: handed to PutObject
	chase   bool                     // something may have become askable
	now     time.Time
	trusted bool // whether certificates' dates may be judged by now
	out     []Action
}

type pending struct {
	runs int
	end  uint64
}

type put struct {
	conn  Conn
	bytes int
}

// peer is one connection's state.
type peer struct {
	conn    Conn
	key     ed25519.PublicKey // authenticated by the connection
	dialed  bool              // by us
	since   time.Time
	hello   bool   // admitted
	version uint32 // of the session
	chain   cert.Chain

	started bool // their whole frontier is known
	last    ledger.LogID
	views   map[ledger.LogID]*view
	named   int                         // logs that they have named
	news    map[ledger.LogID]ledger.Tip // noticed by them, not asked yet

	queue   [ClassRest + 1][]ledger.LogID // what may have something to send
	busy    bool                          // a read or a bulk write is under way
	reading ReadRun                       // the last one asked for
	row     ledger.LogID                  // whose runs were sent last
	rowSent int                           // bytes of them in a row
	stale   bool                          // they have said since that they hold less
	spend   int64                         // what we may send; may go below zero by one message
	granted int64                         // what they may send; same rule
	owed    int64                         // used by them and not yet granted again

	wants    []ledger.Hash        // of theirs, to be served in turn
	lacked   map[ledger.Hash]bool // of theirs, answered with LACK
	lacking  map[ledger.Hash]time.Time
	askedNow int // objects asked of them and not answered
}

// New returns the exchange of a node that holds f durably, the tips of each log in the
// store's order (see Grown). now may be the zero time; Tick sets it.
func New(cfg Config, f ledger.Frontier, now time.Time) *Exchange {
	if cfg.RunBytes <= 0 {
		cfg.RunBytes = runBytes
	}
	if cfg.CreditBytes == 0 || cfg.CreditBytes > wire.CreditMax/2 {
		cfg.CreditBytes = creditBytes
	}
	if cfg.PeersMax <= 0 {
		cfg.PeersMax = peersMax
	}
	if cfg.Class == nil {
		cfg.Class = func(ledger.LogID) Class { return ClassRest }
	}
	if cfg.Own == nil {
		cfg.Own = func(ledger.LogID) bool { return false }
	}
	x := &Exchange{
		cfg: cfg, now: now,
		held:    make(map[ledger.LogID][]ledger.Tip),
		peers:   make(map[Conn]*peer),
		pending: make(map[ledger.LogID]pending),
		serving: make(map[ledger.LogID]Conn),
		asked:   make(map[ledger.Hash]Conn),
		putting: make(map[ledger.Hash]put),
	}
	for log, tips := range f {
		if len(tips) > 0 {
			x.held[log] = slices.Clone(tips)
		}
	}
	return x
}

// Step takes one event and returns what is to be done, in order. The owner does
// everything that is returned, and reports what Read and Ingest and Put asked for.
func (x *Exchange) Step(e Event) []Action {
	x.out = nil
	switch e := e.(type) {
	case Connected:
		x.connected(e)
	case Received:
		x.received(e)
	case Closed:
		x.closed(e.Conn)
	case Grown:
		x.advance(e.Log, e.Tips)
	case Ingested:
		x.ingested(e)
	case RunRead:
		x.runRead(e)
	case ObjectRead:
		x.objectRead(e)
	case Written:
		if p := x.peers[e.Conn]; p != nil {
			p.busy = false
		}
	case Missing:
		x.setMissing(e.Hashes)
	case ObjectHeld:
		x.objectHeld(e.Hash)
	case PutFailed:
		x.putFailed(e)
	case ObjectUnwanted:
		x.settlePut(e.Hash)
		x.dropMissing(e.Hash)
	case Tick:
		x.tick(e)
	}
	x.pump()
	return x.out
}

func (x *Exchange) do(a Action) { x.out = append(x.out, a) }

func (x *Exchange) send(p *peer, m wire.Message) { x.do(Send{Conn: p.conn, Message: m}) }

// bye ends a connection from our side.
func (x *Exchange) bye(p *peer, code wire.ByeCode, reason string) {
	x.send(p, &wire.Bye{Code: code, Text: reason})
	x.do(Close{Conn: p.conn, Code: code, Reason: reason})
	x.closed(p.conn)
}

func (x *Exchange) closed(c Conn) {
	p := x.peers[c]
	if p == nil {
		return
	}
	delete(x.peers, c)
	x.chase = true
	for h, of := range x.asked {
		if of == c {
			delete(x.asked, h)
		}
	}
	for log, of := range x.serving {
		if of == c {
			delete(x.serving, log)
		}
	}
}

// order returns the connections in ascending order, so that the same events give
// the same actions.
func (x *Exchange) order() []*peer {
	peers := make([]*peer, 0, len(x.peers))
	for _, c := range slices.Sorted(maps.Keys(x.peers)) {
		peers = append(peers, x.peers[c])
	}
	return peers
}

func (x *Exchange) tick(e Tick) {
	x.now, x.trusted = e.Now, e.Trusted
	x.chase = true
	for _, p := range x.order() {
		if !p.hello && x.now.Sub(p.since) > helloTime {
			x.bye(p, wire.ByeStranger, "no HELLO in time")
			continue
		}
		for h, at := range p.lacking {
			if x.now.Sub(at) > lackTime {
				delete(p.lacking, h)
			}
		}
	}
}

// expired reports whether the peer only hands over (PROTOCOL.md §5).
func (x *Exchange) expired(p *peer) bool {
	return x.trusted && !(p.chain.Machine.Current(x.now) && p.chain.District.Current(x.now))
}
