package exchange

import (
	"errors"
	"slices"

	"rasid/ledger"
)

// Branch is one branch of a log, as the owner's store holds it durably. It does not
// change.
type Branch interface {
	Tip() ledger.Tip
	// Root returns the root at any size up to the tip's, or *PrunedError where what tells
	// it was dropped; never at the From of that.
	Root(size uint64) (ledger.Hash, error)
	// ReadRun reads durable entries from an index below the tip's size on, of about
	// maxBytes, that end at a kept checkpoint, or *PrunedError where they were dropped.
	ReadRun(from uint64, maxBytes int) (ledger.Run, error)
}

// Serve answers ReadRun from the branches that are held of the log: at once what the
// peer lacks, from where it can take it, and where what it stated lies (PROTOCOL.md §6).
// It may read a good deal and is not for the exchange's goroutine.
func Serve(branches []Branch, q ReadRun) RunRead {
	e := RunRead{Conn: q.Conn, Log: q.Log}
	s := server{branches: branches, parted: map[[2]int]uint64{}}
	for _, b := range branches {
		e.Tips = append(e.Tips, b.Tip())
	}
	if s.goOn(q, &e) {
		return e
	}
	e.Err = s.serve(q, &e)
	return e
}

// server looks at the branches of one log.
type server struct {
	branches []Branch
	parted   map[[2]int]uint64 // of pairs of branches, how many first entries they share
	blind    error             // a *PrunedError: where some point lies cannot be told
}

// goOn is the common case, one branch at both ends, with nothing read twice.
func (s *server) goOn(q ReadRun, e *RunRead) bool {
	all := append(slices.Clone(q.Held), q.Sent...)
	if len(s.branches) != 1 || len(q.Tips) != 1 || len(q.Held) != 1 || slices.MaxFunc(all, compareTips) != all[len(all)-1] {
		return false
	}
	from := all[len(all)-1]
	if from.Size >= e.Tips[0].Size {
		return false
	}
	run, err := s.branches[0].ReadRun(from.Size, q.MaxBytes)
	if err == nil && !begins(run.First, run.Branch, from) {
		return false
	}
	if len(q.Sent) == 0 {
		e.Known = q.Held
	}
	e.Run, e.Err = run, err
	return true
}

// spot is a point with the branches that it lies on.
type spot struct {
	ledger.Tip
	on    []int
	blind bool // it may lie on more
}

func (s *server) serve(q ReadRun, e *RunRead) error {
	stated, err := s.locate(q.Held)
	if err != nil {
		return err
	}
	sent, err := s.locate(q.Sent)
	if err != nil {
		return err
	}
	size := longest(e.Tips)
	for _, p := range stated {
		switch {
		case len(p.on) > 0 && slices.ContainsFunc(stated, p.below):
			e.Below = append(e.Below, p.Tip)
		case len(p.on) > 0:
			e.Known = append(e.Known, p.Tip)
		case p.blind:
			e.Blind = append(e.Blind, p.Tip)
		case p.Size <= size:
			e.Unknown = append(e.Unknown, p.Tip)
		}
	}
	if len(e.Unknown) > 0 {
		if e.Points, err = s.ladder(); err != nil {
			return err
		}
	}
	err = s.pick(q, append(stated, sent...), e)
	if err == nil && len(e.Run.Entries) == 0 && len(q.Tips) > 0 {
		err = s.blind // perhaps it would go on from there
	}
	return err
}

// below reports whether a branch that p lies on has o farther on.
func (p spot) below(o spot) bool {
	return o.Size > p.Size && slices.ContainsFunc(o.on, func(b int) bool { return slices.Contains(p.on, b) })
}

func (s *server) locate(points []ledger.Tip) ([]spot, error) {
	out := make([]spot, 0, len(points))
	for _, t := range points {
		p := spot{Tip: t}
		for i := range s.branches {
			on, err := s.lies(t, i)
			if isPruned(err) {
				p.blind, s.blind = true, err
				continue
			}
			if err != nil {
				return nil, err
			}
			if on {
				p.on = append(p.on, i)
			}
		}
		out = append(out, p)
	}
	return out, nil
}

func (s *server) lies(t ledger.Tip, branch int) (bool, error) {
	end := s.branches[branch].Tip()
	if t.Size >= end.Size {
		return t == end, nil
	}
	root, err := s.branches[branch].Root(t.Size)
	return root == t.Root, err
}

