package store_test

import (
	"fmt"
	"os"
	"testing"

	"rasid/ledger/store"
	"rasid/ledger/storetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(storetest.VictimVariable); dir != "" {
		if err := storetest.Victim(store.Open, dir, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestContract(t *testing.T) { storetest.Test(t, store.Open) }

// Crashes at random durable steps; a failing seed is added to this list for good.
func TestCrash(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { storetest.Crash(t, store.Open, seed) })
	}
}

// The store against a map in memory, and several stores against each other; a
// failing seed is added for good.
func TestModel(t *testing.T) {
	var seen storetest.ModelEvents
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { seen = seen.Plus(storetest.Model(t, store.Open, seed)) })
	}
	t.Logf("%+v", seen)
	if seen.Repaired < 3 || seen.PutBack < 2 || seen.Forked < 3 || seen.Beyond < 1 {
		t.Errorf("the seeds bring too little: %+v", seen)
	}
}

func TestMerge(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { storetest.Merge(t, store.Open, seed) })
	}
}

func TestKill(t *testing.T) { storetest.Kill(t, store.Open) }

func BenchmarkCommit(b *testing.B) {
	for b.Loop() {
		m, err := storetest.BenchCommit(b.Context(), b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(m.Raw.P50.Microseconds()), "raw-p50-µs")
		b.ReportMetric(float64(m.Raw.P99.Microseconds()), "raw-p99-µs")
		b.ReportMetric(float64(m.One.P50.Microseconds()), "one-p50-µs")
		b.ReportMetric(float64(m.One.P99.Microseconds()), "one-p99-µs")
		b.ReportMetric(float64(m.Sixteen.P50.Microseconds()), "sixteen-p50-µs")
		b.ReportMetric(float64(m.Sixteen.P99.Microseconds()), "sixteen-p99-µs")
		b.ReportMetric(m.OneRatio, "one/raw")
		b.ReportMetric(m.SixteenRatio, "sixteen/raw")
		b.ReportMetric(m.Batch, "commits/sync")
	}
}
