// Package simnet is a seeded world for sync: stores in memory, machines that crash
// and start again, and a network that delays, cuts, repeats and partitions. One
// seed gives one history. It runs the very exchange and the very bytes that
// package peer puts on sockets.
//
// A connection is what Noise over TCP is: ordered and whole up to the moment it is
// cut. What a cut loses is the tail; what is repeated is what was sent before the
// cut and not acknowledged.
package simnet

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/sync/exchange"
)

// Fleet is a made-up fleet: its keys follow from its name.
type Fleet struct {
	Public   ed25519.PublicKey
	private  ed25519.PrivateKey
	district ed25519.PrivateKey
	name     string
}

// NewFleet returns the fleet of that name.
func NewFleet(name string) *Fleet {
	f := &Fleet{name: name, private: keyOf(name + "/fleet"), district: keyOf(name + "/district")}
	f.Public = f.private.Public().(ed25519.PublicKey)
	return f
}

func keyOf(name string) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(sum[:])
}

// Machine is one enrolled machine with its first log.
type Machine struct {
	Key   ed25519.PrivateKey
	Log   ed25519.PrivateKey
	Chain cert.Chain
	Entry []byte // entry 0 of the log
}

// Enrol makes a machine whose certificate lasts through the day notAfter.
func (f *Fleet) Enrol(slot uint32, role cert.Role, notAfter uint32) (Machine, error) {
	name := fmt.Sprintf("%s/machine/%d", f.name, slot)
	m := Machine{Key: keyOf(name), Log: keyOf(name + "/log")}
	district := cert.Certificate{Cell: math.MaxUint32, Role: cert.RoleDistrict, NotAfter: 1 << 20}
	copy(district.Key[:], f.district.Public().(ed25519.PublicKey))
	machine := cert.Certificate{Slot: slot, Cell: 1, Role: role, NotAfter: notAfter}
	copy(machine.Key[:], m.Key.Public().(ed25519.PublicKey))
	grant := cert.Grant{Ordinal: 1, Reason: cert.ReasonEnrolled}
	if role == cert.RoleOffice {
		grant.Stream = cert.StreamAuthority
	}
	copy(grant.LogKey[:], m.Log.Public().(ed25519.PublicKey))
	var errs [4]error
	m.Chain.District, errs[0] = cert.Issue(f.private, district)
	m.Chain.Machine, errs[1] = cert.Issue(f.district, machine)
	grant, errs[2] = cert.SignGrant(m.Key, grant)
	m.Entry, errs[3] = entryOf(&event.LogOpened{Chain: m.Chain, Grant: grant, Currency: event.Currency})
	return m, errors.Join(errs[:]...)
}

// ID is the machine's log.
func (m Machine) ID() ledger.LogID { return ledger.LogIDOf(m.Log.Public().(ed25519.PublicKey)) }

func entryOf(b event.Body) ([]byte, error) {
	e, err := event.New(ledger.Time{}, b)
	if err != nil {
		return nil, err
	}
	return ledger.EncodeEntry(e)
}

// Store keeps logs and objects in memory with the promises of a real store: what
// Ingest, Commit and PutObject returned for is held. Its methods may be called
// concurrently.
type Store struct {
	fleet ed25519.PublicKey
	own   ledger.LogID

	mu      sync.Mutex
	logs    map[ledger.LogID]*heldLog
	objects map[ledger.Hash][]byte
	named   map[ledger.Hash]bool
	erased  map[ledger.Hash]bool
	watch   map[chan struct{}]bool
	fail    error
}

type heldLog struct {
	author  event.Author
	log     ledger.Log
	entries [][]byte
	kept    []ledger.Checkpoint // ascending by size
	pruned  uint64              // entries before are not served
}

// NewStore returns the store of a machine; it holds entry 0 of its own log.
func NewStore(fleet ed25519.PublicKey, m Machine) (*Store, error) {
	s := &Store{
		fleet: fleet, own: m.ID(), logs: make(map[ledger.LogID]*heldLog),
		objects: make(map[ledger.Hash][]byte), named: make(map[ledger.Hash]bool), erased: make(map[ledger.Hash]bool),
		watch: make(map[chan struct{}]bool),
	}
	_, err := s.Commit(m, m.Entry)
	return s, err
}

// Commit appends entries to the machine's own log.
func (s *Store) Commit(m Machine, entries ...[]byte) (ledger.Tip, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.logs[m.ID()]
	if held == nil {
		held = &heldLog{log: ledger.Log{Key: m.Log.Public().(ed25519.PublicKey)}}
	}
	r, err := held.log.NewRun(m.Log, entries)
	if err != nil {
		return ledger.Tip{}, err
	}
	if err := s.extend(held, r); err != nil {
		return ledger.Tip{}, err
	}
	return ledger.Tip{Size: r.End.Size, Root: r.End.Root}, nil
}

// extend is called with mu held.
func (s *Store) extend(held *heldLog, r ledger.Run) error {
	next, fresh, err := held.log.Extend(r)
	if err != nil || len(fresh) == 0 {
		return err
	}
	first := held.log.End.Size
	held.log = next
	held.entries = append(held.entries, fresh...)
	held.kept = append(held.kept, r.End)
	s.logs[r.Log] = held
	for i, entry := range fresh {
		s.follow(held, first+uint64(i), entry)
	}
	s.wake()
	return nil
}

