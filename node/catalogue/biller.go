package catalogue

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"

	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/node/till"
)

// Limits of a biller.
const (
	codeMaxBytes   = 32
	digitsLeast    = 4
	digitsMost     = 20
	amountMaxPaise = 1_000_000_000_000 // of any entry (LEDGER.md §1)
	overMaxPaise   = 500_00            // one note of the largest kind
)

// Biller is who is owed and what it takes, as a dues set carries it (DUES.md §3).
type Biller struct {
	_         struct{} `cbor:",toarray"`
	Code      string
	NameHi    string
	NameEn    string
	DigitsMin int // length of the shortest consumer number
	DigitsMax int // and of the longest
	Surplus   event.SurplusRule
	OverMax   ledger.Paise // how far a note may lead beyond the due amount
	Part      bool         // takes a part payment
	CashMax   ledger.Paise // 0: no limit of its own
}

// Validate says what is wrong with a biller, and what to do.
func (b Biller) Validate() error {
	if len(b.Code) == 0 || len(b.Code) > codeMaxBytes || strings.Trim(b.Code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
		return fmt.Errorf("code %q: write 1 to %d of A to Z, 0 to 9 and hyphen", b.Code, codeMaxBytes)
	}
	for _, name := range []struct{ key, text string }{{"name_hi", b.NameHi}, {"name_en", b.NameEn}} {
		if name.text == "" || len(name.text) > nameMaxBytes || hidden(name.text) {
			return fmt.Errorf("%s of biller %s: write a name of 1 to %d bytes without control characters", name.key, b.Code, nameMaxBytes)
		}
	}
	switch {
	case b.DigitsMin < digitsLeast || b.DigitsMax < b.DigitsMin || b.DigitsMax > digitsMost:
		return fmt.Errorf("biller %s has consumer numbers of %d to %d digits: want %d to %d, the least first", b.Code, b.DigitsMin, b.DigitsMax, digitsLeast, digitsMost)
	case b.Surplus != event.SurplusRefused && b.Surplus != event.SurplusNextBill:
		return fmt.Errorf("biller %s has the surplus rule %d: want %d or %d", b.Code, b.Surplus, event.SurplusRefused, event.SurplusNextBill)
	case b.OverMax < 0 || b.OverMax > overMaxPaise:
		return fmt.Errorf("biller %s lets %d paise go beyond the bill: want 0 to %d, one note", b.Code, b.OverMax, overMaxPaise)
	case b.CashMax < 0 || b.CashMax > amountMaxPaise:
		return fmt.Errorf("biller %s takes %d paise in cash: want 0 to %d", b.Code, b.CashMax, int64(amountMaxPaise))
	}
	return nil
}

// hidden reports what would let a text act on a page or terminal: control
// characters, line separators, changes of direction (LEDGER.md §6.2), bad UTF-8.
func hidden(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
	})
}

func (b Biller) forTill() till.Biller {
	return till.Biller{
		Code: b.Code, NameHi: b.NameHi, NameEn: b.NameEn, Digits: [2]int{b.DigitsMin, b.DigitsMax},
		Surplus: b.Surplus, OverMax: b.OverMax, Part: b.Part, CashMax: b.CashMax,
	}
}

// Definition is a biller as the office keeps it in a file: the band of lengths that
// a consumer number may have at all, and the usual length; others within the band
// are taken with a warning, since sources disagree on K-numbers.
type Definition struct {
	Biller
	DigitsUsual int
}

// DefaultDefinition is an electricity company as those of Rajasthan. Its values
// hold for every key that a definition file leaves out, but for code and names.
func DefaultDefinition() Definition {
	return Definition{
		Biller: Biller{
			Code: "JVVNL", NameHi: "जयपुर विद्युत वितरण निगम", NameEn: "Jaipur Vidyut Vitran Nigam", DigitsMin: 10, DigitsMax: 13,
			Surplus: event.SurplusNextBill, OverMax: 200_00, Part: true, CashMax: 20_000_00,
		},
		DigitsUsual: 12,
	}
}

// definitionFile is the TOML of DUES.md §2. Amounts are whole rupees.
type definitionFile struct {
	Code        string `toml:"code"`
	NameHi      string `toml:"name_hi"`
	NameEn      string `toml:"name_en"`
	Digits      int    `toml:"digits"`
	DigitsMin   int    `toml:"digits_min"`
	DigitsMax   int    `toml:"digits_max"`
	Surplus     string `toml:"surplus"`
	OverMax     int64  `toml:"over_max_rupees"`
	PartPayment bool   `toml:"part_payment"`
	CashMax     int64  `toml:"cash_max_rupees"`
}

const definitionKeys = "code, name_hi, name_en, digits, digits_min, digits_max, surplus, over_max_rupees, part_payment, cash_max_rupees"

// ReadDefinition reads a definition file. name stands in errors, which name line
// and column or the key, and what to do.
func ReadDefinition(name string, text []byte) (Definition, error) {
	d := DefaultDefinition()
	f := definitionFile{
		Digits: d.DigitsUsual, DigitsMin: d.DigitsMin, DigitsMax: d.DigitsMax, Surplus: "next_bill",
		OverMax: int64(d.OverMax / 100), PartPayment: d.Part, CashMax: int64(d.CashMax / 100),
	}
	decoder := toml.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		return Definition{}, tomlError(name, err)
	}
	if f.OverMax < 0 || f.OverMax > overMaxPaise/100 || f.CashMax < 0 || f.CashMax > amountMaxPaise/100 {
		return Definition{}, fmt.Errorf("%s: over_max_rupees %d, cash_max_rupees %d: want 0 to %d and 0 to %d", name, f.OverMax, f.CashMax, overMaxPaise/100, int64(amountMaxPaise/100))
	}
	d.Code, d.NameHi, d.NameEn = f.Code, f.NameHi, f.NameEn
	d.DigitsMin, d.DigitsMax, d.DigitsUsual = f.DigitsMin, f.DigitsMax, f.Digits
	d.OverMax, d.CashMax, d.Part = ledger.Paise(f.OverMax)*100, ledger.Paise(f.CashMax)*100, f.PartPayment
	switch f.Surplus {
	case "next_bill":
		d.Surplus = event.SurplusNextBill
	case "refuse":
		d.Surplus, d.OverMax = event.SurplusRefused, 0
	default:
		return Definition{}, fmt.Errorf("%s: surplus = %q: write \"next_bill\" or \"refuse\"", name, f.Surplus)
	}
	if err := d.Validate(); err != nil {
		return Definition{}, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}

// Validate also checks that the usual length lies within the band.
func (d Definition) Validate() error {
	if err := d.Biller.Validate(); err != nil {
		return err
	}
	if d.DigitsUsual < d.DigitsMin || d.DigitsUsual > d.DigitsMax {
		return fmt.Errorf("digits = %d of biller %s: want %d to %d, as digits_min and digits_max say", d.DigitsUsual, d.Code, d.DigitsMin, d.DigitsMax)
	}
	return nil
}

func tomlError(name string, err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		line, column := unknown.Errors[0].Position()
		return fmt.Errorf("%s: line %d, column %d: unknown key %q: the keys are %s", name, line, column, strings.Join(unknown.Errors[0].Key(), "."), definitionKeys)
	}
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		line, column := bad.Position()
		return fmt.Errorf("%s: line %d, column %d: %w", name, line, column, bad)
	}
	return fmt.Errorf("%s: %w", name, err)
}
