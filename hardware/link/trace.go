package link

import (
	"fmt"
	"io"
	"sync"
)

// Trace returns an Opener whose ports write what passes to w, one line for each
// read or write: "> 7F 80 01 11 65 82" from host to device, "< …" back. A
// failed read stands as "!". linktest plays such a trace back. A failing w stops
// the trace, never the line.
func Trace(open Opener, w io.Writer) Opener {
	t := &tracer{w: w}
	return func() (io.ReadWriteCloser, error) {
		port, err := open()
		if err != nil {
			return nil, err
		}
		return tracedPort{port, t}, nil
	}
}

type tracer struct {
	mu sync.Mutex // guards w and failed; reads and writes come from two goroutines
	w  io.Writer

	failed bool
}

func (t *tracer) line(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed {
		return
	}
	if _, err := fmt.Fprintf(t.w, format+"\n", args...); err != nil {
		t.failed = true
	}
}

type tracedPort struct {
	io.ReadWriteCloser
	t *tracer
}

func (p tracedPort) Read(b []byte) (int, error) {
	n, err := p.ReadWriteCloser.Read(b)
	if n > 0 {
		p.t.line("< % X", b[:n])
	}
	if err != nil {
		p.t.line("!")
	}
	return n, err
}

// Write is traced before it happens, so that a reply never stands above the
// command that it answers.
func (p tracedPort) Write(b []byte) (int, error) {
	p.t.line("> % X", b)
	return p.ReadWriteCloser.Write(b)
}
