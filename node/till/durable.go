package till

import (
	"fmt"
	"slices"
	"time"

	"rasid/hardware"
	"rasid/ledger"
	"rasid/ledger/event"
)

// noteState is where a note is, as far as the log says.
type noteState uint8

const (
	noteEscrowed noteState = iota
	noteIntended
	noteStacked
	noteReturned
	noteUnresolved
)

type note struct {
	index    uint64
	leaf     ledger.Hash
	value    ledger.Paise
	channel  uint8
	serial   uint32
	counters event.Counters // as read in escrow
	state    noteState
	outcome  uint64 // index of the entry that closed it
	stacked  *event.NoteStacked
	taken    bool // taken over from a log that was given up,
	boxed    bool // which has it in the box already
}

// open reports whether the note's place is still to be found out.
func (n *note) open() bool { return n.state == noteEscrowed || n.state == noteIntended }

type sale struct {
	index    uint64
	service  event.Service
	from     ledger.LogID // of the log given up that it was taken over from
	language event.Language
	bill     *event.BillSelected
	named    bool // an entry names its sealed blob
	notes    []*note
}

func (s *sale) stacked() (total ledger.Paise, indexes []uint64) {
	for _, n := range s.notes {
		if n.state == noteStacked {
			total += n.value // bounded by cash_max, far from overflow
			indexes = append(indexes, n.outcome)
		}
	}
	return total, indexes
}

func (s *sale) openNote() *note {
	if len(s.notes) == 0 {
		return nil
	}
	if n := s.notes[len(s.notes)-1]; n.open() {
		return n
	}
	return nil
}

// paper is a receipt, slip or claim that is owed to a citizen.
type paper struct {
	subject  uint64
	of       event.Ref // taken over: the subject in the log given up
	bill     *event.BillKey
	copy     uint32
	intended time.Time // when its PrintIntent was written
	printed  bool
}

// Settled is a subject that has a paper: what the last screen shows.
type Settled struct {
	Index    uint64
	Leaf     ledger.Hash
	Body     event.Body // *event.PaymentCommitted, *event.SlipIssued or *event.NoteUnresolved
	Language event.Language
}

// durable is all that the machine must know over a restart: a fold of the own log.
type durable struct {
	sale      *sale
	lastNote  *note      // newest note of any sale
	accounts  []*account // of acceptors, the one last written about at the end
	papers    []*paper
	subjects  map[uint64]*Settled         // of papers still owed, and of the last sale
	last      []uint64                    // subjects of the last sale that ended
	takenOver map[event.Ref]bool          // what was taken over
	bills     map[event.Ref]event.BillKey // of papers that may be taken over
	rules     ledger.Hash                 // rule set that governs the log
	began     time.Time                   // of the log
	faulty    hardware.PrinterFaults      // of the printer, as the log has them
	jams      []hardware.Fault            // of the acceptor, as the log has them, oldest first
	figures   Figures
}

// account is what the log says of one acceptor's counters: what a later account of
// its own is compared with. Counters are never compared across devices.
type account struct {
	base   *note  // the newest note of it, or what was last written down of its counters
	excess uint32 // notes taken since base that orphans account for, base among them; 0 for none
}

// accountOf returns what the log knows of an acceptor, nil for one that is new to it.
func (d *durable) accountOf(serial uint32) *account {
	for _, a := range d.accounts {
		if a.base.serial == serial {
			return a
		}
	}
	return nil
}

// compareWith starts an acceptor's account anew from base. Beyond acceptorsMax the one
// not written about for longest is forgotten: it is new when it comes back.
func (d *durable) compareWith(base *note) {
	d.accounts = slices.DeleteFunc(d.accounts, func(a *account) bool { return a.base.serial == base.serial })
	if len(d.accounts) == acceptorsMax {
		d.accounts = d.accounts[1:]
	}
	d.accounts = append(d.accounts, &account{base: base})
}

func newDurable() durable {
	return durable{subjects: map[uint64]*Settled{}, takenOver: map[event.Ref]bool{}, bills: map[event.Ref]event.BillKey{}, figures: Figures{Box: map[ledger.Paise]uint64{}}}
}

// apply folds one durable entry. Entries that are none of the till's business
// change nothing. An error means that the log contradicts itself: the caller stops.
func (d *durable) apply(index uint64, leaf ledger.Hash, t ledger.Time, body event.Body) error {
	switch b := body.(type) {
	case *event.LogOpened:
		d.rules, d.began = b.Rules, time.UnixMilli(int64(t.WallMs))
	case *event.RulesStated:
		d.rules = b.Rules
	case *event.NoteTakenOver, *event.PaperTakenOver:
		return d.applyTakenOver(index, leaf, body)
	case *event.SaleOpened:
		if d.sale != nil {
			return fmt.Errorf("entry %d opens a sale while sale %d is open", index, d.sale.index)
		}
		d.sale = &sale{index: index, service: b.Service, language: b.Language}
		d.last = nil
	case *event.BillSelected:
		if d.sale == nil || b.Sale != d.sale.index {
			return fmt.Errorf("entry %d selects a bill for sale %d, which is not open", index, b.Sale)
		}
		d.sale.bill = b
	case *event.BlobSealed:
		if d.sale != nil && b.Sale == d.sale.index {
			d.sale.named = true
		}
	case *event.SaleEnded:
		if d.sale == nil || b.Sale != d.sale.index {
			return fmt.Errorf("entry %d ends sale %d, which is not open", index, b.Sale)
		}
		d.sale = nil
	case *event.PaymentCommitted:
		d.settle(index, leaf, body, &b.Bill)
	case *event.SlipIssued:
		d.settle(index, leaf, body, b.Bill)
	case *event.PrintIntent, *event.Printed:
		d.applyPaper(t, body)
	case *event.DeviceFault:
		d.applyFault(b)
	default:
		if err := d.applyNote(index, leaf, body); err != nil {
			return err
		}
	}
	d.count(body)
	return nil
}

