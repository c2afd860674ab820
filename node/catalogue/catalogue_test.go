package catalogue

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/event"
)

func demoSet(t testing.TB, n int) ([]byte, []Due, event.Pepper) {
	t.Helper()
	dues, err := ReadCSV(bytes.NewReader(DemoCSV(n, 1)), DemoBiller())
	if err != nil {
		t.Fatal(err)
	}
	pepper := event.Pepper{1, 2, 3}
	object, err := Build(DemoBiller(), dues, time.UnixMilli(1795500000000), 1, pepper, rand.NewChaCha8([32]byte{}))
	if err != nil {
		t.Fatal(err)
	}
	return object, dues, pepper
}

func TestEveryConsumerIsFound(t *testing.T) {
	object, dues, pepper := demoSet(t, 5000)
	set, err := Open(object)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d consumers, %d bytes, %d a consumer", set.Count(), len(object), len(object)/set.Count())
	for _, d := range dues {
		f, err := set.Lookup(pepper, d.Account)
		if err != nil || f.Due != d.Due || f.DueDay != d.DueDay || f.Masked != Mask(d.Name) {
			t.Fatalf("%s: %+v, %v", d.Account, f, err)
		}
		if _, err := set.Lookup(event.Pepper{9}, d.Account); !errors.Is(err, ErrUnknownNumber) {
			t.Fatalf("another pepper finds %s: %v", d.Account, err)
		}
	}
	if _, err := set.Lookup(pepper, "999999999999"); !errors.Is(err, ErrUnknownNumber) {
		t.Errorf("a number that is not there: %v", err)
	}
	for _, d := range dues[:50] {
		for _, clear := range []string{d.Account, d.Name, Mask(d.Name), d.BillNo} {
			if bytes.Contains(object, []byte(clear)) {
				t.Errorf("%q stands in the object in clear", clear)
			}
		}
	}
}

func TestObjectFitsWithLongNames(t *testing.T) {
	var w bytes.Buffer
	c := csv.NewWriter(&w)
	_ = c.Write(columns[:])
	for i := range 5000 {
		_ = c.Write([]string{fmt.Sprintf("2101%08d", i), "श्रीमती " + strings.Repeat("क्ष", 9) + " देवी शेखावत", "B-123456", "2026-10", "12345.50", "2026-11-28"})
	}
	c.Flush()
	dues, err := ReadCSV(&w, DemoBiller())
	if err != nil {
		t.Fatal(err)
	}
	object, err := Build(DemoBiller(), dues, time.Now(), 1, event.Pepper{1}, rand.NewChaCha8([32]byte{}))
	if err != nil || len(object) > ledger.ObjectMaxBytes {
		t.Errorf("%d bytes, %v", len(object), err)
	}
}

func TestFlippedByteIsSeen(t *testing.T) {
	object, dues, pepper := demoSet(t, 50)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	whole, _ := Open(object)
	for range 300 {
		bad := bytes.Clone(object)
		bad[rnd.IntN(len(bad))] ^= 1 << rnd.IntN(8)
		set, err := Open(bad)
		if err != nil {
			continue
		}
		for _, d := range dues {
			f, err := set.Lookup(pepper, d.Account)
			want, _ := whole.Lookup(pepper, d.Account)
			if err == nil && f != want {
				t.Fatalf("a flipped bit changed %+v to %+v", want, f)
			}
		}
	}
}

