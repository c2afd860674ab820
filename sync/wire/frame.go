package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"rasid/ledger"
)

// Append adds the message's frame to dst: the length of what follows as an
// unsigned varint, the type, the body (PROTOCOL.md §2). It refuses what Decode
// would.
func Append(dst []byte, m Message) ([]byte, error) {
	body, err := encodeBody(m)
	if err != nil {
		return dst, fmt.Errorf("couldn't write %s: %w", m.Type(), err)
	}
	if _, limit := m.Type().row(); len(body) > limit {
		return dst, fmt.Errorf("couldn't write %s: %d bytes, the limit is %d: %w", m.Type(), len(body), limit, ErrTooLarge)
	}
	dst = binary.AppendUvarint(dst, uint64(1+len(body)))
	dst = append(dst, byte(m.Type()))
	return append(dst, body...), nil
}

func encodeBody(m Message) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	switch m := m.(type) {
	case *Run:
		return m.Run.Encode()
	case *Object:
		return ledger.Encode(m.Bytes)
	}
	return ledger.Encode(m)
}

func newMessage(t Type) Message {
	switch t {
	case TypeHello:
		return &Hello{}
	case TypeFrontier:
		return &Frontier{}
	case TypeHave:
		return &Have{}
	case TypeNotice:
		return &Notice{}
	case TypeWant:
		return &Want{}
	case TypeLack:
		return &Lack{}
	case TypeOffer:
		return &Offer{}
	case TypeCredit:
		return &Credit{}
	case TypeFault:
		return &Fault{}
	case TypeBye:
		return &Bye{}
	case TypePruned:
		return &Pruned{}
	}
	return nil
}

func decodeBody(t Type, body []byte) (Message, error) {
	switch t {
	case TypeRun:
		r, err := ledger.DecodeRun(body)
		if err != nil {
			return nil, fmt.Errorf("RUN: %w", err)
		}
		return &Run{Run: r}, nil
	case TypeObject:
		m := &Object{}
		if err := ledger.Decode(body, &m.Bytes); err != nil {
			return nil, fmt.Errorf("OBJECT: %w", err)
		}
		return m, m.check()
	}
	m := newMessage(t)
	if m == nil {
		return nil, fmt.Errorf("%w message: unknown type %d", ledger.ErrMalformed, uint8(t))
	}
	if err := ledger.Decode(body, m); err != nil {
		return nil, fmt.Errorf("%s: %w", t, err)
	}
	return m, m.check()
}

// Decode reads exactly one frame. The error wraps ledger.ErrMalformed.
func Decode(b []byte) (Message, error) {
	length, n := binary.Uvarint(b)
	if err := checkLength(length, n); err != nil {
		return nil, err
	}
	if uint64(len(b)-n) != length {
		return nil, fmt.Errorf("%w frame: it states %d bytes and has %d", ledger.ErrMalformed, length, len(b)-n)
	}
	t := Type(b[n])
	if err := checkType(t, int(length)-1, false); err != nil {
		return nil, err
	}
	return decodeBody(t, b[n+1:])
}

func checkLength(length uint64, n int) error {
	switch {
	case n <= 0:
		return fmt.Errorf("%w frame: the length is cut short or beyond 64 bits", ledger.ErrMalformed)
	case n != len(binary.AppendUvarint(nil, length)):
		return fmt.Errorf("%w frame: the length is not in its shortest form", ledger.ErrMalformed)
	case length == 0:
		return fmt.Errorf("%w frame: it has no type", ledger.ErrMalformed)
	case length > MessageMaxBytes:
		return fmt.Errorf("%w frame: %d bytes, the limit is %d: %w", ledger.ErrMalformed, length, MessageMaxBytes, ErrTooLarge)
	}
	return nil
}

// checkType refuses unknown types and oversized bodies before a body is read;
// early allows only what may come before the other end is known.
func checkType(t Type, size int, early bool) error {
	name, limit := t.row()
	if name == "" {
		return fmt.Errorf("%w message: unknown type %d", ledger.ErrMalformed, uint8(t))
	}
	if early && t != TypeHello && t != TypeBye {
		return fmt.Errorf("%w message: %s before HELLO", ledger.ErrMalformed, t)
	}
	if size > limit {
		return fmt.Errorf("%w %s: %d bytes, the limit is %d: %w", ledger.ErrMalformed, t, size, limit, ErrTooLarge)
	}
	return nil
}

// Reader reads frames from a stream. Its methods are for one goroutine.
type Reader struct {
	r     *bufio.Reader
	first bool
}

// NewReader returns a reader whose first message must be a Hello or a Bye: an
// unknown end can make it read no more than 512 bytes.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 4096), first: true} }

// Next reads one message and says how many bytes its frame had. At the end of the
// stream between frames it returns io.EOF, within a frame io.ErrUnexpectedEOF; bad
// bytes wrap ledger.ErrMalformed, and nothing that follows can be read.
func (r *Reader) Next() (Message, int, error) {
	length, n, err := r.length()
	if err != nil {
		return nil, 0, err
	}
	if err := checkLength(length, n); err != nil {
		return nil, 0, err
	}
	t, err := r.r.ReadByte()
	if err != nil {
		return nil, 0, torn(err)
	}
	if err := checkType(Type(t), int(length)-1, r.first); err != nil {
		return nil, 0, err
	}
	r.first = false
	body := make([]byte, length-1)
	if _, err := io.ReadFull(r.r, body); err != nil {
		return nil, 0, torn(err)
	}
	m, err := decodeBody(Type(t), body)
	return m, n + int(length), err
}

func (r *Reader) length() (length uint64, n int, err error) {
	var b [binary.MaxVarintLen64]byte
	for n < len(b) {
		if b[n], err = r.r.ReadByte(); err != nil {
			if n > 0 {
				err = torn(err)
			}
			return 0, 0, err
		}
		n++
		if b[n-1] < 0x80 {
			break
		}
	}
	length, n = binary.Uvarint(b[:n])
	return length, n, nil
}

func torn(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
