package office

import (
	"errors"
	"testing"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/receipt"
)

// logs is a ledger of one kiosk in memory.
type logs struct {
	id      ledger.LogID
	entries [][]byte
}

func (l *logs) Logs() []LogInfo {
	opened := &event.LogOpened{Chain: cert.Chain{Machine: cert.Certificate{Slot: 147, Role: cert.RoleKiosk}}, Grant: cert.Grant{Ordinal: 2}}
	office := &event.LogOpened{Chain: cert.Chain{Machine: cert.Certificate{Slot: 147, Role: cert.RoleOffice}}, Grant: cert.Grant{Ordinal: 2, Stream: cert.StreamAuthority}}
	return []LogInfo{{ID: ledger.LogID{9}, Opened: office, Size: 100}, {ID: l.id, Opened: opened, Size: uint64(len(l.entries))}}
}

func (l *logs) Range(log LogInfo, from, to uint64, f func(uint64, []byte) error) error {
	if log.ID != l.id {
		return errors.New("another log was read")
	}
	for i := from; i < to; i++ {
		if err := f(i, l.entries[i]); err != nil {
			return err
		}
	}
	return nil
}

func (l *logs) Books() []book.Log { return nil }

func (l *logs) Updates() (<-chan struct{}, func()) { return nil, func() {} }

// add appends entries and returns the number of a paper on the last one.
func (l *logs) add(t *testing.T, bodies ...event.Body) string {
	t.Helper()
	var raw []byte
	for _, b := range bodies {
		e, err := event.New(ledger.Time{}, b)
		if err != nil {
			t.Fatal(err)
		}
		if raw, err = ledger.EncodeEntry(e); err != nil {
			t.Fatal(err)
		}
		l.entries = append(l.entries, raw)
	}
	return receipt.Number(147, 2, uint64(len(l.entries)-1), ledger.LeafHash(raw))
}

func (l *logs) sale(t *testing.T, n byte, blob bool) (sale uint64) {
	t.Helper()
	sale = uint64(len(l.entries))
	l.add(t, &event.SaleOpened{Service: 1, Language: event.Hindi}, &event.BillSelected{
		Sale: sale, Biller: "JVVNL", Bill: event.BillKey{n}, Due: 100_00, Source: event.SourceDues, Surplus: event.SurplusRefused,
	})
	if blob {
		l.add(t, &event.BlobSealed{Sale: sale, Object: ledger.Hash{n}, Bytes: 120, Seal: uint32(n)})
	}
	return sale
}

// A blob is found by the number on a receipt, a slip and a claim, and by its hash.
func TestFindBlob(t *testing.T) {
	l := &logs{id: ledger.LogID{1}}
	l.add(t, &event.SoftwareStarted{Version: "v"})
	first := l.sale(t, 1, true)
	l.add(t, &event.NoteEscrowed{Sale: first, Value: 100_00})
	claim := l.add(t, &event.NoteUnresolved{Note: first + 3, Reason: event.DoubtNoEvidence})
	slip := l.add(t, &event.SlipIssued{Sale: first, Amount: 100_00, Notes: event.RefNotes(4)})
	second := l.sale(t, 2, true)
	paid := l.add(t, &event.PaymentCommitted{
		Sale: second, Biller: "JVVNL", Bill: event.BillKey{2}, Due: 100_00, Tendered: 100_00, Applied: 100_00, Rule: event.SurplusRefused, Tender: event.TenderCash, Notes: event.RefNotes(4),
	})
	late := l.sale(t, 5, false)
	for range 2 * ledger.BatchMaxEntries { // much happens before the money comes
		l.add(t, &event.DeviceFault{Device: event.DevicePrinter, Fault: 1})
	}
	l.add(t, &event.NoteEscrowed{Sale: late, Value: 100_00})
	doubt := l.add(t, &event.NoteUnresolved{Note: uint64(len(l.entries) - 1), Reason: event.DoubtNoEvidence})
	l.add(t, &event.BlobSealed{Sale: late, Object: ledger.Hash{5}, Bytes: 120, Seal: 5})
	none := l.sale(t, 3, false)
	bare := l.add(t, &event.SlipIssued{Sale: none, Amount: 100_00, Notes: event.RefNotes(4)})
	l.sale(t, 4, true) // the next sale's blob is not the one before's
	other := l.add(t, &event.SaleEnded{Sale: none, Reason: event.EndSlip})

	for what, want := range map[string]byte{claim: 1, slip: 1, doubt: 5, paid: 2, " " + paid + " ": 2, ledger.Hash{1}.String(): 1, ledger.Hash{4}.String(): 4} {
		got, err := FindBlob(l, what)
		if err != nil || got.Object != (ledger.Hash{want}) || got.Bill != (event.BillKey{want}) || got.Seal != uint32(want) || got.Log != l.id || got.Slot != 147 {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	for what, want := range map[string]error{bare: ErrNoBlob, other: ErrNoBlob, ledger.Hash{6}.String(): ErrNoBlob, "147-2-1-0000-0": ledger.ErrMalformed, "x": ledger.ErrMalformed} {
		if got, err := FindBlob(l, what); !errors.Is(err, want) {
			t.Errorf("%s: %+v, %v, want %v", what, got, err, want)
		}
	}
	if _, err := FindBlob(l, receipt.Number(147, 2, uint64(len(l.entries)+5), ledger.Hash{})); err == nil {
		t.Error("a number beyond the log is found")
	}
}
