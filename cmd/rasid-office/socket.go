package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rasid/node"
)

// socketName is the unix socket by which commands reach the running office: its data
// folder admits one process.
const socketName = "office.sock"

// jobMaxBytes bounds what a command sends.
const jobMaxBytes = 64 << 20

// errNotRunning says that no office serves this folder.
var errNotRunning = errors.New("the office is not running")

// ask sends a job to the running office and returns its answer.
func ask(ctx context.Context, dir, path string, body any) (string, error) {
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(dir, socketName))
	}}}
	raw, err := json.Marshal(body)
	if err != nil {
		return "", fmt.Errorf("couldn't encode the job: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://office"+path, bytes.NewReader(raw))
	if err != nil {
		return "", fmt.Errorf("couldn't ask the office: %w", err)
	}
	answer, err := client.Do(r)
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return "", errNotRunning
	}
	if err != nil {
		return "", fmt.Errorf("couldn't ask the office: %w", err)
	}
	defer func() { _ = answer.Body.Close() }() // read to its end below
	said, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return "", fmt.Errorf("couldn't hear the office: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return "", errors.New(strings.TrimSpace(string(said)))
	}
	return string(said), nil
}

// alone opens the folder without a running office and runs one job on it.
func alone(ctx context.Context, dir string, job func(ctx context.Context, l *ledgers) (string, error)) (said string, err error) {
	l, err := openLedgers(dir, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	done := errors.New("done")
	err = node.Run(ctx, node.Actor{Name: "the ledger", Run: l.store.Run}, node.Actor{Name: "the job", Run: func(ctx context.Context) error {
		var err error
		if said, err = job(ctx, l); err != nil {
			return err
		}
		return done
	}})
	if errors.Is(err, done) {
		err = nil
	}
	return said, err
}

func publishDues(ctx context.Context, dir string, job duesJob) (string, error) {
	said, err := ask(ctx, dir, "/dues", job)
	if errors.Is(err, errNotRunning) {
		return alone(ctx, dir, func(ctx context.Context, l *ledgers) (string, error) {
			if err := l.announce(ctx); err != nil {
				return "", err
			}
			return l.publish(ctx, job)
		})
	}
	return said, err
}

func exportTo(ctx context.Context, dir, target string) (string, error) {
	said, err := ask(ctx, dir, "/export", target)
	if errors.Is(err, errNotRunning) {
		return alone(ctx, dir, func(ctx context.Context, l *ledgers) (string, error) {
			if err := l.announce(ctx); err != nil {
				return "", err
			}
			return l.export(target)
		})
	}
	return said, err
}

// serveSocket answers the commands while the office runs.
func (o *office) serveSocket(ctx context.Context) error {
	path := filepath.Join(o.s.Dir, socketName)
	_ = os.Remove(path) // left by a killed office; the folder's lock is ours
	listener, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("couldn't listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(fmt.Errorf("couldn't close %s to others: %w", path, err), listener.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /announce", func(w http.ResponseWriter, r *http.Request) { reply(w, "announced", o.announce(r.Context())) })
	mux.HandleFunc("POST /dues", func(w http.ResponseWriter, r *http.Request) {
		var job duesJob
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, jobMaxBytes)).Decode(&job); err != nil {
			reply(w, "", fmt.Errorf("couldn't read the job: %w", err))
			return
		}
		said, err := o.publish(r.Context(), job)
		reply(w, said, err)
	})
	mux.HandleFunc("POST /export", func(w http.ResponseWriter, r *http.Request) {
		var target string
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&target); err != nil {
			reply(w, "", fmt.Errorf("couldn't read the job: %w", err))
			return
		}
		said, err := o.export(target)
		reply(w, said, err)
	})
	return serveOn(ctx, listener, mux)
}

func reply(w http.ResponseWriter, said string, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	_, _ = w.Write([]byte(said)) // the asker went away
}

// serveOn serves HTTP until ctx ends, and joins.
func serveOn(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
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
