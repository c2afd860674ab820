package store_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/journal"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
)

// commitMax is what no commit takes: one that does is never answered.
const commitMax = 20 * time.Second

// ownWorld is a store that commits to one log.
type ownWorld struct {
	*store.Store
	cfg    store.Config
	me     storetest.Machine
	writer *store.Writer
	stop   context.CancelFunc
	ended  chan error
}

func newOwnWorld(t *testing.T, cfg store.Config) *ownWorld {
	t.Helper()
	fleet, err := storetest.NewFleet("own")
	do(t, err)
	me, err := fleet.Machine(cert.RoleKiosk, 1)
	do(t, err)
	cfg.Dir, cfg.Fleet, cfg.Machine = t.TempDir(), fleet.Public, me.Key.Public().(ed25519.PublicKey)
	w := &ownWorld{cfg: cfg, me: me}
	w.start(t)
	return w
}

func (w *ownWorld) start(t *testing.T) {
	t.Helper()
	var err error
	w.Store, err = store.Open(w.cfg)
	do(t, err)
	w.writer, err = w.OpenOwn(w.me.LogKey)
	do(t, err)
	var ctx context.Context
	ctx, w.stop = context.WithCancel(context.Background())
	w.ended = make(chan error, 1)
	go func() { w.ended <- w.Run(ctx) }()
}

func (w *ownWorld) end() error {
	w.stop()
	return errors.Join(<-w.ended, w.Close())
}

// commit commits n entries in one batch; the first of a log opens it.
func (w *ownWorld) commit(n int) (store.Committed, error) {
	return w.writer.Commit(context.Background(), func(first uint64) (all []ledger.Entry, err error) {
		for i := first; i < first+uint64(n); i++ {
			e, err := payment(i)
			if i == 0 {
				e, err = w.me.Open()
			}
			if err != nil {
				return nil, err
			}
			all = append(all, e)
		}
		return all, nil
	})
}

var paidBill = event.BillKey{7}

func payment(n uint64) (ledger.Entry, error) {
	if n%3 > 0 {
		return storetest.Filler(n, int(n%50))
	}
	return event.New(ledger.Time{WallMs: n}, &event.PaymentCommitted{
		Sale: n - 1, Biller: "JVVNL", Bill: paidBill, Due: 100_00, Tendered: 100_00, Applied: 100_00, Rule: event.SurplusNextBill, Tender: event.TenderCash, Notes: event.RefNotes(n - 1)})
}

// everything is what a store answers about the log, each answer as text.
func (w *ownWorld) everything() map[string]string {
	id := w.me.ID()
	info, _ := w.Log(id)
	out := map[string]string{"log": fmt.Sprint(info.End, w.Frontier(), w.writer.Size())}
	say := func(what string, v any, err error) { out[what] = fmt.Sprintf("%v, %v", v, err) }
	paid, err := w.Payments(paidBill)
	say("payments", paid, err)
	for _, kinds := range [][]ledger.Kind{nil, {event.KindPaymentCommitted}, {99}} {
		var all []uint64
		err := w.Scan(id, 0, info.End.Size, store.Filter{Kinds: kinds}, func(i uint64, _ ledger.Entry) error {
			all = append(all, i)
			return nil
		})
		say(fmt.Sprint("scan ", kinds), all, err)
	}
	for i := uint64(0); i <= info.End.Size+1; i++ {
		at := ledger.Position{Log: id, Index: i}
		entry, err := w.Entry(at)
		say(fmt.Sprint("entry ", i), entry, err)
		c, err := w.CheckpointAt(id, i)
		say(fmt.Sprint("checkpoint ", i), c, err)
		c, err = w.Covering(at)
		say(fmt.Sprint("covering ", i), c, err)
		if i%13 > 0 && i < info.End.Size {
			continue
		}
		var all [][]byte
		err = w.Range(id, i/2, i, func(_ uint64, entry []byte) error {
			all = append(all, bytes.Clone(entry))
			return nil
		})
		say(fmt.Sprint("range to ", i), all, err)
		root, err := w.Root(id, i)
		say(fmt.Sprint("root ", i), root, err)
		inclusion, err := w.InclusionProof(id, i, info.End.Size)
		say(fmt.Sprint("inclusion ", i), inclusion, err)
		consistency, err := w.ConsistencyProof(id, i, info.End.Size)
		say(fmt.Sprint("consistency ", i), consistency, err)
		for _, most := range []int{1, 2000, 1 << 20} {
			run, err := w.ReadRun(id, i, most)
			say(fmt.Sprint("run ", i, " of ", most), run.End, err)
		}
	}
	return out
}

// atOnce is an After by which nobody waits, but for ever for what should not come.
func atOnce(d time.Duration) <-chan time.Time {
	c := make(chan time.Time, 1)
	if d < store.StuckLook {
		c <- time.Time{}
	}
	return c
}

