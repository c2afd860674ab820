package store

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"

	"rasid/ledger"
	"rasid/ledger/event"
)

// held is one log as it is durable. A copy taken under Store.mu stays valid.
type held struct {
	own     bool
	index   *index
	opened  *event.LogOpened // nil while the log is empty
	log     ledger.Log
	pending *growth // durable in the journal, on its way into the index
}

// grow verifies run and returns what the log grows by and the log after it. Commit,
// recovery and ingest all pass here. No entries means that all are held already.
func (s *Store) grow(h held, run ledger.Run) (growth, held, error) {
	if h.opened == nil {
		if run.First != 0 || len(run.Entries) == 0 {
			return growth{}, h, fmt.Errorf("log %s: nothing is held, the run begins at %d: %w", run.Log, run.First, ledger.ErrGap)
		}
		opened, err := event.OpenLog(s.cfg.Fleet, run.Log, run.Entries[0])
		if err != nil {
			return growth{}, h, err
		}
		h.opened, h.log = opened, ledger.Log{Key: opened.Grant.PublicKey()}
	}
	first := h.log.End.Size
	next, fresh, err := h.log.Extend(run)
	if err != nil {
		return growth{}, h, err
	}
	g := growth{first: first, entries: fresh, log: next}
	for i, raw := range fresh {
		e, err := ledger.DecodeEntry(raw)
		if err != nil {
			return growth{}, h, err
		}
		if !h.opened.Author().MayWrite(first+uint64(i), e.Kind) {
			continue // it may not make us fetch anything
		}
		// A body that breaks its kind's form names nothing; the entry is kept and listed.
		if body, err := event.Decode(e); err == nil {
			g.objects = append(g.objects, event.Objects(body)...)
			g.erased = append(g.erased, event.Erases(body)...)
		}
	}
	h.log = next
	return g, h, nil
}

// publish makes a durable growth visible. What it erases is gone before anybody sees
// the entries that say so.
func (s *Store) publish(h held, g growth) error {
	if err := s.objects.follow(g); err != nil {
		return err
	}
	s.mu.Lock()
	s.logs[h.log.ID()] = &h
	s.mu.Unlock()
	return nil
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
	indexed := h.log.End.Size
	if h.pending != nil {
		indexed = h.pending.first
	}
	if err := h.index.entries(id, from, min(to, indexed), f); err != nil {
		return err
	}
	for i := max(from, indexed); i < to; i++ {
		if err := f(i, h.pending.entries[i-indexed]); err != nil {
			return err
		}
	}
	return nil
}

// at returns the log as it was at any size up to what is held; End is set only if a
// checkpoint is kept there.
func (h held) at(size uint64) (ledger.Log, error) {
	if size > h.log.End.Size {
		return ledger.Log{}, fmt.Errorf("log %s at %d: %w", h.log.ID(), size, ErrNotHeld)
	}
	if size == h.log.End.Size {
		return h.log, nil
	}
	base, err := h.index.lastAt(h.log.Key, size)
	if err != nil || base.End.Size == size {
		return base, err
	}
	if size-base.End.Size > ledger.RunMaxEntries {
		return base, fmt.Errorf("%w: %s keeps no checkpoint of log %s from %d to %d", errDamagedIndex, h.index.path, h.log.ID(), base.End.Size, size)
	}
	leaves := make([]ledger.Hash, 0, size-base.End.Size)
	err = h.entries(base.End.Size, size, func(_ uint64, entry []byte) error {
		leaves = append(leaves, ledger.LeafHash(entry))
		return nil
	})
	if err != nil {
		return base, err
	}
	edge, err := base.Edge.Append(leaves...)
	return ledger.Log{Key: h.log.Key, Edge: edge}, err
}

// sizesAfter returns sizes of kept checkpoints beyond from, ascending, few enough
// for one run, at least one if from is less than what is held.
func (h held) sizesAfter(from uint64, limit int) ([]uint64, error) {
	sizes, err := h.index.sizesAfter(h.log.ID(), from, limit)
	if err != nil {
		return nil, err
	}
	// The index may have gone on since this view was taken.
	sizes = slices.DeleteFunc(sizes, func(n uint64) bool { return n > h.log.End.Size })
	if h.log.End.Size > from && len(sizes) < limit && !slices.Contains(sizes, h.log.End.Size) {
		sizes = append(sizes, h.log.End.Size)
	}
	return sizes, nil
}

func (s *Store) readOpened(h *held) (*event.LogOpened, error) {
	var opened *event.LogOpened
	err := h.entries(0, 1, func(_ uint64, entry []byte) (err error) {
		opened, err = event.OpenLog(s.cfg.Fleet, h.log.ID(), entry)
		return err
	})
	return opened, err
}

