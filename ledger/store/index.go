package store

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"rasid/ledger"
)

// index is entries and checkpoints in one Badger. Its keys are known to this file
// alone:
//
//	'e' log index   an entry's bytes
//	'c' log size    root, signature and edge hashes of a kept checkpoint
//	'l' log         public key and size: how far the log is held
//	'o' hash        an object that a held entry names (empty value)
//	'x' hash        an object that a held entry erases (empty value)
//	'f' log root n  part n of a contradicting run, kept as evidence
//
// Numbers are big-endian. Badger's iterators report no error and may pass over
// what they cannot read, so every scan asserts that nothing is missing.
type index struct {
	db   *badger.DB
	path string
}

// errDamagedIndex is returned when an index cannot be opened safely or holds other
// than what was put into it.
var errDamagedIndex = errors.New("the index is damaged")

const (
	prefixEntry      = 'e'
	prefixCheckpoint = 'c'
	prefixLog        = 'l'
	prefixObject     = 'o'
	prefixErased     = 'x'
	prefixFork       = 'f'
)

func key(prefix byte, log ledger.LogID, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte{prefix}, log[:]...), n)
}

func logKey(log ledger.LogID) []byte { return append([]byte{prefixLog}, log[:]...) }

func objectKey(h ledger.Hash) []byte { return append([]byte{prefixObject}, h[:]...) }

func erasedKey(h ledger.Hash) []byte { return append([]byte{prefixErased}, h[:]...) }

