package paper

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"

	"github.com/go-text/typesetting/di"
	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/language"
	"github.com/go-text/typesetting/shaping"
	"golang.org/x/image/math/fixed"
	"golang.org/x/text/unicode/norm"

	"rasid/hardware/paper/fonts"
)

// face is one weight, ready for shaping. Units are the font's own, upem to the em.
type face struct {
	name string
	raw  []byte
	face *font.Face
	upem float64
}

// ResolveFace makes one face the whole font map: what it lacks is an error, never
// another font's.
func (f *face) ResolveFace(rune) *font.Face { return f.face }

func loadFace(name string, raw []byte) (*face, error) {
	f, err := font.ParseTTF(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("couldn't read the font %s: %w", name, err)
	}
	return &face{name: name, raw: raw, face: f, upem: float64(f.Upem())}, nil
}

// glyph is one drawn glyph. Advance and offsets are in font units.
type glyph struct {
	id                        font.GID
	advance, xOffset, yOffset int32
}

// cluster is the smallest piece of text whose glyphs belong together.
type cluster struct {
	text   string
	glyphs []glyph
}

// word is what stands between spaces on one line, with the space behind it.
type word struct {
	clusters []cluster
	advance  int32 // without the space
	space    int32 // of the space behind it, 0 for none
}

func (w *word) text() string {
	var b strings.Builder
	for _, c := range w.clusters {
		b.WriteString(c.text)
	}
	return b.String()
}

// line is words that stand together. Its width is without the space at its end.
type line struct {
	words []word
	width float64 // in points
}

// shaper turns text into lines. It is used by one goroutine.
type shaper struct {
	regular, bold *face
	hb            shaping.HarfbuzzShaper
	seg           shaping.Segmenter
	wrapper       shaping.LineWrapper
}

func newShaper() (*shaper, error) {
	regular, err := loadFace("NotoSansDevanagari-Regular", fonts.Regular)
	if err != nil {
		return nil, err
	}
	bold, err := loadFace("NotoSansDevanagari-Bold", fonts.Bold)
	if err != nil {
		return nil, err
	}
	return &shaper{regular: regular, bold: bold}, nil
}

// allowed refuses what has no place in a line: control characters, and those that
// turn the direction of writing, by which an amount could be made to read backwards.
func allowed(text string) error {
	if len(text) > textMaxBytes {
		return fmt.Errorf("a text of %d bytes, the limit is %d: shorten it", len(text), textMaxBytes)
	}
	for _, r := range text {
		if unicode.IsControl(r) || r >= 0x2028 && r <= 0x202E || r >= 0x2066 && r <= 0x2069 {
			return fmt.Errorf("%.80q holds the control character %U: leave it out", text, r)
		}
	}
	return nil
}

// wrap shapes text and breaks it into lines no wider than width points, inside a
// word only where the word alone is wider. There is always at least one line. A
// character that the font cannot draw is an error: a box on a receipt is worse than
// none.
func (s *shaper) wrap(text string, f *face, size, width float64) ([]line, error) {
	text = norm.NFC.String(text)
	if err := allowed(text); err != nil {
		return nil, err
	}
	if text == "" {
		return []line{{}}, nil
	}
	runes := []rune(text)
	runs := s.runs(runes, f)
	for _, r := range runs {
		for _, g := range r.Glyphs {
			if g.GlyphID == 0 {
				return nil, fmt.Errorf("%.80q: %w", text, f.missing(runes[g.TextIndex():min(g.TextIndex()+g.RunesCount(), len(runes))]))
			}
		}
	}
	limit := fixed.Int26_6(width / size * f.upem * 64)
	wrapped, _ := s.wrapper.WrapParagraphF(shaping.WrapConfig{Direction: di.DirectionLTR}, limit, runes, shaping.NewSliceIterator(runs))
	lines := make([]line, 0, len(wrapped))
	for _, w := range wrapped {
		lines = append(lines, newLine(runes, w, size/f.upem))
	}
	return lines, nil
}

// runs shapes text whole, script by script: a word shaped alone could differ from
// the same word in its sentence.
func (s *shaper) runs(runes []rune, f *face) []shaping.Output {
	inputs := s.seg.Split(shaping.Input{
		Text: runes, RunEnd: len(runes), Direction: di.DirectionLTR, Face: f.face,
		Size: fixed.I(int(f.upem)), Language: language.NewLanguage("hi"),
	}, f)
	outputs := make([]shaping.Output, 0, len(inputs))
	for _, in := range inputs {
		outputs = append(outputs, s.hb.Shape(in))
	}
	return outputs
}

// newLine cuts a shaped line at its spaces. The glyphs of one cluster stand together.
func newLine(runes []rune, shaped shaping.Line, scale float64) line {
	var ln line
	var w word
	width := int32(0)
	flush := func() {
		ln.words = append(ln.words, w)
		width += w.advance + w.space
		w = word{}
	}
	for _, run := range shaped {
		for i := 0; i < len(run.Glyphs); {
			first := run.Glyphs[i]
			c := cluster{text: string(runes[first.TextIndex() : first.TextIndex()+first.RunesCount()])}
			advance := int32(0)
			for ; i < len(run.Glyphs) && run.Glyphs[i].TextIndex() == first.TextIndex(); i++ {
				g := run.Glyphs[i]
				c.glyphs = append(c.glyphs, glyph{id: g.GlyphID, advance: int32(g.Advance.Round()), xOffset: int32(g.XOffset.Round()), yOffset: int32(g.YOffset.Round())})
				advance += int32(g.Advance.Round())
			}
			if c.text == " " {
				w.space += advance
				continue
			}
			if w.space > 0 {
				flush()
			}
			w.clusters = append(w.clusters, c)
			w.advance += advance
		}
	}
	flush()
	ln.width = float64(width-ln.words[len(ln.words)-1].space) * scale
	return ln
}

// missing names the character of a cluster that the font lacks.
func (f *face) missing(cluster []rune) error {
	for _, r := range cluster {
		if _, ok := f.face.NominalGlyph(r); !ok {
			return fmt.Errorf("the font has no character %q (%U): write it otherwise", r, r)
		}
	}
	return fmt.Errorf("the font cannot draw %q: write it otherwise", string(cluster))
}

func spaceGlyph(f *face) font.GID {
	g, _ := f.face.NominalGlyph(' ')
	return g
}
