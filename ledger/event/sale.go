package event

import (
	"rasid/ledger"
)

// Service numbers what a citizen came for.
type Service uint16

// The services in use.
const ServiceElectricity Service = 1

// Language is the citizen's choice, kept so that paper after a power cut is in it.
type Language uint8

// The languages.
const (
	Hindi   Language = 1
	English Language = 2
)

// SurplusRule is the biller's word on money beyond what is due.
type SurplusRule uint8

// The rules.
const (
	SurplusRefused  SurplusRule = 1 // no note may lead beyond the due amount
	SurplusNextBill SurplusRule = 2 // the surplus is credit on the next bill
)

// Source says where the due amount came from.
type Source uint8

// The sources of a due amount.
const SourceDues Source = 1

// SaleOpened begins a sale; its index names the sale.
type SaleOpened struct {
	Service  Service  `cbor:"0,keyasint"`
	Language Language `cbor:"1,keyasint"`
}

// Kind returns KindSaleOpened.
func (*SaleOpened) Kind() ledger.Kind { return KindSaleOpened }
func (b *SaleOpened) check() error {
	if b.Service == 0 || b.Language != Hindi && b.Language != English {
		return bad("service %d in language %d", b.Service, b.Language)
	}
	return nil
}

// BillSelected says which bill the sale is for.
type BillSelected struct {
	Sale    uint64       `cbor:"0,keyasint"` // index of SaleOpened
	Biller  string       `cbor:"1,keyasint"`
	Bill    BillKey      `cbor:"2,keyasint"`
	Account BillKey      `cbor:"3,keyasint"`
	Due     ledger.Paise `cbor:"4,keyasint"`
	DueDay  uint32       `cbor:"5,keyasint"` // days since 1970-01-01
	Source  Source       `cbor:"6,keyasint"`
	Dues    ledger.Hash  `cbor:"7,keyasint"` // the dues set that said so
	AsOfMs  uint64       `cbor:"8,keyasint"`
	Surplus SurplusRule  `cbor:"9,keyasint"`
	Part    bool         `cbor:"10,keyasint,omitempty"` // the biller takes a part payment
}

// Kind returns KindBillSelected.
func (*BillSelected) Kind() ledger.Kind { return KindBillSelected }
func (b *BillSelected) check() error {
	if err := checkBiller(b.Biller); err != nil {
		return err
	}
	if b.Due <= 0 || b.Due > amountMax || b.Source != SourceDues {
		return bad("due %d paise from source %d", b.Due, b.Source)
	}
	if b.DueDay > dayMax {
		return bad("due on day %d, the limit is %d", b.DueDay, uint32(dayMax))
	}
	if err := checkAsOf(b.AsOfMs); err != nil {
		return err
	}
	return checkSurplusRule(b.Surplus)
}

func checkBiller(biller string) error {
	if len(biller) == 0 || len(biller) > 32 {
		return bad("biller of %d bytes, want 1 to 32", len(biller))
	}
	for i := range len(biller) {
		// Billers name accounts in exports: nothing that could end a name or a line.
		c := biller[i]
		if c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return bad("biller %q, want letters, digits and hyphens", biller)
		}
	}
	return nil
}

func checkSurplusRule(r SurplusRule) error {
	if r != SurplusRefused && r != SurplusNextBill {
		return bad("surplus rule %d", r)
	}
	return nil
}

// EndReason says why a sale ended.
type EndReason uint8

// The reasons a sale ends for.
const (
	EndPaid      EndReason = 1
	EndCancelled EndReason = 2 // by the citizen, nothing paid in
	EndTimeout   EndReason = 3 // nobody there, nothing paid in
	EndSlip      EndReason = 4 // money was paid in and a credit slip issued
)

// SaleEnded ends a sale. Money that the sale still holds stays in its account.
type SaleEnded struct {
	Sale   uint64    `cbor:"0,keyasint"`
	Reason EndReason `cbor:"1,keyasint"`
}

// Kind returns KindSaleEnded.
func (*SaleEnded) Kind() ledger.Kind { return KindSaleEnded }
func (b *SaleEnded) check() error {
	if b.Reason < EndPaid || b.Reason > EndSlip {
		return bad("end reason %d", b.Reason)
	}
	return nil
}

// Tender says how money came.
type Tender uint8

// The tenders.
const TenderCash Tender = 1

// notesMax bounds a sale's notes: cash_max in the smallest notes.
const notesMax = 2048

// PaymentCommitted is the payment: the entry that a receipt carries. Tendered is
// what all its notes are worth, Applied goes to the bill, Surplus is the rest.
type PaymentCommitted struct {
	Sale     uint64       `cbor:"0,keyasint"`
	Biller   string       `cbor:"1,keyasint"`
	Bill     BillKey      `cbor:"2,keyasint"`
	Due      ledger.Paise `cbor:"3,keyasint"`
	Tendered ledger.Paise `cbor:"4,keyasint"`
	Applied  ledger.Paise `cbor:"5,keyasint"`
	Surplus  ledger.Paise `cbor:"6,keyasint"`
	Rule     SurplusRule  `cbor:"7,keyasint"`
	Tender   Tender       `cbor:"8,keyasint"`
	Notes    NoteRefs     `cbor:"9,keyasint"` // of NoteStacked
}

