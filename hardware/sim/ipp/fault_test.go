package ipp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rasid/hardware"
	proto "rasid/hardware/ipp"
)

// post sends bytes as they are.
func (r *rig) post(body []byte) (status int, answer []byte) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "http://"+r.Addr()+"/ipp/print", bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/ipp")
	return r.fetch(request)
}

func (r *rig) fetch(request *http.Request) (status int, answer []byte) {
	r.t.Helper()
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }() // read to its end
	if answer, err = io.ReadAll(reply.Body); err != nil {
		r.t.Fatal(err)
	}
	return reply.StatusCode, answer
}

// ask sends an operation that our client does not have.
func (r *rig) ask(op uint16, document []byte, attributes ...proto.Attribute) proto.Message {
	r.t.Helper()
	fixed := []proto.Attribute{
		proto.Strings(proto.TagCharset, "attributes-charset", "utf-8"), proto.Strings(proto.TagLanguage, "attributes-natural-language", "en"),
		proto.Strings(proto.TagURI, "printer-uri", r.URI()),
	}
	raw, err := proto.Message{Major: 2, Code: op, RequestID: 9, Groups: []proto.Group{{Tag: proto.TagOperation, Attributes: append(fixed, attributes...)}}}.Encode()
	if err != nil {
		r.t.Fatal(err)
	}
	status, answer := r.post(append(raw, document...))
	m, _, err := proto.Decode(answer)
	if status != http.StatusOK || err != nil {
		r.t.Fatalf("HTTP %d, %v", status, err)
	}
	return m
}

func TestMalformedMessagesAreRefused(t *testing.T) {
	r := newRig(t)
	charset := "\x01\x47\x00\x12attributes-charset\x00\x05utf-8"
	language := "\x48\x00\x1battributes-natural-language\x00\x02en"
	for name, c := range map[string]struct {
		body string
		code uint16
	}{
		"no IPP":        {"GET ME A PRINTER", proto.StatusBadRequest},
		"cut":           {"\x02\x00\x00\x0b\x00\x00\x00\x07" + charset, proto.StatusBadRequest},
		"no language":   {"\x02\x00\x00\x0b\x00\x00\x00\x07" + charset + "\x03", proto.StatusBadRequest},
		"wrong charset": {"\x02\x00\x00\x0b\x00\x00\x00\x07\x01\x47\x00\x12attributes-charset\x00\x05koi-8" + language + "\x03", proto.StatusCharset},
		"no target":     {"\x02\x00\x00\x0b\x00\x00\x00\x07" + charset + language + "\x03", proto.StatusBadRequest},
		"version 9":     {"\x09\x00\x00\x0b\x00\x00\x00\x07" + charset + language + "\x03", proto.StatusVersion},
	} {
		status, answer := r.post([]byte(c.body))
		m, _, err := proto.Decode(answer)
		if status != http.StatusOK || err != nil || m.Code != c.code {
			t.Errorf("%s: HTTP %d, status 0x%04x, %v, want 0x%04x", name, status, m.Code, err, c.code)
		}
		if name != "no IPP" && m.RequestID != 7 {
			t.Errorf("%s: answers request %d, not 7", name, m.RequestID)
		}
	}
	if m := r.ask(0x0099, nil); m.Code != proto.StatusNotSupported {
		t.Errorf("an unknown operation: 0x%04x", m.Code)
	}
	if m := r.ask(proto.OpPrintJob, []byte("GIF89a"), proto.Strings(proto.TagMIME, "document-format", "image/gif")); m.Code != proto.StatusFormatNotSupported {
		t.Errorf("a picture: 0x%04x", m.Code)
	}
	if _, err := r.submit("still works"); err != nil {
		t.Error(err)
	}
}

