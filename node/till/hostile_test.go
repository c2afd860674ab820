package till

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"rasid/hardware"
	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/event"
)

// bench is a machine with a log whose devices do only what the test says.
type bench struct {
	*world
	t *testing.T
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{world: newWorld(1, 0), t: t}
	b.restart()
	b.ready(0)
	b.step(PrinterNow{Paper: hardware.PaperFull})
	return b
}

// take makes durable and folds what the machine wants, and returns the commands.
func (b *bench) take(out Out) []Command {
	b.t.Helper()
	commands := out.Commands
	out.Commands = nil
	if err := b.perform(out); err != nil {
		b.t.Fatal(err)
	}
	return commands
}

func (b *bench) step(ev Event) []Command {
	b.t.Helper()
	return b.take(b.m.Step(b.now, ev))
}

func (b *bench) restart() []Command {
	b.t.Helper()
	b.m = NewMachine(KioskID{Slot: 1, Ordinal: 1}, b.now)
	for i, raw := range b.log {
		if err := b.fold(uint64(i), raw); err != nil {
			b.t.Fatal(err)
		}
	}
	return b.take(b.m.Started(b.now, func(k event.BillKey) (Bill, bool) { v, ok := b.kept[k]; return v, ok }))
}

// ready is the acceptor's account, with so many notes stacked in its life.
func (b *bench) ready(stacked uint32, reports ...hardware.AcceptorEvent) []Command {
	b.t.Helper()
	return b.step(hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: 9, Notes: testNotes}, Counters: hardware.NoteCounters{Stacked: 100 + stacked}, Reports: reports})
}

func (b *bench) escrow(channel uint8, stacked uint32) []Command {
	b.t.Helper()
	return b.step(hardware.NoteEscrowed{Channel: channel, ValuePaise: testNotes[channel-1].ValuePaise, Counters: hardware.NoteCounters{Stacked: 100 + stacked}})
}

func benchBill(due ledger.Paise) Bill {
	return Bill{Number: "210123456789", Bill: event.BillKey{1}, Due: due, AsOf: time.UnixMilli(1795400000000),
		Biller: Biller{Code: "JVVNL", Surplus: event.SurplusNextBill, OverMax: 200_00, Part: true, CashMax: 20_000_00}}
}

// look goes to the page of the bill.
func (b *bench) look(bill Bill) View {
	b.t.Helper()
	b.step(ChooseLanguage{Language: event.English})
	b.step(ChooseService{Service: event.ServiceElectricity})
	b.step(Looked{Number: bill.Number, Bill: &bill, Paid: paidIn(b.log, bill.Keys()...)})
	return b.m.View()
}

// paidIn is what a log says was paid for a bill.
func paidIn(log [][]byte, keys ...event.BillKey) (paid []Paid) {
	for i, raw := range log {
		e, err := ledger.DecodeEntry(raw)
		if err != nil {
			continue
		}
		if b, err := event.Decode(e); err == nil {
			if p, ok := b.(*event.PaymentCommitted); ok && slices.Contains(keys, p.Bill) {
				paid = append(paid, Paid{Receipt: KioskID{Slot: 1, Ordinal: 1}.number(uint64(i), ledger.LeafHash(raw)), At: time.UnixMilli(int64(e.Time.WallMs)), Applied: p.Applied})
			}
		}
	}
	return paid
}

func (b *bench) open(bill Bill) []Command {
	b.t.Helper()
	b.look(bill)
	commands := b.step(ConfirmBill{})
	if b.m.sale == nil {
		b.t.Fatalf("no sale: %+v", b.m.View().Problem)
	}
	return commands
}

// feed stacks a note and lets the device say so.
func (b *bench) feed(channel uint8, stacked uint32) {
	b.t.Helper()
	if c := b.escrow(channel, stacked); !reflect.DeepEqual(c, []Command{StackNote{}}) {
		b.t.Fatalf("a wanted note: %v", c)
	}
	b.step(hardware.NoteCredited{Channel: channel, ValuePaise: testNotes[channel-1].ValuePaise})
	b.step(hardware.NoteStacked{})
}

