// Package book keeps the books: double entry, derived from entries and never
// stored. It is a pure function of a set of logs, so the order in which entries
// came, how often and by which way, changes nothing (design §7; LEDGER.md §13).
package book

import (
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"

	"rasid/ledger"
	"rasid/ledger/event"
)

// rules1 is rule set 1: vectors from entries to postings. Its hash names the rule
// set in every log that it governs, so not a byte of it may change.
//
//go:embed rules/1.jsonl
var rules1 []byte

// Rules1 is the name of rule set 1.
func Rules1() ledger.Hash { return sha256.Sum256(rules1) }

// Log is what the books need of one log. Each calls f for its entries in order.
type Log struct {
	ID      ledger.LogID
	Slot    uint32
	Ordinal uint32
	Author  event.Author
	Rules   ledger.Hash
	Each    func(f func(index uint64, entry []byte) error) error
}

// Posting is one line of a transaction: debit positive, credit negative.
type Posting struct {
	Account string       `json:"account"`
	Amount  ledger.Paise `json:"paise"`
}

// Transaction is the postings of one entry. They sum to zero.
type Transaction struct {
	At       ledger.Position `json:"-"`
	Entry    string          `json:"entry"` // slot-ordinal-index, for people
	Kind     ledger.Kind     `json:"kind"`
	WallMs   uint64          `json:"wall_ms"`
	Postings []Posting       `json:"postings"`
}

// Question is something that only a person can settle.
type Question struct {
	At     ledger.Position `json:"-"`
	Entry  string          `json:"entry"`
	Reason Reason          `json:"reason"`
	Amount ledger.Paise    `json:"paise"` // at stake, 0 if not known
}

// Reason says what is asked.
type Reason string

// The reasons for a question.
const (
	ReasonNoteInDoubt  Reason = "note-in-doubt"  // in the box or with the citizen?
	ReasonOrphanedNote Reason = "orphaned-note"  // in the box, nobody's
	ReasonSlipOpen     Reason = "slip-open"      // a citizen holds a claim
	ReasonBillTwice    Reason = "bill-twice"     // paid beyond what was due
	ReasonRole         Reason = "role"           // written by a log without the role
	ReasonRules        Reason = "rules"          // governed by rules that this version lacks
	ReasonMalformed    Reason = "malformed"      // a kind in use whose body breaks its form
	ReasonDisagree     Reason = "notes-disagree" // a payment and its notes differ
)

// Books are what the entries add up to.
type Books struct {
	Transactions []Transaction
	Questions    []Question
	Balances     map[string]ledger.Paise
	Unknown      int // entries of kinds that this version does not know
}

// Of computes the books of the logs. Malformed bytes, which no store lets in, are
// an error; everything else that is odd is a question.
func Of(logs []Log) (Books, error) {
	k := keeper{payments: map[event.BillKey][]*payment{}}
	sorted := append([]Log(nil), logs...)
	sort.Slice(sorted, func(i, j int) bool { return string(sorted[i].ID[:]) < string(sorted[j].ID[:]) })
	for i := range sorted {
		if i > 0 && sorted[i].ID == sorted[i-1].ID {
			return Books{}, fmt.Errorf("log %s is given twice", sorted[i].ID)
		}
		if err := k.log(&sorted[i]); err != nil {
			return Books{}, err
		}
	}
	if err := k.allocate(); err != nil {
		return Books{}, err
	}
	return k.close()
}

// Digest is the hash of the books' one JSON form: equal on any two nodes that hold
// the same entries.
func (b Books) Digest() (ledger.Hash, error) {
	raw, err := json.Marshal(b)
	if err != nil {
		return ledger.Hash{}, fmt.Errorf("couldn't encode the books: %w", err)
	}
	return sha256.Sum256(raw), nil
}

// Account names, as plain-text accounting writes them.
func cashAccount(l *Log) string { return fmt.Sprintf("Assets:Cash:K%d", l.Slot) }
func saleAccount(l *Log, sale uint64) string {
	return fmt.Sprintf("Liabilities:Sale:K%d-%d-%d", l.Slot, l.Ordinal, sale)
}
func slipAccount(l *Log, index uint64) string {
	return fmt.Sprintf("Liabilities:Slip:K%d-%d-%d", l.Slot, l.Ordinal, index)
}
func citizenAccount(l *Log, index uint64) string {
	return fmt.Sprintf("Liabilities:Citizen:K%d-%d-%d", l.Slot, l.Ordinal, index)
}
func unallocatedAccount(l *Log) string    { return fmt.Sprintf("Liabilities:Unallocated:K%d", l.Slot) }
func billerAccount(biller string) string  { return "Liabilities:Biller:" + segment(biller) }
func advanceAccount(biller string) string { return "Liabilities:Advance:" + segment(biller) }

