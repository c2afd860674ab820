package control_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"rasid/hardware/sim/control"
)

// start serves a socket and returns its path; the server is joined at the end.
func start(t *testing.T, handler control.Handler) (*control.Server, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "control")
	s := control.New(control.Config{Path: path, Handler: handler, Points: []string{"here", "there"}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s, path
}

// dial connects as soon as the socket is there.
func dial(t *testing.T, path string) *control.Client {
	t.Helper()
	for {
		c, err := control.Dial(t.Context(), path)
		if err == nil {
			t.Cleanup(func() { _ = c.Close() })
			return c
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}

func do(t *testing.T, c *control.Client, command string) string {
	t.Helper()
	result, err := c.Do(t.Context(), command)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return string(result)
}

func TestCommandsReachTheDevice(t *testing.T) {
	_, path := start(t, func(_ context.Context, command string, args []string) (any, error) {
		if command == "insert" {
			return map[string]any{"inserted": args}, nil
		}
		return nil, errors.New("refused: " + command)
	})
	c := dial(t, path)
	if got := do(t, c, "insert 500"); got != `{"inserted":["500"]}` {
		t.Errorf("insert answered %s", got)
	}
	if _, err := c.Do(t.Context(), "explode"); err == nil || err.Error() != "refused: explode" {
		t.Errorf("explode: %v", err)
	}
	if _, err := c.Do(t.Context(), "pause nowhere"); err == nil || !strings.Contains(err.Error(), "here, there") {
		t.Errorf("pause nowhere: %v", err)
	}
	if _, err := c.Do(t.Context(), "wait here"); err == nil || !strings.Contains(err.Error(), "no pause is set") {
		t.Errorf("wait without a pause: %v", err)
	}
}

func TestPauseWaitResume(t *testing.T) {
	s, path := start(t, nil)
	c := dial(t, path)
	do(t, c, "pause here")
	passed := make(chan error, 2)
	go func() {
		passed <- s.At(t.Context(), "there") // not armed
		passed <- s.At(t.Context(), "here")
	}()
	if err := <-passed; err != nil {
		t.Fatal(err)
	}
	do(t, c, "wait here")
	select {
	case <-passed:
		t.Fatal("the device went on although it stands at the point")
	default:
	}
	do(t, c, "resume")
	if err := <-passed; err != nil {
		t.Fatal(err)
	}
	if err := s.At(t.Context(), "here"); err != nil {
		t.Fatal(err)
	}
}

func TestEventsAreStreamedInOrder(t *testing.T) {
	s, path := start(t, nil)
	c := dial(t, path)
	if err := c.Subscribe(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Publish("inserted", map[string]int{"value_paise": 50000})
	s.Publish("stacked", nil)
	for i, want := range []string{"inserted", "stacked"} {
		e, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if e.Name != want || e.Seq != uint64(i+1) {
			t.Errorf("event %d is %+v, want %s", i, e, want)
		}
	}
}

func TestSecondServerIsRefused(t *testing.T) {
	_, path := start(t, nil)
	dial(t, path)
	err := control.New(control.Config{Path: path}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "another device is serving it") {
		t.Errorf("second Run: %v", err)
	}
}
