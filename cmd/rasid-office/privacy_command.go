package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"rasid/ledger/object"
	"rasid/node/fleet"
	"rasid/node/lang"
	"rasid/node/socket"
)

// runJob asks the running office, or opens the folder when none runs.
func runJob(ctx context.Context, dir, job string, v any, f func(ctx context.Context, l *ledgers) (string, error)) (string, error) {
	if dir == "" {
		return "", errors.New("--dir is missing: name the folder of the office")
	}
	said, err := ask(ctx, dir, job, v)
	if errors.Is(err, socket.ErrNotRunning) {
		return alone(ctx, dir, func(ctx context.Context, l *ledgers) (string, error) {
			if err := l.announce(ctx); err != nil {
				return "", err
			}
			return f(ctx, l)
		})
	}
	return said, err
}

// privacyJobs answer those commands while the office runs.
func (o *office) privacyJobs() map[string]socket.Job {
	return map[string]socket.Job{
		"blob": func(_ context.Context, into func(any) error, reply socket.Reply) error {
			var what string
			if err := into(&what); err != nil {
				return err
			}
			return say(reply)(o.blob(what))
		},
		"erase": func(ctx context.Context, into func(any) error, reply socket.Reply) error {
			var job eraseJob
			if err := into(&job); err != nil {
				return err
			}
			return say(reply)(o.erase(ctx, job))
		},
		"rotate": func(ctx context.Context, into func(any) error, reply socket.Reply) error {
			var job rotateJob
			if err := into(&job); err != nil {
				return err
			}
			return say(reply)(o.rotate(ctx, job))
		},
	}
}

func blobCommand() *cobra.Command {
	var dir, keys string
	open := &cobra.Command{
		Use:   "open RECEIPT-NUMBER|HASH",
		Short: "show what is personal of a sale, on this terminal alone",
		Long: `Opens the sealed blob of a sale, named by the number on its receipt, slip or claim, or
by the blob's hash, with the office's seal key. What it holds is printed to a terminal
and nowhere else: neither a file nor a pipe gets it, and no log.`,
		Example: "  rasid-office blob open 147-1-20-V71D-F --dir /var/lib/rasid-office --keys /media/vault",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, ok := cmd.OutOrStdout().(*os.File)
			if !ok || !terminal(out) {
				return errors.New("what is personal is shown on a terminal alone: run this by hand, without a pipe or a file")
			}
			if keys == "" {
				keys = dir
			}
			return openBlob(cmd.Context(), dir, keys, args[0], out)
		},
	}
	open.Flags().StringVar(&dir, "dir", "", "folder of the office")
	open.Flags().StringVar(&keys, "keys", "", "folder of seal.json; without it the office's")
	c := &cobra.Command{Use: "blob", Short: "open what kiosks sealed for the office"}
	c.AddCommand(open)
	return c
}

func terminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// openBlob opens the blob in this process: the office that serves never sees what it
// holds.
func openBlob(ctx context.Context, dir, keys, what string, out io.Writer) error {
	said, err := runJob(ctx, dir, "blob", what, func(_ context.Context, l *ledgers) (string, error) { return l.blob(what) })
	if err != nil {
		return err
	}
	var s sealed
	if err := json.Unmarshal([]byte(said), &s); err != nil {
		return fmt.Errorf("couldn't read the office's answer: %w", err)
	}
	all, err := fleet.OpenKeys(keys)
	if err != nil {
		return err
	}
	key, ok := all[s.Found.Seal]
	if !ok {
		return fmt.Errorf("the blob is sealed to seal key %d, which is not in %s: name the folder that has it with --keys", s.Found.Seal, keys)
	}
	p, err := object.Open(key, object.Purpose{Log: s.Found.Log, Bill: s.Found.Bill}, s.Blob)
	if err != nil {
		return fmt.Errorf("the blob %s: %w", s.Found.Object, err)
	}
	_, err = fmt.Fprintf(out, "kiosk slot  %d\nsale        %s/%d\nbiller      %s\ndue         %s\nnumber      %s\nname        %s\nmobile      %s\nblob        %s\n",
		s.Found.Slot, s.Found.Log, s.Found.Sale, s.Found.Biller, lang.INR(int64(s.Found.Due)), p.Number, p.Name, p.Mobile, s.Found.Object)
	return err
}

func eraseCommand() *cobra.Command {
	var dir string
	var job eraseJob
	c := &cobra.Command{
		Use:   "erase RECEIPT-NUMBER|HASH...",
		Short: "erase what is personal of sales, at every machine",
		Long: `Writes to the authority log that the sealed blobs of these sales are to be gone. This
office removes its copies at once, every other machine when the entry reaches it.
Entries, receipts, proofs and totals do not change. It cannot be undone.`,
		Example: "  rasid-office erase 147-1-20-V71D-F --why 'asked for by the citizen' --dir /var/lib/rasid-office",
		Args:    cobra.RangeArgs(1, 256),
		RunE: func(cmd *cobra.Command, args []string) error {
			if job.Why == "" {
				return errors.New("--why is missing: say in a few words why, naming nobody; it stands in the log for good")
			}
			job.What = args
			said, err := runJob(cmd.Context(), dir, "erase", job, func(ctx context.Context, l *ledgers) (string, error) { return l.erase(ctx, job) })
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), said)
			}
			return err
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "folder of the office")
	c.Flags().StringVar(&job.Why, "why", "", "why, in at most 128 bytes, naming nobody")
	return c
}

func keysCommand() *cobra.Command {
	var dir string
	var job rotateJob
	rotate := &cobra.Command{
		Use:   "rotate --pepper|--seal",
		Short: "renew the pepper or the seal key of the fleet",
		Long: `Draws the next pepper, or the next seal key, and gives it to every machine through the
authority log; a pepper is sealed to each machine by itself. The one before stays valid.
A bill has another key under another pepper; kiosks recognise one that was paid under
the pepper before, and under no earlier one, so a pepper lasts two months at least.`,
		Example: "  rasid-office keys rotate --seal --dir /var/lib/rasid-office",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !job.Pepper && !job.Seal {
				return errors.New("say which keys to renew: --pepper, --seal or both")
			}
			said, err := runJob(cmd.Context(), dir, "rotate", job, func(ctx context.Context, l *ledgers) (string, error) { return l.rotate(ctx, job) })
			fmt.Fprint(cmd.OutOrStdout(), said)
			return err
		},
	}
	rotate.Flags().StringVar(&dir, "dir", "", "folder of the office")
	rotate.Flags().BoolVar(&job.Pepper, "pepper", false, "renew the pepper")
	rotate.Flags().BoolVar(&job.Early, "early", false, "renew a pepper that is younger than two months: after a revocation or a theft")
	rotate.Flags().BoolVar(&job.Seal, "seal", false, "renew the seal key")
	c := &cobra.Command{Use: "keys", Short: "renew the fleet's numbered keys"}
	c.AddCommand(rotate)
	return c
}
