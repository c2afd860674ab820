package ledger_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"maps"
	"strings"
	"testing"

	"rasid/ledger"
	"rasid/ledger/internal/vector"
)

func checkpointVectors(t *testing.T) []vector.Vector {
	key := vector.Public("log")
	l, entries := smallLog(t, "log", 7)
	c := mustRun(t, l, vector.Key("log"), entries).End
	note := string(c.Note(key))
	of := map[string]string{"public-key": hex.EncodeToString(key), "verifier": ledger.VerifierKey(key)}
	text := func(name, class, reason, s string) vector.Vector {
		return vector.Vector{Name: name, Spec: "§7.3", Expect: class, Reason: reason, Text: true, Data: []byte(s), With: of}
	}
	size := func(n uint64) string {
		return string(ledger.SignCheckpoint(vector.Key("log"), n, c.Root).Note(key))
	}
	body, sig, _ := strings.Cut(note, "\n\n")
	other := map[string]string{"public-key": hex.EncodeToString(vector.Public("other log")), "verifier": ledger.VerifierKey(vector.Public("other log"))}
	foreign := text("other-log", vector.Signature, "checkpoint of log", note)
	foreign.With = other
	return []vector.Vector{
		text("size-7", vector.OK, "", note),
		text("size-max", vector.OK, "", size(ledger.LogMaxEntries)),
		foreign,
		text("size-altered", vector.Signature, "checkpoint of log", strings.Replace(note, "\n7\n", "\n8\n", 1)),
		text("root-altered", vector.Signature, "checkpoint of log", strings.Replace(note, body[len(body)-10:len(body)-1], "AAAAAAAAA", 1)),
		text("origin-altered", vector.Signature, "checkpoint of log", strings.Replace(note, "rasid/log", "rasid/dog", 1)),
		text("size-beyond-limit", vector.Limit, "size \"281474976710657\"", size(ledger.LogMaxEntries+1)),
		text("size-leading-zero", vector.Canonical, "canonical form", resigned(t, strings.Replace(body, "\n7\n", "\n07\n", 1))),
		text("size-plus", vector.Canonical, "size \"+7\"", resigned(t, strings.Replace(body, "\n7\n", "\n+7\n", 1))),
		text("extension-line", vector.Form, "lines are missing", resigned(t, body+"\nmore")),
		text("two-signatures", vector.Canonical, "canonical form", note+strings.TrimPrefix(sig, "\n")),
		text("no-final-newline", vector.Form, "checkpoint of log", strings.TrimSuffix(note, "\n")),
		text("line-ends-crlf", vector.Form, "checkpoint of log", strings.ReplaceAll(note, "\n", "\r\n")),
		text("no-signature", vector.Form, "checkpoint of log", body+"\n\n"),
		text("nothing", vector.Form, "checkpoint of log", ""),
	}
}

func TestCheckpointVectors(t *testing.T) {
	vector.Keep(t, "checkpoint", checkpointVectors(t))
	for _, v := range vector.Load(t, "checkpoint") {
		key := v.Hex(t, "public-key")
		c, err := ledger.ParseNote(v.Data, key)
		v.Judge(t, err, ledger.ErrMalformed)
		if err != nil {
			continue
		}
		if err := c.Verify(key); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		if !bytes.Equal(c.Note(key), v.Data) {
			t.Errorf("%s: prints as %q", v.Name, c.Note(key))
		}
		if got := ledger.VerifierKey(key); got != v.With["verifier"] {
			t.Errorf("%s: verifier key %s", v.Name, got)
		}
	}
}

