package lang

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"
)

// newRand returns a random source and prints its seed, so that a failure can
// be run again by writing the seed here.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func TestINR(t *testing.T) {
	for _, c := range []struct {
		paise       int64
		long, short string
	}{
		{0, "₹0.00", "₹0"},
		{1, "₹0.01", "₹0.01"},
		{10, "₹0.10", "₹0.10"},
		{100, "₹1.00", "₹1"},
		{50000, "₹500.00", "₹500"},
		{99999, "₹999.99", "₹999.99"},
		{100000, "₹1,000.00", "₹1,000"},
		{1000000, "₹10,000.00", "₹10,000"},
		{10000000, "₹1,00,000.00", "₹1,00,000"},
		{12345678, "₹1,23,456.78", "₹1,23,456.78"},
		{1234567890150, "₹12,34,56,78,901.50", "₹12,34,56,78,901.50"},
		{-1, "-₹0.01", "-₹0.01"},
		{-5000, "-₹50.00", "-₹50"},
		{-12345600, "-₹1,23,456.00", "-₹1,23,456"},
		{math.MaxInt64, "₹92,23,37,20,36,85,47,758.07", ""},
		{math.MinInt64, "-₹92,23,37,20,36,85,47,758.08", ""},
	} {
		if got := INR(c.paise); got != c.long {
			t.Errorf("INR(%d) = %q, want %q", c.paise, got, c.long)
		}
		if got := INRShort(c.paise); c.short != "" && got != c.short {
			t.Errorf("INRShort(%d) = %q, want %q", c.paise, got, c.short)
		}
	}
}

// The oracle groups integers exactly; it never sees the paise, because it
// formats fractions through floats.
func TestINRAgreesWithXText(t *testing.T) {
	r := newRand(t)
	for _, tag := range []language.Tag{language.MustParse("hi-IN"), language.MustParse("en-IN")} {
		p := message.NewPrinter(tag)
		for range 20_000 {
			paise := r.Int64() >> r.IntN(63)
			if r.IntN(2) == 0 {
				paise = -paise
			}
			rupees, minus := paise/100, ""
			if paise < 0 {
				rupees, minus = -rupees, "-"
			}
			want := minus + "₹" + p.Sprint(number.Decimal(rupees)) + "."
			got := INR(paise)
			if !strings.HasPrefix(got, want) || len(got) != len(want)+2 {
				t.Fatalf("%v: INR(%d) = %q, x/text begins it %q", tag, paise, got, want)
			}
			if back := parsePaise(t, got); back != paise {
				t.Fatalf("INR(%d) = %q, which reads back as %d", paise, got, back)
			}
		}
	}
}

// parsePaise reads a figure back digit by digit, independent of strconv and of
// the grouping.
func parsePaise(t *testing.T, s string) int64 {
	t.Helper()
	var n int64
	for _, r := range s {
		if r >= '0' && r <= '9' {
			n = n*10 + int64(r-'0')
		} else if !strings.ContainsRune("-₹,.", r) {
			t.Fatalf("%q holds the foreign character %q", s, r)
		}
	}
	if strings.HasPrefix(s, "-") {
		return -n
	}
	return n
}
