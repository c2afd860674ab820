package book

import (
	"rasid/ledger"
	"rasid/ledger/event"
)

// credit is what a citizen has left at an entry, nil where it can have none.
func (s *settler) credit(n *node) (i *item, ok bool) {
	switch n.kind {
	case event.KindPaymentCommitted, event.KindSlipIssued, event.KindNoteOrphaned, event.KindNoteUnresolved:
	default:
		return nil, false
	}
	if list := s.items[n]; len(list) > 0 {
		return list[0], true
	}
	return nil, true
}

// consume applies what uses a citizen's credit up. What one takes beyond what is
// left is disputed, for all to see: a credit is used at most once.
func (s *settler) consume(n *node) {
	switch b := n.body.(type) {
	case *event.CreditRedeemed:
		if b.How == event.HowCounter {
			s.moved(n, b.Credit, b.Amount, accountCounter)
		} else if from, ok := s.creditAt(n, b.Credit); ok {
			s.use(n, from, b.Amount, advanceAccount(b.Biller), "")
		}
	case *event.RefundIssued:
		if from, ok := s.creditAt(n, b.Credit); ok {
			s.use(n, from, b.Amount, refundAccount(n.name()), ReasonRefundOpen)
			s.done[n] = true
		}
	case *event.WrittenOff:
		t := s.at[b.Entry]
		if t == nil {
			return // asked about with the other write-offs
		}
		if from, ok := s.credit(t); ok {
			s.giveUp(n, from, b.Amount)
		}
	}
}

// creditAt finds the credit that a decision moves. It is nil where nothing is left.
func (s *settler) creditAt(n *node, to event.Ref) (*item, bool) {
	t := s.target(n, to)
	if t == nil {
		return nil, false
	}
	i, ok := s.credit(t)
	if !ok {
		s.ask(n, ReasonTarget, amountOf(n.body))
	}
	return i, ok
}

// moved books a credit paid out in cash: it is gone, whatever it was for.
func (s *settler) moved(n *node, to event.Ref, amount ledger.Paise, from string) {
	t := s.at[to]
	if t == nil {
		s.post(n, Posting{accountUnmatched, amount}, Posting{from, -amount})
		s.leave(n, accountUnmatched, amount, ReasonUnmatched)
		return
	}
	i, _ := s.credit(t)
	s.use(n, i, amount, from, "")
}

// use takes an amount from what is left of a credit and gives it to an account.
func (s *settler) use(n *node, from *item, amount ledger.Paise, to string, why Reason) {
	var taken Posting
	if from != nil && from.open < 0 {
		taken = from.take(amount)
	}
	beyond := amount - taken.Amount
	s.post(n, taken, Posting{accountDisputed, beyond}, Posting{to, -amount})
	if why != "" {
		s.leave(n, to, -amount, why)
	}
	s.leave(n, accountDisputed, beyond, ReasonDisputed)
}

// payOut books a refund that the bank has paid, against the decision.
func (s *settler) payOut(n *node) {
	b, ok := n.body.(*event.RefundPaid)
	if !ok {
		return
	}
	t := s.at[b.Refund]
	switch {
	case t == nil || t.kind == event.KindRefundIssued && !s.done[t]:
		s.post(n, Posting{accountUnmatched, b.Amount}, Posting{accountBank, -b.Amount})
		s.leave(n, accountUnmatched, b.Amount, ReasonUnmatched)
	case t.kind != event.KindRefundIssued:
		s.use(n, nil, b.Amount, accountBank, "")
	default:
		s.use(n, s.left(t, refundAccount(t.name())), b.Amount, accountBank, "")
	}
}

// deposit books cash that the bank has received against the bags that it names, or
// that a match names: as counted, or, where nobody has counted, as the kiosk knew.
func (s *settler) deposit(n *node) {
	b, ok := n.body.(*event.DepositSeen)
	if !ok {
		return
	}
	bags := b.Bags
	for _, m := range s.nodes {
		if match, ok := m.body.(*event.Matched); ok && match.From == n.ref() && s.at[match.To] != nil {
			bags = append(bags[:len(bags):len(bags)], match.To)
		}
	}
	rest := b.Amount
	postings := []Posting{{accountBank, b.Amount}}
	for _, bag := range bags {
		if s.carried[bag] {
			continue // brought once already: it stays unmatched
		}
		if count := s.bag[bag]; count != nil {
			sum := amountOf(count.body)
			postings = append(postings, Posting{accountCounted, -sum})
			rest -= sum
		} else if removed := s.at[bag]; removed != nil && removed.kind == event.KindCashBoxRemoved {
			sum := amountOf(removed.body)
			postings = append(postings, Posting{transitAccount(removed.name()), -sum})
			rest -= sum
		} else {
			continue
		}
		s.carried[bag] = true
	}
	s.post(n, append(postings, Posting{accountUnmatched, -rest})...)
	s.leave(n, accountUnmatched, -rest, ReasonUnmatched)
}

// writeOff gives up what is left open at entries that are no citizen's credit.
func (s *settler) writeOff(n *node) {
	b, ok := n.body.(*event.WrittenOff)
	if !ok {
		return
	}
	t := s.target(n, b.Entry)
	if t == nil {
		return
	}
	if _, ok := s.credit(t); ok {
		return // done before
	}
	for _, i := range s.items[t] {
		if i.why != ReasonRefundOpen && i.open != 0 {
			s.giveUp(n, i, b.Amount)
			return
		}
	}
	s.ask(n, ReasonTarget, b.Amount)
}

// giveUp writes off what is there of an amount, and asks about the rest.
func (s *settler) giveUp(n *node, from *item, amount ledger.Paise) {
	var taken Posting
	if from != nil {
		taken = from.take(amount)
	}
	s.post(n, taken, Posting{accountWriteOff, -taken.Amount})
	if rest := amount - max(taken.Amount, -taken.Amount); rest > 0 {
		s.ask(n, ReasonTarget, rest)
	}
}
