package cabinet

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is one real program of ours, started, killed and started again. The
// kernel ends it when the lab dies, whatever the lab dies of.
type Process struct {
	Name string
	Path string
	Args []string
	Log  io.Writer // its standard error

	mu   sync.Mutex
	cmd  *exec.Cmd     // guarded by mu, nil while it does not run
	done chan struct{} // guarded by mu, closed when it ended
}

// Start starts the program and waits until it says, on a line of its standard
// output that begins with ready and a space, that it serves; the rest of that line
// is returned.
func (p *Process) Start(ctx context.Context, ready string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return "", fmt.Errorf("%s runs already", p.Name)
	}
	cmd := exec.Command(p.Path, p.Args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = p.Log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", fmt.Errorf("couldn't start %s: %w", p.Name, err)
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("couldn't start %s: %w", p.Name, err)
	}
	done, said := make(chan struct{}), make(chan string, 1)
	go func() { // joined by done: ends when the program's output does
		defer close(done)
		listen(out, ready, said)
		_ = cmd.Wait() // the state is in ProcessState
	}()
	p.cmd, p.done = cmd, done
	select {
	case s := <-said:
		return s, nil
	case <-done:
		p.cmd = nil
		return "", fmt.Errorf("%s ended before it served: %s (see its log)", p.Name, cmd.ProcessState)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func listen(out io.Reader, ready string, said chan<- string) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), ready+" "); ok {
			select {
			case said <- rest:
			default:
			}
		}
	}
}

// Kill pulls the plug: SIGKILL, and waits until the process is gone.
func (p *Process) Kill() { p.end(syscall.SIGKILL, 0) }

// Stop asks the process to end and kills it if it has not after five seconds.
func (p *Process) Stop() { p.end(syscall.SIGTERM, 5*time.Second) }

func (p *Process) end(sig syscall.Signal, patience time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(sig) // gone already: Wait below returns at once
	if patience > 0 {
		select {
		case <-p.done:
		case <-time.After(patience):
			_ = p.cmd.Process.Kill()
		}
	}
	<-p.done
	p.cmd = nil
}

// Running reports whether the process is there.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Pid returns the process's id, 0 while it does not run.
func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Call runs a program of ours to its end and returns what it printed.
func Call(ctx context.Context, path string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("%s %s: %s", path, strings.Join(args, " "), strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("couldn't run %s: %w", path, err)
	}
	return string(out), nil
}
