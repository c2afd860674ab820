package event_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/internal/vector"
)

func ref(b byte, index uint64) event.Ref {
	return event.RefTo(ledger.Position{Log: ledger.LogID{b}, Index: index}, []byte{b})
}

func paper(t testing.TB, b event.Body) *event.PaperRecovered {
	o := opened(t, cert.RoleKiosk, cert.StreamMain)
	return &event.PaperRecovered{
		Paper: event.Paper{Log: ledger.LogIDOf(vector.Public("log")), Slot: 147, Ordinal: 1, Index: 1024, Size: 1026, Root: ledger.Hash{7}, Entry: entryOf(t, b), Consumer: ledger.Hash{9}},
		Sig:   [64]byte{5}, Grant: o.Grant, Chain: o.Chain,
	}
}

func fork() *event.ForkShown {
	side := func(n uint64, leaf byte) event.Side {
		return event.Side{Point: ledger.Checkpoint{Size: n, Root: ledger.Hash{leaf}, Sig: [64]byte{leaf}}, Leaf: ledger.Hash{leaf}, Proof: []ledger.Hash{{1}, {2}}}
	}
	return &event.ForkShown{Log: ledger.LogID{1}, Index: 2, Ours: side(3, 1), Other: side(4, 2)}
}

// officeBodies are good bodies of what the office writes of others' entries, and of
// the cash box.
func officeBodies(t testing.TB) map[string]event.Body {
	counts := event.NoteCounts{{Value: 100_00, Count: 12}, {Value: 500_00, Count: 3}}
	return map[string]event.Body{
		"note-resolved-in-box":   &event.NoteResolved{Doubt: ref(1, 1004), Outcome: event.OutcomeInBox, Count: ref(9, 4)},
		"note-resolved-returned": &event.NoteResolved{Doubt: ref(1, 1004), Outcome: event.OutcomeReturned, Count: ref(9, 4)},
		"credit-redeemed-bill":   &event.CreditRedeemed{Credit: ref(1, 1030), Amount: 500_00, How: event.HowNextBill, Biller: "JVVNL"},
		"credit-redeemed-cash":   &event.CreditRedeemed{Credit: ref(1, 1030), Amount: 500_00, How: event.HowCounter},
		"cash-box-removed":       &event.CashBoxRemoved{Seal: "RJ-0014-88213", Counters: event.Counters{Stacked: 15}, Notes: counts},
		"cash-box-removed-empty": &event.CashBoxRemoved{Seal: "1", Notes: event.NoteCounts{}},
		"cash-box-inserted":      &event.CashBoxInserted{Counters: event.Counters{Stacked: 15}},
		"box-counted":            &event.BoxCounted{Bag: ref(1, 2000), Notes: counts},
		"rules-stated":           &event.RulesStated{Rules: ledger.Hash{0x33}},
		"fork-shown":             fork(),
		"biller-submitted":       &event.BillerSubmitted{Payment: ref(1, 1024), Reference: "B-2026-11-26-0017"},
		"biller-acknowledged":    &event.BillerAcknowledged{Payment: ref(1, 1024), Reference: "CC016330BAAL17"},
		"biller-rejected":        &event.BillerRejected{Payment: ref(1, 1024), Reason: "connection closed"},
		"matched":                &event.Matched{From: ref(9, 7), To: ref(1, 2000)},
		"refund-issued":          &event.RefundIssued{Credit: ref(1, 1024), Amount: 36_00},
		"refund-paid":            &event.RefundPaid{Refund: ref(9, 8), Amount: 36_00, Reference: "UTR 226330114455"},
		"deposit-seen":           &event.DepositSeen{Slip: "000471", Amount: 2700_00, Bags: []event.Ref{ref(1, 2000), ref(2, 10)}},
		"deposit-seen-no-bag":    &event.DepositSeen{Slip: "000471", Amount: 2700_00, Bags: []event.Ref{}},
		"written-off":            &event.WrittenOff{Entry: ref(9, 4), Amount: 100_00, Reason: "चार महीने बाद"},
		"held-decided":           &event.HeldDecided{Entry: ref(1, 3000), Verdict: event.VerdictCounts},
		"paper-recovered":        paper(t, payment(nil)),
		"paper-recovered-slip":   paper(t, &event.SlipIssued{Sale: 1000, Amount: 500_00, Notes: event.RefNotes(1010)}),
		"machine-revoked":        &event.MachineRevoked{Machine: [32]byte{7}, Accepted: []event.Accepted{{Log: ledger.LogID{1}, Size: 5, Root: ledger.Hash{1}}, {Log: ledger.LogID{1}, Size: 5, Root: ledger.Hash{2}}, {Log: ledger.LogID{2}, Size: 1}}},
		"machine-revoked-whole":  &event.MachineRevoked{Machine: [32]byte{7}, Accepted: []event.Accepted{}},
	}
}

