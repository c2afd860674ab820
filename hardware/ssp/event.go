package ssp

import "fmt"

// Event codes, in a POLL reply after F0, oldest first.
const (
	EvReset           = 0xF1
	EvRead            = 0xEF // channel; 0: still reading, above 0: in escrow
	EvCredit          = 0xEE // channel
	EvRejecting       = 0xED
	EvRejected        = 0xEC
	EvStacked         = 0xEB
	EvSafeJam         = 0xEA
	EvUnsafeJam       = 0xE9
	EvDisabled        = 0xE8
	EvStackerFull     = 0xE7
	EvFraud           = 0xE6 // channel
	EvBarcodeEscrow   = 0xE5
	EvCashBoxReplaced = 0xE4
	EvCashBoxRemoved  = 0xE3
	EvClearedIntoBox  = 0xE2 // channel, 0: unknown; at power-up
	EvClearedFromEnd  = 0xE1 // channel, 0: unknown; at power-up, out of the front
	EvPathOpen        = 0xE0
	EvBarcodeAcked    = 0xD1
	EvStacking        = 0xCC
	EvPaidIntoStacker = 0xCB // at power-up; value and currency from protocol 8 on
	EvPaidIntoStore   = 0xCA // at power-up; value and currency from protocol 8 on
	EvInitialising    = 0xB6
	EvAllInhibited    = 0xB5
)

// Event is one event of a POLL reply; Raw is its code and data.
type Event struct {
	Code    uint8
	Channel uint8 // of the events that carry one
	Raw     []byte
}

// ParseEvents reads the parameters of a POLL reply at a protocol version. The
// size of each event's data is part of the protocol, so what follows an unknown
// event cannot be read: the events before it are returned with the error.
func ParseEvents(version uint8, p []byte) ([]Event, error) {
	var events []Event
	for len(p) > 0 {
		size, known := dataSize(version, p[0])
		if !known {
			return events, fmt.Errorf("couldn't read the events: code %#02x is unknown", p[0])
		}
		if len(p) < 1+size {
			return events, fmt.Errorf("couldn't read the events: % X is cut short", p)
		}
		e := Event{Code: p[0], Raw: append([]byte(nil), p[:1+size]...)}
		if size == 1 {
			e.Channel = p[1]
		}
		events = append(events, e)
		p = p[1+size:]
	}
	return events, nil
}

// dataSize returns how many bytes follow an event's code.
func dataSize(version, code uint8) (size int, known bool) {
	switch code {
	case EvRead, EvCredit, EvFraud, EvClearedIntoBox, EvClearedFromEnd:
		return 1, true
	case EvPaidIntoStacker, EvPaidIntoStore:
		if version >= 8 {
			return 7, true
		}
		return 0, true
	case EvReset, EvRejecting, EvRejected, EvStacked, EvSafeJam, EvUnsafeJam, EvDisabled,
		EvStackerFull, EvBarcodeEscrow, EvCashBoxReplaced, EvCashBoxRemoved, EvPathOpen,
		EvBarcodeAcked, EvStacking, EvInitialising, EvAllInhibited:
		return 0, true
	}
	return 0, false
}
