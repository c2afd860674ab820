package fleet

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

var testNow = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

func source(n byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{n}) }

// testFleet is an office with a kiosk, in folders of their own.
func testFleet(t *testing.T) (office, kiosk string) {
	t.Helper()
	office, kiosk = filepath.Join(t.TempDir(), "office"), filepath.Join(t.TempDir(), "deep", "kiosk")
	if _, err := Init(office, Request{Name: "SKR-OFFICE", Place: "Sikar", Cell: 3}, testNow, source(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := Enrol(office, kiosk, Request{Name: "SKR-0147", Place: "ग्राम पंचायत, सीकर"}, testNow, source(2)); err != nil {
		t.Fatal(err)
	}
	return office, kiosk
}

func loaded(t *testing.T, dir string) Identity {
	t.Helper()
	id, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestFleetAndKiosk(t *testing.T) {
	officeDir, kioskDir := testFleet(t)
	office, kiosk := loaded(t, officeDir), loaded(t, kioskDir)
	if office.Slot() != 1 || office.Chain.Machine.Role != cert.RoleOffice || kiosk.Slot() != 2 || kiosk.Chain.Machine.Role != cert.RoleKiosk {
		t.Errorf("office %s, kiosk %s", office, kiosk)
	}
	if kiosk.Name != "SKR-0147" || kiosk.Place != "ग्राम पंचायत, सीकर" || kiosk.Chain.Machine.Cell != 3 {
		t.Errorf("%s at %q in cell %d", kiosk.Name, kiosk.Place, kiosk.Chain.Machine.Cell)
	}
	if !kiosk.Fleet.Equal(office.Fleet) || kiosk.Newest() != office.Newest() || kiosk.Newest().Secret == (event.Pepper{}) {
		t.Error("the kiosk has another fleet or pepper than the office")
	}
	if p, ok := kiosk.Ring().Pepper(1); !ok || p != office.Newest().Secret {
		t.Error("pepper 1 is not the office's")
	}
	if _, ok := kiosk.Ring().Pepper(2); ok {
		t.Error("there is a pepper 2")
	}
	if kiosk.MachineID() == office.MachineID() || len(kiosk.MachineID()) != 64 {
		t.Errorf("machine id %s", kiosk.MachineID())
	}
}

func TestEverythingSecretIsPrivate(t *testing.T) {
	officeDir, kioskDir := testFleet(t)
	if _, err := loaded(t, kioskDir).OpenLogKey(cert.StreamMain, source(3)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{officeDir, kioskDir} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
		files, err := os.ReadDir(dir)
		if err != nil || len(files) < 3 {
			t.Fatalf("%d files, %v", len(files), err)
		}
		for _, f := range files {
			want := fs.FileMode(0o600)
			if f.Name() == fleetPubName {
				want = 0o644
			}
			if info, err := f.Info(); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s has the mode %v, want %v (%v)", f.Name(), info.Mode(), want, err)
			}
		}
	}
	// A kiosk gets no key that certifies.
	for _, name := range []string{fleetKeyName, districtName} {
		if _, err := os.Stat(filepath.Join(kioskDir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the kiosk's folder holds %s (%v)", name, err)
		}
	}
}

func TestPrintedIdentityShowsNoSecret(t *testing.T) {
	_, dir := testFleet(t)
	id := loaded(t, dir)
	k, err := id.OpenLogKey(cert.StreamMain, source(3))
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		text := fmt.Sprintf(format+format+format, id, k, id.Newest())
		for _, secret := range [][]byte{id.Machine.Seed(), k.Key.Seed(), id.Peppers[0].Secret[:]} {
			for _, form := range []string{string(secret[:8]), fmt.Sprintf("%x", secret[:8]), strings.Trim(fmt.Sprintf("%v", secret[:8]), "[]"), strings.Trim(fmt.Sprintf("%#v", secret[:4]), "[]byte{}")} {
				if strings.Contains(text, form) {
					t.Errorf("%s shows a secret: %s", format, text)
				}
			}
		}
	}
}

func TestInitRefusesWhatIsThere(t *testing.T) {
	office, kiosk := testFleet(t)
	before := contents(t, office)
	again := func(dir string) error {
		_, err := Init(dir, Request{Name: "X"}, testNow, source(9))
		return err
	}
	for _, dir := range []string{office, kiosk} {
		if err := again(dir); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), "a fleet is made once") {
			t.Errorf("%s: %v", dir, err)
		}
	}
	// What an Init that was broken off left, or a lost identity, is not written over.
	for _, left := range []string{fleetKeyName, districtName} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, left), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := again(dir); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), left+" is there and identity.json is not") {
			t.Errorf("with %s: %v", left, err)
		}
	}
	if contents(t, office) != before {
		t.Error("the refused fleet changed the folder")
	}
}

