package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"rasid/ledger"
)

// index is entries, checkpoints and trees in one Badger. The keys are in keys.go.
// Badger's iterators report no error and may pass over what they cannot read, so
// every scan asserts that nothing is missing.
type index struct {
	db   *badger.DB
	path string
	// thin: of checkpoints that stand closer than ledger.BatchMaxEntries, not all
	// are kept. Never for own logs, whose receipts carry the one of their commit.
	thin   bool
	packer packer
	recent recent

	// writing is held by whoever writes: of two that begin a log each, either would count
	// the heads without the other's.
	writing sync.Mutex
	after   func(time.Duration) <-chan time.Time
	stuck   atomic.Bool // Badger has not come back
}

// Badger may take stuckLooks times stuckLook to come back, many times what it takes to
// write and merge tables on a worn card. If the process was stopped for a while, that
// while is one look.
const (
	stuckLook  = 5 * time.Second
	stuckLooks = 12
)

// errStuck is returned when Badger has not come back from a call. It tries for ever to
// write and merge tables, whatever fails, and lets who writes and who closes wait: an
// error ends the process, and the next start finds out. The call goes on meanwhile, so
// that nothing may be asked of the index any more.
var errStuck = errors.New("the index does not come back")

// comesBack is f, or errStuck.
func (x *index) comesBack(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	for range stuckLooks {
		select {
		case err := <-done:
			return err
		case <-x.after(stuckLook):
		}
	}
	x.stuck.Store(true)
	return fmt.Errorf("%w: %s, for %s", errStuck, x.path, stuckLooks*stuckLook)
}

// write makes one transaction at a time.
func (x *index) write(f func(*badger.Txn) error) error {
	return x.comesBack(func() error {
		x.writing.Lock()
		defer x.writing.Unlock()
		return x.db.Update(f)
	})
}

// errDamagedIndex is returned when an index cannot be opened safely or holds other
// than what was put into it.
var errDamagedIndex = errors.New("the index is damaged")

// ErrOtherForm is returned when the data folder was written in a form that this
// program does not read. Nothing in it was changed.
var ErrOtherForm = errors.New("the data folder has another form")

// indexForm is the form of keys and values; LEDGER.md §17.
const indexForm = 2

// badgerOptions keep every value out of the value log (whose faults then cannot
// bite), verify whole tables on opening, the one mode that fails loudly and leaves
// the file, and need little memory.
func badgerOptions(path string, memTableBytes int64, sync bool, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(path).
		WithSyncWrites(sync).
		WithMemTableSize(memTableBytes).WithNumMemtables(2).
		WithNumLevelZeroTables(2).WithNumLevelZeroTablesStall(4).
		WithNumCompactors(2).
		WithBaseTableSize(2 << 20).WithBaseLevelSize(8 << 20).
		WithValueThreshold(valueMaxBytes).
		WithValueLogFileSize(1 << 20).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithIndexCacheSize(4 << 20).
		WithChecksumVerificationMode(options.OnTableRead).
		WithDetectConflicts(false).
		WithMetricsEnabled(false).
		WithNumGoroutines(2).
		WithCompactL0OnClose(false).
		WithLogger(badgerLog{log})
}

const (
	// valueMaxBytes is the longest value kept in the tree itself.
	valueMaxBytes = 128 << 10
	// A transaction may have 15 % of the memtable: a batch must fit in the first, a
	// whole run with all the objects it may name or erase in the second, and the bundles
	// that either completes.
	ownMemTableBytes   = 12 << 20
	peersMemTableBytes = 16 << 20
)

// openIndex opens or creates the index. It refuses a folder that Badger would
// silently empty.
func openIndex(path string, memTableBytes int64, sync bool, log *slog.Logger) (*index, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := createIndex(path, memTableBytes, log); err != nil {
			return nil, fmt.Errorf("couldn't create the index %s: %w", path, err)
		}
	}
	if _, err := os.Stat(filepath.Join(path, badger.ManifestFilename)); err != nil {
		return nil, fmt.Errorf("%w: %s has no readable MANIFEST (%w), and opening it would delete its tables", errDamagedIndex, path, err)
	}
	if err := checkTables(path); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamagedIndex, err)
	}
	if err := dropEmpty(path); err != nil {
		return nil, err
	}
	if sync {
		if err := syncFiles(path); err != nil {
			return nil, fmt.Errorf("couldn't make durable what an earlier start left in %s: %w", path, err)
		}
	}
	db, err := openBadger(badgerOptions(path, memTableBytes, sync, log))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errDamagedIndex, path, err)
	}
	x := &index{db: db, path: path, thin: sync, after: time.After}
	if x.packer, err = newPacker(); err == nil {
		err = x.checkForm()
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return x, nil
}

