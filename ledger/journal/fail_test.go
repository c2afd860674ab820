package journal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rasid/ledger"
	"rasid/ledger/journal"
	"rasid/ledger/storetest"
)

const failAppends = 4

// life opens the journal and appends until something fails. It returns what was
// read, what was acknowledged on top, and the payload in flight.
func life(t *testing.T, dir string, disk *storetest.Disk, name string) (read, acked []string, inFlight string) {
	t.Helper()
	j, _, err := journal.Open(journal.Config{Dir: dir, Log: ledger.LogID{1}, Disk: disk, SegmentBytes: 200, Each: func(p []byte) error {
		read = append(read, string(p))
		return nil
	}})
	if err != nil {
		if !errors.Is(err, storetest.ErrInjected) {
			t.Fatalf("couldn't open: %v", err)
		}
		return read, nil, ""
	}
	defer func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}()
	for i := range failAppends {
		p := fmt.Sprint(name, i, strings.Repeat(".", 30*i))
		if err := j.Append([]byte(p)); err != nil {
			if !errors.Is(err, journal.ErrBroken) || !errors.Is(err, storetest.ErrInjected) {
				t.Fatalf("error %v", err)
			}
			if again := j.Append([]byte("later")); again != err {
				t.Fatalf("a broken journal answered %v, want %v", again, err)
			}
			return read, acked, p
		}
		acked = append(acked, p)
	}
	return read, acked, ""
}

// Every durable step fails in every way, alone and followed by a power cut; then
// the journal opens with what was acknowledged and at most the record in flight.
func TestFailurePairs(t *testing.T) {
	steps := 0
	for _, failure := range []storetest.Failure{storetest.Failed, storetest.FailedButPersisted, storetest.FailedHalf} {
		for n := 1; ; n++ {
			done := false
			for seed := range uint64(3) {
				done = failOnce(t, n, failure, seed)
			}
			if done {
				steps = n - 1
				break
			}
		}
		if steps < 3*failAppends {
			t.Fatalf("only %d durable steps were tried", steps)
		}
	}
}

// failOnce reports whether the workload has fewer than n durable steps.
func failOnce(t *testing.T, n int, failure storetest.Failure, seed uint64) bool {
	what := fmt.Sprintf("step %d %s, seed %d", n, failure, seed)
	dir := filepath.Join(t.TempDir(), "journal")
	_, want, _ := life(t, dir, &storetest.Disk{}, "a")
	disk := &storetest.Disk{}
	disk.FailAt(n, failure)
	read, acked, inFlight := life(t, dir, disk, "b")
	step, late := disk.Failed()
	if len(late) > 0 {
		t.Fatalf("%s: after %s had failed the journal still asked for %v", what, step, late)
	}
	if step != "" && seed > 0 { // seed 0: the process died and the machine did not
		if err := disk.Crash(rand.New(rand.NewPCG(seed, uint64(n))), dir, dir); err != nil {
			t.Fatal(err)
		}
	}
	if len(read) > 0 && !slices.Equal(read, want) {
		t.Fatalf("%s: read %q before, want %q", what, read, want)
	}
	want = append(want, acked...)
	got, more, _ := life(t, dir, &storetest.Disk{}, "c")
	if len(got) == len(want)+1 && inFlight != "" {
		want = append(want, inFlight)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%s (%s): read %q, want %q", what, step, got, want)
	}
	got, _, _ = life(t, dir, &storetest.Disk{}, "d")
	if !slices.Equal(got, append(want, more...)) {
		t.Fatalf("%s (%s): what came after is gone", what, step)
	}
	return step == ""
}

// What a killed process wrote is readable and may not be durable. Once Open has
// handed it out, something may have been built on it, so it must survive even a
// power cut right after.
func TestReadIsDurable(t *testing.T) {
	for seed := range uint64(20) {
		dir := filepath.Join(t.TempDir(), "journal")
		disk := &storetest.Disk{}
		disk.FailAt(10, storetest.Failed) // a sync after its write, checked below
		_, acked, inFlight := life(t, dir, disk, "a")
		if step, _ := disk.Failed(); step != "sync" || inFlight == "" {
			t.Fatalf("step 10 is %q; choose one that syncs a record", step)
		}
		disk.Restart()
		var read []string
		j, _, err := journal.Open(journal.Config{Dir: dir, Log: ledger.LogID{1}, Disk: disk, Each: func(p []byte) error {
			read = append(read, string(p))
			return nil
		}})
		if err != nil || len(read) != len(acked)+1 {
			t.Fatalf("%d records read, want %d: %v", len(read), len(acked)+1, err)
		}
		if err := errors.Join(j.Close(), disk.Crash(rand.New(rand.NewPCG(seed, 1)), dir, dir)); err != nil {
			t.Fatal(err)
		}
		if got, _, _ := life(t, dir, &storetest.Disk{}, "b"); !slices.Equal(got, read) {
			t.Fatalf("%d records were handed out, %d survived", len(read), len(got))
		}
	}
}
