package cli

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
	"rasid/node/inspect"
)

// newForked is a store that holds three histories of one log: of 5, 8 and 11 entries, of
// which the first 3 are the same.
func newForked(t *testing.T) (storetest.Fleet, *store.Store) {
	t.Helper()
	f, err := storetest.NewFleet("inspect a fork")
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(store.Config{Dir: filepath.Join(t.TempDir(), "data"), Fleet: f.Public, Machine: make(ed25519.PublicKey, ed25519.PublicKeySize)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for i := range uint64(3) {
		m, err := f.Machine(cert.RoleKiosk, 7)
		if err != nil {
			t.Fatal(err)
		}
		h, err := storetest.NewAuthor(m)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 4 + 3*i {
			e, err := storetest.Sale(n + n/2*100*i)
			if err == nil {
				_, err = h.Write(e)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Ingest(t.Context(), []ledger.Run{h.Whole()}); err != nil {
			t.Fatal(err)
		}
	}
	return f, s
}

// Every branch of a forked log is counted, listed, shown and verified; what two share is
// counted and shown once.
func TestForkedLogIsInspectedWhole(t *testing.T) {
	f, s := newForked(t)
	ask := func(q inspect.Query) string {
		t.Helper()
		var out bytes.Buffer
		err := inspect.Asker{Ledger: held{s}, Fleet: f.Public, Now: func() time.Time { return time.Unix(0, 0) }}.Answer(t.Context(), q, &out, new(bytes.Buffer))
		if err != nil {
			t.Fatal(errors.Join(err, errors.New(out.String())))
		}
		return out.String()
	}
	for q, want := range map[inspect.Query][]string{
		{Do: inspect.Stat}:                      {"logs held        1\n", "forked branches  2\n", "entries held     18\n"},
		{Do: inspect.Heads}:                     {"kiosk 7-1  ", "kiosk 7-1 FORK 1 from entry 3", "kiosk 7-1 FORK 2 from entry 3"},
		{Do: inspect.Heads, JSON: true}:         {`"branch":2,"departs":3`, `"size":11`},
		{Do: inspect.Verify}:                    {"ok  ", "FORK 2 from entry 3: 11 entries", "24 entries of 1 logs"},
		{Do: inspect.Show}:                      {"7-1-0-", "7-1-10-"},
		{Do: inspect.Show, JSON: true, From: 9}: {`"branch":2,"index":10`},
	} {
		out := ask(q)
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%+v: %q is not in\n%s", q, w, out)
			}
		}
		if q.Do == inspect.Show && !q.JSON && q.From == 0 && strings.Count(out, "\n") != 18 {
			t.Errorf("%d entries are shown, want 18", strings.Count(out, "\n"))
		}
	}
}
