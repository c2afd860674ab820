package book

import (
	"slices"
	"testing"

	"rasid/ledger"
	"rasid/ledger/event"
)

// heirs are a kiosk's log that was given up and those that go on: old under rule set 1.
type heirs struct {
	t              testing.TB
	old, new, next *script
}

func newHeirs(t testing.TB) *heirs {
	h := &heirs{t: t, old: newKiosk(t, 7, 0), new: newScript(t, 0x17, 7, "kiosk", 50_000), next: newScript(t, 0x27, 7, "kiosk", 90_000)}
	h.old.rules, h.new.ordinal, h.next.ordinal = 1, 2, 3
	return h
}

// takeOver takes notes over into a sale of a later log, and says that they are in the box.
func (s *script) takeOver(from *script, notes []uint64, values ...ledger.Paise) (sale uint64, stacked []uint64) {
	s.t.Helper()
	sale, _ = s.open(1, 1264_00, event.SurplusNextBill)
	for i, n := range notes {
		at := s.add(&event.NoteTakenOver{Sale: sale, Note: from.ref(n), Value: values[i], Channel: 1, Serial: 9, Stacked: true})
		stacked = append(stacked, s.add(&event.NoteStacked{Note: at, Evidence: event.EvidenceEvent}))
	}
	return sale, stacked
}

// slipOf ends a sale with a slip.
func (s *script) slipOf(sale uint64, amount ledger.Paise, stacked []uint64) {
	s.t.Helper()
	s.add(&event.SlipIssued{Sale: sale, Amount: amount, Notes: event.RefNotes(stacked...)}, &event.SaleEnded{Sale: sale, Reason: event.EndSlip})
}

// flight is a note of 500 rupees that the old log left between escrow and box.
func (h *heirs) flight() (note uint64) {
	sale, _ := h.old.open(1, 1264_00, event.SurplusNextBill)
	note = h.old.add(&event.NoteEscrowed{Sale: sale, Value: 500_00, Channel: 1, Serial: 9})
	h.old.add(&event.StackIntent{Note: note})
	return note
}

// follow takes that note over and says what became of it, and gives a slip when it is in the box.
func (h *heirs) follow(note uint64, says func(at uint64) event.Body) {
	sale, _ := h.new.open(1, 1264_00, event.SurplusNextBill)
	at := h.new.add(&event.NoteTakenOver{Sale: sale, Note: h.old.ref(note), Value: 500_00, Channel: 1, Serial: 9})
	end := says(at)
	stacked := h.new.add(end)
	if end.Kind() == event.KindNoteStacked {
		h.new.slipOf(sale, 500_00, []uint64{stacked})
	}
}

func stackedHere(at uint64) event.Body {
	return &event.NoteStacked{Note: at, Evidence: event.EvidenceCounters}
}
func returnedHere(at uint64) event.Body {
	return &event.NoteReturned{Note: at, Evidence: event.EvidenceCounters, RejectCode: 0xFF}
}
func doubtHere(at uint64) event.Body {
	return &event.NoteUnresolved{Note: at, Reason: event.DoubtNoEvidence}
}

func (h *heirs) is(name string, logs []*script, want sums, asks ...Reason) hardCase {
	c := (&cast{t: h.t, a: h.old, b: h.old, cell: h.old, settlement: h.old, authority: h.old}).is(name, want, asks...)
	c.Logs = nil
	for _, s := range logs {
		c.Logs = append(c.Logs, s.end())
	}
	return c
}

// takenOver are the cases that rule set 2 adds.
func takenOver(t testing.TB) []hardCase {
	return slices.Concat(takeovers(t), wrongTakeovers(t), foreignTakeovers(t), flights(t), contradictedFlights(t), foundTwice(t))
}

