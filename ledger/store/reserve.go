package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// reserveName is the reserve's file in the data folder.
const reserveName = "reserve"

// reserve is a file that takes room and holds nothing: given up when the disk fills,
// so that what is under way ends well and the next start has room to open. Whoever
// else fills the disk may take that room; the reserve gains time, not certainty.
type reserve struct {
	path string
	want uint64 // bytes; 0: none is kept

	mu   sync.Mutex
	held uint64 // bytes of the disk that the file takes
}

// lacks is how many bytes the reserve is short of, and held how many it takes.
func (r *reserve) lacks() (lacks, held uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.want - min(r.want, r.held), r.held
}

// find looks at what an earlier process left. After a power cut the file may take
// less than it had.
func (r *reserve) find() error {
	if err := os.Remove(r.path + tempSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var st unix.Stat_t
	err := unix.Stat(r.path, &st)
	if errors.Is(err, fs.ErrNotExist) {
		r.held = 0
		return nil
	}
	if err != nil {
		return fmt.Errorf("couldn't look at the reserve %s: %w", r.path, err)
	}
	r.held = uint64(st.Blocks) * 512
	return nil
}

// give removes the file; its room is free on return.
func (r *reserve) give() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("couldn't give up the reserve: %w", err)
	}
	r.held = 0
	return syncDir(filepath.Dir(r.path)) // blocks of an unwritten removal are not free yet
}

// fill makes the file anew, of blocks that are taken and not only named.
func (r *reserve) fill() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := os.OpenFile(r.path+tempSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("couldn't make the reserve: %w", err)
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, int64(r.want))
	if errors.Is(err, unix.EOPNOTSUPP) {
		err = writeZeros(f, r.want)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), r.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("couldn't make the reserve of %d bytes: %w", r.want, err), os.Remove(f.Name()))
	}
	r.held = r.want
	return syncDir(filepath.Dir(r.path))
}

// writeZeros takes blocks where the file system cannot only take them.
func writeZeros(f *os.File, n uint64) error {
	zeros := make([]byte, 1<<20)
	for n > 0 {
		part := zeros[:min(n, uint64(len(zeros)))]
		if _, err := f.Write(part); err != nil {
			return err
		}
		n -= uint64(len(part))
	}
	return f.Sync()
}

func (s *Store) giveReserve() error {
	_, held := s.reserve.lacks()
	if held == 0 {
		return nil
	}
	if err := s.reserve.give(); err != nil {
		return err
	}
	s.cfg.Log.Warn("the disk is full: gave up the reserve", "path", s.reserve.path, "bytes", held)
	return nil
}

// tendReserve gives the reserve up on a full disk, before that what is kept of damaged
// indexes, and takes it back when that leaves enough for money to be taken.
func (s *Store) tendReserve() error {
	room, err := s.Room()
	if err != nil {
		return err
	}
	if !room.OK {
		if err := s.dropDamaged(); err != nil {
			return err
		}
	}
	if room.Full {
		return s.giveReserve()
	}
	if lacks, _ := s.reserve.lacks(); lacks == 0 || room.Free < room.Want+room.Want/4 {
		return nil
	}
	if err := s.reserve.fill(); err != nil {
		return err
	}
	s.cfg.Log.Info("made the reserve for a full disk", "path", s.reserve.path, "bytes", s.reserve.want)
	return nil
}
