package till

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"rasid/ledger"
	"rasid/ledger/event"
)

const (
	// takenPerBatch bounds the notes and papers that one commit takes over: with what
	// opens a sale they stay within ledger.BatchMaxEntries.
	takenPerBatch = 28
	// formerEvery is how often logs given up are looked at again: neighbours return them.
	formerEvery = 10 * time.Second
	// missingShown is how long the screen says that the end of the log before is missing.
	missingShown = 24 * time.Hour
	// formersMax bounds the logs given up that are looked at, the newest ones.
	formersMax = 64
)

// FormerLog is what is held of a log of this machine that was given up.
type FormerLog struct {
	ID   ledger.LogID
	Size uint64 // entries held
	// Whole says that everything is held up to the last state known of it, and of every
	// later one given up: only then it is known what it leaves open (LEDGER.md §12.9).
	Whole bool
	// Papers says that its key is here, so that its papers can be made.
	Papers bool
	Each   func(f func(index uint64, entry []byte) error) error
}

// former is one such log, folded.
type former struct {
	log FormerLog
	d   durable
}

// foldFormer folds the logs given up, oldest first. What cannot be read of one counts as
// not held: then it is not whole, nor is any before it.
func (t *Till) foldFormer() []*former {
	var list []*former
	if t.cfg.Former == nil {
		return nil
	}
	logs := t.cfg.Former()
	for _, l := range logs[max(0, len(logs)-formersMax):] {
		f := &former{log: l, d: newDurable()}
		if n := len(list); n > 0 { // what the devices were when the log began
			before := &list[n-1].d
			f.d.accounts, f.d.faulty, f.d.jams = slices.Clone(before.accounts), before.faulty, slices.Clone(before.jams)
			f.d.bills = maps.Clone(before.bills)
		}
		err := l.Each(func(index uint64, entry []byte) error { return fold(f.d.apply, index, entry) })
		if err != nil {
			t.cfg.Log.Warn("a log given up can be read only in part", "log", l.ID.String(), "error", err)
			f.log.Whole = false
			for _, b := range list {
				b.log.Whole = false
			}
		}
		for _, p := range f.d.papers {
			if s := f.d.subjects[p.subject]; p.bill != nil && s != nil {
				f.d.bills[f.ref(p)] = *p.bill
			}
		}
		list = append(list, f)
	}
	return list
}

// inherit begins the fold of the own log where the newest log given up ended: with its
// devices, so that what they say once more is not written down twice.
func (m *Machine) inherit(list []*former) {
	m.formers = list
	if len(list) == 0 {
		return
	}
	last := &list[len(list)-1].d
	m.accounts, m.faulty, m.jams = slices.Clone(last.accounts), last.faulty, slices.Clone(last.jams)
	m.bills = maps.Clone(last.bills)
}

// ref is how other logs name a paper's subject.
func (f *former) ref(p *paper) event.Ref {
	if p.of != (event.Ref{}) {
		return p.of // taken over there: named as it was
	}
	leaf := f.d.subjects[p.subject].Leaf
	return event.Ref{Log: f.log.ID, Index: p.subject, Leaf: [event.LeafBytes]byte(leaf[:event.LeafBytes])}
}

// owed lists the papers that no entry of the log says came out.
func (f *former) owed() []*paper {
	var list []*paper
	for _, p := range f.d.papers {
		if !p.printed && (p.of != (event.Ref{}) || f.d.subjects[p.subject] != nil) {
			list = append(list, p)
		}
	}
	return list
}

// left lists the notes of its open sale that are in the box or may be.
func (f *former) left() []*note {
	var list []*note
	if s := f.d.sale; s != nil && s.bill != nil {
		for _, n := range s.notes {
			if n.state == noteStacked || n.open() {
				list = append(list, n)
			}
		}
	}
	return list
}

// needs reports whether a bill belongs to what the log leaves open.
func (f *former) needs(bill event.BillKey, taken func(event.Ref) bool) bool {
	left := slices.ContainsFunc(f.left(), func(n *note) bool { return !taken(f.noteRef(n)) })
	return left && f.d.sale.bill.Bill == bill || slices.ContainsFunc(f.owed(), func(p *paper) bool { return p.bill != nil && *p.bill == bill && !taken(f.ref(p)) })
}

func (f *former) noteRef(n *note) event.Ref {
	return event.Ref{Log: f.log.ID, Index: n.index, Leaf: [event.LeafBytes]byte(n.leaf[:event.LeafBytes])}
}

// taken reports whether a log after the given one has taken something over. A paper that
// was taken over keeps its name: the log that took it owes it in turn.
func (m *Machine) taken(after int, r event.Ref) bool {
	return m.takenOver[r] || slices.ContainsFunc(m.formers[after+1:], func(f *former) bool { return f.d.takenOver[r] })
}

// needed reports whether a bill belongs to what the logs given up leave open.
func (m *Machine) needed(bill event.BillKey) bool {
	for i, f := range m.formers {
		taken := func(r event.Ref) bool { return m.taken(i, r) }
		if f.needs(bill, taken) {
			return true
		}
	}
	return false
}

// isNews reports whether a log given up is held otherwise than when it was folded.
func (m *Machine) isNews(l FormerLog) bool {
	return !slices.ContainsFunc(m.formers, func(f *former) bool {
		return f.log.ID == l.ID && f.log.Size == l.Size && f.log.Papers == l.Papers && (f.log.Whole || !l.Whole)
	})
}

// formerBills are the bills of papers that may be taken over.
func (m *Machine) formerBills() map[event.Ref]event.BillKey {
	if len(m.formers) == 0 {
		return nil
	}
	return m.formers[len(m.formers)-1].d.bills
}

