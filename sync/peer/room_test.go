package peer

import (
	"testing"
	"time"

	"rasid/ledger/cert"
	"rasid/ledger/event"
)

// What peers send to a full disk waits there, the connection stays and what the full
// disk holds goes on; with room again all of it arrives without being asked for.
func TestFullDiskWaits(t *testing.T) {
	f := fleetOf(t)
	office := newDiskNode(t, f, enrol(t, f, 0, cert.RoleOffice))
	waits := make(chan time.Time)
	full := &diskNode{t: t, fleet: f, machine: enrol(t, f, 1, cert.RoleKiosk), dir: t.TempDir()}
	full.after = func(d time.Duration) <-chan time.Time {
		if d == roomWait {
			return waits
		}
		return time.After(d)
	}
	full.free.Store(1 << 40)
	full.start(office.host.Addr())
	t.Cleanup(func() { full.halt() })
	full.until("the office's log", office.machine.ID(), 1)

	full.free.Store(1)
	dues := []byte("dues of November")
	h, err := office.store.PutObject(t.Context(), dues)
	if err != nil {
		t.Fatal(err)
	}
	office.says(&event.DuesPublished{Biller: "jvvnl", Object: h, Bytes: uint64(len(dues)), AsOfMs: 1})
	again := func() {
		t.Helper()
		select {
		case waits <- time.Time{}: // it asked the disk and was refused
		case <-deadline(t).Done():
			t.Fatal("nothing waits for room")
		}
	}
	for range 3 {
		again()
	}
	size := full.commit(full.started(1))
	office.until("what the full disk's machine wrote", full.machine.ID(), size)
	if info, _ := full.store.Log(office.machine.ID()); info.End.Size != 1 {
		t.Fatalf("%d entries of the office on a full disk", info.End.Size)
	}

	full.free.Store(1 << 40)
	again()
	full.until("what waited", office.machine.ID(), 2)
	limit := deadline(t)
	for {
		if _, err := full.store.Object(h); err == nil {
			break
		}
		if !full.host.tell(limit, nil) {
			t.Fatal("the object did not arrive")
		}
	}
	status := full.host.Status()
	if len(status.Peers) != 1 || status.Counters.RoomWaits < 4 || status.Addresses[0].Error != "" {
		t.Errorf("%+v", status)
	}
}
