package storetest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/store"
)

func testRefusedRuns(t *testing.T, n *node) {
	a, good := n.author(2), n.author(3)
	for i := range uint64(5) {
		must[ledger.Run](t)(a.Write(n.sale(i)))
	}
	other := must[Fleet](t)(NewFleet("other"))
	stranger := must[*Author](t)(NewAuthor(must[Machine](t)(other.Machine(cert.RoleKiosk, 2))))
	unopened := &Author{Machine: must[Machine](t)(n.fleet.Machine(cert.RoleKiosk, 9))}
	unopened.Log.Key = unopened.Opened.Grant.PublicKey()
	must[ledger.Run](t)(unopened.Write(n.sale(1)))

	altered := a.Whole()
	altered.Entries = slices.Clone(altered.Entries)
	altered.Entries[3] = altered.Entries[4]
	unsigned := a.Whole()
	unsigned.End.Sig[5] ^= 1
	results := n.ingest(a.Runs[2], stranger.Runs[0], unopened.Runs[0], altered, unsigned, good.Runs[0])
	for i, want := range []error{ledger.ErrGap, cert.ErrRefused, ledger.ErrMalformed, ledger.ErrMalformed, ledger.ErrMalformed, nil} {
		if !errors.Is(results[i].Err, want) || (results[i].Added > 0) != (want == nil) {
			t.Errorf("run %d: added %d, error %v, want %v", i, results[i].Added, results[i].Err, want)
		}
	}
	if len(n.store.Logs()) != 1 {
		t.Fatalf("%d logs held, want the good one alone", len(n.store.Logs()))
	}
	results = n.ingest(a.Runs[0], a.Runs[1], a.Runs[1], a.Runs[3], a.Whole())
	for i, want := range []int{1, 1, 0, 0, 4} {
		if results[i].Added != want || (i == 3) != errors.Is(results[i].Err, ledger.ErrGap) {
			t.Errorf("run %d: added %d, error %v, want %d", i, results[i].Added, results[i].Err, want)
		}
	}
	verify(t, n.store, a.ID(), 1<<20)
	n.stop()
	n.start()
	verify(t, n.store, a.ID(), 1<<20)
}

func testFork(t *testing.T, n *node) {
	a, clone := n.author(2), n.author(2)
	for i := range uint64(6) {
		must[ledger.Run](t)(a.Write(n.sale(i)))
		must[ledger.Run](t)(clone.Write(n.sale(i + i/3)))
	}
	n.ingest(a.Runs...)
	shorter := clone.Whole()
	shorter.Entries, shorter.End = shorter.Entries[:6], clone.Runs[5].End
	must[ledger.Run](t)(clone.Write(n.sale(50)))
	longer := clone.Whole()
	// The first two begin where nothing held leads to: their checkpoints alone speak.
	for i, r := range n.ingest(clone.Runs[5], clone.Runs[6], shorter, longer, longer, clone.Runs[6]) {
		if want := []int{0, 0, 2, 2, 0, 0}[i]; !errors.Is(r.Err, ledger.ErrFork) || r.Added != want || r.Held != (i > 1) {
			t.Errorf("run %d: added %d, want %d, held %v, error %v", i, r.Added, want, r.Held, r.Err)
		}
	}
	if forks := n.store.Forks(); len(forks) != 2 {
		t.Fatalf("%d forks kept, want 2", len(forks))
	}
	checkFork(t, n.store, a, clone)
	n.stop()
	n.start()
	checkFork(t, n.store, a, clone)
	for _, f := range n.store.Forks() {
		if err := errors.Join(f.Ours.Verify(a.Log.Key), f.Theirs.End.Verify(a.Log.Key)); err != nil || f.Log != a.ID() {
			t.Errorf("evidence of a fork of log %s: %v", f.Log, err)
		}
		if f.Ours.Size == f.Theirs.End.Size && f.Ours.Root == f.Theirs.End.Root {
			t.Error("evidence of a fork that is none")
		}
	}
	if n.ingest(longer); len(n.store.Forks()) != 2 {
		t.Error("one fork is kept twice")
	}
	// Each branch goes on by itself.
	for i, r := range n.ingest(must[ledger.Run](t)(a.Write(n.sale(60))), must[ledger.Run](t)(clone.Write(n.sale(61)))) {
		if r.Added != 1 || (i == 1) != errors.Is(r.Err, ledger.ErrFork) {
			t.Errorf("branch %d goes on: added %d, error %v", i, r.Added, r.Err)
		}
	}
	checkFork(t, n.store, a, clone)
}