func forkKey(log ledger.LogID, root ledger.Hash, part uint64) []byte {
	k := append(append([]byte{prefixFork}, log[:]...), root[:]...)
	return binary.BigEndian.AppendUint64(k, part)
}

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
	valueMaxBytes = 64 << 10
	// A transaction may have 15 % of the memtable: a batch must fit in the first, a
	// whole run with all the objects it may name or erase in the second.
	ownMemTableBytes   = 8 << 20
	peersMemTableBytes = 24 << 20
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
	if err := dropUnborn(path); err != nil {
		return nil, err
	}
	db, err := openBadger(badgerOptions(path, memTableBytes, sync, log))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errDamagedIndex, path, err)
	}
	return &index{db: db, path: path}, nil
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
	if err := db.Close(); err != nil {
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

func (x *index) close() error { return x.db.Close() }

// growth is how one log grows by one run: what commit, recovery and ingest put.
type growth struct {
	first   uint64
	entries [][]byte
	log     ledger.Log    // after
	objects []ledger.Hash // named by the entries
	erased  []ledger.Hash // by the entries
}

// bytes is at least what the growth takes of a transaction, and pairs how many keys.
func (g growth) bytes() (size, pairs int64) {
	const perPair = 96 // key, version and what Badger adds
	size = int64(ledger.HashBytes*50 + ed25519.PublicKeySize)
	for _, e := range g.entries {
		size += int64(len(e)) + perPair
	}
	others := int64(len(g.objects) + len(g.erased) + 2)
	return size + others*perPair, int64(len(g.entries)) + others
}

// pairs calls f with every key and value that the growth is stored as.
func (g growth) pairs(f func(key, value []byte) error) error {
	id := g.log.ID()
	for i, e := range g.entries {
		if err := f(key(prefixEntry, id, g.first+uint64(i)), e); err != nil {
			return err
		}
	}
	if err := f(key(prefixCheckpoint, id, g.log.End.Size), encodeCheckpoint(g.log)); err != nil {
		return err
	}
	for _, h := range g.objects {
		if err := f(objectKey(h), nil); err != nil {
			return err
		}
	}
	for _, h := range g.erased {
		if err := f(erasedKey(h), nil); err != nil {
			return err
		}
	}
	return nil
}

// put stores growths in one transaction: all or nothing, and durable on return
// when the index is synced.
func (x *index) put(growths ...growth) error {
	err := x.db.Update(func(txn *badger.Txn) error {
		for _, g := range growths {
			if err := g.pairs(txn.Set); err != nil {
				return err
			}
			v := binary.BigEndian.AppendUint64(bytes.Clone(g.log.Key), g.log.End.Size)
			if err := txn.Set(logKey(g.log.ID()), v); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("couldn't store in %s: %w", x.path, err)
	}
	return nil
}

// holds reports whether the growth is stored, byte for byte.
func (x *index) holds(g growth) (bool, error) {
	same := true
	err := x.db.View(func(txn *badger.Txn) error {
		return g.pairs(func(k, want []byte) error {
			got, err := get(txn, k)
			if errors.Is(err, badger.ErrKeyNotFound) {
				same = false
				return nil
			}
			same = same && bytes.Equal(got, want)
			return err
		})
	})
	return same, x.damaged(err)
}

func get(txn *badger.Txn, k []byte) ([]byte, error) {
	item, err := txn.Get(k)
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}

// beyond reports whether the index holds anything of the log at or after size.
func (x *index) beyond(log ledger.LogID, size uint64) (bool, error) {
	found := false
	err := x.db.View(func(txn *badger.Txn) error {
		for _, from := range [][]byte{key(prefixEntry, log, size), key(prefixCheckpoint, log, size+1)} {
			if err := scan(txn, from[:1+len(log)], from, false, func(*badger.Item) (bool, error) {
				found = true
				return false, nil
			}); err != nil {
				return err
			}
		}
		got, err := get(txn, logKey(log))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		found = found || len(got) != ed25519.PublicKeySize+8 || binary.BigEndian.Uint64(got[ed25519.PublicKeySize:]) > size
		return nil
	})
	return found, x.damaged(err)
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
func scan(txn *badger.Txn, prefix, from []byte, reverse bool, f func(*badger.Item) (bool, error)) error {
	o := badger.IteratorOptions{Prefix: prefix, Reverse: reverse, PrefetchValues: false}
	it := txn.NewIterator(o)
	defer it.Close()
	for it.Seek(from); it.Valid(); it.Next() {
		more, err := f(it.Item())
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// logs returns every log as held: its key, and the edge at its newest checkpoint,
// whose root and signature are verified.
func (x *index) logs() ([]ledger.Log, error) {
	var out []ledger.Log
	err := x.db.View(func(txn *badger.Txn) error {
		prefix := []byte{prefixLog}
		return scan(txn, prefix, prefix, false, func(item *badger.Item) (bool, error) {
			v, err := item.ValueCopy(nil)
			if err != nil {
				return false, err
			}
			if len(v) != ed25519.PublicKeySize+8 {
				return false, fmt.Errorf("%w: %s: key %x", errDamagedIndex, x.path, item.Key())
			}
			public, size := ed25519.PublicKey(v[:ed25519.PublicKeySize]), binary.BigEndian.Uint64(v[ed25519.PublicKeySize:])
			l, err := x.logAt(txn, public, size)
			if err != nil {
				return false, err
			}
			out = append(out, l)
			return true, l.End.Verify(public)
		})
	})
	return out, x.damaged(err)
}

// logAt returns the log as it was at a kept checkpoint, or ErrNotHeld.
func (x *index) logAt(txn *badger.Txn, public ed25519.PublicKey, size uint64) (ledger.Log, error) {
	id := ledger.LogIDOf(public)
	v, err := get(txn, key(prefixCheckpoint, id, size))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return ledger.Log{}, fmt.Errorf("checkpoint of log %s at %d: %w", id, size, ErrNotHeld)
	}
	if err != nil {
		return ledger.Log{}, fmt.Errorf("couldn't read checkpoint of log %s at %d: %w", id, size, err)
	}
	l, err := decodeCheckpoint(public, size, v)
	if err != nil {
		return l, fmt.Errorf("%w: %s: log %s at %d: %w", errDamagedIndex, x.path, id, size, err)
	}
	return l, nil
}

func encodeCheckpoint(l ledger.Log) []byte {
	b := append(append([]byte(nil), l.End.Root[:]...), l.End.Sig[:]...)
	for _, h := range l.Edge.Hashes() {
		b = append(b, h[:]...)
	}
	return b
}

// decodeCheckpoint reads what encodeCheckpoint wrote; the edge must have the
// checkpoint's root.
func decodeCheckpoint(public ed25519.PublicKey, size uint64, b []byte) (ledger.Log, error) {
	const fixed = ledger.HashBytes + ed25519.SignatureSize
	l := ledger.Log{Key: public, End: ledger.Checkpoint{Size: size}}
	if len(b) < fixed || (len(b)-fixed)%ledger.HashBytes != 0 {
		return l, fmt.Errorf("a checkpoint of %d bytes", len(b))
	}
	copy(l.End.Root[:], b)
	copy(l.End.Sig[:], b[ledger.HashBytes:])
	var hashes []ledger.Hash
	for rest := b[fixed:]; len(rest) > 0; rest = rest[ledger.HashBytes:] {
		hashes = append(hashes, ledger.Hash(rest[:ledger.HashBytes]))
	}
	var err error
	if l.Edge, err = ledger.EdgeOf(size, hashes); err != nil {
		return l, err
	}
	if l.Edge.Root() != l.End.Root {
		return l, errors.New("the edge does not have the checkpoint's root")
	}
	return l, nil
}

// entries calls f with the entries from..to-1, each exactly once and in order; one
// that is missing is an error. f must not keep the bytes.
func (x *index) entries(log ledger.LogID, from, to uint64, f func(i uint64, entry []byte) error) error {
	if from >= to {
		return nil
	}
	next := from
	err := x.db.View(func(txn *badger.Txn) error {
		start := key(prefixEntry, log, from)
		return scan(txn, start[:1+len(log)], start, false, func(item *badger.Item) (bool, error) {
			if got := binary.BigEndian.Uint64(item.Key()[1+len(log):]); got != next {
				return false, nil // reported below
			}
			if err := item.Value(func(v []byte) error { return f(next, v) }); err != nil {
				return false, err
			}
			next++
			return next < to, nil
		})
	})
	if err == nil && next != to {
		err = fmt.Errorf("%w: %s lacks entry %s", errDamagedIndex, x.path, ledger.Position{Log: log, Index: next})
	}
	return err
}

// sizesAfter returns up to limit sizes of kept checkpoints beyond from, ascending.
func (x *index) sizesAfter(log ledger.LogID, from uint64, limit int) ([]uint64, error) {
	var out []uint64
	err := x.db.View(func(txn *badger.Txn) error {
		start := key(prefixCheckpoint, log, from+1)
		return scan(txn, start[:1+len(log)], start, false, func(item *badger.Item) (bool, error) {
			out = append(out, binary.BigEndian.Uint64(item.Key()[1+len(log):]))
			return len(out) < limit, nil
		})
	})
	return out, err
}

// lastAt returns the newest kept checkpoint at or before size, as a log; the empty
// log where there is none.
func (x *index) lastAt(public ed25519.PublicKey, size uint64) (ledger.Log, error) {
	l := ledger.Log{Key: public}
	id := l.ID()
	err := x.db.View(func(txn *badger.Txn) error {
		start := key(prefixCheckpoint, id, size)
		return scan(txn, start[:1+len(id)], start, true, func(item *badger.Item) (bool, error) {
			var err error
			l, err = x.logAt(txn, public, binary.BigEndian.Uint64(item.Key()[1+len(id):]))
			return false, err
		})
	})
	return l, err
}

// ids returns the names of all logs in the index.
func (x *index) ids() ([]ledger.LogID, error) {
	var out []ledger.LogID
	err := x.db.View(func(txn *badger.Txn) error {
		prefix := []byte{prefixLog}
		return scan(txn, prefix, prefix, false, func(item *badger.Item) (bool, error) {
			out = append(out, ledger.LogID(item.Key()[1:]))
			return true, nil
		})
	})
	return out, err
}

// objects returns every object that a held entry names, and every one that a held
// entry erases.
func (x *index) objects() (named, erased []ledger.Hash, err error) {
	err = x.db.View(func(txn *badger.Txn) error {
		for prefix, into := range map[byte]*[]ledger.Hash{prefixObject: &named, prefixErased: &erased} {
			prefix := []byte{prefix}
			err := scan(txn, prefix, prefix, false, func(item *badger.Item) (bool, error) {
				*into = append(*into, ledger.Hash(item.Key()[1:]))
				return true, nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return named, erased, err
}

// badgerLog hands what Badger says to slog; its chatter is dropped.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(f string, a ...any)   { l.log.Error("badger", "text", fmt.Sprintf(f, a...)) }
func (l badgerLog) Warningf(f string, a ...any) { l.log.Warn("badger", "text", fmt.Sprintf(f, a...)) }
func (badgerLog) Infof(string, ...any)          {}
func (badgerLog) Debugf(string, ...any)         {}
