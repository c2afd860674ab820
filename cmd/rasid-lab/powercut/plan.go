package powercut

import (
	"math/rand/v2"
	"time"
)

// moment is a kind of cut, by where it falls.
type moment string

// The moments.
const (
	momentBusy    moment = "while it works"
	momentStart   moment = "while it starts"
	momentSegment moment = "while a segment begins"
	momentTable   moment = "while Badger writes tables"
	momentKilled  moment = "after a kill between write and sync"
	momentPruning moment = "while it prunes"
)

// Moments names the moments of a cut.
func Moments() []string {
	var out []string
	for _, m := range moments() {
		out = append(out, string(m))
	}
	return out
}

func moments() []moment {
	return []moment{momentBusy, momentStart, momentSegment, momentTable, momentKilled, momentPruning}
}

// plan is what happens from one cut's mount to the cut.
type plan struct {
	moment moment
	lives  []life // all but the last end with a kill alone
}

// life is one writer's.
type life struct {
	orders
	reports  int           // after it is ready, then delay
	delay    time.Duration // counted from the start if starting
	starting bool
	step     int // of pruning, when some is due, in which it ends instead of after reports; then delay
}

const (
	busyReports  = 80
	busyDelay    = 3 * time.Millisecond
	startDelay   = 80 * time.Millisecond
	startCalls   = 10
	smallSegment = 2000
	smallTables  = 1 << 20
	pruneSteps   = 8
	pruneDelay   = 5 * time.Millisecond // a step's transaction takes less
	pruneShare   = 3                    // one life of so many prunes, whenever it ends
)

// makePlan chooses where a cut falls. only, if not empty, is the moment to choose.
func makePlan(r *rand.Rand, only moment) plan {
	p := plan{moment: only}
	if only == "" {
		p.moment = moments()[r.IntN(len(moments()))]
	}
	l := ordinary(r)
	switch p.moment {
	case momentStart:
		if r.IntN(4) == 0 { // what a killed process left makes the start's work longer
			p.lives = append(p.lives, between(r))
		}
		l.starting, l.delay = true, time.Duration(r.Int64N(int64(startDelay)))
		if r.IntN(2) == 0 {
			l.delay = 4 * startDelay // should there be fewer calls
			l.Pause = Pause{Op: anyOp, N: 1 + r.IntN(startCalls), After: r.IntN(2) == 0, Open: true}
		}
	case momentSegment:
		ops := []string{opCreate, opRename, opSyncDir}
		l.SegmentBytes = smallSegment
		l.Pause = Pause{Op: ops[r.IntN(len(ops))], N: 1 + r.IntN(4), After: r.IntN(2) == 0}
		l.reports = 4 * busyReports // enough for it to come so far
	case momentTable:
		l.Large, l.reports = true, r.IntN(2*busyReports)
	case momentKilled:
		for range 1 + r.IntN(2) {
			p.lives = append(p.lives, between(r))
		}
		l.reports = r.IntN(5)
		if r.IntN(2) == 0 { // before a next commit's sync makes what was left durable
			l.reports, l.delay = 0, 0
		}
	case momentPruning:
		if r.IntN(3) == 0 { // what a killed process dropped may not be durable
			p.lives = append(p.lives, pruning(r))
		}
		l = pruning(r)
	}
	p.lives = append(p.lives, l)
	return p
}

func ordinary(r *rand.Rand) life {
	sizes := []int64{smallSegment, 10 * smallSegment, 0}
	return life{
		orders: orders{
			SegmentBytes: sizes[r.IntN(len(sizes))], MemTableBytes: smallTables, Committers: 1 + r.IntN(4),
			Idle: time.Duration(r.Int64N(int64(busyDelay))), Prunes: r.IntN(pruneShare) == 0,
		},
		reports: r.IntN(busyReports), delay: time.Duration(r.Int64N(int64(busyDelay))),
	}
}

// between is killed when a record is written and not yet synced.
func between(r *rand.Rand) life {
	l := ordinary(r)
	l.Pause = Pause{Op: opWrite, N: 1 + r.IntN(20), After: true}
	l.reports = 4 * busyReports
	return l
}

// pruning ends within a step of pruning, or shortly after it.
func pruning(r *rand.Rand) life {
	l := ordinary(r)
	l.Prunes, l.step, l.reports = true, 1+r.IntN(pruneSteps), 8*busyReports
	l.delay = time.Duration(r.Int64N(int64(pruneDelay)))
	return l
}
