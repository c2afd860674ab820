// Package event holds what can happen: the body of each kind of entry, and which
// role may write it (LEDGER.md §6). It is pure. Kinds are added, never changed:
// once a receipt is printed over a body, its bytes cannot change any more.
package event

import (
	"crypto/ed25519"
	"fmt"
	"strings"

	"rasid/ledger"
	"rasid/ledger/cert"
)

// The kinds in use. Gaps are left where later kinds of the same family belong.
const (
	KindLogOpened          ledger.Kind = 0
	KindSaleOpened         ledger.Kind = 1
	KindBillSelected       ledger.Kind = 2
	KindSaleEnded          ledger.Kind = 3
	KindBlobSealed         ledger.Kind = 4
	KindNoteEscrowed       ledger.Kind = 10
	KindStackIntent        ledger.Kind = 11
	KindNoteStacked        ledger.Kind = 12
	KindNoteReturned       ledger.Kind = 13
	KindNoteUnresolved     ledger.Kind = 14
	KindNoteResolved       ledger.Kind = 15
	KindAcceptorSeen       ledger.Kind = 16
	KindNoteOrphaned       ledger.Kind = 17
	KindDeviceFault        ledger.Kind = 18
	KindNoteTakenOver      ledger.Kind = 19
	KindPaymentCommitted   ledger.Kind = 30
	KindCreditRedeemed     ledger.Kind = 32
	KindSlipIssued         ledger.Kind = 33
	KindPrintIntent        ledger.Kind = 40
	KindPrinted            ledger.Kind = 41
	KindPaperTakenOver     ledger.Kind = 42
	KindCashBoxRemoved     ledger.Kind = 50
	KindCashBoxInserted    ledger.Kind = 51
	KindBoxCounted         ledger.Kind = 52
	KindSoftwareStarted    ledger.Kind = 65
	KindRulesStated        ledger.Kind = 68
	KindForkShown          ledger.Kind = 72
	KindBillerSubmitted    ledger.Kind = 80
	KindBillerAcknowledged ledger.Kind = 81
	KindBillerRejected     ledger.Kind = 82
	KindMatched            ledger.Kind = 84
	KindRefundIssued       ledger.Kind = 86
	KindDepositSeen        ledger.Kind = 87
	KindRefundPaid         ledger.Kind = 89
	KindWrittenOff         ledger.Kind = 91
	KindHeldDecided        ledger.Kind = 92
	KindPaperRecovered     ledger.Kind = 93
	KindMachineEnrolled    ledger.Kind = 100
	KindDuesPublished      ledger.Kind = 101
	KindAcknowledged       ledger.Kind = 102
	KindMachineRevoked     ledger.Kind = 103
	KindErased             ledger.Kind = 104
	KindSealKeyRenewed     ledger.Kind = 105
	KindPepperRenewed      ledger.Kind = 106
)

// Body is what one kind of entry says.
type Body interface {
	Kind() ledger.Kind
	// check refuses values that are well-formed and make no sense.
	check() error
}

// newBody returns an empty body to decode into, nil for a kind that this version
// does not know.
func newBody(k ledger.Kind) Body {
	switch k {
	case KindLogOpened:
		return &LogOpened{}
	case KindSaleOpened:
		return &SaleOpened{}
	case KindBillSelected:
		return &BillSelected{}
	case KindSaleEnded:
		return &SaleEnded{}
	case KindNoteEscrowed:
		return &NoteEscrowed{}
	case KindStackIntent:
		return &StackIntent{}
	case KindNoteStacked:
		return &NoteStacked{}
	case KindNoteReturned:
		return &NoteReturned{}
	case KindNoteUnresolved:
		return &NoteUnresolved{}
	case KindNoteOrphaned:
		return &NoteOrphaned{}
	}
	return newLaterBody(k)
}

func newLaterBody(k ledger.Kind) Body {
	switch k {
	case KindAcceptorSeen:
		return &AcceptorSeen{}
	case KindDeviceFault:
		return &DeviceFault{}
	case KindPaymentCommitted:
		return &PaymentCommitted{}
	case KindSlipIssued:
		return &SlipIssued{}
	case KindPrintIntent:
		return &PrintIntent{}
	case KindPrinted:
		return &Printed{}
	case KindSoftwareStarted:
		return &SoftwareStarted{}
	case KindMachineEnrolled:
		return &MachineEnrolled{}
	case KindDuesPublished:
		return &DuesPublished{}
	case KindAcknowledged:
		return &Acknowledged{}
	case KindCashBoxRemoved:
		return &CashBoxRemoved{}
	case KindCashBoxInserted:
		return &CashBoxInserted{}
	case KindRulesStated:
		return &RulesStated{}
	case KindForkShown:
		return &ForkShown{}
	case KindMachineRevoked:
		return &MachineRevoked{}
	}
	if b := newDecision(k); b != nil {
		return b
	}
	if b := newTakenOver(k); b != nil {
		return b
	}
	return newPrivateBody(k)
}

