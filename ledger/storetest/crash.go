package storetest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/store"
)

// crashLives is how often one world dies and is opened again.
const crashLives = 8

// Crash runs a random workload of own commits, ingests and openings under the seed.
// Each life ends with a crash: at a durable step of the journal that failed, failed
// and yet persisted, or failed half-way, or between steps. Everything in memory is
// dropped, what was not synced is taken back in part, the own index may be thrown
// back to an earlier life, and the folder is opened again. Then everything that was
// acknowledged must be there, and beyond it at most the one batch in flight. Where the
// index of others' logs is taken away, their marks tell what was in it.
func Crash(t testing.TB, open Opener, seed uint64) {
	t.Logf("seed %d", seed)
	fleet := must[Fleet](t)(NewFleet("crash"))
	w := &world{t: t, open: open, rand: rand.New(rand.NewPCG(seed, 1)), fleet: fleet, root: t.TempDir()}
	w.me = must[Machine](t)(fleet.Machine(cert.RoleKiosk, 1))
	for slot := range uint32(2) {
		w.peers = append(w.peers, must[*Author](t)(NewAuthor(must[Machine](t)(fleet.Machine(cert.RoleKiosk, 2+slot)))))
		w.sent, w.sends = append(w.sent, 0), append(w.sends, 0)
	}
	w.dir = filepath.Join(w.root, "0")
	for life := range crashLives {
		w.live(life)
	}
}

// world is what a crash must not change.
type world struct {
	t     testing.TB
	open  Opener
	rand  *rand.Rand
	fleet Fleet
	me    Machine
	peers []*Author
	sent  []uint64 // acknowledged size of each peer's log
	sends []uint64 // size that an ingest in flight when it died would have given it
	root  string
	dir   string
	old   string   // an own index of an earlier life
	gone  bool     // the index of others' logs is
	acked [][]byte // own entries
	maybe [][]byte // of the batch in flight when it died
	ops   uint64
}

func (w *world) live(life int) {
	disk := &Disk{}
	if !w.gone && w.rand.IntN(5) > 0 {
		disk.FailAt(1+w.rand.IntN(40), Failure(w.rand.IntN(3)))
	}
	s, err := w.open(store.Config{
		Dir: w.dir, Fleet: w.fleet.Public, Machine: w.me.Key.Public().(ed25519.PublicKey), Disk: disk,
		SegmentBytes: 2000, MemTableBytes: 1 << 20, // so that segments and tables begin often
	})
	var writer *store.Writer
	if err == nil {
		w.check(s, life)
		writer, err = s.OpenOwn(w.me.LogKey)
	}
	if err != nil && !errors.Is(err, ErrInjected) {
		w.t.Fatalf("life %d: couldn't open: %v", life, err)
	}
	if err == nil {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		w.work(s, writer)
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, ErrInjected) {
			w.t.Fatalf("life %d: %v", life, err)
		}
	}
	if step, late := disk.Failed(); step != "" && len(late) > 0 {
		w.t.Fatalf("life %d: after %s had failed the journal still asked for %v", life, step, late)
	}
	w.die(s, disk, life)
}

// check compares the store with what was acknowledged and adopts the batch in
// flight if it is there.
func (w *world) check(s *store.Store, life int) {
	var got [][]byte
	if _, held := s.Log(w.me.ID()); held {
		got = verify(w.t, s, w.me.ID(), 1<<20)
	}
	want := w.acked
	if len(got) > len(want) {
		want = append(want[:len(want):len(want)], w.maybe...)
	}
	if len(got) != len(want) {
		w.t.Fatalf("life %d: %d own entries, %d were acknowledged and %d in flight", life, len(got), len(w.acked), len(w.maybe))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			w.t.Fatalf("life %d: own entry %d has other bytes", life, i)
		}
	}
	w.acked, w.maybe = got, nil
	if w.gone {
		w.again(s, life)
	}
	if n := s.MarksLost(); n > 0 {
		w.t.Fatalf("life %d: at %d starts it was not known how far others' logs were held: no crash damages marks", life, n)
	}
	for _, l := range s.Lost() {
		w.t.Fatalf("life %d: marks say that %d entries of a peer were held, of which %d are: marks must never be ahead", life, l.Had.Size, l.Held)
	}
	for k, a := range w.peers {
		var all [][]byte
		if _, held := s.Log(a.ID()); held {
			all = verify(w.t, s, a.ID(), 1<<20)
		}
		if n := uint64(len(all)); n != w.sent[k] && n != w.sends[k] {
			w.t.Fatalf("life %d: %d entries of a peer, %d were acknowledged and in flight %d", life, n, w.sent[k], w.sends[k])
		}
		w.sent[k], w.sends[k] = uint64(len(all)), 0
		for i, want := range a.Whole().Entries[:len(all)] {
			if !bytes.Equal(all[i], want) {
				w.t.Fatalf("life %d: a peer's entry %d has other bytes", life, i)
			}
		}
	}
}

// again looks whether marks tell of everything that peers were told is durable, and has
// it sent again.
func (w *world) again(s *store.Store, life int) {
	had := map[ledger.LogID]uint64{}
	for _, l := range s.Lost() {
		had[l.Log] = max(had[l.Log], l.Had.Size)
	}
	for k, a := range w.peers {
		if n := had[a.ID()]; n != w.sent[k] && n != w.sends[k] {
			w.t.Fatalf("life %d: marks tell of %d entries of a peer, %d were acknowledged and in flight %d", life, n, w.sent[k], w.sends[k])
		}
		must[[]store.IngestResult](w.t)(s.Ingest(w.t.Context(), a.Runs))
		w.sent[k], w.sends[k] = a.Log.End.Size, 0
	}
	w.gone = false
}

