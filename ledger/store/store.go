package store

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"rasid/ledger"
	"rasid/ledger/journal"
)

// ErrNotHeld is returned when the log, entry or checkpoint asked for is not held.
var ErrNotHeld = errors.New("not held")

// ErrInDoubt is returned when something shows that an own log was longer than its
// journal now says, or that its key signed another history too. To go on would sign
// positions twice, so nothing is opened.
var ErrInDoubt = errors.New("the log is in doubt")

// OwnLogError is why an own log is not opened, or not written any more: it is in doubt,
// or its journal is damaged. Config.GiveUp is the remedy.
type OwnLogError struct {
	Log ledger.LogID
	Err error // names the log
}

func (e *OwnLogError) Error() string { return e.Err.Error() }
func (e *OwnLogError) Unwrap() error { return e.Err }

// ErrStopped is returned by Commit when Run has ended.
var ErrStopped = errors.New("the store has stopped")

// Config is what a store needs. Dir, Fleet and Machine must be set.
type Config struct {
	Dir     string            // the data folder; created where there is none
	Fleet   ed25519.PublicKey // every log held is certified up to this key
	Machine ed25519.PublicKey // whose folder it is
	Log     *slog.Logger      // nil: silent
	Disk    journal.Disk      // under journals, marks and what gives a log up; nil: the machine's own
	// SegmentBytes is the journals' segment size; 0, and in the field always, means
	// the journal's own choice.
	SegmentBytes int64
	// EvidenceDir is where head files lie, on a second medium if there is one; it exists.
	// Empty: beside the journals.
	EvidenceDir string
	// GiveUp says what becomes of an own log in doubt, or whose journal is damaged:
	// true, it becomes one like any other machine's, OpenOwn refuses its key with
	// ErrInDoubt, and the machine may begin a new incarnation; false, Open refuses with
	// an *OwnLogError. And of a damaged index of others' logs: true, it is moved aside and
	// begins anew; false, Open refuses.
	GiveUp bool
	// GiveUpOnly narrows GiveUp to these logs, and to no index; empty: whichever is in doubt.
	GiveUpOnly []ledger.LogID
	// RoomBytes is how much must be free on the disk for money to be taken; 0: 256 MiB.
	// With less than a fourth of it nothing of other machines is taken in, with less
	// than an eighth Open refuses with ErrNoRoom.
	RoomBytes uint64
	// ReserveBytes is the size of a file that takes room until the disk is full; 0: none.
	ReserveBytes uint64
	// PruneAge is after what time others' entries that an office holds are dropped, by
	// the office's clock; while the disk is short of room 30 days, if that is less. 0:
	// never. It has an effect where Tend is called.
	PruneAge time.Duration
	// Free tells what is free on the disk where a path is; nil: the machine's own word.
	Free func(path string) (uint64, error)
	// After is time.After, by which a committer knows that nothing comes, and anybody that
	// Badger does not come back; nil: the machine's own clock.
	After func(time.Duration) <-chan time.Time
	// MemTableBytes is what each Badger gathers in memory before it writes a table; 0,
	// and in the field always, means what fits the longest batch and the longest run.
	MemTableBytes int64
}

