package console

import (
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"rasid/ledger/book"
	"rasid/node/lang"
	"rasid/node/office"
)

// still is a view that stands still.
type still struct{ shows office.Snapshot }

func (s still) Snapshot() office.Snapshot        { return s.shows }
func (still) Changed() (uint64, <-chan struct{}) { return 1, nil }

// reasons reads the reasons of questions out of the source of the books.
func reasons(t *testing.T) (all []book.Reason) {
	t.Helper()
	src, err := os.ReadFile("../../../ledger/book/book.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`Reason = "([a-z-]+)"`).FindAllStringSubmatch(string(src), -1) {
		all = append(all, book.Reason(m[1]))
	}
	if len(all) < 20 {
		t.Fatalf("only %d reasons were found", len(all))
	}
	return all
}

// TestQuestionsOnThePage: every reason has words of its own, in both languages, and the
// page says of each question what, where, how much, since when and what to do.
func TestQuestionsOnThePage(t *testing.T) {
	now := time.Date(2026, 11, 24, 13, 5, 0, 0, time.UTC)
	s := office.Snapshot{}
	for _, r := range append(reasons(t), "of-a-newer-version") {
		s.Asked = append(s.Asked, office.Asked{Reason: r, Count: 1, Amount: 1_234_50})
		s.Open = append(s.Open, office.Question{Reason: r, Entry: "K7-1-5-ABCD", Slot: 7, Kiosk: "SKR-0007", Since: now.Add(-48 * time.Hour), Amount: 1_234_50})
	}
	s.Questions = len(s.Open) + 3
	s.Open = append(s.Open, office.Question{Reason: book.ReasonWaiting, Entry: "O1-17-1-5-ABCD", Office: true, Slot: 1}, office.Question{Reason: book.ReasonRole, Entry: "K9-1-5-ABCD", Slot: 9})
	page := func(s office.Snapshot, l lang.Lang) string {
		t.Helper()
		p, err := New(Config{Fleet: "SKR", View: still{s}, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler), Beat: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?lang="+string(l), nil))
		return html.UnescapeString(w.Body.String())
	}
	for _, l := range lang.All() {
		shown := page(s, l)
		if lang.Faulty(shown) {
			t.Errorf("%s: a text is missing", l)
		}
		other, _ := ask(l, "of-a-newer-version")
		for _, r := range reasons(t) {
			what, do := ask(l, string(r))
			if what == other || !strings.Contains(shown, ">"+what+"<") || !strings.Contains(shown, do) {
				t.Errorf("%s: %s is shown as %q, %q", l, r, what, do)
			}
		}
		for _, want := range []string{
			other, "SKR-0007", "K7-1-5-ABCD", "₹1,234.50", lang.DateTime(l, now.Add(-48*time.Hour)), ">K9<", lang.T(l, "office.questions.office"),
			">—<", lang.T(l, "office.unknown"), lang.T(l, "office.questions.more", "n", 1), fmt.Sprintf(`id="asks">%d<`, s.Questions),
		} {
			if !strings.Contains(shown, want) {
				t.Errorf("%s: the page does not say %q", l, want)
			}
		}
		if calm := page(office.Snapshot{}, l); !strings.Contains(calm, lang.T(l, "office.questions.none")) || strings.Contains(calm, `id="questions"`) {
			t.Errorf("%s: without questions the page says\n%s", l, calm)
		}
	}
	for reason := range asked {
		if strings.Contains(reason, "_") {
			t.Errorf("%s is no reason", reason)
		}
	}
}
