package journal

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// checkEnd looks that a damaged journal says nothing untrue of its end.
func checkEnd(t *testing.T, dir string, want []string, what string) {
	t.Helper()
	last := ""
	r, err := Survey(Config{Dir: dir, Log: testLog, Each: func(p []byte, _ bool) error {
		if last = string(p); !slices.Contains(want, last) {
			t.Errorf("%s: %q is said to be intact", what, p)
		}
		return nil
	}})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if r.Ended && (r.Batches == 0 && last != want[len(want)-1] || r.Batches > 0 && r.Batches != uint64(len(want))) {
		t.Errorf("%s: the end is said to be %q and %d batches, want %q", what, last, r.Batches, want)
	}
}

// One write leaves one record torn: where a bit of each of the last two records is
// wrong, nothing is dropped. Only a length that is wrong itself hides what follows.
func TestTwoRotten(t *testing.T) {
	v := vectors(t)["good-three"]
	whole := v.files["00000001.journal"]
	dir := filepath.Join(t.TempDir(), "journal")
	for one := 122 + 4; one < 169; one++ {
		for two := 169; two < 215; two++ {
			b := bytes.Clone(whole)
			b[one] ^= 1 << (two % 8)
			b[two] ^= 1 << (one % 8)
			v.files["00000001.journal"] = b
			v.writeTo(t, dir)
			var damage *DamageError
			if _, got, rec, err := look(dir, nil, 0); !errors.As(err, &damage) {
				t.Fatalf("bits of bytes %d and %d: records %q, torn %+v, %v", one, two, got, rec.Torn, err)
			}
		}
	}
}

// Whatever one bit does to a journal, what of it is intact is found, and its end where
// the last segment is whole.
func TestSurvey(t *testing.T) {
	for name, want := range map[string]string{
		"good-three": "first second third true 0", "good-sealed": "first second third true 3", "good-copied": "first second third second third true 0",
		"good-segments": "first second third true 0", "good-nothing-copied": "first second third true 0", "good-empty": "false 0",
		"bad-flip-payload": "second third true 0", "bad-flip-sealed": "first true 2", "bad-flip-crc": "first third true 0",
		"bad-opening-flipped": "first second false 0", "bad-last-segment-gone": "first second false 0",
		"bad-header-crc": "first false 0", "torn-payload": "first second false 0", "bad-name": "false 0",
	} {
		got := ""
		r, err := Survey(Config{Dir: vectors(t)[name].write(t), Log: testLog, Each: func(p []byte, _ bool) error {
			got += string(p) + " "
			return nil
		}})
		if got += fmt.Sprint(r.Ended, " ", r.Batches); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	if r, err := Survey(Config{Dir: t.TempDir(), Log: testLog}); err != nil || r.Ended {
		t.Errorf("of nothing: %+v, %v", r, err)
	}
}

// What is written anew opens with the same batches, and goes on.
func TestWrite(t *testing.T) {
	for _, n := range []int{0, 1, 2, 40} {
		dir := filepath.Join(t.TempDir(), "journal")
		var want []string
		err := Write(Config{Dir: dir, Log: testLog, SegmentBytes: 400}, func(yield func([]byte, error) bool) {
			for i := range n {
				want = append(want, strings.Repeat(fmt.Sprint(i), 1+i%7*50))
				if !yield([]byte(want[i]), nil) {
					return
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		j, got, rec, err := open(dir, nil, 400)
		if err != nil || !slices.Equal(got, want) || rec.Unsealed > 0 || (rec.Segments > 1) != (n == 40) {
			t.Fatalf("%d of %d batches, %+v, %v", len(got), n, rec, err)
		}
		if err := errors.Join(j.Append([]byte("more")), j.Close()); err != nil {
			t.Fatal(err)
		}
		if _, got, _, err = look(dir, nil, 400); err != nil || !slices.Equal(got, append(want, "more")) {
			t.Errorf("%d of %d batches, %v", len(got), n+1, err)
		}
	}
	mine := errors.New("mine")
	for want, batches := range map[string]func(func([]byte, error) bool){
		"mine":               func(yield func([]byte, error) bool) { yield(nil, mine) },
		"payload of 0 bytes": func(yield func([]byte, error) bool) { yield(nil, nil) },
	} {
		if err := Write(Config{Dir: filepath.Join(t.TempDir(), "journal"), Log: testLog}, batches); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