// newDecision returns the body of what the office writes of others' entries: in the
// log of their cell or in settlement.
func newDecision(k ledger.Kind) Body {
	switch k {
	case KindNoteResolved:
		return &NoteResolved{}
	case KindCreditRedeemed:
		return &CreditRedeemed{}
	case KindBoxCounted:
		return &BoxCounted{}
	case KindBillerSubmitted:
		return &BillerSubmitted{}
	case KindBillerAcknowledged:
		return &BillerAcknowledged{}
	case KindBillerRejected:
		return &BillerRejected{}
	case KindMatched:
		return &Matched{}
	case KindRefundIssued:
		return &RefundIssued{}
	case KindDepositSeen:
		return &DepositSeen{}
	case KindRefundPaid:
		return &RefundPaid{}
	case KindWrittenOff:
		return &WrittenOff{}
	case KindHeldDecided:
		return &HeldDecided{}
	case KindPaperRecovered:
		return &PaperRecovered{}
	}
	return nil
}

// newTakenOver returns the bodies of what a log takes from one that was given up.
func newTakenOver(k ledger.Kind) Body {
	switch k {
	case KindNoteTakenOver:
		return &NoteTakenOver{}
	case KindPaperTakenOver:
		return &PaperTakenOver{}
	}
	return nil
}

// newPrivateBody returns the bodies of personal data and its keys.
func newPrivateBody(k ledger.Kind) Body {
	switch k {
	case KindBlobSealed:
		return &BlobSealed{}
	case KindErased:
		return &Erased{}
	case KindSealKeyRenewed:
		return &SealKeyRenewed{}
	case KindPepperRenewed:
		return &PepperRenewed{}
	}
	return nil
}

