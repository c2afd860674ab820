package keep

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/ledger/object"
	"rasid/node/till"
)

func key(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
}

// world is what a keeper lives in.
type world struct {
	t       *testing.T
	dir     string
	now     time.Time
	blobs   map[ledger.Hash][]byte
	named   map[ledger.Hash]bool // by an entry
	failing error
	office  object.OpenKey
}

func newWorld(t *testing.T) *world {
	t.Helper()
	office, err := object.NewOpenKey(3, bytes.Repeat([]byte{9}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, dir: t.TempDir(), now: time.UnixMilli(1795500000000), blobs: map[ledger.Hash][]byte{}, named: map[ledger.Hash]bool{}, office: office}
}

func (w *world) PutObject(_ context.Context, b []byte) (ledger.Hash, error) {
	h := ledger.ObjectHash(b)
	if w.failing == nil {
		w.blobs[h] = b
	}
	return h, w.failing
}

func (w *world) Object(h ledger.Hash) ([]byte, error) {
	b, ok := w.blobs[h]
	if !ok {
		return nil, errors.New("not held")
	}
	return b, nil
}

func (w *world) DropObject(h ledger.Hash) (bool, error) {
	if !w.named[h] {
		delete(w.blobs, h)
	}
	return w.named[h], nil
}

// open opens the keeper as after a restart.
func (w *world) open(machine byte) *Keeper {
	w.t.Helper()
	k, err := Open(Config{
		Dir: w.dir, Machine: key(machine), Log: ledger.LogID{1}, Objects: w, SealTo: w.office.Public,
		For: 72 * time.Hour, Now: func() time.Time { return w.now },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

// keep keeps a bill; money comes, so that an entry names its blob.
func (w *world) keep(k *Keeper, b till.Bill) till.Blob {
	w.t.Helper()
	w.do(k.Keep(w.t.Context(), b))
	blob, ok := k.Blob(b.Bill)
	if !ok {
		w.t.Fatal("what was kept has no blob")
	}
	w.named[blob.Object] = true
	return blob
}

func (w *world) do(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) files() []string {
	w.t.Helper()
	files, err := os.ReadDir(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

func bill(n byte) till.Bill {
	return till.Bill{Number: "210123456789", Masked: "श्री र•••", Bill: event.BillKey{n}, Due: 126400}
}

// What is kept opens at this kiosk, the blob at the office, and nothing else does.
func TestKeepAndGet(t *testing.T) {
	w := newWorld(t)
	b := bill(7)
	blob := w.keep(w.open(1), b)
	if got, ok := w.open(1).Get(b.Bill); !ok || got.Number != b.Number || got.Masked != b.Masked || got.Due != b.Due {
		t.Errorf("got %+v, %v", got, ok)
	}
	raw := w.blobs[blob.Object]
	if blob.Bytes != uint64(len(raw)) || blob.SealKey != 3 {
		t.Errorf("blob %+v of %d bytes", blob, len(raw))
	}
	personal, err := object.Open(w.office, object.Purpose{Log: ledger.LogID{1}, Bill: b.Bill}, raw)
	if err != nil || personal.Number != b.Number || personal.Name != b.Masked {
		t.Errorf("the office finds %q, %v", personal.Number, err)
	}
	names := w.files()
	if len(names) != 1 {
		t.Fatalf("files %v", names)
	}
	path := filepath.Join(w.dir, names[0])
	sealed, err := os.ReadFile(path)
	if err != nil || bytes.Contains(sealed, []byte(b.Number)) {
		t.Errorf("the number stands in the file in clear, or %v", err)
	}
	if _, ok := w.open(2).Get(b.Bill); ok {
		t.Error("another machine's key opens it")
	}
	delete(w.blobs, blob.Object)
	if _, ok := w.open(1).Get(b.Bill); ok {
		t.Error("the number is in the file, and not in the blob alone")
	}
	w.blobs[blob.Object] = raw
	w.do(os.WriteFile(path, sealed[:len(sealed)-1], 0o600))
	if _, ok := w.open(1).Get(b.Bill); ok {
		t.Error("a damaged file opens")
	}
}

// A bill that cannot be stored or sealed leaves nothing behind.
func TestKeepFails(t *testing.T) {
	w := newWorld(t)
	k := w.open(1)
	w.failing = errors.New("disk full")
	if err := k.Keep(t.Context(), bill(7)); !errors.Is(err, w.failing) {
		t.Errorf("%v", err)
	}
	w.failing = nil
	if err := k.Keep(t.Context(), till.Bill{Number: "a number with spaces"}); !errors.Is(err, ledger.ErrMalformed) {
		t.Errorf("%v", err)
	}
	if names := w.files(); len(names) != 0 {
		t.Errorf("files %v", names)
	}
}

// What opens a blob here is destroyed some days after nobody needs it, whatever the
// process and the clock do meanwhile, and not before.
func TestForgottenBillsExpire(t *testing.T) {
	w := newWorld(t)
	k := w.open(1)
	done, open := bill(7), bill(8)
	w.keep(k, done)
	w.keep(k, open)
	w.do(os.WriteFile(filepath.Join(w.dir, ".new-123"), []byte("half"), 0o600))
	for range 2 {
		w.do(k.Forget(done.Bill))
	}
	if names := w.files(); len(names) != 2 {
		t.Errorf("files %v", names)
	}
	has := func(when string, b till.Bill, want bool) {
		t.Helper()
		if _, ok := k.Get(b.Bill); ok != want {
			t.Errorf("%s: kept %v, want %v", when, ok, want)
		}
	}
	needed := func(b event.BillKey) bool { return b == open.Bill }
	w.now = w.now.Add(71 * time.Hour)
	k = w.open(1)
	w.do(k.Sweep(needed))
	has("an hour before its time", done, true)
	w.now = w.now.Add(-1000 * time.Hour) // the clock was ahead
	w.do(k.Expire())
	has("by a clock set back", done, true)
	w.now = w.now.Add(71 * time.Hour)
	w.do(k.Expire())
	has("counted from the new clock", done, true)
	w.now = w.now.Add(time.Hour)
	w.do(k.Expire())
	has("when its time is over", done, false)
	has("while it is needed", open, true)
	w.do(k.Sweep(func(event.BillKey) bool { return false })) // nobody needs it at the next start
	has("just forgotten", open, true)
	w.now = w.now.Add(72 * time.Hour)
	w.do(k.Expire())
	has("when its time is over", open, false)
	if names := w.files(); len(names) != 0 {
		t.Errorf("files %v are left", names)
	}
}

// A bill that is paid in two parts is needed again.
func TestKeptAgain(t *testing.T) {
	w := newWorld(t)
	k := w.open(1)
	b := bill(7)
	w.keep(k, b)
	w.do(k.Forget(b.Bill))
	b.Due = 1
	w.keep(k, b)
	if got, ok := k.Get(b.Bill); !ok || got.Due != 1 {
		t.Errorf("got %+v, %v, want the newer", got, ok)
	}
	w.now = w.now.Add(72 * time.Hour)
	w.do(k.Expire())
	if got, ok := k.Get(b.Bill); !ok || got.Due != 1 {
		t.Errorf("after the first one's time got %+v, %v", got, ok)
	}
	if names := w.files(); len(names) != 1 || slices.Contains(names, "07") {
		t.Errorf("files %v", names)
	}
}

// Of a sale without money nothing is left: neither what opens the blob nor the blob. What
// was kept for an earlier sale of the same bill stays its time.
func TestSaleWithoutMoneyLeavesNothing(t *testing.T) {
	w := newWorld(t)
	k := w.open(1)
	b := bill(7)
	paid := w.keep(k, b)
	w.do(k.Keep(t.Context(), b)) // once more, before the paper of the first is out
	w.do(k.Forget(b.Bill))
	if len(w.blobs) != 1 || w.blobs[paid.Object] == nil || len(w.files()) != 1 {
		t.Errorf("%d blobs, files %v", len(w.blobs), w.files())
	}
	if got, ok := k.Get(b.Bill); !ok || got.Number != b.Number {
		t.Errorf("of the first sale: %v, %v", got, ok)
	}
	w.now = w.now.Add(72 * time.Hour)
	w.do(k.Expire())
	if names := w.files(); len(names) != 0 || len(w.blobs) != 1 {
		t.Errorf("files %v, %d blobs", names, len(w.blobs))
	}
}

// What a power cut left of a sale without money goes when its time is over: until then
// neighbours may bring entries that name the blob.
func TestUnnamedBlobGoesInTime(t *testing.T) {
	w := newWorld(t)
	b := bill(7)
	w.do(w.open(1).Keep(t.Context(), b))
	k := w.open(1)
	w.do(k.Sweep(func(event.BillKey) bool { return false }))
	w.now = w.now.Add(71 * time.Hour)
	w.do(k.Expire())
	if len(w.blobs) != 1 {
		t.Error("the blob went before its time")
	}
	if _, ok := k.Blob(b.Bill); ok {
		t.Error("a bill that nobody needs has a blob to name")
	}
	w.now = w.now.Add(time.Hour)
	w.do(k.Expire())
	if names := w.files(); len(names) != 0 || len(w.blobs) != 0 {
		t.Errorf("files %v, %d blobs", names, len(w.blobs))
	}
}
