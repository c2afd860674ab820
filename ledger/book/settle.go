package book

import (
	"sort"

	"rasid/ledger"
	"rasid/ledger/event"
)

// item is what an entry left open on an account: owed to somebody (negative), or
// missing (positive). Decisions take from it what is there, never more.
type item struct {
	owner   *node
	account string
	open    ledger.Paise
	why     Reason       // question while it is open, none if empty
	ask     ledger.Paise // at most this much is asked about, if not 0
}

// take returns the posting that takes up to amount from the item.
func (i *item) take(amount ledger.Paise) Posting {
	part := min(amount, max(i.open, -i.open))
	if i.open < 0 {
		part = -part
	}
	i.open -= part
	return Posting{i.account, -part}
}

// settler settles nodes that have to do with each other. It is made for one call.
type settler struct {
	out   settled
	nodes []*node // in their order
	at    map[event.Ref]*node
	items map[*node][]*item
	order []*item // every item, for the questions

	bag     map[event.Ref]*node // the first count of each bag
	carried map[event.Ref]bool  // bags that a deposit has brought to the bank
	said    map[*node]event.Body
	done    map[*node]bool // decisions that took effect, and notes in doubt that are resolved
}

// settle of rule set 1: payments of one bill share what was due; decisions apply to
// what they point at, in their order; what they cannot take is disputed.
func (firstRules) settle(nodes []*node) settled { return newSettler(nodes).run() }

func newSettler(nodes []*node) *settler {
	s := &settler{
		nodes: append([]*node(nil), nodes...), at: map[event.Ref]*node{}, items: map[*node][]*item{},
		bag: map[event.Ref]*node{}, carried: map[event.Ref]bool{}, said: map[*node]event.Body{}, done: map[*node]bool{},
	}
	sort.Slice(s.nodes, func(i, j int) bool { return s.nodes[i].before(s.nodes[j]) })
	s.index()
	return s
}

func (s *settler) run() settled {
	s.payments()
	for _, step := range []func(*node){s.fact, s.count, s.resolve, s.consume, s.payOut, s.deposit, s.writeOff} {
		for _, n := range s.nodes {
			step(n)
		}
	}
	for _, n := range s.nodes {
		s.askOfNote(n)
	}
	for _, i := range s.order {
		if asked := max(i.open, -i.open); i.why != "" && asked != 0 {
			if i.ask != 0 {
				asked = min(asked, i.ask)
			}
			s.ask(i.owner, i.why, asked)
		}
	}
	return s.out
}

// index finds each entry by its reference. A paper speaks only where its log does
// not, and once.
func (s *settler) index() {
	kept := s.nodes[:0]
	for _, papers := range []bool{false, true} {
		for _, n := range s.nodes {
			if n.paper == papers && s.at[n.ref()] == nil {
				s.at[n.ref()] = n
			}
		}
	}
	for _, n := range s.nodes {
		switch {
		case !n.paper:
			kept = append(kept, n)
		case s.at[n.ref()] != n: // its log is here, or another paper of it
		case n.held:
			delete(s.at, n.ref()) // nothing to point at until it is decided
			s.ask(n, ReasonHeld, amountOf(n.body))
		default:
			s.ask(n, ReasonPaper, amountOf(n.body))
			kept = append(kept, n)
		}
	}
	s.nodes = kept
}

func (s *settler) ask(n *node, why Reason, amount ledger.Paise) {
	s.out.questions = append(s.out.questions, Question{At: n.at, Entry: n.name(), Reason: why, Amount: amount, WallMs: n.wall, Slot: n.src.slot, Office: n.src.office})
}

// post leaves out lines of nothing.
func (s *settler) post(n *node, postings ...Posting) {
	t := Transaction{At: n.at, Entry: n.name(), Kind: n.kind, WallMs: n.wall}
	for _, p := range postings {
		if p.Amount != 0 {
			t.Postings = append(t.Postings, p)
		}
	}
	t.mustBalance()
	if len(t.Postings) > 0 {
		s.out.transactions = append(s.out.transactions, t)
	}
}

func (s *settler) leave(n *node, account string, open ledger.Paise, why Reason) *item {
	i := &item{owner: n, account: account, open: open, why: why}
	s.items[n] = append(s.items[n], i)
	s.order = append(s.order, i)
	return i
}

// left returns what n left open on an account, nil if nothing ever.
func (s *settler) left(n *node, account string) *item {
	for _, i := range s.items[n] {
		if i.account == account {
			return i
		}
	}
	return nil
}

// target finds what a decision points at. Where it is not held, the decision waits.
func (s *settler) target(n *node, to event.Ref) *node {
	t := s.at[to]
	if t == nil {
		s.ask(n, ReasonWaiting, amountOf(n.body))
	}
	return t
}

