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
			if b, err = appendAttribute(b, a, 0); err != nil {
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

func appendAttribute(b []byte, a Attribute, depth int) ([]byte, error) {
	if a.Name == "" || len(a.Name) > 255 || len(a.Values) == 0 || depth > nestedMax {
		return nil, fmt.Errorf("%w: attribute %q with %d values", ErrMalformed, a.Name, len(a.Values))
	}
	var err error
	for i, v := range a.Values {
		name := a.Name
		if i > 0 {
			name = ""
		}
		if b, err = appendValue(b, name, v, depth); err != nil {
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
		return appendField(b, v.Tag, name, v.Bytes)
	}
	b, err := appendField(b, tagCollection, name, nil)
	if err != nil {
		return nil, err
	}
	for _, m := range v.Members {
		if b, err = appendField(b, tagMember, "", []byte(m.Name)); err != nil {
			return nil, err
		}
		if m.Name == "" || len(m.Name) > 255 || len(m.Values) == 0 || depth >= nestedMax {
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

// Decode reads a message and returns what follows it, the document. It accepts
// exactly what Encode writes.
func Decode(b []byte) (m Message, document []byte, err error) {
	d := decoder{b: b}
	if m, err = d.message(); err != nil {
		return Message{}, nil, fmt.Errorf("%w at byte %d: %w", ErrMalformed, d.at, err)
	}
	if d.at > messageMaxBytes {
		return Message{}, nil, fmt.Errorf("%w: more than %d bytes", ErrMalformed, messageMaxBytes)
	}
	return m, b[d.at:], nil
}

type decoder struct {
	b     []byte
	at    int
	count int
}

func (d *decoder) message() (Message, error) {
	if len(d.b) < 9 {
		return Message{}, errors.New("cut short")
	}
	m := Message{Major: d.b[0], Minor: d.b[1], Code: binary.BigEndian.Uint16(d.b[2:]), RequestID: binary.BigEndian.Uint32(d.b[4:])}
	d.at = 8
	for {
		if d.at >= len(d.b) {
			return m, errors.New("cut short: the end tag is missing")
		}
		tag := Tag(d.b[d.at])
		if tag == 0 || tag >= 0x10 {
			return m, fmt.Errorf("tag 0x%02x where a group begins", byte(tag))
		}
		d.at++
		if tag == TagEnd {
			return m, nil
		}
		g := Group{Tag: tag}
		for d.at < len(d.b) && d.b[d.at] >= 0x10 {
			if err := d.attribute(&g.Attributes); err != nil {
				return m, err
			}
		}
		m.Groups = append(m.Groups, g)
	}
}

// field reads tag, name and value.
func (d *decoder) field() (tag Tag, name string, value []byte, err error) {
	if d.count++; d.count > attributesMax {
		return 0, "", nil, fmt.Errorf("more than %d values", attributesMax)
	}
	tag = Tag(d.b[d.at])
	d.at++
	n, err := d.bytes()
	if err != nil {
		return 0, "", nil, err
	}
	value, err = d.bytes()
	if len(n) > 255 {
		return 0, "", nil, fmt.Errorf("a name of %d bytes", len(n))
	}
	return tag, string(n), value, err
}

func (d *decoder) bytes() ([]byte, error) {
	if len(d.b)-d.at < 2 {
		return nil, errors.New("cut short")
	}
	n := int(binary.BigEndian.Uint16(d.b[d.at:]))
	if n > 0x7fff || len(d.b)-d.at-2 < n {
		return nil, fmt.Errorf("a field of %d bytes is cut short", n)
	}
	s := d.b[d.at+2 : d.at+2+n]
	d.at += 2 + n
	return s, nil
}

func (d *decoder) attribute(into *[]Attribute) error {
	tag, name, value, err := d.field()
	if err != nil {
		return err
	}
	v, err := d.value(tag, value, 0)
	if err != nil {
		return err
	}
	if name != "" {
		*into = append(*into, Attribute{Name: name, Values: []Value{v}})
		return nil
	}
	if len(*into) == 0 {
		return errors.New("a further value without an attribute")
	}
	last := &(*into)[len(*into)-1]
	last.Values = append(last.Values, v)
	return nil
}

func (d *decoder) value(tag Tag, value []byte, depth int) (Value, error) {
	if tag == tagEndColl || tag == tagMember {
		return Value{}, fmt.Errorf("tag 0x%02x outside a collection", byte(tag))
	}
	if tag != tagCollection {
		return Value{Tag: tag, Bytes: append([]byte(nil), value...)}, nil
	}
	if len(value) != 0 || depth > nestedMax {
		return Value{}, errors.New("a collection with a value of its own, or too deep")
	}
	v := Value{Tag: tagCollection}
	for {
		if d.at >= len(d.b) || d.b[d.at] < 0x10 {
			return v, errors.New("a collection does not end")
		}
		tag, name, value, err := d.field()
		if err != nil {
			return v, err
		}
		switch {
		case name != "":
			return v, errors.New("a name inside a collection")
		case tag == tagEndColl:
			return v, endCollection(v, value)
		case tag == tagMember:
			if err := memberName(v, value); err != nil {
				return v, err
			}
			v.Members = append(v.Members, Attribute{Name: string(value)})
		default:
			if len(v.Members) == 0 {
				return v, errors.New("a member value without a name")
			}
			inner, err := d.value(tag, value, depth+1)
			if err != nil {
				return v, err
			}
			last := &v.Members[len(v.Members)-1]
			last.Values = append(last.Values, inner)
		}
	}
}

func endCollection(v Value, value []byte) error {
	if len(value) != 0 || len(v.Members) > 0 && len(v.Members[len(v.Members)-1].Values) == 0 {
		return errors.New("a collection ends with a value, or after a name")
	}
	return nil
}

func memberName(v Value, value []byte) error {
	if len(value) == 0 || len(value) > 255 || len(v.Members) > 0 && len(v.Members[len(v.Members)-1].Values) == 0 {
		return errors.New("a member name that is empty, too long, or after another")
	}
	return nil
}
