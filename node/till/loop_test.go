package till

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"rasid/hardware"
	"rasid/internal/personal"
	"rasid/ledger"
	"rasid/ledger/event"
)

var errDisk = errors.New("the disk is gone")

// stage is every neighbour of the loop. It writes down in one list what was asked of
// whom: the loop asks from one goroutine, so the list is in order.
type stage struct {
	t         *testing.T
	till      *Till
	asked     []string
	log       [][]byte
	failFrom  int // length of the log at which commits fail, 0 for never
	bill      Bill
	lost      bool         // the sealed blob
	untold    error        // why nobody can tell what was paid
	elsewhere []Paid       // for the bill
	logged    bytes.Buffer // by the till
	ticks     chan time.Time
	devices   chan hardware.AcceptorEvent
	prints    chan Event
}

func (s *stage) say(format string, args ...any) {
	s.asked = append(s.asked, fmt.Sprintf(format, args...))
}

// Commit fails when it is told to; else what it took is durable.
func (s *stage) Commit(_ context.Context, build func(uint64) ([]ledger.Entry, error)) (uint64, [][]byte, error) {
	first := uint64(len(s.log))
	entries, err := build(first)
	if err != nil {
		return 0, nil, err
	}
	_, version, _ := s.till.View()
	s.say("commit %d at version %d", len(entries), version)
	if s.failFrom > 0 && len(s.log) >= s.failFrom {
		return 0, nil, errDisk
	}
	for _, e := range entries {
		raw, err := ledger.EncodeEntry(e)
		if err != nil {
			return 0, nil, err
		}
		s.log = append(s.log, raw)
	}
	return first, s.log[first:], nil
}

func (s *stage) Enable([]uint8) error { return s.command("enable") }
func (s *stage) Disable() error       { return s.command("disable") }
func (s *stage) Stack() error         { return s.command("stack") }
func (s *stage) Return() error        { return s.command("return") }

// command notes what the log held and the screen showed when the device was told.
func (s *stage) command(name string) error {
	v, _, _ := s.till.View()
	s.say("%s after %d entries, showing step %d", name, len(s.log), v.Step)
	return errors.New("refused, which stops nothing")
}

func (s *stage) Print(subject uint64, copyNo uint32) {
	v, _, _ := s.till.View()
	s.say("print %d copy %d after %d entries, showing step %d", subject, copyNo, len(s.log), v.Step)
}
func (s *stage) Ask(subject uint64, copyNo uint32, _ time.Time) {
	s.say("ask %d copy %d", subject, copyNo)
}

func (s *stage) Look(number string) Looked { return Looked{Number: number, Bill: &s.bill} }

func (s *stage) Keep(context.Context, Bill) error {
	s.say("keep after %d entries", len(s.log))
	return nil
}
func (s *stage) Blob(event.BillKey) (Blob, bool) {
	return Blob{Object: ledger.Hash{0xb0}, Bytes: 120, SealKey: 3}, !s.lost
}
func (s *stage) Get(event.BillKey) (Bill, bool)       { return s.bill, true }
func (s *stage) Sweep(func(event.BillKey) bool) error { return nil }

func (s *stage) Forget(event.BillKey) error {
	s.say("forget")
	return nil
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, bill: benchBill(700_00), ticks: make(chan time.Time), devices: make(chan hardware.AcceptorEvent), prints: make(chan Event)}
	s.till = New(Config{
		ID: KioskID{Slot: 1, Ordinal: 1}, Log: slog.New(slog.NewJSONHandler(&s.logged, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true})), Committer: s, Acceptor: s, Spool: s, Catalogue: s, Personal: s,
		History: func(f func(uint64, []byte) error) error {
			for i, raw := range s.log {
				if err := f(uint64(i), raw); err != nil {
					return err
				}
			}
			return nil
		},
		Payments: func(keys ...event.BillKey) ([]Paid, error) {
			return append(paidIn(s.log, keys...), s.elsewhere...), s.untold
		},
		Clock: func() ledger.Time { return ledger.Time{WallMs: 1795500000000} },
		Now:   func() time.Time { return time.UnixMilli(1795500000000) },
		Ticks: s.ticks, Devices: s.devices, Prints: s.prints,
	})
	return s
}

