package store

import "errors"

// Tend does what a store needs done now and then: it gives the reserve up or takes it
// back, and prunes. Each call does a bounded step, but that the first one after a start may
// merge tables for some seconds, where entries were dropped before; call it a few times a second, from one
// goroutine. After an error it may be called again.
func (s *Store) Tend() error {
	return errors.Join(s.tendReserve(), s.merge(), s.prune())
}
