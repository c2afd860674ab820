package exchange

import (
	"errors"
	"fmt"
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
	dropped := fmt.Errorf("reading: %w", &PrunedError{Log: other, From: 6})
	u := newUnder(t, map[ledger.LogID]uint64{other: 9}, nil)
	read := one(t, "ReadRun", of[ReadRun](u.meetsIn(2, 1, 1, cert.RoleKiosk, wire.LogTips{Log: other, Tips: []ledger.Tip{tipAt(2, 0)}})))
	got := u.Step(RunRead{Conn: 1, Log: other, Err: dropped})
	if read.From != 2 || *one(t, "PRUNED", sent[*wire.Pruned](got, 1)) != (wire.Pruned{Log: other, From: 6}) {
		t.Errorf("%+v", got)
	}
	none(t, "FAULT", sent[*wire.Fault](got, 1))
	for size := uint64(10); size < 30; size++ {
		none(t, "ReadRun while it lacks what we dropped", of[ReadRun](u.Step(Grown{Log: other, Tip: tipAt(size, 0)})))
	}
	none(t, "ReadRun one entry short", of[ReadRun](u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{tipAt(5, 0)}})))
	read = one(t, "ReadRun", of[ReadRun](u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{tipAt(6, 0)}})))
	one(t, "RUN", sent[*wire.Run](u.Step(RunRead{Conn: 1, Log: other, Run: runOf(other, read.From, 29)}), 1))

	// An end that does not know the message is told as before.
	u = newUnder(t, map[ledger.LogID]uint64{other: 9}, nil)
	one(t, "ReadRun", of[ReadRun](u.meets(1, 1, cert.RoleKiosk)))
	got = u.Step(RunRead{Conn: 1, Log: other, Err: dropped})
	if f := one(t, "FAULT", sent[*wire.Fault](got, 1)); f.Code != wire.FaultUnserved {
		t.Errorf("%+v", f)
	}

	// One that has moved on while we read gets what follows.
	u = newUnder(t, map[ledger.LogID]uint64{other: 9}, nil)
	one(t, "ReadRun", of[ReadRun](u.meetsIn(2, 1, 1, cert.RoleKiosk)))
	u.hears(1, &wire.Have{Log: other, Tips: []ledger.Tip{tipAt(7, 0)}})
	got = u.Step(RunRead{Conn: 1, Log: other, Err: dropped})
	none(t, "PRUNED", sent[*wire.Pruned](got, 1))
	if read := one(t, "ReadRun", of[ReadRun](got)); read.From != 7 {
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
	got = u.Step(Ingested{Conn: 3, Log: other, Tip: tipAt(5, 0), Bytes: 400})
	if h := one(t, "HAVE to whom the gap is closed", sent[*wire.Have](got, 2)); h.Plea != wire.PleaNone || h.Tips[0] != tipAt(5, 0) {
		t.Errorf("%+v", h)
	}
	none(t, "HAVE to whom it is not", sent[*wire.Have](got, 1))

	got = u.hears(1, &wire.Pruned{Log: other, From: 4})
	if h := one(t, "HAVE to one that is late", sent[*wire.Have](got, 1)); h.Plea != wire.PleaNone {
		t.Errorf("%+v", h)
	}
	u.meets(4, 4, cert.RoleKiosk)
	if b := one(t, "BYE", sent[*wire.Bye](u.hears(4, &wire.Pruned{Log: other, From: 4}), 4)); b.Code != wire.ByeMalformed {
		t.Errorf("PRUNED in version 1: %+v", b)
	}
}
