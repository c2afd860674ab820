package till

import (
	"rasid/hardware"
	"rasid/ledger"
	"rasid/ledger/event"
)

// citizen reacts to what a person pressed.
func (m *Machine) citizen(ev Event) Out {
	switch e := ev.(type) {
	case ChooseLanguage:
		if e.Language != event.Hindi && e.Language != event.English {
			return Out{}
		}
		m.language = e.Language
		if m.step == StepLanguage {
			m.show(StepService)
		}
		return Out{}
	case ChooseService:
		return m.chooseService(e)
	case Enter:
		if m.step == StepIdentify && len(e.Number) <= numberMaxDigits {
			m.typed = e.Number
			m.touch()
		}
		return Out{}
	case ConfirmBill:
		return m.confirmBill()
	case Back:
		return m.back()
	case Cancel:
		return m.cancel()
	case Continue:
		return m.goOn()
	case PayPart, TakeSlip:
		return m.settleNow(ev)
	case Finish:
		if m.step == StepDone {
			return m.leave()
		}
	case PrintAgain:
		return m.printAgain()
	}
	return Out{}
}

func (m *Machine) chooseService(e ChooseService) Out {
	if m.step != StepService {
		return Out{}
	}
	if e.Service != event.ServiceElectricity {
		m.problem = Problem{Key: "kiosk.services.not_now", Args: []any{"why", Reason("kiosk.why.not_offered")}}
		return Out{}
	}
	m.service, m.typed = e.Service, ""
	m.show(StepIdentify)
	return Out{}
}

// looked takes the catalogue's answer to a typed number.
func (m *Machine) looked(e Looked) Out {
	if m.step != StepIdentify {
		return Out{}
	}
	m.typed, m.problem = e.Number, e.Problem
	if len(m.typed) > numberMaxDigits {
		m.typed = m.typed[:numberMaxDigits]
	}
	m.touch()
	if e.Bill == nil {
		return Out{}
	}
	bill := *e.Bill
	m.bill, m.billed = &bill, bill.Due
	m.showDues(e.Paid)
	return Out{}
}

// showDues shows what is left of the bill.
func (m *Machine) showDues(paid []Paid) {
	m.paid, m.problem, m.bill.Due = paid, Problem{}, m.billed
	if len(paid) > 0 {
		sum, newest := ledger.Paise(0), paid[len(paid)-1]
		for _, p := range paid {
			sum += p.Applied // bounded by the bill, far from overflow
		}
		m.bill.Due = max(0, m.billed-sum) // nothing left cannot be paid
		m.problem = Problem{Key: "kiosk.dues.part_here", Args: []any{"amount", sum, "date", newest.At}}
		if newest.Kiosk != "" {
			m.problem = Problem{Key: "kiosk.dues.part_there", Args: []any{"amount", sum, "date", newest.At, "kiosk", newest.Kiosk}}
		}
		if m.bill.Due == 0 {
			m.problem = m.paidBefore()
		}
	}
	m.show(StepDues)
}

// paidNow shows the bill anew: a payment came from a neighbour since.
func (m *Machine) paidNow(e PaidNow) Out {
	if m.step != StepDues || m.sale != nil {
		return Out{}
	}
	if e.Problem.Key != "" {
		m.bill, m.paid = nil, nil
		m.show(StepIdentify)
		m.problem = e.Problem
		return Out{}
	}
	m.showDues(e.Paid)
	return Out{}
}

// obstacle says why this bill cannot be paid here and now, in cash.
func (m *Machine) obstacle() Problem {
	b := m.bill
	switch {
	case b == nil:
		return Problem{Key: "kiosk.error.wrong_step"}
	case b.Due <= 0:
		return m.paidBefore()
	case b.Biller.CashMax > 0 && b.Due > b.Biller.CashMax:
		return Problem{Key: "kiosk.dues.ceiling", Args: []any{"limit", b.Biller.CashMax}}
	case !b.inNotes():
		return Problem{Key: "kiosk.dues.not_in_notes", Args: []any{"amount", b.Due}}
	}
	if out := m.outOfService(); out.Key != "" {
		return out
	}
	if !m.budgets.sales.left(m.now) {
		return Problem{Key: "kiosk.dues.wait"}
	}
	return Problem{}
}

// inNotes reports whether notes can add up to the bill: to the paisa, or as far
// beyond it as the biller and the ceiling for cash allow.
func (b *Bill) inNotes() bool {
	notes := (b.Due + smallestNotePaise - 1) / smallestNotePaise * smallestNotePaise
	limit := b.Due
	if b.Biller.Surplus == event.SurplusNextBill {
		limit += b.Biller.OverMax
	}
	if b.Biller.CashMax > 0 {
		limit = min(limit, b.Biller.CashMax)
	}
	return notes <= limit
}

