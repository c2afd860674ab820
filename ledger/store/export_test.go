package store

// CloseOwnIndex takes Badger away under the own logs, as a disk does that fails.
func (s *Store) CloseOwnIndex() error { return s.own.close() }