// contents is every file of a folder in one string.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %q\n", f.Name(), raw)
	}
	return b.String()
}

func TestEnrolWithoutTheFleetKey(t *testing.T) {
	office, _ := testFleet(t)
	if err := os.Rename(filepath.Join(office, fleetKeyName), filepath.Join(t.TempDir(), "safe")); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "kiosk")
	said, err := Enrol(office, out, Request{Name: "SKR-0148", Slot: 148, Cell: 7}, testNow, source(3))
	if err != nil {
		t.Fatal(err)
	}
	id := loaded(t, out)
	if said.Chain != id.Chain || said.Name != "SKR-0148" || id.Slot() != 148 || id.Chain.Machine.Cell != 7 {
		t.Errorf("%+v for %s", said, id)
	}
	if _, err := event.New(ledger.Time{}, said); err != nil {
		t.Errorf("the authority log does not take it: %v", err)
	}
	all, err := Machines(office)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range all {
		names = append(names, fmt.Sprintf("%s:%d", m.Name, m.Chain.Machine.Slot))
	}
	if got := strings.Join(names, " "); got != "SKR-OFFICE:1 SKR-0147:2 SKR-0148:148" {
		t.Errorf("machines %s", got)
	}
	// The next free slot is the lowest that was never given.
	said, err = Enrol(office, filepath.Join(t.TempDir(), "k"), Request{Name: "SKR-0149"}, testNow, source(4))
	if err != nil || said.Chain.Machine.Slot != 3 {
		t.Errorf("slot %d, %v", said.Chain.Machine.Slot, err)
	}
}

func TestEnrolRefuses(t *testing.T) {
	office, kiosk := testFleet(t)
	before := contents(t, office)
	for _, c := range []struct {
		dir, out string
		r        Request
		want     string
	}{
		{office, kiosk, Request{Name: "A"}, "there is an identity already: enrol into a new folder"},
		{office, "new", Request{}, `the machine name "" has 0 characters: want 1 to 32`},
		{office, "new", Request{Name: strings.Repeat("A", 33)}, "33 characters"},
		{office, "new", Request{Name: "SKR 1"}, `holds " ": want letters A to Z`},
		{office, "new", Request{Name: "A", Place: strings.Repeat("x", 129)}, "place of 129 bytes, want at most 128"},
		{office, "new", Request{Name: "A", Place: "a\nb"}, "holds a control character"},
		{office, "new", Request{Name: "SKR-0147"}, "SKR-0147 is enrolled already, in slot 2: give the new machine another name"},
		{office, "new", Request{Name: "A", Slot: 2}, "slot 2 was given before, and a slot is for life: take 3, the next free one"},
		{kiosk, "new", Request{Name: "A"}, "only the office enrols machines"},
		{"nowhere", "new", Request{Name: "A"}, "the folder nowhere is missing: make a fleet there (rasid-office fleet init)"},
	} {
		out := c.out
		if out == "new" {
			out = filepath.Join(t.TempDir(), "new")
		}
		if _, err := Enrol(c.dir, out, c.r, testNow, source(5)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.r, err, c.want)
		}
		if _, err := os.Stat(filepath.Join(out, identityName)); out != kiosk && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%+v: a folder was made (%v)", c.r, err)
		}
	}
	if contents(t, office) != before {
		t.Error("a refused enrolment changed the office's folder")
	}
}