// KindName is the kind's word in LEDGER.md §6.2, or its number when not in use.
func KindName(k ledger.Kind) string {
	b := newBody(k)
	if b == nil {
		return fmt.Sprintf("kind %d", k)
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", b), "*event.")
}

// Kinds lists the kinds in use, in order.
func Kinds() []ledger.Kind {
	var kinds []ledger.Kind
	for k := range ledger.Kind(256) {
		if newBody(k) != nil {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// Author is what a log's entry 0 says of its writer: it decides what the log may
// hold (LEDGER.md §6.1).
type Author struct {
	Role   cert.Role
	Stream cert.Stream
}

// Authors is a set of the logs of the kind table (LEDGER.md §6.2).
type Authors uint8

// The logs of the kind table.
const (
	KioskLog Authors = 1 << iota
	AuthorityLog
	SettlementLog
	CellLog
	AnyLog = KioskLog | AuthorityLog | SettlementLog | CellLog
)

func (a Author) log() Authors {
	switch {
	case a.Role == cert.RoleKiosk && a.Stream == cert.StreamMain:
		return KioskLog
	case a.Role != cert.RoleOffice:
		return 0
	case a.Stream == cert.StreamAuthority:
		return AuthorityLog
	case a.Stream == cert.StreamSettlement:
		return SettlementLog
	case a.Stream >= cert.StreamCell:
		return CellLog
	}
	return 0
}

// authors says in which logs a kind has a meaning; none for a kind not in use.
func authors(k ledger.Kind) Authors {
	switch k {
	case KindLogOpened, KindSoftwareStarted, KindRulesStated:
		return AnyLog
	case KindMachineEnrolled, KindDuesPublished, KindForkShown, KindMachineRevoked, KindSealKeyRenewed, KindPepperRenewed:
		return AuthorityLog
	case KindErased:
		return AuthorityLog | CellLog
	case KindAcknowledged:
		return CellLog
	}
	if newDecision(k) != nil {
		return CellLog | SettlementLog
	}
	if newBody(k) != nil {
		return KioskLog
	}
	return 0
}

// MayWrite reports whether the author's log may hold an entry of the kind at the
// index: the kind must be of that log, and LogOpened stands at 0 alone (that nothing
// else stands there is OpenLog's to check). Any other entry is kept and carried, posts nothing and is listed.
func (a Author) MayWrite(index uint64, k ledger.Kind) bool {
	return (index == 0 || k != KindLogOpened) && authors(k)&a.log() != 0
}

// New makes an entry with the body at the given time.
func New(t ledger.Time, b Body) (ledger.Entry, error) {
	if err := b.check(); err != nil {
		return ledger.Entry{}, fmt.Errorf("couldn't make an entry of kind %d: %w", b.Kind(), err)
	}
	raw, err := ledger.Encode(b)
	if err != nil {
		return ledger.Entry{}, fmt.Errorf("couldn't make an entry of kind %d: %w", b.Kind(), err)
	}
	return ledger.Entry{Kind: b.Kind(), Time: t, Body: raw}, nil
}

// Unknown is the body of a kind that this version does not know: kept, carried and
// counted, it posts nothing.
type Unknown struct{ Of ledger.Kind }

// Kind returns the kind that the entry states.
func (u *Unknown) Kind() ledger.Kind { return u.Of }
func (u *Unknown) check() error      { return nil }

// Decode reads the body of an entry. A kind not in use gives *Unknown and no
// error; a body that breaks its kind's form is an error that wraps
// ledger.ErrMalformed. The result points to a fresh value.
func Decode(e ledger.Entry) (Body, error) {
	b := newBody(e.Kind)
	if b == nil {
		return &Unknown{Of: e.Kind}, nil
	}
	if err := ledger.Decode(e.Body, b); err != nil {
		return nil, fmt.Errorf("entry of kind %d: %w", e.Kind, err)
	}
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("entry of kind %d: %w", e.Kind, err)
	}
	return b, nil
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ledger.ErrMalformed, fmt.Sprintf(format, args...))
}

// Currency is the only currency in use: ISO 4217 numeric 356, the Indian rupee.
const Currency = 356

// LogOpened is entry 0 of every log: who writes it, and under which rules.
type LogOpened struct {
	Chain    cert.Chain  `cbor:"0,keyasint"`
	Grant    cert.Grant  `cbor:"1,keyasint"`
	Currency uint16      `cbor:"2,keyasint"`
	Rules    ledger.Hash `cbor:"3,keyasint"` // rule set that governs the entries that follow
}

// Kind returns KindLogOpened.
func (*LogOpened) Kind() ledger.Kind { return KindLogOpened }
func (b *LogOpened) check() error {
	if b.Currency != Currency {
		return bad("currency %d, want %d", b.Currency, Currency)
	}
	return nil
}

// Author is who writes the log.
func (b *LogOpened) Author() Author {
	return Author{Role: b.Chain.Machine.Role, Stream: b.Grant.Stream}
}

// Verify checks that the entry opens the log it stands in: the chain up to the
// fleet, the grant by the machine, the log id by the granted key.
func (b *LogOpened) Verify(log ledger.LogID) error {
	if err := b.Grant.Verify(b.Chain.Machine.PublicKey()); err != nil {
		return err
	}
	if got := ledger.LogIDOf(b.Grant.PublicKey()); got != log {
		return fmt.Errorf("%w: entry 0 grants log %s, it stands in %s", cert.ErrRefused, got, log)
	}
	if b.Author().log() == 0 {
		return fmt.Errorf("%w: a machine with the role %s writes no stream %d", cert.ErrRefused, b.Chain.Machine.Role, b.Grant.Stream)
	}
	return nil
}

// OpenLog decodes entry 0 of a log and verifies it up to the fleet's public key.
func OpenLog(fleet ed25519.PublicKey, log ledger.LogID, entry0 []byte) (*LogOpened, error) {
	e, err := ledger.DecodeEntry(entry0)
	if err != nil {
		return nil, fmt.Errorf("entry 0 of log %s: %w", log, err)
	}
	b, err := Decode(e)
	if err != nil {
		return nil, fmt.Errorf("entry 0 of log %s: %w", log, err)
	}
	opened, ok := b.(*LogOpened)
	if !ok {
		return nil, fmt.Errorf("entry 0 of log %s: %w: it has the kind %d, want %d", log, ledger.ErrMalformed, e.Kind, KindLogOpened)
	}
	if err := opened.Chain.Verify(fleet); err != nil {
		return nil, fmt.Errorf("entry 0 of log %s: %w", log, err)
	}
	if err := opened.Verify(log); err != nil {
		return nil, fmt.Errorf("entry 0 of log %s: %w", log, err)
	}
	return opened, nil
}

// SoftwareStarted begins a boot: BootMs of the entries that follow counts from it.
type SoftwareStarted struct {
	Version string `cbor:"0,keyasint"`
}

// Kind returns KindSoftwareStarted.
func (*SoftwareStarted) Kind() ledger.Kind { return KindSoftwareStarted }
func (b *SoftwareStarted) check() error {
	if len(b.Version) == 0 {
		return bad("version of 0 bytes, want 1 to 64")
	}
	return checkText("version", b.Version, 64)
}

// checkText keeps out what would let a writer act on its reader's terminal, page
// or export: control characters, line separators and changes of direction.
func checkText(what, s string, maxBytes int) error {
	if len(s) > maxBytes {
		return bad("%s of %d bytes, want at most %d", what, len(s), maxBytes)
	}
	if strings.ContainsFunc(s, hidden) {
		return bad("%s %q holds a control character", what, s)
	}
	return nil
}

// PlainText reports whether s holds nothing that would act on its reader's terminal,
// page or export (LEDGER.md §6.2).
func PlainText(s string) bool { return !strings.ContainsFunc(s, hidden) }

func hidden(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 ||
		r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// amountMax bounds every amount of one entry, 10^12 paise: nine million entries at
// the limit still add up within int64.
const amountMax ledger.Paise = 1_000_000_000_000

// dayMax is 9999-12-31 in days since 1970-01-01.
const dayMax = ledger.WallMaxMs / 86_400_000

func checkAsOf(ms uint64) error {
	if ms > ledger.WallMaxMs {
		return bad("as of %d ms, the limit is %d", ms, uint64(ledger.WallMaxMs))
	}
	return nil
}
