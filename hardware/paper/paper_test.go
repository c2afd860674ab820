package paper

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"rasid/hardware/paper/fonts"
	"rasid/internal/testtool"
)

// qrText is as long as a receipt's, and all of base45's characters are in it.
var qrText = "RASID1:" + strings.Repeat("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:", 21)

func sample() Page {
	return Page{
		Title: "रसीद 147-1-1024-PKQS-A",
		Band:  "प्रतिलिपि संख्या 2 · Duplicate copy no. 2",
		Blocks: []Block{
			Heading{"बिजली बिल भुगतान की रसीद", "Electricity bill payment receipt"},
			Status{"प्राप्त — कार्यालय को भेजा जाना शेष", "Received — yet to be sent to the office"},
			Row{"रसीद संख्या", "Receipt no.", "147-1-1024-PKQS-A", false},
			Row{"दिनांक व समय (IST)", "Date and time", "24-11-2026, 14:05", false},
			Row{"बिजली कंपनी", "Biller", "जयपुर विद्युत वितरण निगम", false},
			Row{"के-नंबर", "K-number", "2101 2345 6789", false},
			Row{"उपभोक्ता", "Consumer", "श्रीमती प्रा••• क्ष•••", false},
			Rule{},
			Row{"बिल राशि", "Bill amount", "₹1,264.00", false},
			Row{"₹500 × 2", "", "₹1,000.00", false},
			Row{"कुल प्राप्त", "Total received", "₹1,300.00", true},
			Text{Text: "शब्दों में: एक हज़ार तीन सौ रुपये मात्र · one thousand three hundred rupees only"},
			QR{qrText, []Block{
				Text{Text: "यह रसीद आपका प्रमाण है। इसे सँभालकर रखें।", Bold: true},
				Text{Text: "This receipt is your proof. Keep it safe."},
				Text{Text: "सर्दी कर्ज़ ट्रक ड्राइवर ज्ञान हिन्दी उत्तीर्ण स्त्री राष्ट्र द्वारा ब्रह्म शृंगार कृपया क्षत्रिय विद्युत", Small: true},
			}},
		},
	}
}

