package ssp

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"rasid/hardware/ssp"
)

// rupees of the data set's channels 1 to 6.
var denominations = [...]int{10, 20, 50, 100, 200, 500}

// The device's own times, at speed 1.
const (
	readingTime   = time.Second
	stackingTime  = time.Second
	settlingTime  = 300 * time.Millisecond
	rejectingTime = 800 * time.Millisecond
	escrowTime    = 10 * time.Second
)

// Reject codes, as LAST REJECT CODE answers them.
const (
	rejectUnreadable    = 0x02
	rejectInhibited     = 0x06
	rejectByHost        = 0x08
	rejectEscrowTimeout = 0x13
	rejectUnableToStack = 0x1D
)

const queueMax = 64

// machine is the device without its line: notes, motors and memory. It is
// guarded by Device.mu. Time is handed in; motors stand still without power.
type machine struct {
	config Config
	truth  Truth

	powered  bool
	life     int       // counts power-ups, so that a frame from before one is dropped
	due      time.Time // when the present motion or the escrow's patience ends; zero: never
	jam      uint8     // 0, EvSafeJam or EvUnsafeJam
	queue    []ssp.Event
	enabled  bool
	inhibits uint32 // bit set: channel accepted
	version  uint8
	escrowed bool // the host was told of the note in escrow: its next POLL accepts
	lastIn   int  // rupees of the note stacked last, for a cheat

	publish func(name string, data any)
	failed  error // of saving the state
}

// change is published with each physical change.
type change struct {
	Rupees   int   `json:"rupees"`
	BoxPaise int64 `json:"box_paise"`
	Reason   uint8 `json:"reject_code,omitempty"`
}

func (m *machine) happened(name string, reason uint8) {
	if err := m.truth.save(m.config.State); err != nil && m.failed == nil {
		m.failed = err
	}
	m.publish(name, change{m.truth.PathRupees, m.truth.BoxPaise(), reason})
}

func (m *machine) scaled(d time.Duration) time.Duration { return d / time.Duration(m.config.Speed) }

func channelOf(rupees int) uint8 { return uint8(slices.Index(denominations[:], rupees) + 1) }

func (m *machine) tell(code uint8, data ...byte) {
	if len(m.queue) == queueMax {
		m.queue = m.queue[1:]
	}
	m.queue = append(m.queue, ssp.Event{Code: code, Raw: append([]byte{code}, data...)})
}

// boot is what the electronics do when power comes or RESET is received. A note
// short of the point of no return goes out of the front; in tells what becomes
// of one that was moving into the box.
func (m *machine) boot(in bool) {
	m.powered, m.jam, m.enabled, m.inhibits, m.version = true, 0, false, 0, 4
	m.life++
	m.queue, m.due, m.escrowed = nil, time.Time{}, false
	m.tell(ssp.EvReset)
	channel := channelOf(m.truth.PathRupees)
	switch m.truth.Path {
	case pathEmpty:
	case pathSettling:
		m.truth.Path = pathEmpty
	case pathStacking:
		if in {
			m.stack(!m.config.PowerUpNotCounted)
			m.truth.Path = pathEmpty
			if m.config.PowerUpNoChannel {
				channel = 0
			}
			m.tell(ssp.EvClearedIntoBox, channel)
			break
		}
		fallthrough
	default:
		m.eject()
		m.tell(ssp.EvClearedFromEnd, channel)
	}
	m.truth.PathRupees = 0
	m.happened("power-on", 0)
}

func (m *machine) powerOff() {
	m.powered, m.queue, m.due, m.enabled = false, nil, time.Time{}, false
	m.life++
	m.publish("power-off", nil)
}

// stack puts the note of the path into the box.
func (m *machine) stack(counted bool) {
	m.truth.Box[m.truth.PathRupees]++
	m.lastIn = m.truth.PathRupees
	if counted {
		m.truth.Stacked++
	}
	m.happened("stacked", 0)
}

