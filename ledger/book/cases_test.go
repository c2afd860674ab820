package book

import (
	"encoding/hex"
	"maps"
	"slices"
	"testing"

	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/ledger/internal/vector"
)

// hardCase is a case that says by hand what it must come to.
type hardCase struct {
	vectorCase
	want map[string]ledger.Paise
	asks []Reason // all of them, sorted
}

type sums = map[string]ledger.Paise

// cast are the logs that most cases need: two kiosks, and the office's logs.
type cast struct {
	t                           testing.TB
	a, b                        *script
	cell, settlement, authority *script
}

func newCast(t testing.TB) *cast {
	return &cast{
		t: t, a: newKiosk(t, 7, 0), b: newKiosk(t, 8, 9), cell: newScript(t, 0xc0, 1, "cell", 100_000),
		settlement: newScript(t, 0xc1, 1, "settlement", 200_000), authority: newScript(t, 0xc2, 1, "authority", 300_000),
	}
}

func (c *cast) is(name string, want sums, asks ...Reason) hardCase {
	slices.Sort(asks)
	h := hardCase{want: want, asks: asks}
	h.Name = name
	for _, s := range []*script{c.a, c.b, c.cell, c.settlement, c.authority} {
		if len(s.raw) > 1 {
			h.Logs = append(h.Logs, s.end())
		}
	}
	return h
}

// slip is a sale at kiosk 7 that ended with a credit slip of 500 rupees.
func (c *cast) slip() event.Ref {
	sale, stacked := c.a.open(1, 1264_00, event.SurplusNextBill, 500_00)
	c.a.add(&event.SlipIssued{Sale: sale, Amount: 500_00, Notes: event.RefNotes(stacked...)})
	return c.a.last(event.KindSlipIssued)
}

// twice is one bill of 600 rupees, paid at both kiosks; the biller refuses a surplus.
func (c *cast) twice() (first, second event.Ref) {
	c.a.whole(1, 600_00, event.SurplusRefused, 500_00, 100_00)
	c.b.whole(1, 600_00, event.SurplusRefused, 500_00, 100_00)
	return c.a.last(event.KindPaymentCommitted), c.b.last(event.KindPaymentCommitted)
}

// doubt is a note of 500 rupees at kiosk 7 whose place nobody knows.
func (c *cast) doubt() event.Ref {
	sale, _ := c.a.open(1, 1264_00, event.SurplusNextBill)
	n := c.a.add(&event.NoteEscrowed{Sale: sale, Value: 500_00, Channel: 1, Serial: 9})
	c.a.add(&event.StackIntent{Note: n}, &event.NoteUnresolved{Note: n, Reason: event.DoubtNoEvidence})
	return c.a.last(event.KindNoteUnresolved)
}

// bag is a bag of kiosk 7 with 600 rupees in it, of a payment that is done.
func (c *cast) bag() event.Ref {
	c.a.whole(1, 600_00, event.SurplusRefused, 500_00, 100_00)
	return c.empty(event.NoteCounts{{Value: 100_00, Count: 1}, {Value: 500_00, Count: 1}})
}

func (c *cast) empty(notes event.NoteCounts) event.Ref {
	c.a.add(&event.CashBoxRemoved{Seal: "S1", Notes: notes}, &event.CashBoxInserted{})
	return c.a.last(event.KindCashBoxRemoved)
}

func (s *script) counted(bag event.Ref, hundreds, fiveHundreds uint32) event.Ref {
	var notes event.NoteCounts
	for _, n := range []event.NoteCount{{Value: 100_00, Count: hundreds}, {Value: 500_00, Count: fiveHundreds}} {
		if n.Count > 0 {
			notes = append(notes, n)
		}
	}
	s.add(&event.BoxCounted{Bag: bag, Notes: notes})
	return s.last(event.KindBoxCounted)
}

// plus adds balances.
func plus(a, b sums) sums {
	all := maps.Clone(a)
	for k, v := range b {
		all[k] += v
	}
	return all
}

func makeCase(t testing.TB, write func(c *cast) hardCase) hardCase { return write(newCast(t)) }

