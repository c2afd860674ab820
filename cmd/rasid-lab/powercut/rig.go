package powercut

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	cutsPerVolume = 25 // then a fresh one: every start tells all that is there
	lifeMax       = 60 * time.Second
)

// Config is what the rig needs. Cuts and Writer must be set.
type Config struct {
	Cuts  int
	Seed  uint64 // decides what is written, how, and where the cuts fall, but not the kernel's timing
	Break Break
	Only  string // a moment: no other cuts; empty: all
	// Writer makes the command that runs Write in Root on its standard input and output.
	Writer func() *exec.Cmd
	// Progress is called after each cut.
	Progress func(done int)
	// Keep is where the data folder goes in which something is missing; empty: nowhere.
	Keep string
}

// Result counts what happened.
type Result struct {
	Cuts    int
	Starts  int // of writers
	Kills   int // without a cut
	Stood   int // writers cut or killed exactly where they stood still
	Late    int // reports made after the cut, which count for nothing
	Commits int
	Entries int // acknowledged
	Tips    int // of others' logs, and the own one's, that were shown
	Objects int
	Dropped int // entries, by pruning
	Drops   int // steps of it that did so
	Inside  int // lives that ended within a step of pruning
	Untold  int // of these, those whose next start held from farther on than was shown
	Moments map[string]int
	Said    map[string]int // lines of the stores' logs, by text
}

// LostError says that something which was shown is not there after a cut or kill.
type LostError struct {
	Cut    int // from 1
	Life   uint64
	Moment string
	Err    error
}

// Error names cut and moment.
func (e *LostError) Error() string {
	return fmt.Sprintf("LOST at the start after cut %d (%s): %v", e.Cut-1, e.Moment, e.Err)
}

// Unwrap returns what is missing.
func (e *LostError) Unwrap() error { return e.Err }

// rig is one run.
type rig struct {
	cfg    Config
	rand   *rand.Rand
	result Result
	volume *volume
	world  *world
	last   moment // of the cut before
	cutAt  int64  // when this life's cut began; 0: it has not
}

// Run cuts the power cfg.Cuts times. A *LostError says that something shown is
// missing or differs, ErrUnsupported that this machine does not allow the rig, and
// any other error that the rig itself failed. What happened until then is counted.
func Run(ctx context.Context, cfg Config) (Result, error) {
	r := &rig{cfg: cfg, rand: rand.New(rand.NewPCG(cfg.Seed, 0)), result: Result{Moments: map[string]int{}, Said: map[string]int{}}}
	err := r.run(ctx)
	return r.result, err
}

func (r *rig) run(ctx context.Context) (err error) {
	defer func() {
		if r.volume != nil {
			err = errors.Join(err, r.volume.close())
		}
	}()
	for r.result.Cuts < r.cfg.Cuts {
		if r.volume, err = newVolume(ctx, volumeBytes); err != nil {
			return err
		}
		if r.world, err = newWorld(r.rand.Uint64()); err != nil {
			return err
		}
		for range min(cutsPerVolume, r.cfg.Cuts-r.result.Cuts) {
			if err := r.cycle(ctx); err != nil {
				return err
			}
			r.cfg.Progress(r.result.Cuts)
		}
		l := ordinary(r.rand) // what the last cut left
		l.reports = 1
		if err := r.life(ctx, l, true); err != nil {
			return err
		}
		if err := r.volume.close(); err != nil {
			return err
		}
		r.volume = nil
	}
	return nil
}

// cycle lives until one cut, and mounts what it left.
func (r *rig) cycle(ctx context.Context) error {
	p := makePlan(r.rand, moment(r.cfg.Only))
	for i, l := range p.lives {
		killed := i < len(p.lives)-1
		if err := r.life(ctx, l, killed); err != nil {
			return err
		}
		if killed {
			r.last = momentKilled
		}
	}
	r.last = p.moment
	r.result.Cuts++
	r.result.Moments[string(p.moment)]++
	if err := r.volume.detach(); err != nil {
		return err
	}
	return r.volume.attach()
}

// life runs one writer to its end: a kill alone, or a cut.
func (r *rig) life(ctx context.Context, l life, killed bool) error {
	l.Objects = r.world.begin()
	l.Seed, l.Life, l.Break = r.world.seed, r.world.lives, r.cfg.Break
	if l.Break == BreakSyncAtStart && l.Life == 1 {
		l.Break = BreakNothing // an empty folder has nothing to make durable
	}
	r.result.Starts++
	r.cutAt = 0
	p, err := start(r.cfg.Writer(), r.volume.root, l.orders)
	if err != nil {
		return err
	}
	ended, err := r.watch(ctx, p, l)
	if err == nil && !killed {
		r.cutAt = now()
		err = r.volume.cut()
	}
	if killed {
		r.result.Kills++
	}
	lost, killErr := p.kill(r.take)
	if r.world.pruning {
		r.result.Inside++
	}
	if err = errors.Join(err, killErr); err == nil && lost != nil {
		err = r.lost(lost)
	}
	if err == nil && ended {
		err = r.lost(fmt.Errorf("the writer ended by itself: %s", p.lastWords()))
	}
	if e := (*LostError)(nil); errors.As(err, &e) {
		err = errors.Join(err, r.keep())
	}
	return err
}