// runVectors are decoded, then extend the log that holds the first `held` entries.
func runVectors(t *testing.T) []vector.Vector {
	key := vector.Key("log")
	l, entries := smallLog(t, "log", 5)
	whole := mustRun(t, l, key, entries)
	two, _, err := l.Extend(mustRun(t, l, key, entries[:2]))
	if err != nil {
		t.Fatal(err)
	}
	later := mustRun(t, two, key, entries[2:])
	with := map[string]string{"public-key": hex.EncodeToString(l.Key), "held": "0"}
	enc := func(r ledger.Run) []byte {
		b, err := ledger.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	v := []vector.Vector{good("from-0", "§9.1", enc(whole)), good("from-2", "§9.1", enc(later))}
	v[1].With = map[string]string{"public-key": with["public-key"], "held": "2"}
	add := func(name, class, reason string, b []byte) {
		v = append(v, bad(name, "§9.1", class, reason, b))
	}
	change := func(name, class, reason string, f func(*ledger.Run)) {
		r := whole
		r.Entries = append([][]byte(nil), whole.Entries...)
		f(&r)
		add(name, class, reason, enc(r))
	}
	change("no-entry", vector.Limit, "0 entries", func(r *ledger.Run) { r.Entries, r.End.Size = nil, 0 })
	change("4097-entries", vector.Limit, "4097 entries", func(r *ledger.Run) { r.Entries, r.End.Size = make([][]byte, 4097), 4097 })
	change("end-elsewhere", vector.Form, "do not end at 6", func(r *ledger.Run) { r.End.Size = 6 })
	change("beyond-log", vector.Limit, "do not end at", func(r *ledger.Run) { r.First, r.End.Size = ledger.LogMaxEntries+1, ledger.LogMaxEntries+6 })
	change("branch-at-0", vector.Form, "another branch", func(r *ledger.Run) { r.Branch[0] ^= 1 })
	change("entry-not-canonical", vector.Canonical, "entry 1", func(r *ledger.Run) { r.Entries[1] = unhex(t, "a3 00 1801 01 83 00 00 00 02 a0") })
	change("entry-empty", vector.Form, "cut short", func(r *ledger.Run) { r.Entries[1] = nil })
	change("entry-altered", vector.Signature, "do not lead to its checkpoint", func(r *ledger.Run) { r.Entries[1] = entryOf(t, 30) })
	change("entries-swapped", vector.Signature, "do not lead to its checkpoint", func(r *ledger.Run) { r.Entries[1], r.Entries[2] = r.Entries[2], r.Entries[1] })
	change("root-altered", vector.Signature, "the signature does not verify", func(r *ledger.Run) { r.End.Root[0] ^= 1 })
	change("signature-altered", vector.Signature, "the signature does not verify", func(r *ledger.Run) { r.End.Sig[5] ^= 1 })
	change("other-log", vector.Signature, "it is of log", func(r *ledger.Run) { r.Log[0] ^= 1 })
	add("trailing-byte", vector.Form, "after the value", append(enc(whole), 0))
	add("cut-short", vector.Form, "cut short", enc(whole)[:200])
	astray := later
	astray.Branch[0] ^= 1
	add("branch-altered", vector.Form, "do not lead to its checkpoint", enc(astray))
	v[len(v)-1].With = v[1].With
	for i := range v {
		if v[i].With == nil {
			v[i].With = maps.Clone(with)
		}
	}
	return v
}

func TestRunVectors(t *testing.T) {
	vector.Keep(t, "run", runVectors(t))
	_, entries := smallLog(t, "log", 5)
	for _, v := range vector.Load(t, "run") {
		l := ledger.Log{Key: v.Hex(t, "public-key")}
		if v.With["held"] == "2" {
			var err error
			if l, _, err = l.Extend(mustRun(t, l, vector.Key("log"), entries[:2])); err != nil {
				t.Fatal(err)
			}
		}
		r, err := ledger.DecodeRun(v.Data)
		if err == nil {
			if again, err := r.Encode(); err != nil || !bytes.Equal(again, v.Data) {
				t.Errorf("%s: encodes as %x, %v", v.Name, again, err)
			}
			_, _, err = l.Extend(r)
		}
		v.Judge(t, err, ledger.ErrMalformed)
	}
}

func TestNoCheckpointIsLongerThanALog(t *testing.T) {
	c := ledger.SignCheckpoint(vector.Key("log"), ledger.LogMaxEntries+1, ledger.Hash{})
	if err := c.Verify(vector.Public("log")); !errors.Is(err, ledger.ErrMalformed) {
		t.Errorf("a checkpoint beyond the limit verifies: %v", err)
	}
}

// What is written by hand is what the door to CBOR writes, at every width of a number.
func TestWrittenAsByTheDoor(t *testing.T) {
	edges := []uint64{0, 1, 23, 24, 255, 256, 65_535, 65_536, 1<<32 - 1, 1 << 32, ledger.WallMaxMs, 1<<63 - 1}
	entry := func(e ledger.Entry) []byte {
		t.Helper()
		want, err := ledger.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ledger.EncodeEntry(e)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("an entry is written as %.80x, %v; the door writes %.80x", got, err, want)
		}
		return got
	}
	var entries [][]byte
	for _, n := range edges {
		e := ledger.Entry{Kind: ledger.Kind(n & 0xffff), Time: ledger.Time{WallMs: min(n, ledger.WallMaxMs), Quality: ledger.TimeQuality(n % 5), BootMs: n}}
		for _, size := range []uint64{0, 24, 256, min(n, 16_000)} {
			body, err := ledger.Encode(map[uint64][]byte{0: make([]byte, size)})
			if err != nil {
				t.Fatal(err)
			}
			e.Body = body
			entries = append(entries, entry(e))
		}
	}
	for _, n := range edges {
		first := min(n, ledger.LogMaxEntries)
		for _, count := range []int{1, 23, 24, len(entries)} {
			r := ledger.Run{First: first, Entries: entries[:count], End: ledger.Checkpoint{Size: first + uint64(count)}}
			if first == 0 {
				root := ledger.Edge{}.Root()
				r.Branch = [ledger.BranchBytes]byte(root[:])
			}
			want, err := ledger.Encode(r)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := r.Encode(); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("a run of %d from %d is written as %.80x, %v; the door writes %.80x", count, first, got, err, want)
			}
		}
	}
}
