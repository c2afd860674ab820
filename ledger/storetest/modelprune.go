package storetest

import (
	"slices"
	"time"

	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/ledger/store"
)

const (
	pruneAge    = 400 * 24 * time.Hour
	pruneBegins = 256 // what is before is always held
)

// prune lets the office acknowledge a log that has not forked here, so long ago that
// it may be pruned, and the store do so.
func (w *modelWorld) prune(s *store.Store) {
	i := w.rand.Perm(len(w.tellers))
	at := slices.IndexFunc(i, func(n int) bool {
		m := w.logs[w.tellers[n].ID()]
		return len(m) == 1 && len(m[0]) > 2*pruneBegins
	})
	if at < 0 {
		return
	}
	id := w.tellers[i[at]].ID()
	h := w.logs[id][0]
	size := 1 + len(h)/2 + w.rand.IntN(len(h)/2)
	edge := must[ledger.Edge](w.t)(ledger.Edge{}.Append(leavesOf(h[:size])...))
	for range 2 { // the second says that the first is old
		w.clock += uint64(pruneAge.Milliseconds())
		e := must[ledger.Entry](w.t)(Acknowledge(w.clock, event.Held{Log: id, Size: uint64(size), Root: edge.Root()}))
		must[ledger.Run](w.t)(w.office.Write(e))
	}
	for _, r := range must[[]store.IngestResult](w.t)(s.Ingest(w.t.Context(), w.office.Runs)) {
		if r.Err != nil {
			w.t.Fatal(r.Err)
		}
	}
	for range w.rand.IntN(12) { // it may not be done with it
		if err := s.Tend(); err != nil {
			w.t.Fatal(err)
		}
	}
	for id := range w.logs {
		info, _ := s.Log(id)
		if info.From < w.pruned[id] {
			w.t.Fatalf("log %s was held from %d, now from %d", id, w.pruned[id], info.From)
		}
		w.pruned[id] = info.From
	}
}

// forkedInPruned reports whether a history parts from what is held within what was
// pruned: what becomes of such a run the store's own tests say.
func (w *modelWorld) forkedInPruned(h teller, end int) bool {
	known, history := 0, h.whole()[:end]
	for _, held := range w.logs[h.ID()] {
		known = max(known, common(held, history))
	}
	return known < end && uint64(known) < w.pruned[h.ID()]
}

// hidden reports whether the tree of that size ends within a bundle that was pruned.
func hidden(b store.Branch, size int) bool {
	return size > pruneBegins && uint64(size) < b.From() && size%pruneBegins != 0
}
