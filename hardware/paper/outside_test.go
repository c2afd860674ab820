package paper

import (
	"bytes"
	"image"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"rasid/internal/testtool"
)

// rendered writes the page as a PDF and returns its path.
func rendered(t *testing.T, p Page) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "receipt.pdf")
	if err := os.WriteFile(name, mustPDF(t, p), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// raster is poppler's picture of the page.
func raster(t *testing.T, p Page, dpi string) string {
	t.Helper()
	pdftoppm := testtool.Need(t, "pdftoppm", "poppler-utils")
	name := rendered(t, p)
	out := strings.TrimSuffix(name, ".pdf")
	output(t, pdftoppm, "-r", dpi, "-gray", "-png", "-singlefile", name, out)
	return out + ".png"
}

func TestPDFIsClean(t *testing.T) {
	qpdf := testtool.Need(t, "qpdf", "qpdf")
	pdffonts := testtool.Need(t, "pdffonts", "poppler-utils")
	pdfinfo := testtool.Need(t, "pdfinfo", "poppler-utils")
	name := rendered(t, sample())
	if said := output(t, qpdf, "--check", name); !strings.Contains(said, "No syntax or stream encoding errors found") {
		t.Errorf("qpdf finds fault:\n%s", said)
	}
	list := output(t, pdffonts, name)
	if strings.Count(list, "CID TrueType") != 2 || strings.Count(list, "yes yes yes") != 2 || strings.Count(list, "+NotoSansDevanagari-") != 2 {
		t.Errorf("want two fonts, embedded, subset, with a map to text:\n%s", list)
	}
	info := output(t, pdfinfo, name)
	for _, want := range []string{norm.NFC.String(sample().Title), "595.28 x 841.89 pts (A4)", "Pages:           1\n"} {
		if !strings.Contains(info, want) {
			t.Errorf("pdfinfo does not say %q:\n%s", want, info)
		}
	}
	if strings.Contains(info, "Date") {
		t.Errorf("a date makes the file differ from itself:\n%s", info)
	}
}

// content is the page's drawing operators, as another program unpacks them.
func content(t *testing.T, p Page) string {
	t.Helper()
	qpdf := testtool.Need(t, "qpdf", "qpdf")
	name := rendered(t, p)
	plain := strings.TrimSuffix(name, ".pdf") + "-plain.pdf"
	output(t, qpdf, "--qdf", "--object-streams=disable", name, plain)
	raw, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestLanguagesAreMarked(t *testing.T) {
	for name, p := range map[string]Page{"receipt": sample(), "ends in English": {Blocks: []Block{Text{Text: "रसीद receipt"}}}} {
		raw := content(t, p)
		if !strings.Contains(raw, "/Lang (hi)") || !strings.Contains(raw, "/Lang (en)") {
			t.Errorf("%s: the file does not say which language its text is in", name)
		}
		if begun, ended := strings.Count(raw, " BDC\n"), strings.Count(raw, "EMC\n"); begun != ended || begun == 0 {
			t.Errorf("%s: %d spans begin and %d end", name, begun, ended)
		}
	}
	if raw := content(t, Page{Blocks: []Block{Text{Text: "रसीद 12 receipt 34 paid रसीद"}}}); strings.Count(raw, "/Lang (en)") != 1 {
		t.Errorf("want one span, around `receipt 34 paid`:\n%s", raw)
	}
}

// Modules that are filled one by one show light lines between them on paper.
func TestQRIsOnePath(t *testing.T) {
	if raw := content(t, Page{Blocks: []Block{QR{Text: qrText}}}); strings.Count(raw, "\nf\n") != 1 || strings.Count(raw, " re\n") < 1000 {
		t.Errorf("the code is %d rectangles in %d paths, want one path", strings.Count(raw, " re\n"), strings.Count(raw, "\nf\n"))
	}
}

// What a reader copies is what the page says, line by line: no more and no less.
func TestTextIsSelectable(t *testing.T) {
	pdftotext := testtool.Need(t, "pdftotext", "poppler-utils")
	var got []string
	for ln := range strings.Lines(output(t, pdftotext, "-layout", rendered(t, sample()), "-")) {
		if ln = strings.Join(strings.Fields(ln), " "); ln != "" {
			got = append(got, ln)
		}
	}
	want := []string{norm.NFC.String(sample().Band)}
	for _, b := range sample().Blocks {
		for _, s := range texts(b) {
			want = append(want, norm.NFC.String(s))
		}
	}
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("line %d is missing: %q", i+1, want[i])
		case i >= len(want):
			t.Errorf("line %d is too much: %q", i+1, got[i])
		case got[i] != want[i]:
			t.Errorf("line %d reads %q, want %q", i+1, got[i], want[i])
		}
	}
}

func TestQRReadsBack(t *testing.T) {
	zbarimg := testtool.Need(t, "zbarimg", "zbar-tools")
	if len(qrText) < 990 {
		t.Fatalf("a text of %d characters proves little", len(qrText))
	}
	for _, dpi := range []string{"150", "203", "300"} {
		got := output(t, zbarimg, "--nodbus", "--raw", "-q", raster(t, sample(), dpi))
		if strings.TrimSuffix(got, "\n") != qrText {
			t.Errorf("at %s dpi the code reads %q", dpi, got)
		}
	}
}

