// Package receipt holds the signed receipt and its QR text: the whole payment
// entry under the log key's signature, with everything needed to verify it by the
// fleet's public key alone (LEDGER.md §8). It is pure.
package receipt

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

// Limits of the format.
const (
	qrPrefix         = "RASID1:"
	qrMaxChars       = 3391 // what a version-40 QR code of level M holds in alphanumeric mode
	receiptMaxBytes  = ledger.EntryMaxBytes + 512
	consumerMaxBytes = 32
	nonceBytes       = 16
)

// externalAAD separates receipts from everything else that a log key signs through COSE.
const externalAAD = "rasid/receipt/1"

// protectedHeader is the CBOR map {1: -8}: EdDSA, the number that every COSE
// library tried verifies.
var protectedHeader = [3]byte{0xa1, 0x01, 0x27}

// coseTag is tag 18, COSE_Sign1, as its one byte.
const coseTag = 0xd2

// ErrRefused is returned when a receipt or QR text is well-formed and does not
// prove what it says.
var ErrRefused = errors.New("the receipt does not verify")

// Claim is what the log key signs.
type Claim struct {
	_        struct{} `cbor:",toarray"`
	Log      ledger.LogID
	Slot     uint32 // of the machine, as in its certificate
	Ordinal  uint32 // of the log's incarnation, as in the grant
	Index    uint64
	Size     uint64 // of the checkpoint that made the entry durable
	Root     ledger.Hash
	Entry    []byte
	Consumer ledger.Hash // SHA-256(consumer number as printed ‖ nonce)
}

// Nonce is what keeps a consumer number from being guessed from its hash. It is
// derived from the log key's secret and the index, so a reprint is the same bytes.
type Nonce [nonceBytes]byte

// NonceFor derives the nonce of the entry at index.
func NonceFor(key ed25519.PrivateKey, index uint64) Nonce {
	mac := hmac.New(sha256.New, key.Seed())
	mac.Write([]byte("rasid/nonce/1\n"))
	_ = binary.Write(mac, binary.BigEndian, index) // a hash never fails
	return Nonce(mac.Sum(nil)[:nonceBytes])
}

// ConsumerHash binds a consumer number to a receipt.
func ConsumerHash(number string, n Nonce) ledger.Hash {
	return sha256.Sum256(append([]byte(number), n[:]...))
}

type coseSign1 struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected struct{}
	Payload     []byte
	Signature   []byte
}

type sigStructure struct {
	_         struct{} `cbor:",toarray"`
	Context   string
	Protected []byte
	AAD       []byte
	Payload   []byte
}

func toBeSigned(payload []byte) ([]byte, error) {
	return ledger.Encode(sigStructure{Context: "Signature1", Protected: protectedHeader[:], AAD: []byte(externalAAD), Payload: payload})
}

// Sign makes the receipt: COSE_Sign1 bytes, the same for the same claim.
func Sign(key ed25519.PrivateKey, c Claim) ([]byte, error) {
	if c.Log != ledger.LogIDOf(key.Public().(ed25519.PublicKey)) {
		return nil, fmt.Errorf("couldn't sign receipt: the key is not that of log %s", c.Log)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("couldn't sign receipt: %w", err)
	}
	payload, err := ledger.Encode(c)
	if err != nil {
		return nil, fmt.Errorf("couldn't sign receipt: %w", err)
	}
	msg, err := toBeSigned(payload)
	if err != nil {
		return nil, fmt.Errorf("couldn't sign receipt: %w", err)
	}
	b, err := ledger.Encode(coseSign1{Protected: protectedHeader[:], Payload: payload, Signature: ed25519.Sign(key, msg)})
	if err != nil {
		return nil, fmt.Errorf("couldn't sign receipt: %w", err)
	}
	return append([]byte{coseTag}, b...), nil
}

