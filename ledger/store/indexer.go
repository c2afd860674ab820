package store

import (
	"context"
	"fmt"
	"time"
)

// What makes the indexer of one own log begin, and what may wait for it before the
// committer waits too. A start after a crash indexes as much again from the journal.
const (
	indexAfter        = 10 * time.Millisecond
	indexGrowths      = 64
	indexBytes        = 512 << 10
	pendingMaxGrowths = 2 * indexGrowths
	pendingMaxBytes   = 4 * indexBytes
)

// indexer brings what its writer made durable into the index, in order and many
// batches in one transaction, while the committer goes on. Nobody waits for the index
// but a committer that is far ahead of it: readers are served from what is pending.
type indexer struct {
	w     *Writer
	more  chan struct{} // has room for one: something became pending
	room  chan struct{} // has room for one: something arrived
	ended chan struct{} // closed when run has returned
}

func newIndexer(w *Writer) *indexer {
	return &indexer{w: w, more: make(chan struct{}, 1), room: make(chan struct{}, 1), ended: make(chan struct{})}
}

// run indexes until ctx ends, and then what is left. An error means that the index
// must not be written before it was opened anew.
func (x *indexer) run(ctx context.Context) error {
	defer close(x.ended)
	for x.wait(ctx) {
		pending := x.first()
		growths := make([]growth, len(pending))
		for i, g := range pending {
			growths[i] = *g
		}
		if err := x.w.store.own.put(growths...); err != nil {
			return err
		}
		x.w.store.arrived(x.w.id, len(growths))
		signal(x.room)
	}
	return nil
}

// wait returns when much is pending, or something for long enough, or ctx has ended;
// false when it has and nothing is left. Nothing becomes pending after its end.
func (x *indexer) wait(ctx context.Context) bool {
	var late <-chan time.Time
	for {
		growths, bytes := x.pending()
		if growths >= indexGrowths || bytes >= indexBytes {
			return true
		}
		if growths > 0 && late == nil {
			late = x.w.store.cfg.After(indexAfter)
		}
		select {
		case <-x.more:
		case <-late:
			return true
		case <-ctx.Done():
			growths, _ = x.pending()
			return growths > 0
		}
	}
}

// first returns the first of what is pending, as much as one transaction holds.
func (x *indexer) first() []*growth {
	pending, db := x.w.held().pending, x.w.store.own.db
	var all extent
	for i, g := range pending {
		all.add(g)
		if size, pairs := all.bytes(); i > 0 && (size > db.MaxBatchSize() || pairs > db.MaxBatchCount()) {
			return pending[:i]
		}
	}
	return pending
}

// pending is how much is on its way into the index, the bytes those of entries.
func (x *indexer) pending() (growths, bytes int) {
	pending := x.w.held().pending
	for _, g := range pending {
		bytes += g.size
	}
	return len(pending), bytes
}

// await returns when one batch more may become pending. An error means that the
// indexer has ended, and nothing more may be committed.
func (x *indexer) await() error {
	for {
		select {
		case <-x.ended:
			return fmt.Errorf("the index of log %s takes nothing more", x.w.id)
		default:
		}
		if growths, bytes := x.pending(); growths < pendingMaxGrowths && bytes < pendingMaxBytes {
			return nil
		}
		select {
		case <-x.room:
		case <-x.ended:
		}
	}
}

// signal leaves a token unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
