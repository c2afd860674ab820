package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/store"
	"rasid/node/audit"
	"rasid/node/catalogue"
	"rasid/node/fleet"
)

// duesJob is a dues file that was read and is to be published.
type duesJob struct {
	Biller   catalogue.Biller
	Dues     []catalogue.Due
	Warnings []string
	AsOf     time.Time
}

// ledgers is the office's data folder, open: what the commands work on, whether the
// office serves or not.
type ledgers struct {
	dir       string
	id        fleet.Identity
	ring      *fleet.Ring // peppers renewed since, too
	store     *store.Store
	keys      map[cert.Stream]fleet.LogKey
	authority *store.Writer
	cell      *store.Writer
	same      *sameBills
	announces sync.Mutex // one look at what is not announced yet at a time
}

func cellStream(id fleet.Identity) cert.Stream {
	return cert.StreamCell + cert.Stream(id.Chain.Machine.Cell)
}

// openLedgers opens the folder; it is in use until close.
func openLedgers(dir string, log *slog.Logger) (*ledgers, error) {
	id, err := loadOffice(dir)
	if err != nil {
		return nil, err
	}
	same, err := openSameBills(dir)
	if err != nil {
		return nil, err
	}
	l := &ledgers{dir: dir, same: same, id: id, ring: id.Ring(), keys: map[cert.Stream]fleet.LogKey{}}
	if l.store, err = store.Open(store.Config{Dir: filepath.Join(dir, "data"), Fleet: id.Fleet, Machine: id.MachineKey(), Log: log}); err != nil {
		return nil, withRemedy(err, dir)
	}
	if l.authority, err = l.open(cert.StreamAuthority); err == nil {
		l.cell, err = l.open(cellStream(id))
	}
	if err != nil {
		return nil, errors.Join(withRemedy(err, dir), l.store.Close())
	}
	return l, nil
}

func loadOffice(dir string) (fleet.Identity, error) {
	id, err := fleet.Load(dir)
	if err == nil && id.Chain.Machine.Role != cert.RoleOffice {
		err = fmt.Errorf("%s is the folder of a %s: name the office's", dir, id.Chain.Machine.Role)
	}
	return id, err
}

func (l *ledgers) open(stream cert.Stream) (*store.Writer, error) {
	key, err := l.id.OpenLogKey(stream, rand.Reader)
	if err != nil {
		return nil, err
	}
	l.keys[stream] = key
	return l.store.OpenOwn(key.Key)
}

func (l *ledgers) close() error { return l.store.Close() }

func officeTime() ledger.Time {
	return ledger.Time{WallMs: uint64(max(0, time.Now().UnixMilli())), Quality: ledger.TimeOffice}
}

// write commits bodies to a log of the office, behind its opening where it is new.
func (l *ledgers) write(ctx context.Context, w *store.Writer, stream cert.Stream, bodies ...event.Body) error {
	_, err := w.Commit(ctx, func(first uint64) ([]ledger.Entry, error) {
		if first == 0 {
			bodies = append([]event.Body{fleet.Opening(l.id, l.keys[stream], book.Newest())}, bodies...)
		}
		var entries []ledger.Entry
		for _, b := range bodies {
			e, err := event.New(officeTime(), b)
			if err != nil {
				return nil, err
			}
			entries = append(entries, e)
		}
		return entries, nil
	})
	return err
}

// stateRules has the office's logs that state an older rule set state the newest: what
// the office says from then on of kiosks' entries is booked by it.
func (l *ledgers) stateRules(ctx context.Context) error {
	for stream, w := range map[cert.Stream]*store.Writer{cert.StreamAuthority: l.authority, cellStream(l.id): l.cell} {
		for _, b := range l.store.Branches(w.ID()) { // one, or none of a log that is to be opened
			stated := b.Opened().Rules
			err := b.Scan(0, b.End().Size, store.Filter{Kinds: []ledger.Kind{event.KindRulesStated}}, func(_ uint64, e ledger.Entry) error {
				body, err := event.Decode(e)
				if r, ok := body.(*event.RulesStated); ok && err == nil {
					stated = r.Rules
				}
				return nil
			})
			if err == nil && stated != book.Newest() {
				err = l.write(ctx, w, stream, &event.RulesStated{Rules: book.Newest()})
			}
			if err != nil {
				return fmt.Errorf("couldn't state the newest rule set: %w", err)
			}
		}
	}
	return nil
}

// announce writes every enrolled machine, and then every renewed key, that the
// authority log does not name yet, under the newest rules.
func (l *ledgers) announce(ctx context.Context) error {
	if err := l.stateRules(ctx); err != nil {
		return err
	}
	named := map[[ed25519.PublicKeySize]byte]bool{}
	err := l.each(func(b event.Body) {
		if m, ok := b.(*event.MachineEnrolled); ok {
			named[m.Chain.Machine.Key] = true
		}
	})
	if err != nil {
		return err
	}
	machines, err := fleet.Machines(l.dir)
	if err != nil {
		return err
	}
	for _, m := range machines {
		if named[m.Chain.Machine.Key] {
			continue
		}
		if err := l.write(ctx, l.authority, cert.StreamAuthority, m); err != nil {
			return fmt.Errorf("couldn't announce %s: %w", m.Name, err)
		}
	}
	return l.announceKeys(ctx)
}

