package till

import (
	"slices"
	"time"

	"rasid/hardware"
	"rasid/ledger"
	"rasid/ledger/event"
)

// ending is how the sale will end once the acceptor is closed.
type ending uint8

const (
	endNone ending = iota
	endPaid
	endPart
	endSlip
	endCancel
	endTimeout
	endChoose // closed to ask the citizen what to do
)

// Machine is the state of the till. Step and Apply are its only ways to change; it
// does no I/O and is owned by one goroutine.
type Machine struct {
	durable
	id      KioskID
	formers []*former    // logs given up, oldest first
	paid    []Paid       // for the bill on the screen, oldest first
	billed  ledger.Paise // of it, whatever was paid

	step      Step
	seq       uint64 // grows with every new step: actions on an older page do nothing
	language  event.Language
	service   event.Service
	typed     string
	bill      *Bill // of the sale, or the one just looked up
	problem   Problem
	ending    ending
	deadline  time.Time
	finishing time.Time // since when the acceptor is being closed
	now       time.Time

	acceptor acceptorView
	printer  PrinterNow
	heard    bool // of the printer, since the start
	budgets  budgets
	disk     DiskNow
}

type acceptorView struct {
	ready    *hardware.AcceptorReady // nil while it cannot be reached or starts
	enabled  []uint8                 // channels, nil when closed
	closing  bool                    // DisableNotes is on its way
	moving   bool                    // a note is between escrow and box or hand
	faults   []hardware.Fault        // reported and not cleared, oldest first
	fault    hardware.Fault          // the newest of them
	silentAt time.Time               // since when it cannot be reached
	bounced  Problem                 // why the last note came back

	heard     bool                    // it was ready since the start
	boxMissed bool                    // the box was taken out or put in, and no entry says so
	unsaid    *event.NoteOrphaned     // credits that no entry says yet, as one of unknown value
	waiting   *hardware.AcceptorReady // an account that must wait for the budget, and so does the device
	away      bool                    // it cannot be reached
}

// NewMachine returns a till with nothing in its past.
func NewMachine(id KioskID, now time.Time) *Machine {
	return &Machine{id: id, durable: newDurable(), budgets: newBudgets(), now: now, acceptor: acceptorView{silentAt: now}, printer: PrinterNow{Offline: true}}
}

// Apply folds one durable entry, at start and after each commit.
func (m *Machine) Apply(index uint64, leaf ledger.Hash, t ledger.Time, body event.Body) error {
	return m.apply(index, leaf, t, body)
}

// Started ends the folding of the log: the screen goes where the log left off, and
// papers that may have been on their way are asked for. personal returns what was
// kept of a bill's personal data.
func (m *Machine) Started(now time.Time, personal func(event.BillKey) (Bill, bool)) Out {
	m.now = now
	out := m.printOwed(nil)
	m.resume(personal)
	return out
}

// printOwed intends or asks for the papers that are not out, but for those that are known.
func (m *Machine) printOwed(known []*paper) Out {
	var out Out
	for _, p := range m.papers {
		if p.printed || slices.Contains(known, p) {
			continue
		}
		if p.copy == 0 {
			out = then(out, m.printIntent(p.subject, 1))
			continue
		}
		out.Commands = append(out.Commands, AskPrinter{Subject: p.subject, Copy: p.copy, Since: p.intended})
	}
	return out
}

// noSubject excepts no paper from billInUse: entry 0 opens the log.
const noSubject = 0

// Needs reports whether a bill's personal data is still needed: what a power cut left
// behind otherwise is destroyed at the next start.
func (m *Machine) Needs(bill event.BillKey) bool {
	return m.billInUse(bill, noSubject)
}

// resume puts the screen where the log left off.
func (m *Machine) resume(personal func(event.BillKey) (Bill, bool)) {
	if m.sale == nil {
		m.last = nil
		m.show(StepLanguage)
		return
	}
	m.language = m.sale.language
	m.restoreBill(personal)
	if paid, _ := m.sale.stacked(); paid > 0 || m.sale.openNote() != nil {
		m.show(StepRecover)
	} else {
		m.show(StepCash)
	}
}

