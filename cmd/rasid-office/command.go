package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rasid/node"
	"rasid/node/catalogue"
	"rasid/node/config"
	"rasid/node/fleet"
	"rasid/node/inspect/cli"
	"rasid/node/socket"
)

// settings are the office's; the weakest source is here.
type settings struct {
	Dir    string          `toml:"dir" help:"the data folder that fleet init made"`
	Listen string          `toml:"listen" help:"address of the office page, metrics and health"`
	Sync   string          `toml:"sync" help:"address where kiosks connect"`
	Acks   config.Duration `toml:"acknowledge_every" help:"shortest time between two acknowledgements"`
	Frame  string          `toml:"frame_ancestors" help:"origins that may show the page in a frame"`
}

func defaults() *settings {
	return &settings{Listen: "127.0.0.1:8100", Sync: "127.0.0.1:8180", Acks: config.Duration{Duration: time.Hour}}
}

// Validate says what is missing or wrong, and what to do.
func (s *settings) Validate() error {
	if s.Dir == "" {
		return errors.New("dir: name the data folder that rasid-office fleet init made")
	}
	for key, addr := range map[string]string{"listen": s.Listen, "sync": s.Sync} {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("%s: %q is no address: write host:port", key, addr)
		}
	}
	return nil
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "rasid-office",
		Short: "head office: collect, show, publish, export",
		Long: `rasid-office holds every kiosk's log, shows payments and cash boxes, publishes
dues, enrols machines and exports the ledger for auditors.

Exit status: 0 done · 1 refused or failed; what was asked did not happen.`,
		SilenceUsage: true, SilenceErrors: true,
		// Every command reads keys, and one of them what is personal.
		PersistentPreRunE: func(*cobra.Command, []string) error { return node.HideMemory() },
	}
	root.AddCommand(fleetCommand(), enrolCommand(), serveCommand(), duesCommand(), exportCommand(), blobCommand(), eraseCommand(), keysCommand(), incarnationCommand(), cli.Command("rasid-office"), configCommand())
	return root
}

func fleetCommand() *cobra.Command {
	var dir string
	var r fleet.Request
	init := &cobra.Command{
		Use:   "init",
		Short: "make a new fleet: its keys, the office's identity, the first pepper and seal key",
		Long: `Makes a new fleet in a folder. Afterwards move fleet.key to a safe place, such as a
stick in a vault: it signs districts only and nothing here reads it again. Give
fleet.pub to everybody: with it anyone can verify receipts and exports.`,
		Example: "  rasid-office fleet init --dir /var/lib/rasid-office --name SKR-OFFICE --place Sikar",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return errors.New("--dir is missing: name the folder of the office")
			}
			id, err := fleet.Init(dir, r, time.Now(), rand.Reader)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The fleet is in %s; the office is %s.\nMove %s to a safe place. Give %s to everybody.\n", dir, id.Name, filepath.Join(dir, "fleet.key"), filepath.Join(dir, "fleet.pub"))
			return nil
		},
	}
	init.Flags().StringVar(&dir, "dir", "", "folder of the office")
	init.Flags().StringVar(&r.Name, "name", "OFFICE", "name of the office")
	init.Flags().StringVar(&r.Place, "place", "", "where it stands")
	init.Flags().Uint32Var(&r.Cell, "cell", 1, "number of the first cell")
	init.Flags().Uint32Var(&r.Slots, "slots", 10_000, "how many slots the district has, for good")
	c := &cobra.Command{Use: "fleet", Short: "make a fleet"}
	c.AddCommand(init)
	return c
}

func enrolCommand() *cobra.Command {
	var dir, out string
	var r fleet.Request
	c := &cobra.Command{
		Use:   "enrol NAME",
		Short: "make the identity of a new kiosk",
		Long: `Makes a folder with the keys and certificates of a new kiosk. Carry it to the kiosk:
it becomes its data folder. The office announces the kiosk at its next start, or at
once if it is running.`,
		Example: "  rasid-office enrol SKR-0147 --place 'AEN office, Sikar' --dir /var/lib/rasid-office --out /media/stick/SKR-0147",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir == "" || out == "" {
				return errors.New("--dir and --out are needed: the folder of the office, and the new kiosk's")
			}
			r.Name = args[0]
			m, err := fleet.Enrol(dir, out, r, time.Now(), rand.Reader)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Kiosk %s has slot %d; its identity is in %s.\n", m.Name, m.Chain.Machine.Slot, out)
			return announce(cmd.Context(), dir)
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "folder of the office")
	c.Flags().StringVar(&out, "out", "", "folder to make for the kiosk")
	c.Flags().StringVar(&r.Place, "place", "", "where the kiosk stands")
	c.Flags().Uint32Var(&r.Slot, "slot", 0, "slot, 0 for the next free one")
	c.Flags().Uint32Var(&r.Cell, "cell", 0, "cell, 0 for the office's")
	return c
}

