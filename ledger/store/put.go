package store

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/tlog"

	"rasid/ledger"
	"rasid/ledger/event"
)

// growth is how one branch of a log grows by one run: what commit, recovery and
// ingest put.
type growth struct {
	branch   *branch
	first    uint64
	entries  [][]byte
	leaves   []ledger.Hash // of the entries
	size     int           // bytes of the entries
	log      ledger.Log    // after
	objects  []ledger.Hash // named by the entries
	erased   []ledger.Hash // by the entries
	payments []payment     // among the entries
}

// erasedChunk is how many hashes of erased objects stand in one value. An entry
// erases at most 256, so there are never more values than entries.
const erasedChunk = 1024

// eachErased calls f with the keys and values that tell of erased objects.
func (g growth) eachErased(f func(k, v []byte) error) error {
	n := g.first
	for chunk := range slices.Chunk(g.erased, erasedChunk) {
		v := make([]byte, 0, len(chunk)*ledger.HashBytes)
		for _, h := range chunk {
			v = append(v, h[:]...)
		}
		if err := f(g.branch.key(prefixErased, n), v); err != nil {
			return err
		}
		n++
	}
	return nil
}

// payment is an entry that says money was taken for a bill.
type payment struct {
	bill  event.BillKey
	index uint64
}

// extent is how much growths of one branch, which follow on each other, are together.
type extent struct{ growths, entries, size, names, erased int }

func (e *extent) add(g *growth) {
	e.growths++
	e.entries += len(g.entries)
	for _, raw := range g.entries {
		e.size += len(raw)
	}
	e.names += len(g.objects) + len(g.payments)
	e.erased += len(g.erased)
}

// bytes is at least what they take of a transaction, and pairs how many keys: all
// entries may lie in pieces, and those of the bundle before may go.
func (e extent) bytes() (size, pairs int64) {
	const perPair = 112 // key, version and what Badger adds
	bundles := e.entries/bundleEntries + 1
	size = int64(e.size + 2*headFixedBytes + 50*ledger.HashBytes + 2*bundleEntries*ledger.HashBytes +
		e.growths*checkpointBytes + e.erased*ledger.HashBytes + bundles*summaryBytes + bundleMaxBytes)
	pairs = int64(e.entries + e.names + 3*e.growths + e.erased/erasedChunk + bundleEntries + 3*bundles + 6)
	return size + pairs*perPair, pairs
}

// bytes is an extent's, of one growth.
func (g growth) bytes() (size, pairs int64) {
	var e extent
	e.add(&g)
	return e.bytes()
}