// hardware.md H36: nobody may wait for a cancel.
func TestCancelWithoutPaperWaitsForTheRefill(t *testing.T) {
	r := newRig(t)
	wait := r.events()
	r.do("paper out")
	ref, err := r.submit("unwanted")
	if err != nil {
		t.Fatal(err)
	}
	wait("out-of-paper")
	if err := r.client.Cancel(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	s, err := r.client.JobStatus(t.Context(), ref)
	if err != nil || s.State != hardware.JobProcessing || !strings.Contains(strings.Join(s.Reasons, " "), "processing-to-stop-point") {
		t.Errorf("job %+v, %v", s, err)
	}
	if err := r.client.Cancel(t.Context(), ref); err == nil {
		t.Error("a second cancel is accepted")
	}
	r.do("refill")
	wait("canceled")
	if s := r.state(ref); s != hardware.JobCanceled {
		t.Errorf("job state %d", s)
	}
	if n := len(r.State().Sheets); n != 0 {
		t.Errorf("%d sheets of a canceled job", n)
	}
}

// hardware.md H35: a document that loses its paper half way comes out once.
func TestPaperEndsWithinADocument(t *testing.T) {
	r := newRig(t)
	wait := r.events()
	r.do("paper 2")
	three := []byte("%PDF-1.4 /Type /Pages /Type /Page /Type/Page>> /Type /Page\n")
	ref, err := r.client.Submit(t.Context(), hardware.PrintJob{Name: "deed", MIME: "application/pdf", Document: three})
	if err != nil {
		t.Fatal(err)
	}
	wait("out-of-paper")
	if s := r.State(); len(s.Sheets) != 1 || s.Sheets[0].Pages != 2 || s.Sheets[0].Of != 3 || r.state(ref) != hardware.JobProcessing {
		t.Errorf("state %+v", s)
	}
	r.do("refill")
	wait("completed")
	if s := r.State(); len(s.Sheets) != 1 || s.Sheets[0].Pages != 3 || s.Paper != r.cfg.Paper-1 {
		t.Errorf("state %+v", s)
	}
}

func TestJamStandsUntilCleared(t *testing.T) {
	r := newRig(t)
	wait := r.events()
	r.do("jam")
	ref, err := r.submit("a")
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.client.Status(t.Context())
	if err != nil || s.Paper != hardware.PaperJammed || !s.Stopped {
		t.Errorf("status %+v, %v", s, err)
	}
	r.do("clear")
	wait("completed")
	if s := r.state(ref); s != hardware.JobCompleted {
		t.Errorf("job state %d", s)
	}
}

// A sender that goes away before its job exists leaves none.
func TestPauseOnSubmit(t *testing.T) {
	r := newRig(t)
	wait := r.events()
	r.do("pause " + OnSubmit)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := r.client.Submit(ctx, hardware.PrintJob{Name: "gone", MIME: "application/pdf", Document: pdf})
		failed <- err
	}()
	r.do("wait " + OnSubmit)
	if n := len(r.State().Jobs); n != 0 {
		t.Errorf("%d jobs while the document is only received", n)
	}
	cancel()
	if err := <-failed; err == nil {
		t.Error("an answer came although the printer stands before the job")
	}
	wait("sender-gone")
	r.do("resume")
	if _, err := r.submit("next"); err != nil {
		t.Fatal(err)
	}
	wait("completed")
	if s := r.State(); len(s.Sheets) != 1 || s.Sheets[0].Name != "next" || len(s.Jobs) != 1 {
		t.Errorf("state %+v", s)
	}
}

// hardware.md H39: the job exists, its sender was not told, and finds it by name.
func TestPauseBeforeAnswer(t *testing.T) {
	r := newRig(t)
	wait := r.events()
	r.do("pause " + BeforeAnswer)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := r.client.Submit(ctx, hardware.PrintJob{Name: "R-9", MIME: "application/pdf", Document: pdf})
		failed <- err
	}()
	r.do("wait " + BeforeAnswer)
	cancel()
	if err := <-failed; err == nil {
		t.Error("an answer came although the printer stands before it")
	}
	found, err := r.client.Find(t.Context(), "R-9")
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v, %v", found, err)
	}
	r.do("resume")
	wait("completed")
	if s := r.state(found[0]); s != hardware.JobCompleted {
		t.Errorf("job state %d", s)
	}
}

