package inspect

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/storetest"
)

// ledgerOf is a ledger in memory that a test can spoil.
type ledgerOf struct {
	log     Log
	entries [][]byte
	hashed  [][]byte // what the hashes are of that are kept
	kept    []ledger.Checkpoint
	lost    []Loss
	unknown uint64
	reading func(index uint64) // called before each entry that is read
}

func (l *ledgerOf) Logs() []Log         { return []Log{l.log} }
func (l *ledgerOf) Forks() int          { return 0 }
func (l *ledgerOf) MissingObjects() int { return 0 }
func (l *ledgerOf) Lost() []Loss        { return slices.Clone(l.lost) }
func (l *ledgerOf) MarksLost() uint64   { return l.unknown }

func (l *ledgerOf) Range(_ Log, from, to uint64, f func(uint64, []byte) error) error {
	for i := from; i < to; i++ {
		if l.reading != nil {
			l.reading(i)
		}
		if i >= l.log.PrunedFrom && i < l.log.PrunedTo {
			return fmt.Errorf("entry %d is pruned", i)
		}
		if err := f(i, l.entries[i]); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledgerOf) Edge(_ Log, size uint64) (ledger.Edge, error) {
	if size > l.log.PrunedFrom && size < l.log.PrunedTo {
		return ledger.Edge{}, errors.New("pruned")
	}
	var leaves []ledger.Hash
	for _, e := range l.hashed[:size] {
		leaves = append(leaves, ledger.LeafHash(e))
	}
	return ledger.Edge{}.Append(leaves...)
}

func (l *ledgerOf) Covering(_ Log, index uint64) (ledger.Checkpoint, error) {
	for _, c := range l.kept {
		if c.Size > index {
			return c, nil
		}
	}
	return ledger.Checkpoint{}, fmt.Errorf("no checkpoint after entry %d", index)
}

func newLedger(t *testing.T) (*ledgerOf, ed25519.PublicKey) {
	t.Helper()
	fleet, err := storetest.NewFleet("inspect")
	if err != nil {
		t.Fatal(err)
	}
	m, err := fleet.Machine(cert.RoleKiosk, 7)
	if err != nil {
		t.Fatal(err)
	}
	a, err := storetest.NewAuthor(m)
	if err != nil {
		t.Fatal(err)
	}
	for n := range uint64(9) {
		e, err := storetest.Sale(n)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Write(e, e); err != nil {
			t.Fatal(err)
		}
	}
	l := &ledgerOf{log: Log{ID: a.ID(), Key: a.Log.Key, Opened: m.Opened, End: a.Log.End}, entries: a.Whole().Entries, hashed: a.Whole().Entries}
	for _, r := range a.Runs {
		l.kept = append(l.kept, r.End)
	}
	return l, fleet.Public
}

func verify(t *testing.T, l *ledgerOf, fleet ed25519.PublicKey) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := Asker{Ledger: l, Fleet: fleet, Now: func() time.Time { return time.Unix(0, 0) }}.Answer(t.Context(), Query{Do: Verify}, &out, new(bytes.Buffer))
	return out.String(), err
}

func TestVerifyFindsWhatIsSpoilt(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(l *ledgerOf)
		want  string
	}{
		"nothing":             {func(*ledgerOf) {}, ""},
		"an entry":            {func(l *ledgerOf) { e := bytes.Clone(l.entries[6]); e[len(e)-1] ^= 3; l.entries[6] = e }, "do not lead to the root"},
		"an entry's form":     {func(l *ledgerOf) { l.entries[6] = []byte{0xff} }, "entry 6: malformed"},
		"entry 0":             {func(l *ledgerOf) { l.entries[0] = l.entries[1] }, "entry 0 of log"},
		"entries exchanged":   {func(l *ledgerOf) { l.entries[4], l.entries[6] = l.entries[6], l.entries[4] }, "do not lead to the root"},
		"a signature":         {func(l *ledgerOf) { l.kept[3].Sig[5] ^= 1 }, "signature does not verify"},
		"a root":              {func(l *ledgerOf) { l.kept[3].Root[5] ^= 1 }, "do not lead to the root"},
		"the last checkpoint": {func(l *ledgerOf) { l.kept = slices.Delete(l.kept, len(l.kept)-1, len(l.kept)) }, "no checkpoint after entry 17"},
		"a checkpoint beyond": {func(l *ledgerOf) { l.kept[9].Size = 99 }, "has the size 99"},
		"the newest root":     {func(l *ledgerOf) { l.log.End.Root[0] ^= 1 }, "newest root"},
	} {
		l, fleet := newLedger(t)
		c.spoil(l)
		out, err := verify(t, l, fleet)
		if c.want == "" {
			if err != nil || !strings.HasPrefix(out, "ok ") {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
			continue
		}
		if !errors.Is(err, ErrFound) || !strings.Contains(out, "DAMAGED") || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v, want %q in\n%s", name, err, c.want, out)
		}
	}
	l, _ := newLedger(t)
	other, err := storetest.NewFleet("another")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := verify(t, l, other.Public); !errors.Is(err, ErrFound) {
		t.Errorf("the log of another fleet verifies: %v\n%s", err, out)
	}
}

