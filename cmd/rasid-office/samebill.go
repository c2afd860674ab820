package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"rasid/ledger/event"
	"rasid/node/catalogue"
	"rasid/node/fleet"
)

const (
	sameBillsPrefix = "same-bills-" // then the number of the pepper
	pairsMax        = 1 << 20       // of one pepper
	pairFilesMax    = 3             // the newest peppers'
)

// pair is the key of a bill under one pepper, and that under the next.
type pair [2 * event.BillKeyBytes]byte

// sameBills knows which bill keys name one bill under two peppers, one renewed after the
// other: those of every bill in dues published since the renewal. It is a file of pairs
// for each renewed pepper in the office's folder, where the peppers are: it tells no more
// than they do, and no consumer number stands in it. It may be used from any goroutine.
type sameBills struct {
	dir string

	mu    sync.Mutex
	pairs map[uint32][]pair                 // guarded by mu: by the later pepper, ascending
	other map[event.BillKey][]event.BillKey // guarded by mu: the keys that a key is paired with
}

// openSameBills reads the files.
func openSameBills(dir string) (*sameBills, error) {
	s := &sameBills{dir: dir, pairs: map[uint32][]pair{}}
	files, err := filepath.Glob(filepath.Join(dir, sameBillsPrefix+"*"))
	if err != nil {
		return nil, err
	}
	for _, path := range files {
		number, err := strconv.ParseUint(strings.TrimPrefix(filepath.Base(path), sameBillsPrefix), 10, 32)
		if err != nil {
			continue // a power cut left it
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("couldn't read which bills are one: %w", err)
		}
		if len(b)%len(pair{}) != 0 || len(b)/len(pair{}) > pairsMax {
			return nil, fmt.Errorf("%s is damaged: put it back from a backup; without it nobody finds a bill that was paid under two peppers", path)
		}
		for p := range slices.Chunk(b, len(pair{})) {
			s.pairs[uint32(number)] = append(s.pairs[uint32(number)], pair(p))
		}
	}
	s.index()
	return s, nil
}

// index makes what is looked up of the pairs; the caller holds mu, or has s to itself.
func (s *sameBills) index() {
	s.other = map[event.BillKey][]event.BillKey{}
	for _, list := range s.pairs {
		for _, p := range list {
			a, b := event.BillKey(p[:event.BillKeyBytes]), event.BillKey(p[event.BillKeyBytes:])
			s.other[a], s.other[b] = append(s.other[a], b), append(s.other[b], a)
		}
	}
}

// keys returns all keys of the bill that the key names, itself among them; nil for a bill
// that has but one.
func (s *sameBills) keys(key event.BillKey) []event.BillKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.other[key] == nil {
		return nil
	}
	all := []event.BillKey{key}
	for i := 0; i < len(all); i++ { // a bill that is listed for long has three keys or more
		for _, k := range s.other[all[i]] {
			if !slices.Contains(all, k) {
				all = append(all, k)
			}
		}
	}
	return all
}

// later returns, of every pair, the key under the later pepper.
func (s *sameBills) later() (keys []event.BillKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, list := range s.pairs {
		for _, p := range list {
			keys = append(keys, event.BillKey(p[event.BillKeyBytes:]))
		}
	}
	return keys
}

// note notes of every bill in dues which key it has under the pepper now and under the one
// before. It is durable on return: call it before the dues are published, so that no payment under a new key is
// ever without its pair.
func (s *sameBills) note(now fleet.Pepper, before event.Pepper, biller string, dues []catalogue.Due) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.Clone(s.pairs[now.Number])
	for _, d := range dues {
		a, err := event.BillKeyOf(before, biller, d.Account, d.Period)
		if err != nil {
			return err
		}
		b, err := event.BillKeyOf(now.Secret, biller, d.Account, d.Period)
		if err != nil {
			return err
		}
		list = append(list, pair(append(a[:], b[:]...)))
	}
	slices.SortFunc(list, func(a, b pair) int { return bytes.Compare(a[:], b[:]) })
	list = slices.Compact(list)
	if len(list) > pairsMax {
		return fmt.Errorf("%d bills have a key under pepper %d and under the one before, the limit is %d: renew the pepper (rasid-office keys rotate --pepper) and publish again", len(list), now.Number, pairsMax)
	}
	if err := s.write(now.Number, list); err != nil {
		return fmt.Errorf("couldn't write down which bills are one: %w", err)
	}
	s.pairs[now.Number] = list
	s.index()
	return nil
}

// write replaces the file of a pepper, durably, and removes the oldest beyond the limit.
func (s *sameBills) write(number uint32, list []pair) error {
	var b []byte
	for _, p := range list {
		b = append(b, p[:]...)
	}
	temp, err := os.CreateTemp(s.dir, "."+sameBillsPrefix)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // gone already when it was renamed
	_, err = temp.Write(b)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), s.path(number)); err != nil {
		return err
	}
	for n := range s.pairs {
		if n+pairFilesMax <= number {
			if err := os.Remove(s.path(n)); err != nil {
				return err
			}
			delete(s.pairs, n)
		}
	}
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (s *sameBills) path(number uint32) string {
	return filepath.Join(s.dir, sameBillsPrefix+strconv.FormatUint(uint64(number), 10))
}
