package till

import (
	"reflect"
	"testing"
	"time"

	"rasid/hardware"
	"rasid/ledger"
	"rasid/ledger/event"
)

// faultsWritten lists the printer's faults that the log has, in order; a negative
// number is the end of one.
func (b *bench) faultsWritten() []int {
	b.t.Helper()
	var out []int
	for _, raw := range b.log {
		e, err := ledger.DecodeEntry(raw)
		if err != nil {
			b.t.Fatal(err)
		}
		body, err := event.Decode(e)
		if err != nil {
			b.t.Fatal(err)
		}
		if f, ok := body.(*event.DeviceFault); ok && f.Device == event.DevicePrinter {
			n := int(f.Fault)
			if f.Cleared {
				n = -n
			}
			out = append(out, n)
		}
	}
	return out
}

func with(faults ...hardware.PrinterFault) PrinterNow {
	return PrinterNow{Faults: hardware.PrinterFaults(0).With(faults...)}
}

// A fault of the printer and its end are entries, each once, over restarts too.
func TestPrinterFaultsAreWrittenOnce(t *testing.T) {
	b := newBench(t)
	b.step(with(hardware.PrinterPaperOut))
	b.step(with(hardware.PrinterPaperOut))
	b.step(with(hardware.PrinterPaperOut, hardware.PrinterDoorOpen))
	b.restart()
	b.step(Tick{}) // nothing is known of the printer yet, so nothing is over
	b.step(with(hardware.PrinterDoorOpen))
	b.restart()
	b.step(with(hardware.PrinterDoorOpen))
	b.step(with(hardware.PrinterTonerOut, hardware.PrinterUnreachable))
	b.step(with())
	if got, want := b.faultsWritten(), []int{1, 3, -1, -3, 4, 5, -4, -5}; !reflect.DeepEqual(got, want) {
		t.Errorf("written %d, want %d", got, want)
	}
}

// A contact that flickers writes a few changes and then one in a while, and what it is
// at last is written down.
func TestFlickeringPrinterFillsNoLog(t *testing.T) {
	b := newBench(t)
	flicker := func(times int) {
		for i := range times {
			b.now = b.now.Add(time.Second)
			b.step([]PrinterNow{with(hardware.PrinterJam), with()}[i%2])
		}
	}
	flicker(500)
	if n := len(b.faultsWritten()); n != faultsAtOnce {
		t.Errorf("%d changes written in 500 seconds, want %d", n, faultsAtOnce)
	}
	flicker(24 * 3600)
	if n, most := len(b.faultsWritten()), faultsAtOnce+24*6+1; n > most {
		t.Errorf("%d changes written in a day, want at most %d", n, most)
	}
	b.step(with(hardware.PrinterJam)) // and there it stays
	for range 2 {
		b.now = b.now.Add(faultEvery)
		b.step(Tick{})
	}
	if got := b.faultsWritten(); got[len(got)-1] != int(hardware.PrinterJam) {
		t.Errorf("the log says at last %d, the printer is jammed", got[len(got)-1])
	}
	b.now = b.now.Add(24 * time.Hour)
	before := len(b.faultsWritten())
	flicker(100)
	if n := len(b.faultsWritten()) - before; n != faultsAtOnce {
		t.Errorf("%d changes written after a quiet day, want %d", n, faultsAtOnce)
	}
}

// Faults that a later version writes, and those of the acceptor, are not the printer's.
func TestFaultOfALaterVersion(t *testing.T) {
	b := newBench(t)
	b.take(Out{Draft: fixed(&event.DeviceFault{Device: event.DevicePrinter, Fault: 7}, &event.DeviceFault{Device: event.DevicePrinter, Fault: 255},
		&event.DeviceFault{Device: event.DeviceAcceptor, Fault: 2})})
	b.step(with())
	if got := b.faultsWritten(); !reflect.DeepEqual(got, []int{7, 255}) {
		t.Errorf("written %d", got)
	}
}
