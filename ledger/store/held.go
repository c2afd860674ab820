package store

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"rasid/ledger"
	"rasid/ledger/event"
)

// held is one branch of a log as it is durable. A copy taken under Store.mu stays
// valid.
type held struct {
	own    bool
	index  *index
	branch *branch
	opened *event.LogOpened // nil while the log is empty
	log    ledger.Log
	// prunedTo is where the dropped entries end, which begin at bundleEntries; 0: none.
	prunedTo uint64
	// pending is what is durable in the journal and on its way into the index: growths
	// that follow on each other up to log.End. Only own logs have any.
	pending []*growth
}

// indexed is how many entries the index is known to hold.
func (h held) indexed() uint64 {
	if len(h.pending) > 0 {
		return h.pending[0].first
	}
	return h.log.End.Size
}

// checkpointAt returns the checkpoint kept at exactly that size, or ErrNotHeld.
func (h held) checkpointAt(size uint64) (ledger.Checkpoint, error) {
	if size == h.log.End.Size {
		return h.log.End, nil
	}
	for _, g := range h.pending {
		if g.log.End.Size == size {
			return g.log.End, nil
		}
	}
	return h.index.checkpoint(h.branch, size)
}

// grow verifies run and returns what the log grows by and the log after it. Commit,
// recovery and ingest all pass here. No entries means that all are held already.
func (s *Store) grow(h held, run ledger.Run) (growth, held, error) {
	h, err := s.openLog(h, run)
	if err != nil {
		return growth{}, h, err
	}
	if err := h.log.Check(run); err != nil {
		return growth{}, h, err
	}
	return h.grow(run)
}

// openLog verifies entry 0, up to the fleet, of a log of which nothing is held.
func (s *Store) openLog(h held, run ledger.Run) (held, error) {
	if h.opened != nil {
		return h, nil
	}
	if run.First != 0 || len(run.Entries) == 0 {
		return h, fmt.Errorf("log %s: nothing is held, the run begins at %d: %w", run.Log, run.First, ledger.ErrGap)
	}
	opened, err := event.OpenLog(s.cfg.Fleet, run.Log, run.Entries[0])
	if err != nil {
		return h, err
	}
	h.opened, h.log = opened, ledger.Log{Key: opened.Grant.PublicKey()}
	h.branch = &branch{log: run.Log}
	return h, nil
}

// grow appends a run that Log.Check has passed.
func (h held) grow(run ledger.Run) (growth, held, error) {
	first := h.log.End.Size
	next, fresh, leaves, err := h.log.Continue(run)
	if err != nil {
		return growth{}, h, err
	}
	h.log = next
	g, err := h.growth(first, fresh, leaves)
	return g, h, err
}

// growth is what the log as it is now grew by.
func (h held) growth(first uint64, fresh [][]byte, leaves []ledger.Hash) (growth, error) {
	g := growth{branch: h.branch, first: first, entries: fresh, leaves: leaves, log: h.log}
	for i, raw := range fresh {
		g.size += len(raw)
		e, err := ledger.Envelope(raw)
		if err != nil {
			return growth{}, err
		}
		if !event.Names(e.Kind) || !h.opened.Author().MayWrite(first+uint64(i), e.Kind) {
			continue // it may not make us fetch or look up anything
		}
		if e, err = ledger.ParseEntry(raw); err != nil {
			return growth{}, err
		}
		// A body that breaks its kind's form names nothing; the entry is kept and listed.
		body, err := event.Decode(e)
		if err != nil {
			continue
		}
		g.objects = append(g.objects, event.Objects(body)...)
		g.erased = append(g.erased, event.Erases(body)...)
		if bill, ok := event.PaidBill(body); ok {
			g.payments = append(g.payments, payment{bill, first + uint64(i)})
		}
	}
	return g, nil
}

// publish makes a durable growth of an own log visible, and with it the log as it is
// now. What it erases is gone before anybody sees the entries that say so.
func (s *Store) publish(h held, g growth) error {
	if err := s.objects.follow(g); err != nil {
		return err
	}
	id := h.log.ID()
	s.mu.Lock()
	defer s.mu.Unlock()
	// The indexer may have taken away what was pending when h was copied. Readers keep
	// their copies: an element that one of them has is never written again.
	h.pending = append(s.logs[id].pending, &g)
	s.logs[id] = &h
	return nil
}

// arrived takes the first n growths of an own log, which the index now holds, away
// from what is on its way there.
func (s *Store) arrived(id ledger.LogID, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := *s.logs[id]
	if h.pending = h.pending[n:]; len(h.pending) == 0 {
		h.pending = nil // lets go of those that arrived
	}
	s.logs[id] = &h
}

// view returns a log that has at least one entry.
func (s *Store) view(id ledger.LogID) (held, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	h := s.logs[id]
	if h == nil || h.opened == nil {
		return held{}, fmt.Errorf("log %s: %w", id, ErrNotHeld)
	}
	return *h, nil
}

