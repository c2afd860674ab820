package ssp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rasid/hardware"
	"rasid/hardware/link"
	sim "rasid/hardware/sim/ssp"
	"rasid/hardware/ssp"
)

// quick makes a driver as fast as a device of speed 50, whose escrow still waits
// its ten seconds.
var quick = ssp.Timing{Reply: 500 * time.Millisecond, Poll: 4 * time.Millisecond, Hold: 500 * time.Millisecond, BackoffMin: 4 * time.Millisecond, BackoffMax: 100 * time.Millisecond}

const hostVariable = "RASID_TEST_SSP_HOST"

// The test binary is also the host process that is killed: with hostVariable set
// to the line's path it drives the acceptor as its standard input orders.
func TestMain(m *testing.M) {
	if path := os.Getenv(hostVariable); path != "" {
		if err := hostProcess(path); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func hostProcess(path string) error {
	d := ssp.New(ssp.Config{Open: link.Serial(ssp.LineSettings(path)), Timing: quick})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	go func() {
		orders := bufio.NewScanner(os.Stdin)
		for orders.Scan() {
			var err error
			switch orders.Text() {
			case "enable":
				err = d.Enable([]uint8{1, 2, 3, 4, 5, 6})
			case "disable":
				err = d.Disable()
			case "stack":
				err = d.Stack()
			}
			if err != nil {
				fmt.Println("failed:", err)
			}
		}
		cancel()
	}()
	for e := range d.Events() {
		switch e := e.(type) {
		case hardware.AcceptorReady:
			fmt.Printf("ready stacked=%d rejected=%d\n", e.Counters.Stacked, e.Counters.Rejected)
		case hardware.AcceptorOffline:
			fmt.Println("offline", e.Err)
		default:
			fmt.Println(strings.TrimPrefix(fmt.Sprintf("%T", e), "hardware."))
		}
	}
	return <-done
}

// onTerminal makes a device on a real pseudo-terminal.
func onTerminal(t *testing.T, config sim.Config) *world {
	dir, err := os.MkdirTemp("", "ssp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // another user must come through
		t.Fatal(err)
	}
	config.Link, config.Speed, config.EscrowTimeout = filepath.Join(dir, "line"), 50, 10*time.Second
	w := newWorld(t, config)
	w.open, w.timing = link.Serial(ssp.LineSettings(config.Link)), quick
	w.dir = dir
	return w
}

func TestTerminalAcceptAndReturn(t *testing.T) {
	w := onTerminal(t, sim.Config{})
	w.begin()
	for _, disturbance := range []string{"drop", "corrupt", "tear"} {
		w.do("%s next reply", disturbance)
		w.insert(500)
		w.must(w.Stack())
		next[hardware.NoteCredited](w)
		next[hardware.NoteStacked](w)
	}
	w.insert(10)
	w.must(w.Return())
	next[hardware.NoteReturned](w)
	w.must(w.Disable())
	next[hardware.AcceptorDisabled](w)
	w.wantBox(500, 500, 500)
	w.wantReturned(10)
}

func TestTerminalUnplugged(t *testing.T) {
	w := onTerminal(t, sim.Config{})
	w.begin()
	w.insert(500)
	w.do("unplug")
	next[hardware.AcceptorOffline](w)
	w.do("plug")
	ready := next[hardware.AcceptorReady](w)
	if ready.Counters.Stacked != 0 || len(ready.Reports) != 1 {
		t.Errorf("ready: %+v", ready)
	}
	w.wantBox()
	w.wantReturned(500)
}

// host is a host process.
type host struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.Writer
	lines *bufio.Scanner
}

func startProcess(t *testing.T, w *world, uid uint32) *host {
	t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second) // a host that cannot go on must not hang the test
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, w.binary)
	cmd.Env = append(os.Environ(), hostVariable+"="+filepath.Join(w.dir, "line"))
	cmd.Dir = w.dir
	cmd.Stderr = os.Stderr
	if uid != uint32(os.Getuid()) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, cmd: cmd, in: in, lines: bufio.NewScanner(out)}
	t.Cleanup(h.kill9)
	return h
}

func (h *host) kill9() {
	_ = h.cmd.Process.Kill()
	_ = h.cmd.Wait() // it was killed; that is no news
}

// expect reads the host's next line. A host may find the line busy until the
// device has taken back the killed one's exclusive use, and says so once.
func (h *host) expect(prefix string) {
	h.t.Helper()
	said := []string{}
	for h.lines.Scan() {
		said = append(said, h.lines.Text())
		if strings.HasPrefix(h.lines.Text(), prefix) {
			return
		}
		if !strings.HasSuffix(h.lines.Text(), "Serial port busy") {
			break
		}
	}
	h.t.Fatalf("the host says %q, want %q", said, prefix)
}

func (h *host) order(what string) {
	h.t.Helper()
	if _, err := io.WriteString(h.in, what+"\n"); err != nil {
		h.t.Fatal(err)
	}
}

// A real process is killed with SIGKILL at each pause point, and its successor
// must open the line and be told the truth: as root, and as an ordinary user, who
// would find the line busy if the device did not take back its exclusive use.
func TestProcessKilledAtEachPausePoint(t *testing.T) {
	users := map[string]uint32{"this user": uint32(os.Getuid())}
	if os.Getuid() == 0 {
		users = map[string]uint32{"root": 0, "ordinary user": 65534}
	}
	for name, uid := range users {
		for _, c := range crashes {
			t.Run(name+" "+c.point, func(t *testing.T) {
				w := onTerminal(t, sim.Config{})
				w.copyBinary()
				killed := startProcess(t, w, uid)
				killed.expect("ready stacked=0")
				killed.order("enable")
				w.await("enabled")
				w.do("pause %s", c.point)
				if c.point == sim.OnDisable {
					killed.order("disable")
				} else {
					w.do("insert 500")
				}
				if c.inBox {
					killed.expect("NoteEscrowed")
					killed.order("stack")
				}
				w.do("wait %s", c.point)
				killed.kill9()
				w.do("resume")
				successor := startProcess(t, w, uid)
				want := "ready stacked=0 rejected=0"
				if c.returned {
					want = "ready stacked=0 rejected=1"
				}
				if c.inBox {
					want = "ready stacked=1 rejected=0"
				}
				successor.expect(want)
				if c.inBox {
					w.wantBox(500)
				} else {
					w.wantBox()
				}
			})
		}
	}
}

// copyBinary puts this test binary where another user can execute it.
func (w *world) copyBinary() {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		w.t.Fatal(err)
	}
	w.binary = filepath.Join(w.dir, "host")
	if err := os.WriteFile(w.binary, b, 0o755); err != nil {
		w.t.Fatal(err)
	}
}
