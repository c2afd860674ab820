package store_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"testing"

	"rasid/ledger"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
)

// Whatever happened to its journal, a log that must not be signed any more is given
// up, with all entries that anything still holds, and another one can begin.
func TestGiveUp(t *testing.T) {
	for name, c := range refusals() {
		t.Run(name, func(t *testing.T) {
			w := newDamageWorld(t)
			_, indexErr := os.Stat(w.path("own", "index"))
			do(t, indexErr)
			c.damage(t, w)
			_, indexErr = os.Stat(w.path("own", "index"))
			w.cfg.GiveUp = true
			for range 2 { // the second start says the same
				s, err := store.Open(w.cfg)
				do(t, err)
				if _, err := s.OpenOwn(w.me.LogKey); !errors.Is(err, store.ErrInDoubt) {
					t.Fatalf("error %v", err)
				}
				last := s.LastKnown(w.me.LogKey.Public().(ed25519.PublicKey))
				if last.Size != w.entries { // the head file says so, whatever else is gone
					t.Fatalf("%d entries are known of, want %d", last.Size, w.entries)
				}
				if info, _ := s.Log(w.me.ID()); indexErr == nil && (info.End != last || info.Own) {
					t.Fatalf("%+v, want all %d entries as another's", info, w.entries)
				}
				do(t, s.Close())
			}
			found, err := os.ReadDir(w.path("own"))
			do(t, err)
			for _, f := range found {
				if f.Name() == w.me.ID().String() {
					t.Error("the journal lies where it was")
				}
			}
		})
	}
}

// A neighbour's proof that more was signed ends the process before more is, and the
// next start knows it too.
func TestProofFromNeighbours(t *testing.T) {
	w := newDamageWorld(t)
	twin, err := storetest.NewAuthor(w.me)
	do(t, err)
	for n := range w.entries {
		e, err := storetest.Sale(1 + n)
		do(t, err)
		_, err = twin.Write(e)
		do(t, err)
	}
	s, err := store.Open(w.cfg)
	do(t, err)
	writer, err := s.OpenOwn(w.me.LogKey)
	do(t, err)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.WithoutCancel(t.Context())) }()
	results, err := s.Ingest(t.Context(), twin.Runs)
	do(t, err)
	if last := results[len(results)-1].Err; !errors.Is(last, store.ErrInDoubt) {
		t.Fatalf("the proof was answered with %v", last)
	}
	if err := <-ended; !errors.Is(err, store.ErrInDoubt) {
		t.Fatalf("Run ended with %v", err)
	}
	if _, err := writer.Commit(t.Context(), func(uint64) ([]ledger.Entry, error) { t.Error("it was signed"); return nil, nil }); err == nil {
		t.Error("it committed")
	}
	do(t, s.Close())
	if s, err := store.Open(w.cfg); !errors.Is(err, store.ErrInDoubt) {
		t.Fatalf("it opened: %v, %v", err, s.Close())
	}
	w.cfg.GiveUp = true
	s, err = store.Open(w.cfg)
	do(t, err)
	if last := s.LastKnown(w.me.LogKey.Public().(ed25519.PublicKey)); last != twin.Log.End {
		t.Errorf("known is %+v, want %+v", last, twin.Log.End)
	}
	do(t, s.Close())
}
