package book

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"

	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/ledger/receipt"
)

// output is what reading a log gave: what its entries post by themselves, and the
// nodes that are booked together with others.
type output struct {
	transactions []Transaction
	questions    []Question
	nodes        []*node
	papers       []*node // PaperRecovered
	forks        []forkShown
	revoked      []revocation
	decided      []decision
	sales        []openSale
	clocks       []*clock
	tookOver     []event.Ref // notes of other logs that this one has taken over
	newest       int         // place of the newest rule set that it states
	unknown      int
	ungoverned   int
}

// forkShown is what the office says of a fork, and what is asked of it: it waits until
// the log is held.
type forkShown struct {
	shown    *event.ForkShown
	question Question
}

// revocation and decision are what the office says of a machine, and of an entry that
// is held, and the place of the rule set under which it does.
type revocation struct {
	*event.MachineRevoked
	rules int
}

type decision struct {
	verdict event.Verdict
	of      event.Ref
	rules   int
}

// opened is what a sale began with.
type opened struct {
	leaf ledger.Hash
	src  *source
	wall uint64
}

// note is what is known of one note.
type note struct {
	value   ledger.Paise
	sale    uint64
	settled bool // an entry has said where it is
	spent   bool // by a payment or slip
	stacked bool
	held    bool       // the entry that says so is held, or void
	anyhow  *bool      // spent on this branch or another
	account string     // of its sale, when it was stacked
	from    *event.Ref // of a note taken over: the entry that names it in the earlier log
	fate    *fate      // of a note that a later log has taken over: what its node tells
}

// reader reads one branch of a log. Its maps are of this branch alone.
type reader struct {
	fleet   ed25519.PublicKey
	known   []ruleSet
	author  event.Author
	src     *source
	rules   int                 // place of the rule set that governs, −1 for an unknown one
	asked   bool                // of the entries under an unknown one
	sales   map[uint64]opened   // by index of SaleOpened
	escrow  map[uint64]*note    // by index of NoteEscrowed
	stacked map[uint64]*note    // by index of NoteStacked
	open    map[uint64]*note    // of escrow, those that may be neither spent nor returned
	openOf  map[uint64][]uint64 // the notes of each sale that has not ended, of which some may be in open
	ended   map[uint64]bool     // sales that ended with such notes
	later   uint64              // the newest sale that was opened under rule set 3 or later
	blind   bool                // some entries are under rules that this version lacks
	clock   *clock              // of an office's log
	next    uint64
	view    *view
	out     *output
}

func newReader(k *Keeper, g *group) *reader {
	r := &reader{fleet: k.fleet, known: k.rules, author: g.author, src: newSource(&g.identity, g.view.twice), view: g.view, out: g.out, sales: map[uint64]opened{}, escrow: map[uint64]*note{}, stacked: map[uint64]*note{}, open: map[uint64]*note{}, openOf: map[uint64][]uint64{}, ended: map[uint64]bool{}, clock: &clock{}}
	r.govern(g.rules)
	return r
}

func (r *reader) govern(name ledger.Hash) {
	r.rules, r.asked = -1, false
	for i, set := range r.known {
		if set.name() == name {
			r.rules = i
		}
	}
	r.out.newest = max(r.out.newest, r.rules)
}

// fork returns a reader that goes on from here along a branch.
func (r *reader) fork(first ledger.Hash) *reader {
	b := *r
	b.src = r.src.branch(first)
	b.sales = maps.Clone(r.sales)
	b.escrow, b.stacked, b.open = map[uint64]*note{}, map[uint64]*note{}, map[uint64]*note{}
	b.ended, b.clock = maps.Clone(r.ended), r.clock.clone()
	b.openOf = make(map[uint64][]uint64, len(r.openOf))
	for sale, notes := range r.openOf {
		b.openOf[sale] = slices.Clone(notes)
	}
	copies := map[*note]*note{}
	for at, n := range r.escrow {
		c := *n
		b.escrow[at], copies[n] = &c, &c
	}
	for at, n := range r.stacked {
		b.stacked[at] = copies[n]
	}
	for at, n := range r.open {
		b.open[at] = copies[n]
	}
	return &b
}

// entry reads the next entry; accepted says that a revocation does not hold it.
func (r *reader) entry(index uint64, raw []byte, accepted bool) error {
	e, err := ledger.DecodeEntry(raw)
	if err != nil {
		return fmt.Errorf("log %s, entry %d: %w", r.src.id, index, err)
	}
	at := entryAt{index: index, leaf: ledger.LeafHash(raw), entry: e}
	r.next = index + 1
	if index == 0 && r.view.opened { // two histories from the beginning
		r.src = r.src.branch(at.leaf)
		r.ask(&at, ReasonFork, 0)
	} else if index == 0 && r.view.twice {
		r.ask(&at, ReasonSlotTwice, 0)
	}
	if r.rules < 0 && e.Kind != event.KindRulesStated {
		r.out.ungoverned++
		r.blind = true
		if !r.asked {
			r.asked = true
			r.ask(&at, ReasonRules, 0)
		}
		return nil
	}
	if at.body, err = event.Decode(e); errors.Is(err, ledger.ErrMalformed) {
		r.ask(&at, ReasonMalformed, 0)
		return nil
	} else if err != nil {
		return err
	}
	if _, unknown := at.body.(*event.Unknown); unknown {
		r.out.unknown++
		return nil
	}
	if !r.author.MayWrite(index, e.Kind) {
		r.ask(&at, ReasonRole, 0)
		return nil
	}
	if at.beyond = !accepted; at.beyond {
		at.held, at.heldOut, at.decided = r.view.holds(index, at.leaf)
	}
	r.body(&at)
	return nil
}

