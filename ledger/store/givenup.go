package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rasid/ledger"
	"rasid/ledger/journal"
)

// keepGivenUp salvages again every log that was given up of which the others' index
// holds less than its journal and the index of own logs do: one of the two indexes was
// damaged since, and began anew. It changes nothing where they hold as much.
func (s *Store) keepGivenUp() error {
	kept, err := s.ownIndexed()
	if err != nil {
		return err
	}
	folders, err := os.ReadDir(filepath.Join(s.cfg.Dir, ownName))
	if err != nil {
		return err
	}
	var ids []ledger.LogID
	for _, f := range folders {
		name, _, aside := strings.Cut(f.Name(), doubtSuffix)
		id, err := ledger.ParseLogID(name)
		if !aside || err != nil || s.isOwn(id) || slices.Contains(ids, id) {
			continue
		}
		ids = append(ids, id)
		if s.knowsLess(id, kept[id]) {
			if err := s.readGivenUp(id, f.Name()); err != nil {
				return err
			}
		}
	}
	if kept, err = s.ownIndexed(); err != nil {
		return err
	}
	for _, id := range ids {
		end := kept[id].End
		if end.Size == 0 {
			continue
		}
		if found, err := holdsTip(s.allOf(id), ledger.Tip{Size: end.Size, Root: end.Root}); err != nil || found {
			if err != nil {
				return err
			}
			continue
		}
		s.cfg.Log.Warn("keeping a log again that was given up", "log", id.String(), "entries", end.Size)
		if err := s.salvage(id); err != nil {
			return fmt.Errorf("couldn't keep what is held of log %s, which was given up: %w", id, err)
		}
	}
	return nil
}

// ownIndexed is how far the index of own logs holds each log.
func (s *Store) ownIndexed() (map[ledger.LogID]ledger.Log, error) {
	logs, err := s.own.logs()
	out := map[ledger.LogID]ledger.Log{}
	for _, l := range logs {
		out[l.branch.log] = l.log
	}
	return out, err
}

// knowsLess reports whether the indexes hold nothing of a log that was given up, or less
// than its head file says.
func (s *Store) knowsLess(id ledger.LogID, kept ledger.Log) bool {
	key, size := kept.Key, kept.End.Size
	for _, h := range s.allOf(id) {
		key, size = h.log.Key, max(size, h.log.End.Size)
	}
	if kept.End.Size == 0 || size == 0 {
		return true
	}
	head, err := s.headFile(id).read(key)
	return err == nil && head.Size > size
}

// readGivenUp reads the journal of a log that was given up into the index of own logs,
// as far as it can be read.
func (s *Store) readGivenUp(id ledger.LogID, folder string) error {
	h := held{own: true, index: s.own, branch: &branch{log: id}}
	var stopped error // of this disk, not of the journal
	j, _, err := journal.Open(journal.Config{
		Dir: filepath.Join(s.cfg.Dir, ownName, folder), Log: id, Disk: s.cfg.Disk, SegmentBytes: s.cfg.SegmentBytes,
		Each: func(payload []byte, _ bool) error {
			g, next, err := s.replay(id, h, payload)
			if err != nil {
				return err
			}
			h = next
			stopped = s.index(g)
			return stopped
		},
	})
	if j != nil { // only read, nothing was begun in it
		err = errors.Join(err, j.Close())
	}
	if stopped != nil && !errors.Is(stopped, errDamagedIndex) {
		return stopped
	}
	if err != nil {
		s.cfg.Log.Warn("not all of the journal of a log that was given up can be read", "log", id.String(), "read", h.log.End.Size, "error", err)
	}
	return nil
}
