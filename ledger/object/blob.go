package object

import (
	"crypto/ecdh"
	"crypto/hpke"
	"fmt"
	"strings"

	"rasid/ledger"
	"rasid/ledger/event"
)

// Limits of what is personal (LEDGER.md §10.2).
const (
	numberMax    = 32
	nameMaxBytes = 160
	mobileMax    = 16
	paddedBytes  = 64 // the length of what is sealed is a multiple of it
	encBytes     = 32
	tagBytes     = 16
)

// Personal is what is personal of one bill. Printed it shows nothing.
type Personal struct {
	Number string // consumer number, as typed and made canonical
	Name   string // as shown on the screen
	Mobile string // empty when none was given
}

// String hides what is personal from messages and logs.
func (Personal) String() string { return "(personal)" }

// GoString hides it from %#v as well.
func (Personal) GoString() string { return "(personal)" }

// Purpose is what a blob is for: it opens under the entry it was made for and under
// no other.
type Purpose struct {
	Log  ledger.LogID  // of the kiosk
	Bill event.BillKey // that the sale selected
}

type blob struct {
	_          struct{} `cbor:",toarray"`
	Version    uint8
	Seal       uint32
	Enc        [encBytes]byte
	Ciphertext []byte
}

type content struct {
	_       struct{} `cbor:",toarray"`
	Number  string
	Name    string
	Mobile  string
	Padding []byte
}

const (
	blobDomain    = "rasid/blob/1"
	contentDomain = "rasid/blob/content"
)

func (p Purpose) info(seal uint32) ([]byte, error) {
	type info struct {
		_      struct{} `cbor:",toarray"`
		Domain string
		Seal   uint32
		Log    ledger.LogID
		Bill   event.BillKey
	}
	return ledger.Encode(info{Domain: blobDomain, Seal: seal, Log: p.Log, Bill: p.Bill})
}

// Seal makes a sealed blob for the office (LEDGER.md §10.2), and the content key that
// opens this one blob. The error never holds what is personal.
func Seal(to SealKey, p Purpose, what Personal) ([]byte, ContentKey, error) {
	plain, err := what.encode()
	if err != nil {
		return nil, ContentKey{}, err
	}
	public, err := hpke.DHKEM(ecdh.X25519()).NewPublicKey(to.Public[:])
	if err != nil || to.Number == 0 {
		return nil, ContentKey{}, bad("seal key %d is no key to seal to", to.Number)
	}
	info, err := p.info(to.Number)
	if err != nil {
		return nil, ContentKey{}, err
	}
	enc, sender, err := hpke.NewSender(public, hpke.HKDFSHA256(), hpke.ExportOnly(), info)
	if err != nil {
		return nil, ContentKey{}, fmt.Errorf("couldn't seal to seal key %d: %w", to.Number, err)
	}
	raw, err := sender.Export(contentDomain, len(ContentKey{}))
	if err != nil {
		return nil, ContentKey{}, fmt.Errorf("couldn't seal to seal key %d: %w", to.Number, err)
	}
	key := ContentKey(raw)
	aead, nonce, err := key.aead()
	if err != nil {
		return nil, ContentKey{}, err
	}
	b, err := ledger.Encode(blob{Version: version, Seal: to.Number, Enc: [encBytes]byte(enc), Ciphertext: aead.Seal(nil, nonce, plain, nil)})
	return b, key, err
}

// decodeBlob checks the form and nothing that a key is needed for.
func decodeBlob(b []byte) (blob, error) {
	var f blob
	if len(b) > ledger.BlobMaxBytes {
		return f, bad("blob of %d bytes, the limit is %d", len(b), ledger.BlobMaxBytes)
	}
	if err := ledger.Decode(b, &f); err != nil {
		return f, fmt.Errorf("blob: %w", err)
	}
	if f.Version != version {
		return f, bad("blob of version %d, want %d", f.Version, version)
	}
	if f.Seal == 0 {
		return f, bad("blob for seal key 0, they count from 1")
	}
	if n := len(f.Ciphertext) - tagBytes; n <= 0 || n%paddedBytes != 0 {
		return f, bad("ciphertext of %d bytes, want a multiple of %d and %d more", len(f.Ciphertext), paddedBytes, tagBytes)
	}
	return f, nil
}

