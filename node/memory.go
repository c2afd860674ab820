package node

import (
	"context"
	"fmt"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"golang.org/x/sys/unix"
)

// HideMemory keeps what the process has in memory out of files: the kernel writes no
// core of it, to a file or to a program that collects them, and another process of the
// same user cannot read it. Call it before anything personal or secret is read.
func HideMemory() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("couldn't turn core files off: %w", err)
	}
	// The limit binds no collector that the kernel pipes cores to; this does.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("couldn't turn core files off: %w", err)
	}
	return nil
}

// softLimit is up to what a program's heap may grow before more is collected than
// twice what is live would ask for. A kiosk lives within it.
const softLimit = 192 << 20

// softLimitFor leaves a heap of which more is live room to work: at the limit itself
// the collector would not rest.
func softLimitFor(live uint64) int64 {
	return max(softLimit, int64(live)+int64(live)/2+32<<20)
}

// BoundMemory is an actor that has rubbish collected earlier rather than let the heap
// grow to twice what is live, until ctx ends. tick makes it look again how much is
// live, about each second. A limit that the operator set (GOMEMLIMIT) stays.
func BoundMemory(ctx context.Context, tick <-chan time.Time) error {
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		<-ctx.Done()
		return nil
	}
	defer debug.SetMemoryLimit(math.MaxInt64)
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	for {
		metrics.Read(live)
		debug.SetMemoryLimit(softLimitFor(live[0].Value.Uint64()))
		select {
		case <-tick:
		case <-ctx.Done():
			return nil
		}
	}
}
