package book

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/ledger/internal/vector"
)

// world is a random set of logs: kiosks that sell some of the same bills, clones of
// them, and an office that decides before and after it knows, twice and wrongly, and
// enters receipts and forks, some of them false.
type world struct {
	t        testing.TB
	rnd      *rand.Rand
	branches []*script // kiosks and their clones
	parted   []parting
	office   []*script
	refs     []event.Ref
	bodies   map[event.Ref]event.Body
	seen     map[string]int // what was in it, for the test that looks whether all of it was
}

// parting is where a branch leaves the one that it was cloned from.
type parting struct {
	a, b  *script
	index uint64
}

func newWorld(t testing.TB, rnd *rand.Rand, seen map[string]int) *world {
	w := &world{t: t, rnd: rnd, bodies: map[event.Ref]event.Body{}, seen: seen}
	for n := range uint32(4) {
		slot := n + 1
		if slot == 4 && rnd.IntN(3) != 0 {
			slot = 3 // another log of the same slot and incarnation
		}
		s := signedKiosk(t, fmt.Sprint("log ", n), slot, rnd.Uint64N(60))
		s.rules = 1 + rnd.IntN(3)
		w.sales(s, 3)
		w.branches = append(w.branches, s)
		for rnd.IntN(2) == 0 {
			w.clone(s)
		}
	}
	for _, s := range w.branches {
		for i := range s.raw {
			w.remember(s, uint64(i))
		}
	}
	w.heir(1, 2)
	w.heir(2, 2)
	w.heir(1, 3)
	w.office = []*script{newScript(t, 0xc0, 200, "cell", 500), newScript(t, 0xc1, 200, "settlement", 500), newScript(t, 0xc2, 200, "authority", 500)}
	for _, s := range w.office {
		s.rules = 1 + 2*rnd.IntN(2)
	}
	for range 40 {
		s := w.office[rnd.IntN(2)]
		s.late += uint64(rnd.IntN(10)) / 9 * uint64(silence.Milliseconds())
		s.add(w.decision())
		w.remember(s, uint64(len(s.raw)-1))
	}
	for range rnd.IntN(3) {
		w.revoke()
	}
	for range rnd.IntN(4) {
		w.office[2].add(w.shown())
	}
	if rnd.IntN(3) != 0 { // rules that nobody has, and this set's again
		w.office[0].add(&event.RulesStated{Rules: ledger.Hash{1}}, w.decision(), &event.RulesStated{Rules: ruleSets()[rnd.IntN(3)]}, w.decision(), w.decision())
	}
	return w
}

// clone makes a branch that leaves s somewhere, at its entry 0 too; there the key may
// open it as another incarnation.
func (w *world) clone(s *script) {
	at := w.rnd.IntN(len(s.raw)) * min(1, w.rnd.IntN(4))
	c := s.clone(w.rnd.Uint64N(60))
	if c.raw = c.raw[:at]; at == 0 {
		w.seen["a branch from entry 0"]++
		c.ordinal += uint32(w.rnd.IntN(2))
		c.reopen()
	}
	w.sales(c, 2)
	w.branches = append(w.branches, c)
	for at < min(len(s.raw), len(c.raw)) && s.raw[at] == c.raw[at] {
		at++
	}
	if at < min(len(s.raw), len(c.raw)) {
		w.parted = append(w.parted, parting{s, c, uint64(at)})
	}
}

func (w *world) sales(s *script, n int) {
	values := []ledger.Paise{100_00, 200_00, 500_00}
	for range n {
		bill, rule := byte(w.rnd.IntN(3)), event.SurplusNextBill
		note := values[w.rnd.IntN(3)]
		switch w.rnd.IntN(7) {
		case 0:
			sale, stacked := s.open(bill, 1264_00, rule, note)
			s.add(&event.SlipIssued{Sale: sale, Amount: note, Notes: event.RefNotes(stacked...)})
		case 1:
			sale, _ := s.open(bill, 1264_00, rule)
			at := s.add(&event.NoteEscrowed{Sale: sale, Value: note})
			s.add(&event.NoteUnresolved{Note: at, Reason: event.DoubtNoEvidence}, &event.NoteOrphaned{Value: note * ledger.Paise(w.rnd.IntN(2))})
		case 3: // left open, and perhaps cut off or gone on with
			sale, stacked := s.open(bill, 1264_00, rule, note)
			at := s.add(&event.NoteEscrowed{Sale: sale, Value: note})
			if w.rnd.IntN(2) == 0 {
				stacked = append(stacked, s.add(&event.NoteStacked{Note: at, Evidence: event.EvidenceEvent}))
			}
			if w.rnd.IntN(2) == 0 {
				s.pay(sale, bill, 1264_00, note*ledger.Paise(len(stacked)), rule, stacked)
			}
		case 2:
			s.add(&event.CashBoxRemoved{Seal: "S", Notes: event.NoteCounts{{Value: note, Count: 1}}})
		default:
			s.whole(bill, 300_00, []event.SurplusRule{rule, event.SurplusRefused}[w.rnd.IntN(2)], []ledger.Paise{100_00, 200_00}...)
		}
	}
}