func badBoxes() []badBody {
	removed := func(c ...event.NoteCount) event.Body { return &event.CashBoxRemoved{Seal: "1", Notes: c} }
	note := func(value ledger.Paise, count uint32) event.NoteCount {
		return event.NoteCount{Value: value, Count: count}
	}
	var many event.NoteCounts
	var bags []event.Ref
	for i := range 65 {
		many = append(many, note(ledger.Paise(i+1), 1))
		bags = append(bags, ref(1, uint64(i)))
	}
	v, l := vector.Value, vector.Limit
	return []badBody{
		{"removed-seal-empty", v, "bag seal", &event.CashBoxRemoved{}},
		{"removed-seal-space", v, "bag seal", &event.CashBoxRemoved{Seal: "RJ 1"}},
		{"removed-seal-33-bytes", l, "bag seal", &event.CashBoxRemoved{Seal: strings.Repeat("1", 33)}},
		{"removed-none-of-a-value", v, "0 notes of 10000", removed(note(100_00, 0))},
		{"removed-value-0", v, "note of 0", removed(note(0, 1))},
		{"removed-value-beyond-limit", l, "note of 1000100", removed(note(10_001_00, 1))},
		{"removed-values-unordered", v, "ascending order", removed(note(500_00, 1), note(100_00, 1))},
		{"removed-value-twice", v, "ascending order", removed(note(100_00, 1), note(100_00, 1))},
		{"removed-33-values", l, "33 values", &event.CashBoxRemoved{Seal: "1", Notes: many[:33]}},
		{"removed-beyond-limit", l, "notes of more than", removed(note(1_000_00, 4_294_967_295))},
		{"counted-beyond-limit", l, "notes of more than", &event.BoxCounted{Notes: event.NoteCounts{note(10_000_00, 1_000_001)}}},
		{"deposit-of-0", v, "deposit of 0", &event.DepositSeen{Slip: "1"}},
		{"deposit-beyond-limit", l, "deposit of 1000000000001", &event.DepositSeen{Slip: "1", Amount: 1_000_000_000_001}},
		{"deposit-slip-empty", v, "deposit slip of 0", &event.DepositSeen{Amount: 1}},
		{"deposit-slip-65-bytes", l, "deposit slip of 65", &event.DepositSeen{Slip: strings.Repeat("1", 65), Amount: 1}},
		{"deposit-65-bags", l, "65 bags", &event.DepositSeen{Slip: "1", Amount: 1, Bags: bags}},
		{"deposit-bag-twice", v, "ascending order", &event.DepositSeen{Slip: "1", Amount: 1, Bags: []event.Ref{bags[0], bags[0]}}},
		{"deposit-bags-unordered", v, "ascending order", &event.DepositSeen{Slip: "1", Amount: 1, Bags: []event.Ref{bags[1], bags[0]}}},
	}
}

