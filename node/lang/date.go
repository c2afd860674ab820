package lang

import (
	"fmt"
	"time"
)

// IST is the zone of every date shown to people: India keeps one zone and no
// summer time, so it needs no zone database on the kiosk.
func IST() *time.Location { return time.FixedZone("IST", 5*60*60+30*60) }

// Date writes the day of t in IST: "24 नवंबर 2026", "24 November 2026".
func Date(l Lang, t time.Time) string {
	t = t.In(IST())
	return fmt.Sprintf("%d %s %d", t.Day(), monthName(l, t.Month()), t.Year())
}

// DateTime writes day and minute of t in IST: "24 नवंबर 2026, 14:05". The clock
// is the 24-hour one of railway timetables, the same in both languages. The
// text beside it says IST.
func DateTime(l Lang, t time.Time) string {
	return Date(l, t) + t.In(IST()).Format(", 15:04")
}

// Month writes the month of t in IST, for bill periods: "नवंबर 2026".
func Month(l Lang, t time.Time) string {
	t = t.In(IST())
	return fmt.Sprintf("%s %d", monthName(l, t.Month()), t.Year())
}

func monthName(l Lang, m time.Month) string {
	if l == English {
		return m.String()
	}
	return [...]string{
		"जनवरी", "फ़रवरी", "मार्च", "अप्रैल", "मई", "जून",
		"जुलाई", "अगस्त", "सितंबर", "अक्टूबर", "नवंबर", "दिसंबर",
	}[m-1]
}

// agoDaysMax is where days give way to months: up to a quarter a citizen
// compares days with a due date, beyond it the number says nothing.
const agoDaysMax = 90

// Ago writes how long ago something was, rounded down: "2 दिन पहले", "2 days ago".
// Under a minute is "just now". A negative age means that one of two clocks is
// wrong, and it says so instead of naming an age.
func Ago(l Lang, d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return T(l, "time.ago.uncertain")
	case d < time.Minute:
		return T(l, "time.ago.now")
	case d < time.Hour:
		return T(l, "time.ago.minutes", "n", int64(d/time.Minute))
	case d < day:
		return T(l, "time.ago.hours", "n", int64(d/time.Hour))
	case d <= agoDaysMax*day:
		return T(l, "time.ago.days", "n", int64(d/day))
	}
	return T(l, "time.ago.months", "n", int64(d/(30*day)))
}
