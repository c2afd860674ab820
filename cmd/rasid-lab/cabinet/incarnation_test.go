package cabinet

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"rasid/hardware/sim/ipp"
	"rasid/internal/testtool"
	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/event"
	"rasid/node/fleet"
)

// damage takes the end of the kiosk's journal away, so that nobody can tell where it
// was: the index does not make up for that. The kiosk does not run.
func (k *Kiosk) damage(t *testing.T) {
	t.Helper()
	takeEnd(t, filepath.Join(k.Dir, "data", "own", "*"))
}

// takeEnd takes away the end of the journal in a folder.
func takeEnd(t *testing.T, journal string) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(journal, "*.journal"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("journals %v, %v", segments, err)
	}
	if err := os.Truncate(segments[len(segments)-1], 100); err != nil {
		t.Fatal(err)
	}
}

// proves verifies a sheet's QR code with rasid-audit and the fleet's public key, and
// returns what that says.
func proves(t *testing.T, c *Cabinet, k *Kiosk, sheet ipp.Sheet) string {
	t.Helper()
	picture := filepath.Join(t.TempDir(), "sheet")
	run(t, testtool.Need(t, "pdftoppm", "poppler-utils"), "-r", "150", "-png", "-singlefile", filepath.Join(c.cfg.Dir, k.Name+"-world", "sheets", sheet.File), picture)
	text := strings.TrimSuffix(run(t, testtool.Need(t, "zbarimg", "zbar-tools"), "--nodbus", "--raw", "-q", picture+".png"), "\n")
	id, err := fleet.Load(k.Dir)
	if err != nil {
		t.Fatal(err)
	}
	out := run(t, filepath.Join(c.cfg.Programs, "rasid-audit"), "receipt", text, "--fleet", base64.StdEncoding.EncodeToString(id.Fleet))
	if !strings.Contains(out, "VALID") || !strings.Contains(out, strings.TrimSuffix(sheet.Name, "-copy-2")) {
		t.Errorf("rasid-audit says of %s:\n%s", sheet.Name, out)
	}
	return out
}

// The journal is damaged in the middle of a sale, with a note on its way: the kiosk
// begins a new log by itself, the citizen finds her money, and the slip proves itself.
func TestSaleGoesOnInANewLog(t *testing.T) {
	c := start(t, 1)
	k := c.Kiosks()[0]
	p := at(t, k)
	p.untilOpen()
	k.SetOfficeCut(true)
	p.toCash(DemoNumber)
	p.feed(500, `id="inserted">₹500<`)
	k.acceptor(t, "pause after-accept")
	k.insert(t, 200)
	k.acceptor(t, "wait after-accept")
	k.Process.Kill()
	k.damage(t)
	for _, line := range []string{"power off", "power on", "resume"} {
		k.acceptor(t, line)
	}
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.open()
	p.until(`id="recovered"`, "₹700", "2101 2345 6789")
	p.press("do", "slip")
	p.until(hindi("kiosk.print.printed"))
	sheets := k.Printer.State().Sheets
	if len(sheets) != 1 || !strings.HasPrefix(sheets[0].Name, "2-2-") {
		t.Fatalf("sheets %v, want one, of the second log", sheets)
	}
	if out := proves(t, c, k, sheets[0]); !strings.Contains(out, "credit slip over ₹700.00") || !strings.Contains(out, DemoNumber) {
		t.Errorf("rasid-audit says:\n%s", out)
	}
	k.SetOfficeCut(false)
	officeShows(t, c, "₹700.00")
	report := verifyExport(t, c)
	if got := report.Books.Balances["Assets:Cash:K2"]; int64(got) != k.Acceptor.Truth().BoxPaise() || got != 700_00 {
		t.Errorf("the books have %d paise in the box, it holds %d, want 70000", got, k.Acceptor.Truth().BoxPaise())
	}
	var open ledger.Paise
	for account, p := range report.Books.Balances {
		if strings.HasPrefix(account, "Liabilities:Slip:K2-2-") {
			open -= p
		} else if account != "Assets:Cash:K2" {
			t.Errorf("%s holds %d", account, p)
		}
	}
	if q := report.Books.Questions; open != 700_00 || len(q) != 1 || q[0].Reason != book.ReasonSlipOpen {
		t.Errorf("slips of %d paise, questions %v", open, q)
	}
	nothingPersonal(t, c)
}

