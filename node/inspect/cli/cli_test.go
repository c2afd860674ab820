package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/store"
	"rasid/node/fleet"
	"rasid/node/inspect"
	"rasid/node/socket"
)

// office is a fleet's office with an authority log of some entries.
type office struct {
	dir  string
	id   fleet.Identity
	size uint64
	// headDir is on another medium; empty: in the data folder.
	headDir string
}

func newOffice(t *testing.T) office {
	t.Helper()
	o := office{dir: t.TempDir()}
	var err error
	if o.id, err = fleet.Init(o.dir, fleet.Request{Name: "OFFICE"}, time.Unix(1795500000, 0), rand.Reader); err != nil {
		t.Fatal(err)
	}
	o.use(t, func(ctx context.Context, s *store.Store, w *store.Writer, key fleet.LogKey) {
		for i := range 20 {
			_, err := w.Commit(ctx, func(first uint64) ([]ledger.Entry, error) {
				bodies := []event.Body{&event.SoftwareStarted{Version: strings.Repeat("v", i+1)}, &event.SoftwareStarted{Version: "x"}, o.id.Enrolled()}
				if first == 0 {
					bodies[0] = fleet.Opening(o.id, key, book.Rules1())
				}
				var entries []ledger.Entry
				for _, b := range bodies {
					e, err := event.New(ledger.Time{WallMs: 1795500000000, Quality: ledger.TimeOffice}, b)
					if err != nil {
						return nil, err
					}
					entries = append(entries, e)
				}
				return entries, nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		o.size = w.Size()
	})
	return o
}

// use runs the store on the folder, as the serving program does, while f works.
func (o office) use(t *testing.T, f func(ctx context.Context, s *store.Store, w *store.Writer, key fleet.LogKey)) {
	t.Helper()
	key, err := o.id.OpenLogKey(cert.StreamAuthority, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(store.Config{Dir: filepath.Join(o.dir, "data"), Fleet: o.id.Fleet, Machine: o.id.MachineKey(), EvidenceDir: o.headDir})
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.OpenOwn(key.Key)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	f(ctx, s, w, key)
	cancel()
	if err := errors.Join(<-ended, s.Close()); err != nil {
		t.Fatal(err)
	}
}

// run is a command line, as a person types it.
func run(t *testing.T, args ...string) (out, progress string, err error) {
	t.Helper()
	c := Command("rasid-office")
	var o, e bytes.Buffer
	c.SetOut(&o)
	c.SetErr(&e)
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetArgs(args)
	err = c.ExecuteContext(t.Context())
	return o.String(), e.String(), err
}

func (o office) check(t *testing.T) {
	t.Helper()
	out, progress, err := run(t, "verify", "--dir", o.dir)
	if err != nil || !strings.Contains(out, "ok ") || !strings.Contains(out, "60 entries, 20 checkpoints") || !strings.Contains(out, "entries/s") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	if !strings.Contains(progress, "of 60 entries, ") || !strings.HasSuffix(progress, "\r\x1b[K") {
		t.Errorf("progress %q", progress)
	}
	if out, _, err = run(t, "stat", "--dir", o.dir); err != nil || !strings.Contains(out, "entries held     60") {
		t.Errorf("stat: %v\n%s", err, out)
	}
	out, _, err = run(t, "heads", "--dir", o.dir, "--json")
	var h struct{ Name, Checkpoint string }
	if err != nil || json.Unmarshal([]byte(out), &h) != nil || h.Name != "office 1-1/authority" {
		t.Errorf("heads: %v\n%s", err, out)
	}
	key, err := o.id.OpenLogKey(cert.StreamAuthority, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(ledger.VerifierKey(key.Grant.PublicKey()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open([]byte(h.Checkpoint), note.VerifierList(v)); err != nil {
		t.Errorf("the checkpoint that heads prints: %v", err)
	}
	out, _, err = run(t, "show", "--dir", o.dir, "--kind", "softwarestarted", "--from", "30", "--count", "2")
	if err != nil || strings.Count(out, "\n") != 2 || !strings.Contains(out, `SoftwareStarted  {"Version":"vvvvvvvvvvv"}`) || !strings.HasPrefix(out, "1-1-30-") {
		t.Errorf("show: %v\n%s", err, out)
	}
	for want, args := range map[string][]string{
		"none of the 1 logs held begins with": {"show", "--dir", o.dir, "--log", "zz"},
		"there is no kind \"Payed\"":          {"show", "--dir", o.dir, "--kind", "Payed"},
		"--dir is missing":                    {"stat"},
		"is missing: ":                        {"stat", "--dir", t.TempDir() + "/nowhere"},
	} {
		if _, _, err := run(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}

// The same answers from the files and, while a program runs on them, from it.
func TestOnFilesAndBySocket(t *testing.T) {
	o := newOffice(t)
	o.check(t)
	o.use(t, func(ctx context.Context, s *store.Store, _ *store.Writer, _ fleet.LogKey) {
		ctx, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- socket.Serve(ctx, o.dir, Jobs(s, o.id.Fleet)) }()
		for asked := false; !asked; { // until it listens
			err := socket.Ask(ctx, o.dir, jobName, inspect.Query{Do: inspect.Stat}, socket.Reply{Out: new(bytes.Buffer), Progress: new(bytes.Buffer)})
			if asked = err == nil; err != nil && !errors.Is(err, socket.ErrNotRunning) {
				t.Fatal(err)
			}
		}
		o.check(t)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A disk that was put back to an older state is found out by the head file on another
// medium, when no program runs too.
func TestVerifyOfARolledBackDisk(t *testing.T) {
	o := newOffice(t)
	o.headDir = t.TempDir()
	more := func(ctx context.Context, _ *store.Store, w *store.Writer, _ fleet.LogKey) {
		_, err := w.Commit(ctx, func(uint64) ([]ledger.Entry, error) {
			e, err := event.New(ledger.Time{WallMs: 1795500000000, Quality: ledger.TimeOffice}, &event.SoftwareStarted{Version: "more"})
			return []ledger.Entry{e}, err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	o.use(t, more)
	older := o
	older.dir = filepath.Join(t.TempDir(), "older")
	err := os.CopyFS(older.dir, os.DirFS(o.dir))
	if err == nil {
		err = filepath.WalkDir(older.dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			return os.Chmod(path, 0o600)
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, _, err := run(t, "verify", "--dir", older.dir, "--head-dir", o.headDir); err != nil {
		t.Fatalf("verify: %v\n%s", err, out)
	}
	o.use(t, more)
	if out, _, err := run(t, "verify", "--dir", o.dir, "--head-dir", o.headDir); err != nil {
		t.Errorf("verify: %v\n%s", err, out)
	}
	out, _, err := run(t, "verify", "--dir", older.dir, "--head-dir", o.headDir)
	if !errors.Is(err, store.ErrInDoubt) || !strings.Contains(err.Error(), "62") {
		t.Errorf("verify of the older state: %v\n%s", err, out)
	}
}
