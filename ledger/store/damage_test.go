package store_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/journal"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
)

// damageWorld is a folder with some entries of its own and of a neighbour.
type damageWorld struct {
	cfg     store.Config
	me      storetest.Machine
	peer    *storetest.Author
	entries uint64
	shift   uint64 // makes entries others than those of another world
}

func newDamageWorld(t *testing.T) damageWorld {
	t.Helper()
	fleet, err := storetest.NewFleet("damage")
	if err != nil {
		t.Fatal(err)
	}
	me, err := fleet.Machine(cert.RoleKiosk, 1)
	if err != nil {
		t.Fatal(err)
	}
	neighbour, err := fleet.Machine(cert.RoleKiosk, 2)
	if err != nil {
		t.Fatal(err)
	}
	w := damageWorld{me: me, cfg: store.Config{Dir: t.TempDir(), Fleet: fleet.Public, Machine: me.Key.Public().(ed25519.PublicKey), SegmentBytes: 2000, MemTableBytes: 1 << 20}}
	if w.peer, err = storetest.NewAuthor(neighbour); err != nil {
		t.Fatal(err)
	}
	w.append(t, 21)
	w.entries = 21
	return w
}

// append opens the store, commits n entries one by one, ingests the neighbour's
// runs and closes it.
func (w damageWorld) append(t *testing.T, n int) {
	t.Helper()
	s, err := store.Open(w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	writer, err := s.OpenOwn(w.me.LogKey)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for range n {
		_, err := writer.Commit(ctx, func(first uint64) ([]ledger.Entry, error) {
			e, err := storetest.Sale(first + w.shift)
			if first == 0 {
				e, err = w.me.Open()
			}
			return []ledger.Entry{e}, err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Ingest(ctx, w.peer.Runs); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := errors.Join(<-ended, s.Close()); err != nil {
		t.Fatal(err)
	}
}

func (w damageWorld) path(parts ...string) string {
	return filepath.Join(append([]string{w.cfg.Dir}, parts...)...)
}

func (w damageWorld) segment(number string) string {
	return w.path("own", w.me.ID().String(), number+".journal")
}

func sstables(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no tables in %s (%v): the test needs some", dir, err)
	}
	return found
}

// sealRecord is how many bytes a seal takes.
const sealRecord = 49

func do(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func flip(path string, at int) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b[(at+len(b))%len(b)] ^= 4
	return os.WriteFile(path, b, 0o600)
}

// The index of own logs is nothing but an index: whatever happens to it, opening
// gives back everything.
func TestOwnIndexIsRebuilt(t *testing.T) {
	for name, damage := range map[string]func(*testing.T, damageWorld, string){
		"gone": func(t *testing.T, _ damageWorld, index string) { do(t, os.RemoveAll(index)) },
		"manifest gone": func(t *testing.T, _ damageWorld, index string) {
			sstables(t, index)
			do(t, os.Remove(index+"/MANIFEST"))
		},
		"manifest empty":    func(t *testing.T, _ damageWorld, index string) { do(t, os.Truncate(index+"/MANIFEST", 0)) },
		"key registry gone": func(t *testing.T, _ damageWorld, index string) { do(t, os.Truncate(index+"/KEYREGISTRY", 0)) },
		"table gone":        func(t *testing.T, _ damageWorld, index string) { do(t, os.Remove(sstables(t, index)[0])) },
		"table flipped":     func(t *testing.T, _ damageWorld, index string) { do(t, flip(sstables(t, index)[0], 200)) },
		"table zeroed": func(t *testing.T, _ damageWorld, index string) {
			path := sstables(t, index)[0]
			info, err := os.Stat(path)
			do(t, err, os.WriteFile(path, make([]byte, info.Size()), 0o600))
		},
		"older": func(t *testing.T, w damageWorld, index string) {
			kept := filepath.Join(t.TempDir(), "index")
			do(t, os.CopyFS(kept, os.DirFS(index)))
			w.append(t, 10)
			do(t, os.RemoveAll(index), os.CopyFS(index, os.DirFS(kept)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newDamageWorld(t)
			damage(t, w, w.path("own", "index"))
			s, err := store.Open(w.cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { do(t, s.Close()) }()
			info, _ := s.Log(w.me.ID())
			if info.End.Size < w.entries {
				t.Fatalf("%d entries, want %d", info.End.Size, w.entries)
			}
			seen := uint64(0)
			do(t, s.Range(w.me.ID(), 0, info.End.Size, func(i uint64, entry []byte) error {
				seen++
				e, err := storetest.Sale(i)
				if i == 0 {
					e, err = w.me.Open()
				}
				want, encodeErr := ledger.EncodeEntry(e)
				if !bytes.Equal(entry, want) {
					t.Errorf("entry %d differs", i)
				}
				return errors.Join(err, encodeErr)
			}))
			if seen != info.End.Size {
				t.Fatalf("%d of %d entries read", seen, info.End.Size)
			}
		})
	}
}

// refusal is damage to a journal, and whether other evidence is what shows it.
type refusal struct {
	damage func(*testing.T, damageWorld)
	doubt  bool // else the journal shows it itself
}

func refusals() map[string]refusal {
	records := func(t *testing.T, path string) (b []byte, end int) {
		b, err := os.ReadFile(path)
		do(t, err)
		return b, len(bytes.TrimRight(b, "\x00"))
	}
	zero := func(t *testing.T, path string, n int) { // the last n bytes of what was written
		b, end := records(t, path)
		clear(b[end-n : end])
		do(t, os.WriteFile(path, b, 0o600))
	}
	return map[string]refusal{
		"bit in a record, index gone": {func(t *testing.T, w damageWorld) {
			do(t, flip(w.segment("00000001"), 300), os.RemoveAll(w.path("own", "index")))
		}, false},
		"segment gone, index gone": {func(t *testing.T, w damageWorld) {
			do(t, os.Remove(w.segment("00000001")), os.RemoveAll(w.path("own", "index")))
		}, false},
		"bit in a record, last segment cut": {func(t *testing.T, w damageWorld) {
			do(t, flip(w.segment("00000001"), 300), os.Truncate(w.segment(w.last(t)), 1999))
		}, false},
		"last segment gone":          {func(t *testing.T, w damageWorld) { do(t, os.Remove(w.segment(w.last(t)))) }, false},
		"last segment cut":           {func(t *testing.T, w damageWorld) { do(t, os.Truncate(w.segment(w.last(t)), 1999)) }, false},
		"last segment empty":         {func(t *testing.T, w damageWorld) { do(t, os.Truncate(w.segment(w.last(t)), 0)) }, false},
		"last batch and seal zeroed": {func(t *testing.T, w damageWorld) { zero(t, w.segment(w.last(t)), sealRecord+20) }, true},
		"the same, index gone": {func(t *testing.T, w damageWorld) {
			zero(t, w.segment(w.last(t)), sealRecord+20)
			do(t, os.RemoveAll(w.path("own", "index")))
		}, true},
		"journal emptied, index gone": {func(t *testing.T, w damageWorld) {
			do(t, os.RemoveAll(w.path("own", "index")), os.RemoveAll(w.path("own", w.me.ID().String())), os.Mkdir(w.path("own", w.me.ID().String()), 0o700))
		}, true},
		"journal emptied": {func(t *testing.T, w damageWorld) {
			do(t, os.RemoveAll(w.path("own", w.me.ID().String())), os.Mkdir(w.path("own", w.me.ID().String()), 0o700))
		}, true},
		"journal gone": {func(t *testing.T, w damageWorld) { do(t, os.RemoveAll(w.path("own", w.me.ID().String()))) }, true},
	}
}

// A journal that is damaged, or shorter than its index shows it was, is refused
// whole and left as it is.
func TestJournalIsRefused(t *testing.T) {
	for name, c := range refusals() {
		t.Run(name, func(t *testing.T) {
			w := newDamageWorld(t)
			c.damage(t, w)
			before, _ := os.ReadFile(w.segment(w.last(t)))
			for range 2 { // the second start says the same
				s, err := store.Open(w.cfg)
				if err == nil {
					do(t, s.Close())
					t.Fatal("it opened")
				}
				var damage *journal.DamageError
				if c.doubt != errors.Is(err, store.ErrInDoubt) || c.doubt == errors.As(err, &damage) {
					t.Fatalf("error %v", err)
				}
				if !strings.Contains(err.Error(), w.me.ID().String()) {
					t.Errorf("%q does not name the log", err)
				}
			}
			after, _ := os.ReadFile(w.segment(w.last(t)))
			if len(before) > 0 && !bytes.Equal(before, after) {
				t.Error("refusing changed the journal")
			}
		})
	}
}

// What is no entry may be damaged without any loss: a seal is only dropped, a head
// file that says nothing true is written anew.
func TestRepairedFromJournal(t *testing.T) {
	for name, damage := range map[string]func(*testing.T, damageWorld, string){
		"seal flipped": func(t *testing.T, w damageWorld, _ string) {
			path := w.segment(w.last(t))
			b, err := os.ReadFile(path)
			do(t, err, flip(path, len(bytes.TrimRight(b, "\x00"))-3))
		},
		"head gone":    func(t *testing.T, _ damageWorld, head string) { do(t, os.Remove(head)) },
		"head flipped": func(t *testing.T, _ damageWorld, head string) { do(t, flip(head, 60)) },
		"head cut":     func(t *testing.T, _ damageWorld, head string) { do(t, os.Truncate(head, 70)) },
		"head zeroed":  func(t *testing.T, _ damageWorld, head string) { do(t, os.WriteFile(head, make([]byte, 200), 0o600)) },
		"head and index gone": func(t *testing.T, w damageWorld, head string) {
			do(t, os.Remove(head), os.RemoveAll(w.path("own", "index")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newDamageWorld(t)
			head := w.path("own", w.me.ID().String()+".head")
			want, err := os.ReadFile(head)
			do(t, err)
			damage(t, w, head)
			w.append(t, 0)
			got, err := os.ReadFile(head)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("the head file says\n%s\nwant\n%s\n%v", got, want, err)
			}
			s, err := store.Open(w.cfg)
			do(t, err)
			if info, _ := s.Log(w.me.ID()); info.End.Size != w.entries {
				t.Fatalf("%d entries, want %d", info.End.Size, w.entries)
			}
			do(t, s.Close())
		})
	}
}

func (w damageWorld) last(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob(w.segment("*"))
	do(t, err)
	if len(found) == 0 {
		return "00000001"
	}
	return strings.TrimSuffix(filepath.Base(found[len(found)-1]), ".journal")
}

// Nothing here can rebuild the neighbours' index, so it is refused with the remedy,
// and its tables stay.
func TestPeersIndexIsRefused(t *testing.T) {
	for name, damage := range map[string]func(*testing.T, string){
		"manifest gone": func(t *testing.T, index string) { do(t, os.Remove(index+"/MANIFEST")) },
		"table flipped": func(t *testing.T, index string) { do(t, flip(sstables(t, index)[0], 200)) },
		"table cut":     func(t *testing.T, index string) { do(t, os.Truncate(sstables(t, index)[0], 100)) },
		"table gone":    func(t *testing.T, index string) { do(t, os.Remove(sstables(t, index)[0])) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newDamageWorld(t)
			index := w.path("peers", "index")
			damage(t, index)
			tables, err := filepath.Glob(index + "/*.sst")
			do(t, err)
			s, err := store.Open(w.cfg)
			if err == nil {
				do(t, s.Close())
				t.Fatal("it opened")
			}
			if !strings.Contains(err.Error(), "move the folder "+index+" elsewhere") {
				t.Errorf("%q does not say what to do", err)
			}
			if left, _ := filepath.Glob(index + "/*.sst"); len(left) != len(tables) {
				t.Fatalf("%d tables left of %d", len(left), len(tables))
			}
			do(t, os.Rename(index, index+".old"))
			w.append(t, 1)
		})
	}
}

// A neighbour that holds more of our log than we do proves that our folder was
// restored from an old copy, or lost.
func TestOwnLogAtNeighbours(t *testing.T) {
	w := newDamageWorld(t)
	s, err := store.Open(w.cfg)
	do(t, err)
	defer func() { do(t, s.Close()) }()
	if _, err := s.OpenOwn(w.peer.LogKey); !errors.Is(err, store.ErrInDoubt) {
		t.Fatalf("error %v", err)
	}
}

// A loss is remembered, whatever grows and stops meanwhile, until the very history that
// was held is held again.
func TestLossIsRemembered(t *testing.T) {
	w := newDamageWorld(t)
	for range 4 {
		e, err := storetest.Sale(w.peer.Log.End.Size)
		do(t, err)
		_, err = w.peer.Write(e)
		do(t, err)
	}
	w.append(t, 1)
	runs, end := w.peer.Runs, w.peer.Log.End
	do(t, os.RemoveAll(w.path("peers", "index")))
	for n := range len(runs) { // one more each start
		s, err := store.Open(w.cfg)
		do(t, err)
		if lost := s.Lost(); len(lost) != 1 || lost[0].Had.Size != end.Size || lost[0].Held != uint64(n) {
			t.Fatalf("with %d entries lost is %+v", n, lost)
		}
		results, err := s.Ingest(t.Context(), runs[n:n+1])
		do(t, err, results[0].Err)
		if lost := s.Lost(); (len(lost) == 0) != (n+1 == len(runs)) {
			t.Fatalf("with %d entries lost is %+v", n+1, lost)
		}
		do(t, s.Close())
	}
	// Another history of the same length does not make it good.
	other, err := storetest.NewAuthor(w.peer.Machine)
	do(t, err)
	for n := range end.Size - 1 {
		e, err := storetest.Sale(100 + n)
		do(t, err)
		_, err = other.Write(e)
		do(t, err)
	}
	do(t, os.RemoveAll(w.path("peers", "index")))
	s, err := store.Open(w.cfg)
	do(t, err)
	_, err = s.Ingest(t.Context(), other.Runs)
	do(t, err)
	if lost := s.Lost(); len(lost) != 1 || lost[0].Had.Root != end.Root || lost[0].Held != 0 {
		t.Errorf("with another history lost is %+v", lost)
	}
	_, err = s.Ingest(t.Context(), []ledger.Run{w.peer.Whole()})
	do(t, err)
	if lost := s.Lost(); len(lost) != 0 {
		t.Errorf("with both histories lost is %+v", lost)
	}
	do(t, s.Close())
}

// forkWorld is a damageWorld whose neighbour's disk was cloned: twin wrote other entries.
func newForkWorld(t *testing.T) (w damageWorld, twin *storetest.Author) {
	t.Helper()
	w = newDamageWorld(t)
	for n := range uint64(6) {
		e, err := storetest.Sale(n)
		do(t, err)
		_, err = w.peer.Write(e)
		do(t, err)
	}
	w.append(t, 0)
	twin, err := storetest.NewAuthor(w.peer.Machine)
	do(t, err)
	for n := range uint64(4) {
		e, err := storetest.Sale(100 + n)
		do(t, err)
		_, err = twin.Write(e)
		do(t, err)
	}
	return w, twin
}

// loses has the index of others' logs lose what act brings, as Badger may lose a log of
// a memtable, and returns the store after it.
func (w damageWorld) loses(t *testing.T, act func(*store.Store)) (*store.Store, error) {
	t.Helper()
	kept := filepath.Join(t.TempDir(), "index")
	do(t, os.CopyFS(kept, os.DirFS(w.path("peers", "index"))))
	s, err := store.Open(w.cfg)
	do(t, err)
	act(s)
	do(t, s.Close(), os.RemoveAll(w.path("peers", "index")), os.CopyFS(w.path("peers", "index"), os.DirFS(kept)))
	return store.Open(w.cfg)
}

// A branch of a forked log that is lost, and evidence of a fork that no branch holds, are
// losses like any other, until the same history is held or shown again.
func TestForkLost(t *testing.T) {
	for name, send := range map[string]func(twin *storetest.Author) ledger.Run{
		"a branch":      func(twin *storetest.Author) ledger.Run { return twin.Whole() },
		"evidence only": func(twin *storetest.Author) ledger.Run { return twin.Runs[3] },
	} {
		t.Run(name, func(t *testing.T) {
			w, twin := newForkWorld(t)
			run := send(twin)
			show := func(s *store.Store) {
				results, err := s.Ingest(t.Context(), []ledger.Run{run})
				do(t, err)
				if !errors.Is(results[0].Err, ledger.ErrFork) || results[0].Held != (name == "a branch") || len(s.Forks()) != 1 {
					t.Fatalf("%+v and %d forks", results, len(s.Forks()))
				}
			}
			s, err := w.loses(t, show)
			do(t, err)
			for range 2 { // the next start says the same
				lost := s.Lost()
				if len(lost) != 1 || lost[0].Log != w.peer.ID() || lost[0].Had != (ledger.Tip{Size: run.End.Size, Root: run.End.Root}) || len(s.Forks()) != 0 {
					t.Fatalf("lost is %+v, there are %d forks", lost, len(s.Forks()))
				}
				do(t, s.Close())
				s, err = store.Open(w.cfg)
				do(t, err)
			}
			show(s)
			for range 2 {
				if lost := s.Lost(); len(lost) != 0 || len(s.Forks()) != 1 {
					t.Fatalf("lost is %+v, there are %d forks", lost, len(s.Forks()))
				}
				do(t, s.Close())
				s, err = store.Open(w.cfg)
				do(t, err)
			}
			do(t, s.Close())
		})
	}
}

// Branches prove a fork whose evidence is lost.
func TestForkIsProvenAnew(t *testing.T) {
	w, twin := newForkWorld(t)
	s, err := store.Open(w.cfg)
	do(t, err)
	_, err = s.Ingest(t.Context(), []ledger.Run{twin.Whole()})
	do(t, err, s.Close())
	changePeers(t, w.cfg.Dir, func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{'f'}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			do(t, txn.Delete(it.Item().KeyCopy(nil)))
		}
		return nil
	})
	for range 2 {
		s, err := store.Open(w.cfg)
		do(t, err)
		forks, lost := s.Forks(), s.Lost()
		if len(forks) != 1 || len(lost) != 0 || forks[0].Theirs.End != twin.Log.End || forks[0].Theirs.First != 1 {
			t.Fatalf("forks %+v, lost %+v", forks, lost)
		}
		do(t, s.Close())
	}
}

// That another history of an own log was shown is not forgotten with the evidence: the
// log is in doubt by its mark alone.
func TestOwnForkLost(t *testing.T) {
	w := newDamageWorld(t)
	mine, err := storetest.NewAuthor(w.me)
	do(t, err)
	e, err := storetest.Sale(1000)
	do(t, err)
	run, err := mine.Write(e)
	do(t, err)
	w.cfg.GiveUp = false
	show := func(s *store.Store) {
		results, err := s.Ingest(t.Context(), []ledger.Run{run})
		do(t, err)
		if !errors.Is(results[0].Err, store.ErrInDoubt) || len(s.Forks()) != 1 {
			t.Fatalf("%+v", results)
		}
	}
	_, err = w.loses(t, show)
	for range 2 { // the next start says the same
		if !errors.Is(err, store.ErrInDoubt) || !strings.Contains(err.Error(), "showed another history") {
			t.Fatalf("error %v", err)
		}
		_, err = store.Open(w.cfg)
	}
	w.cfg.GiveUp = true
	s, err := store.Open(w.cfg)
	do(t, err)
	if _, err := s.OpenOwn(w.me.LogKey); !errors.Is(err, store.ErrInDoubt) {
		t.Errorf("its key opens: %v", err)
	}
	if info, _ := s.Log(w.me.ID()); info.Own || info.End.Size != w.entries {
		t.Errorf("%d entries are kept of it, own: %v", info.End.Size, info.Own)
	}
	if lost := s.Lost(); len(lost) != 1 || lost[0].Had.Root != run.End.Root {
		t.Errorf("lost is %+v", lost)
	}
	do(t, s.Close())
}
