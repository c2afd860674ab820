package main

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	view "rasid/node/office"
)

// kiosksShownMax bounds the kiosks that metrics name one by one; sums count all.
const kiosksShownMax = 5000

// The metrics of the office. The label slot is a kiosk's number in the fleet, reason is
// why the books ask (package book), and none
// says anything of a citizen. A kiosk that was never heard of has no age.
var (
	kiosks        = describe("office_kiosks", "Kiosks known.")
	kiosksLeftOut = describe("office_kiosks_unlisted", "Kiosks beyond those that the metrics by slot name.")
	payments      = describe("office_payments_total", "Payments and credit slips held.")
	paymentsPaise = describe("office_payments_paise_total", "Money tendered in payments and credit slips held, in paise.")
	boxesPaise    = describe("office_cash_box_paise", "Money in all cash boxes, in paise.")
	questions     = describe("office_questions_open", "Open questions.")
	asked         = describe("office_questions_by_reason", "Open questions of one reason.", "reason")
	atStake       = describe("office_questions_paise", "Money at stake in the open questions of one reason, in paise.", "reason")
	heardAge      = describe("office_kiosk_heard_age_seconds", "Time since the kiosk's log last grew here.", "slot")
	boxPaise      = describe("office_kiosk_cash_box_paise", "Money in the kiosk's cash box, in paise.", "slot")
	connected     = describe("office_kiosk_connected", "1 when the kiosk itself is connected.", "slot")
	faulty        = describe("office_kiosk_faulty", "1 when the kiosk has a device fault that is not over.", "slot")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// officeMetrics collects them. It may be scraped concurrently.
type officeMetrics struct {
	snapshot func() view.Snapshot
	now      func() time.Time
}

// Describe names every metric that Collect may give.
func (officeMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{kiosks, kiosksLeftOut, payments, paymentsPaise, boxesPaise, questions, asked, atStake, heardAge, boxPaise, connected, faulty} {
		out <- d
	}
}

// Collect gives the values of one moment.
func (o officeMetrics) Collect(out chan<- prometheus.Metric) {
	s, now := o.snapshot(), o.now()
	counter := func(d *prometheus.Desc, v float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter(payments, float64(s.Count))
	counter(paymentsPaise, float64(s.Total))
	gauge(kiosks, float64(len(s.Kiosks)))
	gauge(boxesPaise, float64(s.InBoxes))
	gauge(questions, float64(s.Questions))
	for _, a := range s.Asked {
		gauge(asked, float64(a.Count), string(a.Reason))
		gauge(atStake, float64(a.Amount), string(a.Reason))
	}
	shown := s.Kiosks[:min(len(s.Kiosks), kiosksShownMax)]
	gauge(kiosksLeftOut, float64(len(s.Kiosks)-len(shown)))
	for _, k := range shown {
		slot := strconv.FormatUint(uint64(k.Slot), 10)
		gauge(boxPaise, float64(k.InBox), slot)
		gauge(connected, one(k.Connected), slot)
		gauge(faulty, one(k.Fault != ""), slot)
		if k.EverHeard {
			gauge(heardAge, max(0, now.Sub(k.Heard.At).Seconds()), slot)
		}
	}
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
