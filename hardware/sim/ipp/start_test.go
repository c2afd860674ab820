package ipp

import (
	"bufio"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// start starts a program that we did not write and returns when ready says so; the
// test's end stops it by its own process id. ready is given each line that it prints,
// and is asked with "" until it says yes.
func start(t *testing.T, cmd *exec.Cmd, ready func(line string) bool) {
	t.Helper()
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its output says why
		_ = w.Close()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	lines := make(chan string)
	isReady := make(chan struct{})
	defer close(isReady)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-isReady: // read on: a program whose words nobody takes stands still
			}
		}
	}()
	var said strings.Builder
	for {
		select {
		case line, more := <-lines:
			if !more {
				t.Fatalf("%s ended before it was ready:\n%s", cmd.Path, said.String())
			}
			said.WriteString(line + "\n")
			if ready(line) {
				return
			}
		default:
			if ready("") {
				return
			}
			runtime.Gosched()
		}
	}
}
