package storetest

import (
	"crypto/ed25519"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/store"
)

// Merge gives the same histories, forks among them, to several stores in random
// orders, in parts, repeatedly, by way of each other, and wants one digest and the
// same tips on all, whatever came first.
func Merge(t testing.TB, open Opener, seed uint64) {
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 7))
	fleet := must[Fleet](t)(NewFleet("merge"))
	tellers := mergeTellers(t, fleet, r)
	want := map[ledger.LogID]modelLog{}
	var all []ledger.Run
	for _, h := range tellers {
		all = append(all, h.Runs...)
		want[h.ID()], _, _ = want[h.ID()].ingest(h.whole(), 0, int(h.Log.End.Size))
	}
	var nodes []*store.Store
	for n := range uint32(3) {
		me := must[Machine](t)(fleet.Machine(cert.RoleKiosk, 50+n))
		s := must[*store.Store](t)(open(store.Config{Dir: filepath.Join(t.TempDir(), "data"), Fleet: fleet.Public, Machine: me.Key.Public().(ed25519.PublicKey), MemTableBytes: 1 << 20}))
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		nodes = append(nodes, s)
	}
	// Apart, each hears some; then each hears the others, and only then the rest.
	for _, s := range nodes {
		offer(t, s, r, all[:len(all)*2/3])
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
	for range 2 {
		for i, s := range nodes {
			offer(t, s, r, told(t, nodes[(i+1)%len(nodes)], r))
		}
	}
	for _, s := range nodes {
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		offer(t, s, r, all)
	}
	first := nodes[0].Frontier()
	for id, m := range want {
		if len(first[id]) != len(m) {
			t.Fatalf("%d tips of a log, want %d", len(first[id]), len(m))
		}
	}
	for n, s := range nodes {
		if f := s.Frontier(); f.Digest() != first.Digest() || len(f) != len(want) {
			t.Errorf("node %d has another digest: %d logs, node 0 %d", n, len(f), len(first))
		}
	}
}

// mergeTellers makes the histories of three logs, some of them forked.
func mergeTellers(t testing.TB, fleet Fleet, r *rand.Rand) []teller {
	var tellers []teller
	for slot := range uint32(3) {
		h := teller{must[*Author](t)(NewAuthor(must[Machine](t)(fleet.Machine(cert.RoleKiosk, 2+slot))))}
		tellers = append(tellers, h)
		for range 1 + r.IntN(12) {
			must[ledger.Run](t)(h.write(r, 1+r.IntN(300)))
		}
	}
	for range r.IntN(6) {
		h := tellers[r.IntN(len(tellers))].clone(r)
		for range 1 + r.IntN(4) {
			must[ledger.Run](t)(h.write(r, 1+r.IntN(300)))
		}
		tellers = append(tellers, h)
	}
	return tellers
}

// offer ingests runs in random order, some twice, and again until nothing is new.
func offer(t testing.TB, s *store.Store, r *rand.Rand, runs []ledger.Run) {
	t.Helper()
	for added := -1; added != 0; {
		added = 0
		var some []ledger.Run
		for _, i := range r.Perm(len(runs)) {
			some = append(some, runs[i])
			if r.IntN(5) == 0 {
				some = append(some, runs[i])
			}
		}
		for _, result := range must[[]store.IngestResult](t)(s.Ingest(t.Context(), some)) {
			added += result.Added
			if err := result.Err; err != nil && !errors.Is(err, ledger.ErrGap) && !errors.Is(err, ledger.ErrFork) && !errors.Is(err, ledger.ErrMalformed) {
				t.Fatal(err)
			}
		}
	}
}

// told is what a store would send: its branches in runs of random length.
func told(t testing.TB, s *store.Store, r *rand.Rand) []ledger.Run {
	t.Helper()
	var out []ledger.Run
	for _, l := range s.Logs() {
		for _, b := range s.Branches(l.ID) {
			for at := uint64(0); at < b.End().Size; {
				run := must[ledger.Run](t)(b.ReadRun(at, 1+r.IntN(20_000)))
				out = append(out, run)
				at = run.End.Size
			}
		}
	}
	return out
}
