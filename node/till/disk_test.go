package till

import (
	"testing"

	"rasid/hardware"
)

// On a disk short of room no note is taken and no sale begins; when there is room
// again both are as before. What is in stays in, and can still be paid with.
func TestDiskLow(t *testing.T) {
	b := newBench(t)
	b.ready(0)
	b.open(benchBill(700_00))
	b.feed(6, 0)
	b.at(StepCash)
	if got := b.step(DiskNow{Low: true}); len(got) != 1 || got[0] != (DisableNotes{}) {
		t.Fatalf("commands %v, want the acceptor closed", got)
	}
	if v := b.m.View(); v.Closed.Key != "kiosk.out.disk" {
		t.Errorf("the screen says %q", v.Closed.Key)
	}
	if got := b.escrow(6, 1); len(got) != 1 || got[0] != (ReturnNote{}) {
		t.Fatalf("commands %v, want the note back", got)
	}
	if v := b.m.View(); v.Bounced.Key != "kiosk.out.disk" {
		t.Errorf("the note came back because of %q", v.Bounced.Key)
	}
	b.step(hardware.NoteReturned{})
	b.step(hardware.AcceptorDisabled{})
	got := b.step(DiskNow{})
	if len(got) != 1 {
		t.Fatalf("commands %v, want the acceptor open", got)
	}
	if _, ok := got[0].(EnableNotes); !ok {
		t.Fatalf("commands %v, want the acceptor open", got)
	}
	b.step(DiskNow{Low: true})
	b.step(hardware.AcceptorDisabled{})
	b.step(Cancel{})
	if v := b.m.View(); v.Step != StepChoice && v.Step != StepFinishing {
		t.Errorf("step %d: the money cannot be got at", v.Step)
	}
}
