package powercut

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"rasid/internal/testtool"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
)

const (
	// writerVariable makes the test binary a writer.
	writerVariable = "RASID_POWERCUT_WRITER"
	testCuts       = 300
	// brokenCuts is within how many cuts a broken store must be found out.
	brokenCuts = 300
	// memoryWorlds is how many worlds of eight crashes each take the place of the cuts
	// where no file system can be mounted.
	memoryWorlds = 40
)

func TestMain(m *testing.M) {
	if os.Getenv(writerVariable) != "" {
		fmt.Fprintln(os.Stderr, Write(context.Background(), Root(), os.Stdin, os.Stdout))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func config(t *testing.T, cuts int) Config {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return Config{Cuts: cuts, Seed: seed, Progress: func(int) {}, Writer: func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writerVariable+"=1")
		return cmd
	}}
}

// mountable reports whether this machine lets us mount. Where root has loop devices,
// a mount that fails is a failure of the test.
func mountable(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Log("no real file system is cut: only root may mount one")
		return false
	}
	testtool.Need(t, "mkfs.ext4", "e2fsprogs")
	v, err := newVolume(t.Context(), volumeBytes)
	if errors.Is(err, ErrUnsupported) {
		t.Logf("no real file system is cut: %v", err)
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := v.close(); err != nil {
		t.Fatal(err)
	}
	return true
}

// Nothing that was shown is missing after any of the cuts. Where no file system can
// be mounted, a disk in memory that fails on command takes its place.
func TestCuts(t *testing.T) {
	if !mountable(t) {
		first := rand.Uint64()
		for i := range uint64(memoryWorlds) {
			t.Run(fmt.Sprint(first+i), func(t *testing.T) { storetest.Crash(t, store.Open, first+i) })
		}
		return
	}
	res, err := Run(t.Context(), config(t, testCuts))
	t.Log(res)
	if err != nil {
		t.Fatal(err)
	}
	if res.Cuts != testCuts || len(res.Moments) != len(moments()) || res.Stood < testCuts/10 || res.Commits == 0 || res.Tips == 0 || res.Objects == 0 || res.Drops == 0 || res.Inside == 0 {
		t.Errorf("the rig did not do its work: %+v", res)
	}
}

// The rig finds out a store whose journal does not sync, two that build on what they
// read without making it durable first, and one that prunes what may not go yet.
func TestBrokenIsFound(t *testing.T) {
	if !mountable(t) {
		return // storetest's own tests break that disk
	}
	for _, b := range Breaks() {
		t.Run(string(b), func(t *testing.T) {
			c := config(t, brokenCuts)
			m, says := b.found()
			c.Break, c.Only = b, string(m)
			c.Keep = t.TempDir() + "/kept"
			res, err := Run(t.Context(), c)
			var lost *LostError
			if !errors.As(err, &lost) || !strings.Contains(err.Error(), says) {
				t.Fatalf("%d cuts and nothing was found missing: %v", res.Cuts, err)
			}
			t.Logf("%v", err)
			if _, err := os.Stat(c.Keep + "/own"); err != nil {
				t.Errorf("the broken folder was not kept: %v", err)
			}
		})
	}
}

// A run that is stopped leaves no loop device, and neither does one that fails.
func TestNothingIsLeft(t *testing.T) {
	if !mountable(t) {
		return // nothing was made
	}
	ctx, cancel := context.WithCancel(t.Context())
	c := config(t, testCuts)
	c.Progress = func(done int) {
		if done == 3 {
			cancel()
		}
	}
	r := &rig{cfg: c, rand: rand.New(rand.NewPCG(c.Seed, 0)), result: Result{Moments: map[string]int{}, Said: map[string]int{}}}
	if err := r.run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that it was stopped", err)
	}
	if r.volume.root != nil || r.volume.mount != nil {
		t.Fatal("the file system is still mounted")
	}
	if ours, err := r.volume.loopIsOurs(); err != nil || ours {
		t.Fatalf("%s is still there: %v", r.volume.loop, err)
	}
}
