package exchange

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/sync/wire"
)

// history is a branch in memory: a word an entry, a checkpoint after each.
type history []string

func (h history) entry(i int) []byte {
	e, _ := event.New(ledger.Time{}, &event.SoftwareStarted{Version: h[i]})
	b, _ := ledger.EncodeEntry(e)
	return b
}

func (h history) tip() ledger.Tip {
	root, _ := h.Root(uint64(len(h)))
	return ledger.Tip{Size: uint64(len(h)), Root: root}
}

func (h history) Tip() ledger.Tip { return h.tip() }

func (h history) Root(size uint64) (ledger.Hash, error) {
	var edge ledger.Edge
	var err error
	for i := range int(size) {
		if edge, err = edge.Append(ledger.LeafHash(h.entry(i))); err != nil {
			return ledger.Hash{}, err
		}
	}
	return edge.Root(), nil
}

// ReadRun reads one entry for every 40 bytes.
func (h history) ReadRun(from uint64, maxBytes int) (ledger.Run, error) {
	end := min(len(h), int(from)+max(1, maxBytes/40))
	before, err := h.Root(from)
	if err != nil {
		return ledger.Run{}, err
	}
	r := ledger.Run{Log: other, First: from, Branch: [ledger.BranchBytes]byte(before[:])}
	for i := int(from); i < end; i++ {
		r.Entries = append(r.Entries, h.entry(i))
	}
	tip := h[:end].tip()
	r.End = ledger.Checkpoint{Size: tip.Size, Root: tip.Root}
	return r, nil
}

// grown is the history with n words more.
func (h history) grown(name string, n int) history {
	h = slices.Clone(h)
	for range n {
		h = append(h, fmt.Sprint(name, len(h)))
	}
	return h
}

func tips(hs []history) (out []ledger.Tip) {
	for _, h := range hs {
		out = append(out, h.tip())
	}
	return out
}

func branches(hs []history) (out []Branch) {
	for _, h := range hs {
		out = append(out, h)
	}
	return out
}

// with holds branches of the other log, and reads from them.
func with(t *testing.T, hs ...history) under {
	u := newUnder(t, nil, nil)
	u.Step(Grown{Log: other, Tips: tips(hs)})
	return u
}

// reads answers a read from the branches.
func (u under) reads(got []Action, hs ...history) []Action {
	u.t.Helper()
	return u.Step(Serve(branches(hs), one(u.t, "ReadRun", of[ReadRun](got))))
}

func stated(list ...ledger.Tip) wire.LogTips {
	slices.SortFunc(list, compareTips)
	return wire.LogTips{Log: other, Tips: list}
}

