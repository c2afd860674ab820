// Package ssp is a banknote acceptor made of software: a single-note validator
// with an INR data set that speaks SSP over a pseudo-terminal, and keeps what is
// physically true apart from what it told the host. A test, the cabinet or a
// person steers it over a control socket (see package control and Device.handle).
package ssp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"rasid/hardware/sim/control"
	"rasid/hardware/ssp"
)

// The pause points, in the order of a note's way.
const (
	BeforeCounters = "before-counters-in-escrow" // the host saw EF and asked COUNTERS; no reply yet
	BeforeAccept   = "before-accept"             // the accepting POLL arrived; the note has not moved
	AfterAccept    = "after-accept"              // the note is in the box and counted; the host was not told
	AfterCredit    = "after-credit"              // EE was replied and the next frame arrived; it is not answered
	OnDisable      = "on-disable"                // DISABLE arrived; it is not answered
)

// received is a frame and the power-up in which it came: without power, and
// over a power cut, nothing is remembered.
type received struct {
	ssp.Frame
	life int
}

// Config of a Device; a zero field means the default.
type Config struct {
	Link    string // path of the symbolic link to the pseudo-terminal
	Control string // path of the control socket; empty: none
	State   string // path of the state file; empty: the box is forgotten at the end

	// Speed divides every time of the device; default 1. A host that holds a note
	// needs EscrowTimeout of more than its own interval between two HOLDs.
	Speed         int
	EscrowTimeout time.Duration // default 10 s divided by Speed
	Serial        uint32        // default 1873452; a state file's holds
	Counters      struct{ Stacked, Rejected uint32 }

	PowerUpNotCounted bool // E2 does not increment the stacked counter
	PowerUpNoChannel  bool // E2 says channel 0

	// Wire replaces the pseudo-terminal, for a test within one process.
	Wire func() (io.ReadWriteCloser, error)
}

// Device is one simulated acceptor. Its exported methods may be called from any
// goroutine while Run runs.
type Device struct {
	config  Config
	control *control.Server
	frames  chan received
	wake    chan struct{}

	mu         sync.Mutex // guards what follows
	machine    *machine
	wire       io.ReadWriteCloser // nil: unplugged
	plugWanted bool
	drop       int
	corrupt    int
	tear       int
	delay      time.Duration

	// Owned by Run.
	haveLast  bool
	lastSeq   bool
	lastReply []byte
	lastLife  int
	creditOut bool // the last reply told EE
	stood     time.Duration
}

// New returns a Device that does nothing until Run.
func New(c Config) (*Device, error) {
	if c.Speed == 0 {
		c.Speed = 1
	}
	if c.Speed < 0 {
		return nil, fmt.Errorf("couldn't make the acceptor: speed %d, want 1 or more", c.Speed)
	}
	if c.Link == "" && c.Wire == nil {
		return nil, errors.New("couldn't make the acceptor: no path for its line is given")
	}
	if c.EscrowTimeout == 0 {
		c.EscrowTimeout = escrowTime / time.Duration(c.Speed)
	}
	if c.Serial == 0 {
		c.Serial = 1873452
	}
	truth, ok, err := load(c.State)
	if err != nil {
		return nil, err
	}
	if !ok {
		truth = Truth{
			Serial: c.Serial, Stacked: c.Counters.Stacked, Rejected: c.Counters.Rejected,
			Box: map[int]int{}, Returned: map[int]int{},
		}
	}
	d := &Device{config: c, plugWanted: true, frames: make(chan received, 64), wake: make(chan struct{}, 1)}
	d.control = control.New(control.Config{
		Path: c.Control, Handler: d.handle,
		Points: []string{BeforeCounters, BeforeAccept, AfterAccept, AfterCredit, OnDisable},
	})
	d.machine = &machine{config: c, truth: truth, publish: d.control.Publish}
	return d, nil
}

// Run is the device until ctx ends: it makes the line and the control socket,
// powers up and lives. A note left in the path by an earlier Run meets a power-up.
func (d *Device) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer d.unplug()
	defer cancel()
	failed := make(chan error, 1)
	d.mu.Lock()
	d.machine.boot(true)
	d.mu.Unlock()
	if err := d.plug(ctx, &parts); err != nil {
		return err
	}
	parts.Go(func() {
		if err := d.control.Run(ctx); err != nil {
			failed <- err
		}
	})
	for {
		d.mu.Lock()
		err := d.machine.failed
		due := d.machine.due
		d.mu.Unlock()
		if err != nil {
			return err
		}
		var timer <-chan time.Time
		if !due.IsZero() && !d.halted() {
			timer = time.After(due.Sub(d.now()))
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-d.wake:
			if err := d.replug(ctx, &parts); err != nil {
				return err
			}
		case f := <-d.frames:
			d.answer(ctx, f)
		case <-timer:
			d.advance(ctx)
		}
	}
}

