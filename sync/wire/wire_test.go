package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

var update = flag.Bool("update", false, "write the vectors anew; a change to an existing one is a change of the protocol")

func key(name string) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte("rasid/vector/" + name))
	return ed25519.NewKeyFromSeed(sum[:])
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("broken invariant: %v", err))
	}
	return v
}

func chain() cert.Chain {
	var c cert.Chain
	c.District = cert.Certificate{Slot: 1, Cell: 5000, Role: cert.RoleDistrict, NotAfter: 24000}
	copy(c.District.Key[:], key("district").Public().(ed25519.PublicKey))
	c.Machine = cert.Certificate{Slot: 42, Cell: 7, Role: cert.RoleKiosk, NotAfter: 22000}
	copy(c.Machine.Key[:], key("machine").Public().(ed25519.PublicKey))
	c.District = must(cert.Issue(key("fleet"), c.District))
	c.Machine = must(cert.Issue(key("district"), c.Machine))
	return c
}

func run() ledger.Run {
	var entries [][]byte
	for _, v := range []string{"1.0", "1.1"} {
		e := must(event.New(ledger.Time{WallMs: 1800000000000, Quality: ledger.TimeNetwork, BootMs: 5}, &event.SoftwareStarted{Version: v}))
		entries = append(entries, must(ledger.EncodeEntry(e)))
	}
	l := ledger.Log{Key: key("log").Public().(ed25519.PublicKey)}
	return must(l.NewRun(key("log"), entries))
}

func hash(b byte) (h ledger.Hash) {
	for i := range h {
		h[i] = b
	}
	return h
}

func tip(size uint64) ledger.Tip { return ledger.Tip{Size: size, Root: hash(byte(size))} }

type vector struct {
	name, reason string
	message      Message // good
	raw          []byte  // bad, or the good one's bytes
}

func good() []vector {
	a, b := ledger.LogID{1}, ledger.LogID{2}
	return []vector{
		{name: "hello", message: &Hello{Min: 1, Max: 1, Chain: chain()}},
		{name: "frontier-empty", message: &Frontier{}},
		{name: "frontier-part", message: &Frontier{Logs: []LogTips{{Log: a, Tips: []ledger.Tip{tip(3)}}}, More: true}},
		{name: "frontier-fork", message: &Frontier{Logs: []LogTips{{Log: a, Tips: []ledger.Tip{tip(3)}}, {Log: b, Tips: []ledger.Tip{tip(300), tip(70000)}}}, Credit: 262144}},
		{name: "frontier-scope", message: &Frontier{Scope: []uint32{1, 7}, Credit: 1}},
		{name: "have", message: &Have{Log: a, Tips: []ledger.Tip{tip(3)}}},
		{name: "have-nothing-send", message: &Have{Log: a, Plea: PleaSend}},
		{name: "have-hush", message: &Have{Log: a, Tips: []ledger.Tip{tip(65)}, Plea: PleaHush}},
		{name: "notice", message: &Notice{Log: b, Tip: tip(64)}},
		{name: "run", message: &Run{Run: run()}},
		{name: "want", message: &Want{Hashes: []ledger.Hash{hash(1), hash(2)}}},
		{name: "object", message: &Object{Bytes: []byte("dues")}},
		{name: "lack", message: &Lack{Hashes: []ledger.Hash{hash(1)}}},
		{name: "offer", message: &Offer{Hashes: []ledger.Hash{hash(1)}}},
		{name: "credit", message: &Credit{Bytes: 65536}},
		{name: "fault-fork", message: &Fault{Log: a, Code: FaultFork}},
		{name: "fault-to-come", message: &Fault{Log: a, Code: 1000}},
		{name: "bye", message: &Bye{Code: ByeStranger, Text: "the certificate chain does not admit this key"}},
		{name: "bye-to-come", message: &Bye{Code: 1000}},
		{name: "hello-2", message: &Hello{Min: 1, Max: 2, Chain: chain()}},
		{name: "pruned", message: &Pruned{Log: a, From: 70144}},
	}
}

