package peer

import (
	"net"
	"strings"
	"testing"

	"rasid/ledger/cert"
	"rasid/sync/simnet"
)

func TestAddresses(t *testing.T) {
	f := fleetOf(t)
	m := enrol(t, f, 1, cert.RoleKiosk)
	n := newNode(t, f, m, nil)
	cfg := configOf(f, m, n.store)
	cfg.Listen = n.host.Addr()
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another program has this address") {
		t.Errorf("Run on a taken address = %v", err)
	}
	for _, bad := range []string{"", "office", "office:", ":4100", "/ip4/1.2.3.4", "/ip4/1.2.3.4/udp/7", "/nonsense"} {
		cfg.Peers = []string{bad}
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "host:port") {
			t.Errorf("New with peer %q = %v, want a sentence that says how to write it", bad, err)
		}
	}
	id, err := ID(m.Chain.Machine.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseTarget("/dns4/office.example/tcp/4100/p2p/" + id)
	if err != nil || got.address != "office.example:4100" || got.want.String() != id {
		t.Errorf("parseTarget = %+v, %v", got, err)
	}
}

// TestPinned: an address with /p2p/ takes that machine and no other.
func TestPinned(t *testing.T) {
	f := fleetOf(t)
	right, wrong := enrol(t, f, 0, cert.RoleOffice), enrol(t, f, 2, cert.RoleKiosk)
	n := newNode(t, f, right, nil)
	host, port, err := net.SplitHostPort(n.host.Addr())
	if err != nil {
		t.Fatal(err)
	}
	pin := func(m simnet.Machine) string {
		id, err := ID(m.Chain.Machine.PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		return "/ip4/" + host + "/tcp/" + port + "/p2p/" + id
	}
	kiosk := newNode(t, f, enrol(t, f, 1, cert.RoleKiosk), peers(pin(wrong), pin(right)))
	n.until("the log by the right pin", func() bool { return n.size(kiosk.machine.ID()) == 1 })
	kiosk.untilCount(func(c Counters) bool { return c.DialsFailed > 0 })
}

// TestOwnAddress: a machine that is told its own address leaves it alone.
func TestOwnAddress(t *testing.T) {
	f := fleetOf(t)
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := probe.Addr().String()
	probe.Close()
	n := newNode(t, f, enrol(t, f, 1, cert.RoleKiosk), func(c *Config) { c.Listen, c.Peers = address, []string{address} })
	limit := deadline(t)
	for n.host.Status().Addresses[0].Error != "this machine's own address" {
		if !n.host.tell(limit, nil) {
			t.Fatalf("Addresses = %+v", n.host.Status().Addresses)
		}
	}
}