// takeovers are sales that a later log goes on with, or does not.
func takeovers(t testing.TB) []hardCase {
	one := func(write func(h *heirs) hardCase) hardCase { return write(newHeirs(t)) }
	return []hardCase{
		one(func(h *heirs) hardCase {
			_, notes := h.old.open(1, 1264_00, event.SurplusNextBill, 500_00, 100_00)
			sale, stacked := h.new.takeOver(h.old, []uint64{notes[0] - 2, notes[1] - 2}, 500_00, 100_00)
			h.new.slipOf(sale, 600_00, stacked)
			return h.is("a sale taken over, a slip", []*script{h.old, h.new}, sums{"Assets:Cash:K7": 600_00, "Liabilities:Slip:K7-2-7": -600_00}, ReasonSlipOpen)
		}),
		one(func(h *heirs) hardCase {
			_, notes := h.old.open(1, 1264_00, event.SurplusNextBill, 500_00)
			sale, stacked := h.new.takeOver(h.old, []uint64{notes[0] - 2}, 500_00)
			more := h.new.add(&event.NoteEscrowed{Sale: sale, Value: 100_00, Channel: 1, Serial: 9})
			stacked = append(stacked, h.new.add(&event.NoteStacked{Note: more, Evidence: event.EvidenceEvent}))
			h.new.pay(sale, 1, 1264_00, 600_00, event.SurplusNextBill, stacked)
			return h.is("a sale taken over and gone on with", []*script{h.old, h.new}, sums{"Assets:Cash:K7": 600_00, "Liabilities:Biller:JVVNL": -600_00})
		}),
		one(func(h *heirs) hardCase {
			_, notes := h.old.open(1, 1264_00, event.SurplusNextBill, 500_00)
			sale, stacked := h.new.takeOver(h.old, []uint64{notes[0] - 2}, 500_00)
			h.new.slipOf(sale, 500_00, stacked)
			return h.is("a sale taken over from a log that is not held", []*script{h.new}, sums{"Assets:Cash:K7": 500_00, "Liabilities:Slip:K7-2-5": -500_00}, ReasonSlipOpen, ReasonWaiting)
		}),
		one(func(h *heirs) hardCase {
			_, notes := h.old.open(1, 1264_00, event.SurplusNextBill, 500_00)
			_, stacked := h.new.takeOver(h.old, []uint64{notes[0] - 2}, 500_00)
			sale, stacked := h.next.takeOver(h.new, []uint64{stacked[0] - 1}, 500_00)
			h.next.slipOf(sale, 500_00, stacked)
			return h.is("a note taken over twice in a row", []*script{h.old, h.new, h.next}, sums{"Assets:Cash:K7": 500_00, "Liabilities:Slip:K7-3-5": -500_00}, ReasonSlipOpen)
		}),
		one(func(h *heirs) hardCase {
			h.old.open(1, 1264_00, event.SurplusNextBill, 500_00, 100_00)
			return h.is("a sale left open and not taken over", []*script{h.old, h.new}, sums{"Assets:Cash:K7": 600_00, "Liabilities:Sale:K7-1-1": -600_00}, ReasonSaleOpen)
		}),
		one(func(h *heirs) hardCase {
			h.flight()
			return h.is("a note in flight and not taken over", []*script{h.old, h.new}, sums{}, ReasonSaleOpen)
		}),
		one(func(h *heirs) hardCase {
			h.old.open(1, 1264_00, event.SurplusNextBill, 500_00)
			h.new.add(&event.PaperTakenOver{Subject: h.old.ref(1), Copy: 1}, &event.PrintIntent{Subject: 1, Copy: 2}, &event.Printed{Subject: 1, Copy: 2})
			return h.is("a paper taken over", []*script{h.new}, sums{})
		}),
	}
}

// wrongTakeovers are of notes that were not there to be taken over.
func wrongTakeovers(t testing.TB) []hardCase {
	one := func(write func(h *heirs) hardCase) hardCase { return write(newHeirs(t)) }
	return []hardCase{
		one(func(h *heirs) hardCase {
			sale, notes := h.old.open(1, 500_00, event.SurplusRefused, 500_00)
			again, stacked := h.new.takeOver(h.old, []uint64{notes[0] - 2}, 500_00)
			h.new.slipOf(again, 500_00, stacked)
			h.old.pay(sale, 1, 500_00, 500_00, event.SurplusRefused, notes)
			return h.is("a sale taken over that the earlier log had ended", []*script{h.old, h.new},
				sums{"Assets:Cash:K7": 500_00, "Liabilities:Biller:JVVNL": -500_00, "Liabilities:Slip:K7-2-5": -500_00, "Liabilities:Disputed": 500_00}, ReasonSlipOpen, ReasonDisputed)
		}),
		one(func(h *heirs) hardCase {
			_, notes := h.old.open(1, 1264_00, event.SurplusNextBill, 500_00)
			for _, s := range []*script{h.new, h.next} {
				sale, stacked := s.takeOver(h.old, []uint64{notes[0] - 2}, 500_00)
				s.slipOf(sale, 500_00, stacked)
			}
			return h.is("a note taken over by two logs", []*script{h.old, h.new, h.next},
				sums{"Assets:Cash:K7": 500_00, "Liabilities:Slip:K7-2-5": -500_00, "Liabilities:Slip:K7-3-5": -500_00, "Liabilities:Disputed": 500_00}, ReasonSlipOpen, ReasonSlipOpen, ReasonDisputed)
		}),
	}
}

