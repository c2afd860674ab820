package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"time"

	"rasid/ledger"
	"rasid/ledger/event"
)

// LogSource is one log to export, or of a log that has forked one branch: then there
// is one source for each, in any order, with one ID. Each calls f for the entries from 0
// in order; Checkpoints are the kept ones, ascending, the last one over all entries.
type LogSource struct {
	ID          ledger.LogID
	Opened      *event.LogOpened
	Each        func(f func(index uint64, entry []byte) error) error
	Checkpoints []ledger.Checkpoint
}

// Input is what an export is made of. Authority signs the manifest and must be the
// key of one of the logs.
type Input struct {
	Fleet     ed25519.PublicKey
	Authority ed25519.PrivateKey
	Logs      []LogSource
	Objects   map[ledger.Hash][]byte
	Now       time.Time
}

// Export writes the ledger to dir, which must not exist or be empty. Everything is
// written beside it and moved into place at the end, so that an export that was cut
// short is never taken for one. It returns the number of entries.
func Export(dir string, in Input) (entries int, err error) {
	if err := checkEmpty(dir); err != nil {
		return 0, err
	}
	dir = filepath.Clean(dir)
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return 0, fmt.Errorf("couldn't make %s: %w", parent, err)
	}
	work, err := os.MkdirTemp(parent, ".rasid-export-")
	if err != nil {
		return 0, fmt.Errorf("couldn't make a folder in %s: %w", parent, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	w := writer{dir: work, m: manifest{fleet: in.Fleet, madeMs: in.Now.UnixMilli()}}
	w.m.authority = ledger.LogIDOf(in.Authority.Public().(ed25519.PublicKey))
	if entries, err = w.all(in); err != nil {
		return 0, err
	}
	w.m.sign(in.Authority)
	if err := writeFile(work, file{manifestName, w.m.bytes()}); err != nil {
		return 0, err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("couldn't replace %s: %w", dir, err)
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return 0, fmt.Errorf("couldn't finish the export: %w", err)
	}
	if err := os.Rename(work, dir); err != nil {
		return 0, fmt.Errorf("couldn't move the export to %s: %w", dir, err)
	}
	return entries, nil
}

func checkEmpty(dir string) error {
	found, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("couldn't look into %s: %w", dir, err)
	}
	if len(found) > 0 {
		return fmt.Errorf("%s: %w", dir, ErrNotEmpty)
	}
	return nil
}

type writer struct {
	dir string
	m   manifest
}

func (w *writer) all(in Input) (int, error) {
	var logs []*logEntries
	for _, src := range in.Logs {
		l, err := readSource(src)
		if err != nil {
			return 0, err
		}
		logs = append(logs, l)
	}
	if err := number(logs); err != nil {
		return 0, err
	}
	total := 0
	for i, l := range logs {
		total += l.fresh(logs[:i])
		files, err := l.files()
		if err != nil {
			return 0, fmt.Errorf("log %s: %w", l.id, err)
		}
		if err := w.put(files...); err != nil {
			return 0, err
		}
	}
	derived, _, err := bookFiles(in.Fleet, logs)
	if err != nil {
		return 0, err
	}
	for h, b := range in.Objects {
		derived = append(derived, file{"objects/" + h.String(), b})
	}
	return total, w.put(derived...)
}

// number puts branches into their order and gives each the number of its folder.
func number(logs []*logEntries) error {
	sort.Slice(logs, func(i, j int) bool { return logs[i].before(logs[j]) })
	for i, l := range logs {
		if i > 0 && logs[i-1].id == l.id {
			l.branch = logs[i-1].branch + 1
		}
		if l.fresh(logs[:i]) == 0 {
			return fmt.Errorf("log %s: one of its branches is the beginning of another", l.id)
		}
	}
	return nil
}

func readSource(src LogSource) (*logEntries, error) {
	l := &logEntries{id: src.ID, opened: src.Opened, checkpoints: src.Checkpoints}
	err := src.Each(func(index uint64, entry []byte) error {
		if index != uint64(len(l.entries)) {
			return fmt.Errorf("entry %d comes where %d is due", index, len(l.entries))
		}
		l.entries = append(l.entries, append([]byte(nil), entry...))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("couldn't read log %s: %w", src.ID, err)
	}
	if n := len(l.checkpoints); n == 0 || l.checkpoints[n-1].Size != uint64(len(l.entries)) {
		return nil, fmt.Errorf("log %s: its %d entries do not end at a checkpoint", src.ID, len(l.entries))
	}
	return l, nil
}

// files returns a branch of a log as an export holds it.
func (l *logEntries) files() ([]file, error) {
	prefix := l.prefix()
	files, err := tileFiles(prefix, l.entries)
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, c := range l.checkpoints {
		all = append(all, c.Note(l.key())...)
	}
	return append(files, file{prefix + checkpoint, l.end().Note(l.key())}, file{prefix + history, all}), nil
}

func (w *writer) put(files ...file) error {
	for _, f := range files {
		if err := writeFile(w.dir, f); err != nil {
			return err
		}
		w.m.files = append(w.m.files, manifestFile{sum: sha256.Sum256(f.data), size: int64(len(f.data)), path: f.path})
	}
	return nil
}

func writeFile(dir string, f file) error {
	name := filepath.Join(dir, filepath.FromSlash(f.path))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("couldn't write %s: %w", f.path, err)
	}
	if err := os.WriteFile(name, f.data, 0o644); err != nil {
		return fmt.Errorf("couldn't write %s: %w", f.path, err)
	}
	return nil
}