// pick reads a run of the first wanted branch that departs where the peer has it
// otherwise, which proves the fork, else of the first one.
func (s *server) pick(q ReadRun, held []spot, e *RunRead) error {
	branch, first := -1, uint64(0)
	for _, b := range s.wanted(q.Tips) {
		from, departs, ok, err := s.start(b, held, q.Whole)
		if err != nil {
			return err
		}
		if !ok || from >= s.branches[b].Tip().Size || branch >= 0 && !departs {
			continue
		}
		if branch, first = b, from; departs {
			break
		}
	}
	if branch < 0 {
		return nil
	}
	var err error
	e.Run, err = s.branches[branch].ReadRun(first, q.MaxBytes)
	return err
}

// wanted are the branches that now lead on from tips, in the tips' order. A tip that
// cannot be found has been overtaken, and will be asked for again.
func (s *server) wanted(tips []ledger.Tip) (out []int) {
	for _, t := range tips {
		for b := range s.branches {
			if on, err := s.lies(t, b); err == nil && on && !slices.Contains(out, b) {
				out = append(out, b)
			}
		}
	}
	return out
}

// start finds where a run of the branch may begin: departs says that what the peer holds
// goes on otherwise there.
func (s *server) start(branch int, held []spot, whole bool) (from uint64, departs, ok bool, err error) {
	for _, p := range held {
		if len(p.on) == 0 {
			continue
		}
		if slices.Contains(p.on, branch) {
			if p.Size >= from {
				from, departs = p.Size, false
			}
			ok = true
			continue
		}
		for _, other := range p.on {
			n, err := s.shared(branch, other)
			if err != nil {
				return 0, false, false, err
			}
			if !ok || n > from {
				from, departs = n, true
			}
			ok = true
		}
	}
	return from, departs, ok || whole, nil
}

// shared is how many first entries two branches have in common.
func (s *server) shared(a, b int) (uint64, error) {
	pair := [2]int{min(a, b), max(a, b)}
	if n, ok := s.parted[pair]; ok {
		return n, nil
	}
	low, high := uint64(0), min(s.branches[a].Tip().Size, s.branches[b].Tip().Size)
	for low < high {
		mid := low + (high-low+1)/2
		same, err := s.agree(a, b, mid)
		if err != nil {
			return 0, err
		}
		if same {
			low = mid
		} else {
			high = mid - 1
		}
	}
	s.parted[pair] = low
	return low, nil
}

// agree reports whether two branches have the same first entries, size of them. What both
// have dropped they have in common, for a branch holds all from where it departs; what
// one alone has dropped counts as other, so that a run begins earlier than it must.
func (s *server) agree(a, b int, size uint64) (bool, error) {
	p, errA := s.branches[a].Root(size)
	r, errB := s.branches[b].Root(size)
	if isPruned(errA) || isPruned(errB) {
		return isPruned(errA) && isPruned(errB), nil
	}
	return p == r, errors.Join(errA, errB)
}

func isPruned(err error) bool {
	var pruned *PrunedError
	return errors.As(err, &pruned)
}

// ladder is points by which another can find where it departs from what is held here.
func (s *server) ladder() ([]ledger.Tip, error) {
	var out []ledger.Tip
	for b, branch := range s.branches {
		end, from := branch.Tip().Size, uint64(0) // what is shared is on the ladder of another
		for other := range b {
			n, err := s.shared(b, other)
			if err != nil {
				return nil, err
			}
			from = max(from, n)
		}
		sizes := []uint64{max(from, 1)}
		for d := uint64(1); d < end && end-d > max(from, 1); d *= 2 {
			sizes = append(sizes, end-d)
		}
		for _, size := range sizes {
			if size >= end {
				continue
			}
			root, err := branch.Root(size)
			if pruned := (*PrunedError)(nil); errors.As(err, &pruned) {
				size = pruned.From
				root, err = branch.Root(size)
			}
			if err != nil {
				return nil, err
			}
			out = append(out, ledger.Tip{Size: size, Root: root})
		}
	}
	slices.SortFunc(out, compareTips)
	if out = slices.Compact(out); len(out) > pointsKept {
		out = out[len(out)-pointsKept:]
	}
	return out, nil
}
