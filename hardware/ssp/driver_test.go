package ssp_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"rasid/hardware"
	sim "rasid/hardware/sim/ssp"
	"rasid/hardware/ssp"
)

func TestAcceptReturnAndDisable(t *testing.T) {
	inBubble(t, sim.Config{}, func(w *world) {
		ready := w.begin()
		if ready.Identity.Serial != 1873452 || ready.Identity.Protocol != 8 || len(ready.Reports) != 0 {
			t.Errorf("ready: %+v", ready)
		}
		want := []hardware.NoteType{}
		for i, paise := range []int64{1000, 2000, 5000, 10000, 20000, 50000} {
			want = append(want, hardware.NoteType{Channel: uint8(i + 1), ValuePaise: paise, Currency: "INR"})
		}
		if !reflect.DeepEqual(ready.Identity.Notes, want) {
			t.Errorf("notes: %+v", ready.Identity.Notes)
		}
		w.insert(500)
		w.must(w.Stack())
		if c := next[hardware.NoteCredited](w); c.Channel != 6 || c.ValuePaise != 50000 || c.PowerUp {
			t.Errorf("credited: %+v", c)
		}
		next[hardware.NoteStacked](w)

		w.insert(20)
		w.must(w.Return())
		if r := next[hardware.NoteReturned](w); !r.FromEscrow || r.RejectCode != 0x08 {
			t.Errorf("returned: %+v", r)
		}
		w.must(w.Disable())
		next[hardware.AcceptorDisabled](w)
		w.wantBox(500)
		w.wantReturned(20)
		if _, err := w.device.Do(w.ctx, "insert 10"); err == nil {
			t.Error("a disabled acceptor took a note")
		}
	})
}

func TestCommandsThatMakeNoSense(t *testing.T) {
	inBubble(t, sim.Config{}, func(w *world) {
		w.Driver = ssp.New(ssp.Config{Open: w.cable.open})
		for name, err := range map[string]error{
			"Enable": w.Enable([]uint8{1}), "Disable": w.Disable(), "Stack": w.Stack(), "Return": w.Return(),
		} {
			if !errors.Is(err, ssp.ErrNotNow) {
				t.Errorf("%s before the start: %v", name, err)
			}
		}
		w.begin()
		for name, err := range map[string]error{"no channel": w.Enable(nil), "channel 7": w.Enable([]uint8{7}), "channel 0": w.Enable([]uint8{0})} {
			if err == nil {
				t.Errorf("Enable with %s was taken", name)
			}
		}
		if !errors.Is(w.Stack(), ssp.ErrNotNow) {
			t.Error("Stack with no note was taken")
		}
		w.insert(10)
		w.must(w.Return())
		if !errors.Is(w.Stack(), ssp.ErrNotNow) {
			t.Error("Stack after Return was taken")
		}
	})
}

func TestOnlyEnabledChannels(t *testing.T) {
	inBubble(t, sim.Config{}, func(w *world) {
		w.begin()
		w.enable(1, 2)
		w.do("insert 500")
		if r := next[hardware.NoteReturned](w); r.FromEscrow || r.RejectCode != 0x06 {
			t.Errorf("returned: %+v", r)
		}
		w.enable(6)
		w.insert(500)
		w.must(w.Stack())
		next[hardware.NoteCredited](w)
		next[hardware.NoteStacked](w)
		w.do("insert unreadable")
		if r := next[hardware.NoteReturned](w); r.RejectCode != 0x02 {
			t.Errorf("returned: %+v", r)
		}
		w.wantBox(500)
		w.wantReturned(500, 0)
	})
}

// H.11: the caller thinks for a minute, before and after it takes the event.
func TestNoteIsHeldWhileTheCallerThinks(t *testing.T) {
	inBubble(t, sim.Config{}, func(w *world) {
		w.begin()
		w.do("insert 100")
		<-time.After(time.Minute) // virtual: the event is not taken for a minute
		next[hardware.NoteEscrowed](w)
		<-time.After(time.Minute)
		synctest.Wait()
		w.wantBox()
		w.wantReturned()
		w.must(w.Stack())
		next[hardware.NoteCredited](w)
		next[hardware.NoteStacked](w)
		w.wantBox(100)
	})
}

