package powercut

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// process is one writer, seen from outside.
type process struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	to      *gob.Encoder
	reports chan report // closed when its pipe ends
	stderr  bytes.Buffer
	fed     chan error // the end of what feeds it; nil before that began
}

// rootFD is the number under which a writer finds the file system's root.
const rootFD = 3

// Root is the path under which a writer finds its file system.
func Root() string { return fmt.Sprintf("/proc/self/fd/%d", rootFD) }

// start starts a writer on a mounted file system and gives it its orders.
func start(cmd *exec.Cmd, root *os.File, o orders) (*process, error) {
	p := &process{cmd: cmd, reports: make(chan report)}
	cmd.ExtraFiles = []*os.File{root}
	cmd.Stderr = &p.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the rig, which ends it
	var err error
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("couldn't start the writer: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("couldn't start the writer: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("couldn't start the writer: %w", err)
	}
	go func() { // ends with the pipe, and kill reads to the end
		defer close(p.reports)
		from := gob.NewDecoder(out)
		for {
			var r report
			if from.Decode(&r) != nil {
				return // what was not told whole was shown to nobody
			}
			p.reports <- r
		}
	}()
	p.to = gob.NewEncoder(p.in)
	if err := p.to.Encode(o); err != nil {
		_, killErr := p.kill(func(report) error { return nil })
		return nil, errors.Join(fmt.Errorf("couldn't give the writer its orders: %w", err), killErr)
	}
	return p, nil
}

// feed begins to send it what f sends.
func (p *process) feed(f func(*gob.Encoder) error) {
	p.fed = make(chan error, 1)
	go func() { p.fed <- f(p.to) }()
}

// kill ends the process with SIGKILL, hands on every report that still is in the
// pipe, and returns when nothing of it is left. lost is take's first error.
func (p *process) kill(take func(report) error) (lost, err error) {
	if err = p.cmd.Process.Kill(); errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	for r := range p.reports {
		if lost == nil {
			lost = take(r)
		}
	}
	_ = p.in.Close() // nobody reads it
	_ = p.cmd.Wait() // killed, so never nil
	if p.fed != nil {
		err = errors.Join(err, <-p.fed)
	}
	return lost, err
}

// lastWords is what it wrote to its standard error.
func (p *process) lastWords() string {
	const most = 2000
	s := strings.TrimSpace(p.stderr.String())
	if len(s) > most {
		s = s[:most] + " ..."
	}
	return s
}
