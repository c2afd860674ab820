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
	Faults      PrinterFaults
	Reasons     []string
}

// PrinterFault names what keeps a printer from printing. The numbers appear in the
// log; they are only ever appended.
type PrinterFault uint8

// The faults of a printer.
const (
	PrinterPaperOut    PrinterFault = 1
	PrinterJam         PrinterFault = 2
	PrinterDoorOpen    PrinterFault = 3
	PrinterTonerOut    PrinterFault = 4 // or another of its supplies
	PrinterUnreachable PrinterFault = 5 // it does not answer
	PrinterFailure     PrinterFault = 6 // it answers and does not print, and none of the above
	printerFaultLast                = PrinterFailure
)

// String returns the fault's keyword.
func (f PrinterFault) String() string {
	names := [...]string{"none", "paper-out", "jam", "door-open", "toner-out", "unreachable", "failure"}
	if int(f) < len(names) {
		return names[f]
	}
	return "unknown-fault"
}

// PrinterFaults is a set of faults.
type PrinterFaults uint8

// With returns the set with the faults given; a number that is none is left out.
func (s PrinterFaults) With(faults ...PrinterFault) PrinterFaults {
	for _, f := range faults {
		if f >= PrinterPaperOut && f <= printerFaultLast {
			s |= 1 << f
		}
	}
	return s
}

// Without returns the set less the fault.
func (s PrinterFaults) Without(f PrinterFault) PrinterFaults { return s &^ PrinterFaults(0).With(f) }

// Has reports whether the fault is in the set.
func (s PrinterFaults) Has(f PrinterFault) bool { return s != s.Without(f) }

// AllPrinterFaults lists every fault that there is, in order.
func AllPrinterFaults() []PrinterFault {
	var all []PrinterFault
	for f := PrinterPaperOut; f <= printerFaultLast; f++ {
		all = append(all, f)
	}
	return all
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