// An enrolment that fails after the slot was taken loses the slot and nothing else.
func TestASlotIsNeverGivenTwice(t *testing.T) {
	office, _ := testFleet(t)
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Enrol(office, filepath.Join(blocked, "kiosk"), Request{Name: "A"}, testNow, source(5)); err == nil {
		t.Fatal("enrolled into a file")
	}
	said, err := Enrol(office, filepath.Join(t.TempDir(), "k"), Request{Name: "A"}, testNow, source(6))
	if err != nil || said.Chain.Machine.Slot != 4 {
		t.Fatalf("slot %d, %v, want 4: slot 3 was taken", said.Chain.Machine.Slot, err)
	}
	if all, err := Machines(office); err != nil || len(all) != 3 {
		t.Errorf("%d machines, %v, want office and two kiosks", len(all), err)
	}
}

func TestOneEnrolmentAtATime(t *testing.T) {
	office, _ := testFleet(t)
	unlock, err := lock(office)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Enrol(office, filepath.Join(t.TempDir(), "k"), Request{Name: "A"}, testNow, source(5)); err == nil || !strings.Contains(err.Error(), "try again when it has ended") {
		t.Errorf("while another one runs: %v", err)
	}
	unlock()
	if _, err := Enrol(office, filepath.Join(t.TempDir(), "k"), Request{Name: "A"}, testNow, source(5)); err != nil {
		t.Errorf("after the other one: %v", err)
	}
}

func TestDamageIsNamed(t *testing.T) {
	office, kiosk := testFleet(t)
	other := filepath.Join(t.TempDir(), "other")
	if _, err := Enrol(office, other, Request{Name: "SKR-9"}, testNow, source(7)); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(t.TempDir(), "foreign")
	if _, err := Init(foreign, Request{Name: "F"}, testNow, source(8)); err != nil {
		t.Fatal(err)
	}
	edit := func(change func(*identityFile)) func(string) error {
		return func(path string) error {
			var f identityFile
			raw, err := os.ReadFile(path)
			if err == nil {
				err = json.Unmarshal(raw, &f)
			}
			if err != nil {
				return err
			}
			change(&f)
			if raw, err = json.Marshal(f); err != nil {
				return err
			}
			return os.WriteFile(path, raw, 0o600)
		}
	}
	write := func(text string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(text), 0o600) }
	}
	mode := func(m fs.FileMode) func(string) error { return func(path string) error { return os.Chmod(path, m) } }
	with := func(dir string, name string) func(string) error {
		return func(path string) error {
			raw, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return err
			}
			return os.WriteFile(path, raw, 0o600)
		}
	}
	for _, c := range []struct {
		name, file, want string
		do               func(path string) error
	}{
		{"missing", identityName, "is missing: put it back from this machine's enrolment folder", os.Remove},
		{"no public key", fleetPubName, "fleet.pub is missing", os.Remove},
		{"readable by others", identityName, "has the mode 0640, so that others may read or change it: chmod 600", mode(0o640)},
		{"public key writable by others", fleetPubName, "has the mode 0666, so that others may read or change it: chmod 644", mode(0o666)},
		{"cut short", identityName, "is damaged or of another machine", write(`{"format":1`)},
		{"an unknown field", identityName, `unknown field "x"`, write(`{"format":1,"x":2}`)},
		{"two values", identityName, "something follows its end", func(path string) error {
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, append(raw, "{}"...), 0o600)
		}},
		{"a later format", identityName, "has the format 2, this version reads 1: install the version", edit(func(f *identityFile) { f.Format = 2 })},
		{"another machine's key", identityName, "the machine key is not the certified one", edit(func(f *identityFile) { f.Machine[0] ^= 1 })},
		{"a short key", identityName, "the machine key has the wrong length", edit(func(f *identityFile) { f.Machine = f.Machine[1:] })},
		{"an altered chain", identityName, "is not signed by its issuer", edit(func(f *identityFile) { f.Chain[len(f.Chain)-1] ^= 1 })},
		{"no pepper", identityName, "0 peppers, want 1 to 2", edit(func(f *identityFile) { f.Peppers = nil })},
		{"a short pepper", identityName, "pepper 1 has the wrong length", edit(func(f *identityFile) { f.Peppers[0].Secret = f.Peppers[0].Secret[1:] })},
		{"another fleet's key", fleetPubName, "is not signed by its issuer", with(foreign, fleetPubName)},
		{"no key at all", fleetPubName, "it holds no key", write("hello")},
	} {
		dir := filepath.Join(t.TempDir(), "k")
		if err := os.CopyFS(dir, os.DirFS(kiosk)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Chmod(dir, 0o700), os.Chmod(filepath.Join(dir, identityName), 0o600), os.Chmod(filepath.Join(dir, fleetPubName), 0o644)); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err != nil {
			t.Fatalf("%s: the copy does not load: %v", c.name, err)
		}
		if err := c.do(filepath.Join(dir, c.file)); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if err := os.Chmod(kiosk, 0o770); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(kiosk); err == nil || !strings.Contains(err.Error(), "has the mode 0770, so that others may replace its keys: chmod 700") {
		t.Errorf("a folder that others may write: %v", err)
	}
}

