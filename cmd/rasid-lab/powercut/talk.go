package powercut

import (
	"encoding/gob"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"rasid/ledger"
)

// orders is the first thing that the rig sends a writer.
type orders struct {
	Seed          uint64 // of what it writes
	Life          uint64 // no two writers of a volume have the same
	Pause         Pause
	Break         Break
	SegmentBytes  int64
	MemTableBytes int64
	Committers    int
	Idle          time.Duration // after which a committer seals its journal
	Large         bool          // entries of several KiB, so that Badger writes tables
	Objects       []ledger.Hash // tell of each whether it is held
	Prunes        bool          // what others wrote and an office held long enough
}

// delivery is what a neighbour sends: one of the two.
type delivery struct {
	Run    []byte
	Object []byte
}

// kind says what a report shows.
type kind uint8

// The kinds of report.
const (
	kindHeld    kind = iota + 1 // all of one log, at start
	kindObject                  // an object that is durably held
	kindReady                   // the start is over: whatever was not told is not held
	kindCommit                  // acknowledged entries of the own log
	kindTip                     // how far a log is held, as the frontier says
	kindStands                  // the writer stands still where its orders say
	kindPruning                 // a step of pruning begins
	kindPruned                  // it has ended; from where on a log is held now
	kindSaid                    // a line of the store's log
)

// report is what a writer shows to the rig, that is, to anyone.
type report struct {
	Kind   kind
	Log    ledger.LogID
	First  uint64
	Leaves []byte // hashes of the entries from First on; at start of all that are held
	From   uint64 // entries from store.AlwaysHeld up to there are dropped; 0: none
	End    ledger.Checkpoint
	Object ledger.Hash
	Text   string
	At     int64 // nanoseconds of the machine's monotonic clock, set by tell
}

// teller sends reports, one at a time.
type teller struct {
	mu  sync.Mutex
	enc *gob.Encoder
}

func newTeller(w io.Writer) *teller { return &teller{enc: gob.NewEncoder(w)} }

func (t *teller) tell(r report) error {
	r.At = now()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.enc.Encode(r)
}

func appendLeaves(b []byte, entries ...[]byte) []byte {
	for _, e := range entries {
		h := ledger.LeafHash(e)
		b = append(b, h[:]...)
	}
	return b
}

func splitLeaves(b []byte) []ledger.Hash {
	out := make([]ledger.Hash, len(b)/ledger.HashBytes)
	for i := range out {
		copy(out[i][:], b[i*ledger.HashBytes:])
	}
	return out
}

// now reads the monotonic clock, which all processes of a machine share.
func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic("broken invariant: the kernel has a monotonic clock: " + err.Error())
	}
	return t.Nano()
}
