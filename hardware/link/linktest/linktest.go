// Package linktest plays a recorded exchange back to a driver. A trace is what
// link.Trace wrote: lines "> HEX" that the driver must write, lines "< HEX" that
// it then reads, "!" where the port fails; text after # is a comment. Lines of
// one direction may be cut differently from the driver's own reads and writes.
package linktest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

type step struct {
	line  int
	kind  byte // '>', '<' or '!'
	bytes []byte
}

// Playback is a port that plays one trace. It is safe for one reader and one
// writer at a time.
type Playback struct {
	mu      sync.Mutex // guards steps and failed
	steps   []step
	failed  error
	changed chan struct{}
	closed  chan struct{}
	once    sync.Once
}

// New parses a trace.
func New(trace string) (*Playback, error) {
	p := &Playback{changed: make(chan struct{}, 1), closed: make(chan struct{})}
	for i, text := range strings.Split(trace, "\n") {
		text, _, _ = strings.Cut(text, "#")
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		s := step{line: i + 1, kind: text[0]}
		if !strings.ContainsRune("<>!", rune(s.kind)) {
			return nil, fmt.Errorf("couldn't read the trace: line %d begins with none of > and < and !, which every line must", i+1)
		}
		b, err := hex.DecodeString(strings.Join(strings.Fields(text[1:]), ""))
		if err != nil {
			return nil, fmt.Errorf("couldn't read the trace: line %d: %w", i+1, err)
		}
		s.bytes = b
		p.steps = append(p.steps, s)
	}
	if len(p.steps) == 0 {
		return nil, errors.New("couldn't read the trace: it holds no exchange")
	}
	return p, nil
}

// Port returns the port for the driver. Closing it ends reads, and is not an
// error even when the trace is not played to its end; Close tells that.
func (p *Playback) Port() (io.ReadWriteCloser, error) { return port{p}, nil }

// Close returns an error when the driver wrote anything else than the trace
// says, or did not play it to the end.
func (p *Playback) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		return p.failed
	}
	if len(p.steps) > 0 {
		s := p.steps[0]
		return fmt.Errorf("the trace was not played to its end: line %d, %c % X and %d more", s.line, s.kind, s.bytes, len(p.steps)-1)
	}
	return nil
}

type port struct{ *Playback }

func (p port) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p port) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.wake()
	for rest := b; len(rest) > 0; {
		if p.failed == nil && len(p.steps) == 0 {
			p.failed = fmt.Errorf("the driver wrote % X after the end of the trace", rest)
		}
		if p.failed != nil {
			return 0, p.failed
		}
		s := &p.steps[0]
		n := min(len(rest), len(s.bytes))
		if s.kind != '>' || string(rest[:n]) != string(s.bytes[:n]) {
			p.failed = fmt.Errorf("the driver wrote % X where line %d of the trace says %c % X", rest, s.line, s.kind, s.bytes)
			return 0, p.failed
		}
		rest, s.bytes = rest[n:], s.bytes[n:]
		if len(s.bytes) == 0 {
			p.steps = p.steps[1:]
		}
	}
	return len(b), nil
}

func (p port) Read(b []byte) (int, error) {
	for {
		n, err := p.next(b)
		if n > 0 || err != nil {
			return n, err
		}
		select {
		case <-p.changed:
		case <-p.closed:
			return 0, errors.New("the port has been closed")
		}
	}
}

func (p port) next(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.steps) == 0 {
		return 0, nil
	}
	s := &p.steps[0]
	switch s.kind {
	case '!':
		p.steps = p.steps[1:]
		return 0, io.ErrUnexpectedEOF
	case '<':
		n := copy(b, s.bytes)
		if s.bytes = s.bytes[n:]; len(s.bytes) == 0 {
			p.steps = p.steps[1:]
		}
		return n, nil
	}
	return 0, nil
}

func (p *Playback) wake() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}
