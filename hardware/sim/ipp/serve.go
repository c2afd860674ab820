package ipp

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"

	proto "rasid/hardware/ipp"
)

// routes serves IPP by POST, and the sheets that came out by GET for whoever wants
// to look at the tray.
func (p *Printer) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ipp/print", p.post)
	mux.HandleFunc("GET /sheet/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("n"))
		s := p.State()
		if err != nil || n < 1 || n > len(s.Sheets) {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/pdf")
		http.ServeFile(w, r, filepath.Join(p.cfg.Spool, s.Sheets[n-1].File))
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(p.State()) // the looker went away
	})
	return mux
}

func (p *Printer) post(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != "application/ipp" {
		http.Error(w, "this is a printer: send application/ipp", http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, documentMaxBytes+(256<<10)))
	if err != nil {
		http.Error(w, "the document is too large", http.StatusRequestEntityTooLarge)
		return
	}
	request, document, err := proto.Decode(body)
	reply := proto.Message{Major: 2, Code: proto.StatusBadRequest, RequestID: 1}
	if err == nil {
		reply = p.answer(r, request, document)
	}
	reply.Groups = append([]proto.Group{{Tag: proto.TagOperation, Attributes: []proto.Attribute{
		proto.Strings(proto.TagCharset, "attributes-charset", "utf-8"), proto.Strings(proto.TagLanguage, "attributes-natural-language", "en"),
	}}}, reply.Groups...)
	raw, err := reply.Encode()
	if err != nil {
		http.Error(w, "internal", http.StatusInternalServerError)
		return
	}
	if p.loses() {
		panic(http.ErrAbortHandler) // net/http's own way to cut the connection: the answer is lost
	}
	w.Header().Set("Content-Type", "application/ipp")
	_, _ = w.Write(raw) // the sender went away
}

// loses reports whether this answer is to be lost, or the printer is off by now.
func (p *Printer) loses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	lost := p.drop || !p.on
	p.drop = false
	return lost
}

func (p *Printer) answer(r *http.Request, m proto.Message, document []byte) proto.Message {
	reply := proto.Message{Major: m.Major, Minor: m.Minor, RequestID: m.RequestID}
	if m.Major != 1 && m.Major != 2 {
		reply.Major, reply.Minor, reply.Code = 2, 0, proto.StatusVersion
		return reply
	}
	if code := checkOperation(m); code != proto.StatusOK {
		reply.Code = code
		return reply
	}
	switch m.Code {
	case proto.OpGetPrinterAttributes:
		reply.Groups = []proto.Group{{Tag: proto.TagPrinter, Attributes: wanted(m, p.attributes())}}
	case proto.OpPrintJob, proto.OpValidateJob:
		reply.Code, reply.Groups = p.take(r, m, document)
	case proto.OpGetJobAttributes:
		reply.Code, reply.Groups = p.describe(m)
	case proto.OpGetJobs:
		reply.Groups = p.list(m)
	case proto.OpCancelJob:
		reply.Code = p.cancel(m)
	default:
		reply.Code = proto.StatusNotSupported
	}
	return reply
}

// checkOperation demands what RFC 8011 §4.1.4 demands of every request.
func checkOperation(m proto.Message) uint16 {
	if m.RequestID == 0 || len(m.Groups) == 0 || m.Groups[0].Tag != proto.TagOperation || len(m.Groups[0].Attributes) < 2 {
		return proto.StatusBadRequest
	}
	first := m.Groups[0].Attributes
	if first[0].Name != "attributes-charset" || first[1].Name != "attributes-natural-language" {
		return proto.StatusBadRequest
	}
	if c := first[0].Text(); c != "utf-8" && c != "us-ascii" {
		return proto.StatusCharset
	}
	if _, ok := m.Find(proto.TagOperation, "printer-uri"); !ok {
		if _, ok := m.Find(proto.TagOperation, "job-uri"); !ok {
			return proto.StatusBadRequest
		}
	}
	return proto.StatusOK
}

