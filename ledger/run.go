package ledger

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// BranchBytes is how much of the root at First names the branch a run continues.
const BranchBytes = 8

// Run is consecutive entries of one log that end at a checkpoint. It is what a
// commit appends to the journal and what travels between nodes (LEDGER.md §9).
// Entries keep the bytes as received.
type Run struct {
	_       struct{} `cbor:",toarray"`
	Log     LogID
	First   uint64
	Branch  [BranchBytes]byte // first bytes of the root at size First
	Entries [][]byte
	End     Checkpoint
}

// Encode returns the run's canonical bytes. It refuses a run that Decode would.
func (r Run) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	b := appendRun(r)
	if len(b) > RunMaxBytes {
		return nil, fmt.Errorf("%w run: %d bytes, the limit is %d", ErrMalformed, len(b), RunMaxBytes)
	}
	return b, nil
}

// DecodeRun reads a run and its entries' envelopes. It verifies no signature:
// only Log.Extend can, because it knows what stands before.
func DecodeRun(b []byte) (Run, error) {
	if len(b) > RunMaxBytes {
		return Run{}, fmt.Errorf("%w run: %d bytes, the limit is %d", ErrMalformed, len(b), RunMaxBytes)
	}
	// One copy for all: the entries lie in it, not in the caller's bytes.
	r, err := parseRun(bytes.Clone(b))
	if err != nil {
		return Run{}, err
	}
	return r, r.check()
}

func (r Run) check() error {
	n := uint64(len(r.Entries))
	if n == 0 || n > RunMaxEntries {
		return fmt.Errorf("%w run of log %s: %d entries, want 1 to %d", ErrMalformed, r.Log, n, RunMaxEntries)
	}
	if r.First > LogMaxEntries || r.End.Size != r.First+n {
		return fmt.Errorf("%w run of log %s: %d entries from %d do not end at %d", ErrMalformed, r.Log, n, r.First, r.End.Size)
	}
	// The branch is not signed: left open here, one changed byte of it would look
	// like a fork to who holds nothing.
	if r.First == 0 && r.Branch != branchOf(Edge{}) {
		return fmt.Errorf("%w run of log %s: it begins at 0 and names another branch than the empty log", ErrMalformed, r.Log)
	}
	for i, entry := range r.Entries {
		if _, err := ParseEntry(entry); err != nil {
			return fmt.Errorf("run of log %s, entry %d: %w", r.Log, r.First+uint64(i), err)
		}
	}
	return nil
}

// Errors of Log.Extend that callers branch on.
var (
	// ErrGap is returned when a run begins after what is held: ask for what lies between.
	ErrGap = errors.New("the run begins after the end of what is held")
	// ErrFork is returned when a correctly signed run contradicts what is held:
	// the log's writer made two histories. Keep both statements.
	ErrFork = errors.New("the log has forked")
)

// Log is how much of one log is held: its key, the edge of its tree and the
// checkpoint that vouches for it. It is a value; Extend returns the next one.
type Log struct {
	Key  ed25519.PublicKey
	Edge Edge
	End  Checkpoint // zero while nothing is held
}

// ID is the log's name.
func (l Log) ID() LogID { return LogIDOf(l.Key) }

// NewRun makes the run that appends entries to the log under key. It changes
// nothing and keeps entries.
func (l Log) NewRun(key ed25519.PrivateKey, entries [][]byte) (Run, error) {
	if !bytes.Equal(key.Public().(ed25519.PublicKey), l.Key) {
		return Run{}, fmt.Errorf("couldn't make a run of log %s: the key is another log's", l.ID())
	}
	next, err := l.Edge.Append(leavesOf(entries)...)
	if err != nil {
		return Run{}, err
	}
	r := Run{Log: l.ID(), First: l.Edge.Size(), Branch: branchOf(l.Edge), Entries: entries}
	r.End = SignCheckpoint(key, next.Size(), next.Root())
	return r, nil
}

// Extend verifies r against what is held and returns the longer log with the
// entries that are new, in order. Nothing new (a repeat) returns l itself and no
// entries. The whole run is taken or nothing of it. The entries alias those of r.
//
// It cannot judge a run that ends before what is held: whoever keeps older
// checkpoints compares the run's End with the kept one of that size (LEDGER.md §9).
func (l Log) Extend(r Run) (Log, [][]byte, error) {
	if err := l.Check(r); err != nil {
		return l, nil, err
	}
	next, fresh, _, err := l.Continue(r)
	return next, fresh, err
}

