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
	headerBytes     = 68
	recordHeadBytes = 41
	crcAt           = 37
	recordMaxBytes  = recordHeadBytes + PayloadMaxBytes
	magic           = "rasidjnl"
	version         = 1
)

// Type says what a record's payload is. Numbers are only ever appended.
type Type uint8

// The types. Batch is the only one that version 1 writes and reads.
const (
	TypeBatch    Type = 1
	typeSeal     Type = 2 // reserved
	typeCopyMark Type = 3 // reserved
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
func decodeRecord(b []byte, before ledger.Hash) (payload []byte, n int, err error) {
	n, err = intactRecord(b)
	if err != nil {
		return nil, 0, err
	}
	if t := Type(b[4]); t != TypeBatch {
		return nil, 0, fmt.Errorf("record type %d is not known to this version", t)
	}
	if ledger.Hash(b[5:crcAt]) != before {
		return nil, 0, errors.New("the chain is broken: the record does not follow the one before it")
	}
	return b[recordHeadBytes:n], n, nil
}

// torn reports whether rest, which begins with no record, can be what a crash left
// of one write: a record found further on proves that it is not.
func torn(rest []byte) error {
	if len(rest) > recordMaxBytes {
		return fmt.Errorf("%d bytes follow, more than one record can have", len(rest))
	}
	for i := 1; i+recordHeadBytes < len(rest); i++ {
		if t := Type(rest[i+4]); t < TypeBatch || t > typeCopyMark {
			continue
		}
		if _, err := intactRecord(rest[i:]); err == nil {
			return fmt.Errorf("an intact record follows %d bytes further on", i)
		}
	}
	return nil
}

// appendHeader appends a segment's header.
func appendHeader(b []byte, log ledger.LogID, number uint32, before ledger.Hash) []byte {
	start := len(b)
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint32(b, version)
	b = append(b, log[:]...)
	b = binary.BigEndian.AppendUint32(b, number)
	b = append(b, before[:]...)
	return binary.BigEndian.AppendUint32(b, checksum(b[start:], nil))
}

// checkHeader reports why b does not begin with the given header.
func checkHeader(b []byte, log ledger.LogID, number uint32, before ledger.Hash) error {
	switch {
	case len(b) < headerBytes:
		return fmt.Errorf("%d bytes, the header alone has %d", len(b), headerBytes)
	case string(b[:8]) != magic:
		return errors.New("it does not begin as a journal segment does")
	case checksum(b[:64], nil) != binary.BigEndian.Uint32(b[64:]):
		return errors.New("the header has a wrong checksum")
	case binary.BigEndian.Uint32(b[8:]) != version:
		return fmt.Errorf("version %d, this program reads version %d", binary.BigEndian.Uint32(b[8:]), version)
	case ledger.LogID(b[12:28]) != log:
		return fmt.Errorf("it belongs to log %s, not %s", ledger.LogID(b[12:28]), log)
	case binary.BigEndian.Uint32(b[28:]) != number:
		return fmt.Errorf("the header numbers it %d, its name %d", binary.BigEndian.Uint32(b[28:]), number)
	case ledger.Hash(b[32:64]) != before:
		return errors.New("the chain is broken: it does not follow the segment before it")
	}
	return nil
}

func hashOf(b []byte) ledger.Hash { return sha256.Sum256(b) }
