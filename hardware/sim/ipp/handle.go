package ipp

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// State is the printer's physical truth.
type State struct {
	On     bool    `json:"on"`
	Paper  int     `json:"paper"`
	Jammed bool    `json:"jammed"`
	Busy   bool    `json:"busy"`
	Sheets []Sheet `json:"sheets"`
	Jobs   []JobIs `json:"jobs"`
	UpSec  int     `json:"up_s"`
}

// JobIs is a job as the printer knows it.
type JobIs struct {
	ID    int32  `json:"id"`
	Name  string `json:"name"`
	State int32  `json:"state"`
}

// State returns the physical truth.
func (p *Printer) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := State{On: p.on, Paper: p.paper, Jammed: p.jammed, Busy: p.busy, Sheets: append([]Sheet{}, p.sheets...), UpSec: p.upSeconds()}
	for _, j := range p.jobs {
		s.Jobs = append(s.Jobs, JobIs{ID: j.id, Name: j.name, State: j.state})
	}
	return s
}

func (p *Printer) upSeconds() int { return int(p.cfg.Now().Sub(p.started).Seconds()) + 1 }

// handle is the device's own part of the control socket:
//
//	paper N · paper out · refill · jam · clear · busy on|off · power on|off
//	create on|off · drop next answer · drop create answer · state
//
// With create off the printer has Print-Job alone. The answer that drop loses is the next
// one to a document, or to a Create-Job; its job exists. Events are created,
// job, page, sheet (the last page), out-of-paper, completed, canceled, aborted, and
// sender-gone (at on-submit).
func (p *Printer) handle(_ context.Context, command string, args []string) (any, error) {
	defer p.wake()
	if command == "state" {
		return p.State(), nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	arg := ""
	if len(args) > 0 {
		arg = args[0]
	}
	switch command {
	case "paper":
		return p.setPaper(arg)
	case "refill":
		p.paper = p.cfg.Paper
		return p.paper, nil
	case "jam":
		p.jammed = true
	case "clear":
		p.jammed = false
	case "busy":
		if arg != "on" && arg != "off" {
			return nil, errors.New("busy wants on or off")
		}
		p.busy = arg == "on"
	case "drop":
		switch strings.Join(args, " ") {
		case "next answer":
			p.drop = true
		case "create answer":
			p.dropNew = true
		default:
			return nil, errors.New("drop wants the words next answer or create answer")
		}
	case "create":
		if arg != "on" && arg != "off" {
			return nil, errors.New("create wants on or off")
		}
		p.simple = arg == "off"
	case "power":
		return p.power(arg)
	default:
		return nil, fmt.Errorf("unknown command %q: paper N, paper out, refill, jam, clear, busy on|off, power on|off, create on|off, drop next|create answer, state, pause, wait, resume, events", command)
	}
	return "done", nil
}

func (p *Printer) setPaper(arg string) (any, error) {
	if arg == "out" {
		p.paper = 0
		return 0, nil
	}
	n, err := strconv.Atoi(arg)
	if err != nil || n < 0 || n > 5000 {
		return nil, errors.New("paper wants a number of sheets or the word out")
	}
	p.paper = n
	return n, nil
}

// power switches the printer. Off, it forgets its jobs and cuts its connections; the
// sheets that came out stay.
func (p *Printer) power(arg string) (any, error) {
	switch arg {
	case "off":
		p.on, p.jobs, p.nextID = false, nil, 1
		p.boots++
		for c := range p.conns {
			_ = c.Close()
		}
	case "on":
		if !p.on {
			p.on, p.started = true, p.cfg.Now()
		}
	default:
		return nil, errors.New("power wants on or off")
	}
	return arg, nil
}