// A log of which some is pruned verifies by what is kept, and every command says what
// is not here.
func TestPruned(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(l *ledgerOf)
		want  string
	}{
		"nothing":               {func(*ledgerOf) {}, "19 entries, 10 checkpoints; entries 4 to 11 are pruned here"},
		"before":                {func(l *ledgerOf) { l.entries[3] = l.entries[2] }, "do not lead to"},
		"the hashes kept":       {func(l *ledgerOf) { l.hashed[8] = l.hashed[0] }, "do not lead to"},
		"after":                 {func(l *ledgerOf) { l.entries[14] = l.entries[0] }, "do not lead to"},
		"a checkpoint in there": {func(l *ledgerOf) { l.kept[4].Sig[5] ^= 1 }, "signature does not verify"},
	} {
		l, fleet := newLedger(t)
		l.log.PrunedFrom, l.log.PrunedTo = 4, 12
		c.spoil(l)
		out, err := verify(t, l, fleet)
		if (err != nil) != (name != "nothing") || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	l, fleet := newLedger(t)
	l.log.PrunedFrom, l.log.PrunedTo = 4, 12
	for _, c := range []struct {
		q    Query
		want []string
		not  string
	}{
		{Query{Do: Stat}, []string{"entries held     11", "entries pruned   8"}, ""},
		{Query{Do: Heads}, []string{"FROM", "  12 "}, ""},
		{Query{Do: Heads, JSON: true}, []string{`"from":12`}, ""},
		{Query{Do: Show}, []string{"LogOpened", "entries 4 to 11 are pruned here"}, ""},
		{Query{Do: Show, From: 6, JSON: true}, []string{`"index":4,`, `"error":"entries 4 to 11 are pruned here"`, `"index":12,`}, `"index":3,`},
		{Query{Do: Show, From: 12}, []string{"SaleOpened"}, "pruned"},
	} {
		var out bytes.Buffer
		err := Asker{Ledger: l, Fleet: fleet, Now: time.Now}.Answer(t.Context(), c.q, &out, new(bytes.Buffer))
		for _, want := range c.want {
			if err != nil || !strings.Contains(out.String(), want) || c.not != "" && strings.Contains(out.String(), c.not) {
				t.Errorf("%+v: %v, want %q and not %q in\n%s", c.q, err, want, c.not, out.String())
			}
		}
	}
}

// What is pruned while it is verified is no damage, wherever that meets the reader; what is
// spoilt behind it is found all the same.
func TestPrunedMeanwhile(t *testing.T) {
	for _, before := range []uint64{0, 8} {
		for _, after := range []uint64{8, 12, 16} {
			for at := range uint64(19) {
				for _, spoilt := range []bool{false, true} {
					l, fleet := newLedger(t)
					if before > 0 {
						l.log.PrunedFrom, l.log.PrunedTo = 4, before
					}
					if spoilt {
						l.entries[17] = l.entries[0]
					}
					seen := l.log
					l.reading = func(index uint64) {
						if index >= at && after > before {
							l.log.PrunedFrom, l.log.PrunedTo = 4, after
						}
					}
					out, err := verify(t, l, fleet)
					if (err != nil) != spoilt {
						t.Errorf("pruned to %d, then to %d while entry %d is read, spoilt %v: %v\n%s", before, after, at, spoilt, err, out)
					}
					if after != 16 || spoilt {
						continue
					}
					// As it was when less was held: all behind that may be pruned by now.
					l.log, seen.End = seen, l.kept[5]
					m := meter{now: time.Now, w: new(bytes.Buffer)}
					if _, err := (Asker{Ledger: l, Fleet: fleet, Now: time.Now}).verifyLog(t.Context(), seen, &m); err != nil {
						t.Errorf("to %d, pruned to %d while entry %d is read: %v", seen.End.Size, after, at, err)
					}
				}
			}
		}
	}
}

