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

// Limits of a dues file (DUES.md §1). Whatever keeps them, 5,000 consumers fit one
// object.
const (
	csvMaxBytes    = 16 << 20
	recordsMax     = 12_000 // more never fit an object
	nameMaxBytes   = 160
	billNoMaxBytes = 20
	periodBytes    = 7
	problemsMax    = 20
	amountMaxChars = 13 // 9999999999.99
)

// columns are the columns of a dues file, in this order (DUES.md §1).
var columns = [...]string{"account", "name", "bill_no", "period", "due", "due_date"}

// Due is one line of a dues file.
type Due struct {
	Account string // canonical consumer number
	Name    string // as the biller writes it; it is masked before it leaves the office
	BillNo  string
	Period  string       // "2026-10"
	Due     ledger.Paise // 0: this consumer owes nothing now
	DueDay  uint32       // days since 1970-01-01
}

// List is a dues file that was read. Warnings name lines that were taken and should
// be looked at, at most twenty.
type List struct {
	Dues     []Due
	Warnings []string
}

// ReadCSV reads a whole dues file or nothing of it (DUES.md §1). The error joins
// what is wrong, each with line and column and what to do; at most the first
// twenty, and how many more there are.
func ReadCSV(r io.Reader, d Definition) (List, error) {
	if err := d.Validate(); err != nil {
		return List{}, err
	}
	raw, err := io.ReadAll(io.LimitReader(r, csvMaxBytes+1))
	if err != nil {
		return List{}, fmt.Errorf("couldn't read the dues file: %w", err)
	}
	if len(raw) > csvMaxBytes {
		return List{}, fmt.Errorf("the dues file is larger than %d bytes: publish one file a sub-division", csvMaxBytes)
	}
	if bytes.HasPrefix(raw, []byte{0xff, 0xfe}) || bytes.HasPrefix(raw, []byte{0xfe, 0xff}) {
		return List{}, errors.New(`line 1, column 1: the file is UTF-16: save it as "CSV UTF-8"`)
	}
	p := parser{r: csv.NewReader(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\ufeff")))), d: d, seen: map[string]int{}}
	p.r.FieldsPerRecord = -1
	p.r.ReuseRecord = true
	dues, err := p.all()
	if err != nil {
		return List{}, err
	}
	return List{Dues: dues, Warnings: p.warnings.texts()}, nil
}

// problems keeps the first twenty and counts the rest.
type problems struct {
	first []string
	more  int
}

func (p *problems) add(format string, args ...any) {
	if len(p.first) == problemsMax {
		p.more++
		return
	}
	p.first = append(p.first, fmt.Sprintf(format, args...))
}

func (p *problems) count() int { return len(p.first) + p.more }

func (p *problems) texts() []string {
	if p.more == 0 {
		return p.first
	}
	return append(p.first[:len(p.first):len(p.first)], fmt.Sprintf("and %d more", p.more))
}

type parser struct {
	r        *csv.Reader
	d        Definition
	seen     map[string]int // account → line
	errs     problems
	warnings problems
}

func (p *parser) wrong(line int, column, format string, args ...any) {
	p.errs.add("line %d, column %s: %s", line, column, fmt.Sprintf(format, args...))
}

func (p *parser) all() ([]Due, error) {
	if err := p.header(); err != nil {
		return nil, err
	}
	var dues []Due
	for {
		fields, err := p.r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			p.quoting(err)
			break // what follows cannot be told apart any more
		}
		line, _ := p.r.FieldPos(0)
		if d, ok := p.line(line, fields); ok {
			dues = append(dues, d)
		}
		if len(p.seen) > recordsMax {
			p.wrong(line, "account", "more than %d consumers: publish one file a sub-division", recordsMax)
			break
		}
	}
	if p.errs.count() > 0 {
		var all []error
		for _, text := range p.errs.texts() {
			all = append(all, errors.New(text))
		}
		return nil, errors.Join(all...)
	}
	if len(dues) == 0 {
		return nil, errors.New("line 2, column account: the file has a header and no consumer: export it again")
	}
	return dues, nil
}

func (p *parser) header() error {
	const remedy = "the header is "
	want := remedy + strings.Join(columns[:], ",")
	got, err := p.r.Read()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("line 1, column 1: the file is empty: %s", want)
	}
	if err != nil {
		p.quoting(err)
		return errors.New(p.errs.first[0])
	}
	for i, column := range columns {
		if i >= len(got) {
			return fmt.Errorf("line 1, column %d: nothing where %q belongs: %s, separated by commas", i+1, column, want)
		}
		if strings.TrimSpace(got[i]) != column {
			return fmt.Errorf("line 1, column %d: %.40q where %q belongs: %s, separated by commas", i+1, got[i], column, want)
		}
	}
	if len(got) > len(columns) {
		return fmt.Errorf("line 1, column %d: %.40q is a column that nobody knows: %s", len(columns)+1, got[len(columns)], want)
	}
	return nil
}

