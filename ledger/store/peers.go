package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"rasid/ledger"
)

// openPeers loads how far others' logs are held. Where nobody is there to do so, an
// index of them that is damaged is moved aside and begins anew: neighbours and office
// have what was in it, the marks tell of what is lost until they have sent it, and money
// can be taken meanwhile.
func (s *Store) openPeers() error {
	marks := filepath.Join(s.cfg.Dir, peersName, marksName)
	said, err := readMarks(marks)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return err
	}
	if err := s.doubtByMarks(said); err != nil {
		return err
	}
	path := filepath.Join(s.cfg.Dir, peersName, indexName)
	load := func() error {
		if err := s.loadPeers(path); err != nil {
			return err
		}
		if err := s.openMarks(marks, said, missing); err != nil {
			return err
		}
		return s.proveBranches()
	}
	err = load()
	if !errors.Is(err, errDamagedIndex) || fromMachine(err) {
		return err
	}
	if !s.cfg.GiveUp || len(s.cfg.GiveUpOnly) > 0 {
		return fmt.Errorf("%w; move the folder %s elsewhere and start again: neighbours and office will send what was in it", err, path)
	}
	if err := s.dropPeers(path, err); err != nil {
		return err
	}
	return load()
}

// dropPeers lets go of the damaged index of others' logs and moves it aside. What it
// showed against an own log stays set aside.
func (s *Store) dropPeers(path string, why error) error {
	s.cfg.Log.Error("the index of others' logs is damaged and begins anew; neighbours and office send what was in it", "damaged index", path+damagedSuffix, "error", why)
	for id := range s.logs {
		if !s.isOwn(id) {
			delete(s.logs, id)
		}
	}
	s.forked, s.forks, s.lost = map[ledger.LogID][]*held{}, nil, map[ledger.LogID][]ledger.Tip{}
	if err := s.marks.close(); err != nil {
		return err
	}
	if s.peers != nil {
		err := s.peers.close()
		s.peers = nil
		if errors.Is(err, errStuck) {
			return err
		} else if err != nil {
			s.cfg.Log.Warn("couldn't close the damaged index", "error", err)
		}
	}
	return s.moveAside(path)
}

// moveAside renames a damaged index and counts it. One is kept: that is enough to find
// out why.
func (s *Store) moveAside(path string) error {
	aside := path + damagedSuffix
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	s.begun++
	if err := os.Rename(path, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// dropDamaged removes the damaged indexes that were kept, on a disk short of room: what
// is sent again needs it.
func (s *Store) dropDamaged() error {
	var errs []error
	for _, name := range []string{ownName, peersName} {
		aside := filepath.Join(s.cfg.Dir, name, indexName+damagedSuffix)
		if !exists(aside) {
			continue
		}
		s.cfg.Log.Warn("the disk is short of room: removing a damaged index that was kept", "path", aside)
		errs = append(errs, os.RemoveAll(aside))
	}
	return errors.Join(errs...)
}

// BegunAnew is how many damaged indexes Open moved aside: that of own logs was made again
// from their journals, that of others' logs is being sent again.
func (s *Store) BegunAnew() int { return s.begun }

// fromMachine reports whether an index didn't open for what the machine lacks or forbids,
// and so may be whole. Badger keeps of some errors the text alone.
func fromMachine(err error) bool {
	text := err.Error()
	for _, e := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.EACCES, syscall.EPERM, syscall.EROFS} {
		if errors.Is(err, e) || strings.Contains(text, e.Error()) {
			return true
		}
	}
	return false
}

func (s *Store) loadPeers(path string) error {
	unmerged, err := filepath.Glob(filepath.Join(path, "*.mem"))
	if err != nil {
		return err
	}
	if s.peers, err = openIndex(path, cmp.Or(s.cfg.MemTableBytes, peersMemTableBytes), true, s.cfg.Log); err != nil {
		return err
	}
	s.peers.after = s.cfg.After
	logs, err := s.peers.logs()
	if err != nil {
		return err
	}
	for _, l := range logs {
		if err := s.peers.checkWhole(l, len(unmerged) > 0); err != nil {
			return err
		}
	}
	if s.forks, err = s.peers.forks(); err != nil {
		return err
	}
	if err := s.doubtByPeers(logs); err != nil {
		return err
	}
	if err := s.loadBranches(logs); err != nil {
		return err
	}
	return s.followIndex(s.peers)
}

// loadBranches takes up what the index of others' logs holds, also of an own log that
// is being given up: it was kept there before a start that did so was cut off.
func (s *Store) loadBranches(logs []stored) error {
	for _, l := range logs {
		id := l.branch.log
		if s.isOwn(id) {
			continue // its journal holds it
		}
		h := &held{index: s.peers, branch: l.branch, log: l.log, prunedTo: l.prunedTo}
		if s.logs[id] != nil {
			if err := s.readForkOpened(h); err != nil {
				return err
			}
			h.prunedTo = l.branch.prunedBelow(s.parentOf(h).prunedTo)
			s.forked[id] = append(s.forked[id], h)
			continue
		}
		var err error
		if h.opened, err = s.readOpened(h); err != nil {
			return err
		}
		s.logs[id] = h
	}
	return nil
}

// isOwn reports whether a log is written here.
func (s *Store) isOwn(id ledger.LogID) bool {
	h := s.logs[id]
	return h != nil && h.own
}
