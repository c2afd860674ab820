package store

import (
	"cmp"
	"context"
	"fmt"

	"rasid/ledger"
	"rasid/ledger/event"
)

// batch is what is gathered for one run: by the callers of Commit, one at a time, while
// the committer makes the batch before durable.
type batch struct {
	first   uint64 // index of its first entry
	entries [][]byte
	bytes   int
	// carry begins with what did not fit. It gets the very index that its build was
	// given, as the first of the next batch.
	carry *batch

	landed chan struct{} // closed when what became of the batch is known, which follows
	end    ledger.Checkpoint
	err    error
}

func newBatch(first uint64) *batch { return &batch{first: first, landed: make(chan struct{})} }

// next is the index that the next entry gets.
func (b *batch) next() uint64 { return b.first + uint64(len(b.entries)) }

func (b *batch) full() bool { return b.carry != nil || len(b.entries) == ledger.BatchMaxEntries }

// add puts entries, which have so many bytes in a run, into the batch, or into one that
// is carried, and returns which.
func (b *batch) add(entries [][]byte, bytes int) *batch {
	if len(b.entries)+len(entries) > ledger.BatchMaxEntries || runFixedBytes+b.bytes+bytes > ledger.RunMaxBytes {
		b.carry = newBatch(b.next())
		return b.carry.add(entries, bytes)
	}
	b.entries = append(b.entries, entries...)
	b.bytes += bytes
	return b
}

// land tells all that wait for the batch what became of it. What is carried is the next
// batch's.
func (b *batch) land(end ledger.Checkpoint, err error) {
	b.end, b.err = end, err
	close(b.landed)
}

// begin lets Commit gather until ctx ends.
func (w *Writer) begin(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ending, w.gathered = ctx.Done(), newBatch(w.Size())
	close(w.began)
}

// join runs build and puts what it returns into the batch that is gathered, or waits
// until that has room. Nothing is built once ctx or Run's has ended.
func (w *Writer) join(ctx context.Context, build func(first uint64) ([]ledger.Entry, error)) (*batch, Committed, error) {
	for {
		if ctx.Err() != nil {
			return nil, Committed{}, context.Cause(ctx)
		}
		b, c, room, err := w.tryJoin(build)
		if room == nil {
			return b, c, err
		}
		select {
		case <-room:
		case <-ctx.Done():
		case <-w.stopped:
		}
	}
}

// tryJoin is join, and returns instead of waiting what to wait for.
func (w *Writer) tryJoin(build func(first uint64) ([]ledger.Entry, error)) (b *batch, c Committed, room <-chan struct{}, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.stopped:
		return nil, c, nil, w.stopReason()
	case <-w.ending:
		return nil, c, nil, w.stopReason()
	default:
	}
	if w.gathered.full() {
		if w.room == nil {
			w.room = make(chan struct{})
		}
		return nil, c, w.room, nil
	}
	c.First = w.gathered.next()
	var bytes int
	if c.Entries, bytes, err = w.build(build, c.First); err != nil {
		return nil, c, nil, err
	}
	signal(w.came)
	return w.gathered.add(c.Entries, bytes), c, nil, nil
}

// build runs build and encodes what it returns.
func (w *Writer) build(build func(first uint64) ([]ledger.Entry, error), first uint64) (all [][]byte, bytes int, err error) {
	entries, err := build(first)
	if err != nil {
		return nil, 0, err
	}
	if len(entries) == 0 || len(entries) > ledger.BatchMaxEntries {
		return nil, 0, fmt.Errorf("%d entries in one commit, want 1 to %d", len(entries), ledger.BatchMaxEntries)
	}
	for _, e := range entries {
		b, err := ledger.EncodeEntry(e)
		if err != nil {
			return nil, 0, err
		}
		all = append(all, b)
		bytes += len(b) + entryExtraBytes
	}
	if bytes > ledger.RunMaxBytes-runFixedBytes {
		return nil, 0, fmt.Errorf("%d bytes in one commit, the limit is %d", bytes, ledger.RunMaxBytes-runFixedBytes)
	}
	if first == 0 {
		_, err = event.OpenLog(w.store.cfg.Fleet, w.id, all[0])
	}
	return all, bytes, err
}

// close returns what was gathered, which gets no more, nil if it is nothing, and lets
// callers gather the next.
func (w *Writer) close() *batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.gathered
	if len(b.entries) == 0 {
		return nil
	}
	if w.gathered = b.carry; w.gathered == nil {
		w.gathered = newBatch(b.next())
	}
	if w.room != nil {
		close(w.room)
		w.room = nil
	}
	return b
}

// refuse ends gathering; what was gathered is answered err.
func (w *Writer) refuse(err error) {
	w.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	err = cmp.Or(err, ErrStopped) // in good order nobody is left
	for b := w.gathered; b != nil; b = b.carry {
		b.land(ledger.Checkpoint{}, err)
	}
}
