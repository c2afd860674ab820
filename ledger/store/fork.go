package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/tlog"

	"rasid/ledger"
	"rasid/ledger/event"
)

// forksMax is how many contradicting runs of one log are kept. One proves the fork;
// more help to see when it began.
const forksMax = 8

// branchesMax is how many branches of one log are stored. A writer who makes more
// histories than that is known for what he is.
const branchesMax = 8

// Fork is the evidence that a log's writer made two histories: two statements by
// the same key that cannot both be true.
type Fork struct {
	Log    ledger.LogID
	Ours   ledger.Checkpoint // held when the other arrived
	Theirs ledger.Run        // its checkpoint contradicts ours
}

// place finds where a run belongs that does not make the branch held first grow: it
// is held already, makes another branch grow, or departs from one and so begins the
// next. A run begins with entries that are held and ends at a checkpoint, so the
// branches are all histories that the runs taken so far tell of, whatever order they
// came in. refused is why the branch held first did not take it.
func (s *Store) place(st *staged, run ledger.Run, refused error) (IngestResult, error) {
	if err := s.flush(st); err != nil { // so that the index knows all
		return IngestResult{}, err
	}
	hs := s.branches(st, run.Log)
	var blind error // what would tell was pruned
	for n, h := range hs {
		if run.End.Size <= h.log.End.Size {
			root, err := h.rootAt(run.End.Size)
			if errors.Is(err, ErrPruned) {
				blind = err
				continue
			}
			if err != nil {
				return IngestResult{}, err
			}
			if root == run.End.Root {
				return IngestResult{Held: true, Err: forkedIf(n > 0, run)}, nil
			}
		}
	}
	for _, h := range hs[1:] {
		if g, next, err := h.grow(run); err == nil && len(g.entries) > 0 {
			return IngestResult{Added: len(g.entries), Held: true, Err: forkedIf(true, run)}, s.add(st, next, g)
		}
	}
	if run.First > longestOf(hs) {
		return IngestResult{Err: refused}, nil // a gap
	}
	h, g, err := s.depart(hs, run)
	if err != nil {
		return IngestResult{}, err
	}
	// That the log has forked takes two signatures: a run that cannot be placed
	// proves it where its checkpoint contradicts one of ours.
	if len(g.entries) == 0 {
		if blind != nil {
			return IngestResult{Err: fmt.Errorf("log %s from %d to %d cannot be compared: %w", run.Log, run.First, run.End.Size, blind)}, nil
		}
		if run.End.Size > hs[0].log.End.Size {
			return IngestResult{Err: refused}, nil
		}
		return IngestResult{Err: forkedIf(true, run)}, s.keepFork(hs[0], run)
	}
	if err := s.keepFork(hs[0], run); err != nil || len(hs) >= branchesMax {
		return IngestResult{Err: forkedIf(true, run)}, err
	}
	return IngestResult{Added: len(g.entries), Held: true, Err: forkedIf(true, run)}, s.add(st, h, g)
}

func forkedIf(forked bool, run ledger.Run) error {
	if !forked {
		return nil
	}
	return fmt.Errorf("log %s at %d: %w", run.Log, run.End.Size, ledger.ErrFork)
}

func longestOf(hs []held) uint64 {
	size := uint64(0)
	for _, h := range hs {
		size = max(size, h.log.End.Size)
	}
	return size
}

