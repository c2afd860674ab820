package till

import (
	"slices"
	"testing"
	"time"

	"rasid/hardware"
	"rasid/ledger"
	"rasid/ledger/event"
)

// acceptorFaultsWritten lists the acceptor's faults that the log has, in order; a
// negative number is the end of one.
func (b *bench) acceptorFaultsWritten(from int) []int {
	b.t.Helper()
	var out []int
	for _, body := range b.bodies(from) {
		if f, ok := body.(*event.DeviceFault); ok && f.Device == event.DeviceAcceptor {
			n := int(f.Fault)
			if f.Cleared {
				n = -n
			}
			out = append(out, n)
		}
	}
	return out
}

// flicker lets a contact change twice a second, and ends as it began: closed.
func (b *bench) flicker(f hardware.Fault, times int) {
	b.t.Helper()
	for i := range times {
		b.now = b.now.Add(500 * time.Millisecond)
		b.step(hardware.AcceptorFault{Fault: f, Cleared: i%2 == 1})
		b.step(Tick{})
	}
}

// A contact of the acceptor that flickers fills no log, and what it is at last is there.
func TestFlickeringAcceptorFillsNoLog(t *testing.T) {
	for f, each := range map[hardware.Fault]int{hardware.FaultJamSafe: 1, hardware.FaultCashBoxRemoved: 2} {
		b := newBench(t)
		n := len(b.log)
		b.flicker(f, 12*3600*2)
		if got, most := len(b.log)-n, faultsAtOnce+12*6*each; got > most || got < faultsAtOnce {
			t.Errorf("%s: %d entries in 12 hours, want at most %d", f, got, most)
		}
		b.step(hardware.AcceptorFault{Fault: f})
		b.now = b.now.Add(faultEvery)
		b.step(Tick{})
		if got := b.acceptorFaultsWritten(n); got[len(got)-1] != int(f) {
			t.Errorf("%s: it stayed, and the log says at last %d", f, got[len(got)-1])
		}
		b.restart()
		n = len(b.log)
		b.step(hardware.AcceptorFault{Fault: f})
		b.ready(0)
		b.step(Tick{})
		b.silentFrom(n, "a fault that lasts, after a restart")
		b.step(hardware.AcceptorFault{Fault: f, Cleared: true})
		if got := b.acceptorFaultsWritten(n); !slices.Equal(got, []int{-int(f)}) {
			t.Errorf("%s: its end: %d", f, got)
		}
	}
}

// That the cash box was out is written whatever flickers, be it the box's own contact.
func TestBoxTakenOutIsNeverHidden(t *testing.T) {
	const box = int(hardware.FaultCashBoxRemoved)
	b := newBench(t)
	b.flicker(hardware.FaultPathOpen, 1000)
	n := len(b.log)
	b.flicker(hardware.FaultCashBoxRemoved, 2)
	if got := b.acceptorFaultsWritten(n); !slices.Equal(got, []int{box, -box}) {
		t.Errorf("taken out and put in while another contact flickers: %d", got)
	}
	b.flicker(hardware.FaultCashBoxRemoved, faultsAtOnce-2)
	n = len(b.log)
	b.flicker(hardware.FaultCashBoxRemoved, 2)
	b.silentFrom(n, "beyond the budget")
	b.now = b.now.Add(faultEvery)
	b.step(Tick{})
	b.now = b.now.Add(faultEvery)
	b.step(Tick{})
	got := slices.DeleteFunc(b.acceptorFaultsWritten(n), func(f int) bool { return f != box && f != -box })
	if !slices.Equal(got, []int{box, -box}) {
		t.Errorf("taken out and put in beyond the budget, and later: %d", got)
	}
}