// checkFork compares the two branches of a log with their authors.
func checkFork(t *testing.T, s *store.Store, authors ...*Author) {
	t.Helper()
	branches, tips := s.Branches(authors[0].ID()), s.Frontier()[authors[0].ID()]
	if len(branches) != len(authors) || len(tips) != len(authors) {
		t.Fatalf("%d branches and %d tips, want %d", len(branches), len(tips), len(authors))
	}
	verify(t, s, authors[0].ID(), 1<<20)
	for _, b := range branches {
		checkBranch(t, b)
	}
	departs := branches[1].Departs()
	var leaves []ledger.Hash
	for i, a := range authors {
		if branches[i].End() != a.Log.End || tips[i].Root != a.Log.End.Root {
			t.Fatalf("branch %d ends at %d, want %d", i, branches[i].End().Size, a.Log.End.Size)
		}
		read := must[ledger.Run](t)(branches[i].ReadRun(0, 1<<20))
		if l, _, err := (ledger.Log{Key: a.Log.Key}).Extend(read); err != nil || l.End != a.Log.End {
			t.Fatalf("branch %d reads as a run to %d: %v", i, read.End.Size, err)
		}
		leaf := ledger.LeafHash(read.Entries[departs])
		proof := must[tlog.RecordProof](t)(branches[i].InclusionProof(departs, a.Log.End.Size))
		if err := tlog.CheckRecord(proof, int64(a.Log.End.Size), tlog.Hash(a.Log.End.Root), int64(departs), tlog.Hash(leaf)); err != nil {
			t.Errorf("branch %d: the entry at %d where it departs: %v", i, departs, err)
		}
		leaves = append(leaves, leaf)
	}
	if leaves[0] == leaves[1] {
		t.Errorf("both branches have the same entry %d", departs)
	}
}

func testLongestRun(t *testing.T, n *node) {
	a := n.author(2)
	var runs []ledger.Run
	for _, size := range []int{1, 200, 237} { // bodies of 237 make a run of nearly RunMaxBytes
		var entries []ledger.Entry
		for i := range uint64(ledger.RunMaxEntries) {
			entries = append(entries, must[ledger.Entry](t)(Filler(i, size)))
		}
		runs = append(runs, must[ledger.Run](t)(a.Write(entries...)))
	}
	if b := must[[]byte](t)(runs[2].Encode()); len(b) < ledger.RunMaxBytes*95/100 {
		t.Fatalf("the longest run has %d bytes, too few to test the limit", len(b))
	}
	for i, r := range n.ingest(append([]ledger.Run{a.Runs[0]}, runs...)...) {
		if r.Err != nil || i > 0 && r.Added != ledger.RunMaxEntries {
			t.Fatalf("run %d: added %d, error %v", i, r.Added, r.Err)
		}
	}
	verify(t, n.store, a.ID(), ledger.RunMaxBytes)
}

func testReadRun(t *testing.T, n *node) {
	n.begin()
	a := n.author(2)
	r := rand.New(rand.NewPCG(7, 7))
	for i := range uint64(60) {
		var entries []ledger.Entry
		for range 1 + r.IntN(9) {
			entries = append(entries, must[ledger.Entry](t)(Filler(i, r.IntN(600))))
		}
		must[ledger.Run](t)(a.Write(entries...))
	}
	n.ingest(a.Whole()) // one checkpoint for all
	b := n.author(3)
	for i := range uint64(60) {
		must[ledger.Run](t)(b.Write(n.sale(i), n.sale(i+1)))
	}
	n.ingest(b.Runs...) // a checkpoint each
	for _, id := range []ledger.LogID{a.ID(), b.ID()} {
		all := verify(t, n.store, id, 1<<20)
		info, _ := n.store.Log(id)
		for from := range uint64(len(all)) {
			l := ledger.Log{Key: info.Key}
			if from > 0 { // a reader whose tip we kept no checkpoint for
				leaves := make([]ledger.Hash, from)
				for i := range leaves {
					leaves[i] = ledger.LeafHash(all[i])
				}
				l.Edge = must[ledger.Edge](t)(l.Edge.Append(leaves...))
			}
			run := must[ledger.Run](t)(n.store.ReadRun(id, from, 300))
			if _, fresh, err := l.Extend(run); err != nil || len(fresh) != len(run.Entries) {
				t.Fatalf("run from %d: %v", from, err)
			}
			if id == b.ID() && len(run.Entries) > ledger.BatchMaxEntries { // checkpoints are thinned to that
				t.Fatalf("run from %d has %d entries for 300 bytes", from, len(run.Entries))
			}
		}
	}
}

