package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/node/audit"
)

func key(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
}

func public(k ed25519.PrivateKey) [32]byte { return [32]byte(k.Public().(ed25519.PublicKey)) }

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// logOf is a log of one checkpoint, of the machine in a slot.
func logOf(t *testing.T, slot byte, role cert.Role, stream cert.Stream, bodies ...event.Body) audit.LogSource {
	t.Helper()
	certificate, grant := must[cert.Certificate](t), must[cert.Grant](t)
	machine, log := key(10+slot), key(100+slot)
	opened := &event.LogOpened{
		Chain: cert.Chain{
			District: certificate(cert.Issue(key(1), cert.Certificate{Key: public(key(2)), Slot: 1, Cell: 5000, Role: cert.RoleDistrict, NotAfter: 40000})),
			Machine:  certificate(cert.Issue(key(2), cert.Certificate{Key: public(machine), Slot: uint32(slot), Cell: 1, Role: role, NotAfter: 40000})),
		},
		Grant:    grant(cert.SignGrant(machine, cert.Grant{LogKey: public(log), Stream: stream, Ordinal: 1, Reason: cert.ReasonEnrolled})),
		Currency: event.Currency, Rules: book.Newest(),
	}
	var entries [][]byte
	for _, b := range append([]event.Body{opened}, bodies...) {
		e := must[ledger.Entry](t)(event.New(ledger.Time{WallMs: 1795500000000}, b))
		entries = append(entries, must[[]byte](t)(ledger.EncodeEntry(e)))
	}
	run := must[ledger.Run](t)((&ledger.Log{Key: log.Public().(ed25519.PublicKey)}).NewRun(log, entries))
	return audit.LogSource{
		ID: ledger.LogIDOf(log.Public().(ed25519.PublicKey)), Opened: opened, Checkpoints: []ledger.Checkpoint{run.End},
		Each: func(f func(uint64, []byte) error) error {
			for i, e := range entries {
				if err := f(uint64(i), e); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// exported is an export with one note in doubt and one that is nobody's.
func exported(t *testing.T) (dir, fleet string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "export")
	in := audit.Input{
		Fleet: key(1).Public().(ed25519.PublicKey), Authority: key(101), Now: time.UnixMilli(1795600000000),
		Logs: []audit.LogSource{
			logOf(t, 1, cert.RoleOffice, cert.StreamAuthority),
			logOf(t, 7, cert.RoleKiosk, cert.StreamMain, &event.SaleOpened{Service: event.ServiceElectricity, Language: event.Hindi},
				&event.NoteEscrowed{Sale: 1, Value: 500_00, Channel: 1, Serial: 9}, &event.StackIntent{Note: 2}, &event.NoteUnresolved{Note: 2, Reason: event.DoubtNoEvidence},
				&event.NoteOrphaned{Value: 200_00, Serial: 9}),
		},
	}
	must[int](t)(audit.Export(dir, in))
	return dir, base64.StdEncoding.EncodeToString(in.Fleet)
}

func runCommand(t *testing.T, args ...string) (out, progress string, err error) {
	t.Helper()
	var o, p bytes.Buffer
	c := command(&o, &p)
	c.SetOut(&o) // of --help
	c.SetArgs(args)
	err = c.Execute()
	return o.String(), p.String(), err
}

// TestVerifyListsOpenQuestions: they are counted, listed with their places where that
// is asked for, and no reason to refuse.
func TestVerifyListsOpenQuestions(t *testing.T) {
	dir, fleet := exported(t)
	id := ledger.LogIDOf(key(107).Public().(ed25519.PublicKey)).String()
	out, progress, err := runCommand(t, "verify", dir, "--fleet", fleet)
	if err != nil || !strings.Contains(out, "2 open questions: 1 note-in-doubt, 1 orphaned-note.\n") || strings.Contains(out, id) || !strings.Contains(progress, "files") {
		t.Errorf("verify: %v, progress %q\n%s", err, progress, out)
	}
	out, _, err = runCommand(t, "verify", dir, "--fleet", fleet, "--questions")
	if err != nil || !strings.Contains(out, "note-in-doubt ₹500.00: log "+id+", entry 4\n") || !strings.Contains(out, "orphaned-note ₹200.00: log "+id+", entry 5\n") {
		t.Errorf("verify --questions: %v\n%s", err, out)
	}
	out, _, err = runCommand(t, "verify", dir, "--fleet", fleet, "--json")
	var said struct {
		OK        bool
		Questions []struct {
			Entry, Reason, Log string
			Index              uint64
			Paise              ledger.Paise
		}
	}
	if err != nil || json.Unmarshal([]byte(out), &said) != nil || !said.OK || len(said.Questions) != 2 || said.Questions[0].Log != id || said.Questions[0].Index != 4 || said.Questions[0].Paise != 500_00 {
		t.Errorf("verify --json: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "books", "ledger.journal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _, err = runCommand(t, "verify", dir, "--fleet", fleet); !errors.Is(err, errFound) || !strings.Contains(out, "2 open questions") {
		t.Errorf("a changed export: %v\n%s", err, out)
	}
	if _, _, err = runCommand(t, "verify", t.TempDir()); err == nil || errors.Is(err, errFound) {
		t.Errorf("a folder that is no export: %v", err)
	}
	if out, _, _ = runCommand(t, "verify", "--help"); !strings.Contains(out, "Exit status: 0 no findings, whatever questions are open · 1 findings · 2 it could not look.") {
		t.Errorf("verify --help:\n%s", out)
	}
}

// TestProgressGoesToTerminalsAlone: a pipe or a file would keep every step of it.
func TestProgressGoesToTerminalsAlone(t *testing.T) {
	control, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	defer terminal.Close()
	if progressOn(terminal) != io.Writer(terminal) {
		t.Error("a terminal shows no progress")
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if progressOn(write) != io.Discard || progressOn(file) != io.Discard {
		t.Error("a pipe or a file gets the progress")
	}
}
