package ssp

import (
	"encoding/binary"
	"time"

	"rasid/hardware/ssp"
)

const versionMax = 8

// execute answers one command: reply code and parameters. It is called once for
// each new frame.
func (m *machine) execute(now time.Time, data []byte) []byte {
	code, p := data[0], data[1:]
	want, known := parameterCount[code]
	if !known {
		return []byte{ssp.ReplyUnknownCommand}
	}
	if len(p) < want.min || len(p) > want.max {
		return []byte{ssp.ReplyWrongParameters}
	}
	if m.truth.Path == pathEscrow && code != ssp.CmdPoll {
		m.due = now.Add(m.config.EscrowTimeout) // anything but a POLL holds
	}
	ok := []byte{ssp.ReplyOK}
	switch code {
	case ssp.CmdReset:
		m.boot(false)
	case ssp.CmdSetInhibits:
		m.inhibits = 0
		for i, b := range p {
			m.inhibits |= uint32(b) << (8 * i)
		}
	case ssp.CmdSetup:
		return append(ok, m.setup()...)
	case ssp.CmdHostProtocol:
		if p[0] == 0 || p[0] > versionMax {
			return []byte{ssp.ReplyFail}
		}
		m.version = p[0]
	case ssp.CmdPoll:
		return append(ok, m.poll(now)...)
	case ssp.CmdReject, ssp.CmdHold:
		if m.truth.Path != pathEscrow {
			return []byte{ssp.ReplyCannotBeDone}
		}
		if code == ssp.CmdReject {
			m.reject(now, rejectByHost)
		}
	case ssp.CmdDisable, ssp.CmdEnable:
		m.able(code == ssp.CmdEnable)
	default:
		return append(ok, m.inform(code)...)
	}
	return ok
}

func (m *machine) able(enabled bool) {
	if m.enabled && !enabled {
		m.tell(ssp.EvDisabled)
	}
	m.enabled = enabled
	name := "disabled"
	if enabled {
		name = "enabled"
	}
	m.publish(name, m.channels())
}

// inform answers the commands that only ask.
func (m *machine) inform(code byte) []byte {
	switch code {
	case ssp.CmdSerial:
		return binary.BigEndian.AppendUint32(nil, m.truth.Serial)
	case ssp.CmdLastRejectCode:
		return []byte{m.truth.LastReject}
	case ssp.CmdGetCounters:
		p := []byte{5}
		for _, n := range []uint32{m.truth.Stacked, 0, 0, 0, m.truth.Rejected} {
			p = binary.LittleEndian.AppendUint32(p, n)
		}
		return p
	case ssp.CmdUnitData:
		return append([]byte("\x000330INR"), 0, 0, 1, m.version)
	case ssp.CmdChannelValues:
		p := []byte{byte(len(denominations))}
		for _, rupees := range denominations {
			p = append(p, byte(rupees/10))
		}
		return p
	case cmdFirmware:
		return []byte("NV02004330000000")
	case cmdDataset:
		return []byte("INR01")
	}
	return nil // SYNC, DISPLAY ON and OFF
}

const (
	cmdFirmware = 0x20
	cmdDataset  = 0x21
)

// parameterCount holds the commands that the device knows. Encryption is not
// among them, so its commands answer F2.
var parameterCount = map[byte]struct{ min, max int }{
	ssp.CmdReset: {}, ssp.CmdSetInhibits: {1, 3}, ssp.CmdDisplayOn: {}, ssp.CmdDisplayOff: {},
	ssp.CmdSetup: {}, ssp.CmdHostProtocol: {1, 1}, ssp.CmdPoll: {}, ssp.CmdReject: {},
	ssp.CmdDisable: {}, ssp.CmdEnable: {}, ssp.CmdSerial: {0, 1}, ssp.CmdUnitData: {},
	ssp.CmdChannelValues: {}, ssp.CmdSync: {}, ssp.CmdLastRejectCode: {}, ssp.CmdHold: {},
	ssp.CmdGetCounters: {}, cmdFirmware: {}, cmdDataset: {},
}

func (m *machine) setup() []byte {
	n := byte(len(denominations))
	p := []byte("\x000433INR")
	expanded := m.version >= 6
	if expanded {
		p = append(p, 0, 0, 0, n)
	} else {
		p = append(p, 0, 0, 10, n)
	}
	for _, rupees := range denominations {
		if expanded {
			rupees = 0
		}
		p = append(p, byte(rupees/10))
	}
	for range denominations {
		p = append(p, 2)
	}
	p = append(p, 0, 0, 100, m.version)
	if !expanded {
		return p
	}
	for range denominations {
		p = append(p, "INR"...)
	}
	for _, rupees := range denominations {
		p = binary.LittleEndian.AppendUint32(p, uint32(rupees))
	}
	return p
}

// willAccept tells that a POLL now lets the note go past escrow.
func (m *machine) willAccept() bool { return m.truth.Path == pathEscrow && m.escrowed }

// poll returns what happened, oldest first, then what goes on.
func (m *machine) poll(now time.Time) []byte {
	if m.willAccept() {
		m.accept(now)
	}
	var p []byte
	for _, e := range m.queue {
		if e.Code == ssp.EvClearedIntoBox && m.version < 5 {
			continue
		}
		p = append(p, e.Raw...)
	}
	m.queue = nil
	switch {
	case m.jam != 0:
		return append(p, m.jam)
	case m.truth.Path == pathReading:
		return append(p, ssp.EvRead, 0)
	case m.truth.Path == pathEscrow:
		m.escrowed = true
		return append(p, ssp.EvRead, channelOf(m.truth.PathRupees))
	case m.truth.Path == pathStacking || m.truth.Path == pathSettling:
		return append(p, ssp.EvStacking)
	case m.truth.Path == pathRejecting:
		return append(p, ssp.EvRejecting)
	}
	return p
}

func (m *machine) channels() []int {
	channels := []int{}
	for i := range denominations {
		if m.enabled && m.inhibits>>i&1 == 1 {
			channels = append(channels, i+1)
		}
	}
	return channels
}
