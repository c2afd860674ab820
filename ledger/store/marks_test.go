package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"rasid/ledger"
	"rasid/ledger/journal"
)

func TestMarkBytes(t *testing.T) {
	m := mark{kind: markHeld, branch: branchName{log: ledger.LogID{0: 0xaa, 15: 0xbb}, number: 3}, tip: ledger.Tip{Size: 0x0102, Root: ledger.Hash{0: 0xcc, 31: 0xdd}}}
	const want = "01030000" + "aa0000000000000000000000000000bb" + "0000000000000102" + "cc000000000000000000000000000000000000000000000000000000000000dd" + "3993c068"
	if got := hex.EncodeToString(m.encode()); got != want {
		t.Errorf("encoded %s, want %s", got, want)
	}
	begun := "03000000" + strings.Repeat("00", 16) + "0000000000000007" + "0000000000000002" + "0000000000010000" + strings.Repeat("00", 16) + "a2d6953d"
	if got := hex.EncodeToString(begunMark(7, 1<<16, 2).encode()); got != begun {
		t.Errorf("encoded %s, want %s", got, begun)
	}
	f := Fork{Log: m.branch.log}
	f.Theirs.End.Size, f.Theirs.End.Root = m.tip.Size, m.tip.Root
	forked := "04" + "00" + want[4:120] + "c3e81572"
	if got := hex.EncodeToString(forkMark(f).encode()); got != forked {
		t.Errorf("encoded %s, want %s", got, forked)
	}
}

// Property: what is read is written back as the same bytes, and no single bit may
// differ.
func FuzzMark(f *testing.F) {
	f.Add(mark{kind: markHeld}.encode())
	f.Add(mark{kind: markLost, tip: ledger.Tip{Size: 9}}.encode())
	f.Add(begunMark(7, marksBlock, 2).encode())
	f.Add(mark{kind: markForked, tip: ledger.Tip{Size: 9}}.encode())
	f.Add(mark{kind: 5}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := decodeMark(b)
		if !ok {
			return
		}
		if !bytes.Equal(m.encode(), b) {
			t.Fatalf("decoded %x, encoded %x", b, m.encode())
		}
		for at := range 8 * len(b) {
			c := bytes.Clone(b)
			c[at/8] ^= 1 << (at % 8)
			if _, ok := decodeMark(c); ok {
				t.Fatalf("bit %d of %x may differ", at, b)
			}
		}
	})
}

// A file of marks that says less than it once did says so: of what it began with every
// mark is there, no zeros stand before a mark, and it has its length.
func TestMarksMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), marksName)
	m := &marks{disk: journal.OSDisk{}, path: path, held: map[branchName]ledger.Tip{{log: ledger.LogID{1}}: {Size: 1}, {log: ledger.LogID{2}}: {Size: 2}}}
	err := m.begin(nil)
	for n := range byte(70) {
		err = errors.Join(err, m.add(map[branchName]ledger.Tip{{log: ledger.LogID(bytes.Repeat([]byte{3}, 16))}: {Size: 3, Root: ledger.Hash(bytes.Repeat([]byte{n + 1}, 32))}}, nil))
	}
	const last = 72 * markBytes
	whole, readErr := os.ReadFile(path)
	if err := errors.Join(err, m.close(), readErr); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change  func(b []byte) []byte
		damaged bool
	}{
		"nothing":               {func(b []byte) []byte { return b }, false},
		"a last write":          {func(b []byte) []byte { clear(b[last:]); return b }, false},
		"a part of one":         {func(b []byte) []byte { clear(b[last+16 : last+32]); return b }, false},
		"one of a last write":   {func(b []byte) []byte { clear(b[last-5*markBytes:][:markBytes]); return b }, false},
		"a bit of one":          {func(b []byte) []byte { b[last+20] ^= 4; return b }, true},
		"none of the last ones": {func(b []byte) []byte { clear(b[3*markBytes:]); return b }, false},
		"one it began with":     {func(b []byte) []byte { clear(b[2*markBytes:]); return b }, true},
		"a hole":                {func(b []byte) []byte { clear(b[3*markBytes : 4*markBytes]); return b }, true},
		"its beginning":         {func(b []byte) []byte { clear(b[:markBytes]); return b }, true},
		"its zeros":             {func(b []byte) []byte { return b[:marksBlock] }, true},
		"all":                   {func(b []byte) []byte { clear(b); return b }, true},
		"two beginnings":        {func(b []byte) []byte { copy(b[last+markBytes:], b[:markBytes]); return b }, true},
		"of an earlier form":    {func(b []byte) []byte { return b[markBytes:][:marksBlock] }, false},
	} {
		if err := os.WriteFile(path, c.change(bytes.Clone(whole)), 0o600); err != nil {
			t.Fatal(err)
		}
		if said, err := readMarks(path); err != nil || (said.damaged > 0) != c.damaged {
			t.Errorf("%s: %d damaged, %v", name, said.damaged, err)
		}
	}
}