// TestBranchIsAskedForOnce: a tip that lies on no branch held is asked for by a few points
// from which the other end finds where the two part, and not again.
func TestBranchIsAskedForOnce(t *testing.T) {
	shared := history{}.grown("", 100)
	ours, theirs := shared.grown("ours", 50), shared.grown("theirs", 40)
	u := with(t, ours)
	got := u.reads(u.meets(1, 1, cert.RoleKiosk, stated(theirs.tip())), ours)
	none(t, "RUN, though nobody knows from where", sent[*wire.Run](got, 1))
	haves := sent[*wire.Have](got, 1)
	var points []ledger.Tip
	for i, h := range haves {
		if last := i == len(haves)-1; (h.Plea == wire.PleaSend) != last || h.Log != other {
			t.Fatalf("HAVE %d of %d = %+v", i+1, len(haves), h)
		}
		if i > 0 && i < len(haves)-1 && h.Tips[0].Size >= haves[i-1].Tips[0].Size {
			t.Errorf("HAVE %d = %+v does not go down", i+1, h)
		}
		points = append(points, h.Tips...)
	}
	best := uint64(0)
	for _, p := range points {
		if root, _ := ours.Root(p.Size); root != p.Root {
			t.Errorf("%+v lies on no branch here", p)
		}
		if p.Size <= uint64(len(shared)) {
			best = max(best, p.Size)
		}
	}
	if len(haves) > 4 || best != 150-64 {
		t.Errorf("%d messages, the best point is %d, want at most 4 and 86", len(haves), best)
	}
	got = u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{theirs.tip()}})
	none(t, "ReadRun once more", of[ReadRun](got))
	none(t, "HAVE once more", sent[*wire.Have](got, 1))

	got = u.reads(u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{theirs[:130].tip()}}), ours)
	none(t, "HAVE while they are to send", sent[*wire.Have](got, 1))

	// They send it; from then on where ours goes on is known.
	run, _ := theirs.ReadRun(best, 1<<20)
	one(t, "Ingest", of[Ingest](u.hears(1, &wire.Run{Run: run})))
	got = u.Step(Ingested{Conn: 1, Log: other, End: theirs.tip(), Verdict: Verdict{New: true, Tips: tips([]history{ours, theirs})}, Bytes: 400})
	if h := one(t, "HAVE", sent[*wire.Have](got, 1)); h.Plea != wire.PleaNone || len(h.Tips) != 2 {
		t.Errorf("HAVE = %+v, want both tips", h)
	}
	got = u.reads(got, ours, theirs)
	if r := one(t, "RUN", sent[*wire.Run](got, 1)); r.Run.First != uint64(len(shared)) || r.Run.End.Size != uint64(len(ours)) {
		t.Errorf("RUN from %d to %d, want from where they part", r.Run.First, r.Run.End.Size)
	}
	u.Step(Written{Conn: 1})
	got = u.hears(1, &wire.Have{Log: other, Tips: tips([]history{theirs, ours})})
	none(t, "ReadRun with nothing different", of[ReadRun](got))
	none(t, "Report", of[Report](got))
}

// TestSharedRunIsAcknowledged: a run on the way to the branch that was asked for, of which
// nothing is new, is acknowledged by its end, and its sender is not hushed.
func TestSharedRunIsAcknowledged(t *testing.T) {
	shared := history{}.grown("", 100)
	ours, theirs := shared.grown("ours", 50), shared.grown("theirs", 40)
	u := with(t, ours)
	u.reads(u.meets(1, 1, cert.RoleKiosk, stated(theirs.tip())), ours)
	end := shared[:90].tip()
	run, _ := shared[:90].ReadRun(86, 1<<20)
	one(t, "Ingest", of[Ingest](u.hears(1, &wire.Run{Run: run})))
	got := u.Step(Ingested{Conn: 1, Log: other, End: end, Verdict: Verdict{Tips: tips([]history{ours})}, Bytes: 400})
	if h := one(t, "HAVE", sent[*wire.Have](got, 1)); h.Plea != wire.PleaNone || !slices.Equal(h.Tips, []ledger.Tip{end, ours.tip()}) {
		t.Errorf("HAVE = %+v, want the run's end and our tip", h)
	}
}

// TestLongerEndLooks: a tip longer than ours may go on from it, and is left to the other
// end; a plea with points is answered from the farthest that lies here.
func TestLongerEndLooks(t *testing.T) {
	shared := history{}.grown("", 60)
	ours, theirs := shared.grown("ours", 5), shared.grown("theirs", 30)
	u := with(t, ours)
	got := u.meets(1, 1, cert.RoleKiosk, stated(theirs.tip()))
	none(t, "ReadRun", of[ReadRun](got))
	got = u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{theirs[:58].tip(), theirs[:74].tip(), theirs[:82].tip(), theirs[:86].tip()}})
	none(t, "anything said before it is asked for", of[Send](u.reads(got, ours)))
	got = u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{theirs.tip()}, Plea: wire.PleaSend})
	got = u.reads(got, ours)
	if r := one(t, "RUN", sent[*wire.Run](got, 1)); r.Run.First != 58 {
		t.Errorf("RUN from %d, want from 58", r.Run.First)
	}
	none(t, "a plea of ours: they will send", sent[*wire.Have](got, 1))
}

