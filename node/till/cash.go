package till

import (
	"slices"

	"rasid/hardware"
	"rasid/ledger"
	"rasid/ledger/event"
)

// allowed reports whether a note of the value may come in when paid is in already:
// as the biller's rule on a surplus says, and below the ceiling for cash.
func (m *Machine) allowed(paid, value ledger.Paise) bool {
	if m.bill == nil || paid >= m.bill.Due || m.disk.Low {
		return false
	}
	b := m.bill.Biller
	limit := m.bill.Due
	if b.Surplus == event.SurplusNextBill {
		limit += b.OverMax
	}
	if b.CashMax > 0 && paid+value > b.CashMax {
		return false
	}
	return paid+value <= limit
}

// enable opens the acceptor for the notes that may come in now.
func (m *Machine) enable(paid ledger.Paise) []Command {
	a := &m.acceptor
	if a.ready == nil || a.closing {
		return nil // opened when it is ready
	}
	var channels []uint8
	for _, n := range a.ready.Identity.Notes {
		if m.allowed(paid, ledger.Paise(n.ValuePaise)) {
			channels = append(channels, n.Channel)
		}
	}
	if slices.Equal(channels, a.enabled) {
		return nil
	}
	a.enabled = channels
	if len(channels) == 0 {
		a.closing = true
		return []Command{DisableNotes{}}
	}
	return []Command{EnableNotes{Channels: channels}}
}

// end closes the acceptor; the sale ends when it is closed, so that no note can
// come in after the sum was written down.
func (m *Machine) end(how ending) Out {
	m.ending = how
	m.show(StepFinishing)
	m.finishing = m.now
	if m.acceptor.ready == nil {
		if m.sale.openNote() == nil {
			return m.closed() // nobody polls it: it takes no note
		}
		return Out{}
	}
	if !m.acceptor.closing {
		m.acceptor.closing = true
		return Out{Commands: []Command{DisableNotes{}}}
	}
	return Out{}
}

// device reacts to the acceptor.
func (m *Machine) device(ev hardware.AcceptorEvent) Out {
	a := &m.acceptor
	switch e := ev.(type) {
	case hardware.AcceptorReady:
		return m.acceptorReady(e)
	case hardware.AcceptorOffline:
		a.enabled, a.closing, a.away = nil, false, true
		m.notReady()
	case hardware.AcceptorFault:
		return m.acceptorFault(e)
	case hardware.NoteEscrowed:
		return m.escrowed(e)
	case hardware.NoteCredited:
		return m.credited(e)
	case hardware.NoteReturned:
		return m.returned(e)
	case hardware.NoteStacked:
		a.moving = false
	case hardware.AcceptorDisabled:
		a.enabled, a.closing, a.moving = nil, false, false
		switch m.step {
		case StepFinishing:
			return m.closed()
		case StepCash: // the word on an earlier Disable, or its own doing
			paid, _ := m.sale.stacked()
			return Out{Commands: m.enable(paid)}
		}
	}
	return Out{}
}

// notReady takes no more notes until the device is ready.
func (m *Machine) notReady() {
	if m.acceptor.ready != nil {
		m.acceptor.ready, m.acceptor.silentAt = nil, m.now
	}
}

// acceptorReady takes the device's account of itself: it settles an open note and
// goes on where the sale stands.
func (m *Machine) acceptorReady(e hardware.AcceptorReady) Out {
	a := &m.acceptor
	e.Identity.Notes = indian(e.Identity.Notes)
	a.enabled, a.closing, a.moving, a.away = nil, false, false, false // faults last until they are cleared
	var open *note
	if m.sale != nil {
		open = m.sale.openNote()
	}
	if w := a.waiting; w != nil && w.Identity.Serial == e.Identity.Serial {
		e.Reports = slices.Concat(w.Reports, e.Reports) // it says them once
	}
	a.waiting = nil
	known := m.accountOf(e.Identity.Serial)
	f := resolve(open, known, e)
	if open == nil && (known == nil || len(f) > 0) && !m.budgets.strays.take(m.now) {
		a.waiting = &e
		m.notReady()
		return Out{}
	}
	a.ready, a.heard = &e, true
	var out Out
	paid := ledger.Paise(0)
	if m.sale != nil {
		paid, _ = m.sale.stacked()
	}
	if known == nil { // durable before the first note: an orphan is compared with it
		out.Draft = fixed(&event.AcceptorSeen{Serial: e.Identity.Serial, Counters: counters(e.Counters)})
	}
	out = then(out, m.acceptorFaults()) // those of before a restart that it did not say again are over
	if len(f) > 0 {
		settled := Out{Draft: fixed(f...)}
		switch f[0].(type) {
		case *event.NoteStacked:
			settled = m.money(settled.Draft)
			m.budgets.notes.refund()
			paid += open.value
		case *event.NoteUnresolved:
			settled = m.money(settled.Draft)
		}
		out = then(out, settled)
	}
	switch m.step {
	case StepCash:
		m.touch()
		if paid >= m.bill.Due || m.disk.Low {
			return then(out, m.end(endPaid))
		}
		out.Commands = append(out.Commands, m.enable(paid)...)
	case StepFinishing:
		a.closing = true
		out.Commands = append(out.Commands, DisableNotes{})
	}
	return out
}

