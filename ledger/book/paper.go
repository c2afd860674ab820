package book

import (
	"slices"
	"sort"

	"rasid/ledger"
	"rasid/ledger/event"
)

// housePapers collects what receipts say, and finds for those under rule set 3 or later
// the log that is held: there they are read behind what it says itself.
func (k *Keeper) housePapers(t *trust) {
	logs := map[ledger.LogID][]*group{}
	rules := map[event.Ref]int{}
	for _, g := range k.sorted() {
		logs[g.id] = append(logs[g.id], g)
		for _, p := range g.out.papers {
			if n := t.paper(p); n != nil {
				t.papers = append(t.papers, n)
				rules[n.ref()] = max(rules[n.ref()], n.rules)
			}
		}
	}
	for _, n := range t.papers {
		r := n.ref()
		for _, g := range logs[n.at.Log] { // more than one where its key opened it twice
			if t.home[r] == nil && max(rules[r], g.out.newest) >= third && (g.prefix() == n.src.prefix || len(logs[g.id]) == 1) {
				t.home[r] = g
				n.rules = max(rules[r], g.out.newest)
				t.byHome[g] = append(t.byHome[g], n)
			}
		}
	}
}

// papersOf are the receipts of entries that a log does not hold, in their order, each
// once.
func (k *Keeper) papersOf(g *group, t *trust) []*node {
	var list []*node
	for _, n := range t.byHome[g] {
		if !k.booked(n.ref()) {
			list = append(list, n)
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].precedes(list[j]) })
	return list
}

// precedes is the order of the entries on receipts of one log.
func (n *node) precedes(m *node) bool {
	if n.at.Index != m.at.Index {
		return n.at.Index < m.at.Index
	}
	return string(n.leaf[:]) < string(m.leaf[:])
}

// samePaper reports whether two papers say the same.
func (n *node) samePaper(m *node) bool {
	return n.at == m.at && n.leaf == m.leaf && n.rules == m.rules && n.held == m.held
}

// booked reports whether a log has given a node for an entry.
func (k *Keeper) booked(r event.Ref) bool {
	c := k.byRef[r]
	for c != nil && c.into != nil {
		c = c.into
	}
	return c != nil && slices.ContainsFunc(c.nodes, func(n *node) bool { return !n.paper && n.ref() == r })
}

// spends are the sale, the notes and the amount of a payment or slip.
func spends(b event.Body) (sale uint64, notes []uint64, amount ledger.Paise) {
	switch b := b.(type) {
	case *event.PaymentCommitted:
		return b.Sale, b.Notes.Indexes(), b.Tendered
	case *event.SlipIssued:
		return b.Sale, b.Notes.Indexes(), b.Amount
	}
	return 0, nil, 0
}

// showPapers reads the entries on receipts where the log would have them: behind the
// end of a branch. A log that has the entry itself needs no paper. Of several branches
// it is the one that has the most of its money, of equal ones the first.
func showPapers(ends []*reader, branches []branch) {
	for _, p := range ends[0].view.papers {
		if slices.ContainsFunc(branches, func(b branch) bool {
			return p.at.Index < uint64(len(b.entries)) && ledger.LeafHash(b.entries[p.at.Index]) == p.leaf
		}) {
			continue
		}
		var end *reader
		var most ledger.Paise
		for _, r := range ends {
			if known, fits := r.knows(p); fits && (end == nil || known > most) {
				end, most = r, known
			}
		}
		if end != nil {
			end.show(p)
			continue
		}
		// It is of another history than those held: all that it tells of is its own.
		n := *p
		r := ends[0]
		if !n.held {
			q := r.question(n.entryAt(), ReasonFork, 0)
			q.Entry = n.name()
			r.out.questions = append(r.out.questions, q)
		}
		r.out.nodes = append(r.out.nodes, &n)
	}
}

func (n *node) entryAt() *entryAt {
	return &entryAt{index: n.at.Index, leaf: n.leaf, entry: ledger.Entry{Kind: n.kind, Time: ledger.Time{WallMs: n.wall}}, body: n.body}
}

// knows reports whether a branch can go on to the entry on a receipt, and how much of
// what it spends the branch has in the box.
func (r *reader) knows(p *node) (known ledger.Paise, fits bool) {
	if r.next > p.at.Index {
		return 0, false
	}
	if b, ok := p.body.(*event.NoteUnresolved); ok {
		_, held := r.escrow[b.Note]
		return 0, held || b.Note >= r.next || r.blind
	}
	sale, notes, _ := spends(p.body)
	if _, held := r.sales[sale]; !held && sale < r.next && !r.blind {
		return 0, false
	}
	for _, index := range notes {
		n := r.stacked[index]
		switch {
		case n != nil && n.sale == sale:
			known += n.value
		case n != nil || index < r.next && !r.blind:
			return 0, false
		}
	}
	return known, true
}

// show reads the entry on a receipt at the end of a branch.
func (r *reader) show(p *node) {
	n, at := *p, p.entryAt()
	n.src, at.held = r.src, p.held
	if b, ok := n.body.(*event.NoteUnresolved); ok {
		r.showDoubt(at, &n, b)
		return
	}
	sale, notes, amount := spends(n.body)
	n.sale, _ = r.sale(sale)
	var known, again ledger.Paise
	missing := false
	for _, index := range notes {
		s := r.stacked[index]
		if s == nil {
			missing = true
			continue
		}
		if n.sale, known = s.account, known+s.value; s.spent {
			again += s.value
		}
		s.spent, *s.anyhow = true, true
	}
	n.boxed = 0
	if missing {
		n.boxed = max(0, amount-known)
		r.arrive(sale, n.boxed)
	}
	if differs := amount - known - n.boxed + again; differs != 0 && !n.held {
		r.ask(at, ReasonDisagree, differs)
	}
	r.out.nodes = append(r.out.nodes, &n)
}

// arrive takes a note of the sale whose place is open for one of those that a receipt
// names and the log does not tell of: no sale is paid with a note on its way.
func (r *reader) arrive(sale uint64, boxed ledger.Paise) {
	for _, index := range r.openOf[sale] {
		if n := r.open[index]; n != nil && !r.closed(n) && !n.settled && n.value <= boxed {
			n.settled, n.stacked, n.spent, *n.anyhow = true, true, true, true
			boxed -= n.value
		}
	}
}

// showDoubt reads the receipt of a note in doubt.
func (r *reader) showDoubt(at *entryAt, n *node, b *event.NoteUnresolved) {
	if e := r.escrow[b.Note]; e != nil {
		if e.settled {
			r.ask(at, ReasonDisagree, e.value)
			return
		}
		e.settled, n.value, n.from, n.fate = true, e.value, e.from, e.fate
		if e.fate != nil && !n.held {
			e.fate.doubt = n
		}
	}
	r.out.nodes = append(r.out.nodes, n)
}
