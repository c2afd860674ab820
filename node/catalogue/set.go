package catalogue

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sort"
	"time"

	"rasid/ledger"
	"rasid/ledger/event"
)

// Biller is who is owed, as a dues set carries it (docs/DUES.md).
type Biller struct {
	_         struct{} `cbor:",toarray"`
	Code      string
	NameHi    string
	NameEn    string
	DigitsMin int
	DigitsMax int
	Surplus   event.SurplusRule
	OverMax   ledger.Paise
	Part      bool
	CashMax   ledger.Paise
}

// Validate says what is wrong with a biller, and what to do.
func (b Biller) Validate() error {
	if len(b.Code) == 0 || len(b.Code) > 32 {
		return fmt.Errorf("biller code %q: want 1 to 32 characters", b.Code)
	}
	for _, c := range b.Code {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("biller code %q: want A to Z, 0 to 9 and hyphens", b.Code)
		}
	}
	switch {
	case b.NameHi == "" || b.NameEn == "" || len(b.NameHi) > nameMaxBytes || len(b.NameEn) > nameMaxBytes:
		return fmt.Errorf("biller %s: it needs a Hindi and an English name of at most %d bytes", b.Code, nameMaxBytes)
	case b.DigitsMin < 4 || b.DigitsMax < b.DigitsMin || b.DigitsMax > 20:
		return fmt.Errorf("biller %s: consumer numbers of %d to %d digits: want 4 to 20", b.Code, b.DigitsMin, b.DigitsMax)
	case b.Surplus != event.SurplusRefused && b.Surplus != event.SurplusNextBill:
		return fmt.Errorf("biller %s: surplus rule %d", b.Code, b.Surplus)
	case b.OverMax < 0 || b.CashMax < 0:
		return fmt.Errorf("biller %s: a limit below zero", b.Code)
	}
	return nil
}

// setVersion is the version of the bytes.
const setVersion = 1

// saltBytes makes every set's record keys new.
const saltBytes = 16

// padBytes hides the length of names.
const padBytes = 16

type setFile struct {
	_       struct{} `cbor:",toarray"`
	Version uint8
	Biller  Biller
	AsOfMs  uint64
	Pepper  uint32
	Salt    [saltBytes]byte
	Records [][]byte // account key, then ciphertext; ascending by account key
}

type record struct {
	_      struct{} `cbor:",toarray"`
	Masked string
	BillNo string
	Period string
	Due    ledger.Paise
	DueDay uint32
	Pad    []byte
}

// Build makes the object of a dues set. Names are masked; each record can be opened
// only by who knows the pepper and the consumer number.
func Build(b Biller, dues []Due, asOf time.Time, number uint32, pepper event.Pepper, rand io.Reader) ([]byte, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	f := setFile{Version: setVersion, Biller: b, AsOfMs: uint64(asOf.UnixMilli()), Pepper: number}
	if _, err := io.ReadFull(rand, f.Salt[:]); err != nil {
		return nil, fmt.Errorf("couldn't draw the set's salt: %w", err)
	}
	for _, d := range dues {
		r, err := f.seal(pepper, d)
		if err != nil {
			return nil, err
		}
		f.Records = append(f.Records, r)
	}
	sort.Slice(f.Records, func(i, j int) bool { return string(f.Records[i]) < string(f.Records[j]) })
	object, err := ledger.Encode(f)
	if err != nil {
		return nil, fmt.Errorf("couldn't make the dues set: %w", err)
	}
	if len(object) > ledger.ObjectMaxBytes {
		return nil, fmt.Errorf("the dues set of %d consumers has %d bytes, the limit is %d: split the file", len(dues), len(object), ledger.ObjectMaxBytes)
	}
	return object, nil
}

func (f *setFile) seal(pepper event.Pepper, d Due) ([]byte, error) {
	r := record{Masked: Mask(d.Name), BillNo: d.BillNo, Period: d.Period, Due: d.Due, DueDay: d.DueDay, Pad: []byte{}}
	plain, err := ledger.Encode(r)
	if err != nil {
		return nil, fmt.Errorf("couldn't encode a record: %w", err)
	}
	if rest := len(plain) % padBytes; rest > 0 {
		r.Pad = make([]byte, padBytes-rest)
		if plain, err = ledger.Encode(r); err != nil {
			return nil, fmt.Errorf("couldn't encode a record: %w", err)
		}
	}
	aead, err := f.aead(pepper, d.Account)
	if err != nil {
		return nil, err
	}
	key, err := event.AccountKeyOf(pepper, f.Biller.Code, d.Account)
	if err != nil {
		return nil, err
	}
	// Each key seals one record, ever: the nonce may be zero.
	return aead.Seal(key[:], make([]byte, aead.NonceSize()), plain, key[:]), nil
}