func (b *bench) at(want Step) {
	b.t.Helper()
	if b.m.step != want {
		b.t.Fatalf("step %d, want %d", b.m.step, want)
	}
}

// bodies are the durable entries from an index on.
func (b *bench) bodies(from int) []event.Body {
	b.t.Helper()
	var all []event.Body
	for _, raw := range b.log[from:] {
		e, err := ledger.DecodeEntry(raw)
		if err != nil {
			b.t.Fatal(err)
		}
		body, err := event.Decode(e)
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, body)
	}
	return all
}

func (b *bench) books() book.Books {
	b.t.Helper()
	books, err := book.Of(nil, []book.Log{b.bookLog(ledger.LogID{1})})
	if err != nil {
		b.t.Fatal(err)
	}
	return books
}

func (b *bench) silentFrom(before int, what string) {
	b.t.Helper()
	if more := b.bodies(before); len(more) > 0 {
		b.t.Errorf("%s: %d more entries, the first %+v", what, len(more), more[0])
	}
}

// A credit that nobody asked for is written once, however often the device says it.
func TestOrphanIsCountedOnce(t *testing.T) {
	b := newBench(t)
	b.open(benchBill(1264_00))
	b.feed(6, 0)
	b.step(hardware.NoteCredited{Channel: 5, ValuePaise: 200_00})
	n := len(b.log)
	b.restart()
	b.ready(2, hardware.NoteCredited{Channel: 5, ValuePaise: 200_00})
	b.silentFrom(n, "an orphan said once more")
	if got := b.books().Balances["Assets:Cash:K1"]; got != 700_00 {
		t.Errorf("cash %d in the books, 70000 in the box", got)
	}
	b.ready(3, hardware.NoteCredited{Channel: 4, ValuePaise: 100_00})
	if got := b.books().Balances["Assets:Cash:K1"]; got != 800_00 {
		t.Errorf("cash %d in the books, 80000 in the box: the next orphan is lost", got)
	}
	n = len(b.log)
	b.ready(3, hardware.NoteCredited{Channel: 4, ValuePaise: 100_00})
	b.silentFrom(n, "an orphan of the start sequence said once more")
	b.ready(4, hardware.NoteCredited{Channel: 4, ValuePaise: 100_00})
	if got := b.books().Balances["Assets:Cash:K1"]; got != 900_00 {
		t.Errorf("cash %d in the books, 90000 in the box: an orphan behind an orphan is lost", got)
	}
}

// A note in doubt is asked about once: its being in the box is no news at the next start.
func TestDoubtIsAskedOnce(t *testing.T) {
	t.Run("live", func(t *testing.T) {
		b := newBench(t)
		b.open(benchBill(1264_00))
		b.escrow(6, 0)
		b.step(hardware.NoteCredited{Channel: 4, ValuePaise: 100_00})
		n := len(b.log)
		b.restart()
		b.ready(1, hardware.NoteCredited{Channel: 4, ValuePaise: 100_00})
		for _, body := range b.bodies(n) {
			if _, orphan := body.(*event.NoteOrphaned); orphan {
				t.Errorf("one note, asked about twice: %+v", body)
			}
		}
	})
	t.Run("at the start", func(t *testing.T) {
		b := newBench(t)
		b.open(benchBill(1264_00))
		b.escrow(6, 0)
		b.restart()
		b.ready(1, hardware.NoteReturned{RejectCode: 8})
		n := len(b.log)
		b.ready(1)
		b.silentFrom(n, "a contradiction that is written down")
		b.ready(2)
		if len(b.bodies(n)) != 1 {
			t.Error("a later note that nobody accounts for is not noticed")
		}
	})
	t.Run("another device, and the first one again", func(t *testing.T) {
		b := newBench(t)
		b.open(benchBill(1264_00))
		b.escrow(6, 0)
		b.restart()
		b.step(hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: 8, Notes: testNotes}, Counters: hardware.NoteCounters{Stacked: 7}})
		b.step(hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: 8, Notes: testNotes}, Counters: hardware.NoteCounters{Stacked: 8}, Reports: []hardware.AcceptorEvent{hardware.NoteCredited{ValuePaise: 100_00}}})
		n := len(b.log)
		b.ready(0)
		b.silentFrom(n, "the first device, with its counters as they were")
	})
}

