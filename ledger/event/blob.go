package event

import (
	"bytes"

	"rasid/ledger"
)

// ErasedMax bounds the objects of one Erased.
const ErasedMax = 256

// reasonMaxBytes bounds why something was erased, rejected or written off.
const reasonMaxBytes = 128

// BlobSealed names the sealed blob that holds what is personal of a sale's bill
// (LEDGER.md §10.2): the only place where it stands.
type BlobSealed struct {
	Sale   uint64      `cbor:"0,keyasint"`
	Object ledger.Hash `cbor:"1,keyasint"` // of the ciphertext
	Bytes  uint64      `cbor:"2,keyasint"`
	Seal   uint32      `cbor:"3,keyasint"` // number of the seal key that opens it
}

// Kind returns KindBlobSealed.
func (*BlobSealed) Kind() ledger.Kind { return KindBlobSealed }
func (b *BlobSealed) check() error {
	if b.Bytes == 0 || b.Bytes > ledger.BlobMaxBytes {
		return bad("blob of %d bytes, want 1 to %d", b.Bytes, ledger.BlobMaxBytes)
	}
	return checkKeyNumber("seal key", b.Seal)
}

// Erased says that objects are to be gone: every node that holds the entry removes
// each copy and takes none again. Entries that name them stay as they are.
type Erased struct {
	Objects []ledger.Hash `cbor:"0,keyasint"` // ascending
	Why     string        `cbor:"1,keyasint"` // of the office, nobody's name
}

// Kind returns KindErased.
func (*Erased) Kind() ledger.Kind { return KindErased }
func (b *Erased) check() error {
	if len(b.Objects) == 0 || len(b.Objects) > ErasedMax {
		return bad("%d objects erased, want 1 to %d", len(b.Objects), ErasedMax)
	}
	for i := 1; i < len(b.Objects); i++ {
		if bytes.Compare(b.Objects[i][:], b.Objects[i-1][:]) <= 0 {
			return bad("objects are not in ascending order")
		}
	}
	if len(b.Why) == 0 {
		return bad("reason of 0 bytes, want 1 to %d", reasonMaxBytes)
	}
	return checkText("reason", b.Why, reasonMaxBytes)
}

// SealKeyRenewed gives the office's seal key of that number to every machine. The
// newest one and the one before are valid.
type SealKeyRenewed struct {
	Number uint32   `cbor:"0,keyasint"`
	Key    [32]byte `cbor:"1,keyasint"` // X25519
}

// Kind returns KindSealKeyRenewed.
func (*SealKeyRenewed) Kind() ledger.Kind { return KindSealKeyRenewed }
func (b *SealKeyRenewed) check() error {
	if b.Key == [32]byte{} {
		return bad("a seal key of zeros")
	}
	return checkKeyNumber("seal key", b.Number)
}

// PepperRenewed names the pepper set that holds the pepper of that number, sealed
// to each machine by itself (LEDGER.md §10.3).
type PepperRenewed struct {
	Number uint32      `cbor:"0,keyasint"`
	Object ledger.Hash `cbor:"1,keyasint"`
	Bytes  uint64      `cbor:"2,keyasint"`
}

// Kind returns KindPepperRenewed.
func (*PepperRenewed) Kind() ledger.Kind { return KindPepperRenewed }
func (b *PepperRenewed) check() error {
	if b.Bytes == 0 || b.Bytes > ledger.ObjectMaxBytes {
		return bad("object of %d bytes, want 1 to %d", b.Bytes, ledger.ObjectMaxBytes)
	}
	return checkKeyNumber("pepper", b.Number)
}

func checkKeyNumber(what string, n uint32) error {
	if n == 0 {
		return bad("%s number 0, they count from 1", what)
	}
	return nil
}

// Objects returns the objects that an entry names and that follow it.
func Objects(b Body) []ledger.Hash {
	switch b := b.(type) {
	case *DuesPublished:
		return []ledger.Hash{b.Object}
	case *BlobSealed:
		return []ledger.Hash{b.Object}
	case *PepperRenewed:
		return []ledger.Hash{b.Object}
	}
	return nil
}

// Erases returns the objects that an entry erases.
func Erases(b Body) []ledger.Hash {
	if e, ok := b.(*Erased); ok {
		return e.Objects
	}
	return nil
}