func (d *Device) halted() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.machine.halted() || !d.machine.powered
}

// now is the device's time: it stands while the device stands at a pause point.
// Only Run's goroutine changes stood.
func (d *Device) now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.nowLocked()
}

func (d *Device) nowLocked() time.Time { return time.Now().Add(-d.stood) }

// standAt stops at a pause point if the test wants it; false means that the
// device ends.
func (d *Device) standAt(ctx context.Context, point string) bool {
	if point == "" {
		return true
	}
	began := time.Now()
	err := d.control.At(ctx, point)
	d.mu.Lock()
	d.stood += time.Since(began)
	d.mu.Unlock()
	return err == nil
}

func (d *Device) advance(ctx context.Context) {
	d.mu.Lock()
	point := d.machine.advance(d.nowLocked())
	d.mu.Unlock()
	d.standAt(ctx, point)
}

// answer executes one frame, or repeats the last reply when its sequence bit is
// the last one's. A SYNC is always executed, and makes bit 0 the next new one.
func (d *Device) answer(ctx context.Context, f received) {
	d.mu.Lock()
	life, powered := d.machine.life, d.machine.powered
	if life != d.lastLife {
		d.haveLast, d.creditOut, d.lastLife = false, false, life
	}
	d.mu.Unlock()
	if !powered || f.life != life || f.Address != 0 {
		return
	}
	code := f.Data[0]
	if d.haveLast && f.Seq == d.lastSeq && code != ssp.CmdSync {
		d.send(ctx, f.Seq, d.lastReply)
		return
	}
	for _, point := range d.pointsOf(code) {
		if !d.standAt(ctx, point) {
			return
		}
	}
	d.mu.Lock()
	if d.machine.life != life || !d.machine.powered {
		d.mu.Unlock()
		return // the power went while the device stood: it never saw this frame
	}
	if code != ssp.CmdPoll {
		d.control.Publish("command", fmt.Sprintf("%02X", f.Data))
	}
	reply := d.machine.execute(d.nowLocked(), f.Data)
	d.lastLife = d.machine.life
	d.mu.Unlock()
	d.haveLast, d.lastSeq, d.lastReply = true, f.Seq || code == ssp.CmdSync, reply
	d.creditOut = code == ssp.CmdPoll && tells(reply, ssp.EvCredit)
	d.send(ctx, f.Seq, reply)
}

// pointsOf returns the pause points that a new frame brings the device to.
func (d *Device) pointsOf(code byte) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var points []string
	if d.creditOut {
		points = append(points, AfterCredit)
	}
	switch {
	case code == ssp.CmdGetCounters && d.machine.truth.Path == pathEscrow:
		points = append(points, BeforeCounters)
	case code == ssp.CmdPoll && d.machine.willAccept():
		points = append(points, BeforeAccept)
	case code == ssp.CmdDisable:
		points = append(points, OnDisable)
	}
	return points
}

// tells reports whether a POLL reply holds an event.
func tells(reply []byte, code uint8) bool {
	events, _ := ssp.ParseEvents(versionMax, reply[1:])
	for _, e := range events {
		if e.Code == code {
			return true
		}
	}
	return false
}

// send puts a reply on the line, with the disturbances that were ordered.
func (d *Device) send(ctx context.Context, seq bool, data []byte) {
	p, err := ssp.Frame{Seq: seq, Data: data}.Encode()
	if err != nil {
		panic(fmt.Sprintf("broken invariant: a reply of %d bytes does not fit a frame: %v", len(data), err))
	}
	d.mu.Lock()
	wire, delay := d.wire, d.delay
	switch {
	case d.drop > 0:
		d.drop--
		wire = nil
	case d.corrupt > 0:
		d.corrupt--
		p[len(p)/2] ^= 0x10
	case d.tear > 0:
		d.tear--
		p = p[:len(p)/2]
	}
	d.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return
		}
	}
	if wire != nil {
		_, _ = wire.Write(p) // a line that is gone is the host's to notice
	}
}

// Do executes one line of the control socket's language.
func (d *Device) Do(ctx context.Context, line string) (any, error) { return d.control.Do(ctx, line) }

// Subscribe returns what the control socket streams on "events", until stop.
func (d *Device) Subscribe() (events <-chan control.Event, stop func()) { return d.control.Subscribe() }

// Truth returns what is physically so.
func (d *Device) Truth() Truth {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.machine.truth
	t.Box, t.Returned = copyCounts(t.Box), copyCounts(t.Returned)
	return t
}

func copyCounts(m map[int]int) map[int]int {
	c := make(map[int]int, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

func (d *Device) kick() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}