func (m *Machine) restoreBill(personal func(event.BillKey) (Bill, bool)) {
	s := m.sale.bill
	if s == nil {
		return // SaleOpened and BillSelected are one batch: this does not happen
	}
	if b, ok := personal(s.Bill); ok {
		m.bill = &b
		return
	}
	m.bill = &Bill{
		Biller: Biller{Code: s.Biller, NameHi: s.Biller, NameEn: s.Biller, Surplus: s.Surplus, Part: s.Part, CashMax: s.Due},
		Bill:   s.Bill, Account: s.Account, Due: s.Due, DueDay: s.DueDay, Dues: s.Dues, AsOf: time.UnixMilli(int64(s.AsOfMs)),
	}
}

// Step reacts to one event.
func (m *Machine) Step(now time.Time, ev Event) Out {
	m.now = now
	switch e := ev.(type) {
	case Tick:
		return then(then(m.printerFaults(), m.acceptorLater()), m.tick())
	case hardware.AcceptorEvent:
		return m.device(e)
	case PrinterNow:
		m.printer, m.heard = e, true
		return m.printerFaults()
	case DiskNow:
		m.disk = e
		if m.step == StepCash {
			paid, _ := m.sale.stacked()
			return Out{Commands: m.enable(paid)}
		}
		return Out{}
	case PaperPrinted:
		return m.paperPrinted(e)
	case PaperUnknown:
		return m.paperUnknown(e)
	case Looked:
		return m.looked(e)
	case PaidNow:
		return m.paidNow(e)
	}
	m.problem = Problem{}
	return m.citizen(ev)
}

// show goes to a step and starts its time-out.
func (m *Machine) show(s Step) {
	m.step = s
	m.seq++
	m.touch()
}

// touch starts the time-out of the current step anew.
func (m *Machine) touch() {
	wait := idleAfter + warnBefore
	if m.sale != nil {
		if paid, _ := m.sale.stacked(); paid > 0 {
			wait = idleWithMoney + warnBefore
		}
	}
	if m.step == StepDone {
		wait = doneAfter
	}
	m.deadline = m.now.Add(wait)
}

// then adds what b wants done after what a wants done.
func then(a, b Out) Out {
	out := Out{Keep: a.Keep, Names: a.Names, Draft: a.Draft, Commands: append(a.Commands, b.Commands...)}
	if b.Keep != nil {
		out.Keep = b.Keep
	}
	if b.Names != nil {
		out.Names = b.Names
	}
	if b.Draft != nil {
		out.Draft = both(a.Draft, b.Draft)
	}
	return out
}

func both(a, b Draft) Draft {
	if a == nil {
		return b
	}
	return func(first uint64) []event.Body {
		bodies := a(first)
		return append(bodies, b(first+uint64(len(bodies)))...)
	}
}

func fixed(bodies ...event.Body) Draft {
	return func(uint64) []event.Body { return bodies }
}

// printIntent announces a copy; the loop sends it to the printer once the intent is
// durable.
func (m *Machine) printIntent(subject uint64, copyNo uint32) Out {
	return Out{Draft: fixed(&event.PrintIntent{Subject: subject, Copy: copyNo})}
}

// owed returns the paper whose copy the printer has news of, nil when nobody waits
// for it.
func (m *Machine) owed(subject uint64, copyNo uint32) *paper {
	for _, p := range m.papers {
		if p.subject == subject && p.copy == copyNo && !p.printed {
			return p
		}
	}
	return nil
}

// paperUnknown intends the next copy. After copiesMax the paper stays owed: a printer
// that spoils every job would else be asked for ever.
func (m *Machine) paperUnknown(e PaperUnknown) Out {
	if m.owed(e.Subject, e.Copy) == nil || e.Copy >= copiesMax {
		return Out{}
	}
	return m.printIntent(e.Subject, e.Copy+1)
}