// The disk has lost journal and index: nothing is held of the log but the checkpoint in
// its head file. The screen says that records are missing, until a neighbour returns
// them; then the citizen finds her money.
func TestNeighbourReturnsAnOpenSale(t *testing.T) {
	c := start(t, 2)
	k := c.Kiosks()[0]
	p := at(t, k)
	p.untilOpen()
	k.SetOfficeCut(true)
	p.toCash(DemoNumber)
	p.feed(500, `id="inserted">₹500<`)
	own, err := filepath.Glob(filepath.Join(k.Dir, "data", "own", "*", "00000001.journal"))
	if err != nil || len(own) != 1 {
		t.Fatalf("journals %v, %v", own, err)
	}
	log := filepath.Base(filepath.Dir(own[0]))
	physically(t, "neighbour and head file know all of the log", func() bool {
		note, err := os.ReadFile(filepath.Join(k.Dir, "data", "own", log+".head"))
		lines := strings.Split(string(note), "\n")
		return err == nil && len(lines) > 1 && lines[1] == held(t, c, k, log) && lines[1] == held(t, c, c.Kiosks()[1], log)
	})
	k.Process.Kill()
	k.damage(t)
	if err := os.RemoveAll(filepath.Join(k.Dir, "data", "own", "index")); err != nil {
		t.Fatal(err)
	}
	c.Kiosks()[1].Process.Stop()
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.open()
	p.until(`id="missing"`)
	if err := c.Kiosks()[1].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.until(`id="recovered"`, "₹500")
	p.press("do", "slip")
	p.until(hindi("kiosk.print.printed"))
	if sheets := k.Printer.State().Sheets; len(sheets) != 1 || !strings.Contains(proves(t, c, k, sheets[0]), "credit slip over ₹500.00") {
		t.Errorf("sheets %v", sheets)
	}
	k.SetOfficeCut(false)
	officeShows(t, c, "₹500.00")
	report := verifyExport(t, c)
	if q := report.Books.Questions; report.Books.Balances["Assets:Cash:K2"] != 500_00 || len(q) != 1 || q[0].Reason != book.ReasonSlipOpen {
		t.Errorf("balances %v, questions %v", report.Books.Balances, q)
	}
}

// held is how many entries of a log a running kiosk holds, by its own word.
func held(t *testing.T, c *Cabinet, k *Kiosk, log string) string {
	t.Helper()
	out := run(t, filepath.Join(c.cfg.Programs, "rasid-kiosk"), "ledger", "heads", "--dir", k.Dir)
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 3 && f[0] == log {
			return f[3] // behind the two words that say whose it is
		}
	}
	return ""
}

// A receipt that was on its way when the log was given up still comes out, under its old
// number, marked duplicate where the printer cannot say; the bill is known to be paid,
// at this kiosk and, when the log has come there, at the neighbour's.
func TestReceiptOfALogGivenUp(t *testing.T) {
	c := start(t, 2)
	k := c.Kiosks()[0]
	p := at(t, k)
	p.untilOpen()
	k.printer(t, "pause before-complete")
	p.pay()
	k.printer(t, "wait before-complete")
	k.Process.Kill()
	k.damage(t)
	for _, line := range []string{"power off", "resume", "power on"} {
		k.printer(t, line)
	}
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	physically(t, "a second sheet comes out", func() bool { return len(k.Printer.State().Sheets) == 2 })
	s := k.Printer.State().Sheets
	if s[1].Name != s[0].Name+"-copy-2" || !strings.HasPrefix(s[0].Name, "2-1-") {
		t.Fatalf("sheets %v, want the second to be copy 2, of the first log", s)
	}
	if out := proves(t, c, k, s[1]); !strings.Contains(out, "₹1,300.00") || !strings.Contains(out, DemoNumber) {
		t.Errorf("rasid-audit says:\n%s", out)
	}
	officeShows(t, c, "₹1,300.00")
	physically(t, "the printer's word is in the new log", func() bool {
		taken, printed := false, false
		eachEntry(t, c, func(e ledger.Entry) {
			taken, printed = taken || e.Kind == event.KindPaperTakenOver, printed || e.Kind == event.KindPrinted
		})
		return taken && printed
	})
	if report := verifyExport(t, c); len(report.Books.Questions) > 0 || report.Books.Balances["Assets:Cash:K2"] != 1300_00 {
		t.Errorf("questions %v, balances %v", report.Books.Questions, report.Books.Balances)
	}
	for i, where := range []string{"यहाँ", k.Name + " पर"} {
		p := at(t, c.Kiosks()[i])
		p.untilOpen()
		p.press("do", "language", "value", "hi")
		p.press("do", "service", "value", "1")
		physically(t, "kiosk "+strconv.Itoa(i)+" says that the bill was paid "+where, func() bool {
			if page := p.press("do", "look", "number", DemoNumber); strings.Contains(page, s[0].Name) && strings.Contains(page, where) {
				return true
			}
			p.press("do", "back") // the log has not come yet
			return false
		})
	}
}

