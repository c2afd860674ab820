package ledger

import (
	"errors"
	"math"
)

// Paise is an amount of money: hundredths of a rupee. There is no other unit and
// no float anywhere near it.
type Paise int64

// ErrOverflow is returned when a sum does not fit. Amounts near it are never
// real money: the caller refuses the input that led to it.
var ErrOverflow = errors.New("amount too large")

// Add returns p + q or ErrOverflow.
func (p Paise) Add(q Paise) (Paise, error) {
	if q > 0 && p > math.MaxInt64-q || q < 0 && p < math.MinInt64-q {
		return 0, ErrOverflow
	}
	return p + q, nil
}

// Sub returns p - q or ErrOverflow.
func (p Paise) Sub(q Paise) (Paise, error) {
	if q == math.MinInt64 {
		return 0, ErrOverflow
	}
	return p.Add(-q)
}

// SumPaise adds all amounts or returns ErrOverflow.
func SumPaise(amounts ...Paise) (Paise, error) {
	var total Paise
	for _, a := range amounts {
		var err error
		if total, err = total.Add(a); err != nil {
			return 0, err
		}
	}
	return total, nil
}
