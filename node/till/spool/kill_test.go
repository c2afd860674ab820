package spool_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rasid/hardware"
	"rasid/hardware/ipp"
	sim "rasid/hardware/sim/ipp"
	"rasid/node/till"
	"rasid/node/till/spool"
)

// desk is a simulated printer on a real port, and one life after another of the spool
// in front of it, with the real client between them.
type desk struct {
	t       *testing.T
	printer *sim.Printer
	events  func(name string) // waits for that event of the printer
	begin   time.Time
	next    func() // before the spool makes a job
}

// newDesk starts a printer that has been up for long.
func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, begin: time.Now(), next: func() {}}
	var up atomic.Bool
	now := func() time.Time {
		if up.Load() {
			return time.Now().Add(time.Hour)
		}
		return time.Now()
	}
	p, err := sim.New(sim.Config{Listen: "127.0.0.1:0", Spool: t.TempDir(), Log: slog.New(slog.DiscardHandler), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	up.Store(true)
	d.printer = p
	happened, stop := p.Subscribe()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	d.events = func(name string) {
		t.Helper()
		for {
			select {
			case e := <-happened:
				if e.Name == name {
					return
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("the printer never came to %s", name)
			}
		}
	}
	return d
}

func (d *desk) do(line string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 20*time.Second)
	defer cancel()
	if _, err := d.printer.Do(ctx, line); err != nil {
		d.t.Fatalf("%s: %v", line, err)
	}
}

// Make names a paper as the till's papers are named.
func (d *desk) Make(subject uint64, copyNo uint32) (hardware.PrintJob, error) {
	return hardware.PrintJob{Name: fmt.Sprintf("K1-%d-copy-%d", subject, copyNo), MIME: "application/pdf", Document: []byte("%PDF-1.4 a receipt\n")}, nil
}

// hooked tells the test when the spool is about to make a job.
type hooked struct {
	*ipp.Client
	d *desk
}

func (h hooked) Create(ctx context.Context, job hardware.PrintJob) (hardware.JobRef, error) {
	h.d.next()
	return h.Client.Create(ctx, job)
}

// live runs the spool until the returned function kills it. said gives what it told the
// till of papers.
func (d *desk) live(first func(*spool.Spool)) (said func() till.Event, kill func()) {
	d.t.Helper()
	client, err := ipp.NewClient(d.printer.URI())
	if err != nil {
		d.t.Fatal(err)
	}
	poll := make(chan time.Time)
	s := spool.New(spool.Config{Printer: hooked{client, d}, Paperwork: d, Log: slog.New(slog.DiscardHandler), Now: time.Now, Poll: poll, CallMax: 20 * time.Second})
	first(s)
	ctx, cancel := context.WithCancel(d.t.Context())
	var all sync.WaitGroup
	told := make(chan till.Event, 16)
	all.Go(func() {
		if err := s.Run(ctx); err != nil {
			d.t.Error(err)
		}
	})
	all.Go(func() {
		for {
			select {
			case ev := <-s.Events():
				if _, of := ev.(till.PrinterNow); !of {
					told <- ev
				}
			case <-ctx.Done():
				return
			}
		}
	})
	said = func() till.Event {
		d.t.Helper()
		for late := time.After(20 * time.Second); ; {
			select {
			case poll <- time.Now():
			case ev := <-told:
				return ev
			case <-late:
				d.t.Fatal("the spool never told what became of the paper")
			}
		}
	}
	return said, func() {
		cancel()
		all.Wait()
	}
}

func (d *desk) sheets(want ...string) {
	d.t.Helper()
	var got []string
	for _, s := range d.printer.State().Sheets {
		got = append(got, s.Name)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		d.t.Errorf("sheets %q, want %q", got, want)
	}
}

const original = "K1-7-copy-1"

var printed = till.PaperPrinted{Subject: 7, Copy: 1}

// The kiosk dies at each point of a job's way, and the next life finishes the paper:
// one original, no duplicate.
func TestKilledOnTheWay(t *testing.T) {
	for _, point := range []string{sim.OnCreate, sim.AfterCreate, sim.OnSubmit, sim.BeforeAnswer, sim.BeforeComplete} {
		t.Run(point, func(t *testing.T) {
			d := newDesk(t)
			d.do("pause " + point)
			_, kill := d.live(func(s *spool.Spool) { s.Print(7, 1) })
			d.do("wait " + point)
			kill()
			d.do("resume")
			said, kill := d.live(func(s *spool.Spool) { s.Ask(7, 1, d.begin) })
			if ev := said(); ev != printed {
				t.Errorf("told %+v", ev)
			}
			kill()
			d.sheets(original)
		})
	}
}

// The answer is lost in the spool's lifetime: it finds the job and finishes it.
func TestAnswersLostOnTheWay(t *testing.T) {
	for _, lost := range []string{"drop create answer", "drop next answer"} {
		t.Run(lost, func(t *testing.T) {
			d := newDesk(t)
			d.do(lost)
			said, kill := d.live(func(s *spool.Spool) { s.Print(7, 1) })
			if ev := said(); ev != printed {
				t.Errorf("told %+v", ev)
			}
			kill()
			d.sheets(original)
			if n := len(d.printer.State().Jobs); n != 1 {
				t.Errorf("%d jobs, want one", n)
			}
		})
	}
}

// The printer makes the job of a life that is over only after the next life asked for
// it and was told that there is none. Two jobs have the name; one original comes out.
func TestJobMadeAfterFind(t *testing.T) {
	d := newDesk(t)
	d.do("pause " + sim.Late)
	_, kill := d.live(func(s *spool.Spool) { s.Print(7, 1) })
	d.do("wait " + sim.Late)
	kill()
	d.next = func() {
		d.next = func() {}
		d.do("resume")
		d.events("created")
	}
	said, kill := d.live(func(s *spool.Spool) { s.Ask(7, 1, d.begin) })
	if ev := said(); ev != printed {
		t.Errorf("told %+v", ev)
	}
	kill()
	d.sheets(original)
	if jobs := d.printer.State().Jobs; len(jobs) != 2 {
		t.Errorf("jobs %+v, want the late one beside that which printed", jobs)
	}
}

// Where the printer has Print-Job alone, a job that comes late has its document. So a
// paper that the printer does not know is in doubt, and only a duplicate follows.
func TestSimplePrinterMakesTheJobAfterFind(t *testing.T) {
	d := newDesk(t)
	d.do("create off")
	d.do("pause " + sim.Late)
	_, kill := d.live(func(s *spool.Spool) { s.Print(7, 1) })
	d.do("wait " + sim.Late)
	kill()
	said, kill := d.live(func(s *spool.Spool) { s.Ask(7, 1, d.begin) })
	if ev := said(); ev != (till.PaperUnknown{Subject: 7, Copy: 1}) {
		t.Errorf("told %+v", ev)
	}
	kill()
	d.do("resume")
	d.events("completed")
	said, kill = d.live(func(s *spool.Spool) { s.Print(7, 2) })
	if ev := said(); ev != (till.PaperPrinted{Subject: 7, Copy: 2}) {
		t.Errorf("told %+v", ev)
	}
	kill()
	d.sheets(original, "K1-7-copy-2")
}
