package till

import (
	"testing"

	"rasid/hardware"
	"rasid/ledger"
	"rasid/ledger/event"
)

// A blob that could not be named with the first money is named at the end of the sale.
func TestBlobIsNamedAtTheEndAtLatest(t *testing.T) {
	b := newBench(t)
	b.open(benchBill(700_00))
	b.feed(5, 0)
	b.m.sale.named = false
	b.step(Cancel{})
	b.step(hardware.AcceptorDisabled{})
	b.step(TakeSlip{})
	b.step(hardware.AcceptorDisabled{})
	b.at(StepDone)
	named := 0
	for _, raw := range b.log {
		if e, err := ledger.DecodeEntry(raw); err == nil && e.Kind == event.KindBlobSealed {
			named++
		}
	}
	if named != 2 {
		t.Errorf("the blob is named %d times, want with the first note and at the end", named)
	}
}

// A bill that was paid under its key of another valid pepper is paid.
func TestPaidUnderAnotherPepper(t *testing.T) {
	b := newBench(t)
	bill := benchBill(500_00)
	b.look(bill)
	b.step(ConfirmBill{})
	b.feed(6, 0)
	b.step(hardware.AcceptorDisabled{})
	b.at(StepDone)
	b.step(PaperPrinted{Subject: b.m.last[0], Copy: 1})
	b.step(Finish{})
	renewed := benchBill(700_00) // and something was added to it
	renewed.Bill, renewed.Same = event.BillKey{9}, []event.BillKey{{8}, bill.Bill}
	if v := b.look(renewed); v.Bill.Due != 200_00 || v.Problem.Key != "kiosk.dues.part_here" {
		t.Errorf("%d left, %q", v.Bill.Due, v.Problem.Key)
	}
	b.step(Back{})
	renewed.Due = 500_00
	if v := b.look(renewed); v.Bill.Due != 0 || v.Problem.Key != "kiosk.dues.paid_here" {
		t.Errorf("%d left, %q", v.Bill.Due, v.Problem.Key)
	}
	b.step(ConfirmBill{})
	b.at(StepDues)
}
