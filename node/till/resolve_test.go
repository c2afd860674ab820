package till

import (
	"fmt"
	"testing"

	"rasid/hardware"
	"rasid/ledger/event"
)

// TestResolve is the table of hardware facts A.5: what each kind of evidence makes of
// a note with an open intent, read in escrow at 10 stacked and 3 rejected.
func TestResolve(t *testing.T) {
	open := &note{index: 7, value: 500_00, serial: 9, counters: event.Counters{Stacked: 10, Rejected: 3}, state: noteIntended}
	paid := &note{index: 7, value: 500_00, serial: 9, counters: event.Counters{Stacked: 10, Rejected: 3}, state: noteStacked}
	back := &note{index: 7, value: 500_00, serial: 9, counters: event.Counters{Stacked: 10, Rejected: 3}, state: noteReturned}
	wrapping := &note{index: 7, value: 500_00, serial: 9, counters: event.Counters{Stacked: ^uint32(0)}, state: noteIntended}
	credit := func(paise int64, powerUp bool) hardware.NoteCredited {
		return hardware.NoteCredited{ValuePaise: paise, PowerUp: powerUp, Raw: []byte{0xEE}}
	}
	returned := hardware.NoteReturned{RejectCode: 8}
	for _, c := range []struct {
		name              string
		n, last           *note
		excess            uint32
		serial            uint32
		stacked, rejected uint32
		reports           []hardware.AcceptorEvent
		want              string
	}{
		{"credit event", open, open, 0, 9, 11, 3, []hardware.AcceptorEvent{credit(500_00, false)}, "stacked 1"},
		{"credit event at power-up without a value", open, open, 0, 9, 11, 3, []hardware.AcceptorEvent{credit(0, true)}, "stacked 2"},
		{"credit event that the counters do not show yet", open, open, 0, 9, 10, 3, []hardware.AcceptorEvent{credit(500_00, true)}, "stacked 2"},
		{"counters alone: in the box", open, open, 0, 9, 11, 3, nil, "stacked 3"},
		{"counters alone, wrapping", wrapping, wrapping, 0, 9, 0, 0, nil, "stacked 3"},
		{"counters alone: rejected", open, open, 0, 9, 10, 4, nil, "returned 3"},
		{"return event", open, open, 0, 9, 10, 4, []hardware.AcceptorEvent{returned}, "returned 1"},
		{"return event that the counters do not show", open, open, 0, 9, 10, 3, []hardware.AcceptorEvent{returned}, "returned 1"},
		{"nothing", open, open, 0, 9, 10, 3, nil, "unresolved 1"},
		{"another device", open, open, 0, 8, 11, 3, nil, "unresolved 2"},
		{"another device with a credit", open, open, 0, 8, 11, 3, []hardware.AcceptorEvent{credit(500_00, true)}, "unresolved 2, orphan 50000"},
		{"a note of another value", open, open, 0, 9, 11, 3, []hardware.AcceptorEvent{credit(100_00, false)}, "unresolved 3, orphan 10000"},
		{"two notes", open, open, 0, 9, 12, 3, []hardware.AcceptorEvent{credit(500_00, false), credit(500_00, false)}, "unresolved 3, orphan 50000, orphan 50000"},
		{"returned and in the box", open, open, 0, 9, 11, 4, []hardware.AcceptorEvent{returned}, "unresolved 3"},
		{"counters two ahead", open, open, 0, 9, 12, 3, nil, "unresolved 3"},
		{"no open note, credit said once more", nil, paid, 0, 9, 11, 3, []hardware.AcceptorEvent{credit(500_00, true)}, ""},
		{"no open note, all as it was", nil, paid, 0, 9, 11, 3, nil, ""},
		{"no open note, one more in the box", nil, paid, 0, 9, 12, 3, nil, "orphan 0"},
		{"no open note, one more that was accounted for", nil, paid, 2, 9, 12, 3, nil, ""},
		{"a returned note is not in the box", nil, back, 0, 9, 11, 4, []hardware.AcceptorEvent{credit(200_00, true)}, "orphan 20000"},
		{"nothing ever seen, a credit", nil, nil, 0, 9, 1, 0, []hardware.AcceptorEvent{credit(200_00, true)}, "orphan 20000"},
		{"a new device with old counters", nil, paid, 0, 8, 4000, 90, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ready := hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: c.serial}, Counters: hardware.NoteCounters{Stacked: c.stacked, Rejected: c.rejected}, Reports: c.reports}
			var known *account
			if c.last != nil && c.last.serial == c.serial {
				known = &account{base: c.last, excess: c.excess}
			}
			if got := said(resolve(c.n, known, ready)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func said(f finding) string {
	out := ""
	for i, b := range f {
		if i > 0 {
			out += ", "
		}
		switch b := b.(type) {
		case *event.NoteStacked:
			out += fmt.Sprintf("stacked %d", b.Evidence)
		case *event.NoteReturned:
			out += fmt.Sprintf("returned %d", b.Evidence)
		case *event.NoteUnresolved:
			out += fmt.Sprintf("unresolved %d", b.Reason)
		case *event.NoteOrphaned:
			out += fmt.Sprintf("orphan %d", b.Value)
		}
	}
	return out
}
