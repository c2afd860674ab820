package store

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rasid/ledger/journal"
)

// Names in the data folder.
const (
	lockName    = "LOCK"
	ownerName   = "owner"
	ownName     = "own"
	peersName   = "peers"
	indexName   = "index"
	objectsName = "objects"
	tempSuffix  = ".tmp"
)

// ErrInUse is returned when another process, or another Store in this one, has the
// data folder open.
var ErrInUse = errors.New("the data folder is in use")

// ErrForeign is returned when the data folder belongs to another machine or fleet.
var ErrForeign = errors.New("the data folder belongs to another machine")

// lockFolder takes the folder for this process until the returned file is closed;
// the kernel lets go of it even after a kill.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // the lock's error is the one that counts
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s; stop the process that has it open, or give this one another folder", ErrInUse, dir)
		}
		return nil, fmt.Errorf("couldn't lock %s: %w", dir, err)
	}
	return f, nil
}

// checkOwner compares the folder's owner file with this machine, or writes it in a
// folder that has none.
func checkOwner(dir string, machine, fleet ed25519.PublicKey) error {
	path := filepath.Join(dir, ownerName)
	want := fmt.Sprintf("rasid data folder\nmachine %s\nfleet %s\n", hex.EncodeToString(machine), hex.EncodeToString(fleet))
	got, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return writeDurably(path, []byte(want))
	}
	if err != nil {
		return err
	}
	if string(got) != want {
		return fmt.Errorf("%w: see %s; use this machine's own folder", ErrForeign, path)
	}
	return nil
}

// writeDurably makes path hold b, whole or not at all whatever happens, and returns
// when that survives a power cut.
func writeDurably(path string, b []byte) error { return writeDurablyTo(journal.OSDisk{}, path, b) }

func writeDurablyTo(disk journal.Disk, path string, b []byte) error {
	temp := path + tempSuffix
	f, err := disk.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := disk.Rename(temp, path); err != nil {
		return err
	}
	return disk.SyncDir(filepath.Dir(path))
}

// makeDir makes a folder that survives a power cut; its parent exists.
func makeDir(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncFiles makes a folder's files durable: a process that was killed may have left what
// only the page cache has, and from here on it is read and shown.
func syncFiles(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range files {
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		if err != nil {
			return err
		}
	}
	return syncDir(dir)
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
