package office

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"sync"
	"testing"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/event"
)

// growing is the log of one kiosk, with its books.
type growing struct {
	logs
	mu    sync.Mutex // while Run runs
	reads int        // entries that the books have read
	news  chan struct{}
}

func (g *growing) Updates() (<-chan struct{}, func()) { return g.news, func() {} }

func (g *growing) Logs() []LogInfo {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.logs.Logs()[1:]
}

func (g *growing) Range(l LogInfo, from, to uint64, f func(uint64, []byte) error) error {
	g.mu.Lock()
	held := logs{id: g.id, entries: g.entries}
	g.mu.Unlock()
	return held.Range(l, from, to, f)
}

func (g *growing) Books() []book.Log {
	l := g.Logs()[0]
	opened := *l.Opened
	opened.Rules = book.Newest()
	return []book.Log{book.LogOf(l.ID, &opened, func(from uint64, f func(uint64, []byte) error) error {
		return g.Range(l, from, l.Size, func(i uint64, raw []byte) error {
			g.reads++
			return f(i, raw)
		})
	})}
}

// doubt adds a sale whose note nobody can find, at the time.
func (g *growing) doubt(t *testing.T, wall uint64) {
	t.Helper()
	sale := uint64(len(g.entries))
	for _, b := range []event.Body{&event.SaleOpened{Service: 1, Language: event.Hindi}, &event.NoteEscrowed{Sale: sale, Value: 100_00}, &event.NoteUnresolved{Note: sale + 1, Reason: event.DoubtNoEvidence}} {
		e, err := event.New(ledger.Time{WallMs: wall}, b)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := ledger.EncodeEntry(e)
		if err != nil {
			t.Fatal(err)
		}
		g.entries = append(g.entries, raw)
	}
}

func (g *growing) view(t *testing.T) (*View, func() Snapshot) {
	v := NewView(g, silent{}, book.NewKeeper(nil), slog.New(slog.DiscardHandler))
	return v, func() Snapshot {
		t.Helper()
		if err := v.refresh(); err != nil {
			t.Fatal(err)
		}
		if err := v.ask(); err != nil {
			t.Fatal(err)
		}
		return v.Snapshot()
	}
}

// What the books ask is listed, the most urgent and then the oldest first, and goes when
// it is settled; entries are read once.
func TestQuestionsFollowTheLedger(t *testing.T) {
	g := &growing{logs: logs{id: ledger.LogID{1}}}
	g.add(t, &event.SoftwareStarted{Version: "v"})
	v, look := g.view(t)
	if s := look(); s.Questions != 0 || len(s.Open) != 0 {
		t.Errorf("of nothing is asked %+v", s.Open)
	}
	sale := g.sale(t, 1, false)
	note := uint64(len(g.entries))
	g.add(t, &event.NoteEscrowed{Sale: sale, Value: 500_00}, &event.NoteStacked{Note: note, Evidence: event.EvidenceEvent}, &event.SlipIssued{Sale: sale, Amount: 500_00, Notes: event.RefNotes(note + 1)})
	g.doubt(t, 2000)
	g.doubt(t, 1000)
	before, _ := v.Changed()
	s := look()
	var got []string
	for _, q := range s.Open {
		got = append(got, fmt.Sprintf("%s %d %d %d %v", q.Reason, q.Slot, q.Amount, q.Since.UnixMilli(), q.Office))
	}
	want := []string{"note-in-doubt 147 10000 1000 false", "note-in-doubt 147 10000 2000 false", "slip-open 147 50000 -62135596800000 false"}
	if !slices.Equal(got, want) {
		t.Errorf("asked is %q, want %q", got, want)
	}
	if a := []Asked{{book.ReasonNoteInDoubt, 2, 200_00}, {book.ReasonSlipOpen, 1, 500_00}}; !slices.Equal(s.Asked, a) || s.Questions != 3 || s.Kiosks[0].Questions != 3 {
		t.Errorf("%d questions, %+v, %+v", s.Questions, s.Asked, s.Kiosks)
	}
	if now, _ := v.Changed(); now == before {
		t.Error("the page is not told")
	}
	if g.reads != len(g.entries) {
		t.Errorf("%d entries were read for %d", g.reads, len(g.entries))
	}
	before, _ = v.Changed()
	if look(); g.reads != len(g.entries) {
		t.Error("entries are read again")
	}
	if now, _ := v.Changed(); now != before {
		t.Error("the page is told of no change")
	}
}

// The list has a limit; the sums have none.
func TestQuestionsAreBounded(t *testing.T) {
	g := &growing{logs: logs{id: ledger.LogID{1}}}
	for i := range questionsMax + 7 {
		g.doubt(t, uint64(i+1))
	}
	_, look := g.view(t)
	s := look()
	if len(s.Open) != questionsMax || s.Questions != questionsMax+7 || s.Asked[0].Amount != (questionsMax+7)*100_00 || s.Open[0].Since.UnixMilli() != 1 {
		t.Errorf("%d listed of %d, %+v", len(s.Open), s.Questions, s.Asked)
	}
}

// What comes while the books rest is asked about when they have rested.
func TestRunAsksAgain(t *testing.T) {
	g := &growing{logs: logs{id: ledger.LogID{1}}, news: make(chan struct{})}
	g.add(t, &event.SoftwareStarted{Version: "v"})
	v, _ := g.view(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	until := func(questions int) {
		for {
			_, changed := v.Changed()
			if v.Snapshot().Questions == questions {
				return
			}
			<-changed
		}
	}
	for i := range 3 {
		g.mu.Lock()
		g.doubt(t, uint64(i+1))
		g.mu.Unlock()
		g.news <- struct{}{}
		until(i + 1)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Every reason that the books have for a question has its place in the order.
func TestUrgencyNamesEveryReason(t *testing.T) {
	src, err := os.ReadFile("../../ledger/book/book.go")
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`Reason = "([a-z-]+)"`).FindAllStringSubmatch(string(src), -1)
	for _, m := range all {
		if !slices.Contains(urgency, book.Reason(m[1])) {
			t.Errorf("the reason %s has no place", m[1])
		}
	}
	if len(all) != len(urgency) || len(all) < 20 {
		t.Errorf("%d reasons, %d places", len(all), len(urgency))
	}
}
