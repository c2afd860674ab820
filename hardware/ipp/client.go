package ipp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
	// ErrBusy is returned when the printer takes no job now; the job does not exist.
	ErrBusy = errors.New("the printer is busy")
	// ErrUnreachable is returned when no answer came: whether the printer acted is unknown.
	ErrUnreachable = errors.New("the printer does not answer")
	// ErrNoJob is returned when the printer does not know the job.
	ErrNoJob = errors.New("the printer does not know the job")
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
		return Message{}, fmt.Errorf("%w: %w", ErrUnreachable, err)
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

func (c *Client) httpError(answer *http.Response) error {
	switch {
	case answer.StatusCode == http.StatusRequestEntityTooLarge:
		return fmt.Errorf("the document is too large for the printer at %s", c.uri)
	case answer.StatusCode >= 500:
		return fmt.Errorf("the printer at %s fails with HTTP %s: switch it off and on", c.uri, answer.Status)
	}
	return fmt.Errorf("the printer at %s answers HTTP %s: is the address right?", c.uri, answer.Status)
}

func statusError(m Message) error {
	switch {
	case m.Code < 0x0100:
		return nil
	case m.Code == StatusBusy:
		return ErrBusy
	case m.Code == StatusNotFound:
		return ErrNoJob
	}
	text, _ := m.Find(TagOperation, "status-message")
	return fmt.Errorf("the printer refuses with status 0x%04x %s", m.Code, text.Text())
}

// Status asks the printer how it is.
func (c *Client) Status(ctx context.Context) (hardware.PrinterStatus, error) {
	wanted := Strings(TagKeyword, "requested-attributes", "printer-state", "printer-state-reasons", "printer-is-accepting-jobs", "printer-up-time", "printer-uuid")
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
	if reasons, ok := m.Find(TagPrinter, "printer-state-reasons"); ok {
		s.Reasons = bareReasons(reasons.Texts())
		s.Paper = paperOf(s.Reasons)
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

// Submit sends a document. After ErrUnreachable the job may or may not exist: ask
// Find before anything is sent again.
func (c *Client) Submit(ctx context.Context, job hardware.PrintJob) (hardware.JobRef, error) {
	if len(job.Document) > documentMaxBytes {
		return hardware.JobRef{}, fmt.Errorf("the document has %d bytes, the limit is %d", len(job.Document), documentMaxBytes)
	}
	if job.Name == "" || len(job.Name) > 255 {
		return hardware.JobRef{}, fmt.Errorf("a job needs a name of 1 to 255 bytes, it has %d", len(job.Name))
	}
	m := c.request(OpPrintJob, Strings(TagName, "requesting-user-name", "rasid"), Strings(TagName, "job-name", job.Name), Strings(TagMIME, "document-format", job.MIME))
	reply, err := c.call(ctx, m, job.Document)
	if err != nil {
		return hardware.JobRef{}, err
	}
	for _, g := range reply.Groups {
		if g.Tag == TagJob {
			ref := refOf(g)
			ref.Name = job.Name
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
// after a printer's restart, is ErrNoJob.
func (c *Client) JobStatus(ctx context.Context, ref hardware.JobRef) (hardware.JobStatus, error) {
	m := c.request(OpGetJobAttributes, Ints(TagInteger, "job-id", ref.ID), Strings(TagName, "requesting-user-name", "rasid"),
		Strings(TagKeyword, "requested-attributes", "job-id", "job-uuid", "job-name", "job-state", "job-state-reasons"))
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
			return hardware.JobStatus{}, fmt.Errorf("%w: its number %d is that of %q now", ErrNoJob, ref.ID, got.Name)
		}
		state, _ := g.Find("job-state")
		n, _ := state.Int()
		reasons, _ := g.Find("job-state-reasons")
		return hardware.JobStatus{Ref: got, State: stateOf(n), Reasons: reasons.Texts()}, nil
	}
	return hardware.JobStatus{}, fmt.Errorf("%w: no job in the answer", ErrMalformed)
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
