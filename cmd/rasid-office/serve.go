package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"rasid/hardware/paper/fonts"
	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/store"
	"rasid/node"
	view "rasid/node/office"
	"rasid/node/socket"
	"rasid/node/ui/console"
	"rasid/sync/peer"
	"rasid/sync/peer/ondisk"
)

// office is the serving program as a value.
type office struct {
	*ledgers
	s        *settings
	log      *slog.Logger
	host     *peer.Host
	hearing  *hearing
	view     *view.View
	page     *console.Page
	listener net.Listener
}

// serve runs the office until ctx ends. It says on out where the page is.
func serve(ctx context.Context, s *settings, out io.Writer) (err error) {
	o := &office{s: s, log: slog.New(slog.NewJSONHandler(os.Stderr, nil))}
	if o.listener, err = net.Listen("tcp", s.Listen); err != nil {
		return fmt.Errorf("couldn't listen for the page on %s: %w: is another office running? Name another address in listen", s.Listen, err)
	}
	if o.ledgers, err = openLedgers(s.Dir, o.log); err != nil {
		return errors.Join(err, o.listener.Close())
	}
	defer func() {
		if !errors.Is(err, node.ErrLeft) {
			err = errors.Join(err, o.close())
		}
	}()
	if err := o.make(ctx); err != nil {
		return errors.Join(err, o.listener.Close())
	}
	look := time.NewTicker(time.Second)
	defer look.Stop()
	err = node.Run(ctx,
		node.Actor{Name: "the bound of memory", Run: func(ctx context.Context) error { return node.BoundMemory(ctx, look.C) }},
		node.Actor{Name: "the ledger", Run: o.store.Run},
		node.Actor{Name: "sync", Run: o.host.Run},
		node.Actor{Name: "the view", Run: o.view.Run},
		node.Actor{Name: "the memory of who was heard", Run: o.hearing.run},
		node.Actor{Name: "the clerk", Run: o.clerk},
		node.Actor{Name: "the matching of bills", Run: o.matchBills},
		node.Actor{Name: "the command socket", Run: o.serveSocket},
		node.Actor{Name: "the page", Run: func(ctx context.Context) error { return o.servePage(ctx, out) }},
	)
	return withRemedy(err, s.Dir)
}

func (o *office) make(ctx context.Context) (err error) {
	ledgers := ondisk.Store{Store: o.store}
	o.host, err = peer.New(peer.Config{
		Machine: o.id.Machine, Chain: o.id.Chain, Fleet: o.id.Fleet, Store: ledgers, Objects: ledgers, Describe: ledgers.Describe,
		Listen: o.s.Sync, PeersMax: 20_000, Log: o.log,
	})
	if err != nil {
		return err
	}
	if err := o.host.Listen(ctx); err != nil {
		return err
	}
	o.hearing = newHearing(filepath.Join(o.s.Dir, "heard.json"), o.host, o.store, o.log)
	o.view = view.NewView(viewLedger{o.store}, o.hearing, book.NewKeeper(o.id.Fleet), o.log)
	o.page, err = console.New(console.Config{
		Fleet: o.id.Name, View: o.view, Now: time.Now, Log: o.log, Beat: 15 * time.Second, FrameAncestors: o.s.Frame,
		Fonts: map[string][]byte{"regular.ttf": fonts.Regular, "bold.ttf": fonts.Bold},
	})
	return err
}

// clerk announces machines at the start and acknowledges what has come, at most once
// in the configured time.
func (o *office) clerk(ctx context.Context) error {
	if err := o.announce(ctx); err != nil {
		return err
	}
	updates, cancel := o.store.Updates()
	defer cancel()
	said := map[ledger.LogID][]uint64{}
	pause := time.NewTicker(max(o.s.Acks.Duration, time.Second))
	defer pause.Stop()
	for {
		if err := o.acknowledge(ctx, said); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-updates:
		}
	}
}

func (o *office) servePage(ctx context.Context, out io.Writer) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{\"ready\":true}\n")) })
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.MustRegister(officeMetrics{snapshot: o.view.Snapshot, now: time.Now})
	objects := func(state, help string, f func(store.ObjectCounts) int) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "office_objects_" + state, Help: help}, func() float64 { return float64(f(o.store.ObjectCounts())) }))
	}
	objects("held", "Objects that entries name and that are here.", func(c store.ObjectCounts) int { return c.Held })
	objects("missing", "Objects that entries name and that have not come.", func(c store.ObjectCounts) int { return c.Missing })
	objects("erased", "Objects that the office erased.", func(c store.ObjectCounts) int { return c.Erased })
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "office_lost_entries", Help: "Entries of others' logs that were held here before the disk was damaged, and have not come again."}, func() float64 { return float64(o.store.LostEntries()) }))
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "office_starts_without_marks", Help: "Starts at which it was not known how far others' logs were held, so that what was lost then is not counted."}, func() float64 { return float64(o.store.MarksLost()) }))
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	mux.Handle("/", o.page)
	if _, err := fmt.Fprintf(out, "office http://%s/ sync %s\n", o.listener.Addr(), o.host.Addr()); err != nil {
		return fmt.Errorf("couldn't say where the page is: %w", err)
	}
	return socket.HTTP(ctx, o.listener, mux)
}

// viewLedger fits the store to what the view needs.
type viewLedger struct{ *store.Store }

func (v viewLedger) Logs() []view.LogInfo {
	var out []view.LogInfo
	for _, l := range v.Store.Logs() {
		for n, b := range v.Branches(l.ID) {
			out = append(out, view.LogInfo{ID: l.ID, Opened: b.Opened(), Size: b.End().Size, Branch: n, Departs: b.Departs()})
		}
	}
	return out
}

// Books are all branches of all logs: where a log has forked, both count until somebody
// decides.
func (v viewLedger) Books() []book.Log {
	var out []book.Log
	for _, l := range v.Store.Logs() {
		for _, b := range v.Store.Branches(l.ID) {
			end := b.End().Size
			out = append(out, book.LogOf(l.ID, b.Opened(), func(from uint64, f func(index uint64, entry []byte) error) error {
				return b.Range(from, max(from, end), f)
			}))
		}
	}
	return out
}

func (v viewLedger) Range(l view.LogInfo, from, to uint64, f func(index uint64, entry []byte) error) error {
	return v.Branches(l.ID)[l.Branch].Range(from, to, f)
}
