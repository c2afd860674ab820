package till

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"rasid/hardware"
	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

// errCrash is the power going.
var errCrash = errors.New("crash")

// world is a kiosk without its disk, screen and wires: the machine, a log that keeps
// what was made durable, and an acceptor with a physical truth of its own.
type world struct {
	rnd     *rand.Rand
	m       *Machine
	now     time.Time
	log     [][]byte
	kept    map[event.BillKey]Bill
	crashAt int // durable steps and commands until the power goes, 0 for never
	steps   int
	dev     acceptorModel
	queue   []Event
	bills   int
	rough   *rough     // nil: nothing goes wrong but the kiosk's power
	gone    bool       // some entries are lost for good
	given   []*givenUp // logs before this one
}

// acceptorModel is the device: what is where, whatever anybody was told.
type acceptorModel struct {
	counters hardware.NoteCounters
	box      ledger.Paise
	escrow   int64 // value of the note held, 0 for none
	enabled  map[uint8]bool
	pending  []hardware.AcceptorEvent // not yet taken by a poll
}

var testNotes = []hardware.NoteType{{Channel: 1, ValuePaise: 10_00, Currency: "INR"}, {Channel: 2, ValuePaise: 20_00, Currency: "INR"}, {Channel: 3, ValuePaise: 50_00, Currency: "INR"},
	{Channel: 4, ValuePaise: 100_00, Currency: "INR"}, {Channel: 5, ValuePaise: 200_00, Currency: "INR"}, {Channel: 6, ValuePaise: 500_00, Currency: "INR"}}

func newWorld(seed uint64, crashAt int) *world {
	w := &world{rnd: rand.New(rand.NewPCG(seed, 77)), now: time.UnixMilli(1795500000000), kept: map[event.BillKey]Bill{}, crashAt: crashAt}
	w.dev.counters = hardware.NoteCounters{Stacked: ^uint32(1), Rejected: 7} // about to wrap
	return w
}

// hit counts a step and reports whether the power goes here.
func (w *world) hit() error {
	w.steps++
	if w.steps == w.crashAt {
		return errCrash
	}
	return nil
}

// boot folds the log, as a start does, and lets the acceptor answer.
func (w *world) boot() error {
	w.m, w.queue = NewMachine(KioskID{Slot: 1, Ordinal: 1 + uint32(len(w.given))}, w.now), nil
	w.inherit()
	for i, raw := range w.log {
		if err := w.fold(uint64(i), raw); err != nil {
			return err
		}
	}
	if err := w.takeOver(); err != nil {
		return err
	}
	if err := w.perform(w.m.Started(w.now, w.personal)); err != nil {
		return err
	}
	for k := range w.kept {
		if !w.m.Needs(k) {
			delete(w.kept, k)
		}
	}
	w.rough.land(w)
	w.queue = append(w.queue, PrinterNow{Paper: hardware.PaperFull}, w.dev.startUp())
	return nil
}

// startUp is the driver's start sequence: a note in escrow goes back, nothing is
// enabled, what was reported and never taken is reported now.
func (d *acceptorModel) startUp() hardware.AcceptorReady {
	reports := d.pending
	d.pending, d.enabled = nil, nil
	if d.escrow != 0 {
		d.escrow = 0
		d.counters.Rejected++
		reports = append(reports, hardware.NoteReturned{RejectCode: 8})
	}
	return hardware.AcceptorReady{Identity: hardware.AcceptorIdentity{Serial: 9, Notes: testNotes}, Counters: d.counters, Reports: reports}
}

func (w *world) fold(index uint64, raw []byte) error {
	e, err := ledger.DecodeEntry(raw)
	if err != nil {
		return err
	}
	b, err := event.Decode(e)
	if err != nil {
		return err
	}
	return w.m.Apply(index, ledger.LeafHash(raw), e.Time, b)
}

