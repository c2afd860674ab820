// Package ipp is a laser printer made of software: real IPP on a loopback port, real
// paper kept as files. What lies in the tray it knows apart from what it told anyone,
// so that tests can compare. It is never linked into rasid-kiosk.
package ipp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"rasid/hardware/sim/control"
)

// The points where the printer can be made to stand.
const (
	OnCreate       = "on-create"       // a Create-Job arrived; there is no job yet
	AfterCreate    = "after-create"    // the job exists without a document; its sender was not told
	OnSubmit       = "on-submit"       // a document arrived; it is no job's yet
	Late           = "late"            // the same, in a printer that goes on although its sender went away
	BeforeAnswer   = "before-answer"   // the job has its document; its sender was not told
	BeforeComplete = "before-complete" // the sheet is out; the job is not completed yet
)

// documentMaxBytes bounds a document, sheetsMax the sheets that are remembered.
const (
	documentMaxBytes = 8 << 20
	sheetsMax        = 1000
	jobsMax          = 200
	waitingMaxBytes  = 64 << 20 // of documents that wait for paper
	pagesMax         = 500      // of one document
)

// Config is what a printer needs. Listen and Spool are needed.
type Config struct {
	Listen  string // loopback address, port 0 for any; others are refused
	Control string // path of the control socket, empty for none
	Spool   string // folder that keeps every sheet; those of an earlier run stay in the tray
	Paper   int    // sheets in the tray; 0: 250
	Now     func() time.Time
	Log     *slog.Logger
}

// Sheet is one document as it came out: its first page makes the file, which holds
// the whole document; Pages of Of lie in the tray.
type Sheet struct {
	Name  string `json:"job"`
	File  string `json:"file"`
	Pages int    `json:"pages"`
	Of    int    `json:"of"`
}

// Printer is the device.
type Printer struct {
	cfg      Config
	control  *control.Server
	listener net.Listener
	work     chan struct{} // a token when there may be something to print

	mu      sync.Mutex // guards what follows
	on      bool
	started time.Time
	paper   int
	jammed  bool
	busy    bool
	simple  bool // it has no Create-Job and no Send-Document
	drop    bool // the next answer to a document is lost
	dropNew bool // the next answer to a Create-Job is lost
	jobs    []*job
	nextID  int32
	boots   int
	sheets  []Sheet
	conns   map[net.Conn]struct{}
}

// New opens the port and starts nothing.
func New(cfg Config) (*Printer, error) {
	if err := os.MkdirAll(cfg.Spool, 0o755); err != nil {
		return nil, fmt.Errorf("couldn't make the spool folder: %w", err)
	}
	if err := onLoopback(cfg.Listen); err != nil {
		return nil, err
	}
	sheets, err := tray(cfg.Spool)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("couldn't listen on %s: %w: is another printer there?", cfg.Listen, err)
	}
	if cfg.Paper == 0 {
		cfg.Paper = 250
	}
	p := &Printer{cfg: cfg, listener: l, work: make(chan struct{}, 1), on: true, started: cfg.Now(), paper: cfg.Paper, nextID: 1, sheets: sheets, conns: map[net.Conn]struct{}{}}
	p.control = control.New(control.Config{Path: cfg.Control, Handler: p.handle, Points: []string{OnCreate, AfterCreate, OnSubmit, Late, BeforeAnswer, BeforeComplete}})
	return p, nil
}

// onLoopback refuses an address that others could reach: this printer asks nobody who
// they are.
func onLoopback(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("%q is no address to listen on: write it as 127.0.0.1:8631: %w", listen, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%q can be reached from other machines: listen on 127.0.0.1:8631 or another loopback address", listen)
	}
	return nil
}

// Addr is where the printer listens.
func (p *Printer) Addr() string { return p.listener.Addr().String() }

// URI is the printer's address for clients.
func (p *Printer) URI() string { return "ipp://" + p.Addr() + "/ipp/print" }

// Do carries out one command of the control socket.
func (p *Printer) Do(ctx context.Context, line string) (any, error) { return p.control.Do(ctx, line) }

// Subscribe returns what happens from now on, until stop is called.
func (p *Printer) Subscribe() (events <-chan control.Event, stop func()) {
	return p.control.Subscribe()
}

// Run serves until ctx ends.
func (p *Printer) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	defer all.Wait()
	failed := make(chan error, 2)
	all.Go(func() { failed <- p.control.Run(ctx) })
	all.Go(func() { p.engine(ctx) })
	server := &http.Server{
		Handler: p.routes(), ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return context.WithValue(ctx, whole{}, ctx) },
		ConnState: p.track, ErrorLog: slog.NewLogLogger(p.cfg.Log.Handler(), slog.LevelDebug),
	}
	all.Go(func() { failed <- server.Serve(p.listener) })
	select {
	case <-ctx.Done():
		_ = server.Close() // connections are cut, as when a printer is switched off
		return nil
	case err := <-failed:
		_ = server.Close()
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	}
}

// whole finds, in the context of a request, that of the printer's whole run.
type whole struct{}

// outlive returns the context of the printer's run: what stands in it does not mind
// that the sender of its request goes away.
func outlive(ctx context.Context) context.Context {
	if run, ok := ctx.Value(whole{}).(context.Context); ok {
		return run
	}
	return ctx
}

// track cuts connections at once while the printer is off.
func (p *Printer) track(c net.Conn, s http.ConnState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch s {
	case http.StateNew:
		p.conns[c] = struct{}{}
		if !p.on {
			_ = c.Close()
		}
	case http.StateClosed, http.StateHijacked:
		delete(p.conns, c)
	}
}

// engine moves paper: one job after another, as long as there is paper and no jam.
func (p *Printer) engine(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.work:
		}
		for p.step(ctx) {
		}
	}
}

func (p *Printer) wake() {
	select {
	case p.work <- struct{}{}:
	default:
	}
}
