// Package object seals what entries name and do not hold: a sealed blob carries what
// is personal of a bill to the office alone (LEDGER.md §10.2), a pepper set carries a
// new pepper to each machine by itself (§10.3). It knows bytes and keys; where they
// lie is others' matter. Nothing here reads a clock, a file or the network; the
// ephemeral keys of HPKE are drawn by crypto/hpke itself, which takes no source.
package object

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/hex"
	"errors"
	"fmt"

	"rasid/ledger"
)

// version stands first in every format of this package.
const version = 1

// ErrSealed is returned for bytes that are well-formed and do not open: another key,
// another entry's, or altered.
var ErrSealed = errors.New("it does not open")

// SealKey is the public half of one of the office's numbered seal keys.
type SealKey struct {
	Number uint32
	Public [32]byte // X25519
}

// OpenKey is the private half. Printed it shows only its number.
type OpenKey struct {
	Number uint32
	secret hpke.PrivateKey
}

// NewOpenKey makes the key of the number from 32 secret bytes.
func NewOpenKey(number uint32, secret []byte) (OpenKey, error) {
	k, err := hpke.DHKEM(ecdh.X25519()).NewPrivateKey(secret)
	if err != nil || number == 0 {
		return OpenKey{}, fmt.Errorf("%w seal key %d: %d bytes", ledger.ErrMalformed, number, len(secret))
	}
	return OpenKey{Number: number, secret: k}, nil
}

// Public is the half that machines seal to.
func (k OpenKey) Public() SealKey {
	return SealKey{Number: k.Number, Public: [32]byte(k.secret.PublicKey().Bytes())}
}

// String hides the secret.
func (k OpenKey) String() string { return fmt.Sprintf("(seal key %d)", k.Number) }

// GoString hides the secret from %#v as well.
func (k OpenKey) GoString() string { return k.String() }

// ContentKey opens one blob without the seal key. Printed it shows nothing.
type ContentKey [32]byte

// String hides the secret.
func (ContentKey) String() string { return "(content key)" }

// GoString hides the secret from %#v as well.
func (ContentKey) GoString() string { return "(content key)" }

// aead is AES-256-GCM under a key that seals once: its nonce is zero.
func (k ContentKey) aead() (cipher.AEAD, []byte, error) {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't set up the cipher: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't set up the cipher: %w", err)
	}
	return gcm, make([]byte, gcm.NonceSize()), nil
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ledger.ErrMalformed, fmt.Sprintf(format, args...))
}

// named shows a hash's beginning in messages.
func named(b []byte) string { return hex.EncodeToString(b[:min(len(b), 8)]) }
