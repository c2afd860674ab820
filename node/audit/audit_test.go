package audit

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rasid/internal/testtool"
	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

func testKey(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

type district struct {
	t     *testing.T
	fleet ed25519.PrivateKey
	chain cert.Certificate
}

func newDistrict(t *testing.T) *district {
	t.Helper()
	d := &district{t: t, fleet: testKey(1)}
	c, err := cert.Issue(d.fleet, cert.Certificate{Key: [32]byte(public(testKey(2))), Slot: 1, Cell: 5000, Role: cert.RoleDistrict, NotAfter: 40000})
	if err != nil {
		t.Fatal(err)
	}
	d.chain = c
	return d
}

// log makes a log of the machine in slot, committed in batches of the given sizes.
func (d *district) log(slot uint32, role cert.Role, stream cert.Stream, batches [][]event.Body) LogSource {
	d.t.Helper()
	machine, key := testKey(byte(10+slot)), testKey(byte(100+slot))
	mc, err := cert.Issue(testKey(2), cert.Certificate{Key: [32]byte(public(machine)), Slot: slot, Cell: 1, Role: role, NotAfter: 40000})
	if err != nil {
		d.t.Fatal(err)
	}
	g, err := cert.SignGrant(machine, cert.Grant{LogKey: [32]byte(public(key)), Stream: stream, Ordinal: 1, Reason: cert.ReasonEnrolled})
	if err != nil {
		d.t.Fatal(err)
	}
	opened := &event.LogOpened{Chain: cert.Chain{District: d.chain, Machine: mc}, Grant: g, Currency: event.Currency, Rules: book.Newest()}
	held := ledger.Log{Key: public(key)}
	var entries [][]byte
	var points []ledger.Checkpoint
	for i, bodies := range batches {
		if i == 0 {
			bodies = append([]event.Body{opened}, bodies...)
		}
		var raw [][]byte
		for _, b := range bodies {
			e, err := event.New(ledger.Time{WallMs: 1795500000000 + uint64(len(entries))*1000}, b)
			if err != nil {
				d.t.Fatal(err)
			}
			bytes, err := ledger.EncodeEntry(e)
			if err != nil {
				d.t.Fatal(err)
			}
			raw = append(raw, bytes)
		}
		run, err := held.NewRun(key, raw)
		if err != nil {
			d.t.Fatal(err)
		}
		if held, _, err = held.Extend(run); err != nil {
			d.t.Fatal(err)
		}
		entries = append(entries, raw...)
		points = append(points, run.End)
	}
	return LogSource{ID: ledger.LogIDOf(public(key)), Opened: opened, Checkpoints: points, Each: func(f func(uint64, []byte) error) error {
		for i, e := range entries {
			if err := f(uint64(i), e); err != nil {
				return err
			}
		}
		return nil
	}}
}

// sale is a whole cash sale whose first entry gets the index first.
func sale(first uint64, bill byte, due ledger.Paise, notes ...ledger.Paise) []event.Body {
	key := event.BillKey{bill}
	bodies := []event.Body{
		&event.SaleOpened{Service: event.ServiceElectricity, Language: event.Hindi},
		&event.BillSelected{Sale: first, Biller: "JVVNL", Bill: key, Due: due, Source: event.SourceDues, Surplus: event.SurplusNextBill},
	}
	var sum ledger.Paise
	var stacked []uint64
	for _, n := range notes {
		at := first + uint64(len(bodies))
		bodies = append(bodies, &event.NoteEscrowed{Sale: first, Value: n, Channel: 1}, &event.StackIntent{Note: at}, &event.NoteStacked{Note: at, Evidence: event.EvidenceEvent})
		stacked = append(stacked, at+2)
		sum += n
	}
	applied := min(sum, due)
	return append(bodies, &event.PaymentCommitted{Sale: first, Biller: "JVVNL", Bill: key, Due: due, Tendered: sum, Applied: applied, Surplus: sum - applied, Rule: event.SurplusNextBill, Tender: event.TenderCash, Notes: event.RefNotes(stacked...)},
		&event.SaleEnded{Sale: first, Reason: event.EndPaid})
}

func (d *district) input(sales int) Input {
	var batches [][]event.Body
	next := uint64(1)
	for i := range sales {
		b := sale(next, byte(i), 126400, 500_00, 500_00, 200_00, 100_00)
		batches = append(batches, b)
		next += uint64(len(b))
	}
	twice := sale(1, 0, 126400, 500_00, 500_00, 500_00) // bill 0 again, at another kiosk
	object := []byte("a dues set")
	published := &event.DuesPublished{Biller: "JVVNL", Object: ledger.ObjectHash(object), Bytes: uint64(len(object)), Count: 1}
	return Input{
		Fleet: public(d.fleet), Authority: testKey(101), Now: time.UnixMilli(1795600000000),
		Logs: []LogSource{
			d.log(1, cert.RoleOffice, cert.StreamAuthority, [][]event.Body{{published}}),
			d.log(7, cert.RoleKiosk, cert.StreamMain, batches),
			d.log(8, cert.RoleKiosk, cert.StreamMain, [][]event.Body{twice}),
		},
		Objects: map[ledger.Hash][]byte{ledger.ObjectHash(object): object},
	}
}

func export(t *testing.T, sales int) (string, ed25519.PublicKey) {
	t.Helper()
	d := newDistrict(t)
	dir := filepath.Join(t.TempDir(), "export")
	if _, err := Export(dir, d.input(sales)); err != nil {
		t.Fatal(err)
	}
	return dir, public(d.fleet)
}

func TestExportVerifies(t *testing.T) {
	dir, fleet := export(t, 40)
	r, err := Verify(dir, fleet, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Findings) > 0 {
		t.Fatalf("findings in a whole export: %v", r.Findings)
	}
	var sum ledger.Paise
	for _, p := range r.Books.Balances {
		sum += p
	}
	want := ledger.Paise(40*1300_00 + 1500_00)
	if cash := r.Books.Balances["Assets:Cash:K7"] + r.Books.Balances["Assets:Cash:K8"]; sum != 0 || cash != want {
		t.Errorf("balances sum to %d, cash is %d, want 0 and %d", sum, cash, want)
	}
	if got := r.Books.Balances["Liabilities:Biller:JVVNL"]; got != -40*1264_00 {
		t.Errorf("the biller is owed %d, want %d: a bill paid twice counts once", got, -40*1264_00)
	}
}

func TestExportRefusesFullFolder(t *testing.T) {
	dir, _ := export(t, 1)
	if _, err := Export(dir, newDistrict(t).input(1)); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("Export into a full folder: %v", err)
	}
}

