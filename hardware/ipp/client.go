package ipp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"rasid/hardware"
)

// documentMaxBytes bounds a document that is sent.
const documentMaxBytes = 8 << 20

// Errors that callers branch on.
var (
	// ErrBusy is returned, with hardware.ErrNothingDone, when the printer takes no job now.
	ErrBusy = errors.New("the printer is busy")
	// ErrUnreachable is returned when no answer came: whether the printer acted is
	// unknown, but for hardware.ErrNothingDone beside it.
	ErrUnreachable = errors.New("the printer does not answer")
)

// Client talks to one printer. Its methods may be called concurrently, end with
// their ctx, and never repeat a request by themselves: when to ask again is the
// caller's to decide.
type Client struct {
	uri  string // ipp://…, as the printer knows itself
	post string // http://…
	http *http.Client
	id   atomic.Uint32
}

// NewClient returns a client for a printer such as ipp://192.168.1.20:631/ipp/print.
func NewClient(uri string) (*Client, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "ipp" || u.Host == "" {
		return nil, fmt.Errorf("%q is no printer address: write it as ipp://host:631/ipp/print", uri)
	}
	post := *u
	post.Scheme = "http"
	if u.Port() == "" {
		post.Host += ":631"
	}
	c := &Client{uri: uri, post: post.String()}
	c.http = &http.Client{
		Transport: &http.Transport{MaxIdleConns: 2, IdleConnTimeout: 30 * time.Second},
		// Followed, a document would go to whatever host the answer names.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

func (c *Client) request(op uint16, attributes ...Attribute) Message {
	fixed := []Attribute{Strings(TagCharset, "attributes-charset", "utf-8"), Strings(TagLanguage, "attributes-natural-language", "en"), Strings(TagURI, "printer-uri", c.uri)}
	return Message{Major: 2, Code: op, RequestID: c.id.Add(1), Groups: []Group{{Tag: TagOperation, Attributes: append(fixed, attributes...)}}}
}

// call sends a request and returns the answer if its status is a success.
func (c *Client) call(ctx context.Context, m Message, document []byte) (Message, error) {
	head, err := m.Encode()
	if err != nil {
		return Message{}, err
	}
	body := io.MultiReader(bytes.NewReader(head), bytes.NewReader(document))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.post, body)
	if err != nil {
		return Message{}, fmt.Errorf("couldn't ask the printer: %w", err)
	}
	r.ContentLength = int64(len(head) + len(document))
	r.Header.Set("Content-Type", "application/ipp")
	answer, err := c.http.Do(r)
	if err != nil {
		return Message{}, unreachable(err)
	}
	defer func() { _ = answer.Body.Close() }() // read to its end below
	raw, err := io.ReadAll(io.LimitReader(answer.Body, messageMaxBytes+1))
	if err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if len(raw) > messageMaxBytes {
		return Message{}, fmt.Errorf("%w: the printer at %s answers more than %d bytes", ErrMalformed, c.uri, messageMaxBytes)
	}
	if answer.StatusCode != http.StatusOK {
		return Message{}, c.httpError(answer)
	}
	reply, _, err := Decode(raw)
	if err != nil {
		return Message{}, fmt.Errorf("the printer at %s: %w", c.uri, err)
	}
	if reply.RequestID != m.RequestID {
		return Message{}, fmt.Errorf("%w: answer %d to request %d", ErrMalformed, reply.RequestID, m.RequestID)
	}
	return reply, statusError(reply)
}

// unreachable tells a printer that could not be called from one that may have acted.
func unreachable(err error) error {
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return fmt.Errorf("%w: %w: %w", ErrUnreachable, hardware.ErrNothingDone, err)
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

func (c *Client) httpError(answer *http.Response) error {
	switch {
	case answer.StatusCode == http.StatusRequestEntityTooLarge:
		return fmt.Errorf("%w: the document is too large for the printer at %s", hardware.ErrNothingDone, c.uri)
	case answer.StatusCode >= 500:
		return fmt.Errorf("the printer at %s fails with HTTP %s: switch it off and on", c.uri, answer.Status)
	}
	return fmt.Errorf("%w: the printer at %s answers HTTP %s: is the address right?", hardware.ErrNothingDone, c.uri, answer.Status)
}

func statusError(m Message) error {
	switch {
	case m.Code < 0x0100:
		return nil
	case m.Code == StatusBusy:
		return fmt.Errorf("%w: %w", hardware.ErrNothingDone, ErrBusy)
	case m.Code == StatusNotFound:
		return fmt.Errorf("%w: %w", hardware.ErrNothingDone, hardware.ErrNoJob)
	}
	text, _ := m.Find(TagOperation, "status-message")
	err := fmt.Errorf("the printer refuses with status 0x%04x %s", m.Code, text.Text())
	if refusedBefore(m.Code) {
		return fmt.Errorf("%w: %w", hardware.ErrNothingDone, err)
	}
	return err
}

// refusedBefore reports whether a status says that the request was not begun (RFC 8011
// appendix B). A document that times out, breaks off or is canceled may have left pages.
func refusedBefore(code uint16) bool {
	switch code {
	case statusTimeout, statusCompressionError, statusFormatError:
		return false
	case StatusNotSupported, StatusVersion, statusNotAccepting, StatusMultipleDocuments:
		return true
	}
	return code >= 0x0400 && code < 0x0500
}

// Status asks the printer how it is.
func (c *Client) Status(ctx context.Context) (hardware.PrinterStatus, error) {
	wanted := Strings(TagKeyword, "requested-attributes", "printer-state", "printer-state-reasons", "printer-is-accepting-jobs", "printer-up-time", "printer-uuid", "operations-supported")
	m, err := c.call(ctx, c.request(OpGetPrinterAttributes, wanted), nil)
	if err != nil {
		return hardware.PrinterStatus{}, err
	}
	var s hardware.PrinterStatus
	state, _ := m.Find(TagPrinter, "printer-state")
	n, ok := state.Int()
	if !ok {
		return s, fmt.Errorf("%w: the printer at %s does not tell its state", ErrMalformed, c.uri)
	}
	s.Stopped = n == 5
	accepting, _ := m.Find(TagPrinter, "printer-is-accepting-jobs")
	s.Accepting = accepting.IsTrue()
	up, _ := m.Find(TagPrinter, "printer-up-time")
	seconds, _ := up.Int()
	s.UpTime = time.Duration(seconds) * time.Second
	uuid, _ := m.Find(TagPrinter, "printer-uuid")
	s.UUID = uuid.Text()
	operations, _ := m.Find(TagPrinter, "operations-supported")
	can := operations.Numbers()
	s.CreatesJobs = slices.Contains(can, int32(OpCreateJob)) && slices.Contains(can, int32(OpSendDocument))
	if reasons, ok := m.Find(TagPrinter, "printer-state-reasons"); ok {
		s.Reasons = bareReasons(reasons.Texts())
		s.Paper = paperOf(s.Reasons)
	}
	s.Faults = faultsOf(s.Reasons)
	if s.Faults == 0 && (s.Stopped || !s.Accepting) {
		s.Faults = s.Faults.With(hardware.PrinterFailure)
	}
	return s, nil
}

// bareReasons strips the severity that depends on the printer's mood, not on what
// is the matter.
func bareReasons(reasons []string) []string {
	var out []string
	for _, r := range reasons {
		for _, suffix := range []string{"-report", "-warning", "-error"} {
			r = strings.TrimSuffix(r, suffix)
		}
		if r != "none" && r != "" {
			out = append(out, r)
		}
	}
	return out
}

// faultsOf maps the reasons that need somebody to come (LEDGER.md §6.2, kind 18).
func faultsOf(reasons []string) (f hardware.PrinterFaults) {
	for _, r := range reasons {
		switch r {
		case "media-empty", "media-needed", "input-tray-missing":
			f = f.With(hardware.PrinterPaperOut)
		case "media-jam":
			f = f.With(hardware.PrinterJam)
		case "door-open", "cover-open", "interlock-open":
			f = f.With(hardware.PrinterDoorOpen)
		case "toner-empty", "marker-supply-empty", "marker-waste-full", "developer-empty", "opc-life-over":
			f = f.With(hardware.PrinterTonerOut)
		}
	}
	return f
}

func paperOf(reasons []string) hardware.PaperState {
	switch {
	case slices.Contains(reasons, "media-jam"):
		return hardware.PaperJammed
	case slices.Contains(reasons, "media-empty"), slices.Contains(reasons, "media-needed"), slices.Contains(reasons, "input-tray-missing"):
		return hardware.PaperOut
	case slices.Contains(reasons, "media-low"):
		return hardware.PaperLow
	}
	return hardware.PaperFull
}

// Submit makes a job and gives it its document in one request (Print-Job), for printers
// that cannot Create. Unless the error is hardware.ErrNothingDone the job may exist, or
// come to exist later: it may print although Find does not find it yet.
func (c *Client) Submit(ctx context.Context, job hardware.PrintJob) (hardware.JobRef, error) {
	if err := checkJob(job); err != nil {
		return hardware.JobRef{}, err
	}
	m := c.request(OpPrintJob, Strings(TagName, "requesting-user-name", "rasid"), Strings(TagName, "job-name", job.Name), Strings(TagMIME, "document-format", job.MIME))
	reply, err := c.call(ctx, m, job.Document)
	if err != nil {
		return hardware.JobRef{}, err
	}
	return made(reply, job.Name)
}

// Create makes a job that has no document (Create-Job): it can be found by its name
// before anything of it can print. Unless the error is hardware.ErrNothingDone such a
// job may exist.
func (c *Client) Create(ctx context.Context, job hardware.PrintJob) (hardware.JobRef, error) {
	if err := checkJob(job); err != nil {
		return hardware.JobRef{}, err
	}
	m := c.request(OpCreateJob, Strings(TagName, "requesting-user-name", "rasid"), Strings(TagName, "job-name", job.Name))
	reply, err := c.call(ctx, m, nil)
	if err != nil {
		return hardware.JobRef{}, err
	}
	return made(reply, job.Name)
}

// Send gives a created job its only document (Send-Document). A printer takes no second
// one for the job, so that sending again after a lost answer prints nothing twice: a
// refusal then is hardware.ErrNothingDone, and JobStatus tells how far the job is.
func (c *Client) Send(ctx context.Context, ref hardware.JobRef, job hardware.PrintJob) error {
	if err := checkJob(job); err != nil {
		return err
	}
	m := c.request(OpSendDocument, Ints(TagInteger, "job-id", ref.ID), Strings(TagName, "requesting-user-name", "rasid"),
		Strings(TagMIME, "document-format", job.MIME), Bool("last-document", true))
	_, err := c.call(ctx, m, job.Document)
	return err
}

// checkJob refuses what no printer is asked to print.
func checkJob(job hardware.PrintJob) error {
	if n := len(job.Document); n == 0 || n > documentMaxBytes {
		return fmt.Errorf("%w: the document has %d bytes, the limit is %d", hardware.ErrNothingDone, n, documentMaxBytes)
	}
	if job.Name == "" || len(job.Name) > 255 {
		return fmt.Errorf("%w: a job needs a name of 1 to 255 bytes, it has %d", hardware.ErrNothingDone, len(job.Name))
	}
	return nil
}

// made reads the job that an answer names.
func made(reply Message, name string) (hardware.JobRef, error) {
	for _, g := range reply.Groups {
		if g.Tag == TagJob {
			ref := refOf(g)
			ref.Name = name
			return ref, nil
		}
	}
	return hardware.JobRef{}, fmt.Errorf("%w: the printer took a job and did not name it", ErrMalformed)
}

func refOf(g Group) hardware.JobRef {
	id, _ := g.Find("job-id")
	uuid, _ := g.Find("job-uuid")
	name, _ := g.Find("job-name")
	n, _ := id.Int()
	return hardware.JobRef{ID: n, UUID: uuid.Text(), Name: name.Text()}
}

// JobStatus asks how far a job is. A job of another name under the same number, as
// after a printer's restart, is hardware.ErrNoJob.
func (c *Client) JobStatus(ctx context.Context, ref hardware.JobRef) (hardware.JobStatus, error) {
	m := c.request(OpGetJobAttributes, Ints(TagInteger, "job-id", ref.ID), Strings(TagName, "requesting-user-name", "rasid"),
		Strings(TagKeyword, "requested-attributes", "job-id", "job-uuid", "job-name", "job-state", "job-state-reasons", "number-of-documents", "job-impressions-completed"))
	reply, err := c.call(ctx, m, nil)
	if err != nil {
		return hardware.JobStatus{}, err
	}
	for _, g := range reply.Groups {
		if g.Tag != TagJob {
			continue
		}
		got := refOf(g)
		if got.Name != ref.Name || ref.UUID != "" && got.UUID != "" && got.UUID != ref.UUID {
			return hardware.JobStatus{}, fmt.Errorf("%w: its number %d is that of %q now", hardware.ErrNoJob, ref.ID, got.Name)
		}
		return statusOf(g, got), nil
	}
	return hardware.JobStatus{}, fmt.Errorf("%w: no job in the answer", ErrMalformed)
}

// statusOf reads the state of a job. A created job without a document is pending or
// held on the wire; only its reasons tell it from one that waits for its turn.
func statusOf(g Group, ref hardware.JobRef) hardware.JobStatus {
	state, _ := g.Find("job-state")
	n, _ := state.Int()
	reasons, _ := g.Find("job-state-reasons")
	s := hardware.JobStatus{Ref: ref, State: stateOf(n), Reasons: reasons.Texts()}
	documents, _ := g.Find("number-of-documents")
	pages, _ := g.Find("job-impressions-completed")
	held, told := documents.Int()
	out, _ := pages.Int()
	s.Blank = told && held == 0 && out == 0
	if s.State == hardware.JobPending && (s.Blank || slices.Contains(s.Reasons, "job-incoming") || slices.Contains(s.Reasons, "job-data-insufficient")) {
		s.State = hardware.JobIncoming
	}
	return s
}

func stateOf(n int32) hardware.JobState {
	switch n {
	case jobPending, jobHeld:
		return hardware.JobPending
	case jobProcessing:
		return hardware.JobProcessing
	case jobStopped:
		return hardware.JobStopped
	case jobCanceled:
		return hardware.JobCanceled
	case jobAborted:
		return hardware.JobAborted
	case jobCompleted:
		return hardware.JobCompleted
	}
	return hardware.JobUnknown
}

// Find returns the jobs of the name that the printer has or remembers, oldest first.
// It asks for what is not completed first: a job that comes out meanwhile is then in
// both answers, where the other order would have it in neither.
func (c *Client) Find(ctx context.Context, name string) ([]hardware.JobRef, error) {
	var found []hardware.JobRef
	for _, which := range []string{"not-completed", "completed"} {
		m := c.request(OpGetJobs, Strings(TagName, "requesting-user-name", "rasid"), Strings(TagKeyword, "which-jobs", which), Bool("my-jobs", false),
			Strings(TagKeyword, "requested-attributes", "job-id", "job-uuid", "job-name", "job-state"))
		reply, err := c.call(ctx, m, nil)
		if err != nil {
			return nil, err
		}
		for _, g := range reply.Groups {
			if ref := refOf(g); g.Tag == TagJob && ref.Name == name {
				found = append(found, ref)
			}
		}
	}
	slices.SortFunc(found, func(a, b hardware.JobRef) int { return int(a.ID) - int(b.ID) })
	return slices.CompactFunc(found, func(a, b hardware.JobRef) bool { return a.ID == b.ID }), nil
}

// Cancel asks the printer to drop a job. A printer without paper may keep it until
// paper comes; do not wait for it.
func (c *Client) Cancel(ctx context.Context, ref hardware.JobRef) error {
	_, err := c.call(ctx, c.request(OpCancelJob, Ints(TagInteger, "job-id", ref.ID), Strings(TagName, "requesting-user-name", "rasid")), nil)
	return err
}
