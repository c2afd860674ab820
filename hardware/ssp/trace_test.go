package ssp_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"rasid/hardware"
	"rasid/hardware/link/linktest"
	sim "rasid/hardware/sim/ssp"
	"rasid/hardware/ssp"
)

// play drives one trace and returns its events up to the failure of the line
// that ends it.
func play(t *testing.T, trace string) []hardware.AcceptorEvent {
	t.Helper()
	playback, err := linktest.New(trace)
	if err != nil {
		t.Fatal(err)
	}
	opened := false
	w := &world{t: t, ctx: t.Context(), open: func() (io.ReadWriteCloser, error) {
		if opened {
			return nil, errors.New("the trace has ended")
		}
		opened = true
		return playback.Port()
	}}
	w.startHost()
	var events []hardware.AcceptorEvent
	for e := range w.Events() {
		events = append(events, e)
		if _, end := e.(hardware.AcceptorOffline); end {
			break
		}
	}
	w.killHost()
	if err := playback.Close(); err != nil {
		t.Error(err)
	}
	return events
}

// Recorded exchanges play back: the driver writes the same bytes, and reports a
// note that an earlier host left in escrow as returned.
func TestTraces(t *testing.T) {
	files, err := filepath.Glob("testdata/traces/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no trace found: %v", err)
	}
	for _, file := range files {
		trace, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			events := play(t, string(trace))
			if len(events) != 2 {
				t.Fatalf("%s: events %+v", file, events)
			}
			ready, ok := events[0].(hardware.AcceptorReady)
			if !ok || len(ready.Reports) != 1 || ready.Counters.Rejected != 1 || ready.Counters.Stacked != 0 {
				t.Errorf("%s: events %+v", file, events)
			}
		})
	}
}

// What Config.Trace wrote is what linktest plays.
func TestRecordThenPlay(t *testing.T) {
	var trace bytes.Buffer
	inBubble(t, sim.Config{}, func(w *world) {
		w.begin()
		w.insert(500)
		w.killHost()
		w.do("drop next reply")
		w.Driver = ssp.New(ssp.Config{Open: w.open, Trace: &trace})
		done := make(chan error, 1)
		go func() { done <- w.Run(w.ctx) }()
		next[hardware.AcceptorReady](w)
		w.do("unplug")
		next[hardware.AcceptorOffline](w)
	})
	text, _, found := strings.Cut(trace.String(), "!")
	if !found {
		t.Fatalf("the trace shows no failure of the line:\n%s", trace.String())
	}
	if directory := os.Getenv("RASID_RECORD_TRACES"); directory != "" {
		if err := os.WriteFile(filepath.Join(directory, "simulated-restart-with-note-in-escrow.txt"), []byte(text+"!\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		events := play(t, text+"!\n")
		if len(events) != 2 {
			t.Errorf("events: %+v", events)
		}
	})
}

// The invariant that a held note is accepted by nothing but a decision stands on
// two functions alone calling pollNow, and on one place naming the POLL command.
func TestPollsLeaveThroughTheGate(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	calls, names := 0, 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		calls += strings.Count(string(b), ".pollNow(")
		names += strings.Count(string(b), ", CmdPoll")
	}
	if calls != 2 || names != 1 {
		t.Errorf("pollNow is called %d times (want 2: poll and accept), CmdPoll sent from %d places (want 1)", calls, names)
	}
}
