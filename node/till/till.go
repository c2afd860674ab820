// Package till runs one sale at a time. Its machine is pure: an event and the
// state give the entries to make durable and the commands to devices that follow
// once they are. What the machine must remember over a power cut it folds from the
// kiosk's own log, with the code that also follows each commit, so that recovery
// and selling are the same code. The loop around it commits, commands and shows.
package till

import (
	"time"

	"rasid/hardware"
	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/ledger/receipt"
)

// Limits and waits of a sale.
const (
	idleAfter         = 60 * time.Second  // nobody there, no money in
	idleWithMoney     = 120 * time.Second // nobody there, money in
	warnBefore        = 20 * time.Second
	doneAfter         = 20 * time.Second
	acceptorPatience  = 150 * time.Second // a silent acceptor with a note under way
	numberMaxDigits   = 20
	papersMax         = 64
	notesPerSaleMax   = 300 // the receipt's QR code holds more than 1,600 (LEDGER.md §8)
	copiesMax         = 9   // of one paper, however often they are lost
	acceptorsMax      = 16  // whose counters are remembered
	rawMaxBytes       = 64  // of a device's event in an entry
	smallestNotePaise = 10_00
	largestNotePaise  = 10_000_00
)

// Bill is what the catalogue knows of one consumer's bill. Number and Masked are
// personal: they reach the screen and the paper, never an entry.
type Bill struct {
	Number  string // consumer number as printed
	Masked  string // masked name
	Period  string // "2026-10"
	Biller  Biller
	Bill    event.BillKey
	Same    []event.BillKey // its keys under the other valid peppers: it may have been paid by them
	Account event.BillKey
	Due     ledger.Paise
	DueDay  uint32
	Dues    ledger.Hash
	AsOf    time.Time
}

// Keys are all keys of the bill: what was taken under any of them was taken for it.
func (b *Bill) Keys() []event.BillKey { return append([]event.BillKey{b.Bill}, b.Same...) }

// Biller is who is owed, and what it takes.
type Biller struct {
	Code    string
	NameHi  string
	NameEn  string
	Digits  [2]int // shortest and longest consumer number
	Surplus event.SurplusRule
	OverMax ledger.Paise // how far a note may lead beyond the due amount
	Part    bool         // takes a part payment
	CashMax ledger.Paise
}

// KioskID is what receipt numbers begin with.
type KioskID struct {
	Slot    uint32
	Ordinal uint32 // of the log's incarnation
}

func (k KioskID) number(index uint64, leaf ledger.Hash) string {
	return receipt.Number(k.Slot, k.Ordinal, index, leaf)
}

// Step is which screen the citizen sees.
type Step uint8

// The steps, in the order of a sale.
const (
	StepLanguage  Step = iota // also the screen that invites
	StepService               // what do you want to do
	StepIdentify              // consumer number
	StepDues                  // is this your bill
	StepCash                  // feed notes
	StepChoice                // cancelled with money in: go on, pay what is in, or take a slip
	StepFinishing             // the acceptor is being closed
	StepDone                  // paid, or slip issued
	StepRecover               // after a restart with money in
)

// Event is what the machine reacts to: the citizen's actions below, Tick,
// Looked, PaidNow, DiskNow, PaperOut, PaperPrinted, PaperUnknown, or a hardware.AcceptorEvent.
type Event any

// The citizen's actions. Seq must be that of the view acted on: a second press, or
// a press on a page that is no longer shown, changes nothing.
type (
	ChooseLanguage struct{ Language event.Language }
	ChooseService  struct{ Service event.Service }
	// Enter shows digits as typed so far.
	Enter struct{ Number string }
	// ConfirmBill opens the sale.
	ConfirmBill struct{}
	// Back goes to the step before, as long as no sale is open.
	Back struct{}
	// Cancel ends the sale, or asks what to do with the money that is in.
	Cancel struct{}
	// Continue goes on with the sale after Cancel, a restart or the time-out warning.
	Continue struct{}
	// PayPart pays what is in, where the biller takes it.
	PayPart struct{}
	// TakeSlip turns what is in into a credit slip.
	TakeSlip struct{}
	// Finish leaves the last screen.
	Finish struct{}
	// PrintAgain asks for a copy marked duplicate.
	PrintAgain struct{}
)

// Looked is the answer of the catalogue to a typed number. Problem is a message
// key when there is no bill to pay. Paid is what is known to be paid for the bill,
// oldest first.
type Looked struct {
	Number  string
	Bill    *Bill
	Problem Problem
	Paid    []Paid
}

// PaidNow says that other payments are known of the bill on the screen than those shown,
// or by Problem why nobody can tell.
type PaidNow struct {
	Paid    []Paid
	Problem Problem
}

// Paid is one payment of a bill, in any log that is held.
type Paid struct {
	Receipt string
	Kiosk   string // name of the one where it was paid, empty for this one
	At      time.Time
	Applied ledger.Paise
}

// Problem is a message to the citizen: a key of the catalogue of texts and its
// arguments as name, value pairs. A value is a string, a number, a ledger.Paise, a
// time.Time or a Reason; the page writes it in the citizen's language, and adds
// what every page knows (the helpline, the notes taken now). The zero Problem is
// none.
type Problem struct {
	Key  string
	Args []any
}

// Reason is the key of a text that stands inside another.
type Reason string

// Tick lets time pass.
type Tick struct{}

// The printer's side.
type (
	// PaperPrinted is the printer's word that the copy came out.
	PaperPrinted struct {
		Subject uint64
		Copy    uint32
	}
	// PaperUnknown says that the printer cannot tell whether the copy came out.
	PaperUnknown struct {
		Subject uint64
		Copy    uint32
	}
	// PrinterNow tells the state of the printer, for the screen and the log.
	PrinterNow struct {
		Paper   hardware.PaperState
		Offline bool
		Faults  hardware.PrinterFaults
	}
)

// DiskNow tells whether there is too little room to keep records of more money.
type DiskNow struct{ Low bool }

// Draft makes the bodies of entries when the index of the first is known.
type Draft func(first uint64) []event.Body

// Out is what the machine wants done, in this order: keep Personal durably, commit
// Draft, send every copy that the draft intends to print, and carry out Commands. Commands without a Draft are carried out at once.
// Keep goes only with the Draft that opens the sale, and Names only with the one that has the first money of a sale: the loop adds
// to that the entry which names the sealed blob.
type Out struct {
	Keep     *Bill
	Names    *Naming
	Draft    Draft
	Commands []Command
}

// Naming is a sale whose sealed blob an entry is to name.
type Naming struct {
	Sale  uint64
	Opens bool // the sale is the one that the draft opens with: it has no index yet
	Bill  event.BillKey
}

// then is a draft that ends with the entry that names the blob.
func (n Naming) then(d Draft, b Blob) Draft {
	return func(first uint64) []event.Body {
		sale := n.Sale
		if n.Opens {
			sale = first
		}
		return append(d(first), &event.BlobSealed{Sale: sale, Object: b.Object, Bytes: b.Bytes, Seal: b.SealKey})
	}
}

// Command is a word to a device or to the loop.
type Command any

// The commands.
type (
	EnableNotes  struct{ Channels []uint8 }
	DisableNotes struct{}
	StackNote    struct{}
	ReturnNote   struct{}
	// AskPrinter finds out what became of a copy that may have been submitted
	// before a restart, since the given time; it prints it if it never was.
	AskPrinter struct {
		Subject uint64
		Copy    uint32
		Since   time.Time
	}
	// Forget says that nobody needs what was kept of the personal data of a bill.
	Forget struct{ Bill event.BillKey }
)