// segment makes one segment of an account name from a biller's code: upper-case
// letters, digits and hyphens. The catalogue admits only codes
// that stay as they are.
func segment(code string) string {
	s := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToUpper(code))
	return s
}

type keeper struct {
	books    Books
	payments map[event.BillKey][]*payment
}

type payment struct {
	log   *Log
	index uint64
	wall  uint64
	body  *event.PaymentCommitted
}

// logKeeper is what is remembered while one log is read.
type logKeeper struct {
	*keeper
	log     *Log
	escrow  map[uint64]*event.NoteEscrowed
	stacked map[uint64]uint64 // index of NoteStacked → index of NoteEscrowed
	used    map[uint64]bool   // NoteStacked that a payment or slip has spent
	settled map[uint64]bool   // NoteEscrowed whose place is written down
}

func (k *keeper) log(l *Log) error {
	lk := logKeeper{keeper: k, log: l, escrow: map[uint64]*event.NoteEscrowed{}, stacked: map[uint64]uint64{}, used: map[uint64]bool{}, settled: map[uint64]bool{}}
	return l.Each(func(index uint64, raw []byte) error {
		e, err := ledger.DecodeEntry(raw)
		if err != nil {
			return fmt.Errorf("log %s, entry %d: %w", l.ID, index, err)
		}
		return lk.entry(index, e)
	})
}

func (k *logKeeper) entry(index uint64, e ledger.Entry) error {
	if k.log.Rules != Rules1() {
		k.ask(index, ReasonRules, 0)
		return nil
	}
	body, err := event.Decode(e)
	if errors.Is(err, ledger.ErrMalformed) {
		k.ask(index, ReasonMalformed, 0)
		return nil
	}
	if err != nil {
		return err
	}
	if _, unknown := body.(*event.Unknown); unknown {
		k.books.Unknown++
		return nil
	}
	if !k.log.Author.MayWrite(index, e.Kind) {
		k.ask(index, ReasonRole, 0)
		return nil
	}
	return k.fact(index, e, body)
}

func (k *logKeeper) fact(index uint64, e ledger.Entry, body event.Body) error {
	switch b := body.(type) {
	case *event.NoteEscrowed:
		k.escrow[index] = b
	case *event.NoteStacked:
		n := k.escrow[b.Note]
		if n == nil {
			k.ask(index, ReasonDisagree, 0)
			return nil
		}
		if !k.settles(index, b.Note) {
			return nil
		}
		k.stacked[index] = b.Note
		return k.post(index, e, Posting{cashAccount(k.log), n.Value}, Posting{saleAccount(k.log, n.Sale), -n.Value})
	case *event.NoteReturned:
		k.settles(index, b.Note)
	case *event.NoteUnresolved:
		if !k.settles(index, b.Note) {
			return nil
		}
		var value ledger.Paise
		if n := k.escrow[b.Note]; n != nil {
			value = n.Value
		}
		k.ask(index, ReasonNoteInDoubt, value)
	case *event.NoteOrphaned:
		k.ask(index, ReasonOrphanedNote, b.Value)
		if b.Value > 0 {
			return k.post(index, e, Posting{cashAccount(k.log), b.Value}, Posting{unallocatedAccount(k.log), -b.Value})
		}
	case *event.PaymentCommitted:
		k.spend(index, b.Sale, b.Notes.Indexes(), b.Tendered)
		k.payments[b.Bill] = append(k.payments[b.Bill], &payment{log: k.log, index: index, wall: e.Time.WallMs, body: b})
	case *event.SlipIssued:
		k.spend(index, b.Sale, b.Notes.Indexes(), b.Amount)
		k.ask(index, ReasonSlipOpen, b.Amount)
		return k.post(index, e, Posting{saleAccount(k.log, b.Sale), b.Amount}, Posting{slipAccount(k.log, index), -b.Amount})
	}
	return nil
}

// settles reports whether an entry is the first to say where a note is. A second one
// contradicts it: it posts nothing and is asked about, so that no note counts twice.
func (k *logKeeper) settles(index, note uint64) bool {
	if !k.settled[note] {
		k.settled[note] = true
		return true
	}
	var value ledger.Paise
	if n := k.escrow[note]; n != nil {
		value = n.Value
	}
	k.ask(index, ReasonDisagree, value)
	return false
}

