package journal

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"rasid/ledger"
)

var testLog = ledger.LogID{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}

func open(dir string, disk Disk, segment int64) (*Journal, []string, Recovery, error) {
	var got []string
	j, rec, err := Open(Config{Dir: dir, Log: testLog, Disk: disk, SegmentBytes: segment, Each: func(p []byte) error {
		got = append(got, string(p))
		return nil
	}})
	return j, got, rec, err
}

type vector struct {
	expect []string
	names  []string
	files  map[string][]byte
}

func readVector(t testing.TB, path string) vector {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v := vector{files: map[string][]byte{}}
	name := ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		word, rest, _ := strings.Cut(line, ": ")
		switch {
		case word == "expect":
			v.expect = strings.Fields(rest)
		case word == "file":
			name = rest
			v.names = append(v.names, name)
			v.files[name] = nil
		case name != "" && line != "":
			h, err := hex.DecodeString(line)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			v.files[name] = append(v.files[name], h...)
		}
	}
	if len(v.expect) == 0 || len(v.names) == 0 {
		t.Fatalf("%s expects nothing or holds no file", path)
	}
	return v
}

func vectors(t testing.TB) map[string]vector {
	t.Helper()
	paths, err := filepath.Glob("testdata/vectors/*.txt")
	if err != nil || len(paths) < 30 {
		t.Fatalf("%d vectors found (%v); they lie in testdata/vectors", len(paths), err)
	}
	out := map[string]vector{}
	for _, p := range paths {
		out[strings.TrimSuffix(filepath.Base(p), ".txt")] = readVector(t, p)
	}
	return out
}

func (v vector) write(t testing.TB) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "journal")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for i, name := range v.names {
		b := v.files[name]
		if name == "append-zeros" {
			name, b = v.names[i-1], append(v.files[v.names[i-1]], make([]byte, binary.BigEndian.Uint32(b))...)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[f.Name()] = string(b)
	}
	return out
}