// aead is keyed by pepper, set, biller and consumer number.
func (f *setFile) aead(pepper event.Pepper, account string) (cipher.AEAD, error) {
	info, err := ledger.Encode([]string{"rasid/dues/1", f.Biller.Code, account})
	if err != nil {
		return nil, fmt.Errorf("couldn't derive a record's key: %w", err)
	}
	key, err := hkdf.Key(sha256.New, pepper[:], f.Salt[:], string(info), 32)
	if err != nil {
		return nil, fmt.Errorf("couldn't derive a record's key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("couldn't set up a record's cipher: %w", err)
	}
	return cipher.NewGCM(block)
}

// Set is a dues set that was read: immutable.
type Set struct {
	f    setFile
	hash ledger.Hash
}

// ErrUnknownNumber is returned by Lookup for a consumer number that the set does
// not have.
var ErrUnknownNumber = errors.New("the dues set has no such consumer number")

// Open reads the object of a dues set and checks its form.
func Open(object []byte) (*Set, error) {
	if len(object) > ledger.ObjectMaxBytes {
		return nil, fmt.Errorf("%w dues set: %d bytes, the limit is %d", ledger.ErrMalformed, len(object), ledger.ObjectMaxBytes)
	}
	s := &Set{hash: ledger.ObjectHash(object)}
	if err := ledger.Decode(object, &s.f); err != nil {
		return nil, fmt.Errorf("dues set: %w", err)
	}
	if s.f.Version != setVersion || len(s.f.Records) > recordsMax {
		return nil, fmt.Errorf("%w dues set: version %d with %d records", ledger.ErrMalformed, s.f.Version, len(s.f.Records))
	}
	if err := s.f.Biller.Validate(); err != nil {
		return nil, fmt.Errorf("%w dues set: %w", ledger.ErrMalformed, err)
	}
	if s.f.AsOfMs > uint64(ledger.WallMaxMs) {
		return nil, fmt.Errorf("%w dues set: as of %d ms", ledger.ErrMalformed, s.f.AsOfMs)
	}
	for i, r := range s.f.Records {
		if len(r) < event.BillKeyBytes {
			return nil, fmt.Errorf("%w dues set: record %d is cut short", ledger.ErrMalformed, i)
		}
		if i > 0 && string(r[:event.BillKeyBytes]) <= string(s.f.Records[i-1][:event.BillKeyBytes]) {
			return nil, fmt.Errorf("%w dues set: record %d is out of order", ledger.ErrMalformed, i)
		}
	}
	return s, nil
}

// Hash is the object's name.
func (s *Set) Hash() ledger.Hash { return s.hash }

// Biller is whose dues these are.
func (s *Set) Biller() Biller { return s.f.Biller }

// AsOf is when the biller's list was made.
func (s *Set) AsOf() time.Time { return time.UnixMilli(int64(s.f.AsOfMs)) }

// Pepper is the number of the pepper that keys the set.
func (s *Set) Pepper() uint32 { return s.f.Pepper }

// Count is the number of consumers.
func (s *Set) Count() int { return len(s.f.Records) }

// Found is one consumer's bill.
type Found struct {
	Masked, BillNo, Period string
	Due                    ledger.Paise
	DueDay                 uint32
	Bill, Account          event.BillKey
}

// Lookup opens the record of a canonical consumer number.
func (s *Set) Lookup(pepper event.Pepper, account string) (Found, error) {
	key, err := event.AccountKeyOf(pepper, s.f.Biller.Code, account)
	if err != nil {
		return Found{}, err
	}
	i := sort.Search(len(s.f.Records), func(i int) bool { return string(s.f.Records[i][:event.BillKeyBytes]) >= string(key[:]) })
	if i == len(s.f.Records) || string(s.f.Records[i][:event.BillKeyBytes]) != string(key[:]) {
		return Found{}, ErrUnknownNumber
	}
	aead, err := s.f.aead(pepper, account)
	if err != nil {
		return Found{}, err
	}
	plain, err := aead.Open(nil, make([]byte, aead.NonceSize()), s.f.Records[i][event.BillKeyBytes:], key[:])
	if err != nil {
		return Found{}, fmt.Errorf("%w dues set: record %d does not open", ledger.ErrMalformed, i)
	}
	var r record
	if err := ledger.Decode(plain, &r); err != nil {
		return Found{}, fmt.Errorf("dues set, record %d: %w", i, err)
	}
	if r.Due <= 0 {
		return Found{}, fmt.Errorf("%w dues set: record %d owes %d paise", ledger.ErrMalformed, i, r.Due)
	}
	bill, err := event.BillKeyOf(pepper, s.f.Biller.Code, account, r.Period)
	if err != nil {
		return Found{}, err
	}
	return Found{Masked: r.Masked, BillNo: r.BillNo, Period: r.Period, Due: r.Due, DueDay: r.DueDay, Bill: bill, Account: key}, nil
}
