package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/store"
	"rasid/node/catalogue"
	"rasid/node/fleet"
)

// authority is the ledger of an office whose authority log holds the bodies.
func authority(t *testing.T, bodies ...event.Body) (*store.Store, fleet.Identity) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "office")
	id, err := fleet.Init(dir, fleet.Request{Name: "OFFICE"}, time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := id.OpenLogKey(cert.StreamAuthority, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(store.Config{Dir: filepath.Join(dir, "data"), Fleet: id.Fleet, Machine: id.MachineKey()})
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.OpenOwn(key.Key)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	_, err = w.Commit(ctx, func(uint64) (entries []ledger.Entry, err error) {
		for _, b := range append([]event.Body{fleet.Opening(id, key, book.Rules1())}, bodies...) {
			e, err := event.New(ledger.Time{}, b)
			if err != nil {
				return nil, err
			}
			entries = append(entries, e)
		}
		return entries, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			t.Error(err)
		}
	})
	return s, id
}

// A feed waits for an object that has not come, and not for one that is erased.
func TestFeedWaits(t *testing.T) {
	s, id := authority(t,
		&event.DuesPublished{Biller: "A", Object: ledger.Hash{1}, Bytes: 1, Pepper: 1, Count: 1},
		&event.DuesPublished{Biller: "A", Object: ledger.Hash{2}, Bytes: 1, Pepper: 1, Count: 1},
		&event.PepperRenewed{Number: 2, Object: ledger.Hash{3}, Bytes: 1},
		&event.DuesPublished{Biller: "A", Object: ledger.Hash{4}, Bytes: 1, Pepper: 2, Count: 1},
		&event.Erased{Objects: []ledger.Hash{{1}}, Why: "replaced"},
	)
	log, ring := slog.New(slog.DiscardHandler), id.Ring()
	f := newFeed(s, catalogue.New(ring.Pepper, log), ring, id.Machine, ledger.LogID{}, log)
	if err := f.read(); err != nil {
		t.Fatal(err)
	}
	f.usePeppers()
	f.useObjects()
	var waits []ledger.Hash
	for _, p := range f.waiting {
		waits = append(waits, p.body.Object)
	}
	if len(waits) != 2 || waits[0] != (ledger.Hash{2}) || waits[1] != (ledger.Hash{4}) || len(f.peppers) != 1 {
		t.Errorf("it waits for the sets %v and %d pepper sets", waits, len(f.peppers))
	}
}
