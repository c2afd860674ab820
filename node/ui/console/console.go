// Package console serves the office's page: what the books ask, payments, what is in
// each kiosk's box, when and by which way the office last heard of it. The page is live: the server
// says when something changed and the page fetches itself anew.
package console

import (
	"embed"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"sort"
	"strconv"
	"time"

	"rasid/ledger"
	"rasid/node/lang"
	"rasid/node/office"
)

//go:embed assets
var assets embed.FS

// View is what the page shows.
type View interface {
	Snapshot() office.Snapshot
	Changed() (version uint64, changed <-chan struct{})
}

// Config is what the page needs. All fields are needed except FrameAncestors.
type Config struct {
	Fleet string // how people call the fleet
	View  View
	Now   func() time.Time
	Log   *slog.Logger
	Fonts map[string][]byte
	// FrameAncestors are the origins that may show the page in a frame.
	FrameAncestors string
	// Beat makes the page's ages move although nothing changed.
	Beat time.Duration
}

// Page is an http.Handler.
type Page struct {
	cfg   Config
	pages *template.Template
	mux   *http.ServeMux
}

// New parses the page. An error names a text that is missing.
func New(cfg Config) (*Page, error) {
	pages, err := template.New("pages").Funcs(lang.Funcs()).ParseFS(assets, "assets/*.html")
	if err != nil {
		return nil, fmt.Errorf("couldn't parse the office page: %w", err)
	}
	if _, err := lang.CheckTemplate(pages); err != nil {
		return nil, fmt.Errorf("the office page uses texts that do not fit: %w", err)
	}
	p := &Page{cfg: cfg, pages: pages, mux: http.NewServeMux()}
	p.mux.HandleFunc("GET /{$}", p.page)
	p.mux.HandleFunc("GET /live", p.live)
	p.mux.HandleFunc("GET /assets/{name}", p.asset)
	return p, nil
}

// ServeHTTP serves the page, its assets and its live stream.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	ancestors := "'none'"
	if p.cfg.FrameAncestors != "" {
		ancestors = p.cfg.FrameAncestors
	}
	h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors "+ancestors)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	p.mux.ServeHTTP(w, r)
}

type model struct {
	L, Other lang.Lang
	Fleet    string
	Version  uint64
	Now      string
	Total    string
	Count    string
	InBoxes  string
	Asks     string
	HasAsks  bool

	Asked     []askedRow
	Questions []questionRow
	More      string // how many questions are not listed, if any
	Kiosks    []kioskRow
	Payments  []paymentRow
}

type kioskRow struct {
	Name, Place, InBox, Entries, Heard, Way, Fault, Forked, State string
	Notes                                                         []noteBar
	Questions                                                     int
}

type noteBar struct {
	Label string
	Count int
}

type paymentRow struct {
	Time, Kiosk, Number, Biller, Amount, ToNext string
	Slip                                        bool
}

func (p *Page) page(w http.ResponseWriter, r *http.Request) {
	l := lang.Hindi
	if r.URL.Query().Get("lang") == string(lang.English) {
		l = lang.English
	}
	version, _ := p.cfg.View.Changed()
	m := p.model(l, p.cfg.View.Snapshot())
	m.Version = version
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err := p.pages.ExecuteTemplate(w, "office.html", m); err != nil {
		p.cfg.Log.Warn("couldn't send the office page", "error", err)
	}
}

func (p *Page) model(l lang.Lang, s office.Snapshot) model {
	now := p.cfg.Now()
	m := model{
		L: l, Other: l.Other(), Fleet: p.cfg.Fleet, Now: lang.DateTime(l, now), Total: lang.INR(int64(s.Total)), InBoxes: lang.INR(int64(s.InBoxes)),
		Count: lang.T(l, "office.payments.count", "n", s.Count), Asks: strconv.Itoa(s.Questions), HasAsks: s.Questions > 0,
	}
	m.questions(l, s)
	names := map[uint32]string{}
	for _, k := range s.Kiosks {
		names[k.Slot] = kioskName(k.Name, k.Slot)
	}
	for _, k := range s.Kiosks {
		m.Kiosks = append(m.Kiosks, p.kiosk(l, now, k, names))
	}
	for _, x := range s.Payments {
		row := paymentRow{Time: lang.DateTime(l, x.At), Kiosk: kioskName(x.Kiosk, x.Slot), Number: x.Number, Biller: x.Biller, Amount: lang.INR(int64(x.Tendered)), Slip: x.Slip}
		if !x.Certain {
			row.Time += " · " + lang.T(l, "receipt.time_uncertain")
		}
		if x.Surplus > 0 && !x.Slip {
			row.ToNext = lang.INR(int64(x.Surplus))
		}
		m.Payments = append(m.Payments, row)
	}
	return m
}

func kioskName(name string, slot uint32) string {
	if name == "" {
		return fmt.Sprintf("K%d", slot)
	}
	return name
}

func (p *Page) kiosk(l lang.Lang, now time.Time, k office.Kiosk, names map[uint32]string) kioskRow {
	row := kioskRow{
		Name: kioskName(k.Name, k.Slot), Place: k.Place, InBox: lang.INR(int64(k.InBox)), Entries: strconv.FormatUint(k.Entries, 10),
		Fault: k.Fault, Questions: k.Questions, Heard: lang.T(l, "office.unknown"), Way: lang.T(l, "office.unknown"), State: "unknown",
	}
	if k.Entries == 0 {
		row.Heard, row.Way = lang.T(l, "office.kiosks.never"), "—"
	}
	if k.EverHeard {
		row.Heard, row.State = lang.Ago(l, now.Sub(k.Heard.At)), "heard"
		row.Way = lang.T(l, "office.kiosks.way_direct")
		if k.Heard.Via != k.Slot {
			row.Way = lang.T(l, "office.kiosks.way_through", "kiosk", kioskName(names[k.Heard.Via], k.Heard.Via))
		}
	}
	if k.Connected {
		row.State = "connected"
	}
	if k.Forks > 0 {
		row.Forked = lang.T(l, "office.kiosks.forked", "n", 1+k.Forks)
	}
	var values []ledger.Paise
	for v := range k.Notes {
		values = append(values, v)
	}
	sort.Slice(values, func(i, j int) bool { return values[i] > values[j] })
	for _, v := range values {
		row.Notes = append(row.Notes, noteBar{Label: lang.INRShort(int64(v)), Count: k.Notes[v]})
	}
	return row
}

func (p *Page) live(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	beat := time.NewTicker(p.cfg.Beat)
	defer beat.Stop()
	for {
		version, changed := p.cfg.View.Changed()
		if _, err := fmt.Fprintf(w, "id: %d\ndata: %d\n\n", version, version); err != nil {
			return
		}
		if err := out.Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		case <-beat.C:
		}
	}
}

func (p *Page) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	w.Header().Set("Cache-Control", "max-age=3600")
	if b, ok := p.cfg.Fonts[name]; ok {
		w.Header().Set("Content-Type", "font/ttf")
		_, _ = w.Write(b) // the browser went away: nothing to mend
		return
	}
	types := map[string]string{"office.css": "text/css; charset=utf-8", "office.js": "text/javascript; charset=utf-8"}
	b, err := assets.ReadFile("assets/" + name)
	if err != nil || types[name] == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", types[name])
	_, _ = w.Write(b)
}
