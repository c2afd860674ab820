package ledger

import (
	"crypto/sha256"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Edge is the right edge of a log's RFC 6962 tree: as many hashes as the size has
// one-bits, enough to append and to compute the root. The zero Edge is the empty
// tree. It is a value: Append returns a new one and leaves the old as it was.
type Edge struct {
	size   uint64
	hashes []tlog.Hash // of the complete subtrees, the widest first; never changed
}

// Size is the number of entries under the edge.
func (e Edge) Size() uint64 { return e.size }

// Root is the tree's root (LEDGER.md §7).
func (e Edge) Root() Hash {
	if e.size == 0 {
		return sha256.Sum256(nil)
	}
	root := e.hashes[len(e.hashes)-1]
	for i := len(e.hashes) - 2; i >= 0; i-- {
		root = tlog.NodeHash(e.hashes[i], root)
	}
	return Hash(root)
}

// Append returns the edge after the given leaves.
func (e Edge) Append(leaves ...Hash) (Edge, error) {
	if e.size+uint64(len(leaves)) > LogMaxEntries {
		return e, fmt.Errorf("%w: a log ends at %d entries", ErrMalformed, uint64(LogMaxEntries))
	}
	next := Edge{size: e.size, hashes: make([]tlog.Hash, len(e.hashes), 64)}
	copy(next.hashes, e.hashes)
	for _, leaf := range leaves {
		next.push(tlog.Hash(leaf))
	}
	return next, nil
}

// push completes as many subtrees as the size has trailing one-bits.
func (e *Edge) push(h tlog.Hash) {
	for range bits.TrailingZeros64(^e.size) {
		last := len(e.hashes) - 1
		h = tlog.NodeHash(e.hashes[last], h)
		e.hashes = e.hashes[:last]
	}
	e.hashes = append(e.hashes, h)
	e.size++
}

// smallLeaf is how many bytes an entry may have to be hashed on the stack; hardly
// one has more.
const smallLeaf = 511

// LeafHash is the RFC 6962 leaf hash of an entry's bytes.
func LeafHash(entry []byte) Hash {
	if len(entry) > smallLeaf {
		return Hash(tlog.RecordHash(entry))
	}
	var b [1 + smallLeaf]byte // b[0] is the leaf's prefix, 0
	return sha256.Sum256(b[:1+copy(b[1:], entry)])
}
