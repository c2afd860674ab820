package storetest

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/store"
)

// ModelEvents counts what happened to the own log in a run of Model.
type ModelEvents struct {
	Repaired int // damaged journals that were made again
	PutBack  int // disks put back to an earlier state
	Forked   int // logs given up since a copy had signed another history of as many entries
	Beyond   int // logs given up since a copy had signed more entries
}

// Plus adds up.
func (e ModelEvents) Plus(f ModelEvents) ModelEvents {
	return ModelEvents{e.Repaired + f.Repaired, e.PutBack + f.PutBack, e.Forked + f.Forked, e.Beyond + f.Beyond}
}

// modelDisk is a folder that was left behind, and what the model says is in it.
type modelDisk struct {
	dir    string
	own    teller
	logs   map[ledger.LogID]modelLog
	pruned map[ledger.LogID]uint64
}

// begin makes a log the own one.
func (w *modelWorld) begin(m Machine) {
	w.own = teller{&Author{Machine: m, Log: ledger.Log{Key: m.LogKey.Public().(ed25519.PublicKey)}}}
	w.copy, w.left, w.against = teller{}, nil, ledger.Checkpoint{}
}

// pull ends a life like a power cut: the next is on a copy of the folder.
func (w *modelWorld) pull(life int) {
	next := filepath.Join(w.root, fmt.Sprint(life+1))
	if err := copyStill(w.dir, next); err != nil {
		w.t.Fatal(err)
	}
	own := *w.own.Author
	own.Runs = slices.Clone(own.Runs)
	w.left = append(w.left, modelDisk{w.dir, teller{&own}, maps.Clone(w.logs), maps.Clone(w.pruned)})
	w.dir = next
}

// neighbour lets a copy of the disk write on at times, and brings what it wrote. Where
// that contradicts the own log, the store must be in doubt, and w.against says by what.
func (w *modelWorld) neighbour(s *store.Store) {
	if w.copy.Author == nil {
		if len(w.own.Runs) > 0 && w.rand.IntN(60) == 0 {
			w.copy = w.own.clone(w.rand)
		}
		return
	}
	if w.rand.IntN(3) == 0 {
		must[ledger.Run](w.t)(w.copy.write(w.rand, 30))
	}
	if w.rand.IntN(4) > 0 {
		return
	}
	last := len(w.copy.Runs) - 1
	if w.rand.IntN(2) == 0 {
		last = w.rand.IntN(len(w.copy.Runs))
	}
	run := w.copy.cut(w.rand.IntN(last+1), last)
	end, own := int(run.End.Size), w.own.whole()
	echo := end <= len(own) && common(own, w.copy.whole()[:end]) == end
	r := must[[]store.IngestResult](w.t)(s.Ingest(w.t.Context(), []ledger.Run{run}))[0]
	if r.Added != 0 || errors.Is(r.Err, store.ErrOwnLog) != echo || errors.Is(r.Err, store.ErrInDoubt) == echo {
		w.t.Fatalf("a run to %d of an own log of %d entries, an echo %v: added %d, error %v", end, len(own), echo, r.Added, r.Err)
	}
	switch {
	case echo:
		return
	case end <= len(own):
		w.proofs[run.Log] = run.End
		w.seen.Forked++
	default:
		w.seen.Beyond++
	}
	w.against = run.End
}

// recovered looks, at a start, that a damaged journal was made again, and that a log
// which was contradicted is given up: then the next incarnation begins.
func (w *modelWorld) recovered(s *store.Store) {
	if _, err := os.Stat(filepath.Join(w.dir, "own", w.own.ID().String()+".damaged")); w.damaged != "" && err != nil {
		w.t.Fatalf("a journal damaged in %s was not made again: %v", w.damaged, err)
	}
	if w.damaged != "" {
		w.seen.Repaired++
		w.damaged = ""
	}
	if w.against != (ledger.Checkpoint{}) {
		w.nextIncarnation(s)
	}
}

// nextIncarnation begins the next. Both histories are told by neighbours from then on,
// and what is held of the own one is held as another's.
func (w *modelWorld) nextIncarnation(s *store.Store) {
	before, last := w.own, w.own.Log.End
	if w.against.Size > last.Size {
		last = w.against
	}
	if _, err := s.OpenOwn(before.LogKey); !errors.Is(err, store.ErrInDoubt) {
		w.t.Fatalf("a contradicted log opens: %v", err)
	}
	why := s.WhyGivenUp(before.Log.Key)
	if known := s.LastKnown(before.Log.Key); known != last || why != cert.ReasonRestored {
		w.t.Fatalf("known are %d entries, want %d, the reason is %d", known.Size, last.Size, why)
	}
	w.tellers = append(w.tellers, before, w.copy)
	w.logs[before.ID()] = modelLog{before.whole()}
	w.begin(must[Machine](w.t)(before.Next(why, last)))
}

// checkProofs looks whether what contradicted own logs is kept.
func (w *modelWorld) checkProofs(s *store.Store) {
	w.t.Helper()
	forks := s.Forks()
	for id, proof := range w.proofs {
		if !slices.ContainsFunc(forks, func(f store.Fork) bool { return f.Log == id && f.Theirs.End == proof }) {
			w.t.Fatalf("of the fork of own log %s at %d no proof is kept", id, proof.Size)
		}
	}
}

// putBack puts a disk of earlier back. What was written since is the copy's: its
// neighbours hold it.
func (w *modelWorld) putBack() {
	if len(w.left) == 0 || w.copy.Author != nil {
		return
	}
	was := w.left[w.rand.IntN(len(w.left))]
	if len(was.own.Runs) == 0 || was.dir == w.dir {
		return
	}
	w.copy, w.own, w.logs, w.pruned, w.dir, w.left = w.own, was.own, was.logs, was.pruned, was.dir, nil
	w.seen.PutBack++
}

// damage harms the own journal where its end stays known, before its last segment, so
// that the next start must make it again.
func (w *modelWorld) damage() {
	own := filepath.Join(w.dir, "own", w.own.ID().String())
	segments := must[[]string](w.t)(filepath.Glob(filepath.Join(own, "*.journal")))
	if len(segments) < 2 {
		return
	}
	path := segments[w.rand.IntN(len(segments)-1)]
	b := must[[]byte](w.t)(os.ReadFile(path))
	var err error
	switch w.rand.IntN(3) {
	case 0: // of the header or the first record's head
		b[w.rand.IntN(76+41)] ^= 1 << w.rand.IntN(8)
		err = os.WriteFile(path, b, 0o600)
	case 1:
		err = os.WriteFile(path, make([]byte, len(b)), 0o600)
	default:
		err = os.Remove(path)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.damaged = path
}
