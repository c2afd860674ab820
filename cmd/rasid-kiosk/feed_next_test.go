package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/object"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
	"rasid/node/catalogue"
	"rasid/node/fleet"
)

// dues is a set in which the demonstration's consumer owes a sum, with its entry.
func dues(t *testing.T, pepper fleet.Pepper, due ledger.Paise) ([]byte, event.Body) {
	t.Helper()
	list, err := catalogue.ReadCSV(strings.NewReader(string(catalogue.DemoCSV(1, 1))), catalogue.DefaultDefinition())
	if err != nil {
		t.Fatal(err)
	}
	list.Dues[0].Due = due
	bytes, err := catalogue.Build(catalogue.DefaultDefinition().Biller, list.Dues, time.Unix(1, 0), pepper.Number, pepper.Secret, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, err := catalogue.Open(bytes)
	if err != nil {
		t.Fatal(err)
	}
	return bytes, set.Published()
}

// After the office has begun the second incarnation of its logs the kiosk follows what is
// published in those: machines, keys, dues and acknowledgements, whichever logs come
// first. What the first ones said stays, and the later dues hold.
func TestFeedFollowsTheNextIncarnation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "office")
	id, err := fleet.Init(dir, fleet.Request{Name: "OFFICE"}, time.Now(), rand.Reader)
	try(t, err)
	f, err := storetest.NewFleet("next")
	try(t, err)
	me, err := f.Machine(cert.RoleKiosk, 1)
	try(t, err)
	second, err := f.Machine(cert.RoleKiosk, 2)
	try(t, err)
	office, err := f.Machine(cert.RoleOffice, 9)
	try(t, err)
	mine := history(t, me, &event.SoftwareStarted{Version: "1"})

	renewed := fleet.Pepper{Number: 2, Secret: event.Pepper{2}}
	peppers, err := object.BuildPepperSet(2, renewed.Secret, []ed25519.PublicKey{id.MachineKey()})
	try(t, err)
	early, published := dues(t, id.Peppers[0], 77_00)
	old := history(t, office, &event.MachineEnrolled{Chain: me.Opened.Chain, Name: "FIRST"}, published, &event.SealKeyRenewed{Number: 2, Key: [32]byte{2}})
	late, published := dues(t, renewed, 99_00)
	office, err = office.Next(cert.ReasonDoubt, old.Log.End)
	try(t, err)
	next := history(t, office, published, &event.MachineEnrolled{Chain: second.Opened.Chain, Name: "SECOND"},
		&event.PepperRenewed{Number: 2, Object: ledger.ObjectHash(peppers), Bytes: uint64(len(peppers))}, &event.SealKeyRenewed{Number: 3, Key: [32]byte{3}})
	cell := cellOffice(t, f)
	given := history(t, cell, &event.SoftwareStarted{Version: "o"})
	cell, err = cell.Next(cert.ReasonDoubt, given.Log.End)
	try(t, err)
	end := mine.Log.End
	acks := history(t, cell, &event.Acknowledged{Held: []event.Held{{Log: mine.ID(), Size: end.Size, Root: end.Root}}})

	for name, order := range map[string][]*storetest.Author{"in order": {old, given, next, acks}, "the later ones first": {acks, next, given, old}} {
		t.Run(name, func(t *testing.T) {
			s, err := store.Open(store.Config{Dir: filepath.Join(t.TempDir(), "data"), Fleet: f.Public, Machine: me.Key.Public().(ed25519.PublicKey)})
			try(t, err)
			ring, log := id.Ring(), slog.New(slog.DiscardHandler)
			feed := newFeed(s, catalogue.New(ring.Pepper, log), ring, id.Machine, mine.ID(), log)
			_, err = s.Ingest(t.Context(), mine.Runs)
			try(t, err)
			for _, a := range order {
				take(t, s, feed, a, early, late, peppers)
			}
			if found := feed.catalogue.Look(catalogue.DemoNumber); found.Bill.Due != 99_00 {
				t.Errorf("the bill is %d paise, want 9900: %v", found.Bill.Due, found.Problem)
			}
			if held, _ := feed.acknowledged(); held != end.Size {
				t.Errorf("%d entries count as acknowledged, want %d", held, end.Size)
			}
			if a, b := feed.name(me.Opened.Chain.Machine.Key), feed.name(second.Opened.Chain.Machine.Key); a != "FIRST" || b != "SECOND" {
				t.Errorf("the machines are called %q and %q", a, b)
			}
			if seal := ring.SealTo(); seal.Number != 3 || ring.Newest() != renewed {
				t.Errorf("it seals to key %d, and names bills under pepper %d", seal.Number, ring.Newest().Number)
			}
			try(t, s.Close())
		})
	}
}

// take lets a log and objects come to the kiosk, and its feed read.
func take(t *testing.T, s *store.Store, f *feed, a *storetest.Author, objects ...[]byte) {
	t.Helper()
	_, err := s.Ingest(t.Context(), a.Runs)
	try(t, err)
	for _, b := range objects {
		_, err = s.PutObject(t.Context(), b)
		try(t, err)
	}
	try(t, f.read())
	f.usePeppers()
	f.useObjects()
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