// spend checks that a payment or slip is made of notes of its own sale, each once,
// that add up to it. Where it is not, the difference stays in the sale's account
// for all to see, and is asked about.
func (k *logKeeper) spend(index, sale uint64, notes []uint64, amount ledger.Paise) {
	var sum ledger.Paise
	ok := true
	for _, at := range notes {
		n := k.escrow[k.stacked[at]]
		if _, held := k.stacked[at]; !held || n == nil || n.Sale != sale || k.used[at] {
			ok = false
			continue
		}
		k.used[at] = true
		sum += n.Value // at most notesMax notes of 10,000 rupees
	}
	if !ok || sum != amount {
		k.ask(index, ReasonDisagree, amount-sum)
	}
}

// allocate pools the payments of each bill: the biller gets what was due, once;
// what is beyond it is an advance where the biller takes one, else the citizen's.
// The order decides only whose surplus it is, never how much the biller gets.
func (k *keeper) allocate() error {
	for _, pool := range k.payments {
		sort.Slice(pool, func(i, j int) bool { return pool[i].before(pool[j]) })
		var due, paid ledger.Paise
		for _, p := range pool {
			due = max(due, p.body.Due)
		}
		for _, p := range pool {
			applied := min(p.body.Applied, max(0, due-paid))
			paid += applied
			if err := k.pay(p, applied); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *payment) before(q *payment) bool {
	if p.wall != q.wall {
		return p.wall < q.wall
	}
	if p.log.ID != q.log.ID {
		return string(p.log.ID[:]) < string(q.log.ID[:])
	}
	return p.index < q.index
}

func (k *keeper) pay(p *payment, applied ledger.Paise) error {
	b := p.body
	postings := []Posting{{saleAccount(p.log, b.Sale), b.Tendered}}
	if applied > 0 {
		postings = append(postings, Posting{billerAccount(b.Biller), -applied})
	}
	if rest := b.Tendered - applied; rest > 0 {
		account := advanceAccount(b.Biller)
		if b.Rule == event.SurplusRefused {
			account = citizenAccount(p.log, p.index)
		}
		postings = append(postings, Posting{account, -rest})
	}
	lk := logKeeper{keeper: k, log: p.log}
	if twice := b.Applied - applied; twice > 0 {
		lk.ask(p.index, ReasonBillTwice, twice)
	}
	return lk.post(p.index, ledger.Entry{Kind: event.KindPaymentCommitted, Time: ledger.Time{WallMs: p.wall}}, postings...)
}

func (k *logKeeper) name(index uint64) string {
	return fmt.Sprintf("K%d-%d-%d", k.log.Slot, k.log.Ordinal, index)
}

func (k *logKeeper) ask(index uint64, r Reason, amount ledger.Paise) {
	k.books.Questions = append(k.books.Questions, Question{At: ledger.Position{Log: k.log.ID, Index: index}, Entry: k.name(index), Reason: r, Amount: amount})
}

func (k *logKeeper) post(index uint64, e ledger.Entry, postings ...Posting) error {
	var sum ledger.Paise
	for _, p := range postings {
		var err error
		if sum, err = sum.Add(p.Amount); err != nil {
			return fmt.Errorf("entry %s: %w", k.name(index), err)
		}
	}
	if sum != 0 {
		panic(fmt.Sprintf("broken invariant: the postings of entry %s sum to %d paise", k.name(index), sum))
	}
	k.books.Transactions = append(k.books.Transactions, Transaction{
		At: ledger.Position{Log: k.log.ID, Index: index}, Entry: k.name(index), Kind: e.Kind, WallMs: e.Time.WallMs, Postings: postings,
	})
	return nil
}

// close puts everything in its one order and adds up the balances.
func (k *keeper) close() (Books, error) {
	b := k.books
	sort.Slice(b.Transactions, func(i, j int) bool { return less(b.Transactions[i].At, b.Transactions[j].At) })
	sort.SliceStable(b.Questions, func(i, j int) bool {
		if b.Questions[i].At == b.Questions[j].At {
			return b.Questions[i].Reason < b.Questions[j].Reason
		}
		return less(b.Questions[i].At, b.Questions[j].At)
	})
	b.Balances = map[string]ledger.Paise{}
	for _, t := range b.Transactions {
		for _, p := range t.Postings {
			sum, err := b.Balances[p.Account].Add(p.Amount)
			if err != nil {
				return Books{}, fmt.Errorf("account %s: %w", p.Account, err)
			}
			b.Balances[p.Account] = sum
		}
	}
	return b, nil
}

func less(p, q ledger.Position) bool {
	if p.Log != q.Log {
		return string(p.Log[:]) < string(q.Log[:])
	}
	return p.Index < q.Index
}
