package simnet

import (
	"testing"
	"time"

	"rasid/ledger/cert"
)

// A newcomer among neighbours that have dropped the beginning of a log stays short of
// it, which is counted and not asked for without end; from whom has it whole it gets
// it, and then the neighbours' growth as everybody else.
func TestPrunedNeighbours(t *testing.T) {
	for seed := range *seeds / 5 {
		w := NewWorld(Config{Seed: seed})
		district(t, w, 3)
		office, author, holders := w.Nodes[0], w.Nodes[1], w.Nodes[2:4]
		for i := range 60 {
			commit(t, w, author, i)
		}
		w.Link(office, author)
		for _, n := range holders {
			w.Link(n, author)
		}
		if !w.Run(10*time.Minute, w.Equal) {
			t.Fatalf("seed %d: the old ones are not equal", seed)
		}
		log := author.Machine.ID()
		w.Cut(office, author)
		for i, n := range holders {
			w.Cut(n, author)
			n.Store.Prune(log, uint64(20+15*i))
		}
		m, err := w.Fleet.Enrol(9, cert.RoleKiosk, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		newcomer, err := w.Add(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range holders {
			w.Link(newcomer, n)
		}
		w.Run(5*time.Minute, func() bool { return false })
		if held, _ := newcomer.Store.Frontier().Tip(log); held.Size != 0 || w.Stats.Gaps < 2 || w.Stats.Gaps > 10 || w.Stats.Reports > 0 {
			t.Errorf("seed %d: the newcomer holds %d; %d gaps, %d reports", seed, held.Size, w.Stats.Gaps, w.Stats.Reports)
		}
		bytes := w.Stats.Bytes
		w.Run(5*time.Minute, func() bool { return false })
		if spent := w.Stats.Bytes - bytes; spent > 2000 {
			t.Errorf("seed %d: %d bytes in five quiet minutes", seed, spent)
		}

		w.Link(newcomer, office)
		w.Link(holders[0], author)
		commit(t, w, author, 99)
		if !w.Run(10*time.Minute, w.Equal) {
			t.Fatalf("seed %d: not equal with the office there, %+v", seed, w.Stats)
		}
	}
}
