package storetest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/journal"
	"rasid/ledger/store"
)

// Quantiles of a duration.
type Quantiles struct{ P50, P99 time.Duration }

func quantiles(d []time.Duration) Quantiles {
	slices.Sort(d)
	return Quantiles{d[len(d)/2], d[len(d)*99/100]}
}

// CommitBench is what BenchCommit measured. A ratio is to Raw's median.
type CommitBench struct {
	Raw          Quantiles // append of one record's bytes to a plain file, and fdatasync
	One          Quantiles // Commit of one entry, one writer
	Sixteen      Quantiles // the same, 16 writers at once
	OneRatio     float64
	SixteenRatio float64 // time per commit of 16 writers together
	Batch        float64 // commits to a batch of 16 writers
}

// String is one line for people.
func (b CommitBench) String() string {
	return fmt.Sprintf("raw append+fdatasync p50 %v p99 %v; commit, 1 writer p50 %v p99 %v (%.2f × raw); 16 writers p50 %v p99 %v, %.2f × raw per commit, %.1f commits per sync",
		b.Raw.P50, b.Raw.P99, b.One.P50, b.One.P99, b.OneRatio, b.Sixteen.P50, b.Sixteen.P99, b.SixteenRatio, b.Batch)
}

const (
	benchRounds   = 20
	benchPerRound = 50
	benchWriters  = 16
)

// Bench is a store that commits to one log, for benchmarks.
type Bench struct {
	store  *store.Store
	writer *store.Writer
	cancel context.CancelFunc
	ended  chan error
}

// OpenBench opens a store in a folder that does not exist, with a log that has its
// first entry. Close it.
func OpenBench(ctx context.Context, dir string) (*Bench, error) {
	fleet, err := NewFleet("bench")
	if err != nil {
		return nil, err
	}
	me, err := fleet.Machine(cert.RoleKiosk, 1)
	if err != nil {
		return nil, err
	}
	s, err := store.Open(store.Config{Dir: dir, Fleet: fleet.Public, Machine: me.Key.Public().(ed25519.PublicKey)})
	if err != nil {
		return nil, err
	}
	w, err := s.OpenOwn(me.LogKey)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	b := &Bench{store: s, writer: w, ended: make(chan error, 1)}
	ctx, b.cancel = context.WithCancel(ctx)
	go func() { b.ended <- s.Run(ctx) }()
	if err := b.Commit(ctx, me.Open); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Commit makes one entry durable, signed.
func (b *Bench) Commit(ctx context.Context, entry func() (ledger.Entry, error)) error {
	_, err := b.writer.Commit(ctx, func(uint64) ([]ledger.Entry, error) {
		e, err := entry()
		return []ledger.Entry{e}, err
	})
	return err
}

// Close ends it.
func (b *Bench) Close() error {
	b.cancel()
	return errors.Join(<-b.ended, b.store.Close())
}

// BenchCommit measures the commit of one entry, durable and signed, against a raw
// append and fdatasync of as many bytes in the same folder, by turns in the same
// run so that both meet the same disk. dir is empty.
func BenchCommit(ctx context.Context, dir string) (b CommitBench, err error) {
	s, err := OpenBench(ctx, filepath.Join(dir, "data"))
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return b, b.measure(ctx, s.writer, filepath.Join(dir, "raw"))
}

func (b *CommitBench) measure(ctx context.Context, w *store.Writer, path string) error {
	raw, err := journal.OSDisk{}.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND)
	if err != nil {
		return err
	}
	record := make([]byte, 220) // what one small entry's batch takes in the journal
	var raws, ones, many []time.Duration
	var together time.Duration
	sizes := map[uint64]bool{}
	for range benchRounds {
		for range benchPerRound {
			start := time.Now()
			if _, err := raw.Write(record); err != nil {
				return err
			}
			if err := raw.Sync(); err != nil {
				return err
			}
			raws = append(raws, time.Since(start))
		}
		d, _, err := commits(ctx, w, 1, benchPerRound)
		if err != nil {
			return err
		}
		ones = append(ones, d...)
		start := time.Now()
		d, ends, err := commits(ctx, w, benchWriters, benchPerRound)
		if err != nil {
			return err
		}
		together += time.Since(start)
		many = append(many, d...)
		for _, e := range ends {
			sizes[e] = true
		}
	}
	b.Raw, b.One, b.Sixteen = quantiles(raws), quantiles(ones), quantiles(many)
	b.OneRatio = float64(b.One.P50) / float64(b.Raw.P50)
	b.SixteenRatio = float64(together) / float64(len(many)) / float64(b.Raw.P50)
	b.Batch = float64(len(many)) / float64(len(sizes))
	return raw.Close()
}

// commits has writers commit one entry each, so often, and returns how long each
// took and the sizes that they ended at.
func commits(ctx context.Context, w *store.Writer, writers, each int) ([]time.Duration, []uint64, error) {
	took, ends := make([]time.Duration, writers*each), make([]uint64, writers*each)
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for k := range writers {
		wg.Go(func() {
			for i := k * each; i < (k+1)*each; i++ {
				start := time.Now()
				c, err := w.Commit(ctx, func(first uint64) ([]ledger.Entry, error) {
					e, err := Sale(first)
					return []ledger.Entry{e}, err
				})
				if err != nil {
					errs[k] = err
					return
				}
				took[i], ends[i] = time.Since(start), c.End.Size
			}
		})
	}
	wg.Wait()
	return took, ends, errors.Join(errs...)
}
