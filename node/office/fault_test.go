package office

import (
	"testing"

	"rasid/ledger"
	"rasid/ledger/event"
)

// The page names what is out of order at a kiosk, acceptor and printer apart, until it
// is over.
func TestOpenFaultsAreNamed(t *testing.T) {
	v := NewView(nil, silent{}, nil, nil)
	m := v.machine(7)
	for _, c := range []struct {
		say  event.DeviceFault
		want string
	}{
		{event.DeviceFault{Device: event.DevicePrinter, Fault: 1}, "printer-paper-out"},
		{event.DeviceFault{Device: event.DevicePrinter, Fault: 1}, "printer-paper-out"},
		{event.DeviceFault{Device: event.DeviceAcceptor, Fault: 1}, "jam-safe, printer-paper-out"},
		{event.DeviceFault{Device: event.DevicePrinter, Fault: 200}, "jam-safe, printer-paper-out, printer-unknown-fault"},
		{event.DeviceFault{Device: event.DevicePrinter, Fault: 201}, "jam-safe, printer-paper-out, printer-unknown-fault"},
		{event.DeviceFault{Device: event.DevicePrinter, Fault: 1, Cleared: true}, "jam-safe, printer-unknown-fault"},
		{event.DeviceFault{Device: event.DeviceAcceptor, Fault: 1, Cleared: true}, "printer-unknown-fault"},
		{event.DeviceFault{Device: event.DevicePrinter, Fault: 200, Cleared: true}, "printer-unknown-fault"},
		{event.DeviceFault{Device: event.DevicePrinter, Fault: 201, Cleared: true}, ""},
	} {
		m.fault(&c.say)
		if got := v.kiosk(7, m).Fault; got != c.want {
			t.Errorf("after %+v: %q, want %q", c.say, got, c.want)
		}
	}
}

// silent is a network on which nothing was heard.
type silent struct{}

func (silent) LastHeard(ledger.LogID) (Heard, bool) { return Heard{}, false }
func (silent) Connected(uint32) bool                { return false }
