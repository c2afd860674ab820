package store

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
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
}

// Property: what is read is written back as the same bytes, and no single bit may
// differ.
func FuzzMark(f *testing.F) {
	f.Add(mark{kind: markHeld}.encode())
	f.Add(mark{kind: markLost, tip: ledger.Tip{Size: 9}}.encode())
	f.Add(mark{kind: 3}.encode())
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

// However many marks are added, the file says the newest of each branch and what was
// lost, and does not grow with their number.
func TestMarksAreReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), marksName)
	m := &marks{disk: journal.OSDisk{}, path: path}
	lost := map[ledger.LogID][]ledger.Tip{{7}: {{Size: 70}, {Size: 7}}}
	want := map[branchName]ledger.Tip{}
	if err := m.begin(map[branchName]ledger.Tip{}, lost); err != nil {
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
	}
	if err := m.close(); err != nil {
		t.Fatal(err)
	}
	held, lostNow, damaged, err := readMarks(path)
	if err != nil || damaged > 0 || !maps.Equal(held, want) || len(lostNow) != 2 || lostNow[0].tip.Size != 70 {
		t.Fatalf("%d of %d marks, %d lost, %d damaged, %v", len(held), len(want), len(lostNow), damaged, err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 2*int64(len(want)+2)*markBytes+marksBlock {
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
