package main

import (
	"crypto/ed25519"
	"log/slog"
	"path/filepath"
	"testing"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
)

// history is a log of the machine, which begins with these bodies behind its entry 0.
func history(t *testing.T, m storetest.Machine, bodies ...event.Body) *storetest.Author {
	t.Helper()
	a, err := storetest.NewAuthor(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bodies {
		e, err := event.New(ledger.Time{WallMs: 1}, b)
		if err == nil {
			_, err = a.Write(e)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// cellOffice is an office's machine with its grant for the cell's log.
func cellOffice(t *testing.T, f storetest.Fleet) storetest.Machine {
	t.Helper()
	m, err := f.Machine(cert.RoleOffice, 9)
	if err != nil {
		t.Fatal(err)
	}
	grant := m.Opened.Grant
	grant.Stream = cert.StreamCell + cert.Stream(m.Opened.Chain.Machine.Cell)
	if m.Opened.Grant, err = cert.SignGrant(m.Key, grant); err != nil {
		t.Fatal(err)
	}
	return m
}

// A kiosk reads every branch of the office's log, once what they share, and takes what
// another wrote under its own log's key for no acknowledgement of its entries.
func TestFeedReadsBranches(t *testing.T) {
	f, err := storetest.NewFleet("feed")
	if err != nil {
		t.Fatal(err)
	}
	me, err := f.Machine(cert.RoleKiosk, 1)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(store.Config{Dir: filepath.Join(t.TempDir(), "data"), Fleet: f.Public, Machine: me.Key.Public().(ed25519.PublicKey)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	mine := history(t, me, &event.SoftwareStarted{Version: "1"}, &event.SoftwareStarted{Version: "2"}, &event.SoftwareStarted{Version: "3"})
	clone := history(t, me, &event.SoftwareStarted{Version: "1"}, &event.SoftwareStarted{Version: "2"}, &event.SoftwareStarted{Version: "clone"})
	says := func(ends ...ledger.Checkpoint) *event.Acknowledged {
		b := &event.Acknowledged{}
		for _, c := range ends {
			b.Held = append(b.Held, event.Held{Log: mine.ID(), Size: c.Size, Root: c.Root})
		}
		return b
	}
	office := cellOffice(t, f)
	shared := says(mine.Runs[1].End)
	// The office's own machine was restored: its log has two histories.
	first, second := history(t, office, shared, says(clone.Log.End)), history(t, office, shared, &event.SoftwareStarted{Version: "o"}, says(mine.Runs[2].End))
	feed := newFeed(s, nil, nil, nil, mine.ID(), slog.New(slog.DiscardHandler))
	for i, c := range []struct {
		runs []ledger.Run
		want uint64
	}{{mine.Runs, 0}, {first.Runs, 2}, {second.Runs, 3}, {nil, 3}} {
		if _, err := s.Ingest(t.Context(), c.runs); err != nil {
			t.Fatal(err)
		}
		if err := feed.read(); err != nil {
			t.Fatal(err)
		}
		if held, _ := feed.acknowledged(); held != c.want {
			t.Errorf("step %d: %d entries count as acknowledged, want %d", i, held, c.want)
		}
	}
	if len(feed.next) != 2 {
		t.Errorf("%d branches were read, want 2", len(feed.next))
	}
}
