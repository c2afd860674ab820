package ledger

import "encoding/binary"

// This file writes what parse.go reads, byte for byte as the door to CBOR does. It
// writes any value: whether the value may be is for whoever reads it back to say.

// entryHeadMaxBytes is at least what stands before an entry's body.
const entryHeadMaxBytes = 5 + 4*headMaxBytes

// appendEntry writes {0: kind, 1: [wall, quality, boot], 2: body} (LEDGER.md §4.1, §5).
func appendEntry(b []byte, e Entry) []byte {
	b = append(b, 0xa3, 0x00)
	b = appendHead(b, majorUint, uint64(e.Kind))
	b = append(b, 0x01, 0x83)
	b = appendHead(b, majorUint, e.Time.WallMs)
	b = appendHead(b, majorUint, uint64(e.Time.Quality))
	b = appendHead(b, majorUint, e.Time.BootMs)
	return append(append(b, 0x02), e.Body...)
}

// appendRun writes [log, first, branch, entries, [size, root, signature]] (LEDGER.md
// §9.1).
func appendRun(r Run) []byte {
	size := 8*headMaxBytes + len(r.Log) + len(r.Branch) + len(r.End.Root) + len(r.End.Sig)
	for _, e := range r.Entries {
		size += headMaxBytes + len(e)
	}
	b := appendBytes(append(make([]byte, 0, size), 0x85), r.Log[:])
	b = appendHead(b, majorUint, r.First)
	b = appendBytes(b, r.Branch[:])
	b = appendHead(b, majorArray, uint64(len(r.Entries)))
	for _, e := range r.Entries {
		b = appendBytes(b, e)
	}
	b = appendHead(append(b, 0x83), majorUint, r.End.Size)
	return appendBytes(appendBytes(b, r.End.Root[:]), r.End.Sig[:])
}

func appendBytes(b, s []byte) []byte {
	return append(appendHead(b, majorBytes, uint64(len(s))), s...)
}

// headMaxBytes is the longest that appendHead writes.
const headMaxBytes = 9

// appendHead writes a major type and its argument in the shortest form.
func appendHead(b []byte, major byte, arg uint64) []byte {
	major <<= 5
	switch {
	case arg < smallEnd:
		return append(b, major|byte(arg))
	case arg < 1<<8:
		return append(b, major|24, byte(arg))
	case arg < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(arg))
	case arg < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(arg))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), arg)
}