func TestBadCSV(t *testing.T) {
	const head = "account,name,bill_no,period,due,due_date\n"
	const good = "210123456789,श्री राम,B1,2026-10,1264.00,2026-11-28\n"
	for _, c := range []struct{ name, file, want string }{
		{"no header", "", "line 1: the file has no header"},
		{"wrong column", "account,nam,bill_no,period,due,due_date\n", `line 1, column 2: "nam" where "name" belongs`},
		{"missing column", "account,name\n", `line 1, column 3: nothing where "bill_no" belongs`},
		{"one column more", strings.TrimSpace(head) + ",x\n", `line 1, column 7: "x" is a column that nobody knows`},
		{"amount with comma", head + "210123456789,श्री राम,B1,2026-10,\"1,264\",2026-11-28\n", `line 2, column due: "1,264" is no amount: write rupees as 1264`},
		{"three decimals", head + good + "210123456780,श्री राम,B1,2026-10,1.234,2026-11-28\n", `line 3, column due: "1.234" is no amount`},
		{"negative", head + "210123456789,श्री राम,B1,2026-10,-5,2026-11-28\n", `line 2, column due: "-5" is no amount`},
		{"nothing due", head + "210123456789,श्री राम,B1,2026-10,0,2026-11-28\n", "0 is due: leave out who owes nothing"},
		{"encoding", head + good + "210123456780,\xe0\xa4,B1,2026-10,5,2026-11-28\n", "line 3: the file is not UTF-8 here"},
		{"duplicate", head + good + good, "line 3, column account: the consumer of line 2 is here again"},
		{"account", head + "2101,श्री राम,B1,2026-10,5,2026-11-28\n", `line 2, column account: "2101" is no consumer number of JVVNL: want 12 to 12 digits`},
		{"period", head + "210123456789,श्री राम,B1,Oct,5,2026-11-28\n", `line 2, column period: "Oct" is no month`},
		{"date", head + "210123456789,श्री राम,B1,2026-10,5,28-11-2026\n", `line 2, column due_date: "28-11-2026" is no date`},
		{"short line", head + "210123456789,श्री राम\n", "2 columns, want 6"},
		{"nobody", head, "a header and no consumer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dues, err := ReadCSV(strings.NewReader(c.file), DemoBiller())
			if err == nil || !strings.Contains(err.Error(), c.want) || dues != nil {
				t.Errorf("%d dues, error %v, want one with %q and no dues", len(dues), err, c.want)
			}
		})
	}
}

func TestMask(t *testing.T) {
	for name, want := range map[string]string{
		"श्री रमेश कुमार": "श्री र••• कु•••", "श्रीमती प्रार्थना शेखावत": "श्रीमती प्रा••• शे•••", "क्षितिज": "क्षि•••", "Shri Ramesh": "Shri R•••",
	} {
		if got := Mask(name); got != want {
			t.Errorf("Mask(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestLook(t *testing.T) {
	object, _, pepper := demoSet(t, 50)
	c := New(func(n uint32) (event.Pepper, bool) { return pepper, n == 1 }, slog.New(slog.DiscardHandler))
	if p := c.Look(DemoNumber).Problem; p.Key != "kiosk.identify.error.no_list" {
		t.Errorf("without a list: %v", p)
	}
	set, err := Open(object)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Use(set) || c.Use(set) {
		t.Error("a set must be taken once")
	}
	for typed, want := range map[string]string{
		"": "kiosk.identify.error.empty", "2101": "kiosk.identify.error.short", "2101234567890": "kiosk.identify.error.long",
		"21012345678x": "kiosk.identify.error.digits", "999999999999": "kiosk.identify.error.unknown", "2101 2345 6789": "", "२१०१२३४५६७८९": "",
	} {
		got := c.Look(typed)
		if got.Problem.Key != want || (got.Bill != nil) != (want == "") {
			t.Errorf("Look(%q) = %v, %v, want %q", typed, got.Problem, got.Bill, want)
		}
		if want == "" && got.Bill.Due != DemoDuePaise {
			t.Errorf("Look(%q): due %d", typed, got.Bill.Due)
		}
	}
}

func FuzzOpen(f *testing.F) {
	object, _, _ := demoSet(f, 3)
	f.Add(object)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Open(b)
		if err != nil {
			return
		}
		again, err := ledger.Encode(s.f)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("the object has a second form: %v", err)
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	object, _, pepper := demoSet(b, 5000)
	set, err := Open(object)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := set.Lookup(pepper, DemoNumber); err != nil {
			b.Fatal(err)
		}
	}
}
