package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"rasid/ledger"
)

// ErrOwnLog is returned for a run of a log that this node writes itself: nobody
// tells a writer what it wrote.
var ErrOwnLog = errors.New("the log is this node's own")

// forksMax is how many contradicting runs of one log are kept. One proves the fork;
// more help to see when it began.
const forksMax = 8

// IngestResult says what became of one run.
type IngestResult struct {
	Added int // entries that were new and are durable now
	// Err says why the run was refused, whole: ledger.ErrGap, ledger.ErrFork,
	// ledger.ErrMalformed, cert.ErrRefused, ErrOwnLog or ErrInDoubt. Nil with Added 0 means that
	// all was held already.
	Err error
}

// Fork is the evidence that a log's writer made two histories: two statements by
// the same key that cannot both be true.
type Fork struct {
	Log    ledger.LogID
	Ours   ledger.Checkpoint // held when the other arrived
	Theirs ledger.Run        // refused; its entries lead to its checkpoint
}

// staged is the work of one Ingest between two transactions.
type staged struct {
	logs    map[ledger.LogID]held
	growths []growth
	bytes   int64
	pairs   int64
}

// Ingest verifies runs of other nodes' logs and stores what is new, in as few
// synced transactions as their size allows, each run whole or not at all. What it
// reports as added is durable, and nothing is visible before it is. The error is
// not nil when ctx ended or the disk failed; then look at Frontier for what is held,
// and after a disk failure Run returns it too.
func (s *Store) Ingest(ctx context.Context, runs []ledger.Run) ([]IngestResult, error) {
	s.ingest.Lock()
	defer s.ingest.Unlock()
	st := &staged{logs: map[ledger.LogID]held{}}
	results := make([]IngestResult, len(runs))
	for i, run := range runs {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("couldn't ingest: %w", err)
		}
		added, refused, err := s.stage(st, run)
		if err != nil {
			return nil, err
		}
		results[i] = IngestResult{Added: added, Err: refused}
	}
	return results, s.flush(st)
}

// stage verifies one run against what is held and staged. refused is the run's own
// fault, err ours.
func (s *Store) stage(st *staged, run ledger.Run) (added int, refused, err error) {
	h, ok := st.logs[run.Log]
	if !ok {
		h = s.heldOrNew(run.Log)
	}
	if h.own {
		return 0, s.refuseOwn(h, run), nil
	}
	g, next, refused := s.grow(h, run)
	if refused == nil && len(g.entries) == 0 {
		refused, err = s.compareOlder(st, h, run)
	}
	if errors.Is(refused, ledger.ErrFork) && err == nil {
		err = s.keepFork(st, h, run)
	}
	if refused != nil || err != nil || len(g.entries) == 0 {
		return 0, refused, err
	}
	size, pairs := g.bytes()
	if st.bytes+size > s.peers.db.MaxBatchSize() || st.pairs+pairs > s.peers.db.MaxBatchCount() {
		if err := s.flush(st); err != nil {
			return 0, nil, err
		}
	}
	st.logs[run.Log] = next
	st.growths = append(st.growths, g)
	st.bytes += size
	st.pairs += pairs
	return len(g.entries), nil, nil
}

// refuseOwn says why a run of an own log is refused: as an echo, or because it
// proves that somebody signed more with this key than the journal knows. Then the
// proof is kept in the head file, so that the next start sees it, and Run ends
// before anything more is signed.
func (s *Store) refuseOwn(h held, run ledger.Run) error {
	if run.End.Size <= h.log.End.Size || len(h.log.Key) == 0 || run.End.Verify(h.log.Key) != nil {
		return fmt.Errorf("log %s: %w", run.Log, ErrOwnLog)
	}
	err := inDoubt(run.Log, h.log.End.Size, "a neighbour sent a checkpoint at %d", run.End.Size)
	s.mu.RLock()
	writers := s.writers
	s.mu.RUnlock()
	for _, w := range writers {
		if w.id == run.Log {
			err = errors.Join(err, w.head.write(h.log.Key, run.End))
		}
	}
	s.fail(err)
	return err
}

// heldOrNew returns the log as held, or an empty one.
func (s *Store) heldOrNew(id ledger.LogID) held {
	s.mu.RLock()
	defer s.mu.RUnlock()
	h := s.logs[id]
	if h == nil {
		return held{index: s.peers}
	}
	return *h
}

// compareOlder finds a fork in a run that ends before what is held, where a
// checkpoint of that size was kept.
func (s *Store) compareOlder(st *staged, h held, run ledger.Run) (refused, err error) {
	if err := s.flush(st); err != nil { // so that the index knows all of h
		return nil, err
	}
	kept, err := s.kept(h, run.End.Size)
	if err != nil || kept.Size == 0 || kept.Root == run.End.Root {
		return nil, err
	}
	return fmt.Errorf("log %s at %d: %w", run.Log, run.End.Size, ledger.ErrFork), nil
}

