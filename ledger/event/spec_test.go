package event_test

import (
	"fmt"
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

// TestKindTable holds the table of LEDGER.md §6.2 and the code together: every kind
// in use, its name and who may write it.
func TestKindTable(t *testing.T) {
	spec := must[[]byte](t)(os.ReadFile("../../docs/LEDGER.md"))
	names := map[ledger.Kind]string{}
	for _, b := range goodBodies(t) {
		names[b.Kind()] = strings.TrimPrefix(fmt.Sprintf("%T", b), "*event.")
	}
	var kinds []ledger.Kind
	for _, row := range kindRow.FindAllStringSubmatch(string(spec), -1) {
		k := ledger.Kind(must[uint64](t)(strconv.ParseUint(row[1], 10, 16)))
		kinds = append(kinds, k)
		if names[k] != row[2] {
			t.Errorf("kind %d is %s in LEDGER.md and %s in the code", k, row[2], names[k])
		}
		roles := strings.Split(row[3], ", ")
		for _, r := range []cert.Role{cert.RoleKiosk, cert.RoleOffice} {
			if slices.Contains(roles, r.String()) != event.MayWrite(r, k) {
				t.Errorf("kind %d: LEDGER.md says %q, the code lets the %s: %v", k, row[3], r, event.MayWrite(r, k))
			}
		}
	}
	if !slices.Equal(kinds, event.Kinds()) {
		t.Errorf("LEDGER.md has the kinds %d, the code %d", kinds, event.Kinds())
	}
}
