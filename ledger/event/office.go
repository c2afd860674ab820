package event

import (
	"rasid/ledger"
	"rasid/ledger/cert"
)

// MachineEnrolled says that a machine belongs to the fleet, and how people call it.
type MachineEnrolled struct {
	Chain cert.Chain `cbor:"0,keyasint"`
	Name  string     `cbor:"1,keyasint"` // "SKR-0147"
	Place string     `cbor:"2,keyasint"`
}

// Kind returns KindMachineEnrolled.
func (*MachineEnrolled) Kind() ledger.Kind { return KindMachineEnrolled }
func (b *MachineEnrolled) check() error {
	if len(b.Name) == 0 {
		return bad("machine name of 0 bytes, want 1 to 32")
	}
	if err := checkText("machine name", b.Name, 32); err != nil {
		return err
	}
	return checkText("place", b.Place, 128)
}

// DuesPublished names a dues set: an object that follows this entry everywhere.
type DuesPublished struct {
	Biller string      `cbor:"0,keyasint"`
	Object ledger.Hash `cbor:"1,keyasint"`
	Bytes  uint64      `cbor:"2,keyasint"`
	AsOfMs uint64      `cbor:"3,keyasint"`
	Pepper uint32      `cbor:"4,keyasint"` // number of the pepper its keys are made with
	Count  uint32      `cbor:"5,keyasint"`
}

// Kind returns KindDuesPublished.
func (*DuesPublished) Kind() ledger.Kind { return KindDuesPublished }
func (b *DuesPublished) check() error {
	if b.Bytes == 0 || b.Bytes > ledger.ObjectMaxBytes {
		return bad("object of %d bytes, want 1 to %d", b.Bytes, ledger.ObjectMaxBytes)
	}
	if err := checkAsOf(b.AsOfMs); err != nil {
		return err
	}
	return checkBiller(b.Biller)
}

// PaidBill returns the bill that an entry says money was taken for: a payment, or a
// credit slip for a bill that was chosen.
func PaidBill(b Body) (BillKey, bool) {
	switch b := b.(type) {
	case *PaymentCommitted:
		return b.Bill, true
	case *SlipIssued:
		if b.Bill != nil {
			return *b.Bill, true
		}
	}
	return BillKey{}, false
}

// Names reports whether an entry of the kind may name or erase an object or name a
// paid bill; the bodies of all others need not be read to know what they name.
func Names(k ledger.Kind) bool {
	switch k {
	case KindBlobSealed, KindPaymentCommitted, KindSlipIssued, KindDuesPublished, KindErased, KindPepperRenewed:
		return true
	}
	return false
}

// Held is how far the office holds a log.
type Held struct {
	_    struct{} `cbor:",toarray"`
	Log  ledger.LogID
	Size uint64
	Root ledger.Hash
}

// Acknowledged says what the office holds durably. A kiosk learns from it what has
// arrived, whichever way it went.
type Acknowledged struct {
	Held []Held `cbor:"0,keyasint"` // ascending by log
}

// Kind returns KindAcknowledged.
func (*Acknowledged) Kind() ledger.Kind { return KindAcknowledged }
func (b *Acknowledged) check() error {
	if len(b.Held) == 0 || len(b.Held) > 256 {
		return bad("%d logs acknowledged, want 1 to 256", len(b.Held))
	}
	for i := 1; i < len(b.Held); i++ {
		if string(b.Held[i].Log[:]) <= string(b.Held[i-1].Log[:]) {
			return bad("logs are not in ascending order")
		}
	}
	return nil
}