// The driver tells of a fault when it begins and when it ends, in the start sequence
// too: an account of the notes ends none, and the end of one ends no other.
func TestFaultLastsUntilCleared(t *testing.T) {
	b := newBench(t)
	closed := func() string { return b.m.View().Closed.Key }
	b.step(hardware.AcceptorFault{Fault: hardware.FaultStackerFull})
	b.ready(0)
	if closed() != "kiosk.out.box_full" {
		t.Errorf("a full box: closed for %q", closed())
	}
	b.step(hardware.AcceptorFault{Fault: hardware.FaultJamSafe})
	n := len(b.log)
	b.step(hardware.AcceptorFault{Fault: hardware.FaultJamSafe})
	b.silentFrom(n, "a fault said twice")
	b.step(hardware.AcceptorFault{Fault: hardware.FaultJamSafe, Cleared: true})
	if closed() != "kiosk.out.box_full" {
		t.Errorf("a full box after a jam: closed for %q", closed())
	}
	b.step(hardware.AcceptorFault{Fault: hardware.FaultStackerFull, Cleared: true})
	if closed() != "" {
		t.Errorf("nothing is the matter: closed for %q", closed())
	}
	n = len(b.log)
	b.step(hardware.AcceptorFault{Fault: hardware.FaultNone, Cleared: true})
	b.silentFrom(n, "the end of no fault")
}

// A printer that aborts every job costs a few copies, not an endless list of them, and
// no start fails for it.
func TestPrinterThatAbortsEveryJob(t *testing.T) {
	b := newBench(t)
	b.open(benchBill(500_00))
	b.feed(6, 0)
	b.step(hardware.AcceptorDisabled{})
	b.at(StepDone)
	p := b.m.papers[0]
	for range 2000 {
		b.step(PaperUnknown{Subject: p.subject, Copy: p.copy})
	}
	if p.copy != copiesMax || p.printed {
		t.Errorf("copy %d, printed %v; want copy %d owed", p.copy, p.printed, copiesMax)
	}
	n := len(b.log)
	b.step(PaperUnknown{Subject: p.subject, Copy: 1})
	b.step(PaperUnknown{Subject: 12345, Copy: 1})
	b.step(PaperPrinted{Subject: 12345, Copy: 1})
	b.silentFrom(n, "news of papers that nobody waits for")
	if c := b.restart(); !reflect.DeepEqual(c, []Command{AskPrinter{Subject: p.subject, Copy: copiesMax, Since: b.m.papers[0].intended}}) {
		t.Errorf("after a start: %v", c)
	}
	b.step(PaperPrinted{Subject: p.subject, Copy: copiesMax})
	n = len(b.log)
	b.step(PaperPrinted{Subject: p.subject, Copy: copiesMax})
	b.silentFrom(n, "a paper that came out once")
}

// Cancelling a second sale of a bill leaves the personal data that the first receipt
// still needs.
func TestCancelKeepsWhatAPaperNeeds(t *testing.T) {
	b := newBench(t)
	bill := benchBill(1264_00)
	b.open(bill)
	b.feed(6, 0)
	b.step(Cancel{})
	b.step(hardware.AcceptorDisabled{})
	b.step(PayPart{})
	b.step(hardware.AcceptorDisabled{})
	b.at(StepDone)
	paper := b.m.papers[0]
	b.step(Finish{})
	b.open(bill)
	b.step(Cancel{})
	for _, c := range b.step(hardware.AcceptorDisabled{}) {
		if c == (Forget{Bill: bill.Bill}) {
			t.Error("the bill is forgotten before its receipt is printed")
		}
	}
	b.at(StepLanguage)
	if c := b.step(PaperPrinted{Subject: paper.subject, Copy: 1}); !reflect.DeepEqual(c, []Command{Forget{Bill: bill.Bill}}) {
		t.Errorf("once the receipt is out: %v", c)
	}
}

