package storetest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/store"
)

// Opener opens a store.
type Opener func(store.Config) (*store.Store, error)

// Test runs the contract against a store, each part in a folder of its own.
func Test(t *testing.T, open Opener) {
	parts := []struct {
		name string
		test func(*testing.T, *node)
	}{
		{"a fresh log begins with the entry that opens it", testFresh},
		{"what is acknowledged can be read", testRead},
		{"commits that wait share batches", testBatches},
		{"a commit that does not fit keeps its index", testCarry},
		{"a refused build appends nothing", testRefusedBuild},
		{"a commit whose caller left appends nothing", testLeft},
		{"the same after opening again", testReopen},
		{"the folder has one user and one owner", testFolder},
		{"runs that do not prove themselves are refused", testRefusedRuns},
		{"a fork is kept, and each branch", testFork},
		{"a log begun twice", testTwoBeginnings},
		{"the longest run", testLongestRun},
		{"runs read from any index extend", testReadRun},
		{"own logs take nothing from others", testOwnRefused},
		{"objects", testObjects},
		{"erased objects are gone and stay gone", testErased},
		{"an own entry erases", testErasedByOwn},
		{"an object that no entry names can be dropped", testDropped},
		{"a run that erases as much as it can", testErasedMost},
		{"updates", testUpdates},
	}
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) { p.test(t, newNode(t, open)) })
	}
}

