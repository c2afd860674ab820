package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"rasid/ledger"
	"rasid/ledger/journal"
)

// errEnough ends a walk early.
var errEnough = errors.New("enough")

// sealAfter is how long nothing must come before the committer seals.
const sealAfter = time.Second

// Writer appends to one own log.
type Writer struct {
	store   *Store
	id      ledger.LogID
	key     ed25519.PrivateKey // nil until OpenOwn
	journal *journal.Journal
	head    *headFile
	indexer *indexer
	checker checker
	// sinceHead counts commits since the head file was offered one; the committer's.
	sinceHead int
	came      chan struct{} // has room for one: something was gathered
	began     chan struct{} // closed when run begins
	stopOnce  sync.Once
	stopped   chan struct{}

	mu       sync.Mutex // guards what follows
	ending   <-chan struct{}
	gathered *batch        // nil until run begins
	room     chan struct{} // closed when gathered takes entries again; nil: nobody waits
}

// Committed says what one Commit appended. It is durable.
type Committed struct {
	First   uint64            // index of the first entry
	Entries [][]byte          // this call's own, as stored
	End     ledger.Checkpoint // of the batch that they are part of
}

// OpenOwn returns the writer of the log that key signs, creating the log's journal
// if there is none. Call it before Run, once for each log. ErrInDoubt when a
// neighbour holds entries of a log that has no journal here.
func (s *Store) OpenOwn(key ed25519.PrivateKey) (*Writer, error) {
	public := key.Public().(ed25519.PublicKey)
	id := ledger.LogIDOf(public)
	s.mu.RLock()
	began, h, fatal := s.began, s.logs[id], s.fatal
	s.mu.RUnlock()
	if began || fatal != nil {
		return nil, fmt.Errorf("couldn't open log %s for writing: the store runs or has stopped", id)
	}
	if h != nil && !h.own {
		return nil, inDoubt(id, 0, "a neighbour sent %d entries", h.log.End.Size)
	}
	for _, w := range s.writers {
		if w.id != id {
			continue
		}
		if w.key != nil {
			return nil, fmt.Errorf("couldn't open log %s for writing: it is open already", id)
		}
		w.key = key
		s.mu.Lock()
		h.log.Key = public // an empty journal does not tell it
		s.mu.Unlock()
		return w, nil
	}
	if exists(s.journalDir(id) + doubtSuffix) {
		return nil, inDoubt(id, 0, "an earlier start gave it up, see %s", s.journalDir(id)+doubtSuffix)
	}
	w, err := s.openWriter(id, public)
	if err != nil {
		return nil, err
	}
	w.key = key
	return w, nil
}

