package keep

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"testing"

	"rasid/ledger/event"
	"rasid/node/till"
)

func key(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
}

func TestKeepGetForget(t *testing.T) {
	dir := t.TempDir()
	k, err := Open(dir, key(1))
	if err != nil {
		t.Fatal(err)
	}
	b := till.Bill{Number: "210123456789", Masked: "श्री र•••", Bill: event.BillKey{7}, Due: 126400}
	if err := k.Keep(b); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir, key(1)) // as after a restart
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := again.Get(b.Bill); !ok || got.Number != b.Number || got.Due != b.Due {
		t.Errorf("got %+v, %v", got, ok)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil || bytes.Contains(raw, []byte(b.Number)) {
		t.Errorf("the number stands in the file in clear, or %v", err)
	}
	other, err := Open(dir, key(2))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := other.Get(b.Bill); ok {
		t.Error("another machine's key opens it")
	}
	if err := os.WriteFile(files[0], raw[:len(raw)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := k.Get(b.Bill); ok {
		t.Error("a damaged file opens")
	}
	needed := till.Bill{Number: "1", Bill: event.BillKey{8}}
	if err := k.Keep(needed); err != nil {
		t.Fatal(err)
	}
	if err := k.Sweep(func(key event.BillKey) bool { return key == needed.Bill }); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%d files are left, want the needed one", len(left))
	}
	for range 2 {
		if err := k.Forget(b.Bill); err != nil {
			t.Error(err)
		}
	}
	if _, ok := k.Get(b.Bill); ok {
		t.Error("forgotten and still there")
	}
}
