package store_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"rasid/ledger"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
)

// giveUps is what has an own log given up at the next start, and what that must keep.
func giveUps() map[string]func(*testing.T, damageWorld) func(*testing.T, damageWorld) {
	out := map[string]func(*testing.T, damageWorld) func(*testing.T, damageWorld){
		"forked": func(t *testing.T, w damageWorld) func(*testing.T, damageWorld) {
			own, twin := w.forked(t, 5)
			return func(t *testing.T, w damageWorld) { w.forkGivenUp(t, own, twin) }
		},
		"forked, more than a transaction holds": func(t *testing.T, w damageWorld) func(*testing.T, damageWorld) {
			w.grow(t, 90, 16_000)
			own, twin := w.forked(t, 5)
			return func(t *testing.T, w damageWorld) { w.forkGivenUp(t, own, twin) }
		},
	}
	for _, name := range []string{"bit in a record, index gone", "last batch and seal zeroed", "journal gone"} {
		out[name] = func(t *testing.T, w damageWorld) func(*testing.T, damageWorld) {
			refusals()[name].damage(t, w)
			return func(t *testing.T, w damageWorld) { w.givenUp(t, name != "bit in a record, index gone") }
		}
	}
	return out
}

// grow commits n entries of a size.
func (w damageWorld) grow(t *testing.T, n, size int) {
	t.Helper()
	s, err := store.Open(w.cfg)
	do(t, err)
	writer, err := s.OpenOwn(w.me.LogKey)
	do(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for range n {
		_, err := writer.Commit(ctx, func(first uint64) ([]ledger.Entry, error) {
			e, err := storetest.Filler(first, size)
			return []ledger.Entry{e}, err
		})
		do(t, err)
	}
	cancel()
	do(t, <-ended, s.Close())
}

// forked has a copy of the disk write another history, and the store learn of it.
func (w damageWorld) forked(t *testing.T, size uint64) (own ledger.Checkpoint, twin *storetest.Author) {
	t.Helper()
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
	info, _ := s.Log(w.me.ID())
	results, err := s.Ingest(t.Context(), []ledger.Run{twin.Whole()})
	do(t, err)
	if !errors.Is(results[0].Err, store.ErrInDoubt) {
		t.Fatalf("the proof was answered with %v", results[0].Err)
	}
	do(t, s.Close())
	return info.End, twin
}

// givenUp looks that the log is given up with all that is known of it.
func (w damageWorld) givenUp(t *testing.T, whole bool) {
	t.Helper()
	s, err := store.Open(w.cfg)
	do(t, err)
	if _, err := s.OpenOwn(w.me.LogKey); !errors.Is(err, store.ErrInDoubt) {
		t.Errorf("error %v", err)
	}
	last := s.LastKnown(w.me.LogKey.Public().(ed25519.PublicKey))
	if last.Size != w.entries {
		t.Errorf("%d entries are known of, want %d", last.Size, w.entries)
	}
	if info, _ := s.Log(w.me.ID()); whole && (info.End != last || info.Own) {
		t.Errorf("%+v, want all %d entries as another's", info, w.entries)
	}
	do(t, s.Close())
}

// Giving up may end at any step, by a kill or a power cut, and the next start does it
// again with the same outcome.
func TestGivingUpIsCutOff(t *testing.T) {
	for name, prepare := range giveUps() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 1))
			w := newDamageWorld(t)
			w.cfg.MemTableBytes = 7 << 20
			check := prepare(t, w)
			w.cfg.GiveUp = true
			before := w.cfg.Dir
			for n := 1; ; n++ {
				for f := storetest.Failed; f <= storetest.FailedHalf; f++ {
					if f > storetest.Failed && name != "forked" {
						break // one case tries all ways to fail
					}
					w.cfg.Dir = filepath.Join(t.TempDir(), "data")
					do(t, os.CopyFS(w.cfg.Dir, os.DirFS(before)))
					step := w.cutOff(t, r, n, f)
					if step == "" {
						if n < 10 {
							t.Errorf("giving up takes %d steps: what is tested?", n-1)
						}
						return
					}
					for range 2 {
						check(t, w)
					}
					if t.Failed() {
						t.Fatalf("step %d, %s, %s", n, step, f)
					}
					do(t, os.RemoveAll(w.cfg.Dir))
				}
			}
		})
	}
}

// cutOff starts with a disk of which the n-th step fails, and a power cut after it, and
// returns the step; none where there are less.
func (w damageWorld) cutOff(t *testing.T, r *rand.Rand, n int, f storetest.Failure) string {
	t.Helper()
	disk := &storetest.Disk{}
	disk.FailAt(n, f)
	w.cfg.Disk = disk
	s, err := store.Open(w.cfg)
	step, late := disk.Failed()
	if step == "" {
		do(t, err, s.Close())
		return ""
	}
	if !errors.Is(err, storetest.ErrInjected) || len(late) > 0 {
		t.Fatalf("step %d, %s: %v, and then %v", n, step, err, late)
	}
	if r.IntN(2) == 0 { // else it was a kill
		do(t, disk.Crash(r, w.cfg.Dir, w.cfg.Dir))
	}
	return fmt.Sprint(step, ": ", err)
}