// What the page or the device cannot have meant changes nothing and stops nothing.
func TestNonsenseStopsNothing(t *testing.T) {
	b := newBench(t)
	b.step(ChooseLanguage{Language: 77})
	b.at(StepLanguage)
	b.open(benchBill(1264_00))
	n := len(b.log)
	for _, e := range []hardware.NoteEscrowed{{Channel: 9}, {Channel: 9, ValuePaise: -5}, {Channel: 9, ValuePaise: 100_00}, {Channel: 1, ValuePaise: 25_00}, {Channel: 6, ValuePaise: 2000_00}} {
		if c := b.step(e); !reflect.DeepEqual(c, []Command{ReturnNote{}}) {
			t.Errorf("a note of %d paise on channel %d: %v", e.ValuePaise, e.Channel, c)
		}
	}
	b.silentFrom(n, "notes that are none")
	for _, paise := range []int64{-1, 10_000_01, 1 << 60} {
		b.step(hardware.NoteCredited{ValuePaise: paise, Raw: make([]byte, 300)})
	}
	b.ready(1, hardware.NoteCredited{ValuePaise: 1 << 60, Raw: make([]byte, 300)})
	if cash := b.books().Balances["Assets:Cash:K1"]; cash != 0 {
		t.Errorf("%d paise of notes that cannot be", cash)
	}
	if q := b.books().Questions; len(q) == 0 || q[0].Reason != book.ReasonOrphanedNote {
		t.Errorf("questions %v", q)
	}
}

// The word that the acceptor is closed may come after everybody stopped waiting for it.
func TestLateDisabled(t *testing.T) {
	b := newBench(t)
	b.open(benchBill(1264_00))
	b.step(Cancel{})
	b.now = b.now.Add(acceptorPatience)
	b.step(Tick{})
	b.at(StepLanguage)
	if c := b.open(benchBill(1264_00)); len(c) != 0 {
		t.Errorf("opened while it is being closed: %v", c)
	}
	c := b.step(hardware.AcceptorDisabled{})
	if len(c) != 1 || reflect.TypeOf(c[0]) != reflect.TypeFor[EnableNotes]() {
		t.Errorf("closed at last: %v, want the notes of the new sale", c)
	}
	if c := b.step(hardware.AcceptorDisabled{}); len(c) != 1 {
		t.Errorf("closed by itself: %v, want it opened again", c)
	}
}

// A credit after the acceptor is closed belongs to the sale as long as it is open.
func TestCreditAfterDisabled(t *testing.T) {
	b := newBench(t)
	b.open(benchBill(1264_00))
	b.feed(6, 0)
	b.escrow(5, 1)
	b.step(Cancel{})
	b.step(hardware.AcceptorDisabled{})
	b.at(StepFinishing)
	b.step(hardware.NoteCredited{ValuePaise: 200_00})
	b.step(Tick{})
	b.at(StepChoice)
	if v := b.m.View(); v.Inserted != 700_00 {
		t.Errorf("%d paise in, want 70000", v.Inserted)
	}
}

func TestPartPaymentsOfOneBill(t *testing.T) {
	b := newBench(t)
	bill := benchBill(700_00)
	for stacked, left := range []ledger.Paise{700_00, 200_00} {
		if v := b.look(bill); v.Bill.Due != left {
			t.Fatalf("%d paise left, want %d", v.Bill.Due, left)
		}
		b.step(ConfirmBill{})
		b.feed([]uint8{6, 5}[stacked], uint32(stacked))
		if stacked == 0 {
			b.step(Cancel{})
			b.step(hardware.AcceptorDisabled{})
			b.step(PayPart{})
			b.step(PayPart{}) // pressed twice
		}
		b.step(hardware.AcceptorDisabled{})
		b.step(hardware.AcceptorDisabled{})
		b.at(StepDone)
		b.step(PaperPrinted{Subject: b.m.last[0], Copy: 1})
		b.step(Finish{})
	}
	if v := b.look(bill); v.Bill.Due != 0 || v.Problem.Key != "kiosk.dues.paid_here" {
		t.Errorf("paid: %d left, %q", v.Bill.Due, v.Problem.Key)
	}
	b.step(ConfirmBill{})
	b.at(StepDues)
	if p := b.m.View().Problem.Key; p != "kiosk.dues.paid_here" {
		t.Errorf("confirmed all the same: %q", p)
	}
	if got := b.books().Balances["Liabilities:Biller:JVVNL"]; got != -700_00 {
		t.Errorf("the biller has %d, want -70000", got)
	}
}

