package ssp

import (
	"errors"
	"testing"
)

// A session without a line: whatever these calls would send would crash.
func TestGate(t *testing.T) {
	s := &session{held: true}
	if _, err := s.poll(t.Context()); !errors.Is(err, errNoteHeld) {
		t.Errorf("poll with a note in escrow: %v", err)
	}
	s.held = false
	if _, err := s.accept(t.Context()); !errors.Is(err, errNoneHeld) {
		t.Errorf("accept with no note in escrow: %v", err)
	}
}

func TestCreditIsReportedOnceForEachNote(t *testing.T) {
	d := New(Config{})
	credits := 0
	for _, e := range []Event{
		{Code: EvRead, Channel: 1}, {Code: EvCredit, Channel: 1}, {Code: EvCredit, Channel: 1}, {Code: EvStacked},
		{Code: EvRead, Channel: 1}, {Code: EvCredit, Channel: 1},
		{Code: EvRead}, {Code: EvRead, Channel: 2}, {Code: EvCredit, Channel: 2},
	} {
		if d.note(e) != nil && e.Code == EvCredit {
			credits++
		}
	}
	if credits != 3 {
		t.Errorf("%d credits reported of 3 notes", credits)
	}
}
