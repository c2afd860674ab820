package journal

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Disk is what the journal asks of the file system to change it; reading goes to
// the file system directly. Tests put failures here.
type Disk interface {
	// OpenFile opens as os.OpenFile does, with mode 0600.
	OpenFile(path string, flag int) (File, error)
	// Rename replaces to by from; durable only after SyncDir.
	Rename(from, to string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(path string) error
}

// File is a file open for writing.
type File interface {
	io.WriteSeeker
	io.Closer
	// Sync makes content and length durable. After an error nobody knows what is
	// on the disk, and a second call may lie: it must not be called again.
	Sync() error
	Truncate(size int64) error
}

// OSDisk is the machine's own file system.
type OSDisk struct{}

// OpenFile implements Disk.
func (OSDisk) OpenFile(path string, flag int) (File, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Rename implements Disk.
func (OSDisk) Rename(from, to string) error { return os.Rename(from, to) }

// SyncDir implements Disk.
func (OSDisk) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type osFile struct{ *os.File }

// Sync uses fdatasync, which writes the length too but not the time stamps: over
// zeros that were written before, that is the data alone. An interrupted call has
// reported nothing about the disk, so only that is repeated, as os.File.Sync does.
func (f osFile) Sync() error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
