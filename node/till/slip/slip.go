// Package slip makes the papers of a sale: receipt, credit slip and claim. A paper
// is made from the log alone, and from what is kept of the bill's personal data, so
// that it can be made again after a power cut, byte for byte.
package slip

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"rasid/hardware"
	"rasid/hardware/paper"
	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/receipt"
	"rasid/node/lang"
	"rasid/node/till"
)

// Log reads the kiosk's own durable log.
type Log interface {
	Entry(index uint64) ([]byte, error)
	// Covering returns the checkpoint that made the entry durable.
	Covering(index uint64) (ledger.Checkpoint, error)
}

// Source is a log of the kiosk, and the key that its receipts are signed with.
type Source struct {
	Key   ed25519.PrivateKey
	Grant cert.Grant
	Log   Log
}

// Maker makes papers. All fields but Former are needed. It may be used from any goroutine.
type Maker struct {
	Source
	// Former finds a log that was given up, whose papers were taken over: nil where none was.
	Former   func(ledger.LogID) (Source, error)
	Chain    cert.Chain
	Name     string // of the kiosk
	Place    string
	Helpline string
	Personal func(event.BillKey) (till.Bill, bool)
}

// facts is everything that a paper says.
type facts struct {
	number   string
	wall     time.Time
	certain  bool
	language lang.Lang
	body     event.Body
	sale     uint64
	bill     *event.BillSelected
	known    till.Bill // zero where the personal data is gone
	notes    []ledger.Paise
	qr       string
}

// Make returns the print job of a copy. Its name is the receipt number and, for a
// duplicate, which one.
func (m *Maker) Make(subject uint64, copyNo uint32) (hardware.PrintJob, error) {
	f, err := m.facts(subject)
	if err != nil {
		return hardware.PrintJob{}, fmt.Errorf("couldn't gather what the paper of entry %d says: %w", subject, err)
	}
	doc, err := paper.Render(m.page(f, copyNo))
	if err != nil {
		return hardware.PrintJob{}, err
	}
	pdf, err := doc.PDF()
	if err != nil {
		return hardware.PrintJob{}, err
	}
	name := f.number
	if copyNo > 1 {
		name = fmt.Sprintf("%s-copy-%d", f.number, copyNo)
	}
	return hardware.PrintJob{Name: name, MIME: "application/pdf", Document: pdf}, nil
}

func (s Source) entry(index uint64) (ledger.Entry, event.Body, []byte, error) {
	raw, err := s.Log.Entry(index)
	if err != nil {
		return ledger.Entry{}, nil, nil, err
	}
	e, err := ledger.DecodeEntry(raw)
	if err != nil {
		return e, nil, nil, err
	}
	body, err := event.Decode(e)
	return e, body, raw, err
}

// facts gathers what the paper of a subject says. A paper that was taken over is that of
// the earlier log's entry, under its number and signed with its key (LEDGER.md §12.9).
func (m *Maker) facts(subject uint64) (facts, error) {
	src := m.Source
	e, body, raw, err := src.entry(subject)
	if err != nil {
		return facts{}, err
	}
	if b, ok := body.(*event.PaperTakenOver); ok {
		if m.Former == nil {
			return facts{}, fmt.Errorf("it is of log %s, which nobody knows here", b.Subject.Log)
		}
		if src, err = m.Former(b.Subject.Log); err != nil {
			return facts{}, err
		}
		subject = b.Subject.Index
		if e, body, raw, err = src.entry(subject); err != nil {
			return facts{}, err
		}
		if event.RefTo(ledger.Position{Log: b.Subject.Log, Index: subject}, raw) != b.Subject {
			return facts{}, fmt.Errorf("entry %d of log %s is another than the one whose paper was taken over", subject, b.Subject.Log)
		}
	}
	f := facts{
		number: receipt.Number(m.Chain.Machine.Slot, src.Grant.Ordinal, subject, ledger.LeafHash(raw)),
		wall:   time.UnixMilli(int64(e.Time.WallMs)), certain: e.Time.Quality != ledger.TimeNone, body: body,
	}
	var stacked []uint64
	switch b := body.(type) {
	case *event.PaymentCommitted:
		f.sale, stacked = b.Sale, b.Notes.Indexes()
	case *event.SlipIssued:
		f.sale, stacked = b.Sale, b.Notes.Indexes()
	case *event.NoteUnresolved:
		sale, value, err := src.note(b.Note)
		if err != nil {
			return f, err
		}
		f.sale, f.notes = sale, []ledger.Paise{value}
	default:
		return f, fmt.Errorf("entry %d is of kind %d: there is no paper of it", subject, e.Kind)
	}
	if err := src.addNotes(&f, stacked); err != nil {
		return f, err
	}
	if err := m.addSale(&f, src); err != nil {
		return f, err
	}
	return f, m.addProof(&f, src, subject, raw)
}