// foreignTakeovers point at what is no note of the machine's, or may not take notes over.
func foreignTakeovers(t testing.TB) []hardCase {
	one := func(write func(h *heirs) hardCase) hardCase { return write(newHeirs(t)) }
	return []hardCase{
		one(func(h *heirs) hardCase {
			b := newKiosk(t, 8, 0)
			_, notes := b.open(1, 1264_00, event.SurplusNextBill, 500_00)
			sale, stacked := h.new.takeOver(b, []uint64{notes[0] - 2}, 500_00)
			h.new.slipOf(sale, 500_00, stacked)
			return h.is("a note of another machine taken over", []*script{b, h.new},
				sums{"Assets:Cash:K8": 500_00, "Liabilities:Sale:K8-1-1": -500_00, "Assets:Cash:K7": 500_00, "Liabilities:Slip:K7-2-5": -500_00}, ReasonSlipOpen, ReasonWaiting)
		}),
		one(func(h *heirs) hardCase {
			_, notes := h.old.open(1, 1264_00, event.SurplusNextBill, 500_00)
			sale, stacked := h.new.takeOver(h.old, []uint64{notes[0] - 2}, 500_00)
			h.new.slipOf(sale, 500_00, stacked)
			b := newScript(t, 0x18, 8, "kiosk", 40_000)
			b.ordinal = 2
			sale, stacked = b.takeOver(h.old, []uint64{notes[0] - 2}, 500_00)
			b.slipOf(sale, 500_00, stacked)
			return h.is("a note taken over, and by another machine before", []*script{h.old, h.new, b},
				sums{"Assets:Cash:K7": 500_00, "Liabilities:Slip:K7-2-5": -500_00, "Assets:Cash:K8": 500_00, "Liabilities:Slip:K8-2-5": -500_00}, ReasonSlipOpen, ReasonSlipOpen, ReasonTarget)
		}),
		one(func(h *heirs) hardCase {
			_, notes := h.old.open(1, 1264_00, event.SurplusNextBill, 500_00)
			_, stacked := h.new.takeOver(h.old, []uint64{notes[0] - 2}, 500_00)
			sale, stacked := h.next.takeOver(h.new, []uint64{stacked[0] - 1, stacked[0]}, 500_00, 500_00)
			h.next.slipOf(sale, 1000_00, stacked)
			return h.is("a note taken over, and the entry that has it in the box", []*script{h.old, h.new, h.next},
				sums{"Assets:Cash:K7": 1000_00, "Liabilities:Slip:K7-3-7": -1000_00}, ReasonSlipOpen, ReasonTarget)
		}),
		one(func(h *heirs) hardCase {
			h.old.rules = 0
			_, notes := h.new.open(1, 1264_00, event.SurplusNextBill, 500_00)
			sale, stacked := h.next.takeOver(h.new, []uint64{notes[0] - 2}, 500_00)
			h.next.slipOf(sale, 500_00, stacked)
			h.old.takeOver(h.new, []uint64{notes[0] - 2}, 500_00)
			return h.is("a note taken over, and by a log before", []*script{h.old, h.new, h.next},
				sums{"Assets:Cash:K7": 1000_00, "Liabilities:Sale:K7-1-1": -500_00, "Liabilities:Slip:K7-3-5": -500_00}, ReasonSlipOpen, ReasonTarget, ReasonSaleOpen)
		}),
		one(func(h *heirs) hardCase {
			_, notes := h.old.open(1, 1264_00, event.SurplusNextBill, 500_00)
			h.new.rules = 1
			sale, stacked := h.new.takeOver(h.old, []uint64{notes[0] - 2}, 500_00)
			h.new.slipOf(sale, 500_00, stacked)
			return h.is("a note taken over under rule set 1", []*script{h.old, h.new},
				sums{"Assets:Cash:K7": 500_00, "Liabilities:Sale:K7-1-1": -500_00, "Liabilities:Sale:K7-2-1": 500_00, "Liabilities:Slip:K7-2-5": -500_00}, ReasonDisagree, ReasonDisagree, ReasonSlipOpen)
		}),
		one(func(h *heirs) hardCase {
			_, notes := h.old.open(1, 1264_00, event.SurplusNextBill, 500_00)
			sale, stacked := h.new.takeOver(h.old, []uint64{notes[0] - 2}, 500_00)
			h.new.slipOf(sale, 500_00, stacked)
			authority := newScript(t, 0xc2, 1, "authority", 300_000)
			authority.add(&event.MachineRevoked{Machine: [32]byte{7}, Accepted: []event.Accepted{{Log: h.old.id, Size: uint64(len(h.old.raw)), Root: rootOf(h.old)}}})
			return h.is("a note taken over by a log that a revocation holds", []*script{h.old, h.new, authority},
				sums{"Assets:Cash:K7": 500_00, "Liabilities:Sale:K7-1-1": -500_00, "Assets:Held": 500_00, "Liabilities:Held": -500_00}, ReasonHeld, ReasonHeld)
		}),
	}
}

