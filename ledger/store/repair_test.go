package store_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rasid/ledger"
	"rasid/ledger/journal"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
)

// repairs is damage to a journal that leaves known where it ended.
func repairs() map[string]func(*testing.T, damageWorld) {
	return map[string]func(*testing.T, damageWorld){
		"bit in a record": func(t *testing.T, w damageWorld) { do(t, flip(w.segment("00000001"), 300)) },
		"bit in each": func(t *testing.T, w damageWorld) {
			do(t, flip(w.segment("00000001"), 300), flip(w.segment("00000002"), 400))
		},
		"segment gone": func(t *testing.T, w damageWorld) { do(t, os.Remove(w.segment("00000001"))) },
		"segment of zeros": func(t *testing.T, w damageWorld) {
			do(t, os.WriteFile(w.segment("00000002"), make([]byte, 2000), 0o600))
		},
		"segment too long": func(t *testing.T, w damageWorld) { do(t, os.Truncate(w.segment("00000002"), 17<<20)) },
		"all but the last": func(t *testing.T, w damageWorld) {
			do(t, os.Remove(w.segment("00000001")), os.Remove(w.segment("00000002")))
		},
		"last batch, sealed": func(t *testing.T, w damageWorld) {
			b, err := os.ReadFile(w.segment(w.last(t)))
			do(t, err, flip(w.segment(w.last(t)), len(bytes.TrimRight(b, "\x00"))-sealRecord-3))
		},
		"header, index gone": func(t *testing.T, w damageWorld) {
			do(t, flip(w.segment("00000001"), 20), os.RemoveAll(w.path("own", "index")))
		},
		"bit in a record, index older": func(t *testing.T, w damageWorld) {
			kept := filepath.Join(t.TempDir(), "index")
			do(t, os.CopyFS(kept, os.DirFS(w.path("own", "index"))))
			w.append(t, 10)
			do(t, os.RemoveAll(w.path("own", "index")), os.CopyFS(w.path("own", "index"), os.DirFS(kept)), flip(w.segment("00000001"), 300))
		},
		"after a restart": func(t *testing.T, w damageWorld) {
			w.append(t, 0) // so that the last segment is but a header
			do(t, flip(w.segment("00000001"), 300))
		},
		"cut off while it was made": func(t *testing.T, w damageWorld) {
			do(t, flip(w.segment("00000001"), 300), os.CopyFS(w.path("own", w.me.ID().String()+".rebuilt"), os.DirFS(w.path("own", w.me.ID().String()))))
			do(t, os.Mkdir(w.path("own", w.me.ID().String()+".damaged"), 0o700)) // of an earlier time
		},
		"cut off when the old was aside": func(t *testing.T, w damageWorld) {
			journal := w.path("own", w.me.ID().String())
			do(t, os.Rename(journal, journal+".rebuilt"), os.Mkdir(journal+".damaged", 0o700), os.WriteFile(journal+".damaged/00000001.journal", nil, 0o600))
		},
	}
}

// A damaged journal whose end is known is made again, from the index and from what of
// it is intact, with every entry, and goes on; the damaged one is kept.
func TestJournalIsRepaired(t *testing.T) {
	for name, damage := range repairs() {
		t.Run(name, func(t *testing.T) {
			w := newDamageWorld(t)
			before, _ := os.ReadFile(w.path("own", w.me.ID().String()+".head"))
			damage(t, w)
			s, err := store.Open(w.cfg)
			do(t, err)
			info, _ := s.Log(w.me.ID())
			if want, err := ledger.ParseNote(before, w.me.LogKey.Public().(ed25519.PublicKey)); err != nil || !info.Own || info.End.Size < want.Size {
				t.Fatalf("%+v, want at least %+v, %v", info, want, err)
			}
			do(t, s.Close())
			aside, err := os.ReadDir(w.path("own", w.me.ID().String()+".damaged"))
			if err != nil || len(aside) == 0 {
				t.Errorf("the damaged journal is not kept: %v", err)
			}
			if exists, _ := filepath.Glob(w.path("own", "*.rebuilt")); len(exists) > 0 {
				t.Errorf("%v is left over", exists)
			}
			do(t, os.RemoveAll(w.path("own", "index"))) // the journal alone has all
			w.append(t, 3)
			s, err = store.Open(w.cfg)
			do(t, err)
			again, _ := s.Log(w.me.ID())
			if again.End.Size != info.End.Size+3 {
				t.Errorf("%d entries after three more than %d", again.End.Size, info.End.Size)
			}
			do(t, s.Range(w.me.ID(), 0, again.End.Size, func(i uint64, entry []byte) error {
				e, err := storetest.Sale(i)
				if i == 0 {
					e, err = w.me.Open()
				}
				if want, _ := ledger.EncodeEntry(e); !bytes.Equal(entry, want) {
					t.Errorf("entry %d differs", i)
				}
				return err
			}), s.Close())
		})
	}
}

