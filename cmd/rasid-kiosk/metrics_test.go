package main

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"rasid/hardware"
	"rasid/ledger"
	"rasid/node/till"
	ui "rasid/node/ui/kiosk"
)

// figuresWanted is what the test below must read.
const figuresWanted = `# HELP kiosk_cash_box_notes Notes that went into the cash box, by their value in rupees; unknown for those whose value nobody knows.
# TYPE kiosk_cash_box_notes gauge
kiosk_cash_box_notes{denomination="10"} 0
kiosk_cash_box_notes{denomination="100"} 3
kiosk_cash_box_notes{denomination="20"} 0
kiosk_cash_box_notes{denomination="200"} 0
kiosk_cash_box_notes{denomination="50"} 0
kiosk_cash_box_notes{denomination="500"} 3
kiosk_cash_box_notes{denomination="other"} 1
kiosk_cash_box_notes{denomination="unknown"} 2
# HELP kiosk_cash_box_paise Money of known value that went into the cash box, in paise.
# TYPE kiosk_cash_box_paise gauge
kiosk_cash_box_paise 180700
# HELP kiosk_office_contact_age_seconds Time since the office was last heard of.
# TYPE kiosk_office_contact_age_seconds gauge
kiosk_office_contact_age_seconds 90
# HELP kiosk_payments_paise_total Money tendered in payments and credit slips, in paise.
# TYPE kiosk_payments_paise_total counter
kiosk_payments_paise_total{kind="payment"} 130000
kiosk_payments_paise_total{kind="slip"} 50000
# HELP kiosk_payments_total Payments and credit slips in the kiosk's own log.
# TYPE kiosk_payments_total counter
kiosk_payments_total{kind="payment"} 3
kiosk_payments_total{kind="slip"} 1
# HELP kiosk_printer_fault 1 for each fault that the printer has now.
# TYPE kiosk_printer_fault gauge
kiosk_printer_fault{fault="door-open"} 0
kiosk_printer_fault{fault="failure"} 0
kiosk_printer_fault{fault="jam"} 1
kiosk_printer_fault{fault="paper-out"} 0
kiosk_printer_fault{fault="toner-out"} 0
kiosk_printer_fault{fault="unreachable"} 0
# HELP kiosk_sale_step 1 for the step that the sale is at.
# TYPE kiosk_sale_step gauge
kiosk_sale_step{step="cash"} 1
kiosk_sale_step{step="choice"} 0
kiosk_sale_step{step="done"} 0
kiosk_sale_step{step="dues"} 0
kiosk_sale_step{step="finishing"} 0
kiosk_sale_step{step="identify"} 0
kiosk_sale_step{step="language"} 0
kiosk_sale_step{step="recover"} 0
kiosk_sale_step{step="service"} 0
`

func TestMetricsOfAKiosk(t *testing.T) {
	now := time.Unix(1_795_600_000, 0)
	m := measured{
		now: now, folded: true,
		figures:  till.Figures{Payments: 3, PaymentsPaid: 1300_00, Slips: 1, SlipsPaid: 500_00, Box: map[ledger.Paise]uint64{0: 2, 100_00: 3, 500_00: 3, 7_00: 1}},
		view:     till.View{Step: till.StepCash, Printer: till.PrinterNow{Faults: hardware.PrinterFaults(0).With(hardware.PrinterJam)}},
		standing: ui.Standing{Heard: now.Add(-90 * time.Second), Unsent: 4},
		entries:  12, peers: 2,
	}
	k := kioskMetrics{func() measured { return m }}
	problems, err := testutil.CollectAndLint(k)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	names := []string{"kiosk_cash_box_notes", "kiosk_cash_box_paise", "kiosk_office_contact_age_seconds", "kiosk_payments_paise_total", "kiosk_payments_total", "kiosk_printer_fault", "kiosk_sale_step"}
	if err := testutil.CollectAndCompare(k, strings.NewReader(figuresWanted), names...); err != nil {
		t.Error(err)
	}
	// What nobody knows has no figure.
	m.standing.Heard = time.Time{}
	if n := testutil.CollectAndCount(k, "kiosk_office_contact_age_seconds", "kiosk_last_sync_timestamp_seconds", "kiosk_dues_age_seconds"); n != 0 {
		t.Errorf("%d figures of what is not known", n)
	}
	m.folded = false // nor do sums before the log is read
	if n := testutil.CollectAndCount(k, "kiosk_payments_total", "kiosk_cash_box_notes", "kiosk_printer_offline"); n != 0 {
		t.Errorf("%d figures before the log is read", n)
	}
	if len(steps) != int(till.StepRecover)+1 {
		t.Errorf("%d words for %d steps", len(steps), till.StepRecover+1)
	}
}
