package cabinet

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"rasid/hardware/paper/fonts"
	"rasid/node/lang"
)

//go:embed assets
var assets embed.FS

// kioskState is what the page shows of one kiosk's physical world.
type kioskState struct {
	Name       string      `json:"name"`
	Place      string      `json:"place"`
	Running    bool        `json:"running"`
	Screen     string      `json:"screen"`
	Box        string      `json:"box"`
	Notes      map[int]int `json:"notes"`
	Returned   map[int]int `json:"returned"`
	Paper      int         `json:"paper"`
	Sheets     int         `json:"sheets"`
	Tray       string      `json:"tray"`
	Jammed     bool        `json:"jammed"`
	OfficeCut  bool        `json:"officeCut"`
	NeighbCut  bool        `json:"neighboursCut"`
	LastAnswer string      `json:"last"`
}

// server is the cabinet page's state.
type server struct {
	*Cabinet
	page *template.Template

	mu     sync.Mutex
	last   map[int]string // guarded by mu: what the last button of each kiosk said
	jammed map[int]bool   // guarded by mu
}

// serve serves the cabinet page until ctx ends.
func (c *Cabinet) serve(ctx context.Context) error {
	page, err := template.ParseFS(assets, "assets/cabinet.html")
	if err != nil {
		return fmt.Errorf("couldn't parse the cabinet page: %w", err)
	}
	s := &server{Cabinet: c, page: page, last: map[int]string{}, jammed: map[int]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.index)
	mux.HandleFunc("GET /state", s.state)
	mux.HandleFunc("POST /kiosk/{i}/{what}", func(w http.ResponseWriter, r *http.Request) { s.button(ctx, w, r) })
	mux.HandleFunc("GET /assets/{name}", s.asset)
	h := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(c.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("couldn't serve the cabinet page: %w", err)
	case <-ctx.Done():
		err := h.Close()
		<-failed
		return err
	}
}

func (s *server) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'self'; frame-src http://127.0.0.1:*")
	w.Header().Set("Cache-Control", "no-store")
	_ = s.page.Execute(w, map[string]any{"Kiosks": s.states(), "Office": s.url, "Number": DemoNumber, "Notes": []int{10, 20, 50, 100, 200, 500}}) // the looker went away
}

func (s *server) state(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.states()) // the looker went away
}

func (s *server) states() []kioskState {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []kioskState
	for i, k := range s.kiosks {
		truth, printer := k.Acceptor.Truth(), k.Printer.State()
		out = append(out, kioskState{
			Name: k.Name, Place: k.Place, Running: k.Process.Running(), Screen: k.Screen(), Box: lang.INRShort(truth.BoxPaise()), Notes: truth.Box, Returned: truth.Returned,
			Paper: printer.Paper, Sheets: len(printer.Sheets), Tray: "http://" + k.Printer.Addr(), Jammed: s.jammed[i],
			OfficeCut: k.Office.Cut(), NeighbCut: s.neighboursCut(i), LastAnswer: s.last[i],
		})
	}
	return out
}

// button does what a hand would do at the machine. A plain form works too.
func (s *server) button(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	i, err := strconv.Atoi(r.PathValue("i"))
	if err != nil || i < 0 || i >= len(s.kiosks) {
		http.NotFound(w, r)
		return
	}
	said, err := s.press(ctx, i, r.PathValue("what"), r.FormValue("value"))
	if err != nil {
		said = err.Error()
	}
	s.mu.Lock()
	s.last[i] = said
	s.mu.Unlock()
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *server) press(ctx context.Context, i int, what, value string) (string, error) {
	k := s.kiosks[i]
	switch what {
	case "note":
		if _, err := strconv.Atoi(value); err != nil {
			return "", errors.New("a note has a number")
		}
		return do(ctx, k.Acceptor, "insert "+value)
	case "jam":
		return s.jam(ctx, i)
	case "paper":
		if k.Printer.State().Paper > 0 {
			return do(ctx, k.Printer, "paper out")
		}
		return do(ctx, k.Printer, "refill")
	case "plug":
		if k.Process.Running() {
			k.Process.Kill()
			return "SIGKILL", nil
		}
		return "started", k.Start(ctx)
	case "office":
		k.SetOfficeCut(!k.Office.Cut())
		return "", nil
	case "neighbours":
		s.SetNeighboursCut(i, !s.neighboursCut(i))
		return "", nil
	}
	return "", fmt.Errorf("there is no button %q", what)
}

func (s *server) jam(ctx context.Context, i int) (string, error) {
	s.mu.Lock()
	jammed := s.jammed[i]
	s.jammed[i] = !jammed
	s.mu.Unlock()
	if jammed {
		return do(ctx, s.kiosks[i].Acceptor, "jam clear")
	}
	return do(ctx, s.kiosks[i].Acceptor, "jam unsafe")
}

// doer is a device that takes a line of its control socket.
type doer interface {
	Do(ctx context.Context, line string) (any, error)
}

func do(ctx context.Context, d doer, line string) (string, error) {
	result, err := d.Do(ctx, line)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(result), nil
}

func (s *server) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	switch name {
	case "regular.ttf":
		w.Header().Set("Content-Type", "font/ttf")
		_, _ = w.Write(fonts.Regular) // the looker went away
		return
	case "bold.ttf":
		w.Header().Set("Content-Type", "font/ttf")
		_, _ = w.Write(fonts.Bold)
		return
	}
	types := map[string]string{"cabinet.css": "text/css; charset=utf-8", "cabinet.js": "text/javascript; charset=utf-8"}
	b, err := assets.ReadFile("assets/" + name)
	if err != nil || types[name] == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", types[name])
	_, _ = w.Write(b)
}
