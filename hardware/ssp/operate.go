package ssp

import (
	"context"
	"errors"

	"rasid/hardware"
)

// operate polls and obeys until something fails or the device was reset
// (errReset).
func (d *Driver) operate(ctx context.Context, s *session) error {
	for {
		if err := d.apply(ctx, s); err != nil {
			return err
		}
		events, err := s.poll(ctx)
		if err := d.handle(ctx, s, events, err); err != nil {
			return err
		}
		for s.held {
			if err := d.escrow(ctx, s); err != nil {
				return err
			}
		}
		if err := d.confirm(ctx, s); err != nil {
			return err
		}
		if err := d.pause(ctx); err != nil {
			return err
		}
	}
}

// idle tells that no note is on its way as far as the last poll shows.
func (d *Driver) idle() bool { return !d.moving && d.awaiting == 0 && !d.jammed() }

// apply carries out the last Enable or Disable, once no note moves.
func (d *Driver) apply(ctx context.Context, s *session) error {
	if !d.idle() {
		return nil
	}
	d.mu.Lock()
	w := d.wanted
	d.mu.Unlock()
	if w == nil && d.enabled != nil && d.saysDisabled {
		w = d.enabled // the device switched itself off; what stopped it is over
	}
	if w == nil {
		return nil
	}
	d.saysDisabled = false
	if len(w.channels) == 0 {
		if d.disabling {
			return nil
		}
		d.enabled, d.disabling = nil, true
		_, err := s.command(ctx, CmdDisable)
		return err
	}
	d.disabling = false
	if _, err := s.command(ctx, CmdSetInhibits, inhibits(w.channels)...); err != nil {
		return err
	}
	if _, err := s.command(ctx, CmdEnable); err != nil {
		return err
	}
	d.enabled = w
	d.done(w)
	return nil
}

// done forgets w unless the caller meanwhile wants something else.
func (d *Driver) done(w *wanted) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.wanted == w {
		d.wanted = nil
	}
}

// confirm reports AcceptorDisabled once a poll after DISABLE showed no note.
func (d *Driver) confirm(ctx context.Context, s *session) error {
	if !d.disabling || !d.idle() {
		return nil
	}
	d.mu.Lock()
	w := d.wanted
	d.mu.Unlock()
	if w == nil || len(w.channels) > 0 {
		return nil // the caller changed its mind
	}
	d.disabling = false
	d.done(w)
	return d.deliver(ctx, s, hardware.AcceptorDisabled{})
}

// notesSeen tells whether a poll said anything about a note.
func notesSeen(events []Event) bool {
	for _, e := range events {
		switch e.Code {
		case EvRead, EvCredit, EvRejecting, EvRejected, EvStacked, EvStacking:
			return true
		}
	}
	return false
}

// handle delivers what one poll said. When the device was reset, its note
// reports wait for the AcceptorReady to come instead.
func (d *Driver) handle(ctx context.Context, s *session, events []Event, cause error) error {
	for _, e := range events {
		if e.Code == EvReset {
			return d.carryOver(ctx, s, events, cause)
		}
	}
	reports, err := d.translate(ctx, s, events)
	if deliverErr := d.deliver(ctx, s, reports...); deliverErr != nil {
		return deliverErr
	}
	if cause != nil {
		return cause
	}
	return err
}

// escrow brings one held note to a decision and carries it out. Until then no
// poll leaves: only COUNTERS and HOLD.
func (d *Driver) escrow(ctx context.Context, s *session) error {
	if d.stacking != 0 { // the accepting poll was answered, but moved nothing
		return d.acceptAgain(ctx, s)
	}
	channel := d.inEscrow
	counters, err := s.counters(ctx)
	var refused *ReplyError
	if errors.As(err, &refused) { // without a snapshot the note could not be resolved: give it back
		d.awaiting = quietPollsMax
		_, err := s.reject(ctx)
		return err
	}
	if err != nil {
		return err
	}
	d.reported = true
	d.setPhase(phaseEscrow)
	defer d.setPhase(phaseReady)
	if err := d.deliver(ctx, s, hardware.NoteEscrowed{Channel: channel, ValuePaise: d.value(channel), Counters: counters}); err != nil {
		return err
	}
	due := d.config.Clock.After(d.config.Timing.Hold)
	for s.held {
		d.mu.Lock()
		decision := d.decision
		d.mu.Unlock()
		switch decision {
		case decidedStack:
			d.stacking, d.again = channel, acceptAgainMax
			return d.stack(ctx, s)
		case decidedReturn:
			d.awaiting = quietPollsMax
			_, err := s.reject(ctx)
			return err
		}
		select {
		case <-d.wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-due:
			if err := d.hold(ctx, s); err != nil {
				return err
			}
			due = d.config.Clock.After(d.config.Timing.Hold)
		}
	}
	return nil
}

// hold refreshes the device's patience. When the device gave the note back by
// itself the polls to come will tell.
func (d *Driver) hold(ctx context.Context, s *session) error {
	err := s.hold(ctx)
	if errors.Is(err, errNoneHeld) {
		d.awaiting = quietPollsMax
		return nil
	}
	return err
}

// stack sends the accepting poll.
func (d *Driver) stack(ctx context.Context, s *session) error {
	d.awaiting = quietPollsMax
	events, err := s.accept(ctx)
	if errors.Is(err, errNoneHeld) {
		d.stacking = 0
		return nil
	}
	return d.handle(ctx, s, events, err)
}

// acceptAgain repeats an accepting poll, for a device that goes on reporting the
// same note in escrow, and gives the note back when that does not help.
func (d *Driver) acceptAgain(ctx context.Context, s *session) error {
	if d.again--; d.again >= 0 {
		return d.stack(ctx, s)
	}
	d.stacking, d.awaiting = 0, quietPollsMax
	_, err := s.reject(ctx)
	return err
}
