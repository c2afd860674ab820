package till

import (
	"rasid/hardware"
	"rasid/ledger"
	"rasid/ledger/event"
)

// finding is what the device's account of itself proves: bodies to make durable.
// An orphan is money in the box that no open note accounts for.
type finding []event.Body

// resolve settles the open note, if there is one, from the device's reports since
// the line was opened and from its counters (facts of hardware.md A.5). Positive
// evidence only: what nobody can prove becomes an open question with a name. known is
// what the log knows of the device that answers, nil when it is new.
func resolve(n *note, known *account, ready hardware.AcceptorReady) finding {
	credits, returns := sortReports(ready.Reports)
	now := counters(ready.Counters)
	if n == nil {
		return orphans(known, ready, credits)
	}
	if n.serial != ready.Identity.Serial {
		f := finding{&event.NoteUnresolved{Note: n.index, Reason: event.DoubtOtherDevice, Counters: now}}
		return append(f, orphansOf(credits, ready)...)
	}
	taken := stackedDelta(n, now)
	only := n.onlyOne(now)
	switch {
	case len(credits) == 1 && agrees(credits[0], n) && taken <= 1 && only:
		return finding{&event.NoteStacked{Note: n.index, Evidence: evidenceOf(credits[0]), Raw: rawOf(credits[0])}}
	case len(credits) > 0:
		f := finding{&event.NoteUnresolved{Note: n.index, Reason: event.DoubtContradiction, Counters: now}}
		return append(f, orphansOf(credits, ready)...)
	case taken == 1 && returns == 0 && only:
		return finding{&event.NoteStacked{Note: n.index, Evidence: event.EvidenceCounters}}
	case taken == 0 && returns > 0:
		return finding{&event.NoteReturned{Note: n.index, Evidence: event.EvidenceEvent, RejectCode: 0xFF}}
	case taken == 0 && now.Rejected-n.counters.Rejected >= 1:
		return finding{&event.NoteReturned{Note: n.index, Evidence: event.EvidenceCounters, RejectCode: 0xFF}}
	case taken > 0:
		return finding{&event.NoteUnresolved{Note: n.index, Reason: event.DoubtContradiction, Counters: now}}
	}
	return finding{&event.NoteUnresolved{Note: n.index, Reason: event.DoubtNoEvidence, Counters: now}}
}

// onlyOne reports whether no note can have come after it. What a log that was given up
// says last need not be what happened last: where the acceptor has rejected a note since,
// that may have been this one, and the one in the box another.
func (n *note) onlyOne(now event.Counters) bool {
	return !n.taken || now.Rejected == n.counters.Rejected
}

// orphans accounts for what the device took while no note was open. A credit that
// the counters show to be the last note's, said once more, is no news; one that they
// do not show while nothing was taken lately is believed: the note is in the box.
func orphans(a *account, ready hardware.AcceptorReady, credits []hardware.NoteCredited) finding {
	if a == nil {
		return orphansOf(credits, ready)
	}
	taken := stackedDelta(a.base, counters(ready.Counters))
	known := a.known()
	if taken == known && (known > 0 || len(credits) == 0) || taken == 0 && known > 0 {
		return nil
	}
	if len(credits) == 0 {
		return finding{&event.NoteOrphaned{Serial: ready.Identity.Serial, Counters: counters(ready.Counters)}}
	}
	return orphansOf(credits, ready)
}

func orphansOf(credits []hardware.NoteCredited, ready hardware.AcceptorReady) finding {
	var f finding
	for i, c := range credits {
		if i == strayCredits-1 && len(credits) > strayCredits { // firmware that runs wild: the box tells how many
			last := orphanOf(c, ready.Identity.Serial, counters(ready.Counters))
			last.Value = 0
			return append(f, last)
		}
		f = append(f, orphanOf(c, ready.Identity.Serial, counters(ready.Counters)))
	}
	return f
}

// orphanOf writes a credit down as nobody's. A value that no note has is not known.
func orphanOf(c hardware.NoteCredited, serial uint32, now event.Counters) *event.NoteOrphaned {
	o := &event.NoteOrphaned{Value: ledger.Paise(c.ValuePaise), Serial: serial, Counters: now, Raw: rawOf(c)}
	if o.Value < 0 || o.Value > largestNotePaise {
		o.Value = 0
	}
	return o
}

// rawOf is the beginning of a device's event: an entry that is refused for its length
// would stop the till at every start.
func rawOf(c hardware.NoteCredited) []byte {
	return c.Raw[:min(len(c.Raw), rawMaxBytes)]
}

func sortReports(reports []hardware.AcceptorEvent) (credits []hardware.NoteCredited, returns int) {
	for _, r := range reports {
		switch e := r.(type) {
		case hardware.NoteCredited:
			credits = append(credits, e)
		case hardware.NoteReturned:
			returns++
		}
	}
	return credits, returns
}

// agrees reports whether a credit can be the note's: the device names its value, or
// does not know it and the entry written in escrow does.
func agrees(c hardware.NoteCredited, n *note) bool {
	return c.ValuePaise == 0 || ledger.Paise(c.ValuePaise) == n.value
}

func evidenceOf(c hardware.NoteCredited) event.Evidence {
	if c.PowerUp {
		return event.EvidencePowerUp
	}
	return event.EvidenceEvent
}

func counters(c hardware.NoteCounters) event.Counters {
	return event.Counters{Stacked: c.Stacked, Stored: c.Stored, Rejected: c.Rejected}
}
