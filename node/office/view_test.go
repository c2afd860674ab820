package office

import (
	"testing"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

// twoLogs is a kiosk's log that was given up and the one after it, as far as they have come.
type twoLogs struct {
	logs  [2][][]byte
	first int // which of the two is listed first
}

func (l *twoLogs) id(n int) ledger.LogID { return ledger.LogID{byte(n + 1)} }

func (l *twoLogs) Logs() (list []LogInfo) {
	for _, n := range []int{l.first, 1 - l.first} {
		if len(l.logs[n]) > 0 {
			opened := &event.LogOpened{Chain: cert.Chain{Machine: cert.Certificate{Slot: 7, Role: cert.RoleKiosk}}, Grant: cert.Grant{Ordinal: uint32(n + 1)}}
			list = append(list, LogInfo{ID: l.id(n), Size: uint64(len(l.logs[n])), Opened: opened})
		}
	}
	return list
}

func (l *twoLogs) Range(log LogInfo, from, to uint64, f func(uint64, []byte) error) error {
	for i := from; i < to; i++ {
		if err := f(i, l.logs[log.ID[0]-1][i]); err != nil {
			return err
		}
	}
	return nil
}

func (l *twoLogs) Books() []book.Log { return nil }

func (l *twoLogs) Updates() (<-chan struct{}, func()) { return nil, func() {} }

func (l *twoLogs) add(t *testing.T, n int, bodies ...event.Body) {
	t.Helper()
	for _, b := range bodies {
		e, err := event.New(ledger.Time{}, b)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := ledger.EncodeEntry(e)
		if err != nil {
			t.Fatal(err)
		}
		l.logs[n] = append(l.logs[n], raw)
	}
}

// A note that a later log took over is in the box once on the page, whichever log says
// so, in whatever order the two have come.
func TestBoxHoldsANoteTakenOverOnce(t *testing.T) {
	for _, c := range []struct {
		name      string
		old, here bool // stacked there, stacked here
		boxed     bool // what the later log says of it
	}{
		{"in the box there", true, true, true},
		{"settled here", false, true, false},
		{"settled here and there", true, true, false},
	} {
		for first := range 2 {
			for _, atOnce := range []bool{true, false} {
				l := &twoLogs{first: first}
				v := NewView(l, silent{}, book.NewKeeper(nil), nil)
				var old, later twoLogs
				old.add(t, 0, &event.SoftwareStarted{Version: "1"}, &event.NoteEscrowed{Value: 500_00, Serial: 9}, &event.StackIntent{Note: 1})
				note := event.RefTo(ledger.Position{Log: l.id(0), Index: 1}, old.logs[0][1])
				if c.old {
					old.add(t, 0, &event.NoteStacked{Note: 1, Evidence: event.EvidenceEvent})
				}
				later.add(t, 1, &event.SoftwareStarted{Version: "1"}, &event.NoteTakenOver{Note: note, Value: 500_00, Serial: 9, Stacked: c.boxed}, &event.NoteStacked{Note: 1, Evidence: event.EvidenceEvent})
				for _, n := range []int{first, 1 - first} {
					l.logs[n] = [][][]byte{old.logs[0], later.logs[1]}[n]
					if !atOnce {
						if err := v.refresh(); err != nil {
							t.Fatal(err)
						}
					}
				}
				if err := v.refresh(); err != nil {
					t.Fatal(err)
				}
				if s := v.Snapshot(); s.InBoxes != 500_00 {
					t.Errorf("%s, log %d first, at once %v: %d paise in the box, want 50000", c.name, first+1, atOnce, s.InBoxes)
				}
			}
		}
	}
}
