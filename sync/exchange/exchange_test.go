package exchange

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/sync/wire"
)

// The exchange under test is machine 0; the test speaks for the others.

func keyOf(name string) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(sum[:])
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func chainOf(t *testing.T, slot uint32, role cert.Role, notAfter uint32) (cert.Chain, ed25519.PrivateKey) {
	t.Helper()
	k := keyOf(fmt.Sprint("machine", slot))
	district := cert.Certificate{Slot: 1, Cell: 5000, Role: cert.RoleDistrict, NotAfter: 1 << 20}
	copy(district.Key[:], public(keyOf("district")))
	machine := cert.Certificate{Slot: slot, Role: role, NotAfter: notAfter}
	copy(machine.Key[:], public(k))
	var c cert.Chain
	var err error
	if c.District, err = cert.Issue(keyOf("fleet"), district); err != nil {
		t.Fatal(err)
	}
	if c.Machine, err = cert.Issue(keyOf("district"), machine); err != nil {
		t.Fatal(err)
	}
	return c, k
}

var (
	t0    = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	own   = ledger.LogID{1}
	other = ledger.LogID{2}
	third = ledger.LogID{3}
)

func tipAt(size uint64, branch byte) ledger.Tip {
	return ledger.Tip{Size: size, Root: sha256.Sum256([]byte{byte(size), branch})}
}

func runOf(log ledger.LogID, first, end uint64) ledger.Run {
	r := ledger.Run{Log: log, First: first}
	before := tipAt(first, 0).Root
	if first == 0 {
		before = ledger.Edge{}.Root()
	}
	copy(r.Branch[:], before[:])
	for i := first; i < end; i++ {
		e, _ := event.New(ledger.Time{}, &event.SoftwareStarted{Version: fmt.Sprint(i)})
		b, _ := ledger.EncodeEntry(e)
		r.Entries = append(r.Entries, b)
	}
	r.End = ledger.Checkpoint{Size: end, Root: tipAt(end, 0).Root}
	return r
}

func runRead(c Conn, r ledger.Run) RunRead {
	return RunRead{Conn: c, Log: r.Log, Run: r, Tips: []ledger.Tip{endOf(r)}}
}

// durable is the store's word for a run of the other log that it has taken.
func durable(c Conn, end ledger.Tip, fresh bool) Ingested {
	return Ingested{Conn: c, Log: other, End: end, Verdict: Verdict{New: fresh, Tips: []ledger.Tip{end}}, Bytes: 400}
}

// from is where a read goes on from.
func from(r ReadRun) uint64 { return max(longest(r.Held), longest(r.Sent)) }

type under struct {
	*Exchange
	t *testing.T
}

func newUnder(t *testing.T, held map[ledger.LogID]uint64, change func(*Config)) under {
	t.Helper()
	c, k := chainOf(t, 0, cert.RoleKiosk, 1<<20)
	cfg := Config{
		Fleet: public(keyOf("fleet")), Machine: public(k), Chain: c,
		Own:         func(l ledger.LogID) bool { return l == own },
		CreditBytes: 1000,
	}
	if change != nil {
		change(&cfg)
	}
	f := ledger.Frontier{}
	for log, size := range held {
		f[log] = []ledger.Tip{tipAt(size, 0)}
	}
	u := under{New(cfg, f, t0), t}
	u.Step(Tick{Now: t0, Trusted: true})
	return u
}

func (u under) hears(c Conn, m wire.Message) []Action {
	return u.Step(Received{Conn: c, Message: m, Bytes: 400})
}

// meets lets a machine connect and say what it holds, with credit for ever.
func (u under) meets(c Conn, slot uint32, role cert.Role, tips ...wire.LogTips) []Action {
	u.t.Helper()
	return u.meetsIn(1, c, slot, role, tips...)
}

func holds(log ledger.LogID, tips ...ledger.Tip) wire.LogTips {
	return wire.LogTips{Log: log, Tips: tips}
}

func of[A Action](all []Action) []A {
	var some []A
	for _, a := range all {
		if a, ok := a.(A); ok {
			some = append(some, a)
		}
	}
	return some
}

func sent[M wire.Message](all []Action, c Conn) []M {
	var some []M
	for _, a := range of[Send](all) {
		if m, ok := a.Message.(M); ok && a.Conn == c {
			some = append(some, m)
		}
	}
	return some
}

