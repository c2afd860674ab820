package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
)

// checkTables reads every table that the MANIFEST of a closed Badger names and
// verifies all its checksums. Badger does so too, but in goroutines of its own, where
// the panic that a zeroed or cut table causes cannot be caught and would kill the
// process at every start; and of some damaged tables it says "ignoring table" and
// goes on without them. A table that the MANIFEST does not name is what a crash left
// of one being written: it may be cut short, and Badger removes it.
func checkTables(path string) (err error) {
	f, err := os.Open(filepath.Join(path, badger.ManifestFilename))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	manifest, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(path))
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	for id := range manifest.Tables {
		name := table.NewFilename(id, path)
		if err := checkTable(name); err != nil {
			return fmt.Errorf("table %s: %w", name, err)
		}
	}
	return nil
}

// dropEmpty removes value logs and memtables' logs without a byte, which Badger
// refuses to open. A power cut leaves one where it fell between a file's name and its
// length, or, since Badger empties a file before it removes it, between those two: the
// log of a memtable that is in a table by then. Nothing is lost: no value is long
// enough for a value log, and a synced commit makes its log's length durable.
func dropEmpty(path string) error {
	for _, pattern := range []string{"*.vlog", "*.mem"} {
		files, err := filepath.Glob(filepath.Join(path, pattern))
		if err != nil {
			return err
		}
		for _, f := range files {
			info, err := os.Stat(f)
			if err == nil && info.Size() == 0 {
				err = os.Remove(f)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func checkTable(path string) (err error) {
	id, ok := table.ParseFileID(filepath.Base(path))
	if !ok {
		return errors.New("its name is not a number")
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	defer func() {
		if recover() != nil { // what badger prints there is pages long
			err = errors.New("it is cut short or overwritten")
		}
	}()
	t, err := table.OpenInMemoryTable(b, id, &table.Options{ChkMode: options.OnTableRead, Compression: options.None})
	if err != nil {
		return err
	}
	return t.VerifyChecksum()
}