// heir is a later log of a kiosk, which takes over notes of those before, twice and
// wrongly too.
func (w *world) heir(slot byte, ordinal uint32) {
	s := signedKiosk(w.t, fmt.Sprint("heir ", slot, ordinal), uint32(slot), w.rnd.Uint64N(60))
	s.ordinal, s.rules = ordinal, 1+w.rnd.IntN(3)
	mine := map[ledger.LogID]bool{}
	for _, b := range w.branches {
		mine[b.id] = b.slot == s.slot
	}
	for range 2 {
		sale, _ := s.open(1, 1264_00, event.SurplusNextBill)
		var stacked []uint64
		var sum ledger.Paise
		for range 1 + w.rnd.IntN(3) {
			r := w.refs[w.rnd.IntN(len(w.refs))]
			for range 40 {
				if k := w.bodies[r].Kind(); (k == event.KindNoteEscrowed || k == event.KindNoteTakenOver) && mine[r.Log] {
					break
				}
				r = w.refs[w.rnd.IntN(len(w.refs))]
			}
			at := s.add(&event.NoteTakenOver{Sale: sale, Note: r, Value: 100_00, Channel: 1, Serial: 9})
			switch w.rnd.IntN(6) {
			case 0:
				s.add(doubtHere(at))
			case 1:
				s.add(returnedHere(at))
			case 2:
			default:
				stacked = append(stacked, s.add(stackedHere(at)))
				sum += 100_00
			}
		}
		if len(stacked) > 0 && w.rnd.IntN(3) > 0 {
			s.slipOf(sale, sum, stacked)
		}
	}
	for i := range s.raw {
		w.remember(s, uint64(i))
	}
	w.branches = append(w.branches, s)
}

// about points at a random entry, most often at one of the given kinds.
func (w *world) about(kinds ...ledger.Kind) event.Ref {
	var fit []event.Ref
	for _, r := range w.refs {
		if slices.Contains(kinds, w.bodies[r].Kind()) {
			fit = append(fit, r)
		}
	}
	if len(fit) == 0 || w.rnd.IntN(5) == 0 {
		fit = w.refs
	}
	return fit[w.rnd.IntN(len(fit))]
}