func (s Source) note(index uint64) (sale uint64, value ledger.Paise, err error) {
	_, body, _, err := s.entry(index)
	if err != nil {
		return 0, 0, err
	}
	switch n := body.(type) {
	case *event.NoteEscrowed:
		return n.Sale, n.Value, nil
	case *event.NoteTakenOver:
		return n.Sale, n.Value, nil
	}
	return 0, 0, fmt.Errorf("entry %d is no note", index)
}

func (s Source) addNotes(f *facts, stacked []uint64) error {
	for _, index := range stacked {
		_, body, _, err := s.entry(index)
		if err != nil {
			return err
		}
		b, ok := body.(*event.NoteStacked)
		if !ok {
			return fmt.Errorf("entry %d is no stacked note", index)
		}
		_, value, err := s.note(b.Note)
		if err != nil {
			return err
		}
		f.notes = append(f.notes, value)
	}
	return nil
}

// addSale reads the sale's language and bill, which stand together where it began.
func (m *Maker) addSale(f *facts, src Source) error {
	_, body, _, err := src.entry(f.sale)
	if err != nil {
		return err
	}
	opened, ok := body.(*event.SaleOpened)
	if !ok {
		return fmt.Errorf("entry %d opens no sale", f.sale)
	}
	f.language = lang.Hindi
	if opened.Language == event.English {
		f.language = lang.English
	}
	_, body, _, err = src.entry(f.sale + 1)
	if err != nil {
		return err
	}
	if f.bill, ok = body.(*event.BillSelected); !ok {
		return fmt.Errorf("entry %d selects no bill", f.sale+1)
	}
	if known, ok := m.Personal(f.bill.Bill); ok {
		f.known = known
	}
	return nil
}

// addProof signs the receipt and writes the text of its QR code.
func (m *Maker) addProof(f *facts, src Source, subject uint64, raw []byte) error {
	c, err := src.Log.Covering(subject)
	if err != nil {
		return err
	}
	nonce := receipt.NonceFor(src.Key, subject)
	signed, err := receipt.Sign(src.Key, receipt.Claim{
		Log: ledger.LogIDOf(src.Grant.PublicKey()), Slot: m.Chain.Machine.Slot, Ordinal: src.Grant.Ordinal, Index: subject, Size: c.Size, Root: c.Root, Entry: raw, Consumer: receipt.ConsumerHash(f.known.Number, nonce),
	})
	if err != nil {
		return err
	}
	f.qr, err = receipt.Proof{Receipt: signed, Consumer: f.known.Number, Nonce: nonce, Grant: src.Grant, Machine: m.Chain.Machine, District: m.Chain.District}.Text()
	return err
}

// page lays out what the paper says, in the citizen's language with the other beside it.
func (m *Maker) page(f facts, copyNo uint32) paper.Page {
	p := paper.Page{Title: f.number}
	w := words{l: f.language, o: f.language.Other()}
	if copyNo > 1 {
		p.Band = lang.T(w.l, "receipt.duplicate", "n", int(copyNo)) + " · " + lang.T(w.o, "receipt.duplicate", "n", int(copyNo))
	}
	title, status, number := "receipt.title", "receipt.status", "receipt.number"
	switch b := f.body.(type) {
	case *event.PaymentCommitted:
		if b.Applied < b.Due {
			status = "receipt.status_part"
		}
	case *event.SlipIssued:
		title, status, number = "receipt.slip_title", "receipt.status_slip", "receipt.slip_number"
	case *event.NoteUnresolved:
		title, status, number = "kiosk.doubt.title", "", "kiosk.doubt.reference"
	}
	p.Blocks = append(p.Blocks, paper.Heading{Text: lang.T(w.l, title), Sub: lang.T(w.o, title)})
	if status != "" {
		p.Blocks = append(p.Blocks, paper.Status{Text: lang.T(w.l, status), Sub: lang.T(w.o, status)})
	} else {
		p.Blocks = append(p.Blocks, paper.Status{Text: w.doubt(w.l, f), Sub: w.doubt(w.o, f)})
	}
	p.Blocks = append(p.Blocks, w.row(number, f.number), w.row("receipt.time", m.when(w.l, f)), w.row("receipt.kiosk", m.kiosk()))
	p.Blocks = append(p.Blocks, w.consumer(f)...)
	p.Blocks = append(p.Blocks, paper.Rule{})
	p.Blocks = append(p.Blocks, w.money(f)...)
	p.Blocks = append(p.Blocks, paper.QR{Text: f.qr, Side: m.foot(w, f)})
	return p
}

func (m *Maker) kiosk() string {
	return strings.TrimSuffix(m.Name+" · "+m.Place, " · ")
}

func (m *Maker) when(l lang.Lang, f facts) string {
	if !f.certain {
		return lang.DateTime(l, f.wall) + " (" + lang.T(l, "receipt.time_uncertain") + ")"
	}
	return lang.DateTime(l, f.wall)
}