// eject puts the note of the path into the citizen's hand.
func (m *machine) eject() {
	m.truth.Returned[m.truth.PathRupees]++
	m.truth.Rejected++
	m.truth.Path = pathEmpty
	m.happened("returned", m.truth.LastReject)
}

// insert is a citizen's attempt to feed paper; rupees 0 is no note.
func (m *machine) insert(now time.Time, rupees int) error {
	switch {
	case !m.powered:
		return errors.New("refused: the acceptor has no power")
	case m.truth.Path != pathEmpty:
		return fmt.Errorf("refused: a note is still in the path (%s)", m.truth.Path)
	case m.jam != 0:
		return errors.New("refused: the acceptor is jammed")
	case m.truth.BoxOut:
		return errors.New("refused: the cash box is out")
	case m.truth.Full:
		return errors.New("refused: the cash box is full")
	case !m.enabled || m.inhibits == 0:
		return errors.New("refused: the acceptor is disabled")
	}
	m.truth.Path, m.truth.PathRupees = pathReading, rupees
	m.due = now.Add(m.scaled(readingTime))
	m.happened("inserted", 0)
	return nil
}

func (m *machine) reject(now time.Time, code uint8) {
	m.truth.Path, m.truth.LastReject = pathRejecting, code
	m.due = now.Add(m.scaled(rejectingTime))
	m.happened("rejecting", code)
}

// accept starts the way past escrow.
func (m *machine) accept(now time.Time) {
	if m.truth.Full {
		m.tell(ssp.EvStackerFull)
		m.reject(now, rejectUnableToStack)
		return
	}
	m.truth.Path = pathStacking
	m.due = now.Add(m.scaled(stackingTime))
	m.happened("accepting", 0)
}

// halted tells that motors stand still though power is there.
func (m *machine) halted() bool {
	return m.jam != 0 || m.truth.BoxOut && m.truth.Path == pathStacking
}

// advance carries out the motion that is due, if any; reached is the pause
// point at which the device then stands.
func (m *machine) advance(now time.Time) (reached string) {
	if !m.powered || m.halted() || m.due.IsZero() || now.Before(m.due) {
		return ""
	}
	m.due = time.Time{}
	channel := channelOf(m.truth.PathRupees)
	switch m.truth.Path {
	case pathReading:
		switch {
		case channel == 0:
			m.reject(now, rejectUnreadable)
		case m.inhibits>>(channel-1)&1 == 0:
			m.reject(now, rejectInhibited)
		default:
			m.truth.Path, m.escrowed = pathEscrow, false
			m.due = now.Add(m.config.EscrowTimeout)
			m.happened("escrow", 0)
		}
	case pathEscrow:
		m.reject(now, rejectEscrowTimeout)
	case pathStacking:
		m.truth.Path = pathSettling
		m.stack(true)
		m.tell(ssp.EvCredit, channel)
		m.due = now.Add(m.scaled(settlingTime))
		return AfterAccept
	case pathSettling:
		m.truth.Path, m.truth.PathRupees = pathEmpty, 0
		m.tell(ssp.EvStacked)
		m.happened("settled", 0)
	case pathRejecting:
		m.eject()
		m.truth.PathRupees = 0
		m.tell(ssp.EvRejected)
	}
	return ""
}

// cheat pulls the newest note back out of the device on a string.
func (m *machine) cheat() error {
	switch {
	case m.truth.Path == pathStacking || m.truth.Path == pathSettling && m.lastIn > 0 || m.truth.Path == pathEmpty && m.lastIn > 0:
	default:
		return errors.New("refused: there is no note on its way in or just stacked to pull out")
	}
	rupees := m.truth.PathRupees
	if m.truth.Path != pathStacking {
		rupees = m.lastIn
		m.truth.Box[rupees]--
	}
	m.truth.Returned[rupees]++
	m.truth.Path, m.truth.PathRupees, m.lastIn, m.due = pathEmpty, 0, 0, time.Time{}
	m.tell(ssp.EvFraud, channelOf(rupees))
	m.happened("cheated", 0)
	return nil
}
