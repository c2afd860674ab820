package cabinet

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rasid/internal/testtool"
	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/ledger/receipt"
	"rasid/node/audit"
	"rasid/node/fleet"
	"rasid/node/lang"
)

// pull kills the kiosk with -9 when its acceptor stands at the point, and plugs it in
// again. act is what makes the acceptor come to the point, meanwhile what happens to
// the acceptor while the kiosk is dead.
func (k *Kiosk) pull(t testing.TB, point string, act func(), meanwhile ...string) {
	t.Helper()
	k.acceptor(t, "pause "+point)
	act()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := k.Acceptor.Do(ctx, "wait "+point); err != nil {
		t.Fatalf("the acceptor never came to %s: %v", point, err)
	}
	k.Process.Kill()
	for _, line := range meanwhile {
		k.acceptor(t, line)
	}
	k.acceptor(t, "resume")
	if err := k.Start(ctx); err != nil {
		t.Fatal(err)
	}
}

// until waits for something physical.
func physically(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if is() {
			return
		}
	}
	t.Fatalf("it never came about that %s", what)
}

// TestPowerCuts is the evidence: a payment in Hindi in a real browser with the
// office cut off and three kill -9; then everything agrees to the paisa.
func TestPowerCuts(t *testing.T) {
	c := start(t, 1)
	k := c.Kiosks()[0]
	at(t, k).untilOpen()
	k.SetOfficeCut(true)

	s := chromium(t)
	s.open(k)
	s.tap("#hi", "#electricity")
	s.tap("#electricity", "#number")
	s.number(DemoNumber)
	s.tap("#show", "#confirm")
	s.shows("main", "₹1,264.00")
	s.tap("#confirm", "#inserted")

	// (i) before the intent: the note comes back, nothing is credited.
	k.pull(t, "before-counters-in-escrow", func() { k.insert(t, 500) })
	s.open(k)
	s.shows("#inserted", "₹0")
	physically(t, "the ₹500 note is back in the hand", func() bool { return k.Acceptor.Truth().Returned[500] == 1 })

	k.insert(t, 500)
	s.shows("#inserted", "₹500")

	// (ii) after the accepting poll, and the acceptor's power goes too: its report of
	// the note is lost, its counters say that the note is in the box.
	k.pull(t, "after-accept", func() { k.insert(t, 500) }, "power off", "power on")
	s.open(k)
	s.shows("#recovered", "₹1,000")
	s.tap("#continue", "#inserted")
	k.insert(t, 200)
	s.shows("#inserted", "₹1,200")

	// (iii) between stacked and paid.
	k.pull(t, "on-disable", func() { k.insert(t, 100) })
	s.open(k)
	s.shows("#recovered", "₹1,300")
	s.tap("#continue", "#receipt")
	s.shows("main", "₹36.00")
	s.shows(".state", lang.T(lang.Hindi, "kiosk.print.printed"))

	agrees(t, c, k)
}

// agrees checks that box, receipt, office, books and log say the same to the paisa,
// and that none of them names the citizen.
func agrees(t *testing.T, c *Cabinet, k *Kiosk) {
	t.Helper()
	box := k.Acceptor.Truth().BoxPaise()
	if box != 1300_00 {
		t.Fatalf("the box holds %d paise, want 130000", box)
	}
	paid := verifyReceipt(t, c, k)
	k.SetOfficeCut(false)
	officeShows(t, c, "₹1,300.00")
	report := verifyExport(t, c)
	if n := stackedBy(t, c, event.EvidenceCounters); n != 1 {
		t.Errorf("%d notes were credited from the counters, want 1", n)
	}
	cash, sum := report.Books.Balances["Assets:Cash:K2"], ledger.Paise(0)
	for _, p := range report.Books.Balances {
		sum += p
	}
	if int64(cash) != box || int64(paid) != box || sum != 0 {
		t.Errorf("box %d, books %d, receipt %d, sum of all accounts %d", box, cash, paid, sum)
	}
	nothingPersonal(t, c)
	if len(report.Books.Questions) > 0 {
		t.Errorf("open questions: %v", report.Books.Questions)
	}
}

