package till

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"rasid/hardware"
	"rasid/ledger/book"
	"rasid/ledger/event"
)

// leaves lets nobody be there any more: whatever the screen shows and whatever the
// devices do not say, the till ends the sale and invites again.
func (b *bench) leaves(t *testing.T) {
	t.Helper()
	from := b.m.step
	for range 12 {
		b.now = b.now.Add(time.Hour)
		b.step(Tick{})
		if b.m.step == StepLanguage && b.m.sale == nil {
			return
		}
	}
	t.Errorf("no way out of step %d: step %d, sale %v", from, b.m.step, b.m.sale)
}

// wayTo brings a fresh bench to a step, with a note in and with one under way or not.
func wayTo(t *testing.T, step Step, money, open bool) *bench {
	t.Helper()
	b := newBench(t)
	if step == StepLanguage {
		return b
	}
	b.step(ChooseLanguage{Language: event.English})
	if step == StepService {
		return b
	}
	b.step(ChooseService{Service: event.ServiceElectricity})
	if step == StepIdentify {
		return b
	}
	bill := benchBill(1264_00)
	b.step(Looked{Number: bill.Number, Bill: &bill})
	if step == StepDues {
		return b
	}
	b.step(ConfirmBill{})
	if money {
		b.feed(6, 0)
	}
	if open {
		b.escrow(5, 1)
	}
	switch step {
	case StepRecover:
		b.restart()
	case StepFinishing:
		b.step(Cancel{})
	case StepChoice:
		b.step(Cancel{})
		b.step(hardware.AcceptorDisabled{})
	case StepDone:
		b.step(Cancel{})
		b.step(hardware.AcceptorDisabled{})
		b.step(TakeSlip{})
		b.step(hardware.AcceptorDisabled{})
	}
	b.at(step)
	return b
}

var everyStep = []struct {
	step        Step
	money, open bool
}{
	{StepLanguage, false, false}, {StepService, false, false}, {StepIdentify, false, false}, {StepDues, false, false},
	{StepCash, false, false}, {StepCash, true, false}, {StepCash, false, true}, {StepCash, true, true},
	{StepChoice, true, false}, {StepFinishing, false, false}, {StepFinishing, true, false}, {StepFinishing, true, true},
	{StepDone, true, false}, {StepRecover, true, false}, {StepRecover, false, true}, {StepRecover, true, true},
}

// anything is every event that can come, meant or not.
func anything() []Event {
	bill := benchBill(300_00)
	return []Event{
		ChooseLanguage{Language: event.Hindi}, ChooseLanguage{}, ChooseService{Service: event.ServiceElectricity}, ChooseService{Service: 9}, Enter{Number: "2101"},
		Enter{Number: strings.Repeat("9", 50)}, Looked{Number: strings.Repeat("9", 50)}, Looked{Number: "2101", Bill: &bill}, Looked{Problem: Problem{Key: "kiosk.error.internal"}},
		ConfirmBill{}, Back{}, Cancel{}, Continue{}, PayPart{}, TakeSlip{}, Finish{}, PrintAgain{}, Tick{}, nil, "a word",
		PaperPrinted{Subject: 8, Copy: 1}, PaperUnknown{Subject: 8, Copy: 1}, PrinterNow{Offline: true}, PrinterNow{Paper: hardware.PaperOut}, PrinterNow{Paper: hardware.PaperFull},
		hardware.AcceptorOffline{}, hardware.AcceptorDisabled{}, hardware.NoteStacked{}, hardware.NoteReturned{RejectCode: 8, FromEscrow: true}, hardware.NoteReturned{RejectCode: 7},
		hardware.NoteCredited{ValuePaise: 200_00}, hardware.NoteCredited{ValuePaise: 500_00}, hardware.NoteCredited{}, hardware.NoteEscrowed{Channel: 5, ValuePaise: 200_00},
		hardware.NoteEscrowed{Channel: 6, ValuePaise: 500_00}, hardware.NoteEscrowed{Channel: 1, ValuePaise: 10_00}, hardware.AcceptorFault{Fault: hardware.FaultJamSafe},
		hardware.AcceptorFault{Fault: hardware.FaultJamSafe, Cleared: true}, hardware.AcceptorFault{Fault: hardware.FaultStackerFull}, hardware.AcceptorReady{},
		hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: 9, Notes: testNotes}, Counters: hardware.NoteCounters{Stacked: 102}},
		hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: 9, Notes: testNotes}, Counters: hardware.NoteCounters{Stacked: 101, Rejected: 5}, Reports: []hardware.AcceptorEvent{hardware.NoteReturned{}}},
		hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: 9, Notes: testNotes}, Counters: hardware.NoteCounters{Stacked: 102}, Reports: []hardware.AcceptorEvent{hardware.NoteCredited{ValuePaise: 200_00, PowerUp: true}}},
		hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: 4, Notes: []hardware.NoteType{{Channel: 1, ValuePaise: 500_00, Currency: "EUR"}}}},
	}
}

// TestWayOutOfEveryStep brings the till to each step, lets any one or two events come
// that do or do not belong there, and lets everybody go: no screen is a dead end.
func TestWayOutOfEveryStep(t *testing.T) {
	events := anything()
	for _, s := range everyStep {
		for i := range events {
			for j := range events {
				b := wayTo(t, s.step, s.money, s.open)
				b.step(events[i])
				b.step(events[j])
				b.leaves(t)
				b.sound(t)
				if t.Failed() {
					t.Fatalf("step %d, money %v, note under way %v, then %T%+v and %T%+v", s.step, s.money, s.open, events[i], events[i], events[j], events[j])
				}
			}
		}
	}
}

// sound checks what holds whatever the devices say: every ended sale has given away all
// that it held, and no note went into two papers.
func (b *bench) sound(t *testing.T) {
	t.Helper()
	books := b.books()
	for account, p := range books.Balances {
		if strings.HasPrefix(account, "Liabilities:Sale:") && p != 0 {
			t.Errorf("%s holds %d", account, p)
		}
	}
	for _, q := range books.Questions {
		if q.Reason != book.ReasonSlipOpen && q.Reason != book.ReasonNoteInDoubt && q.Reason != book.ReasonOrphanedNote {
			t.Errorf("question %+v", q)
		}
	}
	if err := b.papersAreOnce(); err != nil {
		t.Error(err)
	}
}

// TestEventSoup throws events at the till in no order, with restarts and a clock that
// also goes backwards: it never stops, and loses nothing that it wrote down.
func TestEventSoup(t *testing.T) {
	start, count := seeds(t)
	t.Logf("seeds from %d", start)
	events := anything()
	sales := 0
	for seed := start; seed < start+count; seed++ {
		rnd := rand.New(rand.NewPCG(seed, 5))
		b := newBench(t)
		for range 400 {
			switch rnd.IntN(40) {
			case 0:
				b.restart()
			case 1:
				b.now = b.now.Add(-time.Hour)
			case 2, 3, 4: // somebody who means it
				if b.m.sale == nil && b.m.step == StepLanguage {
					bill := benchBill(1264_00)
					bill.Bill[1] = byte(sales)
					b.look(bill)
					b.step(ConfirmBill{})
					sales++
				}
			default:
				b.step(events[rnd.IntN(len(events))])
			}
			b.now = b.now.Add(time.Duration(rnd.IntN(40)) * time.Second)
			_ = b.m.View()
		}
		b.leaves(t)
		b.sound(t)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d sales", sales)
}
