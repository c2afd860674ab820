package catalogue

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/node/lang"
	"rasid/node/till"
)

// The till asks a catalogue.
var _ till.Catalogue = (*Catalogue)(nil)

func TestMask(t *testing.T) {
	for name, want := range map[string]string{
		"श्री रमेश कुमार":          "श्री र••• कु•••",
		"श्रीमती प्रार्थना शेखावत": "श्रीमती प्रा••• शे•••",
		"क्षितिज":                  "क्षि•••",
		"ज्ञानेश त्रिलोक":          "ज्ञा••• त्रि•••",
		"शृंगार भँवरी":             "शृं••• भँ•••",
		"ऑंकार ज़ाकिर":             "ऑं••• ज़ा•••",
		"क़्वेटा":                  "क़्वे•••",
		"र्\u200dयान":              "र्\u200dया•••",
		"क्\u200cषण":               "क्\u200c•••",
		"का्क अंश":                 "का्••• अं•••",
		"स्त्री लक्ष्मी":           "स्त्री••• ल•••",
		"Shri Ramesh": "Shri R•••",
		"SMT. Élise":  "SMT. É•••",
		"श्री":        "श्री•••",
		"देवी श्री":   "दे••• श्री•••",
		"रमेश पुत्र श्री मोहन लाल":             "र••• पु••• श्री••• मो•••",
		"मैसर्स अग्रवाल एण्ड सन्स":             "मैसर्स अ••• ए••• स•••",
		"क" + strings.Repeat("ा", 50) + " राम": "••• रा•••",
	} {
		if got := Mask(name); got != want {
			t.Errorf("Mask(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestCanonical(t *testing.T) {
	for typed, want := range map[string]string{"2101 2345-6789": "210123456789", "२१०१२३४५६७८९": "210123456789", "\u00a02101\t\n": "2101", "2101–2345": "21012345", "21o1": "21o1"} {
		if got := Canonical(typed); got != want {
			t.Errorf("Canonical(%q) = %q, want %q", typed, got, want)
		}
	}
}

func testCatalogue() *Catalogue {
	return New(func(n uint32) (event.Pepper, bool) { return testPepper, n == 1 }, slog.New(slog.DiscardHandler))
}

func use(t *testing.T, c *Catalogue, object []byte, at Publication) bool {
	t.Helper()
	taken, err := c.Use(*opened(t, object).Published(), at, object)
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

func TestLook(t *testing.T) {
	object, _ := demoSet(t, 50)
	c := testCatalogue()
	if p := c.Look(DemoNumber).Problem; p.Key != "kiosk.identify.error.no_list" {
		t.Errorf("without a list: %v", p)
	}
	use(t, c, object, Publication{1, 5})
	for typed, want := range map[string]string{
		"": "kiosk.identify.error.empty", " - ": "kiosk.identify.error.empty", "2101": "kiosk.identify.error.short", "2101234567890": "kiosk.identify.error.long",
		"21012345678x": "kiosk.identify.error.digits", "999999999999": "kiosk.identify.error.unknown", "2101 2345 6789": "", "२१०१२३४५६७८९": "",
		strings.Repeat("9", 500): "kiosk.identify.error.long", "\u202e210123456789": "kiosk.identify.error.digits",
	} {
		got := c.Look(typed)
		if got.Problem.Key != want || (got.Bill != nil) != (want == "") {
			t.Errorf("Look(%q) = %v, %v, want %q", typed, got.Problem, got.Bill, want)
		}
		if len(got.Number) > 20 || hidden(got.Number) {
			t.Errorf("Look(%q) shows %q", typed, got.Number)
		}
		if want != "" {
			args := append([]any{"phone", "181"}, got.Problem.Args...)
			for _, l := range []lang.Lang{lang.Hindi, lang.English} {
				if text := lang.T(l, want, args...); text == "" || strings.ContainsAny(text, "{}") {
					t.Errorf("%s in %v is %q", want, l, text)
				}
			}
		} else if got.Bill.Due != DemoDuePaise || got.Bill.Number != DemoNumber || got.Bill.Masked != "श्रीमती प्रा••• शे•••" || !got.Bill.AsOf.Equal(testAsOf) {
			t.Errorf("Look(%q): %+v", typed, got.Bill)
		}
	}
}

func TestShortAndLongSayHowMany(t *testing.T) {
	object, _ := demoSet(t, 50)
	c := testCatalogue()
	use(t, c, object, Publication{1, 5})
	for typed, want := range map[string]string{"21012345678": "it has 11 digits, 12 are needed", "2101234567890": "it has 13 digits, 12 are needed"} {
		p := c.Look(typed).Problem
		if text := lang.T(lang.English, p.Key, p.Args...); !strings.Contains(text, want) {
			t.Errorf("%s: %q, want %q", typed, text, want)
		}
	}
}

func TestTheLaterPublicationHolds(t *testing.T) {
	first, dues := demoSet(t, 50)
	c := testCatalogue()
	if !use(t, c, first, Publication{1, 5}) || use(t, c, first, Publication{1, 5}) {
		t.Error("a set must be taken once")
	}
	// A correction with the same day, even an earlier clock, replaces.
	dues[0].Due = 77
	second, err := Build(DefaultDefinition().Biller, dues, testAsOf.Add(-time.Hour), 1, testPepper, fixedSalt{})
	if err != nil {
		t.Fatal(err)
	}
	if !use(t, c, second, Publication{1, 6}) || c.Look(DemoNumber).Bill.Due != 77 {
		t.Error("a later publication must replace")
	}
	if use(t, c, first, Publication{1, 5}) || c.Look(DemoNumber).Bill.Due != 77 {
		t.Error("an earlier publication must not replace")
	}
	if !use(t, c, first, Publication{2, 1}) || c.Look(DemoNumber).Bill.Due != DemoDuePaise {
		t.Error("a publication of a later incarnation must replace")
	}
	p := *opened(t, second).Published()
	p.Count++
	if taken, err := c.Use(p, Publication{3, 0}, second); err == nil || taken || c.Look(DemoNumber).Bill.Due != DemoDuePaise {
		t.Errorf("an object that is not what its entry says: %v, %v", taken, err)
	}
	if taken, err := c.Use(p, Publication{3, 0}, second[1:]); err == nil || taken {
		t.Error("a damaged object is taken")
	}
	if _, ok := c.Biller("JVVNL"); !ok {
		t.Error("the biller is not known")
	}
	if _, ok := c.Biller("AVVNL"); ok {
		t.Error("an unknown biller is known")
	}
}

func TestTwoBillers(t *testing.T) {
	object, _ := demoSet(t, 50)
	other := DefaultDefinition().Biller
	other.Code, other.DigitsMin = "ZVVNL", 4
	set, err := Build(other, []Due{{Account: "12345", Name: "राम", Period: "2026-10", Due: 500, DueDay: 1}, {Account: "1234567890123", Name: "राम", Period: "2026-10", Due: 0, DueDay: 1}}, testAsOf.Add(-time.Hour), 1, testPepper, fixedSalt{})
	if err != nil {
		t.Fatal(err)
	}
	c := testCatalogue()
	use(t, c, object, Publication{1, 5})
	use(t, c, set, Publication{1, 4})
	if got := c.Look("12345").Bill; got == nil || got.Biller.Code != "ZVVNL" {
		t.Errorf("the other biller's consumer: %+v", got)
	}
	if got := c.Look(DemoNumber).Bill; got == nil || got.Biller.Code != "JVVNL" {
		t.Errorf("the first biller's consumer: %+v", got)
	}
	if got := c.Look("1234567890123").Bill; got == nil || got.Due != 0 {
		t.Errorf("who owes nothing: %+v", got)
	}
	if got := c.Look("210123456788"); got.Problem.Key != "kiosk.identify.error.unknown" {
		t.Errorf("unknown to both: %v", got.Problem)
	}
	if got := c.Look("54321"); got.Problem.Key != "kiosk.identify.error.unknown" {
		t.Errorf("too short for one, unknown to the other: %v", got.Problem)
	}
	if at, ok := c.AsOf(); !ok || !at.Equal(testAsOf.Add(-time.Hour)) {
		t.Errorf("as of %s, want the oldest", at)
	}
}

func TestBillersAreBounded(t *testing.T) {
	c := testCatalogue()
	b := DefaultDefinition().Biller
	for i := range billersMax + 1 {
		b.Code = fmt.Sprintf("B%d", i)
		object, err := Build(b, []Due{{Account: DemoNumber, Name: "राम", Period: "2026-10", Due: 1}}, testAsOf, 1, testPepper, fixedSalt{})
		if err != nil {
			t.Fatal(err)
		}
		taken, err := c.Use(*opened(t, object).Published(), Publication{1, uint64(i)}, object)
		if want := i < billersMax; taken != want || (err == nil) != want {
			t.Errorf("biller %d: taken %t, %v", i, taken, err)
		}
	}
}

func TestWithoutThePepperNobodyIsFound(t *testing.T) {
	object, _ := demoSet(t, 50)
	var log bytes.Buffer
	c := New(func(uint32) (event.Pepper, bool) { return event.Pepper{}, false }, slog.New(slog.NewTextHandler(&log, nil)))
	use(t, c, object, Publication{1, 5})
	if got := c.Look(DemoNumber); got.Bill != nil || got.Problem.Key != "kiosk.identify.error.no_list" {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(log.String(), "pepper") || strings.Contains(log.String(), DemoNumber) {
		t.Errorf("the log says %q", log.String())
	}
}

// A bill has its keys under both valid peppers, whichever of them the set is made with.
func TestBillUnderBothPeppers(t *testing.T) {
	peppers := map[uint32]event.Pepper{1: testPepper, 2: {2}}
	c := New(func(n uint32) (event.Pepper, bool) { p, ok := peppers[n]; return p, ok }, slog.New(slog.DiscardHandler))
	_, dues := demoSet(t, 50)
	var bills []till.Bill
	for i := range uint64(2) {
		number := uint32(i + 1)
		object, err := Build(DefaultDefinition().Biller, dues, testAsOf, number, peppers[number], fixedSalt{})
		if err != nil {
			t.Fatal(err)
		}
		use(t, c, object, Publication{1, i})
		bills = append(bills, *c.Look(DemoNumber).Bill)
	}
	if a, b := bills[0], bills[1]; a.Bill == b.Bill || !slices.Equal(a.Same, []event.BillKey{b.Bill}) || !slices.Equal(b.Same, []event.BillKey{a.Bill}) {
		t.Errorf("%x, the same as %x, and %x, the same as %x", a.Bill, a.Same, b.Bill, b.Same)
	}
	delete(peppers, 1)
	if b := c.Look(DemoNumber).Bill; b == nil || len(b.Same) != 0 {
		t.Errorf("when the pepper before is valid no more: %+v", b)
	}
}

func TestLookWhileSetsAreReplaced(t *testing.T) {
	_, dues := demoSet(t, 20)
	c := testCatalogue()
	objects := make([][]byte, 20)
	for i := range objects {
		for j := range dues {
			dues[j].Due = ledger.Paise(100 + i)
		}
		object, err := Build(DefaultDefinition().Biller, dues, testAsOf, 1, testPepper, rand.NewChaCha8([32]byte{byte(i)}))
		if err != nil {
			t.Fatal(err)
		}
		objects[i] = object
	}
	use(t, c, objects[0], Publication{1, 0})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			last := c.Look(DemoNumber).Bill.Due
			for range 200 {
				due := c.Look(DemoNumber).Bill.Due
				if due < last {
					t.Errorf("an older set came back: %d after %d", due, last)
				}
				last = due
			}
		})
	}
	for i, object := range objects {
		if i > 0 {
			use(t, c, object, Publication{1, uint64(i)})
		}
	}
	readers.Wait()
}
