package hardware

import (
	"errors"
	"time"
)

// Errors of a printer that its callers branch on. Any other error leaves open what
// the printer did.
var (
	// ErrNoJob is returned when the printer does not know the job.
	ErrNoJob = errors.New("the printer does not know the job")
	// ErrNothingDone is returned when the printer certainly did nothing of what it was
	// asked: the request never left, or was refused.
	ErrNothingDone = errors.New("the printer did nothing")
)

// PaperState says whether the printer can print on paper now.
type PaperState uint8

// The states of a printer's paper, after XFS4IoT.
const (
	PaperUnknown PaperState = iota
	PaperFull
	PaperLow
	PaperOut
	PaperJammed
)

// PrinterStatus is what a printer says of itself. Reasons are its own keywords
// without their severity suffix ("media-empty"). UpTime falling between two calls
// means that the printer was restarted and may have lost its jobs. CreatesJobs says
// that it takes a job by its name first and the document afterwards.
type PrinterStatus struct {
	UUID        string
	UpTime      time.Duration
	Accepting   bool
	Stopped     bool
	CreatesJobs bool
	Paper       PaperState
	Reasons     []string
}

// PrintJob is one document to print. Name is the caller's own key: it is how a
// job is found again after a lost answer or a restart.
type PrintJob struct {
	Name     string
	MIME     string // "application/pdf"
	Document []byte
}

// JobRef names a job that a printer holds or held.
type JobRef struct {
	ID   int32
	UUID string
	Name string
}

// JobState is the state of a print job.
type JobState uint8

// The states of a print job. Only JobCompleted is evidence of paper.
const (
	JobUnknown  JobState = iota
	JobIncoming          // created, waits for its document: nothing of it can print
	JobPending
	JobProcessing
	JobStopped // waits for somebody, usually for paper
	JobCompleted
	JobCanceled
	JobAborted
)

// JobStatus is a job's state with the printer's reasons. Blank is the printer's word
// that the job has no document and made no page; false may mean that it does not tell.
type JobStatus struct {
	Ref     JobRef
	State   JobState
	Reasons []string
	Blank   bool
}