// run starts the till; stop ends it and returns what Run said.
func (s *stage) run() (stop func() error) {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.till.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

// do acts on the page that is shown.
func (s *stage) do(action Event) error {
	s.settle()
	v, _, _ := s.till.View()
	return s.till.Do(s.t.Context(), v.Seq, action)
}

// settle waits until the loop is done with what it was given: it takes the tick, and
// then an action that is always stale, only after that.
func (s *stage) settle() {
	s.t.Helper()
	s.ticks <- time.Time{}
	if err := s.till.Do(s.t.Context(), ^uint64(0), Finish{}); !errors.Is(err, ErrStale) {
		s.t.Fatalf("an action on no page: %v", err)
	}
}

// toCash opens a sale.
func (s *stage) toCash() {
	s.t.Helper()
	s.prints <- PrinterNow{Paper: hardware.PaperFull}
	s.devices <- hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: 9, Notes: testNotes}}
	for _, action := range []Event{ChooseLanguage{Language: event.English}, ChooseService{Service: event.ServiceElectricity}, Typed{Number: "210123456789"}, ConfirmBill{}} {
		if err := s.do(action); err != nil {
			s.t.Fatalf("%T: %v", action, err)
		}
	}
}

// TestOrderOfASale is the one order that loses nothing: keep, commit, show, print, command.
func TestOrderOfASale(t *testing.T) {
	s := newStage(t)
	stop := s.run()
	s.toCash()
	for stacked, channel := range []uint8{6, 5} {
		s.devices <- hardware.NoteEscrowed{Channel: channel, ValuePaise: testNotes[channel-1].ValuePaise, Counters: hardware.NoteCounters{Stacked: uint32(stacked)}}
		s.devices <- hardware.NoteCredited{Channel: channel, ValuePaise: testNotes[channel-1].ValuePaise}
		s.devices <- hardware.NoteStacked{}
	}
	s.devices <- hardware.AcceptorDisabled{}
	s.settle()
	s.prints <- PaperPrinted{Subject: 10, Copy: 1}
	if err := s.do(Finish{}); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatalf("Run: %v", err)
	}
	var got []string
	for _, a := range s.asked {
		var n, version int
		if _, err := fmt.Sscanf(a, "commit %d at version %d", &n, &version); err == nil {
			a = fmt.Sprintf("commit %d", n)
		}
		got = append(got, a)
	}
	want := []string{
		"commit 1", "keep after 1 entries", "commit 2", "enable after 3 entries, showing step 4",
		"commit 2", "stack after 5 entries, showing step 4", "commit 2", "enable after 7 entries, showing step 4",
		"commit 2", "stack after 9 entries, showing step 4", "commit 1", "disable after 10 entries, showing step 6",
		"commit 3", "print 10 copy 1 after 13 entries, showing step 7",
		"commit 1", "forget",
	}
	if !slices.Equal(got, want) {
		t.Errorf("asked\n%q\nwant\n%q", got, want)
	}
	if b := s.body(6); !reflect.DeepEqual(b, &event.BlobSealed{Sale: 1, Object: ledger.Hash{0xb0}, Bytes: 120, Seal: 3}) {
		t.Errorf("with the first note comes %+v, want the entry that names the blob", b)
	}
}

