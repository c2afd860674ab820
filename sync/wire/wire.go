// Package wire turns the messages of sync into bytes and back: framing, numbers,
// limits and the choice of a version (PROTOCOL.md). It is strict: one message has
// one byte string, and Decode(b) ok means that Append gives b again. It does no
// I/O of its own beyond the reader that it is handed.
package wire

import (
	"errors"
	"fmt"

	"rasid/ledger"
	"rasid/ledger/cert"
)

// The versions of the protocol that this package speaks (PROTOCOL.md §3).
const (
	VersionMin = 1
	VersionMax = 2
)

// Limits of the format (PROTOCOL.md §2). A message beyond its limit is refused
// before its body is read.
const (
	MessageMaxBytes     = ledger.ObjectMaxBytes + 64
	FrontierPartMaxLogs = 4096 // in one FRONTIER
	FrontierMaxLogs     = 1 << 16
	TipsMax             = 4
	HashesMax           = 64 // in one WANT, LACK or OFFER
	ScopeMaxCells       = 256
	CreditMax           = 64 << 20
	TextMaxBytes        = 256
)

// ErrTooLarge is returned, together with ledger.ErrMalformed, for a message that
// states more bytes than its type may have.
var ErrTooLarge = errors.New("larger than its type may be")

// Type numbers a message. Numbers are appended, never given a second meaning.
type Type uint8

// The types; those after TypeBye are of version 2 (PROTOCOL.md §4).
const (
	TypeHello    Type = 1
	TypeFrontier Type = 2
	TypeHave     Type = 3
	TypeNotice   Type = 4
	TypeRun      Type = 5
	TypeWant     Type = 6
	TypeObject   Type = 7
	TypeLack     Type = 8
	TypeOffer    Type = 9
	TypeCredit   Type = 10
	TypeFault    Type = 11
	TypeBye      Type = 12
	TypePruned   Type = 13
)

// typeNames and the limits beside them are the table of PROTOCOL.md §4.
func (t Type) row() (name string, maxBytes int) {
	switch t {
	case TypeHello:
		return "HELLO", 512
	case TypeFrontier:
		return "FRONTIER", 1 << 20
	case TypeHave:
		return "HAVE", 256
	case TypeNotice:
		return "NOTICE", 128
	case TypeRun:
		return "RUN", ledger.RunMaxBytes
	case TypeWant:
		return "WANT", 4096
	case TypeObject:
		return "OBJECT", ledger.ObjectMaxBytes + 8
	case TypeLack:
		return "LACK", 4096
	case TypeOffer:
		return "OFFER", 4096
	case TypeCredit:
		return "CREDIT", 16
	case TypeFault:
		return "FAULT", 64
	case TypeBye:
		return "BYE", 512
	case TypePruned:
		return "PRUNED", 64
	}
	return "", 0
}

