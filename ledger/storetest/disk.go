package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"rasid/ledger/journal"
)

// Failure says how a step fails.
type Failure int

// The failures.
const (
	Failed             Failure = iota // nothing happened
	FailedButPersisted                // it happened, and said it had not
	FailedHalf                        // half the bytes were written; else as Failed
)

// String names the failure.
func (f Failure) String() string {
	return [...]string{"failed", "failed but persisted", "failed half-way"}[f]
}

// ErrInjected is what a step fails with.
var ErrInjected = errors.New("injected failure")

// Disk is the machine's disk under journals and marks. Once told to, one step fails and every
// later one does nothing, as if the process had been killed there. Crash then
// takes back some of what was never synced, as a power cut does. What was written
// before a sync that failed stays readable and is never synced again, however often
// it is asked for: so Linux does.
type Disk struct {
	mu      sync.Mutex
	steps   int
	failAt  int // 0: never
	failure Failure
	failed  string // the step that failed
	where   string // the folder of what it was about
	late    []string
	files   map[string]*content
	renamed [][2]string // not yet durable
	os      journal.OSDisk
}

// content is what of a file is readable and not durable.
type content struct {
	path  string   // where the file lies now
	dirty []change // the next sync takes them
	lost  []change // a sync of them failed
}

// change is bytes that a power cut may leave as they were.
type change struct {
	at       int64
	was, now []byte
}

// sectorBytes is what a disk writes whole or not at all, small so that short records
// are torn too.
const sectorBytes = 16

// FailAt makes the n-th durable step from now fail; the first is 1.
func (d *Disk) FailAt(n int, f Failure) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failAt, d.failure = d.steps+n, f
}

// Restart ends the failure, as starting the process again on the same machine does:
// what was written is readable, and as little of it is durable as before.
func (d *Disk) Restart() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed, d.late, d.failAt = "", nil, 0
}

// Steps is how many durable steps were asked for.
func (d *Disk) Steps() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.steps
}

// Failed names the step that failed, empty if none did, and what was asked for in the
// same folder after it: anything there is a bug, for a failed sync must never be retried.
func (d *Disk) Failed() (step string, late []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed, d.late
}

// step counts, and decides whether do is done and what is returned. d.mu is held.
func (d *Disk) step(name, path string, do, half func() error) error {
	d.steps++
	if d.failed != "" {
		if d.where == filepath.Dir(path) {
			d.late = append(d.late, name)
		}
		return fmt.Errorf("%s after the failure of %s: %w", name, d.failed, ErrInjected)
	}
	if d.steps != d.failAt {
		return do()
	}
	d.failed, d.where = name, filepath.Dir(path)
	var err error
	switch {
	case d.failure == FailedButPersisted:
		err = do()
	case d.failure == FailedHalf && half != nil:
		err = half()
	}
	return errors.Join(fmt.Errorf("%s %s: %w", name, d.failure, ErrInjected), err)
}

// OpenFile implements journal.Disk.
func (d *Disk) OpenFile(path string, flag int) (journal.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var f journal.File
	open := func() (err error) {
		f, err = d.os.OpenFile(path, flag)
		return err
	}
	if flag&os.O_CREATE == 0 {
		if err := open(); err != nil {
			return nil, err
		}
	} else if err := d.step("create", path, open, nil); err != nil {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
		return nil, err
	}
	if d.files == nil {
		d.files = map[string]*content{}
	}
	if d.files[path] == nil || flag&os.O_CREATE != 0 {
		d.files[path] = &content{path: path}
	}
	return &file{File: f, disk: d, content: d.files[path]}, nil
}

// Rename implements journal.Disk.
func (d *Disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.step("rename", to, func() error {
		if err := d.os.Rename(from, to); err != nil {
			return err
		}
		for path, c := range maps.Clone(d.files) { // the file, or those in the folder
			if path == from || strings.HasPrefix(path, from+"/") {
				delete(d.files, path)
				c.path = to + path[len(from):]
				d.files[c.path] = c
			}
		}
		d.renamed = append(d.renamed, [2]string{from, to})
		return nil
	}, nil)
}

// SyncDir implements journal.Disk.
func (d *Disk) SyncDir(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.step("sync folder", filepath.Join(path, "name"), func() error {
		d.renamed = nil
		return nil
	}, nil)
}

// Crash takes back, by the toss of a coin, names and bytes that were never synced.
// The files lie under at where they lay under was.
func (d *Disk) Crash(r *rand.Rand, was, at string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	moved := func(path string) string { return at + path[len(was):] }
	for path, c := range d.files {
		if err := c.crash(r, moved(path)); err != nil {
			return err
		}
	}
	for _, n := range d.renamed {
		if r.IntN(2) == 0 {
			if err := os.Rename(moved(n[1]), moved(n[0])); err != nil && !errors.Is(err, fs.ErrNotExist) { // removed since
				return err
			}
		}
	}
	return nil
}

// crash takes back any sectors of what is not durable, the newest change first.
func (c *content) crash(r *rand.Rand, path string) (err error) {
	changes := append(slices.Clone(c.lost), c.dirty...)
	if len(changes) == 0 {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed since
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for _, ch := range slices.Backward(changes) {
		for i := 0; i < len(ch.now); i += sectorBytes {
			end := min(i+sectorBytes, len(ch.now))
			if r.IntN(2) == 0 {
				continue
			}
			if _, err := f.WriteAt(ch.was[i:end], ch.at+int64(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

type file struct {
	journal.File
	disk    *Disk
	content *content
	at      int64
}

// change notes that b is about to be written at the cursor.
func (f *file) change(b []byte) error {
	was := make([]byte, len(b))
	r, err := os.Open(f.content.path)
	if err != nil {
		return err
	}
	if _, err := r.ReadAt(was, f.at); err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(err, r.Close())
	}
	f.content.dirty = append(f.content.dirty, change{at: f.at, was: was, now: bytes.Clone(b)})
	return r.Close()
}

func (f *file) Seek(offset int64, whence int) (int64, error) {
	at, err := f.File.Seek(offset, whence)
	f.at = at
	return at, err
}

func (f *file) Write(b []byte) (n int, err error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	write := func(b []byte) func() error {
		return func() error {
			if err := f.change(b); err != nil {
				return err
			}
			n, err := f.File.Write(b)
			f.at += int64(n)
			return err
		}
	}
	if err := f.disk.step("write", f.content.path, write(b), write(b[:len(b)/2])); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (f *file) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	done := false
	err := f.disk.step("sync", f.content.path, func() error {
		done = true
		return nil // Crash knows what a real one would have saved
	}, nil)
	if !done {
		f.content.lost = append(f.content.lost, f.content.dirty...)
	}
	f.content.dirty = nil
	return err
}

// Truncate only ever cuts zeros, so that a crash may take it back or not.
func (f *file) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.disk.step("truncate", f.content.path, func() error { return f.File.Truncate(size) }, nil)
}