// node is a store under test, with its machine, in a fleet.
type node struct {
	t      testing.TB
	open   Opener
	cfg    store.Config
	fleet  Fleet
	me     Machine
	store  *store.Store
	writer *store.Writer
	cancel context.CancelFunc
	ended  chan error
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newNode(t testing.TB, open Opener) *node {
	t.Helper()
	fleet := must[Fleet](t)(NewFleet("contract"))
	n := &node{t: t, open: open, fleet: fleet, me: must[Machine](t)(fleet.Machine(cert.RoleKiosk, 1))}
	n.cfg = store.Config{Dir: filepath.Join(t.TempDir(), "data"), Fleet: fleet.Public, Machine: n.me.Key.Public().(ed25519.PublicKey)}
	n.start()
	t.Cleanup(func() {
		if n.store != nil {
			n.stop()
		}
	})
	return n
}

func (n *node) start() {
	n.t.Helper()
	n.store = must[*store.Store](n.t)(n.open(n.cfg))
	n.writer = must[*store.Writer](n.t)(n.store.OpenOwn(n.me.LogKey))
	var ctx context.Context
	ctx, n.cancel = context.WithCancel(context.Background())
	n.ended = make(chan error, 1)
	s := n.store
	go func() { n.ended <- s.Run(ctx) }()
}

func (n *node) stop() {
	n.t.Helper()
	n.cancel()
	if err := <-n.ended; err != nil {
		n.t.Errorf("Run: %v", err)
	}
	if err := n.store.Close(); err != nil {
		n.t.Errorf("Close: %v", err)
	}
	n.store = nil
}

func (n *node) commit(entries ...ledger.Entry) store.Committed {
	n.t.Helper()
	return must[store.Committed](n.t)(n.writer.Commit(n.t.Context(), func(uint64) ([]ledger.Entry, error) { return entries, nil }))
}

func (n *node) begin() { n.t.Helper(); n.commit(must[ledger.Entry](n.t)(n.me.Open())) }

func (n *node) sale(i uint64) ledger.Entry { return must[ledger.Entry](n.t)(Sale(i)) }

func (n *node) author(slot uint32) *Author {
	n.t.Helper()
	m := must[Machine](n.t)(n.fleet.Machine(cert.RoleKiosk, slot))
	return must[*Author](n.t)(NewAuthor(m))
}

func (n *node) ingest(runs ...ledger.Run) []store.IngestResult {
	n.t.Helper()
	return must[[]store.IngestResult](n.t)(n.store.Ingest(n.t.Context(), runs))
}

// verify reads a log in runs and extends an empty log by them: the strongest check
// there is. It returns the entries.
func verify(t testing.TB, s *store.Store, id ledger.LogID, maxBytes int) [][]byte {
	t.Helper()
	info, ok := s.Log(id)
	if !ok {
		t.Fatalf("log %s is not held", id)
	}
	l := ledger.Log{Key: info.Key}
	var all [][]byte
	for l.Edge.Size() < info.End.Size {
		run := must[ledger.Run](t)(s.ReadRun(id, l.Edge.Size(), maxBytes))
		encoded := must[[]byte](t)(run.Encode())
		run = must[ledger.Run](t)(ledger.DecodeRun(encoded))
		next, fresh, err := l.Extend(run)
		if err != nil {
			t.Fatalf("run from %d: %v", run.First, err)
		}
		l, all = next, append(all, fresh...)
	}
	if tip := s.Frontier()[id][0]; tip != (ledger.Tip{Size: l.End.Size, Root: l.End.Root}) || info.End != l.End {
		t.Fatalf("frontier says %d, log info %d, runs lead to %d", tip.Size, info.End.Size, l.End.Size)
	}
	ranged := 0
	err := s.Range(id, 0, info.End.Size, func(i uint64, entry []byte) error {
		if i != uint64(ranged) || !bytes.Equal(entry, all[i]) {
			return fmt.Errorf("entry %d differs from the run's", i)
		}
		ranged++
		return nil
	})
	if err != nil || ranged != len(all) {
		t.Fatalf("Range gave %d of %d entries: %v", ranged, len(all), err)
	}
	return all
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func testFresh(t *testing.T, n *node) {
	sale := n.sale(1)
	_, err := n.writer.Commit(t.Context(), func(first uint64) ([]ledger.Entry, error) { return []ledger.Entry{sale}, nil })
	wantErr(t, err, ledger.ErrMalformed)
	other := must[Fleet](t)(NewFleet("other"))
	stranger := must[Machine](t)(other.Machine(cert.RoleKiosk, 1))
	_, err = n.writer.Commit(t.Context(), func(uint64) ([]ledger.Entry, error) {
		e, err := stranger.Open()
		return []ledger.Entry{e}, err
	})
	wantErr(t, err, cert.ErrRefused)
	if _, held := n.store.Log(n.me.ID()); held || len(n.store.Frontier()) != 0 || n.writer.Size() != 0 {
		t.Fatal("an empty log is shown")
	}
	n.begin()
	if c := n.commit(sale); c.First != 1 || c.End.Size != 2 {
		t.Fatalf("second commit: first %d, end %d", c.First, c.End.Size)
	}
}

func testRead(t *testing.T, n *node) {
	n.begin()
	for i := range uint64(200) {
		c := n.commit(n.sale(i), n.sale(i+1000))
		for k, want := range c.Entries {
			p := ledger.Position{Log: n.me.ID(), Index: c.First + uint64(k)}
			if got := must[[]byte](t)(n.store.Entry(p)); !bytes.Equal(got, want) {
				t.Fatalf("entry %s differs from what was committed", p)
			}
			if got := must[ledger.Checkpoint](t)(n.store.Covering(p)); got != c.End {
				t.Fatalf("entry %s is covered by the checkpoint at %d, want %d", p, got.Size, c.End.Size)
			}
		}
		if err := c.End.Verify(n.me.LogKey.Public().(ed25519.PublicKey)); err != nil {
			t.Fatal(err)
		}
		if got := must[ledger.Checkpoint](t)(n.store.CheckpointAt(n.me.ID(), c.End.Size)); got != c.End {
			t.Fatalf("another checkpoint at %d", c.End.Size)
		}
	}
	_, err := n.store.CheckpointAt(n.me.ID(), 2) // inside a commit
	wantErr(t, err, store.ErrNotHeld)
	_, err = n.store.Entry(ledger.Position{Log: n.me.ID(), Index: 401})
	wantErr(t, err, store.ErrNotHeld)
	_, err = n.store.Entry(ledger.Position{Index: 0})
	wantErr(t, err, store.ErrNotHeld)
	_, err = n.store.ReadRun(n.me.ID(), 401, 1<<20)
	wantErr(t, err, store.ErrNotHeld)
	wantErr(t, n.store.Range(n.me.ID(), 400, 402, func(uint64, []byte) error { return nil }), store.ErrNotHeld)
	verify(t, n.store, n.me.ID(), 1<<20)
}

func testBatches(t *testing.T, n *node) {
	n.begin()
	const writers, each = 40, 10
	results := make([]store.Committed, writers*each)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for k := range each {
				c, err := n.writer.Commit(t.Context(), func(first uint64) ([]ledger.Entry, error) {
					var out []ledger.Entry
					for i := range uint64(1 + w%3) {
						e, err := Sale(first + i) // the index is in the bytes
						if err != nil {
							return nil, err
						}
						out = append(out, e)
					}
					return out, nil
				})
				if err != nil {
					t.Error(err)
				}
				results[w*each+k] = c
				if got, err := n.store.Entry(ledger.Position{Log: n.me.ID(), Index: c.First}); err != nil || !bytes.Equal(got, c.Entries[0]) {
					t.Errorf("entry %d cannot be read right after its acknowledgement: %v", c.First, err)
				}
			}
		})
	}
	wg.Wait()
	slices.SortFunc(results, func(a, b store.Committed) int { return int(a.First) - int(b.First) })
	next, ends := uint64(1), map[uint64]bool{}
	for _, c := range results {
		if c.First != next {
			t.Fatalf("a commit begins at %d, want %d", c.First, next)
		}
		for i, raw := range c.Entries {
			want := must[[]byte](t)(ledger.EncodeEntry(n.sale(c.First + uint64(i))))
			if !bytes.Equal(raw, want) {
				t.Fatalf("entry %d was built for another index", c.First+uint64(i))
			}
		}
		next += uint64(len(c.Entries))
		ends[c.End.Size] = true
		if c.End.Size < next || c.End.Size-c.First > ledger.BatchMaxEntries {
			t.Fatalf("entries %d to %d: checkpoint at %d", c.First, next, c.End.Size)
		}
	}
	if len(ends) >= len(results) {
		t.Errorf("%d commits of %d writers made %d checkpoints: none shared a batch", len(results), writers, len(ends))
	}
	if got := len(verify(t, n.store, n.me.ID(), 5000)); uint64(got) != next {
		t.Fatalf("%d entries, want %d", got, next)
	}
}