// String returns the type's word in capitals.
func (t Type) String() string {
	if name, _ := t.row(); name != "" {
		return name
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Message is one of the types below.
type Message interface {
	Type() Type
	// check refuses values that decode and are not what the specification says.
	check() error
}

// Hello says who speaks, before a byte of ledger. Its form, and that of Bye, is
// the same in every version (PROTOCOL.md §3).
type Hello struct {
	_     struct{} `cbor:",toarray"`
	Min   uint32   // lowest version spoken, from 1
	Max   uint32   // highest
	Chain cert.Chain
}

// LogTips says how far one log is held.
type LogTips struct {
	_    struct{} `cbor:",toarray"`
	Log  ledger.LogID
	Tips []ledger.Tip // ascending by size, then root; more than one is a fork
}

// Frontier says what the sender holds durably, in one or more parts, and grants
// the first credit (PROTOCOL.md §5).
type Frontier struct {
	_      struct{}  `cbor:",toarray"`
	Scope  []uint32  // cells kept; empty is all, the only value of version 1
	Logs   []LogTips // ascending by log, across the parts
	More   bool      // another part follows
	Credit uint32    // bytes of RUN and OBJECT that the receiver may send; zero while More
}

// Plea is what a Have asks of its receiver.
type Plea uint8

// The pleas (PROTOCOL.md §6).
const (
	PleaNone Plea = 0
	PleaSend Plea = 1 // send what follows these tips, and push what comes later
	PleaHush Plea = 2 // that came another way first: of this log send notices
)

// Have says how far the sender holds one log durably. It answers every Run, and
// may ask for what follows (PROTOCOL.md §6).
type Have struct {
	_    struct{} `cbor:",toarray"`
	Log  ledger.LogID
	Tips []ledger.Tip // empty: nothing is held
	Plea Plea
}

// Notice says that the sender holds a log up to a tip, and sends it when asked
// with Have.
type Notice struct {
	_   struct{} `cbor:",toarray"`
	Log ledger.LogID
	Tip ledger.Tip
}

// Run carries entries that end at a checkpoint. Its body is the run's own bytes
// (LEDGER.md §9).
type Run struct{ Run ledger.Run }

// Want asks for objects (PROTOCOL.md §7).
type Want struct {
	_      struct{} `cbor:",toarray"`
	Hashes []ledger.Hash
}

// Object carries an object; its name is the hash of its bytes.
type Object struct{ Bytes []byte }

// Lack answers Want for objects that the sender does not hold now.
type Lack struct {
	_      struct{} `cbor:",toarray"`
	Hashes []ledger.Hash
}

// Offer says that objects once answered with Lack are held now.
type Offer struct {
	_      struct{} `cbor:",toarray"`
	Hashes []ledger.Hash
}

// Credit lets the receiver send so many more bytes of RUN and OBJECT.
type Credit struct {
	_     struct{} `cbor:",toarray"`
	Bytes uint32
}

// FaultCode says why a log is left out for the rest of the session. Codes are
// appended; an unknown one means no more than "left out".
type FaultCode uint16

// The fault codes (PROTOCOL.md §8).
const (
	FaultFork      FaultCode = 1 // what was offered contradicts what is held
	FaultRefused   FaultCode = 2 // entry 0 does not prove the log's right to exist
	FaultMalformed FaultCode = 3 // a run did not verify
	FaultUnserved  FaultCode = 4 // the sender cannot serve it from there (pruned, or unreadable)
	FaultRepeated  FaultCode = 5 // asked for the same entries again and again
)

// String returns the code's word.
func (c FaultCode) String() string {
	switch c {
	case FaultFork:
		return "fork"
	case FaultRefused:
		return "refused"
	case FaultMalformed:
		return "malformed"
	case FaultUnserved:
		return "unserved"
	case FaultRepeated:
		return "repeated"
	}
	return fmt.Sprintf("fault %d", uint16(c))
}

// Fault names a log that the sender leaves out for the rest of the session.
type Fault struct {
	_    struct{} `cbor:",toarray"`
	Log  ledger.LogID
	Code FaultCode
}

// ByeCode says why a connection ends. Codes are appended; an unknown one ends the
// connection like any other.
type ByeCode uint16

// The bye codes (PROTOCOL.md §8).
const (
	ByeDone      ByeCode = 1 // the node stops
	ByeStranger  ByeCode = 2 // the certificate chain does not admit the other end
	ByeVersion   ByeCode = 3 // no common version
	ByeMalformed ByeCode = 4
	ByeLimit     ByeCode = 5 // more than was granted or may be
	ByeDuplicate ByeCode = 6 // the two machines keep another connection
	ByeBusy      ByeCode = 7 // too many peers
	ByeStorage   ByeCode = 8 // the sender cannot store or read at present
)

// String returns the code's word.
func (c ByeCode) String() string {
	words := [...]string{1: "done", 2: "stranger", 3: "version", 4: "malformed", 5: "limit", 6: "duplicate", 7: "busy", 8: "storage"}
	if c == 0 || int(c) >= len(words) {
		return fmt.Sprintf("bye %d", uint16(c))
	}
	return words[c]
}

// Bye ends the connection. Text is for a person's log and carries no meaning.
type Bye struct {
	_    struct{} `cbor:",toarray"`
	Code ByeCode
	Text string
}

// Pruned says that the sender has dropped what the receiver lacks of a log, and from
// which entry on it can serve it (PROTOCOL.md §6).
type Pruned struct {
	_    struct{} `cbor:",toarray"`
	Log  ledger.LogID
	From uint64 // at least 1
}

// Type returns the number of each message.
func (*Hello) Type() Type    { return TypeHello }
func (*Frontier) Type() Type { return TypeFrontier }
func (*Have) Type() Type     { return TypeHave }
func (*Notice) Type() Type   { return TypeNotice }
func (*Run) Type() Type      { return TypeRun }
func (*Want) Type() Type     { return TypeWant }
func (*Object) Type() Type   { return TypeObject }
func (*Lack) Type() Type     { return TypeLack }
func (*Offer) Type() Type    { return TypeOffer }
func (*Credit) Type() Type   { return TypeCredit }
func (*Fault) Type() Type    { return TypeFault }
func (*Bye) Type() Type      { return TypeBye }
func (*Pruned) Type() Type   { return TypePruned }

// Choose returns the version that both ends speak: the highest of the common ones
// (PROTOCOL.md §3), or false.
func Choose(h *Hello) (uint32, bool) {
	v := min(h.Max, VersionMax)
	return v, v >= max(h.Min, VersionMin)
}
