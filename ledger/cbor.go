package ledger

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// Limits of a value. The decoder's own limits are the same ones, so that nothing
// canonical is refused later for its shape.
const (
	canonicalDepthMax = 8       // arrays and maps within each other
	canonicalItemsMax = 1 << 17 // elements of one array, pairs of one map
)

// The modes cost microseconds to build; they are built once and never change.
var (
	encMode = sync.OnceValues(encOptions().EncMode)
	decMode = sync.OnceValues(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   canonicalDepthMax,
		MaxArrayElements:  canonicalItemsMax,
		MaxMapPairs:       canonicalItemsMax,
	}.DecMode)
)

// encOptions writes a nil slice as an empty one: with two ways to say "nothing",
// null would decode as a second encoding of the empty string.
func encOptions() cbor.EncOptions {
	o := cbor.CoreDetEncOptions()
	o.NilContainers = cbor.NilContainerAsEmpty
	return o
}

// RawCBOR is one encoded value, kept as received.
type RawCBOR = cbor.RawMessage

// Encode returns the one canonical encoding of v (LEDGER.md §2). Structs use
// `cbor:"N,keyasint"` or `cbor:",toarray"`. It fails on values that the format
// does not have (floats, maps with other than unsigned keys).
func Encode(v any) ([]byte, error) {
	mode, err := encMode()
	if err != nil {
		return nil, fmt.Errorf("couldn't set up the encoder: %w", err)
	}
	b, err := mode.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("couldn't encode: %w", err)
	}
	if err := CheckCanonical(b); err != nil {
		return nil, fmt.Errorf("couldn't encode %T: %w", v, err)
	}
	return b, nil
}

// Decode reads exactly one canonical value into v: unknown fields, missing or
// trailing bytes and every second way of writing the same value are errors, so
// that Decode(b) ok means Encode(v) == b (LEDGER.md §2). The error wraps
// ErrMalformed.
func Decode(b []byte, v any) error {
	if err := CheckCanonical(b); err != nil {
		return err
	}
	mode, err := decMode()
	if err != nil {
		return fmt.Errorf("couldn't set up the decoder: %w", err)
	}
	if err := mode.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	again, err := Encode(v)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !bytes.Equal(again, b) {
		return fmt.Errorf("%w: the value has another canonical form", ErrMalformed)
	}
	return nil
}

// CheckCanonical reports whether b is exactly one value in the subset of core
// deterministic CBOR that the log uses (LEDGER.md §2): integers, byte strings,
// UTF-8 text, arrays, maps with ascending unsigned keys, true, false and null.
func CheckCanonical(b []byte) error {
	c := canonical{b: b}
	if err := c.value(0); err != nil {
		return fmt.Errorf("%w CBOR at byte %d: %w", ErrMalformed, c.at, err)
	}
	if c.at != len(b) {
		return fmt.Errorf("%w CBOR at byte %d: %d bytes after the value", ErrMalformed, c.at, len(b)-c.at)
	}
	return nil
}

type canonical struct {
	b  []byte
	at int
}

const (
	majorUint = iota
	majorNegative
	majorBytes
	majorText
	majorArray
	majorMap
	majorTag
	majorSimple
)

// smallEnd ends the bytes that are an unsigned integer by themselves, 0 to 23.
const smallEnd = 24

// head reads a major type and its argument in the shortest form.
func (c *canonical) head() (major byte, arg uint64, err error) {
	if c.at >= len(c.b) {
		return 0, 0, fmt.Errorf("cut short")
	}
	first := c.b[c.at]
	major, info := first>>5, first&0x1f
	if info < 24 {
		c.at++
		return major, uint64(info), nil
	}
	if info > 27 {
		return 0, 0, fmt.Errorf("indefinite or reserved length 0x%02x", first)
	}
	n := 1 << (info - 24)
	rest := c.b[c.at+1:]
	if len(rest) < n {
		return 0, 0, fmt.Errorf("cut short")
	}
	var least uint64
	switch n {
	case 1:
		arg, least = uint64(rest[0]), 24
	case 2:
		arg, least = uint64(binary.BigEndian.Uint16(rest)), 1<<8
	case 4:
		arg, least = uint64(binary.BigEndian.Uint32(rest)), 1<<16
	default:
		arg, least = binary.BigEndian.Uint64(rest), 1<<32
	}
	if arg < least {
		return 0, 0, fmt.Errorf("number %d is not in its shortest form", arg)
	}
	c.at += 1 + n
	return major, arg, nil
}

// value reads one value that lies within depth arrays and maps.
func (c *canonical) value(depth int) error {
	start := c.at
	if start < len(c.b) && c.b[start] < smallEnd { // most values are this one byte
		c.at++
		return nil
	}
	major, arg, err := c.head()
	if err != nil {
		return err
	}
	switch major {
	case majorUint, majorNegative:
		return checkInteger(arg)
	case majorBytes, majorText:
		return c.str(major, arg)
	case majorArray, majorMap:
		if depth >= canonicalDepthMax {
			return fmt.Errorf("nested deeper than %d", canonicalDepthMax)
		}
		if arg > canonicalItemsMax {
			return fmt.Errorf("%d elements, the limit is %d", arg, canonicalItemsMax)
		}
		if major == majorArray {
			return c.array(arg, depth)
		}
		return c.pairs(arg, depth)
	case majorSimple:
		if info := c.b[start] & 0x1f; info < 20 || info > 22 {
			return fmt.Errorf("simple value or float 0x%02x", c.b[start])
		}
		return nil
	}
	return fmt.Errorf("tag %d", arg)
}

// checkInteger keeps every number, map keys too, within what int64 holds.
func checkInteger(arg uint64) error {
	if arg > 1<<63-1 {
		return fmt.Errorf("integer beyond 63 bits")
	}
	return nil
}

func (c *canonical) str(major byte, n uint64) error {
	if n > uint64(len(c.b)-c.at) {
		return fmt.Errorf("string of %d bytes is cut short", n)
	}
	s := c.b[c.at : c.at+int(n)]
	c.at += int(n)
	if major == majorText && !utf8.Valid(s) {
		return fmt.Errorf("text is not UTF-8")
	}
	return nil
}

func (c *canonical) array(n uint64, depth int) error {
	if n > uint64(len(c.b)-c.at) {
		return fmt.Errorf("array of %d is cut short", n)
	}
	for range n {
		if err := c.value(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

func (c *canonical) pairs(n uint64, depth int) error {
	if n > uint64(len(c.b)-c.at)/2 {
		return fmt.Errorf("map of %d is cut short", n)
	}
	var last uint64
	for i := range n {
		key, err := c.mapKey()
		if err != nil {
			return err
		}
		if i > 0 && key <= last {
			return fmt.Errorf("map key %d after %d", key, last)
		}
		last = key
		if err := c.value(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

func (c *canonical) mapKey() (uint64, error) {
	if c.at < len(c.b) && c.b[c.at] < smallEnd {
		c.at++
		return uint64(c.b[c.at-1]), nil
	}
	major, key, err := c.head()
	if err != nil {
		return 0, err
	}
	if major != majorUint {
		return 0, fmt.Errorf("map key is not an unsigned integer")
	}
	return key, checkInteger(key)
}
