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
	"rasid/ledger/book"
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

// Machine is one enrolled machine with its log.
type Machine struct {
	Key   ed25519.PrivateKey
	Log   ed25519.PrivateKey
	Chain cert.Chain
	Entry []byte // entry 0 of the log

	Ordinal uint32 // of its incarnation
}

// Enrol makes a machine whose certificate lasts through the day notAfter.
func (f *Fleet) Enrol(slot uint32, role cert.Role, notAfter uint32) (Machine, error) {
	name := fmt.Sprintf("%s/machine/%d", f.name, slot)
	m := Machine{Key: keyOf(name)}
	district := cert.Certificate{Cell: math.MaxUint32, Role: cert.RoleDistrict, NotAfter: 1 << 20}
	copy(district.Key[:], f.district.Public().(ed25519.PublicKey))
	machine := cert.Certificate{Slot: slot, Cell: 1, Role: role, NotAfter: notAfter}
	copy(machine.Key[:], m.Key.Public().(ed25519.PublicKey))
	var errs [2]error
	m.Chain.District, errs[0] = cert.Issue(f.private, district)
	m.Chain.Machine, errs[1] = cert.Issue(f.district, machine)
	if err := errors.Join(errs[:]...); err != nil {
		return m, err
	}
	return m.begin(keyOf(name+"/log"), cert.Grant{Ordinal: 1, Reason: cert.ReasonEnrolled})
}

// Renew returns the machine at its next incarnation, whose log key the name tells. last
// is what it knows of its log.
func (m Machine) Renew(name string, last ledger.Checkpoint) (Machine, error) {
	before := m.ID()
	return m.begin(keyOf(name), cert.Grant{
		Ordinal: m.Ordinal + 1, Reason: cert.ReasonDoubt, Before: &cert.Predecessor{Log: before, Size: last.Size, Root: last.Root},
	})
}

// begin grants the machine a log.
func (m Machine) begin(key ed25519.PrivateKey, g cert.Grant) (Machine, error) {
	m.Log, m.Ordinal = key, g.Ordinal
	if m.Chain.Machine.Role == cert.RoleOffice {
		g.Stream = cert.StreamAuthority
	}
	copy(g.LogKey[:], key.Public().(ed25519.PublicKey))
	g, err := cert.SignGrant(m.Key, g)
	if err != nil {
		return m, err
	}
	m.Entry, err = entryOf(&event.LogOpened{Chain: m.Chain, Grant: g, Currency: event.Currency, Rules: book.Rules1()})
	return m, err
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
	logs    map[ledger.LogID][]*heldLog // the branches of each, the one held first before the others
	objects map[ledger.Hash][]byte
	named   map[ledger.Hash]bool
	erased  map[ledger.Hash]bool
	watch   map[chan struct{}]bool
	fail    error
	forked  bool
}

// heldLog is one branch of a log.
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
		fleet: fleet, own: m.ID(), logs: make(map[ledger.LogID][]*heldLog),
		objects: make(map[ledger.Hash][]byte), named: make(map[ledger.Hash]bool), erased: make(map[ledger.Hash]bool),
		watch: make(map[chan struct{}]bool),
	}
	_, err := s.Commit(m, m.Entry)
	return s, err
}

// Commit appends entries to the machine's own log.
func (s *Store) Commit(m Machine, entries ...[]byte) ([]ledger.Tip, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := &heldLog{log: ledger.Log{Key: m.Log.Public().(ed25519.PublicKey)}}
	if all := s.logs[m.ID()]; len(all) > 0 {
		held = all[0]
	} else {
		s.logs[m.ID()] = []*heldLog{held}
	}
	r, err := held.log.NewRun(m.Log, entries)
	if err != nil {
		return nil, err
	}
	next, fresh, err := held.log.Extend(r)
	if err != nil {
		return nil, err
	}
	s.grow(held, next, fresh)
	return s.tips(m.ID()), nil
}

// grow is called with mu held.
func (s *Store) grow(held *heldLog, next ledger.Log, fresh [][]byte) {
	first := uint64(len(held.entries))
	held.log = next
	held.entries = append(held.entries, fresh...)
	held.kept = append(held.kept, next.End)
	for i, entry := range fresh {
		s.follow(held, first+uint64(i), entry)
	}
	s.wake()
}

