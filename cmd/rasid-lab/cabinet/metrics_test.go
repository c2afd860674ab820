package cabinet

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// scrape reads the metrics of an address. They must parse and keep to Prometheus' own
// conventions, and nothing of the citizen is in them.
func (c *citizen) scrape(address string) (figure func(name string) float64) {
	c.t.Helper()
	text := c.get(address)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		c.t.Errorf("%s: %v, %v", address, problems, err)
	}
	for _, personal := range []string{DemoNumber, DemoNumber[:6]} {
		if strings.Contains(text, personal) {
			c.t.Errorf("%s holds %q", address, personal)
		}
	}
	return func(name string) float64 {
		c.t.Helper()
		found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(text)
		if found == nil {
			c.t.Errorf("%s has no %s:\n%s", address, name, text)
			return -1
		}
		v, err := strconv.ParseFloat(found[1], 64)
		if err != nil {
			c.t.Error(err)
		}
		return v
	}
}

// The metrics of kiosk and office say what a real sale did: what the citizen paid, what
// lies in the acceptor's box, and over a restart too. A printer's fault shows while it
// lasts, at the kiosk and at the office.
func TestMetricsOfASale(t *testing.T) {
	c := start(t, 1)
	k := c.Kiosks()[0]
	p := at(t, k)
	p.untilOpen()
	p.pay()
	p.until(hindi("kiosk.print.printed"))
	officeShows(t, c, "₹1,300.00")
	sale := func() {
		t.Helper()
		figure := p.scrape(p.base + "/metrics")
		truth := k.Acceptor.Truth()
		for name, want := range map[string]float64{
			`kiosk_payments_total{kind="payment"}`: 1, `kiosk_payments_total{kind="slip"}`: 0, `kiosk_payments_paise_total{kind="payment"}`: 1300_00,
			`kiosk_cash_box_notes{denomination="100"}`: 1, `kiosk_cash_box_notes{denomination="200"}`: 1, `kiosk_cash_box_notes{denomination="500"}`: 2,
			`kiosk_cash_box_notes{denomination="other"}`: 0, `kiosk_cash_box_paise`: float64(truth.BoxPaise()),
		} {
			if got := figure(name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
	}
	sale()
	if figure := p.scrape(p.base + "/metrics"); figure(`kiosk_sale_step{step="done"}`) != 1 || figure("kiosk_office_contact_age_seconds") > 60 || figure("kiosk_log_entries") < 10 {
		t.Error("the sale's step, the office's age or the log's size is wrong")
	}
	figure := p.scrape(c.OfficeURL() + "metrics")
	for name, want := range map[string]float64{"office_payments_total": 1, "office_payments_paise_total": 1300_00, "office_cash_box_paise": 1300_00, "office_kiosks": 1, `office_kiosk_cash_box_paise{slot="2"}`: 1300_00} {
		if got := figure(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if age := figure(`office_kiosk_heard_age_seconds{slot="2"}`); age < 0 || age > 60 {
		t.Errorf("the kiosk was heard of %v seconds ago", age)
	}
	k.printer(t, "jam")
	becomes := func(jammed float64) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
			if p.scrape(p.base+"/metrics")(`kiosk_printer_fault{fault="jam"}`) == jammed && p.scrape(c.OfficeURL()+"metrics")(`office_kiosk_faulty{slot="2"}`) == jammed {
				return
			}
		}
		t.Errorf("the jam does not become %v at kiosk and office", jammed)
	}
	becomes(1)
	k.printer(t, "clear")
	becomes(0)
	k.Process.Kill()
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.open()
	p.untilOpen()
	sale()
}
