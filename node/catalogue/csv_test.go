package catalogue

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const (
	csvHead = "account,name,bill_no,period,due,due_date\n"
	csvGood = "210123456789,श्री रमेश कुमार,B-1001,2026-10,1264.00,2026-11-28\n"
)

// row is the good line with one column changed.
func row(column int, text string) string {
	f := strings.Split(strings.TrimSpace(csvGood), ",")
	f[column] = text
	return csvHead + strings.Join(f, ",") + "\n"
}

// The vectors are lines as people's programs write them.
func TestCSVVectors(t *testing.T) {
	good := func(name, text string) vector {
		return vector{name: name, spec: "§1", expect: "ok", data: []byte(text)}
	}
	bad := func(name, reason, text string) vector {
		return vector{name: name, spec: "§1", expect: "refused", reason: reason, data: []byte(text)}
	}
	line := func(account string) string { return strings.Replace(csvGood, "210123456789", account, 1) }
	keep(t, "dues-csv", []vector{
		good("plain", csvHead+csvGood),
		good("byte-order-mark", "\ufeff"+csvHead+csvGood),
		good("crlf-and-quotes", strings.ReplaceAll(csvHead+`"2101-2345-6789","श्री रमेश, कुमार",,2026-10,0.5,2026-11-28`+"\n", "\n", "\r\n")),
		good("devanagari-digits", row(0, "२१०१ २३४५ ६७८९")),
		good("nothing-due", row(4, "0")),
		good("most", row(4, "9999999999.99")),
		good("unusual-length", csvHead+line("2101234567")+line("2101234567890")),
		bad("empty", "line 1, column 1: the file is empty", ""),
		bad("utf-16", `line 1, column 1: the file is UTF-16: save it as "CSV UTF-8"`, "\xff\xfea\x00"),
		bad("wrong-column", `line 1, column 2: "nam" where "name" belongs: the header is account,name,`, strings.Replace(csvHead, "name", "nam", 1)+csvGood),
		bad("missing-column", `line 1, column 3: nothing where "bill_no" belongs`, "account,name\n"),
		bad("one-column-more", `line 1, column 7: "x" is a column that nobody knows`, strings.TrimSpace(csvHead)+",x\n"),
		bad("semicolons", "separated by commas", strings.ReplaceAll(csvHead+csvGood, ",", ";")),
		bad("header-only", "line 2, column account: the file has a header and no consumer", csvHead),
		bad("short-line", "line 3, column bill_no: the line has 2 columns, want 6", csvHead+csvGood+"210123456780,श्री राम\n"),
		bad("long-line", "line 2, column beyond due_date: the line has 7 columns, want 6: put a field that holds a comma", csvHead+strings.TrimSpace(csvGood)+",x\n"),
		bad("open-quote", "line 2, byte 28: extraneous or missing \" in quoted-field: put a field", csvHead+`210123456789,"श्री "रमेश,B1,2026-10,5,2026-11-28`+"\n"),
		bad("encoding", `line 3, column name: this is not UTF-8: save the file as "CSV UTF-8"`, csvHead+csvGood+"210123456780,\xe0\xa4,B1,2026-10,5,2026-11-28\n"),
		bad("line-break-in-name", "line 2, column name: a control character or line break", row(1, "\"श्री\nराम\"")),
		bad("turned-name", "line 2, column name: a control character", row(1, "श्री \u202eराम")),
		bad("no-name", "line 2, column name: a name of 0 bytes: want 1 to 160", row(1, "")),
		bad("long-name", "line 2, column name: a name of 162 bytes", row(1, strings.Repeat("क", 54))),
		bad("long-bill-number", "line 2, column bill_no: a bill number of 21 bytes: want at most 20", row(2, strings.Repeat("B", 21))),
		bad("account-short", `line 2, column account: "210123456" is no consumer number of JVVNL: want 10 to 13 digits`, row(0, "210123456")),
		bad("account-long", "want 10 to 13 digits", row(0, "21012345678901")),
		bad("account-letter", "want 10 to 13 digits", row(0, "21012345678O")),
		bad("account-rounded", `line 2, column account: "2.10123E+11" was rounded by a spreadsheet: format the column as text`, row(0, "2.10123E+11")),
		bad("account-twice", "line 3, column account: the consumer of line 2 again: leave one line", csvHead+csvGood+line("2101 2345 6789")),
		bad("period", `line 2, column period: "Oct" is no month: write it as 2026-10`, row(3, "Oct")),
		bad("period-13", "is no month", row(3, "2026-13")),
		bad("amount-comma", `line 2, column due: "1,264" is no amount: write rupees as 1264 or 1264.50, without commas`, row(4, `"1,264"`)),
		bad("amount-three-decimals", `"1.234" is no amount`, row(4, "1.234")),
		bad("amount-ends-in-point", `"1264." is no amount`, row(4, "1264.")),
		bad("amount-begins-with-point", `".50" is no amount`, row(4, ".50")),
		bad("amount-negative", `"-5" is no amount`, row(4, "-5")),
		bad("amount-exponent", `"1e3" is no amount`, row(4, "1e3")),
		bad("amount-empty", `"" is no amount`, row(4, "")),
		bad("amount-devanagari", `"१२६४" is no amount`, row(4, "१२६४")),
		bad("amount-too-large", "is too large: want at most 10000000000 rupees", row(4, "10000000000.01")),
		bad("amount-one-rupee-too-large", "is too large", row(4, "10000000001")),
		bad("amount-beyond-64-bits", "is too large", row(4, "184467440737095516.17")), // 1 paisa, modulo 2^64
		bad("encoding-of-account", "line 2, column account: this is not UTF-8", row(0, "\xff")),
		bad("date-order", `line 2, column due_date: "28-11-2026" is no date: write it as 2026-11-28`, row(5, "28-11-2026")),
		bad("date-31-november", "is no date", row(5, "2026-11-31")),
		bad("date-1969", "is no date", row(5, "1969-12-31")),
	})
	for _, v := range load(t, "dues-csv") {
		list, err := ReadCSV(bytes.NewReader(v.data), DefaultDefinition())
		v.judge(t, err)
		if (len(list.Dues) > 0) != (err == nil) {
			t.Errorf("%s: %d dues and error %v: a file is read whole or not at all", v.name, len(list.Dues), err)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: one mistake gives more than one error: %v", v.name, err)
		}
		if want := 2; v.name == "unusual-length" && len(list.Warnings) != want {
			t.Errorf("%s: %d warnings, want %d: %q", v.name, len(list.Warnings), want, list.Warnings)
		}
	}
}

