// Package ledger holds the bytes and the rules of the log: canonical CBOR,
// entries, the Merkle tree over them, checkpoints, runs, frontiers and how a
// held log grows. It is pure: no file, no socket, no goroutine, no clock and no
// randomness. The specification is docs/LEDGER.md; each function names its
// paragraph.
package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"filippo.io/edwards25519"
	"github.com/google/uuid"
)

// Limits of the format (LEDGER.md §1). A value beyond its limit is refused on
// writing and on reading.
const (
	EntryMaxBytes   = 16 << 10
	BatchMaxEntries = 64
	RunMaxEntries   = 4096
	RunMaxBytes     = 1 << 20
	ObjectMaxBytes  = 1 << 20
	BlobMaxBytes    = 1 << 10         // an object that is a sealed blob
	LogMaxEntries   = 1 << 48         // keeps the tree's int64 arithmetic far from its end
	WallMaxMs       = 253402300799999 // the end of the year 9999: every calendar can print it
	HashBytes       = sha256.Size
)

// ErrMalformed is returned for bytes that are not what the specification says.
// The text that wraps it names the place.
var ErrMalformed = errors.New("malformed")

// LogID names a log: the first 16 bytes of SHA-256 of its public key (LEDGER.md §3).
type LogID [16]byte

// LogIDOf returns the name of the log that key signs.
func LogIDOf(key ed25519.PublicKey) LogID {
	sum := sha256.Sum256(key)
	return LogID(sum[:16])
}

// String returns the 32 lower-case hexadecimal digits used in origins and folders.
func (id LogID) String() string { return hex.EncodeToString(id[:]) }

// ParseLogID reads what String wrote and nothing else.
func ParseLogID(s string) (LogID, error) {
	var id LogID
	if len(s) != 2*len(id) || strings.ToLower(s) != s {
		return id, fmt.Errorf("%w log id %q: want 32 lower-case hexadecimal digits", ErrMalformed, s)
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return id, fmt.Errorf("%w log id %q: want 32 lower-case hexadecimal digits", ErrMalformed, s)
	}
	return id, nil
}

// Hash is a SHA-256 value: a leaf, a node or the root of a log's tree, or the
// name of an object.
type Hash [HashBytes]byte

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ObjectHash names an object by its bytes (LEDGER.md §10).
func ObjectHash(b []byte) Hash { return sha256.Sum256(b) }

// Signed reports whether key signed msg (RFC 8032, LEDGER.md §3). A key of another
// length has signed nothing.
func Signed(key ed25519.PublicKey, msg, sig []byte) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, msg, sig)
}

// CheckKey refuses what is no public key to trust: another length, bytes that are
// no point of the curve or not in its one form, and the eight points of low order,
// in whose name anybody can sign (LEDGER.md §3.1). Whoever certifies, grants or
// believes a key checks it first.
func CheckKey(key ed25519.PublicKey) error {
	p, err := new(edwards25519.Point).SetBytes(key)
	if err != nil || !bytes.Equal(p.Bytes(), key) {
		return fmt.Errorf("%w public key %x: no point of the curve in its one form", ErrMalformed, []byte(key))
	}
	if new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return fmt.Errorf("%w public key %x: of low order, anybody can sign in its name", ErrMalformed, []byte(key))
	}
	return nil
}

// Position is where an entry stands.
type Position struct {
	Log   LogID
	Index uint64
}

// String returns log and index as used in messages.
func (p Position) String() string { return fmt.Sprintf("%s/%d", p.Log, p.Index) }

// EntryName derives the entry's name for the outside world, a UUIDv8 over log id,
// index and leaf hash (LEDGER.md §3): it costs nothing on the wire, and the two
// branches of a fork get two names.
func EntryName(p Position, leaf Hash) uuid.UUID {
	h := sha256.New()
	h.Write([]byte("rasid/name/1\n"))
	h.Write(p.Log[:])
	_ = binary.Write(h, binary.BigEndian, p.Index) // a hash never fails
	h.Write(leaf[:])
	u := uuid.UUID(h.Sum(nil)[:16])
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return u
}

// LeafTag returns the first four characters of the leaf hash in Crockford's
// base32, printed in receipt numbers (LEDGER.md §8).
func LeafTag(leaf Hash) string {
	enc := base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)
	return enc.EncodeToString(leaf[:])[:4]
}