func one[T any](t *testing.T, what string, all []T) T {
	t.Helper()
	if len(all) != 1 {
		t.Fatalf("%s: got %d, want 1: %+v", what, len(all), all)
	}
	return all[0]
}

func none[T any](t *testing.T, what string, all []T) {
	t.Helper()
	if len(all) != 0 {
		t.Fatalf("%s: got %+v, want none", what, all)
	}
}

func TestDifferencesAreSentUrgentFirst(t *testing.T) {
	control := ledger.LogID{9}
	u := newUnder(t, map[ledger.LogID]uint64{own: 5, other: 7, third: 3, control: 2}, func(c *Config) {
		c.Class = func(l ledger.LogID) Class {
			return map[ledger.LogID]Class{control: ClassControl, own: ClassOwn, other: ClassRest, third: ClassRest}[l]
		}
	})
	got := u.meets(1, 1, cert.RoleKiosk, holds(other, tipAt(4, 0)), holds(third, tipAt(3, 0)))
	front := one(t, "FRONTIER", sent[*wire.Frontier](got, 1))
	if len(front.Logs) != 4 || front.Credit != 1000 {
		t.Errorf("FRONTIER = %+v", front)
	}
	ends := map[ledger.LogID]uint64{own: 5, other: 7, control: 2}
	for _, want := range []struct {
		log  ledger.LogID
		from uint64
	}{{control, 0}, {own, 0}, {other, 4}} {
		r := one(t, "ReadRun", of[ReadRun](got))
		if r.Log != want.log || from(r) != want.from {
			t.Fatalf("ReadRun = %+v, want %+v", r, want)
		}
		got = u.Step(runRead(1, runOf(r.Log, from(r), ends[r.Log])))
		one(t, "RUN", sent[*wire.Run](got, 1))
		none(t, "a second piece before the first has left", of[ReadRun](got))
		got = u.Step(Written{Conn: 1})
	}
	none(t, "ReadRun of what they hold", of[ReadRun](got))
}

func TestGrowthIsPushedAndNeverEchoed(t *testing.T) {
	u := newUnder(t, map[ledger.LogID]uint64{own: 1}, nil)
	u.meets(1, 1, cert.RoleKiosk, holds(own, tipAt(1, 0)))
	u.meets(2, 2, cert.RoleKiosk, holds(own, tipAt(1, 0)))
	got := u.hears(1, &wire.Run{Run: runOf(other, 0, 4)})
	one(t, "Ingest", of[Ingest](got))
	none(t, "anything said before it is durable", of[Send](got))
	got = u.Step(Grown{Log: other, Tips: []ledger.Tip{tipAt(4, 0)}}) // the store's own word may come first
	if r := one(t, "ReadRun", of[ReadRun](got)); r.Conn != 2 || r.Log != other || from(r) != 0 {
		t.Errorf("ReadRun = %+v, want for connection 2", r)
	}
	got = u.Step(durable(1, tipAt(4, 0), true))
	if have := one(t, "HAVE", sent[*wire.Have](got, 1)); !slices.Equal(have.Tips, []ledger.Tip{tipAt(4, 0)}) || have.Plea != wire.PleaNone {
		t.Errorf("HAVE = %+v", have)
	}
	none(t, "an echo", of[ReadRun](got))
}

// TestStoreAhead: the store may read further than the exchange was told; the
// answer to that is no sign that somebody else writes our log.
func TestStoreAhead(t *testing.T) {
	u := newUnder(t, map[ledger.LogID]uint64{own: 2}, nil)
	u.meets(1, 1, cert.RoleKiosk)
	part := runRead(1, runOf(own, 0, 6))
	part.Tips = []ledger.Tip{tipAt(8, 0)}
	u.Step(part)
	got := u.hears(1, &wire.Have{Log: own, Tips: []ledger.Tip{tipAt(6, 0)}})
	none(t, "Report", of[Report](got))
	if h := one(t, "Holds", of[Holds](got)); h.Size != 6 {
		t.Errorf("Holds = %+v", h)
	}
}

