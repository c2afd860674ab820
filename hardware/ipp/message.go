// Package ipp speaks IPP/2.0 (RFC 8010, RFC 8011) to a laser printer: the codec, and
// a client that can find a job again by its name after a lost answer.
package ipp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Limits of a message. A document follows the message and has its own.
const (
	messageMaxBytes = 256 << 10
	attributesMax   = 4096
	nestedMax       = 4 // collections within collections
)

// ErrMalformed is returned for bytes that are no IPP message.
var ErrMalformed = errors.New("malformed IPP message")

// Tag is a delimiter or value tag (RFC 8010 §3.5).
type Tag byte

// The tags in use here.
const (
	TagOperation   Tag = 0x01
	TagJob         Tag = 0x02
	TagEnd         Tag = 0x03
	TagPrinter     Tag = 0x04
	TagUnsupported Tag = 0x05

	TagInteger    Tag = 0x21
	TagBoolean    Tag = 0x22
	TagEnum       Tag = 0x23
	TagRange      Tag = 0x33
	TagResolution Tag = 0x32
	tagCollection Tag = 0x34
	tagEndColl    Tag = 0x37
	TagText       Tag = 0x41
	TagName       Tag = 0x42
	TagKeyword    Tag = 0x44
	TagURI        Tag = 0x45
	TagCharset    Tag = 0x47
	TagLanguage   Tag = 0x48
	TagMIME       Tag = 0x49
	tagMember     Tag = 0x4A
	TagUnknown    Tag = 0x12
	TagNoValue    Tag = 0x13

	tagDateTime Tag = 0x31
	tagTextLang Tag = 0x35
	tagNameLang Tag = 0x36
)

// Value is one value of an attribute: its bytes as on the wire, or the members of a
// collection.
type Value struct {
	Tag     Tag
	Bytes   []byte
	Members []Attribute // of a collection
}

// Attribute is a name with its values, at least one.
type Attribute struct {
	Name   string
	Values []Value
}

// Group is the attributes behind one delimiter.
type Group struct {
	Tag        Tag
	Attributes []Attribute
}

// Message is a request (Code is the operation) or an answer (Code is the status).
type Message struct {
	Major, Minor byte
	Code         uint16
	RequestID    uint32
	Groups       []Group
}

// Encode returns the message's bytes; a document may follow them.
func (m Message) Encode() ([]byte, error) {
	b := []byte{m.Major, m.Minor}
	b = binary.BigEndian.AppendUint16(b, m.Code)
	b = binary.BigEndian.AppendUint32(b, m.RequestID)
	var err error
	for _, g := range m.Groups {
		if g.Tag == 0 || g.Tag == TagEnd || g.Tag >= 0x10 {
			return nil, fmt.Errorf("%w: group tag 0x%02x", ErrMalformed, byte(g.Tag))
		}
		b = append(b, byte(g.Tag))
		for _, a := range g.Attributes {
			if b, err = appendAttribute(b, a); err != nil {
				return nil, err
			}
		}
	}
	b = append(b, byte(TagEnd))
	if len(b) > messageMaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrMalformed, len(b), messageMaxBytes)
	}
	return b, nil
}

func appendAttribute(b []byte, a Attribute) ([]byte, error) {
	if a.Name == "" || len(a.Name) > 255 || len(a.Values) == 0 {
		return nil, fmt.Errorf("%w: attribute %q with %d values", ErrMalformed, a.Name, len(a.Values))
	}
	var err error
	for i, v := range a.Values {
		name := a.Name
		if i > 0 {
			name = ""
		}
		if b, err = appendValue(b, name, v, 0); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func appendField(b []byte, tag Tag, name string, value []byte) ([]byte, error) {
	if len(name) > 0x7fff || len(value) > 0x7fff || tag < 0x10 {
		return nil, fmt.Errorf("%w: tag 0x%02x, name of %d bytes, value of %d", ErrMalformed, byte(tag), len(name), len(value))
	}
	b = append(b, byte(tag))
	b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
	b = append(b, name...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...), nil
}

func appendValue(b []byte, name string, v Value, depth int) ([]byte, error) {
	if v.Tag != tagCollection {
		if v.Tag == tagEndColl || v.Tag == tagMember || len(v.Members) > 0 {
			return nil, fmt.Errorf("%w: tag 0x%02x as a value", ErrMalformed, byte(v.Tag))
		}
		if err := checkValue(v.Tag, v.Bytes); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		return appendField(b, v.Tag, name, v.Bytes)
	}
	if len(v.Bytes) > 0 || depth >= nestedMax {
		return nil, fmt.Errorf("%w: a collection with a value of its own, or deeper than %d", ErrMalformed, nestedMax)
	}
	b, err := appendField(b, tagCollection, name, nil)
	if err != nil {
		return nil, err
	}
	for _, m := range v.Members {
		if b, err = appendField(b, tagMember, "", []byte(m.Name)); err != nil {
			return nil, err
		}
		if m.Name == "" || len(m.Name) > 255 || len(m.Values) == 0 {
			return nil, fmt.Errorf("%w: member %q of a collection", ErrMalformed, m.Name)
		}
		for _, value := range m.Values {
			if b, err = appendValue(b, "", value, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return appendField(b, tagEndColl, "", nil)
}
