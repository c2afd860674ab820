package storetest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/store"
)

// teller is one history of a log: an author, or a clone of one that went its own
// way from some run on.
type teller struct{ *Author }

// whole is the history's entries.
func (h teller) whole() [][]byte {
	var out [][]byte
	for _, r := range h.Runs {
		out = append(out, r.Entries...)
	}
	return out
}

// clone returns the history as it was after some of its runs.
func (h teller) clone(r *rand.Rand) teller {
	c := &Author{Machine: h.Machine, Runs: slices.Clone(h.Runs[:1+r.IntN(len(h.Runs))])}
	c.Log = ledger.Log{Key: h.Log.Key}
	for _, run := range c.Runs {
		c.Log, _, _ = c.Log.Extend(run) // it did when it was written
	}
	return teller{c}
}

// write appends a run of up to most entries, bills among them.
func (h teller) write(r *rand.Rand, most int) (ledger.Run, error) {
	var entries []ledger.Entry
	for range 1 + r.IntN(most) {
		e, err := Filler(r.Uint64(), 8+r.IntN(20))
		if r.IntN(9) == 0 {
			e, err = modelPayment(r)
		}
		if err != nil {
			return ledger.Run{}, err
		}
		e.Time.WallMs = h.Log.End.Size + uint64(r.IntN(50))
		entries = append(entries, e)
	}
	return h.Write(entries...)
}

// modelBills is how many bills there are to pay.
const modelBills = 40

func modelPayment(r *rand.Rand) (ledger.Entry, error) {
	return event.New(ledger.Time{}, &event.PaymentCommitted{
		Sale: 1, Biller: "JVVNL", Bill: event.BillKey{byte(r.IntN(modelBills))}, Due: 100, Tendered: 100, Applied: 100,
		Rule: event.SurplusRefused, Tender: event.TenderCash, Notes: event.RefNotes(2),
	})
}

// cut returns entries from..to-1 of a history as a run, to a run's end.
func (h teller) cut(first, last int) ledger.Run {
	r := ledger.Run{Log: h.ID(), First: h.Runs[first].First, Branch: h.Runs[first].Branch, End: h.Runs[last].End}
	for _, run := range h.Runs[first : last+1] {
		r.Entries = append(r.Entries, run.Entries...)
	}
	return r
}

// modelLog is what a trivial store in memory holds of one log: its histories that
// are no other's beginning.
type modelLog [][][]byte

func common(a, b [][]byte) int {
	n := 0
	for n < len(a) && n < len(b) && bytes.Equal(a[n], b[n]) {
		n++
	}
	return n
}

// ingest takes entries first..end-1 of a history. known is what the run is new from;
// placed is false where nothing held leads to its beginning.
func (m modelLog) ingest(history [][]byte, first, end int) (next modelLog, added int, placed bool) {
	history = history[:end]
	known, at := 0, -1
	for i, h := range m {
		if n := common(h, history); n > known || at < 0 {
			known, at = n, i
		}
	}
	switch {
	case known == end:
		return m, 0, true
	case first > known:
		return m, 0, false
	case at >= 0 && known == len(m[at]):
		next = slices.Clone(m)
		next[at] = history
		return next, end - known, true
	}
	return append(slices.Clone(m), history), end - known, true
}

// Model runs a random workload under the seed against a store and against a map in
// memory, through orderly and sudden ends, damage to the own journal that can be made
// good, disks put back to an earlier state and copies of the disk that write on. It
// compares everything that can be asked after each start, and returns what happened.
func Model(t testing.TB, open Opener, seed uint64) ModelEvents {
	t.Logf("seed %d", seed)
	w := &modelWorld{t: t, open: open, rand: rand.New(rand.NewPCG(seed, 5)), root: t.TempDir(), logs: map[ledger.LogID]modelLog{}, proofs: map[ledger.LogID]ledger.Checkpoint{}}
	w.fleet = must[Fleet](t)(NewFleet("model"))
	w.begin(must[Machine](t)(w.fleet.Machine(cert.RoleKiosk, 1)))
	for slot := range uint32(3) {
		w.tellers = append(w.tellers, teller{must[*Author](t)(NewAuthor(must[Machine](t)(w.fleet.Machine(cert.RoleKiosk, 2+slot))))})
	}
	w.office, w.pruned = must[*Author](t)(NewAuthor(must[Machine](t)(w.fleet.Cell(100)))), map[ledger.LogID]uint64{}
	w.dir = filepath.Join(w.root, "0")
	for life := range 5 {
		w.live(life)
	}
	t.Logf("pruned: %v", slices.Collect(maps.Values(w.pruned)))
	return w.seen
}