// body reads what means the same under every rule set and leaves the rest to the
// one that governs.
func (r *reader) body(at *entryAt) {
	switch b := at.body.(type) {
	case *event.RulesStated:
		r.govern(b.Rules)
	case *event.MachineRevoked:
		// It moves no money: it counts wherever in an authority log it stands.
		r.out.revoked = append(r.out.revoked, revocation{b, r.rules})
	case *event.HeldDecided:
		if at.beyond { // what a revocation holds decides nothing, whoever has decided it
			r.ask(at, ReasonHeld, 0)
			return
		}
		r.out.decided = append(r.out.decided, decision{b.Verdict, b.Entry, r.rules})
	case *event.PaperRecovered:
		r.paper(at, b)
	case *event.ForkShown:
		r.out.forks = append(r.out.forks, forkShown{b, r.question(at, ReasonWaiting, 0)})
	default:
		r.known[r.rules].read(r, at)
	}
}

// paper takes the entry on a receipt for a fact where the receipt verifies.
func (r *reader) paper(at *entryAt, b *event.PaperRecovered) {
	switch {
	case at.held:
		r.ask(at, ReasonHeld, 0)
	case at.heldOut:
	case receipt.VerifyRecovered(r.fleet, b) != nil:
		r.ask(at, ReasonFalseProof, amountOf(b))
	default:
		r.out.papers = append(r.out.papers, r.node(at))
	}
}

// node keeps an entry for the settling.
func (r *reader) node(at *entryAt) *node {
	return &node{src: r.src, at: ledger.Position{Log: r.src.id, Index: at.index}, leaf: at.leaf, kind: at.entry.Kind, wall: at.entry.Time.WallMs, body: at.body, rules: r.rules}
}

func (r *reader) ask(at *entryAt, why Reason, amount ledger.Paise) {
	r.out.questions = append(r.out.questions, r.question(at, why, amount))
}

func (r *reader) question(at *entryAt, why Reason, amount ledger.Paise) Question {
	return Question{At: ledger.Position{Log: r.src.id, Index: at.index}, Entry: r.src.name(at.index, at.leaf), Reason: why, Amount: amount, WallMs: at.entry.Time.WallMs, Slot: r.src.slot, Office: r.src.office}
}

func (r *reader) post(at *entryAt, postings ...Posting) {
	t := Transaction{At: ledger.Position{Log: r.src.id, Index: at.index}, Entry: r.src.name(at.index, at.leaf), Kind: at.entry.Kind, WallMs: at.entry.Time.WallMs, Postings: postings}
	t.mustBalance()
	r.out.transactions = append(r.out.transactions, t)
}

// mustBalance panics where postings do not sum to zero. Entries bound their amounts,
// so no sum here is near overflow.
func (t *Transaction) mustBalance() {
	var sum ledger.Paise
	for _, p := range t.Postings {
		sum += p.Amount
	}
	if sum != 0 {
		panic(fmt.Sprintf("broken invariant: the postings of entry %s sum to %d paise", t.Entry, sum))
	}
}

// sale is the account of a sale; where no sale was opened, nobody's.
func (r *reader) sale(index uint64) (account string, ok bool) {
	o, ok := r.sales[index]
	if !ok {
		return r.src.unallocated(), false
	}
	return saleAccount(r.saleName(index, o)), true
}

// branches are the histories of one log, each as its entries, none the beginning of
// another.
type branch struct {
	entries  [][]byte
	accepted uint64 // entries that a revocation does not hold
}

// readForked reads the histories of one log: what they share once, then each by
// itself, in the order of the leaf hashes where they part. It returns where each ends.
func (r *reader) readForked(all []branch, from uint64) (ends []*reader, err error) {
	for i := from; ; i++ {
		if i == uint64(len(all[0].entries)) {
			return []*reader{r}, nil // one branch alone: of several, none is the beginning of another
		}
		parted := partAt(all, i)
		if len(parted) > 1 {
			for n, one := range parted {
				leaf := ledger.LeafHash(one[0].entries[i])
				b := r.fork(leaf)
				if n > 0 {
					b.ask(&entryAt{index: i, leaf: leaf}, ReasonFork, 0)
				}
				of, err := b.readForked(one, i)
				if err != nil {
					return nil, err
				}
				ends = append(ends, of...)
			}
			return ends, nil
		}
		var accepted uint64
		for _, b := range all {
			accepted = max(accepted, b.accepted)
		}
		if err := r.entry(i, all[0].entries[i], !r.view.revoked || i < accepted); err != nil {
			return nil, err
		}
	}
}

// partAt groups branches by their entry at index i, the smallest leaf first.
func partAt(all []branch, i uint64) [][]branch {
	groups := map[ledger.Hash][]branch{}
	for _, b := range all {
		leaf := ledger.LeafHash(b.entries[i])
		groups[leaf] = append(groups[leaf], b)
	}
	leaves := make([]ledger.Hash, 0, len(groups))
	for leaf := range groups {
		leaves = append(leaves, leaf)
	}
	sort.Slice(leaves, func(a, b int) bool { return string(leaves[a][:]) < string(leaves[b][:]) })
	var out [][]branch
	for _, leaf := range leaves {
		out = append(out, groups[leaf])
	}
	return out
}