func (m *Maker) foot(w words, f facts) []paper.Block {
	keep, check := "receipt.keep", "receipt.check"
	blocks := []paper.Block{paper.Text{Text: lang.T(w.l, keep), Bold: true}, paper.Text{Text: lang.T(w.o, keep), Small: true}}
	if _, slip := f.body.(*event.SlipIssued); slip {
		blocks = append(blocks, paper.Text{Text: lang.T(w.l, "receipt.slip_redeem")}, paper.Text{Text: lang.T(w.o, "receipt.slip_redeem"), Small: true})
	}
	return append(blocks,
		paper.Text{Text: lang.T(w.l, check)}, paper.Text{Text: lang.T(w.o, check), Small: true},
		paper.Text{Text: lang.T(w.l, "receipt.helpline", "phone", m.Helpline)}, paper.Text{Text: lang.T(w.o, "receipt.helpline", "phone", m.Helpline), Small: true})
}

// words is the citizen's language and the one beside it.
type words struct{ l, o lang.Lang }

func (w words) row(key, value string) paper.Row {
	return paper.Row{Label: lang.T(w.l, key), Sub: lang.T(w.o, key), Value: value}
}

func (w words) amount(key string, p ledger.Paise) paper.Row { return w.row(key, lang.INR(int64(p))) }

func (w words) doubt(l lang.Lang, f facts) string {
	return lang.T(l, "kiosk.doubt.text", "amount", lang.INRShort(int64(f.notes[0])))
}

func (w words) consumer(f facts) []paper.Block {
	biller := f.bill.Biller
	if name := f.known.Biller.NameHi; name != "" && w.l == lang.Hindi {
		biller = name
	} else if name := f.known.Biller.NameEn; name != "" && w.l == lang.English {
		biller = name
	}
	blocks := []paper.Block{w.row("receipt.biller", biller)}
	if f.known.Number != "" {
		blocks = append(blocks, w.row("receipt.account", grouped(f.known.Number)), w.row("receipt.consumer", f.known.Masked))
	}
	if month, err := time.Parse("2006-01", f.known.Period); err == nil {
		blocks = append(blocks, w.row("receipt.month", lang.Month(w.l, month)))
	}
	return append(blocks, w.row("receipt.due_date", lang.Date(w.l, time.Unix(int64(f.bill.DueDay)*86400, 0))), w.row("receipt.as_of", lang.DateTime(w.l, time.UnixMilli(int64(f.bill.AsOfMs)))))
}

func grouped(number string) string {
	var parts []string
	for part := range slices.Chunk([]byte(number), 4) {
		parts = append(parts, string(part))
	}
	return strings.Join(parts, " ")
}

func (w words) money(f facts) []paper.Block {
	var blocks []paper.Block
	var total ledger.Paise
	switch b := f.body.(type) {
	case *event.PaymentCommitted:
		blocks, total = append(blocks, w.amount("receipt.bill_amount", b.Due), w.amount("receipt.fee", 0)), b.Tendered
	case *event.SlipIssued:
		total = b.Amount
	case *event.NoteUnresolved:
		return nil
	}
	blocks = append(blocks, w.notes(f.notes)...)
	sum := w.amount("receipt.total", total)
	sum.Strong = true
	blocks = append(blocks, sum)
	if inWords, err := lang.Words(w.l, int64(total)); err == nil {
		other, _ := lang.Words(w.o, int64(total))
		blocks = append(blocks, paper.Text{Text: lang.T(w.l, "receipt.in_words") + ": " + inWords}, paper.Text{Text: lang.T(w.o, "receipt.in_words") + ": " + other, Small: true})
	}
	if b, ok := f.body.(*event.PaymentCommitted); ok {
		blocks = append(blocks, w.amount("receipt.to_bill", b.Applied))
		if b.Surplus > 0 {
			blocks = append(blocks, w.amount("receipt.to_next", b.Surplus))
		}
		if left := b.Due - b.Applied; left > 0 {
			blocks = append(blocks, w.amount("receipt.remaining", left))
		}
	}
	return blocks
}

// notes counts the notes by value, largest first.
func (w words) notes(values []ledger.Paise) []paper.Block {
	count := map[ledger.Paise]int{}
	for _, v := range values {
		count[v]++
	}
	var kinds []ledger.Paise
	for v := range count {
		kinds = append(kinds, v)
	}
	slices.Sort(kinds)
	slices.Reverse(kinds)
	both := func(key string) string { return lang.T(w.l, key) + " · " + lang.T(w.o, key) }
	t := paper.Table{Head: []string{both("receipt.note_head"), both("receipt.note_count"), both("receipt.note_sum")}}
	for _, v := range kinds {
		t.Rows = append(t.Rows, []string{lang.INRShort(int64(v)), strconv.Itoa(count[v]), lang.INR(int64(v) * int64(count[v]))})
	}
	return []paper.Block{paper.Text{Text: both("receipt.tender_cash"), Bold: true}, t}
}
