package powercut

import (
	"os"
	"sync"

	"rasid/ledger/journal"
)

// Pause says at which of the journal's calls to its disk the writer stands still for
// good, so that it can be killed or its power cut exactly there.
type Pause struct {
	Op    string // one of the disk's calls below, or anyOp
	N     int    // the n-th such call, from 1; 0 never pauses
	After bool   // after the call, else before it
	Open  bool   // counted from the writer's start; else from when it is open
}

// The calls of a journal.Disk and its files.
const (
	anyOp      = ""
	opCreate   = "create"
	opRename   = "rename"
	opSyncDir  = "sync folder"
	opWrite    = "write"
	opSync     = "sync"
	opTruncate = "truncate"
)

// Break says what is taken out of the writer, to see the rig notice.
type Break string

// What can be broken.
const (
	BreakNothing Break = ""
	// BreakJournalSync makes every sync of a journal's file do nothing but a new file's
	// first, so that segments begin well and records are lost.
	BreakJournalSync Break = "journal-sync"
	// BreakCopyAtStart has a start go on in a journal's last segment, without copying what
	// may not be durable into a fresh one. Every sync is done.
	BreakCopyAtStart Break = "copy-at-start"
	// BreakSyncAtStart makes every sync of a journal at start, of files and folders, do
	// nothing: the copy is made and is not durable either.
	BreakSyncAtStart Break = "sync-at-start"
	// BreakPruneAge makes the store prune at once what an office acknowledged, and not
	// after the age.
	BreakPruneAge Break = "prune-age"
)

// Breaks lists what can be broken.
func Breaks() []Break {
	return []Break{BreakJournalSync, BreakCopyAtStart, BreakSyncAtStart, BreakPruneAge}
}

// found is the moment at which a break is looked for, and a part of what is said of it.
func (b Break) found() (m moment, says string) {
	if b == BreakPruneAge {
		return momentPruning, "pruned"
	}
	return momentKilled, "own"
}

// disk is the machine's own disk under the writer's journals, with a pause and with
// what is broken.
type disk struct {
	os       journal.OSDisk
	pause    Pause
	broken   Break
	standing func() // says that the writer stands still

	mu      sync.Mutex // guards what follows
	started bool       // the store is open
	seen    int        // calls counted towards the pause
}

// opened tells the disk that start-up is over.
func (d *disk) opened() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.started = true
}

// call does one call, or stands still before or after it.
func (d *disk) call(op string, do func() error) error {
	d.mu.Lock()
	due := false
	if (d.pause.Op == anyOp || d.pause.Op == op) && (d.pause.Open || d.started) {
		d.seen++
		due = d.seen == d.pause.N
	}
	d.mu.Unlock()
	if due && !d.pause.After {
		d.stand()
	}
	err := do()
	if due {
		d.stand()
	}
	return err
}

// stand never returns; the rig kills the process.
func (d *disk) stand() {
	d.standing()
	select {}
}

// skips reports whether a sync is one that is broken; first: a new file's first.
func (d *disk) skips(op string, first bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.broken == BreakJournalSync && op == opSync && !first || d.broken == BreakSyncAtStart && !d.started
}

// Believed has the journal take what it reads for durable.
func (d *disk) Believed() bool { return d.broken == BreakCopyAtStart }

// OpenFile implements journal.Disk.
func (d *disk) OpenFile(path string, flag int) (f journal.File, err error) {
	open := func() error {
		f, err = d.os.OpenFile(path, flag)
		return err
	}
	if flag&os.O_CREATE == 0 {
		err = open()
	} else {
		err = d.call(opCreate, open)
	}
	if err != nil {
		return nil, err
	}
	return &file{File: f, disk: d, fresh: flag&os.O_CREATE != 0}, nil
}

// Rename implements journal.Disk.
func (d *disk) Rename(from, to string) error {
	return d.call(opRename, func() error { return d.os.Rename(from, to) })
}

// SyncDir implements journal.Disk.
func (d *disk) SyncDir(path string) error {
	return d.call(opSyncDir, func() error {
		if d.skips(opSyncDir, false) {
			return nil
		}
		return d.os.SyncDir(path)
	})
}

type file struct {
	journal.File
	disk  *disk
	fresh bool // new, and not yet synced
}

// Write implements journal.File.
func (f *file) Write(b []byte) (n int, err error) {
	err = f.disk.call(opWrite, func() error {
		n, err = f.File.Write(b)
		return err
	})
	return n, err
}

// Sync implements journal.File.
func (f *file) Sync() error {
	return f.disk.call(opSync, func() error {
		first := f.fresh
		f.fresh = false
		if f.disk.skips(opSync, first) {
			return nil
		}
		return f.File.Sync()
	})
}

// Truncate implements journal.File.
func (f *file) Truncate(size int64) error {
	return f.disk.call(opTruncate, func() error { return f.File.Truncate(size) })
}
