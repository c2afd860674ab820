package till

import (
	"errors"
	"slices"
	"testing"
	"time"

	"rasid/hardware"
	"rasid/ledger"
	"rasid/ledger/event"
)

var formerID = ledger.LogID{0xf0}

func entriesOf(t *testing.T, bodies ...event.Body) (log [][]byte) {
	t.Helper()
	for _, b := range bodies {
		e, err := event.New(ledger.Time{WallMs: 1795400000000}, b)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := ledger.EncodeEntry(e)
		if err != nil {
			t.Fatal(err)
		}
		log = append(log, raw)
	}
	return log
}

func bodiesOf(t *testing.T, log [][]byte) (bodies []event.Body) {
	t.Helper()
	for _, raw := range log {
		e, err := ledger.DecodeEntry(raw)
		if err != nil {
			t.Fatal(err)
		}
		b, err := event.Decode(e)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, b)
	}
	return bodies
}

// formerLog holds the first entries of a log given up.
func formerLog(log [][]byte, whole bool) FormerLog {
	return FormerLog{ID: formerID, Size: uint64(len(log)), Whole: whole, Papers: true, Each: func(f func(uint64, []byte) error) error {
		for i, raw := range log {
			if err := f(uint64(i), raw); err != nil {
				return err
			}
		}
		return nil
	}}
}

func refIn(log [][]byte, index uint64) event.Ref {
	return event.RefTo(ledger.Position{Log: formerID, Index: index}, log[index])
}

// openSale is a sale of 700 rupees with a note of 500 in it.
func openSale() []event.Body {
	return []event.Body{
		&event.SaleOpened{Service: event.ServiceElectricity, Language: event.English},
		&event.BillSelected{Sale: 0, Biller: "JVVNL", Bill: event.BillKey{1}, Due: 700_00, Source: event.SourceDues, Surplus: event.SurplusNextBill, Part: true},
		&event.NoteEscrowed{Sale: 0, Value: 500_00, Channel: 6, Serial: 9, Counters: event.Counters{Stacked: 10}},
		&event.StackIntent{Note: 2},
		&event.NoteStacked{Note: 2, Evidence: event.EvidenceEvent, Raw: []byte{0xEE}},
	}
}

func readyAt(stacked uint32, reports ...hardware.AcceptorEvent) hardware.AcceptorReady {
	return hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: 9, Notes: testNotes}, Counters: hardware.NoteCounters{Stacked: stacked}, Reports: reports}
}

// after makes a till whose machine gave a log up.
func after(t *testing.T, log [][]byte, whole bool) *stage {
	s := newStage(t)
	s.till.cfg.Former = func() []FormerLog { return []FormerLog{formerLog(log, whole)} }
	return s
}

func kindsOf(bodies []event.Body) (kinds []ledger.Kind) {
	for _, b := range bodies {
		kinds = append(kinds, b.Kind())
	}
	return kinds
}

// The sale that a log given up left open goes on in the new one, with its money, and the
// note that the device tells of once more is not written down twice.
func TestSaleIsTakenOver(t *testing.T) {
	old := entriesOf(t, openSale()...)
	s := after(t, old, true)
	s.till.cfg.Rules = ledger.Hash{2}
	stop := s.run()
	s.devices <- readyAt(11, hardware.NoteCredited{ValuePaise: 500_00, PowerUp: true})
	s.settle()
	if v, _, _ := s.till.View(); v.Step != StepRecover || v.Inserted != 500_00 || v.Remaining != 200_00 || v.Language != event.English || v.Bill.Number == "" {
		t.Errorf("the screen shows %+v", v)
	}
	for _, action := range []Event{TakeSlip{}, nil} {
		if action != nil {
			if err := s.do(action); err != nil {
				t.Fatal(err)
			}
		}
		s.devices <- hardware.AcceptorDisabled{}
	}
	s.settle()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	got := bodiesOf(t, s.log)
	want := []ledger.Kind{
		event.KindRulesStated, event.KindSaleOpened, event.KindBillSelected, event.KindNoteTakenOver, event.KindNoteStacked, event.KindBlobSealed,
		event.KindSlipIssued, event.KindSaleEnded, event.KindPrintIntent,
	}
	if kinds := kindsOf(got); !slices.Equal(kinds, want) {
		t.Fatalf("the new log has kinds %d, want %d", kinds, want)
	}
	if b := got[3].(*event.NoteTakenOver); *b != (event.NoteTakenOver{Sale: 1, Note: refIn(old, 2), Value: 500_00, Channel: 6, Serial: 9, Counters: event.Counters{Stacked: 10}, Stacked: true}) {
		t.Errorf("taken over: %+v", b)
	}
	if b := got[6].(*event.SlipIssued); b.Amount != 500_00 || b.Sale != 1 {
		t.Errorf("slip %+v", b)
	}
}

