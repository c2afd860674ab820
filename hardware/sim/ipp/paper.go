package ipp

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Job states on the wire (RFC 8011 §5.3.7).
const (
	pending    int32 = 3
	processing int32 = 5
	canceled   int32 = 7
	aborted    int32 = 8
	completed  int32 = 9
)

// job is guarded by the printer's mu.
type job struct {
	id       int32
	name     string
	uuid     string
	state    int32
	open     bool // a Create-Job that waits for its document
	stopping bool // canceled, but it holds the printer
	data     []byte

	documents int // that it was given, 0 or 1
	of, out   int // pages of the document, and out of the printer
	sheet     int // its index among the sheets, once out > 0

	created, begun, ended time.Time
}

// take gives the job its document. The caller holds mu.
func (j *job) take(document []byte) { j.data, j.of, j.documents = document, pages(document), 1 }

// end finishes the job. The caller holds mu.
func (j *job) end(state int32, now time.Time) {
	j.state, j.open, j.stopping, j.data, j.ended = state, false, false, nil, now
}

// step moves one page, or settles one job, and reports whether there may be more to
// do. It moves nothing without paper and in a jam; what makes that pass wakes engine.
func (p *Printer) step(ctx context.Context) bool {
	p.mu.Lock()
	j := p.next()
	if j == nil || !p.on || p.jammed {
		p.mu.Unlock()
		return false
	}
	if j.state == pending {
		j.state, j.begun = processing, p.cfg.Now()
	}
	if p.paper == 0 {
		p.mu.Unlock()
		p.control.Publish("out-of-paper", map[string]any{"job": j.name})
		return false
	}
	if j.stopping {
		j.end(canceled, p.cfg.Now())
		p.mu.Unlock()
		p.control.Publish("canceled", map[string]any{"job": j.name})
		return true
	}
	sheet, err := p.page(j)
	boot := p.boots
	if err != nil {
		j.end(aborted, p.cfg.Now())
		p.mu.Unlock()
		p.cfg.Log.Error("a job was aborted", "job", j.name, "error", err)
		p.control.Publish("aborted", map[string]any{"job": j.name})
		return true
	}
	p.mu.Unlock()
	p.control.Publish("page", sheet)
	if sheet.Pages < sheet.Of {
		return true
	}
	p.control.Publish("sheet", sheet)
	return p.complete(ctx, j, boot)
}

// complete tells that a job is done, after the pause between paper and word. A
// printer switched off meanwhile has forgotten the job.
func (p *Printer) complete(ctx context.Context, j *job, boot int) bool {
	if p.control.At(ctx, BeforeComplete) != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.boots != boot {
		return true
	}
	if j.stopping { // too late: the paper is out, the printer says canceled all the same
		j.end(canceled, p.cfg.Now())
		p.control.Publish("canceled", map[string]any{"job": j.name})
		return true
	}
	j.end(completed, p.cfg.Now())
	p.control.Publish("completed", map[string]any{"job": j.name})
	return true
}

// next is the job whose turn it is. The caller holds mu.
func (p *Printer) next() *job {
	for _, j := range p.jobs {
		if (j.state == pending || j.state == processing) && !j.open {
			return j
		}
	}
	return nil
}

// page moves one page of the job into the tray. The caller holds mu.
func (p *Printer) page(j *job) (Sheet, error) {
	if j.out == 0 {
		sheet, err := p.keep(j)
		if err != nil {
			return Sheet{}, err
		}
		j.sheet = len(p.sheets)
		p.sheets = append(p.sheets, sheet)
	}
	p.paper--
	j.out++
	p.sheets[j.sheet].Pages = j.out
	return p.sheets[j.sheet], nil
}

// keep writes a sheet to the spool folder, whole or not at all. It is numbered by its
// place in the tray, not by its job: jobs' numbers begin again after a power cut, and
// paper does not vanish. The caller holds mu.
func (p *Printer) keep(j *job) (Sheet, error) {
	if len(p.sheets) >= sheetsMax {
		return Sheet{}, fmt.Errorf("the spool folder holds %d sheets: empty it", sheetsMax)
	}
	safe := strings.Map(func(r rune) rune {
		if r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, j.name)
	name := fmt.Sprintf("%04d-%s.pdf", len(p.sheets)+1, safe[:min(len(safe), nameMax)])
	temp := filepath.Join(p.cfg.Spool, "."+name)
	if err := os.WriteFile(temp, j.data, 0o644); err != nil {
		return Sheet{}, fmt.Errorf("couldn't keep the sheet of %s: %w", j.name, err)
	}
	if err := os.Rename(temp, filepath.Join(p.cfg.Spool, name)); err != nil {
		return Sheet{}, fmt.Errorf("couldn't keep the sheet of %s: %w", j.name, err)
	}
	return Sheet{Name: j.name, File: name, Of: j.of}, nil
}

// nameMax bounds the part of a file's name that is the job's.
const nameMax = 120

// tray finds the sheets of an earlier run, in order, under the names that their
// files have. A folder with other files is refused: a number taken twice would write
// over paper.
func tray(spool string) ([]Sheet, error) {
	files, err := os.ReadDir(spool)
	if err != nil {
		return nil, fmt.Errorf("couldn't read the spool folder: %w", err)
	}
	var sheets []Sheet
	for _, f := range files { // by name, so by number
		if strings.HasPrefix(f.Name(), ".") {
			continue // a sheet that was being written when the printer was killed
		}
		name, isPDF := strings.CutSuffix(f.Name(), ".pdf")
		name, inOrder := strings.CutPrefix(name, fmt.Sprintf("%04d-", len(sheets)+1))
		if !isPDF || !inOrder {
			return nil, fmt.Errorf("the spool folder %s holds %s, which is not its sheet %d: name an empty folder", spool, f.Name(), len(sheets)+1)
		}
		document, err := os.ReadFile(filepath.Join(spool, f.Name()))
		if err != nil {
			return nil, fmt.Errorf("couldn't read a sheet: %w", err)
		}
		n := pages(document)
		sheets = append(sheets, Sheet{Name: name, File: f.Name(), Pages: n, Of: n})
	}
	return slices.Clip(sheets), nil
}

// pages counts a document's pages by their dictionaries. One whose dictionaries are
// compressed, or that is no PDF, counts as one page.
func pages(document []byte) int {
	found := regexp.MustCompile(`/Type\s*/Page[^A-Za-z]`).FindAllIndex(document, pagesMax)
	return max(1, len(found))
}

// urn is the same for the same words: the printer's own name, and one for each job.
func urn(words ...string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(strings.Join(words, "\x00"))).URN()
}