// What is acknowledged is answered for in the same way while it is on its way into
// the index, whatever part of it has arrived, as after a start, when all has.
func TestPendingAnswersAsIndexed(t *testing.T) {
	for name, after := range map[string]func(time.Duration) <-chan time.Time{
		"pending": func(time.Duration) <-chan time.Time { return nil }, // the indexer goes on waiting for more
		"arrived": atOnce,
	} {
		t.Run(name, func(t *testing.T) {
			w := newOwnWorld(t, store.Config{After: after})
			// The first 64 batches go into the index, the others begin within a bundle and end
			// two further on.
			for i := range 64 + 60 {
				_, err := w.commit(1 + i%9)
				do(t, err)
			}
			was := w.everything()
			do(t, w.end())
			w.start(t)
			is := w.everything()
			do(t, w.end())
			for what, now := range is {
				if was[what] != now {
					t.Fatalf("%s: before the start\n%.500s\nafter it\n%.500s", what, was[what], now)
				}
			}
			if len(was) != len(is) {
				t.Fatalf("%d answers before the start, %d after it", len(was), len(is))
			}
		})
	}
}

// An index that cannot be written ends Run, and what was acknowledged is there at the
// next start.
func TestFailedIndexEndsRun(t *testing.T) {
	fire := make(chan time.Time, 1)
	w := newOwnWorld(t, store.Config{After: func(d time.Duration) <-chan time.Time {
		if d >= time.Second {
			return nil // the committer does not rest
		}
		return fire
	}})
	_, err := w.commit(3)
	do(t, err)
	do(t, w.CloseOwnIndex())
	acked, err := w.commit(2)
	do(t, err) // it is in the journal
	fire <- time.Time{}
	if err := <-w.ended; err == nil {
		t.Fatal("Run ended in good order")
	}
	if _, err := w.commit(1); !errors.Is(err, store.ErrStopped) {
		t.Fatalf("a commit after the end: %v", err)
	}
	_ = w.Close() // the index is closed already
	w.start(t)
	if got := w.writer.Size(); got != acked.End.Size {
		t.Fatalf("%d entries after the next start, %d were acknowledged", got, acked.End.Size)
	}
	do(t, w.end())
}

// Who commits is answered at the end though the index does not take what is left yet.
func TestEndAnswersBeforeTheIndex(t *testing.T) {
	w := newOwnWorld(t, store.Config{})
	release, _ := w.HoldOwnIndex()
	_, err := w.commit(1)
	do(t, err)
	w.stop()
	ctx, cancel := context.WithTimeout(t.Context(), commitMax)
	defer cancel()
	for range 2 { // the committer may be there yet for the first
		if _, err := w.writer.Commit(ctx, func(uint64) ([]ledger.Entry, error) { return nil, nil }); !errors.Is(err, store.ErrStopped) {
			t.Errorf("a commit after the end: %v", err)
		}
	}
	select {
	case err := <-w.ended:
		t.Errorf("Run ended with %v before the index had all", err)
	default:
	}
	release()
	do(t, <-w.ended, w.Close())
}

// An index that does not come back from a write ends Run, who commits is answered, and
// nobody else gets the folder as long as the process may write to it.
func TestStuckIndexEndsRun(t *testing.T) {
	patience := make(chan time.Time)
	w := newOwnWorld(t, store.Config{After: func(d time.Duration) <-chan time.Time {
		if d == store.StuckLook {
			return patience
		}
		return time.After(d)
	}})
	_, letGo := w.HoldOwnIndex()
	defer letGo()
	acked, err := w.commit(3)
	do(t, err)
	go func() {
		for range store.StuckLooks {
			patience <- time.Time{}
		}
	}()
	select {
	case err = <-w.ended:
	case <-time.After(commitMax):
		t.Fatal("Run goes on with an index that takes nothing")
	}
	if !errors.Is(err, store.ErrStuck) {
		t.Errorf("Run ended with %v", err)
	}
	if _, err := w.commit(1); !errors.Is(err, store.ErrStopped) {
		t.Errorf("a commit after the end: %v", err)
	}
	if err := w.Close(); !errors.Is(err, store.ErrStuck) {
		t.Errorf("Close: %v", err)
	}
	if _, err := store.Open(w.cfg); !errors.Is(err, store.ErrInUse) {
		t.Errorf("the folder was opened beside it: %v", err)
	}
	do(t, letGo())
	w.cfg.After = nil
	w.start(t)
	if got := w.writer.Size(); got != acked.End.Size {
		t.Errorf("%d entries after the next start, %d were acknowledged", got, acked.End.Size)
	}
	do(t, w.end())
}

