package paper

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"image/png"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/go-text/typesetting/font"
	"golang.org/x/text/unicode/norm"

	"rasid/hardware/paper/fonts"
)

// qrText is as long as a receipt's, and all of base45's characters are in it.
var qrText = "RASID1:" + strings.Repeat("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:", 22)

// sample is a receipt of a bill of ₹1,264.00 paid with ₹1,300 in notes.
func sample() Page {
	return Page{
		Title: "रसीद 147-1-1024-PKQS-A",
		Band:  "प्रतिलिपि संख्या 2 · DUPLICATE 2",
		Blocks: []Block{
			Heading{"बिजली बिल भुगतान की रसीद", "Electricity bill payment receipt"},
			Status{"प्राप्त — कार्यालय को भेजा जाना शेष", "Received — yet to be sent to the office"},
			Row{"रसीद संख्या", "Receipt no.", "147-1-1024-PKQS-A", false},
			Row{"दिनांक व समय (IST)", "Date and time", "24-11-2026, 14:05", false},
			Row{"कियोस्क", "Kiosk", "ग्राम पंचायत खंडेला · सीकर", false},
			Row{"बिजली कंपनी", "Biller", "जयपुर विद्युत वितरण निगम", false},
			Row{"के-नंबर", "K-number", "2101 2345 6789", false},
			Row{"उपभोक्ता", "Consumer", "श्रीमती प्रा••• क्ष•••", false},
			Rule{},
			Row{"बिल राशि", "Bill amount", "₹1,264.00", false},
			Row{"सेवा शुल्क", "Service charge", "₹0.00", false},
			Text{Text: "नकद प्राप्त · Cash received", Bold: true},
			Table{
				Head: []string{"नोट · Note", "संख्या · Count", "राशि · Amount"},
				Rows: [][]string{{"₹500", "2", "₹1,000.00"}, {"₹200", "1", "₹200.00"}, {"₹100", "1", "₹100.00"}},
			},
			Row{"कुल प्राप्त", "Total received", "₹1,300.00", true},
			Text{Text: "शब्दों में: एक हज़ार तीन सौ रुपये मात्र"},
			Text{Text: "In words: one thousand three hundred rupees only", Small: true},
			Rule{},
			Row{"बिल में जमा", "Paid to the bill", "₹1,264.00", false},
			Row{"अगले बिल में जमा", "Kept for the next bill", "₹36.00", false},
			QR{qrText, []Block{
				Text{Text: "आगे क्या करें · What to do next", Bold: true},
				Text{Text: "1. यह रसीद आपका प्रमाण है। इसे सँभालकर रखें।"},
				Text{Text: "This receipt is your proof. Keep it safe.", Small: true},
				Text{Text: "2. अगले बिल में ₹36.00 कम लगेंगे।"},
				Text{Text: "Your next bill will be ₹36.00 lower.", Small: true},
				Text{Text: "3. शिकायत के लिए 181 पर रसीद संख्या बताएँ।"},
				Text{Text: "For complaints call 181 and give the receipt number.", Small: true},
			}},
			Text{Text: "सर्दी कर्ज़ ट्रक ड्राइवर ज्ञान हिन्दी उत्तीर्ण स्त्री राष्ट्र द्वारा ब्रह्म शृंगार कृपया क्षत्रिय", Small: true, Align: Centre},
		},
	}
}

func mustRender(t testing.TB, p Page) *Document {
	t.Helper()
	d, err := Render(p)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func mustPDF(t testing.TB, p Page) []byte {
	t.Helper()
	b, err := mustRender(t, p).PDF()
	if err != nil {
		t.Fatal(err)
	}
	return b
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

// Renderers at once share the font bytes and give the same file.
func TestSameBytesTwice(t *testing.T) {
	want := mustPDF(t, sample())
	if len(want) > 60<<10 {
		t.Errorf("%d bytes, want at most 60 KiB", len(want))
	}
	t.Logf("%d bytes", len(want))
	d := mustRender(t, sample())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			d := d
			if i%2 == 0 {
				var err error
				if d, err = Render(sample()); err != nil {
					t.Error(err)
					return
				}
			}
			got, err := d.PDF()
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("the same page gave another file (%v)", err)
			}
		})
	}
	wg.Wait()
	other := sample()
	other.Title += " "
	if bytes.Equal(mustPDF(t, other), want) {
		t.Error("another title gave the same file")
	}
}

