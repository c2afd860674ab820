package storetest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/store"
)

// IngestBench is what BenchIngest measured.
type IngestBench struct {
	Entries, Runs int
	Wall, CPU     time.Duration // CPU is user and system time of the whole process
	PeakRSS       int64         // bytes
	Peers         store.Space
	DiskBytes     int64 // allocated, of the closed index
}

// StartBench is what BenchStart measured.
type StartBench struct {
	Serving time.Duration // from opening the folder to the first run read and the first proof made
	RSSAnon int64         // bytes, right then
	Entries uint64
}

// ingestRuns is how many runs go into one Ingest, and so become durable with one sync.
const ingestRuns = 16

func mixConfig(dir string) (store.Config, error) {
	fleet, err := NewFleet("mix")
	if err != nil {
		return store.Config{}, err
	}
	me, err := fleet.Machine(cert.RoleKiosk, 1)
	return store.Config{Dir: dir, Fleet: fleet.Public, Machine: me.Key.Public().(ed25519.PublicKey)}, err
}

// BenchIngest decodes, verifies and stores, durably, every run of a file that
// WriteMix wrote, into a new folder. The process should do nothing else: its
// processor time and memory are what is measured.
func BenchIngest(dir, file string) (b IngestBench, err error) {
	cfg, err := mixConfig(dir)
	if err != nil {
		return b, err
	}
	s, err := store.Open(cfg)
	if err != nil {
		return b, err
	}
	began, cpu := time.Now(), processorTime()
	var runs []ledger.Run
	flush := func() error {
		results, err := s.Ingest(context.Background(), runs)
		for i, r := range results {
			if r.Err != nil || r.Added != len(runs[i].Entries) {
				err = errors.Join(err, fmt.Errorf("a run of %d: added %d: %w", len(runs[i].Entries), r.Added, r.Err))
			}
			b.Entries += r.Added
		}
		b.Runs += len(runs)
		runs = runs[:0]
		return err
	}
	err = readMix(file, func(raw []byte) error {
		run, err := ledger.DecodeRun(raw)
		if err != nil {
			return err
		}
		if runs = append(runs, run); len(runs) < ingestRuns {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	b.Wall, b.CPU = time.Since(began), processorTime()-cpu
	if err == nil {
		_, b.Peers, err = s.Space()
	}
	if err := errors.Join(err, s.Close()); err != nil {
		return b, err
	}
	if b.PeakRSS, err = memory("VmHWM"); err != nil {
		return b, err
	}
	b.DiskBytes, err = allocated(filepath.Join(dir, "peers"))
	return b, err
}

// BenchStart opens a folder that BenchIngest filled.
func BenchStart(dir string) (b StartBench, err error) {
	cfg, err := mixConfig(dir)
	if err != nil {
		return b, err
	}
	began := time.Now()
	s, err := store.Open(cfg)
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	logs := s.Logs()
	if len(logs) == 0 {
		return b, errors.New("the folder holds no log")
	}
	if _, err := s.ReadRun(logs[0].ID, logs[0].End.Size/2, 64<<10); err != nil {
		return b, err
	}
	if _, err := s.InclusionProof(logs[0].ID, logs[0].End.Size/3, logs[0].End.Size); err != nil {
		return b, err
	}
	b.Serving = time.Since(began)
	for _, l := range logs {
		b.Entries += l.End.Size
	}
	b.RSSAnon, err = memory("RssAnon")
	return b, err
}

// processorTime is what the process has used so far, user and system.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// memory reads a figure from /proc/self/status, in bytes.
func memory(name string) (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+) kB$`).FindSubmatch(b)
	if m == nil {
		return 0, fmt.Errorf("/proc/self/status has no %s", name)
	}
	kib, err := strconv.ParseInt(string(m[1]), 10, 64)
	return kib << 10, err
}

// allocated is what the files of a folder take of the disk.
func allocated(dir string) (int64, error) {
	var n int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			n += st.Blocks * 512
		}
		return nil
	})
	return n, err
}
