package event_test

import (
	"testing"

	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/ledger/internal/vector"
)

// Names must hold of every kind of which some entry names something: a store reads
// no other bodies.
func TestNames(t *testing.T) {
	objects, bills := 0, 0
	for _, v := range vector.Load(t, "event") {
		e, err := ledger.DecodeEntry(v.Data)
		if err != nil {
			continue
		}
		body, err := event.Decode(e)
		if err != nil {
			continue
		}
		named := len(event.Objects(body)) + len(event.Erases(body))
		_, paid := event.PaidBill(body)
		if (named > 0 || paid) && !event.Names(e.Kind) {
			t.Errorf("%s: kind %d names something, and Names says no", v.Name, e.Kind)
		}
		objects += named
		if paid {
			bills++
		}
	}
	if objects == 0 || bills == 0 {
		t.Errorf("%d objects and %d paid bills in the vectors, want some of each", objects, bills)
	}
}
