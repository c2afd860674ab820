package book

import (
	"slices"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/event"
)

// thirdCases are the cases that rule set 3 adds.
func thirdCases(t testing.TB) []hardCase {
	return slices.Concat(shownPapers(t), paperHeirs(t), forkedPapers(t), revokedPapers(t), leftSales(t), voided(t), silences(t), parted(t), machines(t))
}

// cut is the log as if its newest entries were not held.
func (s *script) cut(held uint64) *script {
	c := *s
	c.raw = slices.Clone(s.raw[:held])
	return &c
}

// shown is a case of a receipt at the cell, and what is held of its log.
func shown(t testing.TB, name string, want sums, write func(c *cast) (paper uint64, held uint64), asks ...Reason) hardCase {
	return makeCase(t, func(c *cast) hardCase {
		c.a = signedKiosk(t, "log", 7, 0)
		paper, held := write(c)
		c.cell.add(c.a.paper(paper))
		c.a = c.a.cut(held)
		return proven(c.is(name, want, asks...))
	})
}

// whole600 is a bill of 600 rupees paid with two notes: the first is in the box at entry
// 5, the second at 8, and the payment is entry 9.
func whole600(c *cast, held uint64) (uint64, uint64) {
	c.a.whole(1, 600_00, event.SurplusRefused, 500_00, 100_00)
	return 9, held
}

// shownPapers are receipts of a log of which something is lost.
func shownPapers(t testing.TB) []hardCase {
	paid := sums{"Assets:Cash:K7": 600_00, "Liabilities:Biller:JVVNL": -600_00}
	of := func(held uint64) func(c *cast) (uint64, uint64) {
		return func(c *cast) (uint64, uint64) { return whole600(c, held) }
	}
	slip := sums{"Assets:Cash:K7": 600_00, "Liabilities:Slip:K7-1-9": -600_00}
	slipped := func(held uint64) func(c *cast) (uint64, uint64) {
		return func(c *cast) (uint64, uint64) {
			sale, notes := c.a.open(1, 1264_00, event.SurplusNextBill, 500_00, 100_00)
			c.a.slipOf(sale, 600_00, notes)
			return 9, held
		}
	}
	return []hardCase{
		shown(t, "a receipt, and all of its log but the last commit", paid, of(9), ReasonPaper),
		shown(t, "a receipt, and one of its notes", paid, of(6), ReasonPaper),
		shown(t, "a receipt, and one of its notes on its way", paid, of(8), ReasonPaper),
		shown(t, "a receipt, and none of its notes", paid, of(3), ReasonPaper),
		shown(t, "a receipt, and nothing of its sale", paid, of(1), ReasonPaper),
		shown(t, "a receipt, and its entry", paid, of(11)),
		shown(t, "the receipt of a slip, and all of its log but the last commit", slip, slipped(9), ReasonPaper, ReasonSlipOpen),
		shown(t, "the receipt of a slip, and one of its notes", slip, slipped(6), ReasonPaper, ReasonSlipOpen),
		shown(t, "the receipt of a slip, and its entry", slip, slipped(11), ReasonSlipOpen),
		shown(t, "the receipt of a note in doubt, and its escrow", sums{}, func(c *cast) (uint64, uint64) { return c.doubt().Index, 5 }, ReasonPaper, ReasonNoteInDoubt),
		shown(t, "the receipt of a note in doubt, and nothing of it", sums{}, func(c *cast) (uint64, uint64) { return c.doubt().Index, 3 }, ReasonPaper, ReasonNoteInDoubt),
		shown(t, "the receipt of a note in doubt that is in the box", sums{"Assets:Cash:K7": 500_00, "Liabilities:Sale:K7-1-1": -500_00}, func(c *cast) (uint64, uint64) {
			sale, _ := c.a.open(1, 1264_00, event.SurplusNextBill)
			note := c.a.add(&event.NoteEscrowed{Sale: sale, Value: 500_00, Channel: 1, Serial: 9})
			stacked := c.a.clone(0)
			stacked.add(&event.NoteStacked{Note: note, Evidence: event.EvidenceEvent})
			c.a.add(&event.StackIntent{Note: note}, &event.NoteUnresolved{Note: note, Reason: event.DoubtNoEvidence})
			c.a.raw[4] = stacked.raw[4] // a history that no honest kiosk writes
			return 5, 5
		}, ReasonDisagree),
		shown(t, "two receipts for one note", plus(paid, sums{"Liabilities:Slip:K7-1-11": -600_00, "Liabilities:Sale:K7-1-1": 600_00}), func(c *cast) (uint64, uint64) {
			whole600(c, 9)
			sale, notes := uint64(1), []uint64{5, 8}
			c.a.slipOf(sale, 600_00, notes)
			c.cell.add(c.a.paper(11))
			return 9, 9
		}, ReasonPaper, ReasonPaper, ReasonDisagree, ReasonSlipOpen),
		shown(t, "a receipt of an old log that an office under rule set 3 entered", paid, func(c *cast) (uint64, uint64) { c.a.rules = 1; return whole600(c, 9) }, ReasonPaper),
		shown(t, "a receipt of a log under rule set 3 that an old office entered", paid, func(c *cast) (uint64, uint64) { c.cell.rules = 1; return whole600(c, 9) }, ReasonPaper),
	}
}

