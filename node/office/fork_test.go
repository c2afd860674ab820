package office

import (
	"log/slog"
	"testing"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

// forkedLogs is a kiosk's log with two branches, in the order in which they were held.
type forkedLogs struct{ branches [][][]byte }

func (l forkedLogs) departs() uint64 {
	n := uint64(0)
	for string(l.branches[0][n]) == string(l.branches[1][n]) {
		n++
	}
	return n
}

func (l forkedLogs) Logs() []LogInfo {
	opened := &event.LogOpened{Chain: cert.Chain{Machine: cert.Certificate{Slot: 7, Role: cert.RoleKiosk}}, Grant: cert.Grant{Ordinal: 1}}
	var out []LogInfo
	for n, b := range l.branches {
		info := LogInfo{ID: ledger.LogID{1}, Opened: opened, Size: uint64(len(b)), Branch: n}
		if n > 0 {
			info.Departs = l.departs()
		}
		out = append(out, info)
	}
	return out
}

func (l forkedLogs) Range(log LogInfo, from, to uint64, f func(uint64, []byte) error) error {
	for i := from; i < to; i++ {
		if err := f(i, l.branches[log.Branch][i]); err != nil {
			return err
		}
	}
	return nil
}

func (l forkedLogs) Books() []book.Log { return nil }

func (forkedLogs) Updates() (<-chan struct{}, func()) { return nil, func() {} }

// Both branches of a forked log count, what they share once, whichever was held first,
// and whether they came together or one after the other; the machine is marked.
func TestAllBranchesCount(t *testing.T) {
	var before, a, b logs
	bill := event.BillKey{1}
	pay := func(sum ledger.Paise) event.Body {
		return &event.PaymentCommitted{Sale: 1, Biller: "JVVNL", Bill: bill, Due: sum, Tendered: sum, Applied: sum, Rule: event.SurplusRefused, Tender: event.TenderCash, Notes: event.RefNotes(2)}
	}
	before.add(t, &event.SoftwareStarted{Version: "0"}, &event.SaleOpened{Service: 1, Language: event.Hindi}, // entry 0 is read from Opened
		&event.NoteEscrowed{Sale: 1, Value: 100_00, Channel: 1}, &event.StackIntent{Note: 2}, &event.NoteStacked{Note: 2, Evidence: event.EvidenceEvent}, pay(100_00),
		&event.NoteEscrowed{Sale: 1, Value: 500_00, Channel: 1},
		&event.NoteEscrowed{Sale: 1, Value: 1_00, Channel: 1}, &event.NoteReturned{Note: 7, Evidence: event.EvidenceEvent},
		&event.NoteEscrowed{Sale: 1, Value: 2_00, Channel: 1}, &event.NoteUnresolved{Note: 9, Reason: 1})
	// What was said of a note before the branches part is not said anew behind it.
	again := []event.Body{&event.NoteStacked{Note: 2, Evidence: event.EvidenceEvent}, &event.NoteStacked{Note: 7, Evidence: event.EvidenceEvent}, &event.NoteStacked{Note: 9, Evidence: event.EvidenceEvent}}
	a.entries, b.entries = append(a.entries, before.entries...), append(b.entries, before.entries...)
	a.add(t, &event.NoteStacked{Note: 6, Evidence: event.EvidenceEvent}, pay(500_00))
	a.add(t, again...)
	b.add(t, &event.NoteStacked{Note: 6, Evidence: event.EvidenceCounters}, pay(500_00), pay(50_00))
	b.add(t, again...)
	for name, l := range map[string][][][]byte{"the shorter first": {a.entries, b.entries}, "the longer first": {b.entries, a.entries}} {
		t.Run(name, func(t *testing.T) {
			one := &forkedLogs{l}
			v := NewView(one, silent{}, book.NewKeeper(nil), slog.New(slog.DiscardHandler))
			one.branches = l[:1]
			if err := v.refresh(); err != nil {
				t.Fatal(err)
			}
			if s := v.Snapshot(); s.Kiosks[0].Forks != 0 || s.InBoxes != 600_00 || s.Kiosks[0].Entries != uint64(len(l[0])) {
				t.Errorf("one branch: %+v", s.Kiosks[0])
			}
			one.branches = l
			for range 2 {
				if err := v.refresh(); err != nil {
					t.Fatal(err)
				}
			}
			s := v.Snapshot()
			k := s.Kiosks[0]
			if k.Forks != 1 || s.InBoxes != 100_00+2*500_00 || k.Notes[500_00] != 2 || s.Count != 4 || s.Total != 100_00+2*500_00+50_00 || k.Entries != uint64(len(a.entries)+6) {
				t.Errorf("both branches: %+v, %d payments of %d", k, s.Count, s.Total)
			}
		})
	}
}
