package till

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"rasid/hardware"
	"rasid/ledger"
	"rasid/ledger/event"
)

// ErrStale is returned by Do for an action on a page that is no longer shown. It
// changed nothing.
var ErrStale = errors.New("the page was an earlier one")

// Committer makes entries durable: build learns the index of the first one. On
// return the entries are durable and everything that follows from them may happen.
// An error means that nobody knows: the till stops. bytes are the entries as stored.
type Committer interface {
	Commit(ctx context.Context, build func(first uint64) ([]ledger.Entry, error)) (first uint64, bytes [][]byte, err error)
}

// Acceptor takes commands that return at once; what became of them comes as events.
// An error says that the command makes no sense in the device's state.
type Acceptor interface {
	Enable(channels []uint8) error
	Disable() error
	Stack() error
	Return() error
}

// Spool takes papers to print and reports PaperPrinted, PaperUnknown and PrinterNow.
// Print and Ask return at once.
type Spool interface {
	Print(subject uint64, copyNo uint32)
	Ask(subject uint64, copyNo uint32, since time.Time)
}

// Catalogue answers for a typed number, at once.
type Catalogue interface {
	Look(number string) Looked
}

// Blob names a sealed blob that is durable.
type Blob struct {
	Object  ledger.Hash
	Bytes   uint64
	SealKey uint32 // number of the one it is sealed to
}

// Personal seals what is personal of a bill for the office, and keeps what opens it
// here until some days after its papers are out. Keep is durable on return. Forget
// leaves nothing of a bill whose blob no entry names.
type Personal interface {
	Keep(ctx context.Context, b Bill) error
	// Blob is the sealed blob of a bill that was kept, and is durable; ok is false when
	// it is lost.
	Blob(event.BillKey) (b Blob, ok bool)
	Get(event.BillKey) (Bill, bool)
	Forget(event.BillKey) error
	// Sweep forgets everything that is not needed any more.
	Sweep(needed func(event.BillKey) bool) error
}

// Payments returns what is known to be paid for a bill under any of its keys, oldest
// first, in whatever log. An error says that this cannot be told.
type Payments func(keys ...event.BillKey) ([]Paid, error)

// Config is what a till needs. All fields but Former and DiskLow are needed.
type Config struct {
	ID        KioskID
	Log       *slog.Logger
	Committer Committer
	Acceptor  Acceptor
	Spool     Spool
	Catalogue Catalogue
	Personal  Personal
	// History calls f for every durable entry of the own log, in order.
	History func(f func(index uint64, entry []byte) error) error
	// Former lists the logs of this machine that were given up, oldest first; nil: none.
	Former func() []FormerLog
	// Rules is the rule set that the log states, where it does not yet.
	Rules    ledger.Hash
	Payments Payments
	// DiskLow reports whether the disk is short of room; nil: never. It is asked at each
	// tick, before a note is decided on and before a citizen's action: it must be quick.
	DiskLow func() bool
	// Clock stamps entries; Now drives the time-outs; Ticks arrive a few times a second.
	Clock   func() ledger.Time
	Now     func() time.Time
	Ticks   <-chan time.Time
	Devices <-chan hardware.AcceptorEvent
	Prints  <-chan Event // from the spool
}

// Till is the actor around the machine: it alone owns it.
type Till struct {
	cfg      Config
	m        *Machine  // owned by Run
	looked   time.Time // owned by Run: when the logs given up were looked at
	requests chan request

	mu      sync.Mutex
	view    View          // guarded by mu
	version uint64        // guarded by mu
	changed chan struct{} // guarded by mu: closed at the next change
	figures Figures       // guarded by mu
}

type request struct {
	seq  uint64
	ev   Event
	done chan error
}

// Typed is the action of the number pad: look this number up.
type Typed struct{ Number string }

// New returns a till that does nothing until Run.
func New(cfg Config) *Till {
	return &Till{cfg: cfg, requests: make(chan request), changed: make(chan struct{}), m: NewMachine(cfg.ID, cfg.Now())}
}

// View returns what the screen shows, and a channel that closes when that changes.
// Version grows with every change. It may be called from any goroutine.
func (t *Till) View() (v View, version uint64, changed <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.view, t.version, t.changed
}

