package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"rasid/cmd/rasid-lab/cabinet"
	simipp "rasid/hardware/sim/ipp"
	simssp "rasid/hardware/sim/ssp"
)

func command() *cobra.Command {
	root := &cobra.Command{
		Use: "rasid-lab", Short: "the workshop: a demonstration, simulated devices, power cuts, benchmarks",
		SilenceUsage: true, SilenceErrors: true,
	}
	root.AddCommand(demoCommand(), deviceCommand(), benchCommand(), benchStoreCommand(), powercutCommand(), writerCommand())
	return root
}

func demoCommand() *cobra.Command {
	var listen, keep string
	c := &cobra.Command{
		Use:   "demo",
		Short: "an office and three kiosks, each with its devices, on one page",
		Long: `Starts an office and three kiosks as separate programs, each kiosk wired to its own
simulated note acceptor and printer, every network link through a relay, and serves a
page to play with all of it. Ctrl-C stops every program and removes their data.`,
		Example: "  rasid-lab demo\n  rasid-lab demo --listen 127.0.0.1:9000 --keep demo-data",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo(cmd, listen, keep)
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8000", "address of the cabinet page")
	c.Flags().StringVar(&keep, "keep", "", "keep the data in this folder instead of removing it")
	return c
}

func demo(cmd *cobra.Command, listen, keep string) (err error) {
	started := time.Now()
	dir := keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "rasid-demo-"); err != nil {
			return fmt.Errorf("couldn't make a folder for the demonstration: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("couldn't find the folder: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("couldn't find this program: %w", err)
	}
	out := cmd.OutOrStdout()
	c, err := cabinet.New(cmd.Context(), cabinet.Config{Dir: dir, Programs: filepath.Dir(self), Listen: listen, Kiosks: 3, Consumers: 5000})
	if err != nil {
		return err
	}
	return c.Run(cmd.Context(), func() {
		fmt.Fprintf(out, "\nThe cabinet   %s   (open this one)\nThe office    %s\n", c.URL(), c.OfficeURL())
		for _, k := range c.Kiosks() {
			fmt.Fprintf(out, "%s      %s\n", k.Name, k.Screen())
		}
		fmt.Fprintf(out, "\nPay the bill of K-number %s: ₹1,264. Logs and data: %s\nReady after %.1f s. Ctrl-C stops everything.\n", cabinet.DemoNumber, dir, time.Since(started).Seconds())
	})
}

func deviceCommand() *cobra.Command {
	c := &cobra.Command{Use: "device", Short: "run one simulated device alone, for other people's hosts"}
	c.AddCommand(sspCommand(), ippCommand())
	return c
}

func sspCommand() *cobra.Command {
	var cfg simssp.Config
	c := &cobra.Command{
		Use:   "ssp",
		Short: "a note acceptor (NV200 class, ₹10 to ₹500) on a pseudo-terminal",
		Long: `Speaks SSP on a pseudo-terminal; --link is a symbolic link to it. The control socket
takes lines such as "insert 500", "jam unsafe", "power off", "pause after-accept",
"wait after-accept", "resume", "state" and "events"; answers are JSON lines.`,
		Example: "  rasid-lab device ssp --link acceptor --control acceptor.sock &\n  echo 'insert 100' | socat - UNIX-CONNECT:acceptor.sock",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cfg.Link == "" {
				return errors.New("--link is missing: name the symbolic link to make")
			}
			d, err := simssp.New(cfg)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "acceptor %s\n", cfg.Link)
			return ended(cmd.Context(), d.Run(cmd.Context()))
		},
	}
	c.Flags().StringVar(&cfg.Link, "link", "", "symbolic link to make to the pseudo-terminal")
	c.Flags().StringVar(&cfg.Control, "control", "", "path of the control socket")
	c.Flags().StringVar(&cfg.State, "state", "", "file that keeps box and counters over restarts")
	c.Flags().IntVar(&cfg.Speed, "speed", 1, "how much faster than life")
	c.Flags().DurationVar(&cfg.EscrowTimeout, "escrow-timeout", 0, "after what silence an escrowed note goes back (default 10 s by speed)")
	return c
}

func ippCommand() *cobra.Command {
	cfg := simipp.Config{Now: time.Now, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	c := &cobra.Command{
		Use:   "ipp",
		Short: "a laser printer that keeps what it prints",
		Long: `Speaks IPP on a loopback address and keeps every sheet as a PDF file. The control
socket takes "paper out", "refill", "jam", "clear", "busy on", "power off", "drop next
answer", "pause before-complete", "wait before-complete", "resume", "state", "events".`,
		Example: "  rasid-lab device ipp --listen 127.0.0.1:8631 --control printer.sock --spool sheets",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := simipp.New(cfg)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "printer %s\n", p.URI())
			return ended(cmd.Context(), p.Run(cmd.Context()))
		},
	}
	c.Flags().StringVar(&cfg.Listen, "listen", "127.0.0.1:8631", "loopback address")
	c.Flags().StringVar(&cfg.Control, "control", "", "path of the control socket")
	c.Flags().StringVar(&cfg.Spool, "spool", "sheets", "folder that keeps the sheets")
	c.Flags().IntVar(&cfg.Paper, "paper", 250, "sheets in the tray")
	return c
}

// ended makes an end on request no error.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}
