package powercut

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fullDisks is how many writers die of a full disk.
const fullDisks = 5

// A store that is not told to mind the disk fills it until it dies: of an error in its
// journal, or of the signal that Badger's mapped files bring. With room again the next
// start finds all that was shown.
func TestFullDisk(t *testing.T) {
	if !mountable(t) {
		return // storetest fails every step of a disk in memory
	}
	c := config(t, 0)
	r := &rig{cfg: c, rand: rand.New(rand.NewPCG(c.Seed, 1)), result: Result{Moments: map[string]int{}, Said: map[string]int{}}}
	signals, refusals := 0, 0
	for range fullDisks {
		words := r.dieOfFullDisk(t)
		switch {
		case strings.Contains(words, "fault"):
			signals++
		case strings.Contains(words, unix.ENOSPC.Error()):
			refusals++
		default:
			t.Errorf("the writer died otherwise: %s", words)
		}
	}
	t.Logf("%d writers died of the signal, %d of an error; %s", signals, refusals, r.result)
	if r.result.Commits == 0 || r.result.Entries == 0 {
		t.Error("nothing was shown before the disk was full")
	}
}

// dieOfFullDisk lets one writer fill what is left of a disk, then makes room and
// verifies the next start. It returns the writer's last words.
func (r *rig) dieOfFullDisk(t *testing.T) string {
	t.Helper()
	var err error
	if r.volume, err = newVolume(t.Context(), 96<<20); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.volume.close(); err != nil {
			t.Error(err)
		}
	}()
	if r.world, err = newWorld(r.rand.Uint64()); err != nil {
		t.Fatal(err)
	}
	junk := r.volume.takeAllBut(t, 8<<20+r.rand.Uint64N(24<<20))
	l := ordinary(r.rand)
	l.Large, l.Objects = true, r.world.begin()
	l.Seed, l.Life = r.world.seed, r.world.lives
	p, err := start(r.cfg.Writer(), r.volume.root, l.orders)
	if err != nil {
		t.Fatal(err)
	}
	for rep := range p.reports {
		if err := r.take(rep); err != nil {
			t.Error(err)
		}
		if rep.Kind == kindReady {
			p.feed(r.world.deliver)
		}
	}
	if _, err := p.kill(r.take); err != nil {
		t.Fatal(err)
	}
	words := p.lastWords()
	if err := os.Remove(junk); err != nil {
		t.Fatal(err)
	}
	after := ordinary(r.rand)
	after.reports = 1
	if err := r.life(t.Context(), after, true); err != nil {
		t.Errorf("after %q: %v", words, err)
	}
	return words
}

// takeAllBut takes what is free on the volume but so many bytes, in a file that it
// returns.
func (v *volume) takeAllBut(t *testing.T, left uint64) string {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(v.root.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(v.path(), "junk"))
	if err != nil {
		t.Fatal(err)
	}
	free := st.Bfree * uint64(st.Bsize) // root has what is kept for root, too
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(free-left)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}