// TestProofGoesFirst: what proves a fork to a peer that knows of one branch goes before
// this machine's own log, and before the rest of the branch that the peer knows.
func TestProofGoesFirst(t *testing.T) {
	shared := history{}.grown("", 20)
	a, b := shared.grown("a", 500), shared.grown("b", 9)
	u := newUnder(t, map[ledger.LogID]uint64{own: 5}, func(c *Config) {
		c.Class = func(l ledger.LogID) Class {
			if l == own {
				return ClassOwn
			}
			return ClassRest
		}
	})
	u.Step(Grown{Log: other, Tips: tips([]history{a, b})})
	got := u.meets(1, 1, cert.RoleKiosk, stated(a[:30].tip()))
	r := one(t, "ReadRun", of[ReadRun](got))
	if r.Log != other {
		t.Fatalf("the first read is of log %s", r.Log)
	}
	got = u.Step(Serve(branches([]history{a, b}), r))
	if run := one(t, "RUN", sent[*wire.Run](got, 1)).Run; run.First != 20 || run.End.Root != b[:run.End.Size].tip().Root {
		t.Errorf("the first RUN is from %d to %d, want the departing branch from 20", run.First, run.End.Size)
	}
}

// TestPleaIsForgotten: a plea is done with once all is sent. What is held later, and may be
// the beginning of what the peer holds, is not sent before it asks again.
func TestPleaIsForgotten(t *testing.T) {
	ours := history{}.grown("", 50)
	u := with(t, ours)
	u.meets(1, 1, cert.RoleKiosk, stated(ours[:40].tip()))
	u.Step(RunRead{Conn: 1, Log: other, Tips: tips([]history{ours})})
	got := u.reads(u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{ours[:40].tip()}, Plea: wire.PleaSend}), ours)
	one(t, "RUN", sent[*wire.Run](got, 1))
	u.Step(Written{Conn: 1})
	u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{ours.tip()}})
	u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{ours.tip(), ours.grown("theirs", 90).tip()}})
	got = u.Step(Grown{Log: other, Tips: tips([]history{ours.grown("", 5)})})
	none(t, "ReadRun of what they may hold", of[ReadRun](got))
}

// TestTheirBranchComesFirst: a plea that comes while it is looked where their branch lies is
// forgotten when ours is begged for: before theirs has come nothing goes to them from 0.
func TestTheirBranchComesFirst(t *testing.T) {
	ours, theirs := history{}.grown("ours", 50), history{}.grown("theirs", 45)
	u := with(t, ours)
	got := u.meets(1, 1, cert.RoleKiosk, stated(theirs.tip()))
	none(t, "a second read", of[ReadRun](u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{theirs.tip()}, Plea: wire.PleaSend})))
	got = u.reads(got, ours)
	one(t, "a plea of ours", slices.DeleteFunc(sent[*wire.Have](got, 1), func(h *wire.Have) bool { return h.Plea != wire.PleaSend }))
	for range 3 {
		for len(of[ReadRun](got)) > 0 {
			got = u.reads(got, ours)
			none(t, "RUN before their branch is known", sent[*wire.Run](got, 1))
		}
		ours = ours.grown("", 5)
		got = u.Step(Grown{Log: other, Tips: tips([]history{ours})})
	}
}

// TestAskedForWhatIsUnknown: a peer that has stated one tip, which is not found, and asks
// once more gets our branch from 0, once.
func TestAskedForWhatIsUnknown(t *testing.T) {
	for _, size := range []int{1, 45} {
		ours, theirs := history{}.grown("ours", size), history{}.grown("theirs", size)
		u := with(t, ours)
		got := u.reads(u.meets(1, 1, cert.RoleKiosk, stated(theirs.tip())), ours)
		one(t, "a plea of ours", slices.DeleteFunc(sent[*wire.Have](got, 1), func(h *wire.Have) bool { return h.Plea != wire.PleaSend }))
		got = u.reads(u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{theirs.tip()}, Plea: wire.PleaSend}), ours)
		if r := one(t, "RUN", sent[*wire.Run](got, 1)); r.Run.First != 0 {
			t.Errorf("RUN from %d, want from 0", r.Run.First)
		}
		none(t, "ReadRun once more", of[ReadRun](u.Step(Written{Conn: 1})))
	}
}

