package exchange

import (
	"testing"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/sync/wire"
)

// TestPleaRestarts: a plea makes us go on from the tip that it states.
func TestPleaRestarts(t *testing.T) {
	u := newUnder(t, map[ledger.LogID]uint64{other: 9}, nil)
	u.meets(1, 1, cert.RoleKiosk)
	u.Step(runRead(1, runOf(other, 0, 9)))
	u.Step(Written{Conn: 1})
	got := u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{tipAt(3, 0)}, Plea: wire.PleaSend})
	if r := one(t, "ReadRun", of[ReadRun](got)); from(r) != 3 {
		t.Errorf("ReadRun = %+v, want from 3", r)
	}
	for range askedTimes {
		got = u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{tipAt(3, 0)}, Plea: wire.PleaSend})
	}
	if f := one(t, "FAULT", sent[*wire.Fault](got, 1)); f.Code != wire.FaultRepeated {
		t.Errorf("FAULT = %+v", f)
	}

	// From less than it had stated, or sent; and as often as it holds something else.
	for name, before := range map[string]func(u under) []Action{
		"stated": func(u under) []Action { return u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{tipAt(9, 0)}}) },
		"sent": func(u under) []Action {
			return append(u.hears(1, &wire.Run{Run: runOf(other, 0, 9)}), u.Step(durable(1, tipAt(9, 0), true))...)
		},
	} {
		u := newUnder(t, map[ledger.LogID]uint64{other: 9}, nil)
		u.meets(1, 1, cert.RoleKiosk, holds(other, tipAt(9, 0)))
		before(u)
		got := u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{tipAt(3, 0)}, Plea: wire.PleaSend})
		if r := one(t, "ReadRun", of[ReadRun](got)); from(r) != 3 {
			t.Errorf("%s before: ReadRun = %+v, want from 3", name, r)
		}
		for size := range uint64(9) {
			got = append(got, u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{tipAt(size+1, 0)}, Plea: wire.PleaSend})...)
		}
		none(t, "FAULT", sent[*wire.Fault](got, 1))
	}
}

// TestTheyMoveOnWhileWeRead: what they have come to hold meanwhile is not sent.
func TestTheyMoveOnWhileWeRead(t *testing.T) {
	u := newUnder(t, map[ledger.LogID]uint64{other: 9}, nil)
	read := one(t, "ReadRun", of[ReadRun](u.meets(1, 1, cert.RoleKiosk, holds(other, tipAt(2, 0)))))
	none(t, "ReadRun while one is under way", of[ReadRun](u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{tipAt(7, 0)}})))
	got := u.Step(runRead(1, runOf(other, from(read), 9)))
	none(t, "RUN of what they hold", sent[*wire.Run](got, 1))
	if r := one(t, "ReadRun", of[ReadRun](got)); from(r) != 7 {
		t.Errorf("ReadRun = %+v, want from 7", r)
	}

	u = newUnder(t, map[ledger.LogID]uint64{other: 9}, nil) // the answer to one run comes while the next is read
	u.meets(1, 1, cert.RoleKiosk)
	part := runRead(1, runOf(other, 0, 4))
	part.Tips = []ledger.Tip{tipAt(9, 0)}
	one(t, "RUN", sent[*wire.Run](u.Step(part), 1))
	read = one(t, "ReadRun", of[ReadRun](u.Step(Written{Conn: 1})))
	u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{tipAt(4, 0)}})
	one(t, "RUN that goes on", sent[*wire.Run](u.Step(runRead(1, runOf(other, from(read), 9))), 1))
}

