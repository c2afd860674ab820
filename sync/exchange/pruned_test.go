package exchange

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/sync/wire"
)

// meetsIn is meets, with a machine that speaks versions up to one.
func (u under) meetsIn(version uint32, c Conn, slot uint32, role cert.Role, tips ...wire.LogTips) []Action {
	u.t.Helper()
	chain, k := chainOf(u.t, slot, role, 1<<20)
	if got := u.Step(Connected{Conn: c, Key: public(k)}); len(got) != 0 {
		u.t.Fatalf("before HELLO the exchange did %+v", got)
	}
	got := u.hears(c, &wire.Hello{Min: 1, Max: version, Chain: chain})
	return append(got, u.hears(c, &wire.Frontier{Logs: tips, Credit: 1 << 20})...)
}

// What a peer lacks and we have dropped is said once, with where we begin; nothing of
// the log goes to it until it has come so far another way.
func TestPrunedHere(t *testing.T) {
	dropped := RunRead{Conn: 1, Log: other, Err: fmt.Errorf("reading: %w", &PrunedError{Log: other, From: 6})}
	u := newUnder(t, map[ledger.LogID]uint64{other: 9}, nil)
	read := one(t, "ReadRun", of[ReadRun](u.meetsIn(2, 1, 1, cert.RoleKiosk, wire.LogTips{Log: other, Tips: []ledger.Tip{tipAt(2, 0)}})))
	got := u.Step(dropped)
	if from(read) != 2 || *one(t, "PRUNED", sent[*wire.Pruned](got, 1)) != (wire.Pruned{Log: other, From: 6}) {
		t.Errorf("%+v", got)
	}
	none(t, "FAULT", sent[*wire.Fault](got, 1))
	for size := uint64(10); size < 30; size++ {
		none(t, "ReadRun while it lacks what we dropped", of[ReadRun](u.Step(Grown{Log: other, Tips: []ledger.Tip{tipAt(size, 0)}})))
	}
	none(t, "ReadRun one entry short", of[ReadRun](u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{tipAt(5, 0)}})))
	read = one(t, "ReadRun", of[ReadRun](u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{tipAt(6, 0)}})))
	one(t, "RUN", sent[*wire.Run](u.Step(runRead(1, runOf(other, from(read), 29))), 1))

	// An end that does not know the message is told as before.
	u = newUnder(t, map[ledger.LogID]uint64{other: 9}, nil)
	one(t, "ReadRun", of[ReadRun](u.meets(1, 1, cert.RoleKiosk)))
	got = u.Step(dropped)
	if f := one(t, "FAULT", sent[*wire.Fault](got, 1)); f.Code != wire.FaultUnserved {
		t.Errorf("%+v", f)
	}

	// One that has moved on while we read gets what follows.
	u = newUnder(t, map[ledger.LogID]uint64{other: 9}, nil)
	one(t, "ReadRun", of[ReadRun](u.meetsIn(2, 1, 1, cert.RoleKiosk)))
	u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{tipAt(6, 0)}}) // just far enough
	got = u.Step(dropped)
	none(t, "PRUNED", sent[*wire.Pruned](got, 1))
	if read := one(t, "ReadRun", of[ReadRun](got)); from(read) != 6 {
		t.Errorf("%+v", read)
	}

	// Any other trouble leaves the log out.
	u = newUnder(t, map[ledger.LogID]uint64{other: 9}, nil)
	u.meetsIn(2, 1, 1, cert.RoleKiosk)
	one(t, "FAULT", sent[*wire.Fault](u.Step(RunRead{Conn: 1, Log: other, Err: errors.New("rot")}), 1))
}

// Who is told that a peer has dropped what is lacking asks another that holds more, once,
// counts it where there is none, and tells the first when the gap is closed.
func TestPrunedThere(t *testing.T) {
	held := wire.LogTips{Log: other, Tips: []ledger.Tip{tipAt(9, 0)}}
	u := newUnder(t, nil, nil)
	u.meetsIn(2, 1, 1, cert.RoleKiosk, held)
	u.meetsIn(2, 5, 5, cert.RoleKiosk) // it holds no more than we do
	got := u.hears(1, &wire.Pruned{Log: other, From: 6})
	if g := one(t, "Gap", of[Gap](got)); g != (Gap{Conn: 1, Log: other, From: 6}) {
		t.Errorf("%+v", g)
	}
	none(t, "anything said", of[Send](got))
	u.meetsIn(2, 2, 2, cert.RoleKiosk, held)
	u.meetsIn(2, 3, 3, cert.RoleOffice, held)
	got = u.hears(2, &wire.Pruned{Log: other, From: 5})
	if h := one(t, "HAVE to the one left", sent[*wire.Have](got, 3)); h.Plea != wire.PleaSend {
		t.Errorf("%+v", h)
	}
	none(t, "HAVE to one that has dropped it", append(sent[*wire.Have](got, 1), sent[*wire.Have](got, 2)...))
	for range 3 * askedTimes {
		none(t, "the same asked again", of[Send](u.hears(2, &wire.Pruned{Log: other, From: 5})))
	}
	u.Step(Received{Conn: 3, Message: &wire.Run{Run: runOf(other, 0, 5)}, Bytes: 400})
	got = u.Step(durable(3, tipAt(5, 0), true))
	if h := one(t, "HAVE to whom the gap is closed", sent[*wire.Have](got, 2)); h.Plea != wire.PleaNone || h.Tips[0] != tipAt(5, 0) {
		t.Errorf("%+v", h)
	}
	none(t, "HAVE to whom it is not", sent[*wire.Have](got, 1))

	got = u.hears(1, &wire.Pruned{Log: other, From: 5}) // just where we are now
	none(t, "Gap", of[Gap](got))
	if h := one(t, "HAVE to one that is late", sent[*wire.Have](got, 1)); h.Plea != wire.PleaNone {
		t.Errorf("%+v", h)
	}
	u.meets(4, 4, cert.RoleKiosk)
	if b := one(t, "BYE", sent[*wire.Bye](u.hears(4, &wire.Pruned{Log: other, From: 4}), 4)); b.Code != wire.ByeMalformed {
		t.Errorf("PRUNED in version 1: %+v", b)
	}
}

