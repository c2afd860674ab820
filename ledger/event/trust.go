package event

import (
	"bytes"
	"crypto/ed25519"
	"fmt"

	"rasid/ledger"
	"rasid/ledger/cert"
)

// Accepted is a state of a log of a revoked machine: the entries under it count.
type Accepted struct {
	_    struct{} `cbor:",toarray"`
	Log  ledger.LogID
	Size uint64
	Root ledger.Hash
}

// MachineRevoked says that a machine no longer belongs to the fleet, and which
// entries of its logs count. Everything else of it is held until it is decided.
type MachineRevoked struct {
	Machine  [ed25519.PublicKeySize]byte `cbor:"0,keyasint"` // its machine key
	Accepted []Accepted                  `cbor:"1,keyasint"` // ascending by log, then size, then root
}

const acceptedMax = 256

// Kind returns KindMachineRevoked.
func (*MachineRevoked) Kind() ledger.Kind { return KindMachineRevoked }
func (b *MachineRevoked) check() error {
	if len(b.Accepted) > acceptedMax {
		return bad("%d tips accepted, the limit is %d", len(b.Accepted), acceptedMax)
	}
	for i, a := range b.Accepted {
		if a.Size == 0 || a.Size > ledger.LogMaxEntries {
			return bad("a tip of %d entries", a.Size)
		}
		if i > 0 && !b.Accepted[i-1].before(a) {
			return bad("tips are not in ascending order")
		}
	}
	return nil
}

func (a Accepted) before(c Accepted) bool {
	if d := bytes.Compare(a.Log[:], c.Log[:]); d != 0 {
		return d < 0
	}
	if a.Size != c.Size {
		return a.Size < c.Size
	}
	return bytes.Compare(a.Root[:], c.Root[:]) < 0
}

// Side is one side of a fork: a checkpoint, and the proof that it holds a leaf.
type Side struct {
	_     struct{} `cbor:",toarray"`
	Point ledger.Checkpoint
	Leaf  ledger.Hash
	Proof []ledger.Hash // RFC 6962 §2.1.1, from the leaf up
}

// ForkShown is the evidence that a log's writer made two histories: two statements
// of its key, each proven to hold another leaf at one index. Anybody can check it
// by the log's key.
type ForkShown struct {
	Log   ledger.LogID `cbor:"0,keyasint"`
	Index uint64       `cbor:"1,keyasint"`
	Ours  Side         `cbor:"2,keyasint"` // the one with the smaller leaf
	Other Side         `cbor:"3,keyasint"`
}

const proofMax = 48 // a log ends at 2^48 entries

// Kind returns KindForkShown.
func (*ForkShown) Kind() ledger.Kind { return KindForkShown }
func (b *ForkShown) check() error {
	for _, s := range []Side{b.Ours, b.Other} {
		if s.Point.Size > ledger.LogMaxEntries || b.Index >= s.Point.Size || len(s.Proof) > proofMax {
			return bad("entry %d under a checkpoint of %d, a proof of %d hashes", b.Index, s.Point.Size, len(s.Proof))
		}
	}
	if bytes.Compare(b.Ours.Leaf[:], b.Other.Leaf[:]) >= 0 {
		return bad("the leaves of a fork are not two in ascending order")
	}
	return nil
}

// Verify checks the evidence by the key of the log: both checkpoints are its, and
// each has its leaf at the index (LEDGER.md §9.3). That the leaves are two was
// checked when it was decoded.
func (b *ForkShown) Verify(key ed25519.PublicKey) error {
	if ledger.LogIDOf(key) != b.Log {
		return bad("a fork of log %s under the key of log %s", b.Log, ledger.LogIDOf(key))
	}
	for _, s := range []Side{b.Ours, b.Other} {
		if err := s.Point.Verify(key); err != nil {
			return err
		}
		if err := ledger.VerifyInclusion(s.Proof, b.Index, s.Leaf, s.Point.Size, s.Point.Root); err != nil {
			return fmt.Errorf("log %s: %w", b.Log, err)
		}
	}
	return nil
}

// Paper is what a receipt says, as LEDGER.md §8.2 has it.
type Paper struct {
	_        struct{} `cbor:",toarray"`
	Log      ledger.LogID
	Slot     uint32
	Ordinal  uint32
	Index    uint64
	Size     uint64
	Root     ledger.Hash
	Entry    []byte
	Consumer ledger.Hash
}

// PaperRecovered is an entry that the office has from a citizen's receipt. The books
// read it as the entry itself, once, whether or not its log ever arrives. With the
// signature, grant and chain anybody can verify it (receipt.VerifyRecovered); consumer
// number and nonce, the citizen's own, stay on the paper.
type PaperRecovered struct {
	Paper Paper                       `cbor:"0,keyasint"`
	Sig   [ed25519.SignatureSize]byte `cbor:"1,keyasint"` // the receipt's, by the log key
	Grant cert.Grant                  `cbor:"2,keyasint"`
	Chain cert.Chain                  `cbor:"3,keyasint"`
}

// Kind returns KindPaperRecovered.
func (*PaperRecovered) Kind() ledger.Kind { return KindPaperRecovered }
func (b *PaperRecovered) check() error {
	p := b.Paper
	if p.Index >= p.Size || p.Size > ledger.LogMaxEntries {
		return bad("a receipt of entry %d under a checkpoint of %d", p.Index, p.Size)
	}
	if b.Chain.Machine.Role != cert.RoleKiosk || b.Grant.Stream != cert.StreamMain {
		return bad("a receipt of a machine with the role %s, stream %d", b.Chain.Machine.Role, b.Grant.Stream)
	}
	if p.Log != ledger.LogIDOf(b.Grant.PublicKey()) || p.Slot != b.Chain.Machine.Slot || p.Ordinal != b.Grant.Ordinal {
		return bad("a receipt that its grant and certificate do not name")
	}
	_, _, err := b.Recovered()
	return err
}

// Recovered returns the entry on the paper and its body.
func (b *PaperRecovered) Recovered() (ledger.Entry, Body, error) {
	e, err := ledger.DecodeEntry(b.Paper.Entry)
	if err != nil {
		return e, nil, err
	}
	if e.Kind != KindPaymentCommitted && e.Kind != KindSlipIssued && e.Kind != KindNoteUnresolved {
		return e, nil, bad("a receipt of an entry of kind %d: no payment, slip or claim", e.Kind)
	}
	body, err := Decode(e)
	return e, body, err
}
