package ledger

import (
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Hashes returns the edge's hashes, the widest subtree first: one for each one-bit
// of the size. With EdgeOf it lets a store keep an edge instead of hashing a whole
// log again.
func (e Edge) Hashes() []Hash {
	out := make([]Hash, len(e.hashes))
	for i, h := range e.hashes {
		out[i] = Hash(h)
	}
	return out
}

// EdgeOf makes the edge of the given size from what Hashes returned. It proves
// nothing: compare Root with a verified checkpoint before it is used.
func EdgeOf(size uint64, hashes []Hash) (Edge, error) {
	if size > LogMaxEntries {
		return Edge{}, fmt.Errorf("%w edge: a log ends at %d entries", ErrMalformed, uint64(LogMaxEntries))
	}
	if n := bits.OnesCount64(size); n != len(hashes) {
		return Edge{}, fmt.Errorf("%w edge of %d: %d hashes, want %d", ErrMalformed, size, len(hashes), n)
	}
	e := Edge{size: size, hashes: make([]tlog.Hash, len(hashes))}
	for i, h := range hashes {
		e.hashes[i] = tlog.Hash(h)
	}
	return e, nil
}
