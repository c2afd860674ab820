package main

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	view "rasid/node/office"
)

const metricsWanted = `# HELP office_cash_box_paise Money in all cash boxes, in paise.
# TYPE office_cash_box_paise gauge
office_cash_box_paise 180000
# HELP office_kiosk_cash_box_paise Money in the kiosk's cash box, in paise.
# TYPE office_kiosk_cash_box_paise gauge
office_kiosk_cash_box_paise{slot="7"} 180000
office_kiosk_cash_box_paise{slot="8"} 0
# HELP office_kiosk_connected 1 when the kiosk itself is connected.
# TYPE office_kiosk_connected gauge
office_kiosk_connected{slot="7"} 0
office_kiosk_connected{slot="8"} 1
# HELP office_kiosk_faulty 1 when the kiosk has a device fault that is not over.
# TYPE office_kiosk_faulty gauge
office_kiosk_faulty{slot="7"} 1
office_kiosk_faulty{slot="8"} 0
# HELP office_kiosk_heard_age_seconds Time since the kiosk's log last grew here.
# TYPE office_kiosk_heard_age_seconds gauge
office_kiosk_heard_age_seconds{slot="7"} 3600
# HELP office_kiosks Kiosks known.
# TYPE office_kiosks gauge
office_kiosks 2
# HELP office_kiosks_unlisted Kiosks beyond those that the metrics by slot name.
# TYPE office_kiosks_unlisted gauge
office_kiosks_unlisted 0
# HELP office_payments_paise_total Money tendered in payments and credit slips held, in paise.
# TYPE office_payments_paise_total counter
office_payments_paise_total 180000
# HELP office_payments_total Payments and credit slips held.
# TYPE office_payments_total counter
office_payments_total 4
# HELP office_questions_by_reason Open questions of one reason.
# TYPE office_questions_by_reason gauge
office_questions_by_reason{reason="slip-open"} 1
# HELP office_questions_open Open questions.
# TYPE office_questions_open gauge
office_questions_open 1
# HELP office_questions_paise Money at stake in the open questions of one reason, in paise.
# TYPE office_questions_paise gauge
office_questions_paise{reason="slip-open"} 50000
`

func TestMetricsOfTheOffice(t *testing.T) {
	now := time.Unix(1_795_600_000, 0)
	s := view.Snapshot{Count: 4, Total: 1800_00, InBoxes: 1800_00, Questions: 1, Asked: []view.Asked{{Reason: "slip-open", Count: 1, Amount: 500_00}}, Kiosks: []view.Kiosk{
		{Slot: 7, InBox: 1800_00, EverHeard: true, Heard: view.Heard{At: now.Add(-time.Hour)}, Fault: "printer-jam"}, {Slot: 8, Connected: true},
	}}
	o := officeMetrics{snapshot: func() view.Snapshot { return s }, now: func() time.Time { return now }}
	problems, err := testutil.CollectAndLint(o)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	if err := testutil.CollectAndCompare(o, strings.NewReader(metricsWanted)); err != nil {
		t.Error(err)
	}
	s.Kiosks = make([]view.Kiosk, kiosksShownMax+3)
	for i := range s.Kiosks {
		s.Kiosks[i].Slot = uint32(i)
	}
	if n := testutil.CollectAndCount(o, "office_kiosk_cash_box_paise"); n != kiosksShownMax {
		t.Errorf("%d kiosks are named, the limit is %d", n, kiosksShownMax)
	}
}
