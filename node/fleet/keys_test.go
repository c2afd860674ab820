package fleet

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/ledger/object"
)

// Renewed keys join the office's identity, two of each are valid, and a machine that
// is enrolled later has them.
func TestRenewKeys(t *testing.T) {
	office, _ := testFleet(t)
	for range 2 {
		if _, err := RenewPepper(office, source(11)); err != nil {
			t.Fatal(err)
		}
		if _, err := RenewSeal(office, source(12)); err != nil {
			t.Fatal(err)
		}
	}
	id, err := Load(office)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "k")
	if _, err := Enrol(office, out, Request{Name: "SKR-0777"}, testNow, source(13)); err != nil {
		t.Fatal(err)
	}
	kiosk, err := Load(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []Identity{id, kiosk} {
		if len(id.Peppers) != 2 || id.Peppers[0].Number != 2 || id.Peppers[1].Number != 3 {
			t.Errorf("%s has the peppers %v", id, id.Peppers)
		}
		if len(id.Seals) != 2 || id.Seals[0].Number != 2 || id.Seals[1].Number != 3 {
			t.Errorf("%s has the seal keys %v", id, id.Seals)
		}
	}
	if _, err := id.OpenLogKey(1, source(14)); err != nil {
		t.Errorf("after the renewal the authority log does not go on: %v", err)
	}
	keys, err := OpenKeys(office)
	if err != nil || len(keys) != 3 {
		t.Fatalf("%d private seal keys, %v, want all three", len(keys), err)
	}
	p := object.Purpose{Log: ledger.LogID{1}, Bill: event.BillKey{2}}
	for _, to := range kiosk.Seals {
		b, _, err := object.Seal(to, p, object.Personal{Number: "1"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := object.Open(keys[to.Number], p, b); err != nil {
			t.Errorf("what is sealed to key %d does not open: %v", to.Number, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(out, sealsName)); err == nil {
		t.Error("a kiosk was given the private seal keys")
	}
	if _, err := RenewPepper(out, source(15)); err == nil || !strings.Contains(err.Error(), "only the office") {
		t.Errorf("a kiosk renews peppers: %v", err)
	}
}

// A private key that a power cut left without its public half is taken up, and none
// is drawn for a number that blobs may already be sealed to.
func TestRenewSealAfterACut(t *testing.T) {
	office, _ := testFleet(t)
	left, err := sealKey(office, 2, source(11))
	if err != nil {
		t.Fatal(err)
	}
	id, err := RenewSeal(office, source(12))
	if err != nil || id.Seals[1] != left.Public() {
		t.Errorf("another key was drawn, %v", err)
	}
	if err := os.Remove(filepath.Join(office, sealsName)); err != nil {
		t.Fatal(err)
	}
	if _, err := RenewSeal(office, source(13)); err == nil || !strings.Contains(err.Error(), "seal.json is missing") {
		t.Errorf("without seal.json: %v", err)
	}
}

// A ring keeps the two newest of each, in whatever order they come, once.
func TestRing(t *testing.T) {
	r := Identity{Peppers: []Pepper{{Number: 2, Secret: event.Pepper{2}}}, Seals: []object.SealKey{{Number: 1}}}.Ring()
	r.AddPepper(Pepper{Number: 2, Secret: event.Pepper{99}})
	r.AddPepper(Pepper{Number: 4, Secret: event.Pepper{4}})
	r.AddPepper(Pepper{Number: 1, Secret: event.Pepper{1}})
	if p, ok := r.Pepper(2); !ok || p != (event.Pepper{2}) || r.Newest().Number != 4 || r.Outlived(2) || !r.Outlived(1) {
		t.Errorf("pepper 2 is %x, %v; the newest %d", p[:1], ok, r.Newest().Number)
	}
	r.AddPepper(Pepper{Number: 3})
	if _, ok := r.Pepper(2); ok || !r.Outlived(2) {
		t.Error("three peppers are valid")
	}
	for _, n := range []uint32{3, 2} {
		r.AddSeal(object.SealKey{Number: n})
	}
	if r.SealTo().Number != 3 {
		t.Errorf("sealed to %d, want the newest", r.SealTo().Number)
	}
	if said := fmt.Sprintf("%v %+v %#v", r.Newest(), r.Newest(), r.Newest()); strings.Contains(said, "4, 0, 0") {
		t.Errorf("a pepper shows: %s", said)
	}
}

// Bills are named under a pepper only where the one before it is here too, or valid no
// more: else a bill that was paid before the renewal would be taken for a new one.
func TestRingNames(t *testing.T) {
	for _, c := range []struct {
		have, names []uint32
	}{
		{[]uint32{1}, []uint32{1}}, {[]uint32{1, 2}, []uint32{1, 2}}, {[]uint32{2}, nil}, {[]uint32{1, 3}, []uint32{1}},
		{[]uint32{1, 2, 3}, []uint32{2, 3}}, {[]uint32{1, 3, 2}, []uint32{2, 3}}, {[]uint32{2, 3}, []uint32{2, 3}},
	} {
		r := &Ring{}
		for _, n := range c.have {
			r.AddPepper(Pepper{Number: n})
		}
		for n := range uint32(5) {
			if got := r.Names(n); got != slices.Contains(c.names, n) {
				t.Errorf("with %v: names under %d: %v", c.have, n, got)
			}
		}
	}
}
