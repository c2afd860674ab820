package cabinet

import (
	"bytes"
	"crypto/rand"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"rasid/internal/personal"
	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/node/fleet"
	"rasid/node/lang"
)

// testCard is a card number that some test may hand in; none ever should be kept.
const testCard = "4111111111111111"

// people are the consumers of the test's own dues file, and a mobile and a card number.
func people(t testing.TB, c *Cabinet) *personal.Scanner {
	t.Helper()
	f, err := os.Open(filepath.Join(c.cfg.Dir, "jvvnl-2026-10.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) < 100 {
		t.Fatalf("%d rows of dues, %v", len(rows), err)
	}
	data := map[string]string{"the mobile number": "9876543210", "the card number": testCard}
	for i, row := range rows[1:] {
		data[fmt.Sprintf("the number in line %d", i+2)] = row[0]
		for _, word := range strings.Fields(row[1])[1:] {
			data["a word of the name in line "+fmt.Sprint(i+2)+" "+word] = word
		}
	}
	return personal.New(data)
}

// written are the roots of everything that kiosks and office wrote, what was left
// where they ran, and an export, in which nothing is compressed.
func written(t testing.TB, c *Cabinet) []string {
	t.Helper()
	export := filepath.Join(t.TempDir(), "export")
	if out, err := exec.Command(filepath.Join(c.cfg.Programs, "rasid-office"), "export", export, "--dir", c.OfficeDir()).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	roots := []string{export, c.OfficeDir(), c.office.Log.(*os.File).Name()}
	for _, k := range c.Kiosks() {
		roots = append(roots, k.Dir, k.log.Name())
	}
	for _, pattern := range []string{"core*", "*.core", filepath.Join(c.cfg.Dir, "core*")} {
		cores, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, cores...)
	}
	return roots
}

// nothingPersonal looks through everything that was written for the consumers' numbers
// and names, in whatever form; and sees that it would find one.
func nothingPersonal(t *testing.T, c *Cabinet) {
	t.Helper()
	s, looked := people(t, c), 0
	for _, root := range written(t, c) {
		found, files, err := s.Tree(root)
		if err != nil {
			t.Fatal(err)
		}
		looked += files
		for _, f := range found {
			t.Errorf("%s stands in %s at byte %d", f.Form, f.Path, f.At)
		}
	}
	if looked < 20 {
		t.Errorf("only %d files were looked at", looked)
	}
	planted := filepath.Join(c.Kiosks()[0].Dir, "data", "planted")
	if err := os.WriteFile(planted, []byte("… 2101 2345 6789 …"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(planted)
	if found, _, err := s.Tree(c.Kiosks()[0].Dir); err != nil || len(found) == 0 {
		t.Errorf("a planted number is not found: %v", err)
	}
}

// noCore checks that the kernel would write no core of the process, and that it does
// not when the process aborts.
func noCore(t *testing.T, pid int) {
	t.Helper()
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil || !regexp.MustCompile(`Max core file size +0 +0 `).Match(limits) {
		t.Errorf("process %d: %v\n%s", pid, err, limits)
	}
}

// onTerminal runs a command on a terminal of its own and returns what it showed.
func onTerminal(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(name, args...)
	terminal, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	var shown bytes.Buffer
	_, _ = io.Copy(&shown, terminal) // a terminal whose other end closed gives an error, not an end
	return shown.String(), cmd.Wait()
}

// blobsHeld counts the objects in a data folder that have the size of a blob.
func blobsHeld(t *testing.T, dir string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "data", "objects", "*"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && info.Size() <= ledger.BlobMaxBytes {
			n++
		}
	}
	return n
}

func (c *Cabinet) officeTool(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, filepath.Join(c.cfg.Programs, "rasid-office"), append(args, "--dir", c.OfficeDir())...)
}