// put stores growths in one transaction: all or nothing, and durable on return
// when the index is synced. Growths of one branch follow on each other.
func (x *index) put(growths ...growth) error {
	var order []*branch
	of := map[*branch][]growth{}
	for _, g := range growths {
		if of[g.branch] == nil {
			order = append(order, g.branch)
		}
		of[g.branch] = append(of[g.branch], g)
	}
	err := x.write(func(txn *badger.Txn) error {
		// What was there before is read by a transaction of its own: an iterator of one
		// that writes sorts everything that it has written so far.
		before := x.db.NewTransaction(false)
		defer before.Discard()
		for _, b := range order {
			if err := (putter{x: x, before: before, txn: txn, branch: b}).put(of[b]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("couldn't store in %s: %w", x.path, err)
	}
	return nil
}

// putter stores growths of one branch in a transaction.
type putter struct {
	x      *index
	before *badger.Txn // as it was
	txn    *badger.Txn
	branch *branch
}

func (p putter) put(gs []growth) error {
	was, err := p.x.head(p.txn, p.branch)
	if err != nil {
		return p.x.damaged(err)
	}
	begins := len(was.log.Key) == 0
	at := was.log.End.Size
	if begins {
		at = p.branch.departs
	}
	if gs[0].first != at {
		return fmt.Errorf("%w: %s holds %d entries of log %s, the next is %d", errDamagedIndex, p.x.path, at, p.branch.log, gs[0].first)
	}
	var fresh rows
	for _, g := range gs {
		fresh = fresh.add(g.entries, g.leaves)
		if err := p.putNames(g); err != nil {
			return err
		}
	}
	if err := p.putEntries(at, fresh, begins); err != nil {
		return err
	}
	return p.putHead(was, gs, begins)
}

func (p putter) putNames(g growth) error {
	for _, h := range g.objects {
		if err := p.txn.Set(objectKey(h), nil); err != nil {
			return err
		}
	}
	if err := g.eachErased(p.txn.Set); err != nil {
		return err
	}
	for _, pay := range g.payments {
		if err := p.txn.Set(p.branch.paymentKey(pay), nil); err != nil {
			return err
		}
	}
	return nil
}

// putEntries stores entries from index first on: full bundles as bundles, what
// remains as a piece. A branch that begins takes with it the entries of the bundle
// in which it departs, so that every bundle lies under one branch.
func (p putter) putEntries(first uint64, fresh rows, begins bool) error {
	at, all, lying := first, fresh, 0 // so many of all lie there in pieces
	start := first / bundleEntries * bundleEntries
	completes := (first+uint64(len(fresh.entries)))/bundleEntries > first/bundleEntries
	if start < first && (completes || begins) {
		from := p.branch
		if begins {
			from = from.parent
		}
		begun, err := p.x.collect(p.before, from, start, first)
		if err != nil {
			return err
		}
		at, all = start, rows{begun, leavesOf(begun)}.add(fresh.entries, fresh.leaves)
		if !begins {
			lying = len(begun)
		}
	}
	for at%bundleEntries == 0 && len(all.entries) >= bundleEntries {
		if err := p.putBundle(at/bundleEntries, rows{all.entries[:bundleEntries], all.leaves[:bundleEntries]}, lying); err != nil {
			return err
		}
		all = rows{all.entries[bundleEntries:], all.leaves[bundleEntries:]}
		at, lying = at+bundleEntries, 0
	}
	return p.putPieces(at+uint64(lying), all.entries[lying:])
}

// rows are entries with their leaf hashes.
type rows struct {
	entries [][]byte
	leaves  []ledger.Hash
}

func (r rows) add(entries [][]byte, leaves []ledger.Hash) rows {
	return rows{append(r.entries, entries...), append(r.leaves, leaves...)}
}

func (p putter) putPieces(first uint64, entries [][]byte) error {
	return pieces(first, entries, func(first uint64, piece []byte) error {
		return p.txn.Set(p.branch.key(prefixPiece, first), piece)
	})
}

// putBundle stores bundle n and takes away the pieces in which the first of its
// entries lay.
func (p putter) putBundle(n uint64, r rows, lying int) error {
	s, err := summarize(r.entries, r.leaves)
	if err != nil {
		return err
	}
	if err := p.txn.Set(p.branch.key(prefixSummary, n), s.encode()); err != nil {
		return err
	}
	first := n * bundleEntries
	if b, ok := p.x.packer.pack(r.entries); !ok {
		err = p.putPieces(first+uint64(lying), r.entries[lying:])
	} else if err = p.txn.Set(p.branch.key(prefixBundle, n), b); err == nil && lying > 0 {
		err = p.dropPieces(n)
	}
	if err != nil {
		return err
	}
	return p.putTiles(1, n)
}

func (p putter) dropPieces(n uint64) error {
	start := p.branch.key(prefixPiece, n*bundleEntries)
	return scan(p.before, start[:branchKeyBytes], start, func(item *badger.Item) (bool, error) {
		return true, p.txn.Delete(item.KeyCopy(nil))
	})
}

// putTiles stores the tile that hash n of a level completes, if it does, and the
// hash that stands for it one level up.
func (p putter) putTiles(level int, n uint64) error {
	for ; n%bundleEntries == bundleEntries-1; level++ {
		n /= bundleEntries
		hashes, err := p.x.hashes(p.txn, p.branch, level, n*bundleEntries, (n+1)*bundleEntries)
		if err != nil {
			return err
		}
		if err := p.txn.Set(p.branch.levelKey(prefixTile, level, n), tileBytes(hashes)); err != nil {
			return err
		}
		root := rootOf(hashes)
		if err := p.txn.Set(p.branch.levelKey(prefixHash, level+1, n), root[:]); err != nil {
			return err
		}
	}
	return nil
}

func tileBytes(hashes []tlog.Hash) []byte {
	b := make([]byte, 0, len(hashes)*ledger.HashBytes)
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	return b
}

// putHead stores the kept checkpoints and how far the branch is held now.
func (p putter) putHead(was head, gs []growth, begins bool) error {
	h := was
	var fresh []head // checkpoints to keep, each with the one kept before it
	for _, g := range gs {
		before, size := h.kept, h.log.End.Size
		switch {
		case size == 0:
		case !p.x.thin || g.log.End.Size-before > ledger.BatchMaxEntries:
			before = size
		case len(fresh) > 0:
			fresh = fresh[:len(fresh)-1]
		default: // the newest so far is thinned out
			if err := p.txn.Delete(p.branch.key(prefixCheckpoint, size)); err != nil {
				return err
			}
		}
		h = head{log: g.log, kept: before}
		fresh = append(fresh, h)
	}
	for _, c := range fresh {
		if err := p.txn.Set(p.branch.key(prefixCheckpoint, c.log.End.Size), encodeCheckpoint(c.log.End, c.kept)); err != nil {
			return err
		}
	}
	if begins {
		n, err := countHeads(p.txn)
		if err != nil {
			return p.x.damaged(err)
		}
		if err := p.txn.Set([]byte{prefixHeads}, binary.BigEndian.AppendUint64(nil, n+1)); err != nil {
			return err
		}
	}
	return p.txn.Set(p.branch.prefix(prefixHead), h.encode(p.branch))
}

// holds reports whether the growth is stored, byte for byte; false where all of it
// is still to come, and an error where something else stands in its place.
func (x *index) holds(g growth) (bool, error) {
	held := false
	err := x.db.View(func(txn *badger.Txn) error {
		h, err := x.head(txn, g.branch)
		if err != nil || h.log.End.Size <= g.first {
			return err
		}
		held = true
		return x.compare(txn, g)
	})
	return held, x.damaged(err)
}

func (x *index) compare(txn *badger.Txn, g growth) error {
	end := g.first + uint64(len(g.entries))
	err := x.walk(txn, g.branch, g.first, end, func(i uint64, entry []byte) error {
		if !bytes.Equal(entry, g.entries[i-g.first]) {
			return fmt.Errorf("entry %s is another", ledger.Position{Log: g.branch.log, Index: i})
		}
		return nil
	})
	if err != nil {
		return err
	}
	v, err := get(txn, g.branch.key(prefixCheckpoint, end))
	if err != nil {
		return fmt.Errorf("checkpoint of log %s at %d: %w", g.branch.log, end, err)
	}
	if c, _, err := decodeCheckpoint(end, v); err != nil || c != g.log.End {
		return fmt.Errorf("checkpoint of log %s at %d is another: %w", g.branch.log, end, err)
	}
	for _, h := range g.objects {
		if _, err := txn.Get(objectKey(h)); err != nil {
			return fmt.Errorf("object %s: %w", h, err)
		}
	}
	err = g.eachErased(func(k, want []byte) error {
		if v, err := get(txn, k); err != nil || !bytes.Equal(v, want) {
			return fmt.Errorf("the erasures from %d of log %s: %w", g.first, g.branch.log, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, pay := range g.payments {
		if _, err := txn.Get(g.branch.paymentKey(pay)); err != nil {
			return fmt.Errorf("the payment at %d of log %s: %w", pay.index, g.branch.log, err)
		}
	}
	return nil
}

// beyond reports whether the index holds anything of the log at or after size.
func (x *index) beyond(log ledger.LogID, size uint64) (bool, error) {
	found := false
	b := &branch{log: log}
	err := x.db.View(func(txn *badger.Txn) error {
		for _, from := range [][]byte{b.key(prefixPiece, size), b.key(prefixCheckpoint, size+1), b.key(prefixBundle, size/bundleEntries)} {
			if err := scan(txn, from[:branchKeyBytes], from, func(*badger.Item) (bool, error) {
				found = true
				return false, nil
			}); err != nil {
				return err
			}
		}
		v, err := get(txn, b.prefix(prefixHead))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		found = found || len(v) < headFixedBytes || binary.BigEndian.Uint64(v[ed25519.PublicKeySize:]) > size
		return nil
	})
	return found, x.damaged(err)
}
