// Package audit writes a ledger to a folder and verifies such a folder, trusting
// nobody: no network, no office, no database (docs/EXPORT.md). A folder is one
// statement of the office, signed by its authority log's key, over logs that are
// signed by the kiosks themselves.
package audit

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strconv"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/event"
)

// Names in an export folder.
const (
	manifestName = "MANIFEST"
	journalName  = "books/ledger.journal"
	postingsName = "books/postings.jsonl"
	checkpoint   = "checkpoint"
	history      = "checkpoints"
	branchesName = "branches"
)

// bundleEntries is how many entries a full entry bundle and a full hash tile's
// width hold, as C2SP tlog-tiles says.
const (
	tileHeight    = 8
	bundleEntries = 1 << tileHeight
)

// ErrNotEmpty is returned by Export for a folder that holds something already.
var ErrNotEmpty = errors.New("the folder is not empty: name a new one")

// Finding is something wrong in an export: which file, and which log and entry
// where they are known.
type Finding struct {
	File  string        `json:"file"`
	Log   *ledger.LogID `json:"-"`
	LogID string        `json:"log,omitempty"`
	Index *uint64       `json:"index,omitempty"`
	Text  string        `json:"text"`
}

// String says the finding in one line.
func (f Finding) String() string {
	s := f.File
	if f.LogID != "" {
		s += ": log " + f.LogID
	}
	if f.Index != nil {
		s += fmt.Sprintf(", entry %d", *f.Index)
	}
	return s + ": " + f.Text
}

// logEntries is one branch of a log, whole, as an export holds it. A log that has not
// forked has one, number 0.
type logEntries struct {
	id          ledger.LogID
	branch      int
	opened      *event.LogOpened
	entries     [][]byte
	checkpoints []ledger.Checkpoint // ascending, the last one over all entries
}

func (l *logEntries) key() ed25519.PublicKey { return l.opened.Grant.PublicKey() }

// prefix is the folder of the branch, with the slash behind it (EXPORT.md §1).
func (l *logEntries) prefix() string { return prefixOf(l.id, l.branch) }

func prefixOf(id ledger.LogID, branch int) string {
	prefix := "logs/" + id.String() + "/"
	if branch > 0 {
		prefix += branchesName + "/" + strconv.Itoa(branch) + "/"
	}
	return prefix
}

// end is the newest checkpoint.
func (l *logEntries) end() ledger.Checkpoint { return l.checkpoints[len(l.checkpoints)-1] }

// before is the order of all branches: by log, the longer one first, of equal length
// the one with the smaller root (LEDGER.md §9.4).
func (l *logEntries) before(m *logEntries) bool {
	if c := bytes.Compare(l.id[:], m.id[:]); c != 0 {
		return c < 0
	}
	if len(l.entries) != len(m.entries) {
		return len(l.entries) > len(m.entries)
	}
	p, q := l.end().Root, m.end().Root
	return bytes.Compare(p[:], q[:]) < 0
}

// fresh counts the entries that none of the branches of the same log among others has.
func (l *logEntries) fresh(others []*logEntries) int {
	known := 0
	for _, o := range others {
		if o.id == l.id {
			known = max(known, shared(l.entries, o.entries))
		}
	}
	return len(l.entries) - known
}

// shared is how many first entries two branches have in common.
func shared(a, b [][]byte) int {
	n := 0
	for n < len(a) && n < len(b) && bytes.Equal(a[n], b[n]) {
		n++
	}
	return n
}

func (l *logEntries) book() book.Log {
	return book.LogOf(l.id, l.opened, func(from uint64, f func(uint64, []byte) error) error {
		for i := from; i < uint64(len(l.entries)); i++ {
			if err := f(i, l.entries[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// names collects how machines are called, from the office's own logs.
func names(logs []*logEntries) map[uint32]string {
	named := map[uint32]string{}
	for _, l := range logs {
		if !l.opened.Author().MayWrite(1, event.KindMachineEnrolled) {
			continue
		}
		for _, raw := range l.entries {
			e, err := ledger.DecodeEntry(raw)
			if err != nil || e.Kind != event.KindMachineEnrolled {
				continue
			}
			if b, err := event.Decode(e); err == nil {
				m := b.(*event.MachineEnrolled)
				named[m.Chain.Machine.Slot] = m.Name
			}
		}
	}
	return named
}
