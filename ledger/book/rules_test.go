package book

import (
	"testing"

	"rasid/ledger"
	"rasid/ledger/event"
)

// otherRules are a second rule set, for this test: every stacked note is a gift.
type otherRules struct{ firstRules }

var otherName = ledger.Hash{0x02}

func (otherRules) name() ledger.Hash { return otherName }
func (otherRules) read(r *reader, at *entryAt) {
	if b, ok := at.body.(*event.NoteStacked); ok {
		r.post(at, Posting{r.src.cash(), ledger.Paise(b.Note)}, Posting{"Income:Gifts", -ledger.Paise(b.Note)})
	}
}

// TestRulesAreStated: each entry is booked by the rule set that its log stated last.
func TestRulesAreStated(t *testing.T) {
	s := newKiosk(t, 7, 0).whole(1, 600_00, event.SurplusRefused, 500_00, 100_00)
	s.add(&event.RulesStated{Rules: otherName})
	n := s.add(&event.NoteStacked{Note: 1_000, Evidence: event.EvidenceEvent})
	s.add(&event.RulesStated{Rules: ledger.Hash{0xff}}, &event.NoteStacked{Note: 5, Evidence: event.EvidenceEvent}, &event.NoteStacked{Note: 5, Evidence: event.EvidenceEvent})
	s.add(&event.RulesStated{Rules: Rules1()})
	s.whole(2, 100_00, event.SurplusRefused, 100_00)
	k := newKeeper(nil, append(knownRules(), otherRules{}))
	if err := k.Take([]Log{s.end().input(t, Rules1())}); err != nil {
		t.Fatal(err)
	}
	b := k.Books()
	if b.Balances["Assets:Cash:K7"] != 600_00+1_000+100_00 || b.Balances["Liabilities:Biller:JVVNL"] != -700_00 || b.Balances["Income:Gifts"] != -1_000 {
		t.Errorf("balances %v", b.Balances)
	}
	if len(b.Questions) != 1 || b.Questions[0].Reason != ReasonRules || b.Questions[0].At.Index != n+2 || b.Ungoverned != 2 {
		t.Errorf("%d ungoverned, questions %v", b.Ungoverned, b.Questions)
	}
}

// TestGoneLogIsRefused: books over fewer entries than before would say that something
// never happened.
func TestGoneLogIsRefused(t *testing.T) {
	a, b := newKiosk(t, 7, 0).end().input(t, Rules1()), newKiosk(t, 8, 0).end().input(t, Rules1())
	k := NewKeeper(nil)
	if err := k.Take([]Log{a, b}); err != nil {
		t.Fatal(err)
	}
	if err := k.Take([]Log{a}); err == nil {
		t.Error("a log that is gone is not missed")
	}
}

// TestMalformedBytesAreAnError: no store lets them in.
func TestMalformedBytesAreAnError(t *testing.T) {
	for _, entries := range [][]string{{"ff"}, {""}} {
		if _, err := Of(nil, []Log{(vectorLog{ID: "07000000000000000000000000000000", Slot: 7, Ordinal: 1, Log: "kiosk", Entries: entries}).input(t, Rules1())}); err == nil {
			t.Errorf("%q is booked", entries)
		}
	}
}
