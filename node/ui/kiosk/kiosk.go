// Package kiosk serves the citizen's screens to the kiosk's own browser: plain
// forms, one page a step, all state in the till. A reload, or a browser that starts
// again, lands on the same screen; without scripts everything works, only the
// amount grows by reload instead of by itself.
package kiosk

import (
	"context"
	"crypto/subtle"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"rasid/ledger/event"
	"rasid/node/lang"
	"rasid/node/till"
)

//go:embed assets
var assets embed.FS

// Till is the sale that the screens show.
type Till interface {
	View() (v till.View, version uint64, changed <-chan struct{})
	Do(ctx context.Context, seq uint64, action till.Event) error
}

// Standing is what the frame of every screen says of the kiosk.
type Standing struct {
	Online bool // the office is connected now
	Unsent uint64
	Heard  time.Time // when the office last answered, zero for never
	Dues   bool      // there is a list of bills
}

// Config is what the screens need. All fields are needed except FrameAncestors.
type Config struct {
	Slot     uint32
	Name     string // "SKR-0147"
	Place    string
	Helpline string
	Till     Till
	Standing func() Standing
	Now      func() time.Time
	Rand     io.Reader // for the per-boot secret
	Log      *slog.Logger
	Fonts    map[string][]byte // "regular.ttf", "bold.ttf"
	// FrameAncestors are the origins that may show the screen in a frame: none in
	// the field, the cabinet's in the lab.
	FrameAncestors string
}

// Screens is an http.Handler for the kiosk's loopback listener.
type Screens struct {
	cfg    Config
	pages  *template.Template
	secret string // of this boot
	mux    *http.ServeMux
	origin *http.CrossOriginProtection
}

// New parses the pages and draws the secret of this boot. An error names a text
// that is missing.
func New(cfg Config) (*Screens, error) {
	pages, err := template.New("pages").Funcs(lang.Funcs()).ParseFS(assets, "assets/*.html")
	if err != nil {
		return nil, fmt.Errorf("couldn't parse the screens: %w", err)
	}
	if _, err := lang.CheckTemplate(pages); err != nil {
		return nil, fmt.Errorf("the screens use texts that do not fit: %w", err)
	}
	var secret [16]byte
	if _, err := io.ReadFull(cfg.Rand, secret[:]); err != nil {
		return nil, fmt.Errorf("couldn't draw the screens' secret: %w", err)
	}
	s := &Screens{cfg: cfg, pages: pages, secret: hex.EncodeToString(secret[:]), mux: http.NewServeMux(), origin: http.NewCrossOriginProtection()}
	s.routes()
	return s, nil
}

// StartPath is the address that the launcher opens once: it leaves the cookie
// without which every page answers 401.
func (s *Screens) StartPath() string { return "/start?key=" + s.secret }

func (s *Screens) routes() {
	s.mux.HandleFunc("GET /start", s.start)
	s.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/k", http.StatusSeeOther) })
	s.mux.HandleFunc("GET /k", s.page)
	s.mux.HandleFunc("POST /k", s.act)
	s.mux.HandleFunc("GET /k/live", s.live)
	s.mux.HandleFunc("GET /assets/{name}", s.asset)
	for path, allow := range map[string]string{"/start": "GET", "/{$}": "GET", "/k": "GET, POST", "/k/live": "GET", "/assets/{name}": "GET"} {
		s.mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", allow)
			s.refuse(w, http.StatusMethodNotAllowed, "kiosk.error.bad_form")
		})
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.failure(w, http.StatusNotFound, "kiosk.error.not_found")
	})
}

// ServeHTTP serves a page to whoever holds this boot's cookie.
func (s *Screens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	ancestors := "'none'"
	if s.cfg.FrameAncestors != "" {
		ancestors = s.cfg.FrameAncestors
	}
	h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors "+ancestors)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	if r.URL.Path != "/start" && !s.known(r) {
		s.failure(w, http.StatusUnauthorized, "kiosk.error.unauthorized")
		return
	}
	if s.origin.Check(r) != nil { // another page's form must not press our buttons
		s.refuse(w, http.StatusForbidden, "kiosk.error.bad_form")
		return
	}
	s.mux.ServeHTTP(w, r)
}

// cookieName is the slot's own, because cookies ignore ports: three kiosks on one
// address must not take each other's.
func (s *Screens) cookieName() string { return fmt.Sprintf("rasid_k%d", s.cfg.Slot) }

func (s *Screens) known(r *http.Request) bool {
	c, err := r.Cookie(s.cookieName())
	return err == nil && subtle.ConstantTimeCompare([]byte(c.Value), []byte(s.secret)) == 1
}

func (s *Screens) start(w http.ResponseWriter, r *http.Request) {
	if subtle.ConstantTimeCompare([]byte(r.FormValue("key")), []byte(s.secret)) != 1 {
		s.failure(w, http.StatusUnauthorized, "kiosk.error.unauthorized")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: s.cookieName(), Value: s.secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, "/k", http.StatusSeeOther)
}

