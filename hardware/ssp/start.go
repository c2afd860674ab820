package ssp

import (
	"context"
	"errors"
	"fmt"

	"rasid/hardware"
)

// errReset ends the loop when the device reported a reset: the start sequence
// begins anew, with the note reports carried over.
var errReset = errors.New("the acceptor was reset")

// start is the start sequence: SYNC, HOST PROTOCOL VERSION, SERIAL, SETUP,
// REJECT, DISABLE, POLL until quiet, COUNTERS. REJECT stands before any POLL
// because the first poll would accept a note that an earlier host left in
// escrow. A reset seen on the way undoes the agreed protocol version, so the
// sequence begins again.
func (d *Driver) start(ctx context.Context, s *session) (hardware.AcceptorReady, error) {
	d.enabled, d.disabling, d.moving, d.credited, d.awaiting, d.stacking = nil, false, false, false, 0, 0
	for range resetsMax {
		identity, err := d.identify(ctx, s)
		if err != nil {
			return hardware.AcceptorReady{}, err
		}
		d.notes = identity.Notes
		err = d.settle(ctx, s)
		if errors.Is(err, errReset) {
			continue
		}
		if err != nil {
			return hardware.AcceptorReady{}, err
		}
		counters, err := s.counters(ctx)
		if err != nil {
			return hardware.AcceptorReady{}, err
		}
		ready := hardware.AcceptorReady{Identity: identity, Counters: counters, Reports: d.carry}
		d.carry, d.reported = nil, false
		return ready, nil
	}
	return hardware.AcceptorReady{}, fmt.Errorf("the acceptor resets itself: %d times during one start", resetsMax)
}

func (d *Driver) identify(ctx context.Context, s *session) (hardware.AcceptorIdentity, error) {
	var none hardware.AcceptorIdentity
	if err := s.sync(ctx); err != nil {
		return none, err
	}
	if err := s.agree(ctx); err != nil {
		return none, err
	}
	p, err := s.command(ctx, CmdSerial)
	if err != nil {
		return none, err
	}
	serial, err := ParseSerial(p)
	if err != nil {
		return none, err
	}
	if p, err = s.command(ctx, CmdSetup); err != nil {
		return none, err
	}
	setup, err := ParseSetup(p)
	if err != nil {
		return none, err
	}
	return hardware.AcceptorIdentity{Serial: serial, Firmware: setup.Firmware, Protocol: s.version, Notes: setup.Notes}, nil
}

// settle sends back what is in escrow, stops acceptance and polls until nothing
// moves. What the device says about notes goes to carry. A fault is reported at
// once: a jam can last for days.
func (d *Driver) settle(ctx context.Context, s *session) error {
	rejected, err := s.reject(ctx)
	if err != nil {
		return err
	}
	if _, err := s.command(ctx, CmdDisable); err != nil {
		return err
	}
	if rejected {
		d.awaiting = quietPollsMax
	}
	for {
		events, err := s.poll(ctx)
		if err != nil {
			return d.carryOver(ctx, s, events, err)
		}
		if s.held { // it was on its way in when the sequence began
			if _, err := s.reject(ctx); err != nil {
				return err
			}
			d.awaiting = quietPollsMax
		}
		if err := d.carryOver(ctx, s, events, nil); err != nil {
			return err
		}
		if !d.moving && d.awaiting == 0 && !d.jammed() {
			return nil
		}
		if err := d.pause(ctx); err != nil {
			return err
		}
	}
}

// carryOver keeps the note reports of one poll for AcceptorReady. It returns
// cause, else errReset when the poll reported a reset.
func (d *Driver) carryOver(ctx context.Context, s *session, events []Event, cause error) error {
	reports, err := d.translate(ctx, s, events)
	if err != nil && !errors.Is(err, errReset) {
		cause = errors.Join(cause, err)
	}
	for _, r := range reports {
		switch r.(type) {
		case hardware.NoteCredited, hardware.NoteReturned:
			if len(d.carry) < reportsMax {
				d.carry = append(d.carry, r)
			}
		case hardware.AcceptorFault:
			if deliverErr := d.deliver(ctx, s, r); deliverErr != nil {
				return deliverErr
			}
		}
	}
	if cause != nil {
		return cause
	}
	return err
}

// pause waits until the next poll is due or the caller wants something.
func (d *Driver) pause(ctx context.Context) error {
	select {
	case <-d.config.Clock.After(d.config.Timing.Poll):
		return nil
	case <-d.wake:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