// Where index and journal together have less than the journal had, or other than it or
// the head file shows, nothing is made again.
func TestJournalIsNotRepairedAgainstEvidence(t *testing.T) {
	zero := func(t *testing.T, w damageWorld, n int) { // the last n records
		path := w.segment(w.last(t))
		b, err := os.ReadFile(path)
		do(t, err)
		var at []int
		for next := 76; binary.BigEndian.Uint32(b[next:]) > 0; next += 41 + int(binary.BigEndian.Uint32(b[next:])) {
			at = append(at, next)
		}
		clear(b[at[len(at)-n]:])
		do(t, os.WriteFile(path, b, 0o600))
	}
	for name, damage := range map[string]func(*testing.T, damageWorld){
		"head file beyond": func(t *testing.T, w damageWorld) {
			older := filepath.Join(t.TempDir(), "own")
			do(t, os.CopyFS(older, os.DirFS(w.path("own"))))
			w.append(t, 3)
			head := w.path("own", w.me.ID().String()+".head")
			b, err := os.ReadFile(head)
			do(t, err, os.RemoveAll(w.path("own")), os.CopyFS(w.path("own"), os.DirFS(older)), os.WriteFile(head, b, 0o600))
		},
		"seal of more batches": func(t *testing.T, w damageWorld) {
			path := w.segment(w.last(t))
			b, err := os.ReadFile(path)
			do(t, err, flip(path, len(bytes.TrimRight(b, "\x00"))-sealRecord-3), os.RemoveAll(w.path("own", "index")), os.Remove(w.path("own", w.me.ID().String()+".head")))
		},
		"index beyond": func(t *testing.T, w damageWorld) { // the last batch is zeros, of which nothing is left
			zero(t, w, 2)
		},
		"index before": func(t *testing.T, w damageWorld) {
			zero(t, w, 1)
			do(t, os.RemoveAll(w.path("own", "index")), os.Remove(w.path("own", w.me.ID().String()+".head")))
		},
		"another index": func(t *testing.T, w damageWorld) {
			other := w
			other.cfg.Dir, other.shift = t.TempDir(), 100
			other.append(t, 21)
			do(t, os.RemoveAll(w.path("own", "index")), os.CopyFS(w.path("own", "index"), os.DirFS(other.path("own", "index"))))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newDamageWorld(t)
			damage(t, w)
			do(t, flip(w.segment("00000001"), 300))
			s, err := store.Open(w.cfg)
			if err == nil || !strings.Contains(err.Error(), "nor can it be made again") {
				t.Errorf("%v", err)
			}
			if err == nil {
				do(t, s.Close())
			}
			if _, err := os.Stat(w.path("own", w.me.ID().String()+".damaged")); err == nil {
				t.Error("the journal was replaced")
			}
		})
	}
}

// wornDisk fails where a journal is made again.
type wornDisk struct {
	journal.OSDisk
	why error // nil: it does not
}

func (d *wornDisk) OpenFile(path string, flag int) (journal.File, error) {
	if d.why != nil && strings.Contains(path, ".rebuilt") {
		return nil, &fs.PathError{Op: "open", Path: path, Err: d.why}
	}
	return d.OSDisk.OpenFile(path, flag)
}

// A journal that can be made again is not given up since the disk has no room for the
// copy, or fails: the start says so, and a later one makes it.
func TestRepairWantsADisk(t *testing.T) {
	for errno, want := range map[syscall.Errno]error{syscall.ENOSPC: store.ErrNoRoom, syscall.EDQUOT: store.ErrNoRoom, syscall.EIO: syscall.EIO} {
		t.Run(errno.Error(), func(t *testing.T) {
			w := newDamageWorld(t)
			do(t, flip(w.segment("00000001"), 300))
			d := &wornDisk{why: errno}
			w.cfg.GiveUp, w.cfg.Disk = true, d
			for range 2 {
				s, err := store.Open(w.cfg)
				if err == nil {
					do(t, s.Close())
				}
				if !errors.Is(err, want) || errors.Is(err, store.ErrNoRoom) != (want == store.ErrNoRoom) {
					t.Fatalf("error %v", err)
				}
			}
			d.why = nil
			w.append(t, 1)
		})
	}
}

// Making a journal again may end at any step, and the next start does it.
func TestRepairIsCutOff(t *testing.T) {
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	r := mathrand.New(mathrand.NewPCG(seed, 1))
	w := newDamageWorld(t)
	do(t, flip(w.segment("00000001"), 300))
	w.cfg.GiveUp = true
	before := w.cfg.Dir
	for n := 1; ; n++ {
		for f := storetest.Failed; f <= storetest.FailedHalf; f++ {
			w.cfg.Dir = filepath.Join(t.TempDir(), "data")
			do(t, os.CopyFS(w.cfg.Dir, os.DirFS(before)))
			step := w.cutOff(t, r, n, f)
			if step == "" {
				return
			}
			s, err := store.Open(w.cfg)
			do(t, err)
			if info, _ := s.Log(w.me.ID()); !info.Own || info.End.Size != w.entries {
				t.Fatalf("step %d, %s, %s: %+v", n, step, f, info)
			}
			do(t, s.Close())
		}
	}
}
