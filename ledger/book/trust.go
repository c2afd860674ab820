package book

import (
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"
	"sort"

	"rasid/ledger"
	"rasid/ledger/event"
)

// trust is what the authority has said of machines, and the office of held entries.
type trust struct {
	revoked   map[[ed25519.PublicKeySize]byte]map[event.Accepted]bool
	gone      map[[ed25519.PublicKeySize]byte]bool // revoked under rule set 3 or later
	decided   map[event.Ref]decision
	papers    []*node                   // what receipts that count, or are held, say
	home      map[event.Ref]*group      // of those under rule set 3 and later, the log that is held
	byHome    map[*group][]*node        // the same
	takenOver map[event.Ref][]*identity // notes that later logs have taken over → those logs
	last      map[stream]uint32         // newest incarnation whose log is under rule set 2 or later
}

// stream is what one machine writes one log after another of.
type stream struct {
	machine [ed25519.PublicKeySize]byte
	author  event.Author
}

func newTrust() *trust {
	return &trust{revoked: map[[ed25519.PublicKeySize]byte]map[event.Accepted]bool{}, gone: map[[ed25519.PublicKeySize]byte]bool{}, decided: map[event.Ref]decision{}, home: map[event.Ref]*group{}, byHome: map[*group][]*node{}, takenOver: map[event.Ref][]*identity{}, last: map[stream]uint32{}}
}

// trustOf collects it from all logs. A tip that any revocation accepts is accepted;
// of two verdicts, "counts" stands.
func (k *Keeper) trustOf() *trust {
	t := newTrust()
	for _, g := range k.logs {
		for _, r := range g.out.revoked {
			if t.revoked[r.Machine] == nil {
				t.revoked[r.Machine] = map[event.Accepted]bool{}
			}
			t.gone[r.Machine] = t.gone[r.Machine] || r.rules >= third
			for _, tip := range r.Accepted {
				t.revoked[r.Machine][tip] = true
			}
		}
		for _, d := range g.out.decided {
			t.decided[d.of] = d.over(t.decided[d.of])
		}
		for _, r := range g.out.tookOver {
			t.takenOver[r] = append(t.takenOver[r], &g.identity)
		}
		if g.out.newest > 0 {
			s := stream{g.machine, g.author}
			t.last[s] = max(t.last[s], g.ordinal)
		}
	}
	k.housePapers(t)
	return t
}

// over puts two decisions on one entry together.
func (d decision) over(e decision) decision {
	switch {
	case e.verdict == d.verdict:
		d.rules = max(d.rules, e.rules)
	case e.verdict == event.VerdictCounts:
		return e
	}
	return d
}

// paper is the node of the entry on a receipt; nil where it is held and decided as
// void. A paper of a revoked machine proves nothing of when it was written.
func (t *trust) paper(p *node) *node {
	b := p.body.(*event.PaperRecovered)
	e, body, err := b.Recovered()
	if err != nil {
		panic(fmt.Sprintf("broken invariant: a receipt was decoded and is unreadable: %v", err))
	}
	from := identity{id: b.Paper.Log, slot: b.Paper.Slot, ordinal: b.Paper.Ordinal, author: event.Author{Role: b.Chain.Machine.Role, Stream: b.Grant.Stream}}
	n := &node{boxed: amountOf(body), src: newSource(&from, false), at: ledger.Position{Log: b.Paper.Log, Index: b.Paper.Index}, leaf: ledger.LeafHash(b.Paper.Entry), kind: e.Kind, wall: e.Time.WallMs, body: body, paper: true, rules: p.rules}
	if _, revoked := t.revoked[b.Chain.Machine.Key]; revoked {
		switch t.decided[n.ref()].verdict {
		case event.VerdictVoid:
			return nil
		case event.VerdictCounts:
		default:
			n.held = true
		}
	}
	return n
}

// place is an entry of a log.
type place struct {
	index uint64
	leaf  [event.LeafBytes]byte
}

// view is all that the reading of one log depends on beside its own entries.
type view struct {
	twice     bool // another log has the same name
	opened    bool // its key has opened it with another entry 0 too
	revoked   bool
	tips      []event.Accepted // of this log, in order
	decided   map[place]decision
	gone      bool           // revoked under rule set 3 or later
	papers    []*node        // receipts of entries that this log does not hold, by index
	named     map[place]bool // notes that an entry names which was decided to count
	takenOver map[place]bool // notes that a later log of the machine has taken over
	followed  bool           // a later log of the machine is under rule set 2 or later
}

