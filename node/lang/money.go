package lang

import (
	"fmt"
	"strconv"
	"strings"
)

// INR writes an amount of paise in figures with Indian grouping, as in
// "₹1,23,456.78" and "-₹50.00". Paise are always shown: a receipt must not
// leave open whether they were dropped.
func INR(paise int64) string {
	minus, n := magnitude(paise)
	return minus + "₹" + group(n/100) + fmt.Sprintf(".%02d", n%100)
}

// INRShort is INR without ".00" where the amount is whole rupees: for note
// values and buttons, as in "₹500".
func INRShort(paise int64) string {
	return strings.TrimSuffix(INR(paise), ".00")
}

// magnitude splits off the sign; uint64 because the smallest int64 has no
// positive counterpart in int64.
func magnitude(paise int64) (minus string, n uint64) {
	if paise < 0 {
		return "-", -uint64(paise)
	}
	return "", uint64(paise)
}

// group sets commas the Indian way: the last three digits, then twos.
func group(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	if len(digits) <= 3 {
		return digits
	}
	head, tail := digits[:len(digits)-3], digits[len(digits)-3:]
	for len(head) > 2 {
		tail = head[len(head)-2:] + "," + tail
		head = head[:len(head)-2]
	}
	return head + "," + tail
}
