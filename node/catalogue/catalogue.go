// Package catalogue holds what the office publishes and the kiosk looks up: billers
// and dues (docs/DUES.md). The office reads a dues file and makes a dues set of it,
// an object that names nobody: each record is found by its account key and opened
// with the consumer number.
package catalogue

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/node/till"
)

// billersMax bounds the sets in use: one of each biller.
const billersMax = 64

// Publication is where the authority log published a set: the ordinal of its
// incarnation and the index of the entry. The later one holds, whatever the clocks
// say of the two.
type Publication struct {
	Ordinal uint32
	Index   uint64
}

func (p Publication) after(q Publication) bool {
	return p.Ordinal > q.Ordinal || p.Ordinal == q.Ordinal && p.Index > q.Index
}

// Catalogue holds the dues set of each biller that was published last. It may be
// used from any goroutine; a set is replaced at once or not at all.
type Catalogue struct {
	pepper func(number uint32) (event.Pepper, bool)
	log    *slog.Logger

	mu   sync.RWMutex
	sets map[string]inUse // guarded by mu; by biller code
}

type inUse struct {
	set *Set
	at  Publication
}

// New returns a catalogue without dues. pepper gives the secret of a number; it is
// called from any goroutine.
func New(pepper func(number uint32) (event.Pepper, bool), log *slog.Logger) *Catalogue {
	return &Catalogue{pepper: pepper, log: log, sets: map[string]inUse{}}
}

// Use takes the object that the authority log published, if it is later than the
// set of that biller in use; taken reports whether it was. The error says that the
// object is not what the entry says, and nothing has changed.
func (c *Catalogue) Use(p event.DuesPublished, at Publication, object []byte) (taken bool, err error) {
	s, err := Open(object)
	if err != nil {
		return false, err
	}
	if *s.Published() != p {
		return false, fmt.Errorf("%w dues set: the object %s is not what its entry says", ledger.ErrMalformed, s.Hash())
	}
	code := s.Biller().Code
	c.mu.Lock()
	defer c.mu.Unlock()
	old, replaces := c.sets[code]
	if replaces && !at.after(old.at) {
		return false, nil
	}
	if !replaces && len(c.sets) == billersMax {
		return false, fmt.Errorf("couldn't take the dues of %s: there are %d billers already", code, billersMax)
	}
	c.sets[code] = inUse{set: s, at: at}
	return true, nil
}

// inOrder returns the sets in use, by biller code.
func (c *Catalogue) inOrder() []*Set {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var all []*Set
	for _, code := range slices.Sorted(maps.Keys(c.sets)) {
		all = append(all, c.sets[code].set)
	}
	return all
}

// AsOf tells how old the oldest dues in use are; ok is false while there are none.
func (c *Catalogue) AsOf() (at time.Time, ok bool) {
	for _, s := range c.inOrder() {
		if !ok || s.AsOf().Before(at) {
			at, ok = s.AsOf(), true
		}
	}
	return at, ok
}

// Biller returns a biller by its code.
func (c *Catalogue) Biller(code string) (till.Biller, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	u, ok := c.sets[code]
	if !ok {
		return till.Biller{}, false
	}
	return u.set.Biller().forTill(), true
}

// Look answers for a typed number: the bill, or what is wrong in words that help.
// With several billers the first that has the number answers, by code; the citizen
// confirms biller, name and amount before any money.
func (c *Catalogue) Look(typed string) till.Looked {
	out := till.Looked{Number: Canonical(typed)}
	if len(out.Number) > digitsMost || hidden(out.Number) {
		out.Number = "" // of no use on a screen
	}
	sets := c.inOrder()
	if len(sets) == 0 {
		out.Problem = till.Problem{Key: "kiosk.identify.error.no_list"}
		return out
	}
	for _, s := range sets {
		bill, problem := c.ask(s, Canonical(typed))
		if bill != nil {
			return till.Looked{Number: bill.Number, Bill: bill}
		}
		// A set that could have had the number says more than one that could not.
		if out.Problem.Key == "" || problem.Key == "kiosk.identify.error.unknown" {
			out.Problem = problem
		}
	}
	return out
}

// ask looks into one set.
func (c *Catalogue) ask(s *Set, account string) (*till.Bill, till.Problem) {
	b := s.Biller()
	if p := form(account, b); p.Key != "" {
		return nil, p
	}
	pepper, ok := c.pepper(s.Pepper())
	if !ok {
		c.log.Error("the dues set needs a pepper that this machine lacks", "pepper", s.Pepper(), "object", s.Hash().String())
		return nil, till.Problem{Key: "kiosk.identify.error.no_list"}
	}
	found, err := s.Lookup(pepper, account)
	switch {
	case errors.Is(err, ErrUnknownNumber):
		return nil, till.Problem{Key: "kiosk.identify.error.unknown"}
	case err != nil:
		c.log.Error("a record of the dues set is damaged", "object", s.Hash().String(), "error", err)
		return nil, till.Problem{Key: "kiosk.identify.error.no_list"}
	}
	same, err := c.sameBill(s, account, found.Period)
	if err != nil {
		c.log.Error("a bill's other keys cannot be told", "object", s.Hash().String(), "error", err)
		return nil, till.Problem{Key: "kiosk.identify.error.no_list"}
	}
	return &till.Bill{
		Number: account, Masked: found.Masked, Period: found.Period, Biller: b.forTill(), Bill: found.Bill, Same: same, Account: found.Account,
		Due: found.Due, DueDay: found.DueDay, Dues: s.Hash(), AsOf: s.AsOf(),
	}, till.Problem{}
}

// sameBill names a bill under the pepper before the set's and under the one after it,
// as far as they are valid here: it may have been paid under either (LEDGER.md §10.5).
func (c *Catalogue) sameBill(s *Set, account, period string) ([]event.BillKey, error) {
	var same []event.BillKey
	for _, number := range []uint32{s.Pepper() - 1, s.Pepper() + 1} {
		pepper, ok := c.pepper(number)
		if !ok {
			continue
		}
		key, err := event.BillKeyOf(pepper, s.Biller().Code, account, period)
		if err != nil {
			return nil, err
		}
		same = append(same, key)
	}
	return same, nil
}

// form says what is wrong with a number before any set is asked.
func form(account string, b Biller) till.Problem {
	n := len(account)
	switch {
	case n == 0:
		return till.Problem{Key: "kiosk.identify.error.empty"}
	case strings.Trim(account, "0123456789") != "":
		return till.Problem{Key: "kiosk.identify.error.digits"}
	case n < b.DigitsMin:
		return till.Problem{Key: "kiosk.identify.error.short", Args: []any{"n", n, "need", b.DigitsMin}}
	case n > b.DigitsMax:
		return till.Problem{Key: "kiosk.identify.error.long", Args: []any{"n", n, "need", b.DigitsMax}}
	}
	return till.Problem{}
}
