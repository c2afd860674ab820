package ipp

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	proto "rasid/hardware/ipp"
)

// openMax is how long a created job waits for its document (multiple-operation-time-out).
const openMax = time.Minute

// checkDocument says whether the printer would take such a document.
func checkDocument(m proto.Message, document []byte) uint16 {
	if f, ok := m.Find(proto.TagOperation, "document-format"); ok && f.Text() != "application/pdf" && f.Text() != "application/octet-stream" {
		return proto.StatusFormatNotSupported
	}
	if c, ok := m.Find(proto.TagOperation, "compression"); ok && c.Text() != "none" {
		return proto.StatusCompression
	}
	if len(document) > documentMaxBytes {
		return proto.StatusTooLarge
	}
	return proto.StatusOK
}

// printJob makes a job of a document (RFC 8011 §4.2.1).
func (p *Printer) printJob(ctx context.Context, m proto.Message, document []byte) (uint16, []proto.Group) {
	code := checkDocument(m, document)
	if code == proto.StatusOK && len(document) == 0 {
		code = proto.StatusBadRequest
	}
	if code != proto.StatusOK {
		return code, nil
	}
	if !p.received(ctx, m, OnSubmit) {
		return proto.StatusInternal, nil
	}
	p.mu.Lock()
	j := p.admit(m, len(document))
	if j == nil {
		p.mu.Unlock()
		return proto.StatusBusy, nil
	}
	j.take(document)
	group := p.jobGroup(j)
	p.mu.Unlock()
	return p.begin(ctx, group, j)
}

// createJob makes a job without a document (RFC 8011 §4.2.4).
func (p *Printer) createJob(ctx context.Context, m proto.Message) (uint16, []proto.Group) {
	if !p.received(ctx, m, OnCreate) {
		return proto.StatusInternal, nil
	}
	p.mu.Lock()
	j := p.admit(m, 0)
	if j == nil {
		p.mu.Unlock()
		return proto.StatusBusy, nil
	}
	j.open = true
	group := p.jobGroup(j)
	p.mu.Unlock()
	p.control.Publish("created", map[string]any{"job": j.name, "id": j.id})
	if p.control.At(ctx, AfterCreate) != nil {
		return proto.StatusInternal, nil
	}
	return proto.StatusOK, []proto.Group{group}
}

// sendDocument gives a created job its one document (RFC 8011 §4.3.1). Last and empty
// it closes the job; without any document that job ends at once.
func (p *Printer) sendDocument(ctx context.Context, m proto.Message, document []byte) (uint16, []proto.Group) {
	last, ok := m.Find(proto.TagOperation, "last-document")
	if !ok {
		return proto.StatusBadRequest, nil
	}
	if code := checkDocument(m, document); code != proto.StatusOK {
		return code, nil
	}
	if !p.received(ctx, m, OnSubmit) {
		return proto.StatusInternal, nil
	}
	p.mu.Lock()
	j := p.byID(m)
	code := proto.StatusOK
	switch {
	case j == nil:
		code = proto.StatusNotFound
	case !j.open:
		code = proto.StatusNotPossible
	case len(document) > 0 && j.data != nil:
		code = proto.StatusMultipleDocuments
	case p.busy || p.waiting()+len(document) > waitingMaxBytes:
		code = proto.StatusBusy
	}
	if code != proto.StatusOK {
		p.mu.Unlock()
		return code, nil
	}
	if len(document) > 0 {
		j.take(document)
	}
	if j.open = !last.IsTrue(); !j.open && j.data == nil {
		j.end(aborted, p.cfg.Now())
	}
	group := p.jobGroup(j)
	p.mu.Unlock()
	return p.begin(ctx, group, j)
}

// received is where the printer has a request whole and did nothing yet. It reports
// false if the sender went away while it stood at the point: then nothing comes of the
// request. At Late it goes on all the same.
func (p *Printer) received(ctx context.Context, m proto.Message, point string) bool {
	if p.control.At(outlive(ctx), Late) == nil && p.control.At(ctx, point) == nil {
		return true
	}
	name, _ := m.Find(proto.TagOperation, "job-name")
	p.control.Publish("sender-gone", map[string]any{"job": name.Text()})
	return false
}

// begin lets engine see the job, and answers its sender.
func (p *Printer) begin(ctx context.Context, group proto.Group, j *job) (uint16, []proto.Group) {
	p.control.Publish("job", map[string]any{"job": j.name, "id": j.id})
	p.wake()
	if p.control.At(ctx, BeforeAnswer) != nil {
		return proto.StatusInternal, nil
	}
	return proto.StatusOK, []proto.Group{group}
}

// admit adds a job, nil if the printer takes none now. The caller holds mu.
func (p *Printer) admit(m proto.Message, size int) *job {
	full := len(p.jobs) >= jobsMax
	if p.busy || !p.on || full && p.jobs[0].state < canceled || p.waiting()+size > waitingMaxBytes {
		return nil
	}
	name, _ := m.Find(proto.TagOperation, "job-name")
	j := &job{id: p.nextID, name: name.Text(), state: pending, created: p.cfg.Now()}
	j.uuid = urn(p.cfg.Spool, fmt.Sprint(p.started.UnixNano()), fmt.Sprint(p.boots), fmt.Sprint(j.id))
	p.nextID++
	if full {
		p.jobs = p.jobs[1:]
	}
	p.jobs = append(p.jobs, j)
	return j
}