// The office's own logs are damaged, so that it refuses to start. A person has it go on
// with new ones: the kiosk takes the dues and the key that are published in those, and
// rasid-audit verifies all of it, under the signature of the new authority log.
func TestOfficeGoesOnInNewLogs(t *testing.T) {
	c := start(t, 1)
	k := c.Kiosks()[0]
	p := at(t, k)
	p.untilOpen()
	p.pay()
	p.until(hindi("kiosk.print.printed"))
	officeShows(t, c, "₹1,300.00")
	loseLogs(t, c)
	officeShows(t, c, "₹1,300.00")

	c.officeTool(t, "keys", "rotate", "--seal")
	rows, err := os.ReadFile(filepath.Join(c.cfg.Dir, "jvvnl-2026-10.csv"))
	if err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(t.TempDir(), "jvvnl-2026-11.csv")
	if err := os.WriteFile(next, bytes.ReplaceAll(rows, []byte("2026-10"), []byte("2026-11")), 0o600); err != nil {
		t.Fatal(err)
	}
	c.officeTool(t, "dues", "publish", next)
	k.Process.Stop() // which has waited for the office ever longer
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.open()
	p.untilOpen()
	physically(t, "the next month's bill is at the kiosk", func() bool {
		p.press("do", "language", "value", "hi")
		p.press("do", "service", "value", "1")
		page := p.press("do", "look", "number", DemoNumber)
		p.press("do", "cancel")
		return strings.Contains(page, `value="confirm"`)
	})
	p.pay()
	p.until(hindi("kiosk.print.printed"))
	officeShows(t, c, "₹2,600.00")
	seals := map[uint32]bool{}
	physically(t, "both sales are at the office", func() bool {
		eachEntry(t, c, func(e ledger.Entry) {
			if b, err := event.Decode(e); err == nil && e.Kind == event.KindBlobSealed {
				seals[b.(*event.BlobSealed).Seal] = true
			}
		})
		return len(seals) == 2
	})
	if !seals[1] || !seals[2] {
		t.Errorf("sealed to the seal keys %v, want 1 and 2", seals)
	}
	report := verifyExport(t, c)
	if q := report.Books.Questions; len(q) > 0 || report.Books.Balances["Assets:Cash:K2"] != 2600_00 {
		t.Errorf("questions %v, balances %v", q, report.Books.Balances)
	}
}

// loseLogs damages the logs that the office writes, which then refuses to start, and has
// it begin new ones.
func loseLogs(t *testing.T, c *Cabinet) {
	t.Helper()
	c.office.Stop()
	logs, err := filepath.Glob(filepath.Join(c.OfficeDir(), "data", "own", strings.Repeat("[0-9a-f]", 32)))
	if err != nil || len(logs) != 2 {
		t.Fatalf("own logs %v, %v", logs, err)
	}
	begin := []string{"incarnation", "begin"}
	for _, log := range logs {
		takeEnd(t, log)
		begin = append(begin, filepath.Base(log))
	}
	if _, err := c.office.Start(t.Context(), "office"); err == nil {
		t.Fatal("an office with damaged journals starts")
	}
	c.officeTool(t, begin...)
	if _, err := c.office.Start(t.Context(), "office"); err != nil {
		t.Fatal(err)
	}
}
