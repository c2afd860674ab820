package ipp

import "encoding/binary"

// Operations (RFC 8011 §5.4.15).
const (
	OpPrintJob             uint16 = 0x0002
	OpValidateJob          uint16 = 0x0004
	OpCreateJob            uint16 = 0x0005
	OpSendDocument         uint16 = 0x0006
	OpCancelJob            uint16 = 0x0008
	OpGetJobAttributes     uint16 = 0x0009
	OpGetJobs              uint16 = 0x000A
	OpGetPrinterAttributes uint16 = 0x000B
)

// Status codes (RFC 8011 appendix B).
const (
	StatusOK                 uint16 = 0x0000
	StatusOKIgnored          uint16 = 0x0001
	StatusBadRequest         uint16 = 0x0400
	StatusNotPossible        uint16 = 0x0404
	StatusNotFound           uint16 = 0x0406
	StatusTooLarge           uint16 = 0x0408
	StatusFormatNotSupported uint16 = 0x040A
	StatusCompression        uint16 = 0x040F
	StatusCharset            uint16 = 0x040D
	StatusInternal           uint16 = 0x0500
	StatusNotSupported       uint16 = 0x0501
	StatusVersion            uint16 = 0x0503
	StatusBusy               uint16 = 0x0507
	StatusMultipleDocuments  uint16 = 0x0509

	statusTimeout          uint16 = 0x0405
	statusCompressionError uint16 = 0x0410
	statusFormatError      uint16 = 0x0411
	statusNotAccepting     uint16 = 0x0506
)

// Job states on the wire.
const (
	jobPending    = 3
	jobHeld       = 4
	jobProcessing = 5
	jobStopped    = 6
	jobCanceled   = 7
	jobAborted    = 8
	jobCompleted  = 9
)

// Strings makes an attribute of text-like values.
func Strings(tag Tag, name string, values ...string) Attribute {
	a := Attribute{Name: name}
	for _, v := range values {
		a.Values = append(a.Values, Value{Tag: tag, Bytes: []byte(v)})
	}
	return a
}

// Ints makes an attribute of integers or enums.
func Ints(tag Tag, name string, values ...int32) Attribute {
	a := Attribute{Name: name}
	for _, v := range values {
		a.Values = append(a.Values, Value{Tag: tag, Bytes: binary.BigEndian.AppendUint32(nil, uint32(v))})
	}
	return a
}

// Bool makes a boolean attribute.
func Bool(name string, v bool) Attribute {
	b := byte(0)
	if v {
		b = 1
	}
	return Attribute{Name: name, Values: []Value{{Tag: TagBoolean, Bytes: []byte{b}}}}
}

// Collection makes an attribute of one collection with the members.
func Collection(name string, members ...Attribute) Attribute {
	return Attribute{Name: name, Values: []Value{{Tag: tagCollection, Members: members}}}
}

// Find returns an attribute of the first group with the tag that has it.
func (m Message) Find(group Tag, name string) (Attribute, bool) {
	for _, g := range m.Groups {
		if g.Tag != group {
			continue
		}
		if a, ok := g.Find(name); ok {
			return a, true
		}
	}
	return Attribute{}, false
}

// Find returns an attribute of the group.
func (g Group) Find(name string) (Attribute, bool) {
	for _, a := range g.Attributes {
		if a.Name == name {
			return a, true
		}
	}
	return Attribute{}, false
}

// Text returns the first value as text, "" where there is none.
func (a Attribute) Text() string {
	if len(a.Values) == 0 {
		return ""
	}
	return a.Values[0].text()
}

// text leaves the language out: a printer may answer the name it was given as one
// with a language (RFC 8011 §5.1.3), and it is the same name.
func (v Value) text() string {
	if v.Tag == tagTextLang || v.Tag == tagNameLang {
		text, _ := withoutLanguage(v.Bytes) // of a decoded value it is whole
		return string(text)
	}
	return string(v.Bytes)
}

// Texts returns all values as text.
func (a Attribute) Texts() []string {
	var out []string
	for _, v := range a.Values {
		out = append(out, v.text())
	}
	return out
}

// Int returns the first value as an integer; ok is false if it is none.
func (a Attribute) Int() (v int32, ok bool) {
	if len(a.Values) == 0 || len(a.Values[0].Bytes) != 4 {
		return 0, false
	}
	return int32(binary.BigEndian.Uint32(a.Values[0].Bytes)), true
}

// Numbers returns the values that are integers or enums.
func (a Attribute) Numbers() []int32 {
	var out []int32
	for _, v := range a.Values {
		if len(v.Bytes) == 4 {
			out = append(out, int32(binary.BigEndian.Uint32(v.Bytes)))
		}
	}
	return out
}

// IsTrue reports whether the first value is the boolean true.
func (a Attribute) IsTrue() bool {
	return len(a.Values) > 0 && len(a.Values[0].Bytes) == 1 && a.Values[0].Bytes[0] == 1
}
