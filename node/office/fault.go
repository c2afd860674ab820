package office

import (
	"slices"
	"strings"

	"rasid/hardware"
	"rasid/ledger/event"
)

// fault notes that a fault began, or that it is over.
func (m *machine) fault(b *event.DeviceFault) {
	which := event.DeviceFault{Device: b.Device, Fault: b.Fault}
	if b.Cleared {
		delete(m.faults, which)
		return
	}
	m.faults[which] = true
}

// faultWord is the keyword of a device fault as the log numbers it.
func faultWord(f event.DeviceFault) string {
	if f.Device == event.DevicePrinter {
		return "printer-" + hardware.PrinterFault(f.Fault).String()
	}
	return hardware.Fault(f.Fault).String()
}

// faultWords are the keywords of all open faults, in order, none twice.
func faultWords(open map[event.DeviceFault]bool) string {
	var words []string
	for f := range open {
		words = append(words, faultWord(f))
	}
	slices.Sort(words)
	return strings.Join(slices.Compact(words), ", ")
}
