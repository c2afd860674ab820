package till

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"rasid/hardware"
	"rasid/ledger/event"
)

// The disk fills between two ticks: the note that comes next goes back, and nothing of
// it is written; what a citizen presses next opens no sale.
func TestDiskIsLookedAtBeforeMoney(t *testing.T) {
	var low atomic.Bool
	s := newStage(t)
	s.till.cfg.DiskLow = low.Load
	stop := s.run()
	s.toCash()
	before := len(s.log)
	low.Store(true)
	s.devices <- hardware.NoteEscrowed{Channel: 6, ValuePaise: testNotes[5].ValuePaise}
	s.devices <- hardware.NoteReturned{}
	s.devices <- hardware.AcceptorDisabled{}
	if v, _, _ := s.till.View(); v.Closed.Key != "kiosk.out.disk" {
		t.Errorf("the screen says %q", v.Closed.Key)
	}
	low.Store(false)
	for _, action := range []Event{Cancel{}, ChooseLanguage{Language: event.English}, ChooseService{Service: event.ServiceElectricity}, Typed{Number: "210123456789"}} {
		if err := s.do(action); err != nil {
			t.Fatalf("%T: %v", action, err)
		}
		if _, cancelled := action.(Cancel); cancelled {
			s.devices <- hardware.AcceptorDisabled{}
		}
	}
	s.settle()
	kept := len(s.log)
	low.Store(true)
	v, _, _ := s.till.View()
	if err := s.till.Do(t.Context(), v.Seq, ConfirmBill{}); err != nil {
		t.Fatal(err)
	}
	if v, _, _ := s.till.View(); v.Step != StepDues {
		t.Errorf("step %d: a sale began on a full disk", v.Step)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	stack := slices.ContainsFunc(s.asked, func(a string) bool { return strings.HasPrefix(a, "stack") })
	returned := slices.ContainsFunc(s.asked, func(a string) bool { return strings.HasPrefix(a, "return") })
	if stack || !returned || kept != before+1 || len(s.log) != kept {
		t.Errorf("stacked %v, returned %v, %d entries, %d after the end of the first sale, %d in the end: %q", stack, returned, before, kept, len(s.log), s.asked)
	}
}
