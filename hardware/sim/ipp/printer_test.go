package ipp

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rasid/hardware"
	proto "rasid/hardware/ipp"
	"rasid/hardware/sim/control"
)

type rig struct {
	*Printer
	client *proto.Client
	dir    string
	late   atomic.Int64 // seconds by which the printer's clock was moved on
	t      *testing.T
}

// newRig starts a printer with a control socket; the test's end stops it.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir(), t: t}
	start := time.Now()
	p, err := New(Config{
		Listen: "127.0.0.1:0", Control: filepath.Join(r.dir, "c"), Spool: filepath.Join(r.dir, "spool"), Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return start.Add(time.Duration(r.late.Load()) * time.Second) },
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Printer = p
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if r.client, err = proto.NewClient(p.URI()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) do(line string) {
	r.t.Helper()
	if _, err := r.Do(r.t.Context(), line); err != nil {
		r.t.Fatalf("%s: %v", line, err)
	}
}

// events subscribes before the test acts, so that nothing is missed.
func (r *rig) events() func(name string) {
	r.t.Helper()
	var c *control.Client
	for c == nil { // the socket appears when Run begins
		c, _ = control.Dial(r.t.Context(), filepath.Join(r.dir, "c"))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	r.t.Cleanup(cancel)
	if err := c.Subscribe(ctx); err != nil {
		r.t.Fatal(err)
	}
	return func(name string) {
		r.t.Helper()
		for {
			e, err := c.Next(ctx)
			if err != nil {
				r.t.Fatalf("waiting for %s: %v", name, err)
			}
			if e.Name == name {
				return
			}
		}
	}
}

var pdf = append([]byte("%PDF-1.4\n"), bytes.Repeat([]byte("receipt "), 4000)...)

func (r *rig) submit(name string) (hardware.JobRef, error) {
	return r.client.Submit(r.t.Context(), hardware.PrintJob{Name: name, MIME: "application/pdf", Document: pdf})
}

func (r *rig) state(ref hardware.JobRef) hardware.JobState {
	r.t.Helper()
	s, err := r.client.JobStatus(r.t.Context(), ref)
	if err != nil {
		r.t.Fatal(err)
	}
	return s.State
}

func TestPrintsByteForByte(t *testing.T) {
	r := newRig(t)
	wait := r.events()
	ref, err := r.submit("147-1-20-K7QX-5")
	if err != nil {
		t.Fatal(err)
	}
	wait("completed")
	if s := r.state(ref); s != hardware.JobCompleted {
		t.Errorf("job state %d", s)
	}
	got, err := os.ReadFile(filepath.Join(r.dir, "spool", "0001-147-1-20-K7QX-5.pdf"))
	if err != nil || !bytes.Equal(got, pdf) {
		t.Errorf("the sheet has %d bytes, %v", len(got), err)
	}
	s, err := r.client.Status(t.Context())
	if err != nil || s.Paper != hardware.PaperFull || !s.Accepting || s.UUID == "" || s.UpTime <= 0 {
		t.Errorf("status %+v, %v", s, err)
	}
}

func TestPaperOutWaitsForTheRefill(t *testing.T) {
	r := newRig(t)
	wait := r.events()
	r.do("paper out")
	ref, err := r.submit("a")
	if err != nil {
		t.Fatal(err)
	}
	wait("out-of-paper")
	s, err := r.client.Status(t.Context())
	if err != nil || s.Paper != hardware.PaperOut || !s.Stopped {
		t.Errorf("status %+v, %v", s, err)
	}
	if s := r.state(ref); s != hardware.JobProcessing {
		t.Errorf("job state %d, want processing", s)
	}
	r.do("refill")
	wait("completed")
	if n := len(r.State().Sheets); n != 1 {
		t.Errorf("%d sheets", n)
	}
}

func TestLostAnswerIsFoundByName(t *testing.T) {
	r := newRig(t)
	wait := r.events()
	r.do("drop next answer")
	if _, err := r.submit("lost"); !errors.Is(err, proto.ErrUnreachable) {
		t.Fatalf("Submit with a lost answer: %v", err)
	}
	wait("completed")
	found, err := r.client.Find(t.Context(), "lost")
	if err != nil || len(found) != 1 || r.state(found[0]) != hardware.JobCompleted {
		t.Errorf("found %v, %v", found, err)
	}
	if found, err := r.client.Find(t.Context(), "other"); err != nil || len(found) != 0 {
		t.Errorf("found %v, %v", found, err)
	}
}

func TestPowerCycleForgetsJobsAndReusesNumbers(t *testing.T) {
	r := newRig(t)
	wait := r.events()
	ref, err := r.submit("before")
	if err != nil {
		t.Fatal(err)
	}
	wait("completed")
	r.late.Add(1000)
	before, err := r.client.Status(t.Context())
	if err != nil || before.UpTime < 1000*time.Second {
		t.Errorf("status %+v, %v", before, err)
	}
	r.do("power off")
	if _, err := r.client.Status(t.Context()); !errors.Is(err, proto.ErrUnreachable) {
		t.Errorf("a printer that is off answers: %v", err)
	}
	r.do("power on")
	after, err := r.client.Status(t.Context())
	if err != nil || after.UpTime >= before.UpTime || after.UUID != before.UUID {
		t.Errorf("status %+v, %v after %+v: want the same printer with a shorter up-time", after, err, before)
	}
	if _, err := r.client.JobStatus(t.Context(), ref); !errors.Is(err, hardware.ErrNoJob) {
		t.Errorf("a forgotten job: %v", err)
	}
	again, err := r.submit("after")
	if err != nil || again.ID != ref.ID {
		t.Fatalf("job %+v, %v", again, err)
	}
	if _, err := r.client.JobStatus(t.Context(), ref); !errors.Is(err, hardware.ErrNoJob) {
		t.Errorf("another job under the same number passes for the forgotten one: %v", err)
	}
	wait("completed")
	if n := len(r.State().Sheets); n != 2 {
		t.Errorf("%d sheets came out, want 2: paper does not vanish", n)
	}
}

func TestBusyMakesNoJob(t *testing.T) {
	r := newRig(t)
	r.do("busy on")
	if _, err := r.submit("a"); !errors.Is(err, proto.ErrBusy) {
		t.Errorf("a busy printer: %v", err)
	}
	if n := len(r.State().Jobs); n != 0 {
		t.Errorf("%d jobs", n)
	}
	wait := r.events()
	r.do("busy off")
	if _, err := r.submit("a"); err != nil {
		t.Errorf("no longer busy: %v", err)
	}
	wait("completed")
}

func TestPauseBeforeComplete(t *testing.T) {
	r := newRig(t)
	r.do("pause " + BeforeComplete)
	ref, err := r.submit("a")
	if err != nil {
		t.Fatal(err)
	}
	r.do("wait " + BeforeComplete)
	if n, s := len(r.State().Sheets), r.state(ref); n != 1 || s != hardware.JobProcessing {
		t.Errorf("%d sheets, job state %d, want one sheet and processing", n, s)
	}
	wait := r.events()
	r.do("resume")
	wait("completed")
}

func TestTooLargeDocument(t *testing.T) {
	r := newRig(t)
	_, err := r.client.Submit(t.Context(), hardware.PrintJob{Name: "big", MIME: "application/pdf", Document: make([]byte, documentMaxBytes+1)})
	if err == nil || !strings.Contains(err.Error(), "the limit is") {
		t.Errorf("error %v", err)
	}
	// A sender that has no such limit meets the printer's own.
	if reply := r.ask(proto.OpPrintJob, make([]byte, documentMaxBytes+1)); reply.Code != proto.StatusTooLarge {
		t.Errorf("one byte too many: 0x%04x", reply.Code)
	}
	if status, _ := r.post(make([]byte, documentMaxBytes+(1<<20))); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a request far too large: HTTP %d", status)
	}
	if n := len(r.State().Jobs); n != 0 {
		t.Errorf("%d jobs", n)
	}
}

func TestPortTaken(t *testing.T) {
	r := newRig(t)
	_, err := New(Config{Listen: r.Addr(), Spool: t.TempDir(), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "is another printer there?") {
		t.Errorf("error %v", err)
	}
}
