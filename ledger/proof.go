package ledger

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// VerifyInclusion checks that the tree of the given size and root has leaf at index:
// proof is as RFC 6962 §2.1.1 has it, from the leaf up (LEDGER.md §6.2, kind 72).
func VerifyInclusion(proof []Hash, index uint64, leaf Hash, size uint64, root Hash) error {
	if size > LogMaxEntries || index >= size {
		return fmt.Errorf("%w inclusion proof: entry %d under %d", ErrMalformed, index, size)
	}
	p := make(tlog.RecordProof, len(proof))
	for i, h := range proof {
		p[i] = tlog.Hash(h)
	}
	if tlog.CheckRecord(p, int64(size), tlog.Hash(root), int64(index), tlog.Hash(leaf)) != nil {
		return fmt.Errorf("%w inclusion proof: it does not lead from entry %d to the root at %d", ErrMalformed, index, size)
	}
	return nil
}
