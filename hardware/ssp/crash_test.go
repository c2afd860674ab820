package ssp_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"rasid/hardware"
	sim "rasid/hardware/sim/ssp"
)

// The host dies at each pause point; the next host's AcceptorReady must tell
// what is physically true.
var crashes = []struct {
	point    string
	act      func(w *world)
	inBox    bool
	returned bool
}{
	{point: sim.BeforeCounters, act: func(w *world) { w.do("insert 500") }, returned: true},
	{point: sim.BeforeAccept, act: stackOne, inBox: true},
	{point: sim.AfterAccept, act: stackOne, inBox: true},
	{point: sim.AfterCredit, act: func(w *world) { stackOne(w); next[hardware.NoteCredited](w) }, inBox: true},
	{point: sim.OnDisable, act: func(w *world) { w.must(w.Disable()) }},
}

func stackOne(w *world) {
	w.insert(500)
	w.must(w.Stack())
}

// crash kills the host at a point and returns what the next one is told.
func crash(w *world, point string, act func(w *world)) hardware.AcceptorReady {
	w.t.Helper()
	w.begin()
	w.do("pause %s", point)
	act(w)
	w.do("wait %s", point)
	w.killHost()
	w.do("resume")
	w.startHost()
	ready := next[hardware.AcceptorReady](w)
	truth := w.device.Truth()
	if ready.Counters.Stacked != truth.Stacked || ready.Counters.Rejected != truth.Rejected {
		w.t.Errorf("counters %+v, in truth %+v", ready.Counters, truth)
	}
	for _, r := range ready.Reports {
		if _, credited := r.(hardware.NoteCredited); credited && truth.Box[500] != 1 {
			w.t.Errorf("%+v is reported of a note that is not in the box", r)
		}
	}
	return ready
}

func TestHostKilledAtEachPausePoint(t *testing.T) {
	for _, c := range crashes {
		t.Run(c.point, func(t *testing.T) {
			inBubble(t, sim.Config{}, func(w *world) {
				ready := crash(w, c.point, c.act)
				if c.inBox {
					w.wantBox(500)
				} else {
					w.wantBox()
				}
				if c.returned {
					w.wantReturned(500)
				} else {
					w.wantReturned()
				}
				if (ready.Counters.Stacked == 1) != c.inBox {
					t.Errorf("counters: %+v", ready.Counters)
				}
			})
		})
	}
}

// Host and device lose power together, at each pause point.
func TestBothLosePowerAtEachPausePoint(t *testing.T) {
	for _, c := range crashes {
		for _, on := range []string{"in", "out"} {
			t.Run(c.point+" "+on, func(t *testing.T) {
				inBubble(t, sim.Config{}, func(w *world) {
					w.begin()
					w.do("pause %s", c.point)
					c.act(w)
					w.do("wait %s", c.point)
					w.do("power off")
					w.killHost()
					w.do("resume")
					w.do("power on %s", on)
					w.startHost()
					ready := next[hardware.AcceptorReady](w)
					truth := w.device.Truth()
					if int(ready.Counters.Stacked) != truth.Box[500] || int(ready.Counters.Rejected) != truth.Returned[500] {
						t.Errorf("counters %+v, in truth %+v", ready.Counters, truth)
					}
				})
			})
		}
	}
}

// clerk keeps books the way the till does: a record at escrow, an intent before
// Stack, the outcome from the driver's reports and counters.
type clerk struct {
	w       *world
	rand    *rand.Rand
	paise   int64 // credited
	suspect int64 // neither credited nor returned could be known
	open    *hardware.NoteEscrowed
	intent  bool
	ready   bool
	log     []string
}

func (c *clerk) note(format string, args ...any) { c.log = append(c.log, fmt.Sprintf(format, args...)) }

func (c *clerk) take(e hardware.AcceptorEvent) {
	c.note("%T%+v", e, e)
	switch e := e.(type) {
	case hardware.AcceptorReady:
		c.resolve(e)
		c.ready = true
		_ = c.w.Enable([]uint8{1, 2, 3, 4, 5, 6})
	case hardware.AcceptorOffline:
		c.ready = false
	case hardware.NoteEscrowed:
		c.open, c.intent = &e, false
	case hardware.NoteCredited:
		c.credit(e)
	case hardware.NoteReturned:
		if e.FromEscrow {
			c.open = nil
		}
	}
}

