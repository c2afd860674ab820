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
	// lateMaxEntries bounds instead what is kept in memory while the index must wait for
	// room: weeks of a kiosk that sells nothing.
	lateMaxEntries = 1 << 16
	// roomAfter is after what time it is looked whether there is room again.
	roomAfter = time.Second
)

// indexer brings what its writer made durable into the index, in order and many
// batches in one transaction, while the committer goes on. Nobody waits for the index
// but a committer that is far ahead of it: readers are served from what is pending.
// While the disk is so full that Badger could kill the process, the index waits and
// the journal goes on: what is late then is brought in when there is room, or by the
// next start.
type indexer struct {
	w     *Writer
	more  chan struct{} // has room for one: something became pending
	room  chan struct{} // has room for one: something arrived
	ended chan struct{} // closed when run has returned
}

func newIndexer(w *Writer) *indexer {
	return &indexer{w: w, more: make(chan struct{}, 1), room: make(chan struct{}, 1), ended: make(chan struct{})}
}

// run indexes until ctx ends, and then what is left and has room. An error means that the index
// must not be written before it was opened anew.
func (x *indexer) run(ctx context.Context) error {
	defer close(x.ended)
	for x.waitRoom(ctx) {
		pending := x.first()
		growths := make([]growth, len(pending))
		for i, g := range pending {
			growths[i] = *g
		}
		if err := x.w.store.own.put(growths...); err != nil {
			return err
		}
		x.indexed(len(growths))
	}
	return nil
}

// indexed takes what is in the index now off what is pending, and lets a committer that
// waits go on.
func (x *indexer) indexed(growths int) {
	x.w.store.arrived(x.w.id, growths)
	signal(x.room)
}

// waitRoom is wait, and waits on while there is no room for what is pending; false,
// too, when ctx has ended and there is none.
func (x *indexer) waitRoom(ctx context.Context) bool {
	for warned := false; x.wait(ctx); warned = true {
		late, err := x.late()
		if !late {
			return true
		}
		if !warned {
			x.w.store.cfg.Log.Warn("the disk is full: the index of own logs waits, the journal goes on", "log", x.w.id.String(), "error", err)
		}
		if ctx.Err() != nil {
			return false
		}
		signal(x.room) // the committer may go on, by the other bound
		select {
		case <-x.more:
		case <-x.w.store.cfg.After(roomAfter):
		case <-ctx.Done():
		}
	}
	return false
}

// late reports whether what is pending must wait for room on the disk; err says why
// that could not be told, and then it waits.
func (x *indexer) late() (late bool, err error) {
	entries := 0
	for _, g := range x.w.held().pending {
		entries += len(g.entries)
	}
	if entries >= lateMaxEntries {
		return false, nil
	}
	cramped, err := x.w.store.cramped()
	return cramped || err != nil, err
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
		if late, _ := x.late(); late {
			return nil
		}
		signal(x.more) // the indexer may wait for room that is there again
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