// flights are the cases of a note that was between escrow and box when its log was given up.
func flights(t testing.TB) []hardCase {
	one := func(write func(h *heirs) hardCase) hardCase { return write(newHeirs(t)) }
	slip := sums{"Assets:Cash:K7": 500_00, "Liabilities:Slip:K7-2-5": -500_00}
	return []hardCase{
		one(func(h *heirs) hardCase {
			h.follow(h.flight(), stackedHere)
			return h.is("a note in flight, in the box here", []*script{h.old, h.new}, slip, ReasonSlipOpen)
		}),
		one(func(h *heirs) hardCase {
			note := h.flight()
			h.follow(note, stackedHere)
			h.old.add(&event.NoteStacked{Note: note, Evidence: event.EvidenceEvent})
			return h.is("a note in flight, in the box here and there", []*script{h.old, h.new}, slip, ReasonSlipOpen)
		}),
	}
}

// passed takes a note that the second log left open too over into the third.
func (h *heirs) passed(note uint64) {
	sale, _ := h.new.open(1, 1264_00, event.SurplusNextBill)
	at := h.new.add(&event.NoteTakenOver{Sale: sale, Note: h.old.ref(note), Value: 500_00, Channel: 1, Serial: 9})
	sale, _ = h.next.open(1, 1264_00, event.SurplusNextBill)
	at = h.next.add(&event.NoteTakenOver{Sale: sale, Note: h.new.ref(at), Value: 500_00, Channel: 1, Serial: 9})
	h.next.slipOf(sale, 500_00, []uint64{h.next.add(stackedHere(at))})
}

