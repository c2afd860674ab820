package cabinet

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/node/lang"
)

func hindi(key string, args ...any) string { return lang.T(lang.Hindi, key, args...) }

// pay feeds ₹1,300 for the demonstration's bill.
func (c *citizen) pay() string {
	c.t.Helper()
	c.toCash(DemoNumber)
	c.feed(500, `id="inserted">₹500<`)
	c.feed(500, `id="inserted">₹1,000<`)
	c.feed(200, `id="inserted">₹1,200<`)
	return c.feed(100, `id="receipt"`)
}

// A kiosk that is cut off from the office for good delivers through a neighbour.
func TestNeighbourDelivers(t *testing.T) {
	c := start(t, 2)
	k := c.Kiosks()[0]
	p := at(t, k)
	p.untilOpen()
	k.SetOfficeCut(true)
	p.pay()
	officeShows(t, c, "₹1,300.00")
	way := hindi("office.kiosks.way_through", "kiosk", c.Kiosks()[1].Name)
	if !strings.Contains(p.get(c.OfficeURL()), way) {
		t.Errorf("the office page does not say %q", way)
	}
	c.office.Stop()
	if _, err := c.office.Start(t.Context(), "office"); err != nil {
		t.Fatal(err)
	}
	officeShows(t, c, "₹1,300.00")
	if !strings.Contains(p.get(c.OfficeURL()), way) {
		t.Errorf("after a restart the office page does not say %q any more", way)
	}
	report := verifyExport(t, c)
	if got := report.Books.Balances["Assets:Cash:K2"]; int64(got) != k.Acceptor.Truth().BoxPaise() {
		t.Errorf("the books have %d paise in the box, it holds %d", got, k.Acceptor.Truth().BoxPaise())
	}
}

// Paper out does not undo money: the receipt prints after the refill, once.
func TestPaperOutPrintsAfterTheRefill(t *testing.T) {
	c := start(t, 1)
	k := c.Kiosks()[0]
	p := at(t, k)
	p.untilOpen()
	p.toCash(DemoNumber)
	p.feed(500, `id="inserted">₹500<`)
	k.printer(t, "paper out")
	p.feed(500, `id="inserted">₹1,000<`)
	p.feed(200, `id="inserted">₹1,200<`)
	p.feed(100, hindi("kiosk.print.paper_out"))
	k.printer(t, "refill")
	p.until(hindi("kiosk.print.printed"))
	if s := k.Printer.State().Sheets; len(s) != 1 || strings.Contains(s[0].Name, "copy") {
		t.Errorf("sheets %v, want the receipt alone", s)
	}
	if p.press("do", "finish"); !strings.Contains(p.page(), `id="hi"`) {
		t.Error("the first page does not come back")
	}
}

func (k *Kiosk) printer(t testing.TB, line string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := k.Printer.Do(ctx, line); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
}

// A kiosk killed on its receipt's way asks the printer by name: a job that has the
// document is followed, one that lacks it gets it, and one original comes out.
func TestKillWhilePrinting(t *testing.T) {
	for _, point := range []string{"after-create", "before-complete"} {
		t.Run(point, func(t *testing.T) {
			c := start(t, 1)
			k := c.Kiosks()[0]
			p := at(t, k)
			p.untilOpen()
			k.printer(t, "pause "+point)
			p.pay()
			k.printer(t, "wait "+point)
			k.Process.Kill()
			k.printer(t, "resume")
			if err := k.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.open()
			officePrinted(t, c)
			if s := k.Printer.State().Sheets; len(s) != 1 || strings.Contains(s[0].Name, "copy") {
				t.Errorf("sheets %v, want one, the original", s)
			}
		})
	}
}

// officePrinted waits until the office has the printer's word.
func officePrinted(t *testing.T, c *Cabinet) {
	t.Helper()
	physically(t, "the printer's word is at the office", func() bool {
		found := false
		eachEntry(t, c, func(e ledger.Entry) { found = found || e.Kind == event.KindPrinted })
		return found
	})
}

