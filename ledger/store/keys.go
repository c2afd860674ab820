package store

import (
	"encoding/binary"

	"rasid/ledger"
	"rasid/ledger/event"
)

// The keys of an index; LEDGER.md §17 describes the values. Numbers are big-endian.
//
//	'v'                        the form of the index
//	'n'                        how many heads there are
//	'l' log branch             the head of a branch: how far it is held
//	'b' log branch n           entry bundle n
//	'e' log branch index       a piece: entries from there on that no bundle holds
//	's' log branch n           what the summary of entry bundle n says
//	't' log branch level n     a full tile of the tree, level 1 and above
//	'h' log branch level i     hash i of a level above 1 of tiles
//	'c' log branch size        a kept checkpoint
//	'p' bill log branch index  an entry that says money was taken for the bill
//	'o' hash                   an object that a held entry names
//	'x' log branch n           objects that held entries erase
//	'd' log branch             where the dropped entries end
//	'f' log root n             part n of a contradicting run, kept as evidence
const (
	prefixForm       = 'v'
	prefixHeads      = 'n'
	prefixHead       = 'l'
	prefixBundle     = 'b'
	prefixPiece      = 'e'
	prefixSummary    = 's'
	prefixTile       = 't'
	prefixHash       = 'h'
	prefixCheckpoint = 'c'
	prefixPayment    = 'p'
	prefixObject     = 'o'
	prefixErased     = 'x'
	prefixPruned     = 'd'
	prefixFork       = 'f'
)

// bundleEntries is the width of a C2SP tile and of an entry bundle, and levelBits
// its logarithm.
const (
	bundleEntries = 1 << levelBits
	levelBits     = 8
)

// branch is one history of a log. Number 0, the one held first, begins at entry 0.
// A further one of a forked log lies in the index from the bundle in which it
// departs from its parent; what stands before is the parent's. It never changes.
type branch struct {
	log     ledger.LogID
	number  byte
	departs uint64 // the first entry that the parent has otherwise, or lacks
	parent  *branch
}

// base is the first entry that lies under the branch's own keys.
func (b *branch) base() uint64 { return b.departs / bundleEntries * bundleEntries }

// owner returns the branch under whose keys lies what ends before entry end.
func (b *branch) owner(end uint64) *branch {
	for b.parent != nil && end <= b.base() {
		b = b.parent
	}
	return b
}

const branchKeyBytes = 1 + len(ledger.LogID{}) + 1

func (b *branch) prefix(kind byte) []byte {
	k := make([]byte, 0, branchKeyBytes+9)
	return append(append(append(k, kind), b.log[:]...), b.number)
}

func (b *branch) key(kind byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(b.prefix(kind), n)
}

func (b *branch) levelPrefix(kind byte, level int) []byte {
	return append(b.prefix(kind), byte(level))
}

func (b *branch) levelKey(kind byte, level int, n uint64) []byte {
	return binary.BigEndian.AppendUint64(b.levelPrefix(kind, level), n)
}

// keyNumber is the number that ends a key.
func keyNumber(k []byte) uint64 { return binary.BigEndian.Uint64(k[len(k)-8:]) }

func paymentPrefix(bill event.BillKey) []byte {
	return append([]byte{prefixPayment}, bill[:]...)
}

func (b *branch) paymentKey(p payment) []byte {
	k := append(append(paymentPrefix(p.bill), b.log[:]...), b.number)
	return binary.BigEndian.AppendUint64(k, p.index)
}

func objectKey(h ledger.Hash) []byte { return append([]byte{prefixObject}, h[:]...) }

func forkKey(log ledger.LogID, root ledger.Hash, part uint64) []byte {
	k := append(append([]byte{prefixFork}, log[:]...), root[:]...)
	return binary.BigEndian.AppendUint64(k, part)
}
