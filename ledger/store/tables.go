package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
)

// checkTables reads every table of a closed Badger and verifies all its checksums.
// Badger does so too, but in goroutines of its own, where the panic that a zeroed
// or cut table causes cannot be caught and would kill the process at every start;
// and of some damaged tables it says "ignoring table" and goes on without them.
func checkTables(path string) error {
	files, err := filepath.Glob(filepath.Join(path, "*.sst"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := checkTable(f); err != nil {
			return fmt.Errorf("table %s: %w", f, err)
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