// entries calls f with the entries from..to-1 in order, each exactly once.
func (h held) entries(from, to uint64, f func(i uint64, entry []byte) error) error {
	id := h.log.ID()
	if from > to || to > h.log.End.Size {
		return fmt.Errorf("entries %d to %d of log %s, of which %d are held: %w", from, to, id, h.log.End.Size, ErrNotHeld)
	}
	if err := h.index.entries(h.branch, from, min(to, h.indexed()), f); err != nil {
		return err
	}
	for _, g := range h.pending {
		for i := max(from, g.first); i < min(to, g.log.End.Size); i++ {
			if err := f(i, g.entries[i-g.first]); err != nil {
				return err
			}
		}
	}
	return nil
}

// rootAt returns the root of the log's tree at any size up to what is held.
func (h held) rootAt(size uint64) (ledger.Hash, error) {
	switch size {
	case 0:
		return ledger.Edge{}.Root(), nil
	case h.log.End.Size:
		return h.log.End.Root, nil
	}
	c, err := h.checkpointAt(size)
	if err == nil {
		return c.Root, nil
	}
	if !errors.Is(err, ErrNotHeld) {
		return ledger.Hash{}, err
	}
	root, err := tlog.TreeHash(int64(size), h.tree())
	return ledger.Hash(root), err
}

// checkpointsAfter returns kept checkpoints beyond from, ascending, few enough for
// one run, at least one if from is less than what is held.
func (h held) checkpointsAfter(from uint64, limit int) ([]ledger.Checkpoint, error) {
	out, err := h.index.checkpointsAfter(h.branch, from, h.log.End.Size, limit)
	if err != nil {
		return nil, err
	}
	// The index lacks what is on its way there, and may since have dropped the newest.
	add := func(c ledger.Checkpoint) {
		if len(out) < limit && c.Size > from && (len(out) == 0 || out[len(out)-1].Size < c.Size) {
			out = append(out, c)
		}
	}
	for _, g := range h.pending {
		add(g.log.End)
	}
	add(h.log.End)
	return out, nil
}

func (s *Store) readOpened(h *held) (*event.LogOpened, error) {
	var opened *event.LogOpened
	err := h.entries(0, 1, func(_ uint64, entry []byte) (err error) {
		opened, err = event.OpenLog(s.cfg.Fleet, h.log.ID(), entry)
		return err
	})
	return opened, err
}

// readForkOpened finds the entry 0 of a further branch: the parent's, unless it departs
// there.
func (s *Store) readForkOpened(h *held) (err error) {
	if h.branch.departs == 0 {
		h.opened, err = s.readOpened(h)
		return err
	}
	h.opened = s.parentOf(h).opened
	return nil
}

// LogInfo is what is held of one log.
type LogInfo struct {
	ID     ledger.LogID
	Key    ed25519.PublicKey
	Opened *event.LogOpened  // entry 0; not to be changed
	End    ledger.Checkpoint // the newest held
	Own    bool
	// From is the first index from which on every entry is held: 0, or where pruning
	// ended. Entry 0 and the rest of its bundle are always held.
	From uint64
}

func (h held) info() LogInfo {
	return LogInfo{ID: h.log.ID(), Key: h.log.Key, Opened: h.opened, End: h.log.End, Own: h.own, From: h.prunedTo}
}

// Log returns what is durably held of a log, and whether anything is.
func (s *Store) Log(id ledger.LogID) (LogInfo, bool) {
	h, err := s.view(id)
	if err != nil {
		return LogInfo{}, false
	}
	return h.info(), true
}

