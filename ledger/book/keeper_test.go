package book

import (
	"crypto/ed25519"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

// world is a random set of logs: kiosks that sell some of the same bills, clones of
// them, and an office that decides before and after it knows, twice and wrongly.
type world struct {
	t        testing.TB
	rnd      *rand.Rand
	branches []*script // kiosks and their clones
	office   []*script
	refs     []event.Ref
	bodies   map[event.Ref]event.Body
	paperKey ed25519.PublicKey
}

func newWorld(t testing.TB, rnd *rand.Rand) *world {
	w := &world{t: t, rnd: rnd, bodies: map[event.Ref]event.Body{}, paperKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)}
	for slot := range byte(4) {
		s := newKiosk(t, slot+1, rnd.Uint64N(60))
		if slot == 0 {
			s.id = ledger.LogIDOf(w.paperKey)
		}
		if slot == 3 && rnd.IntN(2) == 0 {
			s.slot = 3 // another log of the same slot and incarnation
		}
		w.sales(s, 3)
		w.branches = append(w.branches, s)
		for rnd.IntN(3) == 0 {
			clone := *s
			clone.raw, clone.late = slices.Clone(s.raw[:1+rnd.IntN(len(s.raw)-1)]), rnd.Uint64N(60)
			w.sales(&clone, 2)
			w.branches = append(w.branches, &clone)
		}
	}
	for _, s := range w.branches {
		for i := range s.raw {
			w.remember(s, uint64(i))
		}
	}
	w.office = []*script{newScript(t, 0xc0, 200, "cell", 500), newScript(t, 0xc1, 200, "settlement", 500), newScript(t, 0xc2, 200, "authority", 500)}
	for range 40 {
		s := w.office[rnd.IntN(2)]
		s.add(w.decision())
		w.remember(s, uint64(len(s.raw)-1))
	}
	for range rnd.IntN(3) {
		w.office[2].add(w.revocation())
	}
	return w
}

func (w *world) sales(s *script, n int) {
	values := []ledger.Paise{100_00, 200_00, 500_00}
	for range n {
		bill, rule := byte(w.rnd.IntN(3)), event.SurplusNextBill
		note := values[w.rnd.IntN(3)]
		switch w.rnd.IntN(6) {
		case 0:
			sale, stacked := s.open(bill, 1264_00, rule, note)
			s.add(&event.SlipIssued{Sale: sale, Amount: note, Notes: event.RefNotes(stacked...)})
		case 1:
			sale, _ := s.open(bill, 1264_00, rule)
			at := s.add(&event.NoteEscrowed{Sale: sale, Value: note})
			s.add(&event.NoteUnresolved{Note: at, Reason: event.DoubtNoEvidence}, &event.NoteOrphaned{Value: note * ledger.Paise(w.rnd.IntN(2))})
		case 2:
			s.add(&event.CashBoxRemoved{Seal: "S", Notes: event.NoteCounts{{Value: note, Count: 1}}})
		default:
			s.whole(bill, 300_00, []event.SurplusRule{rule, event.SurplusRefused}[w.rnd.IntN(2)], []ledger.Paise{100_00, 200_00}...)
		}
	}
}

// any points at a random entry, most often one that a decision can be about.
func (w *world) any() event.Ref {
	for range 6 {
		r := w.refs[w.rnd.IntN(len(w.refs))]
		if k := w.bodies[r].Kind(); pointsAt(w.bodies[r]) != nil || k == event.KindPaymentCommitted || k == event.KindSlipIssued || k == event.KindNoteUnresolved || k == event.KindNoteOrphaned || k == event.KindCashBoxRemoved {
			return r
		}
	}
	return w.refs[w.rnd.IntN(len(w.refs))]
}

// remember makes the entry at an index one that decisions can be about.
func (w *world) remember(s *script, index uint64) {
	e, err := ledger.DecodeEntry(s.bytes(index))
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := event.Decode(e)
	if err != nil {
		w.t.Fatal(err)
	}
	r := s.ref(index)
	w.refs, w.bodies[r] = append(w.refs, r), b
}

