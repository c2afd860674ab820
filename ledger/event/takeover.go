package event

import "rasid/ledger"

// NoteTakenOver takes a note of a log that its machine gave up into the log that goes on:
// its index names the note here, as that of NoteEscrowed does, and what this log says of
// it from here on is said of that very note, which is never two. Value, channel, serial
// number and counters are the older entry's.
type NoteTakenOver struct {
	Sale     uint64       `cbor:"0,keyasint"` // of this log
	Note     Ref          `cbor:"1,keyasint"` // NoteEscrowed or NoteTakenOver of an earlier log of the machine
	Value    ledger.Paise `cbor:"2,keyasint"`
	Channel  uint8        `cbor:"3,keyasint"`
	Serial   uint32       `cbor:"4,keyasint"`
	Counters Counters     `cbor:"5,keyasint"`
	// Stacked says that the earlier log has it in the box; else its place was open there.
	Stacked bool `cbor:"6,keyasint,omitempty"`
}

// Kind returns KindNoteTakenOver.
func (*NoteTakenOver) Kind() ledger.Kind { return KindNoteTakenOver }
func (b *NoteTakenOver) check() error    { return checkValue(b.Value) }

// PaperTakenOver takes a paper that an earlier log of the machine owes into the log that
// goes on: its index is the subject of the intents to print it here. It posts nothing.
type PaperTakenOver struct {
	Subject Ref    `cbor:"0,keyasint"` // PaymentCommitted, SlipIssued or NoteUnresolved of an earlier log
	Copy    uint32 `cbor:"1,keyasint"` // newest one intended there, 0 for none
}

// Kind returns KindPaperTakenOver.
func (*PaperTakenOver) Kind() ledger.Kind { return KindPaperTakenOver }
func (b *PaperTakenOver) check() error {
	if b.Copy == 0 {
		return nil
	}
	return checkCopy(b.Copy)
}
