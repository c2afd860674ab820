// Package ssp drives banknote acceptors that speak ITL's Smiley Secure Protocol
// over a serial line: plain polling, with hold and the device's own counters, no
// encryption. Framing and the parsing of replies are pure; Driver is the one
// loop around them.
//
// The trap of this protocol: a POLL sent while a note is in escrow accepts the
// note. See session.poll.
package ssp

import "fmt"

// The bytes of a frame: STX, sequence bit and address, length, data, CRC.
const (
	stx        = 0x7F
	seqBit     = 0x80
	addressMax = 0x7D
	dataMax    = 255
)

// Frame is one packet, to or from the device. A reply carries the sequence bit
// of the command it answers.
type Frame struct {
	Seq     bool
	Address uint8
	Data    []byte // 1 to 255 bytes: command or reply code, then its parameters
}

// Encode returns the frame's bytes on the line. Every 7F after the first is
// doubled, in the checksum too.
func (f Frame) Encode() ([]byte, error) {
	if f.Address > addressMax {
		return nil, fmt.Errorf("couldn't encode the frame: address %#02x is above %#02x", f.Address, addressMax)
	}
	if len(f.Data) == 0 || len(f.Data) > dataMax {
		return nil, fmt.Errorf("couldn't encode the frame: %d bytes of data, want 1 to %d", len(f.Data), dataMax)
	}
	body := make([]byte, 0, len(f.Data)+4)
	body = append(body, f.Address, byte(len(f.Data)))
	if f.Seq {
		body[0] |= seqBit
	}
	body = append(body, f.Data...)
	sum := crc(body)
	body = append(body, byte(sum), byte(sum>>8))
	out := append(make([]byte, 0, 2*len(body)+1), stx)
	for _, b := range body {
		out = append(out, b)
		if b == stx {
			out = append(out, stx)
		}
	}
	return out, nil
}

// crc is CRC-16, polynomial 8005, initial value FFFF, most significant bit
// first, over sequence byte, length and data before stuffing.
func crc(p []byte) uint16 {
	sum := uint16(0xFFFF)
	for _, b := range p {
		sum ^= uint16(b) << 8
		for range 8 {
			if sum&0x8000 != 0 {
				sum = sum<<1 ^ 0x8005
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}

// Decoder finds frames in a stream, fed in pieces of any size. A frame that is
// damaged, empty or has an impossible address is dropped whole; a lone 7F starts
// a new frame wherever it stands. The zero Decoder is ready.
type Decoder struct {
	inFrame bool
	lone7F  bool   // the last byte was a 7F inside a frame: doubled or a new start?
	body    []byte // sequence byte, length, data, CRC as far as received, unstuffed
}

// Decode feeds p; emit gets each whole frame and may keep it.
func (d *Decoder) Decode(p []byte, emit func(Frame)) {
	for _, b := range p {
		if frame, ok := d.feed(b); ok {
			emit(frame)
		}
	}
}

func (d *Decoder) feed(b byte) (Frame, bool) {
	switch {
	case !d.inFrame:
		if b == stx {
			d.begin()
		}
		return Frame{}, false
	case b == stx && !d.lone7F:
		// Before the first byte a second 7F can only be a start: 7F is no address.
		d.lone7F = len(d.body) > 0
		return Frame{}, false
	case d.lone7F && b != stx:
		d.begin()
	}
	d.lone7F = false
	d.body = append(d.body, b)
	if len(d.body) == 1 && b&^seqBit > addressMax || len(d.body) == 2 && b == 0 {
		d.inFrame = false
		return Frame{}, false
	}
	if len(d.body) < 2 || len(d.body) < int(d.body[1])+4 {
		return Frame{}, false
	}
	return d.end()
}

func (d *Decoder) begin() {
	d.inFrame, d.lone7F, d.body = true, false, d.body[:0]
}

func (d *Decoder) end() (Frame, bool) {
	d.inFrame = false
	n := len(d.body) - 2
	if sum := crc(d.body[:n]); d.body[n] != byte(sum) || d.body[n+1] != byte(sum>>8) {
		return Frame{}, false
	}
	return Frame{
		Seq:     d.body[0]&seqBit != 0,
		Address: d.body[0] &^ seqBit,
		Data:    append([]byte(nil), d.body[2:n]...),
	}, true
}
