package peer

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/store"
)

func (s onDisk) AcceptObject(ctx context.Context, b []byte) (ledger.Hash, error) {
	h, err := s.Store.AcceptObject(ctx, b)
	if errors.Is(err, store.ErrErased) || errors.Is(err, store.ErrUnwanted) {
		err = fmt.Errorf("%w: %w", ErrUnwanted, err)
	}
	return h, noRoom(err)
}

func (n *diskNode) says(body event.Body) {
	n.t.Helper()
	e, err := event.New(ledger.Time{}, body)
	if err != nil {
		n.t.Fatal(err)
	}
	n.commit(e)
}

// untilObjects waits until the node's objects are as wanted.
func (n *diskNode) untilObjects(what string, want store.ObjectCounts) {
	n.t.Helper()
	updates, cancel := n.store.Updates()
	defer cancel()
	limit := deadline(n.t)
	for n.store.ObjectCounts() != want {
		select {
		case <-updates:
		case <-limit.Done():
			n.t.Fatalf("not in time: %s: %+v, want %+v", what, n.store.ObjectCounts(), want)
		}
	}
}

// TestErased: a blob travels from its kiosk through a neighbour to the office; when the
// office erases it, it is gone from every disk, and nobody who comes later fetches it.
func TestErased(t *testing.T) {
	f := fleetOf(t)
	office := newDiskNode(t, f, enrol(t, f, 0, cert.RoleOffice))
	between := newDiskNode(t, f, enrol(t, f, 2, cert.RoleKiosk), office.host.Addr())
	kiosk := newDiskNode(t, f, enrol(t, f, 1, cert.RoleKiosk), between.host.Addr())
	var blobs []ledger.Hash
	for i := range 3 {
		blob := fmt.Appendf(nil, "blob %d", i)
		h, err := kiosk.store.PutObject(t.Context(), blob)
		if err != nil {
			t.Fatal(err)
		}
		kiosk.says(&event.BlobSealed{Sale: 1, Object: h, Bytes: uint64(len(blob)), Seal: 1})
		blobs = append(blobs, h)
	}
	office.untilObjects("the blobs reach the office", store.ObjectCounts{Named: 3, Held: 3})
	office.says(&event.Erased{Objects: blobs[1:2], Why: "test"})
	want := store.ObjectCounts{Named: 3, Held: 2, Erased: 1}
	late := newDiskNode(t, f, enrol(t, f, 3, cert.RoleKiosk), kiosk.host.Addr())
	for _, n := range []*diskNode{office, between, kiosk, late} {
		n.untilObjects("the blob is gone", want)
		if _, err := n.store.Object(blobs[1]); !errors.Is(err, store.ErrErased) {
			t.Errorf("the erased blob: %v", err)
		}
	}
	late.halt()
	late.start(kiosk.host.Addr())
	late.untilObjects("after a restart", want)
}