// TestBlobIsOpenedAndErased: the office opens what a kiosk sealed, on a terminal alone,
// and erases it everywhere; receipt, export and totals stay. Then keys are renewed and
// the next sale uses them.
func TestBlobIsOpenedAndErased(t *testing.T) {
	c := start(t, 2)
	k := c.Kiosks()[0]
	noCore(t, k.Process.Pid())
	noCore(t, c.office.Pid())
	p := at(t, k)
	p.untilOpen()
	p.toCash(DemoNumber)
	if n := blobsHeld(t, k.Dir); n != 1 {
		t.Errorf("%d blobs while a sale is open", n)
	}
	p.press("do", "cancel")
	p.until(hindi("kiosk.attract.touch"))
	if n := blobsHeld(t, k.Dir); n != 0 {
		t.Errorf("%d blobs after a sale without money", n)
	}
	p.pay()
	p.until(hindi("kiosk.print.printed"))
	officeShows(t, c, "₹1,300.00")
	number := k.Printer.State().Sheets[0].Name
	physically(t, "the blob is at the office and the neighbour", func() bool {
		return blobsHeld(t, c.OfficeDir()) == 1 && blobsHeld(t, c.Kiosks()[1].Dir) == 1
	})
	office := filepath.Join(c.cfg.Programs, "rasid-office")
	shown, err := onTerminal(t, office, "blob", "open", number, "--dir", c.OfficeDir())
	if err != nil || !strings.Contains(shown, DemoNumber) || !strings.Contains(shown, "•••") {
		t.Fatalf("blob open shows %q, %v", shown, err)
	}
	hash := regexp.MustCompile(`[0-9a-f]{64}`).FindString(shown)
	if again, err := onTerminal(t, office, "blob", "open", hash, "--dir", c.OfficeDir()); err != nil || again != shown {
		t.Errorf("by its hash the blob shows %q, %v", again, err)
	}
	if out, err := exec.Command(office, "blob", "open", number, "--dir", c.OfficeDir()).CombinedOutput(); err == nil || strings.Contains(string(out), DemoNumber) {
		t.Errorf("into a pipe goes %q, %v", out, err)
	}
	if out, err := onTerminal(t, office, "blob", "open", number, "--dir", c.OfficeDir(), "--keys", k.Dir); err == nil || !strings.Contains(out, "seal.json is missing") {
		t.Errorf("without the private keys: %q, %v", out, err)
	}
	nothingPersonal(t, c)

	c.officeTool(t, "erase", number, "--why", "asked for by the citizen")
	physically(t, "the blob is gone everywhere", func() bool {
		return blobsHeld(t, c.OfficeDir())+blobsHeld(t, k.Dir)+blobsHeld(t, c.Kiosks()[1].Dir) == 0
	})
	if out, err := onTerminal(t, office, "blob", "open", number, "--dir", c.OfficeDir()); err == nil || !strings.Contains(out, "was erased") {
		t.Errorf("after the erasure: %q, %v", out, err)
	}
	verifyReceipt(t, c, k)
	if report := verifyExport(t, c); int64(report.Books.Balances["Assets:Cash:K2"]) != k.Acceptor.Truth().BoxPaise() {
		t.Errorf("after the erasure the books have %d paise", report.Books.Balances["Assets:Cash:K2"])
	}
	renewKeys(t, c, k)
	nothingPersonal(t, c) // in what the office notes of the renewal, too
}