// checkForm refuses an index that another version of the program wrote.
func (x *index) checkForm() error {
	form := []byte{1} // had no such key
	err := x.db.View(func(txn *badger.Txn) error {
		v, err := get(txn, []byte{prefixForm})
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		form = v
		return err
	})
	if err != nil {
		return x.damaged(err)
	}
	if len(form) != 1 || form[0] != indexForm {
		return fmt.Errorf("%w: %s has form %d, this program reads form %d: another version wrote it; use that version, or move the whole data folder elsewhere and let neighbours and office send what was in it",
			ErrOtherForm, x.path, form, indexForm)
	}
	return nil
}

// checkWhole looks for a hole in a branch, which is there where one of the logs of
// memtables that Badger had not merged yet is gone and a later one is not.
func (x *index) checkWhole(l stored, unmerged bool) error {
	if !unmerged {
		return nil
	}
	b, next := l.branch, l.branch.base()/bundleEntries
	end := l.log.End.Size / bundleEntries
	return x.damaged(x.db.View(func(txn *badger.Txn) error {
		prefix := b.prefix(prefixSummary)
		err := scan(txn, prefix, prefix, func(item *badger.Item) (bool, error) {
			if keyNumber(item.Key()) != next {
				return false, nil // reported below
			}
			next++
			return true, nil
		})
		if err == nil && next != end {
			err = fmt.Errorf("the summary of entry bundle %d of log %s is missing or one too many, of a log of memtables in %s that is gone", next, b.log, x.path)
		}
		if err != nil {
			return err
		}
		return x.walk(txn, b, end*bundleEntries, l.log.End.Size, func(uint64, []byte) error { return nil })
	}))
}

// createIndex makes an empty index under another name first, so that a folder with
// the index's name always was whole once.
func createIndex(path string, memTableBytes int64, log *slog.Logger) error {
	temp := path + tempSuffix
	if err := os.RemoveAll(temp); err != nil {
		return err
	}
	db, err := openBadger(badgerOptions(temp, memTableBytes, true, log))
	if err != nil {
		return err
	}
	err = db.Update(func(txn *badger.Txn) error { return txn.Set([]byte{prefixForm}, []byte{indexForm}) })
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := syncDir(temp); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// openBadger turns the panics that damaged tables cause in Badger into errors.
func openBadger(o badger.Options) (db *badger.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("badger panicked: %v", r)
		}
	}()
	return badger.Open(o)
}

func (x *index) close() error {
	if x.stuck.Load() {
		return fmt.Errorf("%w: %s is left open", errStuck, x.path)
	}
	return x.comesBack(x.db.Close)
}

func get(txn *badger.Txn, k []byte) ([]byte, error) {
	item, err := txn.Get(k)
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}

// damaged marks an error of reading.
func (x *index) damaged(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s: %w", errDamagedIndex, x.path, err)
}

// scan calls f for the keys that begin with prefix, from the given one on, until it
// returns false.
func scan(txn *badger.Txn, prefix, from []byte, f func(*badger.Item) (bool, error)) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix, PrefetchValues: false})
	defer it.Close()
	for it.Seek(from); it.Valid(); it.Next() {
		more, err := f(it.Item())
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// objects returns every object that a held entry names, and every one that a held
// entry erases.
func (x *index) objects() (named, erased []ledger.Hash, err error) {
	err = x.db.View(func(txn *badger.Txn) error {
		err := scan(txn, []byte{prefixObject}, []byte{prefixObject}, func(item *badger.Item) (bool, error) {
			named = append(named, ledger.Hash(item.Key()[1:]))
			return true, nil
		})
		if err != nil {
			return err
		}
		return scan(txn, []byte{prefixErased}, []byte{prefixErased}, func(item *badger.Item) (bool, error) {
			return true, item.Value(func(v []byte) error {
				if len(v) == 0 || len(v)%ledger.HashBytes != 0 {
					return fmt.Errorf("%w: %s: key %x", errDamagedIndex, x.path, item.Key())
				}
				for ; len(v) > 0; v = v[ledger.HashBytes:] {
					erased = append(erased, ledger.Hash(v[:ledger.HashBytes]))
				}
				return nil
			})
		})
	})
	return named, erased, err
}

// badgerLog hands what Badger says to slog; its chatter is dropped.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(f string, a ...any)   { l.log.Error("badger", "text", fmt.Sprintf(f, a...)) }
func (l badgerLog) Warningf(f string, a ...any) { l.log.Warn("badger", "text", fmt.Sprintf(f, a...)) }
func (badgerLog) Infof(string, ...any)          {}
func (badgerLog) Debugf(string, ...any)         {}
