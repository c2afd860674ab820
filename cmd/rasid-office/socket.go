package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"os"

	"rasid/node"
	"rasid/node/inspect/cli"
	"rasid/node/socket"
)

// ask sends a job to the running office and returns its answer.
func ask(ctx context.Context, dir, job string, v any) (string, error) {
	var said bytes.Buffer
	err := socket.Ask(ctx, dir, job, v, socket.Reply{Out: &said, Progress: io.Discard})
	return said.String(), err
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
	said, err := ask(ctx, dir, "dues", job)
	if errors.Is(err, socket.ErrNotRunning) {
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
	said, err := ask(ctx, dir, "export", target)
	if errors.Is(err, socket.ErrNotRunning) {
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
	jobs := cli.Jobs(o.store, o.id.Fleet)
	maps.Copy(jobs, map[string]socket.Job{
		"announce": func(ctx context.Context, _ func(any) error, _ socket.Reply) error { return o.announce(ctx) },
		"dues": func(ctx context.Context, into func(any) error, reply socket.Reply) error {
			var job duesJob
			if err := into(&job); err != nil {
				return err
			}
			return say(reply)(o.publish(ctx, job))
		},
		"export": func(_ context.Context, into func(any) error, reply socket.Reply) error {
			var target string
			if err := into(&target); err != nil {
				return err
			}
			return say(reply)(o.export(target))
		},
	})
	maps.Copy(jobs, o.privacyJobs())
	return socket.Serve(ctx, o.s.Dir, jobs)
}

// say writes what a job has to say.
func say(reply socket.Reply) func(said string, err error) error {
	return func(said string, err error) error {
		if err == nil {
			_, err = io.WriteString(reply.Out, said)
		}
		return err
	}
}