func (c Claim) check() error {
	if c.Index >= c.Size || c.Size > ledger.LogMaxEntries {
		return fmt.Errorf("%w receipt: entry %d under a checkpoint of %d", ledger.ErrMalformed, c.Index, c.Size)
	}
	if _, err := ledger.DecodeEntry(c.Entry); err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	return nil
}

// Verify reads a receipt and checks its signature by the log key.
func Verify(key ed25519.PublicKey, b []byte) (Claim, error) {
	if len(b) > receiptMaxBytes {
		return Claim{}, fmt.Errorf("%w receipt: %d bytes, the limit is %d", ledger.ErrMalformed, len(b), receiptMaxBytes)
	}
	if len(b) == 0 || b[0] != coseTag {
		return Claim{}, fmt.Errorf("%w receipt: it does not begin with the COSE_Sign1 tag", ledger.ErrMalformed)
	}
	var s coseSign1
	if err := ledger.Decode(b[1:], &s); err != nil {
		return Claim{}, fmt.Errorf("receipt: %w", err)
	}
	if !bytes.Equal(s.Protected, protectedHeader[:]) {
		return Claim{}, fmt.Errorf("%w receipt: the protected header is not {1: -8}", ledger.ErrMalformed)
	}
	var c Claim
	if err := ledger.Decode(s.Payload, &c); err != nil {
		return Claim{}, fmt.Errorf("receipt payload: %w", err)
	}
	if err := c.check(); err != nil {
		return Claim{}, err
	}
	msg, err := toBeSigned(s.Payload)
	if err != nil {
		return Claim{}, err
	}
	if c.Log != ledger.LogIDOf(key) || !ledger.Signed(key, msg, s.Signature) {
		return Claim{}, fmt.Errorf("%w: the log key did not sign it", ErrRefused)
	}
	return c, nil
}

// Proof is what the QR code carries: a receipt, the consumer number that it binds,
// and the certificates that lead from the fleet's key to the log key.
type Proof struct {
	_        struct{} `cbor:",toarray"`
	Receipt  []byte
	Consumer string
	Nonce    Nonce
	Grant    cert.Grant
	Machine  cert.Certificate
	District cert.Certificate
}

// Text returns the text of the QR code: RASID1: and base45, upper case only, so
// that the code is in alphanumeric mode.
func (p Proof) Text() (string, error) {
	if err := p.check(); err != nil {
		return "", err
	}
	b, err := ledger.Encode(p)
	if err != nil {
		return "", fmt.Errorf("couldn't write the QR text: %w", err)
	}
	text := qrPrefix + encodeBase45(b)
	if len(text) > qrMaxChars {
		return "", fmt.Errorf("couldn't write the QR text: %d characters, a QR code holds %d", len(text), qrMaxChars)
	}
	return text, nil
}

func (p Proof) check() error {
	if len(p.Consumer) > consumerMaxBytes {
		return fmt.Errorf("%w QR text: consumer number of %d bytes, the limit is %d", ledger.ErrMalformed, len(p.Consumer), consumerMaxBytes)
	}
	for i := range len(p.Consumer) {
		// It is printed and shown to people before anything is verified.
		if p.Consumer[i] <= ' ' || p.Consumer[i] > '~' {
			return fmt.Errorf("%w QR text: consumer number %q, want printable ASCII without spaces", ledger.ErrMalformed, p.Consumer)
		}
	}
	return nil
}

// ParseText reads a QR text, with or without space around it: base45 never ends in
// a space, though it has one. It verifies nothing; damage is named by its place.
func ParseText(text string) (Proof, error) {
	var p Proof
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, qrPrefix) {
		return p, fmt.Errorf("%w QR text: it does not begin with %s (another kind of code?)", ledger.ErrMalformed, qrPrefix)
	}
	if len(text) > qrMaxChars {
		return p, fmt.Errorf("%w QR text: %d characters, a QR code holds %d", ledger.ErrMalformed, len(text), qrMaxChars)
	}
	b, err := decodeBase45(text[len(qrPrefix):])
	if err != nil {
		return p, fmt.Errorf("%w QR text: %w", ledger.ErrMalformed, err)
	}
	if err := ledger.Decode(b, &p); err != nil {
		return Proof{}, fmt.Errorf("QR text: %w", err)
	}
	if err := p.check(); err != nil {
		return Proof{}, err
	}
	return p, nil
}