// billCases are bills paid twice, and what the office says of payments.
func billCases(t testing.TB) []hardCase {
	paid := sums{"Assets:Cash:K7": 600_00, "Assets:Cash:K8": 600_00, "Liabilities:Biller:JVVNL": -600_00}
	and := func(more sums) sums { return plus(paid, more) }
	return []hardCase{
		makeCase(t, func(c *cast) hardCase {
			_, second := c.twice()
			c.settlement.add(&event.BillerAcknowledged{Payment: second, Reference: "CC1"})
			return c.is("the later of two payments acknowledged", and(sums{"Liabilities:Citizen:K7-1-9": -600_00}), ReasonBillTwice)
		}),
		makeCase(t, func(c *cast) hardCase {
			_, second := c.twice()
			c.settlement.add(&event.BillerSubmitted{Payment: second, Reference: "B1"})
			return c.is("the later of two payments submitted", and(sums{"Liabilities:Citizen:K7-1-9": -600_00}), ReasonBillTwice)
		}),
		makeCase(t, func(c *cast) hardCase {
			first, second := c.twice()
			c.settlement.add(&event.BillerSubmitted{Payment: first, Reference: "B1"}, &event.BillerAcknowledged{Payment: second, Reference: "CC1"})
			return c.is("the earlier submitted, the later acknowledged", and(sums{"Liabilities:Citizen:K7-1-9": -600_00}), ReasonBillTwice)
		}),
		makeCase(t, func(c *cast) hardCase {
			first, _ := c.twice()
			c.cell.add(&event.RefundIssued{Credit: first, Amount: 600_00})
			return c.is("the earlier of two payments refunded", and(sums{"Liabilities:Refund:O1-19-1-1": -600_00}), ReasonRefundOpen)
		}),
		makeCase(t, func(c *cast) hardCase {
			first, second := c.twice()
			c.settlement.add(&event.BillerAcknowledged{Payment: first, Reference: "CC1"}, &event.BillerAcknowledged{Payment: second, Reference: "CC2"})
			return c.is("both payments acknowledged", and(sums{"Liabilities:Biller:JVVNL": -600_00}), ReasonBillTwice)
		}),
		makeCase(t, func(c *cast) hardCase {
			first, second := c.twice()
			c.settlement.add(&event.BillerAcknowledged{Payment: second, Reference: "CC1"})
			c.cell.add(&event.RefundIssued{Credit: second, Amount: 600_00})
			_ = first
			return c.is("an acknowledged payment refunded", and(sums{"Liabilities:Citizen:K7-1-9": -600_00, "Liabilities:Disputed": 600_00, "Liabilities:Refund:O1-19-1-1": -600_00}),
				ReasonBillTwice, ReasonDisputed, ReasonRefundOpen)
		}),
		makeCase(t, func(c *cast) hardCase {
			first, _ := c.twice()
			c.settlement.add(&event.BillerRejected{Payment: first, Reason: "closed"})
			return c.is("the earlier of two payments rejected", and(sums{"Liabilities:Citizen:K7-1-9": -600_00}), ReasonRejected)
		}),
		makeCase(t, func(c *cast) hardCase {
			first, _ := c.twice()
			c.settlement.add(&event.BillerAcknowledged{Payment: first, Reference: "CC1"}, &event.BillerRejected{Payment: first, Reason: "closed"})
			return c.is("acknowledged and rejected", and(sums{"Liabilities:Citizen:K8-1-9": -600_00}), ReasonBillTwice, ReasonDisagree)
		}),
		makeCase(t, func(c *cast) hardCase {
			slip := c.slip()
			c.settlement.add(&event.BillerAcknowledged{Payment: slip, Reference: "CC1"}, &event.BillerAcknowledged{Payment: c.b.ref(0), Reference: "CC1"})
			return c.is("acknowledgements of a slip and of what is not held", sums{"Assets:Cash:K7": 500_00, "Liabilities:Slip:K7-1-6": -500_00}, ReasonSlipOpen, ReasonTarget, ReasonWaiting)
		}),
		makeCase(t, func(c *cast) hardCase {
			c.a.whole(1, 600_00, event.SurplusRefused, 500_00, 100_00)
			c.a.add(&event.BillerAcknowledged{Payment: c.a.last(event.KindPaymentCommitted), Reference: "CC1"})
			return c.is("a kiosk decides", sums{"Assets:Cash:K7": 600_00, "Liabilities:Biller:JVVNL": -600_00}, ReasonRole)
		}),
	}
}

// spelling: billers whose codes differ in little are others, and so is the bill.
func spelling(t testing.TB) hardCase {
	return makeCase(t, func(c *cast) hardCase {
		want := sums{"Assets:Cash:K7": 500_00}
		for _, biller := range [][2]string{{"JVVNL", "JVVNL"}, {"jvvnl", "X-jvvnl"}, {"X-jvvnl", "X-X-jvvnl"}, {"-JVVNL", "X--JVVNL"}, {"9", "9"}} {
			code, account := biller[0], biller[1]
			want["Liabilities:Biller:"+account] = -100_00
			sale, stacked := c.a.open(1, 100_00, event.SurplusRefused, 100_00)
			c.a.add(&event.PaymentCommitted{Sale: sale, Biller: code, Bill: event.BillKey{1}, Due: 100_00, Tendered: 100_00, Applied: 100_00, Rule: event.SurplusRefused, Tender: event.TenderCash, Notes: event.RefNotes(stacked...)})
		}
		return c.is("billers that are spelled differently", want)
	})
}