func frame(t Type, body string) []byte {
	b := must(hex.DecodeString(strings.ReplaceAll(body, " ", "")))
	return append(append([]byte{byte(1 + len(b))}, byte(t)), b...)
}

func malformed() []vector {
	log := strings.Repeat("01", 16)
	h1, h2 := strings.Repeat("01", 32), strings.Repeat("02", 32)
	tip3 := "82 03 5820" + h1
	return []vector{
		{name: "empty", reason: "no length", raw: nil},
		{name: "no-type", reason: "a length of 0", raw: []byte{0}},
		{name: "length-long-form", reason: "the length is not in its shortest form", raw: []byte{0x83, 0x00, 10, 0x81, 0x01}},
		{name: "length-beyond", reason: "the length is beyond the limit", raw: []byte{0x80, 0x80, 0x80, 0x08}},
		{name: "length-65-bits", reason: "the length is beyond 64 bits", raw: bytes.Repeat([]byte{0xff}, 11)},
		{name: "cut", reason: "fewer bytes than stated", raw: []byte{3, 10, 0x81}},
		{name: "trailing", reason: "more bytes than stated", raw: []byte{3, 10, 0x81, 0x01, 0x00}},
		{name: "type-0", reason: "type 0 is nothing", raw: frame(0, "80")},
		{name: "type-unknown", reason: "a type of no version spoken", raw: frame(99, "80")},
		{name: "body-missing", reason: "a type without a body", raw: []byte{1, 10}},
		{name: "credit-long-number", reason: "a number not in its shortest form", raw: frame(TypeCredit, "81 1801")},
		{name: "credit-map", reason: "a map in the place of an array", raw: frame(TypeCredit, "a1 00 01")},
		{name: "credit-field-more", reason: "a field too many", raw: frame(TypeCredit, "82 01 01")},
		{name: "credit-field-less", reason: "a field too few", raw: frame(TypeCredit, "80")},
		{name: "credit-nothing", reason: "a credit of nothing", raw: frame(TypeCredit, "81 00")},
		{name: "credit-beyond", reason: "a credit beyond the limit", raw: frame(TypeCredit, "81 1a 04000001")},
		{name: "credit-null", reason: "null in the place of a number", raw: frame(TypeCredit, "81 f6")},
		{name: "credit-indefinite", reason: "an array of indefinite length", raw: frame(TypeCredit, "9f 01 ff")},
		{name: "credit-float", reason: "a float", raw: frame(TypeCredit, "81 f93c00")},
		{name: "frontier-null", reason: "null in the place of a list", raw: frame(TypeFrontier, "84 f6 80 f4 00")},
		{name: "frontier-scope-order", reason: "cells do not ascend", raw: frame(TypeFrontier, "84 82 02 01 80 f4 00")},
		{name: "frontier-order", reason: "logs do not ascend", raw: frame(TypeFrontier, "84 80 82 82 50"+log+"81"+tip3+" 82 50"+log+"81"+tip3+" f4 00")},
		{name: "frontier-no-tip", reason: "a log without a tip", raw: frame(TypeFrontier, "84 80 81 82 50"+log+" 80 f4 00")},
		{name: "frontier-part-credit", reason: "credit before the last part", raw: frame(TypeFrontier, "84 80 81 82 50"+log+"81"+tip3+" f5 01")},
		{name: "frontier-part-empty", reason: "an empty part that is not the last", raw: frame(TypeFrontier, "84 80 80 f5 00")},
		{name: "have-short-log", reason: "a log id of 15 bytes", raw: frame(TypeHave, "83 4f"+log[2:]+" 80 00")},
		{name: "have-null", reason: "null in the place of a list", raw: frame(TypeHave, "83 50"+log+" f6 00")},
		{name: "have-tip-0", reason: "a tip of size 0", raw: frame(TypeHave, "83 50"+log+" 81 82 00 5820"+h1+" 00")},
		{name: "have-tips-order", reason: "tips do not ascend", raw: frame(TypeHave, "83 50"+log+" 82 "+tip3+tip3+" 00")},
		{name: "have-tips-5", reason: "too many tips", raw: frame(TypeHave, "83 50"+log+" 85 8201 5820"+h1+" 8202 5820"+h1+" 8203 5820"+h1+" 8204 5820"+h1+" 8205 5820"+h1+" 00")},
		{name: "have-plea", reason: "an unknown plea", raw: frame(TypeHave, "83 50"+log+" 80 03")},
		{name: "want-none", reason: "nothing wanted", raw: frame(TypeWant, "81 80")},
		{name: "want-order", reason: "hashes do not ascend", raw: frame(TypeWant, "81 82 5820"+h2+" 5820"+h1)},
		{name: "want-twice", reason: "a hash twice", raw: frame(TypeWant, "81 82 5820"+h1+" 5820"+h1)},
		{name: "object-empty", reason: "an object of no bytes", raw: frame(TypeObject, "40")},
		{name: "object-null", reason: "null in the place of bytes", raw: frame(TypeObject, "f6")},
		{name: "object-text", reason: "text in the place of bytes", raw: frame(TypeObject, "61 61")},
		{name: "run-empty", reason: "a run without entries", raw: frame(TypeRun, "85 50"+log+" 00 48 0000000000000000 80 83 00 5820"+h1+" 5840"+h1+h1)},
		{name: "fault-0", reason: "code 0", raw: frame(TypeFault, "82 50"+log+" 00")},
		{name: "bye-0", reason: "code 0", raw: frame(TypeBye, "82 00 60")},
		{name: "bye-control", reason: "a control character in the text", raw: frame(TypeBye, "82 01 61 1b")},
		{name: "bye-utf8", reason: "the text is not UTF-8", raw: frame(TypeBye, "82 01 61 ff")},
		{name: "pruned-nothing", reason: "from entry 0, that is nothing", raw: frame(TypePruned, "82 50"+log+" 00")},
		{name: "pruned-beyond", reason: "from beyond the longest log", raw: frame(TypePruned, "82 50"+log+" 1b 0001000000000001")},
		{name: "pruned-long-number", reason: "a number not in its shortest form", raw: frame(TypePruned, "82 50"+log+" 1801")},
		{name: "pruned-field-more", reason: "a field too many", raw: frame(TypePruned, "83 50"+log+" 01 01")},
		{name: "hello-version-0", reason: "version 0", raw: mutated(0, 1)},
		{name: "hello-versions-crossed", reason: "the highest version below the lowest", raw: mutated(3, 2)},
	}
}

