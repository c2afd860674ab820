package kiosk

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rasid/hardware"
	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/node/lang"
	"rasid/node/till"
)

// page is what a template needs, in words of the citizen's language.
type page struct {
	L, Other  lang.Lang
	Seq       uint64
	Version   uint64
	Body      string // name of the template of the step
	Kiosk     string
	Place     string
	Phone     string
	Online    bool
	Unsent    uint64
	Heard     string
	ErrorKey  string
	RemedyKey string
	Notice    string // something to say above the step
	Closed    string // why no sale can begin
	ClosedToo string // the same in the other language
	Warn      string // the time-out's warning

	Typed   string
	Count   string
	Digits  int
	Bill    *bill
	Cash    *cash
	Papers  []paperLine
	Claims  []string
	PartOK  bool
	Part    string
	Enough  bool // what is in pays the bill
	Missing bool // records of a sale that may have been cut off
}

type bill struct {
	Name, Number, Biller, Month, DueDate, Amount, AsOf, Ago string
	Old, Overdue, Blocked                                   bool
}

type cash struct {
	Inserted, Bill, Remaining, Surplus string
	Percent                            int
	Notes                              []noteLine
	AnyNote                            bool
	Status                             string
	Trouble                            bool
	HasMoney                           bool
	Rule                               string
}

type noteLine struct {
	Value string
	Taken bool
}

type paperLine struct {
	Title, Number, Amount, Applied, Surplus, Left, State string
	NumberLabel, AmountLabel, Proof                      string
	Printed, Again, Doubt                                bool
}

// oldAfter is the age from which dues are called old.
const oldAfter = 7 * 24 * time.Hour

func (s *Screens) bare() page {
	st := s.cfg.Standing()
	p := page{L: lang.Hindi, Other: lang.English, Kiosk: s.cfg.Name, Place: s.cfg.Place, Phone: s.cfg.Helpline, Online: st.Online, Unsent: st.Unsent}
	return p
}

func (s *Screens) model(v till.View, version uint64, noticeKey string) page {
	p := s.bare()
	if v.Language == event.English {
		p.L, p.Other = lang.English, lang.Hindi
	}
	st := s.cfg.Standing()
	p.Seq, p.Version, p.Typed = v.Seq, version, v.Typed
	p.Heard = lang.T(p.L, "kiosk.attract.office_never")
	if !st.Heard.IsZero() {
		p.Heard = lang.T(p.L, "kiosk.attract.office_heard", "ago", lang.Ago(p.L, s.cfg.Now().Sub(st.Heard)))
	}
	p.Body = map[till.Step]string{
		till.StepLanguage: "attract", till.StepService: "service", till.StepIdentify: "identify", till.StepDues: "dues", till.StepCash: "cash",
		till.StepChoice: "choice", till.StepFinishing: "finishing", till.StepDone: "done", till.StepRecover: "recover",
	}[v.Step]
	p.Notice = s.say(p.L, v.Problem, v)
	if p.Notice == "" && v.Step == till.StepCash && v.Closed.Key == "kiosk.out.disk" { // why no note goes in
		p.Notice = s.say(p.L, v.Closed, v)
	}
	if noticeKey != "" {
		p.Notice = lang.T(p.L, noticeKey)
	}
	closed := v.Closed
	if closed.Key == "" && !st.Dues {
		closed.Key = "kiosk.out.no_dues"
	}
	p.Closed, p.ClosedToo = s.say(p.L, closed, v), s.say(p.Other, closed, v)
	p.Count, p.Digits = s.count(p.L, v)
	p.Bill, p.Cash, p.Papers = s.bill(p.L, v), s.cash(p.L, v), s.papers(p.L, v)
	for _, value := range v.Claims {
		p.Claims = append(p.Claims, lang.T(p.L, "kiosk.doubt.text", "amount", lang.INRShort(int64(value))))
	}
	p.Missing = v.Missing
	p.PartOK, p.Part = v.PartOK, lang.INRShort(int64(v.Inserted))
	p.Warn, p.Enough = warning(p.L, v), v.Inserted > 0 && v.Remaining == 0
	return p
}

