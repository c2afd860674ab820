package ledger_test

import (
	"slices"
	"testing"

	"rasid/ledger"
)

// path is the inclusion proof as RFC 6962 §2.1.1 defines it, written out.
func path(index int, leaves []ledger.Hash) []ledger.Hash {
	if len(leaves) == 1 {
		return nil
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	if index < k {
		return append(path(index, leaves[:k]), rfc6962(leaves[k:]))
	}
	return append(path(index-k, leaves[k:]), rfc6962(leaves[:k]))
}

// TestInclusion: every leaf of every small tree is proven, and no other statement is.
func TestInclusion(t *testing.T) {
	var leaves []ledger.Hash
	for n := uint64(1); n <= 40; n++ {
		leaves = append(leaves, ledger.LeafHash([]byte{byte(n)}))
		root := rfc6962(leaves)
		for i := range n {
			proof := path(int(i), leaves)
			if err := ledger.VerifyInclusion(proof, i, leaves[i], n, root); err != nil {
				t.Fatalf("entry %d of %d: %v", i, n, err)
			}
			wrong := func(what string, proof []ledger.Hash, index uint64, leaf ledger.Hash, size uint64, root ledger.Hash) {
				t.Helper()
				if ledger.VerifyInclusion(proof, index, leaf, size, root) == nil {
					t.Errorf("entry %d of %d is proven with %s", i, n, what)
				}
			}
			wrong("a leaf that is not there", proof, i, ledger.Hash{1}, n, root)
			wrong("another root", proof, i, leaves[i], n, ledger.Hash{1})
			wrong("another index", proof, i^1, leaves[i], n, root)
			wrong("an index beyond the tree", proof, n, leaves[i], n, root)
			wrong("a hash too many", append(slices.Clone(proof), root), i, leaves[i], n, root)
			wrong("no size", proof, i, leaves[i], 0, root)
			wrong("a size beyond the limit", proof, i, leaves[i], ledger.LogMaxEntries+1, root)
			if len(proof) > 0 {
				wrong("a hash too few", proof[1:], i, leaves[i], n, root)
				bent := slices.Clone(proof)
				bent[0][0] ^= 1
				wrong("a changed hash", bent, i, leaves[i], n, root)
			}
		}
	}
}