// depart returns the branch that the run begins, and its first growth: from the
// entry in which it differs from the branch that it follows longest. No entries
// where it follows none, and where that cannot be told without entries that were
// pruned. Where it differs within a pruned bundle that it covers, the bundle's first
// entry is taken for the one.
func (s *Store) depart(hs []held, run ledger.Run) (held, growth, error) {
	var from held
	var edge ledger.Edge
	for _, h := range hs {
		if run.First > h.log.End.Size {
			continue
		}
		run, cut := h.cutPruned(run)
		before, err := h.edgeAt(run.First)
		if errors.Is(err, ErrPruned) {
			continue
		}
		if err != nil {
			return held{}, growth{}, err
		}
		if root := before.Root(); !cut && !bytes.Equal(root[:ledger.BranchBytes], run.Branch[:]) {
			continue
		}
		at, same, err := h.follow(run)
		if errors.Is(err, ErrPruned) {
			continue
		}
		if err != nil {
			return held{}, growth{}, err
		}
		if from.branch != nil && at <= from.log.End.Size {
			continue
		}
		after, err := before.Append(leavesOf(run.Entries)...)
		if err != nil || after.Root() != run.End.Root || same {
			continue // altered on the way
		}
		from, edge = h, after
		from.log.End.Size = at // how far run follows it
	}
	if from.branch == nil {
		return held{}, growth{}, nil
	}
	departs := from.log.End.Size
	if departs == 0 {
		// A second entry 0 must prove the log's right to exist as the first one did, or
		// it would be held here and refused where it comes first.
		opened, err := event.OpenLog(s.cfg.Fleet, run.Log, run.Entries[0])
		if err != nil {
			return held{}, growth{}, nil
		}
		from.opened = opened
	}
	from.branch = &branch{log: run.Log, number: byte(len(hs)), departs: departs, parent: from.branch}
	from.prunedTo = from.branch.prunedBelow(from.prunedTo)
	from.log = ledger.Log{Key: from.log.Key, Edge: edge, End: run.End}
	fresh := run.Entries[departs-run.First:]
	g, err := from.growth(departs, fresh, leavesOf(fresh))
	return from, g, err
}

// cutPruned takes off a run what it has of the pruned bundle in which it begins, and
// reports whether it did. The rest leads from a root that is kept to the run's
// checkpoint, or the run does not belong here.
func (h held) cutPruned(run ledger.Run) (ledger.Run, bool) {
	at := (run.First/bundleEntries + 1) * bundleEntries
	if run.First < bundleEntries || run.First%bundleEntries == 0 || run.First >= h.prunedTo || at >= run.End.Size {
		return run, false
	}
	run.Entries, run.First = run.Entries[at-run.First:], at
	return run, true
}

// follow returns the first index at which the run has another entry than the branch,
// or same if it has none. Pruned entries are compared by their bundle's root: then the
// index is that of the bundle's first one, and a run that covers a part of such a
// bundle is ErrPruned.
func (h held) follow(run ledger.Run) (at uint64, same bool, err error) {
	end := min(run.End.Size, h.log.End.Size)
	compare := func(i uint64, entry []byte) error {
		if bytes.Equal(entry, run.Entries[i-run.First]) {
			return nil
		}
		at = i
		return errEnough
	}
	for at = run.First; at < end && err == nil; {
		stop := min(end, (at/bundleEntries+1)*bundleEntries)
		if at >= bundleEntries && at < h.prunedTo {
			err = h.compareBundle(at, stop, run)
		} else {
			err = h.entries(at, stop, compare)
		}
		if err == nil {
			at = stop
		}
	}
	if err == errEnough {
		return at, false, nil
	}
	return at, true, err
}

// compareBundle compares a run's entries from..to-1 with those of a bundle that was
// pruned, by the root that is kept of it: errEnough where they are others.
func (h held) compareBundle(from, to uint64, run ledger.Run) error {
	if from%bundleEntries != 0 || to-from != bundleEntries {
		return errPruned(run.Log, from, h.prunedTo)
	}
	hashes, err := h.hashes(1, from/bundleEntries, from/bundleEntries+1)
	if err != nil {
		return err
	}
	if rootOf(leavesOf(run.Entries[from-run.First:to-run.First])) != ledger.Hash(hashes[0]) {
		return errEnough
	}
	return nil
}

// edgeAt returns the edge of the branch's tree at any size up to what is held.
func (h held) edgeAt(size uint64) (ledger.Edge, error) {
	if size == 0 {
		return ledger.Edge{}, nil
	}
	if size == h.log.End.Size {
		return h.log.Edge, nil
	}
	var at []int64
	before := uint64(0)
	for level := 48; level >= 0; level-- {
		if width := uint64(1) << level; size&width != 0 {
			at = append(at, tlog.StoredHashIndex(level, int64(before>>level)))
			before += width
		}
	}
	read, err := h.tree().ReadHashes(at)
	if err != nil {
		return ledger.Edge{}, err
	}
	hashes := make([]ledger.Hash, len(read))
	for i, r := range read {
		hashes[i] = ledger.Hash(r)
	}
	return ledger.EdgeOf(size, hashes)
}

