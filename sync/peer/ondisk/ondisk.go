// Package ondisk fits the ledger's store to what a peer.Host needs of one.
package ondisk

import (
	"context"
	"errors"
	"fmt"

	"rasid/ledger"
	"rasid/ledger/store"
	"rasid/sync/peer"
)

// Store is a store as a Host sees it.
type Store struct{ *store.Store }

// Ingest makes runs durable and says of each why it was refused, nil if it was not;
// peer.ErrNoRoom on a full disk.
func (s Store) Ingest(ctx context.Context, runs []ledger.Run) ([]error, error) {
	results, err := s.Store.Ingest(ctx, runs)
	errs := make([]error, len(results))
	for i, r := range results {
		if errs[i] = r.Err; errors.Is(r.Err, store.ErrPruned) {
			errs[i] = nil // it ends before what is held, and nobody here can say more
		}
	}
	return errs, room(err)
}

// ReadRun is the store's, with peer.PrunedError for entries that were dropped.
func (s Store) ReadRun(id ledger.LogID, from uint64, maxBytes int) (ledger.Run, error) {
	run, err := s.Store.ReadRun(id, from, maxBytes)
	if errors.Is(err, store.ErrPruned) {
		info, _ := s.Log(id)
		err = &peer.PrunedError{Log: id, From: info.From}
	}
	return run, err
}

func room(err error) error {
	if errors.Is(err, store.ErrNoRoom) {
		return fmt.Errorf("%w: %w", peer.ErrNoRoom, err)
	}
	return err
}

// AcceptObject stores an object durably, or returns peer.ErrUnwanted or peer.ErrNoRoom.
func (s Store) AcceptObject(ctx context.Context, b []byte) (ledger.Hash, error) {
	h, err := s.Store.AcceptObject(ctx, b)
	if errors.Is(err, store.ErrErased) || errors.Is(err, store.ErrUnwanted) {
		err = fmt.Errorf("%w: %w", peer.ErrUnwanted, err)
	}
	return h, room(err)
}

// Frontier says how far each log is held on the branch that ReadRun reads. A Host
// knows one tip of a log: a fork it reports and leaves out.
func (s Store) Frontier() ledger.Frontier {
	f := s.Store.Frontier()
	for log, tips := range f {
		f[log] = tips[:1]
	}
	return f
}

// Describe tells whose log it is.
func (s Store) Describe(log ledger.LogID) (peer.Description, bool) {
	info, ok := s.Log(log)
	if !ok {
		return peer.Description{}, false
	}
	m := info.Opened.Chain.Machine
	return peer.Description{Own: info.Own, Stream: info.Opened.Grant.Stream, Role: m.Role, Machine: m.Key}, true
}