// TestFirstThatDeparts: of the branches that a peer lacks the first one that departs from
// what it holds is read, else the first one, whatever leads to nothing before them.
func TestFirstThatDeparts(t *testing.T) {
	shared := history{}.grown("", 20)
	a, b, c := shared.grown("a", 30), shared.grown("b", 9), shared[:10].grown("c", 30)
	for name, test := range map[string]struct {
		lacks, held []ledger.Tip
		want        history
		first       uint64
	}{
		"behind one that goes on":   {tips([]history{a, b, c}), []ledger.Tip{a[:30].tip()}, b, 20},
		"in the order of the tips":  {tips([]history{c, a, b}), []ledger.Tip{a[:30].tip()}, c, 10},
		"behind two that go on":     {tips([]history{a, c, b}), []ledger.Tip{a[:30].tip(), c[:30].tip()}, b, 20},
		"none departs":              {tips([]history{c, a}), []ledger.Tip{a[:30].tip(), c[:25].tip()}, c, 25},
		"behind one that they have": {tips([]history{a, c}), []ledger.Tip{a.tip(), c[:25].tip()}, c, 25},
	} {
		e := Serve(branches([]history{a, b, c}), ReadRun{Log: other, Tips: test.lacks, Held: test.held, MaxBytes: 1 << 20})
		if e.Err != nil || e.Run.First != test.first || e.Run.End.Root != test.want.tip().Root {
			t.Errorf("%s: a run from %d to %d, %v, want from %d to %d", name, e.Run.First, e.Run.End.Size, e.Err, test.first, len(test.want))
		}
	}
}

// TestFarthestPointsAreKept: of more points than may be stated those nearest to the tips
// stay.
func TestFarthestPointsAreKept(t *testing.T) {
	var hs []history
	for i := range 8 {
		hs = append(hs, history{"x"}.grown(fmt.Sprint("b", i, "-"), 300))
	}
	stranger := history{}.grown("y", 5)
	e := Serve(branches(hs), ReadRun{Log: other, Held: []ledger.Tip{stranger.tip()}, MaxBytes: 1})
	if len(e.Points) != pointsKept || e.Points[pointsKept-1].Size != 300 || e.Points[0].Size < 100 {
		t.Errorf("%d points from %d to %d", len(e.Points), e.Points[0].Size, e.Points[len(e.Points)-1].Size)
	}
}

// TestMoreTipsThanOneMessageHolds: eight branches are stated whole, and two ends that hold
// the same eight have nothing to say.
func TestMoreTipsThanOneMessageHolds(t *testing.T) {
	var hs []history
	for i := range 8 {
		hs = append(hs, history{"x"}.grown(fmt.Sprint("b", i, "-"), 3+i))
	}
	u := with(t, hs...)
	got := u.meets(1, 1, cert.RoleKiosk)
	said := one(t, "FRONTIER", sent[*wire.Frontier](got, 1)).Logs[0].Tips
	for _, h := range sent[*wire.Have](got, 1) {
		if h.Plea != wire.PleaNone {
			t.Errorf("HAVE = %+v", h)
		}
		said = append(slices.Clone(said), h.Tips...)
	}
	slices.SortFunc(said, compareTips)
	want := tips(hs)
	slices.SortFunc(want, compareTips)
	if !slices.Equal(said, want) {
		t.Fatalf("%d tips stated, want 8", len(said))
	}
	slices.Reverse(hs) // the other end came by them in another order
	v := with(t, hs...)
	got = v.meets(1, 1, cert.RoleKiosk, stated(said[4:]...))
	got = append(got, v.hears(1, &wire.Have{Log: other, Tips: said[:4]})...)
	for len(of[ReadRun](got)) > 0 { // it looks, and finds all
		r := of[ReadRun](got)[0]
		got = v.Step(Serve(branches(hs), r))
		none(t, "RUN", sent[*wire.Run](got, 1))
		none(t, "HAVE", sent[*wire.Have](got, 1))
	}
	// The answer to a run names its end, however many tips there are.
	got = v.Step(Ingested{Conn: 1, Log: other, End: hs[7].tip(), Verdict: Verdict{New: true, Tips: tips(hs)}, Bytes: 400})
	if h := one(t, "HAVE", sent[*wire.Have](got, 1)); !slices.Contains(h.Tips, hs[7].tip()) || len(h.Tips) != wire.TipsMax {
		t.Errorf("HAVE = %+v, want the run's end in it", h)
	}
}

