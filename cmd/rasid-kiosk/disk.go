package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"rasid/ledger/store"
	"rasid/node/socket"
	"rasid/node/till"
	ui "rasid/node/ui/kiosk"
)

const (
	lookEvery = 250 * time.Millisecond // at the disk
	openEvery = time.Second            // while there is no room to open the ledger
	// restartBytes is how much must have been pruned for the program to end so that the
	// next start can give the room back; a kiosk without room takes no money anyway.
	restartBytes = 8 << 20
)

// tend keeps the reserve and prunes until ctx ends. What fails is said once and tried again: it
// is no reason to stop.
func (k *kiosk) tend(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := k.store.Tend()
		view, _, _ := k.till.View()
		if err := givesBack(k.low.Load(), k.store.Dropped(), view.Step); err != nil {
			return err
		}
		if text := fmt.Sprint(err); err != nil && text != said {
			k.log.Warn("the ledger's disk is not seen to", "error", err)
			said = text
		}
	}
}

// givesBack is the reason to end the program on a disk short of room, or nil: enough was
// pruned whose room the next start gives back, and nobody has a sale.
func givesBack(low bool, dropped uint64, step till.Step) error {
	if !low || dropped < restartBytes || step != till.StepLanguage {
		return nil
	}
	return fmt.Errorf("%d bytes of neighbours' entries were pruned on a disk short of room: start again, which gives their room back", dropped)
}

// openStore opens the ledger, and as long as there is no room for that waits and says
// so on the screens.
func (k *kiosk) openStore(ctx context.Context, out io.Writer, cfg store.Config) (s *store.Store, err error) {
	if s, err = store.Open(cfg); !errors.Is(err, store.ErrNoRoom) {
		return s, err
	}
	k.log.Error("the disk is full: waiting for room to open the ledger", "error", err)
	k.web.early(ctx, k.closed())
	if err := k.sayScreen(out); err != nil {
		return nil, err
	}
	tick := time.NewTicker(openEvery)
	defer tick.Stop()
	for errors.Is(err, store.ErrNoRoom) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
			s, err = store.Open(cfg)
		}
	}
	if err == nil {
		k.log.Info("there is room again: the ledger is open")
	}
	return s, err
}

// closed answers for a kiosk whose ledger is not open.
func (k *kiosk) closed() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthy)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answerReady(w, []string{closedByDisk}) })
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "# HELP kiosk_ready 1 when a sale can begin.\n# TYPE kiosk_ready gauge\nkiosk_ready 0\n"+
			"# HELP kiosk_disk_low 1 when too little is free to take money.\n# TYPE kiosk_disk_low gauge\nkiosk_disk_low 1\n")
	})
	mux.Handle("/", k.screens)
	return mux
}

// web is the server of screens, metrics and health. It may begin before the kiosk is
// open, and then goes on with what answers from there: no browser sees it go.
type web struct {
	listener net.Listener
	handler  atomic.Value // an answering
	ended    chan error   // nil: it has not begun
	end      context.CancelFunc
}

// answering makes one type of all handlers.
type answering struct{ http.Handler }

func (w *web) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	w.handler.Load().(answering).ServeHTTP(to, r)
}

func (w *web) listen(address string) (err error) {
	if w.listener, err = net.Listen("tcp", address); err != nil {
		return fmt.Errorf("couldn't listen for the screens on %s: %w: is another kiosk running? Name another address in listen", address, err)
	}
	return nil
}

func (w *web) begun() bool { return w.ended != nil }

// early begins to serve; run or close ends it.
func (w *web) early(ctx context.Context, h http.Handler) {
	w.handler.Store(answering{h})
	w.ended = make(chan error, 1)
	ctx, w.end = context.WithCancel(ctx)
	go func() { w.ended <- socket.HTTP(ctx, w.listener, w) }()
}

// run serves until ctx ends.
func (w *web) run(ctx context.Context, h http.Handler) error {
	w.handler.Store(answering{h})
	if !w.begun() {
		w.early(ctx, h)
	}
	select {
	case err := <-w.ended:
		return err
	case <-ctx.Done():
		w.end()
		return <-w.ended
	}
}

// close ends what did not come to run.
func (w *web) close() {
	if !w.begun() {
		_ = w.listener.Close() // nobody was served
		return
	}
	w.end()
	<-w.ended
}

// closedByDisk is the text on the screen of a kiosk without room.
const closedByDisk = "kiosk.out.disk"

func answerReady(w http.ResponseWriter, reasons []string) {
	w.Header().Set("Content-Type", "application/json")
	if len(reasons) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"ready": len(reasons) == 0, "reasons": reasons}) // the asker went away
}

func healthy(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) }

// front is the till that the screens show: a closed one until there is a real one.
type front struct {
	mu   sync.Mutex
	till ui.Till       // nil until open
	open chan struct{} // closed when it is
}

func newFront() *front { return &front{open: make(chan struct{})} }

func (f *front) set(t ui.Till) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.till = t
	close(f.open)
}

func (f *front) get() ui.Till {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.till
}

// View implements ui.Till.
func (f *front) View() (v till.View, version uint64, changed <-chan struct{}) {
	if t := f.get(); t != nil {
		return t.View()
	}
	return till.View{Closed: till.Problem{Key: closedByDisk}}, 0, f.open
}

// Do implements ui.Till. While closed every page is an earlier one.
func (f *front) Do(ctx context.Context, seq uint64, action till.Event) error {
	if t := f.get(); t != nil {
		return t.Do(ctx, seq, action)
	}
	return till.ErrStale
}
