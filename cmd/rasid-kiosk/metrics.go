package main

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rasid/hardware"
	"rasid/ledger"
	"rasid/node/till"
	ui "rasid/node/ui/kiosk"
)

// measured is what one scrape reads, at one time.
type measured struct {
	now      time.Time
	folded   bool // the till has read its log: figures and view say something
	figures  till.Figures
	view     till.View
	standing ui.Standing
	ready    bool
	entries  uint64
	peers    int
	duesAsOf time.Time // zero without any
}

func (k *kiosk) measure() measured {
	m := measured{now: time.Now(), standing: k.standing(), ready: len(k.reasons()) == 0, entries: k.writer.Size(), peers: len(k.host.Status().Peers)}
	view, version, _ := k.till.View()
	m.view, m.folded, m.figures = view, version > 0, k.till.Figures()
	m.duesAsOf, _ = k.catalogue.AsOf()
	return m
}

// The metrics of a kiosk. Labels take values of the fixed lists below, so that no scrape
// can grow, and none says anything of a citizen. What is not known is left out.
var (
	payments      = describe("kiosk_payments_total", "Payments and credit slips in the kiosk's own log.", "kind")
	paymentsPaise = describe("kiosk_payments_paise_total", "Money tendered in payments and credit slips, in paise.", "kind")
	boxNotes      = describe("kiosk_cash_box_notes", "Notes that went into the cash box, by their value in rupees; unknown for those whose value nobody knows.", "denomination")
	boxPaise      = describe("kiosk_cash_box_paise", "Money of known value that went into the cash box, in paise.")
	saleStep      = describe("kiosk_sale_step", "1 for the step that the sale is at.", "step")
	printerFault  = describe("kiosk_printer_fault", "1 for each fault that the printer has now.", "fault")
	printerDown   = describe("kiosk_printer_offline", "1 when the printer prints nothing now, or was not heard of yet.")
	ready         = describe("kiosk_ready", "1 when a sale can begin.")
	logEntries    = describe("kiosk_log_entries", "Entries in the kiosk's own log.")
	unsentEntries = describe("kiosk_unsent_entries", "Entries that the office is not known to hold.")
	peers         = describe("kiosk_peers", "Machines connected now.")
	lastSync      = describe("kiosk_last_sync_timestamp_seconds", "When the office was last heard of.")
	contactAge    = describe("kiosk_office_contact_age_seconds", "Time since the office was last heard of.")
	duesAge       = describe("kiosk_dues_age_seconds", "Age of the oldest dues in use.")

	denominations = []ledger.Paise{10_00, 20_00, 50_00, 100_00, 200_00, 500_00}
	steps         = []string{"language", "service", "identify", "dues", "cash", "choice", "finishing", "done", "recover"} // as till.Step counts
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// kioskMetrics collects them. It may be scraped concurrently.
type kioskMetrics struct{ measure func() measured }

// Describe names every metric that Collect may give.
func (kioskMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{payments, paymentsPaise, boxNotes, boxPaise, saleStep, printerFault, printerDown, ready, logEntries, unsentEntries, peers, lastSync, contactAge, duesAge} {
		out <- d
	}
}

// Collect gives the values of one moment.
func (k kioskMetrics) Collect(out chan<- prometheus.Metric) {
	m := k.measure()
	if m.folded {
		m.till(out)
	}
	m.contact(out)
}

// till gives what the till knows from its log and its devices.
func (m measured) till(out chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge := gauges(out)
	counter(payments, float64(m.figures.Payments), "payment")
	counter(payments, float64(m.figures.Slips), "slip")
	counter(paymentsPaise, float64(m.figures.PaymentsPaid), "payment")
	counter(paymentsPaise, float64(m.figures.SlipsPaid), "slip")
	m.box(gauge)
	for i, name := range steps {
		gauge(saleStep, one(till.Step(i) == m.view.Step), name)
	}
	for _, f := range hardware.AllPrinterFaults() {
		gauge(printerFault, one(m.view.Printer.Faults.Has(f)), f.String())
	}
	gauge(printerDown, one(m.view.Printer.Offline))
}

// contact gives the log's size and how the kiosk stands to the others.
func (m measured) contact(out chan<- prometheus.Metric) {
	gauge := gauges(out)
	gauge(ready, one(m.ready))
	gauge(logEntries, float64(m.entries))
	gauge(unsentEntries, float64(m.standing.Unsent))
	gauge(peers, float64(m.peers))
	if h := m.standing.Heard; !h.IsZero() {
		gauge(lastSync, float64(h.Unix()))
		gauge(contactAge, max(0, m.now.Sub(h).Seconds()))
	}
	if !m.duesAsOf.IsZero() {
		gauge(duesAge, max(0, m.now.Sub(m.duesAsOf).Seconds()))
	}
}

// gauges returns what gives a gauge.
func gauges(out chan<- prometheus.Metric) func(d *prometheus.Desc, v float64, labels ...string) {
	return func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
}

// box gives the notes by denomination; a value that no kiosk takes counts as other.
func (m measured) box(gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	left, total := uint64(0), ledger.Paise(0)
	for value, n := range m.figures.Box {
		left += n
		total += value * ledger.Paise(n)
	}
	for _, value := range denominations {
		n := m.figures.Box[value]
		left -= n
		gauge(boxNotes, float64(n), strconv.FormatInt(int64(value/100), 10))
	}
	unknown := m.figures.Box[0]
	gauge(boxNotes, float64(unknown), "unknown")
	gauge(boxNotes, float64(left-unknown), "other")
	gauge(boxPaise, float64(total))
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