// creditCases are credits redeemed, refunded and written off.
func creditCases(t testing.TB) []hardCase {
	cash := sums{"Assets:Cash:K7": 500_00}
	and := func(more sums) sums { return plus(cash, more) }
	counter := func(to event.Ref) event.Body {
		return &event.CreditRedeemed{Credit: to, Amount: 500_00, How: event.HowCounter}
	}
	bill := func(to event.Ref) event.Body {
		return &event.CreditRedeemed{Credit: to, Amount: 500_00, How: event.HowNextBill, Biller: "JVVNL"}
	}
	one := func(name string, write func(c *cast, slip event.Ref), want sums, asks ...Reason) hardCase {
		return makeCase(t, func(c *cast) hardCase { write(c, c.slip()); return c.is(name, want, asks...) })
	}
	return []hardCase{
		one("a slip paid out", func(c *cast, slip event.Ref) { c.cell.add(counter(slip)) }, and(sums{"Assets:Counter": -500_00})),
		one("a slip on the next bill", func(c *cast, slip event.Ref) { c.cell.add(bill(slip)) }, and(sums{"Liabilities:Advance:JVVNL": -500_00})),
		one("a slip redeemed twice, in two logs", func(c *cast, slip event.Ref) { c.cell.add(counter(slip)); c.settlement.add(bill(slip)) },
			and(sums{"Assets:Counter": -500_00, "Liabilities:Disputed": 500_00, "Liabilities:Advance:JVVNL": -500_00}), ReasonDisputed),
		one("a slip redeemed in part", func(c *cast, slip event.Ref) {
			c.cell.add(&event.CreditRedeemed{Credit: slip, Amount: 200_00, How: event.HowCounter})
		}, and(sums{"Assets:Counter": -200_00, "Liabilities:Slip:K7-1-6": -300_00}), ReasonSlipOpen),
		one("a disputed redemption written off", func(c *cast, slip event.Ref) {
			c.cell.add(counter(slip), counter(slip))
			c.cell.add(&event.WrittenOff{Entry: c.cell.last(event.KindCreditRedeemed), Amount: 500_00, Reason: "fraud"})
		}, and(sums{"Assets:Counter": -1000_00, "Expenses:WrittenOff": 500_00})),
		one("a slip written off", func(c *cast, slip event.Ref) {
			c.cell.add(&event.WrittenOff{Entry: slip, Amount: 600_00, Reason: "after three years"})
		}, and(sums{"Expenses:WrittenOff": -500_00}), ReasonTarget),
		one("a refund issued and paid", func(c *cast, slip event.Ref) {
			c.cell.add(&event.RefundIssued{Credit: slip, Amount: 500_00})
			c.settlement.add(&event.RefundPaid{Refund: c.cell.last(event.KindRefundIssued), Amount: 500_00, Reference: "UTR"})
		}, and(sums{"Assets:Bank": -500_00})),
		one("a refund issued twice", func(c *cast, slip event.Ref) {
			c.cell.add(&event.RefundIssued{Credit: slip, Amount: 500_00}, &event.RefundIssued{Credit: slip, Amount: 500_00})
		}, and(sums{"Liabilities:Refund:O1-19-1-1": -500_00, "Liabilities:Refund:O1-19-1-2": -500_00, "Liabilities:Disputed": 500_00}), ReasonRefundOpen, ReasonRefundOpen, ReasonDisputed),
		one("a refund paid twice", func(c *cast, slip event.Ref) {
			c.cell.add(&event.RefundIssued{Credit: slip, Amount: 500_00})
			paid := &event.RefundPaid{Refund: c.cell.last(event.KindRefundIssued), Amount: 500_00, Reference: "UTR"}
			c.settlement.add(paid, paid)
		}, and(sums{"Assets:Bank": -1000_00, "Liabilities:Disputed": 500_00}), ReasonDisputed),
		one("a refund paid whose decision waits", func(c *cast, slip event.Ref) {
			c.a = newKiosk(t, 7, 0)
			c.cell.add(&event.RefundIssued{Credit: slip, Amount: 500_00})
			c.settlement.add(&event.RefundPaid{Refund: c.cell.last(event.KindRefundIssued), Amount: 500_00, Reference: "UTR"})
		}, sums{"Assets:Unmatched": 500_00, "Assets:Bank": -500_00}, ReasonUnmatched, ReasonWaiting),
		one("a slip of another leaf redeemed", func(c *cast, slip event.Ref) { slip.Leaf[0] ^= 1; c.cell.add(bill(slip)) },
			and(sums{"Liabilities:Slip:K7-1-6": -500_00}), ReasonSlipOpen, ReasonWaiting),
		one("a stacked note redeemed", func(c *cast, _ event.Ref) { c.cell.add(bill(c.a.ref(5))) }, and(sums{"Liabilities:Slip:K7-1-6": -500_00}), ReasonSlipOpen, ReasonWaiting),
		one("a refund redeemed", func(c *cast, slip event.Ref) {
			c.cell.add(&event.RefundIssued{Credit: slip, Amount: 500_00})
			c.cell.add(bill(c.cell.last(event.KindRefundIssued)))
		}, and(sums{"Liabilities:Refund:O1-19-1-1": -500_00}), ReasonRefundOpen, ReasonTarget),
	}
}