// A code whose edge is written into, or whose modules are too small, reads in a test
// and not in a hand.
func TestQRHasRoom(t *testing.T) {
	const dpi = 300
	p := Page{Blocks: []Block{
		Row{Label: "क", Value: "क"}, QR{qrText, []Block{Text{Text: strings.Repeat("क", 250)}}}, Status{Text: "क"},
	}}
	d := mustRender(t, p)
	var modules []op
	for _, o := range d.ops {
		if o.word == nil && math.Abs(o.h-modulePt) < 1e-6 {
			modules = append(modules, o)
		}
	}
	left, low, right, top := math.Inf(1), math.Inf(1), 0.0, 0.0
	for _, m := range modules {
		left, low, right, top = min(left, m.x), min(low, m.y), max(right, m.x+m.w), max(top, m.y+m.h)
	}
	size := (right - left) / modulePt
	if math.Abs(size-math.Round(size)) > 1e-6 || modulePt/mmPt < 0.4 || int(math.Round(size)) < 101 || int(math.Round(size)) > 113 {
		t.Errorf("a code of %.2f modules of %.2f mm, want version 21 to 24 and at least 0.4 mm", size, modulePt/mmPt)
	}
	raw, err := os.ReadFile(raster(t, p, "300"))
	if err != nil {
		t.Fatal(err)
	}
	img := decode(t, raw)
	at := func(pt float64) int { return int(math.Round(pt * dpi / 72)) }
	quiet := 4 * modulePt
	for y := at(d.height-top-quiet) + 2; y < at(d.height-low+quiet)-2; y++ {
		for x := at(left-quiet) + 2; x < at(right+quiet)-2; x++ {
			inside := x > at(left)-2 && x < at(right)+2 && y > at(d.height-top)-2 && y < at(d.height-low)+2
			if r, _, _, _ := img.At(x, y).RGBA(); !inside && r != 0xffff {
				t.Fatalf("there is ink in the quiet zone, at %d, %d of %d dpi", x, y, dpi)
			}
		}
	}
	// The finder pattern's bar is seven modules of unbroken black.
	for y := at(d.height-top) + 1; y < at(d.height-top+7*modulePt)-1; y++ {
		if r, _, _, _ := img.At(at(left+modulePt/2), y).RGBA(); r != 0 {
			t.Fatalf("a light line crosses the code at row %d of %d dpi", y, dpi)
		}
	}
}

// hard has marks that stand above and below their place in the font.
func hard() Page {
	return Page{Band: "१", Blocks: []Block{
		Heading{"ट़ु झ्ट़ु र्ळृ क्त़ भ़ ह्रृ", "ट़ु झ्ट़ु"}, Text{Text: "र्स़ र्ऴु द्ख़ु", Bold: true, Align: Centre}, Text{Text: "q\u0301 र्कीं", Align: Right},
	}}
}

// Our picture and poppler's of our PDF must show the same page: what is placed wrong
// in one of the two shows here. The controls show that it would.
func TestPictureEqualsPoppler(t *testing.T) {
	const most = 0.3
	for name, p := range map[string]Page{"receipt": sample(), "hard": hard()} {
		worst := difference(ours(t, mustRender(t, p)), theirs(t, p))
		t.Logf("%s: the worst cell differs by %.2f of black", name, worst)
		if worst > most {
			t.Errorf("%s: the two pictures differ by %.2f of black in a cell", name, worst)
		}
	}
	poppler := theirs(t, sample())
	for name, spoil := range map[string]func(*op){
		"a mark that is moved by a fifth of an em": func(o *op) { o.word.clusters[0].glyphs[0].xOffset += 200 },
		"a matra that is not drawn":                func(o *op) { o.word.clusters[0].glyphs[0].id = spaceGlyph(o.face) },
		"a word that is moved by 2 points":         func(o *op) { o.y += 2 },
	} {
		d := mustRender(t, sample())
		i := slices.IndexFunc(d.ops, func(o op) bool { return o.word != nil && strings.HasPrefix(o.word.text(), "विद्युत") })
		spoil(&d.ops[i])
		if worst := difference(ours(t, d), poppler); worst <= most {
			t.Errorf("%s differs by only %.2f: this test would not see it", name, worst)
		}
	}
}

func ours(t *testing.T, d *Document) image.Image {
	t.Helper()
	b, err := d.PNG(200)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, b)
}

func theirs(t *testing.T, p Page) image.Image {
	t.Helper()
	b, err := os.ReadFile(raster(t, p, "200"))
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, b)
}

// difference is the largest one between the mean blackness of two cells that lie in
// the same place.
func difference(a, b image.Image) float64 {
	if a.Bounds() != b.Bounds() {
		return 1
	}
	const cell = 8
	worst := 0.0
	for y := 0; y+cell <= a.Bounds().Dy(); y += cell / 2 {
		for x := 0; x+cell <= a.Bounds().Dx(); x += cell / 2 {
			worst = max(worst, math.Abs(mean(a, x, y, cell)-mean(b, x, y, cell)))
		}
	}
	return worst
}

func decode(t *testing.T, b []byte) image.Image {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func mean(img image.Image, x0, y0, cell int) float64 {
	sum := 0.0
	for y := y0; y < y0+cell; y++ {
		for x := x0; x < x0+cell; x++ {
			r, _, _, _ := img.At(x, y).RGBA()
			sum += float64(r) / 0xffff
		}
	}
	return sum / float64(cell*cell)
}
