package ipp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Decode reads a message and returns what follows it, the document. What
// it accepts, Encode writes again byte for byte.
func Decode(b []byte) (m Message, document []byte, err error) {
	d := decoder{b: b}
	if m, err = d.message(); err != nil {
		return Message{}, nil, fmt.Errorf("%w at byte %d: %w", ErrMalformed, d.at, err)
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
		if d.at > messageMaxBytes {
			return m, fmt.Errorf("more than %d bytes", messageMaxBytes)
		}
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
	if d.at > messageMaxBytes {
		return 0, "", nil, fmt.Errorf("more than %d bytes", messageMaxBytes)
	}
	tag = Tag(d.b[d.at])
	d.at++
	n, err := d.bytes()
	if err != nil {
		return 0, "", nil, err
	}
	value, err = d.bytes()
	if err == nil && len(n) > 255 {
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
		return Value{Tag: tag, Bytes: append([]byte(nil), value...)}, checkValue(tag, value)
	}
	if len(value) != 0 || depth >= nestedMax {
		return Value{}, fmt.Errorf("a collection with a value of its own, or deeper than %d", nestedMax)
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

// checkValue demands the form that RFC 8010 §3.9 gives a value of fixed length. The
// out-of-band tags may carry bytes although they should not: printers are known that
// send some, and nothing here reads them.
func checkValue(tag Tag, value []byte) error {
	want := len(value)
	switch tag {
	case TagInteger, TagEnum:
		want = 4
	case TagBoolean:
		want = 1
		if len(value) == 1 && value[0] > 1 {
			return fmt.Errorf("a boolean of 0x%02x", value[0])
		}
	case tagDateTime:
		want = 11
	case TagResolution:
		want = 9
	case TagRange:
		want = 8
	case tagTextLang, tagNameLang:
		if _, ok := withoutLanguage(value); !ok {
			return errors.New("a text with language whose parts do not fill it")
		}
	}
	if len(value) != want {
		return fmt.Errorf("a value of %d bytes under tag 0x%02x, which takes %d", len(value), byte(tag), want)
	}
	return nil
}

// withoutLanguage returns the text of a textWithLanguage or nameWithLanguage value:
// length, language, length, text (RFC 8010 §3.9).
func withoutLanguage(value []byte) (text []byte, ok bool) {
	d := decoder{b: value}
	if _, err := d.bytes(); err != nil {
		return nil, false
	}
	text, err := d.bytes()
	return text, err == nil && d.at == len(value)
}
