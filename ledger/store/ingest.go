package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"rasid/ledger"
)

// ErrOwnLog is returned for a run of a log that this node writes itself: nobody
// tells a writer what it wrote.
var ErrOwnLog = errors.New("the log is this node's own")

// IngestResult says what became of one run.
type IngestResult struct {
	Added int // entries that were new and are durable now
	// Held says that the run's entries are durable now, on whichever branch, some of
	// them or all from before.
	Held bool
	// Err says why the run was refused, whole: ledger.ErrGap, ledger.ErrFork,
	// ledger.ErrMalformed, cert.ErrRefused, ErrOwnLog or ErrInDoubt. Nil with Added 0 means that
	// all was held already. ErrPruned means that it ends before what is held, and that
	// what would tell whether it is the same was dropped here. ErrFork is returned too for a run that is kept, but on
	// another branch than the one which Log and Range tell of (see Branches); with
	// Added 0, all of it was held there already or it could not be placed.
	Err error
}

// staged is the work of one Ingest between two transactions.
type staged struct {
	logs    map[ledger.LogID][]held // the branches of each, number 0 first
	growths []growth
	bytes   int64
	pairs   int64
}

// Ingest verifies runs of other nodes' logs and stores what is new, in as few
// synced transactions as their size allows, each run whole or not at all. What it
// reports as added is durable, and nothing is visible before it is. The error is
// not nil when ctx ended, the disk is full (ErrNoRoom) or it failed; then look at
// Frontier for what is held, and after a disk failure Run returns it too.
func (s *Store) Ingest(ctx context.Context, runs []ledger.Run) ([]IngestResult, error) {
	if err := s.roomForOthers(); err != nil {
		return nil, fmt.Errorf("couldn't ingest: %w", err)
	}
	s.ingest.Lock()
	defer s.ingest.Unlock()
	st := &staged{logs: map[ledger.LogID][]held{}}
	results := make([]IngestResult, len(runs))
	for i, run := range runs {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("couldn't ingest: %w", err)
		}
		var err error
		if results[i], err = s.stage(st, run); err != nil {
			return nil, err
		}
	}
	return results, s.flush(st)
}

// stage verifies one run against what is held and staged. The result's error is the
// run's own fault or that its log has forked, the other one ours.
func (s *Store) stage(st *staged, run ledger.Run) (IngestResult, error) {
	hs := s.branches(st, run.Log)
	if hs[0].own {
		refused, err := s.refuseOwn(hs[0], run)
		return IngestResult{Err: refused}, err
	}
	var refused error
	if hs[0], refused = s.openLog(hs[0], run); refused != nil {
		return IngestResult{Err: refused}, nil
	}
	if refused = hs[0].log.Check(run); refused != nil {
		return IngestResult{Err: refused}, nil
	}
	g, next, refused := hs[0].grow(run)
	if refused == nil && len(g.entries) > 0 {
		return IngestResult{Added: len(g.entries), Held: true}, s.add(st, next, g)
	}
	switch {
	case hs[0].log.End.Size == 0, errors.Is(refused, ledger.ErrGap) && len(hs) == 1:
		return IngestResult{Err: refused}, nil
	case refused == nil && run.End.Size == hs[0].log.End.Size: // a repeat
		return IngestResult{Held: true}, nil
	}
	return s.place(st, run, refused)
}

// add stages a growth; with those before, it goes in one transaction.
func (s *Store) add(st *staged, h held, g growth) error {
	size, pairs := g.bytes()
	if len(st.growths) > 0 && (st.bytes+size > s.peers.db.MaxBatchSize() || st.pairs+pairs > s.peers.db.MaxBatchCount()) {
		if err := s.flush(st); err != nil {
			return err
		}
	}
	hs := s.branches(st, h.branch.log)
	if n := int(h.branch.number); n < len(hs) {
		hs[n] = h
	} else {
		hs = append(hs, h)
	}
	st.logs[h.branch.log] = hs
	st.growths = append(st.growths, g)
	st.bytes += size
	st.pairs += pairs
	return nil
}

// branches returns the branches of a log as held and staged, or an empty one. The
// slice is the caller's.
func (s *Store) branches(st *staged, id ledger.LogID) []held {
	if hs, ok := st.logs[id]; ok {
		return slices.Clone(hs)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	first := s.logs[id]
	if first == nil {
		return []held{{index: s.peers}}
	}
	hs := []held{*first}
	for _, h := range s.forked[id] {
		hs = append(hs, *h)
	}
	return hs
}

// refuseOwn says why a run of an own log is refused: as an echo, or because it proves
// that somebody signed more with this key than the journal knows, or otherwise. Then
// the proof is kept, as a reason beside the journal and in the head file or as evidence
// of a fork, so that the next start sees it, and Run ends before anything more is signed,
// however long the head file's disk takes: it comes last, and may be lost.
func (s *Store) refuseOwn(h held, run ledger.Run) (refused, err error) {
	echo := fmt.Errorf("log %s: %w", run.Log, ErrOwnLog)
	if len(h.log.Key) == 0 || run.End.Verify(h.log.Key) != nil {
		return echo, nil
	}
	if run.End.Size <= h.log.End.Size {
		root, err := h.rootAt(run.End.Size)
		if err != nil || root == run.End.Root {
			return echo, err
		}
		refused = forkedOwn(run.Log, run.End.Size)
		s.fail(refused)
		return refused, s.keepFork(h, run)
	}
	refused = elsewhere{inDoubt(run.Log, h.log.End.Size, "a neighbour sent a checkpoint at %d", run.End.Size)}
	s.fail(refused)
	s.mu.RLock()
	writers := s.writers
	s.mu.RUnlock()
	for _, w := range writers {
		if w.id == run.Log {
			refused = errors.Join(refused, s.writeReason(run.Log, refused), w.head.write(h.log.Key, run.End))
		}
	}
	return refused, nil
}

// flush makes what is staged durable in one transaction, then visible.
func (s *Store) flush(st *staged) error {
	if len(st.growths) == 0 {
		return nil
	}
	s.mu.RLock()
	fatal := s.fatal
	s.mu.RUnlock()
	if fatal != nil {
		return fmt.Errorf("couldn't ingest: %w", fatal)
	}
	if cramped, err := s.cramped(); cramped || err != nil {
		return errors.Join(fmt.Errorf("couldn't ingest: %w", ErrNoRoom), err)
	}
	if err := s.peers.put(st.growths...); err != nil {
		err = fmt.Errorf("couldn't ingest: %w", err)
		s.fail(err)
		return err
	}
	if err := s.mark(st); err != nil {
		err = fmt.Errorf("couldn't ingest: %w", err)
		s.fail(err)
		return err
	}
	for _, g := range st.growths {
		if err := s.objects.follow(g); err != nil {
			err = fmt.Errorf("couldn't ingest: %w", err)
			s.fail(err)
			return err
		}
	}
	s.mu.Lock()
	for id, hs := range st.logs {
		s.logs[id] = &hs[0]
		s.forked[id] = nil
		for _, h := range hs[1:] {
			s.forked[id] = append(s.forked[id], &h)
		}
	}
	s.mu.Unlock()
	*st = staged{logs: map[ledger.LogID][]held{}}
	s.notify()
	return nil
}