func TestEscrowTimeoutOfTheDevice(t *testing.T) {
	inBubble(t, sim.Config{EscrowTimeout: 3 * time.Second}, func(w *world) { // below the driver's HOLD interval
		w.begin()
		w.insert(100)
		if r := next[hardware.NoteReturned](w); !r.FromEscrow || r.RejectCode != 0x13 {
			t.Errorf("returned: %+v", r)
		}
		if !errors.Is(w.Stack(), ssp.ErrNotNow) {
			t.Error("Stack of a note that went was taken")
		}
		w.wantBox()
	})
}

// H.21: Disable while a note moves waits for its end.
func TestDisableIsDeferred(t *testing.T) {
	inBubble(t, sim.Config{}, func(w *world) {
		w.begin()
		w.insert(200)
		w.must(w.Stack())
		w.must(w.Disable())
		from := len(w.commands())
		next[hardware.NoteCredited](w)
		next[hardware.NoteStacked](w)
		if sent := w.commands()[from:]; bytes.IndexByte(sent, ssp.CmdDisable) >= 0 {
			t.Errorf("DISABLE was sent while the note moved: % X", sent)
		}
		next[hardware.AcceptorDisabled](w)

		w.enable(5)
		w.do("insert 200") // enters, then Disable comes
		w.must(w.Disable())
		next[hardware.NoteEscrowed](w)
		w.must(w.Return())
		next[hardware.NoteReturned](w)
		next[hardware.AcceptorDisabled](w)
		w.wantBox(200)
	})
}

func TestLostAndDamagedReplies(t *testing.T) {
	for _, disturbance := range []string{"drop", "corrupt", "tear"} {
		t.Run(disturbance, func(t *testing.T) {
			inBubble(t, sim.Config{}, func(w *world) {
				w.begin()
				for range 3 {
					w.do("%s next reply", disturbance)
				}
				for range 20 { // the disturbance falls on another reply each time
					w.do("%s next reply", disturbance)
					w.insert(100)
					w.do("%s next reply", disturbance)
					w.must(w.Stack())
					w.do("%s next reply", disturbance)
					next[hardware.NoteCredited](w)
					w.do("%s next reply", disturbance)
					next[hardware.NoteStacked](w)
				}
				if got := w.device.Truth(); got.Box[100] != 20 || got.Stacked != 20 {
					t.Errorf("truth: %+v", got)
				}
			})
		})
	}
}

func TestOfflineAndBack(t *testing.T) {
	inBubble(t, sim.Config{}, func(w *world) {
		w.begin()
		began := time.Now()
		w.do("power off")
		off := next[hardware.AcceptorOffline](w)
		if d := time.Since(began); d < 20*time.Second || d > 21*time.Second {
			t.Errorf("offline after %v, want 20 sendings of 1 s: %v", d, off.Err)
		}
		if !errors.Is(w.Enable([]uint8{1}), ssp.ErrNotNow) {
			t.Error("Enable of an acceptor that is gone was taken")
		}
		<-time.After(time.Hour) // virtual
		w.do("power on")
		next[hardware.AcceptorReady](w)
	})
}

func TestUnplugAndPlug(t *testing.T) {
	inBubble(t, sim.Config{}, func(w *world) {
		w.begin()
		note := w.insert(500)
		w.do("unplug")
		next[hardware.AcceptorOffline](w)
		<-time.After(30 * time.Second) // the device returns the note by itself
		w.do("plug")
		ready := next[hardware.AcceptorReady](w)
		w.wantBox()
		w.wantReturned(500)
		if ready.Counters.Stacked != note.Counters.Stacked || ready.Counters.Rejected != note.Counters.Rejected+1 {
			t.Errorf("counters %+v after %+v", ready.Counters, note.Counters)
		}
		if len(ready.Reports) != 1 || !ready.Reports[0].(hardware.NoteReturned).FromEscrow {
			t.Errorf("reports: %+v", ready.Reports)
		}
	})
}