// earlyCases are decisions whose entry is not held.
func earlyCases(t testing.TB) []hardCase {
	nobody := event.Ref{Log: ledger.LogID{0xee}, Index: 6, Leaf: [8]byte{1}}
	alone := func(name string, b event.Body, want sums, asks ...Reason) hardCase {
		return makeCase(t, func(c *cast) hardCase { c.cell.add(b); return c.is(name, want, asks...) })
	}
	return []hardCase{
		alone("a redemption before its slip", &event.CreditRedeemed{Credit: nobody, Amount: 500_00, How: event.HowNextBill, Biller: "JVVNL"}, sums{}, ReasonWaiting),
		alone("a slip paid out before it is held", &event.CreditRedeemed{Credit: nobody, Amount: 500_00, How: event.HowCounter}, sums{"Assets:Unmatched": 500_00, "Assets:Counter": -500_00}, ReasonUnmatched),
		alone("a refund paid before its decision", &event.RefundPaid{Refund: nobody, Amount: 500_00, Reference: "UTR"}, sums{"Assets:Unmatched": 500_00, "Assets:Bank": -500_00}, ReasonUnmatched),
		alone("a write-off before its entry", &event.WrittenOff{Entry: nobody, Amount: 500_00, Reason: "r"}, sums{}, ReasonWaiting),
	}
}

// cashCases follow the cash from the box to the bank.
func cashCases(t testing.TB) []hardCase {
	one := func(name string, write func(c *cast), want sums, asks ...Reason) hardCase {
		return makeCase(t, func(c *cast) hardCase { write(c); return c.is(name, want, asks...) })
	}
	deposit := func(amount ledger.Paise, bags ...event.Ref) event.Body {
		return &event.DepositSeen{Slip: "471", Amount: amount, Bags: bags}
	}
	biller := func(more sums) sums { more["Liabilities:Biller:JVVNL"] = -600_00; return more }
	return []hardCase{
		one("a bag on its way", func(c *cast) { c.bag() }, biller(sums{"Assets:Transit:K7-1-11": 600_00})),
		one("counted and deposited", func(c *cast) {
			bag := c.bag()
			c.cell.counted(bag, 1, 1)
			c.settlement.add(deposit(600_00, bag))
		}, biller(sums{"Assets:Bank": 600_00})),
		one("deposited uncounted, short", func(c *cast) { c.settlement.add(deposit(500_00, c.bag())) }, biller(sums{"Assets:Bank": 500_00, "Assets:Unmatched": 100_00}), ReasonUnmatched),
		one("counted short", func(c *cast) { c.cell.counted(c.bag(), 0, 1) }, biller(sums{"Assets:Counted": 500_00, "Assets:Difference:K7": 100_00}), ReasonBoxDiffers),
		one("counted short and written off", func(c *cast) {
			c.cell.add(&event.WrittenOff{Entry: c.cell.counted(c.bag(), 0, 1), Amount: 100_00, Reason: "r"})
		}, biller(sums{"Assets:Counted": 500_00, "Expenses:WrittenOff": 100_00})),
		one("counted twice", func(c *cast) { bag := c.bag(); c.cell.counted(bag, 1, 1); c.cell.counted(bag, 0, 1) }, biller(sums{"Assets:Counted": 600_00}), ReasonDisagree),
		one("counted before its bag is held", func(c *cast) { c.cell.counted(c.b.ref(0), 1, 1); c.cell.counted(c.b.ref(0), 1, 1) },
			sums{"Assets:Counted": 600_00, "Assets:Unmatched": -600_00}, ReasonUnmatched, ReasonDisagree),
		one("a deposit of nobody's", func(c *cast) { c.settlement.add(deposit(600_00)) }, sums{"Assets:Bank": 600_00, "Assets:Unmatched": -600_00}, ReasonUnmatched),
		one("a deposit matched", func(c *cast) {
			bag := c.bag()
			c.settlement.add(deposit(600_00))
			c.settlement.add(&event.Matched{From: c.settlement.last(event.KindDepositSeen), To: bag})
		}, biller(sums{"Assets:Bank": 600_00})),
		one("a bag deposited twice", func(c *cast) {
			bag := c.bag()
			c.settlement.add(deposit(600_00, bag), deposit(600_00, bag))
		}, biller(sums{"Assets:Bank": 1200_00, "Assets:Unmatched": -600_00}), ReasonUnmatched),
		one("a count of a payment", func(c *cast) { c.bag(); c.cell.counted(c.a.last(event.KindPaymentCommitted), 1, 1) },
			biller(sums{"Assets:Transit:K7-1-11": 600_00, "Assets:Counted": 600_00, "Assets:Unmatched": -600_00}), ReasonTarget),
	}
}