// TestLeftOut: a branch that cannot be held, and an end that does not know branches, leave
// one log out, once; the others go on.
func TestLeftOut(t *testing.T) {
	shared := history{}.grown("", 10)
	ours, theirs := shared.grown("ours", 3), shared.grown("theirs", 3)
	for name, show := range map[string]func(u under) []Action{
		"the store's word": func(u under) []Action {
			run, _ := theirs.ReadRun(10, 1<<20)
			u.hears(1, &wire.Run{Run: run})
			return u.Step(Ingested{Conn: 1, Log: other, End: theirs.tip(), Verdict: Verdict{Err: fmt.Errorf("x: %w", ledger.ErrFork), Tips: tips([]history{ours})}, Bytes: 400})
		},
		"the peer's word": func(u under) []Action { return u.hears(1, &wire.Fault{Log: other, Code: wire.FaultFork}) },
	} {
		t.Run(name, func(t *testing.T) {
			u := with(t, ours)
			u.Step(Grown{Log: third, Tips: []ledger.Tip{tipAt(1, 0)}})
			u.meets(1, 1, cert.RoleKiosk, stated(ours.tip(), theirs.tip()), holds(third, tipAt(1, 0)))
			got := show(u)
			if r := one(t, "Report", of[Report](got)); r.Log != other || r.Code != wire.FaultFork || r.OwnAhead {
				t.Errorf("Report = %+v", r)
			}
			if faults := sent[*wire.Fault](got, 1); len(faults) > 1 {
				t.Errorf("FAULT = %+v", faults)
			}
			run, _ := theirs.ReadRun(10, 1<<20)
			again := u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{theirs.tip()}, Plea: wire.PleaSend})
			again = append(again, u.hears(1, &wire.Run{Run: run})...)
			again = append(again, u.hears(1, &wire.Notice{Log: other, Tip: tipAt(900, 0)})...)
			again = append(again, u.Step(Grown{Log: other, Tips: tips([]history{ours.grown("more", 4)})})...)
			none(t, "anything more about it", of[Report](again))
			none(t, "ReadRun", of[ReadRun](again))
			none(t, "Ingest", of[Ingest](again))
			none(t, "HAVE", sent[*wire.Have](again, 1))
			u.Step(RunRead{Conn: 1, Log: other}) // one may have been under way
			got = u.Step(Grown{Log: third, Tips: []ledger.Tip{tipAt(2, 0)}})
			if r := one(t, "ReadRun of another log", of[ReadRun](got)); r.Log != third {
				t.Errorf("ReadRun = %+v", r)
			}
		})
	}
}

// TestOwnAhead: a peer that holds more of our own log than we wrote is reported once, and
// what proves it reaches the store, which alone can judge it.
func TestOwnAhead(t *testing.T) {
	u := newUnder(t, map[ledger.LogID]uint64{own: 2}, nil)
	got := u.meets(1, 1, cert.RoleKiosk, holds(own, tipAt(5, 0)))
	if r := one(t, "Report", of[Report](got)); !r.OwnAhead || r.Log != own {
		t.Errorf("Report = %+v", r)
	}
	got = u.hears(1, &wire.Run{Run: runOf(own, 2, 5)})
	one(t, "Ingest", of[Ingest](got))
	got = u.Step(Ingested{Conn: 1, Log: own, End: tipAt(5, 0), Verdict: Verdict{Err: ledger.ErrFork}, Bytes: 400})
	none(t, "a second Report", of[Report](got))
	one(t, "FAULT", sent[*wire.Fault](got, 1))
	none(t, "Ingest", of[Ingest](u.hears(1, &wire.Run{Run: runOf(own, 2, 5)})))

	u = newUnder(t, map[ledger.LogID]uint64{own: 5}, nil) // an echo is none
	u.meets(1, 1, cert.RoleKiosk, holds(own, tipAt(5, 0)))
	got = u.hears(1, &wire.Run{Run: runOf(own, 2, 5)})
	none(t, "Ingest of what we wrote", of[Ingest](got))
	none(t, "Report", of[Report](got))
}