// Do carries out a citizen's action on the page with the given Seq and returns when
// everything that it makes durable is. It may be called from any goroutine.
func (t *Till) Do(ctx context.Context, seq uint64, action Event) error {
	r := request{seq: seq, ev: action, done: make(chan error, 1)}
	select {
	case t.requests <- r:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run folds the log, settles what a restart left open and sells until ctx ends. An
// error is fatal: the process must stop and start again, which recovers.
func (t *Till) Run(ctx context.Context) error {
	if err := t.recover(ctx); err != nil {
		return err
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-t.cfg.Ticks:
			err = t.tick(ctx)
		case ev := <-t.cfg.Devices:
			err = t.device(ctx, ev)
		case ev := <-t.cfg.Prints:
			err = t.step(ctx, ev)
		case r := <-t.requests:
			err = t.act(ctx, r)
		}
		if err != nil {
			return err
		}
	}
}

// lookAtDisk tells the machine whether there is room: no sale begins and no note is
// taken on a disk that may not hold what follows.
func (t *Till) lookAtDisk(ctx context.Context) error {
	if t.cfg.DiskLow == nil {
		return nil
	}
	if now := (DiskNow{Low: t.cfg.DiskLow()}); now != t.m.disk {
		return t.step(ctx, now)
	}
	return nil
}

// tick looks at the disk before time passes.
func (t *Till) tick(ctx context.Context) error {
	if err := t.lookAtDisk(ctx); err != nil {
		return err
	}
	if err := t.lookBack(ctx); err != nil {
		return err
	}
	return t.step(ctx, Tick{})
}

// device hands on what a device says. Before a note is decided on, the disk is looked
// at: a tick may be long ago by then.
func (t *Till) device(ctx context.Context, ev hardware.AcceptorEvent) error {
	if _, note := ev.(hardware.NoteEscrowed); note {
		if err := t.lookAtDisk(ctx); err != nil {
			return err
		}
	}
	return t.step(ctx, ev)
}

func (t *Till) recover(ctx context.Context) error {
	t.m.inherit(t.foldFormer())
	t.looked = t.cfg.Now()
	err := t.cfg.History(func(index uint64, entry []byte) error { return fold(t.m.Apply, index, entry) })
	if err != nil {
		return fmt.Errorf("couldn't fold the log: %w", err)
	}
	if err := t.takeOver(ctx); err != nil {
		return err
	}
	out := t.m.Started(t.cfg.Now(), t.cfg.Personal.Get)
	if err := t.cfg.Personal.Sweep(t.m.Needs); err != nil {
		return fmt.Errorf("couldn't forget bills that nobody needs: %w", err)
	}
	return t.perform(ctx, out)
}

// takeOver takes what the logs given up leave open into the own one.
func (t *Till) takeOver(ctx context.Context) error {
	for ctx.Err() == nil {
		out := t.m.takeOver(t.cfg.Rules, t.cfg.Personal.Get)
		if out.Draft == nil {
			return nil
		}
		if err := t.perform(ctx, out); err != nil {
			return err
		}
	}
	return nil
}

// lookBack looks at the logs given up again, while nobody is there: neighbours may have
// returned what was missing.
func (t *Till) lookBack(ctx context.Context) error {
	since := t.cfg.Now().Sub(t.looked)
	if t.cfg.Former == nil || !t.m.idle() || since >= 0 && since < formerEvery {
		return nil
	}
	t.looked = t.cfg.Now()
	if grew := slices.ContainsFunc(t.cfg.Former(), t.m.isNews); grew {
		t.m.formers = t.foldFormer()
		maps.Copy(t.m.bills, t.m.formerBills())
	}
	known := slices.Clone(t.m.papers)
	if err := t.takeOver(ctx); err != nil {
		return err
	}
	return t.perform(ctx, then(t.m.printOwed(known), t.m.resumeTaken(t.cfg.Personal.Get)))
}

// fold gives one entry of a log to apply.
func fold(apply func(uint64, ledger.Hash, ledger.Time, event.Body) error, index uint64, entry []byte) error {
	e, err := ledger.DecodeEntry(entry)
	if err != nil {
		return fmt.Errorf("entry %d: %w", index, err)
	}
	body, err := event.Decode(e)
	if err != nil {
		return fmt.Errorf("entry %d: %w", index, err)
	}
	return apply(index, ledger.LeafHash(entry), e.Time, body)
}

func (t *Till) act(ctx context.Context, r request) error {
	if err := t.lookAtDisk(ctx); err != nil { // the action may open a sale
		r.done <- err
		return err
	}
	if r.seq != t.m.seq {
		r.done <- ErrStale
		return nil
	}
	ev := r.ev
	switch e := ev.(type) {
	case Typed:
		ev = t.look(e.Number)
	case ConfirmBill:
		if news, ok := t.lookAgain(); ok {
			ev = news
		}
	}
	err := t.step(ctx, ev)
	r.done <- err
	return err
}

// look asks the catalogue for a bill, and the ledger whether it was paid. Where that
// cannot be told no money is taken for it: who paid already would pay twice.
func (t *Till) look(number string) Looked {
	l := t.cfg.Catalogue.Look(number)
	if l.Bill == nil {
		return l
	}
	paid, problem := t.payments(l.Bill)
	if problem.Key != "" {
		return Looked{Number: l.Number, Problem: problem}
	}
	l.Paid = paid
	return l
}

// lookAgain asks the ledger once more before a sale opens: while the citizen reads the
// bill, a neighbour may bring word that it was paid elsewhere. ok is false where it says
// what the screen shows.
func (t *Till) lookAgain() (news PaidNow, ok bool) {
	if t.m.step != StepDues || t.m.bill == nil {
		return PaidNow{}, false
	}
	paid, problem := t.payments(t.m.bill)
	same := slices.EqualFunc(paid, t.m.paid, func(a, b Paid) bool { return a.Receipt == b.Receipt && a.Kiosk == b.Kiosk && a.Applied == b.Applied })
	return PaidNow{Paid: paid, Problem: problem}, !same || problem.Key != ""
}

// payments are those known of a bill, or what the citizen is told where nobody can tell.
func (t *Till) payments(bill *Bill) ([]Paid, Problem) {
	paid, err := t.cfg.Payments(bill.Keys()...)
	if err != nil {
		t.cfg.Log.Error("a bill is refused, since nobody can tell whether it was paid", "error", err)
		return nil, Problem{Key: "kiosk.identify.error.paid_unknown"}
	}
	return paid, Problem{}
}

func (t *Till) step(ctx context.Context, ev Event) error {
	return t.perform(ctx, t.m.Step(t.cfg.Now(), ev))
}

// perform does what the machine wants, in the one order that loses nothing: keep
// the personal data, commit, fold what was committed, show, and only then command.
func (t *Till) perform(ctx context.Context, out Out) error {
	if out.Keep != nil {
		if err := t.cfg.Personal.Keep(ctx, *out.Keep); err != nil {
			if ctx.Err() != nil {
				return nil // nothing was committed: the sale has not begun
			}
			return fmt.Errorf("couldn't keep the bill's data: %w", err)
		}
	}
	if out.Names != nil {
		out.Draft = t.name(out.Draft, *out.Names)
	}
	var copies []*event.PrintIntent
	if out.Draft != nil {
		var err error
		if copies, err = t.commit(ctx, out.Draft); err != nil {
			return err
		}
	}
	t.publish()
	for _, c := range copies {
		t.cfg.Spool.Print(c.Subject, c.Copy)
	}
	for _, c := range out.Commands {
		t.command(c)
	}
	return nil
}

// name adds the entry that names the sealed blob of a sale. A blob that is lost keeps
// no money from being written down.
func (t *Till) name(d Draft, n Naming) Draft {
	blob, ok := t.cfg.Personal.Blob(n.Bill)
	if !ok {
		t.cfg.Log.Error("the sealed blob of a sale is lost: the office learns of its bill what the entries say", "sale", n.Sale)
		return d
	}
	return n.then(d, blob)
}

// commit makes a draft durable and folds it. It returns the copies that are now
// intended.
func (t *Till) commit(ctx context.Context, draft Draft) ([]*event.PrintIntent, error) {
	stamp := t.cfg.Clock()
	var copies []*event.PrintIntent
	first, entries, err := t.cfg.Committer.Commit(ctx, func(first uint64) ([]ledger.Entry, error) {
		var entries []ledger.Entry
		for _, body := range draft(first) {
			e, err := event.New(stamp, body)
			if err != nil {
				return nil, err
			}
			if c, ok := body.(*event.PrintIntent); ok {
				copies = append(copies, c)
			}
			entries = append(entries, e)
		}
		return entries, nil
	})
	if err != nil {
		return nil, fmt.Errorf("couldn't make entries durable: %w", err)
	}
	for i, entry := range entries {
		if err := fold(t.m.Apply, first+uint64(i), entry); err != nil {
			return nil, fmt.Errorf("couldn't fold what was committed: %w", err)
		}
	}
	return copies, nil
}

func (t *Till) publish() {
	v := t.m.View()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.figures = t.m.figures
	t.figures.Box = maps.Clone(t.m.figures.Box)
	if t.version > 0 && reflect.DeepEqual(v, t.view) {
		return
	}
	t.view = v
	t.version++
	close(t.changed)
	t.changed = make(chan struct{})
}

// command passes one command on. A device that refuses it has changed its state in
// the meantime and says so by an event: the machine goes on from that.
func (t *Till) command(c Command) {
	var err error
	switch c := c.(type) {
	case EnableNotes:
		err = t.cfg.Acceptor.Enable(c.Channels)
	case DisableNotes:
		err = t.cfg.Acceptor.Disable()
	case StackNote:
		err = t.cfg.Acceptor.Stack()
	case ReturnNote:
		err = t.cfg.Acceptor.Return()
	case AskPrinter:
		t.cfg.Spool.Ask(c.Subject, c.Copy, c.Since)
	case Forget:
		err = t.cfg.Personal.Forget(c.Bill)
	}
	if err != nil {
		t.cfg.Log.Warn("a command was refused", "command", fmt.Sprintf("%T", c), "error", err)
	}
}
