package socket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// serving runs the jobs on a folder with a path longer than a socket's may be, and
// returns the folder; the program ends with the test.
func serving(t *testing.T, jobs map[string]Job) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- serve(ctx, dir, jobs, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left: %v", err)
		}
	})
	return dir
}

func ask(t *testing.T, dir, job string, v any) (out, progress string, err error) {
	t.Helper()
	var o, p bytes.Buffer
	err = Ask(t.Context(), dir, job, v, Reply{Out: &o, Progress: &p})
	return o.String(), p.String(), err
}

func TestAnswersAndErrors(t *testing.T) {
	dir := serving(t, map[string]Job{
		"echo": func(_ context.Context, into func(any) error, r Reply) error {
			var s string
			if err := into(&s); err != nil {
				return err
			}
			_, err := fmt.Fprint(r.Progress, "half")
			_, err2 := io.WriteString(r.Out, strings.Repeat(s, 3))
			return errors.Join(err, err2)
		},
		"fail": func(_ context.Context, _ func(any) error, r Reply) error {
			_, err := io.WriteString(r.Out, "some")
			return errors.Join(err, errors.New("no paper"))
		},
		// A broken invariant: the only way to end a connection without an answer.
		"die": func(context.Context, func(any) error, Reply) error { panic(http.ErrAbortHandler) },
	})
	big := strings.Repeat("x", lineMaxBytes)
	for _, s := range []string{"a", "<रसीद>", big} {
		if out, progress, err := ask(t, dir, "echo", s); out != s+s+s || progress != "half" || err != nil {
			t.Errorf("%.20q: answered %d bytes, progress %q, %v", s, len(out), progress, err)
		}
	}
	if out, _, err := ask(t, dir, "fail", nil); out != "some" || err == nil || err.Error() != "no paper" {
		t.Errorf("%q, %v", out, err)
	}
	if _, _, err := ask(t, dir, "echo", 7); err == nil || !strings.Contains(err.Error(), "couldn't read the job") {
		t.Errorf("a job of another form: %v", err)
	}
	if _, _, err := ask(t, dir, "dance", nil); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("an unknown job: %v", err)
	}
	if _, _, err := ask(t, dir, "die", nil); err == nil || errors.Is(err, ErrNotRunning) {
		t.Errorf("an answer that breaks off: %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := ask(t, dir, "echo", ""); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no socket: %v", err)
	}
	if _, _, err := ask(t, filepath.Join(dir, "none"), "echo", ""); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no folder: %v", err)
	}
	// What a killed program leaves: a socket that nobody listens on.
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	ready := make(chan struct{})
	go func() { ended <- serve(ctx, dir, nil, func() { close(ready) }) }()
	<-ready
	if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, "kept")); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-ended // it misses its socket, which we took
	if err := os.Rename(filepath.Join(dir, "kept"), filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ask(t, dir, "echo", ""); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a dead socket: %v", err)
	}
	serveAgain, stop := context.WithCancel(t.Context())
	stop()
	if err := Serve(serveAgain, dir, nil); err != nil {
		t.Errorf("a dead socket keeps the next program from serving: %v", err)
	}
}
