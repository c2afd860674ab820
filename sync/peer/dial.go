package peer

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	libp2ppeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"rasid/sync/wire"
)

// target is a configured address.
type target struct {
	text    string // as configured
	address string // host:port
	want    libp2ppeer.ID
}

func parseTarget(text string) (target, error) {
	t := target{text: text, address: text}
	if !strings.HasPrefix(text, "/") {
		host, port, err := net.SplitHostPort(text)
		if err != nil || host == "" || port == "" {
			return t, badAddress(text)
		}
		return t, nil
	}
	m, err := multiaddr.NewMultiaddr(text)
	if err != nil {
		return t, badAddress(text)
	}
	port, err := m.ValueForProtocol(multiaddr.P_TCP)
	if err != nil {
		return t, badAddress(text)
	}
	if id, err := m.ValueForProtocol(multiaddr.P_P2P); err == nil {
		if t.want, err = libp2ppeer.Decode(id); err != nil {
			return t, badAddress(text)
		}
	}
	for _, code := range []int{multiaddr.P_IP4, multiaddr.P_IP6, multiaddr.P_DNS, multiaddr.P_DNS4, multiaddr.P_DNS6} {
		if host, err := m.ValueForProtocol(code); err == nil {
			t.address = net.JoinHostPort(host, port)
			return t, nil
		}
	}
	return t, badAddress(text)
}

func badAddress(text string) error {
	return fmt.Errorf("the peer address %q is not understood: write host:port, or a multiaddr like /ip4/192.0.2.7/tcp/4100", text)
}

// accept takes connections in. Those that have not said who they are are bounded,
// so that strangers cannot keep machines out by holding sockets.
func (h *Host) accept(ctx context.Context, wg *sync.WaitGroup) {
	waiting := make(chan struct{}, pendingMax)
	for {
		socket, err := h.listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				socket.Close()
			}
			return
		}
		if err != nil {
			if !h.pause(ctx, time.Second) { // out of descriptors, say: it passes
				return
			}
			continue
		}
		select {
		case waiting <- struct{}{}:
		default:
			h.status.count(func(n *Counters) { n.TurnedAway++ })
			socket.Close()
			continue
		}
		release := sync.OnceFunc(func() { <-waiting })
		wg.Go(func() {
			defer release()
			c, err := h.open(ctx, socket, false, "", socket.RemoteAddr().String())
			if err != nil {
				h.status.count(func(n *Counters) { n.HandshakesFailed++ })
				h.cfg.Log.Debug("inbound connection failed", "error", err.Error())
				return
			}
			c.release = release
			h.serve(ctx, c)
		})
	}
}

// pause waits, and returns false when the host stops.
func (h *Host) pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-h.cfg.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// dialling keeps one address connected: it dials, and when the connection has
// ended, or the machine behind the address is connected otherwise, waits.
func (h *Host) dialling(ctx context.Context, t target) {
	wait := h.cfg.RedialMin
	var behind ed25519.PublicKey // who answered there last
	for ctx.Err() == nil {
		if len(behind) > 0 && !h.status.waitGone(ctx, behind) {
			return
		}
		c, err := h.dial(ctx, t)
		if ctx.Err() != nil && err != nil {
			return
		}
		switch {
		case err != nil:
			h.status.count(func(n *Counters) { n.DialsFailed++ })
			h.cfg.Log.Debug("couldn't reach a peer", "address", t.text, "error", err.Error())
		case bytes.Equal(c.key, h.cfg.Machine.Public().(ed25519.PublicKey)):
			c.cut()
			h.status.address(t.text, func(a *Address) { a.Error = "this machine's own address" })
			h.cfg.Log.Warn("a configured peer address is this machine's own", "address", t.text)
			return
		default:
			behind = c.key
			h.status.address(t.text, func(a *Address) { a.LastTry, a.Error = h.cfg.Now(), "" })
			h.serve(ctx, c)
			if code, _ := c.saidBye(); c.admitted.Load() && code != wire.ByeStorage && code != wire.ByeLimit && code != wire.ByeMalformed {
				wait = h.cfg.RedialMin
			}
		}
		h.noteDial(t, c, err)
		if !h.pause(ctx, h.jitter(wait)) {
			return
		}
		wait = min(2*wait, h.cfg.RedialMax)
	}
}

func (h *Host) noteDial(t target, c *conn, err error) {
	h.status.address(t.text, func(a *Address) {
		a.LastTry = h.cfg.Now()
		a.Error = ""
		if err != nil {
			a.Error = err.Error()
			return
		}
		if code, theirs := c.saidBye(); theirs {
			a.Error = "the other end said goodbye: " + code.String()
		} else if code != 0 {
			a.Error = "this end said goodbye: " + code.String()
		}
	})
}

func (h *Host) dial(ctx context.Context, t target) (*conn, error) {
	d := net.Dialer{Timeout: handshakeTime, KeepAlive: -1}
	socket, err := d.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, fmt.Errorf("couldn't reach %s: %w", t.text, err)
	}
	return h.open(ctx, socket, true, t.want, t.text)
}

// jitter spreads a wait over half to one and a half of it, so that machines that
// lost the same office do not come back in one moment.
func (h *Host) jitter(d time.Duration) time.Duration {
	var b [8]byte
	if _, err := io.ReadFull(h.cfg.Rand, b[:]); err != nil {
		return d
	}
	return d/2 + time.Duration(binary.BigEndian.Uint64(b[:])%uint64(d))
}