// Credits of no sale beyond the budget become one of unknown value, and no money is
// taken before that is written.
func TestStrayCreditsFillNoLog(t *testing.T) {
	b := newBench(t)
	n := len(b.log)
	for range 5000 {
		b.step(hardware.NoteCredited{Channel: 5, ValuePaise: 200_00})
		b.step(Tick{})
	}
	if got := len(b.log) - n; got != straysAtOnce-1 { // one was the account of the start
		t.Errorf("%d entries for 5000 credits, want %d", got, straysAtOnce-1)
	}
	if why := b.m.View().Closed.Key; why != "kiosk.out.acceptor" {
		t.Errorf("with credits that no entry says it is closed for %q", why)
	}
	n = len(b.log)
	b.now = b.now.Add(strayEvery)
	b.step(Tick{})
	b.step(Tick{})
	all := b.bodies(n)
	if len(all) != 1 || all[0].(*event.NoteOrphaned).Value != 0 {
		t.Errorf("the rest: %+v", all)
	}
	if why := b.m.View().Closed.Key; why != "" {
		t.Errorf("with everything said it is closed for %q", why)
	}
	b.open(benchBill(1264_00))
	b.feed(6, 5000)
	b.step(hardware.NoteCredited{Channel: 5, ValuePaise: 200_00})
	if c := b.escrow(5, 5002); len(c) != 1 || c[0] != (ReturnNote{}) {
		t.Errorf("a note while credits are not said: %v", c)
	}
}

// A device that says a new name each time waits, and goes on when there is budget; what
// it credits is said once.
func TestAccountsFillNoLog(t *testing.T) {
	b := newBench(t)
	n := len(b.log)
	account := func(serial uint32) {
		b.step(hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: serial, Notes: testNotes},
			Reports: []hardware.AcceptorEvent{hardware.NoteCredited{Channel: 5, ValuePaise: 200_00}}})
	}
	for serial := range uint32(5000) {
		account(100 + serial)
	}
	if got := len(b.log) - n; got != 2*(straysAtOnce-1) {
		t.Errorf("%d entries for 5000 devices, want %d", got, 2*(straysAtOnce-1))
	}
	if why := b.m.View().Closed.Key; why != "kiosk.out.acceptor" {
		t.Errorf("a device whose account waits: closed for %q", why)
	}
	n = len(b.log)
	account(5099) // and again
	b.step(hardware.AcceptorOffline{})
	b.now = b.now.Add(strayEvery)
	b.step(Tick{})
	b.silentFrom(n, "a device that waits and is away")
	account(5099)
	b.step(Tick{})
	credits := 0
	for _, body := range b.bodies(n) {
		if body.Kind() == event.KindNoteOrphaned {
			credits++
		}
	}
	if credits != 3 {
		t.Errorf("%d credits are said, want 3", credits)
	}
	if why := b.m.View().Closed.Key; why != "" {
		t.Errorf("closed for %q", why)
	}
}

// However many credits an account has, they are one batch.
func TestLongAccountFitsABatch(t *testing.T) {
	b := newBench(t)
	n := len(b.log)
	reports := make([]hardware.AcceptorEvent, 500)
	for i := range reports {
		reports[i] = hardware.NoteCredited{Channel: 5, ValuePaise: 200_00}
	}
	b.ready(500, reports...)
	all := b.bodies(n)
	if len(all) != strayCredits || len(all) > ledger.BatchMaxEntries || all[len(all)-1].(*event.NoteOrphaned).Value != 0 {
		t.Errorf("%d entries, the last %+v", len(all), all[len(all)-1])
	}
}

// Sales without money, and notes that come back from escrow, have a budget too. Money
// that is put in costs nothing of it.
func TestVainFillsNoLog(t *testing.T) {
	b := newBench(t)
	bill := benchBill(1264_00)
	vain := func() bool {
		b.look(bill)
		b.step(ConfirmBill{})
		opened := b.m.sale != nil
		b.step(Cancel{})
		b.step(hardware.AcceptorDisabled{})
		return opened
	}
	for i := range 5000 {
		if opened := vain(); opened != (i < vainAtOnce) {
			t.Fatalf("sale %d: opened %v", i, opened)
		}
	}
	b.look(bill)
	if b.step(ConfirmBill{}); b.m.View().Problem.Key != "kiosk.dues.wait" {
		t.Errorf("the citizen is told %q", b.m.View().Problem.Key)
	}
	b.step(Cancel{})
	b.now = b.now.Add(vainEvery)
	b.open(bill)
	b.feed(4, 0)
	n := len(b.log)
	for range 5000 {
		b.escrow(5, 1)
		b.step(hardware.NoteReturned{})
	}
	if got := len(b.log) - n; got != 3*vainAtOnce {
		t.Errorf("%d entries for notes that came back, want %d", got, 3*vainAtOnce)
	}
	b.now = b.now.Add(vainEvery)
	for i := range uint32(5) {
		b.feed(5, 1+i)
	}
	if paid, _ := b.m.sale.stacked(); paid != 1100_00 {
		t.Errorf("%d is in, want 110000", paid)
	}
}
