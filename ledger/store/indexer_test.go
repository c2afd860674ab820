package store

import (
	"testing"
	"testing/synctest"

	"rasid/ledger"
)

// A committer that is far ahead of the index waits for it.
func TestPendingIsBounded(t *testing.T) {
	for name, g := range map[string]growth{"growths": {}, "bytes": {size: pendingMaxBytes / 4}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testBounded(t, g) })
		})
	}
}

func testBounded(t *testing.T, g growth) {
	id := ledger.LogID{1}
	h := &held{}
	s := &Store{logs: map[ledger.LogID]*held{id: h}}
	w := &Writer{store: s, id: id}
	w.indexer = newIndexer(w)
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
	s.arrived(id, 1)
	signal(w.indexer.room)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	h.pending = append(s.logs[id].pending, &g, &g)
	s.logs[id] = h
	done = await()
	close(w.indexer.ended)
	if err := <-done; err == nil {
		t.Error("a committer whose indexer has ended went on")
	}
}
