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

// open opens the journal and begins.
func open(dir string, disk Disk, segment int64) (*Journal, []string, Recovery, error) {
	j, got, rec, err := look(dir, disk, segment)
	if err == nil {
		err = j.Begin()
	}
	return j, got, rec, err
}

// look opens the journal and changes nothing.
func look(dir string, disk Disk, segment int64) (*Journal, []string, Recovery, error) {
	var got []string
	j, rec, err := Open(Config{Dir: dir, Log: testLog, Disk: disk, SegmentBytes: segment, Each: func(p []byte, _ bool) error {
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
	v.writeTo(t, dir)
	return dir
}

// writeTo replaces what is in dir.
func (v vector) writeTo(t testing.TB, dir string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	for i, name := range v.names {
		b := v.files[name]
		if name == "append-bytes" {
			name, b = v.names[i-1], append(v.files[v.names[i-1]], bytes.Repeat([]byte{1}, int(binary.BigEndian.Uint32(b)))...)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
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
			j, got, rec, err := look(dir, nil, 0)
			if fmt.Sprint(snapshot(t, dir)) != fmt.Sprint(before) {
				t.Error("looking changed the files")
			}
			if v.expect[0] == "damaged" {
				checkDamage(t, v, err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, v.expect[1:]) || rec.Records != uint64(len(got)) {
				t.Fatalf("records %q, %d counted, want %q", got, rec.Records, v.expect)
			}
			if (rec.Torn != nil) != (v.expect[0] == "torn") || (rec.Unsealed > 0) != (v.expect[0] == "unsealed" || rec.Torn != nil && rec.Unsealed > 0) {
				t.Fatalf("%d unsealed, torn %+v, want %q", rec.Unsealed, rec.Torn, v.expect)
			}
			// It goes on from there, and again.
			for _, next := range []string{"next", "further"} {
				v.expect = append(v.expect, next)
				if err := errors.Join(j.Begin(), j.Append([]byte(next)), j.Close()); err != nil {
					t.Fatal(err)
				}
				j, got, rec, err = look(dir, nil, 0)
				if err != nil || rec.Torn != nil || !slices.Equal(got, v.expect[1:]) {
					t.Fatalf("after appending: records %q, torn %+v, %v", got, rec.Torn, err)
				}
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

// What is written is byte for byte what the generator, which shares no code with
// the package, wrote.
func TestWritesVectors(t *testing.T) {
	all := vectors(t)
	for name, steps := range map[string]func(*Journal) error{
		"good-empty": func(*Journal) error { return nil },
		"good-three": func(j *Journal) error { return appendAll(j, "first", "second", "third") },
		"good-sealed": func(j *Journal) error {
			return errors.Join(appendAll(j, "first", "second"), j.Seal(), j.Seal(), appendAll(j, "third"), j.Seal())
		},
		"torn-only": func(j *Journal) error { // and cut below
			return appendAll(j, "first")
		},
	} {
		dir := filepath.Join(t.TempDir(), "journal")
		j, _, _, err := open(dir, nil, 400)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(steps(j), j.Close()); err != nil {
			t.Fatal(err)
		}
		if name == "torn-only" {
			b := []byte(snapshot(t, dir)["00000001.journal"])
			copy(b[headerBytes+44:], "\x00\x00")
			if !bytes.Equal(b, all[name].files["00000001.journal"]) {
				t.Errorf("%s differs", name)
			}
			continue
		}
		same(t, name, snapshot(t, dir), all[name])
	}
}

func appendAll(j *Journal, payloads ...string) error {
	for _, p := range payloads {
		if err := j.Append([]byte(p)); err != nil {
			return err
		}
	}
	return nil
}

func same(t *testing.T, name string, got map[string]string, want vector) {
	t.Helper()
	if len(got) != len(want.files) {
		t.Fatalf("%s: %d files, want %d", name, len(got), len(want.files))
	}
	for file, b := range want.files {
		if got[file] != string(b) {
			t.Errorf("%s: %s:\n%x\nwant\n%x", name, file, got[file], b)
		}
	}
}

// A start copies what no seal follows, byte for byte as specified.
func TestCopies(t *testing.T) {
	all := vectors(t)
	dir := vector{names: []string{"00000001.journal"}, files: map[string][]byte{"00000001.journal": all["good-partly-sealed"].files["00000001.journal"]}}.write(t)
	j, _, rec, err := open(dir, nil, 400)
	if err != nil || rec.Unsealed != 1 {
		t.Fatalf("%d unsealed: %v", rec.Unsealed, err)
	}
	got := snapshot(t, dir)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	// The seal itself may not be durable, so the copy goes on from the batch before.
	h, err := decodeHeader([]byte(got["00000002.journal"]), testLog, 2)
	first := []byte(got["00000001.journal"])
	if err != nil || h.before != hashOf(first[122:169]) || h.opening != headerBytes+46 {
		t.Fatalf("header %+v, %v", h, err)
	}
	if len(first) != 264 { // trimmed behind the last record
		t.Fatalf("the first segment has %d bytes", len(first))
	}
}

// A start that finds nothing but an opening makes no further segment.
func TestResumes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	for range 3 {
		j, _, rec, err := open(dir, nil, 400)
		if err != nil || rec.Segments > 1 {
			t.Fatalf("%d segments: %v", rec.Segments, err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever single bit of a journal flips, and wherever it is cut or zeroed from, Open
// refuses or returns all records but possibly the last, and that only where no seal
// follows it: never fewer, never others.
func TestEveryFlipAndCut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	for _, name := range []string{"good-copied", "good-sealed", "good-partly-sealed"} {
		v := vectors(t)[name]
		want := v.expect[1:]
		sealed := name == "good-sealed"
		for i, file := range v.names {
			whole := v.files[file]
			try := func(damaged []byte, what string) {
				v.files[file] = damaged
				checkNeverFewer(t, dir, v, want, sealed, fmt.Sprintf("%s: %s of %s", name, what, file))
			}
			for at := range 8 * len(whole) {
				if at/8 > used(whole) && at%64 != at/64%64 {
					continue // among the zeros some are enough
				}
				damaged := bytes.Clone(whole)
				damaged[at/8] ^= 1 << (at % 8)
				try(damaged, fmt.Sprintf("bit %d", at))
			}
			for at := range whole {
				if at > used(whole) && at%8 != 0 {
					continue
				}
				try(whole[:at], fmt.Sprintf("first %d bytes", at))
				zeroed := bytes.Clone(whole)
				clear(zeroed[at:])
				if i < len(v.names)-1 || at < headerBytes {
					try(zeroed, fmt.Sprintf("zeros from %d", at))
				}
			}
			v.files[file] = whole
		}
		gone := vector{expect: v.expect, files: v.files, names: v.names[:len(v.names)-1]}
		if len(gone.names) > 0 {
			checkNeverFewer(t, dir, gone, want, true, name+": last segment gone")
		}
	}
}

func checkNeverFewer(t *testing.T, dir string, v vector, want []string, all bool, what string) {
	t.Helper()
	v.writeTo(t, dir)
	_, got, rec, err := look(dir, nil, 0)
	if err != nil {
		var damage *DamageError
		if !errors.As(err, &damage) {
			t.Fatalf("%s: %v", what, err)
		}
		checkEnd(t, dir, want, what)
		return
	}
	if slices.Equal(got, want) {
		return // a seal, or what is void
	}
	if all || !slices.Equal(got, want[:len(want)-1]) {
		t.Fatalf("%s: records %q", what, got)
	}
	if rec.Torn == nil {
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
	for range 7 { // beyond two segments
		if err := errors.Join(j.Append(make([]byte, PayloadMaxBytes)), j.Prepare()); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append([]byte("x")); err == nil {
		t.Error("a closed journal took a record")
	}
	_, got, rec, err := look(j.cfg.Dir, nil, 0)
	if err != nil || len(got) != 7 || rec.Segments != 3 {
		t.Fatalf("%d records in %d segments: %v", len(got), rec.Segments, err)
	}
	for name, b := range snapshot(t, j.cfg.Dir) {
		if len(b) > segmentBytes {
			t.Errorf("%s has %d bytes", name, len(b))
		}
	}
}

// Whoever knows better does not begin; and an error of Each refuses the journal.
func TestRefusedByEach(t *testing.T) {
	dir := vectors(t)["torn-payload"].write(t)
	mine := errors.New("mine")
	_, _, err := Open(Config{Dir: dir, Log: testLog, Each: func([]byte, bool) error { return mine }})
	if !errors.Is(err, mine) {
		t.Fatalf("error %v", err)
	}
	j, _, _, err := look(dir, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Append([]byte("x")); err == nil {
		t.Error("a journal that has not begun took a record")
	}
}

// Each is told what is durable and what Begin has to copy.
func TestEachKnowsWhatIsDurable(t *testing.T) {
	for name, want := range map[string]string{
		"good-partly-sealed": "first true second true third false ",
		"good-three":         "first false second false third false ",
		"good-sealed":        "first true second true third true ",
		"good-copied":        "first true second true third true ",
	} {
		got := ""
		_, _, err := Open(Config{Dir: vectors(t)[name].write(t), Log: testLog, Each: func(p []byte, durable bool) error {
			got += fmt.Sprint(string(p), " ", durable, " ")
			return nil
		}})
		if err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
}

// Property: a header that is read is written back as the same bytes.
func FuzzHeader(f *testing.F) {
	for _, v := range vectors(f) {
		for _, b := range v.files {
			f.Add(b[:min(len(b), headerBytes)])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < headerBytes {
			return
		}
		h, err := decodeHeader(b, testLog, binary.BigEndian.Uint32(b[28:]))
		if err == nil && !bytes.Equal(appendHeader(nil, h), b[:headerBytes]) {
			t.Fatalf("decoded %x, encoded %x", b, appendHeader(nil, h))
		}
	})
}

// lazy is a disk that syncs nothing: no power is cut here.
type lazy struct{ OSDisk }

type lazyFile struct{ File }

func (lazyFile) Sync() error      { return nil }
func (lazy) SyncDir(string) error { return nil }

func (d lazy) OpenFile(path string, flag int) (File, error) {
	f, err := d.OSDisk.OpenFile(path, flag)
	return lazyFile{f}, err
}

// Property: no bytes of two segments make Open fail otherwise than by damage; what
// opens goes on, and then opens with the same and one more.
func FuzzSegments(f *testing.F) {
	for _, v := range vectors(f) {
		if len(v.files["append-bytes"]) == 0 {
			f.Add(v.files["00000001.journal"], v.files["00000002.journal"])
		}
	}
	dir := filepath.Join(f.TempDir(), "journal")
	f.Fuzz(func(t *testing.T, one, two []byte) {
		v := vector{names: []string{"00000001.journal"}, files: map[string][]byte{"00000001.journal": one, "00000002.journal": two}}
		if len(two) > 0 {
			v.names = append(v.names, "00000002.journal")
		}
		v.writeTo(t, dir)
		j, got, _, err := open(dir, lazy{}, 400)
		if err != nil {
			var damage *DamageError
			if !errors.As(err, &damage) {
				t.Fatal(err)
			}
			return
		}
		if err := errors.Join(j.Append([]byte("more")), j.Close()); err != nil {
			t.Fatal(err)
		}
		_, again, rec, err := look(dir, nil, 400)
		if err != nil || rec.Torn != nil || !slices.Equal(again, append(got, "more")) {
			t.Fatalf("records %q, then %q, torn %v: %v", got, again, rec.Torn, err)
		}
	})
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
		if kind, payload, n, err := decodeRecord(b, hash); err == nil {
			if again := appendRecord(nil, kind, hash, payload); !bytes.Equal(again, b[:n]) {
				t.Fatalf("decoded %x, encoded %x", b[:n], again)
			}
		}
		if len(b) > 0 && len(b) <= PayloadMaxBytes {
			record := appendRecord(nil, TypeBatch, hash, b)
			_, payload, n, err := decodeRecord(record, hash)
			if err != nil || n != len(record) || !bytes.Equal(payload, b) {
				t.Fatalf("a record of %x is not read back: %v", b, err)
			}
			if torn(append([]byte{1}, record...), 0, hash) == nil {
				t.Fatal("an intact record was not found behind one byte")
			}
		}
	})
}

// Of the last record any bytes may be missing: it is dropped or, if none is, kept.
func TestRandomTears(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
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
		last := int64(recordHeadBytes + len(want[len(want)-1]))
		path, size, whole := j.path(j.number), j.size, j.size == j.opening
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := size - last; at < size && !whole; at++ {
			if r.IntN(2) == 0 {
				b[at] = 0
			}
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if !whole {
			want = want[:len(want)-1]
		}
		j, got, _, err := open(dir, nil, 300)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%d of %d records, %v", len(got), len(want), err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