// paperHeirs are receipts of a sale that the next log has taken over.
func paperHeirs(t testing.TB) []hardCase {
	one := func(name string, held uint64, want sums, follow func(h *heirs, note uint64), asks ...Reason) hardCase {
		return makeCase(t, func(c *cast) hardCase {
			h := &heirs{t: t, old: signedKiosk(t, "log", 7, 0), new: signedKiosk(t, "heir", 7, 50_000)}
			h.new.ordinal = 2
			h.old.whole(1, 500_00, event.SurplusRefused, 500_00)
			follow(h, 3)
			c.cell.add(h.old.paper(6))
			c.a, c.b = h.old.cut(held), h.new
			return proven(c.is(name, want, asks...))
		})
	}
	taken := func(h *heirs, note uint64) {
		sale, stacked := h.new.takeOver(h.old, []uint64{note}, 500_00)
		h.new.slipOf(sale, 500_00, stacked)
	}
	twice := sums{"Assets:Cash:K7": 500_00, "Liabilities:Biller:JVVNL": -500_00, "Liabilities:Slip:K7-2-5": -500_00, "Liabilities:Disputed": 500_00}
	return []hardCase{
		one("a receipt of a sale that the next log took over", 6, twice, taken, ReasonPaper, ReasonSlipOpen, ReasonDisputed),
		one("a receipt of a sale that the next log took over, and its entry", 8, twice, taken, ReasonSlipOpen, ReasonDisputed),
		one("a receipt of a note on its way that the next log found in the box", 5, twice, func(h *heirs, note uint64) { h.follow(note, stackedHere) }, ReasonPaper, ReasonSlipOpen, ReasonDisputed),
		one("a receipt of a note that the next log left open", 6, sums{"Assets:Cash:K7": 500_00, "Liabilities:Biller:JVVNL": -500_00}, func(h *heirs, note uint64) {
			sale, _ := h.new.open(1, 1264_00, event.SurplusNextBill)
			h.new.add(&event.NoteTakenOver{Sale: sale, Note: h.old.ref(note), Value: 500_00, Channel: 1, Serial: 9})
		}, ReasonPaper),
	}
}

// forkedPapers are receipts of a log with two histories.
func forkedPapers(t testing.TB) []hardCase {
	one := func(name string, want sums, write func(c *cast, branch *script), asks ...Reason) hardCase {
		return makeCase(t, func(c *cast) hardCase {
			c.a = signedKiosk(t, "log", 7, 0).whole(1, 600_00, event.SurplusRefused, 500_00, 100_00)
			c.b = c.a.clone(7)
			write(c, c.b)
			return proven(c.is(name, want, asks...))
		})
	}
	return []hardCase{
		one("a receipt of one of two branches", sums{"Assets:Cash:K7": 1300_00, "Liabilities:Biller:JVVNL": -1100_00, "Liabilities:Sale:K7-1-11": -200_00}, func(c *cast, branch *script) {
			c.a.open(2, 500_00, event.SurplusRefused, 200_00)
			branch.whole(3, 500_00, event.SurplusRefused, 500_00)
			c.cell.add(branch.paper(16))
			c.b = branch.cut(16)
		}, ReasonFork, ReasonPaper),
		one("a receipt of a branch that is not held", sums{"Assets:Cash:K7": 1700_00, "Liabilities:Biller:JVVNL": -1700_00}, func(c *cast, branch *script) {
			c.a.whole(2, 600_00, event.SurplusRefused, 500_00, 100_00)
			branch.whole(3, 500_00, event.SurplusRefused, 500_00)
			c.cell.add(branch.paper(16))
			c.b = newKiosk(t, 8, 9)
		}, ReasonFork, ReasonPaper),
	}
}

