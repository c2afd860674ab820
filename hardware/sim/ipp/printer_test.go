package ipp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rasid/hardware"
	proto "rasid/hardware/ipp"
	"rasid/hardware/sim/control"
	"rasid/internal/testtool"
)

type rig struct {
	*Printer
	client *proto.Client
	dir    string
	t      *testing.T
}

// newRig starts a printer with a control socket; the test's end stops it.
func newRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	p, err := New(Config{Listen: "127.0.0.1:0", Control: filepath.Join(dir, "c"), Spool: filepath.Join(dir, "spool"), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	c, err := proto.NewClient(p.URI())
	if err != nil {
		t.Fatal(err)
	}
	return &rig{Printer: p, client: c, dir: dir, t: t}
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
	r.do("power off")
	if _, err := r.client.Status(t.Context()); !errors.Is(err, proto.ErrUnreachable) {
		t.Errorf("a printer that is off answers: %v", err)
	}
	r.do("power on")
	if _, err := r.client.JobStatus(t.Context(), ref); !errors.Is(err, proto.ErrNoJob) {
		t.Errorf("a forgotten job: %v", err)
	}
	again, err := r.submit("after")
	if err != nil || again.ID != ref.ID {
		t.Fatalf("job %+v, %v", again, err)
	}
	if _, err := r.client.JobStatus(t.Context(), ref); !errors.Is(err, proto.ErrNoJob) {
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
}

func TestPortTaken(t *testing.T) {
	r := newRig(t)
	_, err := New(Config{Listen: r.Addr(), Spool: t.TempDir(), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "is another printer there?") {
		t.Errorf("error %v", err)
	}
}

// ipptool is CUPS's own tester.
func TestIpptoolAccepts(t *testing.T) {
	tool := testtool.Need(t, "ipptool", "cups-ipp-utils")
	r := newRig(t)
	doc := filepath.Join(r.dir, "doc.pdf")
	if err := os.WriteFile(doc, pdf, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []string{"get-printer-attributes.test", "validate-job.test", "print-job.test", "get-jobs.test", "get-completed-jobs.test"} {
		out, err := exec.Command(tool, "-tv", "-f", doc, "-d", "filetype=application/pdf", r.URI(), test).CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("[PASS]")) || bytes.Contains(out, []byte("[FAIL]")) {
			t.Errorf("ipptool %s: %v\n%s", test, err, out)
		}
	}
}

// Our client prints on CUPS's reference printer, which we did not write.
func TestClientPrintsOnIppeveprinter(t *testing.T) {
	program := testtool.Need(t, "ippeveprinter", "cups-ipp-utils")
	bus := testtool.Need(t, "dbus-daemon", "dbus")
	dir := t.TempDir()
	conf := filepath.Join(dir, "bus.conf")
	socket := "unix:path=" + filepath.Join(dir, "bus")
	const policy = `<busconfig><type>system</type><listen>%s</listen><auth>EXTERNAL</auth><policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/><allow user="*"/></policy></busconfig>`
	if err := os.WriteFile(conf, fmt.Appendf(nil, policy, socket), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, exec.Command(bus, "--config-file="+conf, "--nofork", "--nopidfile", "--print-address=1"), func(line string) bool { return strings.HasPrefix(line, "unix:") })
	sheet := filepath.Join(dir, "sheet.pdf")
	script := filepath.Join(dir, "print.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\ncat \"$1\" > "+sheet+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-vv", "-n", "localhost", "-p", "18631", "-d", dir, "-k", "-r", "off", "-f", "application/pdf", "-c", script, "Kiosk Laser")
	cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+socket)
	c, err := proto.NewClient("ipp://localhost:18631/ipp/print")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	start(t, cmd, func(string) bool {
		_, err := c.Status(ctx)
		return err == nil || ctx.Err() != nil
	})
	ref, err := c.Submit(ctx, hardware.PrintJob{Name: "147-1-20-K7QX-5", MIME: "application/pdf", Document: pdf})
	if err != nil {
		t.Fatal(err)
	}
	for {
		s, err := c.JobStatus(ctx, ref)
		if err != nil {
			t.Fatal(err)
		}
		if s.State == hardware.JobCompleted {
			break
		}
	}
	got, err := os.ReadFile(sheet)
	if err != nil || !bytes.Equal(got, pdf) {
		t.Errorf("the sheet has %d bytes, want %d, %v", len(got), len(pdf), err)
	}
	if found, err := c.Find(ctx, "147-1-20-K7QX-5"); err != nil || len(found) != 1 {
		t.Errorf("found %v, %v", found, err)
	}
	if s, err := c.Status(ctx); err != nil || s.UUID == "" {
		t.Errorf("status %+v, %v", s, err)
	}
}
