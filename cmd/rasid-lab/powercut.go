package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"rasid/cmd/rasid-lab/powercut"
)

// writerName is the hidden subcommand that the rig runs, kills and cuts.
const writerName = "powercut-writer"

// notRun is an error that says nothing about what a power cut loses.
type notRun struct{ error }

// ExitCode tells it from something lost.
func (notRun) ExitCode() int { return 2 }

// Unwrap returns why it did not run.
func (e notRun) Unwrap() error { return e.error }

func powercutCommand() *cobra.Command {
	var cfg powercut.Config
	var broken string
	c := &cobra.Command{
		Use:   "powercut",
		Short: "cut the power of a real file system under a real store, and look for what was shown",
		Long: `Mounts an ext4 file system in memory, has a process of its own commit, ingest and keep
objects there, and cuts its power at random moments: while it works, while it starts,
while a journal's segment begins, while Badger writes tables, while it prunes what others
wrote, and after a kill between a write and its sync. After each cut it mounts again, starts the store and compares:
everything that was shown to anyone is there with the same root, no position has other
bytes, nothing is dropped but what an office held long enough, and it goes on. Needs root, loop devices and mkfs.ext4, and leaves nothing
behind. A cut takes about a fifth of a second.

Exit code 0: nothing is missing. 1: something is, and the last line says what, with the
seed. 2: it could not run, or was stopped.`,
		Example: `  rasid-lab powercut
  rasid-lab powercut --cuts 5000 --seed 7 --keep broken
  rasid-lab powercut --cuts 50 --break journal-sync      # must find something missing`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Break = powercut.Break(broken)
			if broken != "" && !slices.Contains(powercut.Breaks(), cfg.Break) {
				return notRun{fmt.Errorf("--break %s is not known; take one of %v", broken, powercut.Breaks())}
			}
			if cfg.Only != "" && !slices.Contains(powercut.Moments(), cfg.Only) {
				return notRun{fmt.Errorf("--only %q is not known; take one of %q", cfg.Only, powercut.Moments())}
			}
			if cfg.Cuts < 1 {
				return notRun{fmt.Errorf("--cuts %d is too few; take at least 1", cfg.Cuts)}
			}
			if !cmd.Flags().Changed("seed") {
				var b [4]byte
				_, _ = rand.Read(b[:]) // never fails
				cfg.Seed = uint64(binary.BigEndian.Uint32(b[:]))
			}
			return cutPower(cmd.Context(), cfg, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	c.Flags().IntVar(&cfg.Cuts, "cuts", 300, "how often to cut")
	c.Flags().Uint64Var(&cfg.Seed, "seed", 0, "what is written and where the cuts fall (default: a new one, which is printed)")
	c.Flags().StringVar(&cfg.Only, "only", "", "cut only at this moment, as the summary names them")
	c.Flags().StringVar(&cfg.Keep, "keep", "", "copy the data folder there in which something is missing; the folder must be new")
	c.Flags().StringVar(&broken, "break", "", "take something out of the store, to see the rig notice: journal-sync, copy-at-start, sync-at-start or prune-age")
	return c
}

func cutPower(ctx context.Context, cfg powercut.Config, out, progress io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return notRun{fmt.Errorf("couldn't find this program: %w", err)}
	}
	cfg.Writer = func() *exec.Cmd { return exec.Command(self, writerName) }
	began := time.Now()
	said := began
	cfg.Progress = func(done int) {
		now := time.Now()
		if now.Sub(said) < time.Second {
			return
		}
		said = now
		took := now.Sub(began)
		left := took / time.Duration(done) * time.Duration(cfg.Cuts-done)
		fmt.Fprintf(progress, "powercut: %d of %d cuts, about %v to go\n", done, cfg.Cuts, left.Round(time.Second))
	}
	fmt.Fprintf(out, "powercut: %d cuts, seed %d\n", cfg.Cuts, cfg.Seed)
	result, err := powercut.Run(ctx, cfg)
	took := time.Since(began)
	fmt.Fprintf(out, "%s\n%.1f s, %.2f s a cut\n", result, took.Seconds(), took.Seconds()/float64(max(1, result.Cuts)))
	if lost := (*powercut.LostError)(nil); errors.As(err, &lost) {
		return fmt.Errorf("seed %d: %w", cfg.Seed, err)
	}
	if err != nil {
		return notRun{fmt.Errorf("couldn't finish the power cuts (seed %d): %w", cfg.Seed, err)}
	}
	fmt.Fprintln(out, "powercut: nothing that was shown is missing")
	return nil
}

func writerCommand() *cobra.Command {
	return &cobra.Command{
		Use: writerName, Short: "the process whose power the rig cuts", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return powercut.Write(cmd.Context(), powercut.Root(), os.Stdin, os.Stdout)
		},
	}
}
