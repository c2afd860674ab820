package fleet

import (
	"os"
	"path/filepath"
	"testing"

	"rasid/ledger"
	"rasid/ledger/cert"
)

// The key of an earlier incarnation is found by its ordinal, and no other is taken for it.
func TestFormerLogKey(t *testing.T) {
	_, dir := testFleet(t)
	id := loaded(t, dir)
	first, err := id.OpenLogKey(cert.StreamMain, source(3))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := id.NextLogKey(first, cert.ReasonDoubt, ledger.Checkpoint{}, source(4)); err != nil {
		t.Fatal(err)
	}
	if k, ok, err := id.FormerLogKey(cert.StreamMain, 1); err != nil || !ok || !k.Key.Equal(first.Key) || k.Grant != first.Grant {
		t.Errorf("the key before is %s, %v, %v", k, ok, err)
	}
	if k, ok, err := id.FormerLogKey(cert.StreamMain, 2); err != nil || ok {
		t.Errorf("the newest key is that of an earlier log: %s, %v", k, err)
	}
	if err := os.Rename(filepath.Join(dir, formerLogKeyName(cert.StreamMain, 1)), filepath.Join(dir, formerLogKeyName(cert.StreamMain, 2))); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := id.FormerLogKey(cert.StreamMain, 2); err == nil || ok {
		t.Error("the key of another ordinal is taken")
	}
}
