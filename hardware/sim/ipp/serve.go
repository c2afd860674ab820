package ipp

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"

	proto "rasid/hardware/ipp"
)

// routes serves IPP by POST, and the sheets that came out by GET for whoever wants
// to look at the tray: / is the State, /sheet/N.pdf and /sheet/last.pdf are the paper.
func (p *Printer) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ipp/print", p.post)
	mux.HandleFunc("GET /sheet/{n}", func(w http.ResponseWriter, r *http.Request) {
		s, which := p.State(), strings.TrimSuffix(r.PathValue("n"), ".pdf")
		n, err := strconv.Atoi(which)
		if which == "last" {
			n, err = len(s.Sheets), nil
		}
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
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		http.Error(w, "the document is too large: 8 MiB is the limit", http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		http.Error(w, "the request ended too early", http.StatusBadRequest)
		return
	}
	request, document, err := proto.Decode(body)
	reply := proto.Message{Major: 2, Code: proto.StatusBadRequest}
	if err == nil {
		reply = p.answer(r.Context(), request, document)
	} else if len(body) >= 8 {
		reply.RequestID = binary.BigEndian.Uint32(body[4:]) // so that the sender knows what was bad
	}
	reply.Groups = append([]proto.Group{{Tag: proto.TagOperation, Attributes: []proto.Attribute{
		proto.Strings(proto.TagCharset, "attributes-charset", "utf-8"), proto.Strings(proto.TagLanguage, "attributes-natural-language", "en"),
	}}}, reply.Groups...)
	raw, err := reply.Encode()
	if err != nil {
		http.Error(w, "internal", http.StatusInternalServerError)
		return
	}
	if p.loses(request.Code) {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
		return
	}
	w.Header().Set("Content-Type", "application/ipp")
	_, _ = w.Write(raw) // the sender went away
}

// loses reports whether this answer is to be lost: the next one to a document or to a
// Create-Job, as told, or any while the printer is off.
func (p *Printer) loses(op uint16) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drop && (op == proto.OpPrintJob || op == proto.OpSendDocument) {
		p.drop = false
		return true
	}
	if p.dropNew && op == proto.OpCreateJob {
		p.dropNew = false
		return true
	}
	return !p.on
}

func (p *Printer) answer(ctx context.Context, m proto.Message, document []byte) proto.Message {
	reply := proto.Message{Major: 2, RequestID: m.RequestID}
	switch m.Major {
	case 1:
		reply.Major, reply.Minor = 1, 1
	case 2:
	default:
		reply.Code = proto.StatusVersion
		return reply
	}
	if code := checkOperation(m); code != proto.StatusOK {
		reply.Code = code
		return reply
	}
	p.expire()
	if p.lacks(m.Code) {
		reply.Code = proto.StatusNotSupported
		return reply
	}
	switch m.Code {
	case proto.OpGetPrinterAttributes:
		reply.Groups = []proto.Group{{Tag: proto.TagPrinter, Attributes: wanted(m, p.attributes())}}
	case proto.OpValidateJob:
		reply.Code = checkDocument(m, document)
	case proto.OpPrintJob:
		reply.Code, reply.Groups = p.printJob(ctx, m, document)
	case proto.OpCreateJob:
		reply.Code, reply.Groups = p.createJob(ctx, m)
	case proto.OpSendDocument:
		reply.Code, reply.Groups = p.sendDocument(ctx, m, document)
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

// lacks reports whether this printer has the operation not, though others of ours do.
func (p *Printer) lacks(op uint16) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.simple && (op == proto.OpCreateJob || op == proto.OpSendDocument)
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