// eachEntry exports from the office and calls f for every entry of every log.
func eachEntry(t *testing.T, c *Cabinet, f func(ledger.Entry)) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "export")
	run(t, filepath.Join(c.cfg.Programs, "rasid-office"), "export", dir, "--dir", c.OfficeDir())
	bundles, err := filepath.Glob(filepath.Join(dir, "logs", "*", "tile", "entries"))
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range bundles {
		err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			for at := 0; err == nil && at+2 <= len(b); {
				n := int(binary.BigEndian.Uint16(b[at:]))
				var e ledger.Entry
				if e, err = ledger.DecodeEntry(b[at+2 : at+2+n]); err == nil {
					f(e)
				}
				at += 2 + n
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Where the printer lost its memory too, a copy is printed and marked duplicate.
func TestKillWhilePrintingAndPrinterForgets(t *testing.T) {
	c := start(t, 1)
	k := c.Kiosks()[0]
	p := at(t, k)
	p.untilOpen()
	k.printer(t, "pause before-complete")
	p.pay()
	k.printer(t, "wait before-complete")
	k.Process.Kill()
	k.printer(t, "power off")
	k.printer(t, "resume")
	k.printer(t, "power on")
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	physically(t, "a second sheet comes out", func() bool { return len(k.Printer.State().Sheets) == 2 })
	s := k.Printer.State().Sheets
	if s[1].Name != s[0].Name+"-copy-2" {
		t.Errorf("sheets %v, want the second to be copy 2", s)
	}
	text := run(t, "pdftotext", filepath.Join(c.cfg.Dir, k.Name+"-world", "sheets", s[1].File), "-")
	if !strings.Contains(strings.Join(strings.Fields(text), " "), hindi("receipt.duplicate", "n", 2)) {
		t.Errorf("the second sheet is not marked duplicate:\n%s", text)
	}
}

// A citizen who stops with money in gets a signed credit slip.
func TestCreditSlip(t *testing.T) {
	c := start(t, 1)
	k := c.Kiosks()[0]
	p := at(t, k)
	p.untilOpen()
	p.toCash(DemoNumber)
	p.feed(500, `id="inserted">₹500<`)
	p.press("do", "cancel")
	p.until(`id="slip"`)
	p.press("do", "slip")
	p.until(hindi("kiosk.print.printed"))
	sheets := k.Printer.State().Sheets
	text := run(t, "pdftotext", filepath.Join(c.cfg.Dir, k.Name+"-world", "sheets", sheets[0].File), "-")
	if !strings.Contains(text, hindi("receipt.slip_title")) || !strings.Contains(text, "₹500.00") {
		t.Errorf("the slip says:\n%s", text)
	}
	officeShows(t, c, "₹500.00")
	office := &citizen{t: t, http: http.DefaultClient}
	physically(t, "the office's page asks about the slip", func() bool {
		page := office.get(c.OfficeURL())
		return strings.Contains(page, `id="asks">1<`) && strings.Contains(page, "<b>"+hindi("office.questions.slip_open")+"</b>") && strings.Contains(page, "SKR-0101")
	})
	report := verifyExport(t, c)
	found := false
	for account, p := range report.Books.Balances {
		found = found || strings.HasPrefix(account, "Liabilities:Slip:") && p == -500_00
	}
	if !found {
		t.Errorf("no slip of ₹500 in the books: %v", report.Books.Balances)
	}
}

// What a person gets wrong at the start is said with place and remedy, and changes
// nothing.
func TestBadStarts(t *testing.T) {
	c := start(t, 2)
	a, b := c.Kiosks()[0], c.Kiosks()[1]
	kiosk, office := filepath.Join(c.cfg.Programs, "rasid-kiosk"), filepath.Join(c.cfg.Programs, "rasid-office")
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a.Process.Stop()
	foreign := foreignFolder(t, a, b)
	serve := func(dir string, more ...string) []string {
		return append([]string{kiosk, "serve", "--dir", dir, "--acceptor", "/dev/null", "--printer", a.Printer.URI(), "--listen", "127.0.0.1:0"}, more...)
	}
	good := "account,name,bill_no,period,due,due_date\n"
	for name, bad := range map[string]struct {
		args []string
		want string
	}{
		"another kiosk's data":    {serve(foreign), "belongs to another machine"},
		"open in another process": {serve(b.Dir), "is in use"},
		"no enrolment":            {serve(dir), "enrol"},
		"the office's folder":     {serve(c.OfficeDir()), "is the folder of the office"},
		"port taken":              {serve(a.Dir, "--listen", busy.Addr().String()), "is another kiosk running? Name another address"},
		"not loopback":            {serve(a.Dir, "--listen", "0.0.0.0:8101"), "is no loopback address"},
		"unknown key":             {[]string{kiosk, "config", "check", "--config", write("bad.toml", "pinter = \"ipp://x\"\n")}, `bad.toml:1:1: unknown key "pinter": did you mean "printer"?`},
		"bad printer":             {serve(a.Dir, "--printer", "http://x"), "write it as ipp://"},
		"dues with a wrong column": {[]string{office, "dues", "publish", write("a.csv", "account,nam,bill_no,period,due,due_date\n"), "--dir", c.OfficeDir()},
			"line 1, column 2"},
		"dues with a wrong amount": {[]string{office, "dues", "publish", write("b.csv", good+"210123456789,श्री राम,B1,2026-10,\"1,264\",2026-11-28\n"), "--dir", c.OfficeDir()},
			"line 2, column due"},
		"second fleet": {[]string{office, "fleet", "init", "--dir", c.OfficeDir()}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := exec.Command(bad.args[0], bad.args[1:]...).CombinedOutput()
			if err == nil || !strings.Contains(string(out), bad.want) {
				t.Errorf("%v says %q, want an error with %q", err, out, bad.want)
			}
		})
	}
	if err := a.Start(t.Context()); err != nil {
		t.Errorf("after all that the kiosk does not start: %v", err)
	}
}

// foreignFolder is kiosk b's identity over kiosk a's data; a does not run.
func foreignFolder(t *testing.T, a, b *Kiosk) string {
	t.Helper()
	foreign := filepath.Join(t.TempDir(), "foreign")
	if err := os.MkdirAll(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(b.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !f.Type().IsRegular() {
			continue // b runs: its command socket cannot be copied, its data need not
		}
		text, err := os.ReadFile(filepath.Join(b.Dir, f.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(foreign, f.Name()), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(foreign, "data"), os.DirFS(filepath.Join(a.Dir, "data"))); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("chmod", "-R", "go-rwx", foreign).Run(); err != nil {
		t.Fatal(err)
	}
	return foreign
}

// When the lab ends, by whatever way, none of its programs stays.
func TestNothingIsLeftBehind(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c, err := New(ctx, Config{Dir: t.TempDir(), Programs: programs(t), Listen: "127.0.0.1:0", Kiosks: 1, Consumers: 5})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	var pids []int
	go func() {
		done <- c.Run(ctx, func() {
			pids = []int{c.office.Pid(), c.Kiosks()[0].Process.Pid()}
			cancel()
		})
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
			t.Errorf("process %d is still there: %v", pid, err)
		}
	}
}
