package main

import (
	"encoding/json"
	"net/http"
	"time"

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
	gauge := func(name, help string, f func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	gauge("kiosk_log_entries", "Entries in the kiosk's own log.", func() float64 { return float64(k.writer.Size()) })
	gauge("kiosk_unsent_entries", "Entries that the office is not known to hold.", func() float64 { return float64(k.standing().Unsent) })
	gauge("kiosk_last_sync_timestamp_seconds", "When the office was last heard of, 0 for never.", func() float64 {
		if h := k.standing().Heard; !h.IsZero() {
			return float64(h.Unix())
		}
		return 0
	})
	gauge("kiosk_peers", "Machines connected now.", func() float64 { return float64(len(k.host.Status().Peers)) })
	gauge("kiosk_dues_age_seconds", "Age of the oldest dues in use, -1 without any.", func() float64 {
		at, ok := k.catalogue.AsOf()
		if !ok {
			return -1
		}
		return time.Since(at).Seconds()
	})
	gauge("kiosk_disk_free_bytes", "Bytes free for the ledger, -1 when that cannot be told.", func() float64 {
		room, err := k.store.Room()
		if err != nil {
			return -1
		}
		return float64(room.Free)
	})
	gauge("kiosk_disk_low", "1 when too little is free to take money.", func() float64 {
		if k.low.Load() {
			return 1
		}
		return 0
	})
	gauge("kiosk_ready", "1 when a sale can begin.", func() float64 {
		if len(k.reasons()) == 0 {
			return 1
		}
		return 0
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
}

// reasons are the keys of why no sale can begin.
func (k *kiosk) reasons() []string {
	reasons := []string{}
	v, _, _ := k.till.View()
	if v.Closed.Key != "" {
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
