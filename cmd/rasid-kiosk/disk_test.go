package main

import (
	"testing"

	"rasid/node/till"
)

// The program ends to give room back only where it is short of it, enough was pruned
// and nobody has a sale: never more than once for what was pruned.
func TestGivesBack(t *testing.T) {
	for _, c := range []struct {
		low     bool
		dropped uint64
		step    till.Step
		ends    bool
	}{
		{true, restartBytes, till.StepLanguage, true},
		{false, restartBytes, till.StepLanguage, false},
		{true, restartBytes - 1, till.StepLanguage, false},
		{true, restartBytes, till.StepCash, false},
		{true, restartBytes, till.StepDone, false},
		{true, restartBytes, till.StepRecover, false},
	} {
		if err := givesBack(c.low, c.dropped, c.step); (err != nil) != c.ends {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