// Of a pruned log that forks later, what is pruned of both branches is counted once.
func TestPrunedThenForked(t *testing.T) {
	for departs, want := range map[uint64][2]string{8: {"entries held     15\n", "entries pruned   12\n"}, 12: {"entries held     15\n", "entries pruned   8\n"}, 14: {"entries held     13\n", "entries pruned   8\n"}} {
		l, fleet := newLedger(t)
		l.log.PrunedFrom, l.log.PrunedTo = 4, 12
		branch := l.log
		branch.Branch, branch.Departs, branch.End.Size = 1, departs, 16
		var out bytes.Buffer
		err := Asker{Ledger: l, Fleet: fleet}.stat([]Log{l.log, branch}, nil, &out)
		if err != nil || !strings.Contains(out.String(), want[0]) || !strings.Contains(out.String(), want[1]) {
			t.Errorf("departs at %d: %v, want %q in\n%s", departs, err, want, out.String())
		}
	}
}

func TestVerifyCanBeBrokenOff(t *testing.T) {
	l, fleet := newLedger(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	err := Asker{Ledger: l, Fleet: fleet, Now: time.Now}.Answer(ctx, Query{Do: Verify}, new(bytes.Buffer), new(bytes.Buffer))
	if err == nil || errors.Is(err, ErrFound) || !strings.Contains(err.Error(), "broken off") {
		t.Errorf("%v", err)
	}
}

// What was held once and is not is said by every question that counts.
func TestLost(t *testing.T) {
	l, fleet := newLedger(t)
	l.lost = []Loss{{ID: l.log.ID, Had: 50, Held: 19}, {ID: ledger.LogID{0xfe}, Had: 9}, {ID: ledger.LogID{0xfe}, Had: 5}}
	l.unknown = 3
	for do, want := range map[string]string{
		Stat:   "logs cut short   2\nentries lost     40\nstarts unmarked  3\n",
		Heads:  l.log.ID.String() + "  LOST       19             50 were held here",
		Verify: "LOST     " + l.log.ID.String() + "  50 entries were held here, 19 are\nLOST     fe",
	} {
		var out bytes.Buffer
		err := Asker{Ledger: l, Fleet: fleet, Now: time.Now}.Answer(t.Context(), Query{Do: do}, &out, new(bytes.Buffer))
		if errors.Is(err, ErrFound) != (do == Verify) || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %v, want %q in\n%s", do, err, want, out.String())
		}
	}
	l.lost = nil // that more may be lost is said, and is nothing found
	var noted bytes.Buffer
	if err := (Asker{Ledger: l, Fleet: fleet, Now: time.Now}).Answer(t.Context(), Query{Do: Verify}, &noted, new(bytes.Buffer)); err != nil || !strings.Contains(noted.String(), "UNKNOWN  at 3 starts") {
		t.Errorf("%v, %s", err, noted.String())
	}
}

// Of a log that nothing is left of, too.
func TestLostJSON(t *testing.T) {
	l, fleet := newLedger(t)
	l.lost = []Loss{{ID: ledger.LogID{0xfe}, Had: 9}, {ID: ledger.LogID{0xfe}, Had: 5}}
	var out bytes.Buffer
	err := Asker{Ledger: l, Fleet: fleet, Now: time.Now}.Answer(t.Context(), Query{Do: Heads, Log: "FE", JSON: true}, &out, new(bytes.Buffer))
	if want := `{"log":"fe000000000000000000000000000000","had":9,"held":0}` + "\n" + `{"log":"fe000000000000000000000000000000","had":5,"held":0}` + "\n"; err != nil || out.String() != want {
		t.Errorf("%v, %s", err, out.String())
	}
}
