package peer

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	libp2ppeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/security/noise/pb"
	"github.com/libp2p/go-yamux/v5"
	"github.com/multiformats/go-multistream"

	"rasid/ledger"
	"rasid/sync/exchange"
	"rasid/sync/wire"
)

// Names that multistream-select agrees on (PROTOCOL.md §1).
const (
	noiseID  = noise.ID
	yamuxID  = "/yamux/1.0.0"
	streamID = "/rasid/sync/1"
)

// TCP's own probes are off: yamux asks for itself, less often.
var listenConfig = net.ListenConfig{KeepAlive: -1}

// identity is the machine key as libp2p takes it.
type identity struct{ transport *noise.Transport }

func newIdentity(machine ed25519.PrivateKey) (identity, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(machine)
	if err != nil {
		return identity{}, fmt.Errorf("the machine key is unusable: %w", err)
	}
	t, err := noise.New(noiseID, key, nil)
	if err != nil {
		return identity{}, fmt.Errorf("couldn't set up Noise: %w", err)
	}
	return identity{transport: t}, nil
}

// ID returns a machine's libp2p peer id, as the /p2p part of an address holds it.
func ID(machine ed25519.PublicKey) (string, error) {
	key, err := crypto.UnmarshalEd25519PublicKey(machine)
	if err != nil {
		return "", fmt.Errorf("couldn't name the machine: %w", err)
	}
	id, err := libp2ppeer.IDFromPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("couldn't name the machine: %w", err)
	}
	return id.String(), nil
}

// earlyMuxer offers yamux within the Noise handshake, which saves a round trip.
type earlyMuxer struct{ agreed atomic.Bool }

func (*earlyMuxer) Send(context.Context, net.Conn, libp2ppeer.ID) *pb.NoiseExtensions {
	return &pb.NoiseExtensions{StreamMuxers: []string{yamuxID}}
}

func (e *earlyMuxer) Received(_ context.Context, _ net.Conn, x *pb.NoiseExtensions) error {
	for _, m := range x.GetStreamMuxers() {
		if m == yamuxID {
			e.agreed.Store(true)
		}
	}
	return nil
}

// secure runs multistream-select and Noise. An empty want takes any machine: an
// address may lead through a relay and is no promise, the key is what counts, and
// HELLO judges it.
func (id identity) secure(ctx context.Context, raw net.Conn, dialed bool, want libp2ppeer.ID) (sec.SecureConn, bool, error) {
	early := &earlyMuxer{}
	opts := []noise.SessionOption{noise.EarlyData(early, early)}
	if want == "" {
		opts = append(opts, noise.DisablePeerIDCheck())
	}
	session, err := id.transport.WithSessionOptions(opts...)
	if err != nil {
		return nil, false, err
	}
	if dialed {
		if err := multistream.SelectProtoOrFail(noiseID, raw); err != nil {
			return nil, false, err
		}
		s, err := session.SecureOutbound(ctx, raw, want)
		return s, early.agreed.Load(), err
	}
	if err := negotiate(raw, noiseID); err != nil {
		return nil, false, err
	}
	s, err := session.SecureInbound(ctx, raw, want)
	return s, early.agreed.Load(), err
}

func negotiate(rw io.ReadWriteCloser, protocol string) error {
	m := multistream.NewMultistreamMuxer[string]()
	m.AddHandler(protocol, nil)
	_, _, err := m.Negotiate(rw)
	return err
}

func (h *Host) yamuxConfig() *yamux.Config {
	c := yamux.DefaultConfig()
	c.EnableKeepAlive = true
	c.KeepAliveInterval = h.cfg.KeepAlive
	c.ConnectionWriteTimeout = h.cfg.Patience
	c.MeasureRTTInterval = 24 * time.Hour
	c.MaxStreamWindowSize = c.InitialStreamWindowSize // credit decides, not a window that grows
	c.MaxIncomingStreams = 1
	c.ReadBufSize = 0
	c.LogOutput = io.Discard
	return c
}

