// Package cli is the command `ledger` of the programs that hold one: it asks the
// running program by its socket, or opens the files when none runs.
package cli

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"rasid/ledger"
	"rasid/ledger/store"
	"rasid/node/fleet"
	"rasid/node/inspect"
	"rasid/node/socket"
)

// jobName names the queries on the socket.
const jobName = "ledger"

// held fits the store to what inspect needs.
type held struct{ *store.Store }

func (h held) Logs() []inspect.Log {
	var out []inspect.Log
	for _, l := range h.Store.Logs() {
		for n, b := range h.Branches(l.ID) {
			log := inspect.Log{ID: l.ID, Key: l.Key, Opened: b.Opened(), End: b.End(), Own: l.Own, Branch: n, Departs: b.Departs()}
			if from := b.From(); from > 0 {
				log.PrunedFrom, log.PrunedTo = store.AlwaysHeld, from
			}
			out = append(out, log)
		}
	}
	return out
}

func (h held) Range(l inspect.Log, from, to uint64, f func(index uint64, entry []byte) error) error {
	return h.Branches(l.ID)[l.Branch].Range(from, to, f)
}

func (h held) Covering(l inspect.Log, index uint64) (ledger.Checkpoint, error) {
	return h.Branches(l.ID)[l.Branch].Covering(index)
}

func (h held) Edge(l inspect.Log, size uint64) (ledger.Edge, error) {
	return h.Branches(l.ID)[l.Branch].Edge(size)
}

func (h held) Forks() int          { return len(h.Store.Forks()) }
func (h held) MissingObjects() int { return len(h.Store.MissingObjects()) }

func (h held) Lost() []inspect.Loss {
	var out []inspect.Loss
	for _, l := range h.Store.Lost() {
		out = append(out, inspect.Loss{ID: l.Log, Had: l.Had.Size, Held: l.Held})
	}
	return out
}

// Jobs are what the running program answers on its socket.
func Jobs(s *store.Store, fleet ed25519.PublicKey) map[string]socket.Job {
	a := inspect.Asker{Ledger: held{s}, Fleet: fleet, Now: time.Now}
	return map[string]socket.Job{jobName: func(ctx context.Context, into func(any) error, reply socket.Reply) error {
		var q inspect.Query
		if err := into(&q); err != nil {
			return err
		}
		return a.Answer(ctx, q, reply.Out, reply.Progress)
	}}
}

// answer asks whatever runs on the folder dir, or opens its files, beside which headDir
// may hold what another medium knows of them.
func answer(ctx context.Context, dir, headDir string, q inspect.Query, reply socket.Reply) (err error) {
	if dir == "" {
		return errors.New("--dir is missing: name the data folder")
	}
	id, err := fleet.Load(dir)
	if err != nil {
		return err
	}
	if err := socket.Ask(ctx, dir, jobName, q, reply); !errors.Is(err, socket.ErrNotRunning) {
		return err
	}
	log := slog.New(slog.NewTextHandler(reply.Progress, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := store.Open(store.Config{Dir: filepath.Join(dir, "data"), Fleet: id.Fleet, Machine: id.MachineKey(), EvidenceDir: headDir, Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return inspect.Asker{Ledger: held{s}, Fleet: id.Fleet, Now: time.Now}.Answer(ctx, q, reply.Out, reply.Progress)
}

// Command is the command `ledger` of a program.
func Command(program string) *cobra.Command {
	c := &cobra.Command{
		Use:   "ledger",
		Short: "look at the ledger that is held here, and verify it",
		Long: `Looks at the ledger in a data folder: by the running program if there is one, else in
the files, which are recovered first as at any start. It changes no entry.

Exit status: 0 answered; of verify, all is as it was signed · 1 not answered; of
verify, something was found.`,
	}
	ask := func(q *inspect.Query, use, short, example string) *cobra.Command {
		var dir, headDir string
		sub := &cobra.Command{
			Use: use, Short: short, Args: cobra.NoArgs,
			Example: fmt.Sprintf("  %s ledger %s --dir /var/lib/%s%s", program, use, program, example),
			RunE: func(cmd *cobra.Command, _ []string) error {
				progress := &line{w: forPeople(cmd.ErrOrStderr())}
				err := answer(cmd.Context(), dir, headDir, *q, socket.Reply{Out: progress.before(cmd.OutOrStdout()), Progress: progress})
				return errors.Join(err, progress.end())
			},
		}
		sub.Flags().StringVar(&dir, "dir", "", "data folder")
		sub.Flags().StringVar(&headDir, "head-dir", "", "when none runs: the head_dir of its settings, by which a disk is found out that forgot")
		sub.Flags().StringVar(&q.Log, "log", "", "only logs whose id begins so")
		q.Do = use
		c.AddCommand(sub)
		return sub
	}
	ask(&inspect.Query{}, inspect.Stat, "count what is held", "")
	var heads, show inspect.Query
	ask(&heads, inspect.Heads, "list every log with its newest checkpoint", " --json").
		Flags().BoolVar(&heads.JSON, "json", false, "one object a line, with the checkpoint as a signed note")
	s := ask(&show, inspect.Show, "print entries", " --kind PaymentCommitted --count 10")
	s.Flags().BoolVar(&show.JSON, "json", false, "one object a line")
	s.Flags().Uint64Var(&show.From, "from", 0, "first index")
	s.Flags().Uint64Var(&show.Count, "count", 0, "at most so many of each log, 0 for all")
	s.Flags().StringVar(&show.Kind, "kind", "", "only entries of this kind, by name or number")
	ask(&inspect.Query{}, inspect.Verify, "read every entry, compute the trees anew, check every kept checkpoint", "")
	return c
}

// forPeople keeps progress out of files and pipes.
func forPeople(w io.Writer) io.Writer {
	f, ok := w.(*os.File)
	if !ok {
		return w
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return io.Discard
	}
	return w
}

// line is a line of progress that what follows wipes out.
type line struct {
	w    io.Writer
	open bool
}

func (l *line) Write(b []byte) (int, error) {
	if len(b) > 0 {
		l.open = true
	}
	return l.w.Write(b)
}

func (l *line) end() error {
	if !l.open {
		return nil
	}
	l.open = false
	_, err := io.WriteString(l.w, "\r\x1b[K")
	return err
}

type beforeLine struct {
	*line
	out io.Writer
}

func (l *line) before(out io.Writer) io.Writer { return beforeLine{l, out} }

func (b beforeLine) Write(p []byte) (int, error) {
	if len(p) > 0 {
		if err := b.end(); err != nil {
			return 0, err
		}
	}
	return b.out.Write(p)
}

var _ inspect.Ledger = held{}