// TestHushAndNotice: who gets a log another way asks for notices, and a notice of
// what one lacks brings the log.
func TestHushAndNotice(t *testing.T) {
	u := newUnder(t, map[ledger.LogID]uint64{own: 1, other: 1}, nil)
	u.meets(1, 1, cert.RoleKiosk, holds(own, tipAt(1, 0)), holds(other, tipAt(1, 0)))
	u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{tipAt(1, 0)}, Plea: wire.PleaHush})
	u.hears(1, &wire.Have{Log: own, Tips: []ledger.Tip{tipAt(1, 0)}, Plea: wire.PleaHush})
	got := u.Step(Grown{Log: other, Tips: []ledger.Tip{tipAt(2, 0)}})
	if n := one(t, "NOTICE", sent[*wire.Notice](got, 1)); n.Tip != tipAt(2, 0) {
		t.Errorf("NOTICE = %+v", n)
	}
	none(t, "ReadRun", of[ReadRun](got))
	got = u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{tipAt(1, 0)}, Plea: wire.PleaSend})
	if r := one(t, "ReadRun", of[ReadRun](got)); from(r) != 1 {
		t.Errorf("ReadRun = %+v", r)
	}
	u.Step(runRead(1, runOf(other, 1, 2)))
	u.Step(Written{Conn: 1})
	got = u.Step(Grown{Log: own, Tips: []ledger.Tip{tipAt(2, 0)}})
	one(t, "our own log is pushed all the same", of[ReadRun](got))

	u = newUnder(t, map[ledger.LogID]uint64{other: 1}, nil)
	u.meets(1, 1, cert.RoleKiosk)
	u.meets(2, 2, cert.RoleKiosk)
	got = u.hears(1, &wire.Notice{Log: other, Tip: tipAt(5, 0)})
	one(t, "a plea", sent[*wire.Have](got, 1))
	got = u.hears(2, &wire.Notice{Log: other, Tip: tipAt(5, 0)})
	none(t, "a second plea while the first is served", sent[*wire.Have](got, 2))
	got = u.Step(Closed{Conn: 1})
	if h := one(t, "a plea to the other", sent[*wire.Have](got, 2)); h.Plea != wire.PleaSend {
		t.Errorf("HAVE = %+v", h)
	}
}

// TestHushedServerIsAskedAgain: two peers overtake each other with the same log
// until both are hushed; the rest still comes.
func TestHushedServerIsAskedAgain(t *testing.T) {
	u := newUnder(t, nil, func(c *Config) { c.CreditBytes = 1 << 20 })
	u.meets(1, 1, cert.RoleKiosk, holds(other, tipAt(12, 0)))
	u.meets(2, 2, cert.RoleKiosk, holds(other, tipAt(12, 0)))
	for i, r := range []struct {
		c           Conn
		first, last uint64
	}{{1, 0, 4}, {2, 0, 4}, {2, 4, 8}, {1, 4, 8}} {
		one(t, "Ingest", of[Ingest](u.hears(r.c, &wire.Run{Run: runOf(other, r.first, r.last)})))
		u.Step(durable(r.c, tipAt(r.last, 0), i%2 == 0))
	}
	got := u.hears(1, &wire.Notice{Log: other, Tip: tipAt(12, 0)})
	got = append(got, u.hears(2, &wire.Notice{Log: other, Tip: tipAt(12, 0)})...)
	pleas := append(sent[*wire.Have](got, 1), sent[*wire.Have](got, 2)...)
	if h := one(t, "a plea to one of them", pleas); h.Plea != wire.PleaSend || h.Tips[0].Size != 8 {
		t.Errorf("HAVE = %+v", h)
	}
}

// TestDuplicateIsHushed: what comes a second time is asked for no more.
func TestDuplicateIsHushed(t *testing.T) {
	u := newUnder(t, nil, nil)
	u.meets(1, 1, cert.RoleKiosk)
	u.meets(2, 2, cert.RoleKiosk)
	for c := range Conn(2) {
		one(t, "Ingest", of[Ingest](u.hears(c+1, &wire.Run{Run: runOf(other, 0, 4)})))
	}
	u.Step(durable(1, tipAt(4, 0), true))
	got := u.Step(durable(2, tipAt(4, 0), false))
	if h := one(t, "HAVE", sent[*wire.Have](got, 2)); h.Plea != wire.PleaHush {
		t.Errorf("HAVE = %+v", h)
	}
}