// Check verifies what can be told of r without looking at what is held: its form,
// whose log it is of, and its checkpoint's signature.
func (l Log) Check(r Run) error {
	if err := r.check(); err != nil {
		return err
	}
	if r.Log != l.ID() {
		return fmt.Errorf("%w run: it is of log %s, not %s", ErrMalformed, r.Log, l.ID())
	}
	return r.End.Verify(l.Key)
}

// Continue is Extend for a run that Check has passed. Where a log has several
// branches, each can be tried for one signature verified. It returns the leaf hashes
// of what is new, too.
func (l Log) Continue(r Run) (Log, [][]byte, []Hash, error) {
	size := l.Edge.Size()
	if r.First > size {
		return l, nil, nil, fmt.Errorf("log %s: held to %d, the run begins at %d: %w", r.Log, size, r.First, ErrGap)
	}
	if r.First == size && r.Branch != branchOf(l.Edge) {
		return l, nil, nil, fmt.Errorf("log %s at %d: %w", r.Log, size, l.disagreement(r))
	}
	if r.End.Size <= size {
		if r.End.Size == size && r.End.Root != l.End.Root {
			return l, nil, nil, fmt.Errorf("log %s at %d: %w", r.Log, size, ErrFork)
		}
		return l, nil, nil, nil
	}
	fresh := r.Entries[size-r.First:]
	leaves := leavesOf(fresh)
	edge, err := l.Edge.Append(leaves...)
	if err != nil {
		return l, nil, nil, err
	}
	if edge.Root() != r.End.Root {
		return l, nil, nil, fmt.Errorf("log %s from %d to %d: %w", r.Log, size, r.End.Size, l.disagreement(r))
	}
	return Log{Key: l.Key, Edge: edge, End: r.End}, fresh, leaves, nil
}

// disagreement tells a fork from entries that were altered on the way: the
// checkpoint verifies, so if the run's own entries do lead from an empty tree to
// it the writer forked; otherwise nobody knows, and the run is refused as bad.
func (l Log) disagreement(r Run) error {
	if r.First == 0 {
		if whole, err := (Edge{}).Append(leavesOf(r.Entries)...); err == nil && whole.Root() == r.End.Root {
			return ErrFork
		}
	}
	return fmt.Errorf("%w run: its entries do not lead to its checkpoint from what is held (altered on the way, or a fork: ask for the log from entry 0)", ErrMalformed)
}

func leavesOf(entries [][]byte) []Hash {
	leaves := make([]Hash, len(entries))
	for i, e := range entries {
		leaves[i] = LeafHash(e)
	}
	return leaves
}

func branchOf(e Edge) [BranchBytes]byte {
	root := e.Root()
	return [BranchBytes]byte(root[:BranchBytes])
}

// Tip is the end of what is held of a log.
type Tip struct {
	_    struct{} `cbor:",toarray"`
	Size uint64
	Root Hash
}

// Frontier says how far each log is held: log to its tips. More than one tip
// means a fork.
type Frontier map[LogID][]Tip

// Tip returns the log's longest tip and whether any is held.
func (f Frontier) Tip(log LogID) (Tip, bool) {
	var best Tip
	for _, t := range f[log] {
		if t.Size > best.Size || t.Size == best.Size && bytes.Compare(t.Root[:], best.Root[:]) < 0 {
			best = t
		}
	}
	return best, best.Size > 0
}

// Digest is one hash over everything the frontier says, the logs and of each log
// its tips, in an order of their own: two nodes that hold the same entries have the
// same digest, however they came by them (LEDGER.md §9.4).
func (f Frontier) Digest() Hash {
	h := sha256.New()
	h.Write([]byte("rasid/frontier/1\n"))
	for _, log := range slices.SortedFunc(maps.Keys(f), func(a, b LogID) int { return bytes.Compare(a[:], b[:]) }) {
		tips := slices.SortedFunc(slices.Values(f[log]), func(a, b Tip) int {
			return cmp.Or(cmp.Compare(a.Size, b.Size), bytes.Compare(a.Root[:], b.Root[:]))
		})
		var n [16]byte
		binary.BigEndian.PutUint64(n[:8], uint64(len(tips)))
		h.Write(log[:])
		h.Write(n[:8])
		for _, t := range tips {
			binary.BigEndian.PutUint64(n[8:], t.Size)
			h.Write(n[8:])
			h.Write(t.Root[:])
		}
	}
	return Hash(h.Sum(nil))
}
