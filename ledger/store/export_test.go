package store

import "errors"

// What tests wait for.
const (
	StuckLook  = stuckLook
	StuckLooks = stuckLooks
)

var ErrStuck = errStuck

var FromMachine = fromMachine

// CloseOwnIndex takes Badger away under the own logs, as a disk does that fails.
func (s *Store) CloseOwnIndex() error { return s.own.close() }

// HoldOwnIndex keeps Badger from taking anything of own logs until release. letGo ends,
// in its place, what Close leaves open.
func (s *Store) HoldOwnIndex() (release func(), letGo func() error) {
	own, lock := s.own, s.lock
	own.writing.Lock()
	done := false
	return own.writing.Unlock, func() error {
		if done {
			return nil
		}
		done = true
		return errors.Join(own.db.Close(), lock.Close())
	}
}
