package till

import (
	"time"

	"rasid/hardware"
	"rasid/ledger"
	"rasid/ledger/event"
)

// PrintState is how far a paper is.
type PrintState uint8

// The states of a paper, as the screen says them.
const (
	PrintWaiting PrintState = iota
	PrintSending            // sent to the printer, not out yet
	PrintDone
	PrintNoPaper
	PrintJam
	PrintOffline
)

// NoteOffer is one kind of note and whether it is taken now.
type NoteOffer struct {
	Value ledger.Paise
	Taken bool
}

// Paper is a receipt, slip or claim on the last screen.
type Paper struct {
	Number string
	Body   event.Body // *event.PaymentCommitted, *event.SlipIssued or *event.NoteUnresolved
	Value  ledger.Paise
	Copy   uint32
	Print  PrintState
}

// View is everything a screen shows: a value, made anew after each event.
type View struct {
	Seq       uint64 // of the step: an action must carry it
	Step      Step
	Language  event.Language
	Typed     string
	Bill      *Bill
	Problem   Problem
	Closed    Problem // why no sale can begin; zero when one can
	Inserted  ledger.Paise
	Remaining ledger.Paise
	Surplus   ledger.Paise
	Notes     []NoteOffer
	Moving    bool // a note is under way
	Checking  bool // the acceptor does not answer yet, or a note is being asked after
	Bounced   Problem
	Fault     hardware.Fault
	Printer   PrinterNow
	PartOK    bool // PayPart is offered
	Papers    []Paper
	Claims    []ledger.Paise // notes in doubt in the open sale
	Missing   bool           // the end of the log before is not held: a sale may have been cut off
	LeftSec   int            // of the time-out, when the warning is due; else 0
}

// View renders the state.
func (m *Machine) View() View {
	v := View{
		Seq: m.seq, Step: m.step, Language: m.language, Typed: m.typed, Problem: m.problem, Closed: m.outOfService(),
		Moving: m.acceptor.moving, Checking: m.acceptor.ready == nil, Bounced: m.acceptor.bounced, Fault: m.acceptor.fault, Printer: m.printer, Missing: m.missing(),
	}
	if v.Language == 0 {
		v.Language = event.Hindi
	}
	if m.bill != nil {
		b := *m.bill
		v.Bill = &b
	}
	if m.sale != nil && m.sale.bill != nil {
		m.viewSale(&v)
	}
	if m.step == StepDone {
		v.Papers = m.viewPapers()
	}
	if left := m.deadline.Sub(m.now); left < warnBefore && m.step != StepLanguage && m.step != StepFinishing && m.step != StepDone {
		v.LeftSec = max(1, int(left/time.Second))
	}
	return v
}

func (m *Machine) viewSale(v *View) {
	v.Inserted, _ = m.sale.stacked()
	due := m.sale.bill.Due
	v.Remaining, v.Surplus = max(0, due-v.Inserted), max(0, v.Inserted-due)
	v.PartOK = m.sale.bill.Part && v.Inserted > 0 && v.Inserted < due
	for _, n := range m.sale.notes {
		if n.state == noteUnresolved {
			v.Claims = append(v.Claims, n.value)
		}
	}
	if m.acceptor.ready == nil {
		return
	}
	for _, n := range m.acceptor.ready.Identity.Notes {
		value := ledger.Paise(n.ValuePaise)
		v.Notes = append(v.Notes, NoteOffer{Value: value, Taken: m.acceptor.fault == hardware.FaultNone && m.allowed(v.Inserted, value)})
	}
}

func (m *Machine) viewPapers() []Paper {
	var papers []Paper
	for _, index := range m.last {
		s := m.subjects[index]
		if s == nil {
			continue
		}
		p := Paper{Number: m.id.number(s.Index, s.Leaf), Body: s.Body, Print: PrintWaiting}
		switch b := s.Body.(type) {
		case *event.PaymentCommitted:
			p.Value = b.Tendered
		case *event.SlipIssued:
			p.Value = b.Amount
		case *event.NoteUnresolved:
			p.Value = m.noteValue(b.Note)
		}
		for _, owed := range m.papers {
			if owed.subject == index {
				p.Copy, p.Print = owed.copy, m.printState(owed)
			}
		}
		papers = append(papers, p)
	}
	return papers
}

// noteValue is what a note in doubt is worth if it is in the box.
func (m *Machine) noteValue(index uint64) ledger.Paise {
	if m.lastNote != nil && m.lastNote.index == index {
		return m.lastNote.value
	}
	return 0
}

func (m *Machine) printState(p *paper) PrintState {
	switch {
	case p.printed:
		return PrintDone
	case m.printer.Offline:
		return PrintOffline
	case m.printer.Paper == hardware.PaperOut:
		return PrintNoPaper
	case m.printer.Paper == hardware.PaperJammed:
		return PrintJam
	case p.copy > 0:
		return PrintSending
	}
	return PrintWaiting
}