// Verified is what a QR text proves: that this kiosk's log says so. Revocation is
// not checked; nobody offline can.
type Verified struct {
	Claim   Claim
	Entry   ledger.Entry
	Body    event.Body // *event.PaymentCommitted, *event.SlipIssued or *event.NoteUnresolved
	Grant   cert.Grant
	Machine cert.Certificate
	Number  string // the receipt number
}

// mayGive checks that a machine of the fleet may give receipts under the grant.
func mayGive(fleet ed25519.PublicKey, chain cert.Chain, grant cert.Grant) error {
	if err := chain.Verify(fleet); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err := grant.Verify(chain.Machine.PublicKey()); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if chain.Machine.Role != cert.RoleKiosk || grant.Stream != cert.StreamMain {
		return fmt.Errorf("%w: only a kiosk gives receipts", ErrRefused)
	}
	return nil
}

// VerifyRecovered checks a receipt that the office has entered, with nothing but the
// fleet's public key: all of LEDGER.md §8.5 but the consumer hash, whose number and
// nonce stay on the paper. That log, slot, incarnation and entry are as they must be
// was checked when p was decoded.
func VerifyRecovered(fleet ed25519.PublicKey, p *event.PaperRecovered) error {
	if err := mayGive(fleet, p.Chain, p.Grant); err != nil {
		return err
	}
	payload, err := ledger.Encode(p.Paper)
	if err != nil {
		return fmt.Errorf("receipt payload: %w", err)
	}
	msg, err := toBeSigned(payload)
	if err != nil {
		return err
	}
	if !ledger.Signed(p.Grant.PublicKey(), msg, p.Sig[:]) {
		return fmt.Errorf("%w: the log key did not sign it", ErrRefused)
	}
	return nil
}

// Verify checks the proof with nothing but the fleet's public key.
func (p Proof) Verify(fleet ed25519.PublicKey) (Verified, error) {
	var v Verified
	if err := mayGive(fleet, cert.Chain{District: p.District, Machine: p.Machine}, p.Grant); err != nil {
		return v, err
	}
	claim, err := Verify(p.Grant.PublicKey(), p.Receipt)
	if err != nil {
		return v, err
	}
	if claim.Slot != p.Machine.Slot || claim.Ordinal != p.Grant.Ordinal {
		// Otherwise a machine could grant itself another's log and pass off its receipts.
		return v, fmt.Errorf("%w: it was given by slot %d, incarnation %d, the certificates are of slot %d, incarnation %d", ErrRefused, claim.Slot, claim.Ordinal, p.Machine.Slot, p.Grant.Ordinal)
	}
	if ConsumerHash(p.Consumer, p.Nonce) != claim.Consumer {
		return v, fmt.Errorf("%w: it was given for another consumer number than %q", ErrRefused, p.Consumer)
	}
	entry, err := ledger.DecodeEntry(claim.Entry)
	if err != nil {
		return v, err
	}
	body, err := event.Decode(entry)
	if err != nil {
		return v, err
	}
	switch body.(type) {
	case *event.PaymentCommitted, *event.SlipIssued, *event.NoteUnresolved:
	default:
		return v, fmt.Errorf("%w: an entry of kind %d is no payment, slip or claim", ErrRefused, entry.Kind)
	}
	number := Number(p.Machine.Slot, p.Grant.Ordinal, claim.Index, ledger.LeafHash(claim.Entry))
	return Verified{Claim: claim, Entry: entry, Body: body, Grant: p.Grant, Machine: p.Machine, Number: number}, nil
}
