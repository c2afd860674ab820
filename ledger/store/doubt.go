package store

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"rasid/ledger"
	"rasid/ledger/journal"
)

// doubtSuffix ends the name of the journal's folder of a log that was given up.
const doubtSuffix = ".doubt"

// doubt is an own log that must not be signed any more.
type doubt struct {
	id  ledger.LogID
	why error
}

// doubtful reports whether an own log failed to open for what is on the disk, damage
// or a record that is no run that follows: then its key must not sign again, and all
// else may go on.
func doubtful(err error) bool {
	var damage *journal.DamageError
	return errors.Is(err, ErrInDoubt) || errors.As(err, &damage) || errors.Is(err, ledger.ErrMalformed)
}

// setAside remembers a log in doubt where that is wanted, and returns err where not.
func (s *Store) setAside(id ledger.LogID, err error) error {
	if !s.cfg.GiveUp || !doubtful(err) || errors.Is(err, errDamagedIndex) {
		return err
	}
	s.doubts = append(s.doubts, doubt{id, err})
	return nil
}

// giveUp makes a log in doubt one like any other machine's: what journal and index
// hold of it goes to the others' runs, neighbours may add what is missing, and the
// journal's folder stays under another name. Doing it again changes nothing.
func (s *Store) giveUp(d doubt) error {
	if err := s.salvage(d.id); err != nil {
		return fmt.Errorf("couldn't keep what is held of log %s, which is in doubt: %w", d.id, err)
	}
	dir := s.journalDir(d.id)
	aside := dir + doubtSuffix
	for n := 2; exists(aside); n++ {
		aside = fmt.Sprint(dir, doubtSuffix, n)
	}
	err := os.Rename(dir, aside)
	if errors.Is(err, fs.ErrNotExist) {
		err = makeDir(aside) // it says that the log was given up, where no journal is left to
	}
	if err != nil {
		return err
	}
	s.cfg.Log.Error("an own log is in doubt and is given up; nothing of it was removed", "log", d.id.String(), "journal", aside, "error", d.why)
	return syncDir(filepath.Dir(dir))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// salvage ingests what the index of own logs holds of one, which the journal was
// replayed into as far as it can be read.
func (s *Store) salvage(id ledger.LogID) error {
	logs, err := s.own.logs()
	if err != nil {
		return err
	}
	s.ingest.Lock()
	defer s.ingest.Unlock()
	st := &staged{logs: map[ledger.LogID][]held{}}
	for _, l := range logs {
		if l.branch.log != id {
			continue
		}
		h := held{own: true, index: s.own, branch: l.branch, log: l.log}
		for at := uint64(0); at < l.log.End.Size; {
			run, err := h.readRun(at, ledger.RunMaxBytes)
			if err != nil {
				return err
			}
			_, refused, err := s.stage(st, run)
			if err != nil {
				return err
			}
			if refused != nil {
				s.cfg.Log.Error("a part of a log in doubt contradicts what others hold of it", "log", id.String(), "from", at, "error", refused)
				break
			}
			at = run.End.Size
		}
	}
	return s.flush(st)
}

// LastKnown is the newest checkpoint that anything here shows of the log of that key,
// which OpenOwn refused as in doubt; the zero one where nothing does. The log may
// have been longer.
func (s *Store) LastKnown(key ed25519.PublicKey) ledger.Checkpoint {
	id := ledger.LogIDOf(key)
	last, err := s.headFile(id).read(key)
	if err != nil {
		last = ledger.Checkpoint{} // it says nothing true
	}
	if info, ok := s.Log(id); ok && info.End.Size > last.Size {
		last = info.End
	}
	return last
}