// Where entries are known to be missing, nobody can tell whether the sale ended: nothing
// is taken over before they are back, and then it is, while nobody is at the screen.
func TestNothingIsTakenOverFromAPart(t *testing.T) {
	old := entriesOf(t, openSale()...)
	s := after(t, old[:4], false)
	now := time.UnixMilli(1795500000000)
	s.till.cfg.Now = func() time.Time { return now }
	s.log = entriesOf(t, &event.LogOpened{Currency: event.Currency})
	stop := s.run()
	s.devices <- readyAt(11)
	s.settle()
	if v, _, _ := s.till.View(); v.Step != StepLanguage || slices.Contains(kindsOf(bodiesOf(t, s.log)), event.KindNoteTakenOver) {
		t.Errorf("step %d, entries %d", v.Step, kindsOf(bodiesOf(t, s.log)))
	}
	missing := func(want bool) {
		t.Helper()
		s.settle()
		if v, _, _ := s.till.View(); v.Missing != want {
			t.Errorf("the screen says that records are missing: %v, want %v", v.Missing, want)
		}
	}
	missing(false) // the log began more than a day ago
	now = time.UnixMilli(1795400000000).Add(time.Hour)
	missing(true)
	s.till.cfg.Former = func() []FormerLog { return []FormerLog{formerLog(old, true)} }
	now = now.Add(formerEvery)
	s.settle()
	if v, _, _ := s.till.View(); v.Step != StepRecover || v.Inserted != 500_00 {
		t.Errorf("the log is back: step %d, %d paise in", v.Step, v.Inserted)
	}
	missing(false)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// A note in flight is settled in the new log, by the acceptor's account of it; where that
// was used up before the old log was back, it is an open question.
func TestNoteInFlightIsTakenOver(t *testing.T) {
	old := entriesOf(t, openSale()[:4]...)
	for _, c := range []struct {
		name    string
		stacked uint32
		later   bool
		want    ledger.Kind
	}{
		{"it went in", 11, false, event.KindNoteStacked},
		{"nobody knows", 10, false, event.KindNoteUnresolved},
		{"it went in, and was written down as nobody's", 11, true, event.KindNoteUnresolved},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := after(t, old, !c.later)
			now := time.UnixMilli(1795500000000)
			s.till.cfg.Now = func() time.Time { return now }
			stop := s.run()
			s.devices <- readyAt(c.stacked)
			s.settle()
			if c.later {
				s.till.cfg.Former = func() []FormerLog { return []FormerLog{formerLog(old, true)} }
				now = now.Add(formerEvery)
				s.settle()
			}
			s.devices <- readyAt(c.stacked) // the acceptor was away: it has nothing new to tell
			s.settle()
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			kinds := kindsOf(bodiesOf(t, s.log))
			if i := slices.Index(kinds, event.KindNoteTakenOver); i < 0 || !slices.Contains(kinds[i:], c.want) {
				t.Errorf("the new log has kinds %d, want %d after what was taken over", kinds, c.want)
			}
			orphans := 0
			for _, k := range kinds {
				if k == event.KindNoteOrphaned {
					orphans++
				}
			}
			if want := map[bool]int{true: 1}[c.later]; orphans != want {
				t.Errorf("%d notes are nobody's, want %d", orphans, want)
			}
		})
	}
}

// More of a log comes back while the note in flight is not settled yet: what it brings
// waits until the sale is over.
func TestMoreComesBackWithANoteInFlight(t *testing.T) {
	part := entriesOf(t, openSale()[:4]...)
	s := after(t, part, true)
	if err := s.till.recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	more := entriesOf(t, append(openSale(), &event.NoteEscrowed{Sale: 0, Value: 100_00, Channel: 4, Serial: 9, Counters: event.Counters{Stacked: 11}},
		&event.StackIntent{Note: 5}, &event.NoteStacked{Note: 5, Evidence: event.EvidenceEvent})...)
	s.till.cfg.Former = func() []FormerLog { return []FormerLog{formerLog(more, true)} }
	s.till.m = NewMachine(s.till.cfg.ID, s.till.cfg.Now())
	before := len(s.log)
	if err := s.till.recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(s.log) != before || s.till.m.sale.openNote() == nil {
		t.Errorf("the new log went on with kinds %d", kindsOf(bodiesOf(t, s.log[before:])))
	}
}

