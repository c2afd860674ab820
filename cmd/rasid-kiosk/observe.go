package main

import (
	"math"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"rasid/ledger/cert"
	"rasid/ledger/store"
	ui "rasid/node/ui/kiosk"
)

// standing is what every screen says of the kiosk's contact with the office.
func (k *kiosk) standing() ui.Standing {
	if k.front.get() == nil {
		return ui.Standing{Dues: true} // the ledger is not open: nobody knows
	}
	held, heard := k.feed.acknowledged()
	s := ui.Standing{Heard: heard}
	for _, p := range k.host.Status().Peers {
		if p.Role != cert.RoleOffice {
			continue
		}
		s.Online = true
		if p.LastHeard.After(s.Heard) {
			s.Heard = p.LastHeard
		}
	}
	for _, h := range k.host.Holders(k.writer.ID()) {
		if h.Role == cert.RoleOffice {
			held = max(held, h.Size)
		}
	}
	if size := k.writer.Size(); size > held {
		s.Unsent = size - held
	}
	_, s.Dues = k.catalogue.AsOf()
	return s
}

// observe serves health and metrics, without personal data and without the cookie.
func (k *kiosk) observe(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", healthy)
	mux.HandleFunc("GET /readyz", k.ready)
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.MustRegister(kioskMetrics{k.measure})
	objects := func(state, help string, f func(store.ObjectCounts) int) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kiosk_objects_" + state, Help: help}, func() float64 { return float64(f(k.store.ObjectCounts())) }))
	}
	objects("held", "Objects that entries name and that are here.", func(c store.ObjectCounts) int { return c.Held })
	objects("missing", "Objects that entries name and that have not come.", func(c store.ObjectCounts) int { return c.Missing })
	objects("erased", "Objects that the office erased.", func(c store.ObjectCounts) int { return c.Erased })
	r.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kiosk_indexes_begun_anew", Help: "Damaged indexes that this start moved aside: the one of own logs is made again, what was in the one of others' logs is counted as lost until it has come again."}, func() float64 { return float64(k.store.BegunAnew()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kiosk_lost_entries", Help: "Entries of others' logs that were held here before the disk was damaged, and have not come again."}, func() float64 { return float64(k.store.LostEntries()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kiosk_starts_without_marks", Help: "Starts at which it was not known how far others' logs were held, so that what was lost then is not counted."}, func() float64 { return float64(k.store.MarksLost()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kiosk_disk_free_bytes", Help: "Bytes free for the ledger, less what the reserve lacks, NaN when that cannot be told."}, func() float64 {
			room, err := k.store.Room()
			if err != nil {
				return math.NaN()
			}
			return float64(room.Free)
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kiosk_disk_reserve_bytes", Help: "Bytes of the disk that the reserve takes; less than the setting when the disk is or was full."}, func() float64 {
			room, err := k.store.Room()
			if err != nil {
				return math.NaN()
			}
			return float64(room.Reserve)
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "kiosk_sync_gaps_total", Help: "Times that a neighbour had dropped what is lacking here of a log."}, func() float64 {
			return float64(k.host.Status().Counters.Gaps)
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kiosk_disk_low", Help: "1 when too little is free to take money."}, func() float64 { return one(k.low.Load()) }))
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
}

// reasons are the keys of why no sale can begin.
func (k *kiosk) reasons() []string {
	reasons := []string{}
	v, version, _ := k.till.View()
	switch {
	case version == 0: // the till has not read its log yet, nor heard of any device
		reasons = append(reasons, "kiosk.out.acceptor")
	case v.Closed.Key != "":
		reasons = append(reasons, v.Closed.Key)
	}
	if _, ok := k.catalogue.AsOf(); !ok {
		reasons = append(reasons, "kiosk.out.no_dues")
	}
	return reasons
}

func (k *kiosk) ready(w http.ResponseWriter, _ *http.Request) {
	answerReady(w, k.reasons())
}
