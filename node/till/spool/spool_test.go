package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rasid/hardware"
	"rasid/node/till"
)

var (
	errWire = errors.New("the wire is cut")
	errMake = errors.New("the paper cannot be made")
)

// printer is a printer that remembers its jobs by name, and counts the papers.
type printer struct {
	now       func() time.Time
	up        time.Time // since when it runs
	offline   bool
	refusing  bool // answers, takes no job
	stopped   bool
	simple    bool            // takes a job only with its document
	lost      map[string]bool // the next answer to that call is lost
	late      bool            // the job of the next lost Create or Submit comes to be by arrive
	coming    []hardware.JobStatus
	amnesiac  bool // forgets each job's number, not its name
	paper     hardware.PaperState
	full      bool // takes no document
	counts    bool // says of a job how many documents it has
	next      int32
	cancels   int
	jobs      []hardware.JobStatus
	submitted []string // every name, in order
	papers    []string // what came out
}

func (p *printer) Status(context.Context) (hardware.PrinterStatus, error) {
	if p.offline {
		return hardware.PrinterStatus{}, errWire
	}
	return hardware.PrinterStatus{UpTime: p.now().Sub(p.up).Truncate(time.Second), Accepting: !p.refusing, Stopped: p.stopped, CreatesJobs: !p.simple, Paper: p.paper}, nil
}

// loses reports whether the answer to the call is lost, once.
func (p *printer) loses(call string) bool {
	lost := p.lost[call]
	delete(p.lost, call)
	return lost
}

// admit makes a job; one whose sender hears nothing may come to be later.
func (p *printer) admit(name string, state hardware.JobState, call string) (hardware.JobRef, error) {
	if p.offline || p.refusing {
		return hardware.JobRef{}, fmt.Errorf("%w: %w", hardware.ErrNothingDone, errWire)
	}
	p.next++
	is := hardware.JobStatus{Ref: hardware.JobRef{ID: p.next, Name: name}, State: state, Blank: state == hardware.JobIncoming && p.counts}
	lost := p.loses(call)
	if lost && p.late {
		p.coming, p.late = append(p.coming, is), false
	} else {
		p.jobs = append(p.jobs, is)
	}
	if lost {
		return hardware.JobRef{}, errWire
	}
	return is.Ref, nil
}

// arrive lets the jobs come to be that the printer took its time over.
func (p *printer) arrive() { p.jobs, p.coming = append(p.jobs, p.coming...), nil }

func (p *printer) Create(_ context.Context, job hardware.PrintJob) (hardware.JobRef, error) {
	return p.admit(job.Name, hardware.JobIncoming, "create")
}

func (p *printer) Submit(_ context.Context, job hardware.PrintJob) (hardware.JobRef, error) {
	ref, err := p.admit(job.Name, hardware.JobPending, "submit")
	if !errors.Is(err, hardware.ErrNothingDone) {
		p.submitted = append(p.submitted, job.Name)
	}
	return ref, err
}

func (p *printer) job(ref hardware.JobRef) *hardware.JobStatus {
	for i := range p.jobs {
		if p.jobs[i].Ref == ref {
			return &p.jobs[i]
		}
	}
	return nil
}

func (p *printer) Send(_ context.Context, ref hardware.JobRef, job hardware.PrintJob) error {
	is := p.job(ref)
	if p.offline || p.full || is == nil || is.State != hardware.JobIncoming || ref.Name != job.Name {
		return fmt.Errorf("%w: no such job, or it has its document", hardware.ErrNothingDone)
	}
	if p.loses("send before") {
		return errWire // and nothing of it arrived
	}
	is.State, is.Blank = hardware.JobPending, false
	p.submitted = append(p.submitted, job.Name)
	if p.loses("send") {
		return errWire
	}
	return nil
}

func (p *printer) Cancel(_ context.Context, ref hardware.JobRef) error {
	is := p.job(ref)
	if is == nil || isEnd(is.State) {
		return hardware.ErrNothingDone
	}
	is.State = hardware.JobCanceled
	p.cancels++
	return nil
}

// expire is the printer giving up the jobs whose document did not come.
func (p *printer) expire() {
	for i := range p.jobs {
		if p.jobs[i].State == hardware.JobIncoming {
			p.jobs[i].State = hardware.JobAborted
		}
	}
}

