package store

import (
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/tlog"

	"rasid/ledger"
)

// InclusionProof returns the proof (RFC 6962 §2.1.1) that the entry at index is in
// the log's tree of the given size, any size up to what is held; ErrPruned where that
// takes leaf hashes of entries that were dropped. What it reads of
// the tree is compared with the newest checkpoint's root first, so a proof comes
// from a sound tree or not at all. It reads at most two entry bundles, the entries
// of the one begun, and for each 256-fold of the size two tiles.
func (s *Store) InclusionProof(log ledger.LogID, index, size uint64) (tlog.RecordProof, error) {
	h, err := s.view(log)
	if err != nil {
		return nil, err
	}
	return h.inclusionProof(index, size)
}

func (h held) inclusionProof(index, size uint64) (tlog.RecordProof, error) {
	log := h.branch.log
	if size > h.log.End.Size || index >= size {
		return nil, fmt.Errorf("entry %d of log %s at %d, of which %d are held: %w", index, log, size, h.log.End.Size, ErrNotHeld)
	}
	p, err := tlog.ProveRecord(int64(size), int64(index), h.tree())
	if err != nil {
		return nil, fmt.Errorf("couldn't prove entry %d of log %s at %d: %w", index, log, size, err)
	}
	return p, nil
}

// ConsistencyProof returns the proof (RFC 6962 §2.1.2) that the log's tree of size
// from, at least 1, is the beginning of its tree of size to. As InclusionProof.
func (s *Store) ConsistencyProof(log ledger.LogID, from, to uint64) (tlog.TreeProof, error) {
	h, err := s.view(log)
	if err != nil {
		return nil, err
	}
	if to > h.log.End.Size || from < 1 || from > to {
		return nil, fmt.Errorf("sizes %d and %d of log %s, of which %d are held: %w", from, to, log, h.log.End.Size, ErrNotHeld)
	}
	p, err := tlog.ProveTree(int64(to), int64(from), h.tree())
	if err != nil {
		return nil, fmt.Errorf("couldn't prove log %s from %d to %d: %w", log, from, to, err)
	}
	return p, nil
}

// Root returns the root of a log's tree at any size up to what is held.
func (s *Store) Root(log ledger.LogID, size uint64) (ledger.Hash, error) {
	h, err := s.view(log)
	if err != nil {
		return ledger.Hash{}, err
	}
	if size > h.log.End.Size {
		return ledger.Hash{}, fmt.Errorf("log %s at %d, of which %d are held: %w", log, size, h.log.End.Size, ErrNotHeld)
	}
	return h.rootAt(size)
}

// tree reads hashes of the log's tree, each proven to be under the root held.
func (h held) tree() tlog.HashReader {
	return tlog.TileHashReader(tlog.Tree{N: int64(h.log.End.Size), Hash: tlog.Hash(h.log.End.Root)}, tiles{h})
}

// tiles are a held log's C2SP tiles. Those of level 0 are made from the entries.
type tiles struct{ h held }

func (tiles) Height() int                     { return levelBits }
func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (t tiles) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(want))
	for i, tile := range want {
		first := uint64(tile.N) * bundleEntries
		hashes, err := t.h.hashes(tile.L, first, first+uint64(tile.W))
		if err != nil {
			return nil, err
		}
		out[i] = tileBytes(hashes)
	}
	return out, nil
}

// hashes returns the hashes from..to-1 of a level of tiles. What the index lacks,
// because the entries under it are still on their way there, is made from them.
func (h held) hashes(level int, from, to uint64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, 0, to-from)
	if level == 0 {
		return out, h.entries(from, to, func(_ uint64, entry []byte) error {
			out = append(out, tlog.Hash(ledger.LeafHash(entry)))
			return nil
		})
	}
	indexed := h.indexed()
	there := max(from, min(to, indexed>>(levelBits*level)))
	if from < there {
		err := h.index.db.View(func(txn *badger.Txn) (err error) {
			out, err = h.index.hashes(txn, h.branch, level, from, there)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for i := there; i < to; i++ {
		below, err := h.hashes(level-1, i*bundleEntries, (i+1)*bundleEntries)
		if err != nil {
			return nil, err
		}
		out = append(out, tlog.Hash(rootOf(below)))
	}
	return out, nil
}