func TestFaultsOfTheStore(t *testing.T) {
	for err, want := range map[error]wire.FaultCode{
		cert.ErrRefused: wire.FaultRefused, ledger.ErrMalformed: wire.FaultMalformed, ledger.ErrFork: wire.FaultFork,
	} {
		u := newUnder(t, nil, nil)
		u.meets(1, 1, cert.RoleKiosk)
		u.hears(1, &wire.Run{Run: runOf(other, 0, 6)})
		got := u.Step(Ingested{Conn: 1, Log: other, End: tipAt(6, 0), Verdict: Verdict{Err: err}, Bytes: 400})
		if f := one(t, "FAULT", sent[*wire.Fault](got, 1)); f.Code != want {
			t.Errorf("%v: FAULT = %+v, want %s", err, f, want)
		}
		none(t, "HAVE", sent[*wire.Have](got, 1))
	}
	u := newUnder(t, nil, nil)
	u.meets(1, 1, cert.RoleKiosk)
	u.hears(1, &wire.Run{Run: runOf(other, 0, 6)})
	got := u.Step(Ingested{Conn: 1, Log: other, Verdict: Verdict{Err: errors.New("no space")}, Bytes: 400})
	if b := one(t, "BYE", sent[*wire.Bye](got, 1)); b.Code != wire.ByeStorage {
		t.Errorf("BYE = %+v", b)
	}
}

// TestGap: a hole is asked for from where we stand, and not for ever.
func TestGap(t *testing.T) {
	u := newUnder(t, map[ledger.LogID]uint64{other: 2}, func(c *Config) { c.CreditBytes = 1 << 20 })
	u.meets(1, 1, cert.RoleKiosk, holds(other, tipAt(9, 0)))
	for i := range askedTimes + 3 {
		u.hears(1, &wire.Run{Run: runOf(other, 5, 9)})
		got := u.Step(Ingested{Conn: 1, Log: other, End: tipAt(9, 0), Verdict: Verdict{Err: ledger.ErrGap}, Bytes: 400})
		switch {
		case i < askedTimes:
			if h := one(t, "HAVE", sent[*wire.Have](got, 1)); h.Plea != wire.PleaSend || h.Tips[0].Size != 2 {
				t.Fatalf("HAVE = %+v, want a plea from 2", h)
			}
		case i == askedTimes:
			if f := one(t, "FAULT", sent[*wire.Fault](got, 1)); f.Code != wire.FaultRepeated {
				t.Fatalf("FAULT = %+v", f)
			}
			return
		}
	}
}

// TestCredit: both ends keep to what was granted, give or take the message that
// crosses zero.
func TestCredit(t *testing.T) {
	u := newUnder(t, nil, nil) // grants 1000; the test's messages count 400
	u.meets(1, 1, cert.RoleKiosk)
	for i := range uint64(3) {
		none(t, "BYE", sent[*wire.Bye](u.hears(1, &wire.Run{Run: runOf(other, i, i+1)}), 1))
	}
	got := u.hears(1, &wire.Run{Run: runOf(other, 3, 4)})
	if b := one(t, "BYE", sent[*wire.Bye](got, 1)); b.Code != wire.ByeLimit {
		t.Errorf("BYE = %+v", b)
	}
	u = newUnder(t, nil, func(c *Config) { c.CreditBytes = 800 }) // used up to the last byte
	u.meets(1, 1, cert.RoleKiosk)
	u.hears(1, &wire.Run{Run: runOf(other, 0, 1)})
	none(t, "BYE", sent[*wire.Bye](u.hears(1, &wire.Run{Run: runOf(other, 1, 2)}), 1))
	one(t, "BYE", sent[*wire.Bye](u.hears(1, &wire.Run{Run: runOf(other, 2, 3)}), 1))
	u = newUnder(t, nil, nil)
	u.meets(1, 1, cert.RoleKiosk)
	u.hears(1, &wire.Run{Run: runOf(other, 0, 1)})
	got = u.Step(durable(1, tipAt(1, 0), true))
	if c := one(t, "CREDIT", sent[*wire.Credit](got, 1)); c.Bytes != 400 {
		t.Errorf("CREDIT = %+v", c)
	}
	u = newUnder(t, map[ledger.LogID]uint64{own: 2, other: 2}, nil)
	chain, k := chainOf(t, 1, cert.RoleKiosk, 1<<20)
	u.Step(Connected{Conn: 1, Key: public(k)})
	u.hears(1, &wire.Hello{Min: 1, Max: 1, Chain: chain})
	none(t, "ReadRun without credit", of[ReadRun](u.hears(1, &wire.Frontier{})))
	if r := one(t, "ReadRun", of[ReadRun](u.hears(1, &wire.Credit{Bytes: 10}))); r.MaxBytes != 10 {
		t.Errorf("ReadRun = %+v, want at most the credit", r)
	}
	u.Step(runRead(1, runOf(own, 0, 2)))
	none(t, "ReadRun with the credit used up", of[ReadRun](u.Step(Written{Conn: 1})))
}