// Branch is one history of a log, as it was durable when Branches was called.
type Branch struct{ h held }

// Branches returns the histories held of a log: one, and of a log that has forked
// all up to a limit. The first is the one that Log, Range and the others tell of,
// because it was held first; it may be another on another node.
func (s *Store) Branches(id ledger.LogID) []Branch {
	s.mu.RLock()
	defer s.mu.RUnlock()
	first := s.logs[id]
	if first == nil || first.opened == nil {
		return nil
	}
	out := []Branch{{*first}}
	for _, h := range s.forked[id] {
		out = append(out, Branch{*h})
	}
	return out
}

// Log is whose history it is.
func (b Branch) Log() ledger.LogID { return b.h.branch.log }

// From is LogInfo.From of the branch.
func (b Branch) From() uint64 { return b.h.prunedTo }

// End is the newest checkpoint held.
func (b Branch) End() ledger.Checkpoint { return b.h.log.End }

// Departs is the index of the first entry that the branch has otherwise than the
// one it departs from; 0 for the first branch. Where that lay in a bundle that was
// pruned, it is the first of the bundle.
func (b Branch) Departs() uint64 { return b.h.branch.departs }

// Opened is what the branch's entry 0 says; not to be changed.
func (b Branch) Opened() *event.LogOpened { return b.h.opened }

// Root is Store.Root on the branch.
func (b Branch) Root(size uint64) (ledger.Hash, error) {
	if size > b.h.log.End.Size {
		return ledger.Hash{}, fmt.Errorf("log %s at %d, of which %d are held: %w", b.Log(), size, b.h.log.End.Size, ErrNotHeld)
	}
	return b.h.rootAt(size)
}

// Edge returns the edge of the branch's tree at any size up to what is held, every hash
// of it under the root held; ErrPruned where that takes leaf hashes of entries that were
// dropped.
func (b Branch) Edge(size uint64) (ledger.Edge, error) {
	if size > b.h.log.End.Size {
		return ledger.Edge{}, fmt.Errorf("log %s at %d, of which %d are held: %w", b.Log(), size, b.h.log.End.Size, ErrNotHeld)
	}
	return b.h.edgeAt(size)
}

// Covering is Store.Covering on the branch.
func (b Branch) Covering(index uint64) (ledger.Checkpoint, error) { return b.h.covering(index) }

// Range is Store.Range on the branch.
func (b Branch) Range(from, to uint64, f func(index uint64, entry []byte) error) error {
	return b.h.entries(from, to, f)
}

// Entry is Store.Entry on the branch.
func (b Branch) Entry(index uint64) ([]byte, error) { return b.h.entry(index) }

// ReadRun is Store.ReadRun on the branch.
func (b Branch) ReadRun(from uint64, maxBytes int) (ledger.Run, error) {
	return b.h.readRun(from, maxBytes)
}

// InclusionProof is Store.InclusionProof on the branch. Two of them for the entry at
// Departs, under the tips of two branches, with different leaves, prove the fork to
// whoever has the log key.
func (b Branch) InclusionProof(index, size uint64) (tlog.RecordProof, error) {
	return b.h.inclusionProof(index, size)
}

// keepFork stores both statements, once each.
func (s *Store) keepFork(h held, run ledger.Run) error {
	s.mu.RLock()
	known := 0
	for _, f := range s.forks {
		if f.Log != run.Log {
			continue
		}
		known++
		if f.Theirs.End.Root == run.End.Root {
			known = forksMax
		}
	}
	s.mu.RUnlock()
	if known >= forksMax {
		return nil
	}
	ours, err := h.checkpointAt(run.End.Size)
	if errors.Is(err, ErrNotHeld) {
		ours, err = h.log.End, nil
	}
	if err != nil {
		return err
	}
	f := Fork{Log: run.Log, Ours: ours, Theirs: run}
	if err := s.peers.putFork(f); err != nil {
		err = fmt.Errorf("couldn't keep the evidence of a fork: %w", err)
		s.fail(err)
		return err
	}
	s.mu.RLock()
	lost := maps.Clone(s.lost)
	s.mu.RUnlock()
	if err := s.marks.addFork(f, lost); err != nil {
		err = fmt.Errorf("couldn't mark the evidence of a fork in %s: %w", s.marks.path, err)
		s.fail(err)
		return err
	}
	s.cfg.Log.Error("a log has forked; both statements are kept", "log", run.Log.String(), "ours", ours.Size, "theirs", run.End.Size)
	s.mu.Lock()
	s.forks = append(s.forks, f)
	s.mu.Unlock()
	tip := forkMark(f).tip
	s.setLost(f.Log, slices.DeleteFunc(slices.Clone(lost[f.Log]), func(t ledger.Tip) bool { return t == tip }))
	s.notify()
	return nil
}

