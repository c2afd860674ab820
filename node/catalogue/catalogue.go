// Package catalogue holds what the office publishes and the kiosk looks up: billers
// and dues (docs/DUES.md). A dues set is an object that names nobody: each record is
// found by its account key and opened with the consumer number.
package catalogue

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"

	"rasid/ledger/event"
	"rasid/node/till"
)

// Catalogue holds the newest dues set. It may be used from any goroutine.
type Catalogue struct {
	pepper func(number uint32) (event.Pepper, bool)
	log    *slog.Logger

	mu  sync.RWMutex
	set *Set // guarded by mu; nil while there is none
}

// New returns a catalogue without dues. pepper gives the secret of a number.
func New(pepper func(number uint32) (event.Pepper, bool), log *slog.Logger) *Catalogue {
	return &Catalogue{pepper: pepper, log: log}
}

// Use takes a set if it is newer than the one in use, and reports whether it was.
func (c *Catalogue) Use(s *Set) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set != nil && !s.AsOf().After(c.set.AsOf()) {
		return false
	}
	c.set = s
	return true
}

// AsOf tells how old the dues are; ok is false while there are none.
func (c *Catalogue) AsOf() (at time.Time, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.set == nil {
		return time.Time{}, false
	}
	return c.set.AsOf(), true
}

// Biller returns a biller by its code.
func (c *Catalogue) Biller(code string) (till.Biller, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.set == nil || c.set.Biller().Code != code {
		return till.Biller{}, false
	}
	return tillBiller(c.set.Biller()), true
}

func tillBiller(b Biller) till.Biller {
	return till.Biller{
		Code: b.Code, NameHi: b.NameHi, NameEn: b.NameEn, Digits: [2]int{b.DigitsMin, b.DigitsMax},
		Surplus: b.Surplus, OverMax: b.OverMax, Part: b.Part, CashMax: b.CashMax,
	}
}

// Look answers for a typed number: the bill, or what is wrong in words that help.
func (c *Catalogue) Look(typed string) till.Looked {
	account := Canonical(typed)
	out := till.Looked{Number: account}
	if strings.ContainsFunc(account, unicode.IsControl) || len(account) > 20 {
		out.Number = ""
	}
	c.mu.RLock()
	set := c.set
	c.mu.RUnlock()
	if set == nil {
		out.Problem = till.Problem{Key: "kiosk.identify.error.no_list"}
		return out
	}
	b := set.Biller()
	if p := form(account, b); p.Key != "" {
		out.Problem = p
		return out
	}
	pepper, ok := c.pepper(set.Pepper())
	if !ok {
		c.log.Error("the dues set needs a pepper that this kiosk lacks", "number", set.Pepper())
		out.Problem = till.Problem{Key: "kiosk.identify.error.no_list"}
		return out
	}
	found, err := set.Lookup(pepper, account)
	switch {
	case errors.Is(err, ErrUnknownNumber):
		out.Problem = till.Problem{Key: "kiosk.identify.error.unknown"}
	case err != nil:
		c.log.Error("a record of the dues set is damaged", "error", err)
		out.Problem = till.Problem{Key: "kiosk.identify.error.no_list"}
	default:
		out.Bill = &till.Bill{
			Number: account, Masked: found.Masked, Period: found.Period, Biller: tillBiller(b), Bill: found.Bill, Account: found.Account,
			Due: found.Due, DueDay: found.DueDay, Dues: set.Hash(), AsOf: set.AsOf(),
		}
	}
	return out
}

// form says what is wrong with a number before any list is asked.
func form(account string, b Biller) till.Problem {
	digits := len([]rune(account))
	switch {
	case digits == 0:
		return till.Problem{Key: "kiosk.identify.error.empty"}
	case strings.Trim(account, "0123456789") != "":
		return till.Problem{Key: "kiosk.identify.error.digits"}
	case digits < b.DigitsMin:
		return till.Problem{Key: "kiosk.identify.error.short", Args: []any{"n", digits, "need", b.DigitsMin}}
	case digits > b.DigitsMax:
		return till.Problem{Key: "kiosk.identify.error.long", Args: []any{"n", digits, "need", b.DigitsMax}}
	}
	return till.Problem{}
}
