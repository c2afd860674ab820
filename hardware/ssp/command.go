package ssp

import (
	"encoding/binary"
	"errors"
	"fmt"

	"rasid/hardware"
)

// Command codes, the first data byte of a host's frame.
const (
	CmdReset          = 0x01
	CmdSetInhibits    = 0x02
	CmdDisplayOn      = 0x03
	CmdDisplayOff     = 0x04
	CmdSetup          = 0x05
	CmdHostProtocol   = 0x06
	CmdPoll           = 0x07
	CmdReject         = 0x08
	CmdDisable        = 0x09
	CmdEnable         = 0x0A
	CmdSerial         = 0x0C
	CmdUnitData       = 0x0D
	CmdChannelValues  = 0x0E
	CmdSync           = 0x11
	CmdLastRejectCode = 0x17
	CmdHold           = 0x18
	CmdGetCounters    = 0x58
)

// Reply codes, the first data byte of a device's frame.
const (
	ReplyOK              = 0xF0
	ReplyUnknownCommand  = 0xF2
	ReplyWrongParameters = 0xF3
	ReplyOutOfRange      = 0xF4
	ReplyCannotBeDone    = 0xF5
	ReplySoftwareError   = 0xF6
	ReplyFail            = 0xF8
	ReplyKeyNotSet       = 0xFA
)

const (
	protocolFirst         = 6
	protocolMax           = 8 // at 9 some devices send other data with EF and EE
	channelsMax           = 16
	rejectCodeUnknown     = 0xFF
	countersReplyLen      = 21
	paiseMax              = 1 << 40 // of one note; more is a misread
	setupFixedLen         = 12
	setupExpandedProtocol = 6
)

// ReplyError is a reply other than OK. FA means that the device demands
// encryption, which this driver does not speak.
type ReplyError struct {
	Command uint8
	Reply   []byte
}

func (e *ReplyError) Error() string {
	if e.Reply[0] == ReplyKeyNotSet {
		return fmt.Sprintf("the acceptor refused command %#02x: it demands encryption; switch encryption off in its settings", e.Command)
	}
	return fmt.Sprintf("the acceptor refused command %#02x with % X", e.Command, e.Reply)
}

// refusedWith tells whether err is the device's reply with that code.
func refusedWith(err error, code uint8) bool {
	var reply *ReplyError
	return errors.As(err, &reply) && reply.Reply[0] == code
}

// ParseSerial reads the parameters of a GET SERIAL reply: four bytes, big-endian.
func ParseSerial(p []byte) (uint32, error) {
	if len(p) != 4 {
		return 0, fmt.Errorf("couldn't read the serial number: %d bytes, want 4", len(p))
	}
	return binary.BigEndian.Uint32(p), nil
}

// ParseCounters reads the parameters of a GET COUNTERS reply: 05, then five
// little-endian counters: stacked, stored, dispensed, transferred, rejected.
func ParseCounters(p []byte) (hardware.NoteCounters, error) {
	if len(p) != countersReplyLen || p[0] != 5 {
		return hardware.NoteCounters{}, fmt.Errorf("couldn't read the counters: % X is not 05 and five counters", p)
	}
	at := func(i int) uint32 { return binary.LittleEndian.Uint32(p[1+4*i:]) }
	return hardware.NoteCounters{Stacked: at(0), Stored: at(1), Rejected: at(4)}, nil
}

// Setup is what a validator says about itself.
type Setup struct {
	Firmware string
	Protocol uint8
	Notes    []hardware.NoteType
}

// ParseSetup reads the parameters of a SETUP REQUEST reply of a note validator.
func ParseSetup(p []byte) (Setup, error) {
	if len(p) < setupFixedLen {
		return Setup{}, fmt.Errorf("couldn't read the setup: %d bytes are too few", len(p))
	}
	n := int(p[11])
	if p[0] != 0 && p[0] != 6 && p[0] != 7 {
		return Setup{}, fmt.Errorf("couldn't read the setup: unit type %#02x is no note validator", p[0])
	}
	if n == 0 || n > channelsMax || len(p) < 16+2*n {
		return Setup{}, fmt.Errorf("couldn't read the setup: %d channels in %d bytes", n, len(p))
	}
	s := Setup{Firmware: string(p[1:5]), Protocol: p[15+2*n]}
	multiplier := int64(bigEndian24(p[8:]))
	toMinor := int64(bigEndian24(p[12+2*n:]))
	expanded := s.Protocol >= setupExpandedProtocol && len(p) == 16+9*n
	if !expanded && (multiplier == 0 || len(p) != 16+2*n) {
		return Setup{}, fmt.Errorf("couldn't read the setup: protocol %d with %d bytes for %d channels", s.Protocol, len(p), n)
	}
	for i := range n {
		note := hardware.NoteType{Channel: uint8(i + 1), Currency: string(p[5:8])}
		value := int64(p[12+i]) * multiplier
		if expanded {
			note.Currency = string(p[16+2*n+3*i:][:3])
			value = int64(binary.LittleEndian.Uint32(p[16+5*n+4*i:]))
		}
		if value > paiseMax/max(toMinor, 1) {
			return Setup{}, fmt.Errorf("couldn't read the setup: channel %d has the impossible value %d", i+1, value)
		}
		note.ValuePaise = value * toMinor
		s.Notes = append(s.Notes, note)
	}
	return s, nil
}

func bigEndian24(p []byte) uint32 {
	return uint32(p[0])<<16 | uint32(p[1])<<8 | uint32(p[2])
}

// inhibits returns the parameters of SET INHIBITS that admit just channels.
func inhibits(channels []uint8) []byte {
	mask := make([]byte, 2)
	for _, c := range channels {
		mask[(c-1)/8] |= 1 << ((c - 1) % 8)
	}
	return mask
}
