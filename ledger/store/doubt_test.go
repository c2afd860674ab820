package store_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rasid/ledger"
	"rasid/ledger/cert"
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
				if why := s.WhyGivenUp(w.me.LogKey.Public().(ed25519.PublicKey)); why != cert.ReasonDoubt {
					t.Errorf("the reason is %d", why) // all evidence lies on this disk
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
	for name, early := range map[string]bool{"while the store runs": false, "before it runs": true} {
		t.Run(name, func(t *testing.T) { testProof(t, early) })
	}
}

func testProof(t *testing.T, early bool) {
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
	run := func() { ended <- s.Run(context.WithoutCancel(t.Context())) }
	if !early {
		go run()
	}
	results, err := s.Ingest(t.Context(), twin.Runs)
	do(t, err)
	if early {
		run()
	}
	if last := results[len(results)-1].Err; !errors.Is(last, store.ErrInDoubt) {
		t.Fatalf("the proof was answered with %v", last)
	}
	if err := <-ended; !errors.Is(err, store.ErrInDoubt) {
		t.Fatalf("Run ended with %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), commitMax)
	defer cancel()
	if _, err := writer.Commit(ctx, func(uint64) ([]ledger.Entry, error) { t.Error("it was signed"); return nil, nil }); !errors.Is(err, store.ErrStopped) {
		t.Errorf("a commit after the proof: %v", err)
	}
	do(t, s.Close())
	if s, err := store.Open(w.cfg); !errors.Is(err, store.ErrInDoubt) {
		t.Fatalf("it opened: %v, %v", err, s.Close())
	}
	w.cfg.GiveUp = true
	s, err = store.Open(w.cfg)
	do(t, err)
	if why := s.WhyGivenUp(twin.Log.Key); why != cert.ReasonRestored {
		t.Errorf("the reason is %d", why)
	}
	if last := s.LastKnown(w.me.LogKey.Public().(ed25519.PublicKey)); last != twin.Log.End {
		t.Errorf("known is %+v, want %+v", last, twin.Log.End)
	}
	do(t, s.Close())
}

// longerTwin is the own log as a copy of the disk wrote it on.
func (w damageWorld) longerTwin(t *testing.T) *storetest.Author {
	t.Helper()
	twin, err := storetest.NewAuthor(w.me)
	do(t, err)
	for n := range w.entries {
		e, err := storetest.Sale(1 + n)
		do(t, err)
		_, err = twin.Write(e)
		do(t, err)
	}
	return twin
}

// The proof ends Run, and nothing more is signed, though the disk that is to keep it does
// not come back.
func TestProofWhileTheHeadFileHangs(t *testing.T) {
	w := newDamageWorld(t)
	twin := w.longerTwin(t)
	w.cfg.EvidenceDir = t.TempDir()
	w.cfg.After = func(d time.Duration) <-chan time.Time {
		if d == store.StuckLook {
			d /= 10
		}
		return time.After(d)
	}
	s, err := store.Open(w.cfg)
	do(t, err)
	writer, err := s.OpenOwn(w.me.LogKey)
	do(t, err)
	// Who opens a pipe to write waits until somebody reads.
	pipe := filepath.Join(w.cfg.EvidenceDir, w.me.ID().String()+".head.tmp")
	do(t, unix.Mkfifo(pipe, 0o600))
	ended, taken := make(chan error, 1), make(chan error, 1)
	go func() { ended <- s.Run(context.WithoutCancel(t.Context())) }()
	go func() {
		_, err := s.Ingest(context.WithoutCancel(t.Context()), twin.Runs)
		taken <- err
	}()
	select {
	case err = <-ended:
	case <-time.After(commitMax):
		t.Error("Run goes on")
	}
	if !errors.Is(err, store.ErrInDoubt) {
		t.Errorf("Run ended with %v", err)
	}
	if _, err := writer.Commit(t.Context(), func(uint64) ([]ledger.Entry, error) { t.Error("it was signed"); return nil, nil }); !errors.Is(err, store.ErrStopped) {
		t.Errorf("a commit after the proof: %v", err)
	}
	reader, err := os.Open(pipe)
	do(t, err)
	do(t, <-taken, s.Close(), reader.Close())
}

// A proof that the head file could not keep forbids the next start to sign all the same.
func TestProofOutlivesAHeadFileThatFails(t *testing.T) {
	w := newDamageWorld(t)
	twin := w.longerTwin(t)
	w.cfg.EvidenceDir = t.TempDir()
	s, err := store.Open(w.cfg)
	do(t, err)
	inTheWay := filepath.Join(w.cfg.EvidenceDir, w.me.ID().String()+".head.tmp")
	do(t, os.Mkdir(inTheWay, 0o700))
	results, err := s.Ingest(t.Context(), twin.Runs)
	do(t, err)
	if !slices.ContainsFunc(results, func(r store.IngestResult) bool { return errors.Is(r.Err, store.ErrInDoubt) }) {
		t.Fatalf("ingested %+v", results)
	}
	do(t, s.Close(), os.Remove(inTheWay))
	if s, err = store.Open(w.cfg); !errors.Is(err, store.ErrInDoubt) {
		t.Fatalf("the next start: %v", errors.Join(err, s.Close()))
	}
	w.cfg.GiveUp = true
	s, err = store.Open(w.cfg)
	do(t, err)
	if _, err := s.OpenOwn(w.me.LogKey); !errors.Is(err, store.ErrInDoubt) {
		t.Errorf("the log is open to be signed: %v", err)
	}
	do(t, s.Close())
}

// Another history of the own log, however short, is kept as proof and ends the process
// before more is signed; the next start gives the log up. Echoes do neither.
func TestForkOfOwnLog(t *testing.T) {
	for name, size := range map[string]uint64{"shorter": 5, "as long": 21} {
		t.Run(name, func(t *testing.T) {
			w := newDamageWorld(t)
			twin, err := storetest.NewAuthor(w.me)
			do(t, err)
			for n := range size - 1 {
				e, err := storetest.Sale(100 + n)
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
			own, _ := s.Log(w.me.ID())
			forged := twin.Whole()
			forged.End.Sig[7] ^= 1
			for from := range own.End.Size {
				echo, err := s.ReadRun(w.me.ID(), from, 1<<(3+from))
				do(t, err)
				results, err := s.Ingest(t.Context(), []ledger.Run{echo, forged, twin.Runs[0]})
				do(t, err)
				for _, r := range results {
					if !errors.Is(r.Err, store.ErrOwnLog) {
						t.Fatalf("an echo, or what nobody signed, was answered with %v", r.Err)
					}
				}
			}
			results, err := s.Ingest(t.Context(), []ledger.Run{twin.Whole()})
			do(t, err)
			if !errors.Is(results[0].Err, store.ErrInDoubt) {
				t.Fatalf("the proof was answered with %v", results[0].Err)
			}
			if err := <-ended; !errors.Is(err, store.ErrInDoubt) {
				t.Fatalf("Run ended with %v", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), commitMax)
			defer cancel()
			if _, err := writer.Commit(ctx, func(uint64) ([]ledger.Entry, error) { t.Error("it was signed"); return nil, nil }); !errors.Is(err, store.ErrStopped) {
				t.Errorf("a commit after the proof: %v", err)
			}
			do(t, s.Close())
			if s, err := store.Open(w.cfg); !errors.Is(err, store.ErrInDoubt) {
				t.Fatalf("it opened: %v, %v", err, s.Close())
			}
			w.cfg.GiveUp = true
			for range 2 { // the second start says the same
				w.forkGivenUp(t, own.End, twin)
			}
		})
	}
}

// forkGivenUp looks that both histories of the own log are kept and neither goes on.
func (w damageWorld) forkGivenUp(t *testing.T, own ledger.Checkpoint, twin *storetest.Author) {
	t.Helper()
	s, err := store.Open(w.cfg)
	do(t, err)
	if _, err := s.OpenOwn(w.me.LogKey); !errors.Is(err, store.ErrInDoubt) {
		t.Errorf("error %v", err)
	}
	forks := s.Forks()
	if len(forks) != 1 || forks[0].Theirs.End != twin.Log.End || forks[0].Ours.Verify(twin.Log.Key) != nil {
		t.Errorf("the evidence is of %d forks", len(forks))
	}
	if last := s.LastKnown(twin.Log.Key); last != own {
		t.Errorf("known is %+v, want %+v", last, own)
	}
	if why := s.WhyGivenUp(twin.Log.Key); why != cert.ReasonRestored {
		t.Errorf("the reason is %d", why)
	}
	_, err = s.Ingest(t.Context(), []ledger.Run{twin.Whole()})
	do(t, err)
	if branches := s.Branches(w.me.ID()); len(branches) != 2 || branches[0].End() != own || branches[1].End() != twin.Log.End {
		t.Errorf("%d branches", len(branches))
	}
	do(t, s.Close())
}

// A disk put back from an older copy is whole in itself; a head file on another disk
// shows it, and the grant says so.
func TestRestoredDisk(t *testing.T) {
	w := newDamageWorld(t)
	w.cfg.EvidenceDir, w.cfg.GiveUp = t.TempDir(), true
	w.append(t, 1)
	old := filepath.Join(t.TempDir(), "old")
	do(t, os.CopyFS(old, os.DirFS(w.cfg.Dir)))
	w.append(t, 1)
	w.cfg.Dir = old
	s, err := store.Open(w.cfg)
	do(t, err)
	key := w.me.LogKey.Public().(ed25519.PublicKey)
	if _, err := s.OpenOwn(w.me.LogKey); !errors.Is(err, store.ErrInDoubt) || s.WhyGivenUp(key) != cert.ReasonRestored || s.LastKnown(key).Size != 23 {
		t.Errorf("reason %d, %d entries known, %v", s.WhyGivenUp(key), s.LastKnown(key).Size, err)
	}
	do(t, s.Close())
}
