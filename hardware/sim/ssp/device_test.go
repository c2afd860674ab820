package ssp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rasid/hardware/sim/control"
	sim "rasid/hardware/sim/ssp"
	"rasid/hardware/ssp"
)

// rig is a device on a real pseudo-terminal, spoken to frame by frame.
type rig struct {
	t      *testing.T
	line   *os.File
	client *control.Client
	watch  <-chan control.Event
	stop   func()
	frames chan ssp.Frame
}

func config(t *testing.T) sim.Config {
	dir := t.TempDir()
	return sim.Config{
		Link: filepath.Join(dir, "line"), Control: filepath.Join(dir, "control"), State: filepath.Join(dir, "state"), Speed: 100,
	}
}

func start(t *testing.T, c sim.Config) *rig {
	t.Helper()
	d, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	watch, unsubscribe := d.Subscribe()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	r := &rig{t: t, watch: watch, frames: make(chan ssp.Frame, 16)}
	r.await("plugged")
	if r.line, err = os.OpenFile(c.Link, os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	go r.read(r.line)
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		unsubscribe()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		_ = r.line.Close()
		if _, err := os.Lstat(c.Link); err == nil {
			t.Error("the device left its link behind")
		}
	}
	t.Cleanup(r.stop)
	for r.client == nil { // the socket appears in its own time
		r.client, _ = control.Dial(t.Context(), c.Control)
	}
	return r
}

func (r *rig) read(line io.Reader) {
	var d ssp.Decoder
	b := make([]byte, 512)
	for {
		n, err := line.Read(b)
		d.Decode(b[:n], func(f ssp.Frame) { r.frames <- f })
		if err != nil {
			close(r.frames)
			return
		}
	}
}

func (r *rig) await(name string) {
	r.t.Helper()
	for e := range r.watch {
		if e.Name == name {
			return
		}
	}
}

func (r *rig) do(command string) json.RawMessage {
	r.t.Helper()
	result, err := r.client.Do(r.t.Context(), command)
	if err != nil {
		r.t.Fatalf("%s: %v", command, err)
	}
	return result
}

// ask sends one frame and returns the data of its reply.
func (r *rig) ask(seq bool, data ...byte) []byte {
	r.t.Helper()
	p, err := ssp.Frame{Seq: seq, Data: data}.Encode()
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.line.Write(p); err != nil {
		r.t.Fatal(err)
	}
	f, ok := <-r.frames
	if !ok || f.Seq != seq {
		r.t.Fatalf("% X was answered with %+v", data, f)
	}
	return f.Data
}

func (r *rig) want(got []byte, want ...byte) {
	r.t.Helper()
	if !bytes.Equal(got, want) {
		r.t.Errorf("the reply is % X, want % X", got, want)
	}
}

func TestReplies(t *testing.T) {
	r := start(t, config(t))
	// SYNC with either sequence bit makes 0 the next new one.
	r.want(r.ask(true, ssp.CmdSync), 0xF0)
	r.want(r.ask(false, ssp.CmdSerial), 0xF0, 0x00, 0x1C, 0x96, 0x2C)
	r.want(r.ask(false, ssp.CmdSync), 0xF0)
	r.want(r.ask(false, ssp.CmdHold), 0xF5)
	// The same bit again repeats the last reply whatever is asked.
	r.want(r.ask(false, ssp.CmdSerial), 0xF5)
	seq := false
	for _, c := range []struct{ ask, want []byte }{
		{[]byte{ssp.CmdReject}, []byte{0xF5}},
		{[]byte{0x4A, 1, 2, 3, 4, 5, 6, 7, 8}, []byte{0xF2}}, // encryption
		{[]byte{0x4B, 1, 2, 3, 4, 5, 6, 7, 8}, []byte{0xF2}},
		{[]byte{0x4C, 1, 2, 3, 4, 5, 6, 7, 8}, []byte{0xF2}},
		{[]byte{0x56}, []byte{0xF2}},
		{[]byte{0x57}, []byte{0xF2}},
		{[]byte{ssp.CmdHostProtocol, 9}, []byte{0xF8}},
		{[]byte{ssp.CmdHostProtocol, 8}, []byte{0xF0}},
		{[]byte{ssp.CmdHostProtocol}, []byte{0xF3}},
		{[]byte{ssp.CmdPoll, 1}, []byte{0xF3}},
		{[]byte{ssp.CmdPoll}, []byte{0xF0, 0xF1}},
		{[]byte{ssp.CmdPoll}, []byte{0xF0}},
		{[]byte{ssp.CmdLastRejectCode}, []byte{0xF0, 0}},
		{[]byte{ssp.CmdReset}, []byte{0xF0}},
	} {
		seq = !seq
		r.want(r.ask(seq, c.ask...), c.want...)
	}
}

func TestRefusals(t *testing.T) {
	r := start(t, config(t))
	refused := func(command, why string) {
		t.Helper()
		if _, err := r.client.Do(t.Context(), command); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", command, err, why)
		}
	}
	refused("insert 500", "refused: the acceptor is disabled")
	r.ask(true, ssp.CmdSync)
	r.ask(false, ssp.CmdSetInhibits, 0x3F)
	r.ask(true, ssp.CmdEnable)
	refused("insert 2000", "want one of [10 20 50 100 200 500], or unreadable")
	refused("insert", "is no command; known are: insert")
	refused("power on", "refused: the acceptor has power")
	refused("cheat", "refused: there is no note")
	r.do("jam safe")
	refused("insert 500", "refused: the acceptor is jammed")
	r.do("jam clear")
	r.do("box remove")
	refused("insert 500", "refused: the cash box is out")
	r.do("box insert")
	if got := string(r.do("insert 500")); got != `"inserted"` {
		t.Errorf("insert answered %s", got)
	}
	refused("insert 500", "refused: a note is still in the path")
	r.do("power off")
	refused("insert 500", "refused: the acceptor has no power")
}

// What is physically so outlives the simulator, a note in the path included.
func TestStateOutlivesTheSimulator(t *testing.T) {
	c := config(t)
	r := start(t, c)
	r.ask(true, ssp.CmdSync)
	r.ask(false, ssp.CmdSetInhibits, 0x3F)
	r.ask(true, ssp.CmdEnable)
	r.do("insert 500")
	r.await("escrow")
	r.ask(false, ssp.CmdPoll) // tells
	r.ask(true, ssp.CmdPoll)  // accepts
	r.await("settled")
	r.do("insert 20")
	r.await("escrow")
	r.stop()

	again := start(t, c)
	var state sim.State
	if err := json.Unmarshal(again.do("state"), &state); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(state.Box, state.Returned) != "map[500:1] map[20:1]" || state.BoxPaise != 50000 || state.Stacked != 1 || state.Rejected != 1 {
		t.Errorf("state: %+v", state)
	}
	again.ask(true, ssp.CmdSync)
	again.ask(false, ssp.CmdHostProtocol, 8)
	again.want(again.ask(true, ssp.CmdPoll), 0xF0, ssp.EvReset, ssp.EvClearedFromEnd, 2)
}

func TestBadConfig(t *testing.T) {
	damaged := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(damaged, []byte(`{"box":`), 0o644); err != nil {
		t.Fatal(err)
	}
	for why, c := range map[string]sim.Config{
		"it is damaged": {Link: "x", State: damaged},
		"no path":       {},
		"speed -1":      {Link: "x", Speed: -1},
	} {
		if _, err := sim.New(c); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("New(%+v): %v, want %q", c, err, why)
		}
	}
	file := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := sim.New(sim.Config{Link: file})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "no symbolic link is at") {
		t.Errorf("Run over a file: %v", err)
	}
}
