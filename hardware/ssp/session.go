package ssp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"rasid/hardware"
	"rasid/hardware/link"
)

// Timing holds the driver's times; a zero field means the default.
type Timing struct {
	Reply      time.Duration // how long a reply may take; default 1 s
	Poll       time.Duration // between two polls; default 200 ms
	Hold       time.Duration // between two HOLDs while the caller decides; default 3.5 s, the device waits 10 s
	BackoffMin time.Duration // before the line is opened again; default 200 ms
	BackoffMax time.Duration // default 5 s
	Tries      int           // sendings of one frame before the device counts as gone; default 20
}

func (t Timing) withDefaults() Timing {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&t.Reply, time.Second)
	set(&t.Poll, 200*time.Millisecond)
	set(&t.Hold, 3500*time.Millisecond)
	set(&t.BackoffMin, 200*time.Millisecond)
	set(&t.BackoffMax, 5*time.Second)
	if t.Tries == 0 {
		t.Tries = 20
	}
	return t
}

// syncTries is how many late replies of an earlier session SYNC outlives.
const syncTries = 5

var (
	errNoteHeld = errors.New("a note is in escrow: a poll would accept it")
	errNoneHeld = errors.New("no note is in escrow")
)

// session is the exchange of frames over one opened line. It belongs to the
// goroutine of Driver.Run.
//
// A POLL while a note is in escrow accepts the note. Therefore pollNow, the only
// place that builds a POLL, is called from exactly two functions: poll, which
// refuses while a note is held, and accept, which is the decision to stack.
type session struct {
	line    *link.Line[Frame]
	clock   link.Clock
	timing  Timing
	seq     bool  // of the next new frame
	version uint8 // of the protocol, once agreed
	held    bool  // the last word of the device was that a note is in escrow
}

// poll asks for events; it sets held when they say that a note is in escrow.
func (s *session) poll(ctx context.Context) ([]Event, error) {
	if s.held {
		return nil, errNoteHeld
	}
	return s.pollNow(ctx)
}

// accept lets the held note go past escrow: the accepting poll. A HOLD directly
// before it makes sure that the note is still the one decided upon; errNoneHeld
// means that the device gave it up meanwhile and nothing was accepted.
func (s *session) accept(ctx context.Context) ([]Event, error) {
	if !s.held {
		return nil, errNoneHeld
	}
	if err := s.hold(ctx); err != nil {
		return nil, err
	}
	s.held = false
	return s.pollNow(ctx)
}

func (s *session) pollNow(ctx context.Context) ([]Event, error) {
	p, err := s.command(ctx, CmdPoll)
	if err != nil {
		return nil, err
	}
	events, err := ParseEvents(s.version, p)
	for _, e := range events {
		switch e.Code {
		case EvRead:
			s.held = e.Channel > 0
		case EvRejecting, EvRejected, EvStacking, EvStacked, EvCredit, EvReset:
			s.held = false
		}
	}
	return events, err
}

// hold keeps the note in escrow for another ten seconds. On errNoneHeld the note
// was rejected first, so that the polls to come cannot accept it whatever the
// device meant by its refusal.
func (s *session) hold(ctx context.Context) error {
	_, err := s.command(ctx, CmdHold)
	if err == nil || !refusedWith(err, ReplyCannotBeDone) {
		return err
	}
	if _, err := s.reject(ctx); err != nil {
		return err
	}
	return errNoneHeld
}

// reject sends a note in escrow back and tells whether there was one.
func (s *session) reject(ctx context.Context) (bool, error) {
	_, err := s.command(ctx, CmdReject)
	if err != nil && !refusedWith(err, ReplyCannotBeDone) {
		return false, err
	}
	s.held = false
	return err == nil, nil
}

