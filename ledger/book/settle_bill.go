package book

import (
	"sort"

	"rasid/ledger"
	"rasid/ledger/event"
)

// standing is what the office has said of a payment, the firmest first: it is the
// order in which payments of one bill get what was due.
type standing int

const (
	standsAcknowledged standing = iota // the biller has it: settled for good
	standsSubmitted
	standsAlone
	standsRefunded // decided to give it back: it gives way to all others
	standsRejected // the biller will not take it: no part of the bill
)

// payments books the payments, pooled by bill: the biller gets what was due, once;
// what is beyond it is an advance where the biller takes one, else the citizen's.
func (s *settler) payments() {
	said := s.standings()
	pools := map[pool][]*node{}
	for _, n := range s.nodes {
		if b, ok := n.body.(*event.PaymentCommitted); ok {
			key := pool{b.Biller, b.Bill}
			pools[key] = append(pools[key], n)
		}
	}
	for _, paid := range pools {
		s.allocate(paid, said)
	}
}

func (s *settler) standings() map[*node]standing {
	said := map[*node]standing{}
	for _, n := range s.nodes {
		if n.kind == event.KindPaymentCommitted {
			said[n] = standsAlone
		}
	}
	for _, n := range s.nodes {
		var to event.Ref
		var says standing
		switch b := n.body.(type) {
		case *event.BillerAcknowledged:
			to, says = b.Payment, standsAcknowledged
		case *event.BillerSubmitted:
			to, says = b.Payment, standsSubmitted
		case *event.BillerRejected:
			to, says = b.Payment, standsRejected
		case *event.RefundIssued:
			if t := s.at[b.Credit]; t != nil && t.kind == event.KindPaymentCommitted && said[t] == standsAlone {
				said[t] = standsRefunded
			}
			continue // whether it takes effect is for later
		default:
			continue
		}
		t := s.target(n, to)
		if t == nil {
			continue
		}
		if t.kind != event.KindPaymentCommitted {
			s.ask(n, ReasonTarget, 0)
			continue
		}
		said[t] = firmer(said[t], says)
		if says != standsSubmitted {
			s.contradiction(n, t, says)
		}
	}
	return said
}

// firmer puts two words on one payment together: acknowledged before all, then
// rejected, then submitted, then refunded.
func firmer(a, b standing) standing {
	rank := [...]int{standsAcknowledged: 0, standsRejected: 1, standsSubmitted: 2, standsRefunded: 3, standsAlone: 4}
	if rank[b] < rank[a] {
		return b
	}
	return a
}

// contradiction asks where a biller has both taken and rejected a payment.
func (s *settler) contradiction(n, payment *node, says standing) {
	kind := event.KindBillerRejected
	if says == standsRejected {
		kind = event.KindBillerAcknowledged
	}
	if before := s.said[payment]; before != nil && before.Kind() == kind {
		s.ask(n, ReasonDisagree, amountOf(payment.body))
	}
	s.said[payment] = n.body
}

// allocate gives each payment its part. One that the biller has acknowledged has all
// that it applied, whatever else comes: a settled payment never flips.
func (s *settler) allocate(paid []*node, said map[*node]standing) {
	sort.SliceStable(paid, func(i, j int) bool {
		if a, b := said[paid[i]], said[paid[j]]; a != b {
			return a < b
		}
		return paid[i].before(paid[j])
	})
	var due, sum ledger.Paise
	for _, n := range paid {
		due = max(due, n.body.(*event.PaymentCommitted).Due)
	}
	for _, n := range paid {
		b := n.body.(*event.PaymentCommitted)
		applied := min(b.Applied, max(0, due-sum))
		twice := b.Applied - applied
		switch said[n] {
		case standsAcknowledged:
			applied = b.Applied
		case standsRejected:
			applied, twice = 0, 0
		}
		// A payment pool has far fewer than the nine million payments that overflow.
		sum += applied
		s.pay(n, b, applied, twice, said[n])
	}
}

func (s *settler) pay(n *node, b *event.PaymentCommitted, applied, twice ledger.Paise, says standing) {
	rest := b.Tendered - applied
	account := advanceAccount(b.Biller)
	if b.Rule == event.SurplusRefused || says == standsRejected {
		account = citizenAccount(n.name())
	}
	s.post(n, append(s.paidFrom(n, b.Tendered), Posting{billerAccount(b.Biller), -applied}, Posting{account, -rest})...)
	i := s.leave(n, account, -rest, "")
	switch {
	case says == standsRejected:
		i.why = ReasonRejected
	case says == standsAcknowledged && twice > 0:
		s.ask(n, ReasonBillTwice, twice) // and the biller has both
	case twice > 0:
		i.why, i.ask = ReasonBillTwice, twice
	}
}
