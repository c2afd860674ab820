package store

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"rasid/ledger"
	"rasid/ledger/journal"
)

const (
	// rebuiltSuffix ends the name of a journal's folder that is being written anew.
	rebuiltSuffix = ".rebuilt"
	// damagedSuffix ends the name of what was put in the place of. One is enough to find
	// out why: all that is intact in it is in what took its place.
	damagedSuffix = ".damaged"
)

// repairOwn makes a damaged journal anew from the index and from what of itself is
// intact, where that provably is all it held (LEDGER.md §12.8), and opens it. Else it
// returns why the log didn't open, and nothing was changed. What fails of the disk on the
// way is returned as such: it is no reason to give the log up.
func (s *Store) repairOwn(id ledger.LogID, why error) error {
	var damage *journal.DamageError
	if !errors.As(why, &damage) || errors.Is(why, errDamagedIndex) {
		return why
	}
	dir := s.journalDir(id)
	end, err := s.rebuild(id, dir+rebuiltSuffix)
	if not := (notProven{}); err != nil && !errors.As(err, &not) {
		return errors.Join(fmt.Errorf("couldn't make the damaged journal of log %s again: %w", id, err), os.RemoveAll(dir+rebuiltSuffix))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%w; nor can it be made again: %v", why, err), os.RemoveAll(dir+rebuiltSuffix))
	}
	if err := replaceDir(dir, dir+rebuiltSuffix, dir+damagedSuffix); err != nil {
		return err
	}
	s.cfg.Log.Error("a damaged journal was made again from the index and what of it is intact; nothing is lost",
		"log", id.String(), "entries", end.Size, "file", damage.Path, "byte", damage.Offset, "reason", damage.Reason, "damaged journal", dir+damagedSuffix)
	_, err = s.openWriter(id, nil)
	return err
}

// notProven is why index and journal do not show all that a damaged journal held.
type notProven struct{ error }

func (e notProven) Unwrap() error { return e.error }

// rebuild writes the journal anew and returns where it ends.
func (s *Store) rebuild(id ledger.LogID, dir string) (ledger.Checkpoint, error) {
	r := remaking{store: s, indexed: held{own: true, index: s.own, branch: &branch{log: id}}, runs: map[uint64]ledger.Hash{}, late: map[uint64][]byte{}}
	logs, err := s.own.logs()
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	for _, l := range logs {
		if l.branch.log == id {
			r.indexed.branch, r.indexed.log = l.branch, l.log
		}
	}
	remains, err := journal.Survey(journal.Config{Dir: s.journalDir(id), Log: id, Each: func(payload []byte, _ bool) error { return r.intact(id, payload) }})
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	if !remains.Ended {
		return ledger.Checkpoint{}, notProven{errors.New("the damage hides where the journal ended")}
	}
	if err := journal.Write(journal.Config{Dir: dir, Log: id, Disk: s.cfg.Disk, SegmentBytes: s.cfg.SegmentBytes}, r.all); err != nil {
		return ledger.Checkpoint{}, err
	}
	end := r.made.log.End
	switch {
	case remains.Batches > 0 && remains.Batches != r.commits:
		return end, notProven{fmt.Errorf("index and journal together have %d commits, the journal had %d", r.commits, remains.Batches)}
	case remains.Batches == 0 && end != r.end:
		return end, notProven{fmt.Errorf("index and journal together have %d entries, the journal ended at %d", end.Size, r.end.Size)}
	}
	return end, r.checkHead(s.headFile(id))
}

// remaking puts a log together from its index and from what of its journal is intact.
// Every run is verified from the first on as a neighbour's would be, and is equal to
// the journal's wherever that can be read.
type remaking struct {
	store   *Store
	indexed held
	runs    map[uint64]ledger.Hash // of the bytes of each intact run, by its first entry
	late    map[uint64][]byte      // runs that the index lacks
	end     ledger.Checkpoint      // of the last intact run
	made    held
	commits uint64
}

