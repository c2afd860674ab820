package paper

import (
	"fmt"
	"slices"

	"rsc.io/qr"
)

// The shape of everything on a page, in points.
const (
	mmPt     = 72 / 25.4
	marginPt = 48
	bottomPt = marginPt / 2 // what is lower may be lost on a printer

	textPt    = 11
	smallPt   = 9
	headingPt = 24
	strongPt  = 17
	bandPt    = 15
	leading   = 1.5

	labelShare = 0.56 // of the width; a value takes the rest but the gap
	gapPt      = 12
	rowPt      = 2 // below a row or cell, so that no mark touches the line there
	apartPt    = 4 // before what begins a new thought

	modulePt    = 0.45 * mmPt // of a QR code: at least 0.4 mm
	quietModule = 4
)

// Gray levels: 0 is black.
const (
	grayBand  = 0.15
	graySub   = 0.3
	grayRule  = 0.6
	grayHair  = 0.85
	grayFrame = 0.93
)

// op is one thing to draw: a word, or a filled rectangle.
type op struct {
	word       *word
	face       *face
	x, y, size float64 // of a word: its baseline
	w, h       float64 // of a rectangle: x, y is its lower left corner
	gray       float64
	spaced     bool // a space follows, for who copies the text
}

type layout struct {
	*shaper
	width, height  float64 // of the sheet
	left, right, y float64
	ops            []op
}

func (l *layout) blocks(blocks []Block) error {
	for i, b := range blocks {
		if i > 0 {
			l.between(blocks[i-1], b)
		}
		if err := l.block(b); err != nil {
			return fmt.Errorf("block %d (%T): %w", i+1, b, err)
		}
		if l.y < bottomPt {
			return fmt.Errorf("block %d (%T) does not fit on one sheet: it ends %.0f mm below the last line; shorten the page", i+1, b, (bottomPt-l.y)/mmPt)
		}
	}
	return nil
}

// between leads the eye across rows, and parts a paragraph from the small print
// above it.
func (l *layout) between(before, b Block) {
	switch b := b.(type) {
	case Row:
		if r, ok := before.(Row); ok && !r.Strong && !b.Strong {
			l.rect(l.left, l.y, l.right-l.left, 0.5, grayHair)
		}
	case Text:
		t, ok := before.(Text)
		if small := ok && t.Small; small && !b.Small || !ok && b.Bold {
			l.y -= apartPt
		}
	}
}

func (l *layout) block(b Block) error {
	switch b := b.(type) {
	case Heading:
		if err := l.paragraph(b.Text, l.bold, headingPt, 0, Left); err != nil {
			return err
		}
		err := l.paragraph(b.Sub, l.regular, textPt+1, graySub, Left)
		l.y -= 6
		return err
	case Status:
		return l.status(b)
	case Text:
		f, size := l.regular, float64(textPt)
		if b.Bold {
			f = l.bold
		}
		if b.Small {
			size = smallPt
		}
		return l.paragraph(b.Text, f, size, 0, b.Align)
	case Row:
		return l.row(b)
	case Table:
		return l.table(b)
	case Rule:
		l.y -= 6
		l.rect(l.left, l.y, l.right-l.left, 0.8, grayRule)
		l.y -= 5
		return nil
	case QR:
		return l.code(b)
	}
	return fmt.Errorf("want one of this package's blocks")
}

func (l *layout) rect(x, y, w, h, gray float64) {
	l.ops = append(l.ops, op{x: x, y: y, w: w, h: h, gray: gray})
}

// put draws a line with its left end at x.
func (l *layout) put(ln line, f *face, size, x, y, gray float64) {
	scale := size / f.upem
	for i := range ln.words {
		w := &ln.words[i]
		if len(w.clusters) > 0 {
			l.ops = append(l.ops, op{word: w, face: f, x: x, y: y, size: size, gray: gray, spaced: w.space > 0 && i < len(ln.words)-1})
		}
		x += float64(w.advance+w.space) * scale
	}
}

// baseline is that of the nth line, from 0, of a text whose top is given.
func baseline(top, size float64, n int) float64 {
	return top - size*leading*float64(n+1) + size*(leading-1)*0.6
}

// stack draws lines under each other between two edges and returns where they end.
func (l *layout) stack(lines []line, f *face, size, gray float64, a Align, left, right, top float64) float64 {
	for i, ln := range lines {
		x := left
		switch a {
		case Centre:
			x = left + (right-left-ln.width)/2
		case Right:
			x = right - ln.width
		}
		l.put(ln, f, size, x, baseline(top, size, i), gray)
	}
	return top - size*leading*float64(len(lines))
}

func (l *layout) paragraph(text string, f *face, size, gray float64, a Align) error {
	if text == "" {
		return nil
	}
	if a > Right {
		return fmt.Errorf("unknown alignment %d", a)
	}
	lines, err := l.wrap(text, f, size, l.right-l.left)
	if err != nil {
		return err
	}
	l.y = l.stack(lines, f, size, gray, a, l.left, l.right, l.y)
	return nil
}

// row puts the label left and the value right; what is too long goes on below itself.
func (l *layout) row(r Row) error {
	size, face := float64(textPt), l.regular
	if r.Strong {
		size, face = strongPt, l.bold
	}
	labelWidth := (l.right - l.left) * labelShare
	label, err := l.wrap(r.Label, face, size, labelWidth)
	if err != nil {
		return err
	}
	value, err := l.wrap(r.Value, l.bold, size, l.right-l.left-labelWidth-gapPt)
	if err != nil {
		return err
	}
	top := l.y
	valueEnd := l.stack(value, l.bold, size, 0, Right, l.left, l.right, top)
	labelEnd := l.stack(label, face, size, 0, Left, l.left, l.right, top)
	if r.Sub != "" {
		if labelEnd, err = l.sub(r.Sub, label, size, labelWidth, top, labelEnd); err != nil {
			return err
		}
	}
	l.y = min(labelEnd, valueEnd) - rowPt
	return nil
}

