// Package cert holds the bytes and the verification of certificates and grants:
// who may act for the fleet, and which key writes which log (LEDGER.md §3). It is
// pure; node/fleet issues certificates and decides who gets one.
package cert

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"rasid/ledger"
)

// Role says what a certified key may do. Numbers appear in signed bytes and are
// only ever appended.
type Role uint8

// The roles.
const (
	RoleDistrict Role = 1 // may certify machines
	RoleKiosk    Role = 2
	RoleOffice   Role = 3
	RoleAuditor  Role = 4
)

// String returns the role's word.
func (r Role) String() string {
	switch r {
	case RoleDistrict:
		return "district"
	case RoleKiosk:
		return "kiosk"
	case RoleOffice:
		return "office"
	case RoleAuditor:
		return "auditor"
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// Domain prefixes: the first bytes of everything that a fleet, district or machine
// key signs (LEDGER.md §3). No two rows of that table share a prefix.
const (
	certificatePrefix = "rasid/certificate/1\n"
	grantPrefix       = "rasid/grant/1\n"
)

// ErrRefused is returned when a certificate or grant is well-formed but proves
// nothing: a wrong signature, a wrong role, a key that does not match.
var ErrRefused = errors.New("refused")

// Certificate binds a key to a slot, a cell and a role until a day. About 110 bytes.
// In a district's, Slot and Cell hold the first and the last slot that it may
// certify, so that a stolen district key makes no machines elsewhere.
type Certificate struct {
	_        struct{} `cbor:",toarray"`
	Key      [ed25519.PublicKeySize]byte
	Slot     uint32
	Cell     uint32
	Role     Role
	NotAfter uint32 // days since 1970-01-01 UTC, the last day it admits its holder to talk
	Sig      [ed25519.SignatureSize]byte
}

type certificateClaim struct {
	_        struct{} `cbor:",toarray"`
	Key      [ed25519.PublicKeySize]byte
	Slot     uint32
	Cell     uint32
	Role     Role
	NotAfter uint32
}

func (c Certificate) signed() ([]byte, error) {
	b, err := ledger.Encode(certificateClaim{Key: c.Key, Slot: c.Slot, Cell: c.Cell, Role: c.Role, NotAfter: c.NotAfter})
	return append([]byte(certificatePrefix), b...), err
}

// Issue signs a certificate with the issuer's key: the fleet's for a district, the
// district's for a machine.
func Issue(issuer ed25519.PrivateKey, c Certificate) (Certificate, error) {
	msg, err := c.signed()
	if err != nil {
		return c, fmt.Errorf("couldn't issue certificate: %w", err)
	}
	copy(c.Sig[:], ed25519.Sign(issuer, msg))
	return c, nil
}

// PublicKey returns the certified key.
func (c Certificate) PublicKey() ed25519.PublicKey { return c.Key[:] }

// Current reports whether the certificate still admits its holder to talk at t.
// It never decides whether an entry or a receipt is valid.
func (c Certificate) Current(t time.Time) bool { return t.Unix()/86400 <= int64(c.NotAfter) }

// Certifies reports whether a district's certificate covers the slot.
func (c Certificate) Certifies(slot uint32) bool { return c.Slot <= slot && slot <= c.Cell }

func (c Certificate) verify(issuer ed25519.PublicKey) error {
	msg, err := c.signed()
	if err != nil {
		return err
	}
	if !ledger.Signed(issuer, msg, c.Sig[:]) {
		return fmt.Errorf("%w: the %s certificate of slot %d is not signed by its issuer", ErrRefused, c.Role, c.Slot)
	}
	if err := ledger.CheckKey(c.PublicKey()); err != nil {
		return fmt.Errorf("%w: the %s certificate of slot %d: %w", ErrRefused, c.Role, c.Slot, err)
	}
	return nil
}

// Chain is a machine's certificate with the district's that issued it.
type Chain struct {
	_        struct{} `cbor:",toarray"`
	District Certificate
	Machine  Certificate
}

// Verify checks the chain up to the fleet's public key and that roles are as they
// must be, and the slot the district's. It looks at no clock.
func (c Chain) Verify(fleet ed25519.PublicKey) error {
	if c.District.Role != RoleDistrict {
		return fmt.Errorf("%w: the issuing certificate has the role %s, want district", ErrRefused, c.District.Role)
	}
	if c.Machine.Role != RoleKiosk && c.Machine.Role != RoleOffice && c.Machine.Role != RoleAuditor {
		return fmt.Errorf("%w: the machine certificate has the role %s", ErrRefused, c.Machine.Role)
	}
	if err := ledger.CheckKey(fleet); err != nil {
		return fmt.Errorf("%w: the fleet's key: %w", ErrRefused, err)
	}
	if err := c.District.verify(fleet); err != nil {
		return err
	}
	if !c.District.Certifies(c.Machine.Slot) {
		return fmt.Errorf("%w: slot %d is not of this district, which has the slots %d to %d", ErrRefused, c.Machine.Slot, c.District.Slot, c.District.Cell)
	}
	return c.Machine.verify(c.District.PublicKey())
}

// DecodeChain reads a chain. It verifies nothing.
func DecodeChain(b []byte) (Chain, error) {
	var c Chain
	if err := ledger.Decode(b, &c); err != nil {
		return c, fmt.Errorf("certificate chain: %w", err)
	}
	return c, nil
}

// DecodeGrant reads a grant. It verifies nothing.
func DecodeGrant(b []byte) (Grant, error) {
	var g Grant
	if err := ledger.Decode(b, &g); err != nil {
		return g, fmt.Errorf("grant: %w", err)
	}
	return g, nil
}

// Stream tells apart the logs that one machine writes at the same time.
type Stream uint32

// The streams. A cell's log at the office is StreamCell plus the cell's number.
const (
	StreamMain       Stream = 0 // a kiosk's log
	StreamAuthority  Stream = 1
	StreamSettlement Stream = 2
	StreamCell       Stream = 16
)

// Reason says why an incarnation began.
type Reason uint8

// The reasons.
const (
	ReasonEnrolled Reason = 1
	ReasonRestored Reason = 2
	ReasonDoubt    Reason = 3
)

// Predecessor is the last known state of the log before this one.
type Predecessor struct {
	_    struct{} `cbor:",toarray"`
	Log  ledger.LogID
	Size uint64
	Root ledger.Hash
}

// Grant makes a log key the writer of one incarnation of one stream of a machine.
// The machine key signs it; nobody else is needed.
type Grant struct {
	_       struct{} `cbor:",toarray"`
	LogKey  [ed25519.PublicKeySize]byte
	Stream  Stream
	Ordinal uint32 // of the incarnation, from 1
	Reason  Reason
	Before  *Predecessor // nil for the first incarnation
	Sig     [ed25519.SignatureSize]byte
}

type grantClaim struct {
	_       struct{} `cbor:",toarray"`
	LogKey  [ed25519.PublicKeySize]byte
	Stream  Stream
	Ordinal uint32
	Reason  Reason
	Before  *Predecessor
}

func (g Grant) signed() ([]byte, error) {
	b, err := ledger.Encode(grantClaim{LogKey: g.LogKey, Stream: g.Stream, Ordinal: g.Ordinal, Reason: g.Reason, Before: g.Before})
	return append([]byte(grantPrefix), b...), err
}

// SignGrant signs a grant with the machine key.
func SignGrant(machine ed25519.PrivateKey, g Grant) (Grant, error) {
	msg, err := g.signed()
	if err != nil {
		return g, fmt.Errorf("couldn't sign grant: %w", err)
	}
	copy(g.Sig[:], ed25519.Sign(machine, msg))
	return g, nil
}

// PublicKey returns the granted log key.
func (g Grant) PublicKey() ed25519.PublicKey { return g.LogKey[:] }

// Verify checks that the machine signed the grant, that its numbers make sense and
// that the log key is one.
func (g Grant) Verify(machine ed25519.PublicKey) error {
	if g.Ordinal == 0 || g.Ordinal == 1 && g.Before != nil {
		return fmt.Errorf("%w: incarnation %d: the first has no predecessor", ErrRefused, g.Ordinal)
	}
	if g.Reason < ReasonEnrolled || g.Reason > ReasonDoubt {
		return fmt.Errorf("%w: grant for reason %d", ErrRefused, g.Reason)
	}
	msg, err := g.signed()
	if err != nil {
		return err
	}
	if !ledger.Signed(machine, msg, g.Sig[:]) {
		return fmt.Errorf("%w: the grant of log %s is not signed by the machine", ErrRefused, ledger.LogIDOf(g.PublicKey()))
	}
	if err := ledger.CheckKey(g.PublicKey()); err != nil {
		return fmt.Errorf("%w: the grant's log key: %w", ErrRefused, err)
	}
	return nil
}