// A question asked meanwhile does not use up the answer that is to be lost.
func TestDropLosesTheAnswerToADocument(t *testing.T) {
	r := newRig(t)
	r.do("drop next answer")
	if _, err := r.client.Status(t.Context()); err != nil {
		t.Errorf("status: %v", err)
	}
	if _, err := r.submit("lost"); err == nil {
		t.Error("the answer came")
	}
}

func TestCreateJobWaitsForItsDocument(t *testing.T) {
	r := newRig(t)
	wait := r.events()
	reply := r.ask(proto.OpCreateJob, nil, proto.Strings(proto.TagName, "job-name", "two steps"))
	id, _ := reply.Find(proto.TagJob, "job-id")
	if reply.Code != proto.StatusOK {
		t.Fatalf("Create-Job: 0x%04x", reply.Code)
	}
	last := func(v bool) proto.Attribute { return proto.Bool("last-document", v) }
	for _, c := range []struct {
		what       string
		document   []byte
		attributes []proto.Attribute
		code       uint16
	}{
		{"without last-document", pdf, []proto.Attribute{id}, proto.StatusBadRequest},
		{"of another job", pdf, []proto.Attribute{proto.Ints(proto.TagInteger, "job-id", 99), last(true)}, proto.StatusNotFound},
		{"not the last", pdf, []proto.Attribute{id, last(false)}, proto.StatusOK},
		{"a second one", pdf, []proto.Attribute{id, last(true)}, proto.StatusMultipleDocuments},
		{"the end", nil, []proto.Attribute{id, last(true)}, proto.StatusOK},
		{"after the end", pdf, []proto.Attribute{id, last(true)}, proto.StatusNotPossible},
	} {
		if reply := r.ask(proto.OpSendDocument, c.document, c.attributes...); reply.Code != c.code {
			t.Errorf("Send-Document %s: 0x%04x, want 0x%04x", c.what, reply.Code, c.code)
		}
	}
	wait("completed")
	r.ask(proto.OpCreateJob, nil, proto.Strings(proto.TagName, "job-name", "forgotten"))
	r.late.Add(int64(openMax.Seconds()) + 1)
	found, err := r.client.Find(t.Context(), "forgotten")
	if err != nil || len(found) != 1 || r.state(found[0]) != hardware.JobAborted {
		t.Errorf("found %v, %v", found, err)
	}
	if n := len(r.State().Sheets); n != 1 {
		t.Errorf("%d sheets", n)
	}
}

// Without Create-Job it is a printer of the older kind, and says so.
func TestPrinterWithPrintJobAlone(t *testing.T) {
	r := newRig(t)
	wait := r.events()
	if s, err := r.client.Status(t.Context()); err != nil || !s.CreatesJobs {
		t.Errorf("status %+v, %v", s, err)
	}
	r.do("create off")
	if s, err := r.client.Status(t.Context()); err != nil || s.CreatesJobs {
		t.Errorf("status %+v, %v", s, err)
	}
	job := hardware.PrintJob{Name: "R-1", MIME: "application/pdf", Document: pdf}
	if _, err := r.client.Create(t.Context(), job); !errors.Is(err, hardware.ErrNothingDone) {
		t.Errorf("Create: %v", err)
	}
	if _, err := r.client.Submit(t.Context(), job); err != nil {
		t.Error(err)
	}
	wait("completed")
}

// A job that is given up for want of its document is known to be blank.
func TestGivenUpJobIsBlank(t *testing.T) {
	r := newRig(t)
	ref, err := r.client.Create(t.Context(), hardware.PrintJob{Name: "R-1", MIME: "application/pdf", Document: pdf})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := r.client.JobStatus(t.Context(), ref); err != nil || s.State != hardware.JobIncoming {
		t.Errorf("job %+v, %v", s, err)
	}
	r.late.Add(int64(openMax.Seconds()) + 1)
	if s, err := r.client.JobStatus(t.Context(), ref); err != nil || s.State != hardware.JobAborted || !s.Blank {
		t.Errorf("job %+v, %v", s, err)
	}
}