// TestServe: whatever two ends hold, a run that is read for the other begins on a branch
// that it holds, and none is read only when it lacks none or nothing in common is known.
func TestServe(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 400 {
		all := []history{{"x"}}
		all[0] = all[0].grown("", 1+r.IntN(30))
		for i := range r.IntN(6) {
			from := all[r.IntN(len(all))]
			all = append(all, from[:1+r.IntN(len(from))].grown(fmt.Sprint("b", i, "-"), 1+r.IntN(20)))
		}
		here, there := someOf(r, all), someOf(r, all)
		q := ReadRun{Log: other, Tips: tips(here), Held: tips(there), MaxBytes: 1 + r.IntN(900)}
		e := Serve(branches(here), q)
		if e.Err != nil {
			t.Fatal(e.Err)
		}
		lacks := slices.ContainsFunc(here, func(h history) bool { return !slices.ContainsFunc(there, h.within) })
		met := slices.ContainsFunc(there, func(h history) bool { return slices.ContainsFunc(here, h.within) })
		if some := len(e.Run.Entries) > 0; some && !met || !some && lacks && met {
			t.Fatalf("%d entries are read for who lacks something: %v, and holds a known tip: %v", len(e.Run.Entries), lacks, met)
		}
		for _, p := range e.Points {
			if !slices.ContainsFunc(here, func(h history) bool { root, _ := h.Root(min(p.Size, uint64(len(h)))); return root == p.Root }) {
				t.Fatalf("point %d lies on no branch", p.Size)
			}
		}
		for _, h := range there {
			long := len(h) > slices.Max(sizes(here))
			if unknown := !slices.ContainsFunc(here, h.within) && !long; unknown != slices.Contains(e.Unknown, h.tip()) {
				t.Fatalf("a tip of %d entries is found: %v", len(h), !unknown)
			}
		}
		if len(e.Run.Entries) > 0 && !slices.ContainsFunc(there, func(h history) bool {
			root, _ := h.Root(min(e.Run.First, uint64(len(h))))
			return uint64(len(h)) >= e.Run.First && begins(e.Run.First, e.Run.Branch, ledger.Tip{Size: e.Run.First, Root: root})
		}) {
			t.Fatalf("a run from %d begins on no branch of the other", e.Run.First)
		}
		checkStart(t, e.Run, here, there)
	}
}

// checkStart: the run begins as far along its branch as what is known of the other leads.
func checkStart(t *testing.T, r ledger.Run, here, there []history) {
	t.Helper()
	if len(r.Entries) == 0 {
		return
	}
	best := uint64(0)
	for _, h := range here {
		if root, _ := h.Root(min(r.End.Size, uint64(len(h)))); root != r.End.Root {
			continue
		}
		for _, o := range there {
			n := 0
			for slices.ContainsFunc(here, o.within) && n < min(len(h), len(o)) && h[n] == o[n] {
				n++
			}
			best = max(best, uint64(n))
		}
	}
	if r.First != best {
		t.Fatalf("a run begins at %d, what the other holds leads to %d", r.First, best)
	}
}

// within reports whether h is the beginning of the other, or all of it.
func (h history) within(o history) bool { return len(h) <= len(o) && slices.Equal(h, o[:len(h)]) }

func sizes(hs []history) (out []int) {
	for _, h := range hs {
		out = append(out, len(h))
	}
	return out
}

// someOf is branches of which none is the beginning of another, some cut short.
func someOf(r *rand.Rand, all []history) (out []history) {
	for len(out) == 0 {
		for _, h := range all {
			if r.IntN(3) == 0 {
				continue
			}
			if r.IntN(3) == 0 {
				h = h[:1+r.IntN(len(h))]
			}
			out = append(out, h)
		}
	}
	return slices.DeleteFunc(slices.Clone(out), func(h history) bool {
		return slices.ContainsFunc(out, func(o history) bool { return h.within(o) && !o.within(h) })
	})
}
