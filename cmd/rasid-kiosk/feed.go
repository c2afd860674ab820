package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/object"
	"rasid/ledger/store"
	"rasid/node/catalogue"
	"rasid/node/fleet"
)

// feed reads the office's logs as they grow: dues for the catalogue, renewed keys, and
// what the office says it holds of this kiosk's own log.
type feed struct {
	store     *store.Store
	catalogue *catalogue.Catalogue
	ring      *fleet.Ring
	machine   ed25519.PrivateKey
	own       ledger.LogID
	log       *slog.Logger

	next    map[branch]uint64     // owned by run: entries read
	waiting []published           // owned by run: named, the object or its pepper is not here yet
	peppers []event.PepperRenewed // owned by run: named, the object is not here yet

	mu      sync.Mutex
	held    uint64                                 // guarded by mu: entries of our log that the office acknowledged
	ackedAt time.Time                              // guarded by mu: when it said so, by its clock
	names   map[[ed25519.PublicKeySize]byte]string // guarded by mu: of the machines that the office has enrolled
}

// branch is one history of an office's log: a log that has forked has several.
type branch struct {
	log    ledger.LogID
	number int
}

type published struct {
	body event.DuesPublished
	at   catalogue.Publication
}

func newFeed(s *store.Store, c *catalogue.Catalogue, ring *fleet.Ring, machine ed25519.PrivateKey, own ledger.LogID, log *slog.Logger) *feed {
	return &feed{store: s, catalogue: c, ring: ring, machine: machine, own: own, log: log, next: map[branch]uint64{}, names: map[[ed25519.PublicKeySize]byte]string{}}
}

// acknowledged is how much of the own log the office holds by its own word.
func (f *feed) acknowledged() (entries uint64, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.held, f.ackedAt
}

// name is what the office calls a machine; empty where it has not come yet.
func (f *feed) name(machine [ed25519.PublicKeySize]byte) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.names[machine]
}

func (f *feed) run(ctx context.Context) error {
	updates, cancel := f.store.Updates()
	defer cancel()
	for {
		if err := f.read(); err != nil {
			return err
		}
		f.usePeppers()
		f.useObjects()
		select {
		case <-ctx.Done():
			return nil
		case <-updates:
		}
	}
}

func (f *feed) read() error {
	for _, l := range f.store.Logs() {
		if l.Opened.Chain.Machine.Role != cert.RoleOffice {
			continue
		}
		for n, b := range f.store.Branches(l.ID) {
			at := branch{l.ID, n}
			from := max(f.next[at], b.Departs()) // what it shares with another is read there
			if from >= b.End().Size {
				continue
			}
			l.Opened = b.Opened()
			err := b.Range(from, b.End().Size, func(index uint64, raw []byte) error {
				f.next[at] = index + 1
				f.entry(l, index, raw)
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// holds reports whether what the office says it holds is this kiosk's log, and not what
// another wrote under its key.
func (f *feed) holds(h event.Held) bool {
	if h.Log != f.own {
		return false
	}
	root, err := f.store.Root(f.own, h.Size)
	return err == nil && root == h.Root
}

// entry takes what concerns a kiosk. What cannot be read is the writer's fault and
// stays in the log for all to see: it is not a reason to stop.
func (f *feed) entry(l store.LogInfo, index uint64, raw []byte) {
	e, err := ledger.DecodeEntry(raw)
	if err != nil {
		f.log.Warn("an entry of the office cannot be read", "log", l.ID.String(), "index", index, "error", err)
		return
	}
	body, err := event.Decode(e)
	if err != nil {
		f.log.Warn("an entry of the office cannot be read", "log", l.ID.String(), "index", index, "error", err)
		return
	}
	if !l.Opened.Author().MayWrite(index, e.Kind) {
		return
	}
	switch b := body.(type) {
	case *event.DuesPublished:
		f.waiting = append(f.waiting, published{*b, catalogue.Publication{Ordinal: l.Opened.Grant.Ordinal, Index: index}})
	case *event.SealKeyRenewed:
		f.ring.AddSeal(object.SealKey{Number: b.Number, Public: b.Key})
	case *event.PepperRenewed:
		f.peppers = append(f.peppers, *b)
	case *event.MachineEnrolled:
		f.mu.Lock()
		f.names[b.Chain.Machine.Key] = b.Name
		f.mu.Unlock()
	case *event.Acknowledged:
		for _, h := range b.Held {
			if f.holds(h) {
				f.mu.Lock()
				f.held, f.ackedAt = max(f.held, h.Size), time.UnixMilli(int64(e.Time.WallMs))
				f.mu.Unlock()
			}
		}
	}
}

// usePeppers takes this machine's share of pepper sets whose bytes have come.
func (f *feed) usePeppers() {
	var still []event.PepperRenewed
	for _, p := range f.peppers {
		if _, ok := f.ring.Pepper(p.Number); ok || f.ring.Outlived(p.Number) {
			continue // it came with the enrolment, or is valid no more
		}
		set, err := f.store.Object(p.Object)
		if errors.Is(err, store.ErrNoObject) {
			if !errors.Is(err, store.ErrErased) {
				still = append(still, p)
			}
			continue
		}
		var number uint32
		var pepper event.Pepper
		if err == nil {
			number, pepper, err = object.OpenPepperSet(set, f.machine)
		}
		if err == nil && number != p.Number {
			err = fmt.Errorf("it holds pepper %d, its entry says %d", number, p.Number)
		}
		if err != nil {
			f.log.Error("a pepper set cannot be used", "pepper", p.Number, "error", err)
			continue
		}
		f.ring.AddPepper(fleet.Pepper{Number: number, Secret: pepper})
	}
	f.peppers = still
}

// useObjects hands sets whose bytes have come to the catalogue.
func (f *feed) useObjects() {
	var still []published
	for _, p := range f.waiting {
		if !f.ring.Names(p.body.Pepper) {
			if !f.ring.Outlived(p.body.Pepper) {
				still = append(still, p)
			}
			continue
		}
		set, err := f.store.Object(p.body.Object)
		if errors.Is(err, store.ErrNoObject) {
			if !errors.Is(err, store.ErrErased) { // replaced by later ones
				still = append(still, p)
			}
			continue
		}
		if err == nil {
			_, err = f.catalogue.Use(p.body, p.at, set)
		}
		if err != nil {
			f.log.Error("a dues set cannot be used", "object", p.body.Object.String(), "error", err)
		}
	}
	f.waiting = still
}