func badDecisions(t testing.TB) []badBody {
	v, l := vector.Value, vector.Limit
	long := func(n int) string { return strings.Repeat("r", n) }
	changed := func(f func(*event.PaperRecovered)) event.Body {
		p := paper(t, payment(nil))
		f(p)
		return p
	}
	shown := func(f func(*event.ForkShown)) event.Body {
		s := fork()
		f(s)
		return s
	}
	var tips []event.Accepted
	for i := range 257 {
		tips = append(tips, event.Accepted{Log: ledger.LogID{byte(i >> 8), byte(i)}, Size: 1})
	}
	return []badBody{
		{"submitted-reference-empty", v, "reference of 0", &event.BillerSubmitted{}},
		{"submitted-reference-65-bytes", l, "reference of 65", &event.BillerSubmitted{Reference: long(65)}},
		{"acknowledged-reference-line", v, "control character", &event.BillerAcknowledged{Reference: "a\nb"}},
		{"rejected-reason-129-bytes", l, "reason of 129", &event.BillerRejected{Reason: long(129)}},
		{"redeemed-of-0", v, "credit redeemed of 0", &event.CreditRedeemed{How: event.HowCounter}},
		{"redeemed-how-3", v, "in the way 3", &event.CreditRedeemed{Amount: 1, How: 3}},
		{"redeemed-no-biller", v, "in the way 1", &event.CreditRedeemed{Amount: 1, How: event.HowNextBill}},
		{"redeemed-cash-biller", v, "in the way 2", &event.CreditRedeemed{Amount: 1, How: event.HowCounter, Biller: "JVVNL"}},
		{"redeemed-biller-space", v, "letters, digits and hyphens", &event.CreditRedeemed{Amount: 1, How: event.HowNextBill, Biller: "J V"}},
		{"refund-of-0", v, "refund of 0", &event.RefundIssued{}},
		{"refund-beyond-limit", l, "refund of 1000000000001", &event.RefundIssued{Amount: 1_000_000_000_001}},
		{"refund-paid-negative", v, "refund of -1", &event.RefundPaid{Amount: -1, Reference: "1"}},
		{"refund-paid-no-reference", v, "reference of 0", &event.RefundPaid{Amount: 1}},
		{"written-off-of-0", v, "write-off of 0", &event.WrittenOff{Reason: "r"}},
		{"written-off-no-reason", v, "reason of 0", &event.WrittenOff{Amount: 1}},
		{"resolved-outcome-3", v, "outcome 3", &event.NoteResolved{Outcome: 3}},
		{"held-verdict-0", v, "verdict 0", &event.HeldDecided{}},
		{"revoked-257-tips", l, "257 tips", &event.MachineRevoked{Accepted: tips}},
		{"revoked-tip-of-0", v, "a tip of 0", &event.MachineRevoked{Accepted: []event.Accepted{{}}}},
		{"revoked-tips-unordered", v, "ascending order", &event.MachineRevoked{Accepted: []event.Accepted{tips[1], tips[0]}}},
		{"revoked-tip-twice", v, "ascending order", &event.MachineRevoked{Accepted: []event.Accepted{tips[1], tips[1]}}},
		{"fork-beyond-checkpoint", v, "entry 3 under a checkpoint of 3", shown(func(s *event.ForkShown) { s.Index = 3 })},
		{"fork-of-one-leaf", v, "two in ascending order", shown(func(s *event.ForkShown) { s.Other.Leaf = s.Ours.Leaf })},
		{"fork-leaves-unordered", v, "two in ascending order", shown(func(s *event.ForkShown) { s.Ours, s.Other = s.Other, s.Ours })},
		{"fork-proof-49-hashes", l, "a proof of 49", shown(func(s *event.ForkShown) { s.Other.Proof = make([]ledger.Hash, 49) })},
		{"paper-index-beyond-size", v, "entry 1024 under a checkpoint of 1024", changed(func(p *event.PaperRecovered) { p.Paper.Size = 1024 })},
		{"paper-of-an-office", v, "the role office", changed(func(p *event.PaperRecovered) { p.Chain = opened(t, cert.RoleOffice, 0).Chain })},
		{"paper-other-slot", v, "do not name", changed(func(p *event.PaperRecovered) { p.Paper.Slot = 148 })},
		{"paper-other-ordinal", v, "do not name", changed(func(p *event.PaperRecovered) { p.Paper.Ordinal = 2 })},
		{"paper-other-log", v, "do not name", changed(func(p *event.PaperRecovered) { p.Paper.Log = ledger.LogID{1} })},
		{"paper-of-an-intent", v, "no payment, slip or claim", paper(t, &event.StackIntent{Note: 1})},
		{"paper-entry-cut-short", vector.Form, "malformed", changed(func(p *event.PaperRecovered) { p.Paper.Entry = p.Paper.Entry[1:] })},
		{"paper-payment-senseless", v, "0 notes", paper(t, payment(func(p *event.PaymentCommitted) { p.Notes = nil }))},
	}
}