// take accepts a document and makes a job of it.
func (p *Printer) take(r *http.Request, m proto.Message, document []byte) (uint16, []proto.Group) {
	if f, ok := m.Find(proto.TagOperation, "document-format"); ok && f.Text() != "application/pdf" && f.Text() != "application/octet-stream" {
		return proto.StatusFormatNotSupported, nil
	}
	if len(document) > documentMaxBytes {
		return proto.StatusTooLarge, nil
	}
	if m.Code == proto.OpValidateJob {
		return proto.StatusOK, nil
	}
	if len(document) == 0 {
		return proto.StatusBadRequest, nil
	}
	if p.control.At(r.Context(), OnSubmit) != nil {
		return proto.StatusInternal, nil
	}
	p.mu.Lock()
	if p.busy || !p.on || len(p.jobs) >= jobsMax && p.jobs[0].state < 7 {
		p.mu.Unlock()
		return proto.StatusBusy, nil
	}
	name, _ := m.Find(proto.TagOperation, "job-name")
	j := &job{id: p.nextID, name: name.Text(), state: 3, data: document}
	j.uuid = urn(p.cfg.Spool, fmt.Sprint(p.boots), fmt.Sprint(j.id))
	p.nextID++
	if len(p.jobs) >= jobsMax {
		p.jobs = p.jobs[1:]
	}
	p.jobs = append(p.jobs, j)
	group := p.jobGroup(j)
	p.mu.Unlock()
	p.control.Publish("job", map[string]any{"job": j.name, "id": j.id})
	p.wake()
	if p.control.At(r.Context(), BeforeAnswer) != nil {
		return proto.StatusInternal, nil
	}
	return proto.StatusOK, []proto.Group{group}
}

// jobGroup describes a job. The caller holds mu.
func (p *Printer) jobGroup(j *job) proto.Group {
	reason := map[int32]string{3: "job-queued", 5: "job-printing", 7: "job-canceled-by-user", 8: "aborted-by-system", 9: "job-completed-successfully"}[j.state]
	if j.state == 5 && (p.paper == 0 || p.jammed) {
		reason = "printer-stopped"
	}
	done := int32(0)
	if j.state == 9 {
		done = 1
	}
	return proto.Group{Tag: proto.TagJob, Attributes: []proto.Attribute{
		proto.Strings(proto.TagURI, "job-uri", fmt.Sprintf("%s/%d", p.URI(), j.id)), proto.Ints(proto.TagInteger, "job-id", j.id),
		proto.Ints(proto.TagEnum, "job-state", j.state), proto.Strings(proto.TagKeyword, "job-state-reasons", reason),
		proto.Strings(proto.TagName, "job-name", j.name), proto.Strings(proto.TagURI, "job-uuid", j.uuid),
		proto.Strings(proto.TagURI, "job-printer-uri", p.URI()), proto.Strings(proto.TagName, "job-originating-user-name", "rasid"),
		proto.Ints(proto.TagInteger, "job-printer-up-time", int32(p.upSeconds())), proto.Ints(proto.TagInteger, "job-impressions-completed", done),
	}}
}

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

func (p *Printer) list(m proto.Message) []proto.Group {
	p.mu.Lock()
	defer p.mu.Unlock()
	which, _ := m.Find(proto.TagOperation, "which-jobs")
	var groups []proto.Group
	for _, j := range p.jobs {
		if (which.Text() == "completed") != (j.state >= 7) {
			continue
		}
		g := p.jobGroup(j)
		g.Attributes = wanted(m, g.Attributes)
		groups = append(groups, g)
	}
	return groups
}

// cancel drops a job; one that holds paper in the path stays until it can move.
func (p *Printer) cancel(m proto.Message) uint16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	j := p.byID(m)
	switch {
	case j == nil:
		return proto.StatusNotFound
	case j.state >= 7:
		return proto.StatusNotPossible
	}
	j.state, j.data = 7, nil
	return proto.StatusOK
}

// wanted filters by requested-attributes. Group names ("all") give everything.
func wanted(m proto.Message, all []proto.Attribute) []proto.Attribute {
	asked, ok := m.Find(proto.TagOperation, "requested-attributes")
	if !ok {
		return all
	}
	names := map[string]bool{}
	for _, n := range asked.Texts() {
		if n == "all" || n == "printer-description" || n == "job-template" || n == "job-description" {
			return all
		}
		names[n] = true
	}
	var some []proto.Attribute
	for _, a := range all {
		if names[a.Name] {
			some = append(some, a)
		}
	}
	return some
}