func (p *printer) JobStatus(_ context.Context, ref hardware.JobRef) (hardware.JobStatus, error) {
	if p.offline || p.amnesiac {
		return hardware.JobStatus{}, errWire
	}
	if is := p.job(ref); is != nil {
		return *is, nil
	}
	return hardware.JobStatus{}, fmt.Errorf("%w: %d", hardware.ErrNoJob, ref.ID)
}

func (p *printer) Find(_ context.Context, name string) ([]hardware.JobRef, error) {
	if p.offline {
		return nil, errWire
	}
	var found []hardware.JobRef
	for _, j := range p.jobs {
		if j.Ref.Name == name {
			found = append(found, j.Ref)
		}
	}
	return found, nil
}

// work lets the printer do what it can with its jobs.
func (p *printer) work() {
	for i := range p.jobs {
		j := &p.jobs[i]
		switch {
		case isEnd(j.State) || j.State == hardware.JobIncoming:
		case p.paper == hardware.PaperOut:
			j.State = hardware.JobStopped
		default:
			j.State = hardware.JobCompleted
			p.papers = append(p.papers, j.Ref.Name)
		}
	}
}

// restart is the printer losing its power: it forgets every job.
func (p *printer) restart() { p.jobs, p.up = nil, p.now() }

// Make names a paper after its subject and copy; subject 13 cannot be made.
func (p *printer) Make(subject uint64, copyNo uint32) (hardware.PrintJob, error) {
	if subject == 13 {
		return hardware.PrintJob{}, errMake
	}
	return hardware.PrintJob{Name: fmt.Sprintf("K1-%d-copy-%d", subject, copyNo)}, nil
}

// shop is a spool in front of that printer, and what it told the till.
type shop struct {
	*printer
	spool  *Spool
	poll   chan time.Time
	events []till.Event
	free   chan struct{} // closed: the till takes events
}

// inShop runs a test against a spool in a bubble of time. A busy till takes no event
// until free is closed.
func inShop(t *testing.T, busy bool, f func(s *shop)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &shop{poll: make(chan time.Time), free: make(chan struct{})}
		if !busy {
			close(s.free)
		}
		s.printer = &printer{lost: map[string]bool{}, now: time.Now, up: time.Now().Add(-time.Hour), paper: hardware.PaperFull}
		s.start(t, f)
	})
}

func (s *shop) start(t *testing.T, f func(s *shop)) {
	s.spool = New(Config{Printer: s.printer, Paperwork: s.printer, Log: slog.New(slog.DiscardHandler), Now: time.Now, Poll: s.poll, CallMax: time.Second})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.spool.Run(ctx) }()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		select {
		case <-s.free:
		case <-ctx.Done():
		}
		for {
			select {
			case ev := <-s.spool.Events():
				s.events = append(s.events, ev)
			case <-ctx.Done():
				return
			}
		}
	}()
	synctest.Wait()
	f(s)
	cancel()
	<-gone
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// round lets the printer work, asks it once, and waits until all is quiet.
func (s *shop) round() {
	synctest.Wait() // the spool is at rest: what follows is the printer's turn
	s.work()
	s.ask()
}

func (s *shop) ask() {
	synctest.Wait()
	select {
	case s.poll <- time.Now():
	case <-time.After(time.Minute): // Run is busy with a till that takes nothing
	}
	synctest.Wait()
}

func (s *shop) wants(t *testing.T, events []till.Event, submitted ...string) {
	t.Helper()
	synctest.Wait()
	if !reflect.DeepEqual(s.events, events) {
		t.Errorf("told the till %+v\nwant          %+v", s.events, events)
	}
	if !slices.Equal(s.submitted, submitted) {
		t.Errorf("submitted %q, want %q", s.submitted, submitted)
	}
}

// earlier is what the life before did of copy 1.
func (p *printer) earlier(t *testing.T, what string) {
	t.Helper()
	job := hardware.PrintJob{Name: name1}
	ref, err := p.Create(t.Context(), job)
	if err == nil && what == "sent" {
		err = p.Send(t.Context(), ref, job)
	}
	if err != nil {
		t.Error(err)
	}
}

