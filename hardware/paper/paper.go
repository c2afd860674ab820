// Package paper draws a page in Hindi and English: correctly shaped Devanagari,
// selectable text, a QR code that reads. It knows nothing of payments: a page is
// blocks. The same page always gives the same bytes.
package paper

import "fmt"

// Limits of a page.
const (
	blocksMax    = 200
	textMaxBytes = 2000
)

// Page is one A4 sheet.
type Page struct {
	Title  string // of the document, for its properties
	Band   string // across the top, such as "DUPLICATE 2"; empty for none
	Blocks []Block
}

// Block is one piece of a page, from top to bottom. Exactly the types below
// implement it.
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
}

// Row is a label with its translation on the left and a value on the right.
type Row struct {
	Label, Sub, Value string
	Strong            bool // large, for what the page is about
}

// Rule is a thin line across.
type Rule struct{}

// QR is a QR code of level M on the right, with blocks beside it on the left.
type QR struct {
	Text string
	Side []Block
}

func (Heading) block() {}
func (Status) block()  {}
func (Text) block()    {}
func (Row) block()     {}
func (Rule) block()    {}
func (QR) block()      {}

// Document is a page that was laid out.
type Document struct {
	title string
	ops   []op
	faces []*face
}

// Render lays a page out. An error names what does not fit or cannot be drawn.
func Render(p Page) (*Document, error) {
	if len(p.Blocks) > blocksMax {
		return nil, fmt.Errorf("couldn't lay out %q: %d blocks, the limit is %d", p.Title, len(p.Blocks), blocksMax)
	}
	s, err := newShaper()
	if err != nil {
		return nil, err
	}
	l := layout{shaper: s, left: marginPt, right: pageWidthPt - marginPt, y: pageHeightPt - marginPt}
	if err := l.band(p.Band); err != nil {
		return nil, fmt.Errorf("couldn't lay out %q: %w", p.Title, err)
	}
	if err := l.blocks(p.Blocks); err != nil {
		return nil, fmt.Errorf("couldn't lay out %q: %w", p.Title, err)
	}
	return &Document{title: p.Title, ops: l.ops, faces: []*face{s.regular, s.bold}}, nil
}
