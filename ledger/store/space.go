package store

import (
	"errors"

	"github.com/dgraph-io/badger/v4"
)

// Space is what an index holds and how many bytes of keys and values that takes;
// files take more, for Badger's filters, blocks and tables not yet merged.
type Space struct {
	Bundles     uint64 // full entry bundles stored as one value, of 256 entries each
	BundleBytes uint64
	PieceBytes  uint64 // entries that no bundle holds
	TreeBytes   uint64 // summaries, tiles and hashes
	PointBytes  uint64 // heads and kept checkpoints
	NameBytes   uint64 // payments and objects
	OtherBytes  uint64 // evidence of forks, and the rest
}

// Space measures what is stored of own logs and of others'. It reads every key.
func (s *Store) Space() (own, peers Space, err error) {
	own, ownErr := s.own.space()
	peers, peersErr := s.peers.space()
	return own, peers, errors.Join(ownErr, peersErr)
}

func (x *index) space() (Space, error) {
	var s Space
	err := x.db.View(func(txn *badger.Txn) error {
		return scan(txn, nil, nil, func(item *badger.Item) (bool, error) {
			n := uint64(item.KeySize() + item.ValueSize())
			switch item.Key()[0] {
			case prefixBundle:
				s.Bundles++
				s.BundleBytes += n
			case prefixPiece:
				s.PieceBytes += n
			case prefixSummary, prefixTile, prefixHash, prefixPruned:
				s.TreeBytes += n
			case prefixHead, prefixHeads, prefixCheckpoint:
				s.PointBytes += n
			case prefixPayment, prefixObject, prefixErased:
				s.NameBytes += n
			default:
				s.OtherBytes += n
			}
			return true, nil
		})
	})
	return s, err
}
