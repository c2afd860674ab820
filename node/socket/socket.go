// Package socket lets commands reach the running program that owns a data folder,
// by a unix socket in the folder: the folder admits one process. Only who may write
// the folder may ask.
package socket

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// name of the socket in the data folder.
const name = "command.sock"

// jobMaxBytes bounds what a command sends.
const jobMaxBytes = 64 << 20

// lineMaxBytes bounds one piece of an answer.
const lineMaxBytes = 1 << 20

// ErrNotRunning is returned by Ask when no program serves the folder.
var ErrNotRunning = errors.New("nothing is running on this folder")

// Reply is where a job writes its answer. Out is what was asked for; Progress is for
// a person who waits, and may be thrown away.
type Reply struct {
	Out      io.Writer
	Progress io.Writer
}

// Job answers one command; into decodes what the command sent. Its error is shown to
// whoever asked.
type Job func(ctx context.Context, into func(v any) error, reply Reply) error

// piece is one line of an answer. The last one has Done or Error.
type piece struct {
	Out      string `json:"out,omitempty"`
	Progress string `json:"progress,omitempty"`
	Error    string `json:"error,omitempty"`
	Done     bool   `json:"done,omitempty"`
}

// at calls f with a path of the socket that is short whatever the folder's is: the
// kernel takes 107 bytes.
func at(dir string, f func(path string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f(fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), name)), d.Close())
}

// Ask sends a job to the program that runs on the folder and copies its answer to
// reply as it comes. An answer that breaks off is an error.
func Ask(ctx context.Context, dir, job string, v any, reply Reply) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("couldn't encode the job: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://program/"+job, bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("couldn't ask: %w", err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (c net.Conn, err error) {
		err = at(dir, func(path string) error {
			var d net.Dialer
			c, err = d.DialContext(ctx, "unix", path)
			return err
		})
		return c, err
	}}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Do(r)
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" || errors.Is(err, fs.ErrNotExist) {
		return ErrNotRunning
	}
	if err != nil {
		return fmt.Errorf("couldn't ask the running program: %w", err)
	}
	defer func() { _ = answer.Body.Close() }() // read to its end, or given up
	if answer.StatusCode != http.StatusOK {
		said, err := io.ReadAll(io.LimitReader(answer.Body, lineMaxBytes))
		return errors.Join(fmt.Errorf("the running program does not do that (is it of another version?): %s", strings.TrimSpace(string(said))), err)
	}
	return hear(answer.Body, reply)
}

func hear(body io.Reader, reply Reply) error {
	d := json.NewDecoder(body)
	for {
		var p piece
		if err := d.Decode(&p); err != nil {
			return fmt.Errorf("the running program broke off its answer: %w", err)
		}
		if _, err := io.WriteString(reply.Progress, p.Progress); err != nil {
			return err
		}
		if _, err := io.WriteString(reply.Out, p.Out); err != nil {
			return err
		}
		if p.Error != "" {
			return errors.New(p.Error)
		}
		if p.Done {
			return nil
		}
	}
}

// Serve answers the jobs until ctx ends, and joins. The folder must be the caller's
// own: a socket that is there was left by a program that was killed.
func Serve(ctx context.Context, dir string, jobs map[string]Job) error {
	return serve(ctx, dir, jobs, func() {})
}

// serve calls listening when it can be asked.
func serve(ctx context.Context, dir string, jobs map[string]Job, listening func()) error {
	if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("couldn't remove an old socket: %w", err)
	}
	var listener net.Listener
	err := at(dir, func(path string) (err error) {
		if listener, err = net.Listen("unix", path); err != nil {
			return err
		}
		// Its path by the folder's descriptor means nothing later.
		listener.(*net.UnixListener).SetUnlinkOnClose(false)
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		err = fmt.Errorf("couldn't listen on %s: %w", filepath.Join(dir, name), err)
		if listener != nil {
			err = errors.Join(err, listener.Close())
		}
		return err
	}
	mux := http.NewServeMux()
	for path, job := range jobs {
		mux.HandleFunc("POST /"+path, func(w http.ResponseWriter, r *http.Request) { answer(w, r, job) })
	}
	listening()
	return errors.Join(HTTP(ctx, listener, mux), os.Remove(filepath.Join(dir, name)))
}

func answer(w http.ResponseWriter, r *http.Request, job Job) {
	enc, flush := json.NewEncoder(w), http.NewResponseController(w)
	send := func(p piece) error {
		if err := enc.Encode(p); err != nil {
			return err
		}
		return flush.Flush()
	}
	reply := Reply{
		Out:      writer(func(b []byte) error { return send(piece{Out: string(b)}) }),
		Progress: writer(func(b []byte) error { return send(piece{Progress: string(b)}) }),
	}
	into := func(v any) error {
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, jobMaxBytes))
		d.DisallowUnknownFields()
		if err := d.Decode(v); err != nil {
			return fmt.Errorf("couldn't read the job: %w", err)
		}
		return nil
	}
	end := piece{Done: true}
	if err := job(r.Context(), into, reply); err != nil {
		end = piece{Error: err.Error()}
	}
	_ = send(end) // the asker went away
}

type writer func([]byte) error

func (w writer) Write(b []byte) (int, error) {
	for at := 0; at < len(b); at += lineMaxBytes {
		if err := w(b[at:min(len(b), at+lineMaxBytes)]); err != nil {
			return at, err
		}
	}
	return len(b), nil
}

// HTTP serves handler on the listener until ctx ends, and joins.
func HTTP(ctx context.Context, l net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("couldn't serve on %s: %w", l.Addr(), err)
	case <-ctx.Done():
		err := server.Close()
		<-failed
		return err
	}
}
