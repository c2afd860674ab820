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
	"rasid/sync/peer"
	"rasid/sync/peer/ondisk"
)

func try(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// write writes runs of 20 entries.
func write(t *testing.T, a *storetest.Author, runs int) {
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
	write(t, author, 60)
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
	errs, err := d.Ingest(t.Context(), append(author.Runs, office.Runs...))
	try(t, append(errs, err)...)
	for range 10 {
		try(t, s.Tend())
	}
	_, err = d.ReadRun(author.ID(), 0, 1000)
	if pruned := (*peer.PrunedError)(nil); !errors.As(err, &pruned) || *pruned != (peer.PrunedError{Log: author.ID(), From: 1024}) {
		t.Errorf("%v", err)
	}
	run, err := d.ReadRun(author.ID(), 1024, 1<<20)
	if err != nil || run.End != end {
		t.Errorf("%d, %v", run.End.Size, err)
	}
	results, err := s.Ingest(t.Context(), author.Runs)
	try(t, err)
	untold := 0
	for _, r := range results {
		if errors.Is(r.Err, store.ErrPruned) {
			untold++
		}
	}
	errs, err = d.Ingest(t.Context(), author.Runs)
	try(t, append(errs, err)...)
	if untold == 0 {
		t.Error("every repeat could be told: the test needs some that cannot")
	}
	try(t, s.Close())
}
