package event_test

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

var kindRow = regexp.MustCompile(`(?m)^\| (\d+) \| ([A-Z]\w+) \| ([a-z, ]+) \|`)

// authors are the logs of the table, and one of each.
var authors = map[string]event.Author{
	"kiosk":      {Role: cert.RoleKiosk, Stream: cert.StreamMain},
	"authority":  {Role: cert.RoleOffice, Stream: cert.StreamAuthority},
	"settlement": {Role: cert.RoleOffice, Stream: cert.StreamSettlement},
	"cell":       {Role: cert.RoleOffice, Stream: cert.StreamCell + 3},
}

// TestKindTable holds the table of LEDGER.md §6.2 and the code together: every kind
// in use, its name and which logs may hold it.
func TestKindTable(t *testing.T) {
	spec := must[[]byte](t)(os.ReadFile("../../docs/LEDGER.md"))
	var kinds []ledger.Kind
	for _, row := range kindRow.FindAllStringSubmatch(string(spec), -1) {
		k := ledger.Kind(must[uint64](t)(strconv.ParseUint(row[1], 10, 16)))
		kinds = append(kinds, k)
		if event.KindName(k) != row[2] {
			t.Errorf("kind %d is %s in LEDGER.md and %s in the code", k, row[2], event.KindName(k))
		}
		logs := strings.Split(row[3], ", ")
		for name, a := range authors {
			if may := a.MayWrite(0, k); (slices.Contains(logs, name) || row[3] == "any") != may {
				t.Errorf("kind %d: LEDGER.md says %q, the code lets the log %s hold it: %v", k, row[3], name, may)
			}
			if a.MayWrite(1, k) != (a.MayWrite(0, k) && k != event.KindLogOpened) {
				t.Errorf("kind %d at 1 in the log %s: LogOpened stands at 0 alone", k, name)
			}
		}
	}
	if !slices.Equal(kinds, event.Kinds()) {
		t.Errorf("LEDGER.md has the kinds %d, the code %d", kinds, event.Kinds())
	}
}
