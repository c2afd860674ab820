package ledger

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Edge is the right edge of a log's RFC 6962 tree: as many hashes as the size has
// one-bits, enough to append and to compute the root. The zero Edge is the empty
// tree. It is a value: Append returns a new one and leaves the old as it was.
type Edge struct {
	size   uint64
	hashes map[int64]tlog.Hash // by tlog's stored hash index
}

// Size is the number of entries under the edge.
func (e Edge) Size() uint64 { return e.size }

// Root is the tree's root (LEDGER.md §7).
func (e Edge) Root() Hash {
	root, err := tlog.TreeHash(int64(e.size), tlog.HashReaderFunc(e.read))
	if err != nil {
		panic(fmt.Sprintf("broken invariant: an edge of %d lacks a hash: %v", e.size, err))
	}
	return Hash(root)
}

// Append returns the edge after the given leaves.
func (e Edge) Append(leaves ...Hash) (Edge, error) {
	if e.size+uint64(len(leaves)) > LogMaxEntries {
		return e, fmt.Errorf("%w: a log ends at %d entries", ErrMalformed, uint64(LogMaxEntries))
	}
	next := Edge{size: e.size, hashes: make(map[int64]tlog.Hash, len(e.hashes)+2*len(leaves))}
	for k, v := range e.hashes {
		next.hashes[k] = v
	}
	for _, leaf := range leaves {
		stored, err := tlog.StoredHashesForRecordHash(int64(next.size), tlog.Hash(leaf), tlog.HashReaderFunc(next.read))
		if err != nil {
			return e, fmt.Errorf("couldn't append leaf %d: %w", next.size, err)
		}
		at := tlog.StoredHashIndex(0, int64(next.size))
		for i, h := range stored {
			next.hashes[at+int64(i)] = h
		}
		next.size++
	}
	next.trim()
	return next, nil
}

// trim forgets what no longer lies on the edge.
func (e *Edge) trim() {
	kept := make(map[int64]tlog.Hash, 48)
	eachSubtree(e.size, func(at int64) { kept[at] = e.hashes[at] })
	e.hashes = kept
}

func (e Edge) read(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		h, ok := e.hashes[at]
		if !ok {
			return nil, fmt.Errorf("hash %d is not on the edge of %d", at, e.size)
		}
		out[i] = h
	}
	return out, nil
}