// The paper outlives the program, as paper does; no sheet is written over.
func TestSheetsOutliveTheProgram(t *testing.T) {
	spool := t.TempDir()
	if err := os.WriteFile(filepath.Join(spool, "0001-R-1.pdf"), pdf, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Listen: "127.0.0.1:0", Spool: spool, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.listener.Close(); err != nil {
		t.Fatal(err)
	}
	s := p.State().Sheets
	if len(s) != 1 || s[0] != (Sheet{Name: "R-1", File: "0001-R-1.pdf", Pages: 1, Of: 1}) {
		t.Errorf("sheets %+v", s)
	}
	if next, err := p.keep(&job{name: "R-2", data: pdf, of: 1}); err != nil || next.File != "0002-R-2.pdf" {
		t.Errorf("next %+v, %v", next, err)
	}
	if err := os.WriteFile(filepath.Join(spool, "letter.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "name an empty folder") {
		t.Errorf("a folder with a letter: %v", err)
	}
}

// What cannot be kept was not printed: the job is aborted and the next one has its turn.
func TestUnkeepableSheetAbortsItsJob(t *testing.T) {
	r := newRig(t)
	wait := r.events()
	if err := os.Mkdir(filepath.Join(r.cfg.Spool, ".0001-a.pdf"), 0o755); err != nil {
		t.Fatal(err)
	}
	ref, err := r.submit("a")
	if err != nil {
		t.Fatal(err)
	}
	wait("aborted")
	if s := r.state(ref); s != hardware.JobAborted || r.State().Paper != r.cfg.Paper {
		t.Errorf("job state %d, %d sheets left", s, r.State().Paper)
	}
	if _, err := r.submit("b"); err != nil {
		t.Fatal(err)
	}
	wait("completed")
}

func TestOnlyLoopback(t *testing.T) {
	for _, listen := range []string{":8631", "0.0.0.0:8631", "[::]:0", "192.0.2.1:8631", "printer.example:631", "8631"} {
		if _, err := New(Config{Listen: listen, Spool: t.TempDir(), Now: time.Now}); err == nil || !strings.Contains(err.Error(), "127.0.0.1:8631") {
			t.Errorf("%s: %v", listen, err)
		}
	}
}

// The cabinet page shows the tray from here.
func TestTheTrayCanBeLookedAt(t *testing.T) {
	r := newRig(t)
	wait := r.events()
	if _, err := r.submit("R-1"); err != nil {
		t.Fatal(err)
	}
	wait("completed")
	get := func(path string) (int, []byte) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.Addr()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r.fetch(request)
	}
	var s State
	if status, body := get("/"); status != http.StatusOK || json.Unmarshal(body, &s) != nil || len(s.Sheets) != 1 || s.Sheets[0].Name != "R-1" {
		t.Errorf("HTTP %d %s", status, body)
	}
	for _, path := range []string{"/sheet/1", "/sheet/1.pdf", "/sheet/last.pdf"} {
		if status, body := get(path); status != http.StatusOK || !bytes.Equal(body, pdf) {
			t.Errorf("%s: HTTP %d, %d bytes", path, status, len(body))
		}
	}
	for _, path := range []string{"/sheet/0", "/sheet/2.pdf", "/sheet/x", "/elsewhere"} {
		if status, _ := get(path); status != http.StatusNotFound {
			t.Errorf("%s: HTTP %d", path, status)
		}
	}
}

func TestWrongControlWords(t *testing.T) {
	r := newRig(t)
	for _, line := range []string{"paper", "paper many", "paper -1", "busy", "power", "drop", "drop everything", "create", "create maybe", "explode"} {
		if _, err := r.Do(t.Context(), line); err == nil {
			t.Errorf("%q is accepted", line)
		}
	}
}

// Documents that wait for paper may fill so much memory and no more.
func TestTooMuchWaitingIsBusy(t *testing.T) {
	r := newRig(t)
	r.do("paper out")
	job := hardware.PrintJob{Name: "large", MIME: "application/pdf", Document: make([]byte, documentMaxBytes)}
	for range waitingMaxBytes / documentMaxBytes {
		if _, err := r.client.Submit(t.Context(), job); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.client.Submit(t.Context(), job); !errors.Is(err, proto.ErrBusy) {
		t.Errorf("a document too many: %v", err)
	}
}