func (s *stage) body(index int) event.Body {
	s.t.Helper()
	e, err := ledger.DecodeEntry(s.log[index])
	if err != nil {
		s.t.Fatal(err)
	}
	b, err := event.Decode(e)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// A blob that is lost keeps no money from being written down.
func TestLostBlobStopsNothing(t *testing.T) {
	s := newStage(t)
	s.lost = true
	stop := s.run()
	s.toCash()
	s.devices <- hardware.NoteEscrowed{Channel: 6, ValuePaise: 500_00}
	s.devices <- hardware.NoteCredited{Channel: 6, ValuePaise: 500_00}
	s.settle()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.body(len(s.log) - 1).(*event.NoteStacked); !ok {
		t.Errorf("the log ends with %+v", s.body(len(s.log)-1))
	}
	if !strings.Contains(s.logged.String(), "blob of a sale is lost") {
		t.Errorf("the log says %q", s.logged.String())
	}
}

// Where nobody can tell whether a bill was paid, no money is taken for it; it can be
// asked for again.
func TestBillOfUnknownPayments(t *testing.T) {
	s := newStage(t)
	stop := s.run()
	s.prints <- PrinterNow{Paper: hardware.PaperFull}
	s.devices <- hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: 9, Notes: testNotes}}
	s.untold = errors.New("the index is damaged")
	for _, action := range []Event{ChooseLanguage{Language: event.Hindi}, ChooseService{Service: event.ServiceElectricity}, Typed{Number: "210123456789"}} {
		if err := s.do(action); err != nil {
			t.Fatalf("%T: %v", action, err)
		}
	}
	v, _, _ := s.till.View()
	if v.Step != StepIdentify || v.Bill != nil || v.Problem.Key != "kiosk.identify.error.paid_unknown" || v.Typed != "210123456789" {
		t.Errorf("the screen shows %+v", v)
	}
	if err := s.do(ConfirmBill{}); err != nil {
		t.Fatal(err)
	}
	if v, _, _ := s.till.View(); v.Step != StepIdentify || slices.ContainsFunc(s.asked, func(a string) bool { return strings.HasPrefix(a, "keep") }) {
		t.Errorf("a confirmation led to step %d and %q", v.Step, s.asked)
	}
	if !strings.Contains(s.logged.String(), "the index is damaged") {
		t.Errorf("the log says %q", s.logged.String())
	}
	s.untold = nil
	if err := s.do(Typed{Number: "210123456789"}); err != nil {
		t.Fatal(err)
	}
	if v, _, _ = s.till.View(); v.Step != StepDues || v.Bill == nil || v.Problem.Key != "" {
		t.Errorf("asked for again the screen shows %+v", v)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// A payment that a neighbour brings while the citizen reads the bill is shown before any
// money is taken; what is then left is confirmed anew.
func TestPaidWhileTheBillIsShown(t *testing.T) {
	s := newStage(t)
	stop := s.run()
	s.prints <- PrinterNow{Paper: hardware.PaperFull}
	s.devices <- hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: 9, Notes: testNotes}}
	do := func(actions ...Event) View {
		t.Helper()
		for _, action := range actions {
			if err := s.do(action); err != nil {
				t.Fatalf("%T: %v", action, err)
			}
		}
		v, _, _ := s.till.View()
		return v
	}
	if v := do(ChooseLanguage{Language: event.Hindi}, ChooseService{Service: event.ServiceElectricity}, Typed{Number: "210123456789"}); v.Step != StepDues || v.Bill.Due != 700_00 {
		t.Fatalf("the screen shows %+v", v)
	}
	s.untold = errors.New("the index is damaged") // and of those that are known there are as many as shown: none
	if v := do(ConfirmBill{}); v.Step != StepIdentify || v.Problem.Key != "kiosk.identify.error.paid_unknown" {
		t.Errorf("where nobody can tell of a bill without payments the screen shows %+v", v)
	}
	s.untold = nil
	do(Typed{Number: "210123456789"})
	s.elsewhere = []Paid{{Receipt: "9-1-5-AAAA-A", Kiosk: "K9", At: time.UnixMilli(1795500000000), Applied: 200_00}}
	if v := do(ConfirmBill{}); v.Step != StepDues || v.Bill.Due != 500_00 || v.Problem.Key != "kiosk.dues.part_there" {
		t.Errorf("after 200 were paid elsewhere the screen shows step %d, due %d, %+v", v.Step, v.Bill.Due, v.Problem)
	}
	s.untold = errors.New("the index is damaged")
	if v := do(ConfirmBill{}); v.Step != StepIdentify || v.Problem.Key != "kiosk.identify.error.paid_unknown" {
		t.Errorf("where nobody can tell the screen shows %+v", v)
	}
	s.untold = nil
	do(Typed{Number: "210123456789"})
	part := s.elsewhere
	s.elsewhere = append(slices.Clone(part), Paid{Receipt: "8-1-7-BBBB-B", Kiosk: "K8", At: time.UnixMilli(1795500000000), Applied: 500_00})
	for range 2 {
		if v := do(ConfirmBill{}); v.Step != StepDues || v.Bill.Due != 0 || v.Problem.Key != "kiosk.dues.paid_there" {
			t.Errorf("after all was paid elsewhere the screen shows step %d, due %d, %+v", v.Step, v.Bill.Due, v.Problem)
		}
	}
	s.elsewhere = part
	do(ConfirmBill{})
	if v := do(ConfirmBill{}); v.Step != StepCash || v.Bill.Due != 500_00 {
		t.Errorf("confirmed anew the screen shows step %d, due %d", v.Step, v.Bill.Due)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestLogHoldsNothingTyped: whatever is typed, right or wrong, and whatever fails, no log
// line and no error holds it.
func TestLogHoldsNothingTyped(t *testing.T) {
	typed := map[string]string{"the consumer": "210123456789", "a wrong number": "9876543210", "a card": "4111111111111111", "the name": "प्रार्थना"}
	scanner := personal.New(typed)
	for failFrom := range 6 {
		s := newStage(t)
		s.bill.Masked = typed["the name"]
		s.failFrom = failFrom
		stop := s.run()
		s.prints <- PrinterNow{Paper: hardware.PaperFull}
		s.devices <- hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: 9, Notes: testNotes}}
		var errs []error
		for _, action := range []Event{
			ChooseLanguage{Language: event.English}, ChooseService{Service: event.ServiceElectricity}, Enter{Number: typed["a card"]}, Typed{Number: typed["a wrong number"]},
			Back{}, Typed{Number: typed["the consumer"]}, ConfirmBill{}, Cancel{}, TakeSlip{}, Finish{},
		} {
			v, _, _ := s.till.View()
			errs = append(errs, s.till.Do(t.Context(), v.Seq, action))
			if errors.Is(errs[len(errs)-1], errDisk) {
				break // the till has stopped
			}
		}
		errs = append(errs, stop())
		said := s.logged.String() + fmt.Sprint(errs)
		if found := scanner.Bytes("the till's log and errors", []byte(said)); len(found) > 0 {
			t.Errorf("%v", found)
		}
		if failFrom == 0 && !strings.Contains(said, "a command was refused") {
			t.Errorf("nothing was logged: %q", said)
		}
	}
}

