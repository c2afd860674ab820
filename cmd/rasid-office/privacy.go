package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/object"
	"rasid/ledger/store"
	"rasid/node/fleet"
	view "rasid/node/office"
)

// sealed is a blob with what its entries say of it, as the program that holds the
// folder hands it to the command that opens it: nothing in it is readable.
type sealed struct {
	Found view.Sealed
	Blob  []byte
}

// blob finds a blob by receipt number or hash.
func (l *ledgers) blob(what string) (string, error) {
	found, err := view.FindBlob(viewLedger{l.store}, what)
	if err != nil {
		return "", err
	}
	b, err := l.store.Object(found.Object)
	switch {
	case errors.Is(err, store.ErrErased):
		return "", fmt.Errorf("the blob %s was erased: nothing of it is left", found.Object)
	case errors.Is(err, store.ErrNoObject):
		return "", fmt.Errorf("the blob %s has not come yet: its kiosk, or a neighbour that holds it, must connect", found.Object)
	case err != nil:
		return "", err
	}
	out, err := json.Marshal(sealed{Found: found, Blob: b})
	return string(out), err
}

// eraseJob is what is to be erased: receipt numbers or hashes of blobs.
type eraseJob struct {
	What []string
	Why  string
}

// erase writes that blobs are to be gone; it is done at this node on return, and at
// every other as the entry reaches it.
func (l *ledgers) erase(ctx context.Context, job eraseJob) (string, error) {
	body := &event.Erased{Why: job.Why}
	for _, what := range job.What {
		found, err := view.FindBlob(viewLedger{l.store}, what)
		if err != nil {
			return "", err
		}
		if _, err := l.store.Object(found.Object); errors.Is(err, store.ErrErased) {
			return "", fmt.Errorf("%s: its blob %s was erased before", what, found.Object)
		}
		body.Objects = append(body.Objects, found.Object)
	}
	slices.SortFunc(body.Objects, func(a, b ledger.Hash) int { return bytes.Compare(a[:], b[:]) })
	body.Objects = slices.Compact(body.Objects)
	if err := l.write(ctx, l.authority, cert.StreamAuthority, body); err != nil {
		return "", err
	}
	return fmt.Sprintf("Erased %d blobs here. Every machine erases its copy when the entry reaches it.", len(body.Objects)), nil
}

// rotateJob says which keys to renew.
type rotateJob struct {
	Pepper, Seal bool
	Early        bool // renew a young pepper all the same
}

// pepperLasts is how long a pepper is the newest at least: a kiosk recognises a bill that
// was paid under the one before it and under no earlier one, so bills must be off the
// dues two renewals after they were paid.
const pepperLasts = 62 * 24 * time.Hour

// rotate draws the next keys and gives them to every machine by the authority log. A
// key that a crash left unannounced is announced at the next start.
func (l *ledgers) rotate(ctx context.Context, job rotateJob) (string, error) {
	said := ""
	if job.Pepper {
		if err := l.checkOutlived(); err != nil {
			return "", err
		}
		if err := l.checkAge(time.Now()); err != nil && !job.Early {
			return "", err
		}
		id, err := fleet.RenewPepper(l.dir, rand.Reader)
		if err != nil {
			return "", err
		}
		said += fmt.Sprintf("Pepper %d is on its way to the machines. Publish each biller's dues again: their keys are made with it from then on.\n", id.Newest().Number)
	}
	if job.Seal {
		id, err := fleet.RenewSeal(l.dir, rand.Reader)
		if err != nil {
			return "", err
		}
		said += fmt.Sprintf("Seal key %d is on its way to the machines. Back up seal.json: it opens what they seal.\n", id.Seals[len(id.Seals)-1].Number)
	}
	return said, l.announceKeys(ctx)
}

// checkOutlived refuses a new pepper while a biller's newest dues need the one that it
// would push out: kiosks could not look them up any more.
func (l *ledgers) checkOutlived() error {
	newest := map[string]uint32{}
	err := l.each(func(b event.Body) {
		if d, ok := b.(*event.DuesPublished); ok {
			newest[d.Biller] = d.Pepper
		}
	})
	if err != nil {
		return err
	}
	for biller, number := range newest {
		if number < l.ring.Newest().Number {
			return fmt.Errorf("the newest dues of %s are made with pepper %d, and two peppers are valid at a time: publish them again first", biller, number)
		}
	}
	return nil
}

