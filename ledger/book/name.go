package book

import (
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

// source is what names the entries of one branch of one log.
type source struct {
	id      ledger.LogID
	slot    uint32
	office  bool
	ordinal uint32
	machine string // "K7", or "O1" for an office
	prefix  string // "K7-1": slot and incarnation; of an office "O1-16-1", with the stream
	scope   string // what tells two branches or two logs of one prefix apart
}

func (a *identity) prefix() string {
	if a.author.Role == cert.RoleKiosk {
		return fmt.Sprintf("K%d-%d", a.slot, a.ordinal)
	}
	return fmt.Sprintf("O%d-%d-%d", a.slot, a.author.Stream, a.ordinal)
}

func newSource(of *identity, twice bool) *source {
	s := &source{id: of.id, ordinal: of.ordinal, slot: of.slot, office: of.author.Role != cert.RoleKiosk, machine: fmt.Sprintf("O%d", of.slot), prefix: of.prefix()}
	if !s.office {
		s.machine = fmt.Sprintf("K%d", of.slot)
	}
	if twice {
		s.scope = "-" + tag(of.id[:])
	}
	return s
}

// branch is the source of what follows a fork, named by its first entry.
func (s *source) branch(first ledger.Hash) *source {
	b := *s
	b.scope += "-" + tag(first[:])
	return &b
}

// tag is eight characters of Crockford's base32: more than the four of a receipt
// number, because it must not fail to tell apart.
func tag(b []byte) string {
	return base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding).EncodeToString(b[:5])
}

// name is the receipt number without its check character: slot, incarnation, index,
// four characters of the leaf hash.
func (s *source) name(index uint64, leaf ledger.Hash) string {
	return s.prefix + "-" + strconv.FormatUint(index, 10) + "-" + leafTag(leaf) + s.scope
}

// leafTag is ledger.LeafTag without its allocations: the books name many entries.
func leafTag(leaf ledger.Hash) string {
	const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	n := uint32(leaf[0])<<16 | uint32(leaf[1])<<8 | uint32(leaf[2])
	return string([]byte{digits[n>>19&31], digits[n>>14&31], digits[n>>9&31], digits[n>>4&31]})
}

// Accounts that are one for all (LEDGER.md §13.3).
const (
	accountBank      = "Assets:Bank"
	accountCounted   = "Assets:Counted"
	accountCounter   = "Assets:Counter"
	accountUnmatched = "Assets:Unmatched"
	accountHeld      = "Assets:Held"
	accountHeldFor   = "Liabilities:Held"
	accountDisputed  = "Liabilities:Disputed"
	accountWriteOff  = "Expenses:WrittenOff"
)

func (s *source) cash() string            { return "Assets:Cash:" + s.machine }
func (s *source) difference() string      { return "Assets:Difference:" + s.machine }
func (s *source) unallocated() string     { return "Liabilities:Unallocated:" + s.machine }
func transitAccount(entry string) string  { return "Assets:Transit:" + entry }
func saleAccount(entry string) string     { return "Liabilities:Sale:" + entry }
func slipAccount(entry string) string     { return "Liabilities:Slip:" + entry }
func citizenAccount(entry string) string  { return "Liabilities:Citizen:" + entry }
func refundAccount(entry string) string   { return "Liabilities:Refund:" + entry }
func billerAccount(biller string) string  { return "Liabilities:Biller:" + segment(biller) }
func advanceAccount(biller string) string { return "Liabilities:Advance:" + segment(biller) }

// segment makes one segment of an account name from a biller's code, no two codes the
// same. The catalogue admits only codes that stay as they are; a kiosk can write any
// that keeps LEDGER.md §6.2, and what begins with a small letter or a hyphen is no
// account in beancount.
func segment(code string) string {
	first := code[0]
	if (first >= 'A' && first <= 'Z' || first >= '0' && first <= '9') && !strings.HasPrefix(code, "X-") {
		return code
	}
	return "X-" + code
}

// node is an entry whose postings depend on other entries, or that others point at.
type node struct {
	src   *source
	at    ledger.Position
	leaf  ledger.Hash
	kind  ledger.Kind
	wall  uint64
	body  event.Body
	sale  string       // account that a payment or slip is paid from
	value ledger.Paise // of a note in doubt, or one taken over
	from  *event.Ref   // the note of an earlier log that it speaks of
	fate  *fate        // of a note that a later log speaks of too
	paper bool         // read from a receipt
	boxed ledger.Paise // of a paper: in the box by its word alone
	held  bool         // a paper of a revoked machine
	rules int          // place of its rule set among those known
	group *component
}

func (n *node) name() string { return n.src.name(n.at.Index, n.leaf) }

func (n *node) ref() event.Ref {
	return event.Ref{Log: n.at.Log, Index: n.at.Index, Leaf: [event.LeafBytes]byte(n.leaf[:event.LeafBytes])}
}

// before is the order of nodes that compete: by their own time, and where that is
// equal by position. It is the same on every machine.
func (n *node) before(m *node) bool {
	switch {
	case n.wall != m.wall:
		return n.wall < m.wall
	case n.at != m.at:
		return less(n.at, m.at)
	case n.leaf != m.leaf:
		return string(n.leaf[:]) < string(m.leaf[:])
	case n.paper != m.paper:
		return !n.paper
	}
	return n.src.scope < m.src.scope
}

// pool is what payments of one bill have in common.
type pool struct {
	biller string
	bill   event.BillKey
}

// pointsAt returns the entries that a body points at in other logs.
func pointsAt(b event.Body) []event.Ref {
	switch b := b.(type) {
	case *event.BillerSubmitted:
		return []event.Ref{b.Payment}
	case *event.BillerAcknowledged:
		return []event.Ref{b.Payment}
	case *event.BillerRejected:
		return []event.Ref{b.Payment}
	case *event.CreditRedeemed:
		return []event.Ref{b.Credit}
	case *event.RefundIssued:
		return []event.Ref{b.Credit}
	case *event.RefundPaid:
		return []event.Ref{b.Refund}
	case *event.WrittenOff:
		return []event.Ref{b.Entry}
	case *event.Matched:
		return []event.Ref{b.From, b.To}
	case *event.NoteResolved:
		return []event.Ref{b.Doubt, b.Count}
	case *event.BoxCounted:
		return []event.Ref{b.Bag}
	case *event.DepositSeen:
		return b.Bags
	}
	return nil
}

// amountOf is what a held or waiting entry speaks of.
func amountOf(b event.Body) ledger.Paise {
	switch b := b.(type) {
	case *event.PaymentCommitted:
		return b.Tendered
	case *event.SlipIssued:
		return b.Amount
	case *event.CreditRedeemed:
		return b.Amount
	case *event.RefundIssued:
		return b.Amount
	case *event.RefundPaid:
		return b.Amount
	case *event.WrittenOff:
		return b.Amount
	case *event.DepositSeen:
		return b.Amount
	case *event.BoxCounted:
		return b.Notes.Sum()
	case *event.CashBoxRemoved:
		return b.Notes.Sum()
	case *event.NoteOrphaned:
		return b.Value
	case *event.PaperRecovered:
		_, body, err := b.Recovered()
		if err != nil {
			return 0
		}
		return amountOf(body)
	}
	return 0
}