// say writes a problem in the citizen's language, with what every text may ask for.
func (s *Screens) say(l lang.Lang, problem till.Problem, v till.View) string {
	if problem.Key == "" {
		return ""
	}
	given := map[string]any{"phone": s.cfg.Helpline, "notes": noteList(v)}
	for i := 0; i+1 < len(problem.Args); i += 2 {
		given[fmt.Sprint(problem.Args[i])] = inWords(l, problem.Args[i+1])
	}
	wanted, _ := lang.Placeholders(problem.Key)
	var args []any
	for _, name := range wanted {
		if value, ok := given[name]; ok {
			args = append(args, name, value)
		}
	}
	return lang.T(l, problem.Key, args...)
}

func inWords(l lang.Lang, value any) any {
	switch x := value.(type) {
	case ledger.Paise:
		return lang.INRShort(int64(x))
	case time.Time:
		return lang.Date(l, x)
	case till.Reason:
		return lang.T(l, string(x))
	}
	return value
}

func noteList(v till.View) string {
	var taken []string
	for _, n := range v.Notes {
		if n.Taken {
			taken = append(taken, lang.INRShort(int64(n.Value)))
		}
	}
	if len(taken) == 0 {
		return "—"
	}
	return strings.Join(taken, ", ")
}

// numberDigits is what a K-number has where no list says otherwise.
const numberDigits = 12

func (s *Screens) count(l lang.Lang, v till.View) (string, int) {
	n := len([]rune(v.Typed))
	switch {
	case n == 0:
		return lang.T(l, "kiosk.identify.count.none", "need", numberDigits), n
	case n < numberDigits:
		return lang.T(l, "kiosk.identify.count.more", "n", n, "more", numberDigits-n), n
	}
	return lang.T(l, "kiosk.identify.count.full", "n", n), n
}

// grouped writes a consumer number as bills do, in fours.
func grouped(number string) string {
	var parts []string
	for part := range slices.Chunk([]rune(number), 4) {
		parts = append(parts, string(part))
	}
	return strings.Join(parts, " ")
}

func (s *Screens) bill(l lang.Lang, v till.View) *bill {
	if v.Bill == nil {
		return nil
	}
	b := v.Bill
	name := b.Biller.NameHi
	if l == lang.English {
		name = b.Biller.NameEn
	}
	now := s.cfg.Now()
	out := &bill{
		Name: b.Masked, Number: grouped(b.Number), Biller: name, Amount: lang.INR(int64(b.Due)),
		AsOf: lang.DateTime(l, b.AsOf), Ago: lang.Ago(l, now.Sub(b.AsOf)), Old: now.Sub(b.AsOf) > oldAfter, Blocked: b.Due <= 0,
	}
	if month, err := time.Parse("2006-01", b.Period); err == nil {
		out.Month = lang.Month(l, month)
	}
	due := time.Unix(int64(b.DueDay)*86400, 0)
	out.DueDate, out.Overdue = lang.Date(l, due), now.After(due.Add(24*time.Hour))
	return out
}

func (s *Screens) cash(l lang.Lang, v till.View) *cash {
	if v.Bill == nil || v.Step < till.StepCash {
		return nil
	}
	c := &cash{
		Inserted: lang.INRShort(int64(v.Inserted)), Bill: lang.INR(int64(v.Inserted + v.Remaining - v.Surplus)), Remaining: lang.INR(int64(v.Remaining)), HasMoney: v.Inserted > 0,
	}
	if v.Surplus > 0 {
		c.Surplus = lang.INR(int64(v.Surplus))
	}
	if total := v.Inserted + v.Remaining; total > 0 {
		c.Percent = int(v.Inserted * 100 / total)
	}
	for _, n := range v.Notes {
		c.Notes = append(c.Notes, noteLine{Value: lang.INRShort(int64(n.Value)), Taken: n.Taken})
		c.AnyNote = c.AnyNote || n.Taken
	}
	rule := "kiosk.cash.surplus_forbid"
	if v.Bill.Biller.Surplus == event.SurplusNextBill {
		rule = "kiosk.cash.surplus_credit"
	}
	c.Rule = lang.T(l, rule)
	c.Status, c.Trouble = s.cashStatus(l, v)
	return c
}

