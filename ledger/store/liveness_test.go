package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
)

// lives is how many stores TestEveryCommitIsAnswered ends; RASID_SEEDS asks for more.
func lives(t *testing.T) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(os.Getenv("RASID_SEEDS"), 10, 32)
	if os.Getenv("RASID_SEEDS") == "" {
		return 12
	}
	do(t, err)
	return n
}

// Whatever ends a store while many commit, and whatever room the disk has meanwhile,
// every Commit returns, and Run does.
func TestEveryCommitIsAnswered(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("RASID_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		do(t, err)
	}
	t.Logf("seeds from %d", seed)
	for life := range lives(t) {
		l := &liveness{rand: rand.New(rand.NewPCG(seed+life, 3))}
		l.live(t, seed+life)
	}
}

// liveness is one store that ends under load.
type liveness struct {
	*ownWorld
	rand  *rand.Rand // the test's own goroutine has it
	free  atomic.Uint64
	disk  *storetest.Disk
	stuck bool // the index will be
}

func (l *liveness) live(t *testing.T, seed uint64) {
	l.free.Store(1 << 30)
	l.disk = &storetest.Disk{}
	way := l.rand.IntN(4)
	l.stuck = way == 2
	l.ownWorld = newOwnWorld(t, store.Config{
		Disk: l.disk, SegmentBytes: 4000, MemTableBytes: 1 << 20, RoomBytes: 8 << 20, Free: func(string) (uint64, error) { return l.free.Load(), nil },
		After: func(d time.Duration) <-chan time.Time {
			if d < store.StuckLook || l.stuck {
				d /= 100
			}
			return time.After(d)
		},
	})
	var letGo func() error
	if l.stuck {
		_, letGo = l.HoldOwnIndex()
	}
	if way == 1 {
		l.disk.FailAt(1+l.rand.IntN(60), storetest.Failure(l.rand.IntN(3)))
	}
	var all sync.WaitGroup
	done := make(chan struct{})
	for range 1 + l.rand.IntN(9) {
		sizes := []int{1 + l.rand.IntN(3), 1 + l.rand.IntN(60)}
		all.Go(func() { l.commitUntilEnd(sizes) })
	}
	after := uint64(l.rand.IntN(400))
	all.Go(func() { l.endAfter(t, way, after) })
	all.Go(func() { l.ended <- <-l.ended })
	go func() { all.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(commitMax):
		stacks := make([]byte, 1<<20)
		t.Fatalf("seed %d: nobody answers\n%s", seed, stacks[:runtime.Stack(stacks, true)])
	}
	<-l.ended // why it ended is other tests' matter
	err := l.Close()
	if errors.Is(err, store.ErrStuck) {
		err = letGo()
	}
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
}

// commitUntilEnd commits until that fails, and fills and empties the disk.
func (l *liveness) commitUntilEnd(sizes []int) {
	for n := 0; ; n++ {
		if _, err := l.commit(sizes[n%len(sizes)]); err != nil {
			return
		}
		if n%16 == 0 {
			l.free.Store(uint64(n/16%2) << 30)
		}
	}
}

// endAfter ends the store one way when it has some entries, if nothing else has.
func (l *liveness) endAfter(t *testing.T, way int, entries uint64) {
	updates, cancel := l.Updates()
	defer cancel()
	for l.writer.Size() < entries+1 {
		select {
		case <-updates:
		case err := <-l.ended:
			l.ended <- err
			return
		}
	}
	if way != 3 {
		l.stop()
		return
	}
	twin, err := storetest.NewAuthor(l.me)
	if err == nil {
		var e ledger.Entry
		if e, err = storetest.Sale(77); err == nil {
			_, err = twin.Write(e)
		}
	}
	for err == nil {
		l.free.Store(1 << 30)
		if _, err = l.Ingest(t.Context(), []ledger.Run{twin.Whole()}); !errors.Is(err, store.ErrNoRoom) {
			break
		}
		err = nil
	}
	if err != nil {
		t.Error(fmt.Errorf("couldn't give the proof: %w", err))
		l.stop()
	}
}