// announce asks a running office to write what it has not announced yet. One that
// does not run does so at its next start.
func announce(ctx context.Context, dir string) error {
	_, err := ask(ctx, dir, "announce", nil)
	if errors.Is(err, socket.ErrNotRunning) {
		return nil
	}
	return err
}

func serveCommand() *cobra.Command {
	s, file := defaults(), ""
	c := &cobra.Command{
		Use:     "serve",
		Short:   "run the office",
		Example: "  rasid-office serve --config /etc/rasid/office.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := config.Load(s, file, os.Environ(), cmd.Flags()); err != nil {
				return err
			}
			return serve(cmd.Context(), s, cmd.OutOrStdout())
		},
	}
	c.Flags().StringVar(&file, "config", "", "settings file (TOML)")
	config.Register(c.Flags(), s)
	return c
}

func duesCommand() *cobra.Command {
	var dir, billerFile string
	publish := &cobra.Command{
		Use:   "publish FILE.csv",
		Short: "publish a biller's dues to all kiosks",
		Long: `Reads a dues file (docs/DUES.md), seals every record for its consumer alone and
publishes the set; it reaches the kiosks through the network, or their neighbours.
All of the file is published or nothing.`,
		Example: "  rasid-office dues publish jvvnl-2026-10.csv --biller jvvnl.toml --dir /var/lib/rasid-office",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir == "" {
				return errors.New("--dir is missing: name the folder of the office")
			}
			job, err := readDues(args[0], billerFile)
			if err != nil {
				return err
			}
			for _, w := range job.Warnings {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning:", w)
			}
			said, err := publishDues(cmd.Context(), dir, job)
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), said)
			}
			return err
		},
	}
	publish.Flags().StringVar(&dir, "dir", "", "folder of the office")
	publish.Flags().StringVar(&billerFile, "biller", "", "biller definition (TOML); without it the demonstration biller JVVNL")
	c := &cobra.Command{Use: "dues", Short: "publish dues"}
	c.AddCommand(publish)
	return c
}

// readDues reads and checks both files before anything is touched.
func readDues(csvFile, billerFile string) (duesJob, error) {
	d := catalogue.DefaultDefinition()
	if billerFile != "" {
		text, err := os.ReadFile(billerFile)
		if err != nil {
			return duesJob{}, fmt.Errorf("couldn't read the biller definition: %w", err)
		}
		if d, err = catalogue.ReadDefinition(billerFile, text); err != nil {
			return duesJob{}, err
		}
	}
	f, err := os.Open(csvFile)
	if err != nil {
		return duesJob{}, fmt.Errorf("couldn't read the dues: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return duesJob{}, fmt.Errorf("couldn't read the dues: %w", err)
	}
	list, err := catalogue.ReadCSV(io.Reader(f), d)
	if err != nil {
		return duesJob{}, fmt.Errorf("%s: nothing was published:\n%w", csvFile, err)
	}
	return duesJob{Biller: d.Biller, Dues: list.Dues, Warnings: list.Warnings, AsOf: info.ModTime()}, nil
}

func exportCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "export DIR",
		Short: "write the ledger to a new folder for auditors",
		Long: `Writes every log as C2SP tiles with its checkpoints, the objects, and the books for
hledger and beancount, under the office's signature. rasid-audit verify reads it.`,
		Example: "  rasid-office export /media/stick/export-2026-11-24 --dir /var/lib/rasid-office",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir == "" {
				return errors.New("--dir is missing: name the folder of the office")
			}
			target, err := filepath.Abs(args[0])
			if err != nil {
				return fmt.Errorf("couldn't find %s: %w", args[0], err)
			}
			said, err := exportTo(cmd.Context(), dir, target)
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), said)
			}
			return err
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "folder of the office")
	return c
}

func configCommand() *cobra.Command {
	s, file := defaults(), ""
	check := &cobra.Command{
		Use:     "check",
		Short:   "check the settings and show each with where it came from",
		Example: "  rasid-office config check --config /etc/rasid/office.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			values, err := config.Load(s, file, os.Environ(), cmd.Flags())
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, v := range values {
				fmt.Fprintf(w, "%s\t%q\t%s\n", v.Key, v.Value, v.Source)
			}
			return w.Flush()
		},
	}
	check.Flags().StringVar(&file, "config", "", "settings file (TOML)")
	config.Register(check.Flags(), s)
	c := &cobra.Command{Use: "config", Short: "look at the settings"}
	c.AddCommand(check)
	return c
}
