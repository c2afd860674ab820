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
	"rasid/ledger/event"
	"rasid/ledger/journal"
)

// errEnough ends a walk early.
var errEnough = errors.New("enough")

// sealAfter is how long nothing must come before the committer seals.
const sealAfter = time.Second

// worthSigning is how many entries cost about as much as the signature over them: a
// smaller batch lets others run before it is closed.
const worthSigning = 16

// Writer appends to one own log.
type Writer struct {
	store   *Store
	id      ledger.LogID
	key     ed25519.PrivateKey // nil until OpenOwn
	journal *journal.Journal
	head    *headFile
	indexer *indexer
	// sinceHead counts commits since the head file was offered one; the committer's.
	sinceHead int
	requests  chan *request
	stopOnce  sync.Once
	stopped   chan struct{}
}

// Committed says what one Commit appended. It is durable.
type Committed struct {
	First   uint64            // index of the first entry
	Entries [][]byte          // this call's own, as stored
	End     ledger.Checkpoint // of the batch that they are part of
}

type request struct {
	build   func(first uint64) ([]ledger.Entry, error)
	first   uint64
	entries [][]byte
	bytes   int
	done    chan answer // has room for one
}

type answer struct {
	end ledger.Checkpoint
	err error
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
		return nil, errors.Join(err, s.index(late...)) // nothing more will be signed on top
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
	w := &Writer{store: s, id: id, journal: j, head: head, requests: make(chan *request), stopped: make(chan struct{})}
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
			err = s.own.put(g)
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
// build runs in the committer's goroutine, perhaps while the batch before is not
// durable yet, and must be quick and pure; its error is returned, and nothing is
// appended. When ctx ends before build began, nothing was appended either; once it
// began, Commit waits for the outcome whatever ctx says. Any other error means that
// Run has ended or is about to: whether the entries are durable is known after the
// next Open. Commit waits until Run is called.
func (w *Writer) Commit(ctx context.Context, build func(first uint64) ([]ledger.Entry, error)) (Committed, error) {
	r := &request{build: build, done: make(chan answer, 1)}
	select {
	case w.requests <- r:
	case <-ctx.Done():
		return Committed{}, fmt.Errorf("couldn't commit to log %s: %w", w.id, context.Cause(ctx))
	case <-w.stopped:
		return Committed{}, w.errStopped()
	}
	a := <-r.done
	if a.err != nil {
		return Committed{}, fmt.Errorf("couldn't commit to log %s: %w", w.id, a.err)
	}
	return Committed{First: r.first, Entries: r.entries, End: a.end}, nil
}

func (w *Writer) errStopped() error {
	w.store.mu.RLock()
	defer w.store.mu.RUnlock()
	if fatal := w.store.fatal; fatal != nil && !errors.Is(fatal, ErrStopped) {
		return fmt.Errorf("couldn't commit to log %s: %w: %w", w.id, ErrStopped, fatal)
	}
	return fmt.Errorf("couldn't commit to log %s: %w", w.id, ErrStopped)
}

// failure is why nothing can be made durable any more, nil while it can.
func (s *Store) failure() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.fatal
}

func (w *Writer) stop() { w.stopOnce.Do(func() { close(w.stopped) }) }