func (c *clerk) credit(e hardware.NoteCredited) {
	if c.open == nil || !c.intent {
		c.w.t.Errorf("credited without an intent: %+v", e)
		return
	}
	c.paise += c.open.ValuePaise
	c.open = nil
}

// resolve applies the rule for an open record after a start.
func (c *clerk) resolve(r hardware.AcceptorReady) {
	if c.open == nil {
		return
	}
	stacked := r.Counters.Stacked - c.open.Counters.Stacked
	for _, report := range r.Reports {
		if e, ok := report.(hardware.NoteCredited); ok && c.open != nil {
			c.credit(e)
			return
		}
	}
	switch {
	case stacked == 1:
		c.credit(hardware.NoteCredited{})
	case stacked == 0 && r.Counters.Rejected != c.open.Counters.Rejected:
	case c.intent:
		c.suspect += c.open.ValuePaise
	}
	c.open = nil
}

func (c *clerk) decide() {
	if c.open == nil || c.intent {
		return
	}
	if c.rand.IntN(4) == 0 {
		_ = c.w.Return()
		return
	}
	c.intent = true
	if c.w.Stack() != nil {
		c.intent = false // the device took the decision back; its report follows
	}
}

// live takes events for d.
func (c *clerk) live(d time.Duration) {
	end := time.After(d)
	for {
		select {
		case e := <-c.w.Events():
			c.take(e)
		case <-end:
			return
		}
	}
}

func (c *clerk) step() {
	do := func(line string) {
		_, err := c.w.device.Do(c.w.ctx, line)
		c.note("%s: %v", line, err)
	}
	switch n := c.rand.IntN(40); {
	case n < 12:
		do(fmt.Sprintf("insert %d", []int{10, 20, 50, 100, 200, 500}[c.rand.IntN(6)]))
	case n < 22:
		c.decide()
	case n < 25:
		do([]string{"drop", "corrupt", "tear"}[c.rand.IntN(3)] + " next reply")
	case n < 27:
		do("power off")
	case n < 30:
		do([]string{"power on in", "power on out"}[c.rand.IntN(2)])
	case n == 30:
		do("unplug")
	case n < 33:
		do("plug")
	case n == 33:
		do("jam safe")
	case n < 36:
		do("jam clear")
	case n == 36:
		c.note("kill")
		c.w.killHost()
		c.live0(time.Duration(c.rand.IntN(20)) * time.Second)
		c.w.startHost()
		c.ready = false
	}
}

// live0 lets time pass without a host.
func (c *clerk) live0(d time.Duration) { <-time.After(d) }

// The books and the box agree after any sequence of disturbances.
func TestRandomDisturbances(t *testing.T) {
	const seeds = 300
	var taken, suspect int64
	for seed := range uint64(seeds) {
		inBubble(t, sim.Config{PowerUpNoChannel: seed%3 == 0}, func(w *world) {
			c := &clerk{w: w, rand: rand.New(rand.NewPCG(seed, 1))}
			w.startHost()
			for range 150 {
				c.step()
				c.live(time.Duration(c.rand.IntN(700)) * time.Millisecond)
			}
			for _, line := range []string{"plug", "power on", "jam clear"} {
				_, _ = w.device.Do(w.ctx, line)
			}
			c.live(time.Minute)
			for range 3 { // a note may still wait for its decision
				if c.open != nil && !c.intent {
					_ = w.Return()
				}
				c.live(time.Minute)
			}
			synctest.Wait()
			truth := w.device.Truth()
			box := truth.BoxPaise()
			taken, suspect = taken+box, suspect+c.suspect
			if !c.ready || c.open != nil || c.paise > box || c.paise+c.suspect < box || c.suspect == 0 && c.paise != box {
				for _, line := range c.log {
					t.Log(line)
				}
				t.Fatalf("seed %d: credited %d, in doubt %d, in the box %d paise; ready %v, open %+v", seed, c.paise, c.suspect, box, c.ready, c.open)
			}
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if taken == 0 {
		t.Error("no note was ever taken")
	}
	t.Logf("%d seeds: %d paise in boxes, %d in doubt", seeds, taken, suspect)
}
