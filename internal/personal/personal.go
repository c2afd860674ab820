// Package personal finds what is personal of a test's own people in bytes that a
// program wrote: in clear, in UTF-16, in hexadecimal, in base64 and grouped.
package personal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf16"
)

// needleMin is the shortest form looked for: shorter ones would be found by chance.
const needleMin = 8

// Scanner looks for some people's data. It does not change.
type Scanner struct {
	needles map[string][]needle // by their first four bytes
}

type needle struct {
	bytes []byte
	what  string
}

// Found is one thing that should not be there. It does not repeat what it found.
type Found struct {
	Path string
	At   int
	Form string // which datum, in which form
}

// New makes a scanner for the data, each by a name that may be shown.
func New(data map[string]string) *Scanner {
	s := &Scanner{needles: map[string][]needle{}}
	for name, datum := range data {
		for form, b := range forms(datum) {
			if len(b) < needleMin {
				continue
			}
			first := string(b[:4])
			s.needles[first] = append(s.needles[first], needle{b, name + " " + form})
		}
	}
	return s
}

// forms are the ways in which a datum could be written.
func forms(datum string) map[string][]byte {
	out := map[string][]byte{}
	for spelling, text := range spellings(datum) {
		wide := utf16.Encode([]rune(text))
		var little, big []byte
		for _, u := range wide {
			little = append(little, byte(u), byte(u>>8))
			big = append(big, byte(u>>8), byte(u))
		}
		for form, b := range map[string][]byte{"in clear": []byte(text), "in UTF-16LE": little, "in UTF-16BE": big} {
			where := spelling + form
			out[where] = b
			out[where+", in hexadecimal"] = []byte(hex.EncodeToString(b))
			out[where+", in HEXADECIMAL"] = []byte(strings.ToUpper(hex.EncodeToString(b)))
			// Within a longer text the datum begins at one of three places of a group, and
			// only the characters that its neighbours do not touch are sure.
			for shift := range 3 {
				padded := append(make([]byte, shift), b...)
				from, to := (8*shift+5)/6, len(padded)*8/6
				out[fmt.Sprintf("%s, in base64 at %d", where, shift)] = []byte(base64.StdEncoding.EncodeToString(padded)[from:to])
				out[fmt.Sprintf("%s, in base64url at %d", where, shift)] = []byte(base64.URLEncoding.EncodeToString(padded)[from:to])
			}
		}
	}
	return out
}

// spellings of a number are its groupings and scripts; of a name it is itself.
func spellings(datum string) map[string]string {
	out := map[string]string{"": datum}
	if strings.Trim(datum, "0123456789") != "" {
		return out
	}
	for _, size := range []int{2, 3, 4, 5, 6} {
		for _, gap := range []string{" ", "-", ".", ",", "\u00a0", "\u2009"} {
			out[fmt.Sprintf("grouped by %d with %q, ", size, gap)] = grouped(datum, size, gap)
		}
	}
	out["in Devanagari digits, "] = strings.Map(func(r rune) rune { return r - '0' + '०' }, datum)
	return out
}

func grouped(s string, size int, gap string) string {
	var parts []string
	for part := range slices.Chunk([]byte(s), size) {
		parts = append(parts, string(part))
	}
	return strings.Join(parts, gap)
}

// Bytes returns what stands in b.
func (s *Scanner) Bytes(path string, b []byte) []Found {
	var out []Found
	for i := 0; i+4 <= len(b); i++ {
		for _, n := range s.needles[string(b[i:i+4])] {
			if bytes.HasPrefix(b[i:], n.bytes) {
				out = append(out, Found{Path: path, At: i, Form: n.what})
			}
		}
	}
	return out
}

// Tree looks through the names and contents of every file below root, or through the
// file root. It returns how many files it read.
func (s *Scanner) Tree(root string) (found []Found, files int, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		found = append(found, s.Bytes(path+" (its name)", []byte(d.Name()))...)
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(path)
		files++
		found = append(found, s.Bytes(path, b)...)
		return err
	})
	return found, files, err
}