func testOwnRefused(t *testing.T, n *node) {
	n.begin()
	n.commit(n.sale(1))
	echo := must[ledger.Run](t)(n.store.ReadRun(n.me.ID(), 0, 1<<20))
	wantErr(t, n.ingest(echo)[0].Err, store.ErrOwnLog)
	twin := must[*Author](t)(NewAuthor(n.me))
	for i := range uint64(5) {
		must[ledger.Run](t)(twin.Write(n.sale(i)))
	}
	wantErr(t, n.ingest(twin.Whole())[0].Err, store.ErrInDoubt)
	if n.writer.Size() != 2 {
		t.Fatal("a neighbour changed our own log")
	}
	// Nothing more is signed: the process ends, and so says the next start.
	if err := <-n.ended; !errors.Is(err, store.ErrInDoubt) {
		t.Fatalf("Run ended with %v", err)
	}
	if err := n.store.Close(); err != nil {
		t.Fatal(err)
	}
	n.store = nil
	_, err := n.open(n.cfg)
	wantErr(t, err, store.ErrInDoubt)
}

func testObjects(t *testing.T, n *node) {
	n.begin()
	mine := must[ledger.Hash](t)(n.store.PutObject(t.Context(), []byte("mine")))
	if got := must[[]byte](t)(n.store.Object(mine)); string(got) != "mine" {
		t.Fatalf("object is %q", got)
	}
	set := bytes.Repeat([]byte("dues"), 1000)
	_, err := n.store.AcceptObject(t.Context(), set)
	wantErr(t, err, store.ErrUnwanted)
	office := must[*Author](t)(NewAuthor(must[Machine](t)(n.fleet.Machine(cert.RoleOffice, 100))))
	must[ledger.Run](t)(office.Write(must[ledger.Entry](t)(Dues(set))))
	kiosk := n.author(5) // may not publish
	must[ledger.Run](t)(kiosk.Write(must[ledger.Entry](t)(Dues([]byte("a kiosk's")))))
	n.ingest(office.Whole(), kiosk.Whole())
	want := ledger.ObjectHash(set)
	if got := n.store.MissingObjects(); len(got) != 1 || got[0] != want {
		t.Fatalf("missing objects: %v, want the office's alone", got)
	}
	_, err = n.store.Object(want)
	wantErr(t, err, store.ErrNoObject)
	n.stop()
	n.start()
	if got := n.store.MissingObjects(); len(got) != 1 {
		t.Fatalf("missing objects after opening again: %v", got)
	}
	if h := must[ledger.Hash](t)(n.store.AcceptObject(t.Context(), set)); h != want || len(n.store.MissingObjects()) != 0 {
		t.Fatal("the object is still missing")
	}
	n.stop()
	n.start()
	if got := n.store.MissingObjects(); len(got) != 0 {
		t.Fatalf("after opening again objects that are held are missing: %v", got)
	}
	_, err = n.store.PutObject(t.Context(), make([]byte, ledger.ObjectMaxBytes+1))
	wantErr(t, err, ledger.ErrMalformed)

	// A file that rotted counts as missing and can be fetched again.
	if err := os.WriteFile(filepath.Join(n.cfg.Dir, "objects", want.String()), []byte("rot"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = n.store.Object(want)
	wantErr(t, err, store.ErrNoObject)
	if len(n.store.MissingObjects()) != 1 {
		t.Fatal("a rotten object is not missing")
	}
	must[ledger.Hash](t)(n.store.AcceptObject(t.Context(), set))
	if got := must[[]byte](t)(n.store.Object(want)); !bytes.Equal(got, set) {
		t.Fatal("another object")
	}
}

func testUpdates(t *testing.T, n *node) {
	updates, cancel := n.store.Updates()
	expect := func(what string, want bool) {
		t.Helper()
		select {
		case <-updates:
			if !want {
				t.Fatalf("a token after %s", what)
			}
		default:
			if want {
				t.Fatalf("no token after %s", what)
			}
		}
	}
	a := n.author(2)
	n.ingest(a.Runs...)
	n.ingest(must[ledger.Run](t)(a.Write(n.sale(1))))
	expect("two ingests", true)
	expect("the token was taken", false)
	n.ingest(a.Runs...)
	expect("a repeat", false)
	must[ledger.Hash](t)(n.store.PutObject(t.Context(), []byte("x")))
	expect("an object", true)
	n.begin()
	<-updates // after a commit it may come a moment later
	cancel()
	n.ingest(must[ledger.Run](t)(a.Write(n.sale(2))))
	expect("it was ended", false)
}