// perform does what Till.perform does, with a crash possible before what is durable,
// after it, and between commands.
func (w *world) perform(out Out) error {
	if out.Keep != nil {
		w.kept[out.Keep.Bill] = *out.Keep
	}
	if n := out.Names; n != nil {
		_, ok := w.kept[n.Bill]
		if !ok && len(w.given) == 0 {
			return fmt.Errorf("sale %d is to name a blob that is not kept", n.Sale)
		}
		if ok {
			out.Draft = n.then(out.Draft, Blob{Object: ledger.Hash{1}, Bytes: 1, SealKey: 1})
		}
	}
	var copies []*event.PrintIntent
	if out.Draft != nil {
		if err := w.hit(); err != nil {
			return err
		}
		first := uint64(len(w.log))
		for _, b := range out.Draft(first) {
			e, err := event.New(ledger.Time{WallMs: uint64(w.now.UnixMilli())}, b)
			if err != nil {
				return err
			}
			raw, err := ledger.EncodeEntry(e)
			if err != nil {
				return err
			}
			w.rough.written(w, uint64(len(w.log)), b)
			w.log = append(w.log, raw)
			if c, ok := b.(*event.PrintIntent); ok {
				copies = append(copies, c)
			}
		}
		if err := w.hit(); err != nil {
			return err
		}
		for i := first; i < uint64(len(w.log)); i++ {
			if err := w.fold(i, w.log[i]); err != nil {
				return err
			}
		}
	}
	for _, c := range copies {
		w.queue = append(w.queue, PaperPrinted{Subject: c.Subject, Copy: c.Copy})
	}
	for _, c := range out.Commands {
		if err := w.hit(); err != nil {
			return err
		}
		w.command(c)
	}
	return nil
}

// command moves notes.
func (w *world) command(c Command) {
	d := &w.dev
	switch c := c.(type) {
	case EnableNotes:
		d.enabled = map[uint8]bool{}
		for _, ch := range c.Channels {
			d.enabled[ch] = true
		}
	case DisableNotes:
		d.enabled = nil
		if d.escrow != 0 {
			d.comeBack()
		}
		if !w.rough.closesLater() {
			d.pending = append(d.pending, hardware.AcceptorDisabled{})
		}
	case StackNote:
		if d.escrow == 0 {
			return
		}
		if w.rough.underWay(w) {
			return // what becomes of it, time tells
		}
		if w.rnd.IntN(8) == 0 {
			d.comeBack() // it did not go in after all
			return
		}
		d.box += ledger.Paise(d.escrow)
		d.counters.Stacked++
		d.pending = append(d.pending, hardware.NoteCredited{ValuePaise: d.escrow, Raw: []byte{0xEE}}, hardware.NoteStacked{})
		d.escrow = 0
	case ReturnNote:
		if d.escrow != 0 {
			d.comeBack()
		}
	case AskPrinter:
		w.queue = append(w.queue, w.rough.answer(w, c))
	case Forget:
		delete(w.kept, c.Bill)
	}
}

func (d *acceptorModel) comeBack() {
	d.escrow, d.counters.Rejected = 0, d.counters.Rejected+1
	d.pending = append(d.pending, hardware.NoteReturned{RejectCode: 8, FromEscrow: true})
}

// next is the next thing that happens: a report, or a person's hand.
func (w *world) next() Event {
	if len(w.queue) > 0 {
		ev := w.queue[0]
		w.queue = w.queue[1:]
		return ev
	}
	if ev := w.rough.mishap(w); ev != nil {
		return ev
	}
	if len(w.dev.pending) > 0 {
		ev := w.dev.pending[0]
		w.dev.pending = w.dev.pending[1:]
		return ev
	}
	if len(w.dev.enabled) > 0 && w.dev.escrow == 0 && w.rough.still() && w.rnd.IntN(3) > 0 {
		n := testNotes[w.rnd.IntN(len(testNotes))]
		if w.dev.enabled[n.Channel] || w.rnd.IntN(4) == 0 { // a note that slipped by the inhibits
			w.dev.escrow = n.ValuePaise
			w.rough.fed(n.ValuePaise)
			return hardware.NoteEscrowed{Channel: n.Channel, ValuePaise: n.ValuePaise, Counters: w.dev.counters}
		}
	}
	return w.hand()
}