func (s *Screens) page(w http.ResponseWriter, r *http.Request) {
	v, version, _ := s.cfg.Till.View()
	s.render(w, http.StatusOK, s.model(v, version, ""))
}

func (s *Screens) render(w http.ResponseWriter, status int, p page) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if err := s.pages.ExecuteTemplate(w, "frame.html", p); err != nil {
		s.cfg.Log.Warn("couldn't send a screen", "error", err)
	}
}

// failure answers with a page that says what happened and what to do.
func (s *Screens) failure(w http.ResponseWriter, status int, key string) {
	p := s.bare()
	if v, _, _ := s.cfg.Till.View(); v.Language == event.English {
		p.L, p.Other = lang.English, lang.Hindi
	}
	p.Body, p.ErrorKey = "failure", key
	if key == "kiosk.error.unauthorized" {
		p.L, p.Other = lang.Hindi, lang.English // a stranger's page says nothing of the citizen, not even the language
		p.RemedyKey = "kiosk.error.unauthorized_remedy"
	}
	s.render(w, status, p)
}

// refuse answers a form that changes nothing: the page that is shown now, with the
// reason above it.
func (s *Screens) refuse(w http.ResponseWriter, status int, key string) {
	v, version, _ := s.cfg.Till.View()
	s.render(w, status, s.model(v, version, key))
}

// act carries out a form. A form of an earlier page changes nothing and lands on
// the page that is shown now.
func (s *Screens) act(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, formMax)
	if err := r.ParseForm(); err != nil {
		status, tooLarge := http.StatusBadRequest, (*http.MaxBytesError)(nil)
		if errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		s.refuse(w, status, "kiosk.error.bad_form")
		return
	}
	seq, err := strconv.ParseUint(r.PostForm.Get("seq"), 10, 64)
	action := s.action(r)
	if err != nil || action == nil {
		s.refuse(w, http.StatusBadRequest, "kiosk.error.bad_form")
		return
	}
	err = s.cfg.Till.Do(r.Context(), seq, action)
	switch {
	case errors.Is(err, till.ErrStale):
		s.refuse(w, http.StatusConflict, "kiosk.error.wrong_step")
	case err != nil:
		s.failure(w, http.StatusServiceUnavailable, "kiosk.error.internal")
	default:
		http.Redirect(w, r, "/k", http.StatusSeeOther)
	}
}

// formMax is many times the largest form that a page of ours sends.
const formMax = 4 << 10

// action reads what was pressed; nil for anything that no page of ours sends.
func (s *Screens) action(r *http.Request) till.Event {
	form := r.PostForm
	switch form.Get("do") {
	case "language":
		switch lang.Lang(form.Get("value")) {
		case lang.Hindi:
			return till.ChooseLanguage{Language: event.Hindi}
		case lang.English:
			return till.ChooseLanguage{Language: event.English}
		}
		return nil
	case "service":
		n, err := strconv.ParseUint(form.Get("value"), 10, 16)
		if err != nil {
			return nil
		}
		return till.ChooseService{Service: event.Service(n)}
	case "look":
		if !form.Has("number") {
			return nil
		}
		return typed(form.Get("number"), form.Get("pad"))
	}
	plain := map[string]till.Event{
		"confirm": till.ConfirmBill{}, "back": till.Back{}, "cancel": till.Cancel{}, "continue": till.Continue{},
		"part": till.PayPart{}, "slip": till.TakeSlip{}, "finish": till.Finish{}, "again": till.PrintAgain{},
	}
	return plain[form.Get("do")]
}

// typed is what the number page sends: a key of the pad, or the whole number.
func typed(number, pad string) till.Event {
	switch {
	case len(number) > 64 || !utf8.ValidString(number):
		return nil
	case pad == "":
		return till.Typed{Number: number}
	case pad == "erase":
		runes := []rune(number)
		return till.Enter{Number: string(runes[:max(0, len(runes)-1)])}
	case pad == "clear":
		return till.Enter{}
	case len(pad) == 1 && pad[0] >= '0' && pad[0] <= '9':
		return till.Enter{Number: number + pad}
	}
	return nil
}

// live sends the version of the view each time that it changes; the page fetches
// itself anew. The event id lets a browser that lost the line see that it is behind.
func (s *Screens) live(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	for {
		_, version, changed := s.cfg.Till.View()
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
		}
	}
}

func (s *Screens) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	w.Header().Set("Cache-Control", "max-age=3600")
	if b, ok := s.cfg.Fonts[name]; ok {
		w.Header().Set("Content-Type", "font/ttf")
		_, _ = w.Write(b) // the browser went away: nothing to mend
		return
	}
	b, err := assets.ReadFile("assets/" + name)
	if types := map[string]string{"style.css": "text/css; charset=utf-8", "live.js": "text/javascript; charset=utf-8"}; err == nil && types[name] != "" {
		w.Header().Set("Content-Type", types[name])
		_, _ = w.Write(b)
		return
	}
	s.failure(w, http.StatusNotFound, "kiosk.error.not_found")
}
