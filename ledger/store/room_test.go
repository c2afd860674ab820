package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"rasid/ledger"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
)

// Room is low below what is wanted, whatever else the store can still do.
func TestRoom(t *testing.T) {
	for _, c := range []struct {
		want uint64
		ok   bool
	}{{1, true}, {1 << 62, false}} {
		w := newDamageWorld(t)
		w.cfg.RoomBytes = c.want
		w.cfg.Free = nil
		if !c.ok {
			w.cfg.Free = func(string) (uint64, error) { return 1 << 61, nil }
		}
		s, err := store.Open(w.cfg)
		do(t, err)
		room, err := s.Room()
		do(t, err, s.Close())
		if room.OK != c.ok || room.Free == 0 || room.Want != c.want {
			t.Errorf("%+v, want ok %v", room, c.ok)
		}
	}
}

// smallDisk is what is free on a disk of which others take some, and the reserve some.
type smallDisk struct {
	dir    string
	others atomic.Uint64 // left by others, the reserve not counted
}

func newSmallDisk(dir string) *smallDisk {
	d := &smallDisk{dir: dir}
	d.others.Store(100 << 20)
	return d
}

func (d *smallDisk) free(string) (uint64, error) {
	left := d.others.Load()
	return left - min(left, d.reserve()), nil
}

func (d *smallDisk) reserve() uint64 {
	info, err := os.Stat(filepath.Join(d.dir, "reserve"))
	if err != nil {
		return 0
	}
	return uint64(info.Sys().(*syscall.Stat_t).Blocks) * 512
}

// The reserve takes real blocks, is given up when the disk fills and taken back when
// there is room for it and for money, and neither makes the low-water mark waver.
func TestReserve(t *testing.T) {
	const mib = 1 << 20
	w := newDamageWorld(t)
	d := newSmallDisk(w.cfg.Dir)
	w.cfg.RoomBytes, w.cfg.ReserveBytes, w.cfg.Free = 16*mib, 4*mib, d.free
	s, err := store.Open(w.cfg)
	do(t, err)
	for _, step := range []struct {
		others  uint64
		ok      bool
		full    bool
		reserve uint64
	}{
		{100 * mib, true, false, 4 * mib},
		{20 * mib, true, false, 4 * mib},
		{20*mib - 1, false, false, 4 * mib}, // low: no money
		{8 * mib, false, false, 4 * mib},
		{8*mib - 1, false, true, 0}, // full: given up
		{0, false, true, 0},
		{20 * mib, false, false, 0},
		{24*mib - 1, false, false, 0},
		{24 * mib, true, false, 4 * mib}, // a quarter more than is wanted, and the reserve
	} {
		d.others.Store(step.others)
		do(t, s.Tend())
		room, err := s.Room()
		do(t, err)
		if room.OK != step.ok || room.Full != step.full || room.Reserve != step.reserve || d.reserve() != step.reserve {
			t.Errorf("with %d: %+v, the file takes %d; want %+v", step.others, room, d.reserve(), step)
		}
	}
	do(t, s.Close())

	// What is left of it after a start is found, and given up where there is no room to open.
	d.others.Store(5 * mib)
	s, err = store.Open(w.cfg)
	do(t, err)
	if d.reserve() != 0 {
		t.Error("the store opened with the reserve on a full disk")
	}
	do(t, s.Close())
	d.others.Store(2*mib - 1)
	if _, err := store.Open(w.cfg); !errors.Is(err, store.ErrNoRoom) {
		t.Errorf("opened without room: %v", err)
	}
	d.others.Store(100 * mib)
	w.holds(t)
}

func commitSale(t *testing.T, w *store.Writer) {
	t.Helper()
	_, err := w.Commit(t.Context(), func(first uint64) ([]ledger.Entry, error) {
		e, err := storetest.Sale(first)
		return []ledger.Entry{e}, err
	})
	do(t, err)
}

// holds wants every entry that was acknowledged.
func (w damageWorld) holds(t *testing.T) {
	t.Helper()
	s, err := store.Open(w.cfg)
	do(t, err)
	n := uint64(0)
	do(t, s.Range(w.me.ID(), 0, w.entries, func(uint64, []byte) error { n++; return nil }))
	if info, _ := s.Log(w.me.ID()); info.End.Size != w.entries || n != w.entries {
		t.Errorf("%d entries held, %d read, want %d", info.End.Size, n, w.entries)
	}
	do(t, s.Close())
}

