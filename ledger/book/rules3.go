package book

import (
	"sort"
	"time"

	"rasid/ledger"
	"rasid/ledger/event"
)

// thirdRules is rule set 3: rule set 2; a receipt spends the notes that its log tells of;
// what is void spends none; and no money stays in a sale that can no longer end without
// somebody being asked.
type thirdRules struct{ secondRules }

func (thirdRules) name() ledger.Hash { return Rules3() }

func (s thirdRules) read(r *reader, at *entryAt) {
	switch b := at.body.(type) {
	case *event.SaleOpened:
		r.later = at.index
	case *event.SaleEnded:
		for _, index := range r.openOf[b.Sale] {
			if n := r.open[index]; n != nil && !r.closed(n) {
				r.ended[b.Sale] = true
			}
		}
		delete(r.openOf, b.Sale) // a log that ends one sale again and again is not read again and again
	case *event.Acknowledged:
		if !at.beyond {
			r.clock.hear(at, b)
		}
	}
	s.secondRules.read(r, at)
}

// saleName names a sale. One that was opened before a log's branches parted is one sale
// on all of them.
func (r *reader) saleName(index uint64, o opened) string {
	if r.rules >= third {
		return o.src.name(index, o.leaf)
	}
	return r.src.name(index, o.leaf)
}

// escrows begins what is known of a note.
func (r *reader) escrows(at *entryAt, n *note) {
	n.anyhow, n.held = new(bool), at.held || at.heldOut
	r.escrow[at.index], r.open[at.index] = n, n
	r.openOf[n.sale] = append(r.openOf[n.sale], at.index)
	r.watch(at, n)
}

// spent marks a note as spent. One that was stacked before a log's branches parted is
// one note: two branches may have given something for it, and it was one.
func (r *reader) spent(at *entryAt, n *note) {
	if *n.anyhow && r.rules >= third {
		r.ask(at, ReasonDisagree, n.value)
	}
	n.spent, *n.anyhow = true, true
}

// closed reports whether a note needs nobody any more: it went back, or somebody has
// what it was given for, or it is asked about as held.
func (r *reader) closed(n *note) bool {
	if r.rules < third {
		return n.settled && !(n.stacked && !n.spent && !n.held)
	}
	return n.settled && !n.stacked || *n.anyhow || n.held
}

// openSale is a sale with notes that nobody was given anything for, or whose place is
// open, at the end of what is held of a log.
type openSale struct {
	question Question
	size     uint64 // entries of the branch, if it is to be asked only where no more come; else 0
}

// finish asks of the sales that logs left open, at the ends of a log's branches. That a
// sale can no longer end by itself is known where a later log of the machine goes on
// (and has not taken its notes over), where the machine is revoked, where the same log
// has ended the sale or gone on with another, or where nothing more came of the log
// while the office heard others for silence.
func finish(ends []*reader) {
	out := ends[0].out
	out.sales, out.clocks = nil, nil
	asked := map[string]int{}
	type noteOf struct {
		sale string
		note *bool
	}
	seen := map[noteOf]bool{}
	for _, r := range ends {
		if len(r.clock.heard) > 0 {
			out.clocks = append(out.clocks, r.clock)
		}
		for _, index := range r.left() {
			n := r.open[index]
			o, ok := r.sales[n.sale]
			if !ok || n.fate != nil {
				continue
			}
			size := r.next
			if r.view.followed || r.view.gone || r.later > n.sale || r.ended[n.sale] {
				size = 0
			}
			name := r.saleName(n.sale, o)
			i, again := asked[name]
			if !again {
				i = len(out.sales)
				asked[name] = i
				q := r.question(&entryAt{index: n.sale, leaf: o.leaf, entry: ledger.Entry{Time: ledger.Time{WallMs: o.wall}}}, ReasonSaleOpen, 0)
				q.Entry = name
				out.sales = append(out.sales, openSale{q, size})
			}
			if key := (noteOf{name, n.anyhow}); !seen[key] {
				seen[key] = true
				out.sales[i].question.Amount += n.value
			}
			out.sales[i].size = min(out.sales[i].size, size)
		}
	}
}

// left are the notes that are still open, in their order; those that are not, whatever
// comes, are looked at no more.
func (r *reader) left() []uint64 {
	var list []uint64
	for index, n := range r.open {
		switch closed := r.closed(n); {
		case closed && n.settled:
			delete(r.open, index)
		case !closed:
			list = append(list, index)
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })
	return list
}

// silence is how long nothing comes of a log with money in its last sale before
// somebody is asked, by the office's clock alone. A sale at a kiosk that is cut off
// takes minutes, and may be heard of weeks later: then the question goes away.
const silence = 7 * 24 * time.Hour

// clock is what one log of an office tells of when it heard of other logs.
type clock struct {
	heard  map[ledger.LogID]heard
	newest []tick // those after which none is as late by the clock, in the order of the log
}

// heard is the first entry that acknowledges the most of a log.
type heard struct {
	size uint64
	tick
}

type tick struct{ index, wall uint64 }

func (c *clock) clone() *clock {
	d := &clock{newest: append([]tick(nil), c.newest...)}
	for id, h := range c.heard {
		d.set(id, h)
	}
	return d
}

func (c *clock) set(id ledger.LogID, h heard) {
	if c.heard == nil {
		c.heard = map[ledger.LogID]heard{}
	}
	c.heard[id] = h
}

func (c *clock) hear(at *entryAt, b *event.Acknowledged) {
	now := tick{at.index, at.entry.Time.WallMs}
	for len(c.newest) > 0 && c.newest[len(c.newest)-1].wall <= now.wall {
		c.newest = c.newest[:len(c.newest)-1]
	}
	c.newest = append(c.newest, now)
	for _, h := range b.Held {
		if h.Size > c.heard[h.Log].size {
			c.set(h.Log, heard{h.Size, now})
		}
	}
}

// silent reports whether an office holds no more of a log than size entries, and has
// since acknowledged others for as long as silence.
func silent(clocks []*clock, id ledger.LogID, size uint64) bool {
	long := false
	for _, c := range clocks {
		h, ok := c.heard[id]
		if ok && h.size > size {
			return false // it holds more than is held here: that may end the sale
		}
		if !ok || h.size < size {
			continue
		}
		i := sort.Search(len(c.newest), func(i int) bool { return c.newest[i].index >= h.index })
		long = long || c.newest[i].wall-h.wall >= uint64(silence.Milliseconds())
	}
	return long
}