func TestObjects(t *testing.T) {
	b := []byte("dues")
	h := ledger.ObjectHash(b)
	u := newUnder(t, nil, nil)
	u.meets(1, 1, cert.RoleKiosk)
	u.meets(2, 2, cert.RoleOffice)
	got := u.Step(Missing{Hashes: []ledger.Hash{h}})
	one(t, "WANT to the office first", sent[*wire.Want](got, 2))
	none(t, "WANT to another meanwhile", sent[*wire.Want](got, 1))
	got = u.hears(2, &wire.Lack{Hashes: []ledger.Hash{h}})
	one(t, "WANT to the neighbour", sent[*wire.Want](got, 1))
	got = u.hears(1, &wire.Lack{Hashes: []ledger.Hash{h}})
	none(t, "WANT again at once", of[Send](got))
	got = u.hears(2, &wire.Offer{Hashes: []ledger.Hash{h}})
	one(t, "WANT after OFFER", sent[*wire.Want](got, 2))
	none(t, "an object not asked for", of[PutObject](u.hears(2, &wire.Object{Bytes: []byte("else")})))
	none(t, "an object of whom it was not asked", of[PutObject](u.hears(1, &wire.Object{Bytes: b})))
	one(t, "PutObject", of[PutObject](u.hears(2, &wire.Object{Bytes: b})))
	none(t, "WANT while it is stored", sent[*wire.Want](u.Step(Missing{Hashes: []ledger.Hash{h}}), 1))

	got = u.hears(1, &wire.Want{Hashes: []ledger.Hash{h}})
	one(t, "ReadObject", of[ReadObject](got))
	one(t, "LACK", sent[*wire.Lack](u.Step(ObjectRead{Conn: 1, Hash: h}), 1))
	one(t, "OFFER", sent[*wire.Offer](u.Step(ObjectHeld{Hash: h}), 1))
	u.hears(1, &wire.Want{Hashes: []ledger.Hash{h}})
	one(t, "OBJECT", sent[*wire.Object](u.Step(ObjectRead{Conn: 1, Hash: h, Bytes: b}), 1))
	for i := range wantsKept/wire.HashesMax + 1 {
		var hashes []ledger.Hash
		for j := range wire.HashesMax {
			hashes = append(hashes, ledger.Hash{byte(i), byte(j), 1})
		}
		got = u.hears(1, &wire.Want{Hashes: hashes})
	}
	if bye := one(t, "BYE", sent[*wire.Bye](got, 1)); bye.Code != wire.ByeLimit {
		t.Errorf("BYE = %+v", bye)
	}
}

func TestLackIsAskedAgainLater(t *testing.T) {
	u := newUnder(t, nil, nil)
	u.meets(1, 1, cert.RoleKiosk)
	h := ledger.Hash{1}
	u.Step(Missing{Hashes: []ledger.Hash{h}})
	u.hears(1, &wire.Lack{Hashes: []ledger.Hash{h}})
	none(t, "WANT", sent[*wire.Want](u.Step(Tick{Now: t0.Add(lackTime), Trusted: true}), 1))
	one(t, "WANT", sent[*wire.Want](u.Step(Tick{Now: t0.Add(lackTime + time.Second), Trusted: true}), 1))
}