// A log that was given up is kept from what is on this disk when the others' index begins
// anew, as the remedy for a damaged one says; so it is where the own index does, too.
func TestGivenUpLogIsKeptAgain(t *testing.T) {
	for name, gone := range map[string][]string{"others' index": {"peers"}, "both indexes": {"peers", "own"}} {
		t.Run(name, func(t *testing.T) {
			w := newDamageWorld(t)
			own, twin := w.forked(t, 5)
			w.cfg.GiveUp = true
			w.forkGivenUp(t, own, twin)
			w.cfg.GiveUp = false // for offices and tools, too
			for range 2 {
				for _, which := range gone {
					do(t, os.RemoveAll(w.path(which, "index")))
				}
				w.givenUp(t, true)
			}
			s, err := store.Open(w.cfg)
			do(t, err)
			_, err = s.Ingest(t.Context(), append(w.peer.Runs, twin.Whole()))
			do(t, err)
			if lost := s.Lost(); len(lost) > 0 {
				t.Errorf("lost is %+v", lost)
			}
			do(t, s.Close())
			w.forkGivenUp(t, own, twin)
		})
	}
}

// A fork of the own log that was shown is remembered although the others' index with the
// evidence is gone: the key signs nothing more, at an office and at a kiosk.
func TestForkOutlivesTheIndex(t *testing.T) {
	for name, damage := range map[string]func(index string) error{
		"moved elsewhere": os.RemoveAll,
		"damaged":         func(index string) error { return os.Remove(filepath.Join(index, "MANIFEST")) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newDamageWorld(t)
			own, twin := w.forked(t, 5)
			do(t, damage(w.path("peers", "index")))
			if s, err := store.Open(w.cfg); err == nil {
				t.Fatalf("it opened: %v", s.Close())
			}
			w.cfg.GiveUp = true
			w.givenUp(t, true)
			s, err := store.Open(w.cfg)
			do(t, err)
			_, err = s.Ingest(t.Context(), []ledger.Run{twin.Whole()})
			do(t, err, s.Close())
			w.forkGivenUp(t, own, twin)
		})
	}
}

// A journal put back from an older copy is found out by the marks where the others' index,
// which held more of the log, is gone.
func TestMarksShowThatAnOwnLogWasLonger(t *testing.T) {
	for name, write := range map[string]uint64{"longer": 25, "other": 20} {
		t.Run(name, func(t *testing.T) {
			w := newDamageWorld(t)
			older := filepath.Join(t.TempDir(), "own")
			do(t, os.CopyFS(older, os.DirFS(w.path("own"))), os.RemoveAll(w.path("own")))
			twin, err := storetest.NewAuthor(w.me)
			do(t, err)
			for n := range write {
				e, err := storetest.Sale(1 + n + (25-write)*100)
				do(t, err)
				_, err = twin.Write(e)
				do(t, err)
			}
			s, err := store.Open(w.cfg)
			do(t, err)
			_, err = s.Ingest(t.Context(), twin.Runs)
			do(t, err, s.Close())
			do(t, os.RemoveAll(w.path("own")), os.CopyFS(w.path("own"), os.DirFS(older)), os.RemoveAll(w.path("peers", "index")))
			for range 2 {
				s, err := store.Open(w.cfg)
				if err == nil {
					do(t, s.Close())
				}
				if !errors.Is(err, store.ErrInDoubt) {
					t.Fatalf("it opened: %v", err)
				}
			}
		})
	}
}

// What is kept of a damaged index makes room on a disk that is short of it, for what is
// sent again.
func TestDamagedIndexMakesRoom(t *testing.T) {
	w := newDamageWorld(t)
	do(t, os.Remove(w.path("peers", "index", "MANIFEST")))
	free := uint64(100 << 20)
	w.cfg.GiveUp, w.cfg.RoomBytes, w.cfg.Free = true, 16<<20, func(string) (uint64, error) { return free, nil }
	s, err := store.Open(w.cfg)
	do(t, err)
	if s.BegunAnew() != 1 {
		t.Errorf("%d indexes began anew", s.BegunAnew())
	}
	for _, step := range []struct {
		free uint64
		kept bool
	}{{100 << 20, true}, {16<<20 - 1, false}} {
		free = step.free
		do(t, s.Tend())
		if _, err := os.Stat(w.path("peers", "index.damaged")); (err == nil) != step.kept {
			t.Errorf("with %d bytes free: %v", free, err)
		}
	}
	do(t, s.Close())
}

// An index that only the machine keeps from being opened is not moved aside.
func TestIndexMayBeWhole(t *testing.T) {
	for err, want := range map[error]bool{
		fmt.Errorf("badger: %w", &os.PathError{Op: "open", Err: syscall.EMFILE}):            true,
		errors.New("while opening memtables err: write 00001.mem: no space left on device"): true,
		fmt.Errorf("table: %w", &os.PathError{Op: "read", Err: syscall.EIO}):                false,
		errors.New("table 000001.sst: checksum mismatch"):                                   false,
	} {
		if store.FromMachine(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}
