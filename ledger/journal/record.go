package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"rasid/ledger"
)

// Sizes of the format (LEDGER.md §12).
const (
	PayloadMaxBytes = 1 << 20
	SegmentMaxBytes = 16 << 20
	headerBytes     = 76
	headerCRCAt     = 72
	recordHeadBytes = 41
	crcAt           = 37
	recordMaxBytes  = recordHeadBytes + PayloadMaxBytes
	sealBytes       = 8
	magic           = "rasidjnl"
	version         = 1
)

// Type says what a record's payload is. Numbers are only ever appended.
type Type uint8

// The types.
const (
	TypeBatch Type = 1
	TypeSeal  Type = 2
)

// errNoRecord is returned when bytes are no record: too short, a length out of
// range or a wrong checksum. Only this may be a torn write.
var errNoRecord = errors.New("no record")

// checksum is the CRC of a record's head before its CRC field, and its payload.
func checksum(head, payload []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(head, table), table, payload)
}

// appendRecord appends the record of payload that follows what has the hash before.
func appendRecord(b []byte, t Type, before ledger.Hash, payload []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	b = append(b, byte(t))
	b = append(b, before[:]...)
	b = binary.BigEndian.AppendUint32(b, checksum(b[start:], payload))
	return append(b, payload...)
}

// intactRecord returns the length of the record that b begins with, whatever its
// type and chain, or errNoRecord with the reason.
func intactRecord(b []byte) (int, error) {
	if len(b) < recordHeadBytes {
		return 0, fmt.Errorf("%w: %d bytes are left, a record has at least %d", errNoRecord, len(b), recordHeadBytes+1)
	}
	n := binary.BigEndian.Uint32(b)
	if n == 0 || n > PayloadMaxBytes {
		return 0, fmt.Errorf("%w: length %d, want 1 to %d", errNoRecord, n, PayloadMaxBytes)
	}
	end := recordHeadBytes + int(n)
	if end > len(b) {
		return 0, fmt.Errorf("%w: length %d, but only %d bytes are left", errNoRecord, n, len(b)-recordHeadBytes)
	}
	if checksum(b[:crcAt], b[recordHeadBytes:end]) != binary.BigEndian.Uint32(b[crcAt:]) {
		return 0, fmt.Errorf("%w: wrong checksum", errNoRecord)
	}
	return end, nil
}

// decodeRecord reads the record that b begins with and that must follow what has
// the hash before. The payload aliases b.
func decodeRecord(b []byte, before ledger.Hash) (t Type, payload []byte, n int, err error) {
	n, err = intactRecord(b)
	if err != nil {
		return 0, nil, 0, err
	}
	t = Type(b[4])
	if t != TypeBatch && t != TypeSeal {
		return 0, nil, 0, fmt.Errorf("record type %d is not known to this version", t)
	}
	if ledger.Hash(b[5:crcAt]) != before {
		return 0, nil, 0, errors.New("the chain is broken: the record does not follow the one before it")
	}
	if t == TypeSeal && n != recordHeadBytes+sealBytes {
		return 0, nil, 0, fmt.Errorf("a seal of %d bytes, want %d", n-recordHeadBytes, sealBytes)
	}
	return t, b[recordHeadBytes:n], n, nil
}

// used is how many bytes stand before the zeros that b ends with.
func used(b []byte) int {
	n := len(b)
	for n > 0 && b[n-1] == 0 {
		n--
	}
	return n
}

// torn reports whether rest, which begins with no record at offset at of its file, can
// be what a crash left of one write of a record that follows what has the hash before:
// a record found further on proves that it is not, and so does any byte beyond its own
// length.
func torn(rest []byte, at int64, before ledger.Hash) error {
	end := used(rest)
	if end > recordMaxBytes {
		return fmt.Errorf("%d bytes follow, more than one record can have", end)
	}
	for i := 1; i < end && i+recordHeadBytes < len(rest); i++ {
		if t := Type(rest[i+4]); t < TypeBatch || t > TypeSeal {
			continue
		}
		if _, err := intactRecord(rest[i:]); err == nil {
			return fmt.Errorf("an intact record follows %d bytes further on", i)
		}
	}
	if n := ownLength(rest, at, before); n > 0 && end > n {
		return fmt.Errorf("%d bytes follow, the record itself has %d", end, n)
	}
	return nil
}

const (
	// believedBytes is how many bytes of a record's hash of what stands before must be
	// right for its length to be believed: of other bytes so many never are.
	believedBytes = 24
	// blockBytes is what a disk at least writes whole or not at all.
	blockBytes = 512
)

// ownLength is how many bytes a damaged or torn record had when it was written, as far
// as its head can be believed; else 0. A length that lies in two of the disk's blocks
// may be half written.
func ownLength(b []byte, at int64, before ledger.Hash) int {
	if len(b) < recordHeadBytes || at%blockBytes > blockBytes-4 {
		return 0
	}
	same := 0
	for i, c := range before {
		if b[5+i] == c {
			same++
		}
	}
	n := binary.BigEndian.Uint32(b)
	if same < believedBytes || n == 0 || n > PayloadMaxBytes {
		return 0
	}
	return recordHeadBytes + int(n)
}

// header is what a segment begins with.
type header struct {
	log     ledger.LogID
	number  uint32
	length  int64 // of the file as it was made
	opening int64 // what was synced before the file had its name
	before  ledger.Hash
}

func appendHeader(b []byte, h header) []byte {
	start := len(b)
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint32(b, version)
	b = append(b, h.log[:]...)
	b = binary.BigEndian.AppendUint32(b, h.number)
	b = binary.BigEndian.AppendUint32(b, uint32(h.length))
	b = binary.BigEndian.AppendUint32(b, uint32(h.opening))
	b = append(b, h.before[:]...)
	return binary.BigEndian.AppendUint32(b, checksum(b[start:], nil))
}

// decodeHeader reads the header of the given log's segment with the given number.
func decodeHeader(b []byte, log ledger.LogID, number uint32) (header, error) {
	var h header
	switch {
	case len(b) < headerBytes:
		return h, fmt.Errorf("%d bytes, the header alone has %d", len(b), headerBytes)
	case string(b[:8]) != magic:
		return h, errors.New("it does not begin as a journal segment does")
	case checksum(b[:headerCRCAt], nil) != binary.BigEndian.Uint32(b[headerCRCAt:]):
		return h, errors.New("the header has a wrong checksum")
	case binary.BigEndian.Uint32(b[8:]) != version:
		return h, fmt.Errorf("version %d, this program reads version %d", binary.BigEndian.Uint32(b[8:]), version)
	}
	h.log, h.number = ledger.LogID(b[12:28]), binary.BigEndian.Uint32(b[28:])
	h.length, h.opening = int64(binary.BigEndian.Uint32(b[32:])), int64(binary.BigEndian.Uint32(b[36:]))
	h.before = ledger.Hash(b[40:headerCRCAt])
	switch {
	case h.log != log:
		return h, fmt.Errorf("it belongs to log %s, not %s", h.log, log)
	case h.number != number:
		return h, fmt.Errorf("the header numbers it %d, its name %d", h.number, number)
	case h.opening < headerBytes || h.opening > h.length || h.length > SegmentMaxBytes:
		return h, fmt.Errorf("an opening of %d bytes in a file of %d, want %d to the file's, and that at most %d", h.opening, h.length, headerBytes, SegmentMaxBytes)
	case number == 1 && h.before != ledger.Hash{}:
		return h, errors.New("the chain is broken: the first segment goes on from something")
	}
	return h, nil
}

func hashOf(b []byte) ledger.Hash { return sha256.Sum256(b) }