// intact takes a run that the journal still holds.
func (r *remaking) intact(id ledger.LogID, payload []byte) error {
	run, err := ledger.DecodeRun(bytes.Clone(payload))
	if err != nil || run.Log != id {
		return notProven{fmt.Errorf("an intact record holds no run of log %s: %w", id, err)}
	}
	hash := ledger.Hash(sha256.Sum256(payload))
	if other, twice := r.runs[run.First]; twice && other != hash {
		return notProven{fmt.Errorf("two runs begin at entry %d", run.First)}
	}
	r.runs[run.First], r.end = hash, run.End
	if run.First >= r.indexed.log.End.Size {
		r.late[run.First] = bytes.Clone(payload)
	}
	return nil
}

// all gives the bytes of every run that was committed.
func (r *remaking) all(yield func([]byte, error) bool) {
	r.made = held{own: true, index: r.indexed.index, branch: r.indexed.branch}
	for {
		var payload []byte
		err := r.store.roomToRecover()
		if err == nil {
			if payload, err = r.next(); err != nil {
				err = notProven{err}
			}
		}
		if payload == nil && err == nil || !yield(payload, err) || err != nil {
			return
		}
	}
}

// next returns the bytes of the next run; none at the end.
func (r *remaking) next() ([]byte, error) {
	first := r.made.log.End.Size
	payload := r.late[first]
	if first < r.indexed.log.End.Size {
		run, err := r.indexed.commit(first, r.made.log.Edge.Root())
		if err != nil {
			return nil, err
		}
		if payload, err = run.Encode(); err != nil {
			return nil, err
		}
	}
	if payload == nil {
		return nil, nil
	}
	if hash, intact := r.runs[first]; intact && hash != sha256.Sum256(payload) {
		return nil, fmt.Errorf("the run from entry %d is another in the index than in the journal", first)
	}
	_, next, err := r.store.replay(r.indexed.branch.log, r.made, payload)
	if err != nil {
		return nil, err
	}
	r.made = next
	r.commits++
	return payload, nil
}

// checkHead compares the log that was put together with its head file.
func (r *remaking) checkHead(f *headFile) error {
	head, err := f.read(r.made.log.Key)
	if err != nil {
		return nil // it tells nothing, and the start says so
	}
	if head.Size > r.made.log.End.Size {
		return notProven{fmt.Errorf("the head file %s says %d", f.path, head.Size)}
	}
	return nil
}

// commit returns the run that one commit made, from an index that keeps every commit's
// checkpoint. root is the root before it.
func (h held) commit(first uint64, root ledger.Hash) (ledger.Run, error) {
	points, err := h.checkpointsAfter(first, 1)
	if err != nil {
		return ledger.Run{}, err
	}
	if points[0].Size-first > ledger.RunMaxEntries {
		return ledger.Run{}, fmt.Errorf("%s keeps no checkpoint of log %s from %d to %d", h.index.path, h.branch.log, first, points[0].Size)
	}
	run := ledger.Run{Log: h.branch.log, First: first, Branch: [ledger.BranchBytes]byte(root[:]), End: points[0]}
	err = h.entries(first, run.End.Size, func(_ uint64, entry []byte) error {
		run.Entries = append(run.Entries, bytes.Clone(entry))
		return nil
	})
	return run, err
}

// replaceDir puts the folder by in the place of dir, which stays under the name aside.
// Where it is cut off in between, finishReplacing ends it.
func replaceDir(dir, by, aside string) error {
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	if err := os.Rename(dir, aside); err != nil {
		return err
	}
	// First the one, then the other: a whole journal is never without a name.
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Rename(by, dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// finishReplacing ends what a crash cut off of replacing journals, and removes what
// was not whole yet.
func finishReplacing(own string) error {
	found, err := filepath.Glob(filepath.Join(own, "*"+rebuiltSuffix))
	if err != nil {
		return err
	}
	for _, by := range found {
		dir := by[:len(by)-len(rebuiltSuffix)]
		if exists(dir) || !exists(dir+damagedSuffix) {
			err = os.RemoveAll(by)
		} else if err = os.Rename(by, dir); err == nil {
			err = syncDir(own)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