func TestADistrictKeyOfAnotherOfficeIsSeen(t *testing.T) {
	office, _ := testFleet(t)
	foreign := filepath.Join(t.TempDir(), "foreign")
	if _, err := Init(foreign, Request{Name: "F"}, testNow, source(8)); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(foreign, districtName))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(office, districtName), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Enrol(office, filepath.Join(t.TempDir(), "k"), Request{Name: "A"}, testNow, source(5)); err == nil || !strings.Contains(err.Error(), "not the one that certified this office") {
		t.Error(err)
	}
	if _, err := Machines(office); err == nil {
		t.Error("the machines of another office are listed")
	}
}

// A district certifies its own slots and no others, whoever asks.
func TestSlotsOfTheDistrict(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "office")
	if _, err := Init(dir, Request{Name: "O", Slots: 3}, testNow, source(1)); err != nil {
		t.Fatal(err)
	}
	enrol := func(slot uint32, name string) error {
		_, err := Enrol(dir, filepath.Join(t.TempDir(), name), Request{Name: name, Slot: slot}, testNow, source(2))
		return err
	}
	for _, slot := range []uint32{4, 1 << 31} {
		if err := enrol(slot, "K"); err == nil || !strings.Contains(err.Error(), "not among this district's slots 1 to 3") {
			t.Errorf("slot %d: %v", slot, err)
		}
	}
	if err := errors.Join(enrol(3, "A"), enrol(0, "B")); err != nil {
		t.Fatal(err)
	}
	if err := enrol(0, "C"); err == nil || !strings.Contains(err.Error(), "not among") {
		t.Errorf("a full district enrols another machine: %v", err)
	}
	if _, err := Init(filepath.Join(t.TempDir(), "x"), Request{Name: "O", Slot: 4, Slots: 3}, testNow, source(1)); err == nil {
		t.Error("an office is made in a slot beyond its district")
	}
}

