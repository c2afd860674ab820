package ipp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rasid/hardware"
	proto "rasid/hardware/ipp"
	"rasid/internal/testtool"
)

// ipptool is CUPS's own tester; ipp-2.0.test begins with the whole of ipp-1.1.test.
// ipp-everywhere.test is not among them: its last case wants what this printer does
// not claim (PWG raster, Identify-Printer, Cancel-My-Jobs, Close-Job).
func TestIpptoolAccepts(t *testing.T) {
	tool := testtool.Need(t, "ipptool", "cups-ipp-utils")
	r := newRig(t)
	doc := filepath.Join(r.dir, "doc.pdf")
	if err := os.WriteFile(doc, pdf, 0o600); err != nil {
		t.Fatal(err)
	}
	for test, passMin := range map[string]int{
		"get-printer-attributes.test": 1, "validate-job.test": 1, "print-job.test": 1, "create-job.test": 2,
		"get-jobs.test": 1, "get-completed-jobs.test": 1, "ipp-2.0.test": 30,
	} {
		out, err := exec.CommandContext(t.Context(), tool, "-tI", "-T", "20", "-f", doc, "-d", "filetype=application/pdf", r.URI(), test).CombinedOutput()
		if n := bytes.Count(out, []byte("[PASS]")); err != nil || n < passMin || bytes.Contains(out, []byte("[FAIL]")) {
			t.Errorf("ipptool %s: %v, %d passed, want %d\n%s", test, err, n, passMin, out)
		}
	}
}

// peer is CUPS's reference printer, which we did not write.
type peer struct {
	t      *testing.T
	ctx    context.Context // ends the test in time
	client *proto.Client
	sheet  string // what came out last
	web    string
}

// startPeer starts ippeveprinter on a bus of its own: it wants one even when it
// announces nothing.
func startPeer(t *testing.T) *peer {
	t.Helper()
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
	p := &peer{t: t, sheet: filepath.Join(dir, "sheet.pdf")}
	script := filepath.Join(dir, "print.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\ncat \"$1\" > "+p.sheet+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String()) // a listener's own address
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-vv", "-n", "localhost", "-p", port, "-d", dir, "-k", "-r", "off", "-f", "application/pdf", "-c", script, "Kiosk Laser")
	cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+socket)
	p.web = "http://localhost:" + port
	if p.client, err = proto.NewClient("ipp://localhost:" + port + "/ipp/print"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	p.ctx = ctx
	start(t, cmd, func(string) bool {
		_, err := p.client.Status(ctx)
		return err == nil || ctx.Err() != nil
	})
	return p
}

func (p *peer) submit(name string) hardware.JobRef {
	p.t.Helper()
	ref, err := p.client.Submit(p.ctx, hardware.PrintJob{Name: name, MIME: "application/pdf", Document: pdf})
	if err != nil {
		p.t.Fatal(err)
	}
	return ref
}

// until asks for the job till it is as wanted: this printer tells nobody by itself.
func (p *peer) until(ref hardware.JobRef, what string, wanted func(hardware.JobStatus) bool) {
	p.t.Helper()
	var last hardware.JobStatus
	for {
		s, err := p.client.JobStatus(p.ctx, ref)
		if err != nil {
			p.t.Fatalf("waiting for %s: %v; last heard: %+v", what, err, last)
		}
		last = s
		if wanted(s) {
			return
		}
	}
}