// indian keeps the notes that a kiosk takes. A data set that is misread by a factor,
// or of another country, then opens no channel at all.
func indian(notes []hardware.NoteType) []hardware.NoteType {
	var kept []hardware.NoteType
	for _, n := range notes {
		switch n.ValuePaise {
		case 10_00, 20_00, 50_00, 100_00, 200_00, 500_00:
			if n.Currency == "INR" {
				kept = append(kept, n)
			}
		}
	}
	return kept
}

// escrowed decides on a note: it is wanted or it goes back. The intent is durable
// before the acceptor is told.
func (m *Machine) escrowed(e hardware.NoteEscrowed) Out {
	value := ledger.Paise(e.ValuePaise)
	if m.sale == nil || m.step != StepCash || m.sale.openNote() != nil || !m.takes(e) {
		return Out{Commands: []Command{ReturnNote{}}}
	}
	if m.acceptor.unsaid != nil || !m.budgets.notes.left(m.now) {
		m.acceptor.bounced = Problem{Key: bouncedKey(0xFF)}
		return Out{Commands: []Command{ReturnNote{}}}
	}
	if m.acceptor.closing { // it was fed before: by a citizen whose sale may have ended
		if m.disk.Low {
			m.acceptor.bounced = Problem{Key: "kiosk.out.disk"}
		}
		return Out{Commands: []Command{ReturnNote{}}}
	}
	paid, notes := m.sale.stacked()
	if !m.allowed(paid, value) || len(notes) >= notesPerSaleMax {
		m.acceptor.bounced = Problem{Key: "kiosk.returned.too_much"}
		if m.disk.Low {
			m.acceptor.bounced = Problem{Key: "kiosk.out.disk"}
		}
		return Out{Commands: []Command{ReturnNote{}}}
	}
	m.acceptor.moving = true
	m.acceptor.bounced = Problem{}
	m.budgets.notes.spend(m.now) // until it is stacked
	m.touch()
	escrow := &event.NoteEscrowed{Sale: m.sale.index, Value: value, Channel: e.Channel, Serial: m.acceptor.ready.Identity.Serial, Counters: counters(e.Counters)}
	return Out{
		Draft:    func(first uint64) []event.Body { return []event.Body{escrow, &event.StackIntent{Note: first}} },
		Commands: []Command{StackNote{}},
	}
}

// takes reports whether a note is of a kind that this acceptor takes.
func (m *Machine) takes(e hardware.NoteEscrowed) bool {
	return m.acceptor.ready != nil && slices.ContainsFunc(m.acceptor.ready.Identity.Notes, func(n hardware.NoteType) bool {
		return n.Channel == e.Channel && n.ValuePaise == e.ValuePaise
	})
}

// credited takes the device's word that a note is in the box.
func (m *Machine) credited(e hardware.NoteCredited) Out {
	var n *note
	if m.sale != nil {
		n = m.sale.openNote()
	}
	serial := uint32(0)
	if m.acceptor.ready != nil {
		serial = m.acceptor.ready.Identity.Serial
	}
	orphan := orphanOf(e, serial, event.Counters{})
	if n == nil {
		return m.stray(orphan)
	}
	if !agrees(e, n) {
		return m.money(fixed(&event.NoteUnresolved{Note: n.index, Reason: event.DoubtContradiction, Counters: n.counters}, orphan))
	}
	m.budgets.notes.refund()
	out := m.money(fixed(&event.NoteStacked{Note: n.index, Evidence: evidenceOf(e), Raw: rawOf(e)}))
	paid, _ := m.sale.stacked()
	paid += n.value
	if m.step != StepCash {
		return out
	}
	m.touch()
	if paid >= m.bill.Due || m.disk.Low {
		return then(out, m.end(endPaid))
	}
	out.Commands = m.enable(paid)
	return out
}