// run is the committer, with the indexer beside it. It returns nil when ctx ends and
// an error when the durable state is unknown.
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
	defer w.awaitHead(headEnded)
	defer beside.Wait()
	defer end()
	defer w.stop() // who commits need not wait for index and head file
	return w.commitAll(ctx)
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
// the next is gathered and encoded; it is signed when the one before is durable.
func (w *Writer) commitAll(ctx context.Context) error {
	b := &batch{first: w.Size()}
	var flying <-chan error // tells what became of the batch before; nil: there is none
	for {
		err := w.gather(ctx, b, flying)
		if err == nil && len(b.requests) == 0 {
			return w.rest() // in good order
		}
		if err == nil {
			err = w.indexer.await()
		}
		if err == nil {
			err = w.store.failure() // nothing more is signed
		}
		if err != nil {
			b.answer(answer{err: err})
			b.next().answer(answer{err: err})
			return err
		}
		flying = w.launch(b)
		b = b.next()
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

// batch is what is gathered for one run.
type batch struct {
	first    uint64 // index of its first entry
	requests []*request
	count    int // entries
	bytes    int
	// carry is a request that does not fit. It gets the very index that its build was
	// given, as the first of the next batch.
	carry *request
}

func (b *batch) full() bool { return b.carry != nil || b.count == ledger.BatchMaxEntries }

func (b *batch) add(r *request) {
	if b.count+len(r.entries) > ledger.BatchMaxEntries || runFixedBytes+b.bytes+r.bytes > ledger.RunMaxBytes {
		b.carry = r
		return
	}
	b.requests = append(b.requests, r)
	b.count += len(r.entries)
	b.bytes += r.bytes
}

// next is the batch after b.
func (b *batch) next() *batch {
	n := &batch{first: b.first + uint64(b.count)}
	if b.carry != nil {
		n.add(b.carry)
	}
	return n
}

// answer tells all that wait for the batch what became of it. What is carried is the
// next batch's.
func (b *batch) answer(a answer) {
	for _, r := range b.requests {
		r.done <- a
	}
}

// gather fills b with what comes until the batch before, if there is one, is durable,
// waits for a first request if none has come, and takes all that wait then. An empty
// batch and no error mean that ctx has ended. An error is that of the batch before.
func (w *Writer) gather(ctx context.Context, b *batch, flying <-chan error) error {
	requests, done := w.requests, ctx.Done()
	for flying != nil {
		if b.full() {
			requests = nil
		}
		select {
		case <-done:
			requests, done = nil, nil // what was built is committed yet
		case r := <-requests:
			w.prepare(ctx, b, r)
		case err := <-flying:
			if err != nil {
				return err
			}
			flying = nil
		}
	}
	if w.sinceHead >= headEvery {
		w.offerHead()
	}
	for yielded := false; !b.full() && ctx.Err() == nil; {
		r, err := w.receive(ctx, len(b.requests) == 0)
		if err != nil || r == nil && (yielded || len(b.requests) == 0 || b.count >= worthSigning) {
			return err
		}
		if r == nil {
			runtime.Gosched() // whoever was just answered may commit again at once
			yielded = true
			continue
		}
		w.prepare(ctx, b, r)
	}
	return nil
}

// receive takes a request; nil when none waits and it may not wait, or ctx ends. A
// while in which none comes is used to rest.
func (w *Writer) receive(ctx context.Context, wait bool) (*request, error) {
	if !wait {
		select {
		case r := <-w.requests:
			return r, nil
		default:
			return nil, nil
		}
	}
	idle := w.store.cfg.After(sealAfter)
	for {
		select {
		case r := <-w.requests:
			return r, nil
		case <-ctx.Done():
			return nil, nil
		case <-idle:
			idle = nil
			if err := w.rest(); err != nil {
				return nil, err
			}
		}
	}
}

// prepare runs build and puts what it returns into the batch, or answers its error. No
// build begins once ctx has ended.
func (w *Writer) prepare(ctx context.Context, b *batch, r *request) {
	if ctx.Err() != nil {
		r.done <- answer{err: ErrStopped}
		return
	}
	if err := w.build(r, b.first+uint64(b.count)); err != nil {
		r.done <- answer{err: err}
		return
	}
	b.add(r)
}

// build runs the request's build and encodes what it returns.
func (w *Writer) build(r *request, first uint64) error {
	entries, err := r.build(first)
	if err != nil {
		return err
	}
	if len(entries) == 0 || len(entries) > ledger.BatchMaxEntries {
		return fmt.Errorf("%d entries in one commit, want 1 to %d", len(entries), ledger.BatchMaxEntries)
	}
	r.first = first
	for _, e := range entries {
		b, err := ledger.EncodeEntry(e)
		if err != nil {
			return err
		}
		r.entries = append(r.entries, b)
		r.bytes += len(b) + entryExtraBytes
	}
	if r.bytes > ledger.RunMaxBytes-runFixedBytes {
		return fmt.Errorf("%d bytes in one commit, the limit is %d", r.bytes, ledger.RunMaxBytes-runFixedBytes)
	}
	if first == 0 {
		_, err = event.OpenLog(w.store.cfg.Fleet, w.id, r.entries[0])
	}
	return err
}

// launch signs the batch, and makes it durable and answers it beside the caller. The
// channel tells the outcome, once; until then neither the journal nor the next batch's
// signing may be touched.
func (w *Writer) launch(b *batch) <-chan error {
	landed := make(chan error, 1)
	before := w.held()
	run, payload, err := w.sign(before.log, b)
	if err != nil {
		b.answer(answer{err: err})
		landed <- err
		return landed
	}
	w.sinceHead++
	go func() {
		err := w.append(before, run, payload)
		b.answer(answer{end: run.End, err: err})
		if err == nil {
			w.store.notify()
		}
		landed <- err
	}()
	return landed
}

// sign makes the batch's run and its bytes.
func (w *Writer) sign(log ledger.Log, b *batch) (ledger.Run, []byte, error) {
	entries := make([][]byte, 0, b.count)
	for _, r := range b.requests {
		entries = append(entries, r.entries...)
	}
	run, err := log.NewRun(w.key, entries)
	if err != nil {
		return run, nil, err
	}
	payload, err := run.Encode()
	return run, payload, err
}

// append appends the run to the journal; only then readers see it and the indexer
// gets it.
func (w *Writer) append(before held, run ledger.Run, payload []byte) error {
	// What was signed is verified as a neighbour's run would be, while the disk works:
	// neither is told to anybody before both are done.
	var g growth
	var after held
	verified := make(chan error, 1)
	go func() {
		var err error
		g, after, err = w.store.grow(before, run)
		verified <- err
	}()
	err := w.journal.Append(payload)
	if err := errors.Join(err, <-verified); err != nil {
		return err
	}
	if err := w.store.publish(after, g); err != nil {
		return err
	}
	signal(w.indexer.more)
	return nil
}