// sub puts a label's translation behind it, or below where there is no room.
func (l *layout) sub(text string, label []line, size, width, top, end float64) (float64, error) {
	last := label[len(label)-1].width
	if last > 0 {
		last += 6
	}
	whole, err := l.wrap(text, l.regular, smallPt, width)
	if err != nil {
		return 0, err
	}
	if len(whole) == 1 && last+whole[0].width <= width {
		l.put(whole[0], l.regular, smallPt, l.left+last, baseline(top, size, len(label)-1), graySub)
		return end, nil
	}
	return l.stack(whole, l.regular, smallPt, graySub, Left, l.left, l.right, end), nil
}

// table gives every column the same width.
func (l *layout) table(t Table) error {
	n := len(t.Head)
	if n == 0 || n > columnsMax {
		return fmt.Errorf("a table of %d columns, want 1 to %d", n, columnsMax)
	}
	if err := l.cells(t.Head, n, l.regular, smallPt, graySub); err != nil {
		return err
	}
	l.rect(l.left, l.y, l.right-l.left, 0.8, grayRule)
	for i, row := range t.Rows {
		if len(row) != n {
			return fmt.Errorf("row %d of the table has %d cells, its head has %d", i+1, len(row), n)
		}
		if i > 0 {
			l.rect(l.left, l.y, l.right-l.left, 0.5, grayHair)
		}
		if err := l.cells(row, n, l.regular, textPt, 0); err != nil {
			return fmt.Errorf("row %d of the table: %w", i+1, err)
		}
	}
	l.rect(l.left, l.y, l.right-l.left, 0.8, grayRule)
	l.y -= 2
	return nil
}

func (l *layout) cells(texts []string, n int, f *face, size, gray float64) error {
	pitch := (l.right - l.left) / float64(n)
	end := l.y
	for i, text := range texts {
		lines, err := l.wrap(text, f, size, pitch-gapPt)
		if err != nil {
			return err
		}
		align, left := Right, l.left+pitch*float64(i)
		if i == 0 {
			align = Left
		}
		end = min(end, l.stack(lines, f, size, gray, align, left, left+pitch, l.y))
	}
	l.y = end - rowPt
	return nil
}

// status frames a sentence.
func (l *layout) status(s Status) error {
	l.y -= 4
	top := l.y
	inner := *l
	inner.ops, inner.left, inner.right = nil, l.left+12, l.right-12
	inner.y -= 4
	if err := inner.paragraph(s.Text, l.bold, 13, 0, Left); err != nil {
		return err
	}
	if err := inner.paragraph(s.Sub, l.regular, 10, graySub, Left); err != nil {
		return err
	}
	inner.y -= 6
	l.y = inner.y
	l.frame(l.left, l.y, l.right-l.left, top-l.y)
	l.ops = append(l.ops, inner.ops...)
	l.y -= 8
	return nil
}

func (l *layout) frame(x, y, w, h float64) {
	const t = 1.4
	l.rect(x, y, w, h, grayFrame)
	l.rect(x, y, w, t, 0)
	l.rect(x, y+h-t, w, t, 0)
	l.rect(x, y, t, h, 0)
	l.rect(x+w-t, y, t, h, 0)
}

// band is dark across the top, so that nobody takes a copy for the first paper.
func (l *layout) band(text string) error {
	if text == "" {
		return nil
	}
	lines, err := l.wrap(text, l.bold, bandPt, l.right-l.left)
	if err != nil {
		return err
	}
	height := bandPt*leading*float64(len(lines)) + 8
	l.rect(0, l.height-height, l.width, height, grayBand)
	l.stack(lines, l.bold, bandPt, 1, Centre, l.left, l.right, l.height-4)
	l.y = min(l.y, l.height-height-12)
	return nil
}

// code draws a QR code on the right and blocks in the rest of the width.
func (l *layout) code(q QR) error {
	c, err := qr.Encode(q.Text, qr.M)
	if err != nil {
		return fmt.Errorf("a QR code of %d bytes: %w", len(q.Text), err)
	}
	l.y -= 8
	total := float64(c.Size+2*quietModule) * modulePt
	if share := 0.6; total > (l.right-l.left)*share || l.y-total < bottomPt {
		return fmt.Errorf("a QR code of %d modules, %.0f mm wide with its edge, does not fit: shorten its text or what is above", c.Size, total/mmPt)
	}
	side := *l
	side.ops, side.right = slices.Clip(l.ops), l.right-total-gapPt/2
	if err := side.blocks(q.Side); err != nil {
		return fmt.Errorf("beside the QR code: %w", err)
	}
	l.ops = side.ops
	x := l.right - total
	if len(q.Side) == 0 {
		x = l.left + (l.right-l.left-total)/2
	}
	l.modules(c, x+quietModule*modulePt, l.y-quietModule*modulePt)
	l.y = min(side.y, l.y-total)
	return nil
}

// modules draws the dark ones, as one rectangle for those that touch in a row.
func (l *layout) modules(c *qr.Code, left, top float64) {
	for row := range c.Size {
		for from := 0; from < c.Size; {
			to := from
			for to < c.Size && c.Black(to, row) {
				to++
			}
			if to > from {
				l.rect(left+float64(from)*modulePt, top-float64(row+1)*modulePt, float64(to-from)*modulePt, modulePt, 0)
			}
			from = to + 1
		}
	}
}
