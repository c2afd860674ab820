package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"time"

	"rasid/hardware/ipp"
	"rasid/hardware/link"
	"rasid/hardware/paper/fonts"
	"rasid/hardware/ssp"
	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/store"
	"rasid/node"
	"rasid/node/catalogue"
	"rasid/node/fleet"
	"rasid/node/inspect/cli"
	"rasid/node/socket"
	"rasid/node/till"
	"rasid/node/till/keep"
	"rasid/node/till/slip"
	"rasid/node/till/spool"
	ui "rasid/node/ui/kiosk"
	"rasid/sync/peer"
	"rasid/sync/peer/ondisk"
)

// kiosk is the program as a value: everything that serve wires together.
type kiosk struct {
	s         *settings
	log       *slog.Logger
	id        fleet.Identity
	key       fleet.LogKey
	store     *store.Store
	writer    *store.Writer
	host      *peer.Host
	driver    *ssp.Driver
	spool     *spool.Spool
	till      *till.Till
	catalogue *catalogue.Catalogue
	feed      *feed
	ring      *fleet.Ring
	personal  *keep.Keeper
	front     *front
	screens   *ui.Screens
	web       web
	clock     clock
	low       atomic.Bool // the disk was short of room when last looked at
	tick      *time.Ticker
	poll      *time.Ticker
}

// serve runs the kiosk until ctx ends. It says on out where the screens are.
func serve(ctx context.Context, s *settings, out io.Writer) (err error) {
	if err := node.HideMemory(); err != nil {
		return err
	}
	k := &kiosk{s: s, log: slog.New(slog.NewJSONHandler(os.Stderr, nil)), clock: newClock(s.Clock)}
	if err := k.open(ctx, out); err != nil {
		if ctx.Err() != nil {
			return nil // asked to end while it waited for room
		}
		return err
	}
	defer func() {
		if !errors.Is(err, node.ErrLeft) {
			err = errors.Join(err, k.store.Close())
		}
	}()
	defer k.tick.Stop()
	defer k.poll.Stop()
	k.log.Info("serving", "kiosk", k.id.Name, "slot", k.id.Slot(), "log", k.writer.ID().String(), "entries", k.writer.Size())
	look := time.NewTicker(time.Second)
	defer look.Stop()
	return node.Run(ctx,
		node.Actor{Name: "the bound of memory", Run: func(ctx context.Context) error { return node.BoundMemory(ctx, look.C) }},
		node.Actor{Name: "the ledger", Run: k.store.Run},
		node.Actor{Name: "sync", Run: k.host.Run},
		node.Actor{Name: "the note acceptor", Run: k.driver.Run},
		node.Actor{Name: "the spool", Run: k.spool.Run},
		node.Actor{Name: "the catalogue", Run: k.feed.run},
		node.Actor{Name: "the till", Run: k.runTill},
		node.Actor{Name: "the forgetting of bills", Run: k.expire},
		node.Actor{Name: "the disk", Run: k.tend},
		node.Actor{Name: "the command socket", Run: func(ctx context.Context) error {
			return socket.Serve(ctx, k.s.Dir, cli.Jobs(k.store, k.id.Fleet))
		}},
		node.Actor{Name: "the screens", Run: func(ctx context.Context) error { return k.serveHTTP(ctx, out) }},
	)
}

// open opens what holds data and makes the actors; nothing runs yet.
func (k *kiosk) open(ctx context.Context, out io.Writer) (err error) {
	if err := k.web.listen(k.s.Listen); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			k.web.close()
		}
	}()
	if err := k.openData(ctx, out); err != nil {
		return err
	}
	if err := k.make(ctx); err != nil {
		return errors.Join(err, k.store.Close())
	}
	k.front.set(k.till)
	return nil
}

