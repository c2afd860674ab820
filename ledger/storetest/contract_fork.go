package storetest

import (
	"errors"
	"testing"

	"rasid/ledger"
	"rasid/ledger/store"
)

// testTwoBeginnings: a second history that has another entry 0 is a branch only if that
// entry proves the log's right to exist, whichever of the two came first.
func testTwoBeginnings(t *testing.T, n *node) {
	first, again, unopened := n.author(2), n.author(2), n.author(3)
	again.Runs, again.Log = nil, ledger.Log{Key: again.Log.Key}
	again.Opened.Rules = ledger.Hash{1}
	must[ledger.Run](t)(again.Write(must[ledger.Entry](t)(again.Open()), n.sale(1)))
	without := &Author{Machine: unopened.Machine, Log: ledger.Log{Key: unopened.Log.Key}}
	must[ledger.Run](t)(without.Write(n.sale(1)))
	results := n.ingest(first.Runs[0], again.Runs[0], again.Runs[0], without.Runs[0], unopened.Runs[0], without.Runs[0])
	for i, want := range []struct {
		held bool
		err  error
	}{{true, nil}, {true, ledger.ErrFork}, {true, ledger.ErrFork}, {false, ledger.ErrMalformed}, {true, nil}, {false, ledger.ErrFork}} {
		if r := results[i]; r.Held != want.held || !errors.Is(r.Err, want.err) {
			t.Errorf("run %d: held %v, error %v, want %v, %v", i, r.Held, r.Err, want.held, want.err)
		}
	}
	for range 2 {
		if b := n.store.Branches(without.ID()); len(b) != 1 {
			t.Errorf("a history without a right to exist is held: %d branches", len(b))
		}
		branches := n.store.Branches(first.ID())
		if len(branches) != 2 || branches[1].Departs() != 0 {
			t.Fatalf("%d branches", len(branches))
		}
		for i, want := range []ledger.Hash{first.Opened.Rules, {1}} {
			if got := branches[i].Opened(); got.Rules != want {
				t.Errorf("branch %d opens with the rule set %s, want %s", i, got.Rules, want)
			}
		}
		n.stop()
		n.start()
	}
	checkBranch(t, n.store.Branches(first.ID())[1])
}

// checkBranch reads what a branch says of itself in every way that it can be asked.
func checkBranch(t *testing.T, b store.Branch) {
	t.Helper()
	size := b.End().Size
	var edge ledger.Edge
	for at := uint64(0); at < size; {
		c := must[ledger.Checkpoint](t)(b.Covering(at))
		if c.Size <= at || c.Verify(b.Opened().Grant.PublicKey()) != nil {
			t.Fatalf("entry %d is covered by a checkpoint of %d", at, c.Size)
		}
		err := b.Range(at, c.Size, func(_ uint64, entry []byte) (err error) {
			edge, err = edge.Append(ledger.LeafHash(entry))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if root := must[ledger.Hash](t)(b.Root(c.Size)); edge.Root() != c.Root || root != c.Root {
			t.Fatalf("the entries before %d do not have the root of the checkpoint there", c.Size)
		}
		at = c.Size
	}
	if _, err := b.Root(size + 1); !errors.Is(err, store.ErrNotHeld) {
		t.Errorf("root beyond the end: %v", err)
	}
}
