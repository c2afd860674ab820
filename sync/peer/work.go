package peer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"rasid/ledger"
	"rasid/sync/exchange"
)

// mailbox is a queue whose writer never waits. What bounds it is stated where it
// is made.
type mailbox[T any] struct {
	mu    sync.Mutex
	items []T
	wake  chan struct{}
}

// newMailbox makes a queue. The exchange bounds both workers' queues: one read a
// peer, and writes within each peer's credit.
func newMailbox[T any]() *mailbox[T] { return &mailbox[T]{wake: make(chan struct{}, 1)} }

func (m *mailbox[T]) put(item T) {
	m.mu.Lock()
	m.items = append(m.items, item)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *mailbox[T]) take() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	items := m.items
	m.items = nil
	return items
}

// watch reports growth that did not come through sync, and what objects are missing.
func (h *Host) watch(ctx context.Context, updates <-chan struct{}, held ledger.Frontier) {
	known := maps.Clone(held)
	for h.tellMissing(ctx) {
		select {
		case <-updates:
		case <-ctx.Done():
			return
		}
		for log, tips := range h.cfg.Store.Frontier() {
			if slices.Equal(tips, known[log]) {
				continue
			}
			known[log] = tips
			if !h.tell(ctx, exchange.Grown{Log: log, Tips: tips}) {
				return
			}
		}
	}
}

// tellMissing holds the lock until the loop has the list, so that an object that
// arrives meanwhile is reported after it.
func (h *Host) tellMissing(ctx context.Context) bool {
	h.objects.Lock()
	defer h.objects.Unlock()
	return h.tell(ctx, exchange.Missing{Hashes: h.cfg.Objects.MissingObjects()})
}

func (h *Host) readWorker(ctx context.Context) {
	for {
		for _, a := range h.reads.take() {
			if !h.tell(ctx, h.read(a)) {
				return
			}
		}
		select {
		case <-h.reads.wake:
		case <-ctx.Done():
			return
		}
	}
}

func (h *Host) read(a exchange.Action) exchange.Event {
	if o, ok := a.(exchange.ReadObject); ok {
		b, err := h.cfg.Objects.Object(o.Hash)
		if err != nil {
			b = nil
		}
		return exchange.ObjectRead{Conn: o.Conn, Hash: o.Hash, Bytes: b}
	}
	r := a.(exchange.ReadRun)
	e := h.cfg.Store.ReadRun(r)
	if pruned := (*PrunedError)(nil); e.Err != nil && !errors.As(e.Err, &pruned) {
		h.cfg.Log.Warn("couldn't read a log for a peer", "log", r.Log.String(), "error", e.Err.Error())
	}
	return e
}

// writeJob is a run or an object to store.
type writeJob struct {
	ingest *exchange.Ingest
	object *exchange.PutObject
	from   *conn // that brought the run
}

// writeWorker stores what arrived. All runs that wait share one synced transaction.
func (h *Host) writeWorker(ctx context.Context) {
	for {
		var batch []writeJob
		for _, j := range h.writes.take() {
			if j.ingest != nil {
				batch = append(batch, j)
			} else if !h.putObject(ctx, *j.object) {
				return
			}
		}
		if len(batch) > 0 && !h.tell(ctx, h.ingest(ctx, batch)) {
			return
		}
		select {
		case <-h.writes.wake:
		case <-ctx.Done():
			return
		}
	}
}

func (h *Host) ingest(ctx context.Context, batch []writeJob) ingestedBatch {
	runs := make([]ledger.Run, len(batch))
	for i, j := range batch {
		runs[i] = j.ingest.Run
	}
	verdicts, err := h.cfg.Store.Ingest(ctx, runs)
	for waits := 0; errors.Is(err, ErrNoRoom) && h.awaitRoom(ctx, waits, err); waits++ {
		verdicts, err = h.cfg.Store.Ingest(ctx, runs)
	}
	if err == nil && len(verdicts) != len(runs) {
		err = fmt.Errorf("the store answered %d runs with %d results", len(runs), len(verdicts))
	}
	if err != nil && ctx.Err() == nil {
		h.cfg.Log.Error("couldn't store what peers sent", "error", err.Error())
	}
	done := make(ingestedBatch, len(batch))
	for i, j := range batch {
		r := j.ingest.Run
		e := exchange.Ingested{Conn: j.ingest.Conn, Log: r.Log, End: ledger.Tip{Size: r.End.Size, Root: r.End.Root}, Bytes: j.ingest.Bytes}
		if err != nil {
			e.Err = err
		} else if e.Verdict = verdicts[i]; e.Err != nil {
			h.cfg.Log.Warn("a peer's run was refused", "log", r.Log.String(), "first", r.First, "error", e.Err.Error())
		}
		done[i] = ingested{from: j.from, Ingested: e}
	}
	return done
}

// roomWait is after how long a full disk is asked again.
const roomWait = time.Second

// awaitRoom waits a while for room on the disk, false when ctx ended. What peers sent
// stays in memory meanwhile; it is bounded by the credit that they had, and they get
// no more. What we hold goes on to them.
func (h *Host) awaitRoom(ctx context.Context, waits int, why error) bool {
	h.status.count(func(c *Counters) { c.RoomWaits++ })
	if waits == 0 {
		h.cfg.Log.Warn("what peers send waits for room on the disk", "error", why.Error())
	}
	select {
	case <-h.cfg.After(roomWait):
		return true
	case <-ctx.Done():
		return false
	}
}

func (h *Host) putObject(ctx context.Context, a exchange.PutObject) bool {
	more, err := h.tryObject(ctx, a)
	for waits := 0; errors.Is(err, ErrNoRoom); waits++ {
		if !h.awaitRoom(ctx, waits, err) {
			return false
		}
		more, err = h.tryObject(ctx, a)
	}
	return more
}

// tryObject stores an object and tells what became of it, false when ctx ended; of one
// that found no room nothing is told.
func (h *Host) tryObject(ctx context.Context, a exchange.PutObject) (bool, error) {
	h.objects.Lock()
	defer h.objects.Unlock()
	_, err := h.cfg.Objects.AcceptObject(ctx, a.Bytes)
	if errors.Is(err, ErrNoRoom) {
		return true, err
	}
	return h.tellObject(ctx, a, err), nil
}

func (h *Host) tellObject(ctx context.Context, a exchange.PutObject, err error) bool {
	if errors.Is(err, ErrUnwanted) {
		return h.tell(ctx, exchange.ObjectUnwanted{Hash: a.Hash})
	}
	if err != nil {
		h.cfg.Log.Error("couldn't store an object that a peer sent", "object", a.Hash.String(), "error", err.Error())
		return h.tell(ctx, exchange.PutFailed{Conn: a.Conn, Hash: a.Hash})
	}
	return h.tell(ctx, exchange.ObjectHeld{Hash: a.Hash})
}
