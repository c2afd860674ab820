package event

import (
	"bytes"

	"rasid/ledger"
)

// LeafBytes is how much of the leaf hash a reference to another log holds.
const LeafBytes = 8

// Ref points to an entry of another log: where it stands, and the beginning of its
// leaf hash, so that it means one branch of a fork (LEDGER.md §6.4).
type Ref struct {
	_     struct{} `cbor:",toarray"`
	Log   ledger.LogID
	Index uint64
	Leaf  [LeafBytes]byte
}

// RefTo makes the reference to the entry with the given bytes at a position.
func RefTo(at ledger.Position, entry []byte) Ref {
	leaf := ledger.LeafHash(entry)
	return Ref{Log: at.Log, Index: at.Index, Leaf: [LeafBytes]byte(leaf[:LeafBytes])}
}

func (r Ref) before(q Ref) bool {
	if c := bytes.Compare(r.Log[:], q.Log[:]); c != 0 {
		return c < 0
	}
	if r.Index != q.Index {
		return r.Index < q.Index
	}
	return bytes.Compare(r.Leaf[:], q.Leaf[:]) < 0
}

const referenceMaxBytes = 64

// checkSome checks a text that may not be empty.
func checkSome(what, s string, maxBytes int) error {
	if len(s) == 0 {
		return bad("%s of 0 bytes, want 1 to %d", what, maxBytes)
	}
	return checkText(what, s, maxBytes)
}

func checkAmount(what string, p ledger.Paise) error {
	if p <= 0 || p > amountMax {
		return bad("%s of %d paise", what, p)
	}
	return nil
}

// BillerSubmitted says that a payment was reported to its biller.
type BillerSubmitted struct {
	Payment   Ref    `cbor:"0,keyasint"`
	Reference string `cbor:"1,keyasint"` // what the office called it towards the biller
}

// Kind returns KindBillerSubmitted.
func (*BillerSubmitted) Kind() ledger.Kind { return KindBillerSubmitted }
func (b *BillerSubmitted) check() error {
	return checkSome("reference", b.Reference, referenceMaxBytes)
}

// BillerAcknowledged is the biller's word that it has credited the payment to the
// bill. It settles the payment for good.
type BillerAcknowledged struct {
	Payment   Ref    `cbor:"0,keyasint"`
	Reference string `cbor:"1,keyasint"` // the biller's
}

// Kind returns KindBillerAcknowledged.
func (*BillerAcknowledged) Kind() ledger.Kind { return KindBillerAcknowledged }
func (b *BillerAcknowledged) check() error {
	return checkSome("reference", b.Reference, referenceMaxBytes)
}

// BillerRejected is the biller's word that it will not take the payment: what was
// paid is the citizen's again.
type BillerRejected struct {
	Payment Ref    `cbor:"0,keyasint"`
	Reason  string `cbor:"1,keyasint"`
}

// Kind returns KindBillerRejected.
func (*BillerRejected) Kind() ledger.Kind { return KindBillerRejected }
func (b *BillerRejected) check() error    { return checkSome("reason", b.Reason, reasonMaxBytes) }

// How says what a credit was redeemed for.
type How uint8

// The ways to redeem a credit.
const (
	HowNextBill How = 1 // the biller's, as credit on the citizen's next bill
	HowCounter  How = 2 // paid out over the counter: money moved
)

// CreditRedeemed says that a citizen's credit was used: a credit slip, the rest of a
// payment, a note in doubt that was found, or one that was nobody's.
type CreditRedeemed struct {
	Credit Ref          `cbor:"0,keyasint"` // SlipIssued, PaymentCommitted, NoteUnresolved or NoteOrphaned
	Amount ledger.Paise `cbor:"1,keyasint"`
	How    How          `cbor:"2,keyasint"`
	Biller string       `cbor:"3,keyasint,omitempty"` // with HowNextBill alone
}

// Kind returns KindCreditRedeemed.
func (*CreditRedeemed) Kind() ledger.Kind { return KindCreditRedeemed }
func (b *CreditRedeemed) check() error {
	if b.How != HowNextBill && b.How != HowCounter || (b.How == HowNextBill) != (b.Biller != "") {
		return bad("a credit redeemed in the way %d, biller %q", b.How, b.Biller)
	}
	if b.Biller != "" {
		if err := checkBiller(b.Biller); err != nil {
			return err
		}
	}
	return checkAmount("credit redeemed", b.Amount)
}

