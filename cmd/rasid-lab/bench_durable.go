package main

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	_ "modernc.org/sqlite" // registers the driver

	"rasid/ledger"
	"rasid/ledger/journal"
	"rasid/ledger/storetest"
)

// rival is something that makes payloads durable.
type rival struct {
	name   string
	slow   bool // by ten and more when many write: it makes fewer commits in a round
	commit func(ctx context.Context, payload []byte) error
	close  func() error
}

const (
	durableRounds = 5
	durableBytes  = 300
)

// durableWriters is how many writers at once, and how many commits each makes in a
// round: so many that what a store does later, as our index and the tables of Badger,
// falls for the most part within the round.
var durableWriters = []struct{ writers, each int }{{1, 400}, {16, 200}, {64, 200}}

// benchDurable compares durable commits a second, signature included, with a plain
// file that grows, Badger and SQLite: all by turns in each round, so that they meet
// the same disk. A figure is the median over the rounds of the ratio within one.
func benchDurable(ctx context.Context, dir, prefix string) (figures []figure, err error) {
	rivals, err := openRivals(ctx, dir)
	defer func() {
		for _, r := range rivals {
			err = errors.Join(err, r.close())
		}
	}()
	if err != nil {
		return nil, err
	}
	for _, w := range durableWriters {
		took := map[string][]time.Duration{}
		ratios := map[string][]float64{}
		for range durableRounds {
			var raw float64
			for _, r := range rivals { // raw comes first
				each := w.each
				if r.slow {
					each /= 8
				}
				start := time.Now()
				d, err := r.round(ctx, w.writers, each)
				if err != nil {
					return nil, fmt.Errorf("%s with %d writers: %w", r.name, w.writers, err)
				}
				commit := time.Since(start).Seconds() / float64(len(d))
				if r.name == "raw" {
					raw = commit
				}
				took[r.name] = append(took[r.name], d...)
				ratios[r.name] = append(ratios[r.name], raw/commit)
			}
		}
		figures = append(figures, durableFigures(prefix, w.writers, took, ratios)...)
	}
	return figures, nil
}

func durableFigures(prefix string, writers int, took map[string][]time.Duration, ratios map[string][]float64) []figure {
	at := func(name string) string { return fmt.Sprintf("%sdurable_%d_%s", prefix, writers, name) }
	median := func(name string) float64 {
		slices.Sort(ratios[name])
		return ratios[name][len(ratios[name])/2]
	}
	quantile := func(name string, n int) float64 {
		d := took[name]
		slices.Sort(d)
		return float64(d[len(d)*n/100].Microseconds())
	}
	aim := map[int]string{1: ">= 1", 64: ">= 0.9"}[writers]
	return []figure{
		{at("over_raw"), median("rasid"), "x", aim},
		{at("badger_over_raw"), median("badger"), "x", ""},
		{at("sqlite_over_raw"), median("sqlite"), "x", ""},
		{at("p50"), quantile("rasid", 50), "us", ""},
		{at("p99"), quantile("rasid", 99), "us", ""},
		{at("raw_p50"), quantile("raw", 50), "us", ""},
		{at("raw_p99"), quantile("raw", 99), "us", ""},
	}
}

// round has each writer commit so often and returns how long each commit took.
func (r rival) round(ctx context.Context, writers, each int) ([]time.Duration, error) {
	took, errs := make([]time.Duration, writers*each), make([]error, writers)
	var wg sync.WaitGroup
	for k := range writers {
		wg.Go(func() {
			payload := make([]byte, durableBytes)
			for i := k * each; i < (k+1)*each && errs[k] == nil; i++ {
				start := time.Now()
				errs[k] = r.commit(ctx, payload)
				took[i] = time.Since(start)
			}
		})
	}
	wg.Wait()
	return took, errors.Join(errs...)
}

func openRivals(ctx context.Context, dir string) (all []rival, err error) {
	for _, open := range []func(context.Context, string) (rival, error){openRaw, openRasid, openBadgerRival, openSQLite} {
		r, err := open(ctx, dir)
		if err != nil {
			return all, err
		}
		all = append(all, r)
	}
	return all, nil
}

func openRasid(ctx context.Context, dir string) (rival, error) {
	b, err := storetest.OpenBench(ctx, filepath.Join(dir, "durable"))
	if err != nil {
		return rival{}, err
	}
	var n atomic.Uint64
	commit := func(ctx context.Context, payload []byte) error {
		return b.Commit(ctx, func() (ledger.Entry, error) { return storetest.Filler(n.Add(1), len(payload)) })
	}
	return rival{name: "rasid", commit: commit, close: b.Close}, nil
}

// openRaw appends to a file that grows, and syncs once for all that wait.
func openRaw(_ context.Context, dir string) (rival, error) {
	f, err := journal.OSDisk{}.OpenFile(filepath.Join(dir, "durable.raw"), os.O_CREATE|os.O_WRONLY|os.O_APPEND)
	if err != nil {
		return rival{}, err
	}
	type request struct {
		payload []byte
		done    chan error
	}
	requests, ended := make(chan request), make(chan struct{})
	go func() {
		defer close(ended)
		for r := range requests {
			batch := []request{r}
			b := slices.Clone(r.payload)
			for more := true; more; {
				select {
				case r, more = <-requests:
					if more {
						batch, b = append(batch, r), append(b, r.payload...)
					}
				default:
					more = false
				}
			}
			_, err := f.Write(b)
			if err == nil {
				err = f.Sync()
			}
			for _, r := range batch {
				r.done <- err
			}
		}
	}()
	commit := func(_ context.Context, payload []byte) error {
		r := request{payload, make(chan error, 1)}
		requests <- r
		return <-r.done
	}
	return rival{name: "raw", commit: commit, close: func() error { close(requests); <-ended; return f.Close() }}, nil
}

func openBadgerRival(_ context.Context, dir string) (rival, error) {
	db, err := badger.Open(badger.DefaultOptions(filepath.Join(dir, "durable.badger")).WithSyncWrites(true).WithLogger(nil))
	if err != nil {
		return rival{}, err
	}
	var n atomic.Uint64
	commit := func(_ context.Context, payload []byte) error {
		key := binary.BigEndian.AppendUint64(nil, n.Add(1))
		return db.Update(func(txn *badger.Txn) error { return txn.Set(key, payload) })
	}
	return rival{name: "badger", slow: true, commit: commit, close: db.Close}, nil
}

func openSQLite(ctx context.Context, dir string) (rival, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "durable.sqlite")+"?_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=busy_timeout(60000)")
	if err != nil {
		return rival{}, err
	}
	db.SetMaxOpenConns(1) // SQLite has one writer; to queue here is faster than its locks
	if _, err := db.ExecContext(ctx, "CREATE TABLE entry (n INTEGER PRIMARY KEY, payload BLOB NOT NULL)"); err != nil {
		return rival{}, errors.Join(err, db.Close())
	}
	commit := func(ctx context.Context, payload []byte) error {
		_, err := db.ExecContext(ctx, "INSERT INTO entry (payload) VALUES (?)", payload)
		return err
	}
	return rival{name: "sqlite", slow: true, commit: commit, close: db.Close}, nil
}
