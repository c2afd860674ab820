package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rasid/node/config"
	"rasid/node/inspect/cli"
)

// settings are the kiosk's; the weakest source is here.
type settings struct {
	Dir      string `toml:"dir" help:"the data folder, which holds the enrolment"`
	HeadDir  string `toml:"head_dir" help:"a folder on a second medium for the log's newest checkpoint, the evidence when the disk forgets; empty for the data folder"`
	Listen   string `toml:"listen" help:"loopback address of the screens, metrics and health"`
	Acceptor string `toml:"acceptor" help:"serial port of the note acceptor"`
	Printer  string `toml:"printer" help:"address of the printer, ipp://host:631/ipp/print"`
	Helpline string `toml:"helpline" help:"telephone number on screens and paper"`
	Frame    string `toml:"frame_ancestors" help:"origins that may show the screen in a frame; leave empty in the field"`
	Clock    string `toml:"clock" help:"what the machine's clock is worth when no time service set it: none or operator"`
	// PersonalDays is counted from when the sale's papers are out.
	PersonalDays int          `toml:"personal_days" help:"days that this kiosk can open a sale's sealed blob, 0 to 30"`
	RoomMiB      int          `toml:"room_mib" help:"MiB that must be free on the disk for money to be taken, from 32"`
	ReserveMiB   int          `toml:"reserve_mib" help:"MiB kept back for a full disk, so that what is under way ends well; 0 for none"`
	PruneDays    int          `toml:"prune_days" help:"days after which neighbours' entries that the office holds are dropped here, 0 for never"`
	Sync         syncSettings `toml:"sync"`
}

type syncSettings struct {
	Listen    string          `toml:"listen" help:"address where neighbours may connect, empty for none"`
	Peers     []string        `toml:"peers" help:"addresses of the office and of neighbours, host:port"`
	RedialMin config.Duration `toml:"redial_min" help:"first wait before an address is tried again"`
	RedialMax config.Duration `toml:"redial_max" help:"longest wait before an address is tried again"`
}

func defaults() *settings {
	return &settings{
		Listen: "127.0.0.1:8101", Helpline: "181", Clock: "none", PersonalDays: 3, RoomMiB: 256, ReserveMiB: 64, PruneDays: 400,
		Sync: syncSettings{RedialMin: config.Duration{Duration: time.Second}, RedialMax: config.Duration{Duration: time.Minute}},
	}
}

// Validate says what is missing or wrong, and what to do.
func (s *settings) Validate() error {
	host, _, err := net.SplitHostPort(s.Listen)
	ip := net.ParseIP(host)
	switch {
	case s.Dir == "":
		return errors.New("dir: name the data folder that rasid-office enrol made")
	case s.Acceptor == "":
		return errors.New("acceptor: name the serial port of the note acceptor, such as /dev/ttyACM0")
	case s.Printer == "":
		return errors.New("printer: name the printer, such as ipp://192.168.1.20:631/ipp/print")
	case err != nil || ip == nil || !ip.IsLoopback():
		return fmt.Errorf("listen: %q is no loopback address: the screens are for this machine's own browser, write 127.0.0.1:8101", s.Listen)
	case s.PersonalDays < 0 || s.PersonalDays > 30:
		return fmt.Errorf("personal_days: %d: write 0 to 30", s.PersonalDays)
	case s.RoomMiB < 32 || s.RoomMiB > 1<<20:
		return fmt.Errorf("room_mib: %d: write 32 or more, 256 where nothing speaks against it", s.RoomMiB)
	case s.ReserveMiB < 0 || s.ReserveMiB > 1<<20:
		return fmt.Errorf("reserve_mib: %d: write 0 or more, 64 where nothing speaks against it", s.ReserveMiB)
	case s.PruneDays < 0 || s.PruneDays > 36_500:
		return fmt.Errorf("prune_days: %d: write 0 for never, or 400 where nothing speaks against it", s.PruneDays)
	case s.Clock != "none" && s.Clock != "operator":
		return fmt.Errorf("clock: %q: write none or operator", s.Clock)
	}
	return nil
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "rasid-kiosk",
		Short: "a payment kiosk that works with no network",
		Long: `rasid-kiosk takes money, proves it on paper and keeps it in a signed log, with no
network at all; neighbours and the office get the log when there is a way.

Exit status: 0 ended as asked · 1 refused to start, or stopped because what is
durable was no longer certain: start it again, it recovers.`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.AddCommand(serveCommand(), cli.Command("rasid-kiosk"), configCommand())
	return root
}

func serveCommand() *cobra.Command {
	s, file := defaults(), ""
	c := &cobra.Command{
		Use:     "serve",
		Short:   "run the kiosk",
		Example: "  rasid-kiosk serve --config /etc/rasid/kiosk.toml\n  RASID_PRINTER=ipp://10.0.0.9/ipp/print rasid-kiosk serve --config kiosk.toml",
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

func configCommand() *cobra.Command {
	s, file := defaults(), ""
	check := &cobra.Command{
		Use:     "check",
		Short:   "check the settings and show each with where it came from",
		Example: "  rasid-kiosk config check --config /etc/rasid/kiosk.toml",
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