// Any changed byte of any file is found, and the file is named.
func TestVerifyFindsAnyChangedByte(t *testing.T) {
	dir, fleet := export(t, 40)
	changeEachFile(t, dir, fleet)
}

// changeEachFile changes single bytes of every file of an export, one after another.
func changeEachFile(t *testing.T, dir string, fleet ed25519.PublicKey) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		whole, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		for _, at := range []int{0, len(whole) - 1, rnd.IntN(len(whole)), rnd.IntN(len(whole))} {
			bad := bytes.Clone(whole)
			bad[at] ^= 1 << rnd.IntN(8)
			if err := os.WriteFile(name, bad, 0o644); err != nil {
				return err
			}
			r, err := Verify(dir, fleet, nil)
			if err != nil {
				return fmt.Errorf("%s, byte %d: %w", rel, at, err)
			}
			if !names0(r.Findings, rel) {
				t.Errorf("%s, byte %d changed: findings %v", rel, at, r.Findings)
			}
		}
		return os.WriteFile(name, whole, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func names0(findings []Finding, file string) bool {
	for _, f := range findings {
		if f.File == file {
			return true
		}
	}
	return false
}

// A liar who also fixes the manifest's sums cannot sign it.
func TestVerifyFindsResummedChange(t *testing.T) {
	dir, fleet := export(t, 2)
	name := filepath.Join(dir, journalName)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, bytes.Replace(b, []byte("1300.00"), []byte("1200.00"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		t.Fatal(err)
	}
	m, err := parseManifest(raw)
	if err != nil {
		t.Fatal(err)
	}
	var w writer
	w.dir = t.TempDir()
	for i, f := range m.files {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(f.path)))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.put(file{f.path, data}); err != nil {
			t.Fatal(err)
		}
		m.files[i] = w.m.files[i]
	}
	if err := os.WriteFile(filepath.Join(dir, manifestName), m.bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := Verify(dir, fleet, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !names0(r.Findings, manifestName) || !names0(r.Findings, journalName) {
		t.Errorf("findings %v, want the manifest's signature and the journal", r.Findings)
	}
}

func TestVerifyNamesLogAndEntry(t *testing.T) {
	dir, fleet := export(t, 40)
	id := ledger.LogIDOf(public(testKey(107)))
	name := filepath.Join(dir, "logs", id.String(), "tile", "entries", "001")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	part, err := readBundle(b)
	if err != nil {
		t.Fatal(err)
	}
	part[5][10] ^= 1 // inside the time of entry 261
	if err := os.WriteFile(name, bundle(part), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := Verify(dir, fleet, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		if f.Index != nil && *f.Index == 261 && f.LogID == id.String() {
			return
		}
	}
	t.Errorf("findings %v, want entry 261 of log %s", r.Findings, id)
}

func TestHledgerAcceptsTheJournal(t *testing.T) {
	hledger := testtool.Need(t, "hledger", "hledger")
	dir, _ := export(t, 5)
	name := filepath.Join(dir, filepath.FromSlash(journalName))
	if out, err := exec.Command(hledger, "-f", name, "check", "--strict").CombinedOutput(); err != nil {
		t.Fatalf("hledger check: %v\n%s", err, out)
	}
	out, err := exec.Command(hledger, "-f", name, "balance", "Assets:Cash:K7", "-N").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "6500.00") {
		t.Errorf("hledger balance: %v\n%s", err, out)
	}
}
