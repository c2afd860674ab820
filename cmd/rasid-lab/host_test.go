package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rasid/hardware/sim/control"
	"rasid/internal/testtool"
)

// npmHost is an SSP host written by others, in a Node process.
type npmHost struct {
	t   *testing.T
	in  io.Writer
	out chan map[string]any
}

// npm returns the directory of the npm packages that the Makefile fetches.
func npm(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("RASID_NPM")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "encrypted-smiley-secure-protocol", "package.json")); err == nil {
		return dir
	} else if os.Getenv("CI") == "true" {
		t.Fatalf("encrypted-smiley-secure-protocol is missing: make test fetches it: %v", err)
	}
	t.Skip("encrypted-smiley-secure-protocol is missing; run make test, which fetches it")
	return ""
}

// startDevice runs "rasid-lab device ssp" until the test ends.
func startDevice(t *testing.T, link, socket string) *control.Client {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	said, ready := io.Pipe()
	c := sspCommand()
	c.SetArgs([]string{"--link", link, "--control", socket, "--speed", "4"})
	c.SetOut(ready)
	ended := make(chan error, 1)
	go func() { defer close(ended); ended <- c.ExecuteContext(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("device: %v", err)
		}
	})
	if _, err := bufio.NewReader(said).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	client, err := control.Dial(ctx, socket)
	patience, again := time.After(time.Minute), time.Tick(10*time.Millisecond)
	for err != nil { // the line says its name before it is made
		select {
		case <-again:
			client, err = control.Dial(ctx, socket)
		case e := <-ended:
			t.Fatal(e)
		case <-patience:
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func startHost(t *testing.T, link string) *npmHost {
	t.Helper()
	dir := npm(t)
	cmd := exec.CommandContext(t.Context(), testtool.Need(t, "node", "nodejs"), "testdata/ssphost.cjs", dir, link)
	cmd.Stderr = os.Stderr
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
	h := &npmHost{t: t, in: in, out: make(chan map[string]any, 1024)}
	go func() {
		defer close(h.out)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var m map[string]any
			if json.Unmarshal(lines.Bytes(), &m) == nil {
				h.out <- m
			}
		}
	}()
	t.Cleanup(func() {
		_ = in.Close()
		for range h.out {
		}
		_ = cmd.Wait()
	})
	h.expect("did", "open")
	return h
}

// expect reads on until a line has the value, and returns what it says more.
func (h *npmHost) expect(key, value string) map[string]any {
	h.t.Helper()
	patience := time.After(time.Minute)
	for {
		select {
		case m, open := <-h.out:
			if !open {
				h.t.Fatalf("the host ended before %s", value)
			}
			if m[key] == value {
				info, _ := m["info"].(map[string]any)
				if key == "did" && m["status"] != "OK" {
					h.t.Fatalf("%s: %v", value, m)
				}
				return info
			}
		case <-patience:
			h.t.Fatalf("nothing of %s within a minute", value)
		}
	}
}

func (h *npmHost) do(command string, args any) map[string]any {
	h.t.Helper()
	line, err := json.Marshal(map[string]any{"do": command, "args": args})
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(h.in, "%s\n", line); err != nil {
		h.t.Fatal(err)
	}
	return h.expect("did", command)
}

// escrow waits until the host sees a note in escrow.
func (h *npmHost) escrow() any {
	h.t.Helper()
	for {
		if c := h.expect("event", "READ_NOTE")["channel"]; c != 0.0 {
			return c
		}
	}
}

// TestAnotherHost lets a host that is not ours take one note and give one back, over a
// real pseudo-terminal. What it was told must be what is physically so.
func TestAnotherHost(t *testing.T) {
	npm(t)
	dir := t.TempDir()
	link := filepath.Join(dir, "acceptor")
	device := startDevice(t, link, filepath.Join(dir, "s"))
	insert := func(rupees string) {
		t.Helper()
		if _, err := device.Do(t.Context(), "insert "+rupees); err != nil {
			t.Fatal(err)
		}
	}
	h := startHost(t, link)
	h.do("SYNC", nil)
	h.do("HOST_PROTOCOL_VERSION", map[string]any{"version": 6})
	if serial := h.do("GET_SERIAL_NUMBER", nil)["serial_number"]; serial != 1873452.0 {
		t.Errorf("serial number %v", serial)
	}
	setup := h.do("SETUP_REQUEST", nil)
	if setup["country_code"] != "INR" || fmt.Sprint(setup["expanded_channel_value"]) != "[10 20 50 100 200 500]" {
		t.Errorf("set-up: %v", setup)
	}
	h.do("SET_CHANNEL_INHIBITS", map[string]any{"channels": []int{1, 1, 1, 1, 1, 1}})
	h.do("ENABLE", nil)

	insert("100")
	if c := h.escrow(); c != 4.0 {
		t.Errorf("₹100 in escrow on channel %v, want 4", c)
	}
	if c := h.expect("event", "CREDIT_NOTE")["channel"]; c != 4.0 {
		t.Errorf("₹100 credited on channel %v, want 4", c)
	}
	h.expect("event", "NOTE_STACKED")

	h.do("refuse", nil)
	insert("500")
	if c := h.escrow(); c != 6.0 {
		t.Errorf("₹500 in escrow on channel %v, want 6", c)
	}
	h.expect("did", "REJECT_BANKNOTE")
	h.expect("event", "NOTE_REJECTED")
	if code := h.do("LAST_REJECT_CODE", nil)["code"]; code != 8.0 {
		t.Errorf("reject code %v, want 8: by the host", code)
	}
	if n := h.do("GET_COUNTERS", nil); n["stacked"] != 1.0 || n["rejected"] != 1.0 {
		t.Errorf("counters: %v", n)
	}
	raw, err := device.Do(t.Context(), "state")
	if err != nil {
		t.Fatal(err)
	}
	if s := string(raw); !strings.Contains(s, `"box_paise":10000`) || !strings.Contains(s, `"position":"empty"`) {
		t.Errorf("the device: %s", s)
	}
}
