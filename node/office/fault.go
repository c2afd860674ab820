package office

import "rasid/hardware"

// faultWord is the keyword of a device fault as the log numbers it.
func faultWord(n uint8) string { return hardware.Fault(n).String() }
