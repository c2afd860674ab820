package till

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

// givenUp is a log before: all that was ever durable of it, and how much is held here.
type givenUp struct {
	id      ledger.LogID
	ordinal uint32
	entries [][]byte
	held    int
	known   int // size of the last state that anything shows
}

func (w *world) personal(k event.BillKey) (Bill, bool) { b, ok := w.kept[k]; return b, ok }

func (w *world) id() ledger.LogID { return ledger.LogID{1 + byte(len(w.given))} }

// formers is what the program gives the till of the logs before.
func (w *world) formers() []FormerLog {
	logs := make([]FormerLog, len(w.given))
	whole := true
	for i := len(w.given) - 1; i >= 0; i-- {
		g := w.given[i]
		held := g.entries[:g.held]
		whole = whole && g.held >= g.known
		logs[i] = FormerLog{ID: g.id, Size: uint64(g.held), Whole: whole, Papers: true, Each: func(f func(uint64, []byte) error) error {
			for i, raw := range held {
				if err := f(uint64(i), raw); err != nil {
					return err
				}
			}
			return nil
		}}
	}
	return logs
}

func (w *world) inherit() {
	t := &Till{m: w.m, cfg: Config{Former: w.formers}}
	w.m.inherit(t.foldFormer())
}

func (w *world) takeOver() error {
	for {
		out := w.m.takeOver(book.Newest(), w.personal)
		if out.Draft == nil {
			return nil
		}
		if err := w.perform(out); err != nil {
			return err
		}
	}
}

// lookBack is what the loop does while nobody is there, when more of a log is held.
func (w *world) lookBack() error {
	if !w.m.idle() {
		return nil
	}
	fresh := &Till{m: w.m, cfg: Config{Former: w.formers}}
	w.m.formers = fresh.foldFormer()
	for r, b := range w.m.formerBills() {
		w.m.bills[r] = b
	}
	known := slices.Clone(w.m.papers)
	if err := w.takeOver(); err != nil {
		return err
	}
	return w.perform(then(w.m.printOwed(known), w.m.resumeTaken(w.personal)))
}

// giveUp ends the log: its disk has lost what followed some entry, and the machine goes
// on in another. Evidence may show how long it was.
func (w *world) giveUp(lost int, evidence bool) {
	g := &givenUp{id: w.id(), ordinal: 1 + uint32(len(w.given)), entries: w.log, held: max(0, len(w.log)-lost)}
	g.known = g.held
	if evidence {
		g.known = len(w.log)
	}
	w.given, w.log = append(w.given, g), nil
	if w.rough != nil {
		w.rough.former = append(w.rough.former, w.rough.entryOf)
		w.rough.entryOf = map[uint64]*physical{}
	}
}

// all is every log as it was written: what the office has when all neighbours have told.
func (w *world) all() []*givenUp {
	return append(slices.Clone(w.given), &givenUp{id: w.id(), ordinal: 1 + uint32(len(w.given)), entries: w.log})
}

