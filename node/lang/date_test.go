package lang

import (
	"testing"
	"time"

	"golang.org/x/text/unicode/norm"
)

func TestDates(t *testing.T) {
	// 18:45 UTC is already the next day in IST, and here the next year.
	turn := time.Date(2026, time.December, 31, 18, 45, 0, 0, time.UTC)
	early := time.Date(2026, time.February, 3, 3, 35, 59, 0, time.UTC)
	for _, c := range []struct {
		got, want string
	}{
		{Date(Hindi, turn), "1 जनवरी 2027"},
		{Date(English, turn), "1 January 2027"},
		{DateTime(Hindi, turn), "1 जनवरी 2027, 00:15"},
		{DateTime(English, early), "3 February 2026, 09:05"},
		{Month(Hindi, early), "फ़रवरी 2026"},
		{Month(English, turn), "January 2027"},
	} {
		if c.got != norm.NFC.String(c.want) {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestMonthNamesDiffer(t *testing.T) {
	for _, l := range All() {
		seen := map[string]bool{}
		for m := time.January; m <= time.December; m++ {
			name := monthName(l, m)
			if name == "" || seen[name] || !norm.NFC.IsNormalString(name) {
				t.Errorf("%s: the name of month %d is %q: empty, used twice or not NFC", l, m, name)
			}
			seen[name] = true
		}
	}
}

func TestAgo(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		age    time.Duration
		hi, en string
	}{
		{-time.Second, "समय पक्का नहीं", "time uncertain"},
		{0, "अभी-अभी", "just now"},
		{59 * time.Second, "अभी-अभी", "just now"},
		{time.Minute, "1 मिनट पहले", "1 minute ago"},
		{59*time.Minute + 59*time.Second, "59 मिनट पहले", "59 minutes ago"},
		{time.Hour, "1 घंटा पहले", "1 hour ago"},
		{23*time.Hour + 59*time.Minute, "23 घंटे पहले", "23 hours ago"},
		{day, "1 दिन पहले", "1 day ago"},
		{2*day + 3*time.Hour, "2 दिन पहले", "2 days ago"},
		{90 * day, "90 दिन पहले", "90 days ago"},
		{91 * day, "3 महीने पहले", "3 months ago"},
		{400 * day, "13 महीने पहले", "13 months ago"},
	} {
		for l, want := range map[Lang]string{Hindi: c.hi, English: c.en} {
			if got := Ago(l, c.age); got != norm.NFC.String(want) {
				t.Errorf("Ago(%s, %v) = %q, want %q", l, c.age, got, want)
			}
		}
	}
}
