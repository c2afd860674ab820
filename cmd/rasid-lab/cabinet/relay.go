package cabinet

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
)

// Relay is one network link: a TCP port that passes bytes on to another address
// until it is cut. Cutting closes what is open and refuses what comes, as a dead
// line does.
type Relay struct {
	Target string

	listener net.Listener

	mu    sync.Mutex
	cut   bool                  // guarded by mu
	conns map[net.Conn]struct{} // guarded by mu
}

// NewRelay listens on a free loopback port; Run passes bytes on.
func NewRelay(target string) (*Relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("couldn't open a relay: %w", err)
	}
	return &Relay{Target: target, listener: l, conns: map[net.Conn]struct{}{}}, nil
}

// Addr is where the link begins.
func (r *Relay) Addr() string { return r.listener.Addr().String() }

// SetCut cuts the link or mends it.
func (r *Relay) SetCut(cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = cut
	if !cut {
		return
	}
	for c := range r.conns {
		_ = c.Close() // its copier ends
	}
}

// Cut reports whether the link is cut.
func (r *Relay) Cut() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cut
}

// Run serves the link until ctx ends.
func (r *Relay) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	stop := context.AfterFunc(ctx, func() {
		_ = r.listener.Close()
		r.SetCut(true)
	})
	defer stop()
	for {
		in, err := r.listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("couldn't accept on the relay %s: %w", r.Addr(), err)
		}
		all.Go(func() { r.pass(ctx, in) })
	}
}

// pass copies both ways until one side closes.
func (r *Relay) pass(ctx context.Context, in net.Conn) {
	defer func() { _ = in.Close() }()
	if !r.hold(in) {
		return
	}
	defer r.release(in)
	var d net.Dialer
	out, err := d.DialContext(ctx, "tcp", r.Target)
	if err != nil {
		return // nobody there: the caller sees its connection close
	}
	defer func() { _ = out.Close() }()
	if !r.hold(out) {
		return
	}
	defer r.release(out)
	var both sync.WaitGroup
	both.Go(func() { copyOne(out, in) })
	copyOne(in, out)
	both.Wait()
}

func copyOne(to, from net.Conn) {
	_, _ = io.Copy(to, from) // either side closed: close the other
	_ = to.Close()
	_ = from.Close()
}

func (r *Relay) hold(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cut {
		return false
	}
	r.conns[c] = struct{}{}
	return true
}

func (r *Relay) release(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}