var (
	fine     = till.PrinterNow{Paper: hardware.PaperFull}
	noPaper  = till.PrinterNow{Paper: hardware.PaperOut}
	unheard  = till.PrinterNow{Offline: true, Faults: hardware.PrinterFaults(0).With(hardware.PrinterUnreachable)}
	printed1 = till.PaperPrinted{Subject: 7, Copy: 1}
	unknown1 = till.PaperUnknown{Subject: 7, Copy: 1}
)

const name1 = "K1-7-copy-1"

func TestPrintsOnceInOrder(t *testing.T) {
	inShop(t, false, func(s *shop) {
		s.spool.Print(7, 1)
		s.spool.Print(8, 1)
		synctest.Wait()
		s.wants(t, []till.Event{fine}, name1)
		for range 5 {
			s.round()
		}
		s.wants(t, []till.Event{fine, printed1, till.PaperPrinted{Subject: 8, Copy: 1}}, name1, "K1-8-copy-1")
		if len(s.papers) != 2 {
			t.Errorf("papers %q", s.papers)
		}
	})
}

func TestPaperOutThenRefilled(t *testing.T) {
	inShop(t, false, func(s *shop) {
		s.paper = hardware.PaperOut
		s.spool.Print(7, 1)
		for range 3 {
			s.round()
		}
		s.wants(t, []till.Event{fine, noPaper}, name1)
		s.paper = hardware.PaperFull
		s.round()
		s.round()
		s.wants(t, []till.Event{fine, noPaper, fine, printed1}, name1)
	})
}

func TestLostAnswerToSubmit(t *testing.T) {
	inShop(t, false, func(s *shop) {
		s.lost["send"] = true
		s.spool.Print(7, 1)
		synctest.Wait()
		s.round()
		s.round()
		s.wants(t, []till.Event{fine, printed1}, name1)
	})
}

func TestForgottenJobNumberIsFoundByName(t *testing.T) {
	inShop(t, false, func(s *shop) {
		s.spool.Print(7, 1)
		synctest.Wait()
		s.amnesiac = true
		s.ask()
		s.ask()
		s.amnesiac = false
		s.round()
		s.round()
		s.wants(t, []till.Event{fine, printed1}, name1)
	})
}

func TestAskAfterAStart(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(s *shop) // what the printer did in the life before
		since  time.Duration // how long ago the copy was intended
		want   till.Event
		papers int
	}{
		{"it is still printing", func(s *shop) { s.earlier(t, "sent") }, time.Hour, printed1, 1},
		{"it came out meanwhile", func(s *shop) { s.earlier(t, "sent"); s.work() }, time.Hour, printed1, 1},
		{"it was never submitted, and the printer remembers", func(*shop) {}, 50 * time.Second, printed1, 1},
		{"it was never submitted, or the printer forgot it", func(*shop) {}, time.Minute, unknown1, 0},
		{"the printer was restarted since", func(s *shop) { s.restart() }, 50 * time.Second, unknown1, 0},
		{"the printer's clock cannot tell", func(s *shop) { s.up = time.Now().Add(-52 * time.Second) }, 50 * time.Second, unknown1, 0},
		{"its job waits for the document", func(s *shop) { s.earlier(t, "created") }, 50 * time.Second, printed1, 1},
		{"its job waits, in a printer just switched on", func(s *shop) { s.restart(); s.earlier(t, "created") }, 10 * time.Second, printed1, 1},
		{"its job waits so long that another may be forgotten", func(s *shop) { s.earlier(t, "created") }, time.Minute, unknown1, 0},
		{"its job was given up, and the printer counts no document", func(s *shop) { s.counts = true; s.earlier(t, "created"); s.expire() }, 50 * time.Second, printed1, 1},
		{"its job was given up, and the printer does not count", func(s *shop) { s.earlier(t, "created"); s.expire() }, 50 * time.Second, unknown1, 0},
		{"it was made twice, sent once", func(s *shop) { s.earlier(t, "sent"); s.earlier(t, "created") }, 50 * time.Second, printed1, 1},
		{"the printer has Print-Job alone and knows nothing", func(s *shop) { s.simple = true }, 50 * time.Second, unknown1, 0},
		{"the printer has Print-Job alone and knows the job", func(s *shop) { s.simple = true; s.earlier(t, "sent") }, 50 * time.Second, printed1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			inShop(t, false, func(s *shop) {
				c.before(s)
				s.spool.Ask(7, 1, time.Now().Add(-c.since))
				for range 3 {
					synctest.Wait()
					s.round()
				}
				if !slices.Contains(s.events, c.want) || len(s.events) != 2 || len(s.papers) != c.papers || len(s.submitted) != c.papers {
					t.Errorf("told %+v, papers %q, submitted %q; want %+v and %d papers", s.events, s.papers, s.submitted, c.want, c.papers)
				}
			})
		})
	}
}

