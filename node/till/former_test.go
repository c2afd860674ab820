package till

import (
	"testing"

	"rasid/hardware"
	"rasid/ledger"
	"rasid/ledger/event"
)

// A new incarnation begins with an idle screen and an empty log, and does not write
// down once more a note that the log before holds: the device says it again at
// power-up.
func TestFormerIncarnation(t *testing.T) {
	var former [][]byte
	for _, b := range []event.Body{
		&event.SaleOpened{Service: event.ServiceElectricity, Language: event.Hindi},
		&event.NoteEscrowed{Sale: 0, Value: 500_00, Serial: 9, Counters: event.Counters{Stacked: 10}},
		&event.StackIntent{Note: 1},
		&event.NoteStacked{Note: 1, Evidence: event.EvidenceEvent},
	} {
		e, err := event.New(ledger.Time{}, b)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := ledger.EncodeEntry(e)
		if err != nil {
			t.Fatal(err)
		}
		former = append(former, raw)
	}
	for _, known := range []bool{true, false} {
		s := newStage(t)
		s.till.cfg.Former = func(f func(uint64, []byte) error) error {
			for i, raw := range former {
				if err := f(uint64(i), raw); err != nil || !known {
					return err
				}
			}
			return nil
		}
		stop := s.run()
		s.devices <- hardware.AcceptorReady{
			Identity: hardware.AcceptorIdentity{Serial: 9}, Counters: hardware.NoteCounters{Stacked: 11},
			Reports: []hardware.AcceptorEvent{hardware.NoteCredited{ValuePaise: 500_00, PowerUp: true}},
		}
		s.settle()
		if v, _, _ := s.till.View(); v.Step == StepRecover {
			t.Error("the screen shows a sale of another log")
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if written := len(s.log) > 0; written == known {
			t.Errorf("the note before is known: %v, and written down again: %v", known, written)
		}
	}
}