func (d *durable) settle(index uint64, leaf ledger.Hash, body event.Body, bill *event.BillKey) {
	language := event.Hindi
	if d.sale != nil {
		language = d.sale.language
		if bill == nil && d.sale.bill != nil {
			bill = &d.sale.bill.Bill
		}
	}
	d.subjects[index] = &Settled{Index: index, Leaf: leaf, Body: body, Language: language}
	d.last = append(d.last, index)
	d.papers = append(d.papers, &paper{subject: index, bill: bill})
}

func (d *durable) applyPaper(t ledger.Time, body event.Body) {
	for _, p := range d.papers {
		switch b := body.(type) {
		case *event.PrintIntent:
			if p.subject == b.Subject {
				p.copy, p.intended, p.printed = b.Copy, time.UnixMilli(int64(t.WallMs)), false
			}
		case *event.Printed:
			if p.subject == b.Subject && p.copy == b.Copy {
				p.printed = true
			}
		}
	}
	d.forgetPapers()
}

// forgetPapers drops the oldest printed papers, so that the list stays small; the
// subjects of the last sale stay for its screen.
func (d *durable) forgetPapers() {
	for i := 0; len(d.papers) > papersMax && i < len(d.papers); i++ {
		if d.papers[i].printed {
			delete(d.subjects, d.papers[i].subject)
			d.papers = append(d.papers[:i], d.papers[i+1:]...)
			i--
		}
	}
}

func (d *durable) applyNote(index uint64, leaf ledger.Hash, body event.Body) error {
	switch b := body.(type) {
	case *event.NoteEscrowed:
		if d.sale == nil || b.Sale != d.sale.index || d.sale.openNote() != nil {
			return fmt.Errorf("entry %d: a note in escrow without a sale, or before the note ahead of it was settled", index)
		}
		n := &note{index: index, leaf: leaf, value: b.Value, channel: b.Channel, serial: b.Serial, counters: b.Counters}
		d.sale.notes = append(d.sale.notes, n)
		d.lastNote = n
		d.compareWith(n)
	case *event.StackIntent:
		return d.move(index, b.Note, noteIntended)
	case *event.NoteStacked:
		if err := d.move(index, b.Note, noteStacked); err != nil {
			return err
		}
		d.lastNote.stacked = b
	case *event.NoteReturned:
		return d.move(index, b.Note, noteReturned)
	case *event.NoteUnresolved:
		if err := d.move(index, b.Note, noteUnresolved); err != nil {
			return err
		}
		if n := d.lastNote; b.Reason != event.DoubtOtherDevice {
			// The question covers what the counters showed: it is no news later.
			d.compareWith(&note{serial: n.serial, counters: b.Counters, state: noteReturned})
		}
		d.settle(index, leaf, body, nil)
	case *event.AcceptorSeen:
		d.compareWith(&note{serial: b.Serial, counters: b.Counters, state: noteReturned})
	case *event.NoteOrphaned:
		d.applyOrphan(b)
	}
	return nil
}

// applyOrphan remembers that a note in the box is accounted for, so that the device
// may say so again. With counters the orphan becomes what later ones are compared
// with, as the one note since just before it; an orphan that was reported while the
// till sold has none and counts as one note more.
func (d *durable) applyOrphan(b *event.NoteOrphaned) {
	if b.Counters != (event.Counters{}) {
		before := b.Counters
		before.Stacked--
		d.compareWith(&note{serial: b.Serial, counters: before, state: noteStacked})
		return
	}
	a := d.accountOf(b.Serial)
	if a == nil {
		return // no acceptor had answered when it was written
	}
	if a.excess == 0 && a.base.state == noteStacked {
		a.excess = 1
	}
	a.excess++
}

// move closes or advances the open note. A note is settled at most once.
func (d *durable) move(index, noteIndex uint64, to noteState) error {
	var n *note
	if d.sale != nil {
		n = d.sale.openNote()
	}
	if n == nil || n.index != noteIndex {
		return fmt.Errorf("entry %d is about note %d, which is not open", index, noteIndex)
	}
	n.state, n.outcome = to, index
	return nil
}

// stackedDelta is how many notes the acceptor took in since the note was read in
// escrow, modulo 2^32; 0 if there was no note before.
func stackedDelta(n *note, now event.Counters) uint32 {
	if n == nil {
		return 0
	}
	return now.Stacked + now.Stored - n.counters.Stacked - n.counters.Stored
}