func TestBadPages(t *testing.T) {
	one := func(b ...Block) Page { return Page{Title: "t", Blocks: b} }
	text := func(s string) Page { return one(Text{Text: s}) }
	for name, c := range map[string]struct {
		page Page
		want string
	}{
		"no such character":   {text("ok 😀"), `the font has no character '😀' (U+1F600)`},
		"in a table":          {one(Table{[]string{"a"}, [][]string{{"b"}, {"永"}}}), "row 2 of the table"},
		"beside the code":     {one(QR{"A", []Block{Text{Text: "永"}}}), "beside the QR code: block 1 (paper.Text)"},
		"new line":            {text("a\nb"), "control character U+000A"},
		"turned direction":    {text("₹12\u202e34"), "control character U+202E"},
		"no UTF-8":            {text("a\xffb"), "U+FFFD"},
		"page full":           {one(repeat(Row{"क", "k", "ख", false}, 51)...), "does not fit on one sheet"},
		"side full":           {one(QR{"A", repeat(Text{Text: "क"}, 60)}), "does not fit on one sheet"},
		"text too long":       {text(strings.Repeat("a", 2001)), "the limit is 2000"},
		"title too long":      {Page{Title: strings.Repeat("a", 2001)}, "the limit is 2000"},
		"too many blocks":     {one(repeat(Rule{}, 201)...), "201 blocks, the limit is 200"},
		"too many, nested":    {one(QR{"A", repeat(Rule{}, 200)}), "201 blocks, the limit is 200"},
		"too many, table":     {one(Table{[]string{"a"}, make([][]string, 200)}), "201 blocks, the limit is 200"},
		"code too large":      {one(QR{Text: strings.Repeat("A", 4000)}), "a QR code of 4000 bytes"},
		"code too wide":       {Page{Blocks: []Block{QR{Text: qrText}}, WidthMM: 100, HeightMM: 200}, "does not fit"},
		"code too low":        {one(append(repeat(Text{Text: "a"}, 40), QR{Text: qrText})...), "does not fit"},
		"unequal table":       {one(Table{[]string{"a", "b"}, [][]string{{"c"}}}), "row 1 of the table has 1 cells, its head has 2"},
		"no column":           {one(Table{}), "a table of 0 columns"},
		"seven columns":       {one(Table{Head: make([]string, 7)}), "a table of 7 columns"},
		"sheet too small":     {Page{WidthMM: 99, HeightMM: 297}, "want 100 to 450 mm"},
		"sheet without a top": {Page{WidthMM: 210}, "want 100 to 450 mm"},
		"sheet of no size":    {Page{WidthMM: math.NaN(), HeightMM: 200}, "want 100 to 450 mm"},
		"no block":            {one(nil), "want one of this package's blocks"},
		"unknown alignment":   {one(Text{Text: "a", Align: 3}), "unknown alignment 3"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Render(c.page); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
	for _, dpi := range []float64{35, 601, math.NaN()} {
		if _, err := mustRender(t, Page{}).PNG(dpi); err == nil {
			t.Errorf("a picture of %v dots an inch was drawn", dpi)
		}
	}
}

func repeat(b Block, n int) []Block {
	var all []Block
	for range n {
		all = append(all, b)
	}
	return all
}

// One text in three spellings that Unicode calls equal is one page: poor keyboards
// and old files write nukta letters as one character, NFC as two.
func TestSpellingsAreOnePage(t *testing.T) {
	page := func(s string) Page {
		return Page{Title: s, Band: s, Blocks: []Block{Row{Label: s, Value: s}}}
	}
	want := mustPDF(t, page("क़ज़ \u0929 é"))
	for _, s := range []string{"\u0958\u095B \u0929 é", "क\u093Cज\u093C न\u093C e\u0301"} {
		if !bytes.Equal(mustPDF(t, page(s)), want) {
			t.Errorf("%+q is another page than its NFC", s)
		}
	}
	for _, o := range mustRender(t, page("\u0958 न\u093C e\u0301")).ops {
		if o.word != nil && !norm.NFC.IsNormalString(o.word.text()) {
			t.Errorf("%+q is drawn, which is not NFC", o.word.text())
		}
	}
}

func TestAlignment(t *testing.T) {
	d := mustRender(t, Page{Band: "b", Blocks: []Block{Text{Text: "l"}, Text{Text: "c", Align: Centre}, Text{Text: "r", Align: Right}}})
	want := []float64{d.width / 2, marginPt, d.width / 2, d.width - marginPt}
	i := 0
	for _, o := range d.ops {
		if o.word == nil {
			continue
		}
		box := o.box()
		got := map[string]float64{"b": (box[0] + box[2]) / 2, "l": box[0], "c": (box[0] + box[2]) / 2, "r": box[2]}[o.word.text()]
		if math.Abs(got-want[i]) > 0.01 {
			t.Errorf("%q stands at %.2f, want %.2f", o.word.text(), got, want[i])
		}
		i++
	}
	if i != len(want) {
		t.Errorf("%d words, want %d", i, len(want))
	}
}

// White letters on a band that is not dark would leave a copy unmarked.
func TestBandIsDark(t *testing.T) {
	for band, dark := range map[string]bool{"प्रतिलिपि 2": true, "": false} {
		b, err := mustRender(t, Page{Band: band}).PNG(72)
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if r, _, _, _ := img.At(3, 3).RGBA(); (r < 0x4000) != dark {
			t.Errorf("with the band %q the edge is %#x of white", band, r)
		}
	}
}

// A reader that does not know ActualText reads each word from its glyphs, once.
func TestGlyphsSpellTheirWord(t *testing.T) {
	d := mustRender(t, sample())
	for _, f := range d.faces {
		pf := newPDFFont(f, "F")
		for _, o := range d.ops {
			if o.face == f {
				pf.use(o)
			}
		}
		spelled := map[uint16]string{}
		for k, id := range pf.cids {
			if _, twice := spelled[id]; twice || id == 0 {
				t.Errorf("code %d stands for two things or for none", id)
			}
			spelled[id] = k.text
		}
		for _, o := range d.ops {
			got := ""
			if o.face != f {
				continue
			}
			for _, c := range o.word.clusters {
				for i, g := range c.glyphs {
					got += spelled[pf.cids[keyOf(c, i, g)]]
				}
			}
			if got != o.word.text() {
				t.Errorf("the glyphs of %q spell %q", o.word.text(), got)
			}
		}
	}
}

// The subset is a font file by the rules of OpenType: sums, order and places.
func TestSubsetIsAFont(t *testing.T) {
	s, err := newShaper()
	if err != nil {
		t.Fatal(err)
	}
	sub, err := makeSubset(s.bold, []font.GID{60, 66, 232, 969})
	if err != nil {
		t.Fatal(err)
	}
	b := sub.program
	sum := func(from, to int) (n uint32) {
		for ; from < to; from += 4 {
			n += binary.BigEndian.Uint32(b[from:])
		}
		return n
	}
	if len(b)%4 != 0 || sum(0, len(b)) != 0xB1B0AFBA {
		t.Fatalf("%d bytes with the sum %#x, want 0xb1b0afba", len(b), sum(0, len(b)&^3))
	}
	last := ""
	for i := range int(binary.BigEndian.Uint16(b[4:])) {
		entry := b[12+16*i:]
		tag, offset, length := string(entry[:4]), int(binary.BigEndian.Uint32(entry[8:])), int(binary.BigEndian.Uint32(entry[12:]))
		got := sum(offset, (offset+length+3)&^3)
		if tag == "head" {
			got -= binary.BigEndian.Uint32(b[offset+8:])
		}
		if tag <= last || offset%4 != 0 || got != binary.BigEndian.Uint32(entry[4:]) {
			t.Errorf("table %q after %q at %d has the sum %#x", tag, last, offset, got)
		}
		last = tag
	}
}

// Long texts wrap: none leaves the sheet, none lies on another, none is lost.
func TestNothingLeavesTheSheet(t *testing.T) {
	long, unbroken := strings.Repeat("बहुत लंबा विवरण ", 14), strings.Repeat("क्षW", 90)
	for name, p := range map[string]Page{
		"A4":    {},
		"small": {WidthMM: 120, HeightMM: 450},
	} {
		t.Run(name, func(t *testing.T) {
			p.Band = long
			p.Blocks = []Block{
				Heading{Text: unbroken[:200]}, Status{long, unbroken[:100]}, Text{Text: unbroken, Align: Centre},
				Row{Label: long, Sub: long, Value: unbroken[:160]}, Row{Sub: "s", Value: "v"},
				Row{Label: long[:126], Sub: "a translation of one line", Value: unbroken[:160]},
				Table{[]string{long[:90], "b"}, [][]string{{unbroken[:150], long[:90]}}},
				QR{"A", []Block{Text{Text: unbroken, Align: Right}}},
			}
			d := mustRender(t, p)
			boxes := 0
			for i, o := range d.ops {
				if o.word == nil {
					continue
				}
				boxes++
				box := o.box()
				if box[0] < 0 || box[1] < 0 || box[2] > d.width-marginPt+0.1 || box[3] > d.height {
					t.Errorf("%q leaves the sheet: %.0f", o.word.text(), box)
				}
				for _, other := range d.ops[i+1:] {
					if b := other.box(); other.word != nil && box[0] < b[2]-0.1 && b[0] < box[2]-0.1 && box[1] < b[3] && b[1] < box[3] {
						t.Errorf("%q lies on %q", other.word.text(), o.word.text())
					}
				}
			}
			want, got := letters(p.Band, p.Blocks), strings.Builder{}
			for _, o := range d.ops {
				if o.word != nil {
					got.WriteString(o.word.text())
				}
			}
			if len(want) != len(got.String()) || boxes < 50 {
				t.Errorf("%d bytes of text in %d words were drawn, want %d", got.Len(), boxes, len(want))
			}
		})
	}
}

// box is where a word's line stands: left, lower, right, upper.
func (o op) box() [4]float64 {
	if o.word == nil {
		return [4]float64{}
	}
	return [4]float64{o.x, o.y, o.x + float64(o.word.advance)*o.size/o.face.upem, o.y + 0.7*o.size}
}

func letters(band string, blocks []Block) string {
	all := []string{band}
	for _, b := range blocks {
		all = append(all, texts(b)...)
	}
	return strings.Join(strings.Fields(strings.Join(all, " ")), "")
}

// texts is every text of a block, a line of paper each, unless it wraps.
func texts(b Block) []string {
	switch b := b.(type) {
	case Heading:
		return []string{b.Text, b.Sub}
	case Status:
		return []string{b.Text, b.Sub}
	case Text:
		return []string{b.Text}
	case Row:
		return []string{strings.Join(strings.Fields(b.Label+" "+b.Sub+" "+b.Value), " ")}
	case Table:
		all := []string{strings.Join(b.Head, " ")}
		for _, row := range b.Rows {
			all = append(all, strings.Join(row, " "))
		}
		return all
	case QR:
		var all []string
		for _, side := range b.Side {
			all = append(all, texts(side)...)
		}
		return all
	}
	return nil
}

// The sample leaves room: a receipt with more notes or a part payment fits too.
func TestReceiptLeavesRoom(t *testing.T) {
	p := sample()
	p.Blocks = append(p.Blocks, repeat(Row{"क", "k", "ख", false}, 3)...)
	if _, err := Render(p); err != nil {
		t.Errorf("three more rows: %v", err)
	}
}

func BenchmarkReceiptPDF(b *testing.B) {
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		size = len(mustPDF(b, sample()))
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/op")
	b.ReportMetric(float64(size), "pdf-bytes")
}