// TestStrangerHearsNothing: whatever an unknown end says, BYE is all it gets.
func TestStrangerHearsNothing(t *testing.T) {
	chain, k := chainOf(t, 1, cert.RoleKiosk, 1<<20)
	forged := chain
	forged.Machine.Slot = 9
	selfMade, err := cert.Issue(k, chain.Machine)
	if err != nil {
		t.Fatal(err)
	}
	byItself := chain
	byItself.Machine = selfMade
	for name, test := range map[string]struct {
		key ed25519.PublicKey
		say wire.Message
	}{
		"another key":       {public(keyOf("x")), &wire.Hello{Min: 1, Max: 1, Chain: chain}},
		"no key":            {nil, &wire.Hello{Min: 1, Max: 1, Chain: chain}},
		"altered":           {public(k), &wire.Hello{Min: 1, Max: 1, Chain: forged}},
		"certified itself":  {public(k), &wire.Hello{Min: 1, Max: 1, Chain: byItself}},
		"no chain":          {public(k), &wire.Hello{Min: 1, Max: 1}},
		"FRONTIER first":    {public(k), &wire.Frontier{}},
		"WANT first":        {public(k), &wire.Want{Hashes: []ledger.Hash{{1}}}},
		"RUN before HELLO":  {public(k), &wire.Run{Run: runOf(other, 0, 1)}},
		"a plea first":      {public(k), &wire.Have{Log: own, Plea: wire.PleaSend}},
		"a version to come": {public(k), &wire.Hello{Min: wire.VersionMax + 1, Max: wire.VersionMax + 2, Chain: chain}},
	} {
		u := newUnder(t, map[ledger.LogID]uint64{own: 3}, nil)
		got := u.Step(Connected{Conn: 1, Key: test.key})
		got = append(got, u.hears(1, test.say)...)
		got = append(got, u.hears(1, &wire.Frontier{Credit: 1000})...)
		got = append(got, u.Step(Grown{Log: own, Tips: []ledger.Tip{tipAt(4, 0)}})...)
		one(t, name+": BYE", sent[*wire.Bye](got, 1))
		one(t, name+": Send", of[Send](got))
		none(t, name+": ReadRun", of[ReadRun](got))
	}
	u := newUnder(t, nil, nil)
	u.Step(Connected{Conn: 1, Key: public(k)})
	one(t, "BYE to who says nothing", sent[*wire.Bye](u.Step(Tick{Now: t0.Add(helloTime + time.Second)}), 1))
}

func TestExpiredHandsOver(t *testing.T) {
	today := uint32(t0.Unix() / 86400)
	for notAfter, expired := range map[uint32]bool{today - 1: true, today: false} {
		u := newUnder(t, map[ledger.LogID]uint64{own: 3, other: 2}, nil)
		chain, k := chainOf(t, 1, cert.RoleKiosk, notAfter)
		u.Step(Connected{Conn: 1, Key: public(k)})
		got := u.hears(1, &wire.Hello{Min: 1, Max: 1, Chain: chain})
		got = append(got, u.hears(1, &wire.Frontier{Logs: []wire.LogTips{holds(other, tipAt(6, 0))}, Credit: 1 << 20})...)
		if a := one(t, "Admit", of[Admit](got)); a.Expired != expired {
			t.Fatalf("Admit = %+v, want expired %t", a, expired)
		}
		if !expired {
			one(t, "ReadRun", of[ReadRun](got))
			continue
		}
		if f := one(t, "FRONTIER", sent[*wire.Frontier](got, 1)); len(f.Logs) != 0 || f.Credit != 0 {
			t.Errorf("FRONTIER = %+v, want empty", f)
		}
		if h := one(t, "HAVE of what it named", sent[*wire.Have](got, 1)); h.Log != other {
			t.Errorf("HAVE = %+v", h)
		}
		one(t, "CREDIT", sent[*wire.Credit](got, 1))
		one(t, "Ingest", of[Ingest](u.hears(1, &wire.Run{Run: runOf(other, 2, 6)})))
		got = u.Step(Grown{Log: own, Tips: []ledger.Tip{tipAt(4, 0)}})
		got = append(got, u.hears(1, &wire.Have{Log: own, Plea: wire.PleaSend})...)
		got = append(got, u.hears(1, &wire.Want{Hashes: []ledger.Hash{{1}}})...)
		got = append(got, u.hears(1, &wire.Have{Log: third, Plea: wire.PleaHush})...)
		got = append(got, u.Step(Grown{Log: third, Tips: []ledger.Tip{tipAt(2, 0)}})...)
		none(t, "ReadRun", of[ReadRun](got))
		none(t, "ReadObject", of[ReadObject](got))
		none(t, "NOTICE", sent[*wire.Notice](got, 1))
		one(t, "LACK", sent[*wire.Lack](got, 1))
	}
}

