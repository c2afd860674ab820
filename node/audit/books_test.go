package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"rasid/internal/testtool"
	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

// checkers are the programs that read the books, each with the file it reads.
func checkers(t *testing.T) map[string]func(name string) error {
	t.Helper()
	hledger, bean := testtool.Need(t, "hledger", "hledger"), testtool.Need(t, "bean-check", "beancount")
	run := func(program string, args ...string) error {
		if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%.2000s", filepath.Base(program), err, out)
		}
		return nil
	}
	return map[string]func(name string) error{
		journalName:   func(name string) error { return run(hledger, "-f", name, "check", "--strict") },
		beancountName: func(name string) error { return run(bean, name) },
	}
}

// everyCase are the transactions and questions of every case of the rule set.
func everyCase(t *testing.T) book.Books {
	t.Helper()
	f, err := os.Open("../../ledger/book/rules/1.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all book.Books
	for d := json.NewDecoder(f); ; {
		var c book.Books
		if err := d.Decode(&c); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all.Transactions = append(all.Transactions, c.Transactions...)
		all.Questions = append(all.Questions, c.Questions...)
	}
	return all
}

// TestAccountsOfEveryCase: both programs take every form of account that LEDGER.md
// §13.3 has, with whatever a case of the rule set puts into it, and the first and the
// last moment that an entry can have.
func TestAccountsOfEveryCase(t *testing.T) {
	checkers := checkers(t)
	all := everyCase(t)
	spec, err := os.ReadFile("../../docs/LEDGER.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(spec), "**13.3 Accounts.**")
	section, _, _ = strings.Cut(section, "**13.4")
	forms := regexp.MustCompile("`((?:Assets|Liabilities|Expenses):[^`]*)`").FindAllStringSubmatch(section, -1)
	if len(forms) < 17 {
		t.Fatalf("§13.3 names %d accounts: is it read right?", len(forms))
	}
	named := strings.Join(accounts(all), "\n") + "\n"
	for _, form := range forms {
		if !strings.Contains(named, strings.TrimSuffix(form[1], "7")) {
			t.Errorf("no case of the rule set posts to %s", form[1])
		}
	}
	for _, wall := range []uint64{0, 253_402_300_799_999} {
		all.Transactions = append(all.Transactions, book.Transaction{Entry: "K7-1-1-0000", WallMs: wall, Postings: []book.Posting{{Account: "Assets:Cash:K7", Amount: 1_000_000_000_000}, {Account: "Assets:Bank", Amount: -1_000_000_000_000}}})
	}
	people := map[uint32]string{7: `कियोस्क "7" \ ; account x`, 8: "*"}
	for name, data := range map[string][]byte{journalName: journal(all, people), beancountName: beancount(all, people)} {
		file := filepath.Join(t.TempDir(), filepath.Base(name))
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := checkers[name](file); err != nil {
			t.Error(err)
		}
	}
}

// TestBillersOfAnySpelling: a kiosk can write any code that keeps §6.2. Each is an
// account of its own, in both programs.
func TestBillersOfAnySpelling(t *testing.T) {
	checkers := checkers(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	const letters = "AaXx09-Zz"
	codes := map[string]bool{"JVVNL": true, "jvvnl": true, "-": true, "x": true, "X": true, "X-": true, "X-x": true, "0-": true, strings.Repeat("-", 32): true}
	for len(codes) < 150 {
		var code strings.Builder
		for range 1 + rnd.IntN(4) {
			code.WriteByte(letters[rnd.IntN(len(letters))])
		}
		codes[code.String()] = true
	}
	bodies := []event.Body{}
	for code := range codes {
		one := sale(1+uint64(len(bodies)), 1, 100_00, 100_00)
		one[1].(*event.BillSelected).Biller, one[len(one)-2].(*event.PaymentCommitted).Biller = code, code
		bodies = append(bodies, one...)
	}
	d := newDistrict(t)
	in := d.input(1)
	in.Logs = append(in.Logs, d.log(9, cert.RoleKiosk, cert.StreamMain, [][]event.Body{bodies}))
	dir := filepath.Join(t.TempDir(), "export")
	if _, err := Export(dir, in); err != nil {
		t.Fatal(err)
	}
	r, err := Verify(dir, in.Fleet, nil)
	if err != nil || len(r.Findings) > 0 {
		t.Fatalf("findings %v, %v", r.Findings, err)
	}
	owed := 0
	for account, p := range r.Books.Balances {
		if strings.HasPrefix(account, "Liabilities:Biller:") && (p == -100_00 || account == "Liabilities:Biller:JVVNL") {
			owed++
		}
	}
	if owed != len(codes) {
		t.Errorf("%d accounts for %d billers", owed, len(codes))
	}
	for name, check := range checkers {
		if err := check(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			t.Error(err)
		}
	}
}

// TestExportWithoutBeancount: the first exports had no such file, and still verify;
// one whose file was taken away does not.
func TestExportWithoutBeancount(t *testing.T) {
	d := newDistrict(t)
	in := d.input(2)
	dir := filepath.Join(t.TempDir(), "export")
	if _, err := Export(dir, in); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, filepath.FromSlash(beancountName))); err != nil {
		t.Fatal(err)
	}
	r, err := Verify(dir, in.Fleet, nil)
	if err != nil || !names0(r.Findings, beancountName) {
		t.Errorf("a file that was taken away: findings %v, %v", r.Findings, err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		t.Fatal(err)
	}
	m, err := parseManifest(raw)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range m.files {
		if f.path == beancountName {
			m.files = append(m.files[:i], m.files[i+1:]...)
			break
		}
	}
	m.sign(in.Authority)
	if err := writeFile(dir, file{manifestName, m.bytes()}); err != nil {
		t.Fatal(err)
	}
	if r, err = Verify(dir, in.Fleet, nil); err != nil || len(r.Findings) > 0 {
		t.Errorf("an export of the first form: findings %v, %v", r.Findings, err)
	}
}

// TestProgramsFindWhatDoesNotBalance: the programs that check us can tell.
func TestProgramsFindWhatDoesNotBalance(t *testing.T) {
	checkers := checkers(t)
	b := book.Books{Transactions: []book.Transaction{{Entry: "K7-1-1-0000", Postings: []book.Posting{{Account: "Assets:Cash:K7", Amount: 100}, {Account: "Assets:Bank", Amount: -ledger.Paise(99)}}}}}
	for name, data := range map[string][]byte{journalName: journal(b, nil), beancountName: beancount(b, nil)} {
		file := filepath.Join(t.TempDir(), filepath.Base(name))
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if checkers[name](file) == nil {
			t.Errorf("%s: a paisa that is missing is not found", name)
		}
	}
}
