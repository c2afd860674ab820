package store

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/journal"
)

// doubtSuffix ends the name of the journal's folder of a log that was given up.
const doubtSuffix = ".doubt"

// doubt is an own log that must not be signed any more.
type doubt struct {
	id  ledger.LogID
	why error
}

// elsewhere is a doubt that only something beside this disk raises, a head file on
// another or a neighbour: journal and index are whole and agree, so the disk is an older
// copy, or was copied.
type elsewhere struct{ error }

func (e elsewhere) Unwrap() error { return e.error }

// reasonName is the file in a given up journal's folder that says why.
const reasonName = "why"

// reasonOf is what a new incarnation's grant is to say.
func reasonOf(why error) cert.Reason {
	var e elsewhere
	if errors.As(why, &e) {
		return cert.ReasonRestored
	}
	return cert.ReasonDoubt
}

// doubtful reports whether an own log failed to open for what is on the disk, damage
// or a record that is no run that follows: then its key must not sign again, and all
// else may go on.
func doubtful(err error) bool {
	var damage *journal.DamageError
	return errors.Is(err, ErrInDoubt) || errors.As(err, &damage) || errors.Is(err, ledger.ErrMalformed)
}

// mayGiveUp reports whether it is wanted that the log be given up where it is in doubt.
func (c *Config) mayGiveUp(id ledger.LogID) bool {
	return c.GiveUp && (len(c.GiveUpOnly) == 0 || slices.Contains(c.GiveUpOnly, id))
}

// setAside remembers a log in doubt where that is wanted, and returns err where not.
func (s *Store) setAside(id ledger.LogID, err error) error {
	if !doubtful(err) || errors.Is(err, errDamagedIndex) {
		return err
	}
	if !s.cfg.mayGiveUp(id) {
		return &OwnLogError{id, err}
	}
	s.doubts = append(s.doubts, doubt{id, err})
	return nil
}

// letGo sets an own log aside before Run, or returns why where that is not wanted.
func (s *Store) letGo(id ledger.LogID, why error) error {
	if err := s.setAside(id, why); err != nil {
		return err
	}
	return s.closeWriter(id)
}

// doubtByPeers lets go of every own log of which the index of others' logs holds more, or
// shows another history.
func (s *Store) doubtByPeers(logs []stored) error {
	for _, f := range s.forks {
		if !s.isOwn(f.Log) {
			continue
		}
		if err := s.letGo(f.Log, forkedOwn(f.Log, f.Theirs.End.Size)); err != nil {
			return err
		}
	}
	for _, l := range logs {
		id, theirs := l.branch.log, l.log.End.Size
		if !s.isOwn(id) || s.logs[id].log.End.Size >= theirs {
			continue
		}
		if err := s.letGo(id, elsewhere{inDoubt(id, s.logs[id].log.End.Size, "a neighbour sent %d", theirs)}); err != nil {
			return err
		}
	}
	return nil
}

// doubtByMarks lets go of every own log of which the marks say that more was held among
// others' logs, or another history shown: what showed it may be gone.
func (s *Store) doubtByMarks(said marked) error {
	all := slices.Concat(said.lost, said.forks)
	for branch, tip := range said.held {
		all = append(all, mark{branch: branch, tip: tip})
	}
	for _, m := range all {
		id := m.branch.log
		if !s.isOwn(id) {
			continue
		}
		h := s.logs[id]
		why := forkedOwn(id, m.tip.Size)
		if m.kind != markForked && m.tip.Size > h.log.End.Size {
			why = elsewhere{inDoubt(id, h.log.End.Size, "the marks say that a neighbour sent %d", m.tip.Size)}
		} else if m.kind != markForked {
			root, err := h.rootAt(m.tip.Size)
			if err != nil {
				return err
			}
			if root == m.tip.Root {
				continue
			}
		}
		if err := s.letGo(id, why); err != nil {
			return err
		}
	}
	return nil
}

// giveUp makes a log in doubt one like any other machine's: what journal and index
// hold of it goes to the others' runs, neighbours may add what is missing, and the
// journal's folder stays under another name. It may be cut off at any step: what raised
// the doubt is there until the last, and doing it again changes nothing.
func (s *Store) giveUp(d doubt) error {
	if err := s.salvage(d.id); err != nil {
		return fmt.Errorf("couldn't keep what is held of log %s, which is in doubt: %w", d.id, err)
	}
	dir := s.journalDir(d.id)
	aside := dir + doubtSuffix
	for n := 2; exists(aside); n++ {
		aside = fmt.Sprint(dir, doubtSuffix, n)
	}
	if err := makeDir(dir); err != nil { // where no journal is left, it says that the log was given up
		return err
	}
	if err := s.writeReason(d.id, d.why); err != nil {
		return err
	}
	if err := s.cfg.Disk.Rename(dir, aside); err != nil {
		return err
	}
	s.cfg.Log.Error("an own log is in doubt and is given up; nothing of it was removed", "log", d.id.String(), "journal", aside, "error", d.why)
	return s.cfg.Disk.SyncDir(filepath.Dir(dir))
}

// writeReason says in the folder of the journal why it is given up, where nothing says so
// yet: what is known first is what a neighbour showed.
func (s *Store) writeReason(id ledger.LogID, why error) error {
	path := filepath.Join(s.journalDir(id), reasonName)
	if exists(path) {
		return nil
	}
	return writeDurablyTo(s.cfg.Disk, path, fmt.Appendf(nil, "%d\n%v\n", reasonOf(why), why))
}

// checkReason says that a log is in doubt whose journal has a reason for it already: an
// earlier run had proof that somebody signed more, and perhaps could keep it nowhere else.
func (s *Store) checkReason(id ledger.LogID, size uint64) error {
	path := filepath.Join(s.journalDir(id), reasonName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, words, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	err = inDoubt(id, size, "%s says: %s", path, words)
	if bytes.HasPrefix(b, fmt.Appendf(nil, "%d\n", cert.ReasonRestored)) {
		err = elsewhere{err}
	}
	return err
}

// WhyGivenUp is the reason for the grant of the incarnation after the log of that key,
// which OpenOwn refused as in doubt (LEDGER.md §3.3).
func (s *Store) WhyGivenUp(key ed25519.PublicKey) cert.Reason {
	b, err := os.ReadFile(filepath.Join(s.journalDir(ledger.LogIDOf(key))+doubtSuffix, reasonName))
	if err == nil && bytes.HasPrefix(b, fmt.Appendf(nil, "%d\n", cert.ReasonRestored)) {
		return cert.ReasonRestored
	}
	return cert.ReasonDoubt
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
			if err := s.roomToRecover(); err != nil {
				return err
			}
			result, err := s.stage(st, run)
			if err != nil {
				return err
			}
			if !result.Held {
				s.cfg.Log.Error("a part of a log in doubt cannot be kept beside what others hold of it", "log", id.String(), "from", at, "error", result.Err)
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