func (w *world) work(s *store.Store, writer *store.Writer) {
	for range 2 + w.rand.IntN(25) {
		w.ops++
		if w.rand.IntN(3) == 0 {
			if !w.ingest(s) {
				return
			}
			continue
		}
		var built [][]byte
		c, err := writer.Commit(w.t.Context(), func(first uint64) ([]ledger.Entry, error) {
			if first != uint64(len(w.acked)) {
				return nil, fmt.Errorf("the next index is %d, want %d", first, len(w.acked))
			}
			entries, err := w.entries(first)
			for _, e := range entries {
				b, err := ledger.EncodeEntry(e)
				if err != nil {
					return nil, err
				}
				built = append(built, b)
			}
			return entries, err
		})
		if errors.Is(err, ErrInjected) {
			w.maybe = built
			return
		}
		if err != nil {
			w.t.Fatal(err)
		}
		w.acked = append(w.acked, c.Entries...)
		// What is acknowledged is read at once, whether or not the index has it.
		p := ledger.Position{Log: w.me.ID(), Index: c.First}
		if got := must[[]byte](w.t)(s.Entry(p)); !bytes.Equal(got, c.Entries[0]) {
			w.t.Fatalf("entry %s differs right after its acknowledgement", p)
		}
	}
}

func (w *world) entries(first uint64) ([]ledger.Entry, error) {
	var out []ledger.Entry
	if first == 0 {
		e, err := w.me.Open()
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	for i := range 1 + w.rand.Uint64N(3) {
		e, err := Filler(w.ops<<8+i, w.rand.IntN(300)) // never the same bytes twice
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// ingest gives the store what a peer wrote, and reports whether its disk still works.
func (w *world) ingest(s *store.Store) bool {
	k := w.rand.IntN(len(w.peers))
	a := w.peers[k]
	if w.rand.IntN(2) == 0 {
		must[ledger.Run](w.t)(a.Write(must[ledger.Entry](w.t)(Sale(w.ops))))
	}
	results, err := s.Ingest(w.t.Context(), a.Runs)
	if errors.Is(err, ErrInjected) {
		w.sends[k] = a.Log.End.Size
		return false
	}
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			w.t.Fatal(r.Err)
		}
	}
	w.sent[k] = a.Log.End.Size
	return true
}

// die copies the folder as a crash would leave it and lets the old one go.
func (w *world) die(s *store.Store, disk *Disk, life int) {
	was, next := w.dir, filepath.Join(w.root, fmt.Sprint(life+1))
	if err := copyStill(was, next); err != nil {
		w.t.Fatal(err)
	}
	if err := disk.Crash(w.rand, was, next); err != nil {
		w.t.Fatal(err)
	}
	index := filepath.Join(next, "own", "index")
	if _, err := os.Stat(index); err == nil {
		switch keep := filepath.Join(w.root, fmt.Sprint("index", life)); w.rand.IntN(4) {
		case 0: // the own index is not synced: a power cut may throw it back
			if w.old != "" {
				if err := errors.Join(os.RemoveAll(index), os.CopyFS(index, os.DirFS(w.old))); err != nil {
					w.t.Fatal(err)
				}
			}
		case 1:
			if err := copyTree(index, keep); err != nil {
				w.t.Fatal(err)
			}
			w.old = keep
		case 2: // or take what Badger then refuses to open
			if err := os.Remove(filepath.Join(index, "MANIFEST")); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(next, "peers", "marks")); err == nil && w.rand.IntN(4) == 0 {
		w.gone = true
		if err := os.RemoveAll(filepath.Join(next, "peers", "index")); err != nil {
			w.t.Fatal(err)
		}
	}
	if s != nil {
		if err := s.Close(); err != nil && !errors.Is(err, ErrInjected) {
			w.t.Fatal(err)
		}
	}
	w.dir = next
	if err := os.RemoveAll(was); err != nil {
		w.t.Fatal(err)
	}
}

// copyTries bounds how often a folder may change while it is copied: Badger may be
// compacting, which ends.
const copyTries = 1000

// copyStill copies a folder as it was at one moment. A crash stops the disk; a copy
// takes time, and Badger's own goroutines may replace tables meanwhile. So it is
// repeated until the names and the MANIFESTs were the same before and after.
func copyStill(from, to string) error {
	for range copyTries {
		before, err := tables(from)
		if err != nil {
			return err
		}
		copied := copyTree(from, to)
		if after, err := tables(from); err != nil || copied == nil && before == after {
			return err
		}
		if copied != nil && !errors.Is(copied, fs.ErrNotExist) {
			return copied
		}
		if err := os.RemoveAll(to); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s changed during each of %d copies", from, copyTries)
}

// tables tells every name in a folder and what its MANIFESTs hold.
func tables(dir string) (string, error) {
	var all []byte
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone since it was listed; the next look differs
		}
		all = append(append(all, path...), 0)
		if err == nil && filepath.Base(path) == "MANIFEST" {
			var b []byte
			b, err = os.ReadFile(path)
			all = append(all, b...)
		}
		return err
	})
	return string(all), err
}

// copyTree copies a folder, leaving holes where there are zeros: Badger's files are
// mostly that.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, path[len(from):])
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		return copyFile(path, target)
	})
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	block, zero := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); ; {
		n, err := io.ReadFull(in, block)
		if n > 0 && !bytes.Equal(block[:n], zero[:n]) {
			if _, err := out.WriteAt(block[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			return out.Truncate(at)
		}
		if err != nil {
			return err
		}
	}
}