func (c *Config) validate() error {
	if c.Dir == "" || len(c.Fleet) != ed25519.PublicKeySize || len(c.Machine) != ed25519.PublicKeySize {
		return errors.New("couldn't open the store: folder, fleet key and machine key must be given")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Disk == nil {
		c.Disk = journal.OSDisk{}
	}
	c.RoomBytes = cmp.Or(c.RoomBytes, roomBytes)
	if c.After == nil {
		c.After = time.After
	}
	if c.Free == nil {
		c.Free = freeOn
	}
	return nil
}

// Store holds logs and objects.
type Store struct {
	cfg     Config
	lock    *os.File
	own     *index
	peers   *index
	objects objects
	reserve reserve
	ingest  sync.Mutex // one writer of peers and marks at a time
	marks   *marks
	doubts  []doubt // Open's own
	begun   int     // indexes that Open began anew
	pruner  pruner  // Tend's own

	mu      sync.RWMutex // guards what follows
	logs    map[ledger.LogID]*held
	forked  map[ledger.LogID][]*held // further branches of logs that have forked, in the order of their numbers
	forks   []Fork
	lost    map[ledger.LogID][]ledger.Tip // of others' logs, the longest first
	writers []*Writer
	updates map[chan struct{}]bool
	began   bool // Run was called
	running bool
	short   bool          // of room on the disk
	dropped uint64        // bytes pruned
	fatal   error         // why nothing can be made durable any more
	failed  chan struct{} // closed when fatal is set
}

// Open opens the data folder, or makes one, and recovers everything that was
// acknowledged. It returns ErrInUse, ErrForeign, ErrNoRoom, ErrInDoubt or a
// *journal.DamageError where that applies, the last two within an *OwnLogError, and then
// has lost nothing. Nothing runs yet but Badger's own housekeeping.
func Open(cfg Config) (*Store, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, logs: map[ledger.LogID]*held{}, forked: map[ledger.LogID][]*held{}, lost: map[ledger.LogID][]ledger.Tip{}, updates: map[chan struct{}]bool{}, failed: make(chan struct{})}
	if err := noRoom(s.open()); err != nil {
		return nil, errors.Join(fmt.Errorf("couldn't open the store in %s: %w", cfg.Dir, err), s.Close())
	}
	return s, nil
}

func (s *Store) open() error {
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return err
	}
	var err error
	if s.lock, err = lockFolder(s.cfg.Dir); err != nil {
		return err
	}
	s.reserve = reserve{path: filepath.Join(s.cfg.Dir, reserveName), want: s.cfg.ReserveBytes}
	if err := s.roomToOpen(); err != nil {
		return err
	}
	if err := checkOwner(s.cfg.Dir, s.cfg.Machine, s.cfg.Fleet); err != nil {
		return err
	}
	for _, name := range []string{ownName, peersName, objectsName} {
		if err := makeDir(filepath.Join(s.cfg.Dir, name)); err != nil {
			return err
		}
	}
	if err := s.objects.open(filepath.Join(s.cfg.Dir, objectsName)); err != nil {
		return err
	}
	if err := s.openOwn(); err != nil {
		return err
	}
	if err := s.openPeers(); err != nil {
		return err
	}
	for _, d := range s.doubts {
		if err := s.giveUp(d); err != nil {
			return err
		}
	}
	return s.keepGivenUp()
}

// openOwn recovers the own logs. An index that is damaged is moved aside and built
// anew, for the journals hold everything that is in it.
func (s *Store) openOwn() error {
	path := filepath.Join(s.cfg.Dir, ownName, indexName)
	err := s.recoverOwn(path)
	if !errors.Is(err, errDamagedIndex) {
		return err
	}
	s.cfg.Log.Warn("rebuilding the index of own logs from their journals", "error", err)
	if err := s.closeOwn(); errors.Is(err, errStuck) {
		return err
	} else if err != nil {
		s.cfg.Log.Warn("couldn't close the damaged index", "error", err)
	}
	if err := s.moveAside(path); err != nil {
		return err
	}
	return s.recoverOwn(path)
}

func (s *Store) closeOwn() error {
	var errs []error
	for _, w := range s.writers {
		errs = append(errs, w.journal.Close())
	}
	s.writers, s.doubts, s.logs = nil, nil, map[ledger.LogID]*held{}
	if s.own != nil {
		errs = append(errs, s.own.close())
		s.own = nil
	}
	return errors.Join(errs...)
}

// closeWriter lets go of an own log before Run.
func (s *Store) closeWriter(id ledger.LogID) error {
	var errs []error
	s.writers = slices.DeleteFunc(s.writers, func(w *Writer) bool {
		if w.id != id {
			return false
		}
		errs = append(errs, w.journal.Close())
		return true
	})
	delete(s.logs, id)
	return errors.Join(errs...)
}

