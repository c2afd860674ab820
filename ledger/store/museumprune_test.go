package store_test

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
)

// museumFrom is from where on the far log is held when it was pruned.
const museumFrom = 2 * store.AlwaysHeld

// writePruned writes the log that is pruned and the office's that allows it.
func (m *museum) writePruned(t *testing.T, fleet storetest.Fleet) {
	t.Helper()
	far, err := fleet.Machine(cert.RoleKiosk, 3)
	do(t, err)
	m.far, err = storetest.NewAuthor(far)
	do(t, err)
	cell, err := fleet.Cell(200)
	do(t, err)
	m.cell, err = storetest.NewAuthor(cell)
	do(t, err)
	for n := range uint64(4) {
		w := pruneWorld{t: t}
		w.write(m.far, n, 200)
		held := event.Held{Log: m.far.ID(), Size: m.far.Log.End.Size, Root: m.far.Log.End.Root}
		// At the time of the last one the first three are old enough.
		at := n / 3 * uint64(museumAge.Milliseconds())
		e, err := storetest.Acknowledge(at, held)
		do(t, err)
		_, err = m.cell.Write(e)
		do(t, err)
	}
}

const museumAge = 24 * time.Hour

// prune has a store take in the far log and prune it, calls look before it closes, and
// closes.
func (m museum) prune(t *testing.T, dir string, look func()) {
	t.Helper()
	cfg := m.cfg
	cfg.Dir, cfg.PruneAge = dir, museumAge
	s, err := store.Open(cfg)
	do(t, err)
	_, err = s.Ingest(t.Context(), append(m.cell.Runs, m.far.Runs...))
	do(t, err)
	for range 5 {
		do(t, s.Tend())
	}
	if info, _ := s.Log(m.far.ID()); info.From != museumFrom {
		t.Fatalf("pruned to %d, want %d", info.From, museumFrom)
	}
	look()
	do(t, s.Close())
}

// comparePruned looks at every entry of the far log that must be there.
func (m museum) comparePruned(t *testing.T, s *store.Store, from uint64) {
	t.Helper()
	info, _ := s.Log(m.far.ID())
	if info.End != m.far.Log.End || info.From != from {
		t.Fatalf("%d entries from %d on, want %d from %d on", info.End.Size, info.From, m.far.Log.End.Size, from)
	}
	wrote := m.far.Whole().Entries
	same := func(i uint64, got []byte) error {
		if !bytes.Equal(got, wrote[i]) {
			t.Errorf("entry %d of the far log differs", i)
		}
		return nil
	}
	do(t, s.Range(m.far.ID(), 0, store.AlwaysHeld, same), s.Range(m.far.ID(), max(from, store.AlwaysHeld), info.End.Size, same))
}

// inPeers changes the index of others' logs as no store does.
func inPeers(change func(m museum, txn *badger.Txn) error) func(*testing.T, museum, string) {
	return func(t *testing.T, m museum, dir string) {
		t.Helper()
		changePeers(t, dir, func(txn *badger.Txn) error { return change(m, txn) })
	}
}

func changePeers(t *testing.T, dir string, change func(*badger.Txn) error) {
	t.Helper()
	o := badger.DefaultOptions(filepath.Join(dir, "peers", "index")).WithLogger(nil)
	db, err := badger.Open(o.WithMemTableSize(1 << 20).WithValueLogFileSize(1 << 20).WithValueThreshold(128 << 10).WithCompression(options.None))
	do(t, err)
	do(t, db.Update(change), db.Close())
}

// boundKey is where the index says how far the far log is pruned.
func (m museum) boundKey() []byte {
	id := m.far.ID()
	return append(append([]byte{'d'}, id[:]...), 0)
}

// merged has the store merge what an earlier start dropped.
func merged(t *testing.T, m museum, dir string) { m.prune(t, dir, func() {}) }

// Pruning has two steps: one transaction takes entries away and says so, and a later
// start merges tables and takes back that it had to.
func prunedExhibits() []exhibit {
	hole := []string{"nothing says that they were pruned", "move the folder"}
	zeroBound := func(m museum, txn *badger.Txn) error { return txn.Set(m.boundKey(), make([]byte, 8)) }
	noBound := func(m museum, txn *badger.Txn) error { return txn.Delete(m.boundKey()) }
	lowBound := func(m museum, txn *badger.Txn) error {
		return txn.Set(m.boundKey(), binary.BigEndian.AppendUint64(nil, store.AlwaysHeld))
	}
	unmerged := func(_ museum, txn *badger.Txn) error { return txn.Set([]byte{'d'}, nil) }
	return []exhibit{
		{name: "pruned-intact", damage: func(*testing.T, museum, string) {}, pruned: true, from: museumFrom, expect: repaired},
		{name: "pruned-killed", damage: func(*testing.T, museum, string) {}, killed: true, pruned: true, from: museumFrom, expect: repaired},
		{name: "pruned-wal-torn", damage: changed("peers/index/*.mem", cutBehind(20)), killed: true, pruned: true, from: 0, expect: repaired},
		{name: "pruned-merged", damage: merged, pruned: true, from: museumFrom, expect: repaired},
		{name: "pruned-merged-unsaid", damage: both(merged, inPeers(unmerged)), pruned: true, from: museumFrom, expect: repaired},
		{name: "pruned-bound-missing", damage: inPeers(noBound), pruned: true, expect: refused, says: hole},
		{name: "pruned-bound-zeroed", damage: inPeers(zeroBound), pruned: true, expect: refused, says: hole},
		{name: "pruned-bound-low", damage: inPeers(lowBound), pruned: true, expect: refused, says: []string{"pruned to 256", "move the folder"}},
	}
}
