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

func headerOf(magic string, version int, log []byte, number, length, opening int, before []byte) []byte {
	h := join([]byte(magic), u32(version), log, u32(number), u32(length), u32(opening), before)
	return join(h, crc(h))
}

// header is of a segment made with 400 bytes, with an opening of so many.
func header(number, opening int, before []byte) []byte {
	return headerOf("rasidjnl", 1, log, number, made, opening, before)
}

const (
	made = 400
	bare = 76 // a header alone
)

func recordOf(length, kind int, before []byte, payload string) []byte {
	head := join(u32(length), []byte{byte(kind)}, before)
	return join(head, crc(head, []byte(payload)), []byte(payload))
}

func record(before []byte, payload string) []byte {
	return recordOf(len(payload), 1, sum(before), payload)
}

func seal(before []byte, batches int) []byte {
	return recordOf(8, 2, sum(before), string(join(u32(0), u32(batches))))
}

// pad makes a segment's bytes as long as it was made.
func pad(parts ...[]byte) []byte {
	b := join(parts...)
	return join(b, make([]byte, made-len(b)))
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
	h := header(1, bare, zero)
	a := record(h, "first")   // at 76
	b := record(a, "second")  // at 122
	c := record(b, "third")   // at 169
	s2 := seal(b, 2)          // at 169
	c2 := record(s2, "third") // at 218
	s3 := seal(c2, 3)         // at 264
	whole := func(parts ...[]byte) file { return file{"00000001.journal", pad(parts...)} }
	raw := func(parts ...[]byte) file { return file{"00000001.journal", join(parts...)} }
	// The second segment was rolled to: it begins with one batch.
	h2 := header(2, bare+46, sum(b))
	d := record(h2, "third")
	roll := func(parts ...[]byte) file { return file{"00000002.journal", pad(parts...)} }
	rollRaw := func(parts ...[]byte) file { return file{"00000002.journal", join(parts...)} }
	// The third was made at a start: what followed "first" is copied.
	h3 := header(2, bare+47+46, sum(a))
	e := record(h3, "second")
	f := record(e, "third")
	// And so, where nothing had to be copied.
	h4 := header(2, bare, sum(c))

	write("good-empty", "records", "a header and no record", whole(h))
	write("good-three", "unsealed first second third", "three records, none sealed", whole(h, a, b, c))
	write("good-sealed", "records first second third", "three batches, each sealed or followed by a seal", whole(h, a, b, s2, c2, s3))
	write("good-partly-sealed", "unsealed first second third", "a batch after the last seal", whole(h, a, b, s2, c2))
	write("good-full", "unsealed first", "a segment that its records fill", raw(headerOf("rasidjnl", 1, log, 1, bare+46, bare, zero), record(headerOf("rasidjnl", 1, log, 1, bare+46, bare, zero), "first")))
	write("good-segments", "records first second third", "the chain goes on in a second segment", raw(h, a, b), roll(h2, d))
	write("good-zeros-before", "records first second third", "the zeros of the first segment were not cut off yet", whole(h, a, b), roll(h2, d))
	write("good-copied", "records first second third", "what followed the first record was copied at a start", raw(h, a, b, c), roll(h3, e, f))
	write("good-void-changed", "records first second third", "what was copied is void where it was, whatever became of it", raw(h, a, flip(b, 7), c[:9]), roll(h3, e, f))
	write("good-void-gone", "records first second third", "what was copied is gone where it was", raw(h, a), roll(h3, e, f))
	write("good-nothing-copied", "records first second third", "a start that had nothing to copy", raw(h, a, b, c), roll(h4))
	write("good-after-header", "records", "a second segment goes on from the header of the first", raw(h), roll(header(2, bare, sum(h))))
	write("good-leftover", "unsealed first", "a segment that was about to begin is removed", whole(h, a), file{"00000002.new", h2[:20]})

	write("torn-head", "torn first second", "of the last record only a part of its head reached the disk", whole(h, a, b, c[:20]))
	write("torn-payload", "torn first second", "the last record's payload never reached the disk", whole(h, a, b, c[:41]))
	write("torn-begin", "torn first second", "of the last record only the end reached the disk", whole(h, a, b, make([]byte, 30), c[30:]))
	write("torn-only", "torn", "the only record is torn", whole(h, a[:len(a)-2]))
	write("torn-second-segment", "torn first second third", "the record after an opening is torn", raw(h, a, b), roll(h2, d, record(d, "more")[:30]))
	write("torn-seal", "torn first second", "a seal is torn", whole(h, a, b, s2[:40]))
	write("torn-after-seal", "torn first second", "the record after a seal is torn", whole(h, a, b, s2, c2[:40]))
	write("torn-flipped-length", "torn first second", "a last record whose length is wrong cannot be told from a torn one", whole(h, a, b, flip(c, 1)))
	write("torn-zeroed", "unsealed first second", "a last record that is zeros leaves nothing behind; other evidence must tell", whole(h, a, b, make([]byte, len(c))))

	write("bad-flip-payload", "damaged 00000001.journal 76 wrong checksum", "a bit of the first payload", whole(h, flip(a, 42), b, c))
	write("bad-two-flipped", "damaged 00000001.journal 122 the record itself has", "a bit of each of the last two records: one write tears one record", whole(h, a, flip(b, 42), flip(c, 42)))
	write("bad-two-flipped-chain", "damaged 00000001.journal 122 the record itself has", "the same, in the hash of what stands before", whole(h, a, flip(b, 20), flip(c, 20)))
	write("bad-two-flipped-type", "damaged 00000001.journal 122 the record itself has", "the same, in the type", whole(h, a, flip(b, 4), flip(c, 4)))
	write("bad-flipped-and-seal", "damaged 00000001.journal 122 the record itself has", "a bit of the last batch, and of the seal that follows it", whole(h, a, flip(b, 44), flip(s2, 44)))
	write("bad-flip-length", "damaged 00000001.journal 76 an intact record follows", "a bit of the first length, which now reaches beyond the end", whole(h, flip(a, 1), b, c))
	write("bad-flip-crc", "damaged 00000001.journal 122 wrong checksum", "a bit of the second checksum", whole(h, a, flip(b, 38), c))
	write("bad-flip-chain", "damaged 00000001.journal 122 wrong checksum", "a bit of the second chain hash", whole(h, a, flip(b, 9), c))
	write("bad-flip-sealed", "damaged 00000001.journal 122 an intact record follows", "a bit of the last batch, which is sealed", whole(h, a, flip(b, 42), s2))
	write("bad-zeroed-record", "damaged 00000001.journal 76 an intact record follows", "the first record is zeros", whole(h, make([]byte, len(a)), b, c))
	write("bad-record-missing", "damaged 00000001.journal 122 the chain is broken", "the second record was cut out", whole(h, a, c))
	write("bad-record-swapped", "damaged 00000001.journal 76 the chain is broken", "two records changed places", whole(h, b, a, c))
	write("bad-record-last-chain", "damaged 00000001.journal 122 the chain is broken", "a whole last record of another journal", whole(h, a, record(h, "other")))
	write("bad-type", "damaged 00000001.journal 122 record type 3", "a type that version 1 does not know", whole(h, a, recordOf(6, 3, sum(a), "second")))
	write("bad-seal-count", "damaged 00000001.journal 169 a seal of 3 batches stands after 2", "a seal that counts one batch too many", whole(h, a, b, seal(b, 3)))
	write("bad-seal-length", "damaged 00000001.journal 122 a seal of 6 bytes", "a seal that is no number of 8 bytes", whole(h, a, recordOf(6, 2, sum(a), "second")))
	write("bad-cut", "damaged 00000001.journal 169 it was made with 400", "the file ends with its last record", raw(h, a, b))
	write("bad-cut-zeros", "damaged 00000001.journal 399 it was made with 400", "the last zero is missing", raw(pad(h, a, b)[:made-1]))
	write("bad-longer", "damaged 00000001.journal 400 401 bytes", "a byte too many", raw(pad(h, a, b), []byte{0}))
	write("bad-last-segment-gone", "damaged 00000001.journal 169 it was made with 400", "the second segment is gone", raw(h, a, b))
	write("bad-header-magic", "damaged 00000001.journal 0 does not begin", "another kind of file", whole(headerOf("rasidjnk", 1, log, 1, made, bare, zero), a))
	write("bad-header-version", "damaged 00000001.journal 0 version 2", "a later version", whole(headerOf("rasidjnl", 2, log, 1, made, bare, zero)))
	write("bad-header-log", "damaged 00000001.journal 0 belongs to log 01", "another log's segment", whole(headerOf("rasidjnl", 1, flip(log, 0), 1, made, bare, zero)))
	write("bad-header-number", "damaged 00000001.journal 0 numbers it 2", "a segment under another's name", whole(header(2, bare, zero)))
	write("bad-header-first", "damaged 00000001.journal 0 the chain is broken", "a first segment that goes on from something", whole(header(1, bare, sum(a))))
	write("bad-header-opening-short", "damaged 00000001.journal 0 an opening of 75 bytes", "an opening shorter than a header", whole(header(1, 75, zero)))
	write("bad-header-opening-long", "damaged 00000001.journal 0 an opening of 401 bytes", "an opening longer than the file", whole(header(1, 401, zero)))
	write("bad-header-length", "damaged 00000001.journal 0 in a file of 16777217", "a segment beyond the limit", whole(headerOf("rasidjnl", 1, log, 1, 16777217, bare, zero)))
	write("bad-header-crc", "damaged 00000001.journal 0 wrong checksum", "a bit of the header", whole(flip(h, 60), a))
	write("bad-header-short", "damaged 00000001.journal 0 the header alone", "a header cut short", raw(h[:40]))
	write("bad-header-zeroed", "damaged 00000002.journal 0 does not begin", "a zeroed second segment", raw(h, a, b), roll(nil))
	write("bad-header-empty", "damaged 00000001.journal 0 the header alone", "an empty file", raw())
	write("bad-opening-torn", "damaged 00000002.journal 76 only 283 bytes", "an opening is never torn", raw(h, a, b), rollRaw(h2, u32(301), make([]byte, 37), make([]byte, 283)))
	write("bad-opening-flipped", "damaged 00000002.journal 123 wrong checksum", "a bit of what was copied", raw(h, a), roll(h3, e, flip(f, 43)))
	write("bad-opening-zeroed", "damaged 00000002.journal 123 length 0", "the last record of an opening is zeros", raw(h, a), roll(h3, e))
	write("bad-opening-crossed", "damaged 00000002.journal 76 beyond the opening", "an opening that ends inside a record", raw(h, a, b), roll(header(2, bare+20, sum(b)), record(header(2, bare+20, sum(b)), "third")))
	write("bad-segment-chain", "damaged 00000001.journal 122 segment 2 follows one that is not among them", "a second segment that follows another record", raw(h, a), roll(h2, d))
	write("bad-segment-missing", "damaged 00000002.journal 0 missing", "the second of three segments is gone", raw(h, a, b), file{"00000003.journal", pad(header(3, bare, sum(d)))})
	write("bad-segment-first-missing", "damaged 00000001.journal 0 missing", "the first segment is gone", roll(h2, d))
	write("bad-segment-cut", "damaged 00000001.journal 122 only 5 bytes", "the first of two segments is cut short", raw(h, a, b[:len(b)-1]), roll(h2, d))
	write("bad-name", "damaged 1.journal 0 eight digits", "a name that is not eight digits", file{"1.journal", pad(h)})
	big := headerOf("rasidjnl", 1, log, 1, bare+1048618, bare, zero)
	write("bad-too-much-torn", "damaged 00000001.journal 76 more than one record", "more follows than one torn write can leave", raw(big), file{"append-bytes", u32(1048618)})
}
