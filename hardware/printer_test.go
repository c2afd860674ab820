package hardware

import "testing"

func TestPrinterFaults(t *testing.T) {
	words := map[string]bool{}
	for _, f := range AllPrinterFaults() {
		s := PrinterFaults(0).With(f)
		if !s.Has(f) || s.Without(f) != 0 || s.With(f) != s {
			t.Errorf("%s: the set %b", f, s)
		}
		for _, other := range AllPrinterFaults() {
			if other != f && s.Has(other) {
				t.Errorf("%s passes for %s", f, other)
			}
		}
		words[f.String()] = true
	}
	if len(words) != 6 || words["unknown-fault"] || PrinterFault(7).String() != "unknown-fault" {
		t.Errorf("keywords %v", words)
	}
	if s := PrinterFaults(0).With(0, 7, 255); s != 0 || s.Has(0) || s.Has(7) || s.Has(255) {
		t.Errorf("numbers that are none make the set %b", s)
	}
}
