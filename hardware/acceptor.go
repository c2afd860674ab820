// Package hardware names what payment devices do, in the field's own terms
// (XFS4IoT's vocabulary, facts of the wire protocols behind it). It holds the
// ports that drivers implement and the events they report. It knows no ledger,
// no sale and no screen: a driver reports, its caller decides.
package hardware

// NoteType is one kind of banknote that an acceptor's data set knows. The
// channel numbering belongs to the data set and is read at every start, never
// configured.
type NoteType struct {
	Channel    uint8
	ValuePaise int64
	Currency   string // ISO 4217, "INR"
}

// AcceptorIdentity tells which device answers. A changed serial number means
// another device: counters are never compared across devices.
type AcceptorIdentity struct {
	Serial   uint32
	Firmware string
	Protocol uint8
	Notes    []NoteType
}

// NoteCounters are the device's own, persistent over its power cycles, wrapping
// at 2^32, not per denomination. Compare them modulo 2^32.
type NoteCounters struct {
	Stacked  uint32
	Stored   uint32
	Rejected uint32
}

// AcceptorEvent is what an acceptor reports. Exactly the types below implement it.
type AcceptorEvent interface{ acceptorEvent() }

// AcceptorReady ends every start sequence: after the line opened, after the
// device was reset, after it came back. Acceptance is off, no note is in
// escrow, nothing moves. Reports holds what the device said about notes during
// the sequence, oldest first (NoteCredited and NoteReturned); together with the
// counters it is the evidence that resolves a note with an open intent.
type AcceptorReady struct {
	Identity AcceptorIdentity
	Counters NoteCounters
	Reports  []AcceptorEvent
}

// NoteEscrowed reports a note held in escrow. The counters were read while it is
// held. The driver goes on holding it until Stack or Return is called.
type NoteEscrowed struct {
	Channel    uint8
	ValuePaise int64
	Counters   NoteCounters
}

// NoteCredited is the device's word that a note is past the point of no return:
// it is, or will be, in the cash box. ValuePaise is 0 where the device does not
// know the note's value (SSP E2 with channel 0). Raw is the event as received.
type NoteCredited struct {
	Channel    uint8
	ValuePaise int64
	PowerUp    bool
	Raw        []byte
}

// NoteStacked reports that the movement of a credited note has ended.
type NoteStacked struct{}

// NoteReturned reports that a note left through the front: rejected by the
// device, by Return, or at power-up. RejectCode is the device's reason (SSP LAST
// REJECT CODE), 0xFF where it was not asked or not known. FromEscrow is true when
// the note had been reported as escrowed by this driver run.
type NoteReturned struct {
	RejectCode uint8
	FromEscrow bool
	Raw        []byte
}

// AcceptorDisabled confirms a Disable: acceptance is off, no note is in escrow
// and none moves. Only after it is the sum of a sale final.
type AcceptorDisabled struct{}

// AcceptorFault reports a condition that stops acceptance, or its end.
type AcceptorFault struct {
	Fault   Fault
	Cleared bool
}

// AcceptorOffline reports that the device cannot be reached; Err says why. The
// driver goes on trying and reports AcceptorReady when it succeeds.
type AcceptorOffline struct{ Err error }

func (AcceptorReady) acceptorEvent()    {}
func (NoteEscrowed) acceptorEvent()     {}
func (NoteCredited) acceptorEvent()     {}
func (NoteStacked) acceptorEvent()      {}
func (NoteReturned) acceptorEvent()     {}
func (AcceptorDisabled) acceptorEvent() {}
func (AcceptorFault) acceptorEvent()    {}
func (AcceptorOffline) acceptorEvent()  {}

// Fault names a device condition. The numbers appear in the log; they are only
// ever appended.
type Fault uint8

// The faults of an acceptor.
const (
	FaultNone           Fault = 0
	FaultJamSafe        Fault = 1 // the customer cannot reach the note
	FaultJamUnsafe      Fault = 2 // the customer may still pull the note out
	FaultStackerFull    Fault = 3
	FaultCashBoxRemoved Fault = 4
	FaultFraud          Fault = 5
	FaultPathOpen       Fault = 6
	FaultDevice         Fault = 7 // any other failure the device reports
)

// String returns the fault's keyword.
func (f Fault) String() string {
	names := [...]string{"none", "jam-safe", "jam-unsafe", "stacker-full", "cash-box-removed", "fraud", "note-path-open", "device-failure"}
	if int(f) < len(names) {
		return names[f]
	}
	return "unknown-fault"
}