func (r *rig) lost(err error) error {
	return &LostError{Cut: r.result.Cuts + 1, Life: r.world.lives, Moment: string(r.last), Err: err}
}

// watch takes a writer's reports until its life is to end, and reports whether it
// ended by itself.
func (r *rig) watch(ctx context.Context, p *process, l life) (ended bool, err error) {
	late := time.NewTimer(lifeMax)
	defer late.Stop()
	end := time.NewTimer(lifeMax)
	defer end.Stop()
	if l.starting {
		end.Reset(l.delay)
	}
	left := l.reports
	for {
		select {
		case rep, ok := <-p.reports:
			if !ok {
				return true, nil
			}
			if rep.Kind == kindStands {
				r.result.Stood++
				return false, nil
			}
			if err := r.take(rep); err != nil {
				return false, r.lost(err)
			}
			if rep.Kind == kindReady {
				p.feed(r.world.deliver)
			}
			if rep.Kind == kindPruning && l.step > 0 && r.world.due() {
				if l.step--; l.step == 0 {
					end.Reset(l.delay)
				}
			}
			if r.world.ready && !l.starting {
				if left == 0 {
					end.Reset(l.delay)
				}
				left--
			}
		case <-end.C:
			return false, nil
		case <-late.C:
			return false, r.lost(fmt.Errorf("the writer showed too little in %v: %s", lifeMax, p.lastWords()))
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// take counts and notes one report. A report made after the cut began was made by a
// machine without power: a real cut stops the process too. Without this rule runs lose
// the last batch, because a sync that the shutdown overtakes may return nil without
// being done. It is the kernel's doing, not ours: a plain C program that writes records
// into a fallocated file and syncs each was told of success for a lost one in 9 of 60
// such cuts (Linux 6.18), each time by a call that spanned the shutdown and never by
// one that had returned before it; over zeros written beforehand in none of 60.
func (r *rig) take(rep report) error {
	if r.cutAt != 0 && rep.At >= r.cutAt {
		r.result.Late++
		return nil
	}
	switch rep.Kind {
	case kindSaid:
		r.result.Said[rep.Text]++
	case kindCommit:
		r.result.Commits++
		r.result.Entries += len(splitLeaves(rep.Leaves))
	case kindTip:
		r.result.Tips++
	case kindObject:
		if r.world.ready {
			r.result.Objects++
		}
	}
	err := r.world.take(rep)
	r.result.Dropped += r.world.dropped
	r.result.Drops += r.world.drops
	r.world.dropped, r.world.drops = 0, 0
	if rep.Kind == kindReady && r.world.untold {
		r.result.Untold++
	}
	return err
}

// keep copies the data folder as the last start left it.
func (r *rig) keep() error {
	if r.cfg.Keep == "" || r.volume.root == nil {
		return nil
	}
	from := os.DirFS(filepath.Join(fmt.Sprintf("/proc/self/fd/%d", r.volume.root.Fd()), dataName))
	if err := os.CopyFS(r.cfg.Keep, from); err != nil {
		return fmt.Errorf("couldn't keep the data folder: %w", err)
	}
	return nil
}

// String is the run in a few lines.
func (r Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d cuts, %d starts, %d kills without a cut; %d writers stood exactly where planned", r.Cuts, r.Starts, r.Kills, r.Stood)
	fmt.Fprintf(&b, "\nshown: %d commits of %d entries, %d tips, %d objects; not counted, said after the cut began: %d", r.Commits, r.Entries, r.Tips, r.Objects, r.Late)
	fmt.Fprintf(&b, "\npruned: %d entries in %d steps; %d lives ended within a step, in %d of them it was done and not said", r.Dropped, r.Drops, r.Inside, r.Untold)
	for _, name := range sortedKeys(r.Moments) {
		fmt.Fprintf(&b, "\ncut %d × %s", r.Moments[name], name)
	}
	for _, text := range sortedKeys(r.Said) {
		fmt.Fprintf(&b, "\nsaid %d × %s", r.Said[text], text)
	}
	return b.String()
}

func sortedKeys(m map[string]int) []string { return slices.Sorted(maps.Keys(m)) }