// outOfService says why no sale can begin: money is taken only where it can be
// proved on paper.
func (m *Machine) outOfService() Problem {
	a := m.acceptor
	switch {
	case m.disk.Low:
		return Problem{Key: "kiosk.out.disk"}
	case a.fault == hardware.FaultStackerFull:
		return Problem{Key: "kiosk.out.box_full"}
	case a.fault == hardware.FaultCashBoxRemoved:
		return Problem{Key: "kiosk.out.box_removed"}
	case a.fault == hardware.FaultJamSafe || a.fault == hardware.FaultJamUnsafe:
		return Problem{Key: "kiosk.out.jam"}
	case a.ready == nil || a.fault != hardware.FaultNone || a.unsaid != nil || !m.budgets.notes.left(m.now):
		return Problem{Key: "kiosk.out.acceptor"}
	case m.printer.Paper == hardware.PaperOut:
		return Problem{Key: "kiosk.out.paper"}
	case m.printer.Offline || m.printer.Paper == hardware.PaperJammed || m.papersOwed() >= papersMax:
		return Problem{Key: "kiosk.out.printer"}
	}
	return Problem{}
}

// paidBefore tells when, where and under which receipt the bill was paid.
func (m *Machine) paidBefore() Problem {
	if len(m.paid) == 0 {
		return Problem{Key: "kiosk.dues.nothing"}
	}
	p := m.paid[len(m.paid)-1]
	if p.Kiosk != "" {
		return Problem{Key: "kiosk.dues.paid_there", Args: []any{"date", p.At, "receipt", p.Receipt, "kiosk", p.Kiosk}}
	}
	return Problem{Key: "kiosk.dues.paid_here", Args: []any{"date", p.At, "receipt", p.Receipt}}
}

func (m *Machine) papersOwed() int {
	owed := 0
	for _, p := range m.papers {
		if !p.printed {
			owed++
		}
	}
	return owed
}

// confirmBill opens the sale. The bill's personal data is kept first, so that a
// power cut loses no receipt.
func (m *Machine) confirmBill() Out {
	if m.step != StepDues || m.sale != nil {
		return Out{}
	}
	if p := m.obstacle(); p.Key != "" {
		m.problem = p
		return Out{}
	}
	b, opened := m.bill, &event.SaleOpened{Service: m.service, Language: m.language}
	m.ending = endNone
	m.show(StepCash)
	out := Out{Keep: b, Draft: func(first uint64) []event.Body {
		return []event.Body{opened, &event.BillSelected{
			Sale: first, Biller: b.Biller.Code, Bill: b.Bill, Account: b.Account, Due: b.Due, DueDay: b.DueDay,
			Source: event.SourceDues, Dues: b.Dues, AsOfMs: uint64(b.AsOf.UnixMilli()), Surplus: b.Biller.Surplus, Part: b.Biller.Part,
		}}
	}}
	return then(out, Out{Commands: m.enable(0)})
}

func (m *Machine) back() Out {
	if m.sale != nil {
		return Out{}
	}
	switch m.step {
	case StepService:
		return m.leave()
	case StepIdentify:
		m.show(StepService)
	case StepDues:
		m.bill = nil
		m.show(StepIdentify)
	}
	return Out{}
}

func (m *Machine) cancel() Out {
	switch m.step {
	case StepService, StepIdentify, StepDues:
		return m.leave()
	case StepCash, StepRecover:
		if paid, _ := m.sale.stacked(); paid == 0 && !m.hasDoubt() {
			return m.end(endCancel)
		}
		return m.end(endChoose)
	}
	return Out{}
}

// goOn resumes taking notes.
func (m *Machine) goOn() Out {
	if m.step != StepChoice && m.step != StepRecover && m.step != StepCash {
		m.touch()
		return Out{}
	}
	paid, _ := m.sale.stacked()
	if paid >= m.sale.bill.Due {
		return m.end(endPaid)
	}
	if m.step != StepCash {
		m.show(StepCash)
	}
	m.touch()
	m.ending = endNone
	return Out{Commands: m.enable(paid)}
}

// settleNow ends a sale with what is in.
func (m *Machine) settleNow(ev Event) Out {
	if m.step != StepChoice && m.step != StepRecover {
		return Out{}
	}
	if _, part := ev.(PayPart); part {
		if paid, _ := m.sale.stacked(); !m.sale.bill.Part || paid == 0 {
			return Out{}
		}
		return m.end(endPart)
	}
	return m.end(endSlip)
}

func (m *Machine) printAgain() Out {
	if m.step != StepDone {
		return Out{}
	}
	for i := len(m.papers) - 1; i >= 0; i-- {
		p := m.papers[i]
		if p.printed && p.copy < copiesMax && len(m.last) > 0 && p.subject == m.last[len(m.last)-1] {
			m.touch()
			return m.printIntent(p.subject, p.copy+1)
		}
	}
	return Out{}
}
