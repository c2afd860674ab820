package office

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"rasid/ledger"
	"rasid/ledger/book"
)

// questionsMax bounds the list of open questions; what is asked of each reason counts
// all of them.
const questionsMax = 200

// Question is one open question of the books, as the page shows it.
type Question struct {
	Reason book.Reason
	Entry  string // LEDGER.md §13.2
	Office bool   // an office wrote the entry, else the kiosk in the slot
	Slot   uint32
	Kiosk  string       // what people call that kiosk, empty when not known
	Since  time.Time    // by the writer's clock, zero when it had none
	Amount ledger.Paise // at stake, 0 if not known
}

// Asked is how many questions of one reason are open, and how much is at stake in all.
type Asked struct {
	Reason book.Reason
	Count  int
	Amount ledger.Paise
}

// urgency is the order in which a clerk should look: first what says that a machine
// is not to be trusted, then money of which nobody knows where or whose it is, then
// what is owed, and last what waits for entries or for a newer version. A reason not
// named here comes after all.
var urgency = []book.Reason{
	book.ReasonFork, book.ReasonSlotTwice, book.ReasonHeld, book.ReasonFalseProof,
	book.ReasonNoteInDoubt, book.ReasonBoxDiffers, book.ReasonDisagree, book.ReasonDisputed, book.ReasonUnmatched, book.ReasonOrphanedNote, book.ReasonSaleOpen,
	book.ReasonBillTwice, book.ReasonRejected, book.ReasonCreditOpen, book.ReasonRefundOpen, book.ReasonSlipOpen,
	book.ReasonPaper, book.ReasonTarget, book.ReasonWaiting, book.ReasonRole, book.ReasonMalformed, book.ReasonRules,
}

func urgencyOf(r book.Reason) int {
	if i := slices.Index(urgency, r); i >= 0 {
		return i
	}
	return len(urgency)
}

// inOrder compares questions as the page lists them: the most urgent first, of those
// the oldest.
func inOrder(a, b book.Question) int {
	return cmp.Or(cmp.Compare(urgencyOf(a.Reason), urgencyOf(b.Reason)), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.WallMs, b.WallMs), cmp.Compare(a.Entry, b.Entry))
}

// ask brings the books to what the ledger holds and takes over what they ask. It is
// called by Run alone, which owns the books.
func (v *View) ask() error {
	if err := v.books.Take(v.ledger.Books()); err != nil {
		return fmt.Errorf("couldn't keep the books: %w", err)
	}
	open := v.books.Questions()
	slices.SortFunc(open, inOrder)
	var asked []Asked
	bySlot := map[uint32]int{}
	for _, q := range open {
		if n := len(asked); n == 0 || asked[n-1].Reason != q.Reason {
			asked = append(asked, Asked{Reason: q.Reason})
		}
		sum := &asked[len(asked)-1]
		sum.Count++
		sum.Amount += max(q.Amount, -q.Amount)
		if !q.Office {
			bySlot[q.Slot]++
		}
	}
	listed := slices.Clone(open[:min(len(open), questionsMax)])
	v.mu.Lock()
	defer v.mu.Unlock()
	if slices.Equal(asked, v.asked) && slices.Equal(listed, v.open) {
		return nil
	}
	v.open, v.asked, v.askedOf = listed, asked, bySlot
	v.notify()
	return nil
}

// questions returns what the page lists; the caller holds v.mu.
func (v *View) questions() []Question {
	var list []Question
	for _, q := range v.open {
		shown := Question{Reason: q.Reason, Entry: q.Entry, Office: q.Office, Slot: q.Slot, Amount: q.Amount}
		if m := v.machines[q.Slot]; m != nil && !q.Office {
			shown.Kiosk = m.name
		}
		if q.WallMs > 0 {
			shown.Since = time.UnixMilli(int64(q.WallMs))
		}
		list = append(list, shown)
	}
	return list
}
