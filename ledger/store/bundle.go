package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/mod/sumdb/tlog"

	"rasid/ledger"
)

// An entry bundle is one value: the 256 lengths as unsigned varints, then the
// entries, compressed as one zstd frame. 256 entries that take more than these
// stay in pieces; a kiosk's take a fortieth.
const (
	bundleMaxRawBytes = 512 << 10
	bundleMaxBytes    = valueMaxBytes - 64
)

// packer compresses bundles and reads them. Its methods may be called concurrently.
type packer struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newPacker() (packer, error) {
	// The frame's own checksum is left out: the tree's root says more.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false),
		zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(bundleMaxRawBytes))
	if err != nil {
		return packer{}, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(bundleMaxRawBytes+3*bundleEntries))
	return packer{enc, dec}, err
}

// pack returns the bundle of 256 entries, or false where they stay in pieces.
func (p packer) pack(rows [][]byte) ([]byte, bool) {
	size := 0
	for _, r := range rows {
		size += len(r)
	}
	if size > bundleMaxRawBytes {
		return nil, false
	}
	raw := make([]byte, 0, size+3*bundleEntries)
	for _, r := range rows {
		raw = binary.AppendUvarint(raw, uint64(len(r)))
	}
	for _, r := range rows {
		raw = append(raw, r...)
	}
	b := p.enc.EncodeAll(raw, make([]byte, 0, size/2+64))
	return b, len(b) <= bundleMaxBytes
}

// unpack reads what pack wrote; the entries must have the given root.
func (p packer) unpack(b []byte, root ledger.Hash) ([][]byte, error) {
	raw, err := p.dec.DecodeAll(b, nil)
	if err != nil {
		return nil, err
	}
	rows := make([][]byte, bundleEntries)
	var lengths [bundleEntries]uint64
	for i := range lengths {
		n, width := binary.Uvarint(raw)
		if width <= 0 || n > ledger.EntryMaxBytes {
			return nil, fmt.Errorf("the length of row %d", i)
		}
		lengths[i], raw = n, raw[width:]
	}
	for i, n := range lengths {
		if n > uint64(len(raw)) {
			return nil, fmt.Errorf("row %d is cut short", i)
		}
		rows[i], raw = raw[:n:n], raw[n:]
	}
	if len(raw) > 0 {
		return nil, fmt.Errorf("%d bytes after the last row", len(raw))
	}
	if rootOf(leavesOf(rows)) != root {
		return nil, errors.New("its entries do not have the tile's hash")
	}
	return rows, nil
}

func leavesOf(rows [][]byte) []ledger.Hash {
	out := make([]ledger.Hash, len(rows))
	for i, r := range rows {
		out[i] = ledger.LeafHash(r)
	}
	return out
}

// rootOf returns the root of a complete subtree over hashes, which it spoils.
func rootOf[H ~[ledger.HashBytes]byte](hashes []H) ledger.Hash {
	for n := len(hashes); n > 1; n /= 2 {
		for i := range n / 2 {
			hashes[i] = H(tlog.NodeHash(tlog.Hash(hashes[2*i]), tlog.Hash(hashes[2*i+1])))
		}
	}
	return ledger.Hash(hashes[0])
}

// Entries that no bundle holds lie in pieces, as they came: each entry after its
// length, as an unsigned varint. A piece lies within one bundle's width.

// pieceMaxBytes keeps a piece, with one entry more than fits, within one value.
const pieceMaxBytes = 64 << 10

// pieces calls f with the pieces that hold rows, which begin at index first.
func pieces(first uint64, rows [][]byte, f func(first uint64, piece []byte) error) error {
	for len(rows) > 0 {
		var b []byte
		n := 0
		for n < len(rows) && (n == 0 || len(b)+len(rows[n]) <= pieceMaxBytes) {
			b = append(binary.AppendUvarint(b, uint64(len(rows[n]))), rows[n]...)
			n++
		}
		if err := f(first, b); err != nil {
			return err
		}
		first, rows = first+uint64(n), rows[n:]
	}
	return nil
}

// takePiece takes the first entry off a piece.
func takePiece(b []byte) (entry, rest []byte, err error) {
	n, width := binary.Uvarint(b)
	if width <= 0 || n > uint64(len(b)-width) {
		return nil, nil, errors.New("a piece is cut short")
	}
	b = b[width:]
	return b[:n:n], b[n:], nil
}

// summary says of one full bundle what a reader must know to pass it by, and holds
// the hash of its tile: the level-1 hash of the tree.
type summary struct {
	root         ledger.Hash
	fromMs, toMs uint64 // least and greatest wall time
	kinds        [32]byte
}

// kindBit is where the summary notes a kind; all from 255 on share the last bit.
func kindBit(k ledger.Kind) (at int, bit byte) {
	n := min(k, 255)
	return int(n / 8), 1 << (n % 8)
}

func (s *summary) add(e ledger.Entry) {
	s.fromMs, s.toMs = min(s.fromMs, e.Time.WallMs), max(s.toMs, e.Time.WallMs)
	at, bit := kindBit(e.Kind)
	s.kinds[at] |= bit
}

func (s *summary) has(kinds []ledger.Kind) bool {
	return slices.ContainsFunc(kinds, func(k ledger.Kind) bool {
		at, bit := kindBit(k)
		return s.kinds[at]&bit != 0
	})
}

// summarize spoils leaves.
func summarize(rows [][]byte, leaves []ledger.Hash) (summary, error) {
	s := summary{fromMs: ledger.WallMaxMs, root: rootOf(leaves)}
	for _, r := range rows {
		e, err := ledger.Envelope(r)
		if err != nil {
			return s, err
		}
		s.add(e)
	}
	return s, nil
}

const summaryBytes = ledger.HashBytes + 8 + 8 + 32

func (s *summary) encode() []byte {
	b := append(make([]byte, 0, summaryBytes), s.root[:]...)
	b = binary.BigEndian.AppendUint64(b, s.fromMs)
	b = binary.BigEndian.AppendUint64(b, s.toMs)
	return append(b, s.kinds[:]...)
}

func decodeSummary(b []byte) (summary, error) {
	var s summary
	if len(b) != summaryBytes {
		return s, fmt.Errorf("a summary of %d bytes", len(b))
	}
	copy(s.root[:], b)
	s.fromMs, s.toMs = binary.BigEndian.Uint64(b[32:]), binary.BigEndian.Uint64(b[40:])
	copy(s.kinds[:], b[48:])
	return s, nil
}
