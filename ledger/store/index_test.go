package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/tlog"

	"rasid/ledger"
)

func testIndex(t *testing.T, thin bool) *index {
	t.Helper()
	x, err := openIndex(filepath.Join(t.TempDir(), "index"), ownMemTableBytes, thin, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

// testGrowth is a log of n small entries as one growth; nothing is signed.
func testGrowth(t *testing.T, n int) growth {
	t.Helper()
	l := ledger.Log{Key: make([]byte, 32)}
	g := growth{branch: &branch{log: l.ID()}, log: l}
	for i := range n {
		b, err := ledger.EncodeEntry(ledger.Entry{Kind: ledger.Kind(200 + i%2), Time: ledger.Time{WallMs: uint64(i)}, Body: ledger.RawCBOR{0xa0}})
		if err != nil {
			t.Fatal(err)
		}
		g.entries = append(g.entries, b)
	}
	g.log.Edge, g.leaves = edgeOf(t, g.entries), leavesOf(g.entries)
	g.log.End = ledger.Checkpoint{Size: uint64(n), Root: g.log.Edge.Root()}
	return g
}

func edgeOf(t *testing.T, entries [][]byte) ledger.Edge {
	t.Helper()
	e, err := ledger.Edge{}.Append(leavesOf(entries)...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func change(t *testing.T, x *index, f func(*badger.Txn) error) {
	t.Helper()
	x.recent = recent{}
	if err := x.db.Update(f); err != nil {
		t.Fatal(err)
	}
}

// An iterator passes silently over what it cannot read; here one value is gone. No
// walk may then be shorter than asked for without an error that names the place.
func TestMissingValueIsAnError(t *testing.T) {
	x, g := testIndex(t, false), testGrowth(t, 2*bundleEntries+10)
	head, tail := g, g // two pieces after the bundles
	head.entries, tail.entries = g.entries[:517], g.entries[517:]
	head.log.Edge, head.log.End = edgeOf(t, head.entries), ledger.Checkpoint{Size: 517}
	head.log.End.Root = head.log.Edge.Root()
	tail.first = 517
	head.leaves, tail.leaves = g.leaves[:517], g.leaves[517:]
	if err := errors.Join(x.put(head), x.put(tail)); err != nil {
		t.Fatal(err)
	}
	b := g.branch
	for _, c := range []struct {
		key  []byte
		seen uint64
		says string
	}{
		{b.key(prefixBundle, 0), 0, "/0"},
		{b.key(prefixBundle, 1), 256, "/256"},
		{b.key(prefixSummary, 1), 256, "bundle 1"},
		{b.key(prefixPiece, 512), 512, "/512"},
		{b.key(prefixPiece, 517), 517, "/517"},
	} {
		var was []byte
		change(t, x, func(txn *badger.Txn) (err error) {
			if was, err = get(txn, c.key); err != nil {
				return err
			}
			return txn.Delete(c.key)
		})
		seen := uint64(0)
		err := x.entries(b, 0, g.log.End.Size, func(i uint64, entry []byte) error {
			if i != seen || string(entry) != string(g.entries[i]) {
				t.Errorf("entry %d given as %d", i, seen)
			}
			seen++
			return nil
		})
		if !errors.Is(err, errDamagedIndex) || seen != c.seen || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%c %d missing: %d seen, error %v", c.key[0], keyNumber(c.key), seen, err)
		}
		if _, err := x.holds(g); !errors.Is(err, errDamagedIndex) {
			t.Errorf("%c %d missing: held, error %v", c.key[0], keyNumber(c.key), err)
		}
		change(t, x, func(txn *badger.Txn) error { return txn.Set(c.key, was) })
	}
	if same, err := x.holds(g); !same || err != nil {
		t.Errorf("holds %v, %v", same, err)
	}
}

// Whatever bit of a stored bundle or summary changes, reading says so and names it.
func TestChangedBundleIsAnError(t *testing.T) {
	x, g := testIndex(t, false), testGrowth(t, bundleEntries)
	if err := x.put(g); err != nil {
		t.Fatal(err)
	}
	all := func() (n uint64, err error) {
		err = x.entries(g.branch, 0, bundleEntries, func(i uint64, entry []byte) error {
			if string(entry) != string(g.entries[i]) {
				t.Errorf("entry %d differs", i)
			}
			n++
			return nil
		})
		return n, err
	}
	for _, key := range [][]byte{g.branch.key(prefixBundle, 0), g.branch.key(prefixSummary, 0)} {
		var was []byte
		change(t, x, func(txn *badger.Txn) (err error) { was, err = get(txn, key); return err })
		for at := range was {
			if key[0] == prefixSummary && at >= ledger.HashBytes {
				break // times and kinds: a query's, and covered by Badger's checksums alone
			}
			bad := append([]byte(nil), was...)
			bad[at] ^= 0x10
			change(t, x, func(txn *badger.Txn) error { return txn.Set(key, bad) })
			if n, err := all(); err == nil && n == bundleEntries {
				continue // the frame has bits that mean nothing; the entries were compared
			} else if !errors.Is(err, errDamagedIndex) || n != 0 || !strings.Contains(err.Error(), "bundle 0 of log") {
				t.Fatalf("byte %d of %c changed: %d entries, error %v", at, key[0], n, err)
			}
		}
		change(t, x, func(txn *badger.Txn) error { return txn.Set(key, was) })
	}
	if n, err := all(); err != nil || n != bundleEntries {
		t.Errorf("%d entries, error %v", n, err)
	}
}

// A head that the iterator passes over would make a whole log disappear.
func TestMissingHeadIsAnError(t *testing.T) {
	x, g := testIndex(t, true), testGrowth(t, 3)
	if err := x.put(g); err != nil {
		t.Fatal(err)
	}
	change(t, x, func(txn *badger.Txn) error { return txn.Delete(g.branch.prefix(prefixHead)) })
	if _, err := x.logs(); !errors.Is(err, errDamagedIndex) {
		t.Errorf("error %v", err)
	}
}

// An index of another form is refused, not read; its files stay.
func TestOtherForm(t *testing.T) {
	path := t.TempDir()
	for name, f := range map[string]func(*badger.Txn) error{
		"none":  func(txn *badger.Txn) error { return txn.Delete([]byte{prefixForm}) },
		"later": func(txn *badger.Txn) error { return txn.Set([]byte{prefixForm}, []byte{indexForm + 1}) },
		"long":  func(txn *badger.Txn) error { return txn.Set([]byte{prefixForm}, []byte{indexForm, 0}) },
	} {
		x, err := openIndex(filepath.Join(path, name), ownMemTableBytes, true, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		change(t, x, f)
		if err := x.close(); err != nil {
			t.Fatal(err)
		}
		_, err = openIndex(filepath.Join(path, name), ownMemTableBytes, true, slog.New(slog.DiscardHandler))
		if !errors.Is(err, ErrOtherForm) || errors.Is(err, errDamagedIndex) || !strings.Contains(err.Error(), "move the whole data folder") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// Tiles of three levels, read back from an index, have the roots that the edge has;
// the entries under them are not stored, hence the white box.
func TestTiles(t *testing.T) {
	x := testIndex(t, false)
	b := &branch{log: ledger.LogID{7}}
	const bundles = 2*bundleEntries + 3
	err := x.db.Update(func(txn *badger.Txn) error {
		p := putter{x: x, txn: txn, branch: b}
		for n := range uint64(bundles) {
			s := summary{root: sha256.Sum256(fmt.Append(nil, n))}
			if err := txn.Set(b.key(prefixSummary, n), s.encode()); err != nil {
				return err
			}
			if err := p.putTiles(1, n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = x.db.View(func(txn *badger.Txn) error {
		for n := range uint64(bundles) {
			h, err := x.hashes(txn, b, 1, n, n+1)
			if err != nil || ledger.Hash(h[0]) != sha256.Sum256(fmt.Append(nil, n)) {
				t.Errorf("hash %d of level 1: %v", n, err)
			}
		}
		for n := range uint64(bundles / bundleEntries) {
			low, err := x.hashes(txn, b, 1, n*bundleEntries, (n+1)*bundleEntries)
			high, err2 := x.hashes(txn, b, 2, n, n+1)
			if err := errors.Join(err, err2); err != nil {
				return err
			}
			if ledger.Hash(high[0]) != rootOf(low) {
				t.Errorf("hash %d of level 2 is not that of its tile", n)
			}
		}
		_, err := x.hashes(txn, b, 2, 2, 3)
		if !errors.Is(err, errDamagedIndex) {
			t.Errorf("a hash that is not there: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Of checkpoints that come close together, one in 64 entries stays and no fewer.
func TestThinning(t *testing.T) {
	for _, thin := range []bool{false, true} {
		x := testIndex(t, thin)
		g := testGrowth(t, 1000)
		sizes := []int{1, 2, 60, 65, 66, 129, 130, 131, 300, 301, 302, 366, 367, 1000}
		var edge ledger.Edge
		at := 0
		for _, size := range sizes {
			part := growth{branch: g.branch, first: uint64(at), entries: g.entries[at:size], leaves: g.leaves[at:size], log: ledger.Log{Key: g.log.Key}}
			for _, e := range part.entries {
				var err error
				if edge, err = edge.Append(ledger.LeafHash(e)); err != nil {
					t.Fatal(err)
				}
			}
			part.log.Edge, part.log.End = edge, ledger.Checkpoint{Size: uint64(size), Root: edge.Root()}
			if err := x.put(part); err != nil {
				t.Fatal(err)
			}
			at = size
		}
		want := sizes
		if thin {
			want = []int{60, 66, 130, 131, 300, 302, 366, 367, 1000}
		}
		points, err := x.checkpointsAfter(g.branch, 0, 1000, 1000)
		var got []int
		for _, c := range points {
			got = append(got, int(c.Size))
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("thin %v: kept %v, want %v, error %v", thin, got, want, err)
		}
		change(t, x, func(txn *badger.Txn) error { return txn.Delete(g.branch.key(prefixCheckpoint, 300)) })
		if _, err := x.checkpointsAfter(g.branch, 200, 1000, 1000); !errors.Is(err, errDamagedIndex) {
			t.Errorf("a checkpoint is missing: error %v", err)
		}
	}
}

// Entries that the journal holds and the index does not yet are read and proven with
// the others, also where they complete a bundle.
func TestProofsOnTheWay(t *testing.T) {
	x, whole := testIndex(t, false), testGrowth(t, 3*bundleEntries-20)
	h := held{index: x, branch: whole.branch, log: whole.log}
	const indexed = 2*bundleEntries - 30
	there, coming := whole, whole
	there.entries, coming.entries, coming.first = whole.entries[:indexed], whole.entries[indexed:], indexed
	there.leaves, coming.leaves = whole.leaves[:indexed], whole.leaves[indexed:]
	there.log.Edge = edgeOf(t, there.entries)
	there.log.End = ledger.Checkpoint{Size: indexed, Root: there.log.Edge.Root()}
	if err := x.put(there); err != nil {
		t.Fatal(err)
	}
	h.pending = []*growth{&coming}
	size := h.log.End.Size
	check := func() {
		t.Helper()
		for _, at := range []uint64{1, bundleEntries, indexed - 1, indexed, 2*bundleEntries - 1, 2 * bundleEntries, size} {
			root, err := h.rootAt(at)
			edge, err2 := h.edgeAt(at)
			if want := edgeOf(t, whole.entries[:at]).Root(); errors.Join(err, err2) != nil || root != want || edge.Root() != want {
				t.Errorf("root at %d is another: %v, %v", at, err, err2)
			}
			p, err := h.inclusionProof(at-1, size)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckRecord(p, int64(size), tlog.Hash(h.log.End.Root), int64(at-1), tlog.RecordHash(whole.entries[at-1])); err != nil {
				t.Errorf("entry %d: %v", at-1, err)
			}
		}
	}
	check()
	if err := x.put(coming); err != nil { // what a reader sees who looked before
		t.Fatal(err)
	}
	check()
	h.pending = nil
	check()
}

// noise is entries of 3,000 bytes that cannot be compressed.
func noise(t *testing.T, n int) [][]byte {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	out := make([][]byte, n)
	for i := range out {
		b := make([]byte, 3000)
		for k := range b {
			b[k] = byte(r.Uint32())
		}
		body, err := ledger.Encode(map[uint64][]byte{0: b})
		if err != nil {
			t.Fatal(err)
		}
		if out[i], err = ledger.EncodeEntry(ledger.Entry{Kind: 200, Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// Entries too large for a bundle stay as they came, and are read and proven alike.
func TestEntriesTooLargeForABundle(t *testing.T) {
	x, g := testIndex(t, false), testGrowth(t, 2*bundleEntries+5)
	g.entries = noise(t, len(g.entries))
	for first, next := 0, 0; first < len(g.entries); first = next {
		next = min(first+200, len(g.entries))
		part := g
		part.first, part.entries, part.leaves = uint64(first), g.entries[first:next], leavesOf(g.entries[first:next])
		part.log.Edge = edgeOf(t, g.entries[:next])
		part.log.End = ledger.Checkpoint{Size: uint64(next), Root: part.log.Edge.Root()}
		if err := x.put(part); err != nil {
			t.Fatal(err)
		}
		g.log = part.log
	}
	if s, err := x.space(); err != nil || s.Bundles != 0 {
		t.Fatalf("%d bundles, error %v", s.Bundles, err)
	}
	err := x.db.View(func(txn *badger.Txn) error {
		return scan(txn, nil, nil, func(item *badger.Item) (bool, error) {
			if item.ValueSize() > pieceMaxBytes+ledger.EntryMaxBytes {
				t.Errorf("a value of %d bytes would go to the value log", item.ValueSize())
			}
			return true, nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	h := held{index: x, branch: g.branch, log: g.log}
	seen := 300
	err = h.entries(300, g.log.End.Size, func(i uint64, entry []byte) error {
		if i != uint64(seen) || string(entry) != string(g.entries[i]) {
			t.Errorf("entry %d given as %d", i, seen)
		}
		seen++
		return nil
	})
	if err != nil || seen != len(g.entries) {
		t.Errorf("read to %d of %d: %v", seen, len(g.entries), err)
	}
	p, err := h.inclusionProof(99, 300)
	if err != nil {
		t.Fatal(err)
	}
	if err := tlog.CheckRecord(p, 300, tlog.Hash(edgeOf(t, g.entries[:300]).Root()), 99, tlog.RecordHash(g.entries[99])); err != nil {
		t.Error(err)
	}
}

// How far a log is pruned is read or refused, never guessed.
func TestPrunedMarkIsChecked(t *testing.T) {
	x, g := testIndex(t, true), testGrowth(t, 3*bundleEntries)
	if err := x.put(g); err != nil {
		t.Fatal(err)
	}
	if _, err := x.drop(g.branch, bundleEntries, 2*bundleEntries, nil); err != nil {
		t.Fatal(err)
	}
	for says, mark := range map[string][]byte{
		"has 7 bytes":   make([]byte, 7),
		"pruned to 769": {0, 0, 0, 0, 0, 0, 3, 1},
		"pruned to 300": {0, 0, 0, 0, 0, 0, 1, 44},
		"pruned to 256": {0, 0, 0, 0, 0, 0, 1, 0},
	} {
		change(t, x, func(txn *badger.Txn) error { return txn.Set(g.branch.prefix(prefixPruned), mark) })
		if _, err := x.logs(); !errors.Is(err, errDamagedIndex) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	change(t, x, func(txn *badger.Txn) error { return txn.Delete(g.branch.prefix(prefixPruned)) })
	if err := x.entries(g.branch, 0, 3*bundleEntries, func(uint64, []byte) error { return nil }); !errors.Is(err, errDamagedIndex) {
		t.Errorf("a mark that is gone: %v", err)
	}
}

// Logs that begin at once, as an office's two do, are counted each.
func TestHeadsOfLogsBegunAtOnce(t *testing.T) {
	x := testIndex(t, false)
	const logs = 40
	errs := make(chan error, logs)
	for n := range logs {
		g := testGrowth(t, 1)
		g.log.Key = append(make([]byte, 31), byte(n))
		g.branch = &branch{log: g.log.ID()}
		go func() { errs <- x.put(g) }()
	}
	for range logs {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	err := x.db.View(func(txn *badger.Txn) error {
		n, err := countHeads(txn)
		if n != logs {
			t.Errorf("%d heads were counted, want %d", n, logs)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Whom Badger does not let go is let go by the index, who writes as who closes.
func TestBadgerDoesNotComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		defer close(never)
		x := &index{path: "here", after: time.After}
		if err := x.comesBack(func() error { <-never; return nil }); !errors.Is(err, errStuck) {
			t.Errorf("error %v", err)
		}
		if err := x.close(); !errors.Is(err, errStuck) {
			t.Errorf("it was closed: %v", err)
		}
	})
}
