// Package cabinet is the demonstration: an office and kiosks as separate programs,
// their devices made of software, every network link through a relay, and a page that
// shows each kiosk's screen beside its physical world.
package cabinet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	simipp "rasid/hardware/sim/ipp"
	simssp "rasid/hardware/sim/ssp"
	"rasid/node"
	"rasid/node/catalogue"
)

// DemoNumber is the consumer that the demonstration pays for.
const DemoNumber = catalogue.DemoNumber

// Config says what to build.
type Config struct {
	Dir       string // for all data and logs
	Programs  string // folder of rasid-kiosk and rasid-office
	Listen    string // address of the page
	Kiosks    int
	Consumers int // in the dues file
	// Speed is how much faster than life the acceptors move; 0: 1.
	Speed int
	// EscrowTimeout is after what silence they give a note back; 0: 10 s.
	EscrowTimeout time.Duration
}

// Cabinet is everything, built and not yet running.
type Cabinet struct {
	cfg      Config
	listener net.Listener
	office   *Process
	url      string
	kiosks   []*Kiosk
	pairs    []*pair
}

// Kiosk is one kiosk with its physical world.
type Kiosk struct {
	Name     string
	Place    string
	Dir      string
	Acceptor *simssp.Device
	Printer  *simipp.Printer
	Process  *Process
	Office   *Relay // its link to the office

	syncAddr string
	screen   string // owned by Start's callers, one at a time
	log      *os.File
}

type pair struct {
	a, b  int
	relay *Relay
}

var places = []string{"AEN कार्यालय, सीकर ग्रामीण", "ग्राम पंचायत पिपराली", "ग्राम पंचायत धोद", "लक्ष्मणगढ़", "नीमकाथाना"}

// New enrols the kiosks, publishes the dues and makes the devices.
func New(ctx context.Context, cfg Config) (*Cabinet, error) {
	c := &Cabinet{cfg: cfg}
	var err error
	if c.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("couldn't listen for the cabinet page on %s: %w: is another demonstration running? Name another address with --listen", cfg.Listen, err)
	}
	if err := c.build(ctx); err != nil {
		return nil, errors.Join(err, c.listener.Close())
	}
	return c, nil
}

func (c *Cabinet) program(name string) string { return filepath.Join(c.cfg.Programs, name) }

func (c *Cabinet) build(ctx context.Context) error {
	officeDir := filepath.Join(c.cfg.Dir, "office")
	tool := c.program("rasid-office")
	if _, err := os.Stat(tool); err != nil {
		return fmt.Errorf("couldn't find rasid-office beside this program: %w: run make build", err)
	}
	if _, err := Call(ctx, tool, "fleet", "init", "--dir", officeDir, "--name", "SKR-OFFICE", "--place", "सीकर"); err != nil {
		return err
	}
	for i := range c.cfg.Kiosks {
		name, place := fmt.Sprintf("SKR-%04d", 101+i), places[i%len(places)]
		dir := filepath.Join(c.cfg.Dir, name)
		if _, err := Call(ctx, tool, "enrol", name, "--dir", officeDir, "--out", dir, "--place", place); err != nil {
			return err
		}
		c.kiosks = append(c.kiosks, &Kiosk{Name: name, Place: place, Dir: dir})
	}
	dues := filepath.Join(c.cfg.Dir, "jvvnl-2026-10.csv")
	if err := os.WriteFile(dues, catalogue.DemoCSV(c.cfg.Consumers, 1), 0o600); err != nil {
		return fmt.Errorf("couldn't write the dues: %w", err)
	}
	if _, err := Call(ctx, tool, "dues", "publish", dues, "--dir", officeDir); err != nil {
		return err
	}
	return c.wire(officeDir)
}

