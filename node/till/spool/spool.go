// Package spool brings papers to the printer, one after another, and finds out what
// became of them. It asks the printer by job name, never by guess: a copy counts as
// printed only when the printer says completed, and where the printer cannot say,
// the till decides on a copy marked duplicate.
package spool

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"rasid/hardware"
	"rasid/node/till"
)

// Printer is a printer that remembers its jobs by name.
type Printer interface {
	Status(ctx context.Context) (hardware.PrinterStatus, error)
	Submit(ctx context.Context, job hardware.PrintJob) (hardware.JobRef, error)
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

// upTimeDoubt is how far a printer's up-time and our clock may be apart.
const upTimeDoubt = 5 * time.Second

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
	ask     bool // it may have been submitted before a restart, since the time
	since   time.Time
	ref     *hardware.JobRef // once the printer has it
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
	s.add(&item{subject: subject, copy: copyNo, ask: true, since: since})
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
	s.report(ctx, till.PrinterNow{Paper: status.Paper, Offline: err != nil || idle(status)})
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

// advance submits the first paper, or asks how far it is. It reports true when the
// next one may follow.
func (s *Spool) advance(ctx context.Context, it *item, status hardware.PrinterStatus) (bool, error) {
	if it.ref == nil {
		if err := s.place(ctx, it, status); err != nil || it.ref == nil {
			return false, err
		}
	}
	job, err := s.jobStatus(ctx, *it.ref)
	if err != nil {
		it.ref, it.ask = nil, true // the printer may have forgotten it: look for it by name
		return false, fmt.Errorf("couldn't ask for the job of entry %d, copy %d: %w", it.subject, it.copy, err)
	}
	switch job.State {
	case hardware.JobCompleted:
		s.finish(ctx, till.PaperPrinted{Subject: it.subject, Copy: it.copy})
		return true, nil
	case hardware.JobCanceled, hardware.JobAborted:
		s.finish(ctx, till.PaperUnknown{Subject: it.subject, Copy: it.copy})
		return true, nil
	}
	return false, nil
}

func (s *Spool) jobStatus(ctx context.Context, ref hardware.JobRef) (hardware.JobStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CallMax)
	defer cancel()
	return s.cfg.Printer.JobStatus(ctx, ref)
}

// place finds the paper's job at the printer, or submits it when it was certainly
// never there.
func (s *Spool) place(ctx context.Context, it *item, status hardware.PrinterStatus) error {
	job, err := s.cfg.Paperwork.Make(it.subject, it.copy)
	if err != nil {
		s.postpone()
		return fmt.Errorf("couldn't make the paper of entry %d: %w", it.subject, err)
	}
	if it.ask {
		found, err := s.find(ctx, job.Name)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			it.ref = &found[len(found)-1]
			return nil
		}
		if !s.remembers(it, status) {
			s.finish(ctx, till.PaperUnknown{Subject: it.subject, Copy: it.copy})
			return nil
		}
	}
	if it.since.IsZero() {
		it.since = s.cfg.Now()
	}
	it.ask = true // from here on an answer that is lost leaves a job that may exist
	call, cancel := context.WithTimeout(ctx, s.cfg.CallMax)
	defer cancel()
	ref, err := s.cfg.Printer.Submit(call, job)
	if err != nil {
		return fmt.Errorf("couldn't submit job %s: %w", job.Name, err)
	}
	it.ref = &ref
	return nil
}

func (s *Spool) find(ctx context.Context, name string) ([]hardware.JobRef, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CallMax)
	defer cancel()
	found, err := s.cfg.Printer.Find(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("couldn't look for job %s: %w", name, err)
	}
	return found, nil
}

// remembers reports whether the printer has been up since before the copy could
// first have been submitted: then its not knowing the job means that it never had it.
// Up-times are whole seconds, rounded either way, and the clock may have been set a
// little: in doubt the printer counts as having forgotten.
func (s *Spool) remembers(it *item, status hardware.PrinterStatus) bool {
	return s.cfg.Now().Add(upTimeDoubt - status.UpTime).Before(it.since)
}

func (s *Spool) finish(ctx context.Context, ev till.Event) {
	s.drop()
	s.emit(ctx, ev)
}