// hand is what a citizen presses, or that nobody does.
func (w *world) hand() Event {
	switch w.m.View().Step {
	case StepLanguage:
		return ChooseLanguage{Language: event.Hindi}
	case StepService:
		return ChooseService{Service: event.ServiceElectricity}
	case StepIdentify:
		w.bills++
		return Looked{Number: "210123456789", Bill: w.someBill()}
	case StepDues:
		if v := w.m.View(); v.Problem.Key != "" || w.rnd.IntN(6) == 0 {
			return Back{}
		}
		return ConfirmBill{}
	case StepCash:
		return []Event{Tick{}, Tick{}, Cancel{}, Continue{}, nil}[w.rnd.IntN(5)]
	case StepChoice, StepRecover:
		return []Event{Continue{}, PayPart{}, TakeSlip{}, Tick{}, nil}[w.rnd.IntN(5)]
	case StepDone:
		return []Event{Finish{}, PrintAgain{}, nil}[w.rnd.IntN(3)]
	}
	return Tick{}
}

func (w *world) someBill() *Bill {
	rule := event.SurplusNextBill
	due := ledger.Paise(60_00 + w.rnd.Int64N(1500_00))
	if w.rnd.IntN(3) == 0 {
		rule, due = event.SurplusRefused, due/10_00*10_00
	}
	key := event.BillKey{byte(w.bills), byte(w.bills >> 8), 1}
	return &Bill{Number: "210123456789", Bill: key, Due: due, AsOf: w.now, Biller: Biller{Code: "JVVNL", Surplus: rule, OverMax: 200_00, Part: w.rnd.IntN(2) == 0, CashMax: 20_000_00}}
}

// live lets things happen until so many sales have ended, then lets everybody leave.
func (w *world) live(sales int) error {
	if err := w.boot(); err != nil {
		return err
	}
	for range 4000 {
		if len(w.given) > 0 {
			if err := w.lookBack(); err != nil {
				return err
			}
		}
		if w.ended() >= sales && w.m.View().Step == StepLanguage && len(w.queue)+len(w.dev.pending) == 0 && w.rough.still() {
			return nil
		}
		ev := w.next()
		if ev == nil { // nobody is there: time passes
			w.now = w.now.Add(160 * time.Second)
			ev = Tick{}
		}
		w.now = w.now.Add(time.Second)
		if err := w.perform(w.m.Step(w.now, ev)); err != nil {
			return err
		}
	}
	return fmt.Errorf("no way out of step %d", w.m.View().Step)
}

func (w *world) ended() int {
	n := 0
	for _, raw := range w.log {
		if e, err := ledger.DecodeEntry(raw); err == nil && e.Kind == event.KindSaleEnded {
			n++
		}
	}
	return n
}

// dies is the kiosk losing its power: what the driver had taken from the device and
// the till had not seen is gone; what no poll had taken yet is still the device's.
func (w *world) dies() {
	if len(w.dev.pending) > 0 && w.rnd.IntN(2) == 0 {
		w.dev.pending = nil // the lost poll had it
	}
	var kept []hardware.AcceptorEvent
	for _, ev := range w.dev.pending {
		switch ev.(type) {
		case hardware.NoteCredited, hardware.NoteReturned:
			kept = append(kept, ev)
		}
	}
	w.dev.pending = kept
	w.crashAt = 0
}

// balanced checks the books against the physical truth.
func (w *world) balanced() error {
	if len(w.kept) > 0 && w.m.papersOwed() == 0 {
		return fmt.Errorf("%d bills' personal data is kept although every paper is out", len(w.kept))
	}
	id := ledger.LogID{1}
	books, err := book.Of(nil, []book.Log{w.bookLog(id)})
	if err != nil {
		return err
	}
	var sum, open ledger.Paise
	for account, p := range books.Balances {
		sum += p
		if strings.HasPrefix(account, "Liabilities:Sale:") && p != 0 {
			open += p
		}
	}
	for _, q := range books.Questions {
		if q.Reason != book.ReasonSlipOpen {
			return fmt.Errorf("open question %+v although only the kiosk lost its power", q)
		}
	}
	if cash := books.Balances["Assets:Cash:K1"]; sum != 0 || cash != w.dev.box || open != 0 {
		return fmt.Errorf("books: cash %d, sum %d, unspent in ended sales %d; the box holds %d", cash, sum, open, w.dev.box)
	}
	return errors.Join(w.papersAreOnce(), w.blobsAreOnce())
}

