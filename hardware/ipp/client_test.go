package ipp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"rasid/hardware"
)

// answering starts a printer that answers as handle says, and returns a client of it.
func answering(t *testing.T, handle func(w http.ResponseWriter, request Message)) *Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client went away
		}
		m, _, err := Decode(raw)
		if err != nil {
			t.Errorf("the client sent: %v", err)
		}
		handle(w, m)
	}))
	t.Cleanup(server.Close)
	c, err := NewClient("ipp" + strings.TrimPrefix(server.URL, "http") + "/ipp/print")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// saying answers with the groups and the status code.
func saying(t *testing.T, code uint16, groups ...Group) *Client {
	return answering(t, func(w http.ResponseWriter, request Message) {
		raw, err := Message{Major: 2, Code: code, RequestID: request.RequestID, Groups: groups}.Encode()
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(raw)
	})
}

func printerGroup(reasons ...string) Group {
	g := Group{Tag: TagPrinter, Attributes: []Attribute{Ints(TagEnum, "printer-state", 5), Bool("printer-is-accepting-jobs", true)}}
	if len(reasons) > 0 {
		g.Attributes = append(g.Attributes, Strings(TagKeyword, "printer-state-reasons", reasons...))
	}
	return g
}

func TestStatusTellsThePaper(t *testing.T) {
	other := []hardware.PrinterFault{hardware.PrinterFailure} // it is stopped and does not say why
	for _, c := range []struct {
		reasons []string
		want    hardware.PaperState
		bare    []string
		faults  []hardware.PrinterFault
	}{
		{nil, hardware.PaperUnknown, nil, other},
		{[]string{"none"}, hardware.PaperFull, nil, other},
		{[]string{"toner-low-report"}, hardware.PaperFull, []string{"toner-low"}, other},
		{[]string{"media-low-warning"}, hardware.PaperLow, []string{"media-low"}, other},
		{[]string{"media-empty-error", "media-needed-error"}, hardware.PaperOut, []string{"media-empty", "media-needed"}, []hardware.PrinterFault{1}},
		{[]string{"input-tray-missing"}, hardware.PaperOut, []string{"input-tray-missing"}, []hardware.PrinterFault{1}},
		{[]string{"media-empty-error", "media-jam-error"}, hardware.PaperJammed, []string{"media-empty", "media-jam"}, []hardware.PrinterFault{1, 2}},
		{[]string{"cover-open-warning"}, hardware.PaperFull, []string{"cover-open"}, []hardware.PrinterFault{3}},
		{[]string{"door-open-error", "toner-empty-error"}, hardware.PaperFull, []string{"door-open", "toner-empty"}, []hardware.PrinterFault{3, 4}},
		{[]string{"marker-supply-empty"}, hardware.PaperFull, []string{"marker-supply-empty"}, []hardware.PrinterFault{4}},
		{[]string{"paused"}, hardware.PaperFull, []string{"paused"}, other},
	} {
		s, err := saying(t, StatusOK, printerGroup(c.reasons...)).Status(t.Context())
		if err != nil || s.Paper != c.want || !slices.Equal(s.Reasons, c.bare) || s.Faults != hardware.PrinterFaults(0).With(c.faults...) || !s.Stopped || !s.Accepting {
			t.Errorf("%q: %+v, %v, want paper %d", c.reasons, s, err, c.want)
		}
	}
}