// openWriter opens the log's journal and replays it into the index. What of it was
// perhaps never durable is looked at first, made durable by Begin, and only then
// indexed.
func (s *Store) openWriter(id ledger.LogID, public ed25519.PublicKey) (*Writer, error) {
	h := held{own: true, index: s.own, branch: &branch{log: id}, log: ledger.Log{Key: public}}
	head := s.headFile(id)
	var late []growth
	j, rec, err := journal.Open(journal.Config{
		Dir: s.journalDir(id), Log: id, Disk: s.cfg.Disk, SegmentBytes: s.cfg.SegmentBytes,
		Each: func(payload []byte, durable bool) error {
			g, next, err := s.replay(id, h, payload)
			if err != nil {
				return err
			}
			h = next
			if !durable {
				late = append(late, g)
				return nil
			}
			return s.index(g)
		},
	})
	if err == nil {
		err = s.checkDoubt(id, h, late, head)
	}
	if err != nil && s.cfg.mayGiveUp(id) && doubtful(err) {
		if err := s.index(late...); err != nil { // nothing more will be signed on top
			return nil, err // not for what is on the disk: a later start gives the log up, whole
		}
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if err := j.Begin(); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	if rec.Torn != nil {
		s.cfg.Log.Warn("dropped a torn last record of a journal", "path", rec.Torn.Path, "offset", rec.Torn.Offset, "bytes", rec.Torn.Bytes, "reason", rec.Torn.Reason)
	}
	if err := s.index(late...); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	w := &Writer{store: s, id: id, journal: j, head: head,
		checker: newChecker(), came: make(chan struct{}, 1), began: make(chan struct{}), stopped: make(chan struct{})}
	w.indexer = newIndexer(w)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs[id] = &h
	s.writers = append(s.writers, w)
	return w, nil
}

// replay reads one journal record as what the log grows by.
func (s *Store) replay(id ledger.LogID, h held, payload []byte) (growth, held, error) {
	run, err := ledger.DecodeRun(bytes.Clone(payload))
	if err != nil {
		return growth{}, h, err
	}
	if run.Log != id || run.First != h.log.End.Size {
		return growth{}, h, fmt.Errorf("%w: a run of log %s from %d, want log %s from %d", ledger.ErrMalformed, run.Log, run.First, id, h.log.End.Size)
	}
	return s.grow(h, run)
}

// index gives the index of own logs what it lacks of durable growths.
func (s *Store) index(growths ...growth) error {
	for _, g := range growths {
		same, err := s.own.holds(g)
		if err == nil && !same {
			if err = s.roomToRecover(); err == nil {
				err = s.own.put(g)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkDoubt asks index and head file whether they know more of an own log than its
// journal, of which late is not indexed yet. Whatever shows a position beyond was
// acknowledged, so it tells rot from a torn write. It changes nothing.
func (s *Store) checkDoubt(id ledger.LogID, h held, late []growth, head *headFile) error {
	size := h.log.End.Size
	if err := s.checkReason(id, size); err != nil {
		return err
	}
	more, err := s.own.beyond(id, size)
	if err != nil {
		return err
	}
	if more {
		return inDoubt(id, size, "the index holds more")
	}
	for _, g := range late {
		h.pending = append(h.pending, &g)
	}
	if err := s.checkHead(h, head); err != nil {
		err = inDoubt(id, size, "%w", err)
		if s.cfg.EvidenceDir != "" {
			err = elsewhere{err}
		}
		return err
	}
	return nil
}

// ID is the log's name.
func (w *Writer) ID() ledger.LogID { return w.id }

// Size is how many entries are durable.
func (w *Writer) Size() uint64 { return w.held().log.End.Size }

func (w *Writer) held() held {
	w.store.mu.RLock()
	defer w.store.mu.RUnlock()
	return *w.store.logs[w.id]
}

// Commit calls build once, with the index that its first entry will get, and
// appends what it returns as part of one batch: at most ledger.BatchMaxEntries from
// all Commits that wait, all or nothing, one sync, one checkpoint. It returns when
// the batch is durable. The first entry of a log must open it.
//
// build runs in the caller's goroutine while every other Commit to this log waits,
// perhaps while the batch before is not durable yet, and must be quick and pure; its
// error is returned, and nothing is appended. When ctx ends before build began,
// nothing was appended either; once it began, Commit waits for the outcome whatever
// ctx says. Any other error means that Run has ended or is about to: whether the
// entries are durable is known after the next Open. Commit waits until Run is called.
func (w *Writer) Commit(ctx context.Context, build func(first uint64) ([]ledger.Entry, error)) (Committed, error) {
	select {
	case <-w.began:
	case <-ctx.Done():
	case <-w.stopped:
	}
	b, c, err := w.join(ctx, build)
	if err == nil {
		<-b.landed
		c.End, err = b.end, b.err
	}
	if err != nil {
		return Committed{}, fmt.Errorf("couldn't commit to log %s: %w", w.id, err)
	}
	return c, nil
}

// stopReason is why nothing is taken any more.
func (w *Writer) stopReason() error {
	if fatal := w.store.failure(); fatal != nil && !errors.Is(fatal, ErrStopped) {
		return fmt.Errorf("%w: %w", ErrStopped, fatal)
	}
	return ErrStopped
}

// failure is why nothing can be made durable any more, nil while it can.
func (s *Store) failure() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.fatal
}

func (w *Writer) stop() { w.stopOnce.Do(func() { close(w.stopped) }) }

// run is the committer, with checker, indexer and the keeper of the head file beside
// it. It returns nil when ctx ends and an error when the durable state is unknown.
func (w *Writer) run(ctx context.Context) error {
	defer w.stop()
	if w.key == nil {
		return nil // a log of this node that nobody opened for writing
	}
	besides, end := context.WithCancel(context.WithoutCancel(ctx))
	headEnded := make(chan struct{})
	go func() {
		defer close(headEnded)
		w.head.run(besides, w.key.Public().(ed25519.PublicKey), func(err error) {
			w.store.cfg.Log.Warn("going on without a newer head file", "error", err)
		})
	}()
	var beside sync.WaitGroup
	beside.Go(func() {
		if err := w.indexer.run(besides); err != nil {
			w.store.fail(err)
		}
	})
	beside.Go(func() { w.checker.run(besides, w.store) })
	defer w.awaitHead(headEnded)
	defer beside.Wait()
	defer end()
	w.begin(ctx)
	err := w.commitAll(ctx)
	w.refuse(err) // who commits need not wait for index and head file
	return err
}

// awaitHead waits at the end for the keeper of the head file, but not for a medium that
// does not come back.
func (w *Writer) awaitHead(ended <-chan struct{}) {
	select {
	case <-ended:
	case <-w.store.cfg.After(stuckLook):
		w.store.cfg.Log.Warn("ending without a newer head file: its disk does not come back", "path", w.head.path)
	}
}

// commitAll commits what comes until ctx ends. While one batch is being made durable
// the callers gather the next; it is signed when the one before is durable.
func (w *Writer) commitAll(ctx context.Context) error {
	for {
		b, err := w.take(ctx)
		if err != nil {
			return err
		}
		if b == nil {
			return w.rest() // in good order
		}
		err = w.indexer.await()
		if err == nil {
			err = w.store.failure() // nothing more is signed
		}
		var end ledger.Checkpoint
		if err == nil {
			end, err = w.commit(b)
		}
		b.land(end, err)
		if err != nil {
			return err
		}
		w.store.notify()
	}
}

// rest is what the committer does when nothing comes: so rot in what was
// acknowledged is told from a torn write, and nobody waits for a new segment.
func (w *Writer) rest() error {
	if err := w.journal.Seal(); err != nil {
		return err
	}
	w.offerHead()
	if cramped, err := w.store.cramped(); cramped || err != nil {
		return nil // a segment that has no room now would break the journal
	}
	return w.journal.Prepare()
}

func (w *Writer) offerHead() {
	w.sinceHead = 0
	if end := w.held().log.End; end.Size > 0 {
		w.head.offer(end)
	}
}

// take returns what was gathered, and waits while that is nothing. A while in which
// nothing comes is used to rest. nil and no error mean that ctx has ended.
func (w *Writer) take(ctx context.Context) (*batch, error) {
	if w.sinceHead >= headEvery {
		w.offerHead()
	}
	// Whoever was just answered may commit again at once, and one signature and one sync
	// are then enough for all.
	runtime.Gosched()
	if b := w.close(); b != nil {
		return b, nil
	}
	idle := w.store.cfg.After(sealAfter)
	for {
		select {
		case <-w.came:
			runtime.Gosched()
			if b := w.close(); b != nil {
				return b, nil
			}
		case <-ctx.Done():
			return w.close(), nil // what was built is committed yet
		case <-idle:
			idle = nil
			if err := w.rest(); err != nil {
				return nil, err
			}
		}
	}
}

// commit signs the batch and makes it durable; only then readers see it and the
// indexer gets it.
func (w *Writer) commit(b *batch) (ledger.Checkpoint, error) {
	before := w.held()
	run, err := before.log.NewRun(w.key, b.entries)
	if err != nil {
		return run.End, err
	}
	payload, err := run.Encode()
	if err != nil {
		return run.End, err
	}
	w.sinceHead++
	// What was signed is verified as a neighbour's run would be, while the disk works:
	// neither is told to anybody before both are done.
	w.checker.ask(before, run)
	err = w.journal.Append(payload)
	found := w.checker.answer()
	if err := errors.Join(err, found.err); err != nil {
		return run.End, err
	}
	if err := w.store.publish(found.after, found.growth); err != nil {
		return run.End, err
	}
	signal(w.indexer.more)
	return run.End, nil
}