type modelWorld struct {
	t       testing.TB
	open    Opener
	rand    *rand.Rand
	fleet   Fleet
	root    string
	dir     string
	own     teller // the log of the incarnation of now
	copy    teller // another history of it, by a copy of the disk; without a key when there is none
	left    []modelDisk
	tellers []teller
	logs    map[ledger.LogID]modelLog
	office  *Author // acknowledges
	clock   uint64  // the office's
	pruned  map[ledger.LogID]uint64
	against ledger.Checkpoint                  // what the own log was contradicted by in the life before
	proofs  map[ledger.LogID]ledger.Checkpoint // of those given up as forked
	damaged string                             // what was damaged of the own journal since the life before
	seen    ModelEvents
}

func (w *modelWorld) live(life int) {
	s := must[*store.Store](w.t)(w.open(store.Config{
		Dir: w.dir, Fleet: w.fleet.Public, Machine: w.own.Key.Public().(ed25519.PublicKey), SegmentBytes: 4000, MemTableBytes: 1 << 20, GiveUp: true, PruneAge: pruneAge,
		After: func(time.Duration) <-chan time.Time { return nil }, // no seal but at an orderly end
	}))
	w.recovered(s)
	w.check(s)
	writer := must[*store.Writer](w.t)(s.OpenOwn(w.own.LogKey))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for range 10 + w.rand.IntN(40) {
		switch w.rand.IntN(6) {
		case 0, 1:
			w.commit(writer)
		case 2:
			w.grow()
		case 3:
			w.prune(s)
		default:
			w.ingest(s)
		}
		if w.neighbour(s); w.against != (ledger.Checkpoint{}) {
			break
		}
	}
	contradicted := w.against != (ledger.Checkpoint{})
	sudden := w.rand.IntN(2) == 0
	if sudden {
		w.pull(life)
	} else {
		w.check(s)
	}
	cancel()
	if err := <-ended; errors.Is(err, store.ErrInDoubt) != contradicted || err != nil && !contradicted {
		w.t.Fatalf("life %d: Run ended with %v", life, err)
	}
	if err := s.Close(); err != nil {
		w.t.Fatalf("life %d: %v", life, err)
	}
	switch {
	case contradicted: // the disk is left alone
	case w.rand.IntN(3) == 0:
		w.putBack()
	case !sudden: // else the index may lack what was damaged
		w.damage()
	}
}

func (w *modelWorld) commit(writer *store.Writer) {
	var entries []ledger.Entry
	if len(w.own.Runs) == 0 {
		entries = append(entries, must[ledger.Entry](w.t)(w.own.Open()))
	}
	for range 1 + w.rand.IntN(40) {
		e := must[ledger.Entry](w.t)(Filler(w.rand.Uint64(), 8+w.rand.IntN(20)))
		if w.rand.IntN(9) == 0 {
			e = must[ledger.Entry](w.t)(modelPayment(w.rand))
		}
		e.Time.WallMs = w.own.Log.End.Size + uint64(w.rand.IntN(50))
		entries = append(entries, e)
	}
	c := must[store.Committed](w.t)(writer.Commit(w.t.Context(), func(uint64) ([]ledger.Entry, error) { return entries, nil }))
	root := w.own.Log.Edge.Root()
	run := ledger.Run{Log: w.own.ID(), First: c.First, Branch: [ledger.BranchBytes]byte(root[:]), Entries: c.Entries, End: c.End}
	next, _, err := w.own.Log.Extend(run)
	if err != nil {
		w.t.Fatalf("what was committed does not follow: %v", err)
	}
	w.own.Log, w.own.Runs = next, append(w.own.Runs, run)
}

// grow lets a history go on, or begins another from somewhere in one.
func (w *modelWorld) grow() {
	h := w.tellers[w.rand.IntN(len(w.tellers))]
	if len(w.tellers) < 9 && w.rand.IntN(4) == 0 && h.ID() != w.tellers[2].ID() { // one never forks, to be pruned
		h = h.clone(w.rand)
		w.tellers = append(w.tellers, h)
	}
	most := 20
	if w.rand.IntN(3) == 0 {
		most = 600
	}
	must[ledger.Run](w.t)(h.write(w.rand, most))
}