// conn is one connection: a TCP socket, and the one stream in it.
type conn struct {
	id      exchange.Conn
	address string
	dialed  bool
	key     ed25519.PublicKey // of the other end, nil if it is of another kind

	raw      *counted
	session  *yamux.Session
	stream   *yamux.Stream
	admitted atomic.Bool
	slot     uint32        // owned by loop, set when admitted
	release  func()        // gives back the place among those who have not said who they are; often
	code     atomic.Uint32 // why it ended, 0 unknown

	mu     sync.Mutex
	out    []outgoing // guarded by mu
	queued int        // bytes in out; guarded by mu
	last   bool       // nothing follows; guarded by mu
	wake   chan struct{}
	over   chan struct{} // closed when reading has ended
	kill   sync.Once
}

type outgoing struct {
	frame []byte
	bulk  bool
}

// counted counts what goes over the socket.
type counted struct {
	net.Conn
	in, out *atomic.Uint64 // of the connection
	all     *totals
	heardMs atomic.Int64
	now     func() time.Time
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.in.Add(uint64(n))
		c.all.in.Add(uint64(n))
		c.heardMs.Store(c.now().UnixMilli())
	}
	return n, err
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.out.Add(uint64(n))
	c.all.out.Add(uint64(n))
	return n, err
}

// open makes a connection of a socket: Noise, yamux, the stream. On an error the
// socket is closed.
func (h *Host) open(ctx context.Context, socket net.Conn, dialed bool, want libp2ppeer.ID, address string) (*conn, error) {
	c := &conn{
		id: h.ids.next(), address: address, dialed: dialed,
		release: func() {}, wake: make(chan struct{}, 1), over: make(chan struct{}),
		raw: &counted{Conn: socket, in: new(atomic.Uint64), out: new(atomic.Uint64), all: &h.status.totals, now: h.cfg.Now},
	}
	stop := context.AfterFunc(ctx, func() { socket.Close() })
	defer stop()
	if err := h.handshake(ctx, c, dialed, want); err != nil {
		if c.session != nil {
			c.session.Close()
		}
		socket.Close()
		return nil, fmt.Errorf("couldn't open a connection with %s: %w", address, err)
	}
	return c, nil
}

func (h *Host) handshake(ctx context.Context, c *conn, dialed bool, want libp2ppeer.ID) error {
	if err := c.raw.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return err
	}
	secured, early, err := h.identity.secure(ctx, c.raw, dialed, want)
	if err != nil {
		return fmt.Errorf("the other end is no peer, or not the one expected: %w", err)
	}
	if key, ok := secured.RemotePublicKey().(*crypto.Ed25519PublicKey); ok {
		if c.key, err = key.Raw(); err != nil {
			return err
		}
	}
	if !early {
		if dialed {
			err = multistream.SelectProtoOrFail(yamuxID, secured)
		} else {
			err = negotiate(secured, yamuxID)
		}
		if err != nil {
			return fmt.Errorf("no common way to carry streams: %w", err)
		}
	}
	if err := c.raw.SetDeadline(time.Time{}); err != nil {
		return err
	}
	return h.openStream(ctx, c, secured)
}

func (h *Host) openStream(ctx context.Context, c *conn, secured net.Conn) (err error) {
	limited, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	if c.dialed {
		if c.session, err = yamux.Client(secured, h.yamuxConfig(), nil); err != nil {
			return err
		}
	} else if c.session, err = yamux.Server(secured, h.yamuxConfig(), nil); err != nil {
		return err
	}
	stop := context.AfterFunc(limited, func() { c.session.Close() })
	if c.dialed {
		if c.stream, err = c.session.OpenStream(limited); err == nil {
			err = multistream.SelectProtoOrFail(streamID, c.stream)
		}
	} else if c.stream, err = c.session.AcceptStream(); err == nil {
		err = negotiate(c.stream, streamID)
	}
	if !stop() && err == nil {
		err = limited.Err()
	}
	if err != nil {
		return fmt.Errorf("couldn't open the stream %s: %w", streamID, err)
	}
	return nil
}