// revoke revokes kiosk 7 with the tip of what it had written at a size.
func (c *cast) revoke(size uint64) {
	c.authority.add(&event.MachineRevoked{Machine: c.a.machine(), Accepted: []event.Accepted{{Log: c.a.id, Size: size, Root: rootOf(c.a.cut(size))}}})
}

// revokedPapers are receipts of a revoked machine, whose log lacks only the last commit.
func revokedPapers(t testing.TB) []hardCase {
	one := func(name string, tip uint64, verdict event.Verdict, want sums, asks ...Reason) hardCase {
		return shown(t, name, want, func(c *cast) (uint64, uint64) {
			whole600(c, 9)
			c.revoke(tip)
			if verdict != 0 {
				c.cell.add(&event.HeldDecided{Entry: c.a.ref(9), Verdict: verdict})
			}
			return 9, 9
		}, asks...)
	}
	open := sums{"Assets:Cash:K7": 600_00, "Liabilities:Sale:K7-1-1": -600_00}
	return []hardCase{
		one("a revoked machine's receipt", 9, 0, open, ReasonHeld),
		one("a revoked machine's receipt counts, with its notes", 3, event.VerdictCounts, sums{"Assets:Cash:K7": 600_00, "Liabilities:Biller:JVVNL": -600_00}, ReasonPaper),
		one("a revoked machine's receipt is void", 9, event.VerdictVoid, open, ReasonSaleOpen),
	}
}

// leftSales are sales with money that can no longer end by themselves.
func leftSales(t testing.TB) []hardCase {
	left := sums{"Assets:Cash:K7": 500_00, "Liabilities:Sale:K7-1-1": -500_00}
	one := func(name string, want sums, write func(c *cast), asks ...Reason) hardCase {
		return makeCase(t, func(c *cast) hardCase {
			write(c)
			return c.is(name, want, asks...)
		})
	}
	open := func(c *cast) { c.a.open(1, 1264_00, event.SurplusNextBill, 500_00) }
	flight := func(c *cast) {
		sale, _ := c.a.open(1, 1264_00, event.SurplusNextBill)
		c.a.add(&event.StackIntent{Note: c.a.add(&event.NoteEscrowed{Sale: sale, Value: 500_00, Channel: 1, Serial: 9})})
	}
	return []hardCase{
		one("a sale left open by a revoked machine", left, func(c *cast) { open(c); c.revoke(6) }, ReasonSaleOpen),
		one("a sale left open by a revoked machine, its log under rule set 1", left, func(c *cast) { c.a.rules = 1; open(c); c.revoke(6) }, ReasonSaleOpen),
		one("a sale left open by a machine that was revoked under rule set 1", left, func(c *cast) { c.authority.rules = 1; open(c); c.revoke(6) }, ReasonSaleOpen),
		one("a note on its way at a revoked machine", sums{}, func(c *cast) { flight(c); c.revoke(5) }, ReasonSaleOpen),
		one("a sale left open, and another opened", left, func(c *cast) { open(c); c.a.open(2, 1264_00, event.SurplusNextBill) }, ReasonSaleOpen),
		one("a note on its way, and another sale opened", sums{}, func(c *cast) { flight(c); c.a.open(2, 1264_00, event.SurplusNextBill) }, ReasonSaleOpen),
		one("a sale with money that ended without", left, func(c *cast) { open(c); c.a.add(&event.SaleEnded{Sale: 1, Reason: event.EndCancelled}) }, ReasonSaleOpen),
		one("a sale left open, another opened, and then paid", sums{"Assets:Cash:K7": 500_00, "Liabilities:Biller:JVVNL": -500_00}, func(c *cast) {
			open(c)
			c.a.open(2, 1264_00, event.SurplusNextBill)
			c.a.pay(1, 1, 500_00, 500_00, event.SurplusRefused, []uint64{5})
		}),
	}
}

