package ledger_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"rasid/ledger"
	"rasid/ledger/internal/vector"
)

// rounds returns a random source for each of n rounds and prints its seed when the
// round fails. RASID_SEED repeats one round.
func rounds(t *testing.T, n int, f func(t *testing.T, rnd *rand.Rand)) {
	first, last := uint64(1), uint64(n)
	if s := os.Getenv("RASID_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, last = seed, seed
	}
	for seed := first; seed <= last; seed++ {
		f(t, rand.New(rand.NewPCG(seed, 0)))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// world is one log as its writer knows it: entries, and the log at every size.
type world struct {
	entries [][]byte
	at      []ledger.Log
}

func newWorld(t *testing.T, entries [][]byte) world {
	t.Helper()
	w := world{entries: entries, at: []ledger.Log{{Key: vector.Public("log")}}}
	for i := range entries {
		r := mustRun(t, w.at[i], vector.Key("log"), entries[i:i+1])
		next, fresh, err := w.at[i].Extend(r)
		if err != nil || len(fresh) != 1 {
			t.Fatalf("entry %d: %v", i, err)
		}
		w.at = append(w.at, next)
	}
	return w
}

// run is the run from first to end, as somebody who holds the whole log cuts it.
func (w world) run(t *testing.T, first, end int) ledger.Run {
	t.Helper()
	r := mustRun(t, w.at[first], vector.Key("log"), w.entries[first:end])
	r.Entries = slices.Clone(r.Entries)
	return r
}

func (w world) any(t *testing.T, rnd *rand.Rand) ledger.Run {
	first := rnd.IntN(len(w.entries))
	return w.run(t, first, first+1+rnd.IntN(len(w.entries)-first))
}

// TestExtendIsAUnion feeds random splits, repeats, overlaps and gaps in random
// order: what is held is always a prefix of the log with the right root, a run is
// taken whole or not at all, and whatever the order the whole log is held in the end.
func TestExtendIsAUnion(t *testing.T) {
	_, entries := smallLog(t, "log", 40)
	w := newWorld(t, entries)
	rounds(t, 200, func(t *testing.T, rnd *rand.Rand) {
		var runs []ledger.Run
		for at := 0; at < len(entries); { // a split that covers everything
			end := min(at+1+rnd.IntN(9), len(entries))
			runs = append(runs, w.run(t, at, end))
			at = end
		}
		for range rnd.IntN(20) {
			runs = append(runs, w.any(t, rnd))
		}
		held := w.at[0]
		var got [][]byte
		for pass := 0; int(held.Edge.Size()) < len(entries); pass++ {
			if pass == len(runs) { // each pass adds at least one run
				t.Fatal("the runs never fill the log")
			}
			for _, i := range rnd.Perm(len(runs)) {
				next, fresh := extendHonest(t, held, runs[i])
				got = append(got, fresh...)
				held = next
			}
		}
		if !slices.EqualFunc(got, entries, bytes.Equal) {
			t.Error("the entries taken are not those of the log in order")
		}
		same(t, held, w.at[len(entries)])
	})
}

// extendHonest extends by a run of the same history and checks the outcome that
// its place alone decides.
func extendHonest(t *testing.T, held ledger.Log, r ledger.Run) (ledger.Log, [][]byte) {
	t.Helper()
	size := held.Edge.Size()
	next, fresh, err := held.Extend(r)
	switch {
	case r.First > size:
		if !errors.Is(err, ledger.ErrGap) {
			t.Errorf("held %d, run from %d: %v, want a gap", size, r.First, err)
		}
	case err != nil:
		t.Errorf("held %d, run %d to %d: %v", size, r.First, r.End.Size, err)
	case r.End.Size > size:
		if next.Edge.Size() != r.End.Size || next.End != r.End || uint64(len(fresh)) != r.End.Size-size {
			t.Errorf("held %d, run %d to %d: now %d with %d new", size, r.First, r.End.Size, next.Edge.Size(), len(fresh))
		}
		return next, fresh
	}
	if len(fresh) != 0 {
		t.Errorf("held %d, run %d to %d: %d entries are new", size, r.First, r.End.Size, len(fresh))
	}
	same(t, next, held)
	return next, fresh
}

func same(t *testing.T, got, want ledger.Log) {
	t.Helper()
	if got.Edge.Size() != want.Edge.Size() || got.Edge.Root() != want.Edge.Root() || got.End != want.End || !got.Key.Equal(want.Key) {
		t.Errorf("held %d %s, want %d %s", got.Edge.Size(), got.Edge.Root(), want.Edge.Size(), want.Edge.Root())
	}
}

// TestExtendTakesNothingOfABadRun damages one thing in a run: it is refused, or
// what is new in it is true all the same, and nothing held changes by a refusal.
func TestExtendTakesNothingOfABadRun(t *testing.T) {
	_, entries := smallLog(t, "log", 30)
	w := newWorld(t, entries)
	other, err := ledger.EncodeEntry(ledger.Entry{Kind: 7, Body: []byte{0xa0}})
	if err != nil {
		t.Fatal(err)
	}
	damages := []func(rnd *rand.Rand, r *ledger.Run){
		func(rnd *rand.Rand, r *ledger.Run) { r.Entries[rnd.IntN(len(r.Entries))] = other },
		func(rnd *rand.Rand, r *ledger.Run) {
			r.Entries = slices.Delete(r.Entries, 0, 1)
			r.End.Size--
		},
		func(rnd *rand.Rand, r *ledger.Run) { r.Entries = append(r.Entries, other); r.End.Size++ },
		func(rnd *rand.Rand, r *ledger.Run) { r.First++; r.End.Size++ },
		func(rnd *rand.Rand, r *ledger.Run) { r.End.Root[rnd.IntN(32)] ^= 1 << rnd.IntN(8) },
		func(rnd *rand.Rand, r *ledger.Run) { r.End.Sig[rnd.IntN(64)] ^= 1 << rnd.IntN(8) },
		func(rnd *rand.Rand, r *ledger.Run) { r.Log[rnd.IntN(16)] ^= 1 << rnd.IntN(8) },
		func(rnd *rand.Rand, r *ledger.Run) { r.Branch[rnd.IntN(8)] ^= 1 << rnd.IntN(8) },
	}
	rounds(t, 400, func(t *testing.T, rnd *rand.Rand) {
		held := w.at[rnd.IntN(len(w.at))]
		r := w.any(t, rnd)
		damages[rnd.IntN(len(damages))](rnd, &r)
		next, fresh, err := held.Extend(r)
		if errors.Is(err, ledger.ErrFork) {
			t.Errorf("held %d: damage to a run %d to %d looks like a fork: %v", held.Edge.Size(), r.First, r.End.Size, err)
		}
		if err != nil {
			if len(fresh) != 0 {
				t.Error("a refused run gives entries")
			}
			same(t, next, held)
			return
		}
		size := int(next.Edge.Size())
		same(t, next, w.at[size])
		if !slices.EqualFunc(fresh, entries[held.Edge.Size():size], bytes.Equal) {
			t.Error("an altered entry was taken")
		}
	})
}

// TestExtendOnAFork feeds runs of two histories that share a beginning, both
// rightly signed: never a mixture, ErrFork where one run proves it.
func TestExtendOnAFork(t *testing.T) {
	rounds(t, 200, func(t *testing.T, rnd *rand.Rand) {
		_, a := smallLog(t, "log", 20)
		common := rnd.IntN(20)
		b := slices.Clone(a)
		for i := common; i < len(b); i++ {
			e, err := ledger.EncodeEntry(ledger.Entry{Kind: 8, Time: ledger.Time{BootMs: uint64(i)}, Body: []byte{0xa0}})
			if err != nil {
				t.Fatal(err)
			}
			b[i] = e
		}
		wa, wb := newWorld(t, a), newWorld(t, b)
		held := wa.at[common+1+rnd.IntN(20-common)]
		size := int(held.Edge.Size())
		r := wb.any(t, rnd)
		first, end := int(r.First), int(r.End.Size)
		next, fresh, err := held.Extend(r)
		proves := end == size && first <= size || first == 0 && end > size
		switch {
		case first > size:
			if !errors.Is(err, ledger.ErrGap) {
				t.Errorf("held %d, run %d to %d: %v, want a gap", size, first, end, err)
			}
		case end < size:
			if err != nil { // nothing new: whoever keeps older checkpoints compares them
				t.Errorf("held %d, run %d to %d: %v", size, first, end, err)
			}
		case proves && !errors.Is(err, ledger.ErrFork):
			t.Errorf("held %d (%d in common), run %d to %d: %v, want a fork", size, common, first, end, err)
		case !proves && !errors.Is(err, ledger.ErrMalformed):
			t.Errorf("held %d (%d in common), run %d to %d: %v, want refused", size, common, first, end, err)
		}
		if len(fresh) != 0 {
			t.Error("entries of another branch were taken")
		}
		same(t, next, held)
	})
}

func TestNewRunRefusesAnotherKey(t *testing.T) {
	l, entries := smallLog(t, "log", 1)
	if _, err := l.NewRun(vector.Key("other log"), entries); err == nil {
		t.Error("a run of one log is signed with the key of another")
	}
}

func TestExtendOfTheZeroLog(t *testing.T) {
	l, entries := smallLog(t, "log", 1)
	r := mustRun(t, l, vector.Key("log"), entries)
	r.Log = ledger.Log{}.ID()
	if _, _, err := (ledger.Log{}).Extend(r); !errors.Is(err, ledger.ErrMalformed) {
		t.Errorf("a log without a key takes a run: %v", err)
	}
}

func TestTipIsTheLongestAndOneOfEquals(t *testing.T) {
	id := ledger.LogIDOf(vector.Public("log"))
	low, high := ledger.Tip{Size: 3, Root: ledger.Hash{1}}, ledger.Tip{Size: 3, Root: ledger.Hash{2}}
	for _, tips := range [][]ledger.Tip{{low, high, {Size: 2}}, {{Size: 2}, high, low}} {
		if got, ok := (ledger.Frontier{id: tips}).Tip(id); !ok || got != low {
			t.Errorf("tip of %v is %v", tips, got)
		}
	}
	if _, ok := (ledger.Frontier{}).Tip(id); ok {
		t.Error("an empty frontier has a tip")
	}
}

// The digest depends on what is held and on nothing else.
func TestFrontierDigest(t *testing.T) {
	a, b := ledger.LogID{1}, ledger.LogID{2}
	short, long := ledger.Tip{Size: 3, Root: ledger.Hash{9}}, ledger.Tip{Size: 5, Root: ledger.Hash{1}}
	want := ledger.Frontier{a: {short, long}, b: {short}}.Digest()
	if (ledger.Frontier{b: {short}, a: {long, short}}).Digest() != want {
		t.Error("the order of tips changes the digest")
	}
	for name, other := range map[string]ledger.Frontier{
		"less":         {a: {long}, b: {short}},
		"elsewhere":    {a: {short}, b: {short, long}},
		"another root": {a: {short, {Size: 5, Root: ledger.Hash{2}}}, b: {short}},
		"another size": {a: {short, {Size: 6, Root: ledger.Hash{1}}}, b: {short}},
		"nothing":      {},
	} {
		if other.Digest() == want {
			t.Errorf("%s has the same digest", name)
		}
	}
}