// The printer loses a job that it took in this life: nobody can say whether it came out.
func TestPrinterRestartsUnderAJob(t *testing.T) {
	inShop(t, false, func(s *shop) {
		s.spool.Print(7, 1)
		synctest.Wait()
		<-time.After(time.Minute) // of the bubble
		s.restart()
		s.ask()
		s.ask()
		s.wants(t, []till.Event{fine, unknown1}, name1)
		s.spool.Print(7, 2)
		s.round()
		s.round()
		s.wants(t, []till.Event{fine, unknown1, till.PaperPrinted{Subject: 7, Copy: 2}}, name1, "K1-7-copy-2")
	})
}

func TestAbortedAndCanceled(t *testing.T) {
	for _, state := range []hardware.JobState{hardware.JobAborted, hardware.JobCanceled} {
		inShop(t, false, func(s *shop) {
			s.spool.Print(7, 1)
			synctest.Wait()
			s.jobs[0].State = state
			s.ask()
			s.ask()
			s.wants(t, []till.Event{fine, unknown1}, name1)
		})
	}
}

func TestPrinterOffline(t *testing.T) {
	inShop(t, false, func(s *shop) {
		s.offline = true
		s.spool.Print(7, 1)
		for range 3 {
			s.round()
		}
		s.wants(t, []till.Event{fine, unheard})
		s.restart() // it was off: a copy that was never submitted is no duplicate
		s.offline = false
		s.round()
		s.round()
		s.wants(t, []till.Event{fine, unheard, fine, printed1}, name1)
	})
}

// A printer that answers and does not print is no printer to take money for.
func TestPrinterThatDoesNotPrint(t *testing.T) {
	inShop(t, false, func(s *shop) {
		s.stopped = true // an open cover
		s.ask()
		s.wants(t, []till.Event{fine, till.PrinterNow{Paper: hardware.PaperFull, Offline: true}})
		s.stopped, s.refusing = false, true
		s.ask()
		s.stopped, s.paper = true, hardware.PaperOut // say what a person can mend
		s.ask()
		s.stopped, s.refusing, s.paper = false, false, hardware.PaperFull
		s.ask()
		s.wants(t, []till.Event{fine, till.PrinterNow{Paper: hardware.PaperFull, Offline: true}, noPaper, fine})
	})
}

// A paper that cannot be made holds up no other.
func TestPaperThatCannotBeMade(t *testing.T) {
	inShop(t, false, func(s *shop) {
		s.spool.Print(13, 1)
		s.spool.Print(7, 1)
		for range 4 {
			s.round()
		}
		s.wants(t, []till.Event{fine, printed1}, name1)
	})
}

// A till that is busy, with a commit for one, loses no word of the printer, and the
// till can hand over papers meanwhile.
func TestBusyTillLosesNothing(t *testing.T) {
	inShop(t, true, func(s *shop) {
		for subject := uint64(20); subject < 30; subject++ {
			s.spool.Print(subject, 1)
			s.round()
		}
		if len(s.events) != 0 {
			t.Fatalf("a busy till was told %+v", s.events)
		}
		close(s.free)
		for range 20 {
			s.round()
		}
		want := []till.Event{fine}
		for subject := uint64(20); subject < 30; subject++ {
			want = append(want, till.PaperPrinted{Subject: subject, Copy: 1})
		}
		if !reflect.DeepEqual(s.events, want) {
			t.Errorf("told %+v\nwant %+v", s.events, want)
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	s := New(Config{Log: slog.New(slog.DiscardHandler)})
	for i := range uint64(queueMax + 10) {
		s.Print(i, 1)
	}
	if len(s.queue) != queueMax {
		t.Errorf("%d papers wait, %d is the limit", len(s.queue), queueMax)
	}
}
