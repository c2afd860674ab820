package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/store"
	"rasid/node/fleet"
)

// officeLife has an office write to both of its logs, and ends in good order. It
// returns the ids of the logs and how long they are.
func officeLife(t *testing.T, dir string, bodies ...event.Body) (ids [2]ledger.LogID, sizes [2]uint64) {
	t.Helper()
	b := bench{t: t}
	l, err := openLedgers(dir, slog.New(slog.DiscardHandler))
	b.do(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.store.Run(ctx) }()
	b.do(l.announce(ctx))
	b.do(l.write(ctx, l.cell, cellStream(l.id), &event.SoftwareStarted{Version: "v"}))
	for _, body := range bodies {
		b.do(l.write(ctx, l.authority, cert.StreamAuthority, body))
	}
	for n, w := range []*store.Writer{l.authority, l.cell} {
		ids[n], sizes[n] = w.ID(), w.Size()
	}
	cancel()
	b.do(errors.Join(<-ended, l.close()))
	return ids, sizes
}

// says runs a command as a person would.
func says(args ...string) (string, error) {
	var out bytes.Buffer
	c := command()
	c.SetOut(&out)
	c.SetArgs(args)
	err := c.Execute()
	return out.String(), err
}

// hideEnd damages a log's journal so that nobody can tell where it ended.
func hideEnd(t *testing.T, dir string, id ledger.LogID) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "data", "own", id.String(), "*.journal"))
	if err == nil {
		err = os.Truncate(found[len(found)-1], 100)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// An office whose logs are damaged refuses to start and names the remedy. That does
// what it says, once, for the logs it is told and no others; no entry is lost.
func TestOfficeBeginsIncarnation(t *testing.T) {
	b, dir := bench{t: t}, filepath.Join(t.TempDir(), "office")
	_, err := fleet.Init(dir, fleet.Request{Name: "OFFICE"}, time.Now(), rand.Reader)
	b.do(err)
	ids, sizes := officeLife(t, dir)
	if _, err := says("incarnation", "begin", ids[0].String(), "--dir", dir); err == nil || !strings.Contains(err.Error(), "opens") {
		t.Fatalf("a log that opens was given up: %v", err)
	}
	hideEnd(t, dir, ids[0])
	hideEnd(t, dir, ids[1])
	_, err = openLedgers(dir, slog.New(slog.DiscardHandler))
	remedy := "rasid-office incarnation begin " // and one of the two
	if err == nil || !strings.Contains(err.Error(), remedy) || !strings.Contains(err.Error(), " --dir "+dir) {
		t.Fatalf("the refusal names no remedy: %v", err)
	}
	for _, wrong := range [][]string{{ledger.LogID{1}.String()}, {ids[0].String(), ids[0].String()}, {"x"}, {ids[0].String()}, {ids[1].String()}} {
		if said, err := says(append([]string{"incarnation", "begin", "--dir", dir}, wrong...)...); err == nil || said != "" {
			t.Fatalf("%v: %q, %v", wrong, said, err)
		}
	}
	said, err := says("incarnation", "begin", ids[0].String(), ids[1].String(), "--dir", dir)
	b.do(err)
	if strings.Count(said, "ordinal 2") != 2 {
		t.Errorf("it says %q", said)
	}
	next, _ := officeLife(t, dir)
	l, err := openLedgers(dir, slog.New(slog.DiscardHandler))
	b.do(err)
	for n, stream := range []cert.Stream{cert.StreamAuthority, cellStream(l.id)} {
		g, before := l.keys[stream].Grant, ids[n]
		if next[n] == before || g.Ordinal != 2 || g.Reason != cert.ReasonDoubt || g.Before == nil || g.Before.Log != before || g.Before.Size != sizes[n] {
			t.Errorf("stream %d goes on as %s under %+v", stream, next[n], g)
		}
		if info, ok := l.store.Log(before); !ok || info.Own || info.End.Size != sizes[n] {
			t.Errorf("of the log before is held %+v", info)
		}
	}
	b.do(l.close())
}

// A neighbour shows that a copy of the office's disk wrote too: the office ends, refuses
// to start, and goes on under a new key, with both histories held.
func TestOfficeThatForkedGoesOn(t *testing.T) {
	b, dir := bench{t: t}, filepath.Join(t.TempDir(), "office")
	_, err := fleet.Init(dir, fleet.Request{Name: "OFFICE"}, time.Now(), rand.Reader)
	b.do(err)
	officeLife(t, dir)
	twin := filepath.Join(t.TempDir(), "twin")
	b.do(os.CopyFS(twin, os.DirFS(dir)))
	b.do(filepath.WalkDir(twin, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(path, 0o600) // CopyFS lets others read
	}))
	officeLife(t, dir, &event.SoftwareStarted{Version: "here"}, &event.SoftwareStarted{Version: "here"}, &event.MachineRevoked{Machine: [32]byte{7}})
	officeLife(t, twin, &event.SoftwareStarted{Version: "there"}, &event.MachineRevoked{Machine: [32]byte{8}})
	other, err := openLedgers(twin, slog.New(slog.DiscardHandler))
	b.do(err)
	theirs, err := other.store.ReadRun(other.authority.ID(), 0, ledger.RunMaxBytes)
	b.do(errors.Join(err, other.close()))

	l, err := openLedgers(dir, slog.New(slog.DiscardHandler))
	b.do(err)
	id, key := l.authority.ID(), l.keys[cert.StreamAuthority].Key.Public().(ed25519.PublicKey)
	ended := make(chan error, 1)
	go func() { ended <- l.store.Run(t.Context()) }()
	_, err = l.store.Ingest(t.Context(), []ledger.Run{theirs})
	b.do(err)
	if err := withRemedy(<-ended, dir); !strings.Contains(err.Error(), "rasid-office incarnation begin "+id.String()) {
		t.Errorf("the end names no remedy: %v", err)
	}
	b.do(l.close())
	if _, err := openLedgers(dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "rasid-office incarnation begin "+id.String()) {
		t.Fatalf("the refusal names no remedy: %v", err)
	}
	_, err = says("incarnation", "begin", id.String(), "--dir", dir)
	b.do(err)
	officeLife(t, dir, &event.MachineRevoked{Machine: [32]byte{9}})
	l, err = openLedgers(dir, slog.New(slog.DiscardHandler))
	b.do(err)
	if g := l.keys[cert.StreamAuthority].Grant; g.Ordinal != 2 || g.Reason != cert.ReasonRestored {
		t.Errorf("it goes on under %+v", g)
	}
	if cell := l.keys[cellStream(l.id)].Grant; cell.Ordinal != 1 {
		t.Errorf("the other log goes on under %+v", cell)
	}
	_, err = l.store.Ingest(t.Context(), []ledger.Run{theirs}) // as any other machine's now
	b.do(err)
	if gone, err := l.revoked(); err != nil || len(gone) != 3 {
		t.Errorf("%d machines are revoked, want one by each branch and one by the next log: %v", len(gone), err)
	}
	if forks := l.store.Forks(); len(forks) != 1 || forks[0].Ours.Verify(key) != nil {
		t.Errorf("%d proofs are kept", len(forks))
	}
	b.do(l.close())
}