func TestLogKey(t *testing.T) {
	officeDir, kioskDir := testFleet(t)
	id := loaded(t, kioskDir)
	k, err := id.OpenLogKey(cert.StreamMain, source(3))
	if err != nil {
		t.Fatal(err)
	}
	again, err := loaded(t, kioskDir).OpenLogKey(cert.StreamMain, source(4))
	if err != nil || !again.Key.Equal(k.Key) || again.Grant != k.Grant {
		t.Errorf("another key at the second start: %v", err)
	}
	if k.Grant.Ordinal != 1 || k.Grant.Reason != cert.ReasonEnrolled {
		t.Errorf("%s", k)
	}
	// Entry 0 made of it opens the log up to the fleet's key, as every reader checks.
	entry, err := event.New(ledger.Time{}, Opening(id, k, ledger.Hash{1}))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ledger.Encode(entry)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := event.OpenLog(id.Fleet, ledger.LogIDOf(k.Key.Public().(ed25519.PublicKey)), raw)
	if err != nil || opened.Chain != id.Chain || opened.Rules != (ledger.Hash{1}) {
		t.Errorf("entry 0: %+v, %v", opened, err)
	}
	// The office has its authority key from the first, and one for each stream.
	office := loaded(t, officeDir)
	if _, err := os.Stat(filepath.Join(officeDir, logKeyName(cert.StreamAuthority))); err != nil {
		t.Error(err)
	}
	authority, err := office.OpenLogKey(cert.StreamAuthority, nil) // no randomness is needed
	if err != nil {
		t.Fatal(err)
	}
	cell, err := office.OpenLogKey(cert.StreamCell+3, source(6))
	if err != nil || cell.Key.Equal(authority.Key) {
		t.Errorf("one key for two streams, or %v", err)
	}
}

// A machine goes on with the next ordinal, whatever it knows of the log before, and
// gives no ordinal twice.
func TestNextLogKey(t *testing.T) {
	_, dir := testFleet(t)
	id := loaded(t, dir)
	first, err := id.OpenLogKey(cert.StreamMain, source(3))
	if err != nil {
		t.Fatal(err)
	}
	last := ledger.Checkpoint{Size: 7, Root: ledger.Hash{1}}
	second, err := id.NextLogKey(first, cert.ReasonDoubt, last, source(4))
	if err != nil {
		t.Fatal(err)
	}
	before := cert.Predecessor{Log: ledger.LogIDOf(first.Grant.PublicKey()), Size: 7, Root: last.Root}
	if g := second.Grant; g.Ordinal != 2 || g.Reason != cert.ReasonDoubt || g.Before == nil || *g.Before != before || second.Key.Equal(first.Key) {
		t.Fatalf("the grant is %+v", g)
	}
	if err := second.Grant.Verify(id.MachineKey()); err != nil {
		t.Fatal(err)
	}
	if again, err := loaded(t, dir).OpenLogKey(cert.StreamMain, source(5)); err != nil || !again.Key.Equal(second.Key) {
		t.Fatalf("the next start has %s, %v", again, err)
	}
	if _, err := id.NextLogKey(first, cert.ReasonDoubt, last, source(6)); err == nil || !strings.Contains(err.Error(), "not the newest") {
		t.Fatalf("an ordinal is given twice: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "log-0-1.json")); err != nil {
		t.Errorf("the key before is gone: %v", err)
	}
	third, err := id.NextLogKey(second, cert.ReasonRestored, ledger.Checkpoint{}, source(7))
	if err != nil || third.Grant.Ordinal != 3 || third.Grant.Before != nil {
		t.Fatalf("the grant is %+v, %v", third.Grant, err)
	}
}

func TestLogKeyDamage(t *testing.T) {
	_, dir := testFleet(t)
	id := loaded(t, dir)
	if _, err := id.OpenLogKey(cert.StreamMain, source(3)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, logKeyName(cert.StreamMain))
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(change func(*logKeyFile)) []byte {
		var f logKeyFile
		if err := json.Unmarshal(good, &f); err != nil {
			t.Fatal(err)
		}
		change(&f)
		raw, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for want, raw := range map[string][]byte{
		"is damaged":                             good[:len(good)/2],
		"another format":                         edit(func(f *logKeyFile) { f.Format = 2 }),
		"a key of the wrong length":              edit(func(f *logKeyFile) { f.Seed = f.Seed[1:] }),
		"the grant is for another key or stream": edit(func(f *logKeyFile) { f.Seed[0] ^= 1 }),
		"is not signed by the machine":           edit(func(f *logKeyFile) { f.Grant[len(f.Grant)-1] ^= 1 }),
	} {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := id.OpenLogKey(cert.StreamMain, source(4)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%v, want %q", err, want)
		}
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, raw) {
			t.Errorf("the damaged key was written over (%v)", err)
		}
	}
	// A key that is gone is not made anew: one ordinal would have two logs.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := id.OpenLogKey(cert.StreamMain, source(4)); err == nil || !strings.Contains(err.Error(), "its log goes on with no other key: put the file back") {
		t.Errorf("the key is gone: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key was made (%v)", err)
	}
}

