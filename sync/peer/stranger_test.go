package peer

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"rasid/ledger/cert"
	"rasid/sync/simnet"
	"rasid/sync/wire"
)

// stranger opens a connection with a key of its own, and speaks for itself.
func stranger(t *testing.T, f *simnet.Fleet, m simnet.Machine, address string) (*conn, *wire.Reader) {
	t.Helper()
	s, err := simnet.NewStore(f.Public, m)
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(configOf(f, m, s))
	if err != nil {
		t.Fatal(err)
	}
	tg, err := parseTarget(address)
	if err != nil {
		t.Fatal(err)
	}
	c, err := h.dial(deadline(t), tg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.cut)
	if err := c.stream.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c, wire.NewReader(c.stream)
}

func say(t *testing.T, c *conn, messages ...wire.Message) {
	t.Helper()
	for _, m := range messages {
		b, err := wire.Append(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.stream.Write(b); err != nil {
			t.Fatal(err)
		}
	}
}

// hears reads all that comes until the other end closes.
func hears(t *testing.T, r *wire.Reader) []wire.Message {
	t.Helper()
	var all []wire.Message
	for {
		m, _, err := r.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "closed") {
				t.Errorf("the connection ended with %v", err)
			}
			return all
		}
		all = append(all, m)
	}
}

func onlyBye(t *testing.T, got []wire.Message, code wire.ByeCode) {
	t.Helper()
	if len(got) != 1 {
		t.Fatalf("heard %d messages, want one BYE: %v", len(got), got)
	}
	bye, ok := got[0].(*wire.Bye)
	if !ok || bye.Code != code {
		t.Fatalf("heard %s %+v, want BYE %s", got[0].Type(), got[0], code)
	}
}

func hello(m simnet.Machine) *wire.Hello {
	return &wire.Hello{Min: 1, Max: 1, Chain: m.Chain}
}

// TestStrangers: whoever cannot show that the fleet certified the key that it
// speaks with gets a goodbye and no byte more.
func TestStrangers(t *testing.T) {
	f := fleetOf(t)
	member := enrol(t, f, 1, cert.RoleKiosk)
	other := enrol(t, simnet.NewFleet("another"), 1, cert.RoleKiosk)
	n := newNode(t, f, enrol(t, f, 0, cert.RoleOffice), nil)
	forged := hello(other)
	forged.Chain.District = member.Chain.District
	newer := hello(member)
	newer.Min, newer.Max = 7, 9
	for _, test := range []struct {
		name string
		key  simnet.Machine
		say  wire.Message
		want wire.ByeCode
	}{
		{"another fleet", other, hello(other), wire.ByeStranger},
		{"a stolen chain", other, hello(member), wire.ByeStranger},
		{"a chain put together", other, forged, wire.ByeStranger},
		{"a message before HELLO", other, &wire.Credit{Bytes: 1}, wire.ByeMalformed},
		{"a version to come", member, newer, wire.ByeVersion},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, r := stranger(t, f, test.key, n.host.Addr())
			say(t, c, test.say)
			onlyBye(t, hears(t, r), test.want)
		})
	}
	if got := n.host.Status().Counters.StrangersRefused; got != 3 {
		t.Errorf("StrangersRefused = %d, want 3", got)
	}
	if got := n.host.Status().Peers; len(got) != 0 {
		t.Errorf("Peers = %v, want none", got)
	}
}

// TestDialledStranger: a stranger that is dialled learns a certificate chain and
// nothing else.
func TestDialledStranger(t *testing.T) {
	f, other := fleetOf(t), simnet.NewFleet("another")
	listener := newNode(t, other, enrol(t, other, 5, cert.RoleKiosk), nil)
	n := newNode(t, f, enrol(t, f, 1, cert.RoleKiosk), peers(listener.host.Addr()))
	listener.untilCount(func(c Counters) bool { return c.StrangersRefused > 0 })
	if got := n.host.Status().Counters; got.RunsOut != 0 || len(listener.store.Frontier()) != 1 {
		t.Errorf("a stranger got runs: %+v", got)
	}
}

func (n *node) untilCount(ok func(Counters) bool) {
	n.t.Helper()
	limit := deadline(n.t)
	for !ok(n.host.Status().Counters) {
		if !n.host.tell(limit, nil) {
			n.t.Fatalf("not in time: %+v", n.host.Status().Counters)
		}
	}
}

// TestBadMessages: a member that sends what is no message, or too much, is told so
// and counted; others go on.
func TestBadMessages(t *testing.T) {
	f := fleetOf(t)
	n := newNode(t, f, enrol(t, f, 0, cert.RoleOffice), nil)
	m := enrol(t, f, 1, cert.RoleKiosk)
	for i, test := range []struct {
		name string
		raw  []byte
		want wire.ByeCode
	}{
		{"noise", []byte{0x03, 0x63, 0xff, 0xff}, wire.ByeMalformed},
		{"a length of 16 MiB", []byte{0x80, 0x80, 0x80, 0x08}, wire.ByeLimit},
		{"a HAVE of a megabyte", []byte{0x80, 0x80, 0x40, byte(wire.TypeHave)}, wire.ByeLimit},
		{"a second HELLO", mustFrame(t, hello(m)), wire.ByeMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, r := stranger(t, f, m, n.host.Addr())
			say(t, c, hello(m), &wire.Frontier{})
			if _, err := c.stream.Write(test.raw); err != nil {
				t.Fatal(err)
			}
			got := hears(t, r)
			if len(got) < 3 {
				t.Fatalf("heard %d messages, want HELLO, FRONTIER and BYE", len(got))
			}
			onlyBye(t, got[len(got)-1:], test.want)
			if got := n.host.Status().Counters.Malformed; got != uint64(i+1) {
				t.Errorf("Malformed = %d, want %d", got, i+1)
			}
		})
	}
	kiosk := newNode(t, f, enrol(t, f, 2, cert.RoleKiosk), peers(n.host.Addr()))
	n.until("an honest peer's log", func() bool { return n.size(kiosk.machine.ID()) == 1 })
}

func mustFrame(t *testing.T, m wire.Message) []byte {
	t.Helper()
	b, err := wire.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
