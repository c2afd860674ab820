package main

import (
	"bytes"
	"cmp"
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
	sortHashes(body.Objects)
	body.Objects = slices.Compact(body.Objects)
	if err := l.write(ctx, l.authority, cert.StreamAuthority, body); err != nil {
		return "", err
	}
	return fmt.Sprintf("Erased %d blobs here. Every machine erases its copy when the entry reaches it.", len(body.Objects)), nil
}

func sortHashes(list []ledger.Hash) {
	slices.SortFunc(list, func(a, b ledger.Hash) int { return bytes.Compare(a[:], b[:]) })
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
	err := l.eachSaid(func(at ledger.Time, b event.Body) {
		if b.(*event.PepperRenewed).Number == l.ring.Newest().Number {
			since = time.UnixMilli(int64(at.WallMs))
		}
	}, event.KindPepperRenewed)
	if age := now.Sub(since); err == nil && !since.IsZero() && age < pepperLasts {
		err = fmt.Errorf("pepper %d is %d days old: kiosks would no longer recognise bills paid under the one before it; wait until it is %d days old, or say --early after a revocation or a theft",
			l.ring.Newest().Number, int(age.Hours()/24), int(pepperLasts.Hours()/24))
	}
	return err
}

// each calls f for every entry of the authority log that this version knows.
func (l *ledgers) each(f func(event.Body)) error {
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
			f(body)
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

// eachSaid calls f for the entries of the kinds in every authority log held, the oldest
// incarnation first: an office that goes on under a later one honours what was said
// before.
func (l *ledgers) eachSaid(f func(ledger.Time, event.Body), kinds ...ledger.Kind) error {
	return l.eachOfOffice(store.Filter{Kinds: kinds}, func(e ledger.Entry, body event.Body) { f(e.Time, body) })
}

// eachOfOffice calls f for what offices' logs that may write it say, the oldest
// incarnation first, on every branch of each: an office that was restored said it too.
func (l *ledgers) eachOfOffice(filter store.Filter, f func(ledger.Entry, event.Body)) error {
	logs := slices.DeleteFunc(l.store.Logs(), func(i store.LogInfo) bool { return i.Opened.Author().Role != cert.RoleOffice })
	slices.SortStableFunc(logs, func(a, b store.LogInfo) int { return cmp.Compare(a.Opened.Grant.Ordinal, b.Opened.Grant.Ordinal) })
	for _, info := range logs {
		for _, b := range l.store.Branches(info.ID) {
			err := b.Scan(b.Departs(), b.End().Size, filter, func(index uint64, e ledger.Entry) error {
				body, err := event.Decode(e)
				if err == nil && b.Opened().Author().MayWrite(index, e.Kind) { // the books list what else there is
					f(e, body)
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("couldn't read log %s: %w", info.ID, err)
			}
		}
	}
	return nil
}

// revoked returns the machines that are revoked.
func (l *ledgers) revoked() (map[[ed25519.PublicKeySize]byte]bool, error) {
	gone := map[[ed25519.PublicKeySize]byte]bool{}
	err := l.eachSaid(func(_ ledger.Time, b event.Body) { gone[b.(*event.MachineRevoked).Machine] = true }, event.KindMachineRevoked)
	return gone, err
}

// superseded returns an entry that erases the objects which those published since have
// replaced, nil when there are none: of each biller the newest duesKept sets stay, and
// the newest peppersKept pepper sets. adds is what is about to be published.
func (l *ledgers) superseded(adds event.Body) (*event.Erased, error) {
	const duesKept, peppersKept = 3, 2
	stay := map[string][]ledger.Hash{} // by biller, none for peppers; the oldest first
	gone := map[ledger.Hash]bool{}
	take := func(_ ledger.Time, b event.Body) {
		switch b := b.(type) {
		case *event.DuesPublished:
			stay[b.Biller] = append(stay[b.Biller], b.Object)
		case *event.PepperRenewed:
			stay[""] = append(stay[""], b.Object)
		case *event.Erased:
			for _, h := range b.Objects {
				gone[h] = true
			}
		}
	}
	if err := l.eachSaid(take, event.KindDuesPublished, event.KindPepperRenewed, event.KindErased); err != nil {
		return nil, err
	}
	take(ledger.Time{}, adds)
	body := &event.Erased{Why: "replaced by what was published since"}
	for biller, objects := range stay {
		keep := duesKept
		if biller == "" {
			keep = peppersKept
		}
		for _, h := range objects[:max(0, len(objects)-keep)] {
			if !gone[h] {
				body.Objects = append(body.Objects, h)
			}
		}
	}
	if len(body.Objects) == 0 {
		return nil, nil
	}
	sortHashes(body.Objects)
	body.Objects = body.Objects[:min(len(body.Objects), event.ErasedMax)] // the rest goes with the next
	return body, nil
}

// publishObject names an object in the authority log and erases what it replaces. The
// object is durable before the entry that names it.
func (l *ledgers) publishObject(ctx context.Context, b event.Body) error {
	bodies := []event.Body{b}
	erased, err := l.superseded(b)
	if err != nil {
		return err
	}
	if erased != nil {
		bodies = append(bodies, erased)
	}
	return l.write(ctx, l.authority, cert.StreamAuthority, bodies...)
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
	return l.publishObject(ctx, &event.PepperRenewed{Number: p.Number, Object: h, Bytes: uint64(len(set))})
}