// quoting reports a quotation mark that ends the order of fields.
func (p *parser) quoting(err error) {
	var bad *csv.ParseError
	if !errors.As(err, &bad) {
		p.errs.add("couldn't read the dues file: %v", err)
		return
	}
	p.errs.add("line %d, byte %d: %v: put a field that holds a comma or a quotation mark between quotation marks, and double those inside", bad.Line, bad.Column, bad.Err)
}

func (p *parser) line(line int, f []string) (Due, bool) {
	before := p.errs.count()
	if len(f) != len(columns) {
		at := "beyond " + columns[len(columns)-1]
		if len(f) < len(columns) {
			at = columns[len(f)]
		}
		p.wrong(line, at, "the line has %d columns, want %d: put a field that holds a comma between quotation marks", len(f), len(columns))
		return Due{}, false
	}
	for i, text := range f {
		if !utf8.ValidString(text) {
			p.wrong(line, columns[i], `this is not UTF-8: save the file as "CSV UTF-8"`)
		} else if hidden(text) {
			p.wrong(line, columns[i], "a control character or line break: take it out")
		}
	}
	if p.errs.count() > before {
		return Due{}, false
	}
	d := Due{Account: Canonical(f[0]), Name: norm.NFC.String(strings.TrimSpace(f[1])), BillNo: strings.TrimSpace(f[2]), Period: strings.TrimSpace(f[3])}
	p.account(line, f[0], d.Account)
	if d.Name == "" || len(d.Name) > nameMaxBytes {
		p.wrong(line, "name", "a name of %d bytes: want 1 to %d", len(d.Name), nameMaxBytes)
	}
	if len(d.BillNo) > billNoMaxBytes {
		p.wrong(line, "bill_no", "a bill number of %d bytes: want at most %d", len(d.BillNo), billNoMaxBytes)
	}
	if _, err := time.Parse("2006-01", d.Period); err != nil {
		p.wrong(line, "period", "%.20q is no month: write it as 2026-10", d.Period)
	}
	var err error
	if d.Due, err = rupees(strings.TrimSpace(f[4])); err != nil {
		p.wrong(line, "due", "%v", err)
	}
	day, err := time.Parse(time.DateOnly, strings.TrimSpace(f[5]))
	if err != nil || day.Unix() < 0 {
		p.wrong(line, "due_date", "%.20q is no date: write it as 2026-11-28", f[5])
	} else {
		d.DueDay = uint32(day.Unix() / 86400)
	}
	return d, p.errs.count() == before
}

func (p *parser) account(line int, typed, account string) {
	if strings.Contains(typed, "E+") {
		p.wrong(line, "account", "%.30q was rounded by a spreadsheet: format the column as text and export again", typed)
		return
	}
	if n := len(account); strings.Trim(account, "0123456789") != "" || n < p.d.DigitsMin || n > p.d.DigitsMax {
		p.wrong(line, "account", "%.30q is no consumer number of %s: want %d to %d digits", typed, p.d.Code, p.d.DigitsMin, p.d.DigitsMax)
		return
	}
	if first, twice := p.seen[account]; twice {
		p.wrong(line, "account", "the consumer of line %d again: leave one line for each consumer", first)
		return
	}
	p.seen[account] = line
	if n := len(account); n != p.d.DigitsUsual {
		p.warnings.add("line %d, column account: a consumer number of %d digits, the usual length is %d: compare it with a bill", line, n, p.d.DigitsUsual)
	}
}

// rupees reads an amount such as 1264 or 1264.50, exactly.
func rupees(s string) (ledger.Paise, error) {
	whole, part, dot := strings.Cut(s, ".")
	bad := whole == "" || dot && part == "" || len(part) > 2
	for len(part) < 2 {
		part += "0"
	}
	digits := whole + part
	if bad || strings.Trim(digits, "0123456789") != "" {
		return 0, fmt.Errorf("%.30q is no amount: write rupees as 1264 or 1264.50, without commas or signs", s)
	}
	if len(s) > amountMaxChars {
		return 0, fmt.Errorf("%.30q is too large: want at most 10000000000 rupees", s)
	}
	var p ledger.Paise
	for i := range len(digits) {
		p = p*10 + ledger.Paise(digits[i]-'0') // at most 15 digits: far from overflow
	}
	if p > amountMaxPaise {
		return 0, fmt.Errorf("%q is too large: want at most 10000000000 rupees", s)
	}
	return p, nil
}

// Canonical is a consumer number as keys are made of it (DUES.md §4): without
// spaces and hyphens, Devanagari digits turned into ASCII.
func Canonical(typed string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r) || unicode.Is(unicode.Pd, r):
			return -1
		case r >= '०' && r <= '९':
			return r - '०' + '0'
		}
		return r
	}, typed)
}
