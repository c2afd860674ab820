package main

import (
	"time"

	"golang.org/x/sys/unix"

	"rasid/ledger"
)

// clock stamps entries with what the machine believes and how well it knows.
type clock struct {
	started time.Time
	least   ledger.TimeQuality
}

func newClock(worth string) clock {
	c := clock{started: time.Now()}
	if worth == "operator" {
		c.least = ledger.TimeOperator
	}
	return c
}

func (c clock) now() ledger.Time {
	now := time.Now()
	return ledger.Time{WallMs: uint64(max(0, now.UnixMilli())), Quality: c.quality(), BootMs: uint64(now.Sub(c.started).Milliseconds())}
}

// quality asks the kernel whether a time service disciplines the clock.
func (c clock) quality() ledger.TimeQuality {
	var t unix.Timex
	if state, err := unix.Adjtimex(&t); err == nil && state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0 {
		return ledger.TimeNetwork
	}
	return c.least
}

func (c clock) trusted() bool { return c.quality() != ledger.TimeNone }