func (m *Machine) paperPrinted(e PaperPrinted) Out {
	if m.owed(e.Subject, e.Copy) == nil {
		return Out{}
	}
	out := Out{Draft: fixed(&event.Printed{Subject: e.Subject, Copy: e.Copy})}
	for _, p := range m.papers {
		if p.subject == e.Subject && p.bill != nil && !m.billInUse(*p.bill, e.Subject) {
			out.Commands = append(out.Commands, Forget{Bill: *p.bill})
		}
	}
	if m.step == StepDone {
		m.touch()
	}
	return out
}

// billInUse reports whether somebody may still need the personal data of a bill:
// the open sale, the screen, a paper that is not printed, or what a log given up leaves open.
func (m *Machine) billInUse(bill event.BillKey, except uint64) bool {
	if m.bill != nil && m.bill.Bill == bill {
		return true
	}
	for _, p := range m.papers {
		if p.subject != except && !p.printed && p.bill != nil && *p.bill == bill {
			return true
		}
	}
	return m.needed(bill)
}

// leave ends the citizen's visit: nothing of it stays on the screen.
func (m *Machine) leave() Out {
	var out Out
	if m.bill != nil {
		bill := m.bill.Bill
		m.bill = nil
		if m.sale == nil && !m.billInUse(bill, 0) {
			out.Commands = []Command{Forget{Bill: bill}}
		}
	}
	m.typed, m.problem, m.ending, m.service, m.last, m.paid = "", Problem{}, endNone, 0, nil, nil
	m.acceptor.bounced = Problem{}
	m.show(StepLanguage)
	return out
}

func (m *Machine) tick() Out {
	switch {
	case m.patienceEnded():
		return m.giveUpOnAcceptor()
	case m.step == StepFinishing:
		if m.acceptor.ready == nil || !m.acceptor.closing || m.now.Sub(m.finishing) >= acceptorPatience {
			return m.closed() // nobody polls it, it is closed, or it never answered: what comes later is an orphan
		}
		return Out{}
	case m.step == StepLanguage || m.now.Before(m.deadline):
		return Out{}
	case m.sale == nil:
		return m.leave()
	}
	return m.timeOut()
}

// timeOut ends a sale that nobody attends: money is never discarded.
func (m *Machine) timeOut() Out {
	paid, _ := m.sale.stacked()
	switch {
	case paid >= m.sale.bill.Due:
		return m.end(endPaid)
	case paid > 0 || m.hasDoubt():
		return m.end(endSlip)
	}
	return m.end(endTimeout)
}

func (m *Machine) hasDoubt() bool {
	if m.sale == nil {
		return false
	}
	for _, n := range m.sale.notes {
		if n.state == noteUnresolved || n.open() {
			return true
		}
	}
	return false
}

// patienceEnded reports whether the place of an open note has been unknown for too
// long, because the acceptor is silent or never comes to rest.
func (m *Machine) patienceEnded() bool {
	if m.sale == nil || m.sale.openNote() == nil {
		return false
	}
	silent := m.acceptor.ready == nil && m.now.Sub(m.acceptor.silentAt) >= acceptorPatience
	return silent || m.step == StepFinishing && m.now.Sub(m.finishing) >= acceptorPatience
}

// giveUpOnAcceptor writes the open note down as an open question: the citizen gets
// a claim with a number, the box count settles it.
func (m *Machine) giveUpOnAcceptor() Out {
	n := m.sale.openNote()
	m.acceptor.moving = false
	return m.money(fixed(&event.NoteUnresolved{Note: n.index, Reason: event.DoubtNoEvidence, Counters: n.counters}))
}

// money drafts what says that a note of the sale is in the box, or may be. The first such
// entry comes with the one that names the sealed blob: a sale without money leaves
// nothing personal behind, not even sealed.
func (m *Machine) money(d Draft) Out {
	out := Out{Draft: d}
	if s := m.sale; s != nil && s.bill != nil && !s.named {
		out.Names = &Naming{Sale: s.index, Bill: s.bill.Bill}
	}
	return out
}
