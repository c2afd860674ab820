// Package book keeps the books: double entry, derived from entries and never
// stored. The books are a pure function of a set of logs and the fleet's public key,
// so the order in which entries came, how often and by which way, changes nothing
// (design §7; LEDGER.md §13). What the store has verified before it kept an entry is
// not verified again; the proofs that some entries carry are. A Keeper follows a set that grows; what it says is always what Of says of
// the whole set. Nothing here is safe for concurrent use.
package book

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sort"

	"rasid/ledger"
	"rasid/ledger/event"
)

// Log is what the books need of one log, or of one branch of it where it was
// forked: branches are Logs with one ID. Each calls f for the entries from the
// given index on, in order. Rules is what entry 0 states.
type Log struct {
	ID      ledger.LogID
	Slot    uint32
	Ordinal uint32
	Author  event.Author
	Machine [ed25519.PublicKeySize]byte // machine key
	Key     [ed25519.PublicKeySize]byte // log key
	Rules   ledger.Hash
	Each    func(from uint64, f func(index uint64, entry []byte) error) error
}

// LogOf makes a Log from what entry 0 says.
func LogOf(id ledger.LogID, opened *event.LogOpened, each func(from uint64, f func(index uint64, entry []byte) error) error) Log {
	m := opened.Chain.Machine
	return Log{ID: id, Slot: m.Slot, Ordinal: opened.Grant.Ordinal, Author: opened.Author(), Machine: m.Key, Key: opened.Grant.LogKey, Rules: opened.Rules, Each: each}
}

// Posting is one line of a transaction: debit positive, credit negative.
type Posting struct {
	Account string       `json:"account"`
	Amount  ledger.Paise `json:"paise"`
}

// Transaction is the postings of one entry. They sum to zero.
type Transaction struct {
	At       ledger.Position `json:"-"`
	Entry    string          `json:"entry"` // LEDGER.md §13.2, for people
	Kind     ledger.Kind     `json:"kind"`
	WallMs   uint64          `json:"wall_ms"`
	Postings []Posting       `json:"postings"`
}

// Question is something open: what only a person can settle, or what waits for an
// entry that is not held.
type Question struct {
	At     ledger.Position `json:"-"`
	Entry  string          `json:"entry"`
	Reason Reason          `json:"reason"`
	Amount ledger.Paise    `json:"paise"` // at stake, 0 if not known
	WallMs uint64          `json:"-"`     // of the entry
	Slot   uint32          `json:"-"`     // of the machine that wrote it
	Office bool            `json:"-"`     // an office wrote it, else a kiosk
}

// Reason says what is asked.
type Reason string

// The reasons for a question.
const (
	ReasonNoteInDoubt  Reason = "note-in-doubt"  // in the box or with the citizen?
	ReasonOrphanedNote Reason = "orphaned-note"  // in the box, nobody's
	ReasonSaleOpen     Reason = "sale-open"      // a sale that can no longer end by itself holds money
	ReasonSlipOpen     Reason = "slip-open"      // a citizen holds a credit slip
	ReasonCreditOpen   Reason = "credit-open"    // a note in doubt was found: a citizen holds a claim
	ReasonBillTwice    Reason = "bill-twice"     // paid beyond what was due
	ReasonRejected     Reason = "rejected"       // the biller will not take it: the citizen's again
	ReasonRefundOpen   Reason = "refund-open"    // decided, not paid
	ReasonDisputed     Reason = "disputed"       // more was given than there was
	ReasonUnmatched    Reason = "unmatched"      // money moved, and its entry is not held
	ReasonBoxDiffers   Reason = "box-differs"    // counted other than the kiosk knew
	ReasonWaiting      Reason = "waiting"        // a decision on an entry, or a proof about a log, that is not held: posts nothing
	ReasonTarget       Reason = "target"         // a decision on an entry that it cannot decide
	ReasonHeld         Reason = "held"           // of a revoked machine, beyond what was accepted
	ReasonFork         Reason = "fork"           // a log has two histories
	ReasonSlotTwice    Reason = "slot-twice"     // two logs of one slot and incarnation
	ReasonPaper        Reason = "paper"          // known from a receipt alone
	ReasonFalseProof   Reason = "false-proof"    // a receipt or a fork that the office entered and that does not verify: posts nothing
	ReasonRole         Reason = "role"           // written by a log without the role
	ReasonRules        Reason = "rules"          // from here on governed by rules that this version lacks
	ReasonMalformed    Reason = "malformed"      // a kind in use whose body breaks its form
	ReasonDisagree     Reason = "notes-disagree" // entries contradict each other
)

// Books are what the entries add up to.
type Books struct {
	Transactions []Transaction
	Questions    []Question
	Balances     map[string]ledger.Paise // accounts that are not zero
	Unknown      int                     // entries of kinds that this version does not know
	Ungoverned   int                     // entries under rules that this version does not know
}

// Of computes the books of the logs of the fleet with the given public key, by which
// receipts that the office entered verify. Malformed bytes, which no store lets in,
// are an error; everything else that is odd is a question.
func Of(fleet ed25519.PublicKey, logs []Log) (Books, error) {
	k := NewKeeper(fleet)
	if err := k.Take(logs); err != nil {
		return Books{}, err
	}
	return k.Books(), nil
}

// Digest is the hash of the books' one JSON form: equal on any two nodes that hold
// the same entries.
func (b Books) Digest() (ledger.Hash, error) {
	h := sha256.New()
	enc := json.NewEncoder(h)
	for i := range b.Transactions {
		if err := enc.Encode(&b.Transactions[i]); err != nil {
			return ledger.Hash{}, fmt.Errorf("couldn't encode the books: %w", err)
		}
	}
	for _, part := range []any{b.Questions, b.Balances, b.Unknown, b.Ungoverned} {
		if err := enc.Encode(part); err != nil {
			return ledger.Hash{}, fmt.Errorf("couldn't encode the books: %w", err)
		}
	}
	return ledger.Hash(h.Sum(nil)), nil
}

// sortTransactions and sortQuestions give the one order.
func sortTransactions(list []Transaction) {
	sort.Slice(list, func(i, j int) bool {
		if list[i].At != list[j].At {
			return less(list[i].At, list[j].At)
		}
		return list[i].Entry < list[j].Entry
	})
}

func sortQuestions(list []Question) {
	sort.Slice(list, func(i, j int) bool {
		p, q := list[i], list[j]
		switch {
		case p.At != q.At:
			return less(p.At, q.At)
		case p.Entry != q.Entry:
			return p.Entry < q.Entry
		case p.Reason != q.Reason:
			return p.Reason < q.Reason
		}
		return p.Amount < q.Amount
	})
}

func less(p, q ledger.Position) bool {
	if c := bytes.Compare(p.Log[:], q.Log[:]); c != 0 {
		return c < 0
	}
	return p.Index < q.Index
}
