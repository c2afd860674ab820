// Package audit writes a ledger to a folder and verifies such a folder, trusting
// nobody: no network, no office, no database (docs/EXPORT.md). A folder is one
// statement of the office, signed by its authority log's key, over logs that are
// signed by the kiosks themselves.
package audit

import (
	"crypto/ed25519"
	"errors"
	"fmt"

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

// logEntries is one log, whole, as an export holds it.
type logEntries struct {
	id          ledger.LogID
	opened      *event.LogOpened
	entries     [][]byte
	checkpoints []ledger.Checkpoint // ascending, the last one over all entries
}

func (l *logEntries) key() ed25519.PublicKey { return l.opened.Grant.PublicKey() }

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