// ingest gives the store some runs, as they were written or joined to longer ones,
// and compares each verdict.
func (w *modelWorld) ingest(s *store.Store) {
	var runs []ledger.Run
	var want []int
	var placed []bool
	for range 1 + w.rand.IntN(6) {
		h := w.tellers[w.rand.IntN(len(w.tellers))]
		first := w.rand.IntN(len(h.Runs))
		run := h.cut(first, first+w.rand.IntN(len(h.Runs)-first))
		if len(run.Entries) > ledger.RunMaxEntries || w.forkedInPruned(h, int(run.End.Size)) {
			continue
		}
		next, added, ok := w.logs[run.Log].ingest(h.whole(), int(run.First), int(run.End.Size))
		w.logs[run.Log] = next
		runs, want, placed = append(runs, run), append(want, added), append(placed, ok)
	}
	results := must[[]store.IngestResult](w.t)(s.Ingest(w.t.Context(), runs))
	for i, r := range results {
		refused := r.Err != nil && !errors.Is(r.Err, ledger.ErrFork)
		if errors.Is(r.Err, store.ErrPruned) && runs[i].End.Size < w.pruned[runs[i].Log] {
			refused = false // a repeat that cannot be told
		}
		if r.Added != want[i] || placed[i] && refused || !placed[i] && r.Err == nil {
			w.t.Fatalf("a run of log %s from %d to %d: added %d, want %d, placed %v, error %v", runs[i].Log, runs[i].First, runs[i].End.Size, r.Added, want[i], placed[i], r.Err)
		}
	}
}

