package till

import "time"

// Limits of what devices, and citizens who put no money in, may write: so many at once,
// then one in a while. The log is kept for good and goes to everyone; a contact that
// flickers, firmware that runs wild and a child at the screen must not fill it. What a
// citizen's money needs is written whatever they have spent.
const (
	faultsAtOnce = 12
	faultEvery   = 10 * time.Minute
	straysAtOnce = 60 // an acceptor's accounts and credits of no sale
	strayEvery   = 10 * time.Minute
	strayCredits = 16 // of one account
	vainAtOnce   = 30 // sales without money; notes that were not stacked
	vainEvery    = 2 * time.Minute
)

// budget is how often something may be written now.
type budget struct {
	atOnce int
	every  time.Duration
	spent  int
	since  time.Time // the oldest of the spent ones comes back every later
}

// left reports whether it may be written now.
func (b *budget) left(now time.Time) bool {
	for b.spent > 0 && now.Sub(b.since) >= b.every {
		b.spent--
		b.since = b.since.Add(b.every)
	}
	return b.spent < b.atOnce
}

// spend counts one that was written.
func (b *budget) spend(now time.Time) {
	if b.spent == 0 {
		b.since = now
	}
	b.spent++
}

// take reports whether it may be written now, and counts it.
func (b *budget) take(now time.Time) bool {
	if !b.left(now) {
		return false
	}
	b.spend(now)
	return true
}

// refund takes one back that turned out to be worth its entries.
func (b *budget) refund() { b.spent = max(0, b.spent-1) }

// budgets are those of one machine. They begin anew with each start.
type budgets struct {
	printer, acceptor, box budget // changes of faults
	strays                 budget
	notes, sales           budget // in vain
}

func newBudgets() budgets {
	fault := budget{atOnce: faultsAtOnce, every: faultEvery}
	vain := budget{atOnce: vainAtOnce, every: vainEvery}
	return budgets{printer: fault, acceptor: fault, box: fault, strays: budget{atOnce: straysAtOnce, every: strayEvery}, notes: vain, sales: vain}
}