// waiting is the size of all documents that wait. The caller holds mu.
func (p *Printer) waiting() int {
	n := 0
	for _, j := range p.jobs {
		n += len(j.data)
	}
	return n
}

// expire ends created jobs whose document never came; with any request is often enough.
func (p *Printer) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, j := range p.jobs {
		if j.open && p.cfg.Now().Sub(j.created) > openMax {
			j.end(aborted, p.cfg.Now())
		}
	}
}

// reason is the job's job-state-reasons. The caller holds mu.
func (p *Printer) reason(j *job) []string {
	switch {
	case j.open:
		return []string{"job-incoming"}
	case j.stopping && (p.paper == 0 || p.jammed):
		return []string{"processing-to-stop-point", "printer-stopped"}
	case j.stopping:
		return []string{"processing-to-stop-point"}
	case j.state == processing && (p.paper == 0 || p.jammed):
		return []string{"printer-stopped"}
	}
	return []string{map[int32]string{
		pending: "job-queued", processing: "job-printing", canceled: "job-canceled-by-user", aborted: "aborted-by-system", completed: "job-completed-successfully",
	}[j.state]}
}

// jobGroup describes a job. The caller holds mu.
func (p *Printer) jobGroup(j *job) proto.Group {
	at := func(name string, t time.Time) proto.Attribute {
		if t.IsZero() {
			return proto.Attribute{Name: name, Values: []proto.Value{{Tag: proto.TagNoValue}}}
		}
		return proto.Ints(proto.TagInteger, name, int32(t.Sub(p.started).Seconds())+1)
	}
	return proto.Group{Tag: proto.TagJob, Attributes: []proto.Attribute{
		proto.Strings(proto.TagURI, "job-uri", fmt.Sprintf("%s/%d", p.URI(), j.id)), proto.Ints(proto.TagInteger, "job-id", j.id),
		proto.Ints(proto.TagEnum, "job-state", j.state), proto.Strings(proto.TagKeyword, "job-state-reasons", p.reason(j)...),
		proto.Strings(proto.TagName, "job-name", j.name), proto.Strings(proto.TagURI, "job-uuid", j.uuid),
		proto.Strings(proto.TagURI, "job-printer-uri", p.URI()), proto.Strings(proto.TagName, "job-originating-user-name", "rasid"),
		proto.Ints(proto.TagInteger, "job-printer-up-time", int32(p.upSeconds())), proto.Ints(proto.TagInteger, "job-impressions-completed", int32(j.out)),
		proto.Ints(proto.TagInteger, "number-of-documents", int32(j.documents)),
		at("time-at-creation", j.created), at("time-at-processing", j.begun), at("time-at-completed", j.ended),
	}}
}

// byID finds the job that the request is about. The caller holds mu.
func (p *Printer) byID(m proto.Message) *job {
	a, _ := m.Find(proto.TagOperation, "job-id")
	id, ok := a.Int()
	if !ok {
		uri, _ := m.Find(proto.TagOperation, "job-uri")
		n, err := strconv.Atoi(filepath.Base(uri.Text()))
		if err != nil {
			return nil
		}
		id = int32(n)
	}
	for _, j := range p.jobs {
		if j.id == id {
			return j
		}
	}
	return nil
}

func (p *Printer) describe(m proto.Message) (uint16, []proto.Group) {
	p.mu.Lock()
	defer p.mu.Unlock()
	j := p.byID(m)
	if j == nil {
		return proto.StatusNotFound, nil
	}
	g := p.jobGroup(j)
	g.Attributes = wanted(m, g.Attributes)
	return proto.StatusOK, []proto.Group{g}
}

// list answers Get-Jobs: what waits in order, what is done newest first (RFC 8011
// §4.2.6); unasked only number and URI.
func (p *Printer) list(m proto.Message) []proto.Group {
	which, _ := m.Find(proto.TagOperation, "which-jobs")
	done := which.Text() == "completed"
	limit := int32(jobsMax)
	if a, ok := m.Find(proto.TagOperation, "limit"); ok {
		limit, _ = a.Int()
	}
	_, asked := m.Find(proto.TagOperation, "requested-attributes")
	p.mu.Lock()
	defer p.mu.Unlock()
	var groups []proto.Group
	for i := range p.jobs {
		j := p.jobs[i]
		if done {
			j = p.jobs[len(p.jobs)-1-i]
		}
		if done != (j.state >= canceled) || int32(len(groups)) >= limit {
			continue
		}
		g := p.jobGroup(j)
		if g.Attributes = wanted(m, g.Attributes); !asked {
			g.Attributes = g.Attributes[:2]
		}
		groups = append(groups, g)
	}
	return groups
}

// cancel drops a job that waits. One that is being printed, or stands without paper,
// is dropped when the printer can move again: nobody may wait for that.
func (p *Printer) cancel(m proto.Message) uint16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	j := p.byID(m)
	switch {
	case j == nil:
		return proto.StatusNotFound
	case j.state >= canceled || j.stopping:
		return proto.StatusNotPossible
	case j.state == processing:
		j.stopping = true
		p.wake()
	default:
		j.end(canceled, p.cfg.Now())
	}
	return proto.StatusOK
}
