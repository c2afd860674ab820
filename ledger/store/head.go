package store

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"rasid/ledger"
)

// head says how far a branch is held.
type head struct {
	log  ledger.Log // of no size where nothing is stored
	kept uint64     // size of the checkpoint kept before log.End; 0 where there is none
}

const (
	headFixedBytes       = ed25519.PublicKeySize + 8 + checkpointBytes + 8 + 1
	checkpointBytes      = ledger.HashBytes + ed25519.SignatureSize + 8
	noParent        byte = 0xff
)

// encode writes public key, size, the checkpoint as it is kept (root, signature,
// size of the one kept before), where the branch departs and from which, and the
// edge's hashes.
func (h head) encode(b *branch) []byte {
	v := append(make([]byte, 0, headFixedBytes+20*ledger.HashBytes), h.log.Key...)
	v = binary.BigEndian.AppendUint64(v, h.log.End.Size)
	v = append(v, encodeCheckpoint(h.log.End, h.kept)...)
	v = binary.BigEndian.AppendUint64(v, b.departs)
	parent := noParent
	if b.parent != nil {
		parent = b.parent.number
	}
	v = append(v, parent)
	for _, hash := range h.log.Edge.Hashes() {
		v = append(v, hash[:]...)
	}
	return v
}

// decodeHead reads what encode wrote. The edge must have the checkpoint's root.
func decodeHead(v []byte) (h head, departs uint64, parent byte, err error) {
	if len(v) < headFixedBytes || (len(v)-headFixedBytes)%ledger.HashBytes != 0 {
		return h, 0, 0, fmt.Errorf("a head of %d bytes", len(v))
	}
	h.log.Key, v = ed25519.PublicKey(append([]byte(nil), v[:ed25519.PublicKeySize]...)), v[ed25519.PublicKeySize:]
	size := binary.BigEndian.Uint64(v)
	if h.log.End, h.kept, err = decodeCheckpoint(size, v[8:8+checkpointBytes]); err != nil {
		return h, 0, 0, err
	}
	v = v[8+checkpointBytes:]
	departs, parent, v = binary.BigEndian.Uint64(v), v[8], v[9:]
	var hashes []ledger.Hash
	for ; len(v) > 0; v = v[ledger.HashBytes:] {
		hashes = append(hashes, ledger.Hash(v[:ledger.HashBytes]))
	}
	if h.log.Edge, err = ledger.EdgeOf(size, hashes); err != nil {
		return h, 0, 0, err
	}
	if h.log.Edge.Root() != h.log.End.Root {
		return h, 0, 0, errors.New("the edge does not have the checkpoint's root")
	}
	return h, departs, parent, nil
}

func encodeCheckpoint(c ledger.Checkpoint, before uint64) []byte {
	b := append(append(make([]byte, 0, checkpointBytes), c.Root[:]...), c.Sig[:]...)
	return binary.BigEndian.AppendUint64(b, before)
}

func decodeCheckpoint(size uint64, b []byte) (c ledger.Checkpoint, before uint64, err error) {
	if len(b) != checkpointBytes {
		return c, 0, fmt.Errorf("a checkpoint of %d bytes", len(b))
	}
	c.Size = size
	copy(c.Root[:], b)
	copy(c.Sig[:], b[ledger.HashBytes:])
	return c, binary.BigEndian.Uint64(b[ledger.HashBytes+len(c.Sig):]), nil
}

// head returns how far a branch is stored; the zero head where nothing is.
func (x *index) head(txn *badger.Txn, b *branch) (head, error) {
	v, err := get(txn, b.prefix(prefixHead))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return head{}, nil
	}
	if err != nil {
		return head{}, err
	}
	h, departs, _, err := decodeHead(v)
	if err == nil && departs != b.departs {
		err = fmt.Errorf("branch %d departs at %d, want %d", b.number, departs, b.departs)
	}
	return h, err
}

// stored is one branch as the index has it.
type stored struct {
	branch   *branch
	log      ledger.Log
	prunedTo uint64
}

// logs returns every branch of every log as held, parents before their branches,
// its newest checkpoint verified.
func (x *index) logs() ([]stored, error) {
	var out []stored
	known := map[ledger.LogID]map[byte]*branch{}
	err := x.db.View(func(txn *badger.Txn) error {
		prefix := []byte{prefixHead}
		err := scan(txn, prefix, prefix, func(item *badger.Item) (bool, error) {
			k := item.KeyCopy(nil)
			v, err := item.ValueCopy(nil)
			if err != nil {
				return false, err
			}
			h, departs, parent, err := decodeHead(v)
			if err != nil {
				return false, fmt.Errorf("key %x: %w", k, err)
			}
			b := &branch{log: h.log.ID(), number: k[len(k)-1], departs: departs}
			if known[b.log] == nil {
				known[b.log] = map[byte]*branch{}
			}
			if parent != noParent {
				b.parent = known[b.log][parent]
			}
			if string(b.prefix(prefixHead)) != string(k) || (b.number == 0) != (b.parent == nil) {
				return false, fmt.Errorf("key %x holds another log's head, or one of a branch whose parent is missing", k)
			}
			known[b.log][b.number] = b
			to, err := x.prunedTo(txn, b)
			if err == nil && to != 0 && (to > h.log.End.Size || to <= AlwaysHeld || to%bundleEntries != 0) {
				err = fmt.Errorf("log %s is held to %d and pruned to %d", b.log, h.log.End.Size, to)
			}
			if from := max(to, AlwaysHeld); err == nil && parent == noParent && h.log.End.Size > from {
				err = x.heldFrom(txn, b, from)
			}
			out = append(out, stored{b, h.log, to})
			return true, errors.Join(err, h.log.End.Verify(h.log.Key))
		})
		if err != nil {
			return err
		}
		return checkHeads(txn, len(out))
	})
	return out, x.damaged(err)
}

// checkHeads finds a head that the iterator passed over.
func checkHeads(txn *badger.Txn, found int) error {
	n, err := countHeads(txn)
	if err == nil && n != uint64(found) {
		err = fmt.Errorf("%d heads of logs can be read, there are %d", found, n)
	}
	return err
}

func countHeads(txn *badger.Txn) (uint64, error) {
	v, err := get(txn, []byte{prefixHeads})
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 0, nil
	}
	if err == nil && len(v) != 8 {
		err = fmt.Errorf("a count of %d bytes", len(v))
	}
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(v), nil
}

// ids returns the names of all logs in the index.
func (x *index) ids() ([]ledger.LogID, error) {
	logs, err := x.logs()
	var out []ledger.LogID
	for _, l := range logs {
		if l.branch.number == 0 {
			out = append(out, l.branch.log)
		}
	}
	return out, err
}