// cut ends the connection in place of an answer.
func cut(w http.ResponseWriter, _ Message) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// Every answer that is none comes back as an error that names the trouble.
func TestBadAnswers(t *testing.T) {
	raw := func(b string) func(http.ResponseWriter, Message) {
		return func(w http.ResponseWriter, _ Message) { _, _ = io.WriteString(w, b) }
	}
	status := func(code int) func(http.ResponseWriter, Message) {
		return func(w http.ResponseWriter, _ Message) { w.WriteHeader(code) }
	}
	for name, c := range map[string]struct {
		handle func(http.ResponseWriter, Message)
		is     error
		says   string
	}{
		"no IPP":        {raw("<html>welcome</html>"), ErrMalformed, "tag 0x6c"},
		"empty":         {raw(""), ErrMalformed, "cut short"},
		"too large":     {raw("\x02\x00\x00\x00\x00\x00\x00\x01\x01" + strings.Repeat("A\x00\x01a\x7f\xff"+strings.Repeat("x", 0x7fff), 9)), ErrMalformed, "more than 262144 bytes"},
		"not found":     {status(http.StatusNotFound), nil, "is the address right?"},
		"HTTP limit":    {status(http.StatusRequestEntityTooLarge), nil, "too large for the printer"},
		"HTTP failure":  {status(http.StatusBadGateway), nil, "switch it off and on"},
		"cut":           {cut, ErrUnreachable, ""},
		"other request": {raw("\x02\x00\x00\x00\x7f\x00\x00\x01\x03"), ErrMalformed, "answer 2130706433 to request"},
		"redirect": {func(w http.ResponseWriter, _ Message) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusFound)
		}, nil, "HTTP 302"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := answering(t, c.handle).Status(t.Context())
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %v with %q", err, c.is, c.says)
			}
			if c.is == nil && (errors.Is(err, ErrUnreachable) || errors.Is(err, ErrBusy)) {
				t.Errorf("%v passes for unreachable or busy", err)
			}
		})
	}
	if _, err := saying(t, StatusOK).Status(t.Context()); !errors.Is(err, ErrMalformed) {
		t.Errorf("an answer without a printer: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	job := hardware.PrintJob{Name: "a", MIME: "application/pdf", Document: []byte("%PDF")}
	if _, err := saying(t, StatusBusy).Submit(t.Context(), job); !errors.Is(err, ErrBusy) {
		t.Errorf("busy: %v", err)
	}
	said := Group{Tag: TagOperation, Attributes: []Attribute{Strings(TagText, "status-message", "PDF is not for me")}}
	if _, err := saying(t, StatusFormatNotSupported, said).Submit(t.Context(), job); err == nil || !strings.Contains(err.Error(), "0x040a PDF is not for me") {
		t.Errorf("format: %v", err)
	}
	if _, err := saying(t, StatusOK).Submit(t.Context(), job); !errors.Is(err, ErrMalformed) {
		t.Errorf("a job without a number: %v", err)
	}
	if err := saying(t, StatusNotFound).Cancel(t.Context(), hardware.JobRef{ID: 1}); !errors.Is(err, hardware.ErrNoJob) {
		t.Errorf("no job: %v", err)
	}
	for _, name := range []string{"", strings.Repeat("x", 256)} {
		job.Name = name
		if _, err := saying(t, StatusOK).Submit(t.Context(), job); err == nil || !strings.Contains(err.Error(), "1 to 255 bytes") {
			t.Errorf("a name of %d bytes: %v", len(name), err)
		}
	}
}

// A printer may give our name back as one with a language; it is still our job.
func TestFindsANameWithLanguage(t *testing.T) {
	name := Attribute{Name: "job-name", Values: []Value{{Tag: tagNameLang, Bytes: []byte("\x00\x02en\x00\x03R-7")}}}
	c := saying(t, StatusOK, Group{Tag: TagJob, Attributes: []Attribute{Ints(TagInteger, "job-id", 7), name, Ints(TagEnum, "job-state", 9)}})
	found, err := c.Find(t.Context(), "R-7")
	if err != nil || len(found) == 0 || found[0].ID != 7 {
		t.Fatalf("found %v, %v", found, err)
	}
	if s, err := c.JobStatus(t.Context(), found[0]); err != nil || s.State != hardware.JobCompleted {
		t.Errorf("status %+v, %v", s, err)
	}
}

// A printer that never answers is left when ctx ends.
func TestDeadlineIsTheCallers(t *testing.T) {
	asked, leave := make(chan struct{}), make(chan struct{})
	c := answering(t, func(http.ResponseWriter, Message) {
		close(asked)
		<-leave
	})
	defer close(leave)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := c.Status(ctx); !errors.Is(err, ErrUnreachable) || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// A job that completes while Find asks is found, and once: missed, it would be
// printed again as a second original.
func TestFindMissesNoJobThatMoves(t *testing.T) {
	asked := 0
	c := answering(t, func(w http.ResponseWriter, request Message) {
		which, _ := request.Find(TagOperation, "which-jobs")
		reply := Message{Major: 2, RequestID: request.RequestID}
		state, holds := int32(jobProcessing), "not-completed"
		if asked > 0 { // it came out between the two questions
			state, holds = jobCompleted, "completed"
		}
		if asked++; which.Text() == holds {
			reply.Groups = []Group{{Tag: TagJob, Attributes: []Attribute{
				Ints(TagInteger, "job-id", 4), Strings(TagName, "job-name", "R-7"), Ints(TagEnum, "job-state", state),
			}}}
		}
		raw, err := reply.Encode()
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(raw)
	})
	found, err := c.Find(t.Context(), "R-7")
	if err != nil || len(found) != 1 || found[0].ID != 4 {
		t.Errorf("found %v, %v", found, err)
	}
}

// A job without a document is told from one that waits for its turn, and what a
// printer does not say is not made up.
func TestJobStatusTellsTheDocument(t *testing.T) {
	number := func(name string, n int32) Attribute { return Ints(TagInteger, name, n) }
	for name, c := range map[string]struct {
		state   int32
		reasons string
		counted []Attribute
		want    hardware.JobState
		blank   bool
	}{
		"incoming":                      {jobPending, "job-incoming", nil, hardware.JobIncoming, false},
		"insufficient, held":            {jobHeld, "job-data-insufficient", nil, hardware.JobIncoming, false},
		"counted none":                  {jobHeld, "none", []Attribute{number("number-of-documents", 0)}, hardware.JobIncoming, true},
		"queued":                        {jobPending, "none", []Attribute{number("number-of-documents", 1)}, hardware.JobPending, false},
		"queued, not counted":           {jobPending, "job-queued", nil, hardware.JobPending, false},
		"printing while it comes":       {jobProcessing, "job-incoming", nil, hardware.JobProcessing, false},
		"given up, blank":               {jobAborted, "aborted-by-system", []Attribute{number("number-of-documents", 0), number("job-impressions-completed", 0)}, hardware.JobAborted, true},
		"given up, with a page out":     {jobAborted, "aborted-by-system", []Attribute{number("number-of-documents", 0), number("job-impressions-completed", 1)}, hardware.JobAborted, false},
		"given up, pages alone counted": {jobAborted, "aborted-by-system", []Attribute{number("job-impressions-completed", 0)}, hardware.JobAborted, false},
	} {
		g := Group{Tag: TagJob, Attributes: []Attribute{number("job-id", 7), Strings(TagName, "job-name", "R-7"), Ints(TagEnum, "job-state", c.state), Strings(TagKeyword, "job-state-reasons", c.reasons)}}
		g.Attributes = append(g.Attributes, c.counted...)
		s, err := saying(t, StatusOK, g).JobStatus(t.Context(), hardware.JobRef{ID: 7, Name: "R-7"})
		if err != nil || s.State != c.want || s.Blank != c.blank {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
}

// Only an answer that says so, or a call that never got through, is taken for nothing
// done: all else may have printed.
func TestNothingDone(t *testing.T) {
	job := hardware.PrintJob{Name: "a", MIME: "application/pdf", Document: []byte("%PDF")}
	all := func(c *Client) map[string]error {
		_, submitted := c.Submit(t.Context(), job)
		_, created := c.Create(t.Context(), job)
		return map[string]error{"Submit": submitted, "Create": created, "Send": c.Send(t.Context(), hardware.JobRef{ID: 1, Name: "a"}, job)}
	}
	for code, nothing := range map[uint16]bool{
		StatusBadRequest: true, StatusNotPossible: true, StatusNotFound: true, StatusFormatNotSupported: true, StatusBusy: true,
		StatusNotSupported: true, statusNotAccepting: true, StatusMultipleDocuments: true,
		statusTimeout: false, statusCompressionError: false, statusFormatError: false, StatusInternal: false, 0x0504: false, 0x0508: false,
	} {
		for what, err := range all(saying(t, code)) {
			if err == nil || errors.Is(err, hardware.ErrNothingDone) != nothing {
				t.Errorf("%s with status 0x%04x: %v", what, code, err)
			}
		}
	}
	for what, err := range all(answering(t, cut)) {
		if !errors.Is(err, ErrUnreachable) || errors.Is(err, hardware.ErrNothingDone) {
			t.Errorf("%s cut off: %v", what, err)
		}
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	c, err := NewClient("ipp" + strings.TrimPrefix(gone.URL, "http") + "/ipp/print")
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range all(c) {
		if !errors.Is(err, hardware.ErrNothingDone) {
			t.Errorf("%s at a wrong address: %v", what, err)
		}
	}
	gone.Close()
	if c, err = NewClient(c.uri); err != nil { // on a connection left open a request may have got through
		t.Fatal(err)
	}
	for what, err := range all(c) {
		if !errors.Is(err, ErrUnreachable) || !errors.Is(err, hardware.ErrNothingDone) {
			t.Errorf("%s with nobody there: %v", what, err)
		}
	}
}

func TestStatusTellsWhetherJobsCanBeCreated(t *testing.T) {
	for want, ops := range map[bool][]int32{true: {2, 5, 6, 11}, false: {2, 5, 11}} {
		g := printerGroup("none")
		g.Attributes = append(g.Attributes, Ints(TagEnum, "operations-supported", ops...))
		if s, err := saying(t, StatusOK, g).Status(t.Context()); err != nil || s.CreatesJobs != want {
			t.Errorf("%d: %+v, %v", ops, s, err)
		}
	}
}
