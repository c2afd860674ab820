package book

import (
	"rasid/ledger"
	"rasid/ledger/event"
)

// secondRules is rule set 2: rule set 1, and notes that a log takes over from an
// earlier one of its machine. Such a note is one note, whichever log speaks of it.
type secondRules struct{ firstRules }

func (secondRules) name() ledger.Hash { return Rules2() }

func (s secondRules) read(r *reader, at *entryAt) {
	b, ok := at.body.(*event.NoteTakenOver)
	if !ok {
		s.firstRules.read(r, at)
		return
	}
	r.escrows(at, &note{value: b.Value, sale: b.Sale, from: &b.Note})
	if !at.heldOut || max(r.rules, at.decided) < third {
		r.out.tookOver = append(r.out.tookOver, b.Note)
	}
}

// fate is what a log says of a note that a later log has taken over.
type fate struct {
	note     *note
	ref      event.Ref // the entry that names it
	account  string    // of its sale
	returned bool
	doubt    *node
}

// watch makes a node of a note that a later log has taken over: what is said of it
// there depends on what is said of it here.
func (r *reader) watch(at *entryAt, n *note) {
	if len(r.view.takenOver) == 0 || !r.view.takenOver[place{at.index, [event.LeafBytes]byte(at.leaf[:event.LeafBytes])}] {
		return
	}
	w := r.node(at)
	n.fate = &fate{note: n, ref: w.ref()}
	n.fate.account, _ = r.sale(n.sale)
	w.fate, w.value = n.fate, n.value
	r.out.nodes = append(r.out.nodes, w)
}

// near is where a node meets what other logs say of its note.
func (n *node) near() (refs []event.Ref) {
	if n.from != nil {
		refs = append(refs, *n.from)
	}
	if n.fate != nil {
		refs = append(refs, n.fate.ref)
		if from := n.fate.note.from; from != nil {
			refs = append(refs, *from)
		}
	}
	return refs
}

func (secondRules) settle(nodes []*node) settled {
	s := newSettler(nodes)
	taken := map[event.Ref]bool{}
	for _, n := range s.nodes {
		if n.from == nil {
			continue
		}
		switch n.kind {
		case event.KindNoteStacked:
			s.takeOver(n, taken)
		case event.KindNoteUnresolved:
			s.knownThere(n, taken)
		case event.KindNoteReturned:
			if f, _, _ := s.fateOf(n); f != nil && f.note.stacked {
				s.ask(n, ReasonDisagree, n.value)
			}
		}
	}
	return s.run()
}

// fateOf finds what the newest earlier log says that says where the note is, and the
// entry that names it there: of several logs that took it over one after another, those
// that left its place open say nothing. It is nil where the earliest held leaves it open
// too; why says that the entry is not held, or is no note of an earlier log of the machine.
func (s *settler) fateOf(n *node) (f *fate, at event.Ref, why Reason) {
	at = *n.from
	for by := n.src; ; {
		w := s.at[at]
		switch {
		case w == nil:
			return nil, at, ReasonWaiting
		case w.fate == nil || w.fate.ref != at || w.src.machine != by.machine || w.src.ordinal >= by.ordinal:
			return nil, at, ReasonTarget
		}
		f := w.fate
		if f.note.stacked && !f.note.held || f.returned || f.doubt != nil {
			return f, at, ""
		}
		if f.note.from == nil {
			return nil, at, ""
		}
		at, by = *f.note.from, w.src
	}
}

// takeOver books a stacked note that was taken over. Where the earlier log has it in
// the box, it is cash there and moves to the sale here; where that log has spent it, or
// another one has taken it over before, there is nothing left to move: what was given
// here is disputed. Else this log is the first to say that it is in the box.
func (s *settler) takeOver(n *node, taken map[event.Ref]bool) {
	f, at, why := s.fateOf(n)
	if why != "" {
		s.ask(n, why, n.value) // it may be cash there too
	}
	switch {
	case taken[at] || f != nil && f.note.stacked && f.note.spent:
		s.post(n, Posting{accountDisputed, n.value}, Posting{n.sale, -n.value})
		s.leave(n, accountDisputed, n.value, ReasonDisputed)
	case f != nil && f.note.stacked:
		s.post(n, Posting{f.account, n.value}, Posting{n.sale, -n.value})
	default:
		s.post(n, Posting{n.src.cash(), n.value}, Posting{n.sale, -n.value})
		if f != nil {
			s.ask(n, ReasonDisagree, n.value)
		}
		if f != nil && f.doubt != nil {
			s.done[f.doubt] = true // it is found: nobody is to find it once more
		}
	}
	taken[at] = taken[at] || why != ReasonTarget
}

// knownThere settles a note in doubt here of which the earlier log says that it is in
// the box: it is found, and the citizen's.
func (s *settler) knownThere(n *node, taken map[event.Ref]bool) {
	f, at, _ := s.fateOf(n)
	if f == nil || !f.note.stacked {
		return
	}
	if f.note.spent || taken[at] {
		s.ask(n, ReasonDisagree, n.value)
		return
	}
	taken[at], s.done[n] = true, true
	s.found(n, n, Posting{f.account, n.value})
}