// blobsAreOnce checks that a sale has its blob named once when there was money, or may
// have been, and never when there was none.
func (w *world) blobsAreOnce() error {
	money, named := map[uint64]bool{}, map[uint64]int{}
	sale := uint64(0)
	for i, raw := range w.log {
		e, err := ledger.DecodeEntry(raw)
		if err != nil {
			return err
		}
		b, err := event.Decode(e)
		if err != nil {
			return err
		}
		switch b := b.(type) {
		case *event.SaleOpened:
			sale = uint64(i)
		case *event.NoteStacked, *event.NoteUnresolved:
			money[sale] = true
		case *event.BlobSealed:
			named[b.Sale]++
		}
	}
	for sale := range money {
		if named[sale] != 1 {
			return fmt.Errorf("the blob of sale %d, which has money, is named %d times", sale, named[sale])
		}
		delete(named, sale)
	}
	if len(named) > 0 {
		return fmt.Errorf("blobs of sales without money are named: %v", named)
	}
	return nil
}

// papersAreOnce checks that every payment, slip and claim has its first copy exactly once, and
// that only a biller that takes parts is paid one.
func (w *world) papersAreOnce() error {
	first := map[uint64]int{}
	owed := map[uint64]bool{}
	part := false
	for i, raw := range w.log {
		e, err := ledger.DecodeEntry(raw)
		if err != nil {
			return err
		}
		b, err := event.Decode(e)
		if err != nil {
			return err
		}
		switch b := b.(type) {
		case *event.BillSelected:
			part = b.Part
		case *event.PaymentCommitted:
			owed[uint64(i)] = true
			if b.Applied < b.Due && !part {
				return fmt.Errorf("entry %d pays a part, which the biller does not take", i)
			}
		case *event.SlipIssued, *event.NoteUnresolved:
			owed[uint64(i)] = true
		case *event.PrintIntent:
			if b.Copy == 1 {
				first[b.Subject]++
			}
		}
	}
	for subject := range owed {
		if first[subject] != 1 {
			return fmt.Errorf("the paper of entry %d was intended %d times", subject, first[subject])
		}
	}
	return nil
}

func (w *world) bookLog(id ledger.LogID) book.Log {
	return book.Log{ID: id, Slot: 1, Ordinal: 1, Author: event.Author{Role: cert.RoleKiosk}, Rules: book.Rules1(), Each: func(from uint64, f func(uint64, []byte) error) error {
		for i := from; i < uint64(len(w.log)); i++ {
			if err := f(i, w.log[i]); err != nil {
				return err
			}
		}
		return nil
	}}
}

// seeds is the first seed and how many random runs are made: RASID_SEEDS asks for
// more, RASID_SEED=n plays run n again.
func seeds(t *testing.T) (first, count uint64) {
	t.Helper()
	first = uint64(time.Now().UnixNano())
	if s := os.Getenv("RASID_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("RASID_SEED: %v", err)
		}
		return n, 1
	}
	if s := os.Getenv("RASID_SEEDS"); s != "" {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			t.Fatalf("RASID_SEEDS: %v", err)
		}
		return first, n
	}
	return first, 200
}

// TestCrashAtEveryDurableStep makes random sales and lets the power go at every
// durable step and before every command of each: no paisa lost, none counted twice.
func TestCrashAtEveryDurableStep(t *testing.T) {
	start, count := seeds(t)
	t.Logf("seeds from %d", start)
	crashes := 0
	for seed := start; seed < start+count; seed++ {
		whole := newWorld(seed, 0)
		if err := errors.Join(whole.live(2), whole.balanced()); err != nil {
			t.Fatalf("seed %d without a crash: %v", seed, err)
		}
		for at := 1; at <= whole.steps; at++ {
			w := newWorld(seed, at)
			if err := w.live(2); !errors.Is(err, errCrash) {
				t.Fatalf("seed %d: no crash at step %d: %v", seed, at, err)
			}
			w.dies()
			if err := errors.Join(w.live(3), w.balanced()); err != nil {
				t.Fatalf("seed %d, crash at step %d: %v", seed, at, err)
			}
			crashes++
		}
	}
	t.Logf("%d crashes", crashes)
}
