package object

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"slices"

	"filippo.io/edwards25519"

	"rasid/ledger"
	"rasid/ledger/event"
)

const (
	pepperDomain  = "rasid/pepper/1"
	rowsMax       = 10_000
	rowNameBytes  = 8
	rowBytes      = rowNameBytes + encBytes + 32 + tagBytes
	pepperSecrets = 32
)

// ErrLeftOut is returned when a pepper set has no row for the machine: it is not to
// have that pepper.
var ErrLeftOut = errors.New("the pepper set has no row for this machine")

type pepperSet struct {
	_       struct{} `cbor:",toarray"`
	Version uint8
	Number  uint32
	Rows    [][]byte
}

// BuildPepperSet seals the pepper of the number to each machine by its machine key
// (LEDGER.md §10.3). Whoever is left out cannot read it.
func BuildPepperSet(number uint32, pepper event.Pepper, machines []ed25519.PublicKey) ([]byte, error) {
	set := pepperSet{Version: version, Number: number}
	for _, m := range machines {
		row, err := sealRow(number, pepper, m)
		if err != nil {
			return nil, err
		}
		set.Rows = append(set.Rows, row)
	}
	slices.SortFunc(set.Rows, bytes.Compare)
	if err := set.check(); err != nil {
		return nil, err
	}
	b, err := ledger.Encode(set)
	if err == nil && len(b) > ledger.ObjectMaxBytes {
		err = bad("pepper set of %d bytes, the limit is %d", len(b), ledger.ObjectMaxBytes)
	}
	return b, err
}

func pepperInfo(number uint32, machine ed25519.PublicKey) ([]byte, error) {
	type info struct {
		_       struct{} `cbor:",toarray"`
		Domain  string
		Number  uint32
		Machine []byte
	}
	return ledger.Encode(info{Domain: pepperDomain, Number: number, Machine: machine})
}

// rowName finds a machine's row.
func rowName(machine ed25519.PublicKey) []byte {
	sum := sha256.Sum256(machine)
	return sum[:rowNameBytes]
}

func sealRow(number uint32, pepper event.Pepper, machine ed25519.PublicKey) ([]byte, error) {
	if err := ledger.CheckKey(machine); err != nil {
		return nil, err
	}
	point, err := new(edwards25519.Point).SetBytes(machine)
	if err != nil {
		return nil, bad("machine key %s is no point of the curve", named(machine))
	}
	to, err := hpke.DHKEM(ecdh.X25519()).NewPublicKey(point.BytesMontgomery())
	if err != nil {
		return nil, fmt.Errorf("couldn't seal a pepper to machine key %s: %w", named(machine), err)
	}
	info, err := pepperInfo(number, machine)
	if err != nil {
		return nil, err
	}
	sealed, err := hpke.Seal(to, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, pepper[:])
	if err != nil {
		return nil, fmt.Errorf("couldn't seal a pepper to machine key %s: %w", named(machine), err)
	}
	return append(rowName(machine), sealed...), nil
}

func (s pepperSet) check() error {
	if s.Version != version {
		return bad("pepper set of version %d, want %d", s.Version, version)
	}
	if s.Number == 0 {
		return bad("pepper number 0, they count from 1")
	}
	if len(s.Rows) == 0 || len(s.Rows) > rowsMax {
		return bad("pepper set of %d rows, want 1 to %d", len(s.Rows), rowsMax)
	}
	for i, r := range s.Rows {
		if len(r) != rowBytes {
			return bad("row %d has %d bytes, want %d", i, len(r), rowBytes)
		}
		if i > 0 && bytes.Compare(r[:rowNameBytes], s.Rows[i-1][:rowNameBytes]) <= 0 {
			return bad("row %d is not after the one before", i)
		}
	}
	return nil
}

// OpenPepperSet returns the pepper that the set holds for the machine, and its
// number. ErrLeftOut when it holds none, ErrSealed when its row does not open.
func OpenPepperSet(b []byte, machine ed25519.PrivateKey) (uint32, event.Pepper, error) {
	var set pepperSet
	if len(b) > ledger.ObjectMaxBytes {
		return 0, event.Pepper{}, bad("pepper set of %d bytes, the limit is %d", len(b), ledger.ObjectMaxBytes)
	}
	if err := ledger.Decode(b, &set); err != nil {
		return 0, event.Pepper{}, fmt.Errorf("pepper set: %w", err)
	}
	if err := set.check(); err != nil {
		return 0, event.Pepper{}, err
	}
	public := machine.Public().(ed25519.PublicKey)
	i, found := slices.BinarySearchFunc(set.Rows, rowName(public), func(row, name []byte) int { return bytes.Compare(row[:rowNameBytes], name) })
	if !found {
		return set.Number, event.Pepper{}, ErrLeftOut
	}
	secret := sha512.Sum512(machine.Seed())
	key, err := hpke.DHKEM(ecdh.X25519()).NewPrivateKey(secret[:32])
	if err != nil {
		return set.Number, event.Pepper{}, fmt.Errorf("couldn't take the machine key to X25519: %w", err)
	}
	info, err := pepperInfo(set.Number, public)
	if err != nil {
		return set.Number, event.Pepper{}, err
	}
	plain, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, set.Rows[i][rowNameBytes:])
	if err != nil || len(plain) != pepperSecrets {
		return set.Number, event.Pepper{}, fmt.Errorf("pepper %d: %w", set.Number, ErrSealed)
	}
	return set.Number, event.Pepper(plain), nil
}
