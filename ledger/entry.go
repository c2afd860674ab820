package ledger

import (
	"bytes"
	"fmt"
)

// Kind numbers what an entry says. The table of kinds in use stands in LEDGER.md
// §6 and in package event; a number is never given a second meaning.
type Kind uint16

// TimeQuality says where the wall clock's time came from (LEDGER.md §5).
type TimeQuality uint8

// The sources of time, better ones later.
const (
	TimeNone      TimeQuality = 0 // believed by nobody: prints "time uncertain"
	TimeOperator  TimeQuality = 1
	TimeNeighbour TimeQuality = 2
	TimeOffice    TimeQuality = 3
	TimeNetwork   TimeQuality = 4 // NTP or GPS
)

// Time is when an entry was written, as its writer believed.
type Time struct {
	_       struct{} `cbor:",toarray"`
	WallMs  uint64   // milliseconds since 1970-01-01 UTC, at most WallMaxMs
	Quality TimeQuality
	BootMs  uint64 // monotonic milliseconds since the writer's start
}

// Entry is one fact in a log. Its log, index and predecessor are implied by its
// position and never stored (LEDGER.md §4).
type Entry struct {
	Kind Kind    `cbor:"0,keyasint"`
	Time Time    `cbor:"1,keyasint"`
	Body RawCBOR `cbor:"2,keyasint"`
}

// EncodeEntry returns the entry's canonical bytes; they are what is hashed,
// stored and carried.
func EncodeEntry(e Entry) ([]byte, error) {
	b := appendEntry(make([]byte, 0, entryHeadMaxBytes+len(e.Body)), e)
	if _, err := ParseEntry(b); err != nil {
		return nil, fmt.Errorf("couldn't encode entry: %w", err)
	}
	return b, nil
}

// DecodeEntry reads an entry of any kind, known or not. It checks the envelope
// and that the body is a canonical map; package event reads bodies. The returned
// Body aliases nothing of b.
func DecodeEntry(b []byte) (Entry, error) {
	e, err := ParseEntry(b)
	e.Body = bytes.Clone(e.Body)
	return e, err
}