// TestRefMeansOneBranch: two entries at one place have two references.
func TestRefMeansOneBranch(t *testing.T) {
	at := ledger.Position{Log: ledger.LogID{1}, Index: 7}
	a, b := event.RefTo(at, []byte{1}), event.RefTo(at, []byte{2})
	if a == b || a.Index != 7 || a.Log != at.Log || fmt.Sprintf("%x", a.Leaf) != ledger.LeafHash([]byte{1}).String()[:16] {
		t.Errorf("%v and %v", a, b)
	}
}

func allGood(t testing.TB) map[string]event.Body {
	all := goodBodies(t)
	maps.Copy(all, officeBodies(t))
	return all
}

// TestForkShownVerifies: two statements of one key that cannot both be true, and
// nothing else.
func TestForkShownVerifies(t *testing.T) {
	key, public := vector.Key("log"), vector.Public("log")
	first := ledger.LeafHash([]byte("first"))
	side := func(entry string) event.Side {
		leaf := ledger.LeafHash([]byte(entry))
		var edge ledger.Edge
		edge, err := edge.Append(first, leaf)
		if err != nil {
			t.Fatal(err)
		}
		return event.Side{Point: ledger.SignCheckpoint(key, 2, edge.Root()), Leaf: leaf, Proof: []ledger.Hash{first}}
	}
	good := func() *event.ForkShown {
		return &event.ForkShown{Log: ledger.LogIDOf(public), Index: 1, Ours: side("one"), Other: side("two")}
	}
	if err := good().Verify(public); err != nil {
		t.Errorf("a fork does not verify: %v", err)
	}
	for name, spoil := range map[string]func(b *event.ForkShown){
		"another log":                          func(b *event.ForkShown) { b.Log[0] ^= 1 },
		"a first checkpoint that was altered":  func(b *event.ForkShown) { b.Ours.Point.Sig[0] ^= 1 },
		"a second checkpoint that was altered": func(b *event.ForkShown) { b.Other.Point.Root[0] ^= 1 },
		"a checkpoint of another key": func(b *event.ForkShown) {
			b.Other.Point = ledger.SignCheckpoint(vector.Key("other log"), 2, b.Other.Point.Root)
		},
		"a leaf that the first tree has not":  func(b *event.ForkShown) { b.Ours.Leaf[31] ^= 1 },
		"a leaf that the second tree has not": func(b *event.ForkShown) { b.Other.Leaf[31] ^= 1 },
		"a first proof that leads elsewhere":  func(b *event.ForkShown) { b.Ours.Proof[0][0] ^= 1 },
		"no second proof":                     func(b *event.ForkShown) { b.Other.Proof = nil },
		"another index":                       func(b *event.ForkShown) { b.Index = 0 },
	} {
		b := good()
		if spoil(b); b.Verify(public) == nil {
			t.Errorf("a fork verifies with %s", name)
		}
	}
	if good().Verify(vector.Public("other log")) == nil || good().Verify(nil) == nil {
		t.Error("a fork verifies by another key, or none")
	}
}
