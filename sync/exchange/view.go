package exchange

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"rasid/ledger"
	"rasid/sync/wire"
)

// What is remembered of one log at one peer is bounded, since peers are strangers.
const (
	pointsKept = 64 // points that they stated (PROTOCOL.md §2)
	cameKept   = 8  // ends of runs that they sent
	legsKept   = 1024
)

// view is what one peer holds of one log, as far as we know, and how it wants to hear of
// the rest (PROTOCOL.md §6).
type view struct {
	points []point      // stated by them, ascending by size and root
	came   []ledger.Tip // ends of runs that they sent
	sent   []leg        // by us, not answered yet
	lazy   bool         // hushed by them
	hushed bool         // by us
	serves bool         // we asked for all that we lack, and have not hushed them since
	told   []ledger.Tip // tips noticed to them since
	named  bool         // they have named the log
	left   bool         // out for the session
	asked  bool         // they want everything that they have not stated
	ahead  bool         // of a log of our own: they hold more than we wrote
	queued bool
	gap    uint64 // from where on we can serve what they lack more of; 0: from where they are
	offer  uint64 // from where on they can serve what we lack more of; 0: from where we are
	asks   ask    // their last request
	begs   ask    // ours
}

// point is a size and root on some branch of theirs.
type point struct {
	ledger.Tip
	known  bool // it lies on a branch of ours
	looked bool // it does not, as we hold the log now
	asked  bool // we asked for what leads to it
}

// leg is a run that we sent.
type leg struct {
	first  uint64
	branch [ledger.BranchBytes]byte
	end    ledger.Tip
}

// ask is a request for a log, told from another by what its sender held.
type ask struct {
	held  uint64
	times int
}

func endOf(r ledger.Run) ledger.Tip { return ledger.Tip{Size: r.End.Size, Root: r.End.Root} }

// begins reports whether a run that begins at first on the branch goes on from t.
func begins(first uint64, branch [ledger.BranchBytes]byte, t ledger.Tip) bool {
	return first == t.Size && branch == [ledger.BranchBytes]byte(t.Root[:])
}

func compareTips(a, b ledger.Tip) int {
	return cmp.Or(cmp.Compare(a.Size, b.Size), bytes.Compare(a.Root[:], b.Root[:]))
}

// longest is the size of the longest of tips.
func longest(tips []ledger.Tip) (size uint64) {
	for _, t := range tips {
		size = max(size, t.Size)
	}
	return size
}

// theirs is how much of the log they hold at least on one branch.
func (v *view) theirs() (size uint64) {
	if n := len(v.points); n > 0 {
		size = v.points[n-1].Size
	}
	return max(size, longest(v.came))
}

// has reports whether they hold a branch up to t by their own word, or we sent it.
func (v *view) has(t ledger.Tip) bool {
	return v.point(t) != nil || slices.Contains(v.came, t) || slices.ContainsFunc(v.sent, func(l leg) bool { return l.end == t })
}

func (v *view) point(t ledger.Tip) *point {
	for i := range v.points {
		if v.points[i].Tip == t {
			return &v.points[i]
		}
	}
	return nil
}

// stated is what they hold by their own word.
func (v *view) stated() []ledger.Tip {
	out := slices.Clone(v.came)
	for _, p := range v.points {
		out = append(out, p.Tip)
	}
	slices.SortFunc(out, compareTips)
	return slices.Compact(out)
}

// under is what we sent and they have not answered.
func (v *view) under() (out []ledger.Tip) {
	for _, l := range v.sent {
		out = append(out, l.end)
	}
	return out
}

// state takes in points that they stated together. single says that the log has one
// branch here; where it has one there too, what they hold is one tip, which replaces the
// one before, a smaller one only when they ask to be sent from there.
func (v *view) state(tips []ledger.Tip, single, send bool) {
	single = single && len(tips) <= 1 && len(v.points) <= 1
	if single && len(tips) == 0 {
		if send {
			v.points, v.came = nil, nil
		}
		return
	}
	for _, t := range tips {
		known := v.answered(t)
		switch p := v.point(t); {
		case p != nil:
			p.known = p.known || known
		case single && (send || t.Size >= v.theirs()):
			v.points = []point{{Tip: t, known: known}}
		default: // of one branch they would not hold less than before
			v.points = append(v.points, point{Tip: t, known: known})
		}
	}
	if single {
		size := v.theirs()
		v.sent = slices.DeleteFunc(v.sent, func(l leg) bool { return l.end.Size <= size })
		if send {
			v.came = nil
		}
	}
	v.tidy()
}