// kept returns the checkpoint kept at exactly that size, or the zero one.
func (s *Store) kept(h held, size uint64) (ledger.Checkpoint, error) {
	if size == h.log.End.Size {
		return h.log.End, nil
	}
	l := ledger.Log{}
	err := s.peers.db.View(func(txn *badger.Txn) (err error) {
		l, err = s.peers.logAt(txn, h.log.Key, size)
		return err
	})
	if errors.Is(err, ErrNotHeld) {
		return ledger.Checkpoint{}, nil
	}
	return l.End, err
}

// flush makes what is staged durable in one transaction, then visible.
func (s *Store) flush(st *staged) error {
	if len(st.growths) == 0 {
		return nil
	}
	s.mu.RLock()
	fatal := s.fatal
	s.mu.RUnlock()
	if fatal != nil {
		return fmt.Errorf("couldn't ingest: %w", fatal)
	}
	if err := s.peers.put(st.growths...); err != nil {
		err = fmt.Errorf("couldn't ingest: %w", err)
		s.fail(err)
		return err
	}
	for _, g := range st.growths {
		if err := s.objects.follow(g); err != nil {
			err = fmt.Errorf("couldn't ingest: %w", err)
			s.fail(err)
			return err
		}
	}
	s.mu.Lock()
	for id, h := range st.logs {
		s.logs[id] = &h
	}
	s.mu.Unlock()
	*st = staged{logs: map[ledger.LogID]held{}}
	s.notify()
	return nil
}

// keepFork stores both statements, once each.
func (s *Store) keepFork(st *staged, h held, run ledger.Run) error {
	if err := s.flush(st); err != nil {
		return err
	}
	s.mu.RLock()
	known := 0
	for _, f := range s.forks {
		if f.Log != run.Log {
			continue
		}
		known++
		if f.Theirs.End.Root == run.End.Root {
			known = forksMax
		}
	}
	s.mu.RUnlock()
	if known >= forksMax {
		return nil
	}
	ours, err := s.kept(h, run.End.Size)
	if err != nil {
		return err
	}
	if ours.Size == 0 {
		ours = h.log.End
	}
	f := Fork{Log: run.Log, Ours: ours, Theirs: run}
	if err := s.peers.putFork(f); err != nil {
		err = fmt.Errorf("couldn't keep the evidence of a fork: %w", err)
		s.fail(err)
		return err
	}
	s.cfg.Log.Error("a log has forked; both statements are kept", "log", run.Log.String(), "ours", ours.Size, "theirs", run.End.Size)
	s.mu.Lock()
	s.forks = append(s.forks, f)
	s.mu.Unlock()
	s.notify()
	return nil
}

// Forks returns the evidence of forks seen, oldest first within this run of the
// program.
func (s *Store) Forks() []Fork {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.forks)
}

// forkPartBytes keeps every part of the evidence in Badger's tree.
const forkPartBytes = 32 << 10

func (x *index) putFork(f Fork) error {
	b, err := encodeFork(f)
	if err != nil {
		return err
	}
	return x.db.Update(func(txn *badger.Txn) error {
		n := uint64(0)
		for part := range slices.Chunk(b, forkPartBytes) {
			if err := txn.Set(forkKey(f.Log, f.Theirs.End.Root, n), part); err != nil {
				return err
			}
			n++
		}
		return nil
	})
}

// forks returns all evidence kept.
func (x *index) forks() ([]Fork, error) {
	var keys []string
	whole := map[string][]byte{}
	err := x.db.View(func(txn *badger.Txn) error {
		prefix := []byte{prefixFork}
		return scan(txn, prefix, prefix, false, func(item *badger.Item) (bool, error) {
			v, err := item.ValueCopy(nil)
			k := item.Key()
			name, part := string(k[:len(k)-8]), binary.BigEndian.Uint64(k[len(k)-8:])
			if part == 0 {
				keys = append(keys, name)
			}
			if uint64(len(whole[name])) != part*forkPartBytes {
				return false, fmt.Errorf("%w: %s lacks a part of a fork's evidence", errDamagedIndex, x.path)
			}
			whole[name] = append(whole[name], v...)
			return true, err
		})
	})
	if err != nil {
		return nil, err
	}
	var out []Fork
	for _, name := range keys {
		f, err := decodeFork(whole[name])
		if err != nil {
			return nil, fmt.Errorf("%w: %s: evidence of a fork: %w", errDamagedIndex, x.path, err)
		}
		out = append(out, f)
	}
	return out, nil
}

// encodeFork writes size, root and signature of our checkpoint, then their run.
func encodeFork(f Fork) ([]byte, error) {
	run, err := f.Theirs.Encode()
	if err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint64(nil, f.Ours.Size)
	b = append(append(b, f.Ours.Root[:]...), f.Ours.Sig[:]...)
	return append(b, run...), nil
}

func decodeFork(b []byte) (Fork, error) {
	var f Fork
	const fixed = 8 + ledger.HashBytes + len(f.Ours.Sig)
	if len(b) < fixed {
		return f, fmt.Errorf("%d bytes", len(b))
	}
	f.Ours.Size = binary.BigEndian.Uint64(b)
	copy(f.Ours.Root[:], b[8:])
	copy(f.Ours.Sig[:], b[8+ledger.HashBytes:])
	var err error
	f.Theirs, err = ledger.DecodeRun(b[fixed:])
	f.Log = f.Theirs.Log
	return f, err
}