// H.1: a host that died with a note in escrow; the next one must not accept it.
func TestRestartRejectsBeforeItPolls(t *testing.T) {
	for _, after := range []time.Duration{0, 3 * time.Second, 15 * time.Second} {
		inBubble(t, sim.Config{}, func(w *world) {
			w.begin()
			note := w.insert(500)
			w.killHost()
			<-time.After(after)
			w.startHost()
			ready := next[hardware.AcceptorReady](w)
			w.wantBox()
			w.wantReturned(500)
			if ready.Counters.Stacked != note.Counters.Stacked || ready.Counters.Rejected != note.Counters.Rejected+1 {
				t.Errorf("after %v: counters %+v, were %+v", after, ready.Counters, note.Counters)
			}
		})
	}
}

func TestPowerCutWithANoteOnItsWay(t *testing.T) {
	for _, c := range []struct {
		name     string
		act      func(w *world)
		on       string
		stacked  bool
		returned bool
		config   sim.Config
	}{
		{name: "in escrow", act: func(*world) {}, on: "power on", returned: true},
		{name: "moving in, goes in", act: moveIn, on: "power on in", stacked: true},
		{name: "moving in, goes in, channel unknown", act: moveIn, on: "power on in", stacked: true, config: sim.Config{PowerUpNoChannel: true}},
		{name: "moving in, comes back", act: moveIn, on: "power on out", returned: true},
		{name: "moving back", act: func(w *world) { w.must(w.Return()); w.await("rejecting") }, on: "power on", returned: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, c.config, func(w *world) {
				w.begin()
				note := w.insert(500)
				c.act(w)
				w.do("power off")
				next[hardware.AcceptorOffline](w)
				w.do("%s", c.on)
				ready := next[hardware.AcceptorReady](w)
				if len(ready.Reports) != 1 {
					t.Fatalf("reports: %+v", ready.Reports)
				}
				stacked := ready.Counters.Stacked - note.Counters.Stacked
				switch r := ready.Reports[0].(type) {
				case hardware.NoteCredited:
					if !c.stacked || !r.PowerUp || stacked != 1 || (r.ValuePaise == 0) != c.config.PowerUpNoChannel {
						t.Errorf("report %+v, counters +%d", r, stacked)
					}
					w.wantBox(500)
				case hardware.NoteReturned:
					if !c.returned || !r.FromEscrow || stacked != 0 {
						t.Errorf("report %+v, counters +%d", r, stacked)
					}
					w.wantReturned(500)
				}
			})
		})
	}
}

func moveIn(w *world) {
	w.must(w.Stack())
	w.await("accepting")
}

// A reset that the host notices in a poll: power fails for less than a second.
func TestShortPowerCut(t *testing.T) {
	inBubble(t, sim.Config{}, func(w *world) {
		w.begin()
		w.insert(50)
		moveIn(w)
		w.do("power off")
		w.do("power on in")
		ready := next[hardware.AcceptorReady](w)
		// The device forgot the protocol version with its power, so it could not say
		// E2: the counters alone are the evidence.
		if len(ready.Reports) != 0 || ready.Counters.Stacked != 1 {
			t.Errorf("ready: %+v", ready)
		}
		w.wantBox(50)
		w.enable(1)
	})
}

func TestJamInTheStacker(t *testing.T) {
	for jam, fault := range map[string]hardware.Fault{"safe": hardware.FaultJamSafe, "unsafe": hardware.FaultJamUnsafe} {
		inBubble(t, sim.Config{}, func(w *world) {
			w.begin()
			w.insert(500)
			moveIn(w)
			w.do("jam %s", jam)
			if f := next[hardware.AcceptorFault](w); f.Fault != fault || f.Cleared {
				t.Errorf("fault: %+v", f)
			}
			<-time.After(time.Minute)
			w.wantBox()
			w.do("jam clear")
			w.collect(hardware.AcceptorFault{Fault: fault, Cleared: true}, hardware.NoteStacked{})
			w.wantBox(500)
		})
	}
}

// A jam that a restarted host meets: it is told, and Ready waits for its end.
func TestStartWaitsForAJam(t *testing.T) {
	inBubble(t, sim.Config{}, func(w *world) {
		w.begin()
		w.insert(500)
		moveIn(w)
		w.do("jam safe")
		w.killHost()
		w.startHost()
		next[hardware.AcceptorFault](w)
		<-time.After(time.Minute)
		w.do("jam clear")
		if f := next[hardware.AcceptorFault](w); !f.Cleared {
			t.Errorf("fault: %+v", f)
		}
		ready := next[hardware.AcceptorReady](w)
		if len(ready.Reports) != 1 || ready.Counters.Stacked != 1 {
			t.Errorf("ready: %+v", ready)
		}
		w.wantBox(500)
	})
}