// A start that was cut off between the key and the note of it goes on with that key.
func TestLogKeyAfterAPowerCut(t *testing.T) {
	_, dir := testFleet(t)
	id := loaded(t, dir)
	if err := id.makeLogKey(cert.Grant{Stream: cert.StreamMain, Ordinal: 1, Reason: cert.ReasonEnrolled}, source(3)); err != nil {
		t.Fatal(err)
	}
	first, err := id.readLogKey(cert.StreamMain)
	if err != nil {
		t.Fatal(err)
	}
	k, err := id.OpenLogKey(cert.StreamMain, source(4))
	if err != nil || !k.Key.Equal(first.Key) {
		t.Fatalf("another key: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, logKeyName(cert.StreamMain))); err != nil {
		t.Fatal(err)
	}
	if _, err := id.OpenLogKey(cert.StreamMain, source(4)); err == nil {
		t.Error("the key was not noted")
	}
}

func TestAdmit(t *testing.T) {
	officeDir, kioskDir := testFleet(t)
	office, kiosk := loaded(t, officeDir), loaded(t, kioskDir)
	foreignDir := filepath.Join(t.TempDir(), "foreign")
	foreign, err := Init(foreignDir, Request{Name: "F"}, testNow, source(8))
	if err != nil {
		t.Fatal(err)
	}
	end := time.Unix(int64(kiosk.Chain.Machine.NotAfter+1)*86400, 0)
	for _, c := range []struct {
		name   string
		chain  cert.Chain
		remote ed25519.PublicKey
		now    time.Time
		want   Admission
	}{
		{"a kiosk", kiosk.Chain, kiosk.MachineKey(), testNow, AdmitFull},
		{"the office", office.Chain, office.MachineKey(), testNow, AdmitFull},
		{"on its last day", kiosk.Chain, kiosk.MachineKey(), end.Add(-time.Second), AdmitFull},
		{"expired", kiosk.Chain, kiosk.MachineKey(), end, AdmitHandOver},
		{"expired, and no clock", kiosk.Chain, kiosk.MachineKey(), time.Time{}, AdmitFull},
		{"another's certificate", kiosk.Chain, office.MachineKey(), testNow, AdmitNone},
		{"another's certificate, expired", kiosk.Chain, office.MachineKey(), end, AdmitNone},
		{"another fleet", foreign.Chain, foreign.MachineKey(), testNow, AdmitNone},
		{"no certificate", cert.Chain{}, kiosk.MachineKey(), testNow, AdmitNone},
		{"no key", kiosk.Chain, nil, testNow, AdmitNone},
	} {
		got, err := Admit(office.Fleet, c.chain, c.remote, c.now)
		if got != c.want || (err != nil) != (c.want == AdmitNone) || err != nil && !errors.Is(err, ErrStranger) {
			t.Errorf("%s: %d, %v, want %d", c.name, got, err, c.want)
		}
	}
}
