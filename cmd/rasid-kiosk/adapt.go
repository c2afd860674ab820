package main

import (
	"context"

	"rasid/ledger"
	"rasid/ledger/store"
)

// committer fits the store's writer to what the till needs.
type committer struct{ w *store.Writer }

func (c committer) Commit(ctx context.Context, build func(first uint64) ([]ledger.Entry, error)) (uint64, [][]byte, error) {
	done, err := c.w.Commit(ctx, build)
	return done.First, done.Entries, err
}

// ownLog fits the store to what papers are made from.
type ownLog struct {
	s  *store.Store
	id ledger.LogID
}

func (o ownLog) Entry(index uint64) ([]byte, error) {
	return o.s.Entry(ledger.Position{Log: o.id, Index: index})
}

func (o ownLog) Covering(index uint64) (ledger.Checkpoint, error) {
	return o.s.Covering(ledger.Position{Log: o.id, Index: index})
}