func (s *Store) tips(id ledger.LogID) (tips []ledger.Tip) {
	for _, h := range s.logs[id] {
		tips = append(tips, h.tip())
	}
	return tips
}

func (h *heldLog) tip() ledger.Tip { return ledger.Tip{Size: h.log.End.Size, Root: h.log.End.Root} }

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
	s.logs[log][0].pruned = from
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
	for id := range s.logs {
		f[id] = s.tips(id)
	}
	return f
}

// Entries returns the entries of each branch of a log.
func (s *Store) Entries(id ledger.LogID) (branches [][][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.logs[id] {
		branches = append(branches, slices.Clone(h.entries))
	}
	return branches
}

// branchesMax is how many branches of one log are held.
const branchesMax = 8

// Ingest stores runs. One verdict stands for each.
func (s *Store) Ingest(_ context.Context, runs []ledger.Run) ([]exchange.Verdict, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	out := make([]exchange.Verdict, len(runs))
	for i, r := range runs {
		out[i].New, out[i].Err = s.ingest(r)
		out[i].Tips = s.tips(r.Log)
	}
	return out, nil
}

func (s *Store) ingest(r ledger.Run) (added bool, err error) {
	all := s.logs[r.Log]
	if r.Log == s.own {
		return false, s.judgeOwn(all[0], r)
	}
	if len(all) == 0 {
		if r.First != 0 {
			return false, fmt.Errorf("log %s is not held: %w", r.Log, ledger.ErrGap)
		}
		opened, err := event.OpenLog(s.fleet, r.Log, r.Entries[0])
		if err != nil {
			return false, err
		}
		all = []*heldLog{{log: ledger.Log{Key: opened.Grant.PublicKey()}}}
	}
	if err := all[0].log.Check(r); err != nil {
		return false, err
	}
	for _, h := range all {
		if root, err := h.rootAt(r.End.Size); err == nil && root == r.End.Root {
			return false, nil
		}
	}
	for _, h := range all {
		if next, fresh, err := h.log.Extend(r); err == nil && len(fresh) > 0 {
			s.logs[r.Log] = all
			s.grow(h, next, fresh)
			return true, nil
		}
	}
	return s.depart(all, r)
}

// depart begins a branch where the run departs from the one that it follows longest.
func (s *Store) depart(all []*heldLog, r ledger.Run) (bool, error) {
	var from *heldLog
	at, size := uint64(0), uint64(0)
	for _, h := range all {
		size = max(size, h.log.End.Size)
		root, err := h.rootAt(r.First)
		if err != nil || [ledger.BranchBytes]byte(root[:]) != r.Branch {
			continue
		}
		n := r.First
		for n < min(r.End.Size, h.log.End.Size) && slices.Equal(h.entries[n], r.Entries[n-r.First]) {
			n++
		}
		if from == nil || n > at {
			from, at = h, n
		}
	}
	if from == nil {
		if r.First > size {
			return false, fmt.Errorf("log %s: %w", r.Log, ledger.ErrGap)
		}
		return false, fmt.Errorf("%w run of log %s: it begins on no branch held", ledger.ErrMalformed, r.Log)
	}
	b := &heldLog{author: from.author, entries: slices.Clone(from.entries[:at])}
	for _, c := range from.kept {
		if c.Size <= at {
			b.kept = append(b.kept, c)
		}
	}
	edge, err := ledger.Edge{}.Append(leavesOf(b.entries)...)
	if err != nil {
		return false, err
	}
	b.log = ledger.Log{Key: from.log.Key, Edge: edge, End: ledger.Checkpoint{Size: at, Root: edge.Root()}}
	if at == 0 {
		if _, err := event.OpenLog(s.fleet, r.Log, r.Entries[0]); err != nil {
			return false, err
		}
	}
	next, fresh, err := b.log.Extend(r)
	if err != nil {
		return false, err
	}
	if len(all) >= branchesMax {
		return false, fmt.Errorf("log %s has %d branches already: %w", r.Log, len(all), ledger.ErrFork)
	}
	s.logs[r.Log] = append(all, b)
	s.grow(b, next, fresh)
	return true, nil
}

// judgeOwn tells an echo of what this machine wrote from a proof that another wrote, too.
func (s *Store) judgeOwn(own *heldLog, r ledger.Run) error {
	if err := r.End.Verify(own.log.Key); err != nil {
		return err
	}
	if root, err := own.rootAt(r.End.Size); err == nil && root == r.End.Root {
		return nil
	}
	s.forked = true
	return fmt.Errorf("own log %s: %w", r.Log, ledger.ErrFork)
}

// Copy is the store as a copy of its disk would be.
func (s *Store) Copy() *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &Store{
		fleet: s.fleet, own: s.own, forked: s.forked, logs: make(map[ledger.LogID][]*heldLog), watch: make(map[chan struct{}]bool),
		objects: maps.Clone(s.objects), named: maps.Clone(s.named), erased: maps.Clone(s.erased),
	}
	for id, all := range s.logs {
		for _, h := range all {
			copied := *h
			copied.entries, copied.kept = slices.Clone(h.entries), slices.Clone(h.kept)
			c.logs[id] = append(c.logs[id], &copied)
		}
	}
	return c
}

