package ondisk_test

import (
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
	"rasid/sync/exchange"
	"rasid/sync/peer"
	"rasid/sync/peer/ondisk"
)

func try(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// writeRuns writes runs of 20 entries.
func writeRuns(t *testing.T, a *storetest.Author, runs int) {
	t.Helper()
	for i := range uint64(runs) {
		var entries []ledger.Entry
		for range 20 {
			e, err := storetest.Filler(i, 20)
			try(t, err)
			entries = append(entries, e)
		}
		_, err := a.Write(entries...)
		try(t, err)
	}
}

func taken(t *testing.T, d ondisk.Store, runs []ledger.Run) {
	t.Helper()
	verdicts, err := d.Ingest(t.Context(), runs)
	try(t, err)
	for _, v := range verdicts {
		try(t, v.Err)
	}
}

// A host learns from where on a pruned log can be served, and a repeat that the store
// cannot compare any more is no trouble with whoever sent it.
func TestPruned(t *testing.T) {
	fleet, err := storetest.NewFleet("ondisk")
	try(t, err)
	me, err := fleet.Machine(cert.RoleKiosk, 1)
	try(t, err)
	neighbour, err := fleet.Machine(cert.RoleKiosk, 2)
	try(t, err)
	cell, err := fleet.Cell(100)
	try(t, err)
	author, err := storetest.NewAuthor(neighbour)
	try(t, err)
	office, err := storetest.NewAuthor(cell)
	try(t, err)
	writeRuns(t, author, 60)
	end := author.Log.End
	for _, at := range []time.Duration{1000, 1400} {
		e, err := storetest.Acknowledge(uint64((at * 24 * time.Hour).Milliseconds()), event.Held{Log: author.ID(), Size: end.Size, Root: end.Root})
		try(t, err)
		_, err = office.Write(e)
		try(t, err)
	}
	s, err := store.Open(store.Config{Dir: t.TempDir(), Fleet: fleet.Public, Machine: me.Key.Public().(ed25519.PublicKey), PruneAge: 400 * 24 * time.Hour})
	try(t, err)
	d := ondisk.Store{Store: s}
	taken(t, d, append(author.Runs, office.Runs...))
	for range 10 {
		try(t, s.Tend())
	}
	tip := ledger.Tip{Size: end.Size, Root: end.Root}
	read := d.ReadRun(exchange.ReadRun{Log: author.ID(), Tips: []ledger.Tip{tip}, Whole: true, MaxBytes: 1000})
	if pruned := (*peer.PrunedError)(nil); !errors.As(read.Err, &pruned) || *pruned != (peer.PrunedError{Log: author.ID(), From: 1024}) {
		t.Errorf("%v", read.Err)
	}
	root, err := s.Root(author.ID(), 1024)
	try(t, err)
	// One point lies where no root is kept, the other one where a run may begin.
	held := []ledger.Tip{{Size: 599, Root: ledger.Hash{1}}, {Size: 1024, Root: root}}
	read = d.ReadRun(exchange.ReadRun{Log: author.ID(), Tips: []ledger.Tip{tip}, Held: held, MaxBytes: 1 << 20})
	if read.Err != nil || read.Run.First != 1024 || read.Run.End.Size != 1081 || len(read.Blind) != 1 || read.Blind[0] != held[0] {
		t.Errorf("to %d, %v blind, %v", read.Run.End.Size, read.Blind, read.Err)
	}
	results, err := s.Ingest(t.Context(), author.Runs)
	try(t, err)
	untold := 0
	for _, r := range results {
		if errors.Is(r.Err, store.ErrPruned) {
			untold++
		}
	}
	taken(t, d, author.Runs)
	if untold == 0 {
		t.Error("every repeat could be told: the test needs some that cannot")
	}
	try(t, s.Close())
}
