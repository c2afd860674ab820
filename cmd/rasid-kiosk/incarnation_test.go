package main

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/store"
	"rasid/node/fleet"
	"rasid/node/till"
)

// enrolled is a kiosk's folder, and what its last life found of logs given up.
type enrolled struct {
	settings
	formers []till.FormerLog
}

// incarnationKiosk is an enrolled kiosk's folder.
func incarnationKiosk(t *testing.T) *enrolled {
	t.Helper()
	office, dir := filepath.Join(t.TempDir(), "office"), filepath.Join(t.TempDir(), "kiosk")
	if _, err := fleet.Init(office, fleet.Request{Name: "OFFICE"}, time.Now(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if _, err := fleet.Enrol(office, dir, fleet.Request{Name: "K-1"}, time.Now(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	return &enrolled{settings: settings{Dir: dir}}
}

// life starts the kiosk's ledger, writes what begins a log and one more entry, and
// ends in good order. It returns the log's key and the size before and after.
func (s *enrolled) life(t *testing.T) (key fleet.LogKey, before, after uint64) {
	t.Helper()
	k := &kiosk{s: &s.settings, log: slog.New(slog.DiscardHandler), clock: newClock("none")}
	if err := k.openData(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.store.Run(ctx) }()
	before = k.writer.Size()
	if _, err := k.writer.Commit(ctx, func(first uint64) ([]ledger.Entry, error) {
		var body event.Body = &event.SoftwareStarted{Version: "test"}
		if first == 0 {
			body = fleet.Opening(k.id, k.key, book.Rules1())
		}
		e, err := event.New(k.clock.now(), body)
		return []ledger.Entry{e}, err
	}); err != nil {
		t.Fatal(err)
	}
	after = k.writer.Size()
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	s.formers = k.formers()
	for i, l := range s.formers { // the log is still there to be read, its key to sign with
		s.formers[i].Each = nil
		if err := l.Each(func(uint64, []byte) error { return nil }); err != nil {
			t.Error(err)
		}
	}
	if err := k.store.Close(); err != nil {
		t.Fatal(err)
	}
	return k.key, before, after
}

// A kiosk whose journal was damaged goes on by itself under the next incarnation, which
// names the last state known of the log before; and keeps to it.
func TestNextIncarnation(t *testing.T) {
	s := incarnationKiosk(t)
	first, _, size := s.life(t)
	if again, before, _ := s.life(t); before != size || !again.Key.Equal(first.Key) {
		t.Fatalf("a second start has %s and %d entries, want %s and %d", again, before, first, size)
	}
	id := ledger.LogIDOf(first.Grant.PublicKey())
	own := filepath.Join(s.Dir, "data", "own", id.String())
	segment := filepath.Join(own, "00000001.journal")
	b, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	b[200] ^= 1 // the index has what stood there
	if err := os.WriteFile(segment, b, 0o600); err != nil {
		t.Fatal(err)
	}
	again, before, size := s.life(t)
	if before+1 != size || before != 2 || !again.Key.Equal(first.Key) {
		t.Fatalf("after a repair the log is %s with %d entries, want %s with 2", again, before, first)
	}
	found, err := filepath.Glob(filepath.Join(own, "*.journal"))
	if err == nil { // where the journal ended nobody can tell
		err = os.Truncate(found[len(found)-1], 100)
	}
	if err != nil {
		t.Fatal(err)
	}
	second, before, _ := s.life(t)
	g := second.Grant
	if before != 0 || g.Ordinal != 2 || g.Reason != cert.ReasonDoubt || g.Before == nil || g.Before.Log != id || g.Before.Size != size {
		t.Fatalf("%d entries under %+v", before, g)
	}
	if third, before, _ := s.life(t); before != 1 || !third.Key.Equal(second.Key) {
		t.Fatalf("the next start has %s and %d entries", third, before)
	}
	if f := s.formers; len(f) != 1 || f[0].ID != id || f[0].Size != size || !f[0].Whole || !f[0].Papers {
		t.Errorf("logs given up: %+v", f)
	}
	held, err := store.Open(store.Config{Dir: filepath.Join(s.Dir, "data"), Fleet: mustLoad(t, s).Fleet, Machine: mustLoad(t, s).MachineKey()})
	if err != nil {
		t.Fatal(err)
	}
	if info, ok := held.Log(id); !ok || info.Own || info.End.Size != size {
		t.Errorf("of the log before is held %+v", info)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
}

// A log before of which nothing is held is missing all the same.
func TestNothingHeldOfTheLogBefore(t *testing.T) {
	s := incarnationKiosk(t)
	id := mustLoad(t, s)
	first, err := id.OpenLogKey(cert.StreamMain, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := id.NextLogKey(first, cert.ReasonDoubt, ledger.Checkpoint{Size: 7, Root: ledger.Hash{1}}, rand.Reader); err != nil {
		t.Fatal(err)
	}
	s.life(t)
	if f := s.formers; len(f) != 1 || f[0].ID != ledger.LogIDOf(first.Grant.PublicKey()) || f[0].Size != 0 || f[0].Whole {
		t.Errorf("logs given up: %+v", f)
	}
}

func mustLoad(t *testing.T, s *enrolled) fleet.Identity {
	t.Helper()
	id, err := fleet.Load(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