// contradictedFlights are flights whose two logs say two things.
func contradictedFlights(t testing.TB) []hardCase {
	one := func(write func(h *heirs) hardCase) hardCase { return write(newHeirs(t)) }
	slip := sums{"Assets:Cash:K7": 500_00, "Liabilities:Slip:K7-2-5": -500_00}
	return []hardCase{
		one(func(h *heirs) hardCase {
			note := h.flight()
			h.follow(note, stackedHere)
			h.old.add(&event.NoteReturned{Note: note, Evidence: event.EvidenceEvent})
			return h.is("a note in flight, in the box here and returned there", []*script{h.old, h.new}, slip, ReasonSlipOpen, ReasonDisagree)
		}),
		one(func(h *heirs) hardCase {
			note := h.flight()
			h.follow(note, stackedHere)
			h.old.add(&event.NoteUnresolved{Note: note, Reason: event.DoubtNoEvidence})
			return h.is("a note in flight, in the box here and in doubt there", []*script{h.old, h.new}, slip, ReasonSlipOpen, ReasonDisagree)
		}),
		one(func(h *heirs) hardCase {
			note := h.flight()
			h.follow(note, returnedHere)
			h.old.add(&event.NoteStacked{Note: note, Evidence: event.EvidenceEvent})
			return h.is("a note in flight, returned here and in the box there", []*script{h.old, h.new}, sums{"Assets:Cash:K7": 500_00, "Liabilities:Sale:K7-1-1": -500_00}, ReasonDisagree)
		}),
		one(func(h *heirs) hardCase {
			h.passed(h.flight())
			return h.is("a note in flight passed on, in the box at last", []*script{h.old, h.new, h.next}, sums{"Assets:Cash:K7": 500_00, "Liabilities:Slip:K7-3-5": -500_00}, ReasonSlipOpen)
		}),
		one(func(h *heirs) hardCase {
			note := h.flight()
			h.passed(note)
			h.old.add(&event.NoteStacked{Note: note, Evidence: event.EvidenceEvent})
			return h.is("a note in flight passed on, in the box at last and at first", []*script{h.old, h.new, h.next}, sums{"Assets:Cash:K7": 500_00, "Liabilities:Slip:K7-3-5": -500_00}, ReasonSlipOpen)
		}),
		one(func(h *heirs) hardCase {
			h.follow(h.flight(), doubtHere)
			return h.is("a note in flight, in doubt here", []*script{h.old, h.new}, sums{}, ReasonNoteInDoubt)
		}),
		one(func(h *heirs) hardCase {
			note := h.flight()
			h.follow(note, doubtHere)
			h.old.add(&event.NoteStacked{Note: note, Evidence: event.EvidenceEvent})
			return h.is("a note in flight, in doubt here and in the box there", []*script{h.old, h.new}, sums{"Assets:Cash:K7": 500_00, "Liabilities:Citizen:K7-2-4": -500_00}, ReasonCreditOpen)
		}),
		one(func(h *heirs) hardCase {
			note := h.flight()
			h.follow(note, doubtHere)
			stacked := h.old.add(&event.NoteStacked{Note: note, Evidence: event.EvidenceEvent})
			h.old.pay(1, 1, 500_00, 500_00, event.SurplusRefused, []uint64{stacked})
			return h.is("a note in flight, in doubt here and paid with there", []*script{h.old, h.new}, sums{"Assets:Cash:K7": 500_00, "Liabilities:Biller:JVVNL": -500_00}, ReasonNoteInDoubt, ReasonDisagree)
		}),
	}
}

// foundTwice are notes of which the two logs tell without knowing that they are one.
func foundTwice(t testing.TB) []hardCase {
	one := func(write func(h *heirs) hardCase) hardCase { return write(newHeirs(t)) }
	return []hardCase{
		// The acceptor's counters tell of a note whose log is lost; then its log comes back. The
		// cash is there twice, but only one of the two is anybody's: the other is asked about.
		one(func(h *heirs) hardCase {
			sale, notes := h.old.open(1, 500_00, event.SurplusRefused, 500_00)
			h.old.pay(sale, 1, 500_00, 500_00, event.SurplusRefused, notes)
			h.new.add(&event.NoteOrphaned{Value: 500_00, Serial: 9, Counters: event.Counters{Stacked: 1}})
			return h.is("a note that is nobody's here and paid with there", []*script{h.old, h.new},
				sums{"Assets:Cash:K7": 1000_00, "Liabilities:Biller:JVVNL": -500_00, "Liabilities:Unallocated:K7": -500_00}, ReasonOrphanedNote)
		}),
		one(func(h *heirs) hardCase {
			h.old.open(1, 1264_00, event.SurplusNextBill, 500_00)
			h.new.add(&event.NoteOrphaned{Serial: 9, Counters: event.Counters{Stacked: 1}})
			return h.is("a note of no known value that is nobody's here and in an open sale there", []*script{h.old, h.new},
				sums{"Assets:Cash:K7": 500_00, "Liabilities:Sale:K7-1-1": -500_00}, ReasonOrphanedNote, ReasonSaleOpen)
		}),
	}
}