// doubtCases are notes in doubt that the office resolves.
func doubtCases(t testing.TB) []hardCase {
	one := func(name string, write func(c *cast), want sums, asks ...Reason) hardCase {
		return makeCase(t, func(c *cast) hardCase { write(c); return c.is(name, want, asks...) })
	}
	resolved := func(c *cast, o event.Outcome) {
		doubt := c.doubt()
		count := c.cell.counted(c.empty(nil), 0, 1)
		c.cell.add(&event.NoteResolved{Doubt: doubt, Outcome: o, Count: count})
	}
	return []hardCase{
		one("a note in doubt was in the box", func(c *cast) { resolved(c, event.OutcomeInBox) }, sums{"Assets:Counted": 500_00, "Liabilities:Citizen:K7-1-5": -500_00}, ReasonCreditOpen),
		one("a note in doubt was returned", func(c *cast) { resolved(c, event.OutcomeReturned) }, sums{"Assets:Counted": 500_00, "Assets:Difference:K7": -500_00}, ReasonBoxDiffers),
		one("a note in doubt resolved twice", func(c *cast) {
			resolved(c, event.OutcomeInBox)
			c.cell.add(&event.NoteResolved{Doubt: c.a.last(event.KindNoteUnresolved), Outcome: event.OutcomeInBox, Count: c.cell.last(event.KindBoxCounted)})
		}, sums{"Assets:Counted": 500_00, "Liabilities:Citizen:K7-1-5": -500_00}, ReasonCreditOpen, ReasonDisagree),
		one("a note in doubt found and refunded", func(c *cast) {
			resolved(c, event.OutcomeInBox)
			c.cell.add(&event.RefundIssued{Credit: c.a.last(event.KindNoteUnresolved), Amount: 500_00})
		}, sums{"Assets:Counted": 500_00, "Liabilities:Refund:O1-19-1-3": -500_00}, ReasonRefundOpen),
		one("a note in doubt resolved before the count is held", func(c *cast) {
			c.cell.add(&event.NoteResolved{Doubt: c.doubt(), Outcome: event.OutcomeInBox, Count: c.b.ref(0)})
		}, sums{}, ReasonNoteInDoubt, ReasonWaiting),
		one("a note that was nobody's is the one in doubt", func(c *cast) {
			doubt := c.doubt()
			c.a.add(&event.NoteOrphaned{Value: 500_00, Serial: 9})
			c.cell.add(&event.Matched{From: c.a.last(event.KindNoteOrphaned), To: doubt})
		}, sums{"Assets:Cash:K7": 500_00, "Liabilities:Citizen:K7-1-5": -500_00}, ReasonCreditOpen),
		one("a note of unknown value is the one in doubt", func(c *cast) {
			doubt := c.doubt()
			c.a.add(&event.NoteOrphaned{Serial: 9})
			match := &event.Matched{From: c.a.last(event.KindNoteOrphaned), To: doubt}
			c.cell.add(match, match)
		}, sums{"Assets:Cash:K7": 500_00, "Liabilities:Citizen:K7-1-5": -500_00}, ReasonCreditOpen, ReasonDisagree),
	}
}

