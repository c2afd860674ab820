package ipp

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// nested returns a message whose collection lies levels deep.
func nested(levels int) []byte {
	field := func(b []byte, tag Tag, name, value string) []byte {
		b = append(b, byte(tag), 0, byte(len(name)))
		b = append(append(b, name...), 0, byte(len(value)))
		return append(b, value...)
	}
	b := field([]byte{2, 0, 0, 0x0b, 0, 0, 0, 1, byte(TagPrinter)}, tagCollection, "c", "")
	for range levels - 1 {
		b = field(field(b, tagMember, "", "m"), tagCollection, "", "")
	}
	b = field(field(b, tagMember, "", "m"), TagKeyword, "", "v")
	for range levels {
		b = field(b, tagEndColl, "", "")
	}
	return append(b, byte(TagEnd))
}

// What is decoded must be encodable, also at the limit.
func TestNestingLimitIsTheSameBothWays(t *testing.T) {
	for levels := 1; levels <= nestedMax+2; levels++ {
		raw := nested(levels)
		m, _, err := Decode(raw)
		if ok := levels <= nestedMax; ok != (err == nil) || !ok && !errors.Is(err, ErrMalformed) {
			t.Errorf("%d levels: %v", levels, err)
		}
		if err != nil {
			continue
		}
		if again, err := m.Encode(); err != nil || !bytes.Equal(again, raw) {
			t.Errorf("%d levels: encoded again: %v\n%x\n%x", levels, err, again, raw)
		}
	}
}

// A message may be as long as the limit and no longer; what lies behind the limit is
// not even looked at.
func TestMessageLimit(t *testing.T) {
	message := func(size int) []byte {
		m := Message{Major: 2, RequestID: 1, Groups: []Group{{Tag: TagOperation}}}
		for left := size - 10; left > 0; { // 9 bytes of head and group, 1 of end
			n := min(left, 0x7000)
			if left-n < 6 && left != n {
				n -= 6 // the last value has room for its own head
			}
			m.Groups[0].Attributes = append(m.Groups[0].Attributes, Attribute{Name: "a", Values: []Value{{Tag: TagText, Bytes: make([]byte, n-6)}}})
			left -= n
		}
		b, err := m.Encode()
		if (err == nil) != (size <= messageMaxBytes) {
			t.Fatalf("encoding %d bytes: %v", size, err)
		}
		return b
	}
	if b := message(messageMaxBytes); len(b) != messageMaxBytes {
		t.Fatalf("%d bytes", len(b))
	} else if _, _, err := Decode(b); err != nil {
		t.Errorf("a message of the full size: %v", err)
	}
	message(messageMaxBytes + 1)
	long := []byte{2, 0, 0, 0, 0, 0, 0, 1, byte(TagOperation)}
	for len(long) <= messageMaxBytes {
		long = append(append(long, byte(TagText), 0, 1, 'a', 0x70, 0), make([]byte, 0x7000)...)
	}
	for name, tail := range map[string][]byte{"end": {byte(TagEnd)}, "garbage": {byte(TagText), 0xff, 0xff}} {
		if _, _, err := Decode(append(bytes.Clone(long), tail...)); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "more than 262144 bytes") {
			t.Errorf("too long, then %s: %v", name, err)
		}
	}
}