// wake is called with mu held.
func (s *Store) wake() {
	for c := range s.watch {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// follow does what an entry says of objects, if its log may say it.
func (s *Store) follow(held *heldLog, index uint64, entry []byte) {
	e, err := ledger.DecodeEntry(entry)
	if err != nil {
		return
	}
	body, err := event.Decode(e)
	if err != nil {
		return
	}
	if opened, ok := body.(*event.LogOpened); ok && index == 0 {
		held.author = opened.Author()
	}
	if !held.author.MayWrite(index, e.Kind) {
		return
	}
	for _, h := range event.Objects(body) {
		s.named[h] = true
	}
	for _, h := range event.Erases(body) {
		s.erased[h] = true
		delete(s.objects, h)
	}
}

// Prune drops what a log has before an entry: it is served from there on.
func (s *Store) Prune(log ledger.LogID, from uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs[log].pruned = from
}

// Fail makes every later Ingest and PutObject return err; nil ends that.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// Frontier says what is held.
func (s *Store) Frontier() ledger.Frontier {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := make(ledger.Frontier, len(s.logs))
	for id, h := range s.logs {
		f[id] = []ledger.Tip{{Size: h.log.End.Size, Root: h.log.End.Root}}
	}
	return f
}

// Ingest stores runs. One error stands for each.
func (s *Store) Ingest(_ context.Context, runs []ledger.Run) ([]error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := make([]error, len(runs))
	if s.fail != nil {
		return nil, s.fail
	}
	for i, r := range runs {
		errs[i] = s.ingest(r)
	}
	return errs, nil
}

func (s *Store) ingest(r ledger.Run) error {
	if r.Log == s.own {
		return fmt.Errorf("%w: a run of this store's own log", cert.ErrRefused)
	}
	held := s.logs[r.Log]
	if held == nil {
		if r.First != 0 {
			return fmt.Errorf("log %s is not held: %w", r.Log, ledger.ErrGap)
		}
		opened, err := event.OpenLog(s.fleet, r.Log, r.Entries[0])
		if err != nil {
			return err
		}
		held = &heldLog{log: ledger.Log{Key: opened.Grant.PublicKey()}}
	}
	return s.extend(held, r)
}

// ReadRun reads from an index to the last kept checkpoint within maxBytes, or to
// the first one if that is farther.
func (s *Store) ReadRun(id ledger.LogID, from uint64, maxBytes int) (ledger.Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.logs[id]
	if held == nil || from >= held.log.Edge.Size() {
		return ledger.Run{}, fmt.Errorf("log %s has no entry %d", id, from)
	}
	if from < held.pruned {
		return ledger.Run{}, &exchange.PrunedError{Log: id, From: held.pruned}
	}
	r := ledger.Run{Log: id, First: from}
	size := 0
	at := from
	for _, c := range held.kept {
		if c.Size <= from {
			continue
		}
		for ; at < c.Size; at++ {
			size += len(held.entries[at])
		}
		if r.End.Size > 0 && (size > maxBytes || c.Size-from > ledger.RunMaxEntries) {
			break
		}
		r.End = c
	}
	r.Entries = held.entries[from:r.End.Size]
	root, err := held.rootAt(from)
	copy(r.Branch[:], root[:])
	return r, err
}

func (h *heldLog) rootAt(size uint64) (ledger.Hash, error) {
	for _, c := range h.kept {
		if c.Size == size {
			return c.Root, nil
		}
	}
	leaves := make([]ledger.Hash, size)
	for i := range leaves {
		leaves[i] = ledger.LeafHash(h.entries[i])
	}
	e, err := ledger.Edge{}.Append(leaves...)
	return e.Root(), err
}

// Updates returns a channel that gets a token after growth, of logs or objects.
func (s *Store) Updates() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch[c] = true
	return c, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watch, c)
	}
}

// PutObject stores an object.
func (s *Store) PutObject(_ context.Context, b []byte) (ledger.Hash, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := ledger.ObjectHash(b)
	if s.fail != nil {
		return h, s.fail
	}
	if s.erased[h] {
		return h, ErrErased
	}
	s.objects[h] = b
	s.wake()
	return h, nil
}

// AcceptObject stores an object that a peer sent.
func (s *Store) AcceptObject(ctx context.Context, b []byte) (ledger.Hash, error) {
	return s.PutObject(ctx, b)
}

// ErrErased is returned by PutObject for an object that a held entry erases.
var ErrErased = errors.New("the object is erased")

// ErrNoObject is returned by Object for one that is not held.
var ErrNoObject = errors.New("the object is not held")

// Object returns an object's bytes.
func (s *Store) Object(h ledger.Hash) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.objects[h]
	if !ok {
		return nil, ErrNoObject
	}
	return b, nil
}

// MissingObjects lists objects that held entries name and that are neither held nor
// erased.
func (s *Store) MissingObjects() []ledger.Hash {
	s.mu.Lock()
	defer s.mu.Unlock()
	var missing []ledger.Hash
	for _, h := range slices.SortedFunc(maps.Keys(s.named), func(a, b ledger.Hash) int { return slices.Compare(a[:], b[:]) }) {
		if _, ok := s.objects[h]; !ok && !s.erased[h] {
			missing = append(missing, h)
		}
	}
	return missing
}
