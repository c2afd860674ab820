package storetest

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/store"
)

// Blob is a kiosk's entry that names an object as a sealed blob.
func Blob(object []byte) (ledger.Entry, error) {
	return event.New(ledger.Time{}, &event.BlobSealed{Sale: 1, Object: ledger.ObjectHash(object), Bytes: uint64(len(object)), Seal: 1})
}

// Erase is the office's entry that erases objects.
func Erase(objects ...ledger.Hash) (ledger.Entry, error) {
	slices.SortFunc(objects, func(a, b ledger.Hash) int { return bytes.Compare(a[:], b[:]) })
	return event.New(ledger.Time{}, &event.Erased{Objects: objects, Why: "test"})
}

func (n *node) counts(want store.ObjectCounts) {
	n.t.Helper()
	if got := n.store.ObjectCounts(); got != want {
		n.t.Fatalf("objects %+v, want %+v", got, want)
	}
}

// gone checks that an erased object is held by no means and taken by none.
func (n *node) gone(object []byte) {
	n.t.Helper()
	h := ledger.ObjectHash(object)
	_, err := n.store.Object(h)
	wantErr(n.t, err, store.ErrErased)
	wantErr(n.t, err, store.ErrNoObject)
	_, err = n.store.AcceptObject(n.t.Context(), object)
	wantErr(n.t, err, store.ErrErased)
	_, err = n.store.PutObject(n.t.Context(), object)
	wantErr(n.t, err, store.ErrErased)
	if slices.Contains(n.store.MissingObjects(), h) {
		n.t.Fatal("an erased object is missed")
	}
	if _, err := os.Lstat(n.objectPath(object)); !errors.Is(err, fs.ErrNotExist) {
		n.t.Fatalf("the erased object's file: %v", err)
	}
}

func (n *node) objectPath(object []byte) string {
	return filepath.Join(n.cfg.Dir, "objects", ledger.ObjectHash(object).String())
}

func testErased(t *testing.T, n *node) {
	n.begin()
	mine, theirs, late := []byte("a blob of mine"), []byte("a neighbour's blob"), []byte("a blob whose entry comes late")
	must[ledger.Hash](t)(n.store.PutObject(t.Context(), mine))
	n.commit(must[ledger.Entry](t)(Blob(mine)))
	neighbour, writer := n.author(5), n.author(6)
	must[ledger.Run](t)(neighbour.Write(must[ledger.Entry](t)(Blob(theirs))))
	lateRun := must[ledger.Run](t)(writer.Write(must[ledger.Entry](t)(Blob(late))))
	n.ingest(neighbour.Whole(), writer.Runs[0])
	n.counts(store.ObjectCounts{Named: 2, Held: 1, Missing: 1})
	must[ledger.Hash](t)(n.store.AcceptObject(t.Context(), theirs))
	n.counts(store.ObjectCounts{Named: 2, Held: 2})

	// A kiosk erases nothing, whatever it writes.
	must[ledger.Run](t)(neighbour.Write(must[ledger.Entry](t)(Erase(ledger.ObjectHash(mine)))))
	n.ingest(neighbour.Whole())
	n.counts(store.ObjectCounts{Named: 2, Held: 2})

	before := n.store.Frontier()
	office := must[*Author](t)(NewAuthor(must[Machine](t)(n.fleet.Machine(cert.RoleOffice, 100))))
	must[ledger.Run](t)(office.Write(must[ledger.Entry](t)(Erase(ledger.ObjectHash(mine), ledger.ObjectHash(theirs), ledger.ObjectHash(late)))))
	n.ingest(office.Whole())
	n.counts(store.ObjectCounts{Named: 2, Erased: 3})
	n.gone(mine)
	n.gone(theirs)
	for log, tips := range before {
		if now := n.store.Frontier()[log]; !slices.Equal(now, tips) {
			t.Fatalf("log %s has changed from %v to %v", log, tips, now)
		}
	}
	n.ingest(lateRun) // the entry that names it comes after the one that erases it
	n.gone(late)
	n.counts(store.ObjectCounts{Named: 3, Erased: 3})

	// A power cut between entry and removal is finished at the next start.
	n.stop()
	for _, object := range [][]byte{mine, theirs} {
		if err := os.WriteFile(n.objectPath(object), object, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n.start()
	for _, object := range [][]byte{mine, theirs, late} {
		n.gone(object)
	}
	n.counts(store.ObjectCounts{Named: 3, Erased: 3})
}

// testErasedByOwn: the office erases by its own log, which its journal keeps.
func testErasedByOwn(t *testing.T, n *node) {
	n.become(must[Machine](t)(n.fleet.Machine(cert.RoleOffice, 100)))
	n.begin()
	blob := []byte("a kiosk's blob")
	kiosk := n.author(5)
	must[ledger.Run](t)(kiosk.Write(must[ledger.Entry](t)(Blob(blob))))
	n.ingest(kiosk.Whole())
	must[ledger.Hash](t)(n.store.AcceptObject(t.Context(), blob))
	n.commit(must[ledger.Entry](t)(Erase(ledger.ObjectHash(blob))))
	n.gone(blob)
	n.stop()
	if err := os.WriteFile(n.objectPath(blob), blob, 0o600); err != nil {
		t.Fatal(err)
	}
	n.start()
	n.gone(blob)
}

// testDropped: only what no entry names goes, and it goes for good.
func testDropped(t *testing.T, n *node) {
	n.begin()
	named, bare := []byte("a blob of a sale with money"), []byte("a blob of a sale without money")
	for _, object := range [][]byte{named, bare} {
		must[ledger.Hash](t)(n.store.PutObject(t.Context(), object))
	}
	n.commit(must[ledger.Entry](t)(Blob(named)))
	for range 2 { // the second time nothing is held
		for _, object := range [][]byte{named, bare} {
			if kept := must[bool](t)(n.store.DropObject(ledger.ObjectHash(object))); kept != bytes.Equal(object, named) {
				t.Fatalf("%q is named: %v", object, kept)
			}
		}
	}
	n.stop()
	n.start()
	must[[]byte](t)(n.store.Object(ledger.ObjectHash(named)))
	_, err := n.store.Object(ledger.ObjectHash(bare))
	wantErr(t, err, store.ErrNoObject)
	if _, err := os.Lstat(n.objectPath(bare)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the dropped object's file: %v", err)
	}
	must[ledger.Hash](t)(n.store.PutObject(t.Context(), bare)) // it may come again
	n.counts(store.ObjectCounts{Named: 1, Held: 1})
}

// testErasedMost: a run at its limits that erases as much as it can is stored.
func testErasedMost(t *testing.T, n *node) {
	n.begin()
	office := must[*Author](t)(NewAuthor(must[Machine](t)(n.fleet.Machine(cert.RoleOffice, 100))))
	var entries []ledger.Entry
	for i := range 115 { // 115 × 8,7 KiB: nearly a run
		hashes := make([]ledger.Hash, 256)
		for j := range hashes {
			hashes[j] = ledger.ObjectHash([]byte{byte(i), byte(j)})
		}
		entries = append(entries, must[ledger.Entry](t)(Erase(hashes...)))
	}
	must[ledger.Run](t)(office.Write(entries...))
	n.ingest(office.Runs...)
	n.counts(store.ObjectCounts{Erased: 115 * 256})
}

// become starts the node anew as another machine.
func (n *node) become(m Machine) {
	n.t.Helper()
	n.stop()
	n.me = m
	n.cfg.Dir, n.cfg.Machine = filepath.Join(n.t.TempDir(), "data"), m.Key.Public().(ed25519.PublicKey)
	n.start()
}
