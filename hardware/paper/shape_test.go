package paper

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/go-text/typesetting/language"
	"github.com/go-text/typesetting/shaping"
	"golang.org/x/text/unicode/norm"

	"rasid/internal/testtool"
)

// glyphList writes a shaped run as hb-shape does: glyph=cluster@x,y+advance.
func glyphList(o shaping.Output) string {
	var all []string
	for _, g := range o.Glyphs {
		offset := ""
		if x, y := g.XOffset.Round(), g.YOffset.Round(); x != 0 || y != 0 {
			offset = fmt.Sprintf("@%d,%d", x, y)
		}
		all = append(all, fmt.Sprintf("%d=%d%s+%d", g.GlyphID, g.TextIndex()-o.Runes.Offset, offset, g.Advance.Round()))
	}
	return "[" + strings.Join(all, "|") + "]"
}

// shaped is a text's runs in the order in which they are drawn.
func shaped(s *shaper, f *face, text string) (runs []string, lists []string) {
	runes := []rune(text)
	for _, o := range s.runs(runes, f) {
		runs = append(runs, string(runes[o.Runes.Offset:o.Runes.Offset+o.Runes.Count]))
		lists = append(lists, glyphList(o))
	}
	return runs, lists
}

// HarfBuzz's own shaper must give the same glyphs in the same places: for every text
// of the receipt, whole, and for every pair of consonants, with each mark.
func TestGlyphsEqualHarfBuzz(t *testing.T) {
	hbShape := testtool.Need(t, "hb-shape", "libharfbuzz-bin")
	s, err := newShaper()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*face{s.regular, s.bold} {
		dir := t.TempDir()
		fontFile := filepath.Join(dir, "font.ttf")
		if err := os.WriteFile(fontFile, f.raw, 0o600); err != nil {
			t.Fatal(err)
		}
		byScript := map[string]map[string]string{}
		for _, text := range append(sampleTexts(), clusters()...) {
			runs, lists := shaped(s, f, text)
			for i, run := range runs {
				script := scriptOf(run)
				if byScript[script] == nil {
					byScript[script] = map[string]string{}
				}
				byScript[script][run] = lists[i]
			}
		}
		checked := 0
		for script, lists := range byScript {
			var runs []string
			for run := range lists {
				runs = append(runs, run)
			}
			file := filepath.Join(dir, script)
			if err := os.WriteFile(file, []byte(strings.Join(runs, "\n")+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			out := strings.Split(strings.TrimSpace(output(t, hbShape, "--no-glyph-names", "--language=hi", "--script="+script, "--text-file="+file, fontFile)), "\n")
			if len(out) != len(runs) {
				t.Fatalf("HarfBuzz answered %d of %d runs", len(out), len(runs))
			}
			for i, run := range runs {
				checked++
				if lists[run] != out[i] {
					t.Errorf("%s, %s, %q: ours %s, HarfBuzz's %s", f.name, script, run, lists[run], out[i])
				}
			}
		}
		t.Logf("%s: %d runs checked", f.name, checked)
		if checked < 1500 {
			t.Errorf("only %d runs were checked", checked)
		}
	}
}

func sampleTexts() []string {
	all := []string{norm.NFC.String(sample().Band)}
	for _, b := range sample().Blocks {
		for _, s := range texts(b) {
			all = append(all, norm.NFC.String(s))
		}
	}
	return all
}

func clusters() []string {
	const consonants = "कखगघङचछजझञटठडढणतथदधनपफबभमयरलळवशषसह"
	marks := []string{"", "ा", "ि", "ी", "ु", "ू", "ृ", "े", "ै", "ो", "ौ", "ं", "ँ", "ः", "्", "़", "िं", "ीं", "़ु"}
	var all []string
	for i, a := range []rune(consonants) {
		for j, b := range []rune(consonants) {
			all = append(all, norm.NFC.String(string(a)+"्"+string(b)+marks[(i+j)%len(marks)]))
		}
		for _, m := range marks {
			all = append(all, norm.NFC.String(string(a)+m), norm.NFC.String("र्"+string(a)+m), norm.NFC.String(string(a)+"्र"+m))
		}
	}
	return all
}

// scriptOf is the first script that is nobody's but its own.
func scriptOf(run string) string {
	for _, r := range run {
		if s := language.LookupScript(r); s != language.Common && s != language.Inherited {
			return s.String()
		}
	}
	return language.Common.String()
}

// These lists are HarfBuzz's own: they need no tool and see a font or a library change.
func TestGlyphsArePinned(t *testing.T) {
	raw, err := os.ReadFile("testdata/glyphs.txt")
	if err != nil {
		t.Fatal(err)
	}
	s, err := newShaper()
	if err != nil {
		t.Fatal(err)
	}
	pinned := 0
	for ln := range strings.Lines(string(raw)) {
		if strings.HasPrefix(ln, "#") {
			continue
		}
		weight, rest, _ := strings.Cut(strings.TrimSpace(ln), "\t")
		text, want, ok := strings.Cut(rest, "\t")
		f := map[string]*face{"regular": s.regular, "bold": s.bold}[weight]
		if !ok || f == nil {
			t.Fatalf("want weight, text and glyphs between tabs, not %q", ln)
		}
		pinned++
		if _, lists := shaped(s, f, text); strings.Join(lists, " ") != want {
			t.Errorf("%s %q: %s, want %s", weight, text, strings.Join(lists, " "), want)
		}
	}
	if pinned < 30 {
		t.Errorf("only %d texts are pinned", pinned)
	}
}

// Words keep all text and every glyph of the line that they were cut from.
func TestWordsAreTheLine(t *testing.T) {
	s, err := newShaper()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range append(sampleTexts(), "  दो  खाली जगह  ", "a\u00a0b", "क्\u200dष न्\u200cन") {
		lines, err := s.wrap(text, s.regular, textPt, 1e4)
		if err != nil || len(lines) != 1 {
			t.Fatalf("%q: %d lines, %v", text, len(lines), err)
		}
		var got []string
		for _, w := range lines[0].words {
			if s := w.text(); s != "" {
				got = append(got, s)
			}
		}
		isSpace := func(r rune) bool { return r == ' ' }
		if want := strings.FieldsFunc(text, isSpace); strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%q became %q", text, got)
		}
		advance := int32(0)
		for _, o := range s.runs([]rune(strings.TrimRightFunc(text, unicode.IsSpace)), s.regular) {
			advance += int32(o.Advance.Round())
		}
		if want := float64(advance) * textPt / s.regular.upem; lines[0].width < want-0.01 || lines[0].width > want+0.01 {
			t.Errorf("%q is %.2f points wide, want %.2f", text, lines[0].width, want)
		}
	}
}