// Logs returns every log of which something is durably held, ascending by id.
func (s *Store) Logs() []LogInfo {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []LogInfo
	for _, h := range s.logs {
		if h.opened != nil {
			out = append(out, h.info())
		}
	}
	slices.SortFunc(out, func(a, b LogInfo) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return out
}

// Frontier returns how far each log is durably held: its tip, and of a log that has
// forked the tips of all its branches, the one held first before the others.
func (s *Store) Frontier() ledger.Frontier {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f := make(ledger.Frontier, len(s.logs))
	for id, h := range s.logs {
		if h.opened == nil {
			continue
		}
		f[id] = []ledger.Tip{h.tip()}
		for _, other := range s.forked[id] {
			f[id] = append(f[id], other.tip())
		}
	}
	return f
}

func (h held) tip() ledger.Tip { return ledger.Tip{Size: h.log.End.Size, Root: h.log.End.Root} }

// Entry returns the bytes of one durable entry, or ErrNotHeld.
func (s *Store) Entry(p ledger.Position) ([]byte, error) {
	h, err := s.view(p.Log)
	if err != nil {
		return nil, err
	}
	return h.entry(p.Index)
}

func (h held) entry(index uint64) ([]byte, error) {
	var out []byte
	err := h.entries(index, index+1, func(_ uint64, entry []byte) error {
		out = bytes.Clone(entry)
		return nil
	})
	return out, err
}

// Range calls f with the durable entries from..to-1 of a log in order. f must not
// keep or change the bytes; its error ends the walk and is returned. An entry that
// should be there and is not is an error, never a shorter walk; one that was dropped is
// ErrPruned, and the walk ends before it.
func (s *Store) Range(id ledger.LogID, from, to uint64, f func(index uint64, entry []byte) error) error {
	h, err := s.view(id)
	if err != nil {
		return err
	}
	return h.entries(from, to, f)
}

// CheckpointAt returns the checkpoint kept at exactly that size, or ErrNotHeld.
func (s *Store) CheckpointAt(id ledger.LogID, size uint64) (ledger.Checkpoint, error) {
	h, err := s.view(id)
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	return h.checkpointAt(size)
}

// Covering returns the first kept checkpoint that vouches for the entry: of an own
// log, always the one of the commit that made it durable; of another's, one of those
// that came with it, at most ledger.BatchMaxEntries later where such a one came.
func (s *Store) Covering(p ledger.Position) (ledger.Checkpoint, error) {
	h, err := s.view(p.Log)
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	return h.covering(p.Index)
}

func (h held) covering(index uint64) (ledger.Checkpoint, error) {
	points, err := h.checkpointsAfter(index, 1)
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	if len(points) == 0 {
		return ledger.Checkpoint{}, fmt.Errorf("entry %s: %w", ledger.Position{Log: h.branch.log, Index: index}, ErrNotHeld)
	}
	return points[0], nil
}

// ReadRun returns the longest run of durable entries from the given index that ends
// at a kept checkpoint, has at most ledger.BatchMaxEntries and of them at most maxBytes;
// where even the shortest has more, the shortest (never beyond ledger.RunMaxBytes). So
// whoever takes it can cut it in the same places. ErrNotHeld when nothing is held from
// there on, ErrPruned below LogInfo.From.
func (s *Store) ReadRun(id ledger.LogID, from uint64, maxBytes int) (ledger.Run, error) {
	h, err := s.view(id)
	if err != nil {
		return ledger.Run{}, err
	}
	return h.readRun(from, maxBytes)
}

func (h held) readRun(from uint64, maxBytes int) (ledger.Run, error) {
	id := h.branch.log
	if from < h.prunedTo {
		return ledger.Run{}, errPruned(id, max(from, bundleEntries), h.prunedTo)
	}
	if from >= h.log.End.Size {
		return ledger.Run{}, fmt.Errorf("entries from %d of log %s, of which %d are held: %w", from, id, h.log.End.Size, ErrNotHeld)
	}
	points, err := h.checkpointsAfter(from, ledger.BatchMaxEntries)
	if err != nil {
		return ledger.Run{}, err
	}
	near := slices.IndexFunc(points, func(c ledger.Checkpoint) bool { return c.Size-from > ledger.BatchMaxEntries })
	if near >= 0 {
		points = points[:max(near, 1)]
	}
	if len(points) == 0 || points[0].Size-from > ledger.RunMaxEntries {
		return ledger.Run{}, fmt.Errorf("%w: %s keeps no checkpoint of log %s from %d on", errDamagedIndex, h.index.path, id, from)
	}
	entries, end, err := h.collect(from, points, min(maxBytes, ledger.RunMaxBytes-runFixedBytes))
	if err != nil {
		return ledger.Run{}, err
	}
	root, err := h.rootAt(from)
	if err != nil {
		return ledger.Run{}, err
	}
	return ledger.Run{Log: id, First: from, Branch: [ledger.BranchBytes]byte(root[:]), Entries: entries, End: end}, nil
}

// What a run's bytes are beyond its entries': at most runFixedBytes, and
// entryExtraBytes for each entry.
const (
	runFixedBytes   = 256
	entryExtraBytes = 3
)

// collect returns the entries from index from up to the farthest of points that
// keeps within maxBytes, or to the first, and that checkpoint.
func (h held) collect(from uint64, points []ledger.Checkpoint, maxBytes int) (entries [][]byte, end ledger.Checkpoint, err error) {
	bytesSoFar := 0
	end = points[0]
	next := 0
	err = h.entries(from, points[len(points)-1].Size, func(i uint64, entry []byte) error {
		bytesSoFar += len(entry) + entryExtraBytes
		if bytesSoFar > maxBytes && i >= end.Size {
			return errEnough
		}
		entries = append(entries, bytes.Clone(entry))
		if points[next].Size != i+1 {
			return nil
		}
		if bytesSoFar <= maxBytes {
			end = points[next]
		}
		next++
		return nil
	})
	if err != nil && err != errEnough {
		return nil, end, err
	}
	return entries[:end.Size-from], end, nil
}
