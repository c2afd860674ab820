package paper

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sort"
	"unicode"
	"unicode/utf16"

	"github.com/go-text/typesetting/font"
)

// PDF writes the document as PDF 1.7 with embedded, subset fonts. The same document
// always gives the same bytes: there is no date in it.
func (d *Document) PDF() ([]byte, error) {
	w := &pdfWriter{}
	w.buf.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	var used []*pdfFont
	for i, f := range d.faces {
		pf := newPDFFont(f, fmt.Sprintf("F%d", i+1))
		for _, o := range d.ops {
			if o.face == f {
				pf.use(o)
			}
		}
		if len(pf.cids) > 0 {
			used = append(used, pf)
		}
	}
	catalog, pages, page, info := w.reserve(), w.reserve(), w.reserve(), w.reserve()
	resources := ""
	for _, pf := range used {
		ref, err := w.font(pf)
		if err != nil {
			return nil, err
		}
		resources += fmt.Sprintf("/%s %d 0 R ", pf.name, ref)
	}
	content := w.stream("", d.content(used))
	w.object(catalog, fmt.Sprintf("<< /Type /Catalog /Pages %d 0 R /Lang (hi) /ViewerPreferences << /DisplayDocTitle true >> >>", pages))
	w.object(pages, fmt.Sprintf("<< /Type /Pages /Kids [%d 0 R] /Count 1 >>", page))
	w.object(page, fmt.Sprintf("<< /Type /Page /Parent %d 0 R /MediaBox [0 0 %.2f %.2f] /Resources << /Font << %s>> >> /Contents %d 0 R >>", pages, d.width, d.height, resources, content))
	w.object(info, fmt.Sprintf("<< /Title %s /Producer (Rasid) >>", hexText(d.title)))
	return w.finish(catalog, info), nil
}

// content draws the operations. A word of more than one glyph a cluster is wrapped
// in ActualText, whole: readers put blanks between smaller pieces. English stands in
// spans of its language, so that it is not read aloud as Hindi. Rectangles that
// follow each other are filled as one path: between modules of a QR code filled one
// by one, renderers that smooth edges leave light lines.
func (d *Document) content(used []*pdfFont) []byte {
	var b bytes.Buffer
	byFace := map[*face]*pdfFont{}
	for _, pf := range used {
		byFace[pf.face] = pf
	}
	gray, english := -1.0, false
	for i, o := range d.ops {
		to := o.language(english)
		if english && !to {
			b.WriteString("EMC\n")
		}
		if o.gray != gray {
			gray = o.gray
			fmt.Fprintf(&b, "%.3g g\n", gray)
		}
		if to && !english {
			b.WriteString("/Span << /Lang (en) >> BDC\n")
		}
		english = to
		if o.word != nil {
			byFace[o.face].draw(&b, o)
			continue
		}
		fmt.Fprintf(&b, "%.3f %.3f %.3f %.3f re\n", o.x, o.y, o.w, o.h)
		if i+1 == len(d.ops) || d.ops[i+1].word != nil || d.ops[i+1].gray != gray {
			b.WriteString("f\n")
		}
	}
	if english {
		b.WriteString("EMC\n")
	}
	return b.Bytes()
}

// language says whether the operation belongs into a span of English. Its script
// decides; figures and signs stay with what is before them.
func (o op) language(before bool) (english bool) {
	if o.word == nil {
		return false
	}
	for _, r := range o.word.text() {
		if unicode.Is(unicode.Devanagari, r) {
			return false
		}
		before = before || unicode.Is(unicode.Latin, r)
	}
	return before
}

// pdfFont is one weight with a CID for every pair of glyph and text, so that what a
// glyph stands for is never ambiguous.
type pdfFont struct {
	face  *face
	name  string
	cids  map[cidKey]uint16
	order []cidKey
	space uint16
}

type cidKey struct {
	gid  font.GID
	text string
}

func newPDFFont(f *face, name string) *pdfFont {
	return &pdfFont{face: f, name: name, cids: map[cidKey]uint16{}}
}

func (p *pdfFont) cid(k cidKey) uint16 {
	id, ok := p.cids[k]
	if !ok {
		id = uint16(len(p.cids) + 1)
		p.cids[k] = id
		p.order = append(p.order, k)
	}
	return id
}

func (p *pdfFont) use(o op) {
	for _, c := range o.word.clusters {
		for i, g := range c.glyphs {
			p.cid(keyOf(c, i, g))
		}
	}
	if o.spaced {
		p.space = p.cid(cidKey{spaceGlyph(p.face), " "})
	}
}

// keyOf gives the cluster's text to its first glyph; the others carry none.
func keyOf(c cluster, i int, g glyph) cidKey {
	if i > 0 {
		return cidKey{g.id, ""}
	}
	return cidKey{g.id, c.text}
}

func (p *pdfFont) draw(b *bytes.Buffer, o op) {
	plain := true
	for _, c := range o.word.clusters {
		plain = plain && len(c.glyphs) == 1
	}
	if !plain {
		fmt.Fprintf(b, "/Span << /ActualText %s >> BDC\n", hexText(o.word.text()))
	}
	fmt.Fprintf(b, "BT /%s %.3g Tf\n", p.name, o.size)
	x, scale := o.x, o.size/p.face.upem
	for _, c := range o.word.clusters {
		for i, g := range c.glyphs {
			fmt.Fprintf(b, "1 0 0 1 %.3f %.3f Tm <%04X> Tj\n", x+float64(g.xOffset)*scale, o.y+float64(g.yOffset)*scale, p.cids[keyOf(c, i, g)])
			x += float64(g.advance) * scale
		}
	}
	b.WriteString("ET\n")
	if !plain {
		b.WriteString("EMC\n")
	}
	if o.spaced {
		fmt.Fprintf(b, "BT /%s %.3g Tf 1 0 0 1 %.3f %.3f Tm <%04X> Tj ET\n", p.name, o.size, x, o.y, p.space)
	}
}