// fact books slips, notes that are nobody's, and bags; a note in doubt is a question
// until it is resolved.
func (s *settler) fact(n *node) {
	switch b := n.body.(type) {
	case *event.SlipIssued:
		account := slipAccount(n.name())
		s.post(n, append(s.paidFrom(n, b.Amount), Posting{account, -b.Amount})...)
		s.leave(n, account, -b.Amount, ReasonSlipOpen)
	case *event.NoteOrphaned:
		s.post(n, Posting{n.src.cash(), b.Value}, Posting{n.src.unallocated(), -b.Value})
		s.leave(n, n.src.unallocated(), -b.Value, ReasonOrphanedNote)
	case *event.CashBoxRemoved:
		sum := b.Notes.Sum()
		s.post(n, Posting{transitAccount(n.name()), sum}, Posting{n.src.cash(), -sum})
	}
}

// askOfNote asks of a note whose place or value nobody has said yet.
func (s *settler) askOfNote(n *node) {
	if s.done[n] {
		return
	}
	if n.kind == event.KindNoteUnresolved {
		s.ask(n, ReasonNoteInDoubt, n.value)
	} else if b, ok := n.body.(*event.NoteOrphaned); ok && b.Value == 0 {
		s.ask(n, ReasonOrphanedNote, 0)
	}
}

// paidFrom takes an amount from the sale's account; what a receipt says of notes that
// its log does not tell of is in the box.
func (s *settler) paidFrom(n *node, amount ledger.Paise) []Posting {
	return []Posting{{n.sale, amount - n.boxed}, {n.src.cash(), n.boxed}}
}

// count books the first count of a bag. Counting moves nothing, so a second count
// posts nothing, and is asked about.
func (s *settler) count(n *node) {
	b, ok := n.body.(*event.BoxCounted)
	if !ok {
		return
	}
	sum := b.Notes.Sum()
	if first := s.bag[b.Bag]; first != nil {
		s.ask(n, ReasonDisagree, sum-amountOf(first.body))
		return
	}
	s.bag[b.Bag] = n
	bag := s.at[b.Bag]
	if bag == nil {
		s.post(n, Posting{accountCounted, sum}, Posting{accountUnmatched, -sum})
		s.leave(n, accountUnmatched, -sum, ReasonUnmatched)
		return
	}
	removed, ok := bag.body.(*event.CashBoxRemoved)
	if !ok {
		s.post(n, Posting{accountCounted, sum}, Posting{accountUnmatched, -sum})
		s.leave(n, accountUnmatched, -sum, ReasonTarget)
		return
	}
	known := removed.Notes.Sum()
	s.post(n, Posting{accountCounted, sum}, Posting{transitAccount(bag.name()), -known}, Posting{bag.src.difference(), known - sum})
	s.leave(n, bag.src.difference(), known-sum, ReasonBoxDiffers)
}

// resolve settles notes in doubt: by a count, or by a note that was nobody's.
func (s *settler) resolve(n *node) {
	switch b := n.body.(type) {
	case *event.NoteResolved:
		doubt, count := s.at[b.Doubt], s.at[b.Count]
		if doubt == nil || count == nil {
			s.ask(n, ReasonWaiting, 0)
			return
		}
		diff := s.difference(count)
		switch {
		case doubt.kind != event.KindNoteUnresolved || count.kind != event.KindBoxCounted:
			s.ask(n, ReasonTarget, doubt.value)
			return
		case diff == nil: // its bag is not held, or another count of it came first
			s.ask(n, ReasonWaiting, doubt.value)
			return
		}
		if !s.resolves(n, doubt) || b.Outcome == event.OutcomeReturned {
			return
		}
		diff.open += doubt.value
		s.found(n, doubt, Posting{diff.account, doubt.value})
	case *event.Matched:
		from, to := s.at[b.From], s.at[b.To]
		if from == nil || to == nil {
			s.ask(n, ReasonWaiting, 0)
			return
		}
		orphan, ok := from.body.(*event.NoteOrphaned)
		switch {
		case ok && to.kind == event.KindNoteUnresolved:
			s.matchNote(n, from, orphan, to)
		case from.kind != event.KindDepositSeen || to.kind != event.KindCashBoxRemoved:
			s.ask(n, ReasonTarget, 0)
		}
	}
}

// difference is what a count left open against what the kiosk knew.
func (s *settler) difference(count *node) *item {
	for _, i := range s.items[count] {
		if i.why == ReasonBoxDiffers {
			return i
		}
	}
	return nil
}

// resolves reports whether n is the first to say where a note in doubt is.
func (s *settler) resolves(n, doubt *node) bool {
	if s.done[doubt] {
		s.ask(n, ReasonDisagree, doubt.value)
		return false
	}
	s.done[doubt] = true
	return true
}

func (s *settler) found(n, doubt *node, from Posting) {
	account := citizenAccount(doubt.name())
	s.post(n, from, Posting{account, -from.Amount})
	s.leave(doubt, account, -from.Amount, ReasonCreditOpen)
}

func (s *settler) matchNote(n, from *node, orphan *event.NoteOrphaned, doubt *node) {
	if s.done[from] {
		s.ask(n, ReasonDisagree, orphan.Value)
		return
	}
	if !s.resolves(n, doubt) {
		return
	}
	s.done[from] = true
	if orphan.Value == 0 { // the acceptor did not say: the note in doubt does
		s.found(n, doubt, Posting{from.src.cash(), doubt.value})
		return
	}
	i := s.left(from, from.src.unallocated())
	s.found(n, doubt, i.take(orphan.Value))
}
