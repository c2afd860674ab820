// Package control is the socket by which a test, the cabinet or a person at a
// terminal steers a simulated device: feed a note, empty the paper tray, stop
// at a known point, listen to what happens. All simulators share it.
//
// The socket is a unix socket. A request is one line of words ("insert 500"),
// its answer one line of JSON: {"ok":true,"result":…} or
// {"ok":false,"error":"refused: …"}. After "events" the connection carries one
// JSON line for each Event from then on and takes no more requests. Any number
// of connections may be open.
//
// Four words are the socket's own; all others go to the device's Handler:
//
//	pause POINT    stop the device the next time it reaches POINT
//	wait POINT     answers when the device stands at POINT
//	resume         let the device go on and forget every pause
//	events         stream events
package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
)

// Limits of what a caller may send and may leave unread.
const (
	lineMax         = 4096
	eventsUnreadMax = 1024
)

// Event is one thing that happened in or to the device. Seq counts from 1
// without gaps, so that a reader notices a loss.
type Event struct {
	Seq  uint64 `json:"seq"`
	Name string `json:"event"`
	Data any    `json:"data,omitempty"`
}

// Handler executes one command of the device's own; args are the words after
// it. The result is answered as JSON; an error is answered as its text. It is
// called concurrently.
type Handler func(ctx context.Context, command string, args []string) (result any, err error)

// Config says what a Server serves.
type Config struct {
	Path    string   // of the socket; a stale socket there is replaced
	Handler Handler  // the device's own commands
	Points  []string // the pause points that the device knows
}

// Server serves one device's control socket. Publish and At may be called from
// any goroutine, before, during and after Run; with an empty Config.Path they
// work all the same and Run only waits.
type Server struct {
	config Config

	mu          sync.Mutex // guards what follows
	armed       map[string]bool
	standing    string
	changed     chan struct{} // closed and replaced when standing or armed changes
	seq         uint64
	subscribers map[chan Event]struct{}
}

// New returns a Server that serves nothing until Run.
func New(c Config) *Server {
	return &Server{
		config:      c,
		armed:       map[string]bool{},
		changed:     make(chan struct{}),
		subscribers: map[chan Event]struct{}{},
	}
}

// Run listens and serves until ctx ends; it removes the socket and joins every
// connection before it returns.
func (s *Server) Run(ctx context.Context) error {
	if s.config.Path == "" {
		<-ctx.Done()
		return nil
	}
	if err := removeStale(s.config.Path); err != nil {
		return err
	}
	listener, err := net.Listen("unix", s.config.Path)
	if err != nil {
		return fmt.Errorf("couldn't listen on the control socket: %w", err)
	}
	return s.serve(ctx, listener)
}

func (s *Server) serve(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var connections sync.WaitGroup
	defer connections.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	for {
		conn, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("couldn't accept on the control socket: %w", err)
		}
		connections.Go(func() { s.converse(ctx, conn) })
	}
}

// removeStale removes a socket that a killed simulator left, and nothing else.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("couldn't look at the control socket: %w", err)
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("couldn't use %s as control socket: something that is no socket is there", path)
	}
	if conn, err := net.Dial("unix", path); err == nil {
		_ = conn.Close()
		return fmt.Errorf("couldn't use %s as control socket: another device is serving it", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("couldn't remove the stale control socket: %w", err)
	}
	return nil
}

type answer struct {
	OK     bool   `json:"ok"`
	Result any    `json:"result,omitempty"`
	Error  string `json:"error,omitempty"`
}

// converse answers one connection until it closes or ctx ends. A caller that
// goes away while a request waits ends the request.
func (s *Server) converse(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	var reader sync.WaitGroup
	defer reader.Wait()
	defer func() { cancel(); _ = conn.Close() }()
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	lines := make(chan string)
	reader.Go(func() {
		defer cancel()
		defer close(lines)
		scanner := bufio.NewScanner(conn)
		scanner.Buffer(make([]byte, 0, lineMax), lineMax)
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
	})
	encoder := json.NewEncoder(conn)
	for line := range lines {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if line == "events" {
			s.stream(ctx, encoder)
			return
		}
		result, err := s.Do(ctx, line)
		a := answer{OK: err == nil, Result: result}
		if err != nil {
			a = answer{Error: err.Error()}
		}
		if encoder.Encode(a) != nil {
			return
		}
	}
}

// stream writes events until the connection ends. A reader too slow by
// eventsUnreadMax is cut off: its connection closes, so the loss is seen.
func (s *Server) stream(ctx context.Context, encoder *json.Encoder) {
	events, stop := s.Subscribe()
	defer stop()
	if encoder.Encode(answer{OK: true, Result: "streaming"}) != nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case e, open := <-events:
			if !open || encoder.Encode(e) != nil {
				return
			}
		}
	}
}

// Subscribe returns the events from now on, until stop is called. A subscriber
// that leaves too many unread has its channel closed.
func (s *Server) Subscribe() (events <-chan Event, stop func()) {
	c := make(chan Event, eventsUnreadMax)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers[c] = struct{}{}
	return c, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.subscribers, c)
	}
}

// Publish tells every subscriber that something happened. It never blocks.
func (s *Server) Publish(name string, data any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	for events := range s.subscribers {
		select {
		case events <- Event{Seq: s.seq, Name: name, Data: data}:
		default:
			close(events)
			delete(s.subscribers, events)
		}
	}
}

// At is called by the device when it reaches a pause point. It returns at once
// unless that point is armed; else it blocks until "resume" or until ctx ends,
// whose error it returns. The device must hold no lock while it calls At.
// One goroutine of the device may stand at a time.
func (s *Server) At(ctx context.Context, point string) error {
	s.mu.Lock()
	if !s.armed[point] {
		s.mu.Unlock()
		return nil
	}
	s.standing = point
	s.notify()
	for s.standing != "" {
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
		s.mu.Lock()
	}
	s.mu.Unlock()
	return nil
}

// notify wakes everybody who waits for a change. The caller holds mu.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Do executes one line, other than "events", as if it came over the socket.
func (s *Server) Do(ctx context.Context, line string) (any, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil, errors.New("the line is empty")
	}
	command, args := words[0], words[1:]
	switch command {
	case "pause", "wait":
		if len(args) != 1 || !slices.Contains(s.config.Points, args[0]) {
			return nil, fmt.Errorf("%s wants one pause point, one of: %s", command, strings.Join(s.config.Points, ", "))
		}
		if command == "pause" {
			s.mu.Lock()
			s.armed[args[0]] = true
			s.notify()
			s.mu.Unlock()
			return "armed", nil
		}
		return "standing", s.wait(ctx, args[0])
	case "resume":
		s.mu.Lock()
		clear(s.armed)
		s.standing = ""
		s.notify()
		s.mu.Unlock()
		return "resumed", nil
	}
	return s.config.Handler(ctx, command, args)
}

func (s *Server) wait(ctx context.Context, point string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.standing != point {
		if !s.armed[point] {
			return fmt.Errorf("couldn't wait: no pause is set at %s", point)
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
			s.mu.Lock()
		case <-ctx.Done():
			s.mu.Lock()
			return ctx.Err()
		}
	}
	return nil
}
