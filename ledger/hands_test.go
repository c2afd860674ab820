package ledger_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"rasid/ledger"
	"rasid/ledger/internal/vector"
)

// The tests in this file compare with hands other than ours.

// stockSigner is the note package's own signer over the key named "log".
func stockSigner(t testing.TB) note.Signer {
	t.Helper()
	key := vector.Key("log")
	id := ledger.LogIDOf(vector.Public("log"))
	hash := sha256.Sum256(append([]byte("rasid/log/"+id.String()+"\n\x01"), vector.Public("log")...))
	s, err := note.NewSigner("PRIVATE+KEY+rasid/log/" + id.String() + "+" + hex.EncodeToString(hash[:4]) + "+" + b64(append([]byte{1}, key.Seed()...)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// resigned signs the text of a note, which need not be one that we would write.
func resigned(t testing.TB, text string) string {
	t.Helper()
	b, err := note.Sign(&note.Note{Text: text + "\n"}, stockSigner(t))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStockNoteWritesOurCheckpoint(t *testing.T) {
	l, entries := smallLog(t, "log", 7)
	c := mustRun(t, l, vector.Key("log"), entries).End
	body := ledger.CheckpointText(l.ID(), c.Size, c.Root)
	if got := resigned(t, body[:len(body)-1]); got != string(c.Note(l.Key)) {
		t.Errorf("the note package writes\n%s\nwe write\n%s", got, c.Note(l.Key))
	}
}

func TestStockNoteOpensOurCheckpoint(t *testing.T) {
	opened := 0
	for _, v := range vector.Load(t, "checkpoint") {
		if v.Expect != vector.OK {
			continue
		}
		verifier, err := note.NewVerifier(v.With["verifier"])
		if err != nil {
			t.Fatal(err)
		}
		n, err := note.Open(v.Data, note.VerifierList(verifier))
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		c, err := ledger.ParseNote(v.Data, v.Hex(t, "public-key"))
		if err != nil {
			t.Fatal(err)
		}
		if want := ledger.CheckpointText(ledger.LogIDOf(v.Hex(t, "public-key")), c.Size, c.Root); n.Text != want {
			t.Errorf("%s: text %q, want %q", v.Name, n.Text, want)
		}
		opened++
	}
	if opened == 0 {
		t.Error("no good checkpoint vector")
	}
}

// TestEdgeRoots compares with tlog over all stored hashes, and with the definition
// of RFC 6962 §2.1 written out.
func TestEdgeRoots(t *testing.T) {
	var edge ledger.Edge
	var stored []tlog.Hash
	var leaves []ledger.Hash
	for n := range 301 {
		root, err := tlog.TreeHash(int64(n), tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
			out := make([]tlog.Hash, len(at))
			for i, a := range at {
				out[i] = stored[a]
			}
			return out, nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		if got := edge.Root(); got != ledger.Hash(root) || got != rfc6962(leaves) {
			t.Fatalf("root at %d is %s, tlog's %x, RFC 6962's %s", n, got, root, rfc6962(leaves))
		}
		again, err := ledger.EdgeOf(edge.Size(), edge.Hashes())
		if err != nil || again.Root() != edge.Root() || again.Size() != uint64(n) {
			t.Fatalf("an edge of %d does not come back from its hashes: %v", n, err)
		}
		record := binary.BigEndian.AppendUint64(nil, uint64(n)*0x9e3779b97f4a7c15)
		more, err := tlog.StoredHashes(int64(n), record, tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
			out := make([]tlog.Hash, len(at))
			for i, a := range at {
				out[i] = stored[a]
			}
			return out, nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
		leaves = append(leaves, ledger.LeafHash(record))
		before := edge
		if edge, err = again.Append(ledger.LeafHash(record)); err != nil {
			t.Fatal(err)
		}
		if before.Size() != uint64(n) || before.Root() != ledger.Hash(root) {
			t.Fatalf("appending changed the edge of %d", n)
		}
	}
	var whole ledger.Edge
	whole, err := whole.Append(leaves...)
	if err != nil || whole.Root() != edge.Root() {
		t.Errorf("301 leaves at once give another root: %v", err)
	}
}

func rfc6962(leaves []ledger.Hash) ledger.Hash {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	left, right := rfc6962(leaves[:k]), rfc6962(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

func TestEdgeRefuses(t *testing.T) {
	if _, err := ledger.EdgeOf(3, make([]ledger.Hash, 1)); err == nil {
		t.Error("an edge of 3 is made from one hash")
	}
	if _, err := ledger.EdgeOf(3, make([]ledger.Hash, 3)); err == nil {
		t.Error("an edge of 3 is made from three hashes")
	}
	if _, err := ledger.EdgeOf(ledger.LogMaxEntries+1, make([]ledger.Hash, 2)); err == nil {
		t.Error("an edge beyond the limit is made")
	}
	full, err := ledger.EdgeOf(ledger.LogMaxEntries, make([]ledger.Hash, 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := full.Append(ledger.Hash{}); err == nil {
		t.Error("a full log grows")
	}
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
