package till

import (
	"maps"

	"rasid/ledger"
	"rasid/ledger/event"
)

// Figures are sums over the whole own log: what a supervisor counts, nothing of any
// citizen. Slips are credit slips; Box is how many notes of each value went into the
// cash box, value 0 for those whose value nobody knows.
type Figures struct {
	Payments     uint64
	PaymentsPaid ledger.Paise
	Slips        uint64
	SlipsPaid    ledger.Paise
	Box          map[ledger.Paise]uint64
}

// count adds what a folded entry brings to the figures.
func (d *durable) count(body event.Body) {
	f := &d.figures
	switch b := body.(type) {
	case *event.PaymentCommitted:
		f.Payments++
		f.PaymentsPaid += b.Tendered
	case *event.SlipIssued:
		f.Slips++
		f.SlipsPaid += b.Amount
	case *event.NoteStacked:
		if !d.lastNote.boxed {
			f.Box[d.lastNote.value]++ // the note that it settled, else it was not folded
		}
	case *event.NoteOrphaned:
		f.Box[b.Value]++
	}
}

// Figures returns the figures now. It may be called from any goroutine.
func (t *Till) Figures() Figures {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.figures
	f.Box = maps.Clone(f.Box)
	return f
}
