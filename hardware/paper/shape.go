package paper

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"

	"github.com/go-text/typesetting/di"
	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/language"
	"github.com/go-text/typesetting/segmenter"
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

// word is text without a place to break a line inside, with the space behind it.
type word struct {
	clusters []cluster
	advance  int32 // without the space
	space    int32 // of the space behind it, 0 for none
}

// shaper turns text into words. It is used by one goroutine.
type shaper struct {
	regular, bold *face
	hb            shaping.HarfbuzzShaper
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

// words shapes text in NFC, word by word. A character that the font cannot draw is
// an error: a box on a receipt is worse than none.
func (s *shaper) words(text string, f *face) ([]word, error) {
	text = norm.NFC.String(text)
	if len(text) > textMaxBytes {
		return nil, fmt.Errorf("a text of %d bytes, the limit is %d", len(text), textMaxBytes)
	}
	var seg segmenter.Segmenter
	seg.Init([]rune(text))
	var out []word
	for lines := seg.LineIterator(); lines.Next(); {
		part := string(lines.Line().Text)
		bare := strings.TrimRight(part, " ")
		w, err := s.word(bare, f)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		if bare != part {
			w.space = int32(f.face.HorizontalAdvance(spaceGlyph(f))) * int32(len(part)-len(bare))
		}
		out = append(out, w)
	}
	return out, nil
}

func spaceGlyph(f *face) font.GID {
	g, _ := f.face.NominalGlyph(' ')
	return g
}

func (s *shaper) word(text string, f *face) (word, error) {
	var w word
	runes := []rune(text)
	for from := 0; from < len(runes); {
		to, script := run(runes, from)
		out := s.hb.Shape(shaping.Input{
			Text: runes, RunStart: from, RunEnd: to, Direction: di.DirectionLTR, Face: f.face,
			Size: fixed.I(int(f.upem)), Script: script, Language: language.NewLanguage("hi"),
		})
		if err := w.add(runes, to, out.Glyphs); err != nil {
			return w, err
		}
		from = to
	}
	return w, nil
}

// run is the longest stretch of one script from a place on; characters that belong
// to no script stay with what is before them.
func run(runes []rune, from int) (to int, script language.Script) {
	script = language.Common
	for to = from; to < len(runes); to++ {
		s := language.LookupScript(runes[to])
		if s == language.Common || s == language.Inherited || s == script {
			continue
		}
		if script != language.Common {
			return to, script
		}
		script = s
	}
	if script == language.Common {
		script = language.Latin
	}
	return to, script
}

// add groups glyphs into clusters. Glyphs come in drawing order; those of one
// cluster stand together.
func (w *word) add(runes []rune, to int, glyphs []shaping.Glyph) error {
	for i := 0; i < len(glyphs); {
		g := glyphs[i]
		end := min(g.TextIndex()+g.RunesCount(), to)
		c := cluster{text: string(runes[g.TextIndex():end])}
		for ; i < len(glyphs) && glyphs[i].TextIndex() == g.TextIndex(); i++ {
			if glyphs[i].GlyphID == 0 {
				return missing(c.text)
			}
			x := glyphs[i]
			c.glyphs = append(c.glyphs, glyph{id: x.GlyphID, advance: int32(x.Advance.Round()), xOffset: int32(x.XOffset.Round()), yOffset: int32(x.YOffset.Round())})
			w.advance += int32(x.Advance.Round())
		}
		w.clusters = append(w.clusters, c)
	}
	return nil
}

func missing(text string) error {
	for _, r := range text {
		if !unicode.Is(unicode.Mn, r) {
			return fmt.Errorf("the font has no character %q (%U): write it otherwise", r, r)
		}
	}
	return fmt.Errorf("the font cannot draw %q: write it otherwise", text)
}