// trustCases are forks, revocations, papers and rules.
func trustCases(t testing.TB) []hardCase {
	return []hardCase{
		makeCase(t, func(c *cast) hardCase { // a cloned disk: both branches sell the same bill
			c.a.whole(1, 600_00, event.SurplusRefused, 500_00, 100_00)
			branch := *c.a
			branch.raw, branch.late = slices.Clone(c.a.raw), 7
			c.a.whole(2, 600_00, event.SurplusRefused, 500_00, 100_00)
			branch.whole(2, 600_00, event.SurplusRefused, 500_00, 100_00)
			c.b = &branch
			return c.is("a fork: both branches count", sums{"Assets:Cash:K7": 1800_00, "Liabilities:Biller:JVVNL": -1200_00, "Liabilities:Citizen:K7-1-19": -600_00}, ReasonFork, ReasonBillTwice)
		}),
		makeCase(t, func(c *cast) hardCase { // identical entries in two logs keep two names
			c.a.open(1, 600_00, event.SurplusRefused, 500_00)
			c.b = newScript(t, 99, 7, "kiosk", 0)
			c.b.open(1, 600_00, event.SurplusRefused, 500_00)
			return c.is("two logs of one slot and incarnation", sums{"Assets:Cash:K7": 1000_00, "Liabilities:Sale:K7-1-1": -1000_00}, ReasonSlotTwice, ReasonSlotTwice)
		}),
		revokedCase(t, "revoked, and a sale beyond what was accepted", 0, sums{"Assets:Cash:K7": 600_00, "Liabilities:Biller:JVVNL": -600_00, "Assets:Held": 600_00, "Liabilities:Held": -600_00}, ReasonHeld, ReasonHeld, ReasonHeld),
		revokedCase(t, "a held payment counts, with its notes", event.VerdictCounts, sums{"Assets:Cash:K7": 1200_00, "Liabilities:Biller:JVVNL": -1200_00}),
		revokedCase(t, "a held payment is void", event.VerdictVoid, sums{"Assets:Cash:K7": 600_00, "Liabilities:Biller:JVVNL": -600_00, "Assets:Held": 600_00, "Liabilities:Held": -600_00}, ReasonHeld, ReasonHeld),
		makeCase(t, func(c *cast) hardCase { // another root at that size accepts nothing
			c.a.open(1, 600_00, event.SurplusRefused, 500_00)
			c.authority.add(&event.MachineRevoked{Machine: [32]byte{7}, Accepted: []event.Accepted{{Log: c.a.id, Size: 6, Root: ledger.Hash{1}}}})
			return c.is("a tip of another history accepts nothing", sums{"Assets:Held": 500_00, "Liabilities:Held": -500_00}, ReasonHeld)
		}),
		paperCase(t, "a receipt without its log", false, ReasonPaper),
		paperCase(t, "a receipt and its log", true),
		makeCase(t, func(c *cast) hardCase {
			c.a.whole(1, 600_00, event.SurplusRefused, 500_00, 100_00)
			c.a.add(&event.RulesStated{Rules: ledger.Hash{0xaa}})
			c.a.whole(2, 600_00, event.SurplusRefused, 500_00, 100_00)
			return c.is("unknown rules stated", sums{"Assets:Cash:K7": 600_00, "Liabilities:Biller:JVVNL": -600_00}, ReasonRules)
		}),
	}
}

// rootOf is the root over the entries that a script has written.
func rootOf(s *script) ledger.Hash {
	var edge ledger.Edge
	for i := range s.raw {
		var err error
		if edge, err = edge.Append(ledger.LeafHash(s.bytes(uint64(i)))); err != nil {
			s.t.Fatal(err)
		}
	}
	return edge.Root()
}

// revokedCase: kiosk 7 sells, is accepted so far, and sells again.
func revokedCase(t testing.TB, name string, verdict event.Verdict, want sums, asks ...Reason) hardCase {
	return makeCase(t, func(c *cast) hardCase {
		c.a.whole(1, 600_00, event.SurplusRefused, 500_00, 100_00)
		tip := event.Accepted{Log: c.a.id, Size: uint64(len(c.a.raw)), Root: rootOf(c.a)}
		c.a.whole(2, 600_00, event.SurplusRefused, 500_00, 100_00)
		c.authority.add(&event.MachineRevoked{Machine: [32]byte{7}, Accepted: []event.Accepted{tip}})
		if verdict != 0 {
			c.cell.add(&event.HeldDecided{Entry: c.a.last(event.KindPaymentCommitted), Verdict: verdict})
		}
		return c.is(name, want, asks...)
	})
}