// TestDuplicateConnections: both ends keep the same one of two.
func TestDuplicateConnections(t *testing.T) {
	chain0, k0 := chainOf(t, 0, cert.RoleKiosk, 1<<20)
	chain1, k1 := chainOf(t, 1, cert.RoleKiosk, 1<<20)
	end := func(chain cert.Chain, k ed25519.PrivateKey) *Exchange {
		x := New(Config{Fleet: public(keyOf("fleet")), Machine: public(k), Chain: chain}, nil, t0)
		x.Step(Tick{Now: t0, Trusted: true})
		return x
	}
	for _, order := range [][2]Conn{{1, 2}, {2, 1}} {
		kept := make(map[Conn]int)
		for _, side := range []struct {
			x     *Exchange
			dials Conn
			key   ed25519.PublicKey
			hello cert.Chain
		}{{end(chain0, k0), 1, public(k1), chain1}, {end(chain1, k1), 2, public(k0), chain0}} {
			for _, c := range order {
				side.x.Step(Connected{Conn: c, Key: side.key, Dialed: c == side.dials})
				side.x.Step(Received{Conn: c, Message: &wire.Hello{Min: 1, Max: 1, Chain: side.hello}})
			}
			for c := range side.x.peers {
				kept[c]++
			}
			order[0], order[1] = order[1], order[0] // the other end sees them the other way round
		}
		if len(kept) != 1 {
			t.Errorf("kept %v, want one connection at both ends", kept)
		}
	}
	for dialed := range 2 { // an old one is dead, whoever dialled it
		x := end(chain0, k0)
		x.Step(Connected{Conn: 1, Key: public(k1), Dialed: dialed == 0})
		x.Step(Received{Conn: 1, Message: &wire.Hello{Min: 1, Max: 1, Chain: chain1}})
		x.Step(Tick{Now: t0.Add(duplicateAge), Trusted: true})
		x.Step(Connected{Conn: 2, Key: public(k1), Dialed: dialed == 1})
		x.Step(Received{Conn: 2, Message: &wire.Hello{Min: 1, Max: 1, Chain: chain1}})
		if x.peers[1] != nil || x.peers[2] == nil {
			t.Errorf("dialled %d: the newer connection was not kept", dialed)
		}
	}
}

func TestFrontierInParts(t *testing.T) {
	held := make(map[ledger.LogID]uint64)
	for i := range wire.FrontierPartMaxLogs + 5 {
		held[ledger.LogID{7, byte(i >> 8), byte(i)}] = 1
	}
	u := newUnder(t, held, nil)
	got := u.meets(1, 1, cert.RoleKiosk)
	parts := sent[*wire.Frontier](got, 1)
	if len(parts) != 2 || !parts[0].More || parts[1].More || len(parts[1].Logs) != 5 || parts[1].Credit == 0 {
		t.Fatalf("FRONTIER in %d parts", len(parts))
	}
	v := newUnder(t, held, nil)
	chain, k := chainOf(t, 1, cert.RoleKiosk, 1<<20)
	v.Step(Connected{Conn: 1, Key: public(k)})
	v.hears(1, &wire.Hello{Min: 1, Max: 1, Chain: chain})
	none(t, "anything before the last part", v.hears(1, parts[0]))
	none(t, "ReadRun with nothing different", of[ReadRun](v.hears(1, parts[1])))
	if b := one(t, "BYE", sent[*wire.Bye](v.hears(1, parts[1]), 1)); b.Code != wire.ByeMalformed {
		t.Errorf("a second FRONTIER: %+v", b)
	}
	v = newUnder(t, nil, nil) // the last log of one part begins the next
	v.Step(Connected{Conn: 1, Key: public(k)})
	v.hears(1, &wire.Hello{Min: 1, Max: 1, Chain: chain})
	again := &wire.Frontier{Logs: parts[0].Logs[len(parts[0].Logs)-1:]}
	none(t, "anything before the last part", v.hears(1, parts[0]))
	if b := one(t, "BYE", sent[*wire.Bye](v.hears(1, again), 1)); b.Code != wire.ByeMalformed {
		t.Errorf("a log twice in FRONTIER: %+v", b)
	}
}

func TestTooManyPeersAndLogs(t *testing.T) {
	u := newUnder(t, nil, func(c *Config) { c.PeersMax = 2 })
	u.meets(1, 1, cert.RoleKiosk)
	u.meets(2, 2, cert.RoleKiosk)
	chain, k := chainOf(t, 3, cert.RoleKiosk, 1<<20)
	u.Step(Connected{Conn: 3, Key: public(k)})
	if b := one(t, "BYE", sent[*wire.Bye](u.hears(3, &wire.Hello{Min: 1, Max: 1, Chain: chain}), 3)); b.Code != wire.ByeBusy {
		t.Errorf("BYE = %+v", b)
	}
	var got []Action
	for i := range wire.FrontierMaxLogs + 1 {
		got = u.hears(1, &wire.Have{Log: ledger.LogID{byte(i >> 16), byte(i >> 8), byte(i)}})
	}
	if b := one(t, "BYE", sent[*wire.Bye](got, 1)); b.Code != wire.ByeLimit {
		t.Errorf("BYE = %+v", b)
	}
}