// credit points at an entry that may leave a citizen something.
func (w *world) credit() event.Ref {
	return w.about(event.KindPaymentCommitted, event.KindSlipIssued, event.KindNoteUnresolved, event.KindNoteOrphaned)
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
	switch w.rnd.IntN(17) {
	case 0:
		return &event.BillerSubmitted{Payment: w.about(event.KindPaymentCommitted), Reference: "r"}
	case 1:
		return &event.BillerAcknowledged{Payment: w.about(event.KindPaymentCommitted), Reference: "r"}
	case 2:
		return &event.BillerRejected{Payment: w.about(event.KindPaymentCommitted), Reason: "r"}
	case 3:
		return &event.CreditRedeemed{Credit: w.credit(), Amount: amount, How: event.HowCounter}
	case 4:
		return &event.CreditRedeemed{Credit: w.credit(), Amount: amount, How: event.HowNextBill, Biller: "JVVNL"}
	case 5:
		return &event.RefundIssued{Credit: w.credit(), Amount: amount}
	case 6:
		return &event.RefundPaid{Refund: w.about(event.KindRefundIssued), Amount: amount, Reference: "r"}
	case 7:
		return &event.WrittenOff{Entry: w.about(event.KindSlipIssued, event.KindPaymentCommitted, event.KindBoxCounted, event.KindCreditRedeemed), Amount: amount, Reason: "r"}
	case 8:
		if w.rnd.IntN(2) == 0 {
			return &event.Matched{From: w.about(event.KindNoteOrphaned), To: w.about(event.KindNoteUnresolved)}
		}
		return &event.Matched{From: w.about(event.KindDepositSeen), To: w.about(event.KindCashBoxRemoved)}
	case 9:
		return &event.NoteResolved{Doubt: w.about(event.KindNoteUnresolved), Outcome: event.Outcome(1 + w.rnd.IntN(2)), Count: w.about(event.KindBoxCounted)}
	case 10:
		return &event.BoxCounted{Bag: w.about(event.KindCashBoxRemoved), Notes: event.NoteCounts{{Value: amount, Count: 1}}}
	case 11:
		return &event.DepositSeen{Slip: "r", Amount: amount, Bags: []event.Ref{w.about(event.KindCashBoxRemoved)}}
	case 12:
		return &event.HeldDecided{Entry: w.credit(), Verdict: event.Verdict(1 + w.rnd.IntN(2))}
	case 13:
		s := w.branches[w.rnd.IntN(len(w.branches))]
		return &event.Acknowledged{Held: []event.Held{{Log: s.id, Size: uint64(1 + len(s.raw)/(1+w.rnd.IntN(2)) - w.rnd.IntN(2))}}}
	}
	return w.paper()
}

// paper is the receipt of some entry that gives one; one in three was tampered with.
func (w *world) paper() event.Body {
	for {
		s := w.branches[w.rnd.IntN(len(w.branches))]
		r := s.ref(uint64(w.rnd.IntN(len(s.raw))))
		switch w.bodies[r].(type) {
		case *event.PaymentCommitted, *event.SlipIssued, *event.NoteUnresolved:
		default:
			continue
		}
		p := s.paper(r.Index)
		switch w.rnd.IntN(6) {
		case 0:
			p.Sig[w.rnd.IntN(len(p.Sig))] ^= 1
		case 1:
			p.Chain, _ = s.papers("other fleet", "machine")
		}
		return p
	}
}

// shown is the proof of a fork, or one that proves nothing.
func (w *world) shown() event.Body {
	if len(w.parted) == 0 || w.rnd.IntN(8) == 0 {
		s := signedKiosk(w.t, "a log that never comes", 9, 0)
		one, other := s.clone(1), s.clone(2)
		w.sales(one, 1)
		w.sales(other, 1)
		return forkOf(one, other, 1)
	}
	p := w.parted[w.rnd.IntN(len(w.parted))]
	b := forkOf(p.a, p.b, p.index)
	switch w.rnd.IntN(4) {
	case 0:
		b.Ours.Point.Sig[w.rnd.IntN(len(b.Ours.Point.Sig))] ^= 1
	case 1:
		b.Other.Leaf[31] ^= 1
	}
	return b
}

// revoke revokes a kiosk, or the office's own machine, with a tip of some branch, and
// decides some of what that holds.
func (w *world) revoke() {
	all := append(slices.Clone(w.branches), w.office[0])
	s := all[w.rnd.IntN(len(all))]
	part := *s
	part.raw = s.raw[:1+w.rnd.IntN(len(s.raw))]
	w.office[2].add(&event.MachineRevoked{Machine: s.machine(), Accepted: []event.Accepted{{Log: s.id, Size: uint64(len(part.raw)), Root: rootOf(&part)}}})
	for i := len(part.raw); i < len(s.raw); i++ {
		if w.rnd.IntN(3) == 0 {
			w.seen["a decided entry that was held"]++
			w.office[1].add(&event.HeldDecided{Entry: s.ref(uint64(i)), Verdict: event.Verdict(1 + w.rnd.IntN(2))})
		}
	}
}

