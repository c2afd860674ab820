package node

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// It changes this test process, which needs no core of its own.
func TestHideMemory(t *testing.T) {
	if err := HideMemory(); err != nil {
		t.Fatal(err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil || limit.Cur != 0 || limit.Max != 0 {
		t.Errorf("the limit of core files is %+v, %v", limit, err)
	}
	if n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || n != 0 {
		t.Errorf("dumpable is %d, %v", n, err)
	}
}

func TestBoundMemory(t *testing.T) {
	t.Cleanup(func() { debug.SetMemoryLimit(math.MaxInt64) })
	ctx, cancel := context.WithCancel(t.Context())
	tick, done := make(chan time.Time), make(chan error, 1)
	go func() { done <- BoundMemory(ctx, tick) }()
	tick <- time.Time{} // the limit is set before the first
	if got := debug.SetMemoryLimit(-1); got != softLimit {
		t.Errorf("a small heap has the limit %d, want %d", got, softLimit)
	}
	large := make([]byte, softLimit)
	runtime.GC()
	tick <- time.Time{}
	tick <- time.Time{}
	if got := debug.SetMemoryLimit(-1); got < int64(len(large))*3/2+32<<20 {
		t.Errorf("a heap of %d live bytes has the limit %d", len(large), got)
	}
	runtime.KeepAlive(large)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
		t.Errorf("afterwards the limit is %d", got)
	}
}

// A limit that the operator set stays, and the actor stays too: one that ends would end
// the program.
func TestBoundMemoryLeavesTheOperatorsLimit(t *testing.T) {
	const operators = 1 << 30
	debug.SetMemoryLimit(operators)
	t.Cleanup(func() { debug.SetMemoryLimit(math.MaxInt64) })
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- BoundMemory(ctx, nil) }()
		synctest.Wait()
		if len(done) != 0 {
			t.Error("it ended by itself")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if got := debug.SetMemoryLimit(-1); got != operators {
		t.Errorf("the operator's limit %d became %d", operators, got)
	}
}