// Kind returns KindPaymentCommitted.
func (*PaymentCommitted) Kind() ledger.Kind { return KindPaymentCommitted }
func (b *PaymentCommitted) check() error {
	if err := checkBiller(b.Biller); err != nil {
		return err
	}
	if err := checkSurplusRule(b.Rule); err != nil {
		return err
	}
	if b.Tender != TenderCash || b.Due <= 0 || b.Due > amountMax || b.Applied <= 0 || b.Surplus < 0 || b.Surplus > amountMax || b.Applied > b.Due {
		return bad("tender %d: %d of %d paise applied, %d surplus", b.Tender, b.Applied, b.Due, b.Surplus)
	}
	if sum, err := b.Applied.Add(b.Surplus); err != nil || sum != b.Tendered {
		return bad("applied %d and surplus %d are not tendered %d", b.Applied, b.Surplus, b.Tendered)
	}
	if b.Surplus > 0 && (b.Rule == SurplusRefused || b.Applied != b.Due) {
		return bad("a surplus of %d paise that the biller refuses, or before the bill is paid", b.Surplus)
	}
	return b.Notes.check()
}

// NoteRefs points to notes of the same log, in ascending order: the index of the
// first, then for each further one its distance from the one before. A payment of
// many notes stays small, and its receipt readable.
type NoteRefs []NoteDistance

// NoteDistance is one element of NoteRefs: a type of its own, so that a list of
// indexes is never taken for one of distances.
type NoteDistance uint64

// RefNotes makes the references to the given indexes, which must ascend.
func RefNotes(indexes ...uint64) NoteRefs {
	refs := make(NoteRefs, len(indexes))
	var before uint64
	for i, index := range indexes {
		refs[i], before = NoteDistance(index-before), index
	}
	return refs
}

// Indexes returns the indexes pointed to, ascending.
func (r NoteRefs) Indexes() []uint64 {
	indexes := make([]uint64, len(r))
	var at uint64
	for i, distance := range r {
		at += uint64(distance)
		indexes[i] = at
	}
	return indexes
}

func (r NoteRefs) check() error {
	if len(r) == 0 || len(r) > notesMax {
		return bad("%d notes, want 1 to %d", len(r), notesMax)
	}
	var at uint64
	for i, distance := range r {
		if i > 0 && distance == 0 {
			return bad("note %d twice", at)
		}
		if uint64(distance) >= ledger.LogMaxEntries-at {
			return bad("a note beyond index %d, the limit of a log", uint64(ledger.LogMaxEntries)-1)
		}
		at += uint64(distance)
	}
	return nil
}

// SlipIssued turns what a sale holds into a credit slip: the citizen's claim on
// Amount, redeemable once.
type SlipIssued struct {
	Sale   uint64       `cbor:"0,keyasint"`
	Amount ledger.Paise `cbor:"1,keyasint"`
	Notes  NoteRefs     `cbor:"2,keyasint"`
	Biller string       `cbor:"3,keyasint,omitempty"` // of the bill that was to be paid
	Bill   *BillKey     `cbor:"4,keyasint,omitempty"`
}

// Kind returns KindSlipIssued.
func (*SlipIssued) Kind() ledger.Kind { return KindSlipIssued }
func (b *SlipIssued) check() error {
	if b.Amount <= 0 || b.Amount > amountMax || (b.Biller == "") != (b.Bill == nil) {
		return bad("slip of %d paise, biller %q", b.Amount, b.Biller)
	}
	if b.Bill != nil {
		if err := checkBiller(b.Biller); err != nil {
			return err
		}
	}
	return b.Notes.check()
}

// PrintIntent says that a paper for the subject is about to be sent to the
// printer. Copy 1 is the receipt, copy n > 1 is marked duplicate.
type PrintIntent struct {
	Subject uint64 `cbor:"0,keyasint"` // index of PaymentCommitted, SlipIssued, NoteUnresolved or PaperTakenOver
	Copy    uint32 `cbor:"1,keyasint"`
}

// Kind returns KindPrintIntent.
func (*PrintIntent) Kind() ledger.Kind { return KindPrintIntent }
func (b *PrintIntent) check() error    { return checkCopy(b.Copy) }

// Printed is the printer's word that the copy came out.
type Printed struct {
	Subject uint64 `cbor:"0,keyasint"`
	Copy    uint32 `cbor:"1,keyasint"`
}

// Kind returns KindPrinted.
func (*Printed) Kind() ledger.Kind { return KindPrinted }
func (b *Printed) check() error    { return checkCopy(b.Copy) }

func checkCopy(n uint32) error {
	if n == 0 || n > 999 {
		return bad("copy %d, want 1 to 999", n)
	}
	return nil
}