func (w *world) decision() event.Body {
	amount := ledger.Paise(100_00 * (1 + w.rnd.IntN(5)))
	switch w.rnd.IntN(14) {
	case 0:
		return &event.BillerSubmitted{Payment: w.any(), Reference: "r"}
	case 1:
		return &event.BillerAcknowledged{Payment: w.any(), Reference: "r"}
	case 2:
		return &event.BillerRejected{Payment: w.any(), Reason: "r"}
	case 3:
		return &event.CreditRedeemed{Credit: w.any(), Amount: amount, How: event.HowCounter}
	case 4:
		return &event.CreditRedeemed{Credit: w.any(), Amount: amount, How: event.HowNextBill, Biller: "JVVNL"}
	case 5:
		return &event.RefundIssued{Credit: w.any(), Amount: amount}
	case 6:
		return &event.RefundPaid{Refund: w.any(), Amount: amount, Reference: "r"}
	case 7:
		return &event.WrittenOff{Entry: w.any(), Amount: amount, Reason: "r"}
	case 8:
		return &event.Matched{From: w.any(), To: w.any()}
	case 9:
		return &event.NoteResolved{Doubt: w.any(), Outcome: event.Outcome(1 + w.rnd.IntN(2)), Count: w.any()}
	case 10:
		return &event.BoxCounted{Bag: w.any(), Notes: event.NoteCounts{{Value: amount, Count: 1}}}
	case 11:
		return &event.DepositSeen{Slip: "r", Amount: amount, Bags: []event.Ref{w.any()}}
	case 12:
		return &event.HeldDecided{Entry: w.any(), Verdict: event.Verdict(1 + w.rnd.IntN(2))}
	}
	s := w.branches[0]
	for i := range s.raw {
		if r := s.ref(uint64(i)); w.bodies[r].Kind() == event.KindPaymentCommitted || w.bodies[r].Kind() == event.KindSlipIssued {
			return &event.PaperRecovered{
				Paper: event.Paper{Log: s.id, Slot: s.slot, Ordinal: 1, Index: r.Index, Size: r.Index + 1, Entry: s.bytes(r.Index)},
				Grant: cert.Grant{LogKey: [32]byte(w.paperKey), Ordinal: 1}, Chain: cert.Chain{Machine: cert.Certificate{Key: [32]byte{byte(s.slot)}, Slot: s.slot, Role: cert.RoleKiosk}},
			}
		}
	}
	return &event.RulesStated{Rules: ledger.Hash{byte(w.rnd.IntN(2))}}
}

// revocation revokes a kiosk, or the office's own machine, with a tip of some branch.
func (w *world) revocation() event.Body {
	all := append(slices.Clone(w.branches), w.office[0])
	s := all[w.rnd.IntN(len(all))]
	part := *s
	part.raw = s.raw[:1+w.rnd.IntN(len(s.raw))]
	return &event.MachineRevoked{Machine: [32]byte{byte(s.slot)}, Accepted: []event.Accepted{{Log: s.id, Size: uint64(len(part.raw)), Root: rootOf(&part)}}}
}

// part is a log of which the first entries are held.
func (w *world) part(s *script, held int) Log {
	v := s.end()
	v.Entries = v.Entries[:held]
	return v.input(w.t, Rules1())
}

func (w *world) mustDigest(b Books) ledger.Hash {
	w.t.Helper()
	d, err := b.Digest()
	if err != nil {
		w.t.Fatal(err)
	}
	var sum ledger.Paise
	for _, p := range b.Balances {
		sum += p
	}
	if sum != 0 {
		w.t.Fatalf("the books sum to %d", sum)
	}
	return d
}

func (w *world) of(logs []Log) Books {
	w.t.Helper()
	w.rnd.Shuffle(len(logs), func(i, j int) { logs[i], logs[j] = logs[j], logs[i] })
	b, err := Of(logs)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// TestOneSetOneDigest: whatever way entries come, alone or with parts of branches
// given again, a keeper that followed says what the whole set says, at every step.
func TestOneSetOneDigest(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for round := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, round))
		w := newWorld(t, rnd)
		all := append(slices.Clone(w.branches), w.office...)
		var whole []Log
		for _, s := range all {
			whole = append(whole, w.part(s, len(s.raw)))
		}
		want := w.mustDigest(w.of(whole))
		for range 3 {
			some := slices.Clone(whole)
			for _, s := range all {
				if rnd.IntN(2) == 0 {
					some = append(some, w.part(s, rnd.IntN(len(s.raw)+1)))
				}
			}
			if w.mustDigest(w.of(some)) != want {
				t.Fatalf("round %d: another order, or parts again, give other books", round)
			}
		}
		for range 2 {
			w.follow(all, want, round)
		}
	}
}

// follow lets a keeper see the logs grow step by step.
func (w *world) follow(all []*script, want ledger.Hash, round uint64) {
	w.t.Helper()
	k, held := NewKeeper(), map[*script]int{}
	for {
		done := true
		for _, s := range all {
			if w.rnd.IntN(3) == 0 {
				held[s] = min(len(s.raw), held[s]+1+w.rnd.IntN(len(s.raw)))
			}
			done = done && held[s] == len(s.raw)
		}
		var logs []Log
		for _, s := range all {
			if held[s] > 0 {
				logs = append(logs, w.part(s, held[s]))
			}
		}
		if err := k.Take(logs); err != nil {
			w.t.Fatal(err)
		}
		now := w.mustDigest(k.Books())
		if full := w.of(logs); w.mustDigest(full) != now {
			w.t.Fatalf("round %d: the keeper says %v, %v; the whole set %v, %v", round, k.Books().Questions, k.balances, full.Questions, full.Balances)
		}
		if done {
			if now != want {
				w.t.Fatalf("round %d: followed step by step, other books", round)
			}
			return
		}
	}
}