// Renew begins the log of the machine's next incarnation. The one before is from now on
// held like any other machine's.
func (s *Store) Renew(m Machine) error {
	s.mu.Lock()
	s.own, s.forked = m.ID(), false
	s.mu.Unlock()
	_, err := s.Commit(m, m.Entry)
	return err
}

// Last is the newest checkpoint of the own log.
func (s *Store) Last() ledger.Checkpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logs[s.own][0].log.End
}

// Forked reports whether a run has proven that the own log was written by another, too.
func (s *Store) Forked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forked
}

// ReadRun answers the exchange from what is held now.
func (s *Store) ReadRun(q exchange.ReadRun) exchange.RunRead {
	s.mu.Lock()
	defer s.mu.Unlock()
	var branches []exchange.Branch
	for _, h := range s.logs[q.Log] {
		branches = append(branches, served{h, q.Log})
	}
	return exchange.Serve(branches, q)
}

// served is a branch as exchange.Serve reads it.
type served struct {
	*heldLog
	id ledger.LogID
}

func (h served) Tip() ledger.Tip { return h.tip() }

// Root is unknown within what was dropped, but where a checkpoint is kept.
func (h served) Root(size uint64) (ledger.Hash, error) {
	kept := slices.ContainsFunc(h.kept, func(c ledger.Checkpoint) bool { return c.Size == size })
	if size > 0 && size < h.pruned && !kept {
		return ledger.Hash{}, &exchange.PrunedError{Log: h.id, From: h.pruned}
	}
	return h.rootAt(size)
}

// ReadRun reads from an index to the last kept checkpoint within maxBytes and a batch's
// entries, or to the first one if that is farther.
func (h served) ReadRun(from uint64, maxBytes int) (ledger.Run, error) {
	if from < h.pruned {
		return ledger.Run{}, &exchange.PrunedError{Log: h.id, From: h.pruned}
	}
	r := ledger.Run{Log: h.id, First: from}
	size := 0
	at := from
	for _, c := range h.kept {
		if c.Size <= from {
			continue
		}
		for ; at < c.Size; at++ {
			size += len(h.entries[at])
		}
		if r.End.Size > 0 && (size > maxBytes || c.Size-from > ledger.BatchMaxEntries) {
			break
		}
		r.End = c
	}
	r.Entries = h.entries[from:r.End.Size]
	root, err := h.rootAt(from)
	copy(r.Branch[:], root[:])
	return r, err
}

func leavesOf(entries [][]byte) []ledger.Hash {
	leaves := make([]ledger.Hash, len(entries))
	for i, e := range entries {
		leaves[i] = ledger.LeafHash(e)
	}
	return leaves
}

func (h *heldLog) rootAt(size uint64) (ledger.Hash, error) {
	for _, c := range h.kept {
		if c.Size == size {
			return c.Root, nil
		}
	}
	if size > uint64(len(h.entries)) {
		return ledger.Hash{}, fmt.Errorf("%d entries are held, not %d", len(h.entries), size)
	}
	e, err := ledger.Edge{}.Append(leavesOf(h.entries[:size])...)
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
