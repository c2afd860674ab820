package powercut

import (
	"context"
	"crypto/ed25519"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"time"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
)

const (
	fleetName       = "powercut"
	commitMaxPieces = 5 // entries in one commit
	smallBytes      = 300
	largeBytes      = 8000
	objectBytes     = 3000
	objectEvery     = 8 // commits
	ingestMaxRuns   = 6
	dataName        = "data"
)

// writer is the process whose power is cut.
type writer struct {
	orders
	me    storetest.Machine
	store *store.Store
	own   *store.Writer
	out   *teller
}

// Write opens the store in a folder of the rig's file system and works there as
// ordered on in, telling on out what it showed. It returns only on an error; the rig
// kills it. in must be the rig's pipe: its end is the rig's.
func Write(ctx context.Context, root string, in io.Reader, out io.Writer) error {
	from := gob.NewDecoder(in)
	w := &writer{out: newTeller(out)}
	if err := from.Decode(&w.orders); err != nil {
		return fmt.Errorf("couldn't read the orders: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, w.Committers+5)
	mail := make(chan delivery)
	go func() { errs <- receive(ctx, from, mail) }()
	go func() { errs <- w.live(ctx, root, mail, errs) }()
	return <-errs // the process ends with it
}

// receive hands on what neighbours send until the rig is gone.
func receive(ctx context.Context, from *gob.Decoder, mail chan<- delivery) error {
	for {
		var d delivery
		if err := from.Decode(&d); err != nil {
			return fmt.Errorf("the rig is gone: %w", err)
		}
		select {
		case mail <- d:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// live opens the store, tells what is there, and works.
func (w *writer) live(ctx context.Context, root string, mail <-chan delivery, errs chan<- error) error {
	d := &disk{pause: w.Pause, broken: w.Break, standing: func() {
		_ = w.out.tell(report{Kind: kindStands}) // if the rig is gone, so are we
	}}
	if err := w.open(filepath.Join(root, dataName), d); err != nil {
		return err
	}
	if err := w.tellAll(); err != nil {
		return err
	}
	d.opened()
	for k := range w.Committers {
		go func() { errs <- w.commits(ctx, k) }()
	}
	go func() { errs <- w.ingests(ctx, mail) }()
	if w.Prunes {
		go func() { errs <- w.prunes() }()
	}
	return w.store.Run(ctx)
}

func (w *writer) open(dir string, d *disk) (err error) {
	fleet, err := storetest.NewFleet(fleetName)
	if err != nil {
		return err
	}
	if w.me, err = fleet.Machine(cert.RoleKiosk, 1); err != nil {
		return err
	}
	age := pruneAge
	if w.Break == BreakPruneAge {
		age = time.Millisecond
	}
	w.store, err = store.Open(store.Config{
		Dir: dir, Fleet: fleet.Public, Machine: w.me.Key.Public().(ed25519.PublicKey), Disk: d,
		SegmentBytes: w.SegmentBytes, MemTableBytes: w.MemTableBytes, Log: slog.New(sayer{w.out}), RoomBytes: 1, PruneAge: age,
		After: w.after,
	})
	if err != nil {
		return err
	}
	w.own, err = w.store.OpenOwn(w.me.LogKey)
	return err
}

// sealWait is how long a committer waits for more before it seals.
const sealWait = time.Second

// after is time.After, but that a life is too short to be idle for long, and seals must
// be cut too. What takes longer is a disk that does not come back.
func (w *writer) after(d time.Duration) <-chan time.Time {
	if d <= sealWait {
		d = w.Idle
	}
	return time.After(d)
}

// tellAll tells everything that the store holds, read from its files. A mark of more
// than is held was durable before what it is a mark of.
func (w *writer) tellAll() error {
	if lost := w.store.Lost(); len(lost) > 0 {
		return fmt.Errorf("marks say that more was held of others' logs than is: %+v", lost)
	}
	if w.store.MarksLost() > 0 {
		return errors.New("the marks of how far others' logs were held are damaged: no cut does that")
	}
	for _, info := range w.store.Logs() {
		r := report{Kind: kindHeld, Log: info.ID, End: info.End, From: info.From}
		add := func(_ uint64, entry []byte) error {
			r.Leaves = appendLeaves(r.Leaves, entry)
			return nil
		}
		var err error
		if info.From > 0 {
			err = w.store.Range(info.ID, 0, store.AlwaysHeld, add)
		}
		if err == nil {
			err = w.store.Range(info.ID, info.From, info.End.Size, add)
		}
		if err == nil {
			err = w.out.tell(r)
		}
		if err != nil {
			return err
		}
	}
	for _, h := range w.Objects {
		_, err := w.store.Object(h)
		if errors.Is(err, store.ErrNoObject) {
			continue // the rig knows what that means
		}
		if err == nil {
			err = w.out.tell(report{Kind: kindObject, Object: h})
		}
		if err != nil {
			return err
		}
	}
	return w.out.tell(report{Kind: kindReady})
}

func (w *writer) rand(part int) *rand.Rand {
	return rand.New(rand.NewPCG(w.Seed, w.Life<<8|uint64(part)))
}

// commits appends to the own log for ever; now and then it stores an object first.
func (w *writer) commits(ctx context.Context, k int) error {
	r := w.rand(k)
	for n := uint64(1); ; n++ {
		if n%objectEvery == 0 {
			b := fmt.Appendf(nil, "object %d of committer %d in life %d%*d", n, k, w.Life, r.IntN(objectBytes), 0)
			h, err := w.store.PutObject(ctx, b)
			if err == nil {
				err = w.out.tell(report{Kind: kindObject, Object: h})
			}
			if err != nil {
				return err
			}
		}
		pieces, size := 1+r.IntN(commitMaxPieces), 8+r.IntN(smallBytes)
		if w.Large {
			size = 8 + r.IntN(largeBytes)
		}
		c, err := w.own.Commit(ctx, func(first uint64) ([]ledger.Entry, error) {
			return w.entries(first, w.Life<<32|uint64(k)<<24|n<<4, pieces, size)
		})
		if err != nil {
			return err
		}
		if err := w.out.tell(report{Kind: kindCommit, Log: w.own.ID(), First: c.First, Leaves: appendLeaves(nil, c.Entries...), End: c.End}); err != nil {
			return err
		}
	}
}

// entries makes entries of which no two have the same bytes.
func (w *writer) entries(first, number uint64, pieces, size int) (out []ledger.Entry, err error) {
	if first == 0 {
		e, err := w.me.Open()
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	for i := range pieces {
		e, err := storetest.Filler(number|uint64(i), size)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// ingests stores what neighbours send, and tells the frontier after each time.
func (w *writer) ingests(ctx context.Context, mail <-chan delivery) error {
	for {
		var runs []ledger.Run
		var object []byte
		for more := true; more && len(runs) < ingestMaxRuns && object == nil; {
			var d delivery
			if len(runs) == 0 {
				d = <-mail
			} else {
				select {
				case d = <-mail:
				default:
					more = false
					continue
				}
			}
			if object = d.Object; object != nil {
				break
			}
			run, err := ledger.DecodeRun(d.Run)
			if err != nil {
				return err
			}
			runs = append(runs, run)
		}
		if err := w.ingest(ctx, runs, object); err != nil {
			return err
		}
	}
}

func (w *writer) ingest(ctx context.Context, runs []ledger.Run, object []byte) error {
	results, err := w.store.Ingest(ctx, runs)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Err != nil {
			return r.Err
		}
	}
	if object != nil {
		h, err := w.store.AcceptObject(ctx, object)
		if err == nil {
			err = w.out.tell(report{Kind: kindObject, Object: h})
		}
		if err != nil {
			return err
		}
	}
	for _, info := range w.store.Logs() {
		if err := w.out.tell(report{Kind: kindTip, Log: info.ID, End: info.End}); err != nil {
			return err
		}
	}
	return nil
}

// sayer sends the store's log to the rig.
type sayer struct{ out *teller }

func (sayer) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (s sayer) Handle(_ context.Context, r slog.Record) error {
	return s.out.tell(report{Kind: kindSaid, Text: r.Message})
}
func (s sayer) WithAttrs([]slog.Attr) slog.Handler { return s }
func (s sayer) WithGroup(string) slog.Handler      { return s }
