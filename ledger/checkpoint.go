package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// originPrefix begins the origin line of every log, and with it every text that a
// log key signs as a checkpoint (LEDGER.md §3, table of signed prefixes).
const originPrefix = "rasid/log/"

// Checkpoint is the signed size and root of a log. One checkpoint vouches for
// every entry before it (LEDGER.md §7).
type Checkpoint struct {
	_    struct{} `cbor:",toarray"`
	Size uint64
	Root Hash
	Sig  [ed25519.SignatureSize]byte
}

// Origin is the log's name in checkpoints.
func (id LogID) Origin() string { return originPrefix + id.String() }

// CheckpointText is the C2SP tlog-checkpoint body that the signature covers:
//
//	rasid/log/00112233445566778899aabbccddeeff
//	42
//	qINS1GRFhWHwdkUeqLEoP4yEMkTBBzxBkGwGQlVlVcs=
func CheckpointText(log LogID, size uint64, root Hash) string {
	return log.Origin() + "\n" + strconv.FormatUint(size, 10) + "\n" + base64.StdEncoding.EncodeToString(root[:]) + "\n"
}

// SignCheckpoint signs size and root. Ed25519 is deterministic, so the same state
// always gives the same bytes.
func SignCheckpoint(key ed25519.PrivateKey, size uint64, root Hash) Checkpoint {
	log := LogIDOf(key.Public().(ed25519.PublicKey))
	c := Checkpoint{Size: size, Root: root}
	copy(c.Sig[:], ed25519.Sign(key, []byte(CheckpointText(log, size, root))))
	return c
}

// Verify reports whether key signed the checkpoint and a log can be that long.
func (c Checkpoint) Verify(key ed25519.PublicKey) error {
	if c.Size > LogMaxEntries {
		return fmt.Errorf("%w checkpoint of log %s: size %d, a log ends at %d entries", ErrMalformed, LogIDOf(key), c.Size, uint64(LogMaxEntries))
	}
	if !Signed(key, []byte(CheckpointText(LogIDOf(key), c.Size, c.Root)), c.Sig[:]) {
		return fmt.Errorf("%w checkpoint of log %s at %d: the signature does not verify", ErrMalformed, LogIDOf(key), c.Size)
	}
	return nil
}

// Note returns the checkpoint as a C2SP signed note, which stock
// transparency-log tools read.
func (c Checkpoint) Note(key ed25519.PublicKey) []byte {
	log := LogIDOf(key)
	var sig [4 + ed25519.SignatureSize]byte
	binary.BigEndian.PutUint32(sig[:], noteKeyHash(log, key))
	copy(sig[4:], c.Sig[:])
	return []byte(CheckpointText(log, c.Size, c.Root) + "\n— " + log.Origin() + " " + base64.StdEncoding.EncodeToString(sig[:]) + "\n")
}

// ParseNote reads what Note wrote and verifies its signature by key. Every byte
// must be as Note would write it.
func ParseNote(b []byte, key ed25519.PublicKey) (Checkpoint, error) {
	var c Checkpoint
	log := LogIDOf(key)
	verifier, err := note.NewVerifier(VerifierKey(key))
	if err != nil {
		return c, fmt.Errorf("couldn't make a verifier for log %s: %w", log, err)
	}
	opened, err := note.Open(b, note.VerifierList(verifier))
	if err != nil {
		return c, fmt.Errorf("%w checkpoint of log %s: %w", ErrMalformed, log, err)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != log.Origin() {
		return c, fmt.Errorf("%w checkpoint: origin is not %s, or lines are missing", ErrMalformed, log.Origin())
	}
	if c.Size, err = strconv.ParseUint(lines[1], 10, 64); err != nil || c.Size > LogMaxEntries {
		return c, fmt.Errorf("%w checkpoint of log %s: size %q", ErrMalformed, log, lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != HashBytes {
		return c, fmt.Errorf("%w checkpoint of log %s: root %q", ErrMalformed, log, lines[2])
	}
	c.Root = Hash(root)
	sig, err := base64.StdEncoding.DecodeString(opened.Sigs[0].Base64)
	if err != nil || len(sig) != 4+ed25519.SignatureSize {
		return c, fmt.Errorf("%w checkpoint of log %s: signature", ErrMalformed, log)
	}
	copy(c.Sig[:], sig[4:])
	if string(c.Note(key)) != string(b) {
		return c, fmt.Errorf("%w checkpoint of log %s: not in canonical form", ErrMalformed, log)
	}
	return c, nil
}

// VerifierKey returns the log key in the form of signed-note tools.
func VerifierKey(key ed25519.PublicKey) string {
	log := LogIDOf(key)
	data := append([]byte{1}, key...)
	return fmt.Sprintf("%s+%08x+%s", log.Origin(), noteKeyHash(log, key), base64.StdEncoding.EncodeToString(data))
}

func noteKeyHash(log LogID, key ed25519.PublicKey) uint32 {
	h := sha256.New()
	h.Write([]byte(log.Origin()))
	h.Write([]byte{'\n', 1})
	h.Write(key)
	return binary.BigEndian.Uint32(h.Sum(nil))
}