// proveBranches makes evidence anew of each log that has branches and none, which was
// lost: they prove the fork as well.
func (s *Store) proveBranches() error {
	for id, others := range s.forked {
		if len(others) == 0 || slices.ContainsFunc(s.forks, func(f Fork) bool { return f.Log == id }) {
			continue
		}
		run, err := others[0].readRun(others[0].branch.departs, ledger.RunMaxBytes)
		if err == nil {
			err = s.keepFork(*s.logs[id], run)
		}
		if err != nil {
			return fmt.Errorf("couldn't prove anew that log %s has forked: %w", id, err)
		}
	}
	return nil
}

// Forks returns the evidence of forks seen, oldest first within this run of the
// program.
func (s *Store) Forks() []Fork {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.forks)
}

// forkPartBytes keeps every part of the evidence in Badger's tree.
const forkPartBytes = 32 << 10

func (x *index) putFork(f Fork) error {
	b, err := encodeFork(f)
	if err != nil {
		return err
	}
	return x.write(func(txn *badger.Txn) error {
		n := uint64(0)
		for part := range slices.Chunk(b, forkPartBytes) {
			if err := txn.Set(forkKey(f.Log, f.Theirs.End.Root, n), part); err != nil {
				return err
			}
			n++
		}
		return nil
	})
}

// forks returns all evidence kept.
func (x *index) forks() ([]Fork, error) {
	var keys []string
	whole := map[string][]byte{}
	err := x.db.View(func(txn *badger.Txn) error {
		prefix := []byte{prefixFork}
		return scan(txn, prefix, prefix, func(item *badger.Item) (bool, error) {
			v, err := item.ValueCopy(nil)
			k := item.Key()
			name, part := string(k[:len(k)-8]), binary.BigEndian.Uint64(k[len(k)-8:])
			if part == 0 {
				keys = append(keys, name)
			}
			if uint64(len(whole[name])) != part*forkPartBytes {
				return false, fmt.Errorf("%w: %s lacks a part of a fork's evidence", errDamagedIndex, x.path)
			}
			whole[name] = append(whole[name], v...)
			return true, err
		})
	})
	if err != nil {
		return nil, err
	}
	var out []Fork
	for _, name := range keys {
		f, err := decodeFork(whole[name])
		if err != nil {
			return nil, fmt.Errorf("%w: %s: evidence of a fork: %w", errDamagedIndex, x.path, err)
		}
		out = append(out, f)
	}
	return out, nil
}

// encodeFork writes size, root and signature of our checkpoint, then their run.
func encodeFork(f Fork) ([]byte, error) {
	run, err := f.Theirs.Encode()
	if err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint64(nil, f.Ours.Size)
	b = append(append(b, f.Ours.Root[:]...), f.Ours.Sig[:]...)
	return append(b, run...), nil
}

func decodeFork(b []byte) (Fork, error) {
	var f Fork
	const fixed = 8 + ledger.HashBytes + len(f.Ours.Sig)
	if len(b) < fixed {
		return f, fmt.Errorf("%d bytes", len(b))
	}
	f.Ours.Size = binary.BigEndian.Uint64(b)
	copy(f.Ours.Root[:], b[8:])
	copy(f.Ours.Sig[:], b[8+ledger.HashBytes:])
	var err error
	f.Theirs, err = ledger.DecodeRun(b[fixed:])
	f.Log = f.Theirs.Log
	return f, err
}
