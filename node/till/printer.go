package till

import (
	"slices"

	"rasid/hardware"
	"rasid/ledger/event"
)

// printerFaults writes down what the log does not have yet: a fault that began, one
// that is over. It compares with the log, so a restart repeats nothing and forgets
// nothing; what the budget does not allow now is compared again at a later tick.
func (m *Machine) printerFaults() Out {
	if !m.heard || m.printer.Faults == m.faulty || !m.budgets.printer.take(m.now) {
		return Out{}
	}
	var bodies []event.Body
	for _, f := range hardware.AllPrinterFaults() {
		if is := m.printer.Faults.Has(f); is != m.faulty.Has(f) {
			bodies = append(bodies, &event.DeviceFault{Device: event.DevicePrinter, Fault: uint8(f), Cleared: !is})
		}
	}
	return Out{Draft: fixed(bodies...)}
}

// applyFault folds what the log says of the devices. Printer faults that this version
// does not know are left to one that does.
func (d *durable) applyFault(b *event.DeviceFault) {
	if b.Device == event.DeviceAcceptor {
		d.jams = slices.DeleteFunc(d.jams, func(f hardware.Fault) bool { return f == hardware.Fault(b.Fault) })
		if !b.Cleared {
			d.jams = append(d.jams, hardware.Fault(b.Fault))
		}
		return
	}
	switch f := hardware.PrinterFault(b.Fault); {
	case b.Cleared:
		d.faulty = d.faulty.Without(f)
	default:
		d.faulty = d.faulty.With(f)
	}
}