// checkAge refuses to renew a pepper that is the newest for a short time only.
func (l *ledgers) checkAge(now time.Time) error {
	var since time.Time
	err := l.eachAt(func(at ledger.Time, b event.Body) {
		if p, ok := b.(*event.PepperRenewed); ok && p.Number == l.ring.Newest().Number {
			since = time.UnixMilli(int64(at.WallMs))
		}
	})
	if age := now.Sub(since); err == nil && !since.IsZero() && age < pepperLasts {
		err = fmt.Errorf("pepper %d is %d days old: kiosks would no longer recognise bills paid under the one before it; wait until it is %d days old, or say --early after a revocation or a theft",
			l.ring.Newest().Number, int(age.Hours()/24), int(pepperLasts.Hours()/24))
	}
	return err
}

// each calls f for every entry of the authority log that this version knows.
func (l *ledgers) each(f func(event.Body)) error {
	return l.eachAt(func(_ ledger.Time, b event.Body) { f(b) })
}

// eachAt is each with the entries' times.
func (l *ledgers) eachAt(f func(ledger.Time, event.Body)) error {
	if l.authority.Size() == 0 {
		return nil
	}
	err := l.store.Range(l.authority.ID(), 0, l.authority.Size(), func(_ uint64, raw []byte) error {
		e, err := ledger.DecodeEntry(raw)
		if err != nil {
			return err
		}
		body, err := event.Decode(e)
		if err == nil {
			f(e.Time, body)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("couldn't read the authority log: %w", err)
	}
	return nil
}

// announceKeys writes every renewed key that the authority log does not name yet. The
// first of each came with the enrolment. A pepper set is durable before its entry.
func (l *ledgers) announceKeys(ctx context.Context) error {
	l.announces.Lock()
	defer l.announces.Unlock()
	id, err := fleet.Load(l.dir)
	if err != nil {
		return err
	}
	peppers, seals := map[uint32]bool{1: true}, map[uint32]bool{1: true}
	err = l.each(func(b event.Body) {
		switch b := b.(type) {
		case *event.PepperRenewed:
			peppers[b.Number] = true
		case *event.SealKeyRenewed:
			seals[b.Number] = true
		}
	})
	if err != nil {
		return err
	}
	for _, k := range id.Seals {
		if !seals[k.Number] {
			if err := l.write(ctx, l.authority, cert.StreamAuthority, &event.SealKeyRenewed{Number: k.Number, Key: k.Public}); err != nil {
				return fmt.Errorf("couldn't announce seal key %d: %w", k.Number, err)
			}
		}
	}
	for _, p := range id.Peppers {
		if !peppers[p.Number] {
			if err := l.announcePepper(ctx, p); err != nil {
				return fmt.Errorf("couldn't announce pepper %d: %w", p.Number, err)
			}
		}
		l.ring.AddPepper(p)
	}
	return nil
}

// revoked returns the machines that any authority log held here has revoked: an
// office that goes on under a later incarnation honours what was said before.
func (l *ledgers) revoked() (map[[ed25519.PublicKeySize]byte]bool, error) {
	gone := map[[ed25519.PublicKeySize]byte]bool{}
	for _, info := range l.store.Logs() {
		author := info.Opened.Author()
		err := l.store.Scan(info.ID, 0, info.End.Size, store.Filter{Kinds: []ledger.Kind{event.KindMachineRevoked}}, func(index uint64, e ledger.Entry) error {
			if !author.MayWrite(index, e.Kind) {
				return nil // the books list it
			}
			body, err := event.Decode(e)
			if r, ok := body.(*event.MachineRevoked); ok && err == nil {
				gone[r.Machine] = true
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("couldn't look for revocations: %w", err)
		}
	}
	return gone, nil
}

// announcePepper seals the pepper to every machine of the fleet but the revoked ones.
func (l *ledgers) announcePepper(ctx context.Context, p fleet.Pepper) error {
	enrolled, err := fleet.Machines(l.dir)
	if err != nil {
		return err
	}
	gone, err := l.revoked()
	if err != nil {
		return err
	}
	var machines []ed25519.PublicKey
	for _, m := range enrolled {
		if !gone[m.Chain.Machine.Key] {
			machines = append(machines, m.Chain.Machine.PublicKey())
		}
	}
	set, err := object.BuildPepperSet(p.Number, p.Secret, machines)
	if err != nil {
		return err
	}
	h, err := l.store.PutObject(ctx, set)
	if err != nil {
		return err
	}
	return l.write(ctx, l.authority, cert.StreamAuthority, &event.PepperRenewed{Number: p.Number, Object: h, Bytes: uint64(len(set))})
}