// pdfWriter numbers and places objects.
type pdfWriter struct {
	buf     bytes.Buffer
	offsets []int // by object number, from 1
}

func (w *pdfWriter) reserve() int {
	w.offsets = append(w.offsets, 0)
	return len(w.offsets)
}

func (w *pdfWriter) object(n int, body string) {
	w.offsets[n-1] = w.buf.Len()
	fmt.Fprintf(&w.buf, "%d 0 obj\n%s\nendobj\n", n, body)
}

func (w *pdfWriter) stream(dict string, data []byte) int {
	var z bytes.Buffer
	zw := zlib.NewWriter(&z)
	_, _ = zw.Write(data) // a buffer never fails
	_ = zw.Close()
	n := w.reserve()
	w.offsets[n-1] = w.buf.Len()
	fmt.Fprintf(&w.buf, "%d 0 obj\n<< %s /Filter /FlateDecode /Length %d >>\nstream\n", n, dict, z.Len())
	w.buf.Write(z.Bytes())
	w.buf.WriteString("\nendstream\nendobj\n")
	return n
}

// finish writes the table of places. The file's id is a hash of what it holds.
func (w *pdfWriter) finish(catalog, info int) []byte {
	id := sha256.Sum256(w.buf.Bytes())
	at := w.buf.Len()
	fmt.Fprintf(&w.buf, "xref\n0 %d\n0000000000 65535 f \n", len(w.offsets)+1)
	for _, o := range w.offsets {
		fmt.Fprintf(&w.buf, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&w.buf, "trailer\n<< /Size %d /Root %d 0 R /Info %d 0 R /ID [<%x> <%x>] >>\nstartxref\n%d\n%%%%EOF\n", len(w.offsets)+1, catalog, info, id[:16], id[:16], at)
	return w.buf.Bytes()
}

// font writes a composite font and returns its object.
func (w *pdfWriter) font(p *pdfFont) (int, error) {
	var gids []font.GID
	for _, k := range p.order {
		gids = append(gids, k.gid)
	}
	s, err := makeSubset(p.face, gids)
	if err != nil {
		return 0, err
	}
	scale := 1000 / p.face.upem
	toGID := make([]byte, 2*(len(p.order)+1))
	widths := ""
	for i, k := range p.order {
		binary.BigEndian.PutUint16(toGID[2*(i+1):], s.gids[k.gid])
		widths += fmt.Sprintf("%.0f ", float64(s.widths[k.gid])*scale)
	}
	sum := sha256.Sum256(s.program)
	tag := ""
	for _, c := range sum[:6] {
		tag += string(rune('A' + c%26))
	}
	name := tag + "+" + p.face.name
	file := w.stream(fmt.Sprintf("/Length1 %d", len(s.program)), s.program)
	cidToGID := w.stream("", toGID)
	toUnicode := w.stream("", p.unicode())
	extents, _ := p.face.face.FontHExtents()
	descriptor := w.reserve()
	w.object(descriptor, fmt.Sprintf("<< /Type /FontDescriptor /FontName /%s /Flags 4 /FontBBox [-1000 -500 2000 1200] /ItalicAngle 0 /Ascent %.0f /Descent %.0f /CapHeight 714 /StemV 80 /FontFile2 %d 0 R >>",
		name, float64(extents.Ascender)*scale, float64(extents.Descender)*scale, file))
	descendant := w.reserve()
	w.object(descendant, fmt.Sprintf("<< /Type /Font /Subtype /CIDFontType2 /BaseFont /%s /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /FontDescriptor %d 0 R /DW 0 /W [1 [%s]] /CIDToGIDMap %d 0 R >>",
		name, descriptor, widths, cidToGID))
	n := w.reserve()
	w.object(n, fmt.Sprintf("<< /Type /Font /Subtype /Type0 /BaseFont /%s /Encoding /Identity-H /DescendantFonts [%d 0 R] /ToUnicode %d 0 R >>", name, descendant, toUnicode))
	return n, nil
}

// unicode is the map from CIDs to text.
func (p *pdfFont) unicode() []byte {
	var lines []string
	for _, k := range p.order {
		if k.text != "" {
			lines = append(lines, fmt.Sprintf("<%04X> <%X>\n", p.cids[k], utf16BE(k.text)))
		}
	}
	sort.Strings(lines)
	var b bytes.Buffer
	b.WriteString("/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n")
	for len(lines) > 0 {
		n := min(100, len(lines))
		fmt.Fprintf(&b, "%d beginbfchar\n", n)
		for _, l := range lines[:n] {
			b.WriteString(l)
		}
		b.WriteString("endbfchar\n")
		lines = lines[n:]
	}
	b.WriteString("endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n")
	return b.Bytes()
}

func utf16BE(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.BigEndian.AppendUint16(b, u)
	}
	return b
}

// hexText is a PDF text string in UTF-16.
func hexText(s string) string { return fmt.Sprintf("<FEFF%X>", utf16BE(s)) }