func (s *Store) recoverOwn(path string) error {
	var err error
	if s.own, err = openIndex(path, cmp.Or(s.cfg.MemTableBytes, ownMemTableBytes), false, s.cfg.Log); err != nil {
		return err
	}
	s.own.after = s.cfg.After
	if err := finishReplacing(filepath.Join(s.cfg.Dir, ownName)); err != nil {
		return err
	}
	folders, err := os.ReadDir(filepath.Join(s.cfg.Dir, ownName))
	if err != nil {
		return err
	}
	found := map[ledger.LogID]bool{}
	for _, f := range folders {
		id, err := ledger.ParseLogID(f.Name())
		if err != nil {
			continue // the index
		}
		_, err = s.openWriter(id, nil)
		if err != nil {
			err = s.repairOwn(id, err)
		}
		if err != nil {
			if err := s.setAside(id, err); err != nil {
				return err
			}
			continue
		}
		found[id] = true
	}
	ids, err := s.own.ids()
	if err != nil {
		return err
	}
	for _, id := range ids {
		aside := slices.ContainsFunc(s.doubts, func(d doubt) bool { return d.id == id }) || exists(s.journalDir(id)+doubtSuffix)
		if !found[id] && !aside {
			err := fmt.Errorf("own log %s: its index is there and its journal is not: %w; restore the folder %s", id, ErrInDoubt, s.journalDir(id))
			if err := s.setAside(id, err); err != nil {
				return err
			}
		}
	}
	return s.followIndex(s.own)
}

func (s *Store) journalDir(id ledger.LogID) string {
	return filepath.Join(s.cfg.Dir, ownName, id.String())
}

// parentOf returns the branch that another one of its log departs from.
func (s *Store) parentOf(h *held) *held {
	for _, other := range s.forked[h.branch.log] {
		if other.branch == h.branch.parent {
			return other
		}
	}
	return s.logs[h.branch.log]
}

// followIndex learns what held entries say of objects. An erasure that a crash cut
// off between entry and removal is finished here.
func (s *Store) followIndex(x *index) error {
	named, erased, err := x.objects()
	if err != nil {
		return err
	}
	return s.objects.follow(growth{objects: named, erased: erased})
}

func inDoubt(id ledger.LogID, size uint64, format string, args ...any) error {
	return &OwnLogError{id, fmt.Errorf("own log %s: the journal ends at %d, but %w: %w; look for the disk that has the rest, put back no older copy, or begin a new incarnation", id, size, fmt.Errorf(format, args...), ErrInDoubt)}
}

func forkedOwn(id ledger.LogID, size uint64) error {
	return elsewhere{&OwnLogError{id, fmt.Errorf("own log %s: a neighbour showed another history of %d entries that its key signed, so a copy of this disk wrote too: %w; end the other machine, and begin a new incarnation", id, size, ErrInDoubt)}}
}

// Run commits what Writers are given until ctx ends, then returns nil. Any other
// return means that nobody knows what is durable: stop the process and open the
// store anew. Call it once.
func (s *Store) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.began {
		s.mu.Unlock()
		return errors.New("couldn't run the store: it ran before")
	}
	s.began = true
	if s.fatal != nil { // a neighbour's proof came first, or Close
		defer s.mu.Unlock()
		for _, w := range s.writers {
			w.stop() // no committer will come
		}
		return fmt.Errorf("couldn't run the store: %w", s.fatal)
	}
	s.running = true
	writers := s.writers
	s.mu.Unlock()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for _, w := range writers {
		wg.Go(func() {
			if err := w.run(ctx); err != nil {
				s.fail(err)
			}
		})
	}
	select {
	case <-ctx.Done():
	case <-s.failed:
	}
	cancel()
	wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = false
	return s.fatal
}

// fail records the first error after which nothing can be made durable.
func (s *Store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fatal == nil {
		s.fatal = err
		close(s.failed)
	}
}

// Close lets go of the folder. Run must have returned and no other call may be
// under way.
func (s *Store) Close() error {
	s.mu.RLock()
	running := s.running
	s.mu.RUnlock()
	if running {
		return errors.New("couldn't close the store: Run has not returned")
	}
	s.fail(ErrStopped)
	for _, w := range s.writers {
		w.stop()
	}
	errs := []error{s.closeOwn()}
	if s.peers != nil {
		errs = append(errs, s.peers.close(), s.marks.close())
	}
	err := errors.Join(errs...)
	if s.lock == nil || errors.Is(err, errStuck) {
		return err // Badger may write yet: the folder is this process's until its end
	}
	return errors.Join(err, s.lock.Close())
}

// Updates returns a channel that has a token whenever logs or objects have durably
// grown since it was last read, and a function that ends it. Tokens coalesce.
func (s *Store) Updates() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.updates[c] = true
	return c, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.updates, c)
	}
}

func (s *Store) notify() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for c := range s.updates {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