// voided are entries of a revoked machine that were decided as void: their notes are
// where they were.
func voided(t testing.TB) []hardCase {
	return []hardCase{
		makeCase(t, func(c *cast) hardCase {
			c.a.whole(1, 600_00, event.SurplusRefused, 500_00, 100_00)
			c.revoke(9)
			c.cell.add(&event.HeldDecided{Entry: c.a.ref(9), Verdict: event.VerdictVoid})
			return c.is("a payment that is void, and its notes accepted", sums{"Assets:Cash:K7": 600_00, "Liabilities:Sale:K7-1-1": -600_00}, ReasonSaleOpen)
		}),
		makeCase(t, func(c *cast) hardCase {
			c.a.whole(1, 600_00, event.SurplusRefused, 500_00, 100_00)
			c.revoke(9)
			return c.is("a payment that is held, and its notes accepted", sums{"Assets:Cash:K7": 600_00, "Liabilities:Sale:K7-1-1": -600_00}, ReasonHeld)
		}),
		makeCase(t, func(c *cast) hardCase {
			h := newHeirs(t)
			c.a, c.b = h.old, h.new
			_, notes := h.old.open(1, 1264_00, event.SurplusNextBill, 500_00)
			sale, stacked := h.new.takeOver(h.old, []uint64{notes[0] - 2}, 500_00)
			h.new.slipOf(sale, 500_00, stacked)
			c.revoke(6)
			for _, index := range []uint64{3, 4, 5} {
				c.cell.add(&event.HeldDecided{Entry: h.new.ref(index), Verdict: event.VerdictVoid})
			}
			return c.is("a note taken over, and that is void", sums{"Assets:Cash:K7": 500_00, "Liabilities:Sale:K7-1-1": -500_00}, ReasonSaleOpen)
		}),
	}
}

// silences are logs of which nothing more comes, by the office's clock.
func silences(t testing.TB) []hardCase {
	week := uint64((7 * 24 * time.Hour).Milliseconds())
	one := func(name string, size, later uint64, more func(c *cast), asks ...Reason) hardCase {
		return makeCase(t, func(c *cast) hardCase {
			c.a.open(1, 1264_00, event.SurplusNextBill, 500_00)
			acknowledge := func(id ledger.LogID, size uint64) {
				c.cell.add(&event.Acknowledged{Held: []event.Held{{Log: id, Size: size}}})
			}
			acknowledge(c.a.id, size)
			more(c)
			c.cell.late += later
			acknowledge(c.b.id, 1)
			c.cell.late -= later // a clock that goes back takes nothing back
			acknowledge(c.b.id, 2)
			return c.is(name, sums{"Assets:Cash:K7": 500_00, "Liabilities:Sale:K7-1-1": -500_00}, asks...)
		})
	}
	none := func(*cast) {}
	return []hardCase{
		one("an open sale, and nothing more for a week", 6, week, none, ReasonSaleOpen),
		one("an open sale, and nothing more for less than a week", 6, week-2, none),
		one("an open sale, and the office holds more", 7, week, none),
		one("an open sale, and more has come", 6, week, func(c *cast) { c.a.add(&event.SoftwareStarted{Version: "1"}) }),
		one("an open sale, and its log acknowledged again", 6, week, func(c *cast) {
			c.cell.add(&event.Acknowledged{Held: []event.Held{{Log: c.a.id, Size: 6}}})
		}, ReasonSaleOpen),
		one("an open sale, and an office under rule set 1", 6, week, func(c *cast) { c.cell.rules = 1 }),
	}
}

