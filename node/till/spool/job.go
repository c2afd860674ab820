package spool

import (
	"context"
	"errors"
	"fmt"

	"rasid/hardware"
	"rasid/node/till"
)

// advance moves the first paper on as far as it goes now. It reports true when the next
// one may follow. Each step asks the printer first how things are, so that it does not
// matter which answer was lost, nor which life asked (docs/adr/0003).
func (s *Spool) advance(ctx context.Context, it *item, status hardware.PrinterStatus) (bool, error) {
	job, err := s.cfg.Paperwork.Make(it.subject, it.copy)
	if err != nil {
		s.postpone()
		return false, fmt.Errorf("couldn't make the paper of entry %d: %w", it.subject, err)
	}
	if it.ref == nil {
		if over, err := s.place(ctx, it, job, status); over || err != nil || it.ref == nil {
			return over, err
		}
	}
	return s.follow(ctx, it, job)
}

// follow asks how far the paper's job is, and gives it the document that it lacks.
func (s *Spool) follow(ctx context.Context, it *item, job hardware.PrintJob) (bool, error) {
	is, err := s.jobStatus(ctx, *it.ref)
	if err == nil && is.State == hardware.JobIncoming {
		if err = s.send(ctx, it, job); err == nil {
			is, err = s.jobStatus(ctx, *it.ref)
		}
	}
	if err != nil {
		it.ref, it.look = nil, true // it may be forgotten, or made twice: look for it by name
		return false, fmt.Errorf("couldn't bring on job %s: %w", job.Name, err)
	}
	switch is.State {
	case hardware.JobCompleted:
		s.finish(ctx, till.PaperPrinted{Subject: it.subject, Copy: it.copy})
		return true, nil
	case hardware.JobCanceled, hardware.JobAborted:
		return s.ended(ctx, it, is), nil
	}
	return false, nil
}

// ended judges a job that the printer gave up. One that never had a document printed
// nothing, and another is made in its place; of any other nobody can say.
func (s *Spool) ended(ctx context.Context, it *item, is hardware.JobStatus) bool {
	if it.blank(is) {
		it.ref = nil
		return false
	}
	s.finish(ctx, till.PaperUnknown{Subject: it.subject, Copy: it.copy})
	return true
}

// place finds the paper's job at the printer, or makes it when nothing of the paper can
// have printed. It reports true when the paper is over: nobody can say what became of it.
func (s *Spool) place(ctx context.Context, it *item, job hardware.PrintJob, status hardware.PrinterStatus) (bool, error) {
	if it.look {
		if over, err := s.find(ctx, it, job.Name, status); over || err != nil || it.ref != nil {
			return over, err
		}
	}
	if status.CreatesJobs {
		return false, s.create(ctx, it, job)
	}
	return false, s.submit(ctx, it, job)
}

// neverSent reports whether the printer's knowing no job with the document means that
// the life before never sent it. It does where a document needs a job that was there
// before it, and the printer has forgotten nothing since the copy was intended: it has
// been up all the time, which a job of the name shows as well, since none is made after
// a restart that anybody saw, and it had not the time to forget a job that ended.
// Up-times are whole seconds, rounded either way, and the clock may have been set a
// little: in doubt the printer has forgotten.
func (s *Spool) neverSent(it *item, status hardware.PrinterStatus, named bool) bool {
	now := s.cfg.Now()
	up := named || now.Add(upTimeDoubt-status.UpTime).Before(it.since)
	return status.CreatesJobs && up && now.Before(it.since.Add(historyMin-upTimeDoubt))
}

// create makes a job under the paper's name, and only then sends the document: before
// anything can print there is something to be found.
func (s *Spool) create(ctx context.Context, it *item, job hardware.PrintJob) error {
	call, cancel := context.WithTimeout(ctx, s.cfg.CallMax)
	defer cancel()
	ref, err := s.cfg.Printer.Create(call, job)
	if err != nil {
		it.look = it.look || !errors.Is(err, hardware.ErrNothingDone)
		return fmt.Errorf("couldn't create job %s: %w", job.Name, err)
	}
	it.ref, it.look = &ref, true
	if err := s.send(ctx, it, job); err != nil {
		it.ref = nil // by name again, which also finds jobs that were made twice
		return err
	}
	return nil
}

// send gives the job its document. If the answer is lost, the job itself tells at the
// next round whether it has one.
func (s *Spool) send(ctx context.Context, it *item, job hardware.PrintJob) error {
	before := it.sent
	it.sent, it.to = true, it.ref.ID
	call, cancel := context.WithTimeout(ctx, s.cfg.CallMax)
	defer cancel()
	err := s.cfg.Printer.Send(call, *it.ref, job)
	if errors.Is(err, hardware.ErrNothingDone) {
		it.sent = before
	}
	if err != nil {
		return fmt.Errorf("couldn't send the document of job %s: %w", job.Name, err)
	}
	return nil
}

// submit hands over job and document in one. If the answer is lost, the printer may
// make the job at any time later: that it does not know it yet says nothing.
func (s *Spool) submit(ctx context.Context, it *item, job hardware.PrintJob) error {
	it.look, it.sent = true, true
	call, cancel := context.WithTimeout(ctx, s.cfg.CallMax)
	defer cancel()
	ref, err := s.cfg.Printer.Submit(call, job)
	if errors.Is(err, hardware.ErrNothingDone) {
		it.sent = false
	}
	if err != nil {
		return fmt.Errorf("couldn't submit job %s: %w", job.Name, err)
	}
	it.ref, it.to = &ref, ref.ID
	return nil
}
