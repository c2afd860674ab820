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

// BenchCommit measures the commit of one entry, durable and signed, against a raw
// append and fdatasync of as many bytes in the same folder, by turns in the same
// run so that both meet the same disk. dir is empty.
func BenchCommit(dir string) (b CommitBench, err error) {
	fleet, err := NewFleet("bench")
	if err != nil {
		return b, err
	}
	me, err := fleet.Machine(cert.RoleKiosk, 1)
	if err != nil {
		return b, err
	}
	s, err := store.Open(store.Config{Dir: filepath.Join(dir, "data"), Fleet: fleet.Public, Machine: me.Key.Public().(ed25519.PublicKey)})
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	w, err := s.OpenOwn(me.LogKey)
	if err != nil {
		return b, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() { cancel(); err = errors.Join(err, <-ended) }()
	if _, err := w.Commit(ctx, func(uint64) ([]ledger.Entry, error) {
		e, err := me.Open()
		return []ledger.Entry{e}, err
	}); err != nil {
		return b, err
	}
	return b, b.measure(ctx, w, filepath.Join(dir, "raw"))
}

func (b *CommitBench) measure(ctx context.Context, w *store.Writer, path string) error {
	raw, err := journal.OSDisk{}.OpenFile(path, os.O_CREATE|os.O_WRONLY)
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