// renewKeys renews both keys; the bill that was paid before is recognised all the same.
// The next sale at the kiosk is sealed to the new seal key and its bill named under the
// new pepper.
func renewKeys(t *testing.T, c *Cabinet, k *Kiosk) {
	t.Helper()
	c.officeTool(t, "keys", "rotate", "--pepper", "--seal")
	if out, err := exec.Command(filepath.Join(c.cfg.Programs, "rasid-office"), "keys", "rotate", "--pepper", "--dir", c.OfficeDir()).CombinedOutput(); err == nil || !strings.Contains(string(out), "publish them again first") {
		t.Errorf("a pepper that dues need is pushed out: %q, %v", out, err)
	}
	// A key that was drawn before a power cut is announced by the next start.
	if _, err := fleet.RenewSeal(c.OfficeDir(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	c.office.Stop()
	if _, err := c.office.Start(t.Context(), "office"); err != nil {
		t.Fatal(err)
	}
	dues := filepath.Join(c.cfg.Dir, "jvvnl-2026-10.csv")
	c.officeTool(t, "dues", "publish", dues)
	p := restartWithObjects(t, k, 3) // two dues sets, one pepper set
	p.refused()
	rows, err := os.ReadFile(dues)
	if err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(t.TempDir(), "jvvnl-2026-11.csv")
	if err := os.WriteFile(next, bytes.ReplaceAll(rows, []byte("2026-10"), []byte("2026-11")), 0o600); err != nil {
		t.Fatal(err)
	}
	c.officeTool(t, "dues", "publish", next)
	p = restartWithObjects(t, k, 4)
	p.pay()
	p.until(hindi("kiosk.print.printed"))
	seals, bills := map[uint32]bool{}, map[event.BillKey]bool{}
	physically(t, "both sales are at the office", func() bool {
		eachEntry(t, c, func(e ledger.Entry) {
			switch body, _ := event.Decode(e); b := body.(type) {
			case *event.BlobSealed:
				seals[b.Seal] = true
			case *event.PaymentCommitted:
				bills[b.Bill] = true
			}
		})
		return len(bills) == 2
	})
	if len(seals) != 2 || !seals[1] || !seals[3] {
		t.Errorf("sealed to the seal keys %v, want 1 and 3", seals)
	}
	for _, sheet := range k.Printer.State().Sheets[1:] {
		shown, err := onTerminal(t, filepath.Join(c.cfg.Programs, "rasid-office"), "blob", "open", sheet.Name, "--dir", c.OfficeDir())
		if err != nil || !strings.Contains(shown, DemoNumber) {
			t.Errorf("the blob of %s shows %q, %v", sheet.Name, shown, err)
		}
	}
}

// refused sees that the demonstration's bill, which is paid, is not paid again.
func (c *citizen) refused() {
	c.t.Helper()
	c.press("do", "language", "value", "hi")
	c.press("do", "service", "value", "1")
	paid := strings.Split(lang.T(lang.Hindi, "kiosk.dues.paid_here", "date", "|", "receipt", "|"), "|")[1]
	if page := c.press("do", "look", "number", DemoNumber); !strings.Contains(page, paid) {
		c.t.Errorf("a bill that was paid under the pepper before is not known as paid:\n%s", page)
	}
	if page := c.press("do", "confirm"); strings.Contains(page, `id="inserted"`) {
		c.t.Error("a bill that was paid under the pepper before is taken money for")
	}
	c.press("do", "cancel")
}

// restartWithObjects starts the kiosk again when it holds so many objects beside blobs
// that are erased.
func restartWithObjects(t *testing.T, k *Kiosk, want int) *citizen {
	t.Helper()
	physically(t, "the renewed dues are at the kiosk", func() bool {
		files, err := filepath.Glob(filepath.Join(k.Dir, "data", "objects", "*[0-9a-f]"))
		whole := slices.DeleteFunc(files, func(f string) bool { return strings.Contains(filepath.Base(f), ".") })
		return err == nil && len(whole) == want
	})
	k.Process.Kill()
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := at(t, k)
	p.untilOpen()
	return p
}

// TestAbortLeavesNoCore: a kiosk that is aborted in the middle of a sale leaves neither a
// core nor, in its log, what was typed.
func TestAbortLeavesNoCore(t *testing.T) {
	c := start(t, 1)
	k := c.Kiosks()[0]
	p := at(t, k)
	p.untilOpen()
	p.press("do", "language", "value", "hi")
	p.press("do", "service", "value", "1")
	for _, typed := range []string{"9876543210", testCard, "४१११११११११११", "2101 2345 6788", "no number"} {
		if page := p.press("do", "look", "number", typed); strings.Contains(page, "₹") {
			t.Errorf("%q finds a bill", typed)
		}
	}
	p.press("do", "cancel")
	p.toCash(DemoNumber)
	pid := k.Process.Pid()
	if err := syscall.Kill(pid, syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	physically(t, "the kiosk is gone", func() bool { return syscall.Kill(pid, 0) != nil || zombie(pid) })
	k.Process.Kill()
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	nothingPersonal(t, c)
}

func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(b, []byte(") Z "))
}