// openData opens identity, screens, store and log.
func (k *kiosk) openData(ctx context.Context, out io.Writer) (err error) {
	if k.id, err = fleet.Load(k.s.Dir); err != nil {
		return err
	}
	if role := k.id.Chain.Machine.Role; role != cert.RoleKiosk {
		return fmt.Errorf("%s is the folder of the %s %s: name the folder that rasid-office enrol made for this kiosk", k.s.Dir, role, k.id.Name)
	}
	if k.key, err = k.id.OpenLogKey(cert.StreamMain, rand.Reader); err != nil {
		return err
	}
	if err := k.makeScreens(); err != nil {
		return err
	}
	k.store, err = k.openStore(ctx, out, store.Config{
		Dir: filepath.Join(k.s.Dir, "data"), Fleet: k.id.Fleet, Machine: k.id.MachineKey(), Log: k.log, EvidenceDir: k.s.HeadDir, GiveUp: true,
		RoomBytes: uint64(k.s.RoomMiB) << 20, ReserveBytes: uint64(k.s.ReserveMiB) << 20, PruneAge: time.Duration(k.s.PruneDays) * 24 * time.Hour,
	})
	if err != nil {
		return err
	}
	if k.writer, err = k.openLog(); err != nil {
		return errors.Join(err, k.store.Close())
	}
	return nil
}

func (k *kiosk) make(ctx context.Context) (err error) {
	if err := k.makeHost(ctx); err != nil {
		return err
	}
	k.ring = k.id.Ring()
	k.catalogue = catalogue.New(k.ring.Pepper, k.log)
	k.feed = newFeed(k.store, k.catalogue, k.ring, k.id.Machine, k.writer.ID(), k.log)
	printer, err := ipp.NewClient(k.s.Printer)
	if err != nil {
		return err
	}
	k.personal, err = keep.Open(keep.Config{
		Dir: filepath.Join(k.s.Dir, "bills"), Machine: k.id.Machine, Log: k.writer.ID(), Objects: k.store, SealTo: k.ring.SealTo,
		For: time.Duration(k.s.PersonalDays) * 24 * time.Hour, Now: time.Now,
	})
	if err != nil {
		return err
	}
	k.driver = ssp.New(ssp.Config{Open: link.Serial(ssp.LineSettings(k.s.Acceptor))})
	k.tick, k.poll = time.NewTicker(250*time.Millisecond), time.NewTicker(time.Second)
	maker := &slip.Maker{
		Source: slip.Source{Key: k.key.Key, Grant: k.key.Grant, Log: ownLog{k.store, k.writer.ID()}}, Former: k.formerSource,
		Chain: k.id.Chain, Name: k.id.Name, Place: k.id.Place, Helpline: k.s.Helpline, Personal: k.personal.Get,
	}
	k.spool = spool.New(spool.Config{Printer: printer, Paperwork: maker, Log: k.log, Now: time.Now, Poll: k.poll.C, CallMax: 10 * time.Second})
	k.till = till.New(till.Config{
		ID: till.KioskID{Slot: k.id.Slot(), Ordinal: k.key.Grant.Ordinal}, Log: k.log, Committer: committer{k.writer}, Acceptor: k.driver,
		Spool: k.spool, Catalogue: k.catalogue, Personal: k.personal, History: k.history, Former: k.formers, Rules: book.Newest(), Payments: k.payments,
		DiskLow: k.diskLow, Clock: k.clock.now, Now: time.Now,
		Ticks: k.tick.C, Devices: k.driver.Events(), Prints: k.spool.Events(),
	})
	return nil
}

// makeScreens makes the screens, which show a closed kiosk until it is open.
func (k *kiosk) makeScreens() (err error) {
	k.front = newFront()
	k.screens, err = ui.New(ui.Config{
		Slot: k.id.Slot(), Name: k.id.Name, Place: k.id.Place, Helpline: k.s.Helpline, Till: k.front, Standing: k.standing, Now: time.Now, Rand: rand.Reader,
		Log: k.log, Fonts: map[string][]byte{"regular.ttf": fonts.Regular, "bold.ttf": fonts.Bold}, FrameAncestors: k.s.Frame,
	})
	return err
}