// rendered writes the sample as a PDF and returns its path.
func rendered(t *testing.T) string {
	t.Helper()
	d, err := Render(sample())
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.PDF()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", len(b))
	name := filepath.Join(t.TempDir(), "receipt.pdf")
	if err := os.WriteFile(name, b, 0o600); err != nil {
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

func TestFontsAreThePinnedOnes(t *testing.T) {
	for want, b := range map[string][]byte{
		"084a94d89eb54aafb93a056e15425c34fd859f6342875165d304837b3bcfc2d2": fonts.Regular,
		"67f1ec9e2ac30b261090e32953b2df0adf6c942ab26ac47efb490fa7315bddab": fonts.Bold,
	} {
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != want {
			t.Errorf("a font has the sum %x, want %s", sum, want)
		}
	}
}

func TestSameBytesTwice(t *testing.T) {
	a, b := rendered(t), rendered(t)
	first, _ := os.ReadFile(a)
	second, _ := os.ReadFile(b)
	if !bytes.Equal(first, second) {
		t.Error("the same page gave two files")
	}
	if len(first) > 60<<10 {
		t.Errorf("%d bytes, want at most 60 KiB", len(first))
	}
}

func TestPDFIsClean(t *testing.T) {
	qpdf := testtool.Need(t, "qpdf", "qpdf")
	pdffonts := testtool.Need(t, "pdffonts", "poppler-utils")
	name := rendered(t)
	output(t, qpdf, "--check", name)
	list := output(t, pdffonts, name)
	if strings.Count(list, "CID TrueType") != 2 || strings.Count(list, "yes yes yes") != 2 {
		t.Errorf("want two fonts, embedded, subset, with a map to text:\n%s", list)
	}
}

func TestTextIsSelectable(t *testing.T) {
	pdftotext := testtool.Need(t, "pdftotext", "poppler-utils")
	text := norm.NFC.String(output(t, pdftotext, "-layout", rendered(t), "-"))
	flat := strings.Join(strings.Fields(text), " ")
	for _, b := range sample().Blocks {
		for _, want := range texts(b) {
			for _, w := range strings.Fields(norm.NFC.String(want)) {
				if !strings.Contains(flat, w) {
					t.Errorf("%q of %q is not in the text:\n%s", w, want, text)
				}
			}
		}
	}
	for _, whole := range []string{"बिजली बिल भुगतान की रसीद", "प्राप्त — कार्यालय को भेजा जाना शेष", "जयपुर विद्युत वितरण निगम", "श्रीमती प्रा••• क्ष•••", "एक हज़ार तीन सौ रुपये मात्र", "Received — yet to be sent to the office"} {
		if !strings.Contains(flat, norm.NFC.String(whole)) {
			t.Errorf("the line %q is not in the text:\n%s", whole, text)
		}
	}
}

func texts(b Block) []string {
	switch b := b.(type) {
	case Heading:
		return []string{b.Text, b.Sub}
	case Status:
		return []string{b.Text, b.Sub}
	case Text:
		return []string{b.Text}
	case Row:
		return []string{b.Label, b.Sub, b.Value}
	case QR:
		var all []string
		for _, side := range b.Side {
			all = append(all, texts(side)...)
		}
		return all
	}
	return nil
}

func TestQRReadsBack(t *testing.T) {
	zbarimg := testtool.Need(t, "zbarimg", "zbar-tools")
	pdftoppm := testtool.Need(t, "pdftoppm", "poppler-utils")
	name := rendered(t)
	for _, dpi := range []string{"150", "300"} {
		out := strings.TrimSuffix(name, ".pdf") + dpi
		output(t, pdftoppm, "-r", dpi, "-png", "-singlefile", name, out)
		got := output(t, zbarimg, "--nodbus", "--raw", "-q", out+".png")
		if strings.TrimSuffix(got, "\n") != qrText {
			t.Errorf("at %s dpi the code reads %q", dpi, got)
		}
	}
}

// Our picture and poppler's of our PDF must show the same page: what is placed wrong
// in one of the two shows here.
func TestPictureEqualsPoppler(t *testing.T) {
	pdftoppm := testtool.Need(t, "pdftoppm", "poppler-utils")
	name := rendered(t)
	out := strings.TrimSuffix(name, ".pdf")
	output(t, pdftoppm, "-r", "100", "-gray", "-png", "-singlefile", name, out)
	d, err := Render(sample())
	if err != nil {
		t.Fatal(err)
	}
	ours, err := d.PNG(100)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(out + ".png")
	if err != nil {
		t.Fatal(err)
	}
	a, b := decode(t, ours), decode(t, theirs)
	const cell = 8
	worst := 0.0
	for y := 0; y+cell <= min(a.Bounds().Dy(), b.Bounds().Dy()); y += cell {
		for x := 0; x+cell <= min(a.Bounds().Dx(), b.Bounds().Dx()); x += cell {
			worst = max(worst, math.Abs(mean(a, x, y, cell)-mean(b, x, y, cell)))
		}
	}
	t.Logf("worst cell differs by %.2f of black", worst)
	if worst > 0.25 {
		t.Errorf("the two pictures differ by %.2f of black in a cell", worst)
	}
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

// HarfBuzz's own shaper must give the same glyphs in the same places.
func TestGlyphsEqualHarfBuzz(t *testing.T) {
	hbShape := testtool.Need(t, "hb-shape", "libharfbuzz-bin")
	dir := t.TempDir()
	fontFile := filepath.Join(dir, "font.ttf")
	if err := os.WriteFile(fontFile, fonts.Regular, 0o600); err != nil {
		t.Fatal(err)
	}
	words := map[string]bool{}
	for _, b := range sample().Blocks {
		for _, s := range texts(b) {
			for _, w := range strings.Fields(norm.NFC.String(s)) {
				words[w] = true
			}
		}
	}
	for _, a := range "कगचजटडतदपबमयरलवशसहक्षज्ञ" {
		for _, mark := range []string{"ि", "ी", "ु", "ृ", "े", "ौ", "ं", "ँ", "्र", "्य", "्", "़"} {
			words[norm.NFC.String("र्"+string(a)+mark)] = true
			words[norm.NFC.String(string(a)+mark+"न")] = true
		}
	}
	s, err := newShaper()
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for w := range words {
		from, script := 0, 0
		for range 1 {
			end, _ := run([]rune(w), from)
			script = end
		}
		if script != len([]rune(w)) {
			continue // mixed scripts are shaped run by run; hb-shape takes one
		}
		got, err := s.word(w, s.regular)
		if err != nil {
			continue // a cluster that has no drawing, such as a bare nukta
		}
		checked++
		if want := harfbuzz(t, hbShape, fontFile, w); glyphList(got) != want {
			t.Errorf("%q: ours %s, HarfBuzz's %s", w, glyphList(got), want)
		}
	}
	t.Logf("%d words checked", checked)
	if checked < 200 {
		t.Errorf("only %d words were checked", checked)
	}
}

func glyphList(w word) string {
	var b strings.Builder
	for _, c := range w.clusters {
		for _, g := range c.glyphs {
			fmt.Fprintf(&b, "%d@%d,%d+%d|", g.id, g.xOffset, g.yOffset, g.advance)
		}
	}
	return b.String()
}

func harfbuzz(t *testing.T, program, fontFile, w string) string {
	t.Helper()
	out := strings.Trim(strings.TrimSpace(output(t, program, "--no-glyph-names", "--no-clusters", "--language=hi", fontFile, w)), "[]")
	var b strings.Builder
	for _, g := range strings.Split(out, "|") {
		id, rest, _ := strings.Cut(g, "@")
		offset, advance, placed := strings.Cut(rest, "+")
		if !placed {
			id, advance, _ = strings.Cut(g, "+")
			offset = "0,0"
		}
		fmt.Fprintf(&b, "%s@%s+%s|", id, offset, advance)
	}
	return b.String()
}

func TestBadPages(t *testing.T) {
	for name, c := range map[string]struct {
		page Page
		want string
	}{
		"no such character": {Page{Blocks: []Block{Text{Text: "ok 😀"}}}, "the font has no character"},
		"too much":          {Page{Blocks: make51()}, "does not fit on one A4 sheet"},
		"too long":          {Page{Blocks: []Block{Text{Text: strings.Repeat("a", 3000)}}}, "the limit is 2000"},
		"code too large":    {Page{Blocks: []Block{QR{Text: strings.Repeat("A", 4000)}}}, "QR code"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Render(c.page); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func make51() []Block {
	var b []Block
	for range 51 {
		b = append(b, Row{"क", "k", "ख", false})
	}
	return b
}

func BenchmarkReceiptPDF(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		d, err := Render(sample())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := d.PDF(); err != nil {
			b.Fatal(err)
		}
	}
}