// RefundIssued is the decision to give a citizen's credit back. The money moves
// later, with RefundPaid.
type RefundIssued struct {
	Credit Ref          `cbor:"0,keyasint"` // as CreditRedeemed's
	Amount ledger.Paise `cbor:"1,keyasint"`
}

// Kind returns KindRefundIssued.
func (*RefundIssued) Kind() ledger.Kind { return KindRefundIssued }
func (b *RefundIssued) check() error    { return checkAmount("refund", b.Amount) }

// RefundPaid says that the bank has paid a refund out.
type RefundPaid struct {
	Refund    Ref          `cbor:"0,keyasint"` // RefundIssued
	Amount    ledger.Paise `cbor:"1,keyasint"`
	Reference string       `cbor:"2,keyasint"` // the bank's
}

// Kind returns KindRefundPaid.
func (*RefundPaid) Kind() ledger.Kind { return KindRefundPaid }
func (b *RefundPaid) check() error {
	if err := checkSome("reference", b.Reference, referenceMaxBytes); err != nil {
		return err
	}
	return checkAmount("refund", b.Amount)
}

// WrittenOff gives up what an entry left open: a credit, a difference at a count,
// money without its fact, a disputed decision.
type WrittenOff struct {
	Entry  Ref          `cbor:"0,keyasint"`
	Amount ledger.Paise `cbor:"1,keyasint"`
	Reason string       `cbor:"2,keyasint"`
}

// Kind returns KindWrittenOff.
func (*WrittenOff) Kind() ledger.Kind { return KindWrittenOff }
func (b *WrittenOff) check() error {
	if err := checkSome("reason", b.Reason, reasonMaxBytes); err != nil {
		return err
	}
	return checkAmount("write-off", b.Amount)
}

// Matched says that money whose origin nobody knew belongs to a fact: a deposit to
// a bag, or a note that was nobody's to a note in doubt.
type Matched struct {
	From Ref `cbor:"0,keyasint"` // DepositSeen or NoteOrphaned
	To   Ref `cbor:"1,keyasint"` // CashBoxRemoved or NoteUnresolved
}

// Kind returns KindMatched.
func (*Matched) Kind() ledger.Kind { return KindMatched }
func (*Matched) check() error      { return nil }

// Outcome says where a note in doubt was.
type Outcome uint8

// The outcomes.
const (
	OutcomeInBox    Outcome = 1 // and the count has it beyond what the kiosk knew
	OutcomeReturned Outcome = 2 // the citizen has it
)

// NoteResolved settles a note in doubt by the count of the box.
type NoteResolved struct {
	Doubt   Ref     `cbor:"0,keyasint"` // NoteUnresolved
	Outcome Outcome `cbor:"1,keyasint"`
	Count   Ref     `cbor:"2,keyasint"` // BoxCounted, the evidence
}

// Kind returns KindNoteResolved.
func (*NoteResolved) Kind() ledger.Kind { return KindNoteResolved }
func (b *NoteResolved) check() error {
	if b.Outcome != OutcomeInBox && b.Outcome != OutcomeReturned {
		return bad("outcome %d of a note in doubt", b.Outcome)
	}
	return nil
}

// Verdict is what the office decides of a held entry.
type Verdict uint8

// The verdicts.
const (
	VerdictCounts Verdict = 1 // as if the machine had not been revoked, with the notes that it names
	VerdictVoid   Verdict = 2 // nothing happened
)

// HeldDecided decides one entry that a revocation holds.
type HeldDecided struct {
	Entry   Ref     `cbor:"0,keyasint"`
	Verdict Verdict `cbor:"1,keyasint"`
}

// Kind returns KindHeldDecided.
func (*HeldDecided) Kind() ledger.Kind { return KindHeldDecided }
func (b *HeldDecided) check() error {
	if b.Verdict != VerdictCounts && b.Verdict != VerdictVoid {
		return bad("verdict %d on a held entry", b.Verdict)
	}
	return nil
}

// RulesStated says which rule set governs the entries that follow it in its log
// (LEDGER.md §13).
type RulesStated struct {
	Rules ledger.Hash `cbor:"0,keyasint"`
}

// Kind returns KindRulesStated.
func (*RulesStated) Kind() ledger.Kind { return KindRulesStated }
func (*RulesStated) check() error      { return nil }
