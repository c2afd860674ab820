package ssp

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// vectors calls each with every line of the files that match pattern.
func vectors(t testing.TB, pattern string, each func(name, line string)) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(b), "\n") {
			line, _, _ = strings.Cut(line, "#")
			if line = strings.TrimSpace(line); line != "" {
				found++
				each(fmt.Sprintf("%s:%d", file, i+1), line)
			}
		}
	}
	if found == 0 {
		t.Fatalf("no vector found at %s", pattern)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatalf("%q is not hex: %v", s, err)
	}
	return b
}

func decodeAll(p []byte, piece int) []Frame {
	var d Decoder
	var frames []Frame
	for len(p) > 0 {
		n := min(piece, len(p))
		d.Decode(p[:n], func(f Frame) { frames = append(frames, f) })
		p = p[n:]
	}
	return frames
}

func TestFrameVectors(t *testing.T) {
	vectors(t, "testdata/frames/*.txt", func(name, line string) {
		kind, rest, _ := strings.Cut(line, " ")
		bytesText, meaning, _ := strings.Cut(rest, "|")
		wire := unhex(t, bytesText)
		for _, piece := range []int{1, 3, 1000} {
			frames := decodeAll(wire, piece)
			if kind == "bad" {
				if len(frames) != 0 {
					t.Errorf("%s: decoded to %+v although bad:%s", name, frames, meaning)
				}
				continue
			}
			want := unhex(t, "0"+strings.TrimSpace(meaning))
			if len(frames) != 1 {
				t.Fatalf("%s: decoded to %+v", name, frames)
			}
			f := frames[0]
			if f.Seq != (want[0] == 1) || f.Address != want[1] || !bytes.Equal(f.Data, want[2:]) {
				t.Errorf("%s: decoded to %+v", name, f)
			}
			if again, err := f.Encode(); err != nil || !bytes.Equal(again, wire) {
				t.Errorf("%s: encoded to % X, %v", name, again, err)
			}
		}
	})
}

func parse(kind string, p []byte) (string, error) {
	var v any
	var err error
	switch kind {
	case "serial":
		v, err = ParseSerial(p)
	case "counters":
		v, err = ParseCounters(p)
	case "setup":
		v, err = ParseSetup(p)
	case "events6", "events8":
		var events []Event
		events, err = ParseEvents(kind[6]-'0', p)
		text := []string{}
		for _, e := range events {
			text = append(text, fmt.Sprintf("%02X:%d", e.Code, e.Channel))
		}
		v = text
	default:
		err = fmt.Errorf("unknown kind of vector %q", kind)
	}
	return fmt.Sprint(v), err
}

func TestReplyVectors(t *testing.T) {
	vectors(t, "testdata/replies/good.txt", func(name, line string) {
		kind, rest, _ := strings.Cut(line, " ")
		data, want, _ := strings.Cut(rest, "=")
		got, err := parse(kind, unhex(t, data))
		if err != nil || got != strings.TrimSpace(want) {
			t.Errorf("%s: %s, %v; want %s", name, got, err, want)
		}
	})
	vectors(t, "testdata/replies/bad.txt", func(name, line string) {
		kind, rest, _ := strings.Cut(line, " ")
		data, why, _ := strings.Cut(rest, "|")
		if got, err := parse(kind, unhex(t, data)); err == nil {
			t.Errorf("%s: read as %s although%s", name, got, why)
		}
	})
}

func TestLone7FBeginsANewFrame(t *testing.T) {
	// Half a POLL reply, then a whole SYNC reply.
	frames := decodeAll(unhex(t, "7F 80 04 F0 EE 7F 80 01 F0 23 80"), 2)
	if len(frames) != 1 || !bytes.Equal(frames[0].Data, []byte{ReplyOK}) {
		t.Errorf("decoded to %+v", frames)
	}
}

func TestChecksumWith7FIsStuffed(t *testing.T) {
	for n := range 1 << 16 { // some of these have a checksum byte of 7F
		f := Frame{Data: []byte{byte(n), byte(n >> 8)}}
		p, err := f.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got := decodeAll(p, 1000)
		if len(got) != 1 || !bytes.Equal(got[0].Data, f.Data) {
			t.Fatalf("% X decoded to %+v", p, got)
		}
	}
}

func FuzzFrame(f *testing.F) {
	vectors(f, "testdata/frames/*.txt", func(_, line string) {
		_, rest, _ := strings.Cut(line, " ")
		p, _, _ := strings.Cut(rest, "|")
		f.Add(unhex(f, p))
	})
	f.Fuzz(func(t *testing.T, p []byte) {
		whole := decodeAll(p, len(p)+1)
		if fmt.Sprint(whole) != fmt.Sprint(decodeAll(p, 1)) {
			t.Errorf("% X decodes otherwise in pieces", p)
		}
		for _, frame := range whole {
			wire, err := frame.Encode()
			if err != nil {
				t.Fatalf("%+v was decoded and cannot be encoded: %v", frame, err)
			}
			if !bytes.Contains(p, wire) {
				t.Errorf("%+v is encoded to % X, which is not in % X", frame, wire, p)
			}
		}
	})
}

func FuzzReplies(f *testing.F) {
	vectors(f, "testdata/replies/*.txt", func(_, line string) {
		_, rest, _ := strings.Cut(line, " ")
		rest, _, _ = strings.Cut(rest, "|")
		rest, _, _ = strings.Cut(rest, "=")
		f.Add(uint8(6), unhex(f, rest))
	})
	f.Fuzz(func(t *testing.T, version uint8, p []byte) {
		_, _ = ParseSerial(p)
		_, _ = ParseCounters(p)
		if s, err := ParseSetup(p); err == nil {
			for _, n := range s.Notes {
				if n.ValuePaise < 0 {
					t.Errorf("% X has the note %+v", p, n)
				}
			}
		}
		events, err := ParseEvents(version, p)
		var raw []byte
		for _, e := range events {
			raw = append(raw, e.Raw...)
		}
		if err == nil && !bytes.Equal(raw, p) || !bytes.HasPrefix(p, raw) {
			t.Errorf("% X was read as % X", p, raw)
		}
	})
}