// On a full disk others' runs and objects are refused and nothing of them is lost; own
// entries go on, first into the index, then into the journal alone, and are there
// after the next start.
func TestFullDisk(t *testing.T) {
	const mib = 1 << 20
	w := newDamageWorld(t)
	d := newSmallDisk(w.cfg.Dir)
	w.cfg.RoomBytes, w.cfg.Free = 16*mib, d.free
	s, err := store.Open(w.cfg)
	do(t, err)
	writer, err := s.OpenOwn(w.me.LogKey)
	do(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	commit := func() { t.Helper(); commitSale(t, writer) }
	size := writer.Size()
	more, err := storetest.Sale(1)
	do(t, err)
	run, err := w.peer.Write(more)
	do(t, err)

	d.others.Store(4*mib - 1)
	if _, err := s.Ingest(ctx, []ledger.Run{run}); !errors.Is(err, store.ErrNoRoom) {
		t.Errorf("ingest on a full disk: %v", err)
	}
	commit()
	d.others.Store(0)
	for range 300 { // a bundle fills meanwhile
		commit()
	}
	all := 0
	do(t, s.Range(writer.ID(), 0, writer.Size(), func(uint64, []byte) error { all++; return nil }))
	if _, err := s.InclusionProof(writer.ID(), size+100, writer.Size()); err != nil || uint64(all) != size+301 {
		t.Errorf("%d entries can be read, want %d; a proof: %v", all, size+301, err)
	}
	if p, _, err := s.Space(); err != nil || p.Bundles != 0 {
		t.Errorf("the index grew on a full disk: %+v, %v", p, err)
	}
	d.others.Store(100 * mib)
	caught := uint64(0)
	for n := 0; caught == 0 && n < 10_000; n++ {
		commit() // it is answered before the index has it
		p, _, err := s.Space()
		do(t, err)
		caught = p.Bundles
	}
	if caught == 0 {
		t.Error("the index did not catch up")
	}
	r, err := s.Ingest(ctx, []ledger.Run{run})
	do(t, err)
	if r[0].Added != 1 || r[0].Err != nil {
		t.Errorf("ingest with room again: %+v", r[0])
	}
	d.others.Store(0)
	commit()
	w.entries = writer.Size()
	cancel()
	do(t, <-ended, s.Close())
	d.others.Store(100 * mib)
	w.holds(t)
}

// A start that recovers much asks for room as it goes, whatever it recovers, and ends
// with ErrNoRoom where the disk has filled meanwhile. Nothing is given up or lost for
// that, and a start with room ends it.
func TestRecoveryAsksForRoom(t *testing.T) {
	const mib = 1 << 20
	journal := func(w damageWorld) string { return w.path("own", w.me.ID().String()) }
	for name, c := range map[string]struct {
		damage func(*testing.T, damageWorld)
		gaveUp bool
	}{
		"own index":    {func(t *testing.T, w damageWorld) { do(t, os.RemoveAll(w.path("own", "index"))) }, false},
		"journal":      {func(t *testing.T, w damageWorld) { do(t, flip(w.segment("00000001"), 300)) }, false},
		"given up":     {func(t *testing.T, w damageWorld) { do(t, os.RemoveAll(journal(w))) }, true},
		"index beyond": {func(t *testing.T, w damageWorld) { do(t, os.RemoveAll(journal(w)), os.Mkdir(journal(w), 0o700)) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newDamageWorld(t)
			c.damage(t, w)
			w.cfg.GiveUp, w.cfg.RoomBytes = true, 16*mib
			refused := 0
			for asks := 1; ; asks++ {
				left := asks
				w.cfg.Free = func(string) (uint64, error) {
					if left--; left < 0 {
						return 2*mib - 1, nil
					}
					return 100 * mib, nil
				}
				s, err := store.Open(w.cfg)
				if err == nil {
					do(t, s.Close())
					break
				}
				if refused++; !errors.Is(err, store.ErrNoRoom) || errors.Is(err, store.ErrInDoubt) {
					t.Fatalf("asked %d times: %v", asks, err)
				}
			}
			if refused == 0 {
				t.Error("it opened without asking for room")
			}
			w.cfg.Free = nil
			if c.gaveUp {
				w.givenUp(t, true)
				return
			}
			w.cfg.GiveUp = false
			w.holds(t)
		})
	}
}
