package catalogue

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"rasid/ledger"
)

// Limits of a dues file.
const (
	csvMaxBytes   = 64 << 20
	recordsMax    = 20_000
	nameMaxBytes  = 160
	billNoMax     = 24
	errorsMax     = 20
	amountMaxText = 14
)

// columns are the columns of a dues file, in this order (docs/DUES.md).
var columns = [...]string{"account", "name", "bill_no", "period", "due", "due_date"}

// Due is one line of a dues file.
type Due struct {
	Account string
	Name    string // as the biller writes it; it is masked before it leaves the office
	BillNo  string
	Period  string // "2026-10"
	Due     ledger.Paise
	DueDay  uint32 // days since 1970-01-01
}

// ReadCSV reads a whole dues file or nothing of it. The error joins what is wrong,
// each with line and column and what to do; at most the first twenty.
func ReadCSV(r io.Reader, b Biller) ([]Due, error) {
	raw, err := io.ReadAll(io.LimitReader(r, csvMaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("couldn't read the dues file: %w", err)
	}
	if len(raw) > csvMaxBytes {
		return nil, fmt.Errorf("the dues file is larger than %d bytes: split it", csvMaxBytes)
	}
	raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
	if at := badUTF8(raw); at >= 0 {
		line := 1 + bytes.Count(raw[:at], []byte("\n"))
		return nil, fmt.Errorf("line %d: the file is not UTF-8 here: save it as \"CSV UTF-8\"", line)
	}
	p := parser{r: csv.NewReader(bytes.NewReader(raw)), biller: b, seen: map[string]int{}}
	p.r.FieldsPerRecord = -1
	return p.all()
}

func badUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

type parser struct {
	r      *csv.Reader
	biller Biller
	seen   map[string]int // account → line
	errs   []error
	more   int
}

func (p *parser) wrong(line int, column, format string, args ...any) {
	if len(p.errs) >= errorsMax {
		p.more++
		return
	}
	p.errs = append(p.errs, fmt.Errorf("line %d, column %s: %s", line, column, fmt.Sprintf(format, args...)))
}

func (p *parser) all() ([]Due, error) {
	header, err := p.r.Read()
	if err != nil {
		return nil, fmt.Errorf("line 1: the file has no header: it must begin with %s", strings.Join(columns[:], ","))
	}
	for i, want := range columns {
		if i >= len(header) || strings.TrimSpace(header[i]) != want {
			got := "nothing"
			if i < len(header) {
				got = fmt.Sprintf("%q", header[i])
			}
			return nil, fmt.Errorf("line 1, column %d: %s where %q belongs: the header is %s", i+1, got, want, strings.Join(columns[:], ","))
		}
	}
	if len(header) > len(columns) {
		return nil, fmt.Errorf("line 1, column %d: %q is a column that nobody knows: the header is %s", len(columns)+1, header[len(columns)], strings.Join(columns[:], ","))
	}
	var dues []Due
	for {
		fields, err := p.r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("the dues file is no CSV: %w", err)
		}
		line, _ := p.r.FieldPos(0)
		if d, ok := p.line(line, fields); ok {
			dues = append(dues, d)
		}
		if len(dues) > recordsMax {
			return nil, fmt.Errorf("line %d: more than %d consumers: publish one file a sub-division", line, recordsMax)
		}
	}
	if p.more > 0 {
		p.errs = append(p.errs, fmt.Errorf("and %d more", p.more))
	}
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	if len(dues) == 0 {
		return nil, errors.New("line 2: the file has a header and no consumer")
	}
	return dues, nil
}

func (p *parser) line(line int, f []string) (Due, bool) {
	before := len(p.errs) + p.more
	if len(f) != len(columns) {
		p.wrong(line, fmt.Sprint(min(len(f), len(columns))+1), "%d columns, want %d", len(f), len(columns))
		return Due{}, false
	}
	d := Due{Account: Canonical(f[0]), Name: norm.NFC.String(strings.TrimSpace(f[1])), BillNo: strings.TrimSpace(f[2]), Period: strings.TrimSpace(f[3])}
	p.account(line, f[0], d.Account)
	if d.Name == "" || len(d.Name) > nameMaxBytes || strings.ContainsFunc(d.Name, unicode.IsControl) {
		p.wrong(line, "name", "a name has 1 to %d bytes", nameMaxBytes)
	}
	if len(d.BillNo) > billNoMax || strings.ContainsFunc(d.BillNo, unicode.IsControl) {
		p.wrong(line, "bill_no", "a bill number has at most %d characters", billNoMax)
	}
	if _, err := time.Parse("2006-01", d.Period); err != nil {
		p.wrong(line, "period", "%q is no month: write it as 2026-10", d.Period)
	}
	var err error
	if d.Due, err = rupees(strings.TrimSpace(f[4])); err != nil {
		p.wrong(line, "due", "%v", err)
	}
	day, err := time.Parse(time.DateOnly, strings.TrimSpace(f[5]))
	if err != nil || day.Unix() < 0 {
		p.wrong(line, "due_date", "%q is no date: write it as 2026-11-28", f[5])
	} else {
		d.DueDay = uint32(day.Unix() / 86400)
	}
	return d, len(p.errs)+p.more == before
}

func (p *parser) account(line int, typed, account string) {
	if n := len(account); n < p.biller.DigitsMin || n > p.biller.DigitsMax || strings.Trim(account, "0123456789") != "" {
		p.wrong(line, "account", "%q is no consumer number of %s: want %d to %d digits", typed, p.biller.Code, p.biller.DigitsMin, p.biller.DigitsMax)
		return
	}
	if first, twice := p.seen[account]; twice {
		p.wrong(line, "account", "the consumer of line %d is here again: a file has each consumer once", first)
		return
	}
	p.seen[account] = line
}

// rupees reads an amount such as 1264 or 1264.50, exactly.
func rupees(s string) (ledger.Paise, error) {
	whole, part, dot := strings.Cut(s, ".")
	for len(part) < 2 {
		part += "0"
	}
	digits := whole + part
	if whole == "" || dot && s[len(s)-1] == '.' || len(part) > 2 || len(s) > amountMaxText || strings.Trim(digits, "0123456789") != "" {
		return 0, fmt.Errorf("%q is no amount: write rupees as 1264 or 1264.50, without commas", s)
	}
	var p ledger.Paise
	for i := range len(digits) {
		p = p*10 + ledger.Paise(digits[i]-'0') // at most 14 digits: far from overflow
	}
	if p == 0 {
		return 0, errors.New("0 is due: leave out who owes nothing")
	}
	return p, nil
}

// Canonical is a consumer number as keys are made of it: ASCII digits without
// spaces and hyphens, Devanagari digits turned into ASCII.
func Canonical(typed string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '-' || r == '\u00a0':
			return -1
		case r >= '०' && r <= '९':
			return r - '०' + '0'
		}
		return r
	}, strings.TrimSpace(typed))
}
