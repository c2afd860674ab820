package book

import (
	"rasid/ledger"
	"rasid/ledger/event"
)

// firstRules is rule set 1.
type firstRules struct{}

func (firstRules) name() ledger.Hash { return Rules1() }

// read books what a kiosk's entry says by itself: only a note that is stacked is
// money at once. What the office writes of others' entries becomes nodes.
func (firstRules) read(r *reader, at *entryAt) {
	switch b := at.body.(type) {
	case *event.SaleOpened:
		r.sales[at.index] = opened{leaf: at.leaf, src: r.src, wall: at.entry.Time.WallMs}
	case *event.NoteEscrowed:
		n := &note{value: b.Value, sale: b.Sale}
		r.escrows(at, n)
	case *event.NoteStacked:
		r.noteStacked(at, b)
	case *event.NoteReturned:
		r.noteReturned(at, b)
	case *event.NoteUnresolved:
		r.noteUnresolved(at, b)
	case *event.PaymentCommitted:
		r.spend(at, b.Sale, b.Notes.Indexes(), b.Tendered)
	case *event.SlipIssued:
		r.spend(at, b.Sale, b.Notes.Indexes(), b.Amount)
	case *event.NoteOrphaned:
		if at.held && b.Value > 0 {
			r.post(at, Posting{accountHeld, b.Value}, Posting{accountHeldFor, -b.Value})
		}
		r.keep(at, r.node(at))
	case *event.CashBoxRemoved:
		r.keep(at, r.node(at))
	default:
		if pointsAt(b) != nil || at.entry.Kind == event.KindDepositSeen {
			r.keep(at, r.node(at))
		}
	}
}

// keep passes a node on to the settling, unless it is held: then it is asked about.
func (r *reader) keep(at *entryAt, n *node) {
	if at.held {
		amount := amountOf(at.body)
		if amount == 0 {
			amount = n.value
		}
		r.ask(at, ReasonHeld, amount)
	} else if !at.heldOut {
		r.out.nodes = append(r.out.nodes, n)
	}
}

func (r *reader) noteStacked(at *entryAt, b *event.NoteStacked) {
	n := r.escrow[b.Note]
	if n == nil {
		r.ask(at, ReasonDisagree, 0)
		return
	}
	if !r.settles(at, b.Note) {
		return
	}
	r.stacked[at.index] = n
	n.stacked, n.held = true, at.beyond && (at.held || at.heldOut)
	account, ok := r.sale(n.sale)
	n.account = account
	switch {
	case at.heldOut:
	case at.held:
		r.ask(at, ReasonHeld, n.value)
		r.post(at, Posting{accountHeld, n.value}, Posting{accountHeldFor, -n.value})
	default:
		if !ok {
			r.ask(at, ReasonDisagree, n.value)
		}
		if n.from != nil {
			r.about(at, n)
			return
		}
		r.post(at, Posting{r.src.cash(), n.value}, Posting{account, -n.value})
	}
}

func (r *reader) noteUnresolved(at *entryAt, b *event.NoteUnresolved) {
	if !r.settles(at, b.Note) {
		return
	}
	n := r.node(at)
	if e := r.escrow[b.Note]; e != nil {
		n.value = e.value
		n.from, n.fate = e.from, e.fate
		if e.fate != nil && !at.held && !at.heldOut {
			e.fate.doubt = n
		}
	}
	r.keep(at, n)
}

func (r *reader) noteReturned(at *entryAt, b *event.NoteReturned) {
	n := r.escrow[b.Note]
	if !r.settles(at, b.Note) || n == nil || at.held || at.heldOut {
		return
	}
	if n.fate != nil {
		n.fate.returned = true
	}
	if n.from != nil {
		r.about(at, n)
	}
}

// about makes a node of where a note is that was taken over from another log.
func (r *reader) about(at *entryAt, n *note) {
	w := r.node(at)
	w.value, w.from, w.fate = n.value, n.from, n.fate
	w.sale, _ = r.sale(n.sale)
	r.out.nodes = append(r.out.nodes, w)
}

// settles reports whether an entry is the first to say where a note is. A second one
// contradicts it: it posts nothing and is asked about, so that no note counts twice.
func (r *reader) settles(at *entryAt, index uint64) bool {
	n := r.escrow[index]
	if n == nil {
		n = &note{}
		r.escrow[index] = n
	}
	if !n.settled {
		n.settled = true
		return true
	}
	r.ask(at, ReasonDisagree, n.value)
	return false
}

// spend checks that a payment or slip is made of notes of its own sale, each once,
// that add up to it. Where it is not, the difference stays in the sale's account
// for all to see, and is asked about.
func (r *reader) spend(at *entryAt, sale uint64, notes []uint64, amount ledger.Paise) {
	if at.heldOut && max(r.rules, at.decided) >= third {
		return // it is nothing: its notes are where they were
	}
	var sum ledger.Paise
	ok := true
	for _, index := range notes {
		n := r.stacked[index]
		if n == nil || n.sale != sale || n.spent {
			ok = false
			continue
		}
		r.spent(at, n)
		sum += n.value // at most notesMax notes of 10,000 rupees
	}
	n := r.node(at)
	opened := false
	n.sale, opened = r.sale(sale)
	if !ok || sum != amount || !opened {
		r.ask(at, ReasonDisagree, amount-sum)
	}
	r.keep(at, n)
}
