package hardware

import "time"

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
// means that the printer was restarted and may have lost its jobs.
type PrinterStatus struct {
	UUID      string
	UpTime    time.Duration
	Accepting bool
	Stopped   bool
	Paper     PaperState
	Reasons   []string
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
	JobUnknown JobState = iota
	JobPending
	JobProcessing
	JobStopped // waits for somebody, usually for paper
	JobCompleted
	JobCanceled
	JobAborted
)

// JobStatus is a job's state with the printer's reasons.
type JobStatus struct {
	Ref     JobRef
	State   JobState
	Reasons []string
}