// Nobody opens a log for writing, which no committer would write, when Run has ended.
func TestNothingOpensAfterRun(t *testing.T) {
	w := newOwnWorld(t, store.Config{})
	w.stop()
	do(t, <-w.ended)
	_, other, err := ed25519.GenerateKey(nil)
	do(t, err)
	if _, err := w.OpenOwn(other); err == nil {
		t.Error("a log was opened for writing")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Run(ctx); err == nil {
		t.Error("it ran twice")
	}
	do(t, w.Close())
}

// gate is a disk on which one sync waits and fails.
type gate struct {
	passes bool // it does not fail
	journal.OSDisk
	syncing, release chan struct{}
	armed            bool
	after            []string // what was asked for after the failure
}

type gateFile struct {
	journal.File
	g *gate
}

var errGate = errors.New("the disk is gone")

func (g *gate) OpenFile(path string, flag int) (journal.File, error) {
	f, err := g.OSDisk.OpenFile(path, flag)
	return gateFile{f, g}, err
}

func (f gateFile) Write(b []byte) (int, error) {
	if f.g.syncing == nil {
		f.g.after = append(f.g.after, "write")
	}
	return f.File.Write(b)
}

func (f gateFile) Sync() error {
	if !f.g.armed {
		return f.File.Sync()
	}
	if f.g.syncing == nil {
		f.g.after = append(f.g.after, "sync")
		return errGate
	}
	close(f.g.syncing)
	<-f.g.release
	if f.g.passes {
		f.g.armed = false
		return f.File.Sync()
	}
	f.g.syncing = nil
	return errGate
}

// While a batch is being made durable the next is gathered. When the sync fails nobody
// of either is told of success, the journal is asked for nothing more, and the store
// ends.
func TestSyncFailsWhileTheNextIsGathered(t *testing.T) {
	syncing := make(chan struct{})
	g := &gate{syncing: syncing, release: make(chan struct{})}
	w := newOwnWorld(t, store.Config{Disk: g, After: func(time.Duration) <-chan time.Time { return nil }})
	_, err := w.commit(3)
	do(t, err)
	size := w.writer.Size()
	g.armed = true
	answers := make(chan error, 3)
	begin := func(n int, built func(first uint64)) {
		go func() {
			_, err := w.writer.Commit(context.Background(), func(first uint64) (all []ledger.Entry, err error) {
				defer built(first)
				for range n {
					e, err := storetest.Sale(first)
					if err != nil {
						return nil, err
					}
					all = append(all, e)
				}
				return all, nil
			})
			answers <- err
		}()
	}
	begin(1, func(uint64) {})
	<-syncing
	// Two that do not fit one batch: the second is carried.
	for range 2 {
		built := make(chan uint64)
		begin(40, func(first uint64) { built <- first })
		if first := <-built; first <= size {
			t.Errorf("a build for index %d, which is the failing batch's or before", first)
		}
	}
	if w.writer.Size() != size {
		t.Error("readers see what is not durable")
	}
	close(g.release)
	for range cap(answers) {
		if err := <-answers; !errors.Is(err, errGate) {
			t.Errorf("error %v, want the disk's", err)
		}
	}
	if err := <-w.ended; !errors.Is(err, errGate) {
		t.Errorf("Run ended with %v", err)
	}
	if len(g.after) > 0 {
		t.Errorf("after the failure the journal still asked for %v", g.after)
	}
	do(t, w.Close())
	w.cfg.Disk = nil
	w.start(t)
	if got := w.writer.Size(); got != size && got != size+1 {
		t.Errorf("%d entries after the next start, %d were acknowledged and one was in flight", got, size)
	}
	do(t, w.end())
}

// The proof that an own log has another history is kept beside what was signed at the
// same size, though that is still on its way into the index.
func TestForkOfWhatIsPending(t *testing.T) {
	w := newOwnWorld(t, store.Config{After: func(time.Duration) <-chan time.Time { return nil }})
	var ours []store.Committed
	for range 4 {
		c, err := w.commit(1)
		do(t, err)
		ours = append(ours, c)
	}
	twin, err := storetest.NewAuthor(w.me)
	do(t, err)
	for range 2 {
		e, err := storetest.Sale(99)
		do(t, err)
		_, err = twin.Write(e)
		do(t, err)
	}
	results, err := w.Ingest(t.Context(), []ledger.Run{twin.Whole()})
	do(t, err)
	if results[0].Err == nil {
		t.Error("another history of an own log was taken")
	}
	forks := w.Forks()
	if len(forks) != 1 || forks[0].Ours != ours[2].End {
		t.Errorf("%+v is kept, want our checkpoint at %d", forks, ours[2].End.Size)
	}
	_ = w.end() // the proof is why it ended
}

// When ctx ends while a batch is being made durable, what was gathered meanwhile is
// committed and nothing more is taken, however many wait.
func TestEndsWithWhatIsGathered(t *testing.T) {
	syncing := make(chan struct{})
	g := &gate{syncing: syncing, release: make(chan struct{}), passes: true}
	w := newOwnWorld(t, store.Config{Disk: g, After: func(time.Duration) <-chan time.Time { return nil }})
	_, err := w.commit(3)
	do(t, err)
	size := w.writer.Size()
	g.armed = true
	inFlight := w.begin(t.Context(), 1, func() {})
	<-syncing
	built := make(chan struct{})
	gathered := w.begin(t.Context(), 1, func() { close(built) })
	<-built
	w.stop()
	waiting := w.begin(t.Context(), 1, func() { t.Error("a commit was taken after the end") })
	close(g.release)
	do(t, <-inFlight, <-gathered, <-w.ended)
	if err := <-waiting; !errors.Is(err, store.ErrStopped) {
		t.Errorf("error %v, want that the store has stopped", err)
	}
	if got := w.writer.Size(); got != size+2 {
		t.Errorf("%d entries, want %d", got, size+2)
	}
	do(t, w.Close())
}

// begin commits n entries beside the caller, tells when they are built and what became
// of them.
func (w *ownWorld) begin(ctx context.Context, n int, built func()) chan error {
	answer := make(chan error, 1)
	go func() {
		c, err := w.writer.Commit(ctx, func(first uint64) (all []ledger.Entry, err error) {
			defer built()
			for range n {
				e, err := storetest.Sale(first)
				if err != nil {
					return nil, err
				}
				all = append(all, e)
			}
			return all, nil
		})
		if err == nil && c.First+uint64(len(c.Entries)) > c.End.Size {
			err = fmt.Errorf("%d entries from %d, and the batch ends at %d", len(c.Entries), c.First, c.End.Size)
		}
		answer <- err
	}()
	return answer
}

// Where one commit is carried, the batch that is gathered takes no further one: it
// waits, lets go when its context ends, and gets its index when there is room.
func TestWaitsForRoomInTheBatch(t *testing.T) {
	syncing := make(chan struct{})
	g := &gate{syncing: syncing, release: make(chan struct{}), passes: true}
	w := newOwnWorld(t, store.Config{Disk: g, After: func(time.Duration) <-chan time.Time { return nil }})
	_, err := w.commit(3)
	do(t, err)
	size := w.writer.Size()
	g.armed = true
	answers := []chan error{w.begin(t.Context(), 1, func() {})}
	<-syncing
	for range 2 { // of which the second is carried
		built := make(chan struct{})
		answers = append(answers, w.begin(t.Context(), 40, func() { close(built) }))
		<-built
	}
	ctx, cancel := context.WithCancel(t.Context())
	gone := w.begin(ctx, 1, func() { t.Error("built where there is no room") })
	early := make(chan struct{})
	answers = append(answers, w.begin(t.Context(), 1, func() {
		select {
		case <-g.release:
		default:
			close(early)
		}
	}))
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that the context ended", err)
	}
	close(g.release)
	for _, a := range answers {
		do(t, <-a)
	}
	select {
	case <-early:
		t.Error("built where there is no room")
	default:
	}
	if got := w.writer.Size(); got != size+82 {
		t.Errorf("%d entries, want %d", got, size+82)
	}
	do(t, w.end())
}

