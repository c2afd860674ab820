// Package paper draws a page in Hindi and English: correctly shaped Devanagari,
// selectable text, a QR code that reads. It knows nothing of payments: a page is
// blocks. The same page always gives the same bytes.
package paper

import (
	"fmt"

	"golang.org/x/text/unicode/norm"
)

// Limits of a page. Nothing beyond them is drawn, and nothing is cut off in silence.
const (
	blocksMax    = 200
	textMaxBytes = 2000
	columnsMax   = 6
	sideMinMM    = 100
	sideMaxMM    = 450
)

// Page is one sheet. What does not fit on it is an error and never a second sheet:
// of two, one gets lost, and half a receipt proves nothing.
type Page struct {
	Title             string // of the document, for its properties
	Band              string // across the top, such as "DUPLICATE 2"; empty for none
	Blocks            []Block
	WidthMM, HeightMM float64 // both 0 for A4; 100 to 450
}

// Block is one piece of a page, from top to bottom. Exactly the types below
// implement it. Texts are drawn in NFC, broken into lines where Unicode lets them be
// (UAX #14), and hold no control characters.
type Block interface{ block() }

// Heading is a large line with a smaller one under it.
type Heading struct{ Text, Sub string }

// Status is a framed sentence that must be seen.
type Status struct{ Text, Sub string }

// Text is a paragraph.
type Text struct {
	Text  string
	Bold  bool
	Small bool
	Align Align
}

// Align is where the lines of a paragraph stand.
type Align uint8

// Left is the default.
const (
	Left Align = iota
	Centre
	Right
)

// Row is a label with its translation on the left and a value on the right.
type Row struct {
	Label, Sub, Value string
	Strong            bool // large, for what the page is about
}

// Table is rows of cells under a head. The first column stands left, the others
// right, as amounts do. Every row has as many cells as the head, at most 6.
type Table struct {
	Head []string
	Rows [][]string
}

// Rule is a thin line across.
type Rule struct{}

// QR is a QR code of level M on the right, with blocks beside it on the left; with
// none beside it, it stands in the middle.
type QR struct {
	Text string
	Side []Block
}

func (Heading) block() {}
func (Status) block()  {}
func (Text) block()    {}
func (Row) block()     {}
func (Table) block()   {}
func (Rule) block()    {}
func (QR) block()      {}

// Document is a page that was laid out. Its methods may be called concurrently.
type Document struct {
	title         string
	width, height float64 // in points
	ops           []op
	faces         []*face
}

// Render lays a page out. An error names what does not fit or cannot be drawn. It
// may be called concurrently.
func Render(p Page) (*Document, error) {
	d, err := render(p)
	if err != nil {
		return nil, fmt.Errorf("couldn't lay out the page %.80q: %w", p.Title, err)
	}
	return d, nil
}

func render(p Page) (*Document, error) {
	width, height, err := p.size()
	if err != nil {
		return nil, err
	}
	if n := count(p.Blocks); n > blocksMax {
		return nil, fmt.Errorf("%d blocks, the limit is %d: leave some out", n, blocksMax)
	}
	title := norm.NFC.String(p.Title)
	if err := allowed(title); err != nil {
		return nil, fmt.Errorf("its title: %w", err)
	}
	s, err := newShaper()
	if err != nil {
		return nil, err
	}
	l := layout{shaper: s, width: width, height: height, left: marginPt, right: width - marginPt, y: height - marginPt}
	if err := l.band(p.Band); err != nil {
		return nil, fmt.Errorf("its band: %w", err)
	}
	if err := l.blocks(p.Blocks); err != nil {
		return nil, err
	}
	return &Document{title: title, width: width, height: height, ops: l.ops, faces: []*face{s.regular, s.bold}}, nil
}

// size is the sheet's in points.
func (p Page) size() (width, height float64, err error) {
	if p.WidthMM == 0 && p.HeightMM == 0 {
		return 595.28, 841.89, nil
	}
	for _, side := range []float64{p.WidthMM, p.HeightMM} {
		if !(side >= sideMinMM && side <= sideMaxMM) {
			return 0, 0, fmt.Errorf("a sheet of %g × %g mm: want %d to %d mm each way, or 0 × 0 for A4", p.WidthMM, p.HeightMM, sideMinMM, sideMaxMM)
		}
	}
	return p.WidthMM * mmPt, p.HeightMM * mmPt, nil
}

// count counts blocks, those beside a QR code and the rows of tables too.
func count(blocks []Block) int {
	n := len(blocks)
	for _, b := range blocks {
		switch b := b.(type) {
		case QR:
			n += count(b.Side)
		case Table:
			n += len(b.Rows)
		}
	}
	return n
}