// A note that is taken over as in the box changes nothing of what is known of the
// acceptor: here a question covers the note after it.
func TestTakenOverNotesAreNoNews(t *testing.T) {
	old := entriesOf(t, append(openSale(),
		&event.NoteEscrowed{Sale: 0, Value: 100_00, Channel: 4, Serial: 9, Counters: event.Counters{Stacked: 11}}, &event.StackIntent{Note: 5},
		&event.NoteUnresolved{Note: 5, Reason: event.DoubtContradiction, Counters: event.Counters{Stacked: 12}})...)
	s := after(t, old, true)
	stop := s.run()
	s.devices <- readyAt(12)
	s.settle()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	want := []ledger.Kind{event.KindPaperTakenOver, event.KindSaleOpened, event.KindBillSelected, event.KindNoteTakenOver, event.KindNoteStacked, event.KindBlobSealed, event.KindPrintIntent}
	if kinds := kindsOf(bodiesOf(t, s.log)); !slices.Equal(kinds, want) {
		t.Errorf("the new log has kinds %d, want %d", kinds, want)
	}
}

// Papers that no entry says came out are asked for, or printed, under their old names;
// each is taken over once.
func TestPapersAreTakenOver(t *testing.T) {
	old := entriesOf(t, append(openSale(),
		&event.SlipIssued{Sale: 0, Amount: 500_00, Notes: event.RefNotes(4), Biller: "JVVNL", Bill: &event.BillKey{1}},
		&event.SaleEnded{Sale: 0, Reason: event.EndSlip}, &event.PrintIntent{Subject: 5, Copy: 1})...)
	s := after(t, old, true)
	for range 2 {
		stop := s.run()
		s.settle()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		s.till.m = NewMachine(s.till.cfg.ID, s.till.cfg.Now())
	}
	if want := []string{"commit 1 at version 0", "ask 0 copy 1", "ask 0 copy 1"}; !slices.Equal(s.asked, want) {
		t.Errorf("asked %q, want %q", s.asked, want)
	}
	if b := bodiesOf(t, s.log); len(b) != 1 || *b[0].(*event.PaperTakenOver) != (event.PaperTakenOver{Subject: refIn(old, 5), Copy: 1}) {
		t.Errorf("the new log has %+v", b)
	}
	s.asked = nil
	stop := s.run()
	s.prints <- PaperUnknown{Subject: 0, Copy: 1}
	s.prints <- PaperPrinted{Subject: 0, Copy: 2}
	s.settle()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(s.asked, "print 0 copy 2 after 2 entries, showing step 0") || s.asked[len(s.asked)-1] != "forget" {
		t.Errorf("asked %q, want the duplicate and then to forget", s.asked)
	}
	s.till.m = NewMachine(s.till.cfg.ID, s.till.cfg.Now())
	s.asked = nil
	stop = s.run()
	s.settle()
	if err := stop(); err != nil || len(s.asked) > 0 {
		t.Errorf("a paper that is out: asked %q, %v", s.asked, err)
	}
}

// A chain: what a log took over and left open in turn is taken over from there.
func TestTakenOverInTurn(t *testing.T) {
	old := entriesOf(t, openSale()...)
	second := ledger.LogID{0xf1}
	s := after(t, old, true)
	stop := s.run()
	s.settle()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	middle := s.log
	next := newStage(t)
	next.till.cfg.Former = func() []FormerLog {
		l := formerLog(middle, true)
		l.ID = second
		return []FormerLog{formerLog(old, true), l}
	}
	stop = next.run()
	next.settle()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	var carried []*event.NoteTakenOver
	for _, b := range bodiesOf(t, next.log) {
		if c, ok := b.(*event.NoteTakenOver); ok {
			carried = append(carried, c)
		}
	}
	if len(carried) != 1 || carried[0].Note.Log != second {
		t.Errorf("taken over: %+v, want the note once, from the second log", carried)
	}
}