// part is a log of which the first entries are held.
func (w *world) part(s *script, held int) Log {
	l := s.end().input(w.t, Rules1())
	whole := l.Each
	l.Each = func(from uint64, f func(uint64, []byte) error) error {
		return whole(from, func(index uint64, entry []byte) error {
			if index >= uint64(held) {
				return nil
			}
			return f(index, entry)
		})
	}
	return l
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
	b, err := Of(vector.Public("fleet"), logs)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// hard is what the worlds must have had in them, or the test proves less than it says.
var hard = []string{
	"early decision, later settled", "both sides of a partition", "a branch from entry 0", "a decided entry that was held",
	string(ReasonFork), string(ReasonSlotTwice), string(ReasonHeld), string(ReasonWaiting), string(ReasonUnmatched), string(ReasonBillTwice), string(ReasonRejected),
	string(ReasonDisputed), string(ReasonTarget), string(ReasonPaper), string(ReasonDisagree), string(ReasonFalseProof), string(ReasonRules), string(ReasonSlipOpen), string(ReasonRefundOpen),
	string(ReasonNoteInDoubt), string(ReasonOrphanedNote), string(ReasonCreditOpen), string(ReasonBoxDiffers), string(ReasonSaleOpen),
}

// seeds is the seed and how many worlds are made: RASID_SEEDS asks for more, and
// RASID_SEED=n plays seed n again.
func seeds(t *testing.T) (seed, rounds uint64) {
	t.Helper()
	number := func(name string, otherwise uint64) uint64 {
		s := os.Getenv(name)
		if s == "" {
			return otherwise
		}
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return n
	}
	return number("RASID_SEED", uint64(time.Now().UnixNano())), max(20, number("RASID_SEEDS", 0)/10)
}

// TestOneSetOneDigest: whatever way entries come, alone, with parts of branches given
// again, or to two sides of a partition that is healed, a keeper that followed says
// what the whole set says, at every step.
func TestOneSetOneDigest(t *testing.T) {
	seed, rounds := seeds(t)
	t.Logf("seed %d", seed)
	seen := map[string]int{}
	for round := range rounds {
		rnd := rand.New(rand.NewPCG(seed, round))
		w := newWorld(t, rnd, seen)
		all := append(slices.Clone(w.branches), w.office...)
		var whole []Log
		for _, s := range all {
			whole = append(whole, w.part(s, len(s.raw)))
		}
		books := w.of(whole)
		want := w.mustDigest(books)
		w.ask(books.Questions)
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
		here, there := map[*script]bool{}, map[*script]bool{}
		for _, s := range all {
			here[s] = rnd.IntN(2) == 0
			there[s] = !here[s]
		}
		w.follow(all, there, want, round)
		w.follow(all, here, want, round)
	}
	t.Logf("in it: %v", seen)
	for _, h := range hard {
		if seen[h] == 0 {
			t.Errorf("no world had this in it: %s", h)
		}
	}
}

// follow lets a keeper see the logs grow step by step. Those of the other side of a
// partition come when it has all of its own.
func (w *world) follow(all []*script, far map[*script]bool, want ledger.Hash, round uint64) {
	w.t.Helper()
	k, held := NewKeeper(vector.Public("fleet")), map[*script]int{}
	healed, waiting := false, map[ledger.Position]bool{}
	for {
		done, near := true, true
		for _, s := range all {
			if w.rnd.IntN(2) == 0 && (healed || !far[s]) {
				held[s] = min(len(s.raw), held[s]+1+w.rnd.IntN(len(s.raw)))
			}
			done = done && held[s] == len(s.raw)
			near = near && (far[s] || held[s] == len(s.raw))
		}
		if near && !healed && len(held) > 0 && len(held) < len(all) {
			w.seen["both sides of a partition"]++
		}
		healed = near
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
		full := w.of(logs)
		if w.mustDigest(full) != now {
			w.t.Fatalf("round %d: the keeper says %v, %v; the whole set %v, %v", round, k.Books().Questions, k.balances, full.Questions, full.Balances)
		}
		w.ask(full.Questions)
		waiting = w.early(full.Questions, waiting)
		if done {
			if now != want {
				w.t.Fatalf("round %d: followed step by step, other books", round)
			}
			return
		}
	}
}

func (w *world) ask(questions []Question) {
	for _, q := range questions {
		w.seen[string(q.Reason)]++
	}
}

// early counts decisions that waited a step ago and do so no more, and returns those
// that wait now.
func (w *world) early(now []Question, before map[ledger.Position]bool) map[ledger.Position]bool {
	waiting := map[ledger.Position]bool{}
	for _, q := range now {
		if q.Reason == ReasonWaiting {
			waiting[q.At] = true
		}
	}
	for at := range before {
		if !waiting[at] {
			w.seen["early decision, later settled"]++
		}
	}
	return waiting
}