// A build that panics in its caller's goroutine, which may outlive that, takes nothing
// with it.
func TestBuildPanics(t *testing.T) {
	w := newOwnWorld(t, store.Config{})
	_, err := w.commit(1)
	do(t, err)
	func() {
		defer func() { _ = recover() }()
		_, _ = w.writer.Commit(t.Context(), func(uint64) ([]ledger.Entry, error) { panic("broken invariant: a test's") })
		t.Error("the panic did not come through")
	}()
	c, err := w.commit(1)
	do(t, err)
	if c.First != 1 {
		t.Errorf("the next commit begins at %d, want 1", c.First)
	}
	do(t, w.end())
}

// A signature that came out wrong, as of a bit that flipped in memory, is told to
// nobody, though the disk took it, and nothing is signed on top.
func TestWrongSignatureEndsRun(t *testing.T) {
	w := newOwnWorld(t, store.Config{})
	_, err := w.commit(3)
	do(t, err)
	size := w.writer.Size()
	do(t, w.end())
	w.me.LogKey = bytes.Clone(w.me.LogKey)
	w.me.LogKey[0] ^= 1 // of the seed: the public half is as it was
	w.start(t)
	for range 2 {
		if c, err := w.commit(1); err == nil {
			t.Errorf("answered %v", c.End)
		}
	}
	if err := <-w.ended; !errors.Is(err, ledger.ErrMalformed) {
		t.Errorf("Run ended with %v", err)
	}
	if got := w.writer.Size(); got != size {
		t.Errorf("readers see %d entries, want %d", got, size)
	}
	do(t, w.Close())
}
