package ssp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"rasid/hardware"
	"rasid/hardware/link"
)

// Limits of what one start sequence tolerates.
const (
	resetsMax      = 5  // resets seen during one start
	quietPollsMax  = 10 // polls that say nothing of a note that must be somewhere
	acceptAgainMax = 5  // repetitions of an accepting poll that changed nothing
	reportsMax     = 64 // note reports kept for one AcceptorReady
)

// ErrNotNow is wrapped by the error of a command that makes no sense in the
// driver's state, such as Stack with no note in escrow.
var ErrNotNow = errors.New("not possible now")

// Config of a Driver.
type Config struct {
	Open   link.Opener // the line, for example link.Serial(LineSettings(path))
	Clock  link.Clock  // nil: the machine's
	Timing Timing
	Trace  io.Writer // nil, or gets every byte of the line in the form linktest plays back
}

// LineSettings returns the protocol's settings for the port at path: 9600 8N2.
func LineSettings(path string) link.Settings {
	return link.Settings{Path: path, BaudRate: 9600, DataBits: 8, StopBits: 2}
}

// Driver drives one acceptor. Run owns the line; Enable, Disable, Stack and
// Return may be called from any goroutine and never block: they note what is
// wanted, and events tell what came of it.
//
// The driver asks the device nothing more before the events of its last answer
// are taken from Events; meanwhile it keeps a note in escrow held.
type Driver struct {
	config Config
	events chan hardware.AcceptorEvent
	wake   chan struct{}

	mu       sync.Mutex // guards what follows
	phase    phase
	decision decision
	wanted   *wanted
	channels int // that the device has

	// Owned by Run.
	notes        []hardware.NoteType
	enabled      *wanted                  // what the device was told with ENABLE, nil after DISABLE
	saysDisabled bool                     // the device reported E8 since
	disabling    bool                     // the device was told DISABLE; not confirmed yet
	awaiting     int                      // quiet polls left until an accepted or rejected note counts as vanished
	credited     bool                     // the note now moving was reported as credited
	inEscrow     uint8                    // channel of the last EF
	stacking     uint8                    // channel of the accepted note whose accepting poll has shown no effect yet
	again        int                      // accepting polls left for it
	reported     bool                     // a note was reported as escrowed and its end was not
	moving       bool                     // the last poll showed a note on its way
	faults       map[hardware.Fault]bool  // reported and not cleared
	carry        []hardware.AcceptorEvent // note reports for the next AcceptorReady
}

type phase uint8

const (
	phaseOffline phase = iota
	phaseReady
	phaseEscrow
)

type decision uint8

const (
	undecided decision = iota
	decidedStack
	decidedReturn
)

// wanted is what Enable (channels) or Disable (none) last asked for.
type wanted struct{ channels []uint8 }

// New returns a Driver that does nothing until Run.
func New(c Config) *Driver {
	if c.Clock == nil {
		c.Clock = link.Wall{}
	}
	c.Timing = c.Timing.withDefaults()
	return &Driver{
		config: c,
		events: make(chan hardware.AcceptorEvent),
		wake:   make(chan struct{}, 1),
		faults: map[hardware.Fault]bool{},
	}
}

// Events carries what the acceptor reports; it is closed when Run returns.
func (d *Driver) Events() <-chan hardware.AcceptorEvent { return d.events }

// Enable lets the acceptor take notes of these channels and no others. It is
// carried out as soon as no note moves; of several Enable and Disable the last
// holds. It returns ErrNotNow while the acceptor is not ready.
func (d *Driver) Enable(channels []uint8) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.phase == phaseOffline {
		return fmt.Errorf("couldn't enable the acceptor: %w: it is not ready", ErrNotNow)
	}
	if len(channels) == 0 {
		return errors.New("couldn't enable the acceptor: no channel given")
	}
	for _, c := range channels {
		if c == 0 || int(c) > d.channels {
			return fmt.Errorf("couldn't enable the acceptor: it has no channel %d", c)
		}
	}
	d.want(&wanted{channels: slices.Clone(channels)})
	return nil
}

// Disable stops acceptance. AcceptorDisabled follows once it is off and no note
// is in escrow or moves, unless Enable is called before or the device is lost:
// then AcceptorReady says the same. It returns ErrNotNow while the acceptor is
// not ready, for then acceptance is off.
func (d *Driver) Disable() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.phase == phaseOffline {
		return fmt.Errorf("couldn't disable the acceptor: %w: it is not ready", ErrNotNow)
	}
	d.want(&wanted{})
	return nil
}

func (d *Driver) want(w *wanted) {
	d.wanted = w
	d.kick()
}

// Stack accepts the note in escrow: past this call it may be in the cash box
// whatever happens. NoteCredited tells that it is.
func (d *Driver) Stack() error { return d.decide("stack", decidedStack) }

// Return gives the note in escrow back; NoteReturned tells that it went.
func (d *Driver) Return() error { return d.decide("return", decidedReturn) }

func (d *Driver) decide(verb string, want decision) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.phase != phaseEscrow || d.decision != undecided {
		return fmt.Errorf("couldn't %s the note: %w: no undecided note is in escrow", verb, ErrNotNow)
	}
	d.decision = want
	d.kick()
	return nil
}

func (d *Driver) kick() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *Driver) setPhase(p phase) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.phase, d.decision = p, undecided
	if p == phaseOffline {
		d.wanted = nil
	}
}

// Run drives the acceptor until ctx ends; it returns nil then. Whatever fails is
// reported as AcceptorOffline and tried again from the opening of the line. A
// note in escrow when ctx ends is left to the device, which returns it after ten
// seconds.
func (d *Driver) Run(ctx context.Context) error {
	defer close(d.events)
	defer d.setPhase(phaseOffline)
	backoff := link.Backoff{Min: d.config.Timing.BackoffMin, Max: d.config.Timing.BackoffMax}
	told := false
	for {
		err := openSession(ctx, d.config.Open, d.config.Clock, d.config.Timing, d.config.Trace, func(ctx context.Context, s *session) error {
			return d.talk(ctx, s, func() { backoff.Reset(); told = false })
		})
		if ctx.Err() != nil {
			return nil
		}
		d.setPhase(phaseOffline)
		if !told {
			if d.deliver(ctx, nil, hardware.AcceptorOffline{Err: err}) != nil {
				return nil
			}
			told = true
		}
		select {
		case <-d.config.Clock.After(backoff.Next()):
		case <-ctx.Done():
			return nil
		}
	}
}

// talk runs one session: the start sequence, then the loop; again from the start
// whenever the device was reset.
func (d *Driver) talk(ctx context.Context, s *session, started func()) error {
	for {
		d.setPhase(phaseOffline)
		ready, err := d.start(ctx, s)
		if err != nil {
			return err
		}
		started()
		d.mu.Lock()
		d.channels = len(ready.Identity.Notes)
		d.mu.Unlock()
		d.setPhase(phaseReady)
		if err := d.deliver(ctx, s, ready); err != nil {
			return err
		}
		if err := d.operate(ctx, s); !errors.Is(err, errReset) {
			return err
		}
	}
}

// deliver hands events to the caller, one by one. While it waits, a note in
// escrow is kept held.
func (d *Driver) deliver(ctx context.Context, s *session, events ...hardware.AcceptorEvent) error {
	for _, e := range events {
		for delivered := false; !delivered; {
			select {
			case d.events <- e:
				delivered = true
			case <-ctx.Done():
				return ctx.Err()
			case <-d.config.Clock.After(d.config.Timing.Hold):
				if s == nil || !s.held {
					continue
				}
				if err := d.hold(ctx, s); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
