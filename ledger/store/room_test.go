package store_test

import (
	"testing"

	"rasid/ledger/store"
)

// Room is low below what is wanted, whatever else the store can still do.
func TestRoom(t *testing.T) {
	for _, c := range []struct {
		want uint64
		ok   bool
	}{{1, true}, {1 << 62, false}} {
		w := newDamageWorld(t)
		w.cfg.RoomBytes = c.want
		s, err := store.Open(w.cfg)
		do(t, err)
		room, err := s.Room()
		do(t, err, s.Close())
		if room.OK != c.ok || room.Free == 0 || room.Want != c.want {
			t.Errorf("%+v, want ok %v", room, c.ok)
		}
	}
}
