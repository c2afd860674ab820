package ondisk_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/storetest"
)

// clone is a history as it was after some of its runs.
func clone(r *rand.Rand, a *storetest.Author) *storetest.Author {
	c := &storetest.Author{Machine: a.Machine, Runs: slices.Clone(a.Runs[:1+r.IntN(len(a.Runs))]), Log: ledger.Log{Key: a.Log.Key}}
	for _, run := range c.Runs {
		c.Log, _, _ = c.Log.Extend(run) // it did when it was written
	}
	return c
}

// sell writes a sale of one note in one commit.
func sell(t *testing.T, r *rand.Rand, a *storetest.Author) {
	t.Helper()
	first := a.Log.End.Size
	var entries []ledger.Entry
	for _, b := range []event.Body{
		&event.SaleOpened{Service: event.ServiceElectricity, Language: event.Hindi}, &event.NoteEscrowed{Sale: first, Value: 100_00, Channel: 1},
		&event.StackIntent{Note: first + 1}, &event.NoteStacked{Note: first + 1, Evidence: event.EvidenceEvent},
	} {
		e, err := event.New(ledger.Time{WallMs: r.Uint64N(1 << 40)}, b)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	if _, err := a.Write(entries...); err != nil {
		t.Fatal(err)
	}
}

// forkedHistories are histories of two logs, some with a common beginning.
func forkedHistories(t *testing.T, r *rand.Rand, f storetest.Fleet) []*storetest.Author {
	t.Helper()
	var all []*storetest.Author
	for slot := range uint32(2) {
		m, err := f.Machine(cert.RoleKiosk, 2+slot)
		if err != nil {
			t.Fatal(err)
		}
		m.Opened.Rules = book.Rules1()
		a, err := storetest.NewAuthor(m)
		if err != nil {
			t.Fatal(err)
		}
		for range 1 + r.IntN(30) {
			sell(t, r, a)
		}
		all = append(all, a)
	}
	for range 1 + r.IntN(5) {
		c := clone(r, all[r.IntN(len(all))])
		for range 1 + r.IntN(30) {
			sell(t, r, c)
		}
		all = append(all, c)
	}
	return all
}

// TestOneDigest: what two kiosks wrote, with forks, reaches three nodes in any order, in
// parts, some of it repeatedly, each part one or two of them, while they are connected in
// a line. They end with the same tips and entries, and with the same books.
func TestOneDigest(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	f, err := storetest.NewFleet("one digest")
	if err != nil {
		t.Fatal(err)
	}
	histories := forkedHistories(t, r, f)
	var nodes []node
	for i := range uint32(3) {
		m, err := f.Machine(cert.RoleKiosk, 10+i)
		if err != nil {
			t.Fatal(err)
		}
		var before []string
		if i > 0 {
			before = append(before, nodes[i-1].host.Addr())
		}
		nodes = append(nodes, start(t, f, m, before...))
	}
	for _, h := range r.Perm(len(histories)) {
		hears := []node{nodes[r.IntN(3)], nodes[r.IntN(3)]}
		for i, run := range histories[h].Runs {
			if r.IntN(4) == 0 && i > 0 {
				run = histories[h].Runs[r.IntN(i)]
				i--
			}
			for _, n := range hears {
				if _, err := n.store.Ingest(t.Context(), histories[h].Runs[:i+1][max(0, i-r.IntN(3)):]); err != nil {
					t.Fatal(err)
				}
				if _, err := n.store.Ingest(t.Context(), []ledger.Run{run}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := hears[0].store.Ingest(t.Context(), histories[h].Runs); err != nil {
			t.Fatal(err)
		}
	}
	awaitSame(t, nodes, wanted(histories))
	var want [2]ledger.Hash
	for i, n := range nodes {
		entries, books := digests(t, f.Public, n)
		if i == 0 {
			want = [2]ledger.Hash{entries, books}
		}
		if entries != want[0] || books != want[1] {
			t.Errorf("node %d has other entries or books than node 0", i)
		}
	}
}

// wanted is the frontier of a node that has all histories.
func wanted(histories []*storetest.Author) ledger.Frontier {
	f := ledger.Frontier{}
	for _, h := range histories {
		within := slices.ContainsFunc(histories, func(o *storetest.Author) bool {
			return o.ID() == h.ID() && o.Log.End != h.Log.End && slices.ContainsFunc(o.Runs, func(r ledger.Run) bool { return r.End == h.Log.End })
		})
		if tip := (ledger.Tip{Size: h.Log.End.Size, Root: h.Log.End.Root}); !within && !slices.Contains(f[h.ID()], tip) {
			f[h.ID()] = append(f[h.ID()], tip)
		}
	}
	return f
}

func awaitSame(t *testing.T, nodes []node, want ledger.Frontier) {
	t.Helper()
	limit, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for i, n := range nodes {
		updates, stop := n.store.Updates()
		defer stop()
		for n.store.Frontier().Digest() != want.Digest() {
			select {
			case <-updates:
			case <-limit.Done():
				t.Fatalf("node %d holds %v, want %v", i, n.store.Frontier(), want)
			}
		}
	}
}

// digests are one hash over the entries of every branch, in the order of tips, and that
// of the books.
func digests(t *testing.T, fleet ed25519.PublicKey, n node) (entries, books ledger.Hash) {
	t.Helper()
	var all []book.Log
	var lists []string
	for _, l := range n.store.Logs() {
		for _, b := range n.store.Branches(l.ID) {
			list := l.ID.String()
			err := b.Range(0, b.End().Size, func(_ uint64, entry []byte) error {
				list += string(entry)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			lists = append(lists, list)
			all = append(all, book.LogOf(l.ID, b.Opened(), func(from uint64, f func(uint64, []byte) error) error {
				return b.Range(min(from, b.End().Size), b.End().Size, f)
			}))
		}
	}
	slices.Sort(lists)
	h := sha256.New()
	for _, list := range lists {
		h.Write([]byte(list))
	}
	b, err := book.Of(fleet, all)
	if err == nil {
		books, err = b.Digest()
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Transactions) == 0 {
		t.Error("the books are empty")
	}
	return ledger.Hash(h.Sum(nil)), books
}