func (m *Machine) returned(e hardware.NoteReturned) Out {
	m.acceptor.moving = false
	if m.acceptor.bounced.Key == "" {
		m.acceptor.bounced = Problem{Key: bouncedKey(e.RejectCode)}
	}
	m.touch()
	if m.sale == nil || m.sale.openNote() == nil {
		return Out{}
	}
	return Out{Draft: fixed(&event.NoteReturned{Note: m.sale.openNote().index, Evidence: event.EvidenceEvent, RejectCode: e.RejectCode})}
}

// closed ends the sale: the acceptor takes no more notes, what is in is final.
func (m *Machine) closed() Out {
	s := m.sale
	if s == nil || s.openNote() != nil {
		return Out{}
	}
	paid, notes := s.stacked()
	if m.ending == endChoose {
		m.show(StepChoice)
		return Out{}
	}
	if m.ending == endPaid && paid < s.bill.Due {
		m.show(StepCash) // a note that was to complete the bill came back
		m.ending = endNone
		return Out{Commands: m.enable(paid)}
	}
	var body event.Body
	reason := event.EndSlip
	switch {
	case paid == 0:
		reason = map[ending]event.EndReason{endTimeout: event.EndTimeout}[m.ending]
		if reason == 0 {
			reason = event.EndCancelled
		}
		m.budgets.sales.spend(m.now)
	case m.ending == endPaid || m.ending == endPart:
		body, reason = payment(s, paid, notes), event.EndPaid
	default:
		bill := s.bill.Bill
		body = &event.SlipIssued{Sale: s.index, Amount: paid, Notes: event.RefNotes(notes...), Biller: s.bill.Biller, Bill: &bill}
	}
	return m.settleSale(body, reason)
}

func payment(s *sale, paid ledger.Paise, notes []uint64) *event.PaymentCommitted {
	p := &event.PaymentCommitted{
		Sale: s.index, Biller: s.bill.Biller, Bill: s.bill.Bill, Due: s.bill.Due, Tendered: paid,
		Applied: min(paid, s.bill.Due), Rule: s.bill.Surplus, Tender: event.TenderCash, Notes: event.RefNotes(notes...),
	}
	p.Surplus = p.Tendered - p.Applied
	return p
}

// settleSale writes the end of the sale with everything that it owes: one batch,
// all or nothing, and the paper only after it.
func (m *Machine) settleSale(body event.Body, reason event.EndReason) Out {
	index := m.sale.index
	claims := m.unprinted()
	if body == nil && len(claims) == 0 {
		out := Out{Draft: fixed(&event.SaleEnded{Sale: index, Reason: reason})}
		bill := m.bill
		m.sale.bill = nil // nothing more comes of it; Apply ends the sale
		leave := m.leave()
		if bill != nil && !m.billInUse(bill.Bill, 0) {
			leave.Commands = []Command{Forget{Bill: bill.Bill}}
		}
		return then(out, leave)
	}
	m.show(StepDone)
	out := m.money(fixed(&event.SaleEnded{Sale: index, Reason: event.EndSlip})) // named by now, unless the blob could not be read before
	if body != nil {
		out.Draft = func(first uint64) []event.Body {
			return []event.Body{body, &event.SaleEnded{Sale: index, Reason: reason}, &event.PrintIntent{Subject: first, Copy: 1}}
		}
	}
	for _, c := range claims {
		out = then(out, m.printIntent(c, 1))
	}
	return out
}

// unprinted lists the subjects for which no copy was ever sent to the printer.
func (m *Machine) unprinted() []uint64 {
	var subjects []uint64
	for _, p := range m.papers {
		if p.copy == 0 {
			subjects = append(subjects, p.subject)
		}
	}
	return subjects
}

// bouncedKey says a device's reason for giving a note back (SSP LAST REJECT CODE) in
// the citizen's words.
func bouncedKey(code uint8) string {
	switch code {
	case 0x06:
		return "kiosk.returned.not_now"
	case 0x07, 0x1C:
		return "kiosk.returned.two"
	case 0x08, 0x0C:
		return "kiosk.returned.cancelled"
	case 0x13:
		return "kiosk.returned.late"
	case 0xFF, 0x00:
		return "kiosk.returned.unknown"
	}
	return "kiosk.returned.unreadable"
}
