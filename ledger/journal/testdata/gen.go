//go:build ignore

// Command gen writes the journal's vectors. It shares no code with the package:
// what it writes follows from the text of LEDGER.md §12 alone. Run it in this
// folder: go run gen.go
package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
)

var (
	log  = []byte("\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff")
	zero = make([]byte, 32)
)

func sum(b []byte) []byte { h := sha256.Sum256(b); return h[:] }

func u32(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func crc(parts ...[]byte) []byte {
	return u32(int(crc32.Checksum(join(parts...), crc32.MakeTable(crc32.Castagnoli))))
}

func join(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func headerOf(magic string, version int, log []byte, number int, before []byte) []byte {
	h := join([]byte(magic), u32(version), log, u32(number), before)
	return join(h, crc(h))
}

func header(number int, before []byte) []byte { return headerOf("rasidjnl", 1, log, number, before) }

func recordOf(length, kind int, before []byte, payload string) []byte {
	head := join(u32(length), []byte{byte(kind)}, before)
	return join(head, crc(head, []byte(payload)), []byte(payload))
}

func record(before []byte, payload string) []byte {
	return recordOf(len(payload), 1, sum(before), payload)
}

func flip(b []byte, at int) []byte {
	c := join(b)
	c[at] ^= 1
	return c
}

type file struct {
	name  string
	bytes []byte
}

func write(name, expect, why string, files ...file) {
	var s strings.Builder
	fmt.Fprintf(&s, "name: %s\nspec: LEDGER.md §12\nexpect: %s\n", why, expect)
	for _, f := range files {
		fmt.Fprintf(&s, "\nfile: %s\n", f.name)
		h := hex.EncodeToString(f.bytes)
		for len(h) > 96 {
			fmt.Fprintln(&s, h[:96])
			h = h[96:]
		}
		if h != "" {
			fmt.Fprintln(&s, h)
		}
	}
	if err := os.WriteFile(filepath.Join("vectors", name+".txt"), []byte(s.String()), 0o644); err != nil {
		panic(err)
	}
}

func main() {
	h := header(1, zero)
	a := record(h, "first")
	b := record(a, "second")
	c := record(b, "third")
	one := func(parts ...[]byte) file { return file{"00000001.journal", join(parts...)} }
	h2 := header(2, sum(b))
	d := record(h2, "third")
	two := func(parts ...[]byte) file { return file{"00000002.journal", join(parts...)} }

	write("good-empty", "records", "a header and no record", one(h))
	write("good-three", "records first second third", "three records in one segment", one(h, a, b, c))
	write("good-segments", "records first second third", "the chain goes on in a second segment", one(h, a, b), two(h2, d))
	write("good-empty-last", "records first second", "a second segment that has no record yet", one(h, a, b), two(h2))
	write("good-leftover", "records first", "a segment that was about to begin is removed", one(h, a), file{"00000002.new", h2[:20]})

	write("torn-short-head", "torn first second", "the last record ends inside its head", one(h, a, b, c[:20]))
	write("torn-short-payload", "torn first second", "the last record ends inside its payload", one(h, a, b, c[:len(c)-1]))
	write("torn-checksum", "torn first second", "the last record's payload never reached the disk", one(h, a, b, c[:41], make([]byte, 5)))
	write("torn-zeros", "torn first second", "the last record is zeros", one(h, a, b, make([]byte, len(c))))
	write("torn-only", "torn", "the only record is torn", one(h, a[:len(a)-2]))
	write("torn-second-segment", "torn first second", "the last record is torn at the beginning of a segment", one(h, a, b), two(h2, d[:30]))
	write("torn-flipped-length", "torn first second", "a last record whose length is wrong cannot be told from a torn one", one(h, a, b, flip(c, 1)))

	write("bad-flip-payload", "damaged 00000001.journal 68 wrong checksum", "a bit of the first payload", one(h, flip(a, 42), b, c))
	write("bad-flip-length", "damaged 00000001.journal 68 an intact record follows", "a bit of the first length, which now reaches beyond the end", one(h, flip(a, 1), b, c))
	write("bad-flip-crc", "damaged 00000001.journal 114 wrong checksum", "a bit of the second checksum", one(h, a, flip(b, 38), c))
	write("bad-flip-chain", "damaged 00000001.journal 114 wrong checksum", "a bit of the second chain hash", one(h, a, flip(b, 9), c))
	write("bad-zeroed-record", "damaged 00000001.journal 68 an intact record follows", "the first record is zeros", one(h, make([]byte, len(a)), b, c))
	write("bad-record-missing", "damaged 00000001.journal 114 the chain is broken", "the second record was cut out", one(h, a, c))
	write("bad-record-swapped", "damaged 00000001.journal 68 the chain is broken", "two records changed places", one(h, b, a, c))
	write("bad-record-last-chain", "damaged 00000001.journal 114 the chain is broken", "a whole last record of another journal", one(h, a, record(h, "other")))
	write("bad-type", "damaged 00000001.journal 114 record type 2", "a seal, which version 1 does not know", one(h, a, recordOf(6, 2, sum(a), "second")))
	write("bad-header-magic", "damaged 00000001.journal 0 does not begin", "another kind of file", one(headerOf("rasidjnk", 1, log, 1, zero), a))
	write("bad-header-version", "damaged 00000001.journal 0 version 2", "a later version", one(headerOf("rasidjnl", 2, log, 1, zero)))
	write("bad-header-log", "damaged 00000001.journal 0 belongs to log 01", "another log's segment", one(headerOf("rasidjnl", 1, flip(log, 0), 1, zero)))
	write("bad-header-number", "damaged 00000001.journal 0 numbers it 2", "a segment under another's name", one(header(2, zero)))
	write("bad-header-crc", "damaged 00000001.journal 0 wrong checksum", "a bit of the header", one(flip(h, 60), a))
	write("bad-header-short", "damaged 00000001.journal 0 the header alone", "a header cut short", one(h[:40]))
	write("bad-header-zeroed", "damaged 00000002.journal 0 does not begin", "a zeroed second segment", one(h, a, b), two(make([]byte, 200)))
	write("bad-header-empty", "damaged 00000001.journal 0 the header alone", "an empty file", one())
	write("bad-segment-chain", "damaged 00000002.journal 0 the chain is broken", "a second segment that follows another record", one(h, a), two(h2, d))
	write("bad-segment-missing", "damaged 00000002.journal 0 missing", "the second of three segments is gone", one(h, a, b), file{"00000003.journal", header(3, sum(d))})
	write("bad-segment-first-missing", "damaged 00000001.journal 0 missing", "the first segment is gone", two(h2, d))
	write("bad-segment-cut", "damaged 00000001.journal 114 only 5 bytes", "the first of two segments is cut short", one(h, a, b[:len(b)-1]), two(h2, d))
	write("bad-segment-without-record", "damaged 00000001.journal 68 holds no record", "a first segment without a record", one(h), two(header(2, zero)))
	write("bad-name", "damaged 1.journal 0 eight digits", "a name that is not eight digits", file{"1.journal", h})
	write("bad-too-much-torn", "damaged 00000001.journal 68 more than one record", "more follows than one torn write can leave", one(h, []byte{0xff}), file{"append-zeros", u32(1048618)})
}
