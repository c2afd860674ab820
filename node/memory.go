package node

import (
	"fmt"

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