func TestVectors(t *testing.T) {
	for name, v := range vectors(t) {
		t.Run(name, func(t *testing.T) {
			dir := v.write(t)
			before := snapshot(t, dir)
			j, got, rec, err := open(dir, nil, 0)
			if v.expect[0] == "damaged" {
				checkDamage(t, v, err)
				if fmt.Sprint(snapshot(t, dir)) != fmt.Sprint(before) {
					t.Error("refusing changed the files")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, v.expect[1:]) || (rec.Torn != nil) != (v.expect[0] == "torn") {
				t.Fatalf("records %q, torn %+v, want %q", got, rec.Torn, v.expect)
			}
			if rec.Records != uint64(len(got)) {
				t.Errorf("%d records counted, %d given", rec.Records, len(got))
			}
			// It goes on from there.
			if err := errors.Join(j.Append([]byte("next")), j.Close()); err != nil {
				t.Fatal(err)
			}
			j, got, rec, err = open(dir, nil, 0)
			if err != nil || rec.Torn != nil || !slices.Equal(got, append(v.expect[1:], "next")) {
				t.Fatalf("after appending: records %q, torn %+v, %v", got, rec.Torn, err)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func checkDamage(t *testing.T, v vector, err error) {
	t.Helper()
	var damage *DamageError
	if !errors.As(err, &damage) {
		t.Fatalf("error %v, want damage", err)
	}
	reason := strings.Join(v.expect[3:], " ")
	if filepath.Base(damage.Path) != v.expect[1] || strconv.FormatInt(damage.Offset, 10) != v.expect[2] || !strings.Contains(damage.Reason, reason) {
		t.Fatalf("damage %s at %d: %s; want %q", damage.Path, damage.Offset, damage.Reason, v.expect[1:])
	}
}

// What Append writes is byte for byte what the generator, which shares no code with
// it, wrote.
func TestWritesVector(t *testing.T) {
	want := vectors(t)["good-segments"]
	dir := filepath.Join(t.TempDir(), "journal")
	j, _, _, err := open(dir, nil, 165) // room for two records
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"first", "second", "third"} {
		if err := j.Append([]byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	got := snapshot(t, dir)
	if len(got) != len(want.files) {
		t.Fatalf("%d files, want %d", len(got), len(want.files))
	}
	for name, b := range want.files {
		if got[name] != string(b) {
			t.Errorf("%s:\n%x\nwant\n%x", name, got[name], b)
		}
	}
}

// Whatever single bit of a journal flips, and wherever it is cut, Open refuses or
// returns all records but possibly the last: never fewer, never others.
func TestEveryFlipAndCut(t *testing.T) {
	v := vectors(t)["good-segments"]
	want := v.expect[1:]
	for _, name := range v.names {
		whole := v.files[name]
		for at := range 8 * len(whole) {
			damaged := bytes.Clone(whole)
			damaged[at/8] ^= 1 << (at % 8)
			v.files[name] = damaged
			checkNeverFewer(t, v, want, fmt.Sprintf("bit %d of %s", at, name))
		}
		for at := range whole {
			v.files[name] = whole[:at]
			checkNeverFewer(t, v, want, fmt.Sprintf("%s cut at %d", name, at))
		}
		v.files[name] = whole
	}
}

func checkNeverFewer(t *testing.T, v vector, want []string, what string) {
	t.Helper()
	dir := v.write(t)
	j, got, rec, err := open(dir, nil, 0)
	if err != nil {
		var damage *DamageError
		if !errors.As(err, &damage) {
			t.Fatalf("%s: %v", what, err)
		}
		return
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want[:len(want)-1]) {
		t.Fatalf("%s: records %q", what, got)
	}
	// A cut between two records leaves nothing to notice; the index notices it.
	if rec.Torn == nil && len(v.files["00000002.journal"]) != headerBytes {
		t.Fatalf("%s: the last record is gone and nothing said so", what)
	}
}

func TestLimits(t *testing.T) {
	j, _, _, err := open(filepath.Join(t.TempDir(), "journal"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, PayloadMaxBytes + 1} {
		if err := j.Append(make([]byte, n)); err == nil || errors.Is(err, ErrBroken) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for range 40 { // beyond two segments
		if err := j.Append(make([]byte, PayloadMaxBytes)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append([]byte("x")); err == nil {
		t.Error("a closed journal took a record")
	}
	_, got, rec, err := open(j.cfg.Dir, nil, 0)
	if err != nil || len(got) != 40 || rec.Segments != 3 {
		t.Fatalf("%d records in %d segments: %v", len(got), rec.Segments, err)
	}
	for name, b := range snapshot(t, j.cfg.Dir) {
		if len(b) > SegmentMaxBytes {
			t.Errorf("%s has %d bytes", name, len(b))
		}
	}
}

// Whoever knows better may refuse that a torn record is dropped, and nothing changes.
func TestDropRefused(t *testing.T) {
	dir := vectors(t)["torn-checksum"].write(t)
	before := fmt.Sprint(snapshot(t, dir))
	mine := errors.New("mine")
	_, _, err := Open(Config{Dir: dir, Log: testLog, Each: func([]byte) error { return nil }, Drop: func(Torn) error { return mine }})
	if !errors.Is(err, mine) || fmt.Sprint(snapshot(t, dir)) != before {
		t.Fatalf("error %v, or the files changed", err)
	}
	_, _, err = Open(Config{Dir: dir, Log: testLog, Each: func([]byte) error { return mine }})
	if !errors.Is(err, mine) {
		t.Fatalf("error %v", err)
	}
}

// Property: decode ok means that encoding gives the same bytes, and a record that
// was encoded is always found.
func FuzzRecord(f *testing.F) {
	for _, v := range vectors(f) {
		for _, b := range v.files {
			if len(b) > headerBytes {
				f.Add(b[headerBytes:], b[:headerBytes])
			}
		}
	}
	f.Fuzz(func(t *testing.T, b, before []byte) {
		hash := hashOf(before)
		if payload, n, err := decodeRecord(b, hash); err == nil {
			if again := appendRecord(nil, TypeBatch, hash, payload); !bytes.Equal(again, b[:n]) {
				t.Fatalf("decoded %x, encoded %x", b[:n], again)
			}
		}
		if len(b) > 0 && len(b) <= PayloadMaxBytes {
			record := appendRecord(nil, TypeBatch, hash, b)
			payload, n, err := decodeRecord(record, hash)
			if err != nil || n != len(record) || !bytes.Equal(payload, b) {
				t.Fatalf("a record of %x is not read back: %v", b, err)
			}
			if torn(append([]byte{1}, record...)) == nil {
				t.Fatal("an intact record was not found behind one byte")
			}
		}
	})
}

func TestRandomCuts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 50 {
		dir := filepath.Join(t.TempDir(), "journal")
		j, _, _, err := open(dir, nil, 300)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range 1 + r.IntN(12) {
			want = append(want, strings.Repeat(fmt.Sprint(i), 1+r.IntN(100)))
			if err := j.Append([]byte(want[i])); err != nil {
				t.Fatal(err)
			}
		}
		last := j.path(j.number)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		cut := 1 + r.Int64N(int64(recordHeadBytes+len(want[len(want)-1])))
		if err := os.Truncate(last, j.size-cut); err != nil {
			t.Fatal(err)
		}
		j, got, _, err := open(dir, nil, 300)
		if err != nil || !slices.Equal(got, want[:len(want)-1]) {
			t.Fatalf("%d bytes cut: %d of %d records, %v", cut, len(got), len(want), err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
