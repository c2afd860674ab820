package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/store"
	"rasid/node/fleet"
)

// withRemedy names the command by which the office goes on, where the error is that one
// of its own logs must not be written any more.
func withRemedy(err error, dir string) error {
	var own *store.OwnLogError
	if !errors.As(err, &own) {
		return err
	}
	return fmt.Errorf("%w; where nothing better is left: rasid-office incarnation begin %s --dir %s", err, own.Log, dir)
}

func incarnationCommand() *cobra.Command {
	var dir string
	begin := &cobra.Command{
		Use:   "begin LOGID...",
		Short: "give up logs of the office that are in doubt or damaged, and go on with new ones",
		Long: `Gives up logs of this office that it refuses to open: in doubt, forked, or with a
damaged journal that cannot be made again. What is held of such a log is kept and
served like any other machine's, its journal stays in the folder LOGID.doubt, and its
key signs nothing more. The office goes on with a new log, which names the last state
known of the one before. A log that opens is not given up. Entries that nothing holds
any more stay lost, so this is for when no whole disk is left to go on with.

Stop the office first. Afterwards look at what it published last: dues, erasures and
renewed keys that are missing are to be published again.`,
		Example: "  rasid-office incarnation begin 0f1e2d3c4b5a69788796a5b4c3d2e1f0 --dir /var/lib/rasid-office",
		Args:    cobra.RangeArgs(1, 2), // the authority log and the cell's
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir == "" {
				return errors.New("--dir is missing: name the folder of the office")
			}
			var ids []ledger.LogID
			for _, a := range args {
				id, err := ledger.ParseLogID(a)
				if err != nil {
					return err
				}
				ids = append(ids, id)
			}
			said, err := beginIncarnations(dir, ids, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
			_, sayErr := fmt.Fprint(cmd.OutOrStdout(), said)
			return errors.Join(err, sayErr)
		},
	}
	begin.Flags().StringVar(&dir, "dir", "", "folder of the office")
	c := &cobra.Command{Use: "incarnation", Short: "go on with a new log where one must not be written any more"}
	c.AddCommand(begin)
	return c
}

// beginIncarnations gives up the office's logs of those ids and grants the next ones.
// It tells of each that is done, also where a later one fails; when it was cut off,
// doing it again ends it.
func beginIncarnations(dir string, ids []ledger.LogID, log *slog.Logger) (said string, err error) {
	id, err := loadOffice(dir)
	if err != nil {
		return "", err
	}
	keys, err := logKeys(id, ids)
	if err != nil {
		return "", err
	}
	s, err := store.Open(store.Config{Dir: filepath.Join(dir, "data"), Fleet: id.Fleet, Machine: id.MachineKey(), Log: log, GiveUp: true, GiveUpOnly: ids})
	if err != nil {
		return "", withRemedy(err, dir)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var all strings.Builder
	for _, k := range keys {
		public := k.Grant.PublicKey()
		if _, err := s.OpenOwn(k.Key); err == nil {
			return all.String(), fmt.Errorf("log %s opens, so it is not given up: start the office", ledger.LogIDOf(public))
		} else if !errors.Is(err, store.ErrInDoubt) {
			return all.String(), err
		}
		last := s.LastKnown(public)
		next, err := id.NextLogKey(k, s.WhyGivenUp(public), last, rand.Reader)
		if err != nil {
			return all.String(), err
		}
		fmt.Fprintf(&all, "Gave up log %s, which is known to have had %d entries. The office goes on with %s.\n", ledger.LogIDOf(public), last.Size, next)
	}
	return all.String(), nil
}

// logKeys finds the office's newest keys by the ids of their logs.
func logKeys(id fleet.Identity, ids []ledger.LogID) ([]fleet.LogKey, error) {
	byID, names := map[ledger.LogID]fleet.LogKey{}, []string{}
	for _, stream := range []cert.Stream{cert.StreamAuthority, cellStream(id)} {
		k, err := id.OpenLogKey(stream, rand.Reader)
		if err != nil {
			return nil, err
		}
		log := ledger.LogIDOf(k.Key.Public().(ed25519.PublicKey))
		byID[log] = k
		names = append(names, log.String())
	}
	var keys []fleet.LogKey
	for _, log := range ids {
		k, ok := byID[log]
		if !ok {
			return nil, fmt.Errorf("log %s is none that this office writes now: those are %s", log, strings.Join(names, " and "))
		}
		delete(byID, log) // named twice is an error, too
		keys = append(keys, k)
	}
	return keys, nil
}
