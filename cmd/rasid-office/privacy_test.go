package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/object"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
	"rasid/node/catalogue"
	"rasid/node/fleet"
)

// bench is an office with its folder open and its ledger running.
type bench struct {
	*ledgers
	t *testing.T
}

func newBench(t *testing.T) bench {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "office")
	if _, err := fleet.Init(dir, fleet.Request{Name: "OFFICE"}, time.Now(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	return openBench(t, dir)
}

func openBench(t *testing.T, dir string) bench {
	t.Helper()
	l, err := openLedgers(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.store.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, l.close()); err != nil {
			t.Error(err)
		}
	})
	b := bench{l, t}
	b.do(l.announce(t.Context()))
	return b
}

func (b bench) do(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// enrol makes a kiosk.
func (b bench) enrol(name string) fleet.Identity {
	b.t.Helper()
	out := filepath.Join(b.t.TempDir(), name)
	_, err := fleet.Enrol(b.dir, out, fleet.Request{Name: name}, time.Now(), rand.Reader)
	b.do(err)
	id, err := fleet.Load(out)
	b.do(err)
	return id
}

// kiosk is a kiosk's log, written in memory, of which the office holds what is brought.
type kiosk struct {
	*storetest.Author
	b  bench
	at uint64 // wall time of what it writes
}

func (b bench) kiosk(name string) kiosk {
	b.t.Helper()
	id := b.enrol(name)
	key, err := id.OpenLogKey(cert.StreamMain, rand.Reader)
	b.do(err)
	a, err := storetest.NewAuthor(storetest.Machine{Key: id.Machine, LogKey: key.Key, Opened: fleet.Opening(id, key, book.Rules1())})
	b.do(err)
	k := kiosk{Author: a, b: b}
	k.bring(a.Runs[0])
	return k
}

func (k kiosk) bring(r ledger.Run) {
	k.b.t.Helper()
	got, err := k.b.store.Ingest(k.b.t.Context(), []ledger.Run{r})
	k.b.do(err)
	if !got[0].Held { // of a fork both are, and it is said
		k.b.t.Fatal(got[0].Err)
	}
}

// write lets the kiosk write bodies and the office hear of them.
func (k kiosk) write(bodies ...event.Body) {
	k.b.t.Helper()
	k.bring(k.writes(bodies...))
}

// writes lets the kiosk write bodies of which nobody hears yet.
func (k kiosk) writes(bodies ...event.Body) ledger.Run {
	k.b.t.Helper()
	var entries []ledger.Entry
	for _, body := range bodies {
		e, err := event.New(ledger.Time{WallMs: k.at}, body)
		k.b.do(err)
		entries = append(entries, e)
	}
	run, err := k.Author.Write(entries...)
	k.b.do(err)
	return run
}

// A log that grows while it is exported ends at a checkpoint that is still kept.
func TestExportOfALogThatGrows(t *testing.T) {
	b := newBench(t)
	k := b.kiosk("K-1")
	k.write(&event.SoftwareStarted{Version: "v"})
	seen := b.store.Branches(k.ID())[0]
	k.write(&event.SoftwareStarted{Version: "v"}) // the checkpoint before is thinned out
	src, err := b.source(seen, map[ledger.Hash][]byte{})
	b.do(err)
	n := 0
	b.do(src.Each(func(uint64, []byte) error { n++; return nil }))
	if end := src.Checkpoints[len(src.Checkpoints)-1].Size; n != int(end) || n < int(seen.End().Size) {
		t.Errorf("%d entries under a checkpoint of %d", n, end)
	}
}

// pepperSet is the set that the authority log names last.
func (b bench) pepperSet() []byte {
	b.t.Helper()
	var newest *event.PepperRenewed
	b.do(b.each(func(body event.Body) {
		if p, ok := body.(*event.PepperRenewed); ok {
			newest = p
		}
	}))
	set, err := b.store.Object(newest.Object)
	b.do(err)
	return set
}

// dues publishes dues of one consumer and returns the name of the set.
func (b bench) dues(biller string) ledger.Hash {
	b.t.Helper()
	d := catalogue.DefaultDefinition().Biller
	d.Code = biller
	_, err := b.publish(b.t.Context(), duesJob{Biller: d, AsOf: time.Now(), Dues: []catalogue.Due{{Account: catalogue.DemoNumber, Name: "राम", Period: "2026-10", Due: 100_00}}})
	b.do(err)
	var newest ledger.Hash
	b.do(b.each(func(body event.Body) {
		if p, ok := body.(*event.DuesPublished); ok {
			newest = p.Object
		}
	}))
	return newest
}

// What later publications have replaced is erased, so that objects have a limit: three
// dues sets of each biller stay, and two pepper sets.
func TestReplacedObjectsAreErased(t *testing.T) {
	b := newBench(t)
	sets := map[string][]ledger.Hash{}
	held := func(when string, list []ledger.Hash, want int) {
		t.Helper()
		for i, h := range list {
			_, err := b.store.Object(h)
			if kept := i >= len(list)-want; kept != (err == nil) || !kept && !errors.Is(err, store.ErrErased) {
				t.Errorf("%s: set %d of %d: %v", when, i, len(list), err)
			}
		}
	}
	for i := range 6 {
		for _, biller := range []string{"JVVNL", "AVVNL"} {
			if i < 4 || biller == "JVVNL" {
				sets[biller] = append(sets[biller], b.dues(biller))
			}
		}
		held("after each publication", sets["JVVNL"], 3)
		if i == 2 { // before anything is replaced
			if c := b.store.ObjectCounts(); c.Held != 6 || c.Erased != 0 {
				t.Errorf("%+v", c)
			}
		}
	}
	held("the other biller", sets["AVVNL"], 3)
	var peppers []ledger.Hash
	for range 4 {
		_, err := b.rotate(t.Context(), rotateJob{Pepper: true, Early: true})
		b.do(err)
		peppers = append(peppers, ledger.ObjectHash(b.pepperSet()))
		sets["JVVNL"], sets["AVVNL"] = append(sets["JVVNL"], b.dues("JVVNL")), append(sets["AVVNL"], b.dues("AVVNL"))
	}
	held("pepper sets", peppers, 2)
	if c := b.store.ObjectCounts(); c.Held != 3+3+2 || c.Missing != 0 || c.Named != 10+8+4 {
		t.Errorf("%+v", c)
	}
}

// A pepper is not renewed while bills paid under the one before it may still be listed.
func TestYoungPepperStays(t *testing.T) {
	b := newBench(t)
	if _, err := b.rotate(t.Context(), rotateJob{Pepper: true}); err != nil { // the enrolment's may go at any time
		t.Fatal(err)
	}
	if _, err := b.rotate(t.Context(), rotateJob{Pepper: true}); err == nil || !strings.Contains(err.Error(), "--early") {
		t.Errorf("a young pepper is renewed: %v", err)
	}
	if err := b.checkAge(time.Now().Add(pepperLasts)); err != nil {
		t.Errorf("after its time: %v", err)
	}
	if n := b.ring.Newest().Number; n != 2 {
		t.Errorf("the newest pepper is %d", n)
	}
}

// A revoked machine gets no further pepper; all others do.
func TestRevokedMachineGetsNoPepper(t *testing.T) {
	b := newBench(t)
	stays, goes := b.enrol("K-1").Machine, b.enrol("K-2").Machine
	b.do(b.announce(t.Context()))
	rotate := func() []byte {
		_, err := b.rotate(t.Context(), rotateJob{Pepper: true, Early: true})
		b.do(err)
		return b.pepperSet()
	}
	for _, machine := range []ed25519.PrivateKey{stays, goes} {
		if _, _, err := object.OpenPepperSet(rotate(), machine); err != nil {
			t.Errorf("before the revocation: %v", err)
		}
	}
	b.do(b.write(t.Context(), b.authority, cert.StreamAuthority, &event.MachineRevoked{Machine: [ed25519.PublicKeySize]byte(goes.Public().(ed25519.PublicKey))}))
	set := rotate()
	if _, _, err := object.OpenPepperSet(set, goes); !errors.Is(err, object.ErrLeftOut) {
		t.Errorf("the revoked machine opens the pepper: %v", err)
	}
	if _, _, err := object.OpenPepperSet(set, stays); err != nil {
		t.Errorf("the machine that stays: %v", err)
	}
}
