package storetest

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/store"
)

// VictimVariable names the environment variable that makes a test binary call
// Victim with the folder it holds, instead of running tests.
const VictimVariable = "RASID_STORETEST_VICTIM"

const (
	killRounds    = 6
	victimWriters = 4
)

func killFleet() (Fleet, Machine, *Author, error) {
	f, err := NewFleet("kill")
	if err != nil {
		return f, Machine{}, nil, err
	}
	me, err := f.Machine(cert.RoleKiosk, 1)
	if err != nil {
		return f, me, nil, err
	}
	peer, err := f.Machine(cert.RoleKiosk, 2)
	if err != nil {
		return f, me, nil, err
	}
	a, err := NewAuthor(peer)
	return f, me, a, err
}

// Victim commits and ingests in the folder for ever and writes a line to out after
// each acknowledgement: "own INDEX LEAFHASH" or "peer SIZE". It returns only on an
// error; a parent kills it.
func Victim(open Opener, dir string, out io.Writer) error {
	fleet, me, peer, err := killFleet()
	if err != nil {
		return err
	}
	s, err := open(store.Config{Dir: dir, Fleet: fleet.Public, Machine: me.Key.Public().(ed25519.PublicKey)})
	if err != nil {
		return err
	}
	w, err := s.OpenOwn(me.LogKey)
	if err != nil {
		return err
	}
	errs := make(chan error, victimWriters+2)
	ctx := context.Background()
	go func() { errs <- s.Run(ctx) }()
	if w.Size() == 0 {
		if _, err := w.Commit(ctx, func(uint64) ([]ledger.Entry, error) { e, err := me.Open(); return []ledger.Entry{e}, err }); err != nil {
			return err
		}
	}
	var mu sync.Mutex // lines must not mix
	say := func(format string, args ...any) error {
		mu.Lock()
		defer mu.Unlock()
		_, err := fmt.Fprintf(out, format, args...)
		return err
	}
	go func() { errs <- victimIngest(ctx, s, peer, say) }()
	for range victimWriters {
		go func() { errs <- victimCommit(ctx, w, say) }()
	}
	return <-errs
}

func victimCommit(ctx context.Context, w *store.Writer, say func(string, ...any) error) error {
	for {
		c, err := w.Commit(ctx, func(first uint64) ([]ledger.Entry, error) {
			e, err := Filler(first<<16|uint64(os.Getpid())&0xffff, 100)
			return []ledger.Entry{e}, err
		})
		if err != nil {
			return err
		}
		if err := say("own %d %s\n", c.First, ledger.LeafHash(c.Entries[0])); err != nil {
			return err
		}
	}
}

func victimIngest(ctx context.Context, s *store.Store, a *Author, say func(string, ...any) error) error {
	run := a.Runs[0]
	for n := uint64(0); ; n++ {
		results, err := s.Ingest(ctx, []ledger.Run{run})
		if err != nil {
			return err
		}
		if results[0].Err != nil {
			return results[0].Err
		}
		if err := say("peer %d\n", run.End.Size); err != nil {
			return err
		}
		e, err := Sale(n)
		if err != nil {
			return err
		}
		if run, err = a.Write(e); err != nil {
			return err
		}
	}
}

// Kill starts this test binary as a Victim, kills it with SIGKILL after a random
// number of acknowledgements, and looks for every one of them; so several times
// over in the same folder. It proves what survives the process, not the power.
func Kill(t *testing.T, open Opener) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	dir := filepath.Join(t.TempDir(), "data")
	own := map[uint64]string{}
	peerSize := uint64(0)
	for round := range killRounds {
		lines := killAfter(t, dir, 1+r.IntN(200))
		for _, line := range lines {
			var index, size uint64
			var leaf string
			if _, err := fmt.Sscanf(line, "own %d %s", &index, &leaf); err == nil {
				if was, ok := own[index]; ok && was != leaf {
					t.Fatalf("round %d: index %d was acknowledged twice with different bytes", round, index)
				}
				own[index] = leaf
			} else if _, err := fmt.Sscanf(line, "peer %d", &size); err == nil {
				peerSize = max(peerSize, size)
			} else {
				t.Fatalf("round %d: the victim said %q", round, line)
			}
		}
		checkKilled(t, open, dir, own, peerSize)
	}
}

// killAfter kills a victim after n lines and returns all that it wrote.
func killAfter(t *testing.T, dir string, n int) []string {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), VictimVariable+"="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out := must[io.ReadCloser](t)(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
		if len(lines) == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	err := cmd.Wait() // killed, so never nil
	if len(lines) < n {
		t.Fatalf("the victim ended by itself: %v\n%s", err, stderr.String())
	}
	return lines
}

func checkKilled(t *testing.T, open Opener, dir string, own map[uint64]string, peerSize uint64) {
	fleet, me, peer, err := killFleet()
	if err != nil {
		t.Fatal(err)
	}
	s := must[*store.Store](t)(open(store.Config{Dir: dir, Fleet: fleet.Public, Machine: me.Key.Public().(ed25519.PublicKey)}))
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	var all [][]byte
	if len(own) > 0 {
		all = verify(t, s, me.ID(), 1<<20)
	}
	for index, leaf := range own {
		if index >= uint64(len(all)) {
			t.Fatalf("entry %d was acknowledged, %d are there", index, len(all))
		}
		if got := ledger.LeafHash(all[index]).String(); got != leaf {
			t.Fatalf("entry %d was acknowledged with other bytes", index)
		}
	}
	if info, _ := s.Log(peer.ID()); info.End.Size < peerSize {
		t.Fatalf("%d entries of a peer were acknowledged, %d are there", peerSize, info.End.Size)
	}
}