// serve reads and writes the connection until it ends, and reports both ends of
// its life to the loop.
func (h *Host) serve(ctx context.Context, c *conn) {
	stop := context.AfterFunc(ctx, c.cut)
	defer stop()
	if !h.tell(ctx, connUp{c}) {
		c.cut()
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { h.writer(ctx, c) })
	h.reader(ctx, c)
	close(c.over)
	wg.Wait()
	c.cut()
	h.tell(ctx, connGone{c})
}

func (h *Host) reader(ctx context.Context, c *conn) {
	r := wire.NewReader(c.stream)
	for {
		m, n, err := r.Next()
		if errors.Is(err, ledger.ErrMalformed) {
			h.cfg.Log.Warn("a peer sent what is no message", "address", c.address, "error", err.Error())
			h.tell(ctx, exchange.Received{Conn: c.id, Err: err})
			c.linger()
			return
		}
		if err != nil {
			h.tell(ctx, exchange.Closed{Conn: c.id})
			c.finish()
			return
		}
		if !h.tell(ctx, exchange.Received{Conn: c.id, Message: m, Bytes: n}) {
			return
		}
		if m.Type() == wire.TypeBye {
			c.finish()
			return
		}
	}
}

// linger takes what still arrives, so that the farewell is not lost to a reset,
// until the other end closes or the writer cuts.
func (c *conn) linger() { _, _ = io.Copy(io.Discard, c.stream) }

func (c *conn) write(frame []byte, bulk bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last {
		return
	}
	c.out = append(c.out, outgoing{frame: frame, bulk: bulk})
	if c.queued += len(frame); c.queued > outMaxBytes {
		c.last = true
		c.raw.Close() // it does not read; the rest follows from that
	}
	c.poke()
}

// finish ends the connection after what was written has left.
func (c *conn) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = true
	c.poke()
}

func (c *conn) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *conn) takeOut() (out []outgoing, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out, c.out, c.queued = c.out, nil, 0
	return out, c.last
}

func (h *Host) writer(ctx context.Context, c *conn) {
	defer c.cut()
	for {
		out, last := c.takeOut()
		for _, o := range out {
			if _, err := c.stream.Write(o.frame); err != nil {
				return
			}
			if o.bulk && !h.tell(ctx, exchange.Written{Conn: c.id}) {
				return
			}
		}
		if last && len(out) == 0 {
			h.leave(ctx, c)
			return
		}
		if last {
			continue
		}
		select {
		case <-c.wake:
		case <-c.over:
			return
		case <-ctx.Done():
			return
		}
	}
}

// leave closes our half and gives the other end a moment to take the last message.
func (h *Host) leave(ctx context.Context, c *conn) {
	if err := c.stream.CloseWrite(); err != nil {
		return
	}
	select {
	case <-c.over:
	case <-h.cfg.After(farewellTime):
	case <-ctx.Done():
	}
}

// cut ends the connection at once. It may be called from anywhere, often.
func (c *conn) cut() {
	c.kill.Do(func() {
		c.raw.Close() // first, so that nothing waits for a dead line
		c.session.Close()
	})
}

func (c *conn) ended(code wire.ByeCode, theirs bool) {
	v := uint32(code)
	if theirs {
		v |= 1 << 16
	}
	c.code.CompareAndSwap(0, v)
}

// saidBye returns why the connection ended, and whether the other end said so.
func (c *conn) saidBye() (code wire.ByeCode, theirs bool) {
	v := c.code.Load()
	return wire.ByeCode(v & 0xffff), v>>16 != 0
}

type counter struct{ n atomic.Uint64 }

func (c *counter) next() exchange.Conn { return exchange.Conn(c.n.Add(1)) }
