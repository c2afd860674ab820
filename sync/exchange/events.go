package exchange

import (
	"crypto/ed25519"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/sync/wire"
)

// Event is something that happened: one of the types below.
type Event interface{ event() }

// The events. Connected, Received and Closed come in the connection's order.
type (
	// Connected reports a new connection whose other end proved that it has Key,
	// nil when that is no Ed25519 key.
	Connected struct {
		Conn   Conn
		Key    ed25519.PublicKey
		Dialed bool // by us
	}
	// Received reports a message. Bytes is its frame's length. Err, instead of a
	// Message, reports bytes that are no message.
	Received struct {
		Conn    Conn
		Message wire.Message
		Bytes   int
		Err     error
	}
	// Closed reports that a connection is gone.
	Closed struct{ Conn Conn }
	// Grown reports that a log is now held durably up to a tip, by a commit of our
	// own or from elsewhere than Ingest.
	Grown struct {
		Log ledger.LogID
		Tip ledger.Tip
	}
	// Ingested answers Ingest: the run is durable, was held already, or Err says
	// why it is not (ledger.ErrGap, ErrFork, ErrMalformed, cert.ErrRefused; any
	// other is the store's own trouble).
	Ingested struct {
		Conn Conn
		Log  ledger.LogID
		Tip  ledger.Tip // the run's end
		Err  error
		// As Ingest said.
		Bytes     int
		Duplicate bool
	}
	// RunRead answers ReadRun.
	RunRead struct {
		Conn Conn
		Log  ledger.LogID
		Run  ledger.Run
		Err  error
	}
	// ObjectRead answers ReadObject; Bytes nil means not held.
	ObjectRead struct {
		Conn  Conn
		Hash  ledger.Hash
		Bytes []byte
	}
	// Written reports that a Send with Bulk has left for the network.
	Written struct{ Conn Conn }
	// Missing states all objects that entries held name and that are not held.
	Missing struct{ Hashes []ledger.Hash }
	// ObjectHeld reports that an object is held durably now.
	ObjectHeld struct{ Hash ledger.Hash }
	// PutFailed answers PutObject when the object could not be kept.
	PutFailed struct {
		Conn Conn
		Hash ledger.Hash
	}
	// ObjectUnwanted answers PutObject when the object is wanted no more: an entry that
	// came meanwhile erases it.
	ObjectUnwanted struct{ Hash ledger.Hash }
	// Tick reports the time, monotonic enough for ages. Trusted says whether a
	// certificate's last day may be judged by it: a node that does not know the
	// time admits everybody whose chain verifies.
	Tick struct {
		Now     time.Time
		Trusted bool
	}
)

func (Connected) event()      {}
func (Received) event()       {}
func (Closed) event()         {}
func (Grown) event()          {}
func (Ingested) event()       {}
func (RunRead) event()        {}
func (ObjectRead) event()     {}
func (Written) event()        {}
func (Missing) event()        {}
func (ObjectHeld) event()     {}
func (PutFailed) event()      {}
func (ObjectUnwanted) event() {}
func (Tick) event()           {}

// Action is something to do: one of the types below.
type Action interface{ action() }

// The actions.
type (
	// Send writes a message after those before it. After a Bulk one the owner
	// reports Written.
	// The frame of a Bulk one is encoded already.
	Send struct {
		Conn    Conn
		Message wire.Message
		Bulk    bool
		Frame   []byte
	}
	// ReadRun reads entries of a log from an index on, of about MaxBytes, that end
	// at a kept checkpoint, and reports RunRead.
	ReadRun struct {
		Conn     Conn
		Log      ledger.LogID
		From     uint64
		MaxBytes int
	}
	// Ingest verifies and stores a run durably and reports Ingested. Runs of one
	// connection are taken in order; several may share one transaction.
	Ingest struct {
		Conn      Conn
		Run       ledger.Run
		Bytes     int
		Duplicate bool // it is here already or under way from elsewhere
	}
	// ReadObject reads an object and reports ObjectRead.
	ReadObject struct {
		Conn Conn
		Hash ledger.Hash
	}
	// PutObject stores an object durably and reports ObjectHeld, ObjectUnwanted or
	// PutFailed.
	PutObject struct {
		Conn  Conn
		Hash  ledger.Hash
		Bytes []byte
	}
	// Close ends a connection once what was sent before has left; the owner then
	// reports Closed. Code is what was said, or, when Theirs, heard.
	Close struct {
		Conn   Conn
		Code   wire.ByeCode
		Theirs bool
		Reason string
	}
	// Admit reports that a connection's machine is known and admitted.
	Admit struct {
		Conn    Conn
		Chain   cert.Chain
		Expired bool // hands over, gets nothing
	}
	// Holds reports that a peer holds a log of ours durably up to a size.
	Holds struct {
		Conn Conn
		Log  ledger.LogID
		Size uint64
	}
	// Gap reports that a peer has dropped what we lack of a log: it can serve it from
	// From on.
	Gap struct {
		Conn Conn
		Log  ledger.LogID
		From uint64
	}
	// Report is for counters, logs and screens: a log left out for the session.
	Report struct {
		Conn   Conn
		Log    ledger.LogID
		Code   wire.FaultCode
		Theirs bool // the peer said so
		// OwnAhead: the peer holds more of a log that we write than we do. This
		// node was rolled back or cloned.
		OwnAhead bool
	}
)

func (Send) action()       {}
func (ReadRun) action()    {}
func (Ingest) action()     {}
func (ReadObject) action() {}
func (PutObject) action()  {}
func (Close) action()      {}
func (Admit) action()      {}
func (Report) action()     {}
func (Holds) action()      {}
func (Gap) action()        {}