// TestFailedCommitStops lets the disk fail at every commit of a sale: nothing is shown,
// printed or commanded of what is not durable, and Run ends with the disk's error.
func TestFailedCommitStops(t *testing.T) {
	for failFrom := 2; failFrom <= 8; failFrom++ {
		s := newStage(t)
		s.failFrom = failFrom
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.till.Run(ctx) }()
		s.toCash()
		var err error
		for stacked := 0; err == nil; stacked++ {
			for _, ev := range []hardware.AcceptorEvent{
				hardware.NoteEscrowed{Channel: 5, ValuePaise: 200_00, Counters: hardware.NoteCounters{Stacked: uint32(stacked)}}, hardware.NoteCredited{Channel: 5, ValuePaise: 200_00}, hardware.NoteStacked{},
			} {
				select {
				case s.devices <- ev:
				case err = <-done:
				}
				if err != nil {
					break
				}
			}
		}
		cancel()
		if !errors.Is(err, errDisk) {
			t.Fatalf("commit at %d entries fails, Run: %v", failFrom, err)
		}
		last := s.asked[len(s.asked)-1]
		var n int
		var version uint64
		if _, err := fmt.Sscanf(last, "commit %d at version %d", &n, &version); err != nil {
			t.Errorf("commit at %d entries fails, and then: %s", failFrom, last)
		}
		if _, now, _ := s.till.View(); now != version {
			t.Errorf("commit at %d entries fails: the screen shows version %d, it was %d", failFrom, now, version)
		}
	}
}

// The action that fails to become durable is answered with the error.
func TestActionIsAnsweredWhenTheDiskFails(t *testing.T) {
	s := newStage(t)
	s.failFrom = 2
	stop := s.run()
	s.toCash()
	s.devices <- hardware.AcceptorOffline{}
	if err := s.do(Cancel{}); !errors.Is(err, errDisk) {
		t.Errorf("Do: %v, want the disk's error", err)
	}
	if err := stop(); !errors.Is(err, errDisk) {
		t.Errorf("Run: %v, want the disk's error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.till.Do(ctx, 0, Finish{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Do with nobody there: %v", err)
	}
}

func TestStaleActionChangesNothing(t *testing.T) {
	s := newStage(t)
	stop := s.run()
	s.toCash()
	before, version, changed := s.till.View()
	asked := len(s.asked)
	for _, seq := range []uint64{0, before.Seq - 1, before.Seq + 1} {
		if err := s.till.Do(t.Context(), seq, Cancel{}); !errors.Is(err, ErrStale) {
			t.Errorf("page %d of %d: %v", seq, before.Seq, err)
		}
	}
	after, again, _ := s.till.View()
	select {
	case <-changed:
		t.Error("the screen was told of a change")
	default:
	}
	if !reflect.DeepEqual(before, after) || again != version || len(s.asked) != asked {
		t.Errorf("a stale action changed something: %+v, %q", after, s.asked[asked:])
	}
	if err := s.till.Do(t.Context(), before.Seq, Cancel{}); err != nil {
		t.Fatal(err)
	}
	<-changed // closes, or the test hangs
	if err := s.till.Do(t.Context(), before.Seq, Cancel{}); !errors.Is(err, ErrStale) {
		t.Errorf("pressed twice: %v", err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// A log that contradicts itself, or that nobody can read, starts no till.
func TestRunRefusesABadLog(t *testing.T) {
	entry := func(body event.Body) []byte {
		e, err := event.New(ledger.Time{}, body)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := ledger.EncodeEntry(e)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	open := entry(&event.SaleOpened{Service: 1, Language: event.Hindi})
	for name, log := range map[string][][]byte{
		"no entry": {{0xff}}, "two sales open": {open, open}, "a sale that is not open ends": {entry(&event.SaleEnded{Sale: 4, Reason: event.EndPaid})},
		"a note of no sale": {entry(&event.StackIntent{Note: 1})}, "a bill of no sale": {entry(&event.BillSelected{Sale: 3, Biller: "B", Due: 1, Source: event.SourceDues, Surplus: event.SurplusRefused})},
	} {
		s := newStage(t)
		s.log = log
		if err := s.till.Run(t.Context()); err == nil {
			t.Errorf("%s: the till runs", name)
		}
		if len(s.asked) > 0 {
			t.Errorf("%s: %q", name, s.asked)
		}
	}
}