func (k *Keeper) viewOf(g *group, t *trust) *view {
	v := &view{twice: k.names[g.prefix()] > 1, opened: k.ids[g.id] > 1, followed: t.last[stream{g.machine, g.author}] > g.ordinal}
	for r, by := range t.takenOver {
		if r.Log == g.id && slices.ContainsFunc(by, func(l *identity) bool { return l.machine == g.machine && l.ordinal > g.ordinal }) {
			if v.takenOver == nil {
				v.takenOver = map[place]bool{}
			}
			v.takenOver[place{r.Index, r.Leaf}] = true
		}
	}
	v.papers = k.papersOf(g, t)
	tips, revoked := t.revoked[g.machine]
	if !revoked {
		return v
	}
	v.revoked, v.gone, v.decided = true, t.gone[g.machine] || g.out.newest >= third, map[place]decision{}
	for tip := range tips {
		if tip.Log == g.id {
			v.tips = append(v.tips, tip)
		}
	}
	sort.Slice(v.tips, func(i, j int) bool {
		a, b := v.tips[i], v.tips[j]
		if a.Size != b.Size {
			return a.Size < b.Size
		}
		return string(a.Root[:]) < string(b.Root[:])
	})
	for r, verdict := range t.decided {
		if r.Log == g.id {
			v.decided[place{r.Index, r.Leaf}] = verdict
		}
	}
	return v
}

// whole reports whether what the log says depends on more than what it said before.
func (v *view) whole() bool {
	return v.revoked || v.followed || len(v.takenOver) > 0 || len(v.papers) > 0
}

func (v *view) same(w *view) bool {
	return v.twice == w.twice && v.opened == w.opened && v.revoked == w.revoked && v.followed == w.followed && v.gone == w.gone && slices.EqualFunc(v.papers, w.papers, (*node).samePaper) && maps.Equal(v.takenOver, w.takenOver) && slices.Equal(v.tips, w.tips) && maps.Equal(v.decided, w.decided)
}

// holds says what becomes of an entry that no accepted tip covers: held, or decided
// to be nothing, or neither.
func (v *view) holds(index uint64, leaf ledger.Hash) (held, out bool, rules int) {
	at := place{index, [event.LeafBytes]byte(leaf[:event.LeafBytes])}
	d := v.decided[at]
	switch {
	case d.verdict == event.VerdictCounts || v.named[at]:
		return false, false, 0
	case d.verdict == event.VerdictVoid:
		return false, true, d.rules
	}
	return true, false, 0
}

// accept finds out which entries of each branch are under an accepted tip, and which
// notes are named by an entry that was decided to count.
func (v *view) accept(branches []branch) error {
	v.named = map[place]bool{}
	for i := range branches {
		b := &branches[i]
		leaves := make([]ledger.Hash, 0, len(b.entries))
		for _, raw := range b.entries {
			leaves = append(leaves, ledger.LeafHash(raw))
		}
		var edge ledger.Edge
		for _, tip := range v.tips {
			if tip.Size > uint64(len(leaves)) {
				break
			}
			var err error
			if edge, err = edge.Append(leaves[edge.Size():tip.Size]...); err != nil {
				return err
			}
			if edge.Root() == tip.Root {
				b.accepted = tip.Size
			}
		}
		v.name(b, leaves)
	}
	return nil
}

func (v *view) name(b *branch, leaves []ledger.Hash) {
	for at, d := range v.decided {
		if d.verdict != event.VerdictCounts || at.index >= uint64(len(leaves)) || at.leaf != [event.LeafBytes]byte(leaves[at.index][:event.LeafBytes]) {
			continue
		}
		e, err := ledger.DecodeEntry(b.entries[at.index])
		if err != nil {
			continue // reading it says so
		}
		body, err := event.Decode(e)
		if err != nil {
			continue
		}
		v.nameNotes(body, leaves[:at.index])
	}
	for _, p := range v.papers {
		if !p.held && p.at.Index >= uint64(len(leaves)) { // it was decided to count
			v.nameNotes(p.body, leaves)
		}
	}
}

func (v *view) nameNotes(body event.Body, leaves []ledger.Hash) {
	_, notes, _ := spends(body)
	for _, index := range notes {
		if index < uint64(len(leaves)) {
			v.named[place{index, [event.LeafBytes]byte(leaves[index][:event.LeafBytes])}] = true
		}
	}
}