func (w *world) everything() (book.Books, error) {
	var logs []book.Log
	for i, g := range w.all() {
		rules := book.Newest()
		if i == 0 {
			rules = book.Rules1() // a kiosk that was renewed since
		}
		logs = append(logs, book.Log{ID: g.id, Slot: 1, Ordinal: g.ordinal, Author: event.Author{Role: cert.RoleKiosk}, Rules: rules, Each: func(from uint64, f func(uint64, []byte) error) error {
			for i := from; i < uint64(len(g.entries)); i++ {
				if err := f(i, g.entries[i]); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	return book.Of(nil, logs)
}

// incarnationTruth follows every note through all logs. A note that a later log takes
// over is one note; what is in the box is in the books once, or asked about by name.
func (w *world) incarnationTruth() error {
	books, err := w.everything()
	if err != nil {
		return err
	}
	f, err := w.followAll()
	if err != nil {
		return err
	}
	var sum, asked, orphans, claims ledger.Paise
	for _, p := range books.Balances {
		sum += p
	}
	for _, q := range books.Questions {
		switch q.Reason {
		case book.ReasonSaleOpen, book.ReasonDisputed:
			asked += q.Amount
		case book.ReasonOrphanedNote:
			orphans += q.Amount
		case book.ReasonNoteInDoubt, book.ReasonDisagree, book.ReasonCreditOpen:
			claims += q.Amount
		case book.ReasonSlipOpen, book.ReasonBillTwice:
		default:
			return fmt.Errorf("question %+v", q)
		}
	}
	var left ledger.Paise
	for account, p := range books.Balances {
		if strings.HasPrefix(account, "Liabilities:Sale:") || account == "Liabilities:Disputed" {
			left += max(p, -p)
		}
	}
	switch cash := books.Balances["Assets:Cash:K1"]; {
	case sum != 0:
		return fmt.Errorf("the books sum to %d", sum)
	case left > asked+claims:
		return fmt.Errorf("%d paise are left in sales or disputed, and only %d are asked about; %+v", left, asked+claims, books.Questions)
	case cash-orphans != f.stacked:
		return fmt.Errorf("books: cash %d of which nobody's %d; the logs: %d stacked", cash, orphans, f.stacked)
	case f.open > asked:
		return fmt.Errorf("%d paise are in the box or on their way, and only %d are asked about", f.open, asked)
	case w.gone && w.dev.box < f.stacked+f.doubted, !w.gone && w.dev.box != f.stacked+f.doubted:
		return fmt.Errorf("the logs: %d stacked, %d in doubt and in the box; the box holds %d", f.stacked, f.doubted, w.dev.box)
	}
	return w.papersOfAll()
}

// inAll is what all logs say of the notes together.
type inAll struct {
	stacked, doubted ledger.Paise
	open             ledger.Paise // in the box, and only a log that is not whole has it, on its way
}

func (w *world) followAll() (inAll, error) {
	stacked, doubted, back, seen := map[*physical]bool{}, map[*physical]bool{}, map[*physical]bool{}, map[*physical]bool{}
	names := append(slices.Clone(w.rough.former), w.rough.entryOf)
	for i, g := range w.all() {
		for at, raw := range g.entries {
			b, err := decode(raw)
			if err != nil {
				return inAll{}, err
			}
			switch b := b.(type) {
			case *event.NoteEscrowed:
				seen[names[i][uint64(at)]] = true
			case *event.NoteStacked:
				n := names[i][b.Note]
				if !n.inBox {
					return inAll{}, fmt.Errorf("log %d, entry %d credits a note that the citizen has", i, at)
				}
				stacked[n] = true
			case *event.NoteReturned:
				n := names[i][b.Note]
				if back[n] = true; n.inBox {
					return inAll{}, fmt.Errorf("log %d, entry %d calls a note returned that is in the box", i, at)
				}
			case *event.NoteUnresolved:
				doubted[names[i][b.Note]] = true
			}
		}
	}
	var f inAll
	for n := range seen {
		switch {
		case stacked[n]:
			f.stacked += n.value
		case doubted[n] && n.inBox:
			f.doubted += n.value
		case !doubted[n] && !back[n] && n.inBox:
			if !w.gone {
				return f, fmt.Errorf("a note of %d paise is in the box, and nothing says so", n.value)
			}
			f.open += n.value
		}
	}
	return f, nil
}

// papersOfAll checks that every payment, slip and claim of what is held got its paper:
// the printer's word, in whichever log.
func (w *world) papersOfAll() error {
	printed := map[event.Ref]bool{}
	owed := map[event.Ref]string{}
	for i, g := range w.all() {
		entries := g.entries
		known := len(entries)
		if i < len(w.given) {
			known = g.held
			if !w.formers()[i].Whole {
				continue // nobody may take its papers over
			}
		}
		ref := func(index uint64) event.Ref {
			return event.RefTo(ledger.Position{Log: g.id, Index: index}, entries[index])
		}
		for at, raw := range entries[:known] {
			b, err := decode(raw)
			if err != nil {
				return err
			}
			switch b := b.(type) {
			case *event.PaymentCommitted, *event.SlipIssued, *event.NoteUnresolved:
				owed[ref(uint64(at))] = fmt.Sprintf("log %d, entry %d: %T", i, at, b)
			case *event.Printed:
				subject := ref(b.Subject)
				if of, err := decode(entries[b.Subject]); err == nil {
					if c, carried := of.(*event.PaperTakenOver); carried {
						subject = c.Subject
					}
				}
				printed[subject] = true
			}
		}
	}
	for r, what := range owed {
		if !printed[r] {
			return fmt.Errorf("%s has no paper", what)
		}
	}
	return nil
}

func decode(raw []byte) (event.Body, error) {
	e, err := ledger.DecodeEntry(raw)
	if err != nil {
		return nil, err
	}
	return event.Decode(e)
}

// TestCrashIntoNewIncarnation lets the power go at random steps, and the disk lose the
// end of the log: the machine goes on in a new one. What was lost is gone for good, or is
// known to be missing, and neighbours return it later. No note counts twice in silence,
// each is credited or asked about, each citizen gets a paper.
func TestCrashIntoNewIncarnation(t *testing.T) {
	start, count := seeds(t)
	t.Logf("seeds from %d", start)
	taken, returned, questions := 0, 0, 0
	for seed := start; seed < start+2*count; seed++ {
		w := newRoughWorld(seed, 0, false)
		for range 1 + w.rnd.IntN(2) {
			if err := w.loseLog(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			for range w.rnd.IntN(3) {
				if err := w.crash(); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				w.returnSome()
			}
		}
		if err := w.live(2); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if w.rnd.IntN(3) == 0 {
			w.goneForGood()
		} else if w.returnAll() {
			returned++
			if err := errors.Join(w.lookBack(), w.goOn()); err != nil {
				t.Fatalf("seed %d, the lost entries are back: %v", seed, err)
			}
		}
		if err := w.incarnationTruth(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for _, raw := range w.log {
			if e, err := ledger.DecodeEntry(raw); err == nil && e.Kind == event.KindNoteTakenOver {
				taken++
			}
		}
		if b, err := w.everything(); err == nil {
			questions += len(b.Questions)
		}
	}
	if taken == 0 || returned == 0 {
		t.Errorf("%d notes taken over, %d times lost entries came back: the runs tell nothing", taken, returned)
	}
	t.Logf("%d notes taken over, %d times lost entries came back, %d questions", taken, returned, questions)
}

// loseLog sells until the power goes, and then loses some of the log's end.
func (w *world) loseLog() error {
	if err := w.crash(); err != nil {
		return err
	}
	lost := 0
	if w.rnd.IntN(2) == 0 {
		lost = w.rnd.IntN(min(8, len(w.log)+1))
	}
	w.giveUp(lost, w.rnd.IntN(2) == 0)
	return nil
}

// crash sells until the power goes.
func (w *world) crash() error {
	w.steps, w.crashAt = 0, 1+w.rnd.IntN(60)
	if err := w.live(w.ended() + 3); err != nil && !errors.Is(err, errCrash) {
		return err
	}
	w.dies()
	return nil
}

// returnSome brings back some of what is missing, while the power is off.
func (w *world) returnSome() {
	for _, g := range w.given {
		if missing := len(g.entries) - g.held; missing > 0 && w.rnd.IntN(2) == 0 {
			g.held += 1 + w.rnd.IntN(missing)
		}
	}
}

// returnAll brings back what neighbours hold of the logs before: all of it.
func (w *world) returnAll() bool {
	any := false
	for _, g := range w.given {
		any = any || g.held < len(g.entries)
		g.held = len(g.entries)
	}
	return any
}

// goneForGood takes away what is not held: nobody ever sees it again.
func (w *world) goneForGood() {
	for _, g := range w.given {
		w.gone = w.gone || g.held < len(g.entries)
		g.entries = g.entries[:g.held]
	}
}

// goOn lets things happen until nobody is there and nothing is under way.
func (w *world) goOn() error {
	for range 4000 {
		if w.m.View().Step == StepLanguage && w.m.sale == nil && len(w.queue)+len(w.dev.pending) == 0 && w.rough.still() {
			if w.m.takeOver(book.Newest(), w.personal).Draft == nil {
				return nil
			}
			if err := w.lookBack(); err != nil {
				return err
			}
		}
		ev := Event(ChooseLanguage{})
		for ev == (ChooseLanguage{Language: event.Hindi}) || ev == (ChooseLanguage{}) {
			ev = w.next() // nobody new begins
		}
		if ev == nil {
			w.now = w.now.Add(160 * 1e9)
			ev = Tick{}
		}
		w.now = w.now.Add(1e9)
		if err := w.perform(w.m.Step(w.now, ev)); err != nil {
			return err
		}
	}
	return fmt.Errorf("no way out of step %d", w.m.View().Step)
}