// dropping is a history that has dropped the entries before one, and keeps some roots.
type dropping struct {
	history
	from uint64
	kept []uint64
}

func (d dropping) Root(size uint64) (ledger.Hash, error) {
	if size > 0 && size < d.from && !slices.Contains(d.kept, size) {
		return ledger.Hash{}, &PrunedError{Log: other, From: d.from}
	}
	return d.history.Root(size)
}

func (d dropping) ReadRun(from uint64, maxBytes int) (ledger.Run, error) {
	if from < d.from {
		return ledger.Run{}, &PrunedError{Log: other, From: d.from}
	}
	return d.history.ReadRun(from, maxBytes)
}

// What is held below where we begin is neither known nor asked for: who lacks what comes
// after it is told from where on there is something.
func TestServePruned(t *testing.T) {
	all := history{}.grown("", 100)
	fork := all[:70].grown("fork", 10)
	d := dropping{all, 64, []uint64{20}}
	wants := func(held ...ledger.Tip) ReadRun {
		return ReadRun{Log: other, Tips: []ledger.Tip{all.tip()}, Held: held, MaxBytes: 1 << 20}
	}
	two := slices.Concat([]ledger.Tip{all[:10].tip()}, []ledger.Tip{fork[:9].tip()})
	for name, c := range map[string]struct {
		q              ReadRun
		pruned         bool
		first          uint64
		blind, unknown int
	}{
		"nothing":                       {q: ReadRun{Log: other, Tips: []ledger.Tip{all.tip()}, Whole: true, MaxBytes: 1 << 20}, pruned: true},
		"less, where no root is kept":   {q: wants(all[:10].tip()), pruned: true},
		"less, where a root is kept":    {q: wants(all[:20].tip()), pruned: true},
		"two of less":                   {q: wants(two...), pruned: true, blind: 2},
		"up to there":                   {q: wants(all[:64].tip()), first: 64},
		"more":                          {q: wants(all[:80].tip()), first: 80},
		"less, and more":                {q: wants(all[:10].tip(), all[:80].tip()), first: 80, blind: 1},
		"another history":               {q: wants(fork.tip()), unknown: 1},
		"less, of which nothing is due": {q: ReadRun{Log: other, Held: []ledger.Tip{all[:10].tip()}}, blind: 1},
	} {
		e := Serve([]Branch{d}, c.q)
		if isPruned(e.Err) != c.pruned || e.Err != nil && !c.pruned || e.Run.First != c.first || len(e.Blind) != c.blind || len(e.Unknown) != c.unknown {
			t.Errorf("%s: from %d, %d blind, %d unknown, %v", name, e.Run.First, len(e.Blind), len(e.Unknown), e.Err)
		}
		for _, p := range e.Points {
			if root, err := all.Root(p.Size); err != nil || root != p.Root {
				t.Errorf("%s: the point at %d is none", name, p.Size)
			}
		}
		if c.unknown > 0 && !slices.ContainsFunc(e.Points, func(p ledger.Tip) bool { return p.Size == d.from }) {
			t.Errorf("%s: no point where what is held begins: %v", name, e.Points)
		}
	}
	// Two branches of which one began before, and one after what was dropped.
	late := dropping{fork, 64, nil}
	early := all[:30].grown("early", 60)
	s := server{branches: []Branch{d, late, early}, parted: map[[2]int]uint64{}}
	for pair, want := range map[[2]int]uint64{{0, 1}: 70, {0, 2}: 20, {1, 2}: 0} {
		if n, err := s.shared(pair[0], pair[1]); err != nil || n > want || n == 0 && want > 20 {
			t.Errorf("branches %v share %d, want %d, %v", pair, n, want, err)
		}
	}
}

// A peer that holds as much as we begin with, but of another history, is told nothing
// and is not read for again and again.
func TestPrunedOnAnotherHistory(t *testing.T) {
	all := history{}.grown("", 100)
	fork := all[:70].grown("fork", 10)
	d := dropping{all, 64, nil}
	u := with(t, all)
	got := u.meetsIn(2, 1, 1, cert.RoleKiosk, stated(fork.tip()))
	got = u.Step(Serve([]Branch{d}, one(t, "ReadRun", of[ReadRun](got))))
	one(t, "HAVE that asks for it", slices.DeleteFunc(sent[*wire.Have](got, 1), func(h *wire.Have) bool { return h.Plea != wire.PleaSend }))
	got = u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{fork.tip()}, Plea: wire.PleaSend})
	for range 3 {
		reads := of[ReadRun](got)
		if len(reads) == 0 {
			break
		}
		got = u.Step(Serve([]Branch{d}, one(t, "ReadRun", reads)))
		none(t, "PRUNED", sent[*wire.Pruned](got, 1))
		none(t, "FAULT", sent[*wire.Fault](got, 1))
	}
	none(t, "ReadRun without end", of[ReadRun](got))
}
