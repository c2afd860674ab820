package till

import (
	"slices"

	"rasid/hardware"
	"rasid/ledger/event"
)

func (m *Machine) acceptorFault(e hardware.AcceptorFault) Out {
	a := &m.acceptor
	if had := slices.Contains(a.faults, e.Fault); e.Fault == hardware.FaultNone || had != e.Cleared {
		return Out{}
	}
	if e.Cleared {
		a.faults = slices.DeleteFunc(a.faults, func(f hardware.Fault) bool { return f == e.Fault })
	} else {
		a.faults = append(a.faults, e.Fault)
	}
	a.fault = hardware.FaultNone
	if n := len(a.faults); n > 0 {
		a.fault = a.faults[n-1] // the newest is what somebody stands in front of
	}
	out := m.acceptorFaults()
	if e.Fault == hardware.FaultCashBoxRemoved && out.Draft == nil && slices.Contains(m.jams, e.Fault) == e.Cleared {
		a.boxMissed = true
	}
	return out
}

// acceptorFaults writes down what the log does not have yet, as printerFaults does. The
// cash box has a budget of its own, and its having been out meanwhile is written too:
// no other contact that flickers hides that.
func (m *Machine) acceptorFaults() Out {
	a := &m.acceptor
	var box, others []event.Body
	for _, f := range a.faults {
		switch {
		case slices.Contains(m.jams, f): // the log has it
		case f == hardware.FaultCashBoxRemoved:
			box = append(box, acceptorFault(f, false))
		default:
			others = append(others, acceptorFault(f, false))
		}
	}
	for _, f := range m.jams {
		switch {
		case !a.heard || slices.Contains(a.faults, f): // before it was ready none is over
		case f == hardware.FaultCashBoxRemoved:
			box = append(box, acceptorFault(f, true))
		default:
			others = append(others, acceptorFault(f, true))
		}
	}
	if out := slices.Contains(m.jams, hardware.FaultCashBoxRemoved); len(box) == 0 && a.boxMissed && (a.heard || !out) {
		box = []event.Body{acceptorFault(hardware.FaultCashBoxRemoved, out), acceptorFault(hardware.FaultCashBoxRemoved, !out)}
	}
	var bodies []event.Body
	if len(box) > 0 && m.budgets.box.take(m.now) {
		bodies, a.boxMissed = box, false
	}
	if len(others) > 0 && m.budgets.acceptor.take(m.now) {
		bodies = append(bodies, others...)
	}
	if len(bodies) == 0 {
		return Out{}
	}
	return Out{Draft: fixed(bodies...)}
}

func acceptorFault(f hardware.Fault, cleared bool) *event.DeviceFault {
	return &event.DeviceFault{Device: event.DeviceAcceptor, Fault: uint8(f), Cleared: cleared}
}

// stray writes a credit of no note down. What the budget does not allow becomes one
// orphan of unknown value: somebody counts the box then, and no sale begins before.
func (m *Machine) stray(orphan *event.NoteOrphaned) Out {
	if !m.budgets.strays.take(m.now) {
		orphan.Value = 0
		m.acceptor.unsaid = orphan
		return Out{}
	}
	return Out{Draft: fixed(orphan)}
}

// acceptorLater writes what the budgets did not allow before.
func (m *Machine) acceptorLater() Out {
	a := &m.acceptor
	if a.waiting != nil && !a.away && m.budgets.strays.left(m.now) {
		account := *a.waiting
		a.waiting = nil
		return m.acceptorReady(account)
	}
	out := m.acceptorFaults()
	if o := a.unsaid; o != nil && m.budgets.strays.take(m.now) {
		a.unsaid = nil
		out = then(out, Out{Draft: fixed(o)})
	}
	return out
}
