package ssp

import (
	"context"
	"errors"

	"rasid/hardware"
)

var errVanished = errors.New("the acceptor does not say what became of a note")

// translate turns the events of one poll into reports, oldest first, and keeps
// account of the note that moves. Its error is errReset, errVanished when a note
// that must be somewhere was not heard of for quietPollsMax polls, or a failure
// to ask the reason of a rejection; the reports before it hold.
func (d *Driver) translate(ctx context.Context, s *session, events []Event) ([]hardware.AcceptorEvent, error) {
	var reports []hardware.AcceptorEvent
	var failed error
	d.moving = false
	for _, e := range events {
		switch e.Code {
		case EvReset:
			failed = errReset
			d.enabled, d.credited, d.stacking, d.awaiting = nil, false, 0, 0
		case EvDisabled:
			d.saysDisabled = true
		case EvRejected, EvClearedFromEnd:
			r, err := d.returned(ctx, s, e)
			reports = append(reports, r)
			if err != nil {
				return reports, err
			}
		default:
			if r := d.note(e); r != nil {
				reports = append(reports, r)
			}
		}
	}
	reports = append(reports, d.faultChanges(events)...)
	if failed == nil && !notesSeen(events) && !d.faulty() && d.awaiting > 0 {
		if d.awaiting--; d.awaiting == 0 {
			failed = errVanished
		}
	}
	return reports, failed
}

// note follows one event of a note's way in; nil when there is nothing to report.
func (d *Driver) note(e Event) hardware.AcceptorEvent {
	switch e.Code {
	case EvRead:
		if d.stacking != e.Channel || e.Channel == 0 {
			d.stacking = 0
			d.credited = false
		}
		d.inEscrow = e.Channel
		d.moving = true
	case EvStacking, EvRejecting:
		d.moving, d.stacking = true, 0
	case EvCredit:
		d.moving, d.stacking, d.awaiting = true, 0, 0
		if d.credited {
			return nil // said twice of the same note
		}
		d.credited, d.reported = true, false
		return hardware.NoteCredited{Channel: e.Channel, ValuePaise: d.value(e.Channel), Raw: e.Raw}
	case EvStacked:
		d.moving, d.stacking, d.awaiting, d.credited = false, 0, 0, false
		return hardware.NoteStacked{}
	case EvClearedIntoBox:
		d.reported = false
		return hardware.NoteCredited{Channel: e.Channel, ValuePaise: d.value(e.Channel), PowerUp: true, Raw: e.Raw}
	case EvPaidIntoStacker, EvPaidIntoStore:
		d.reported = false
		return hardware.NoteCredited{PowerUp: true, Raw: e.Raw}
	}
	return nil
}

// returned reports a note that left through the front, with the device's reason
// where it can be asked: at power-up the last reject code belongs to an older note.
func (d *Driver) returned(ctx context.Context, s *session, e Event) (hardware.AcceptorEvent, error) {
	r := hardware.NoteReturned{RejectCode: rejectCodeUnknown, FromEscrow: d.reported, Raw: e.Raw}
	d.moving, d.reported, d.credited, d.stacking, d.awaiting = false, false, false, 0, 0
	if e.Code == EvClearedFromEnd {
		return r, nil
	}
	code, err := s.lastRejectCode(ctx)
	r.RejectCode = code
	return r, err
}

// value returns what a channel's note is worth, 0 where that is unknown.
func (d *Driver) value(channel uint8) int64 {
	if channel == 0 || int(channel) > len(d.notes) {
		return 0
	}
	return d.notes[channel-1].ValuePaise
}

func (d *Driver) jammed() bool {
	return d.faults[hardware.FaultJamSafe] || d.faults[hardware.FaultJamUnsafe]
}

// faulty tells whether something stands in a note's way, so that its fate may
// take any time.
func (d *Driver) faulty() bool {
	for _, on := range d.faults {
		if on {
			return true
		}
	}
	return false
}

// faultChanges reports the faults that began or ended. Some conditions are
// repeated in every poll and end when a poll is without them; a full or missing
// cash box is said once and ends when the box is put back.
func (d *Driver) faultChanges(events []Event) []hardware.AcceptorEvent {
	repeated := map[uint8]hardware.Fault{
		EvSafeJam: hardware.FaultJamSafe, EvUnsafeJam: hardware.FaultJamUnsafe,
		EvPathOpen: hardware.FaultPathOpen, EvFraud: hardware.FaultFraud,
	}
	now := map[hardware.Fault]bool{
		hardware.FaultStackerFull:    d.faults[hardware.FaultStackerFull],
		hardware.FaultCashBoxRemoved: d.faults[hardware.FaultCashBoxRemoved],
	}
	for _, e := range events {
		if f, ok := repeated[e.Code]; ok {
			now[f] = true
		}
		switch e.Code {
		case EvStackerFull:
			now[hardware.FaultStackerFull] = true
		case EvCashBoxRemoved:
			now[hardware.FaultCashBoxRemoved] = true
		case EvCashBoxReplaced:
			now[hardware.FaultStackerFull], now[hardware.FaultCashBoxRemoved] = false, false
		}
	}
	var changes []hardware.AcceptorEvent
	for f := hardware.FaultJamSafe; f <= hardware.FaultDevice; f++ {
		if now[f] != d.faults[f] {
			changes = append(changes, hardware.AcceptorFault{Fault: f, Cleared: !now[f]})
		}
	}
	d.faults = now
	return changes
}