// mutated is a HELLO with other version numbers.
func mutated(low, high byte) []byte {
	b := must(Append(nil, &Hello{Min: 1, Max: 1, Chain: chain()}))
	i := bytes.IndexByte(b, byte(TypeHello)) + 2
	for b[i-1] != 0x83 {
		i++
	}
	b[i], b[i+1] = low, high
	return b
}

func path(kind, name string) string { return filepath.Join("testdata", "vectors", kind, name+".txt") }

func write(t *testing.T, kind string, v vector) {
	t.Helper()
	text := fmt.Sprintf("name: %s\nspec: PROTOCOL.md\nexpect: %s\n\n%s\n", v.name, v.reason, hex.EncodeToString(v.raw))
	if err := os.MkdirAll(filepath.Join("testdata", "vectors", kind), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path(kind, v.name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// read returns the vectors of a kind by name; that there is none is a failure.
func read(t testing.TB, kind string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(path(kind, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vector under testdata/vectors/%s: %v", kind, err)
	}
	all := make(map[string][]byte)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, body, ok := strings.Cut(string(text), "\n\n")
		raw, err := hex.DecodeString(strings.TrimSpace(body))
		if !ok || err != nil {
			t.Fatalf("%s: want a head, an empty line and hexadecimal digits: %v", file, err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".txt")] = raw
	}
	return all
}

func TestGoodVectors(t *testing.T) {
	if *update {
		for _, v := range good() {
			v.raw, v.reason = must(Append(nil, v.message)), "good"
			write(t, "good", v)
		}
	}
	kept := read(t, "good")
	seen := make(map[Type]bool)
	for _, v := range good() {
		raw, ok := kept[v.name]
		if !ok {
			t.Errorf("%s: no vector; run with -update", v.name)
			continue
		}
		delete(kept, v.name)
		if b, err := Append(nil, v.message); err != nil || !bytes.Equal(b, raw) {
			t.Errorf("%s: Append = %x, %v, want %x", v.name, b, err, raw)
		}
		m, err := Decode(raw)
		if err != nil {
			t.Errorf("%s: Decode: %v", v.name, err)
			continue
		}
		if again := must(Append(nil, m)); !bytes.Equal(again, raw) {
			t.Errorf("%s: decoded and encoded it is %x, want %x", v.name, again, raw)
		}
		seen[m.Type()] = true
	}
	for name := range kept {
		t.Errorf("vector %s is not in the list of this test", name)
	}
	for typ := TypeHello; typ <= TypeBye; typ++ {
		if !seen[typ] {
			t.Errorf("no vector for %s", typ)
		}
	}
}

func TestBadVectors(t *testing.T) {
	if *update {
		for _, v := range malformed() {
			write(t, "bad", v)
		}
	}
	kept := read(t, "bad")
	for _, v := range malformed() {
		raw, ok := kept[v.name]
		if !ok {
			t.Errorf("%s: no vector; run with -update", v.name)
			continue
		}
		delete(kept, v.name)
		if !bytes.Equal(raw, v.raw) {
			t.Errorf("%s: the vector is %x, the list has %x", v.name, raw, v.raw)
		}
		m, err := Decode(raw)
		if !errors.Is(err, ledger.ErrMalformed) {
			t.Errorf("%s: Decode = %+v, %v; want malformed, because %s", v.name, m, err, v.reason)
		}
	}
	for name := range kept {
		t.Errorf("vector %s is not in the list of this test", name)
	}
}

// TestAppendRefuses: what Decode refuses is never written.
func TestAppendRefuses(t *testing.T) {
	many := make([]LogTips, FrontierPartMaxLogs+1)
	for i := range many {
		many[i] = LogTips{Log: ledger.LogID{byte(i >> 16), byte(i >> 8), byte(i)}, Tips: []ledger.Tip{tip(1)}}
	}
	for _, m := range []Message{
		&Hello{}, &Frontier{Logs: many}, &Notice{}, &Want{}, &Object{}, &Credit{}, &Fault{}, &Bye{},
		&Bye{Code: 1, Text: strings.Repeat("a", TextMaxBytes+1)}, &Run{}, &Object{Bytes: make([]byte, ledger.ObjectMaxBytes+1)},
		&Want{Hashes: make([]ledger.Hash, HashesMax+1)},
	} {
		if b, err := Append(nil, m); err == nil {
			t.Errorf("Append(%s %+v) = %d bytes, want a refusal", m.Type(), m, len(b))
		}
	}
}

// TestLargest: the largest of each kind fits its type's limit.
func TestLargest(t *testing.T) {
	full := &Frontier{Scope: make([]uint32, ScopeMaxCells), Credit: CreditMax}
	for i := range full.Scope {
		full.Scope[i] = uint32(1<<31 + i)
	}
	for i := range FrontierPartMaxLogs {
		full.Logs = append(full.Logs, LogTips{Log: ledger.LogID{byte(i >> 8), byte(i)}, Tips: []ledger.Tip{tip(1 << 47), {Size: 1 << 47, Root: hash(1)}, {Size: 1 << 47, Root: hash(2)}, {Size: 1 << 47, Root: hash(3)}}})
	}
	hashes := make([]ledger.Hash, HashesMax)
	for i := range hashes {
		hashes[i] = hash(byte(i))
	}
	for _, m := range []Message{
		full, &Want{Hashes: hashes}, &Object{Bytes: make([]byte, ledger.ObjectMaxBytes)}, &Credit{Bytes: CreditMax},
		&Bye{Code: 1 << 15, Text: strings.Repeat("a", TextMaxBytes)}, &Fault{Code: 1 << 15},
		&Have{Tips: full.Logs[0].Tips, Plea: PleaHush}, &Notice{Tip: tip(1 << 62)}, &Pruned{From: ledger.LogMaxEntries},
	} {
		b, err := Append(nil, m)
		if err != nil {
			t.Errorf("Append(the largest %s) = %v", m.Type(), err)
			continue
		}
		if got, err := Decode(b); err != nil || got.Type() != m.Type() {
			t.Errorf("Decode(the largest %s) = %v", m.Type(), err)
		}
	}
}

// TestReader: the stream is read alike however it is cut into pieces, and nothing
// but HELLO and BYE comes first.
func TestReader(t *testing.T) {
	var stream []byte
	for _, v := range good() {
		stream = must(Append(stream, v.message))
	}
	r := NewReader(iotest.OneByteReader(bytes.NewReader(stream)))
	total := 0
	for _, v := range good() {
		m, n, err := r.Next()
		if err != nil || m.Type() != v.message.Type() {
			t.Fatalf("%s: Next = %v, %v", v.name, m, err)
		}
		total += n
	}
	if _, _, err := r.Next(); err != io.EOF || total != len(stream) {
		t.Errorf("at the end Next = %v after %d bytes, want io.EOF after %d", err, total, len(stream))
	}
	for cut := 1; cut < 200; cut++ {
		r := NewReader(bytes.NewReader(stream[:cut]))
		if _, _, err := r.Next(); err != io.ErrUnexpectedEOF {
			t.Fatalf("cut after %d bytes Next = %v, want io.ErrUnexpectedEOF", cut, err)
		}
	}
	early := NewReader(bytes.NewReader(must(Append(nil, &Credit{Bytes: 1}))))
	if _, _, err := early.Next(); !errors.Is(err, ledger.ErrMalformed) {
		t.Errorf("CREDIT as the first message: Next = %v, want malformed", err)
	}
	large := NewReader(io.MultiReader(bytes.NewReader([]byte{0x80, 0x08, byte(TypeHello)}), iotest.ErrReader(errors.New("the body was read"))))
	if _, _, err := large.Next(); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a HELLO of 1 KiB: Next = %v, want too large, without reading it", err)
	}
}

func TestChoose(t *testing.T) {
	for _, test := range []struct {
		min, max, want uint32
		ok             bool
	}{{1, 1, 1, true}, {1, 2, 2, true}, {1, 9, 2, true}, {2, 9, 2, true}, {3, 9, 2, false}} {
		if got, ok := Choose(&Hello{Min: test.min, Max: test.max}); ok != test.ok || got != test.want {
			t.Errorf("Choose(%d to %d) = %d, %t, want %d, %t", test.min, test.max, got, ok, test.want, test.ok)
		}
	}
}

func TestWords(t *testing.T) {
	for c := FaultFork; c <= FaultRepeated; c++ {
		if strings.HasPrefix(c.String(), "fault") {
			t.Errorf("fault code %d has no word", c)
		}
	}
	for c := ByeDone; c <= ByeStorage; c++ {
		if strings.HasPrefix(c.String(), "bye") {
			t.Errorf("bye code %d has no word", c)
		}
	}
	if got := ByeCode(1000).String() + FaultCode(1000).String(); got != "bye 1000fault 1000" {
		t.Errorf("codes to come are called %q", got)
	}
}

func FuzzDecode(f *testing.F) {
	for _, kind := range []string{"good", "bad"} {
		for _, raw := range read(f, kind) {
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ledger.ErrMalformed) {
				t.Fatalf("Decode = %v, want it to wrap ErrMalformed", err)
			}
			return
		}
		again, err := Append(nil, m)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("decoded and encoded again: %x, %v, want %x", again, err, b)
		}
		r := NewReader(bytes.NewReader(b))
		r.first = false
		if got, n, err := r.Next(); err != nil || n != len(b) || !reflect.DeepEqual(got, m) {
			t.Fatalf("Next = %+v, %d, %v; Decode gave %+v", got, n, err, m)
		}
	})
}
