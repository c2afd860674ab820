// Package ondisk fits the ledger's store to what a peer.Host needs of one.
package ondisk

import (
	"context"
	"errors"
	"fmt"

	"rasid/ledger"
	"rasid/ledger/store"
	"rasid/sync/exchange"
	"rasid/sync/peer"
)

// Store is a store as a Host sees it.
type Store struct{ *store.Store }

// Ingest makes runs durable and says what became of each; peer.ErrNoRoom on a full disk.
func (s Store) Ingest(ctx context.Context, runs []ledger.Run) ([]exchange.Verdict, error) {
	results, err := s.Store.Ingest(ctx, runs)
	out := make([]exchange.Verdict, len(results))
	for i, r := range results {
		out[i] = exchange.Verdict{New: r.Added > 0, Tips: tips(s.Branches(runs[i].Log)), Err: r.Err}
		// Held on another branch, or an echo, or it ends before what is held and nobody
		// here can say more.
		if r.Held || errors.Is(r.Err, store.ErrOwnLog) || errors.Is(r.Err, store.ErrPruned) {
			out[i].Err = nil
		}
	}
	return out, room(err)
}

func room(err error) error {
	if errors.Is(err, store.ErrNoRoom) {
		return fmt.Errorf("%w: %w", peer.ErrNoRoom, err)
	}
	return err
}

func tips(branches []store.Branch) (out []ledger.Tip) {
	for _, b := range branches {
		out = append(out, branch{b}.Tip())
	}
	return out
}

// ReadRun reads what a peer lacks.
func (s Store) ReadRun(q exchange.ReadRun) exchange.RunRead {
	var branches []exchange.Branch
	for _, b := range s.Branches(q.Log) {
		branches = append(branches, branch{b})
	}
	return exchange.Serve(branches, q)
}

// branch is a branch as the exchange reads it.
type branch struct{ store.Branch }

func (b branch) Tip() ledger.Tip { return ledger.Tip{Size: b.End().Size, Root: b.End().Root} }

// Root is the store's, with *peer.PrunedError where what tells it was dropped.
func (b branch) Root(size uint64) (ledger.Hash, error) {
	root, err := b.Branch.Root(size)
	return root, b.pruned(err)
}

// ReadRun is the store's, with *peer.PrunedError for entries that were dropped.
func (b branch) ReadRun(from uint64, maxBytes int) (ledger.Run, error) {
	run, err := b.Branch.ReadRun(from, maxBytes)
	return run, b.pruned(err)
}

func (b branch) pruned(err error) error {
	if errors.Is(err, store.ErrPruned) {
		return &peer.PrunedError{Log: b.Log(), From: b.From()}
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

// Describe tells whose log it is.
func (s Store) Describe(log ledger.LogID) (peer.Description, bool) {
	info, ok := s.Log(log)
	if !ok {
		return peer.Description{}, false
	}
	m := info.Opened.Chain.Machine
	return peer.Description{Own: info.Own, Stream: info.Opened.Grant.Stream, Role: m.Role, Machine: m.Key}, true
}
