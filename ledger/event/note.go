package event

import "rasid/ledger"

// Counters are the acceptor's own: stacked, stored and rejected notes, wrapping at 2^32.
type Counters struct {
	_        struct{} `cbor:",toarray"`
	Stacked  uint32
	Stored   uint32
	Rejected uint32
}

// Evidence says what proves where a note is.
type Evidence uint8

// The kinds of evidence.
const (
	EvidenceEvent    Evidence = 1 // the device reported it
	EvidencePowerUp  Evidence = 2 // the device reported it at its power-up
	EvidenceCounters Evidence = 3 // the device's counters moved by exactly one
)

func checkEvidence(e Evidence) error {
	if e < EvidenceEvent || e > EvidenceCounters {
		return bad("evidence %d", e)
	}
	return nil
}

const rawMaxBytes = 64

func checkValue(p ledger.Paise) error {
	if p <= 0 || p > 10_000_00 {
		return bad("note of %d paise", p)
	}
	return nil
}

// NoteEscrowed says that a note is held in escrow, with the counters as read while
// it is held; its index names the note.
type NoteEscrowed struct {
	Sale     uint64       `cbor:"0,keyasint"`
	Value    ledger.Paise `cbor:"1,keyasint"`
	Channel  uint8        `cbor:"2,keyasint"`
	Serial   uint32       `cbor:"3,keyasint"` // of the acceptor
	Counters Counters     `cbor:"4,keyasint"`
}

// Kind returns KindNoteEscrowed.
func (*NoteEscrowed) Kind() ledger.Kind { return KindNoteEscrowed }
func (b *NoteEscrowed) check() error    { return checkValue(b.Value) }

// StackIntent says that the acceptor is about to be told to keep the note. It is
// durable before the byte that lets the note pass.
type StackIntent struct {
	Note uint64 `cbor:"0,keyasint"` // index of NoteEscrowed or NoteTakenOver
}

// Kind returns KindStackIntent.
func (*StackIntent) Kind() ledger.Kind { return KindStackIntent }
func (*StackIntent) check() error      { return nil }

// NoteStacked says that the note is in the box: money received.
type NoteStacked struct {
	Note     uint64   `cbor:"0,keyasint"`
	Evidence Evidence `cbor:"1,keyasint"`
	Raw      []byte   `cbor:"2,keyasint,omitempty"` // the device's event as received
}

// Kind returns KindNoteStacked.
func (*NoteStacked) Kind() ledger.Kind { return KindNoteStacked }
func (b *NoteStacked) check() error {
	if len(b.Raw) > rawMaxBytes {
		return bad("raw event of %d bytes", len(b.Raw))
	}
	return checkEvidence(b.Evidence)
}

// NoteReturned says that the note went back to the citizen.
type NoteReturned struct {
	Note       uint64   `cbor:"0,keyasint"`
	Evidence   Evidence `cbor:"1,keyasint"`
	RejectCode uint8    `cbor:"2,keyasint"` // 0xFF where not known
}

// Kind returns KindNoteReturned.
func (*NoteReturned) Kind() ledger.Kind { return KindNoteReturned }
func (b *NoteReturned) check() error    { return checkEvidence(b.Evidence) }

// DoubtReason says why a note's place is not known.
type DoubtReason uint8

// The reasons for doubt.
const (
	DoubtNoEvidence    DoubtReason = 1 // the device has no evidence either way
	DoubtOtherDevice   DoubtReason = 2 // another acceptor answers now
	DoubtContradiction DoubtReason = 3 // the device's reports contradict its counters
)

// NoteUnresolved says that nobody knows where the note is: an open question with a
// name, settled when the box is counted. It posts nothing.
type NoteUnresolved struct {
	Note     uint64      `cbor:"0,keyasint"`
	Reason   DoubtReason `cbor:"1,keyasint"`
	Counters Counters    `cbor:"2,keyasint"`
}

// Kind returns KindNoteUnresolved.
func (*NoteUnresolved) Kind() ledger.Kind { return KindNoteUnresolved }
func (b *NoteUnresolved) check() error {
	if b.Reason < DoubtNoEvidence || b.Reason > DoubtContradiction {
		return bad("doubt reason %d", b.Reason)
	}
	return nil
}

// AcceptorSeen says that the log meets an acceptor, with its counters as they are:
// what they count from here on is this log's to account for. It is durable before the
// acceptor may take a note, and posts nothing.
type AcceptorSeen struct {
	Serial   uint32   `cbor:"0,keyasint"`
	Counters Counters `cbor:"1,keyasint"`
}

// Kind returns KindAcceptorSeen.
func (*AcceptorSeen) Kind() ledger.Kind { return KindAcceptorSeen }
func (*AcceptorSeen) check() error      { return nil }

// NoteOrphaned says that the acceptor took a note that no open intent accounts
// for: money in the box that is nobody's yet. Value 0 means not known.
type NoteOrphaned struct {
	Value    ledger.Paise `cbor:"0,keyasint"`
	Serial   uint32       `cbor:"1,keyasint"`
	Counters Counters     `cbor:"2,keyasint"`
	Raw      []byte       `cbor:"3,keyasint,omitempty"`
}

// Kind returns KindNoteOrphaned.
func (*NoteOrphaned) Kind() ledger.Kind { return KindNoteOrphaned }
func (b *NoteOrphaned) check() error {
	if b.Value < 0 || b.Value > 10_000_00 || len(b.Raw) > rawMaxBytes {
		return bad("orphaned note of %d paise, raw event of %d bytes", b.Value, len(b.Raw))
	}
	return nil
}

// Device numbers a kind of device.
type Device uint8

// The devices.
const (
	DeviceAcceptor Device = 1
	DevicePrinter  Device = 2
)

// DeviceFault says that a device stopped working for a reason, or works again.
// Fault numbers are those of package hardware, the device's own; any may come (LEDGER.md §6.2).
type DeviceFault struct {
	Device  Device `cbor:"0,keyasint"`
	Fault   uint8  `cbor:"1,keyasint"`
	Cleared bool   `cbor:"2,keyasint"`
}

// Kind returns KindDeviceFault.
func (*DeviceFault) Kind() ledger.Kind { return KindDeviceFault }
func (b *DeviceFault) check() error {
	if b.Device != DeviceAcceptor && b.Device != DevicePrinter || b.Fault == 0 {
		return bad("fault %d of device %d", b.Fault, b.Device)
	}
	return nil
}
