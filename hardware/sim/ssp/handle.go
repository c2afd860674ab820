package ssp

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"rasid/hardware/ssp"
)

// usage lists the device's own commands.
const usage = `insert RUPEES|unreadable, jam safe|unsafe|clear, cheat, power off, power on [in|out], box remove, box insert [empty], full [clear], drop|corrupt|tear next reply, delay MS, unplug, plug, counters, state`

var errHasPower = errors.New("refused: the acceptor has power")

// State is the answer to "state".
type State struct {
	Truth
	BoxPaise int64    `json:"box_paise"`
	Escrow   int      `json:"escrow_rupees"` // 0: none
	Position string   `json:"position"`
	Powered  bool     `json:"powered"`
	Plugged  bool     `json:"plugged"`
	Enabled  bool     `json:"enabled"`
	Channels []int    `json:"channels"`
	Faults   []string `json:"faults"`
}

// Counters is the answer to "counters".
type Counters struct {
	Stacked  uint32 `json:"stacked"`
	Rejected uint32 `json:"rejected"`
}

// handle executes one command of the control socket.
func (d *Device) handle(_ context.Context, command string, args []string) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.kick()
	line := strings.Join(append([]string{command}, args...), " ")
	switch {
	case command == "insert" && len(args) == 1:
		return d.insert(args[0])
	case command == "delay" && len(args) == 1:
		ms, err := strconv.Atoi(args[0])
		if err != nil || ms < 0 || ms > 60_000 {
			return nil, fmt.Errorf("delay wants milliseconds, 0 to 60000, not %q", args[0])
		}
		d.delay = time.Duration(ms) * time.Millisecond
		return "delayed", nil
	case command == "power" || command == "jam" || command == "cheat":
		return d.disturb(line)
	case command == "box" || command == "full":
		return d.box(line)
	}
	switch line {
	case "drop next reply":
		d.drop++
	case "corrupt next reply":
		d.corrupt++
	case "tear next reply":
		d.tear++
	case "unplug":
		d.plugWanted = false
	case "plug":
		d.plugWanted = true
	case "counters":
		return Counters{d.machine.truth.Stacked, d.machine.truth.Rejected}, nil
	case "state":
		return d.state(), nil
	default:
		return nil, fmt.Errorf("%q is no command; known are: %s, and pause, wait, resume, events", line, usage)
	}
	return "done", nil
}

func (d *Device) insert(what string) (any, error) {
	rupees, err := strconv.Atoi(what)
	if what == "unreadable" {
		rupees, err = 0, nil
	} else if err == nil && channelOf(rupees) == 0 {
		err = strconv.ErrRange
	}
	if err != nil {
		return nil, fmt.Errorf("refused: couldn't insert %q: want one of %v, or unreadable", what, denominations)
	}
	if err := d.machine.insert(d.nowLocked(), rupees); err != nil {
		return nil, err
	}
	return "inserted", nil
}

func (d *Device) disturb(line string) (any, error) {
	m := d.machine
	switch line {
	case "power off":
		m.powerOff()
	case "power on", "power on in", "power on out":
		if m.powered {
			return nil, errHasPower
		}
		m.boot(line != "power on out")
	case "jam safe", "jam unsafe":
		m.jam = ssp.EvSafeJam
		if line == "jam unsafe" {
			m.jam = ssp.EvUnsafeJam
		}
		m.publish("jammed", nil)
	case "jam clear":
		m.jam = 0
		m.publish("cleared", nil)
	case "cheat":
		if err := m.cheat(); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%q is no command; known are: %s", line, usage)
	}
	return "done", nil
}

func (d *Device) box(line string) (any, error) {
	m := d.machine
	switch line {
	case "box remove":
		m.truth.BoxOut = true
		m.tell(ssp.EvCashBoxRemoved)
		m.happened("box-removed", 0)
	case "box insert", "box insert empty":
		m.truth.BoxOut = false
		if line == "box insert empty" {
			m.truth.Box, m.truth.Full = map[int]int{}, false
		}
		m.tell(ssp.EvCashBoxReplaced)
		m.happened("box-inserted", 0)
	case "full", "full clear":
		m.truth.Full = line == "full"
		if m.truth.Full {
			m.tell(ssp.EvStackerFull)
		}
		m.happened("full", 0)
	default:
		return nil, fmt.Errorf("%q is no command; known are: %s", line, usage)
	}
	return d.state(), nil
}

func (d *Device) state() State {
	m := d.machine
	s := State{
		Truth: m.truth, BoxPaise: m.truth.BoxPaise(), Position: m.truth.Path.String(), Powered: m.powered,
		Plugged: d.wire != nil, Enabled: m.enabled, Channels: m.channels(), Faults: []string{},
	}
	s.Box, s.Returned = copyCounts(m.truth.Box), copyCounts(m.truth.Returned)
	if m.truth.Path == pathEscrow {
		s.Escrow = m.truth.PathRupees
	}
	for _, fault := range []struct {
		name string
		on   bool
	}{
		{"jam-safe", m.jam == ssp.EvSafeJam}, {"jam-unsafe", m.jam == ssp.EvUnsafeJam},
		{"cash-box-removed", m.truth.BoxOut}, {"stacker-full", m.truth.Full}, {"no-power", !m.powered},
	} {
		if fault.on {
			s.Faults = append(s.Faults, fault.name)
		}
	}
	return s
}

// replug makes the line as "plug" and "unplug" last ordered.
func (d *Device) replug(ctx context.Context, parts *sync.WaitGroup) error {
	d.mu.Lock()
	wanted, is := d.plugWanted, d.wire != nil
	d.mu.Unlock()
	switch {
	case is && !wanted:
		d.unplug()
	case !is && wanted:
		return d.plug(ctx, parts)
	}
	return nil
}
