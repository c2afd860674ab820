package store

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// roomBytes is how much must be free for a kiosk to take money: many times what a
// sale, the logs of the neighbours and a rebuilt index can take before somebody
// comes.
const roomBytes = 256 << 20

// Room is what is free on the disk that holds the data folder.
type Room struct {
	Free uint64 // bytes that this process may still write
	Want uint64 // bytes
	// OK is false when less is free than wanted, and until a quarter more is: take no
	// money, but go on with what is under way.
	OK bool
}

// Room measures it.
func (s *Store) Room() (Room, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(s.cfg.Dir, &st); err != nil {
		return Room{}, fmt.Errorf("couldn't tell what is free where %s is: %w", s.cfg.Dir, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Room{Free: st.Bavail * uint64(st.Bsize), Want: s.cfg.RoomBytes}
	s.short = r.Free < r.Want || s.short && r.Free < r.Want+r.Want/4
	r.OK = !s.short
	return r, nil
}
