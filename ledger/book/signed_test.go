package book

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/internal/vector"
	"rasid/ledger/receipt"
)

// signedKiosk begins a log whose keys are real, so that its receipts and forks can be
// proven: the log key has the given name, the machine key is named by its slot.
func signedKiosk(t testing.TB, log string, slot uint32, late uint64) *script {
	t.Helper()
	s := &script{t: t, slot: slot, ordinal: 1, log: "kiosk", late: late, key: vector.Key(log)}
	s.id = ledger.LogIDOf(s.public())
	s.reopen()
	return s
}

// reopen writes entry 0.
func (s *script) reopen() {
	opened := &event.LogOpened{Currency: event.Currency}
	opened.Chain, opened.Grant = s.papers("fleet", "machine")
	s.raw = nil
	s.add(opened)
}

func (s *script) public() ed25519.PublicKey { return s.key.Public().(ed25519.PublicKey) }

// papers are the chain and the grant of a log, the chain by the fleet key and the
// grant by the machine key of the given names.
func (s *script) papers(fleet, machine string) (cert.Chain, cert.Grant) {
	s.t.Helper()
	holder := vector.Key(fmt.Sprint("machine ", s.slot))
	district, err := cert.Issue(vector.Key(fleet), cert.Certificate{Key: [32]byte(vector.Public("district")), Slot: 1, Cell: 5000, Role: cert.RoleDistrict, NotAfter: 40000})
	if err != nil {
		s.t.Fatal(err)
	}
	m, err := cert.Issue(vector.Key("district"), cert.Certificate{Key: [32]byte(holder.Public().(ed25519.PublicKey)), Slot: s.slot, Cell: 1, Role: cert.RoleKiosk, NotAfter: 40000})
	if err != nil {
		s.t.Fatal(err)
	}
	grant, err := cert.SignGrant(vector.Key(fmt.Sprint(machine, " ", s.slot)), cert.Grant{LogKey: [32]byte(s.public()), Stream: cert.StreamMain, Ordinal: 1, Reason: cert.ReasonEnrolled})
	if err != nil {
		s.t.Fatal(err)
	}
	return cert.Chain{District: district, Machine: m}, grant
}

// machine is the machine key of the log.
func (s *script) machine() [32]byte {
	m, _ := keysOf(s.slot, [][]byte{s.bytes(0)})
	return m
}

// keysOf reads machine key and log key from entry 0. A machine key of zeros is the
// slot and zeros after it.
func keysOf(slot uint32, entries [][]byte) (machine, log [32]byte) {
	machine = [32]byte{byte(slot)}
	if len(entries) == 0 {
		return machine, log
	}
	e, err := ledger.DecodeEntry(entries[0])
	if err != nil {
		return machine, log
	}
	b, err := event.Decode(e)
	if err != nil {
		return machine, log
	}
	opened, ok := b.(*event.LogOpened)
	if !ok {
		return machine, log
	}
	if opened.Chain.Machine.Key != [32]byte{} {
		machine = opened.Chain.Machine.Key
	}
	return machine, opened.Grant.LogKey
}

// paper is the office's entry about the receipt of the entry at an index.
func (s *script) paper(index uint64) *event.PaperRecovered {
	s.t.Helper()
	signed, err := receipt.Sign(s.key, receipt.Claim{Log: s.id, Slot: s.slot, Ordinal: 1, Index: index, Size: index + 2, Entry: s.bytes(index)})
	if err != nil {
		s.t.Fatal(err)
	}
	p := &event.PaperRecovered{Paper: event.Paper{Log: s.id, Slot: s.slot, Ordinal: 1, Index: index, Size: index + 2, Entry: s.bytes(index)}}
	copy(p.Sig[:], signed[len(signed)-ed25519.SignatureSize:])
	p.Chain, p.Grant = s.papers("fleet", "machine")
	return p
}

// side is the log's statement that it has the entry at an index under all its entries.
func (s *script) side(index uint64) event.Side {
	s.t.Helper()
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range at {
			out = append(out, stored[i])
		}
		return out, nil
	})
	for i := range s.raw {
		hashes, err := tlog.StoredHashes(int64(i), s.bytes(uint64(i)), reader)
		if err != nil {
			s.t.Fatal(err)
		}
		stored = append(stored, hashes...)
	}
	found, err := tlog.ProveRecord(int64(len(s.raw)), int64(index), reader)
	if err != nil {
		s.t.Fatal(err)
	}
	proof := []ledger.Hash{}
	for _, h := range found {
		proof = append(proof, ledger.Hash(h))
	}
	return event.Side{Point: ledger.SignCheckpoint(s.key, uint64(len(s.raw)), rootOf(s)), Leaf: ledger.LeafHash(s.bytes(index)), Proof: proof}
}

// forkOf is the proof that two branches of one log part at an index.
func forkOf(a, b *script, index uint64) *event.ForkShown {
	one, other := a.side(index), b.side(index)
	if bytes.Compare(one.Leaf[:], other.Leaf[:]) > 0 {
		one, other = other, one
	}
	return &event.ForkShown{Log: a.id, Index: index, Ours: one, Other: other}
}

// clone is another branch of the log, from here on.
func (s *script) clone(late uint64) *script {
	c := *s
	c.raw, c.late = append([]string(nil), s.raw...), late
	return &c
}
