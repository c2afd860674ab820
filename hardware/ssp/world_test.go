package ssp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"rasid/hardware"
	"rasid/hardware/link"
	"rasid/hardware/sim/control"
	sim "rasid/hardware/sim/ssp"
	"rasid/hardware/ssp"
)

// cable joins one device to one host at a time, in memory, so that a test can
// run in a bubble of testing/synctest, where the clock jumps.
type cable struct {
	mu     sync.Mutex
	device *end // nil: unplugged
	host   *end
	sent   []byte // by hosts, for tests that look at the line
}

type end struct {
	in     chan []byte
	closed chan struct{}
	once   sync.Once
	rest   []byte
	write  func(p []byte) error
}

func newEnd(write func(p []byte) error) *end {
	return &end{in: make(chan []byte, 4096), closed: make(chan struct{}), write: write}
}

func (e *end) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		select {
		case e.rest = <-e.in:
		case <-e.closed:
			return 0, io.ErrClosedPipe
		}
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func (e *end) Write(p []byte) (int, error) {
	select {
	case <-e.closed:
		return 0, io.ErrClosedPipe
	default:
	}
	return len(p), e.write(append([]byte(nil), p...))
}

func (e *end) Close() error {
	e.once.Do(func() { close(e.closed) })
	return nil
}

func (c *cable) plug() (io.ReadWriteCloser, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.device = newEnd(func(p []byte) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.host != nil {
			c.host.in <- p
		}
		return nil
	})
	return deviceEnd{c.device, c}, nil
}

type deviceEnd struct {
	*end
	c *cable
}

func (d deviceEnd) Close() error {
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	d.c.device = nil
	if d.c.host != nil {
		_ = d.c.host.Close()
	}
	return d.end.Close()
}

func (c *cable) open() (io.ReadWriteCloser, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.device == nil {
		return nil, errors.New("couldn't open the line: no device is plugged in")
	}
	device := c.device
	c.host = newEnd(func(p []byte) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sent = append(c.sent, p...)
		device.in <- p
		return nil
	})
	return c.host, nil
}

// world is a device, a line and at most one host.
type world struct {
	t      *testing.T
	ctx    context.Context
	open   link.Opener
	timing ssp.Timing
	device *sim.Device
	cable  *cable
	dir    string // where the line is, on a real terminal
	binary string // of the host process
	watch  <-chan control.Event

	*ssp.Driver
	kill func() // ends the host as suddenly as can be within one process
}

// inBubble runs a test where time is virtual and the line is in memory.
func inBubble(t *testing.T, config sim.Config, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		c := &cable{}
		config.Wire = c.plug
		w := newWorld(t, config)
		w.cable, w.open = c, c.open
		test(w)
	})
}

func newWorld(t *testing.T, config sim.Config) *world {
	device, err := sim.New(config)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, ctx: t.Context(), device: device}
	watch, stop := device.Subscribe()
	w.watch = watch
	t.Cleanup(stop)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- device.Run(ctx) }()
	t.Cleanup(func() {
		w.killHost()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("device: %v", err)
		}
	})
	w.await("plugged")
	return w
}

func (w *world) startHost() {
	w.Driver = ssp.New(ssp.Config{Open: w.open, Timing: w.timing})
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan error, 1)
	driver := w.Driver
	go func() { done <- driver.Run(ctx) }()
	w.kill = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("driver: %v", err)
		}
	}
}

func (w *world) killHost() {
	if w.kill != nil {
		w.kill()
		w.kill = nil
	}
}

func (w *world) do(format string, args ...any) any {
	w.t.Helper()
	line := fmt.Sprintf(format, args...)
	result, err := w.device.Do(w.ctx, line)
	if err != nil {
		w.t.Fatalf("%s: %v", line, err)
	}
	return result
}

// next takes the next event, which must be of type E.
func next[E hardware.AcceptorEvent](w *world) E {
	w.t.Helper()
	e, ok := <-w.Events()
	if !ok {
		w.t.Fatal("the driver ended")
	}
	want, ok := e.(E)
	if !ok {
		w.t.Fatalf("the event is %T %+v, want %v", e, e, reflect.TypeFor[E]())
	}
	return want
}

// collect takes events until all of want came, and one NoteCredited besides.
func (w *world) collect(want ...hardware.AcceptorEvent) {
	w.t.Helper()
	credits := 0
	for len(want) > 0 {
		e, ok := <-w.Events()
		if !ok {
			w.t.Fatal("the driver ended")
		}
		if _, isCredit := e.(hardware.NoteCredited); isCredit {
			credits++
			continue
		}
		i := slices.IndexFunc(want, func(x hardware.AcceptorEvent) bool { return reflect.DeepEqual(e, x) })
		if i < 0 {
			w.t.Fatalf("unexpected %T %+v", e, e)
		}
		want = slices.Delete(want, i, i+1)
	}
	if credits != 1 {
		w.t.Errorf("%d notes credited, want 1", credits)
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// begin starts a host, waits for ready, and lets it take every note.
func (w *world) begin() hardware.AcceptorReady {
	w.t.Helper()
	w.startHost()
	ready := next[hardware.AcceptorReady](w)
	w.enable(1, 2, 3, 4, 5, 6)
	return ready
}

// enable returns when the device takes notes of these channels.
func (w *world) enable(channels ...uint8) {
	w.t.Helper()
	w.must(w.Enable(channels))
	w.await("enabled")
}

// await waits until the device publishes an event of that name.
func (w *world) await(name string) {
	w.t.Helper()
	for e := range w.watch {
		if e.Name == name {
			return
		}
	}
	w.t.Fatalf("the device published too much before %q", name)
}

// insert feeds a note and waits until the driver reports it in escrow.
func (w *world) insert(rupees int) hardware.NoteEscrowed {
	w.t.Helper()
	w.do("insert %d", rupees)
	e := next[hardware.NoteEscrowed](w)
	if e.ValuePaise != int64(rupees)*100 {
		w.t.Fatalf("a note of ₹%d is reported as %+v", rupees, e)
	}
	return e
}

func (w *world) wantBox(rupees ...int) {
	w.t.Helper()
	want := map[int]int{}
	for _, r := range rupees {
		want[r]++
	}
	w.wantBox2(want)
}

func (w *world) wantBox2(want map[int]int) {
	w.t.Helper()
	if got := w.device.Truth().Box; !reflect.DeepEqual(got, want) {
		w.t.Errorf("the box holds %v, want %v", got, want)
	}
}

func (w *world) wantReturned(rupees ...int) {
	w.t.Helper()
	want := map[int]int{}
	for _, r := range rupees {
		want[r]++
	}
	if got := w.device.Truth().Returned; !reflect.DeepEqual(got, want) {
		w.t.Errorf("back in the citizen's hand is %v, want %v", got, want)
	}
}

// commands returns the codes of all frames that hosts sent so far.
func (w *world) commands() []byte {
	w.cable.mu.Lock()
	defer w.cable.mu.Unlock()
	var sent []byte
	var d ssp.Decoder
	d.Decode(w.cable.sent, func(f ssp.Frame) { sent = append(sent, f.Data[0]) })
	return sent
}
