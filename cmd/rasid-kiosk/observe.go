package main

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"rasid/ledger/cert"
	ui "rasid/node/ui/kiosk"
)

// standing is what every screen says of the kiosk's contact with the office.
func (k *kiosk) standing() ui.Standing {
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
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", k.ready)
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.MustRegister(kioskMetrics{k.measure})
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
	reasons := k.reasons()
	w.Header().Set("Content-Type", "application/json")
	if len(reasons) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"ready": len(reasons) == 0, "reasons": reasons}) // the asker went away
}