// check compares everything that the store can be asked.
func (w *modelWorld) check(s *store.Store) {
	w.t.Helper()
	paid := map[event.BillKey][]ledger.Position{}
	if len(w.own.Runs) > 0 {
		w.same(s, s.Branches(w.own.ID()), modelLog{w.own.whole()}, paid)
		for range 20 {
			i := w.rand.Uint64N(w.own.Log.End.Size)
			at, _ := slices.BinarySearchFunc(w.own.Runs, i+1, func(r ledger.Run, n uint64) int { return int(r.End.Size) - int(n) })
			if got := must[ledger.Checkpoint](w.t)(s.Covering(ledger.Position{Log: w.own.ID(), Index: i})); got != w.own.Runs[at].End {
				w.t.Fatalf("own entry %d is covered by %d, want the commit's %d", i, got.Size, w.own.Runs[at].End.Size)
			}
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(w.logs), func(a, b ledger.LogID) int { return bytes.Compare(a[:], b[:]) }) {
		if m := w.logs[id]; len(m) > 0 {
			w.same(s, s.Branches(id), m, paid)
		}
	}
	w.checkProofs(s)
	for b := range byte(modelBills) {
		bill := event.BillKey{b}
		want := slices.CompactFunc(slices.SortedFunc(slices.Values(paid[bill]), positions), func(a, b ledger.Position) bool { return a == b })
		if got := must[[]ledger.Position](w.t)(s.Payments(bill)); !slices.Equal(got, want) {
			w.t.Fatalf("bill %d is paid at %v, want %v", b, got, want)
		}
	}
}

func positions(a, b ledger.Position) int {
	if n := bytes.Compare(a.Log[:], b.Log[:]); n != 0 {
		return n
	}
	return int(a.Index) - int(b.Index)
}

// same compares the branches of a log with the model's, in any order.
func (w *modelWorld) same(s *store.Store, branches []store.Branch, m modelLog, paid map[event.BillKey][]ledger.Position) {
	w.t.Helper()
	if len(branches) != len(m) {
		w.t.Fatalf("%d branches of a log, want %d", len(branches), len(m))
	}
	for n, b := range branches {
		got := w.branch(b, n, m)
		edge := must[ledger.Edge](w.t)(ledger.Edge{}.Append(leavesOf(got)...))
		if edge.Root() != b.End().Root {
			w.t.Fatalf("branch %d: its entries do not have its root", n)
		}
		for range 5 {
			i, size := w.proof(b, got)
			w.consistency(s, b, n, got, size, i+1)
		}
		if n == 0 {
			w.scan(s, b, got)
		}
		for i, raw := range got {
			e := must[ledger.Entry](w.t)(ledger.DecodeEntry(raw))
			if body, err := event.Decode(e); err == nil {
				if bill, ok := event.PaidBill(body); ok {
					paid[bill] = append(paid[bill], ledger.Position{Log: b.Log(), Index: uint64(i)})
				}
			}
		}
	}
}

// branch returns the model's history that a branch holds, of which some may be pruned.
func (w *modelWorld) branch(b store.Branch, n int, m modelLog) [][]byte {
	w.t.Helper()
	var got [][]byte
	read := func(from, to uint64) error {
		return b.Range(from, to, func(_ uint64, e []byte) error { got = append(got, bytes.Clone(e)); return nil })
	}
	from, size := b.From(), b.End().Size
	if n == 0 && from != w.pruned[b.Log()] {
		w.t.Fatalf("log %s is held from %d, want %d", b.Log(), from, w.pruned[b.Log()])
	}
	if from == 0 {
		from = min(pruneBegins, size)
	} else if err := b.Range(pruneBegins, from, func(uint64, []byte) error { return nil }); !errors.Is(err, store.ErrPruned) {
		w.t.Fatalf("pruned entries are read: %v", err)
	}
	if err := errors.Join(read(0, min(pruneBegins, size)), read(from, size)); err != nil {
		w.t.Fatal(err)
	}
	for _, h := range m {
		held := slices.Concat(h[:min(pruneBegins, len(h))], h[min(int(from), len(h)):])
		if len(h) == int(size) && slices.EqualFunc(held, got, bytes.Equal) {
			return h
		}
	}
	w.t.Fatalf("branch %d of %d entries is none of the model's", n, size)
	return nil
}

func leavesOf(entries [][]byte) []ledger.Hash {
	out := make([]ledger.Hash, len(entries))
	for i, e := range entries {
		out[i] = ledger.LeafHash(e)
	}
	return out
}

// proof asks for a random inclusion proof and lets tlog check it.
func (w *modelWorld) proof(b store.Branch, entries [][]byte) (index, size int) {
	size = 1 + w.rand.IntN(len(entries))
	index = w.rand.IntN(size)
	root := must[ledger.Edge](w.t)(ledger.Edge{}.Append(leavesOf(entries[:size])...)).Root()
	p, err := b.InclusionProof(uint64(index), uint64(size))
	if errors.Is(err, store.ErrPruned) && (hidden(b, size) || index >= pruneBegins && uint64(index) < b.From()) {
		return index, size
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if err := tlog.CheckRecord(p, int64(size), tlog.Hash(root), int64(index), tlog.RecordHash(entries[index])); err != nil {
		w.t.Fatalf("entry %d at %d: %v", index, size, err)
	}
	return index, size
}

func (w *modelWorld) consistency(s *store.Store, b store.Branch, n int, entries [][]byte, to, from int) {
	if n != 0 {
		return
	}
	if hidden(b, from) || hidden(b, to) {
		return
	}
	old := must[ledger.Hash](w.t)(s.Root(b.Log(), uint64(from)))
	if want := must[ledger.Edge](w.t)(ledger.Edge{}.Append(leavesOf(entries[:from])...)).Root(); old != want {
		w.t.Fatalf("root at %d is another", from)
	}
	root := must[ledger.Hash](w.t)(s.Root(b.Log(), uint64(to)))
	p := must[tlog.TreeProof](w.t)(s.ConsistencyProof(b.Log(), uint64(from), uint64(to)))
	if err := tlog.CheckTree(p, int64(to), tlog.Hash(root), int64(from), tlog.Hash(old)); err != nil {
		w.t.Fatalf("from %d to %d: %v", from, to, err)
	}
}

// scan compares a random query with a look at every entry.
func (w *modelWorld) scan(s *store.Store, b store.Branch, entries [][]byte) {
	for range 6 {
		f := store.Filter{FromMs: uint64(w.rand.IntN(len(entries) + 40))}
		if w.rand.IntN(2) == 0 {
			f.ToMs = f.FromMs + uint64(w.rand.IntN(300))
		}
		if w.rand.IntN(2) == 0 {
			f.Kinds = []ledger.Kind{event.KindPaymentCommitted, event.KindLogOpened}[:1+w.rand.IntN(2)]
		}
		from := w.rand.IntN(len(entries))
		var want, got []uint64
		for i, raw := range entries[from:] {
			e := must[ledger.Entry](w.t)(ledger.DecodeEntry(raw))
			if e.Time.WallMs >= f.FromMs && (f.ToMs == 0 || e.Time.WallMs <= f.ToMs) && (len(f.Kinds) == 0 || slices.Contains(f.Kinds, e.Kind)) {
				want = append(want, uint64(from+i))
			}
		}
		err := s.Scan(b.Log(), uint64(from), uint64(len(entries)), f, func(i uint64, e ledger.Entry) error {
			got = append(got, i)
			return nil
		})
		if errors.Is(err, store.ErrPruned) && uint64(from) < b.From() {
			continue
		}
		if err != nil || !slices.Equal(got, want) {
			w.t.Fatalf("scan for %+v from %d gives %d entries, want %d, error %v", f, from, len(got), len(want), err)
		}
	}
}