func TestNamesAreNormalised(t *testing.T) {
	list, err := ReadCSV(strings.NewReader(row(1, " \u0928\u093c ")), DefaultDefinition())
	if err != nil || list.Dues[0].Name != "\u0929" {
		t.Errorf("%+v, %v", list.Dues, err)
	}
}

func TestAmountsAreExact(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "0.01": 1, "0.1": 10, "1264": 126400, "1264.5": 126450, "1264.05": 126405, "9999999999.99": 999999999999, "10000000000": 1000000000000} {
		if got, err := rupees(text); err != nil || int64(got) != want {
			t.Errorf("rupees(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestAtMostTwentyProblemsAreNamed(t *testing.T) {
	var b strings.Builder
	b.WriteString(csvHead)
	for i := range 50 {
		fmt.Fprintf(&b, "21012345%04d,श्री राम,B1,2026-10,x,2026-11-28\n", i)
	}
	_, err := ReadCSV(strings.NewReader(b.String()), DefaultDefinition())
	if err == nil {
		t.Fatal("accepted")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 21 || !strings.HasPrefix(lines[19], "line 21, column due:") || lines[20] != "and 30 more" {
		t.Errorf("%d lines, the last two %q", len(lines), lines[max(0, len(lines)-2):])
	}
}

func TestTooManyConsumers(t *testing.T) {
	_, err := ReadCSV(bytes.NewReader(DemoCSV(recordsMax+1, 1)), DefaultDefinition())
	if want := fmt.Sprintf("line %d, column account: more than 12000 consumers: publish one file a sub-division", recordsMax+2); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if _, err := ReadCSV(strings.NewReader(csvHead+strings.Repeat("x", csvMaxBytes)), DefaultDefinition()); err == nil || !strings.Contains(err.Error(), "larger than 16777216 bytes") {
		t.Errorf("a file beyond the limit: %.100v", err)
	}
}

func TestDemoIsTheSameForTheSameSeed(t *testing.T) {
	if !bytes.Equal(DemoCSV(100, 7), DemoCSV(100, 7)) || bytes.Equal(DemoCSV(100, 7), DemoCSV(100, 8)) {
		t.Error("the seed does not decide the file")
	}
}

func FuzzReadCSV(f *testing.F) {
	for _, v := range load(f, "dues-csv") {
		f.Add(v.data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := ReadCSV(bytes.NewReader(b), DefaultDefinition())
		if err != nil {
			if !strings.HasPrefix(err.Error(), "line ") || len(list.Dues) > 0 {
				t.Errorf("%d dues and an error without a place: %v", len(list.Dues), err)
			}
			return
		}
		// Whatever is accepted can be published and found.
		object, err := Build(DefaultDefinition().Biller, list.Dues, testAsOf, 1, testPepper, fixedSalt{})
		if err != nil {
			t.Fatal(err)
		}
		set, err := Open(object)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(list.Dues, func(d Due) bool { _, err := set.Lookup(testPepper, d.Account); return err == nil }) {
			t.Error("nobody is found")
		}
	})
}

func TestDefinition(t *testing.T) {
	const names = "code = \"AVVNL\"\nname_hi = \"अजमेर विद्युत\"\nname_en = \"Ajmer Vidyut\"\n"
	d, err := ReadDefinition("biller.toml", []byte(names+"surplus = \"refuse\"\npart_payment = false\ncash_max_rupees = 5000\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d.Code != "AVVNL" || d.DigitsUsual != 12 || d.DigitsMin != 10 || d.DigitsMax != 13 || d.OverMax != 0 || d.CashMax != 5_000_00 || d.Part {
		t.Errorf("%+v", d)
	}
	for text, want := range map[string]string{
		"":                               `biller.toml: code "": write 1 to 32`,
		names + "digit = 12\n":           `biller.toml: line 4, column 1: unknown key "digit": the keys are code, name_hi`,
		names + "digits = \"12\"\n":      "biller.toml: line 4, column 10:",
		names + "over_max_rupees = 1.5":  "biller.toml: line 4, column 19:",
		names + "over_max_rupees = 9999": "over_max_rupees 9999",
		names + "cash_max_rupees = -1":   "cash_max_rupees -1",
		names + "surplus = \"keep\"":     `surplus = "keep": write "next_bill" or "refuse"`,
		names + "digits = 9":             "digits = 9 of biller AVVNL: want 10 to 13",
		names + "digits_min = 14":        "want 4 to 20, the least first",
		"code = \"avvnl\"":               "write 1 to 32 of A to Z",
		"code = \"AVVNL\"":               "name_hi of biller AVVNL",
		"code = \"A":                     "line 1, column",
	} {
		if _, err := ReadDefinition("biller.toml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
