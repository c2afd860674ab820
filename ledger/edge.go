package ledger

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Hashes returns the edge's hashes, the widest subtree first: one for each one-bit
// of the size. With EdgeOf it lets a store keep an edge instead of hashing a whole
// log again.
func (e Edge) Hashes() []Hash {
	var out []Hash
	eachSubtree(e.size, func(at int64) { out = append(out, Hash(e.hashes[at])) })
	return out
}

// EdgeOf makes the edge of the given size from what Hashes returned. It proves
// nothing: compare Root with a verified checkpoint before it is used.
func EdgeOf(size uint64, hashes []Hash) (Edge, error) {
	if size > LogMaxEntries {
		return Edge{}, fmt.Errorf("%w edge: a log ends at %d entries", ErrMalformed, uint64(LogMaxEntries))
	}
	e := Edge{size: size, hashes: make(map[int64]tlog.Hash, len(hashes))}
	n := 0
	eachSubtree(size, func(at int64) {
		if n < len(hashes) {
			e.hashes[at] = tlog.Hash(hashes[n])
		}
		n++
	})
	if n != len(hashes) {
		return Edge{}, fmt.Errorf("%w edge of %d: %d hashes, want %d", ErrMalformed, size, len(hashes), n)
	}
	return e, nil
}

// eachSubtree calls f with the stored hash index of every complete subtree on the
// edge of a tree, the widest first.
func eachSubtree(size uint64, f func(at int64)) {
	var before uint64
	for level := 48; level >= 0; level-- {
		width := uint64(1) << level
		if size&width == 0 {
			continue
		}
		f(tlog.StoredHashIndex(level, int64(before>>level)))
		before += width
	}
}
