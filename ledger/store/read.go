package store

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/tlog"

	"rasid/ledger"
)

// recent keeps the bundles read last, so that entries read one by one do not unpack
// a bundle each. It may be used concurrently.
type recent struct {
	mu    sync.Mutex
	next  int
	known [recentBundles]struct {
		owner *branch
		n     uint64
		rows  [][]byte
	}
}

const recentBundles = 4 // at most 2 MiB; of a kiosk's entries 50 KiB

func (r *recent) find(owner *branch, n uint64) [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.known {
		if k.owner == owner && k.n == n {
			return k.rows
		}
	}
	return nil
}

func (r *recent) keep(owner *branch, n uint64, rows [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[r.next].owner, r.known[r.next].n, r.known[r.next].rows = owner, n, rows
	r.next = (r.next + 1) % len(r.known)
}

// drop forgets a branch's bundles before bundle n.
func (r *recent) drop(owner *branch, n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, k := range r.known {
		if k.owner == owner && k.n > 0 && k.n < n {
			r.known[i].owner, r.known[i].rows = nil, nil
		}
	}
}

// entries calls f with the entries from..to-1, each exactly once and in order; one
// that is missing is an error. f must not keep or change the bytes.
func (x *index) entries(b *branch, from, to uint64, f func(i uint64, entry []byte) error) error {
	if from >= to {
		return nil
	}
	return x.db.View(func(txn *badger.Txn) error { return x.walk(txn, b, from, to, f) })
}

func (x *index) walk(txn *badger.Txn, b *branch, from, to uint64, f func(i uint64, entry []byte) error) error {
	for from < to {
		n := from / bundleEntries
		stop := min(to, (n+1)*bundleEntries)
		owner := b.owner((n + 1) * bundleEntries)
		rows, err := x.bundle(txn, owner, n)
		if err != nil {
			return err
		}
		if rows == nil {
			err = x.apart(txn, owner, from, stop, f)
		}
		for i := from; i < stop && rows != nil && err == nil; i++ {
			err = f(i, rows[i%bundleEntries])
		}
		if err != nil {
			return err
		}
		from = stop
	}
	return nil
}

// apart reads entries that no bundle holds: they lie in pieces, or were dropped.
func (x *index) apart(txn *badger.Txn, owner *branch, from, to uint64, f func(i uint64, entry []byte) error) error {
	pruned, err := x.prunedTo(txn, owner)
	if err != nil {
		return err
	}
	if from >= bundleEntries && from < pruned {
		return errPruned(owner.log, from, pruned)
	}
	return x.loose(txn, owner, from, to, f)
}

// collect returns copies of the entries from..to-1.
func (x *index) collect(txn *badger.Txn, b *branch, from, to uint64) ([][]byte, error) {
	out := make([][]byte, 0, to-from)
	return out, x.walk(txn, b, from, to, func(_ uint64, entry []byte) error {
		out = append(out, bytes.Clone(entry))
		return nil
	})
}

// loose reads entries that no bundle holds, all of one bundle's width.
func (x *index) loose(txn *badger.Txn, owner *branch, from, to uint64, f func(i uint64, entry []byte) error) error {
	next := from / bundleEntries * bundleEntries
	start := owner.key(prefixPiece, next)
	err := scan(txn, start[:branchKeyBytes], start, func(item *badger.Item) (bool, error) {
		if keyNumber(item.Key()) != next {
			return false, nil // reported below
		}
		err := item.Value(func(piece []byte) error {
			for next < to && len(piece) > 0 {
				entry, rest, err := takePiece(piece)
				if err != nil {
					return fmt.Errorf("%w: %s: entry %s: %w", errDamagedIndex, x.path, ledger.Position{Log: owner.log, Index: next}, err)
				}
				if next >= from {
					if err := f(next, entry); err != nil {
						return err
					}
				}
				next, piece = next+1, rest
			}
			return nil
		})
		return next < to, err
	})
	if err == nil && next < to {
		err = fmt.Errorf("%w: %s lacks entry %s", errDamagedIndex, x.path, ledger.Position{Log: owner.log, Index: next})
	}
	return err
}

// bundle returns the entries of bundle n, whose tree has the hash that the summary
// states; none where they lie in pieces.
func (x *index) bundle(txn *badger.Txn, owner *branch, n uint64) ([][]byte, error) {
	if rows := x.recent.find(owner, n); rows != nil {
		return rows, nil
	}
	item, err := txn.Get(owner.key(prefixBundle, n))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s, err := x.summary(txn, owner, n)
	if err != nil {
		return nil, err
	}
	var rows [][]byte
	err = item.Value(func(v []byte) (err error) {
		rows, err = x.packer.unpack(v, s.root)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %s: entry bundle %d of log %s: %w", errDamagedIndex, x.path, n, owner.log, err)
	}
	x.recent.keep(owner, n, rows)
	return rows, nil
}

// summary returns what is kept of a full bundle beside its entries.
func (x *index) summary(txn *badger.Txn, owner *branch, n uint64) (summary, error) {
	v, err := get(txn, owner.key(prefixSummary, n))
	if err != nil {
		return summary{}, fmt.Errorf("%w: %s lacks the summary of entry bundle %d of log %s: %w", errDamagedIndex, x.path, n, owner.log, err)
	}
	s, err := decodeSummary(v)
	if err != nil {
		err = fmt.Errorf("%w: %s: entry bundle %d of log %s: %w", errDamagedIndex, x.path, n, owner.log, err)
	}
	return s, err
}

// hashes returns the stored hashes from..to-1 of a level of tiles, 1 or above, which
// lie in one tile.
func (x *index) hashes(txn *badger.Txn, b *branch, level int, from, to uint64) ([]tlog.Hash, error) {
	tile := from / bundleEntries
	whole := b.owner((tile + 1) << (levelBits * (level + 1)))
	v, err := get(txn, whole.levelKey(prefixTile, level, tile))
	if err == nil {
		if len(v) != bundleEntries*ledger.HashBytes {
			return nil, fmt.Errorf("%w: %s: tile %d of level %d of log %s has %d bytes", errDamagedIndex, x.path, tile, level, b.log, len(v))
		}
		out := make([]tlog.Hash, 0, to-from)
		for i := from % bundleEntries; i < from%bundleEntries+to-from; i++ {
			out = append(out, tlog.Hash(v[i*ledger.HashBytes:]))
		}
		return out, nil
	}
	if !errors.Is(err, badger.ErrKeyNotFound) {
		return nil, err
	}
	out := make([]tlog.Hash, 0, to-from)
	for i := from; i < to; i = from + uint64(len(out)) {
		before := len(out)
		if out, err = x.looseHashes(txn, b, level, i, to, out); err != nil {
			return nil, err
		}
		if len(out) == before {
			return nil, fmt.Errorf("%w: %s lacks hash %d of level %d of log %s", errDamagedIndex, x.path, i, level, b.log)
		}
	}
	return out, nil
}

// looseHashes appends the hashes from..to-1 that no tile holds, as far as they lie
// under the keys of one branch.
func (x *index) looseHashes(txn *badger.Txn, b *branch, level int, from, to uint64, out []tlog.Hash) ([]tlog.Hash, error) {
	width := levelBits * level
	owner := b.owner((from + 1) << width)
	start, kept := owner.levelKey(prefixHash, level, from), branchKeyBytes+1
	if level == 1 {
		start, kept = owner.key(prefixSummary, from), branchKeyBytes
	}
	next := from
	err := scan(txn, start[:kept], start, func(item *badger.Item) (bool, error) {
		if keyNumber(item.Key()) != next || b.owner((next+1)<<width) != owner {
			return false, nil
		}
		err := item.Value(func(v []byte) error {
			if len(v) < ledger.HashBytes {
				return fmt.Errorf("%w: %s: hash %d of level %d of log %s is cut short", errDamagedIndex, x.path, next, level, b.log)
			}
			out = append(out, tlog.Hash(v[:ledger.HashBytes]))
			return nil
		})
		next++
		return next < to, err
	})
	return out, err
}

// checkpoint returns the one kept at exactly that size, or ErrNotHeld.
func (x *index) checkpoint(b *branch, size uint64) (ledger.Checkpoint, error) {
	var c ledger.Checkpoint
	for b.parent != nil && size <= b.departs {
		b = b.parent
	}
	err := x.db.View(func(txn *badger.Txn) error {
		v, err := get(txn, b.key(prefixCheckpoint, size))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return fmt.Errorf("checkpoint of log %s at %d: %w", b.log, size, ErrNotHeld)
		}
		if err == nil {
			c, _, err = decodeCheckpoint(size, v)
		}
		return err
	})
	if err != nil && !errors.Is(err, ErrNotHeld) {
		err = x.damaged(err)
	}
	return c, err
}

// checkpointsAfter returns kept checkpoints beyond from, ascending: up to limit of
// them, and none beyond to. Each says which was kept before it, so that one which
// cannot be read is noticed.
func (x *index) checkpointsAfter(b *branch, from, to uint64, limit int) ([]ledger.Checkpoint, error) {
	var out []ledger.Checkpoint
	if b.parent != nil && from < b.departs {
		var err error
		if out, err = x.checkpointsAfter(b.parent, from, min(to, b.departs), limit); err != nil || len(out) == limit {
			return out, err
		}
		from = b.departs
	}
	last := uint64(0)
	err := x.db.View(func(txn *badger.Txn) error {
		start := b.key(prefixCheckpoint, from+1)
		return scan(txn, start[:branchKeyBytes], start, func(item *badger.Item) (bool, error) {
			size := keyNumber(item.Key())
			if size > to {
				return false, nil
			}
			err := item.Value(func(v []byte) error {
				c, before, err := decodeCheckpoint(size, v)
				if err == nil && before > from && before != last {
					err = fmt.Errorf("%w: %s lacks the checkpoint of log %s at %d", errDamagedIndex, x.path, b.log, before)
				}
				out, last = append(out, c), size
				return err
			})
			return len(out) < limit, err
		})
	})
	return out, err
}
