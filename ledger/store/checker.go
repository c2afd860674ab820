package store

import (
	"context"

	"rasid/ledger"
)

// checker verifies runs of one own log as a neighbour does, in a goroutine of its own
// that stands ready: to start one for each run costs a commit more than to wake it.
type checker struct {
	asked chan claim
	found chan finding
}

// claim is a run that was signed, and the log before it.
type claim struct {
	before held
	run    ledger.Run
}

// finding is what the log grows by, and the log after it, or why it does not.
type finding struct {
	growth growth
	after  held
	err    error
}

func newChecker() checker { return checker{make(chan claim, 1), make(chan finding, 1)} }

// ask has run verified. The answer must be taken before the next is asked.
func (w checker) ask(before held, run ledger.Run) { w.asked <- claim{before, run} }

func (w checker) answer() finding { return <-w.found }

// run verifies until ctx ends, at which no answer may be owed.
func (w checker) run(ctx context.Context, s *Store) {
	for {
		select {
		case c := <-w.asked:
			g, after, err := s.grow(c.before, c.run)
			w.found <- finding{g, after, err}
		case <-ctx.Done():
			return
		}
	}
}