// Obstacles: no sale begins that notes cannot complete.
func TestObstacles(t *testing.T) {
	for _, c := range []struct {
		name string
		bill func(*Bill)
		want string
	}{
		{"can be paid", func(*Bill) {}, ""},
		{"to the note, no surplus", func(b *Bill) { b.Due, b.Biller.Surplus, b.Biller.OverMax = 1260_00, event.SurplusRefused, 0 }, ""},
		{"not to the note, no surplus", func(b *Bill) { b.Biller.Surplus = event.SurplusRefused }, "kiosk.dues.not_in_notes"},
		{"surplus of less than the smallest note needs", func(b *Bill) { b.Biller.OverMax = 5_99 }, "kiosk.dues.not_in_notes"},
		{"surplus that is just enough", func(b *Bill) { b.Biller.OverMax = 6_00 }, ""},
		{"above the ceiling", func(b *Bill) { b.Biller.CashMax = 1000_00 }, "kiosk.dues.ceiling"},
		{"below the ceiling, the last note above it", func(b *Bill) { b.Biller.CashMax = 1265_00 }, "kiosk.dues.not_in_notes"},
		{"at the ceiling", func(b *Bill) { b.Biller.CashMax = 1270_00 }, ""},
		{"nothing due", func(b *Bill) { b.Due = 0 }, "kiosk.dues.nothing"},
		{"in credit", func(b *Bill) { b.Due = -5_00 }, "kiosk.dues.nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			bill := benchBill(1264_00)
			c.bill(&bill)
			b.look(bill)
			b.step(ConfirmBill{})
			if p := b.m.View().Problem.Key; p != c.want || (b.m.sale == nil) != (c.want != "") {
				t.Errorf("problem %q, want %q", p, c.want)
			}
		})
	}
}

// nine is the account of acceptor 9 with so many notes stacked in its life.
func nine(stacked uint32, reports ...hardware.AcceptorEvent) hardware.AcceptorReady {
	return hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: 9, Notes: testNotes}, Counters: hardware.NoteCounters{Stacked: stacked}, Reports: reports}
}

func (b *bench) cash(want ledger.Paise) {
	b.t.Helper()
	if got := b.books().Balances["Assets:Cash:K1"]; got != want {
		b.t.Errorf("cash %d in the books, %d in the box", got, want)
	}
}

// The first note of a device may be one that nobody asked for, with the kiosk dying
// right after it is written down, or before: it is counted once, whatever the device
// says of itself afterwards.
func TestFirstNoteOfADeviceIsCountedOnce(t *testing.T) {
	again := hardware.NoteCredited{Channel: 5, ValuePaise: 200_00, PowerUp: true}
	for _, c := range []struct {
		name      string
		stacked   uint32 // in its life, before the note
		counted   uint32 // 0 for a firmware that does not count the note
		otherLast bool   // the kiosk knows another device
	}{
		{"a device with a past", 100, 1, false},
		{"a new device", 0, 1, false},
		{"a new device that does not count it", 0, 0, false},
		{"a device in another's place", 100, 1, true},
	} {
		start := func(t *testing.T) *bench {
			b := &bench{world: newWorld(1, 0), t: t}
			b.restart()
			if c.otherLast {
				b.step(hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: 8, Notes: testNotes}})
			}
			return b
		}
		t.Run(c.name+", reported live", func(t *testing.T) {
			b := start(t)
			b.step(nine(c.stacked))
			b.step(hardware.NoteCredited{Channel: 5, ValuePaise: 200_00})
			b.restart()
			b.step(nine(c.stacked+c.counted, again))
			b.step(nine(c.stacked+c.counted, again))
			b.cash(200_00)
			if c.counted == 0 {
				return // the next note's count may as well be this one's, come late
			}
			b.step(nine(c.stacked+2, again))
			b.cash(400_00)
		})
		t.Run(c.name+", reported at its first start", func(t *testing.T) {
			b := start(t)
			b.step(nine(c.stacked+c.counted, again))
			b.restart()
			b.step(nine(c.stacked+c.counted, again))
			b.cash(200_00)
		})
		t.Run(c.name+", the report lost with the kiosk", func(t *testing.T) {
			b := start(t)
			b.step(nine(c.stacked))
			b.restart()
			n := len(b.log)
			b.step(nine(c.stacked + 1))
			if all := b.bodies(n); len(all) != 1 || all[0].Kind() != event.KindNoteOrphaned {
				t.Errorf("one note more in the box than when the device was first seen: %v", all)
			}
		})
	}
}

