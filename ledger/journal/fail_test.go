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

func begin(dir string, disk journal.Disk, read *[]string) (*journal.Journal, error) {
	j, _, err := journal.Open(journal.Config{Dir: dir, Log: ledger.LogID{1}, Disk: disk, SegmentBytes: 250, Each: func(p []byte, _ bool) error {
		*read = append(*read, string(p))
		return nil
	}})
	if err != nil {
		return nil, err
	}
	if err := j.Begin(); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	return j, nil
}

// life opens the journal and appends until something fails. It returns what was
// read, what was acknowledged on top, and the payload in flight.
func life(t *testing.T, dir string, disk *storetest.Disk, name string) (read, acked []string, inFlight string) {
	t.Helper()
	j, err := begin(dir, disk, &read)
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
		if i%2 == 0 {
			continue
		}
		if err := errors.Join(j.Seal(), j.Prepare()); err != nil {
			return read, acked, ""
		}
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

// What a killed process wrote is readable and not durable, whether the process died
// before the sync or the sync failed; and after a failed one no further sync of the
// same bytes helps. Once Begin has returned something may be built on all that was
// read, so it must survive even a power cut right after.
func TestReadIsDurable(t *testing.T) {
	tried := map[string]int{}
	for n := 1; n < 40; n++ {
		for seed := range uint64(10) {
			dir := filepath.Join(t.TempDir(), "journal")
			disk := &storetest.Disk{}
			disk.FailAt(n, storetest.Failed)
			_, acked, inFlight := life(t, dir, disk, "a")
			step, _ := disk.Failed()
			disk.Restart()
			var read []string
			j, err := begin(dir, disk, &read)
			if err != nil {
				t.Fatal(err)
			}
			if len(read) > len(acked) {
				tried[step]++
				acked = append(acked, inFlight)
			}
			if !slices.Equal(read, acked) {
				t.Fatalf("step %d (%s): read %q, want %q", n, step, read, acked)
			}
			if err := errors.Join(j.Append([]byte("built on it")), j.Close(), disk.Crash(rand.New(rand.NewPCG(seed, 1)), dir, dir)); err != nil {
				t.Fatal(err)
			}
			if got, _, _ := life(t, dir, &storetest.Disk{}, "b"); !slices.Equal(got, append(read, "built on it")) {
				t.Fatalf("step %d (%s), seed %d: %q were handed out, %q survived", n, step, seed, read, got)
			}
		}
	}
	if tried["sync"] < 20 {
		t.Fatalf("only in %v a record was readable that had not been acknowledged", tried)
	}
}