// A revocation counts in whichever incarnation of the authority log it stands; what either
// accepts of a machine is accepted.
func TestRevokedByTheNextAuthorityLog(t *testing.T) {
	c := newCast(t)
	c.a.whole(1, 600_00, event.SurplusRefused, 500_00, 100_00)
	accept := func() *event.MachineRevoked {
		return &event.MachineRevoked{Machine: [32]byte{7}, Accepted: []event.Accepted{{Log: c.a.id, Size: uint64(len(c.a.raw)), Root: rootOf(c.a)}}}
	}
	c.authority.add(accept())
	c.a.whole(2, 500_00, event.SurplusRefused, 500_00)
	next := newScript(t, 0xc3, 1, "authority", 400_000)
	next.ordinal = 2
	held := vectorCase{Logs: []vectorLog{c.a.end(), c.authority.end()}}.books(t)
	if got := held.Balances["Assets:Held"]; got != 500_00 {
		t.Errorf("under the first log alone %d paise are held, want 50000", got)
	}
	next.add(accept(), &event.MachineRevoked{Machine: [32]byte{8}})
	c.b.whole(3, 500_00, event.SurplusRefused, 500_00)
	logs := []vectorLog{c.a.end(), c.authority.end(), c.b.end(), next.end()}
	for range 2 {
		b := vectorCase{Logs: logs}.books(t)
		if b.Balances["Assets:Cash:K7"] != 1100_00 || b.Balances["Assets:Cash:K8"] != 0 || b.Balances["Assets:Held"] != 500_00 {
			t.Errorf("with the second one the books have %v", b.Balances)
		}
		slices.Reverse(logs)
	}
}

// proven is the case under the fleet's key, which its proofs need.
func proven(h hardCase) hardCase {
	h.Fleet = hex.EncodeToString(vector.Public("fleet"))
	return h
}

// paperCase: the office has a receipt of a payment; its log is there or not.
func paperCase(t testing.TB, name string, arrived bool, asks ...Reason) hardCase {
	return makeCase(t, func(c *cast) hardCase {
		c.a = signedKiosk(t, "log", 7, 0).whole(1, 600_00, event.SurplusRefused, 500_00, 100_00)
		p := c.a.paper(c.a.last(event.KindPaymentCommitted).Index)
		c.cell.add(p, p)
		if !arrived {
			c.a = newKiosk(t, 7, 0)
		}
		return proven(c.is(name, sums{"Assets:Cash:K7": 600_00, "Liabilities:Biller:JVVNL": -600_00}, asks...))
	})
}

// falsePapers are receipts that the office entered and that do not verify.
func falsePapers(t testing.TB) []hardCase {
	paper := func(name string, spoil func(s *script, p *event.PaperRecovered)) hardCase {
		return makeCase(t, func(c *cast) hardCase {
			s := signedKiosk(t, "log", 7, 0).whole(1, 600_00, event.SurplusRefused, 500_00, 100_00)
			p := s.paper(s.last(event.KindPaymentCommitted).Index)
			spoil(s, p)
			c.cell.add(p)
			return proven(c.is(name, sums{}, ReasonFalseProof))
		})
	}
	return []hardCase{
		paper("a receipt that was altered", func(s *script, p *event.PaperRecovered) {
			other := signedKiosk(t, "log", 7, 0).whole(1, 60_000_00, event.SurplusRefused, 500_00, 100_00)
			p.Paper.Entry = other.bytes(p.Paper.Index)
		}),
		paper("a receipt of another index than was signed", func(s *script, p *event.PaperRecovered) { p.Paper.Index--; p.Paper.Size-- }),
		paper("a receipt of another fleet's kiosk", func(s *script, p *event.PaperRecovered) { p.Chain, _ = s.papers("other fleet", "machine") }),
		paper("a receipt whose log no machine granted", func(s *script, p *event.PaperRecovered) { _, p.Grant = s.papers("fleet", "other machine") }),
		makeCase(t, func(c *cast) hardCase {
			c.a = signedKiosk(t, "log", 7, 0).whole(1, 600_00, event.SurplusRefused, 500_00, 100_00)
			p := c.a.paper(c.a.last(event.KindPaymentCommitted).Index)
			p.Sig[0] ^= 1
			c.cell.add(p)
			return proven(c.is("a false receipt beside its log", sums{"Assets:Cash:K7": 600_00, "Liabilities:Biller:JVVNL": -600_00}, ReasonFalseProof))
		}),
		makeCase(t, func(c *cast) hardCase { // who knows no fleet key believes no receipt
			s := signedKiosk(t, "log", 7, 0).whole(1, 600_00, event.SurplusRefused, 500_00, 100_00)
			c.cell.add(s.paper(s.last(event.KindPaymentCommitted).Index))
			return c.is("a receipt where no fleet is known", sums{}, ReasonFalseProof)
		}),
	}
}