// parted are logs whose branches part within a sale.
func parted(t testing.TB) []hardCase {
	return []hardCase{
		makeCase(t, func(c *cast) hardCase {
			sale, notes := c.a.open(1, 600_00, event.SurplusRefused, 500_00, 100_00)
			c.b = c.a.clone(7)
			for _, s := range []*script{c.a, c.b} {
				s.pay(sale, 1, 600_00, 600_00, event.SurplusRefused, notes)
			}
			return c.is("a sale paid on two branches with the same notes", sums{"Assets:Cash:K7": 600_00, "Liabilities:Sale:K7-1-1": 600_00, "Liabilities:Biller:JVVNL": -600_00, "Liabilities:Citizen:K7-1-9": -600_00},
				ReasonFork, ReasonBillTwice, ReasonDisagree, ReasonDisagree)
		}),
		makeCase(t, func(c *cast) hardCase {
			c.a.open(1, 1264_00, event.SurplusNextBill, 500_00)
			c.b = c.a.clone(7)
			c.a.open(2, 1264_00, event.SurplusNextBill)
			c.b.open(3, 1264_00, event.SurplusNextBill)
			return c.is("a sale left open on two branches", sums{"Assets:Cash:K7": 500_00, "Liabilities:Sale:K7-1-1": -500_00}, ReasonFork, ReasonSaleOpen)
		}),
		makeCase(t, func(c *cast) hardCase {
			sale, notes := c.a.open(1, 1264_00, event.SurplusNextBill, 500_00)
			c.b = c.a.clone(7)
			c.a.pay(sale, 1, 500_00, 500_00, event.SurplusRefused, notes)
			c.b.open(2, 1264_00, event.SurplusNextBill)
			return c.is("a sale paid on one branch and left open on another", sums{"Assets:Cash:K7": 500_00, "Liabilities:Biller:JVVNL": -500_00}, ReasonFork)
		}),
	}
}

// TestReceiptCountsOnce: however much of its log is held, a receipt and its log are the
// money of one payment; and once the log has the entry, what they are without the receipt.
func TestReceiptCountsOnce(t *testing.T) {
	want := sums{"Assets:Cash:K7": 600_00, "Liabilities:Biller:JVVNL": -600_00}
	for _, held := range []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11} {
		asks := []Reason{ReasonPaper}
		if held > 9 {
			asks = nil
		}
		h := shown(t, "held", want, func(c *cast) (uint64, uint64) { return whole600(c, held) }, asks...)
		b := h.booksUnder(t, Rules3())
		h.comesTo(t, b)
		if held < 10 {
			continue
		}
		h.Logs = h.Logs[:1]
		if alone := h.booksUnder(t, Rules3()); !same(t, alone.Transactions, b.Transactions) || !same(t, alone.Questions, b.Questions) {
			t.Errorf("with %d entries held, the receipt changes the books: %v, %v", held, b.Transactions, b.Questions)
		}
	}
}

// machines are what devices do that moves no money.
func machines(t testing.TB) []hardCase {
	return []hardCase{
		makeCase(t, func(c *cast) hardCase {
			sale, _ := c.a.open(1, 1264_00, event.SurplusNextBill)
			note := c.a.add(&event.NoteEscrowed{Sale: sale, Value: 500_00, Channel: 1, Serial: 9})
			c.a.add(&event.StackIntent{Note: note}, &event.DeviceFault{Device: event.DeviceAcceptor, Fault: 1}, &event.NoteUnresolved{Note: note, Reason: event.DoubtNoEvidence})
			return c.is("a note that jammed", sums{}, ReasonNoteInDoubt)
		}),
		makeCase(t, func(c *cast) hardCase {
			c.a.whole(1, 600_00, event.SurplusRefused, 500_00, 100_00)
			c.a.add(&event.PrintIntent{Subject: 9, Copy: 1}, &event.DeviceFault{Device: event.DevicePrinter, Fault: 1}, &event.PrintIntent{Subject: 9, Copy: 2}, &event.Printed{Subject: 9, Copy: 2})
			return c.is("a receipt printed twice", sums{"Assets:Cash:K7": 600_00, "Liabilities:Biller:JVVNL": -600_00})
		}),
	}
}

// A log that ends one sale with open notes again and again costs no more than its
// entries: it once took the notes times the ends, 54 s for as many.
func TestManyEndsOfOneSale(t *testing.T) {
	const each, most = 20_000, 15 * time.Second
	start := time.Now()
	makeCase(t, func(c *cast) hardCase {
		sale, _ := c.a.open(1, 1264_00, event.SurplusNextBill)
		for range each {
			c.a.add(&event.NoteEscrowed{Sale: sale, Value: 10_00, Channel: 1, Serial: 9})
		}
		for range each {
			c.a.add(&event.SaleEnded{Sale: sale, Reason: event.EndCancelled})
		}
		return c.is("many ends", sums{})
	}).booksUnder(t, Rules3())
	if took := time.Since(start); took > most {
		t.Errorf("it took %v, want at most %v", took, most)
	}
}
