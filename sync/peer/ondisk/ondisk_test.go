package ondisk_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
	"rasid/sync/peer"
	"rasid/sync/peer/ondisk"
)

// node is a machine with the real store and host, fitted together as the programs do.
type node struct {
	store ondisk.Store
	host  *peer.Host
}

func start(t *testing.T, f storetest.Fleet, m storetest.Machine, addresses ...string) node {
	t.Helper()
	s, err := store.Open(store.Config{Dir: filepath.Join(t.TempDir(), "data"), Fleet: f.Public, Machine: m.Key.Public().(ed25519.PublicKey)})
	if err != nil {
		t.Fatal(err)
	}
	n := node{store: ondisk.Store{Store: s}}
	n.host, err = peer.New(peer.Config{
		Machine: m.Key, Chain: m.Opened.Chain, Fleet: f.Public, Store: n.store, Objects: n.store, Describe: n.store.Describe,
		Listen: "127.0.0.1:0", Peers: addresses, RedialMin: 10 * time.Millisecond, RedialMax: 50 * time.Millisecond,
	})
	if err == nil {
		err = n.host.Listen(t.Context())
	}
	if err != nil {
		t.Fatal(errors.Join(err, s.Close()))
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var errs [2]error
	wg.Go(func() { errs[0] = s.Run(ctx) })
	wg.Go(func() { errs[1] = n.host.Run(ctx) })
	t.Cleanup(func() {
		stop()
		wg.Wait()
		if err := errors.Join(errs[0], errs[1], s.Close()); err != nil {
			t.Error(err)
		}
	})
	return n
}

// write appends n entries that no other history has.
func write(t *testing.T, a *storetest.Author, name string, n int) {
	t.Helper()
	for range n {
		e, err := event.New(ledger.Time{}, &event.SoftwareStarted{Version: name})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Write(e); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEachHoldsAnotherBranchFirst: two nodes hold two histories each of one log, of which
// one is the same. They end with all three, whichever was held first, and a run that is
// held on a further branch counts as held.
func TestEachHoldsAnotherBranchFirst(t *testing.T) {
	f, err := storetest.NewFleet("branches")
	if err != nil {
		t.Fatal(err)
	}
	var histories []*storetest.Author
	for i, name := range []string{"a", "b", "c"} {
		m, err := f.Machine(cert.RoleKiosk, 2)
		if err != nil {
			t.Fatal(err)
		}
		h, err := storetest.NewAuthor(m)
		if err != nil {
			t.Fatal(err)
		}
		write(t, h, "shared", 10)
		write(t, h, name, 20+10*i)
		histories = append(histories, h)
	}
	var nodes []node
	for i, held := range [][2]int{{0, 1}, {2, 1}} {
		m, err := f.Machine(cert.RoleKiosk, uint32(10+i))
		if err != nil {
			t.Fatal(err)
		}
		var addresses []string
		for _, n := range nodes {
			addresses = append(addresses, n.host.Addr())
		}
		n := start(t, f, m, addresses...)
		for _, h := range held {
			a := histories[h]
			verdicts, err := n.store.Ingest(t.Context(), []ledger.Run{a.Whole(), a.Whole()})
			if err != nil || verdicts[0].Err != nil || !verdicts[0].New || verdicts[1].Err != nil || verdicts[1].New {
				t.Fatalf("verdicts %+v, %v", verdicts, err)
			}
		}
		nodes = append(nodes, n)
	}
	first, cancelFirst := nodes[0].store.Updates()
	defer cancelFirst()
	second, cancelSecond := nodes[1].store.Updates()
	defer cancelSecond()
	limit, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		a, b := nodes[0].store.Frontier(), nodes[1].store.Frontier()
		if id := histories[0].ID(); a.Digest() == b.Digest() && len(a[id]) == 3 {
			return
		}
		select {
		case <-first:
		case <-second:
		case <-limit.Done():
			t.Fatalf("not the same in time: %v and %v", a, b)
		}
	}
}
