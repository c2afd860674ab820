package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"rasid/ledger/storetest"
	"rasid/node"
)

// How much the store is measured with by default.
const (
	benchStoreEntries = 1_000_000
	benchStoreLogs    = 150
	benchStoreRun     = 256 // entries to a run, about
	benchStoreSigned  = 30_000
)

// benchStore measures ingest and start of a store that holds others' logs, each in
// a process of its own, so that processor time and memory are the store's alone.
func benchStore(entries int) func(ctx context.Context, dir string) ([]figure, error) {
	return func(ctx context.Context, dir string) ([]figure, error) {
		runs, single := filepath.Join(dir, "runs"), filepath.Join(dir, "single")
		if _, err := storetest.WriteMix(runs, entries, benchStoreLogs, benchStoreRun); err != nil {
			return nil, err
		}
		if _, err := storetest.WriteMix(single, min(entries, benchStoreSigned), benchStoreLogs/10, 1); err != nil {
			return nil, err
		}
		var in, signed storetest.IngestBench
		var start storetest.StartBench
		folder := filepath.Join(dir, "data")
		if err := alone(ctx, &in, "ingest", folder, runs); err != nil {
			return nil, err
		}
		if err := alone(ctx, &start, "start", folder); err != nil {
			return nil, err
		}
		if err := alone(ctx, &signed, "ingest", filepath.Join(dir, "signed"), single); err != nil {
			return nil, err
		}
		const mib = 1 << 20
		perCore := float64(in.Entries) / in.CPU.Seconds()
		bundled := float64(in.Peers.Bundles) * 256
		rest := in.Peers.PieceBytes + in.Peers.TreeBytes + in.Peers.PointBytes + in.Peers.NameBytes + in.Peers.OtherBytes
		return []figure{
			{"store.ingest_entries", float64(in.Entries), "entries", ""},
			{"store.ingest", float64(in.Entries) / in.Wall.Seconds(), "entries/s", ""},
			{"store.ingest_per_core", perCore, "entries/s", ">= 250000"},
			{"store.ingest_over_signature_per_entry", perCore / (float64(signed.Entries) / signed.CPU.Seconds()), "x", ">= 12"},
			{"store.ingest_peak_rss", float64(in.PeakRSS) / mib, "MiB", "<= 256"},
			{"store.bundle_bytes_per_entry", float64(in.Peers.BundleBytes) / bundled, "B", "<= 48"},
			{"store.index_bytes_per_entry", float64(rest) / float64(in.Entries), "B", ""},
			{"store.disk_per_entry", float64(in.DiskBytes) / float64(in.Entries), "B", ""},
			{"store.start_to_serving", float64(start.Serving.Microseconds()) / 1000, "ms", "<= 300"},
			{"store.start_rss_anon", float64(start.RSSAnon) / mib, "MiB", "<= 64"},
		}, nil
	}
}

// alone runs one measurement in a process of its own and reads what it found.
func alone(ctx context.Context, result any, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, self, append([]string{"bench-store"}, args...)...)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return fmt.Errorf("couldn't measure %v: %w", args, err)
	}
	return json.Unmarshal(out, result)
}

// benchStoreCommand is what alone runs.
func benchStoreCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "bench-store ingest FOLDER FILE | start FOLDER",
		Short:  "one measurement of the store, for bench",
		Hidden: true,
		Args:   cobra.RangeArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			var result any
			var err error
			// Memory is bounded as in the programs that hold a store.
			ctx, end := context.WithCancel(cmd.Context())
			look := time.NewTicker(time.Second)
			bounded := make(chan error, 1)
			go func() { bounded <- node.BoundMemory(ctx, look.C) }()
			defer func() { end(); <-bounded; look.Stop() }()
			switch {
			case args[0] == "ingest" && len(args) == 3:
				result, err = storetest.BenchIngest(args[1], args[2])
			case args[0] == "start" && len(args) == 2:
				result, err = storetest.BenchStart(args[1])
			default:
				err = fmt.Errorf("unknown measurement %v", args)
			}
			if err != nil {
				return err
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(result)
		},
	}
}