// missing reports whether the log began lately and the end of the one before is not held:
// somebody's sale may have been cut off, and nobody here can tell.
func (m *Machine) missing() bool {
	n := len(m.formers)
	return n > 0 && !m.formers[n-1].log.Whole && m.now.Sub(m.began) < missingShown
}

// idle reports whether nobody is there and no sale is open.
func (m *Machine) idle() bool { return m.sale == nil && m.step == StepLanguage }

// resumeTaken shows a sale that was taken over just now, as a restart would.
func (m *Machine) resumeTaken(personal func(event.BillKey) (Bill, bool)) Out {
	if m.sale == nil || m.step != StepLanguage {
		return Out{}
	}
	m.resume(personal)
	if m.step == StepCash {
		return Out{Commands: m.enable(0)}
	}
	return Out{}
}

// takeOver is the next batch of what begins a log under newer rules, and of what the logs
// given up leave open, nothing when there is no more. A sale is taken over when no other is open; then its screen is that of a
// restart with money in.
func (m *Machine) takeOver(rules ledger.Hash, personal func(event.BillKey) (Bill, bool)) Out {
	if m.rules != rules {
		return Out{Draft: fixed(&event.RulesStated{Rules: rules})}
	}
	if out := m.takePapers(); out.Draft != nil {
		return out
	}
	for i, f := range m.formers {
		notes := slices.DeleteFunc(f.left(), func(n *note) bool { return m.taken(i, f.noteRef(n)) })
		if len(notes) == 0 || !f.log.Whole || m.sale != nil && (m.sale.from != f.log.ID || m.sale.openNote() != nil) {
			continue
		}
		return m.takeSale(f, notes[:min(len(notes), takenPerBatch)], personal)
	}
	return Out{}
}

func (m *Machine) takePapers() Out {
	var bodies []event.Body
	for i, f := range m.formers {
		if !f.log.Whole || !f.log.Papers {
			continue
		}
		for _, p := range f.owed() {
			if r := f.ref(p); !m.taken(i, r) && len(bodies) < takenPerBatch && m.papersOwed()+len(bodies) < papersMax {
				bodies = append(bodies, &event.PaperTakenOver{Subject: r, Copy: p.copy})
			}
		}
	}
	if len(bodies) == 0 {
		return Out{}
	}
	return Out{Draft: fixed(bodies...)}
}

// takeSale takes notes of a log's open sale over, into the sale that begins with them or
// has begun with those before.
func (m *Machine) takeSale(f *former, notes []*note, personal func(event.BillKey) (Bill, bool)) Out {
	var out Out
	old, begins := f.d.sale, m.sale == nil
	if begins {
		if b, ok := personal(old.bill.Bill); ok {
			out.Keep, out.Names = &b, &Naming{Opens: true, Bill: b.Bill}
		}
	}
	out.Draft = func(first uint64) []event.Body {
		var bodies []event.Body
		sale := first
		if begins {
			selected := *old.bill
			selected.Sale = first
			bodies = append(bodies, &event.SaleOpened{Service: old.service, Language: old.language}, &selected)
		} else {
			sale = m.sale.index
		}
		for _, n := range notes {
			at := first + uint64(len(bodies))
			bodies = append(bodies, &event.NoteTakenOver{
				Sale: sale, Note: f.noteRef(n), Value: n.value, Channel: n.channel, Serial: n.serial, Counters: n.counters, Stacked: n.state == noteStacked,
			})
			if n.state == noteStacked {
				bodies = append(bodies, &event.NoteStacked{Note: at, Evidence: n.stacked.Evidence, Raw: n.stacked.Raw})
			} else if doubt := m.outlived(n); doubt != nil {
				doubt.Note = at
				bodies = append(bodies, doubt)
			}
		}
		return bodies
	}
	return out
}

// outlived says that nobody can tell any more where an open note is: this log has
// accounted for its acceptor since, perhaps for that very note as nobody's. It is nil
// where the acceptor's next account will tell.
func (m *Machine) outlived(n *note) *event.NoteUnresolved {
	a := m.accountOf(n.serial)
	if a == nil || a.base == n && a.excess == 0 {
		return nil
	}
	now := a.base.counters
	now.Stacked += a.known() // the question changes nothing of the acceptor's account
	return &event.NoteUnresolved{Reason: event.DoubtContradiction, Counters: now}
}

// known is how many notes since the base are accounted for.
func (a *account) known() uint32 {
	if a.excess == 0 && a.base.state == noteStacked {
		return 1
	}
	return a.excess
}

// applyTakenOver folds what was taken over.
func (d *durable) applyTakenOver(index uint64, leaf ledger.Hash, body event.Body) error {
	switch b := body.(type) {
	case *event.NoteTakenOver:
		if d.sale == nil || b.Sale != d.sale.index || d.sale.openNote() != nil {
			return fmt.Errorf("entry %d takes a note over without a sale, or before the note ahead of it was settled", index)
		}
		n := &note{index: index, leaf: leaf, value: b.Value, channel: b.Channel, serial: b.Serial, counters: b.Counters, state: noteIntended, taken: true, boxed: b.Stacked}
		d.sale.notes, d.sale.from, d.lastNote = append(d.sale.notes, n), b.Note.Log, n
		d.takenOver[b.Note] = true
		if !b.Stacked {
			d.compareWith(n)
		}
	case *event.PaperTakenOver:
		d.takenOver[b.Subject] = true
		p := &paper{subject: index, copy: b.Copy, of: b.Subject}
		if bill, ok := d.bills[b.Subject]; ok {
			p.bill = &bill
		}
		d.papers = append(d.papers, p)
	}
	return nil
}