// A device that was away keeps what the log knows of it: what it says once more of its
// last note is no news.
func TestDeviceThatComesBack(t *testing.T) {
	b := newBench(t)
	b.open(benchBill(1264_00))
	b.feed(6, 0)
	other := hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: 8, Notes: testNotes}, Counters: hardware.NoteCounters{Stacked: 7}}
	b.step(other)
	n := len(b.log)
	b.restart()
	b.ready(1, hardware.NoteCredited{Channel: 6, ValuePaise: 500_00, PowerUp: true})
	b.step(other)
	b.ready(1)
	b.silentFrom(n, "devices whose counters are as they were")
	b.ready(2)
	if len(b.bodies(n)) != 1 {
		t.Error("a note that nobody accounts for is not noticed")
	}
}

// A log remembers few devices: the one not seen for longest is new when it returns.
func TestDevicesAreFew(t *testing.T) {
	b := newBench(t)
	for serial := range uint32(1000) {
		b.now = b.now.Add(strayEvery)
		b.step(hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: 100 + serial}})
	}
	if len(b.m.accounts) != acceptorsMax {
		t.Errorf("%d devices are remembered, want %d", len(b.m.accounts), acceptorsMax)
	}
	n := len(b.log)
	b.step(hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: 1099}})
	b.silentFrom(n, "the newest device")
	b.now = b.now.Add(strayEvery)
	b.ready(5)
	if all := b.bodies(n); len(all) != 1 || all[0].Kind() != event.KindAcceptorSeen {
		t.Errorf("a device that is forgotten: %v", all)
	}
}

// Before the acceptor is opened for the first time, its counters are durable.
func TestSeenBeforeItIsOpened(t *testing.T) {
	b := newBench(t)
	b.open(benchBill(1264_00))
	b.step(hardware.AcceptorOffline{})
	out := b.m.Step(b.now, hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: 10, Notes: testNotes}, Counters: hardware.NoteCounters{Stacked: 3}})
	if len(out.Commands) != 1 || out.Draft == nil {
		t.Fatalf("a new device amid a sale: %+v", out)
	}
	want := &event.AcceptorSeen{Serial: 10, Counters: event.Counters{Stacked: 3}}
	if all := out.Draft(0); len(all) != 1 || !reflect.DeepEqual(all[0], want) {
		t.Errorf("durable before the acceptor is opened: %+v, want %+v", all, want)
	}
}

// A note that comes to escrow while the acceptor is still to be closed is not of the
// sale on the screen: it goes back, whoever stands there by then.
func TestNoteBehindAClosedSaleGoesBack(t *testing.T) {
	b := newBench(t)
	b.open(benchBill(1264_00))
	b.step(hardware.AcceptorFault{Fault: hardware.FaultJamSafe}) // with the note on its way to escrow
	b.step(Cancel{})
	b.now = b.now.Add(acceptorPatience)
	b.step(Tick{})
	b.at(StepLanguage)
	b.step(hardware.AcceptorFault{Fault: hardware.FaultJamSafe, Cleared: true})
	if c := b.escrow(6, 0); !reflect.DeepEqual(c, []Command{ReturnNote{}}) {
		t.Errorf("after the sale: %v", c)
	}
	b.open(benchBill(1264_00))
	if c := b.escrow(6, 0); !reflect.DeepEqual(c, []Command{ReturnNote{}}) {
		t.Errorf("in the next citizen's sale: %v", c)
	}
	b.step(hardware.AcceptorDisabled{})
	b.feed(6, 0)
}