// wire gives every program its ports, devices and relays.
func (c *Cabinet) wire(officeDir string) error {
	ports, err := freePorts(2 + 2*len(c.kiosks))
	if err != nil {
		return err
	}
	page := "http://" + c.listener.Addr().String()
	log, err := os.Create(filepath.Join(c.cfg.Dir, "office.log"))
	if err != nil {
		return fmt.Errorf("couldn't make a log file: %w", err)
	}
	c.office = &Process{Name: "rasid-office", Path: c.program("rasid-office"), Log: log, Args: []string{
		"serve", "--dir", officeDir, "--listen", ports[0], "--sync", ports[1], "--acknowledge-every", "2s", "--frame-ancestors", page}}
	for i, k := range c.kiosks {
		k.syncAddr = ports[3+2*i]
		if err := c.wireKiosk(k, i, ports[1], ports[2+2*i], page); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cabinet) wireKiosk(k *Kiosk, i int, office, listen, page string) (err error) {
	if k.Office, err = NewRelay(office); err != nil {
		return err
	}
	peers := []string{k.Office.Addr()}
	for j := range i {
		r, err := NewRelay(c.kiosks[j].syncAddr)
		if err != nil {
			return err
		}
		c.pairs = append(c.pairs, &pair{a: j, b: i, relay: r})
		peers = append(peers, r.Addr())
	}
	world := filepath.Join(c.cfg.Dir, k.Name+"-world")
	if err := os.MkdirAll(world, 0o755); err != nil {
		return fmt.Errorf("couldn't make the kiosk's world: %w", err)
	}
	tty := filepath.Join(world, "acceptor")
	k.Acceptor, err = simssp.New(simssp.Config{Link: tty, Control: filepath.Join(world, "acceptor.sock"), State: filepath.Join(world, "box.json"), Serial: uint32(1873452 + i), Speed: c.cfg.Speed, EscrowTimeout: c.cfg.EscrowTimeout})
	if err != nil {
		return err
	}
	k.Printer, err = simipp.New(simipp.Config{Listen: "127.0.0.1:0", Control: filepath.Join(world, "printer.sock"), Spool: filepath.Join(world, "sheets"), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if k.log, err = os.Create(filepath.Join(c.cfg.Dir, k.Name+".log")); err != nil {
		return fmt.Errorf("couldn't make a log file: %w", err)
	}
	settings := filepath.Join(c.cfg.Dir, k.Name+".toml")
	text := fmt.Sprintf("dir = %q\nlisten = %q\nacceptor = %q\nprinter = %q\nframe_ancestors = %q\nclock = \"operator\"\n[sync]\nlisten = %q\npeers = [%s]\nredial_min = \"200ms\"\nredial_max = \"2s\"\n",
		k.Dir, listen, tty, k.Printer.URI(), page, k.syncAddr, quoted(peers))
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		return fmt.Errorf("couldn't write the settings of %s: %w", k.Name, err)
	}
	k.Process = &Process{Name: "rasid-kiosk " + k.Name, Path: c.program("rasid-kiosk"), Log: k.log, Args: []string{"serve", "--config", settings}}
	return nil
}

func quoted(list []string) string {
	var out []string
	for _, s := range list {
		out = append(out, fmt.Sprintf("%q", s))
	}
	return strings.Join(out, ", ")
}

// freePorts asks the kernel for loopback ports that nobody has now.
func freePorts(n int) ([]string, error) {
	var out []string
	var open []net.Listener
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("couldn't find a free port: %w", err)
		}
		open = append(open, l)
		out = append(out, l.Addr().String())
	}
	for _, l := range open {
		_ = l.Close() // never used
	}
	return out, nil
}

// URL is the cabinet page's address.
func (c *Cabinet) URL() string { return "http://" + c.listener.Addr().String() + "/" }

// OfficeURL is the office page's address, once Run has started it.
func (c *Cabinet) OfficeURL() string { return c.url }

// OfficeDir is the office's data folder.
func (c *Cabinet) OfficeDir() string { return filepath.Join(c.cfg.Dir, "office") }

// Kiosks lists the kiosks.
func (c *Cabinet) Kiosks() []*Kiosk { return c.kiosks }

// Run runs everything until ctx ends; ready is called when all screens are served.
// Every program that it started is gone when it returns.
func (c *Cabinet) Run(ctx context.Context, ready func()) error {
	defer c.stop()
	actors := []node.Actor{{Name: "the cabinet page", Run: c.serve}}
	for _, k := range c.kiosks {
		actors = append(actors,
			node.Actor{Name: "the acceptor of " + k.Name, Run: k.Acceptor.Run},
			node.Actor{Name: "the printer of " + k.Name, Run: k.Printer.Run},
			node.Actor{Name: "the office link of " + k.Name, Run: k.Office.Run})
	}
	for _, p := range c.pairs {
		actors = append(actors, node.Actor{Name: "a link between neighbours", Run: p.relay.Run})
	}
	actors = append(actors, node.Actor{Name: "the programs", Run: func(ctx context.Context) error {
		if err := c.start(ctx); err != nil {
			return err
		}
		ready()
		<-ctx.Done()
		return nil
	}})
	return node.Run(ctx, actors...)
}

func (c *Cabinet) start(ctx context.Context) error {
	said, err := c.office.Start(ctx, "office")
	if err != nil {
		return err
	}
	c.url, _, _ = strings.Cut(said, " ")
	for _, k := range c.kiosks {
		if err := k.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cabinet) stop() {
	for _, k := range c.kiosks {
		k.Process.Stop()
		_ = k.log.Close()
	}
	c.office.Stop()
}

// Start plugs the kiosk in and returns when its screens are served.
func (k *Kiosk) Start(ctx context.Context) error {
	screen, err := k.Process.Start(ctx, "screen")
	if err != nil {
		return err
	}
	k.screen = screen
	return nil
}

// Screen is the address that opens the kiosk's screen, of its newest start.
func (k *Kiosk) Screen() string { return k.screen }

// SetOfficeCut cuts the kiosk's link to the office or mends it.
func (k *Kiosk) SetOfficeCut(cut bool) { k.Office.SetCut(cut) }

// SetNeighboursCut cuts a kiosk's links to all other kiosks or mends them.
func (c *Cabinet) SetNeighboursCut(i int, cut bool) {
	for _, p := range c.pairs {
		if p.a == i || p.b == i {
			p.relay.SetCut(cut)
		}
	}
}

func (c *Cabinet) neighboursCut(i int) bool {
	for _, p := range c.pairs {
		if (p.a == i || p.b == i) && !p.relay.Cut() {
			return false
		}
	}
	return len(c.pairs) > 0
}
