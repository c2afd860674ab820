package store

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// roomBytes is how much must be free for a kiosk to take money: many times what a
// sale, the logs of the neighbours and a rebuilt index can take before somebody
// comes.
const roomBytes = 256 << 20

// What is free is judged in parts of Config.RoomBytes. Badger writes through mapped
// files, so that a disk without room kills the process: below fullPart nothing of
// other machines is taken in and the reserve is given up, and below cramPart Badger
// is not opened and gets nothing new.
const (
	fullPart = 4
	cramPart = 8
)

// ErrNoRoom is returned when there is too little room on the disk for what was
// asked. Nothing was changed; the same may be asked again when there is room.
var ErrNoRoom = errors.New("there is too little room on the disk")

// noRoom makes ErrNoRoom of the kernel's word that the disk is full.
func noRoom(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	return err
}

// Room is what is free on the disk that holds the data folder.
type Room struct {
	Free    uint64 // bytes that this process may still write, less what the reserve lacks
	Want    uint64 // bytes
	Reserve uint64 // bytes that the reserve holds; they are no part of Free
	// OK is false when less is free than wanted, and until a quarter more is: take no
	// money, but go on with what is under way.
	OK bool
	// Full is true when so little is free that nothing of other machines is taken in.
	Full bool
}

// Room measures it. It is one call of the kernel.
func (s *Store) Room() (Room, error) {
	free, err := s.free()
	if err != nil {
		return Room{}, err
	}
	lacks, held := s.reserve.lacks()
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Room{Free: free - min(free, lacks), Want: s.cfg.RoomBytes, Reserve: held}
	s.short = r.Free < r.Want || s.short && r.Free < r.Want+r.Want/4
	r.OK, r.Full = !s.short, r.Free < r.Want/fullPart
	return r, nil
}

// freeOn is what is free where path is, for a process without privileges.
func freeOn(path string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, err
	}
	return st.Bavail * uint64(st.Bsize), nil
}

func (s *Store) free() (uint64, error) {
	free, err := s.cfg.Free(s.cfg.Dir)
	if err != nil {
		return 0, fmt.Errorf("couldn't tell what is free where %s is: %w", s.cfg.Dir, err)
	}
	return free, nil
}

// cramped reports whether Badger could meet a disk without room.
func (s *Store) cramped() (bool, error) {
	free, err := s.free()
	return free < s.cfg.RoomBytes/cramPart, err
}

// roomForOthers returns ErrNoRoom where nothing of other machines may be taken in:
// what is left is for what this node writes itself.
func (s *Store) roomForOthers() error {
	room, err := s.Room()
	if err != nil {
		return err
	}
	if room.Full {
		return fmt.Errorf("%w: %d bytes are free, others' logs are taken from %d on", ErrNoRoom, room.Free, room.Want/fullPart)
	}
	return nil
}

// roomToOpen returns ErrNoRoom where the disk is too full to open an index.
func (s *Store) roomToOpen() error {
	if err := s.reserve.find(); err != nil {
		return err
	}
	return s.roomToRecover()
}

// roomToRecover returns ErrNoRoom where an index may not get more: Open asks before each
// thing that it puts into one. Before that it gives up the reserve, and what is kept of
// damaged indexes.
func (s *Store) roomToRecover() error {
	cramped, err := s.cramped()
	if err != nil || !cramped {
		return err
	}
	if err := errors.Join(s.dropDamaged(), s.giveReserve()); err != nil {
		return err
	}
	if cramped, err = s.cramped(); err != nil || !cramped {
		return err
	}
	free, err := s.free()
	return errors.Join(fmt.Errorf("%w: %d bytes are free, to open takes %d: remove what does not belong to the kiosk", ErrNoRoom, free, s.cfg.RoomBytes/cramPart), err)
}
