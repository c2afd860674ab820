// Package link is a serial line that carries frames: it opens the port, reads
// and writes with deadlines, and says clearly what failed. Only this package
// imports a serial library. What a frame is, the caller's Decoder knows.
package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"go.bug.st/serial"
)

// ErrTimeout is returned by Send and Receive when the deadline passed; the line
// itself is still good.
var ErrTimeout = errors.New("no answer within the deadline")

// Clock tells time and wakes. Wall is the real one; tests step their own.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

// Wall is the machine's own clock.
type Wall struct{}

// Now returns the machine's time.
func (Wall) Now() time.Time { return time.Now() }

// After returns a channel that receives once d has passed.
func (Wall) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Opener opens the port anew. Each port it returns is closed by the Line.
type Opener func() (io.ReadWriteCloser, error)

// Parity of a serial line.
type Parity uint8

// The parities that payment devices use.
const (
	ParityNone Parity = iota
	ParityEven
)

// Settings name a serial port and its line settings.
type Settings struct {
	Path     string // /dev/serial/by-id/…
	BaudRate int
	DataBits int
	StopBits int // 1 or 2
	Parity   Parity
}

// Serial returns an Opener for a serial port. What an earlier process left in
// the buffers is discarded at each opening. A port without modem lines (a
// pseudo-terminal) is as good as one with them.
func Serial(s Settings) Opener {
	return func() (io.ReadWriteCloser, error) {
		mode := &serial.Mode{BaudRate: s.BaudRate, DataBits: s.DataBits}
		if s.StopBits == 2 {
			mode.StopBits = serial.TwoStopBits
		}
		if s.Parity == ParityEven {
			mode.Parity = serial.EvenParity
		}
		port, err := serial.Open(s.Path, mode)
		if err != nil {
			return nil, fmt.Errorf("couldn't open the line %s: %w", s.Path, err)
		}
		for _, reset := range []func() error{port.ResetInputBuffer, port.ResetOutputBuffer} {
			if err := reset(); err != nil {
				_ = port.Close()
				return nil, fmt.Errorf("couldn't clear the line %s: %w", s.Path, err)
			}
		}
		return flushedPort{port}, nil
	}
}

// flushedPort forgets unsent bytes when it closes, because a writer blocked on
// a device that does not read would otherwise never return.
type flushedPort struct{ serial.Port }

func (p flushedPort) Close() error {
	_ = p.ResetOutputBuffer() // fails only on a port that is gone; Close says so
	return p.Port.Close()
}

// Decoder finds frames in a stream of bytes, however the stream was cut into
// reads. Damaged bytes are skipped, never an error. emit may keep the frame.
type Decoder[F any] interface {
	Decode(p []byte, emit func(F))
}

// Line carries frames over one open port. Send and Receive belong to one
// goroutine, Run to another.
type Line[F any] struct {
	port    io.ReadWriteCloser
	decoder Decoder[F]
	clock   Clock
	frames  chan F
	writes  chan []byte
	done    chan struct{} // closed when the port failed or Run ends; err is set before
	err     error
}

// NewLine returns a Line over an open port, which Run will close.
func NewLine[F any](port io.ReadWriteCloser, decoder Decoder[F], clock Clock) *Line[F] {
	return &Line[F]{
		port: port, decoder: decoder, clock: clock,
		frames: make(chan F, 64), writes: make(chan []byte), done: make(chan struct{}),
	}
}

// Run moves bytes until ctx ends (it returns nil) or the port fails. It closes
// the port and joins its reader and writer before it returns.
func (l *Line[F]) Run(ctx context.Context) error {
	failed := make(chan error, 2)
	stopped := make(chan struct{})
	var movers sync.WaitGroup
	movers.Go(func() { failed <- l.read(stopped) })
	movers.Go(func() { failed <- l.write(stopped) })
	var err error
	select {
	case <-ctx.Done():
		l.err = ctx.Err()
	case err = <-failed:
		l.err = err
	}
	close(l.done)
	close(stopped)
	_ = l.port.Close() // the failure that matters was reported by read or write
	movers.Wait()
	return err
}

func (l *Line[F]) read(stopped <-chan struct{}) error {
	buffer := make([]byte, 512)
	for {
		n, err := l.port.Read(buffer)
		l.decoder.Decode(buffer[:n], func(frame F) {
			select {
			case l.frames <- frame:
			case <-stopped:
			}
		})
		if err != nil {
			return fmt.Errorf("couldn't read from the line: %w", err)
		}
		select {
		case <-stopped:
			return nil
		default:
		}
	}
}

func (l *Line[F]) write(stopped <-chan struct{}) error {
	for {
		select {
		case <-stopped:
			return nil
		case p := <-l.writes:
			if _, err := l.port.Write(p); err != nil {
				return fmt.Errorf("couldn't write to the line: %w", err)
			}
		}
	}
}

// Send hands the bytes of one frame to the line. It returns ErrTimeout when an
// earlier frame could not be written within d.
func (l *Line[F]) Send(ctx context.Context, p []byte, d time.Duration) error {
	select {
	case l.writes <- p:
		return nil
	case <-l.done:
		return l.err
	case <-ctx.Done():
		return ctx.Err()
	case <-l.clock.After(d):
		return ErrTimeout
	}
}

// Receive waits for the next frame until the deadline fires (ErrTimeout), the
// port fails or ctx ends.
func (l *Line[F]) Receive(ctx context.Context, deadline <-chan time.Time) (F, error) {
	var none F
	select {
	case frame := <-l.frames:
		return frame, nil
	default:
	}
	select {
	case frame := <-l.frames:
		return frame, nil
	case <-l.done:
		return none, l.err
	case <-ctx.Done():
		return none, ctx.Err()
	case <-deadline:
		return none, ErrTimeout
	}
}

// Resync forgets the frames that were received and not asked for.
func (l *Line[F]) Resync() {
	for {
		select {
		case <-l.frames:
		default:
			return
		}
	}
}

// Backoff grows from Min to Max by doubling.
type Backoff struct {
	Min, Max time.Duration
	next     time.Duration
}

// Next returns how long to wait before the next try.
func (b *Backoff) Next() time.Duration {
	d := max(b.next, b.Min)
	b.next = min(2*d, b.Max)
	return d
}

// Reset starts again at Min, after a success.
func (b *Backoff) Reset() { b.next = 0 }
