package spool

import (
	"context"
	"errors"
	"fmt"

	"rasid/hardware"
	"rasid/node/till"
)

// find looks for the paper's jobs by name and picks the one to follow: one that has the
// document, else the one that waits for it. The other jobs, made because an answer was
// lost, have no document and are canceled. It reports true when the paper is over:
// nobody can say what became of it.
func (s *Spool) find(ctx context.Context, it *item, name string, status hardware.PrinterStatus) (bool, error) {
	jobs, err := s.named(ctx, name)
	if err != nil {
		return false, err
	}
	it.ref = nil
	ended := false
	for _, is := range jobs {
		switch {
		case is.State == hardware.JobIncoming:
		case !isEnd(is.State) || is.State == hardware.JobCompleted:
			it.ref = &is.Ref
		case !it.blank(is):
			ended = true
		}
	}
	over := false
	if it.ref == nil {
		over = ended || !s.undone(it, jobs, status)
	}
	if it.ref == nil && !over {
		it.ref = waiting(it, jobs)
	}
	if err := s.cancelOthers(ctx, it, jobs); err != nil {
		return false, err
	}
	if over {
		s.finish(ctx, till.PaperUnknown{Subject: it.subject, Copy: it.copy})
	}
	return over, nil
}

// undone reports whether nothing of the paper can have printed, where no job of its
// name has the document: no life before sent it, and what this one sent went to a job
// that has no document or that is still waiting for it.
func (s *Spool) undone(it *item, jobs []hardware.JobStatus, status hardware.PrinterStatus) bool {
	if it.earlier && !s.neverSent(it, status, len(jobs) > 0) {
		return false
	}
	it.earlier = false // that much is settled, however long the rest takes
	for _, is := range jobs {
		if is.Ref.ID == it.to && isEnd(is.State) {
			it.sent = false // and blank, else we were not here
		}
	}
	w := waiting(it, jobs)
	return !it.sent || w != nil && w.ID == it.to
}

// waiting picks the job that is to get the document: the one that it was sent to if
// that still waits, else the oldest, nil if none waits.
func waiting(it *item, jobs []hardware.JobStatus) *hardware.JobRef {
	var ref *hardware.JobRef
	for _, is := range jobs {
		if is.State == hardware.JobIncoming && (ref == nil || it.sent && is.Ref.ID == it.to) {
			ref = &is.Ref
		}
	}
	return ref
}

// cancelOthers cancels the jobs that wait for a document and will not get one.
func (s *Spool) cancelOthers(ctx context.Context, it *item, jobs []hardware.JobStatus) error {
	for _, is := range jobs {
		if is.State != hardware.JobIncoming || it.ref != nil && it.ref.ID == is.Ref.ID {
			continue
		}
		call, cancel := context.WithTimeout(ctx, s.cfg.CallMax)
		err := s.cfg.Printer.Cancel(call, is.Ref)
		cancel()
		if err != nil && !errors.Is(err, hardware.ErrNothingDone) { // that one ended by itself
			it.ref = nil
			return fmt.Errorf("couldn't cancel the empty job %d: %w", is.Ref.ID, err)
		}
	}
	return nil
}

// blank reports whether a job that ended certainly printed nothing: the printer says
// so, or nobody ever sent it a document.
func (it *item) blank(is hardware.JobStatus) bool { return is.Blank || !it.earlier && !it.sent }

func isEnd(state hardware.JobState) bool {
	return state == hardware.JobCompleted || state == hardware.JobCanceled || state == hardware.JobAborted
}

// named asks for the state of every job of the name, oldest first.
func (s *Spool) named(ctx context.Context, name string) ([]hardware.JobStatus, error) {
	call, cancel := context.WithTimeout(ctx, s.cfg.CallMax)
	defer cancel()
	found, err := s.cfg.Printer.Find(call, name)
	if err != nil {
		return nil, fmt.Errorf("couldn't look for job %s: %w", name, err)
	}
	if len(found) > namesakesMax {
		return nil, fmt.Errorf("couldn't look for job %s: the printer names %d of them, the limit is %d: clear its job list", name, len(found), namesakesMax)
	}
	var jobs []hardware.JobStatus
	for _, ref := range found {
		is, err := s.jobStatus(ctx, ref)
		if errors.Is(err, hardware.ErrNoJob) {
			continue // forgotten since it was listed
		}
		if err != nil {
			return nil, fmt.Errorf("couldn't ask for job %s: %w", name, err)
		}
		jobs = append(jobs, is)
	}
	return jobs, nil
}

func (s *Spool) jobStatus(ctx context.Context, ref hardware.JobRef) (hardware.JobStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CallMax)
	defer cancel()
	return s.cfg.Printer.JobStatus(ctx, ref)
}