// However many marks are added, the file says the newest of each branch and what was
// lost, and does not grow with their number.
func TestMarksAreReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), marksName)
	m := &marks{disk: journal.OSDisk{}, path: path, held: map[branchName]ledger.Tip{}, unknown: 5}
	lost := map[ledger.LogID][]ledger.Tip{{7}: {{Size: 70}, {Size: 7}}}
	want := map[branchName]ledger.Tip{}
	var forks []mark
	if err := m.begin(lost); err != nil {
		t.Fatal(err)
	}
	for n := range uint64(400) { // some 15 marks a time, more than ten times what the file has room for
		tips := map[branchName]ledger.Tip{}
		for k := range 1 + n%29 {
			tips[branchName{log: ledger.LogID{byte(n + 7*k)}, number: byte(n % 3)}] = ledger.Tip{Size: n, Root: ledger.Hash{byte(n)}}
		}
		maps.Copy(want, tips)
		if err := m.add(tips, lost); err != nil {
			t.Fatal(err)
		}
		if n%10 > 0 {
			continue
		}
		f := Fork{Log: ledger.LogID{byte(n)}}
		f.Theirs.End.Size = n
		forks = append(forks, forkMark(f))
		if err := m.addFork(f, lost); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.close(); err != nil {
		t.Fatal(err)
	}
	said, err := readMarks(path)
	if err != nil || said.damaged > 0 || said.unknown != 5 || !maps.Equal(said.held, want) || !slices.Equal(said.forks, forks) || len(said.lost) != 2 || said.lost[0].tip.Size != 70 {
		t.Fatalf("%d of %d marks, %+v, %v", len(said.held), len(want), said, err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 2*int64(len(want)+len(forks)+3)*markBytes+marksBlock {
		t.Errorf("%d bytes for %d marks, %v", info.Size(), len(want), err)
	}
}

// Where of several logs of memtables one is lost that is not the newest, a branch
// has its head and a hole.
func TestHoleIsFound(t *testing.T) {
	x, g := testIndex(t, true), testGrowth(t, 3*bundleEntries+20)
	if err := x.put(g); err != nil {
		t.Fatal(err)
	}
	s := stored{branch: g.branch, log: g.log}
	if err := x.checkWhole(s, true); err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string][]byte{
		"first summary": g.branch.key(prefixSummary, 0), "second summary": g.branch.key(prefixSummary, 1), "last summary": g.branch.key(prefixSummary, 2),
		"piece": g.branch.key(prefixPiece, 3*bundleEntries),
	} {
		var was []byte
		change(t, x, func(txn *badger.Txn) (err error) {
			if was, err = get(txn, key); err != nil {
				return err
			}
			return txn.Delete(key)
		})
		if err := x.checkWhole(s, true); err == nil || !strings.Contains(fmt.Sprint(err), g.branch.log.String()) {
			t.Errorf("%s is gone: %v", name, err)
		}
		if err := x.checkWhole(s, false); err != nil { // nothing was unmerged, so tables tell
			t.Errorf("%s is gone, all was merged: %v", name, err)
		}
		change(t, x, func(txn *badger.Txn) error { return txn.Set(key, was) })
	}
}
