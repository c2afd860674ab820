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
	// Grown reports how far a log is held durably now, by a commit of our own or from
	// elsewhere than Ingest: the tip of each branch, which keeps its place.
	Grown struct {
		Log  ledger.LogID
		Tips []ledger.Tip
	}
	// Ingested answers Ingest: the run is durable, on whichever branch, or Err says
	// why it is not (ledger.ErrGap, ErrFork, ErrMalformed, cert.ErrRefused; any other is
	// the store's own trouble). A run of an own log is never taken: Err is nil for what
	// this node wrote itself, ErrFork for what it did not.
	Ingested struct {
		Conn Conn
		Log  ledger.LogID
		End  ledger.Tip // the run's
		Verdict
		Bytes int // as Ingest said
	}
	// RunRead answers ReadRun, see Serve.
	RunRead struct {
		Conn Conn
		Log  ledger.LogID
		Run  ledger.Run // of no entries where the peer can be sent nothing
		// Of what the peer stated: what lies on a branch here, what does so and says
		// nothing beside another, and what lies on none although it is no longer than the
		// longest.
		Known, Below, Unknown []ledger.Tip
		Blind                 []ledger.Tip // of it what cannot be told: what would tell was dropped
		Points                []ledger.Tip // on the branches here, where something is unknown
		Tips                  []ledger.Tip // as in Grown
		Err                   error        // a *PrunedError where it was dropped here
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

// Verdict is what became of a run.
type Verdict struct {
	New  bool         // some of its entries were not held before
	Tips []ledger.Tip // of its log, as in Grown
	Err  error
}

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
	// ReadRun looks where points lie that a peer stated, reads entries of one of the
	// branches that it lacks, of about MaxBytes, that end at a kept checkpoint and begin
	// where the peer can take them, and reports RunRead.
	ReadRun struct {
		Conn     Conn
		Log      ledger.LogID
		Tips     []ledger.Tip // of branches here that the peer lacks; none: only look
		Held     []ledger.Tip // points that the peer stated
		Sent     []ledger.Tip // ends of runs that are under way to it
		Whole    bool         // from entry 0 where none of these lies on a branch here
		MaxBytes int
	}
	// Ingest verifies and stores a run durably and reports Ingested. Runs of one
	// connection are taken in order; several may share one transaction.
	Ingest struct {
		Conn  Conn
		Run   ledger.Run
		Bytes int
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
	// Report is for counters, logs and screens: a log left out for the session, or
	// OwnAhead.
	Report struct {
		Conn   Conn
		Log    ledger.LogID
		Code   wire.FaultCode
		Theirs bool // the peer said so
		// OwnAhead: the peer holds more of a log that we write than we do, or otherwise.
		// This node was rolled back or cloned.
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