// verifyReceipt reads the QR code off the printed sheet with zbarimg and verifies it
// with nothing but the fleet's public key. It returns what the citizen paid.
func verifyReceipt(t *testing.T, c *Cabinet, k *Kiosk) ledger.Paise {
	t.Helper()
	zbarimg := testtool.Need(t, "zbarimg", "zbar-tools")
	pdftoppm := testtool.Need(t, "pdftoppm", "poppler-utils")
	pdftotext := testtool.Need(t, "pdftotext", "poppler-utils")
	sheets := k.Printer.State().Sheets
	if len(sheets) != 1 {
		t.Fatalf("%d sheets came out, want 1: %v", len(sheets), sheets)
	}
	pdf := filepath.Join(c.cfg.Dir, k.Name+"-world", "sheets", sheets[0].File)
	picture := filepath.Join(t.TempDir(), "sheet")
	run(t, pdftoppm, "-r", "150", "-png", "-singlefile", pdf, picture)
	text := strings.TrimSuffix(run(t, zbarimg, "--nodbus", "--raw", "-q", picture+".png"), "\n")
	words := run(t, pdftotext, "-layout", pdf, "-")
	for _, want := range []string{lang.T(lang.Hindi, "receipt.title"), lang.T(lang.Hindi, "receipt.status"), "2101 2345 6789", "₹1,300.00", "एक हज़ार तीन सौ रुपये मात्र"} {
		if !strings.Contains(strings.Join(strings.Fields(words), " "), want) {
			t.Errorf("the sheet does not say %q:\n%s", want, words)
		}
	}
	id, err := fleet.Load(k.Dir)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := receipt.ParseText(text)
	if err != nil {
		t.Fatal(err)
	}
	v, err := proof.Verify(id.Fleet)
	if err != nil {
		t.Fatal(err)
	}
	if v.Number != sheets[0].Name || proof.Consumer != DemoNumber {
		t.Errorf("receipt %s for %s, the job is %s", v.Number, proof.Consumer, sheets[0].Name)
	}
	out := run(t, filepath.Join(c.cfg.Programs, "rasid-audit"), "receipt", text, "--fleet", base64.StdEncoding.EncodeToString(id.Fleet))
	if !strings.Contains(out, "VALID") || !strings.Contains(out, "₹1,300.00") {
		t.Errorf("rasid-audit receipt says:\n%s", out)
	}
	return v.Body.(*event.PaymentCommitted).Tendered
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", filepath.Base(name), args, err, out)
	}
	return string(out)
}

// officeShows waits on the office page's live stream until its total is there.
func officeShows(t *testing.T, c *Cabinet, total string) {
	t.Helper()
	p := &citizen{t: t, http: http.DefaultClient}
	want := `id="total">` + total + `<`
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if strings.Contains(p.get(c.OfficeURL()), want) {
			return
		}
	}
	t.Fatalf("the office never showed %s:\n%s", total, p.get(c.OfficeURL()))
}

// verifyExport exports from the running office, verifies with the real rasid-audit,
// hledger and bean-check, and sees that one changed byte is found.
func verifyExport(t *testing.T, c *Cabinet) audit.Report {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "export")
	office, auditor := filepath.Join(c.cfg.Programs, "rasid-office"), filepath.Join(c.cfg.Programs, "rasid-audit")
	pub := filepath.Join(c.OfficeDir(), "fleet.pub")
	run(t, office, "export", dir, "--dir", c.OfficeDir())
	if out := run(t, auditor, "verify", dir, "--fleet", pub); !strings.Contains(out, "Everything verifies") {
		t.Errorf("rasid-audit verify says:\n%s", out)
	}
	run(t, testtool.Need(t, "hledger", "hledger"), "-f", filepath.Join(dir, "books", "ledger.journal"), "check", "--strict")
	run(t, testtool.Need(t, "bean-check", "beancount"), filepath.Join(dir, "books", "ledger.beancount"))
	id, err := fleet.Load(c.OfficeDir())
	if err != nil {
		t.Fatal(err)
	}
	report, err := audit.Verify(dir, id.Fleet, nil)
	if err != nil || len(report.Findings) > 0 {
		t.Fatalf("findings %v, %v", report.Findings, err)
	}
	journal := filepath.Join(dir, "books", "ledger.journal")
	b, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(journal, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(auditor, "verify", dir, "--fleet", pub, "--json").Output()
	exit, failed := err.(*exec.ExitError)
	var said struct{ Findings []audit.Finding }
	if !failed || exit.ExitCode() != 1 || json.Unmarshal(out, &said) != nil || len(said.Findings) == 0 || said.Findings[0].File != "books/ledger.journal" {
		t.Errorf("after a changed byte rasid-audit ends with %v and says:\n%s", err, out)
	}
	if _, err := exec.Command(office, "export", dir, "--dir", c.OfficeDir()).CombinedOutput(); err == nil {
		t.Error("an export into a full folder was made")
	}
	return report
}

// stackedBy counts the notes that the log credits on the given evidence.
func stackedBy(t *testing.T, c *Cabinet, evidence event.Evidence) int {
	t.Helper()
	n := 0
	eachEntry(t, c, func(e ledger.Entry) {
		body, err := event.Decode(e)
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := body.(*event.NoteStacked); ok && s.Evidence == evidence {
			n++
		}
	})
	return n
}