// cashStatus is the one sentence under the amount: what the slot does now.
func (s *Screens) cashStatus(l lang.Lang, v till.View) (text string, trouble bool) {
	switch {
	case v.Fault == hardware.FaultJamSafe || v.Fault == hardware.FaultJamUnsafe:
		return lang.T(l, "kiosk.cash.jam", "phone", s.cfg.Helpline), true
	case v.Fault == hardware.FaultCashBoxRemoved:
		return lang.T(l, "kiosk.cash.box_open"), true
	case v.Fault == hardware.FaultStackerFull:
		return lang.T(l, "kiosk.returned.box_full"), true
	case v.Checking || v.Fault != hardware.FaultNone:
		return lang.T(l, "kiosk.cash.offline"), true
	case v.Moving:
		return lang.T(l, "kiosk.cash.checking"), false
	case v.Bounced.Key != "":
		return lang.T(l, "kiosk.returned.title") + " · " + s.say(l, v.Bounced, v), true
	}
	return lang.T(l, "kiosk.cash.torn"), false
}

func (s *Screens) papers(l lang.Lang, v till.View) []paperLine {
	var out []paperLine
	for _, p := range v.Papers {
		line := paperLine{
			Number: p.Number, NumberLabel: lang.T(l, "kiosk.done.receipt"), Amount: lang.INR(int64(p.Value)), AmountLabel: lang.T(l, "kiosk.done.paid"),
			Proof: lang.T(l, "kiosk.done.proof"), State: printText(l, p.Print), Printed: p.Print == till.PrintDone,
		}
		line.Again = line.Printed && p.Copy < 9
		switch b := p.Body.(type) {
		case *event.PaymentCommitted:
			line.Title, line.Applied = lang.T(l, "kiosk.done.title"), lang.INR(int64(b.Applied))
			if b.Surplus > 0 {
				line.Surplus = lang.INR(int64(b.Surplus))
			}
			if left := b.Due - b.Applied; left > 0 {
				line.Title, line.Left = lang.T(l, "kiosk.done.part_title", "amount", line.Amount), lang.INR(int64(left))
			}
		case *event.SlipIssued:
			line.Title, line.NumberLabel = lang.T(l, "kiosk.done.slip_title"), lang.T(l, "receipt.slip_number")
			line.Proof = lang.T(l, "kiosk.done.slip_text", "amount", lang.INRShort(int64(p.Value)))
		case *event.NoteUnresolved:
			line.Title, line.Doubt, line.NumberLabel = lang.T(l, "kiosk.doubt.title"), true, lang.T(l, "kiosk.doubt.reference")
			line.AmountLabel, line.Proof = lang.T(l, "kiosk.doubt.amount"), lang.T(l, "kiosk.doubt.phone", "phone", s.cfg.Helpline)
		}
		out = append(out, line)
	}
	// A claim is in the log before the payment that it comes with; people look for the
	// money that counts first.
	slices.SortStableFunc(out, func(a, b paperLine) int { return order(a.Doubt) - order(b.Doubt) })
	for i := range out[:max(0, len(out)-1)] {
		if out[i].Doubt {
			out[i].Proof = "" // said once, under the last
		}
	}
	return out
}

func order(doubt bool) int {
	if doubt {
		return 1
	}
	return 0
}

func printText(l lang.Lang, state till.PrintState) string {
	return lang.T(l, map[till.PrintState]string{
		till.PrintWaiting: "kiosk.print.waiting", till.PrintSending: "kiosk.print.printing", till.PrintDone: "kiosk.print.printed",
		till.PrintNoPaper: "kiosk.print.paper_out", till.PrintJam: "kiosk.print.jam", till.PrintOffline: "kiosk.print.offline",
	}[state])
}

func warning(l lang.Lang, v till.View) string {
	amount := lang.INRShort(int64(v.Inserted))
	switch {
	case v.LeftSec == 0:
		return ""
	case v.Inserted > 0 && v.Remaining == 0:
		return lang.T(l, "kiosk.timeout.money_part", "n", v.LeftSec, "amount", amount)
	case v.Inserted > 0:
		return lang.T(l, "kiosk.timeout.money_slip", "n", v.LeftSec, "amount", amount)
	}
	return lang.T(l, "kiosk.timeout.text", "n", v.LeftSec)
}