// publish seals the dues and names the set in the authority log.
func (l *ledgers) publish(ctx context.Context, job duesJob) (string, error) {
	pepper := l.ring.Newest()
	if before, ok := l.ring.Pepper(pepper.Number - 1); ok {
		if err := l.same.note(pepper, before, job.Biller.Code, job.Dues); err != nil {
			return "", err
		}
	}
	object, err := catalogue.Build(job.Biller, job.Dues, job.AsOf, pepper.Number, pepper.Secret, rand.Reader)
	if err != nil {
		return "", err
	}
	hash, err := l.store.PutObject(ctx, object)
	if err != nil {
		return "", err
	}
	err = l.publishObject(ctx, &event.DuesPublished{
		Biller: job.Biller.Code, Object: hash, Bytes: uint64(len(object)), AsOfMs: uint64(job.AsOf.UnixMilli()), Pepper: pepper.Number, Count: uint32(len(job.Dues)),
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("Published the dues of %d consumers of %s: %d bytes, object %s.", len(job.Dues), job.Biller.Code, len(object), hash), nil
}

// export writes everything held to dir.
func (l *ledgers) export(dir string) (string, error) {
	started := time.Now()
	in := audit.Input{Fleet: l.id.Fleet, Authority: l.keys[cert.StreamAuthority].Key, Objects: map[ledger.Hash][]byte{}, Now: started}
	logs := l.store.Logs()
	for _, info := range logs {
		for _, b := range l.store.Branches(info.ID) {
			src, err := l.source(b, in.Objects)
			if err != nil {
				return "", err
			}
			in.Logs = append(in.Logs, src)
		}
	}
	n, err := audit.Export(dir, in)
	if err != nil {
		return "", err
	}
	took := time.Since(started)
	return fmt.Sprintf("Exported %d entries of %d logs to %s in %s.", n, len(logs), dir, took.Round(time.Millisecond)), nil
}

// source gathers the checkpoints of a log's branch and the objects that its entries name.
// The branch ends where it did when it was asked for, at a checkpoint.
func (l *ledgers) source(b store.Branch, objects map[ledger.Hash][]byte) (audit.LogSource, error) {
	size := b.End().Size
	src := audit.LogSource{ID: b.Log(), Opened: b.Opened(), Each: func(f func(uint64, []byte) error) error {
		return b.Range(0, size, f)
	}}
	for at := uint64(0); at < size; {
		c, err := b.Covering(at)
		if err != nil {
			return src, err
		}
		src.Checkpoints = append(src.Checkpoints, c)
		at = c.Size
	}
	err := src.Each(func(_ uint64, raw []byte) error {
		e, err := ledger.DecodeEntry(raw)
		if err != nil {
			return err
		}
		body, err := event.Decode(e)
		if err != nil {
			return nil // the books ask about it
		}
		// Sealed blobs stay here: no erasure would reach them in an export.
		if d, ok := body.(*event.DuesPublished); ok {
			if b, err := l.store.Object(d.Object); err == nil {
				objects[d.Object] = b
			}
		}
		return nil
	})
	return src, err
}

// acknowledge says in the cell's log what is held durably of the kiosks' logs, if
// that changed since it was last said. An entry names a log once: of one that has forked
// each branch stands in an entry of its own.
func (l *ledgers) acknowledge(ctx context.Context, said map[ledger.LogID][]uint64) error {
	var rounds [][]event.Held // by branch
	for _, info := range l.store.Logs() {
		if info.Own {
			continue
		}
		for n, b := range l.store.Branches(info.ID) {
			for n >= len(said[info.ID]) {
				said[info.ID] = append(said[info.ID], 0)
			}
			for n >= len(rounds) {
				rounds = append(rounds, nil)
			}
			if end := b.End(); said[info.ID][n] != end.Size {
				rounds[n] = append(rounds[n], event.Held{Log: info.ID, Size: end.Size, Root: end.Root})
			}
		}
	}
	for n, held := range rounds {
		slices.SortFunc(held, func(a, b event.Held) int { return slices.Compare(a.Log[:], b.Log[:]) })
		for part := range slices.Chunk(held, 256) {
			if err := l.write(ctx, l.cell, cellStream(l.id), &event.Acknowledged{Held: part}); err != nil {
				return fmt.Errorf("couldn't acknowledge: %w", err)
			}
			for _, h := range part {
				said[h.Log][n] = h.Size
			}
		}
	}
	return nil
}