// A sale of more notes than one commit takes is taken over whole, whatever step the
// power goes at.
func TestManyNotesAreTakenOver(t *testing.T) {
	bodies := openSale()[:2]
	const notes = 2*takenPerBatch + 5
	for n := range uint32(notes) {
		at := uint64(len(bodies))
		bodies = append(bodies, &event.NoteEscrowed{Sale: 0, Value: 10_00, Channel: 1, Serial: 9, Counters: event.Counters{Stacked: n}}, &event.StackIntent{Note: at}, &event.NoteStacked{Note: at, Evidence: event.EvidenceEvent})
	}
	old := entriesOf(t, bodies...)
	for failFrom := 1; ; failFrom += 30 {
		s := after(t, old, true)
		s.failFrom = failFrom
		err := s.till.recover(t.Context())
		if s.failFrom = 0; err != nil && !errors.Is(err, errDisk) {
			t.Fatal(err)
		}
		cut := len(s.log)
		s.till.m = NewMachine(s.till.cfg.ID, s.till.cfg.Now())
		if err := s.till.recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v := s.till.m.View(); v.Step != StepRecover || v.Inserted != notes*10_00 {
			t.Fatalf("cut after %d entries: step %d, %d paise in", cut, v.Step, v.Inserted)
		}
		if err == nil {
			return
		}
	}
}

// Faults that the log has open and the device does not tell of any more are over: also
// those of the log before.
func TestFaultsEndAtRestart(t *testing.T) {
	old := entriesOf(t, &event.DeviceFault{Device: event.DeviceAcceptor, Fault: uint8(hardware.FaultCashBoxRemoved)}, &event.DeviceFault{Device: event.DeviceAcceptor, Fault: uint8(hardware.FaultJamSafe)})
	s := after(t, old, true)
	stop := s.run()
	s.devices <- hardware.AcceptorFault{Fault: hardware.FaultJamSafe}
	s.devices <- readyAt(3)
	s.devices <- hardware.AcceptorOffline{}
	s.devices <- readyAt(3)
	s.devices <- hardware.AcceptorFault{Fault: hardware.FaultJamSafe, Cleared: true}
	s.settle()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	var faults []event.DeviceFault
	for _, b := range bodiesOf(t, s.log) {
		if f, ok := b.(*event.DeviceFault); ok {
			faults = append(faults, *f)
		}
	}
	over := func(f hardware.Fault) event.DeviceFault {
		return event.DeviceFault{Device: event.DeviceAcceptor, Fault: uint8(f), Cleared: true}
	}
	if want := []event.DeviceFault{over(hardware.FaultCashBoxRemoved), over(hardware.FaultJamSafe)}; !slices.Equal(faults, want) {
		t.Errorf("written %+v, want %+v", faults, want)
	}
}

// A bill that a neighbour took is shown as paid there.
func TestPaidElsewhere(t *testing.T) {
	at := time.UnixMilli(1795400000000)
	b := newBench(t)
	bill := benchBill(700_00)
	for _, c := range []struct {
		paid []Paid
		want string
		left ledger.Paise
	}{
		{[]Paid{{Receipt: "2-1-5-ABCD-E", Kiosk: "SKR-0102", At: at, Applied: 700_00}}, "kiosk.dues.paid_there", 0},
		{[]Paid{{Receipt: "1-1-5-ABCD-E", At: at, Applied: 200_00}, {Receipt: "2-1-5-ABCD-E", Kiosk: "SKR-0102", At: at, Applied: 100_00}}, "kiosk.dues.part_there", 400_00},
		{[]Paid{{Receipt: "2-1-5-ABCD-E", Kiosk: "SKR-0102", At: at, Applied: 500_00}, {Receipt: "1-1-5-ABCD-E", At: at, Applied: 300_00}}, "kiosk.dues.paid_here", 0},
	} {
		b.step(ChooseLanguage{Language: event.English})
		b.step(ChooseService{Service: event.ServiceElectricity})
		b.step(Looked{Number: bill.Number, Bill: &bill, Paid: c.paid})
		if v := b.m.View(); v.Problem.Key != c.want || v.Bill.Due != c.left {
			t.Errorf("%q, %d left, want %q and %d", v.Problem.Key, v.Bill.Due, c.want, c.left)
		}
		if b.step(ConfirmBill{}); (b.m.sale == nil) != (c.left == 0) {
			t.Errorf("%q: a sale is open: %v", c.want, b.m.sale != nil)
		}
		b.step(Cancel{})
		b.step(hardware.AcceptorDisabled{})
	}
}

// A log that an older program began states the newer rule set at the next start, once.
func TestNewerRulesAreStated(t *testing.T) {
	s := newStage(t)
	s.till.cfg.Rules = ledger.Hash{3}
	stop := s.run()
	s.settle()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	got := bodiesOf(t, s.log)
	if kinds := kindsOf(got); !slices.Equal(kinds, []ledger.Kind{event.KindRulesStated}) || got[0].(*event.RulesStated).Rules != (ledger.Hash{3}) {
		t.Errorf("the log has kinds %d", kinds)
	}
}
