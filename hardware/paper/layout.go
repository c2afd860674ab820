package paper

import (
	"fmt"

	"rsc.io/qr"
)

// A4 in points, and the shape of everything on it.
const (
	pageWidthPt  = 595.28
	pageHeightPt = 841.89
	marginPt     = 48
	mmPt         = 72 / 25.4

	textPt    = 11
	smallPt   = 9
	headingPt = 24
	strongPt  = 17
	leading   = 1.5

	modulePt    = 0.45 * mmPt // of a QR code: at least 0.4 mm
	quietModule = 4
)

// op is one thing to draw: a word, or a filled rectangle. Gray 0 is black.
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
	left, right, y float64
	ops            []op
}

func (l *layout) blocks(blocks []Block) error {
	for _, b := range blocks {
		if err := l.block(b); err != nil {
			return err
		}
		if l.y < marginPt/2 {
			return fmt.Errorf("the page is full: %T does not fit on one A4 sheet", b)
		}
	}
	return nil
}

func (l *layout) block(b Block) error {
	switch b := b.(type) {
	case Heading:
		if err := l.paragraph(b.Text, l.bold, headingPt, 0); err != nil {
			return err
		}
		err := l.paragraph(b.Sub, l.regular, textPt+1, 0.3)
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
		return l.paragraph(b.Text, f, size, 0)
	case Row:
		return l.row(b)
	case Rule:
		l.y -= 5
		l.ops = append(l.ops, op{x: l.left, y: l.y, w: l.right - l.left, h: 0.8, gray: 0.6})
		l.y -= 5
		return nil
	case QR:
		return l.code(b)
	}
	return fmt.Errorf("unknown block %T", b)
}

// line is words that stand together.
type line struct {
	words []word
	width float64
}

// wrap breaks text into lines no wider than width points.
func (l *layout) wrap(text string, f *face, size, width float64) ([]line, error) {
	words, err := l.words(text, f)
	if err != nil {
		return nil, err
	}
	scale := size / f.upem
	var lines []line
	var cur line
	pending := 0.0
	for _, w := range words {
		advance := float64(w.advance) * scale
		if len(cur.words) > 0 && cur.width+pending+advance > width {
			lines = append(lines, cur)
			cur, pending = line{}, 0
		}
		cur.width += pending + advance
		cur.words = append(cur.words, w)
		pending = float64(w.space) * scale
	}
	return append(lines, cur), nil
}

// put draws a line with its left end at x.
func (l *layout) put(ln line, f *face, size, x, y, gray float64) {
	scale := size / f.upem
	for i := range ln.words {
		w := &ln.words[i]
		l.ops = append(l.ops, op{word: w, face: f, x: x, y: y, size: size, gray: gray, spaced: w.space > 0 && i < len(ln.words)-1})
		x += float64(w.advance+w.space) * scale
	}
}

func (l *layout) paragraph(text string, f *face, size, gray float64) error {
	if text == "" {
		return nil
	}
	lines, err := l.wrap(text, f, size, l.right-l.left)
	if err != nil {
		return err
	}
	for _, ln := range lines {
		l.y -= size * leading
		l.put(ln, f, size, l.left, l.y+size*(leading-1)*0.6, gray)
	}
	return nil
}

// row puts the label left and the value right; a long value wraps under itself.
func (l *layout) row(r Row) error {
	size, face := float64(textPt), l.regular
	if r.Strong {
		size, face = strongPt, l.bold
	}
	width := l.right - l.left
	label, err := l.wrap(r.Label, face, size, width*0.55)
	if err != nil {
		return err
	}
	value, err := l.wrap(r.Value, l.bold, size, width*0.58)
	if err != nil {
		return err
	}
	sub, err := l.wrap(r.Sub, l.regular, smallPt, width)
	if err != nil {
		return err
	}
	top := l.y
	for i, ln := range value {
		l.put(ln, l.bold, size, l.right-ln.width, top-size*leading*float64(i+1)+size*(leading-1)*0.6, 0)
	}
	for i, ln := range label {
		l.put(ln, face, size, l.left, top-size*leading*float64(i+1)+size*(leading-1)*0.6, 0)
	}
	if last := label[len(label)-1]; r.Sub != "" {
		base := top - size*leading*float64(len(label)) + size*(leading-1)*0.6
		l.put(sub[0], l.regular, smallPt, l.left+last.width+6, base, 0.35)
	}
	l.y = top - size*leading*float64(max(len(value), len(label)))
	return nil
}

// status frames a sentence.
func (l *layout) status(s Status) error {
	l.y -= 4
	top := l.y
	inner := *l
	inner.ops, inner.left, inner.right = nil, l.left+12, l.right-12
	inner.y -= 4
	if err := inner.paragraph(s.Text, l.bold, 13, 0); err != nil {
		return err
	}
	if err := inner.paragraph(s.Sub, l.regular, 10, 0.25); err != nil {
		return err
	}
	inner.y -= 6
	l.y = inner.y
	l.frame(l.left, l.y, l.right-l.left, top-l.y)
	l.ops = append(l.ops, inner.ops...)
	l.y -= 6
	return nil
}

func (l *layout) frame(x, y, w, h float64) {
	const t = 1.4
	l.ops = append(l.ops, op{x: x, y: y, w: w, h: h, gray: 0.93}, op{x: x, y: y, w: w, h: t}, op{x: x, y: y + h - t, w: w, h: t}, op{x: x, y: y, w: t, h: h}, op{x: x + w - t, y: y, w: t, h: h})
}

// band is dark across the top, so that nobody takes a copy for the first paper.
func (l *layout) band(text string) error {
	if text == "" {
		return nil
	}
	lines, err := l.wrap(text, l.bold, 15, l.right-l.left)
	if err != nil {
		return err
	}
	l.ops = append(l.ops, op{x: 0, y: pageHeightPt - 30, w: pageWidthPt, h: 30, gray: 0.15})
	l.put(lines[0], l.bold, 15, (pageWidthPt-lines[0].width)/2, pageHeightPt-21, 1)
	return nil
}

// code draws a QR code on the right and blocks in the rest of the width.
func (l *layout) code(q QR) error {
	c, err := qr.Encode(q.Text, qr.M)
	if err != nil {
		return fmt.Errorf("the QR code of %d characters: %w", len(q.Text), err)
	}
	l.y -= 8
	total := float64(c.Size+2*quietModule) * modulePt
	if total > (l.right-l.left)*0.6 || l.y-total < 0 {
		return fmt.Errorf("a QR code of %d modules does not fit", c.Size)
	}
	top := l.y
	x0, y0 := l.right-total+quietModule*modulePt, top-quietModule*modulePt
	for row := range c.Size {
		for from := 0; from < c.Size; {
			to := from
			for to < c.Size && c.Black(to, row) {
				to++
			}
			if to > from {
				l.ops = append(l.ops, op{x: x0 + float64(from)*modulePt, y: y0 - float64(row+1)*modulePt, w: float64(to-from) * modulePt, h: modulePt})
			}
			from = to + 1
		}
	}
	side := *l
	side.ops, side.right = nil, l.right-total-6
	if err := side.blocks(q.Side); err != nil {
		return err
	}
	l.ops = append(l.ops, side.ops...)
	l.y = min(side.y, top-total)
	return nil
}
