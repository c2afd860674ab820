package peer

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/sync/exchange"
)

// Peer is a machine that is connected and admitted.
type Peer struct {
	Slot, Cell        uint32
	Role              cert.Role
	Key               ed25519.PublicKey
	Address           string // as configured if we dialled, else where it came from
	Dialed            bool   // by us
	Expired           bool   // its certificate: it hands over and gets nothing
	Since             time.Time
	LastHeard         time.Time // when bytes last came
	BytesIn, BytesOut uint64    // on the socket
}

// Address is a configured address and how the last try ended.
type Address struct {
	Address string
	LastTry time.Time
	Error   string // empty while all is well
}

// Counters count since the host was made.
type Counters struct {
	BytesIn, BytesOut uint64 // on sockets, handshakes included
	RunsIn, RunsOut   uint64
	ObjectsIn         uint64
	ObjectsOut        uint64
	StrangersRefused  uint64
	Malformed         uint64 // connections ended for bad or too many bytes
	Forks             uint64 // logs left out because a history cannot be held beside others
	OwnAhead          uint64 // a peer held more of our log than we do
	LogsLeftOut       uint64 // for another reason
	HandshakesFailed  uint64 // inbound
	TurnedAway        uint64 // inbound, too many that have not said who they are
	DialsFailed       uint64
	Gaps              uint64 // times that a peer had dropped what is lacking here of a log
	RoomWaits         uint64 // times that what came waited for room on the disk
}

// Heard says how a log last grew here.
type Heard struct {
	At     time.Time
	Slot   uint32 // of the peer that brought it
	Direct bool   // the peer is the log's own machine
	Size   uint64 // entries held then
}

// Status is a moment of a host.
type Status struct {
	Peers     []Peer    // by slot
	Addresses []Address // by address
	Counters  Counters
}

type totals struct{ in, out atomic.Uint64 }

// board is what the host shows; the loop and the connections write it.
type board struct {
	totals totals

	mu        sync.Mutex
	peers     map[exchange.Conn]shown
	addresses map[string]Address
	counters  Counters
	logs      map[ledger.LogID]Heard
	holds     map[ledger.LogID]map[exchange.Conn]uint64 // of our own logs
	changed   chan struct{}                             // closed and replaced when a peer comes, goes or holds more
}

type shown struct {
	Peer
	raw *counted
}

func (b *board) init() {
	b.peers = make(map[exchange.Conn]shown)
	b.addresses = make(map[string]Address)
	b.logs = make(map[ledger.LogID]Heard)
	b.holds = make(map[ledger.LogID]map[exchange.Conn]uint64)
	b.changed = make(chan struct{})
}

func (b *board) holdsNow(a exchange.Holds) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, here := b.peers[a.Conn]; !here {
		return
	}
	if b.holds[a.Log] == nil {
		b.holds[a.Log] = make(map[exchange.Conn]uint64)
	}
	b.holds[a.Log][a.Conn] = max(a.Size, b.holds[a.Log][a.Conn])
	b.change()
}

func (b *board) count(f func(*Counters)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.counters)
}

func (b *board) address(text string, f func(*Address)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.addresses[text]
	a.Address = text
	f(&a)
	b.addresses[text] = a
}

func (b *board) admit(c *conn, p Peer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.peers[c.id] = shown{Peer: p, raw: c.raw}
	b.change()
}

func (b *board) gone(id exchange.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.peers[id]; ok {
		delete(b.peers, id)
		for _, by := range b.holds {
			delete(by, id)
		}
		b.change()
	}
}

// change is called with mu held.
func (b *board) change() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *board) heard(log ledger.LogID, h Heard) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.Size <= b.logs[log].Size {
		return
	}
	b.logs[log] = h
}

// waitGone returns when the machine is not connected, false when ctx ended.
func (b *board) waitGone(ctx context.Context, key ed25519.PublicKey) bool {
	for {
		b.mu.Lock()
		changed, here := b.changed, false
		for _, p := range b.peers {
			here = here || p.Key.Equal(key)
		}
		b.mu.Unlock()
		if !here {
			return ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// Holder is a connected peer and how far it holds a log, by its own word.
type Holder struct {
	Slot uint32
	Role cert.Role
	Size uint64
}

// Holders says which connected peers have said, since they connected, that they
// hold a log of this machine durably, by slot.
func (h *Host) Holders(log ledger.LogID) []Holder {
	b := &h.status
	b.mu.Lock()
	defer b.mu.Unlock()
	var holders []Holder
	for c, size := range b.holds[log] {
		holders = append(holders, Holder{Slot: b.peers[c].Slot, Role: b.peers[c].Role, Size: size})
	}
	slices.SortFunc(holders, func(x, y Holder) int { return cmp.Compare(x.Slot, y.Slot) })
	return holders
}

// WaitHeld returns when any connected peer holds a log of this machine up to size.
func (h *Host) WaitHeld(ctx context.Context, log ledger.LogID, size uint64) error {
	for {
		changed := h.Changed()
		for _, holder := range h.Holders(log) {
			if holder.Size >= size {
				return nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// MeasureHeld commits n times and returns how long each took from before commit to
// the word of a peer that it holds the entry durably. commit returns the log's new
// size.
func (h *Host) MeasureHeld(ctx context.Context, log ledger.LogID, n int, commit func(context.Context) (uint64, error)) ([]time.Duration, error) {
	took := make([]time.Duration, 0, n)
	for range n {
		begin := time.Now()
		size, err := commit(ctx)
		if err != nil {
			return nil, err
		}
		if err := h.WaitHeld(ctx, log, size); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begin))
	}
	return took, nil
}

// Changed returns a channel that is closed when a peer comes or goes, or holds
// more of a log of this machine.
func (h *Host) Changed() <-chan struct{} {
	h.status.mu.Lock()
	defer h.status.mu.Unlock()
	return h.status.changed
}

// Status returns the present moment, a copy.
func (h *Host) Status() Status {
	b := &h.status
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Status{Counters: b.counters}
	s.Counters.BytesIn, s.Counters.BytesOut = b.totals.in.Load(), b.totals.out.Load()
	for _, p := range b.peers {
		p.BytesIn, p.BytesOut = p.raw.in.Load(), p.raw.out.Load()
		p.LastHeard = time.UnixMilli(p.raw.heardMs.Load())
		s.Peers = append(s.Peers, p.Peer)
	}
	slices.SortFunc(s.Peers, func(a, b Peer) int { return cmp.Compare(a.Slot, b.Slot) })
	for _, text := range slices.Sorted(maps.Keys(b.addresses)) {
		s.Addresses = append(s.Addresses, b.addresses[text])
	}
	return s
}

// LastHeard says when and by which way a log last grew here through sync since the
// host was made, false if it has not.
func (h *Host) LastHeard(log ledger.LogID) (Heard, bool) {
	h.status.mu.Lock()
	defer h.status.mu.Unlock()
	heard, ok := h.status.logs[log]
	return heard, ok
}