func TestBoxRemovedFullAndCheat(t *testing.T) {
	inBubble(t, sim.Config{}, func(w *world) {
		w.begin()
		w.insert(500)
		moveIn(w)
		w.do("box remove")
		if f := next[hardware.AcceptorFault](w); f.Fault != hardware.FaultCashBoxRemoved {
			t.Errorf("fault: %+v", f)
		}
		<-time.After(time.Minute)
		w.do("box insert")
		w.collect(hardware.AcceptorFault{Fault: hardware.FaultCashBoxRemoved, Cleared: true}, hardware.NoteStacked{})
		w.do("cheat")
		if f := next[hardware.AcceptorFault](w); f.Fault != hardware.FaultFraud {
			t.Errorf("fault: %+v", f)
		}
		next[hardware.AcceptorFault](w)
		w.wantBox2(map[int]int{500: 0})

		w.insert(100)
		w.do("full")
		w.must(w.Stack())
		if f := next[hardware.AcceptorFault](w); f.Fault != hardware.FaultStackerFull {
			t.Errorf("fault: %+v", f)
		}
		if r := next[hardware.NoteReturned](w); r.RejectCode != 0x1D || !r.FromEscrow {
			t.Errorf("returned: %+v", r)
		}
	})
}

func TestCountersWrap(t *testing.T) {
	config := sim.Config{}
	config.Counters.Stacked = 0xFFFFFFFF
	inBubble(t, config, func(w *world) {
		w.begin()
		note := w.insert(10)
		moveIn(w)
		w.await("stacked")
		w.killHost()
		w.startHost()
		ready := next[hardware.AcceptorReady](w)
		if note.Counters.Stacked != 0xFFFFFFFF || ready.Counters.Stacked != 0 {
			t.Errorf("counters %+v then %+v", note.Counters, ready.Counters)
		}
	})
}

// H.14: a serial number and counters full of the byte that begins a frame.
func TestStuffedBytes(t *testing.T) {
	config := sim.Config{Serial: 0x7F7F007F}
	config.Counters.Stacked, config.Counters.Rejected = 0x7F7F7F7F, 0x007F
	inBubble(t, config, func(w *world) {
		ready := w.begin()
		if ready.Identity.Serial != 0x7F7F007F || ready.Counters != (hardware.NoteCounters{Stacked: 0x7F7F7F7F, Rejected: 0x7F}) {
			t.Errorf("ready: %+v", ready)
		}
	})
}

// The order of the start sequence, read off the line.
func TestStartSequence(t *testing.T) {
	inBubble(t, sim.Config{}, func(w *world) {
		w.startHost()
		next[hardware.AcceptorReady](w)
		w.killHost()
		from := len(w.commands()) // the first start saw the reset of the power-up
		w.startHost()
		next[hardware.AcceptorReady](w)
		sent := w.commands()[from:]
		want := []byte{
			ssp.CmdSync, ssp.CmdHostProtocol, ssp.CmdHostProtocol, ssp.CmdHostProtocol, ssp.CmdSerial, ssp.CmdSetup,
			ssp.CmdReject, ssp.CmdDisable, ssp.CmdPoll, ssp.CmdGetCounters,
		}
		if !bytes.HasPrefix(sent, want) {
			t.Errorf("the start sequence is % X, want % X", sent, want)
		}
	})
}

// The accepting poll follows a HOLD directly: the note decided upon is still there.
func TestStackIsHoldThenPoll(t *testing.T) {
	inBubble(t, sim.Config{}, func(w *world) {
		w.begin()
		w.insert(500)
		synctest.Wait()
		from := len(w.commands())
		w.must(w.Stack())
		next[hardware.NoteCredited](w)
		if sent := w.commands()[from:]; !bytes.HasPrefix(sent, []byte{ssp.CmdHold, ssp.CmdPoll}) {
			t.Errorf("sent after Stack: % X", sent)
		}
	})
}