func (v *view) tidy() {
	slices.SortFunc(v.points, func(a, b point) int { return compareTips(a.Tip, b.Tip) })
	for len(v.points) > pointsKept { // a smaller one only says where to begin
		i := max(0, slices.IndexFunc(v.points, func(p point) bool { return p.known }))
		v.points = slices.Delete(v.points, i, i+1)
	}
}

// answered reports whether t is the end of a run that we sent. Then they hold all that
// leads to it from there, and what they stated of it before says nothing more.
func (v *view) answered(t ledger.Tip) bool {
	found := false
	for {
		i := slices.IndexFunc(v.sent, func(l leg) bool { return l.end == t })
		if i < 0 {
			return found
		}
		found = true
		l := v.sent[i]
		v.sent = slices.Delete(v.sent, i, i+1)
		v.points = slices.DeleteFunc(v.points, func(p point) bool { return begins(l.first, l.branch, p.Tip) })
		before := slices.IndexFunc(v.sent, func(b leg) bool { return begins(l.first, l.branch, b.end) })
		if before < 0 {
			return true
		}
		t = v.sent[before].end
	}
}

// took notes a run that they sent.
func (v *view) took(r ledger.Run) {
	end := endOf(r)
	// What it goes on from still says where ours may begin, until we hold the end.
	if v.came = append(slices.DeleteFunc(v.came, func(t ledger.Tip) bool { return t == end }), end); len(v.came) > cameKept {
		v.came = slices.Delete(v.came, 0, 1)
	}
}

// gave notes a run that we sent.
func (v *view) gave(r ledger.Run) {
	if v.sent = append(v.sent, leg{r.First, r.Branch, endOf(r)}); len(v.sent) > legsKept {
		v.sent = slices.Delete(v.sent, 0, 1)
	}
}

// lacks reports whether they have stated, of a log with branches, what may be none of
// ours: one of several points, or one that was found on none.
func (v *view) lacks(held []ledger.Tip) bool {
	return slices.ContainsFunc(v.points, func(p point) bool {
		return (len(v.points) > 1 || p.asked) && !p.known && !slices.Contains(held, p.Tip)
	})
}

// barred reports whether what they lack next was dropped here.
func (v *view) barred() bool { return v.gap > v.theirs() }

// grew says that we hold more: what was on no branch of ours may be on one now.
func (v *view) grew() {
	for i := range v.points {
		v.points[i].looked = false
	}
}

// judge takes in where their points lie; one below another says nothing more. It returns
// those on no branch of ours that were not asked for yet.
func (v *view) judge(e RunRead) (lacking []*point) {
	v.points = slices.DeleteFunc(v.points, func(p point) bool { return slices.Contains(e.Below, p.Tip) })
	v.came = slices.DeleteFunc(v.came, func(t ledger.Tip) bool { return slices.Contains(e.Below, t) })
	for _, t := range e.Known {
		if p := v.point(t); p != nil {
			p.known = true
		}
	}
	for _, t := range e.Blind {
		if p := v.point(t); p != nil {
			p.looked = true
		}
	}
	for _, t := range e.Unknown {
		if p := v.point(t); p != nil {
			p.looked = true
			if !p.asked {
				lacking = append(lacking, p)
			}
		}
	}
	return lacking
}

// again counts a request, told from another one by what was held; false when it was made
// too often.
func (a *ask) again(held uint64) bool {
	if a.times == 0 || a.held != held {
		*a = ask{held: held}
	}
	a.times++
	return a.times <= askedTimes
}

// mark is a number that changes with a set of tips.
func mark(tips []ledger.Tip) (n uint64) {
	for _, t := range tips {
		n += binary.BigEndian.Uint64(t.Root[:])
	}
	return n
}

// parts cuts tips, descending as a whole, into lists as a message has them.
func parts(tips []ledger.Tip) [][]ledger.Tip {
	tips = slices.Clone(tips)
	slices.SortFunc(tips, func(a, b ledger.Tip) int { return compareTips(b, a) })
	var out [][]ledger.Tip
	for part := range slices.Chunk(slices.Compact(tips), wire.TipsMax) {
		slices.Reverse(part)
		out = append(out, part)
	}
	return out
}