// SealedTo is the number of the seal key that opens the blob.
func SealedTo(b []byte) (uint32, error) {
	f, err := decodeBlob(b)
	return f.Seal, err
}

// Open opens a blob with the office's key. ErrSealed when it is well-formed and this
// key and purpose are not its own; ledger.ErrMalformed for bytes that are no blob, or
// that hold none even though they open.
func Open(with OpenKey, p Purpose, b []byte) (Personal, error) {
	f, err := decodeBlob(b)
	if err != nil {
		return Personal{}, err
	}
	if f.Seal != with.Number {
		return Personal{}, fmt.Errorf("blob for seal key %d, the key is %d: %w", f.Seal, with.Number, ErrSealed)
	}
	info, err := p.info(f.Seal)
	if err != nil {
		return Personal{}, err
	}
	recipient, err := hpke.NewRecipient(f.Enc[:], with.secret, hpke.HKDFSHA256(), hpke.ExportOnly(), info)
	if err != nil {
		return Personal{}, fmt.Errorf("blob for seal key %d: %w: %w", f.Seal, ErrSealed, err)
	}
	raw, err := recipient.Export(contentDomain, len(ContentKey{}))
	if err != nil {
		return Personal{}, fmt.Errorf("blob for seal key %d: %w: %w", f.Seal, ErrSealed, err)
	}
	return f.open(ContentKey(raw))
}

// OpenContent opens a blob with its content key, as Open does.
func OpenContent(key ContentKey, b []byte) (Personal, error) {
	f, err := decodeBlob(b)
	if err != nil {
		return Personal{}, err
	}
	return f.open(key)
}

func (f blob) open(key ContentKey) (Personal, error) {
	aead, nonce, err := key.aead()
	if err != nil {
		return Personal{}, err
	}
	plain, err := aead.Open(nil, nonce, f.Ciphertext, nil)
	if err != nil {
		return Personal{}, fmt.Errorf("blob for seal key %d: %w", f.Seal, ErrSealed)
	}
	var c content
	if err := ledger.Decode(plain, &c); err != nil {
		return Personal{}, bad("what the blob holds is not of its form") // the reason could quote it
	}
	p := Personal{Number: c.Number, Name: c.Name, Mobile: c.Mobile}
	again, err := p.encode()
	if err != nil {
		return Personal{}, err
	}
	if string(again) != string(plain) {
		return Personal{}, bad("what the blob holds is padded otherwise")
	}
	return p, nil
}

func (p Personal) check() error {
	switch {
	case len(p.Number) == 0 || !visible(p.Number, numberMax):
		return bad("consumer number of %d bytes, want 1 to %d printable ASCII characters", len(p.Number), numberMax)
	case !visible(p.Mobile, mobileMax):
		return bad("mobile number of %d bytes, want at most %d printable ASCII characters", len(p.Mobile), mobileMax)
	case len(p.Name) > nameMaxBytes:
		return bad("name of %d bytes, want at most %d", len(p.Name), nameMaxBytes)
	case !event.PlainText(p.Name):
		return bad("the name holds a control character")
	}
	return nil
}

// encode writes what is sealed, padded.
func (p Personal) encode() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	c := content{Number: p.Number, Name: p.Name, Mobile: p.Mobile}
	b, err := ledger.Encode(c)
	if err != nil {
		return nil, bad("what is personal cannot be encoded")
	}
	// The head of the padding takes one byte up to 23 zeros and two beyond, so that one
	// length may be out of reach: then the next multiple is taken.
	for want := (len(b) + paddedBytes - 1) / paddedBytes * paddedBytes; ; want += paddedBytes {
		for zeros := max(0, want-len(b)-1); zeros <= want-len(b); zeros++ {
			c.Padding = make([]byte, zeros)
			if padded, err := ledger.Encode(c); err == nil && len(padded) == want {
				return padded, nil
			}
		}
	}
}

// visible reports whether s is printable ASCII without spaces, at most max bytes.
func visible(s string, max int) bool {
	return len(s) <= max && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