// block commits once with a build that waits, so that everything committed
// meanwhile waits together. It returns what releases it.
func (n *node) block() (release func()) {
	started, gate, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	e := n.sale(99)
	go func() {
		_, err := n.writer.Commit(context.Background(), func(uint64) ([]ledger.Entry, error) {
			close(started)
			<-gate
			return []ledger.Entry{e}, nil
		})
		done <- err
	}()
	<-started
	return func() {
		close(gate)
		if err := <-done; err != nil {
			n.t.Error(err)
		}
	}
}

func testCarry(t *testing.T, n *node) {
	n.begin()
	release := n.block()
	var wg sync.WaitGroup
	var results [6]store.Committed
	for w := range results {
		wg.Go(func() {
			var err error
			calls := 0
			results[w], err = n.writer.Commit(t.Context(), func(first uint64) ([]ledger.Entry, error) {
				if calls++; calls > 1 {
					t.Error("build ran twice")
				}
				var out []ledger.Entry
				for i := range uint64(40) {
					e, err := Filler(first+i, 15_000) // 40 fit a batch by number, not by bytes with another 40
					if err != nil {
						return nil, err
					}
					out = append(out, e)
				}
				return out, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	release()
	wg.Wait()
	for _, c := range results {
		for i, raw := range c.Entries {
			e := must[ledger.Entry](t)(Filler(c.First+uint64(i), 15_000))
			if want := must[[]byte](t)(ledger.EncodeEntry(e)); !bytes.Equal(raw, want) {
				t.Fatalf("the entry at %d was built for another index", c.First+uint64(i))
			}
		}
	}
	if got := len(verify(t, n.store, n.me.ID(), 1<<20)); got != 2+6*40 {
		t.Fatalf("%d entries, want %d", got, 2+6*40)
	}
}

func testRefusedBuild(t *testing.T, n *node) {
	n.begin()
	mine := errors.New("mine")
	tooMany := make([]ledger.Entry, ledger.BatchMaxEntries+1)
	var tooLarge []ledger.Entry
	for i := range uint64(ledger.BatchMaxEntries) {
		e := must[ledger.Entry](t)(Filler(i, ledger.EntryMaxBytes-18))
		tooLarge = append(tooLarge, e)
	}
	for name, build := range map[string]func(uint64) ([]ledger.Entry, error){
		"error":     func(uint64) ([]ledger.Entry, error) { return []ledger.Entry{n.sale(1)}, mine },
		"none":      func(uint64) ([]ledger.Entry, error) { return nil, nil },
		"too many":  func(uint64) ([]ledger.Entry, error) { return tooMany, nil },
		"too large": func(uint64) ([]ledger.Entry, error) { return tooLarge, nil },
		"no entry":  func(uint64) ([]ledger.Entry, error) { return []ledger.Entry{{Kind: 1}}, nil },
	} {
		_, err := n.writer.Commit(t.Context(), build)
		if err == nil || name == "error" && !errors.Is(err, mine) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if n.writer.Size() != 1 {
		t.Fatalf("%d entries, want 1", n.writer.Size())
	}
	if c := n.commit(n.sale(1)); c.First != 1 {
		t.Fatalf("the next commit begins at %d, want 1", c.First)
	}
}

func testLeft(t *testing.T, n *node) {
	n.begin()
	release := n.block()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := n.writer.Commit(ctx, func(uint64) ([]ledger.Entry, error) {
		t.Error("build ran for a caller who had left")
		return nil, errors.New("unwanted")
	})
	wantErr(t, err, context.Canceled)
	release()
	if n.commit(n.sale(2)).First != 2 {
		t.Fatal("a commit whose caller had left was appended")
	}
}

func testReopen(t *testing.T, n *node) {
	n.begin()
	a := n.author(2)
	n.ingest(a.Runs...)
	for i := range uint64(30) {
		n.commit(n.sale(i))
		n.ingest(must[ledger.Run](t)(a.Write(n.sale(i))))
	}
	front, logs := n.store.Frontier(), n.store.Logs()
	mine, theirs := verify(t, n.store, n.me.ID(), 100), verify(t, n.store, a.ID(), 100)
	last := n.commit(n.sale(77))
	for range 2 {
		n.stop()
		_, err := n.writer.Commit(t.Context(), func(uint64) ([]ledger.Entry, error) { return nil, nil })
		wantErr(t, err, store.ErrStopped)
		n.start()
		if got := n.store.Frontier(); len(got) != 2 || got[a.ID()][0] != front[a.ID()][0] || got[n.me.ID()][0].Root != last.End.Root {
			t.Fatalf("another frontier: %v", got)
		}
		if got := n.store.Logs(); len(got) != len(logs) || got[0].ID != logs[0].ID || got[0].Own != logs[0].Own || got[0].Opened.Grant != logs[0].Opened.Grant {
			t.Fatalf("other logs: %v", got)
		}
		if got := verify(t, n.store, n.me.ID(), 1000); !slices.EqualFunc(got, append(slices.Clone(mine), last.Entries...), bytes.Equal) {
			t.Fatal("own entries differ")
		}
		if got := verify(t, n.store, a.ID(), 1000); !slices.EqualFunc(got, theirs, bytes.Equal) {
			t.Fatal("others' entries differ")
		}
	}
	if c := n.commit(n.sale(5)); c.First != last.End.Size {
		t.Fatalf("the next commit begins at %d, want %d", c.First, last.End.Size)
	}
}

func testFolder(t *testing.T, n *node) {
	_, err := n.open(n.cfg)
	wantErr(t, err, store.ErrInUse)
	if !bytes.Contains([]byte(err.Error()), []byte(n.cfg.Dir)) {
		t.Errorf("%q does not name the folder", err)
	}
	n.begin()
	n.stop()
	other := n.cfg
	other.Machine = n.fleet.Public
	_, err = n.open(other)
	wantErr(t, err, store.ErrForeign)
	other = n.cfg
	other.Fleet = n.cfg.Machine
	_, err = n.open(other)
	wantErr(t, err, store.ErrForeign)
	n.start()
	if n.writer.Size() != 1 {
		t.Fatal("being refused changed the folder")
	}
	_, err = n.store.OpenOwn(n.me.LogKey)
	if err == nil {
		t.Fatal("one log was opened for writing twice")
	}
}
