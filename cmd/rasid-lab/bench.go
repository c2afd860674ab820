package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// figure is one measured number beside its aim.
type figure struct {
	name  string
	value float64
	unit  string
	aim   string // "<= 2" or ">= 100000", empty for a number that only informs
}

func (f figure) met() string {
	var limit float64
	switch {
	case f.aim == "":
		return "-"
	case strings.HasPrefix(f.aim, "<= "):
		if _, err := fmt.Sscanf(f.aim, "<= %g", &limit); err == nil && f.value <= limit {
			return "met"
		}
	case strings.HasPrefix(f.aim, ">= "):
		if _, err := fmt.Sscanf(f.aim, ">= %g", &limit); err == nil && f.value >= limit {
			return "met"
		}
	}
	return "missed"
}

func (f figure) String() string {
	aim := f.aim
	if aim == "" {
		aim = "-"
	}
	return fmt.Sprintf("bench %s %.4g %s %s %s", f.name, f.value, f.unit, strings.ReplaceAll(aim, " ", ""), f.met())
}

func benchCommand() *cobra.Command {
	var out, filter string
	var entries int
	c := &cobra.Command{
		Use:   "bench",
		Short: "measure against the limits of the machine",
		Long: `Prints one line a figure: bench AREA.NAME VALUE UNIT AIM met|missed. Absolute times
are noise on a shared machine; figures in "x" are ratios within one run.`,
		Example: "  rasid-lab bench --out docs/BENCHMARKS.md\n  rasid-lab bench --only store --store-entries 5000000",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return bench(cmd.Context(), cmd.OutOrStdout(), out, filter, entries)
		},
	}
	c.Flags().StringVar(&out, "out", "", "also write the table to this file (Markdown)")
	c.Flags().StringVar(&filter, "only", "", "only areas that begin so")
	c.Flags().IntVar(&entries, "store-entries", benchStoreEntries, "how many entries the area store is measured with")
	return c
}

// areas are measured one after another, each in a folder of its own.
func areas(storeEntries int) []struct {
	name    string
	measure func(ctx context.Context, dir string) ([]figure, error)
} {
	return []struct {
		name    string
		measure func(ctx context.Context, dir string) ([]figure, error)
	}{
		{"ledger", benchLedger}, {"store", benchStore(storeEntries)}, {"paper", benchPaper}, {"sync", benchSync}, {"audit", benchAudit}, {"books", benchBooks}, {"screens", benchScreens},
	}
}

func bench(ctx context.Context, w io.Writer, out, filter string, storeEntries int) error {
	work, err := os.MkdirTemp("", "rasid-bench-")
	if err != nil {
		return fmt.Errorf("couldn't make a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }() // nothing in it is needed
	var all []figure
	for _, a := range areas(storeEntries) {
		if !strings.HasPrefix(a.name, filter) {
			continue
		}
		dir := filepath.Join(work, a.name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("couldn't make a folder: %w", err)
		}
		figures, err := a.measure(ctx, dir)
		if err != nil {
			return fmt.Errorf("couldn't measure %s: %w", a.name, err)
		}
		for _, f := range figures {
			fmt.Fprintln(w, f)
		}
		all = append(all, figures...)
	}
	if out == "" {
		return nil
	}
	fs, err := fileSystem(work)
	if err != nil {
		return err
	}
	return os.WriteFile(out, []byte(table(all, fs)), 0o644)
}

// aboutDurable says what the ratios of durable commits depend on.
const aboutDurable = `
The raw file of the area ledger grows, and each of its syncs makes the new length durable too. Our journal writes over zeros that are there, and saves
that; what it saves pays for the signature, the verification and the index. How much that is, the file system decides: with a journal of its own, as in the field
(` + "`ledger.journaled_`" + `), some writes; without, one block, which on a fast disk costs less than the signature alone. The raw file does nothing but write and sync, once
for all that wait. Each figure is the median of five rounds, the rivals by turns in each.
`

func table(all []figure, fs string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmarks\n\n`make bench` writes this page. Measured on %s/%s with %d processors and %s; ratios (\"x\") are within one run, absolute times\nare those of this machine alone. The files lay on %s.\n%s\n| figure | value | unit | aim | |\n|---|---:|---|---|---|\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), fs, aboutDurable)
	for _, f := range all {
		fmt.Fprintf(&b, "| %s | %.4g | %s | %s | %s |\n", f.name, f.value, f.unit, f.aim, f.met())
	}
	return b.String()
}

// quantile returns the p-th part of the sorted times, in milliseconds.
func quantile(times []time.Duration, p float64) float64 {
	sorted := slices.Clone(times)
	slices.Sort(sorted)
	return float64(sorted[min(len(sorted)-1, int(p*float64(len(sorted))))].Microseconds()) / 1000
}
