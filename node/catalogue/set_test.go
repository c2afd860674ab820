package catalogue

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/event"
)

var (
	testPepper = event.Pepper(sha256.Sum256([]byte("rasid/test/pepper")))
	testAsOf   = time.UnixMilli(1795500000000)
)

// fixedSalt is a random source for bytes that must be the same again.
type fixedSalt struct{}

func (fixedSalt) Read(b []byte) (int, error) {
	salt := sha256.Sum256([]byte("rasid/test/salt"))
	return copy(b, salt[:]), nil
}

func seeded(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func demoSet(t testing.TB, n int) ([]byte, []Due) {
	t.Helper()
	list, err := ReadCSV(bytes.NewReader(DemoCSV(n, 1)), DefaultDefinition())
	if err != nil {
		t.Fatal(err)
	}
	object, err := Build(DefaultDefinition().Biller, list.Dues, testAsOf, 1, testPepper, rand.NewChaCha8([32]byte{}))
	if err != nil {
		t.Fatal(err)
	}
	return object, list.Dues
}

func opened(t testing.TB, object []byte) *Set {
	t.Helper()
	set, err := Open(object)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestEveryConsumerIsFoundAndNobodyElse(t *testing.T) {
	object, dues := demoSet(t, 5000)
	set := opened(t, object)
	t.Logf("%d consumers, %d bytes, %d a consumer", set.Count(), len(object), len(object)/set.Count())
	if len(object) > ledger.ObjectMaxBytes || set.Count() != 5000 {
		t.Fatalf("%d consumers in %d bytes", set.Count(), len(object))
	}
	listed := map[string]bool{}
	for _, d := range dues {
		listed[d.Account] = true
		f, err := set.Lookup(testPepper, d.Account)
		want := Found{Masked: Mask(d.Name), BillNo: d.BillNo, Period: d.Period, Due: d.Due, DueDay: d.DueDay, Bill: f.Bill, Account: f.Account}
		if err != nil || f != want {
			t.Fatalf("%s: %+v, %v, want %+v", d.Account, f, err, want)
		}
		if bill, err := event.BillKeyOf(testPepper, "JVVNL", d.Account, d.Period); err != nil || f.Bill != bill {
			t.Fatalf("%s: bill key %x, %v", d.Account, f.Bill, err)
		}
		if _, err := set.Lookup(event.Pepper{9}, d.Account); !errors.Is(err, ErrUnknownNumber) {
			t.Fatalf("another pepper finds %s: %v", d.Account, err)
		}
	}
	rnd := seeded(t)
	for range 5000 {
		other := fmt.Sprintf("2101%08d", rnd.IntN(100_000_000))
		if _, err := set.Lookup(testPepper, other); !listed[other] && !errors.Is(err, ErrUnknownNumber) {
			t.Fatalf("%s, which is not listed: %v", other, err)
		}
	}
}

func TestNothingPersonalStandsInClear(t *testing.T) {
	object, dues := demoSet(t, 500)
	for _, d := range dues {
		clear := []string{d.Account, d.Name, Mask(d.Name), d.BillNo}
		clear = append(clear, strings.Fields(d.Name)...)
		for _, s := range clear {
			if bytes.Contains(object, []byte(s)) {
				t.Errorf("%q stands in the object", s)
			}
		}
		// The amount as CBOR writes it, with the day behind it as in a record.
		pair, err := ledger.Encode([]uint64{uint64(d.Due), uint64(d.DueDay)})
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(object, pair[1:]) {
			t.Errorf("the amount %d stands in the object", d.Due)
		}
	}
	// The same dues again share no record: a salt is drawn for each set.
	list, _ := ReadCSV(bytes.NewReader(DemoCSV(500, 1)), DefaultDefinition())
	again, err := Build(DefaultDefinition().Biller, list.Dues, testAsOf, 1, testPepper, rand.NewChaCha8([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	a, b := opened(t, object), opened(t, again)
	for i := range a.f.Records {
		if bytes.Contains(b.f.Records[i], a.f.Records[i][keyBytes:len(a.f.Records[i])-tagBytes]) {
			t.Fatalf("record %d is sealed as in the set before", i)
		}
	}
}

// Whatever a dues file may hold, 5,000 consumers fit.
func TestFiveThousandOfTheLongestFit(t *testing.T) {
	d := DefaultDefinition()
	d.NameHi, d.NameEn = strings.Repeat("क", nameMaxBytes/3), strings.Repeat("x", nameMaxBytes)
	name := strings.TrimSpace(strings.Repeat("क्ष्य्नि ", 8)) // one cluster of eight runes a word
	if len(name) > nameMaxBytes {
		name = strings.TrimSpace(strings.ToValidUTF8(name[:nameMaxBytes], ""))
	}
	var b strings.Builder
	b.WriteString(csvHead)
	for i := range 5000 {
		fmt.Fprintf(&b, "210123456%04d,%s,%s,2026-10,9999999999.99,9999-12-31\n", i, name, strings.Repeat("B", billNoMaxBytes))
	}
	list, err := ReadCSV(strings.NewReader(b.String()), d)
	if err != nil {
		t.Fatal(err)
	}
	object, err := Build(d.Biller, list.Dues, testAsOf, 1<<32-1, testPepper, rand.NewChaCha8([32]byte{}))
	if err != nil {
		t.Fatal(err)
	}
	longest := slices.MaxFunc(opened(t, object).f.Records, func(a, b []byte) int { return len(a) - len(b) })
	t.Logf("%d bytes, the longest record %d, masked name %q", len(object), len(longest), Mask(name))
	if len(longest) != keyBytes+tagBytes+plainMax {
		t.Errorf("the longest record has %d bytes, want %d: the test is not at the limit any more", len(longest), keyBytes+tagBytes+plainMax)
	}
}

// A flipped bit anywhere either makes Open refuse or some consumer not to be found;
// it never changes what is shown.
func TestFlippedBitIsSeen(t *testing.T) {
	object, dues := demoSet(t, 20)
	whole := opened(t, object)
	rnd := seeded(t)
	for at := range object {
		bad := bytes.Clone(object)
		bad[at] ^= 1 << rnd.IntN(8)
		set, err := Open(bad)
		if err != nil {
			continue
		}
		seen := false
		for _, d := range dues {
			f, err := set.Lookup(testPepper, d.Account)
			want, _ := whole.Lookup(testPepper, d.Account)
			if err == nil && f != want {
				t.Fatalf("byte %d: changed %+v to %+v", at, want, f)
			}
			seen = seen || err != nil
		}
		if !seen {
			t.Fatalf("byte %d: nobody sees that it was flipped", at)
		}
		if set.Hash() == whole.Hash() || *set.Published() == *whole.Published() {
			t.Fatalf("byte %d: the entry fits the altered object", at)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	_, dues := demoSet(t, 3)
	b := DefaultDefinition().Biller
	for _, c := range []struct {
		name, want string
		dues       []Due
		asOf       time.Time
		biller     Biller
	}{
		{"the same account twice", "its consumer is there twice", append(slices.Clone(dues), dues[0]), testAsOf, b},
		{"nobody", "want 1 to 12000", nil, testAsOf, b},
		{"before 1970", "give a date", dues, time.UnixMilli(-1), b},
		{"a biller without a name", "name_hi", dues, testAsOf, Biller{Code: "X"}},
		{"a short account", "want 4 to 20", []Due{{Account: "1", Name: "x", Period: "2026-10"}}, testAsOf, b},
		{"a negative amount", "-1 paise", []Due{{Account: "210123456789", Name: "x", Period: "2026-10", Due: -1}}, testAsOf, b},
		{"a period", "no month", []Due{{Account: "210123456789", Name: "x", Period: "October"}}, testAsOf, b},
	} {
		if _, err := Build(c.biller, c.dues, c.asOf, 1, testPepper, fixedSalt{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	for n, want := range map[int]string{recordsMax: "the limit is 1048576: publish one file a sub-division", recordsMax + 1: "want 1 to 12000"} {
		many := make([]Due, n)
		for i := range many {
			many[i] = Due{Account: fmt.Sprintf("2101%08d", i), Name: "श्री रमेश कुमार", BillNo: "B-1001", Period: "2026-10", Due: 100}
		}
		if _, err := Build(b, many, testAsOf, 1, testPepper, fixedSalt{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d consumers: %v, want %q", n, err, want)
		}
	}
	if _, err := Build(b, dues, testAsOf, 1, testPepper, strings.NewReader("short")); err == nil {
		t.Error("a set without a salt")
	}
}

// vectorSet is a set of three consumers whose bytes are the same each time.
func vectorSet(t *testing.T, change func(*setFile)) []byte {
	t.Helper()
	b := DefaultDefinition().Biller
	object, err := Build(b, []Due{
		{Account: "210123456789", Name: "श्री रमेश कुमार", BillNo: "B-1001", Period: "2026-10", Due: 1264_00, DueDay: 20785},
		{Account: "210123456780", Name: "श्रीमती प्रार्थना शेखावत", Period: "2026-10", Due: 0, DueDay: 20785},
		{Account: "21012345678", Name: "क्षितिज", BillNo: "7", Period: "2026-09", Due: 50, DueDay: 0},
	}, testAsOf, 1, testPepper, fixedSalt{})
	if err != nil {
		t.Fatal(err)
	}
	if change == nil {
		return object
	}
	f := opened(t, object).f
	f.Records = slices.Clone(f.Records)
	for i := range f.Records {
		f.Records[i] = bytes.Clone(f.Records[i])
	}
	change(&f)
	raw, err := ledger.Encode(f)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestSetVectors(t *testing.T) {
	with := func(account, shown string) map[string]string {
		return map[string]string{"pepper": hex.EncodeToString(testPepper[:]), "account": account, "found": shown}
	}
	good := vectorSet(t, nil)
	bad := func(name, class, reason string, change func(*setFile)) vector {
		return vector{name: name, spec: "§3", expect: class, reason: reason, with: with("210123456789", ""), data: vectorSet(t, change)}
	}
	keep(t, "dues-set", []vector{
		{name: "ramesh", spec: "§3", expect: "ok", with: with("210123456789", "श्री र••• कु•••|B-1001|2026-10|126400|20785"), data: good},
		{name: "nothing-due", spec: "§3", expect: "ok", with: with("210123456780", "श्रीमती प्रा••• शे•••||2026-10|0|20785"), data: good},
		{name: "eleven-digits", spec: "§3", expect: "ok", with: with("21012345678", "क्षि•••|7|2026-09|50|0"), data: good},
		{name: "unknown", spec: "§3.4", expect: "unknown", reason: "no such consumer number", with: with("210123456781", ""), data: good},
		{name: "trailing-byte", spec: "§3", expect: "form", reason: "after the value", with: with("210123456789", ""), data: append(bytes.Clone(good), 0)},
		{name: "cut-short", spec: "§3", expect: "form", reason: "cut short", with: with("210123456789", ""), data: good[:len(good)-1]},
		bad("version-2", "form", "version 2", func(f *setFile) { f.Header.Version = 2 }),
		bad("count-2", "form", "3 records, its header says 2", func(f *setFile) { f.Header.Count = 2 }),
		bad("no-record", "limit", "0 records", func(f *setFile) { f.Header.Count, f.Records = 0, nil }),
		bad("as-of-beyond", "limit", "as of", func(f *setFile) { f.Header.AsOfMs = ledger.WallMaxMs + 1 }),
		bad("biller-code", "value", `code "jvvnl"`, func(f *setFile) { f.Header.Biller.Code = "jvvnl" }),
		bad("biller-name-empty", "value", "name_en", func(f *setFile) { f.Header.Biller.NameEn = "" }),
		bad("biller-digits", "value", "consumer numbers of 13 to 12", func(f *setFile) { f.Header.Biller.DigitsMin = 13 }),
		bad("surplus-rule-3", "value", "surplus rule 3", func(f *setFile) { f.Header.Biller.Surplus = 3 }),
		bad("over-max-negative", "value", "go beyond the bill", func(f *setFile) { f.Header.Biller.OverMax = -1 }),
		bad("cash-max-beyond", "value", "in cash: want 0 to", func(f *setFile) { f.Header.Biller.CashMax = amountMaxPaise + 1 }),
		bad("out-of-order", "form", "record 1 is out of order", func(f *setFile) { f.Records[0], f.Records[1] = f.Records[1], f.Records[0] }),
		bad("twice", "form", "its consumer is there twice", func(f *setFile) { f.Records[1] = f.Records[0] }),
		bad("record-short", "form", "record 2 has 47 bytes", func(f *setFile) { f.Records[2] = f.Records[2][:47] }),
		bad("record-odd", "form", "record 0 has", func(f *setFile) { f.Records[0] = append(f.Records[0], 0) }),
		bad("record-long", "limit", "record 0 has 208 bytes", func(f *setFile) { f.Records[0] = append(f.Records[0], make([]byte, 208-len(f.Records[0]))...) }),
		bad("record-altered", "seal", "does not open", func(f *setFile) {
			for _, r := range f.Records {
				r[keyBytes] ^= 1
			}
		}),
		bad("records-swapped", "seal", "does not open", func(f *setFile) {
			a, b := f.Records[0][keyBytes:], f.Records[1][keyBytes:]
			c := f.Records[2][keyBytes:]
			f.Records[0] = append(f.Records[0][:keyBytes:keyBytes], b...)
			f.Records[1] = append(f.Records[1][:keyBytes:keyBytes], c...)
			f.Records[2] = append(f.Records[2][:keyBytes:keyBytes], a...)
		}),
		bad("as-of-altered", "seal", "does not open", func(f *setFile) { f.Header.AsOfMs++ }),
		bad("salt-altered", "seal", "does not open", func(f *setFile) { f.Header.Salt[0] ^= 1 }),
		bad("cash-max-altered", "seal", "does not open", func(f *setFile) { f.Header.Biller.CashMax++ }),
	})
	for _, v := range load(t, "dues-set") {
		set, err := Open(v.data)
		if err != nil {
			if !errors.Is(err, ledger.ErrMalformed) {
				t.Errorf("%s: %v does not wrap ErrMalformed", v.name, err)
			}
			v.judge(t, err)
			continue
		}
		if again, err := ledger.Encode(set.f); err != nil || !bytes.Equal(again, v.data) {
			t.Errorf("%s: encodes as another object: %v", v.name, err)
		}
		pepper, err := hex.DecodeString(v.with["pepper"])
		if err != nil {
			t.Fatal(err)
		}
		f, err := set.Lookup(event.Pepper(pepper), v.with["account"])
		v.judge(t, err)
		got := strings.Join([]string{f.Masked, f.BillNo, f.Period, strconv.FormatInt(int64(f.Due), 10), strconv.Itoa(int(f.DueDay))}, "|")
		if v.expect == "ok" && got != v.with["found"] {
			t.Errorf("%s: found %s, want %s", v.name, got, v.with["found"])
		}
	}
}

// A record that the office's key sealed and that breaks the form is refused: the
// key proves who made it, not that it was made right.
func TestSealedNonsenseIsRefused(t *testing.T) {
	good := record{Masked: "र•••", Period: "2026-10", Due: 1, Pad: []byte{}}
	for name, change := range map[string]func(*record){
		"a negative amount": func(r *record) { r.Due = -1 },
		"an amount beyond":  func(r *record) { r.Due = amountMaxPaise + 1 },
		"a period":          func(r *record) { r.Period = "2026-13" },
		"no name":           func(r *record) { r.Masked = "" },
		"a turned name":     func(r *record) { r.Masked = "\u202eर" },
		"a day beyond":      func(r *record) { r.DueDay = 1<<32 - 1 },
		"padding that says something": func(r *record) {
			r.Pad = []byte{1}
		},
		"padding too long": func(r *record) { r.Pad = make([]byte, padBytes) },
	} {
		r := good
		change(&r)
		set := opened(t, vectorSet(t, nil))
		s, err := set.f.Header.sealer(testPepper)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := ledger.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		account := "210123456789"
		key, _ := event.AccountKeyOf(testPepper, "JVVNL", account)
		aead, err := s.aead(account)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.open(key, account, aead.Seal(nil, make([]byte, aead.NonceSize()), plain, s.aad(key))); !errors.Is(err, ledger.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	for _, v := range load(f, "dues-set") {
		f.Add(v.data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Open(b)
		if err != nil {
			return
		}
		again, err := ledger.Encode(s.f)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("the object has a second form: %v", err)
		}
		_, _ = s.Lookup(testPepper, DemoNumber) // must not panic
	})
}

func BenchmarkBuild(b *testing.B) {
	list, err := ReadCSV(bytes.NewReader(DemoCSV(5000, 1)), DefaultDefinition())
	if err != nil {
		b.Fatal(err)
	}
	var object []byte
	for b.Loop() {
		if object, err = Build(DefaultDefinition().Biller, list.Dues, testAsOf, 1, testPepper, rand.NewChaCha8([32]byte{})); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(object)), "bytes")
}

func BenchmarkReadCSV(b *testing.B) {
	raw := DemoCSV(5000, 1)
	for b.Loop() {
		if _, err := ReadCSV(bytes.NewReader(raw), DefaultDefinition()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	object, _ := demoSet(b, 5000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(object); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	object, _ := demoSet(b, 5000)
	set := opened(b, object)
	for b.Loop() {
		if _, err := set.Lookup(testPepper, DemoNumber); err != nil {
			b.Fatal(err)
		}
	}
}
