package ledger_test

import (
	"bytes"
	"slices"
	"testing"

	"rasid/ledger"
	"rasid/ledger/internal/vector"
)

func seeds(f *testing.F, families ...string) {
	for _, family := range families {
		for _, v := range vector.Load(f, family) {
			f.Add(v.Data)
		}
	}
}

// FuzzDecode holds that a value that is read is written as the same bytes, and that
// the checker and the decoder agree on what is canonical.
func FuzzDecode(f *testing.F) {
	seeds(f, "cbor", "entry", "run")
	f.Fuzz(func(t *testing.T, b []byte) {
		var value any
		err := ledger.Decode(b, &value)
		if canonical := ledger.CheckCanonical(b); (err == nil) != (canonical == nil) {
			t.Fatalf("decoded with %v, checked with %v", err, canonical)
		}
		if err != nil {
			return
		}
		if again, err := ledger.Encode(value); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x encodes as %x, %v", b, again, err)
		}
	})
}

func FuzzDecodeEntry(f *testing.F) {
	seeds(f, "entry")
	f.Fuzz(func(t *testing.T, b []byte) {
		kept := bytes.Clone(b)
		e, err := ledger.DecodeEntry(b)
		if err != nil {
			return
		}
		clear(b) // the entry must not live in the caller's bytes
		sameEntry(t, "entry", e, kept)
	})
}

func FuzzDecodeRun(f *testing.F) {
	seeds(f, "run")
	l := ledger.Log{Key: vector.Public("log")}
	f.Fuzz(func(t *testing.T, b []byte) {
		kept := bytes.Clone(b)
		r, err := ledger.DecodeRun(b)
		if err != nil {
			return
		}
		clear(b) // the run must not live in the caller's bytes
		if again, err := r.Encode(); err != nil || !bytes.Equal(again, kept) {
			t.Errorf("%x encodes as %x, %v", kept, again, err)
		}
		next, fresh, err := l.Extend(r)
		if err == nil && (next.Edge.Size() != r.End.Size || len(fresh) != len(r.Entries)) || err != nil && len(fresh) != 0 {
			t.Errorf("a run of %d gives %d entries, %v", len(r.Entries), len(fresh), err)
		}
	})
}

func FuzzParseNote(f *testing.F) {
	seeds(f, "checkpoint")
	key := vector.Public("log")
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ledger.ParseNote(b, key)
		if err == nil && (!bytes.Equal(c.Note(key), b) || c.Verify(key) != nil) {
			t.Errorf("%q prints as %q", b, c.Note(key))
		}
	})
}

func FuzzParseLogID(f *testing.F) {
	for _, v := range vector.Load(f, "logid") {
		f.Add(string(v.Data))
	}
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ledger.ParseLogID(s); err == nil && id.String() != s {
			t.Errorf("%q prints as %q", s, id)
		}
	})
}

// FuzzParseEntry holds the quick reader of envelopes to the door's verdict and value.
func FuzzParseEntry(f *testing.F) {
	seeds(f, "cbor", "entry")
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > ledger.EntryMaxBytes {
			return
		}
		want, wantErr := ledger.DecodeEntryByDoor(b)
		got, err := ledger.ParseEntry(b)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("parsed with %v, the door says %v", err, wantErr)
		}
		if err == nil && (got.Kind != want.Kind || got.Time != want.Time || !bytes.Equal(got.Body, want.Body)) {
			t.Errorf("parsed as %v, the door reads %v", got, want)
		}
	})
}

// FuzzParseRun does the same for runs, before their entries are looked at.
func FuzzParseRun(f *testing.F) {
	seeds(f, "cbor", "run")
	f.Fuzz(func(t *testing.T, b []byte) {
		want, wantErr := ledger.DecodeRunByDoor(b)
		got, err := ledger.ParseRun(b)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("parsed with %v, the door says %v", err, wantErr)
		}
		if err != nil {
			return
		}
		same := got.Log == want.Log && got.First == want.First && got.Branch == want.Branch && got.End == want.End &&
			slices.EqualFunc(got.Entries, want.Entries, bytes.Equal)
		if !same {
			t.Errorf("parsed as %v, the door reads %v", got, want)
		}
	})
}