// LogInfo is what is held of one log.
type LogInfo struct {
	ID     ledger.LogID
	Key    ed25519.PublicKey
	Opened *event.LogOpened  // entry 0; not to be changed
	End    ledger.Checkpoint // the newest held
	Own    bool
}

func (h held) info() LogInfo {
	return LogInfo{ID: h.log.ID(), Key: h.log.Key, Opened: h.opened, End: h.log.End, Own: h.own}
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

// Frontier returns how far each log is durably held.
func (s *Store) Frontier() ledger.Frontier {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f := make(ledger.Frontier, len(s.logs))
	for id, h := range s.logs {
		if h.opened != nil {
			f[id] = []ledger.Tip{{Size: h.log.End.Size, Root: h.log.End.Root}}
		}
	}
	return f
}

// Entry returns the bytes of one durable entry, or ErrNotHeld.
func (s *Store) Entry(p ledger.Position) ([]byte, error) {
	var out []byte
	err := s.Range(p.Log, p.Index, p.Index+1, func(_ uint64, entry []byte) error {
		out = bytes.Clone(entry)
		return nil
	})
	return out, err
}

// Range calls f with the durable entries from..to-1 of a log in order. f must not
// keep or change the bytes; its error ends the walk and is returned. An entry that
// should be there and is not is an error, never a shorter walk.
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
	l, err := h.at(size)
	if err == nil && (l.End.Size != size || size == 0) {
		err = fmt.Errorf("checkpoint of log %s at %d: %w", id, size, ErrNotHeld)
	}
	return l.End, err
}

// Covering returns the first kept checkpoint that vouches for the entry: of an own
// log, always the one of the commit that made it durable.
func (s *Store) Covering(p ledger.Position) (ledger.Checkpoint, error) {
	h, err := s.view(p.Log)
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	sizes, err := h.sizesAfter(p.Index, 1)
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	if len(sizes) == 0 {
		return ledger.Checkpoint{}, fmt.Errorf("entry %s: %w", p, ErrNotHeld)
	}
	l, err := h.at(sizes[0])
	return l.End, err
}

// ReadRun returns the longest run of durable entries from the given index that ends
// at a kept checkpoint and whose entries have at most maxBytes; where even the
// shortest has more, the shortest (never beyond ledger.RunMaxBytes). ErrNotHeld
// when nothing is held from there on.
func (s *Store) ReadRun(id ledger.LogID, from uint64, maxBytes int) (ledger.Run, error) {
	h, err := s.view(id)
	if err != nil {
		return ledger.Run{}, err
	}
	return h.readRun(from, maxBytes)
}

func (h held) readRun(from uint64, maxBytes int) (ledger.Run, error) {
	id := h.log.ID()
	if from >= h.log.End.Size {
		return ledger.Run{}, fmt.Errorf("entries from %d of log %s, of which %d are held: %w", from, id, h.log.End.Size, ErrNotHeld)
	}
	sizes, err := h.sizesAfter(from, ledger.RunMaxEntries)
	if err != nil {
		return ledger.Run{}, err
	}
	sizes = slices.DeleteFunc(sizes, func(n uint64) bool { return n-from > ledger.RunMaxEntries })
	if len(sizes) == 0 {
		return ledger.Run{}, fmt.Errorf("%w: %s keeps no checkpoint of log %s from %d on", errDamagedIndex, h.index.path, id, from)
	}
	entries, end, err := h.collect(from, sizes, min(maxBytes, ledger.RunMaxBytes-runFixedBytes))
	if err != nil {
		return ledger.Run{}, err
	}
	before, err := h.at(from)
	if err != nil {
		return ledger.Run{}, err
	}
	after, err := h.at(end)
	if err != nil {
		return ledger.Run{}, err
	}
	root := before.Edge.Root()
	return ledger.Run{Log: id, First: from, Branch: [ledger.BranchBytes]byte(root[:]), Entries: entries, End: after.End}, nil
}

// What a run's bytes are beyond its entries': at most runFixedBytes, and
// entryExtraBytes for each entry.
const (
	runFixedBytes   = 256
	entryExtraBytes = 3
)

// collect returns the entries from..end-1, where end is the greatest of sizes that
// keeps within maxBytes, or the first.
func (h held) collect(from uint64, sizes []uint64, maxBytes int) (entries [][]byte, end uint64, err error) {
	bytesSoFar := 0
	end = sizes[0]
	err = h.entries(from, sizes[len(sizes)-1], func(i uint64, entry []byte) error {
		bytesSoFar += len(entry) + entryExtraBytes
		if bytesSoFar > maxBytes && i >= end {
			return errEnough
		}
		entries = append(entries, bytes.Clone(entry))
		if _, kept := slices.BinarySearch(sizes, i+1); kept && bytesSoFar <= maxBytes {
			end = i + 1
		}
		return nil
	})
	if err != nil && err != errEnough {
		return nil, 0, err
	}
	return entries[:end-from], end, nil
}
