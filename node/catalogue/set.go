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

// The object of a dues set (DUES.md §3).
const (
	setVersion = 1
	saltBytes  = 16 // makes every set's record keys new
	padBytes   = 16 // hides the length of names
	keyBytes   = event.BillKeyBytes
	tagBytes   = 16
	plainMax   = 160
	duesDomain = "rasid/dues/1"
)

// header is what a set says in clear. Every record is bound to all of it.
type header struct {
	_       struct{} `cbor:",toarray"`
	Version uint8
	Biller  Biller
	AsOfMs  uint64
	Pepper  uint32
	Count   uint32
	Salt    [saltBytes]byte
}

type setFile struct {
	_       struct{} `cbor:",toarray"`
	Header  header
	Records [][]byte // account key, then ciphertext and tag; ascending by account key
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

// Build makes the object of a dues set (DUES.md §3). Names are masked; each record
// can be opened only by who knows both the pepper and the consumer number. The set
// says of consumer numbers which lengths it has, so that a kiosk can tell too short
// from unknown. rand must be a cryptographic source: the same salt twice would
// use the same record keys twice.
func Build(b Biller, dues []Due, asOf time.Time, number uint32, pepper event.Pepper, rand io.Reader) ([]byte, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	if ms := asOf.UnixMilli(); ms < 0 || ms > ledger.WallMaxMs {
		return nil, fmt.Errorf("the dues can't be as of %s: give a date from 1970 to 9999", asOf)
	}
	if len(dues) == 0 || len(dues) > recordsMax {
		return nil, fmt.Errorf("a dues set of %d consumers: want 1 to %d", len(dues), recordsMax)
	}
	h := header{Version: setVersion, Biller: b.withLengths(dues), AsOfMs: uint64(asOf.UnixMilli()), Pepper: number, Count: uint32(len(dues))}
	if err := h.Biller.Validate(); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(rand, h.Salt[:]); err != nil {
		return nil, fmt.Errorf("couldn't draw the set's salt: %w", err)
	}
	f := setFile{Header: h}
	s, err := h.sealer(pepper)
	if err != nil {
		return nil, err
	}
	for _, d := range dues {
		r, err := s.seal(d)
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
	// What a kiosk would refuse is not published: it also finds an account twice.
	if _, err := Open(object); err != nil {
		return nil, fmt.Errorf("couldn't make the dues set of %d consumers: %w", len(dues), err)
	}
	return object, nil
}

// withLengths narrows the band of lengths to those in use.
func (b Biller) withLengths(dues []Due) Biller {
	b.DigitsMin, b.DigitsMax = len(dues[0].Account), len(dues[0].Account)
	for _, d := range dues {
		b.DigitsMin, b.DigitsMax = min(b.DigitsMin, len(d.Account)), max(b.DigitsMax, len(d.Account))
	}
	return b
}

// sealer seals and opens the records of one set.
type sealer struct {
	header header
	bound  [sha256.Size]byte // hash of the header, to which every record is bound
	pepper event.Pepper
}

func (h header) sealer(pepper event.Pepper) (sealer, error) {
	raw, err := ledger.Encode(h)
	if err != nil {
		return sealer{}, fmt.Errorf("couldn't encode a dues set's header: %w", err)
	}
	return sealer{header: h, bound: sha256.Sum256(raw), pepper: pepper}, nil
}

func (s sealer) seal(d Due) ([]byte, error) {
	r := record{Masked: Mask(d.Name), BillNo: d.BillNo, Period: d.Period, Due: d.Due, DueDay: d.DueDay, Pad: []byte{}}
	if err := r.check(); err != nil {
		return nil, err
	}
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
	key, err := event.AccountKeyOf(s.pepper, s.header.Biller.Code, d.Account)
	if err != nil {
		return nil, err
	}
	aead, err := s.aead(d.Account)
	if err != nil {
		return nil, err
	}
	// Each key seals one record, ever, so that the nonce may be zero. Build refuses
	// an account that comes twice.
	return aead.Seal(key[:], make([]byte, aead.NonceSize()), plain, s.aad(key)), nil
}

// aead is keyed by pepper, set, biller and consumer number (DUES.md §3.3).
func (s sealer) aead(account string) (cipher.AEAD, error) {
	info, err := ledger.Encode([]string{duesDomain, s.header.Biller.Code, account})
	if err != nil {
		return nil, fmt.Errorf("couldn't derive a record's key: %w", err)
	}
	key, err := hkdf.Key(sha256.New, s.pepper[:], s.header.Salt[:], string(info), 32)
	if err != nil {
		return nil, fmt.Errorf("couldn't derive a record's key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("couldn't set up a record's cipher: %w", err)
	}
	return cipher.NewGCM(block)
}

func (s sealer) aad(key event.BillKey) []byte {
	return append(s.bound[:len(s.bound):len(s.bound)], key[:]...)
}

func (s sealer) open(key event.BillKey, account string, sealed []byte) (record, error) {
	var r record
	aead, err := s.aead(account)
	if err != nil {
		return r, err
	}
	plain, err := aead.Open(nil, make([]byte, aead.NonceSize()), sealed, s.aad(key))
	if err != nil {
		return r, fmt.Errorf("%w: it does not open", ledger.ErrMalformed)
	}
	if err := ledger.Decode(plain, &r); err != nil {
		return r, err
	}
	if len(r.Pad) >= padBytes || string(r.Pad) != string(make([]byte, len(r.Pad))) {
		return r, fmt.Errorf("%w: wrong padding", ledger.ErrMalformed)
	}
	return r, r.check()
}

// check keeps out what a bill or an entry made of it could not hold.
func (r record) check() error {
	_, periodErr := time.Parse("2006-01", r.Period)
	switch {
	case r.Masked == "" || len(r.Masked) > maskedMaxBytes || hidden(r.Masked):
		return fmt.Errorf("%w: a masked name of %d bytes, want 1 to %d without control characters", ledger.ErrMalformed, len(r.Masked), maskedMaxBytes)
	case len(r.BillNo) > billNoMaxBytes || hidden(r.BillNo):
		return fmt.Errorf("%w: a bill number of %d bytes, want at most %d without control characters", ledger.ErrMalformed, len(r.BillNo), billNoMaxBytes)
	case periodErr != nil || len(r.Period) != periodBytes:
		return fmt.Errorf("%w: period %.20q is no month as 2026-10", ledger.ErrMalformed, r.Period)
	case r.Due < 0 || r.Due > amountMaxPaise:
		return fmt.Errorf("%w: %d paise due", ledger.ErrMalformed, r.Due)
	case r.DueDay > ledger.WallMaxMs/86_400_000:
		return fmt.Errorf("%w: due on day %d", ledger.ErrMalformed, r.DueDay)
	}
	return nil
}

// Set is a dues set that was read. It does not change and may be used from any
// goroutine.
type Set struct {
	f     setFile
	hash  ledger.Hash
	bytes int
}

// ErrUnknownNumber is returned by Lookup for a consumer number that the set does
// not have.
var ErrUnknownNumber = errors.New("the dues set has no such consumer number")

// Open reads the object of a dues set and checks its form (DUES.md §3). The error
// wraps ledger.ErrMalformed. It needs memory of a few times the object's size.
func Open(object []byte) (*Set, error) {
	if len(object) > ledger.ObjectMaxBytes {
		return nil, fmt.Errorf("%w dues set: %d bytes, the limit is %d: publish one file a sub-division", ledger.ErrMalformed, len(object), ledger.ObjectMaxBytes)
	}
	s := &Set{hash: ledger.ObjectHash(object), bytes: len(object)}
	if err := ledger.Decode(object, &s.f); err != nil {
		return nil, fmt.Errorf("dues set: %w", err)
	}
	h := s.f.Header
	if h.Version != setVersion {
		return nil, fmt.Errorf("%w dues set: version %d, this program reads %d", ledger.ErrMalformed, h.Version, setVersion)
	}
	if err := h.Biller.Validate(); err != nil {
		return nil, fmt.Errorf("%w dues set: %w", ledger.ErrMalformed, err)
	}
	if h.AsOfMs > ledger.WallMaxMs {
		return nil, fmt.Errorf("%w dues set: as of %d ms", ledger.ErrMalformed, h.AsOfMs)
	}
	if int(h.Count) != len(s.f.Records) || len(s.f.Records) == 0 || len(s.f.Records) > recordsMax {
		return nil, fmt.Errorf("%w dues set: %d records, its header says %d, want 1 to %d", ledger.ErrMalformed, len(s.f.Records), h.Count, recordsMax)
	}
	for i, r := range s.f.Records {
		if n := len(r) - keyBytes - tagBytes; n < padBytes || n > plainMax || n%padBytes != 0 {
			return nil, fmt.Errorf("%w dues set: record %d has %d bytes", ledger.ErrMalformed, i, len(r))
		}
		if i > 0 && s.key(i) <= s.key(i-1) {
			return nil, fmt.Errorf("%w dues set: record %d is out of order, or its consumer is there twice", ledger.ErrMalformed, i)
		}
	}
	return s, nil
}

func (s *Set) key(i int) string { return string(s.f.Records[i][:keyBytes]) }

// Hash is the object's name.
func (s *Set) Hash() ledger.Hash { return s.hash }

// Biller is whose dues these are.
func (s *Set) Biller() Biller { return s.f.Header.Biller }

// AsOf is when the biller's list was made.
func (s *Set) AsOf() time.Time { return time.UnixMilli(int64(s.f.Header.AsOfMs)) }

// Pepper is the number of the pepper that keys the set.
func (s *Set) Pepper() uint32 { return s.f.Header.Pepper }

// Count is the number of consumers.
func (s *Set) Count() int { return len(s.f.Records) }

// Published is what the authority log says of the set. A kiosk takes a set only
// under an entry that equals it.
func (s *Set) Published() *event.DuesPublished {
	h := s.f.Header
	return &event.DuesPublished{Biller: h.Biller.Code, Object: s.hash, Bytes: uint64(s.bytes), AsOfMs: h.AsOfMs, Pepper: h.Pepper, Count: h.Count}
}

// Found is one consumer's bill.
type Found struct {
	Masked, BillNo, Period string
	Due                    ledger.Paise // 0: nothing is owed
	DueDay                 uint32
	Bill, Account          event.BillKey
}

// Lookup opens the record of a canonical consumer number. It returns
// ErrUnknownNumber, or an error that wraps ledger.ErrMalformed when the record is
// there and does not open.
func (s *Set) Lookup(pepper event.Pepper, account string) (Found, error) {
	key, err := event.AccountKeyOf(pepper, s.f.Header.Biller.Code, account)
	if err != nil {
		return Found{}, err
	}
	i := sort.Search(len(s.f.Records), func(i int) bool { return s.key(i) >= string(key[:]) })
	if i == len(s.f.Records) || s.key(i) != string(key[:]) {
		return Found{}, ErrUnknownNumber
	}
	opener, err := s.f.Header.sealer(pepper)
	if err != nil {
		return Found{}, err
	}
	r, err := opener.open(key, account, s.f.Records[i][keyBytes:])
	if err != nil {
		return Found{}, fmt.Errorf("record %d of the dues set: %w", i, err)
	}
	bill, err := event.BillKeyOf(pepper, s.f.Header.Biller.Code, account, r.Period)
	if err != nil {
		return Found{}, err
	}
	return Found{Masked: r.Masked, BillNo: r.BillNo, Period: r.Period, Due: r.Due, DueDay: r.DueDay, Bill: bill, Account: key}, nil
}
