package store

import (
	"errors"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"rasid/ledger"
)

// An iterator passes silently over what it cannot read; here an entry is gone. No
// walk may then be shorter than asked for without an error.
func TestMissingEntryIsAnError(t *testing.T) {
	x, err := openIndex(filepath.Join(t.TempDir(), "index"), ownMemTableBytes, false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := x.close(); err != nil {
			t.Error(err)
		}
	}()
	l := ledger.Log{Key: make([]byte, 32)}
	g := growth{log: l}
	for i := range byte(10) {
		g.entries = append(g.entries, []byte{i})
	}
	if err := x.put(g); err != nil {
		t.Fatal(err)
	}
	for missing := range uint64(10) {
		err := x.db.Update(func(txn *badger.Txn) error { return txn.Delete(key(prefixEntry, l.ID(), missing)) })
		if err != nil {
			t.Fatal(err)
		}
		seen := uint64(0)
		err = x.entries(l.ID(), 0, 10, func(i uint64, entry []byte) error {
			if i != seen || entry[0] != byte(i) {
				t.Errorf("entry %d given as %d", entry[0], i)
			}
			seen++
			return nil
		})
		if !errors.Is(err, errDamagedIndex) || seen != missing {
			t.Errorf("entry %d missing: %d seen, error %v", missing, seen, err)
		}
		if same, err := x.holds(g); same || err != nil {
			t.Errorf("entry %d missing: holds %v, %v", missing, same, err)
		}
		if err := x.put(g); err != nil {
			t.Fatal(err)
		}
	}
	if same, err := x.holds(g); !same || err != nil {
		t.Errorf("holds %v, %v", same, err)
	}
}
