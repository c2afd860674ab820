// Package spool brings papers to the printer, one after another, and finds out what
// became of them. It asks the printer by job name, never by guess: a copy counts as
// printed only when the printer says completed, and where the printer cannot say,
// the till decides on a copy marked duplicate.
package spool

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"rasid/hardware"
	"rasid/node/till"
)

// Printer is a printer that remembers its jobs by name. Where an error is not
// hardware.ErrNothingDone or ErrNoJob, nobody knows what the printer did.
type Printer interface {
	Status(ctx context.Context) (hardware.PrinterStatus, error)
	// Create makes a job without a document, where the status says CreatesJobs.
	Create(ctx context.Context, job hardware.PrintJob) (hardware.JobRef, error)
	// Send gives a created job its document. A job never takes a second one.
	Send(ctx context.Context, ref hardware.JobRef, job hardware.PrintJob) error
	// Submit makes a job with its document at once, where Create is not to be had.
	Submit(ctx context.Context, job hardware.PrintJob) (hardware.JobRef, error)
	Cancel(ctx context.Context, ref hardware.JobRef) error
	JobStatus(ctx context.Context, ref hardware.JobRef) (hardware.JobStatus, error)
	Find(ctx context.Context, name string) ([]hardware.JobRef, error)
}

// Paperwork makes the document of a copy. The same subject and copy always give the
// same job name and the same bytes.
type Paperwork interface {
	Make(subject uint64, copyNo uint32) (hardware.PrintJob, error)
}

// queueMax bounds what waits for the printer; the till owes no more papers than that.
const queueMax = 1024

const (
	// upTimeDoubt is how far a printer's up-time and our clock may be apart.
	upTimeDoubt = 5 * time.Second
	// historyMin is how long a printer is sure to remember a job that ended: what
	// RFC 8011 and the PWG recommend, and CUPS's ippeveprinter keeps.
	historyMin = 60 * time.Second
	// namesakesMax bounds the jobs of one name that are looked at. There is one, and
	// another for each answer that was lost.
	namesakesMax = 16
)

// Config is what a spool needs. All fields are needed.
type Config struct {
	Printer   Printer
	Paperwork Paperwork
	Log       *slog.Logger
	Now       func() time.Time
	// Poll arrives each time that the printer is to be asked, about once a second.
	Poll <-chan time.Time
	// CallMax bounds one call to the printer.
	CallMax time.Duration
}

type item struct {
	subject uint64
	copy    uint32
	earlier bool             // an earlier life may have sent it, since the time
	since   time.Time        // when it was intended
	look    bool             // jobs of its name may exist
	sent    bool             // its document may have reached the printer in this life,
	to      int32            // as that of the job with this number; 0 if that is not known
	ref     *hardware.JobRef // the job that is followed, once known
}

// Spool is the actor. Print and Ask may be called from any goroutine.
type Spool struct {
	cfg    Config
	events chan till.Event
	wake   chan struct{}

	mu    sync.Mutex
	queue []*item // guarded by mu; the first one is at the printer

	last till.PrinterNow // owned by Run
	said bool            // owned by Run: last was reported
}

// New returns a spool that does nothing until Run.
func New(cfg Config) *Spool {
	return &Spool{cfg: cfg, events: make(chan till.Event), wake: make(chan struct{}, 1)}
}

// Events delivers till.PrinterNow, till.PaperPrinted and till.PaperUnknown.
func (s *Spool) Events() <-chan till.Event { return s.events }

// Print queues a copy whose intent is durable and that was never submitted.
func (s *Spool) Print(subject uint64, copyNo uint32) {
	s.add(&item{subject: subject, copy: copyNo})
}

// Ask queues a copy that may have been submitted before a restart, not earlier than since.
func (s *Spool) Ask(subject uint64, copyNo uint32, since time.Time) {
	s.add(&item{subject: subject, copy: copyNo, earlier: true, look: true, since: since})
}

func (s *Spool) add(it *item) {
	s.mu.Lock()
	full := len(s.queue) >= queueMax
	if !full {
		s.queue = append(s.queue, it)
	}
	s.mu.Unlock()
	if full {
		s.cfg.Log.Error("a paper was not queued: it prints after the next start", "subject", it.subject, "copy", it.copy)
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run serves the queue until ctx ends. A printer that fails is asked again at the
// next poll; nothing is given up.
func (s *Spool) Run(ctx context.Context) error {
	for {
		if err := s.round(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.Warn("printing waits", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.cfg.Poll:
		case <-s.wake:
		}
	}
}

// round looks at the printer and moves the first paper on as far as it goes.
func (s *Spool) round(ctx context.Context) error {
	status, err := s.status(ctx)
	if err != nil {
		status.Faults = status.Faults.With(hardware.PrinterUnreachable)
	}
	s.report(ctx, till.PrinterNow{Paper: status.Paper, Offline: err != nil || idle(status), Faults: status.Faults})
	if err != nil {
		return err
	}
	for {
		it := s.first()
		if it == nil {
			return nil
		}
		done, err := s.advance(ctx, it, status)
		if err != nil || !done {
			return err
		}
	}
}

// idle reports whether the printer prints nothing although its paper is in order: an
// open cover, a pause. Money for a paper that it would not print must not be taken.
func idle(status hardware.PrinterStatus) bool {
	if status.Paper == hardware.PaperOut || status.Paper == hardware.PaperJammed {
		return false // said by name, and mended by a person
	}
	return status.Stopped || !status.Accepting
}

func (s *Spool) status(ctx context.Context) (hardware.PrinterStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CallMax)
	defer cancel()
	return s.cfg.Printer.Status(ctx)
}

func (s *Spool) report(ctx context.Context, now till.PrinterNow) {
	if s.said && now == s.last {
		return
	}
	s.last, s.said = now, true
	s.emit(ctx, now)
}

func (s *Spool) emit(ctx context.Context, ev till.Event) {
	select {
	case s.events <- ev:
	case <-ctx.Done():
	}
}

func (s *Spool) first() *item {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return nil
	}
	return s.queue[0]
}

func (s *Spool) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = s.queue[1:]
}

// postpone lets the papers behind the first one go before it, until the next poll.
func (s *Spool) postpone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue[1:], s.queue[0])
}

func (s *Spool) finish(ctx context.Context, ev till.Event) {
	s.drop()
	s.emit(ctx, ev)
}