// sync opens a session: the device expects sequence bit 0 next, as we send it.
// What answers first may be a late reply to a host that died; it carries more
// than a SYNC's does, or is followed by the SYNC's own, which has the other
// sequence bit than our next command.
func (s *session) sync(ctx context.Context) error {
	var p []byte
	for range syncTries {
		s.line.Resync()
		s.seq = true
		var err error
		if p, err = s.command(ctx, CmdSync); err != nil {
			return err
		}
		s.seq = false
		if len(p) == 0 {
			return nil
		}
	}
	return fmt.Errorf("the acceptor answered SYNC with % X", p)
}

// agree raises the protocol version as far as the device follows.
func (s *session) agree(ctx context.Context) error {
	for v := uint8(protocolFirst); v <= protocolMax; v++ {
		_, err := s.command(ctx, CmdHostProtocol, v)
		if refusedWith(err, ReplyFail) && v > protocolFirst {
			return nil
		}
		if err != nil {
			return err
		}
		s.version = v
	}
	return nil
}

func (s *session) counters(ctx context.Context) (hardware.NoteCounters, error) {
	p, err := s.command(ctx, CmdGetCounters)
	if err != nil {
		return hardware.NoteCounters{}, err
	}
	return ParseCounters(p)
}

func (s *session) lastRejectCode(ctx context.Context) (uint8, error) {
	p, err := s.command(ctx, CmdLastRejectCode)
	var reply *ReplyError
	if errors.As(err, &reply) || err == nil && len(p) != 1 {
		return rejectCodeUnknown, nil
	}
	if err != nil {
		return rejectCodeUnknown, err
	}
	return p[0], nil
}

// command sends one command until its reply comes and returns the reply's
// parameters; a reply other than OK is a *ReplyError. Each new command toggles
// the sequence bit; a repetition keeps it, so that the device repeats its reply
// instead of acting twice.
func (s *session) command(ctx context.Context, code uint8, parameters ...byte) ([]byte, error) {
	frame, err := Frame{Seq: s.seq, Data: append([]byte{code}, parameters...)}.Encode()
	if err != nil {
		return nil, err
	}
	for range s.timing.Tries {
		reply, err := s.exchange(ctx, frame)
		if errors.Is(err, link.ErrTimeout) {
			continue
		}
		if err != nil {
			return nil, err
		}
		s.seq = !s.seq
		if reply[0] != ReplyOK {
			return nil, &ReplyError{Command: code, Reply: reply}
		}
		return reply[1:], nil
	}
	return nil, fmt.Errorf("the acceptor did not answer command %#02x, sent %d times: %w", code, s.timing.Tries, link.ErrTimeout)
}

// exchange sends frame once. Replies to other frames (late ones carry the other
// sequence bit) are passed over.
func (s *session) exchange(ctx context.Context, frame []byte) ([]byte, error) {
	deadline := s.clock.After(s.timing.Reply)
	if err := s.line.Send(ctx, frame, s.timing.Reply); err != nil {
		return nil, err
	}
	for {
		reply, err := s.line.Receive(ctx, deadline)
		if err != nil {
			return nil, err
		}
		if reply.Seq == s.seq && reply.Address == 0 {
			return reply.Data, nil
		}
	}
}

// openSession opens the line and runs talk over it; everything it started has
// ended when it returns.
func openSession(ctx context.Context, open link.Opener, clock link.Clock, timing Timing, trace io.Writer, talk func(context.Context, *session) error) error {
	if trace != nil {
		open = link.Trace(open, trace)
	}
	port, err := open()
	if err != nil {
		return err
	}
	line := link.NewLine[Frame](port, &Decoder{}, clock)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- line.Run(ctx) }()
	err = talk(ctx, &session{line: line, clock: clock, timing: timing})
	cancel()
	return errors.Join(err, ignoreSame(err, <-ended))
}

// ignoreSame drops the line's own failure when talk already reports it.
func ignoreSame(reported, err error) error {
	if errors.Is(reported, err) {
		return nil
	}
	return err
}
