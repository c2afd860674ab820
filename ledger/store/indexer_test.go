package store

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"rasid/ledger"
)

// idleIndexer is one of a log that is held in memory alone: to put anything would panic.
func idleIndexer(free *uint64) (*Store, *indexer) {
	id := ledger.LogID{1}
	cfg := Config{RoomBytes: 8000, Free: func(string) (uint64, error) { return *free, nil }, After: time.After, Log: slog.New(slog.DiscardHandler)}
	s := &Store{cfg: cfg, logs: map[ledger.LogID]*held{id: {}}}
	return s, newIndexer(&Writer{store: s, id: id})
}

// While the disk is cramped nothing is put, not even at the end, and the committer goes
// on beyond the bound that it has else, to another one.
func TestIndexWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := uint64(999)
		s, x := idleIndexer(&free)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- x.run(ctx) }()
		h := s.logs[x.w.id]
		add := func(n int, g growth) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for range n {
				h.pending = append(h.pending, &g)
			}
			signal(x.more)
		}
		add(pendingMaxGrowths, growth{size: pendingMaxBytes})
		<-time.After(10 * roomAfter) // by the clock of the bubble
		if err := x.await(); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-ended; err != nil || len(h.pending) != pendingMaxGrowths {
			t.Errorf("%v, %d growths are pending", err, len(h.pending))
		}

		x = newIndexer(x.w)
		add(1, growth{entries: make([][]byte, lateMaxEntries)})
		done := make(chan error, 1)
		go func() { done <- x.await() }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Errorf("a committer went on with %d entries pending: %v", lateMaxEntries, err)
		default:
		}
		if late, err := x.late(); late || err != nil {
			t.Errorf("the index waits beyond the bound: %v", err)
		}
		close(x.ended)
		<-done
	})
}

// A committer that waits for the index while the disk fills is let go on, and one that
// waits when there is room again has the index begin.
func TestWaitingEndsWithTheRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := uint64(1000)
		s, x := idleIndexer(&free)
		h := s.logs[x.w.id]
		for range pendingMaxGrowths {
			h.pending = append(h.pending, &growth{})
		}
		done := make(chan error, 1)
		go func() { done <- x.await() }()
		synctest.Wait()
		if len(x.more) != 1 {
			t.Error("the committer waits for an index that nobody told to begin")
		}
		free = 999
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = x.run(ctx) }()
		synctest.Wait()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("a committer waits for room on the disk")
		}
		cancel()
		<-x.ended
	})
}

// A committer that is far ahead of the index waits for it.
func TestPendingIsBounded(t *testing.T) {
	for name, g := range map[string]growth{"growths": {}, "bytes": {size: pendingMaxBytes / 4}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testBounded(t, g) })
		})
	}
}

func testBounded(t *testing.T, g growth) {
	free := uint64(1000)
	s, x := idleIndexer(&free)
	w, id := x.w, x.w.id
	w.indexer = x
	h := s.logs[id]
	for len(h.pending) < pendingMaxGrowths && g.size*len(h.pending) < pendingMaxBytes {
		if err := w.indexer.await(); err != nil {
			t.Fatal(err)
		}
		h.pending = append(h.pending, &g)
	}
	await := func() chan error {
		done := make(chan error, 1)
		go func() { done <- w.indexer.await() }()
		synctest.Wait()
		return done
	}
	done := await()
	select {
	case err := <-done:
		t.Fatalf("a committer with %d growths of %d bytes pending went on: %v", len(h.pending), g.size, err)
	default:
	}
	x.indexed(1)
	synctest.Wait()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	default:
		t.Error("a committer waits on though what was pending is in the index")
		signal(x.room)
		<-done
	}
	h.pending = append(s.logs[id].pending, &g, &g)
	s.logs[id] = h
	done = await()
	close(w.indexer.ended)
	if err := <-done; err == nil {
		t.Error("a committer whose indexer has ended went on")
	}
}