// tray fills or empties the main tray by the printer's own web form.
func (p *peer) tray(level int) {
	p.t.Helper()
	form := fmt.Sprintf("%s/media?size1=iso_a4_210x297mm&type1=stationery&level1=%d&size3=na_number-10_4.125x9.5in&type3=envelope&level3=25", p.web, level)
	request, err := http.NewRequestWithContext(p.ctx, http.MethodGet, form, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := reply.Body.Close(); err != nil || reply.StatusCode != http.StatusOK {
		p.t.Fatalf("HTTP %s, %v", reply.Status, err)
	}
}

func is(state hardware.JobState) func(hardware.JobStatus) bool {
	return func(s hardware.JobStatus) bool { return s.State == state }
}

func TestClientPrintsOnIppeveprinter(t *testing.T) {
	p := startPeer(t)
	ref := p.submit("147-1-20-K7QX-5")
	p.until(ref, "completion", is(hardware.JobCompleted))
	got, err := os.ReadFile(p.sheet)
	if err != nil || !bytes.Equal(got, pdf) {
		t.Errorf("the sheet has %d bytes, want %d, %v", len(got), len(pdf), err)
	}
	if found, err := p.client.Find(p.ctx, "147-1-20-K7QX-5"); err != nil || len(found) != 1 || found[0].ID != ref.ID || found[0].UUID == "" {
		t.Errorf("found %v, %v, want %v", found, err, ref)
	}
	if s, err := p.client.Status(p.ctx); err != nil || s.UUID == "" || s.Paper != hardware.PaperFull || !s.Accepting {
		t.Errorf("status %+v, %v", s, err)
	}
	if _, err := p.client.JobStatus(p.ctx, hardware.JobRef{ID: 77, Name: "x"}); !errors.Is(err, hardware.ErrNoJob) {
		t.Errorf("a job that never was: %v", err)
	}
}

// A job that is created is found by its name before it has a document, waits for it,
// and takes it once; a second document is refused and prints nothing.
func TestClientCreatesOnIppeveprinter(t *testing.T) {
	p := startPeer(t)
	if s, err := p.client.Status(p.ctx); err != nil || !s.CreatesJobs {
		t.Fatalf("status %+v, %v, want a printer that creates jobs", s, err)
	}
	job := hardware.PrintJob{Name: "147-1-21-K7QX-6", MIME: "application/pdf", Document: pdf}
	ref, err := p.client.Create(p.ctx, job)
	if err != nil {
		t.Fatal(err)
	}
	found, err := p.client.Find(p.ctx, job.Name)
	if err != nil || len(found) != 1 || found[0].ID != ref.ID {
		t.Fatalf("found %v, %v, want %v", found, err, ref)
	}
	if s, err := p.client.JobStatus(p.ctx, found[0]); err != nil || s.State != hardware.JobIncoming {
		t.Errorf("a job without a document: %+v, %v", s, err)
	}
	if err := p.client.Send(p.ctx, found[0], job); err != nil {
		t.Fatal(err)
	}
	if err := p.client.Send(p.ctx, found[0], job); !errors.Is(err, hardware.ErrNothingDone) {
		t.Errorf("a second document: %v", err)
	}
	p.until(ref, "completion", is(hardware.JobCompleted))
	if got, err := os.ReadFile(p.sheet); err != nil || !bytes.Equal(got, pdf) {
		t.Errorf("the sheet has %d bytes, want %d, %v", len(got), len(pdf), err)
	}
	ref, err = p.client.Create(p.ctx, hardware.PrintJob{Name: "unwanted", MIME: "application/pdf", Document: pdf})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.client.Cancel(p.ctx, ref); err != nil {
		t.Fatal(err)
	}
	p.until(ref, "the cancel", is(hardware.JobCanceled))
}

// hardware.md H35, H36 and H38 at a printer that is not ours; our simulator does the
// same (fault_test.go), so what the kiosk learns there is true.
func TestClientSeesTroubleOnIppeveprinter(t *testing.T) {
	p := startPeer(t)
	p.tray(0)
	ref := p.submit("first")
	p.until(ref, "processing", is(hardware.JobProcessing))
	for { // the printer notices the tray when it wants to draw from it
		s, err := p.client.Status(p.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if s.Paper == hardware.PaperOut && slices.Contains(s.Reasons, "media-needed") {
			break
		}
	}
	if _, err := p.client.Submit(p.ctx, hardware.PrintJob{Name: "second", MIME: "application/pdf", Document: pdf}); !errors.Is(err, proto.ErrBusy) {
		t.Errorf("a second job while one stands: %v", err)
	}
	if found, err := p.client.Find(p.ctx, "second"); err != nil || len(found) != 0 {
		t.Errorf("found %v, %v: busy made a job", found, err)
	}
	p.tray(250)
	p.until(ref, "completion after the refill", is(hardware.JobCompleted))

	p.tray(0)
	ref = p.submit("unwanted")
	p.until(ref, "processing", is(hardware.JobProcessing))
	if err := p.client.Cancel(p.ctx, ref); err != nil {
		t.Fatal(err)
	}
	s, err := p.client.JobStatus(p.ctx, ref)
	if err != nil || s.State != hardware.JobProcessing || !slices.Contains(s.Reasons, "processing-to-stop-point") {
		t.Errorf("job %+v, %v", s, err)
	}
	p.tray(250)
	p.until(ref, "the cancel after the refill", is(hardware.JobCanceled))
}