// openLog opens the kiosk's log or, where that is in doubt, begins the next
// incarnation: nobody need come for the kiosk to go on, and no position is signed
// twice. Money of a sale that the log before left open stays in its books.
func (k *kiosk) openLog() (*store.Writer, error) {
	w, err := k.store.OpenOwn(k.key.Key)
	if !errors.Is(err, store.ErrInDoubt) {
		return w, err
	}
	last := k.store.LastKnown(k.key.Grant.PublicKey())
	before := k.key
	if k.key, err = k.id.NextLogKey(before, k.store.WhyGivenUp(before.Grant.PublicKey()), last, rand.Reader); err != nil {
		return nil, err
	}
	k.log.Error("the log is in doubt; a new incarnation begins", "before", before.String(), "last known size", last.Size, "now", k.key.String())
	return k.store.OpenOwn(k.key.Key)
}

func (k *kiosk) makeHost(ctx context.Context) (err error) {
	ledgers := ondisk.Store{Store: k.store}
	k.host, err = peer.New(peer.Config{
		Machine: k.id.Machine, Chain: k.id.Chain, Fleet: k.id.Fleet, Store: ledgers, Objects: ledgers, Describe: ledgers.Describe,
		Listen: k.s.Sync.Listen, Peers: k.s.Sync.Peers, TimeTrusted: k.clock.trusted, Log: k.log,
		RedialMin: k.s.Sync.RedialMin.Duration, RedialMax: k.s.Sync.RedialMax.Duration,
	})
	if err != nil {
		return err
	}
	return k.host.Listen(ctx)
}

// runTill writes what begins every log and every boot, then sells.
func (k *kiosk) runTill(ctx context.Context) error {
	begin := func(first uint64) ([]ledger.Entry, error) {
		bodies := []event.Body{&event.SoftwareStarted{Version: version()}}
		if first == 0 {
			bodies = append([]event.Body{fleet.Opening(k.id, k.key, book.Newest())}, bodies...)
		}
		var entries []ledger.Entry
		for _, b := range bodies {
			e, err := event.New(k.clock.now(), b)
			if err != nil {
				return nil, err
			}
			entries = append(entries, e)
		}
		return entries, nil
	}
	if _, err := k.writer.Commit(ctx, begin); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("couldn't begin: %w", err)
	}
	return k.till.Run(ctx)
}

// expire destroys what opens sealed blobs here when its days are over, sale or no sale.
func (k *kiosk) expire(ctx context.Context) error {
	hour := time.NewTicker(time.Hour)
	defer hour.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hour.C:
			if err := k.personal.Expire(); err != nil {
				k.log.Warn("bills are not forgotten", "error", err)
			}
		}
	}
}

func (k *kiosk) history(f func(index uint64, entry []byte) error) error {
	return k.store.Range(k.writer.ID(), 0, k.writer.Size(), f)
}

// diskLow reports whether the disk is short of room, and says so when that changes.
func (k *kiosk) diskLow() bool {
	room, err := k.store.Room()
	if err != nil {
		room.OK = false // what cannot be told is not enough
	}
	if low := !room.OK; k.low.Swap(low) != low {
		k.log.Warn("room on the disk", "free", room.Free, "wanted", room.Want, "taking money", room.OK, "error", err)
	}
	return !room.OK
}

// version names the build in the log.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "rasid-kiosk (devel)"
	}
	return "rasid-kiosk " + info.Main.Version
}

func (k *kiosk) serveHTTP(ctx context.Context, out io.Writer) error {
	mux := http.NewServeMux()
	k.observe(mux)
	mux.Handle("/", k.screens)
	if !k.web.begun() {
		if err := k.sayScreen(out); err != nil {
			return err
		}
	}
	return k.web.run(ctx, mux)
}

func (k *kiosk) sayScreen(out io.Writer) error {
	if _, err := fmt.Fprintf(out, "screen http://%s%s\n", k.web.listener.Addr(), k.screens.StartPath()); err != nil {
		return fmt.Errorf("couldn't say where the screens are: %w", err)
	}
	return nil
}