// shownForks are forks that the office entered, and some that are none.
func shownForks(t testing.TB) []hardCase {
	fork := func(name string, write func(c *cast, b *event.ForkShown), want sums, asks ...Reason) hardCase {
		return makeCase(t, func(c *cast) hardCase {
			c.a = signedKiosk(t, "log", 7, 0)
			c.a.whole(1, 600_00, event.SurplusRefused, 500_00, 100_00)
			branch := c.a.clone(7)
			at := uint64(len(c.a.raw))
			c.a.whole(2, 600_00, event.SurplusRefused, 500_00, 100_00)
			branch.whole(3, 600_00, event.SurplusRefused, 500_00, 100_00)
			c.b = branch
			b := forkOf(c.a, branch, at)
			write(c, b)
			c.authority.add(b)
			return c.is(name, want, asks...)
		})
	}
	one := sums{"Assets:Cash:K7": 1200_00, "Liabilities:Biller:JVVNL": -1200_00}
	both := sums{"Assets:Cash:K7": 1800_00, "Liabilities:Biller:JVVNL": -1800_00}
	alone := func(c *cast) { c.b = newKiosk(t, 8, 9) }
	return []hardCase{
		fork("a fork shown of which one branch is held", func(c *cast, _ *event.ForkShown) { alone(c) }, one, ReasonFork),
		fork("a fork shown and held", func(*cast, *event.ForkShown) {}, both, ReasonFork, ReasonFork),
		fork("a fork shown of a log that is not held", func(c *cast, _ *event.ForkShown) { alone(c); c.a = newKiosk(t, 7, 0) }, sums{}, ReasonWaiting),
		fork("a fork shown by a checkpoint that the log did not sign", func(c *cast, b *event.ForkShown) {
			alone(c)
			b.Other.Point = ledger.SignCheckpoint(vector.Key("other log"), b.Other.Point.Size, b.Other.Point.Root)
		}, one, ReasonFalseProof),
		fork("a fork shown by a leaf that the checkpoint has not", func(c *cast, b *event.ForkShown) { alone(c); b.Other.Leaf[31] ^= 1 }, one, ReasonFalseProof),
		fork("a fork shown by a proof of another index", func(c *cast, b *event.ForkShown) { alone(c); b.Index++ }, one, ReasonFalseProof),
		fork("a fork shown by a proof of one hash too few", func(c *cast, b *event.ForkShown) {
			alone(c)
			b.Ours.Proof = b.Ours.Proof[1:]
		}, one, ReasonFalseProof),
		fork("a fork shown of another log than its key's", func(c *cast, b *event.ForkShown) {
			alone(c)
			c.b = signedKiosk(t, "other log", 8, 9).whole(4, 600_00, event.SurplusRefused, 500_00, 100_00)
			b.Log = c.b.id
		}, sums{"Assets:Cash:K7": 1200_00, "Assets:Cash:K8": 600_00, "Liabilities:Biller:JVVNL": -1800_00}, ReasonFalseProof),
	}
}

func allHard(t testing.TB) []hardCase {
	return slices.Concat(billCases(t), creditCases(t), earlyCases(t), cashCases(t), doubtCases(t), trustCases(t), falsePapers(t), shownForks(t), []hardCase{spelling(t)})
}

func hardCases(t testing.TB) []vectorCase {
	var out []vectorCase
	for _, h := range allHard(t) {
		out = append(out, h.vectorCase)
	}
	return out
}

// TestDecisions: what each case must come to, whatever the file says.
func TestDecisions(t *testing.T) {
	for _, h := range allHard(t) {
		h.comesTo(t, h.books(t))
	}
	for _, h := range takenOver(t) {
		h.comesTo(t, h.booksUnder(t, Rules2()))
	}
	for _, h := range thirdCases(t) {
		h.comesTo(t, h.booksUnder(t, Rules3()))
	}
}

func (h hardCase) comesTo(t *testing.T, b Books) {
	t.Helper()
	var sum ledger.Paise
	got := bare(b.Balances)
	for account, p := range got {
		if sum += p; p != h.want[account] {
			t.Errorf("%s: %s has %d, want %d", h.Name, account, p, h.want[account])
		}
	}
	for account, p := range h.want {
		if got[account] != p {
			t.Errorf("%s: %s has %d, want %d", h.Name, account, got[account], p)
		}
	}
	var asks []Reason
	for _, q := range b.Questions {
		asks = append(asks, q.Reason)
	}
	if slices.Sort(asks); !slices.Equal(asks, h.asks) || sum != 0 {
		t.Errorf("%s: asks %v, want %v; the books sum to %d", h.Name, asks, h.asks, sum)
	}
}
