// Package office shows what the office holds: payments, what is in each kiosk's
// box, when and by which way it last heard of each, and what the books ask. It is a view in memory,
// folded from the entries and rebuilt at every start; nothing in it is a source.
package office

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"sync"
	"time"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/receipt"
)

// paymentsMax bounds the list of newest payments; totals count all of them.
const paymentsMax = 500

// LogInfo is one log that the office holds, or of a log that has forked one branch: all
// of them count. Branches keep their numbers, 0 is the first.
type LogInfo struct {
	ID      ledger.LogID
	Opened  *event.LogOpened
	Size    uint64
	Branch  int
	Departs uint64 // the first entry that a further branch does not share with another
}

// Ledger is the office's store. Logs gives every branch of every log, those of one log
// by number. Range calls f for durable entries only, in order. Books are the logs with all
// their branches, as the books need them.
type Ledger interface {
	Logs() []LogInfo
	Books() []book.Log
	Range(l LogInfo, from, to uint64, f func(index uint64, entry []byte) error) error
	Updates() (<-chan struct{}, func())
}

// Heard is how a log last grew: when, and from which machine; ok is false when it
// did not since the office started.
type Heard struct {
	At  time.Time
	Via uint32 // slot of the machine that brought it
}

// Network tells how logs came and who is connected now.
type Network interface {
	LastHeard(id ledger.LogID) (Heard, bool)
	Connected(slot uint32) bool
}

// Payment is one payment or credit slip, as the page shows it.
type Payment struct {
	Number   string
	Kiosk    string
	Slot     uint32
	At       time.Time
	Certain  bool // the kiosk's clock had a source
	Biller   string
	Slip     bool
	Tendered ledger.Paise
	Applied  ledger.Paise
	Surplus  ledger.Paise
}

// Kiosk is one kiosk, as the page shows it.
type Kiosk struct {
	Slot      uint32
	Name      string
	Place     string
	Entries   uint64
	InBox     ledger.Paise
	Notes     map[ledger.Paise]int
	Payments  int
	Taken     ledger.Paise // tendered in payments and slips
	Questions int
	LastEntry time.Time // by the kiosk's own clock, zero if none
	Heard     Heard
	EverHeard bool
	Connected bool
	Forks     int    // histories of its logs beyond the first of each: a disk was restored or copied
	Fault     string // keywords of the device faults that are open, if any
}

// Snapshot is what the page shows.
type Snapshot struct {
	Kiosks    []Kiosk
	Payments  []Payment // newest first
	Count     int       // of all payments and slips
	Total     ledger.Paise
	InBoxes   ledger.Paise
	Questions int        // how many are open
	Asked     []Asked    // of each reason with open questions, the most urgent first
	Open      []Question // the most urgent first, of those the oldest; at most questionsMax
}

// View is the actor that folds the ledger.
type View struct {
	ledger  Ledger
	network Network
	log     *slog.Logger
	books   *book.Keeper // owned by Run

	mu       sync.Mutex
	logs     map[ledger.LogID]*fold   // guarded by mu: of the first branch of each
	forked   map[ledger.LogID][]*fold // guarded by mu: of the further ones, in order
	taken    map[ledger.Position]bool // guarded by mu: notes that a later log has taken over before they were read
	machines map[uint32]*machine      // guarded by mu
	payments []Payment                // guarded by mu, oldest first
	count    int                      // guarded by mu
	total    ledger.Paise             // guarded by mu
	open     []book.Question          // guarded by mu
	asked    []Asked                  // guarded by mu
	askedOf  map[uint32]int           // guarded by mu: open questions by slot
	version  uint64                   // guarded by mu
	changed  chan struct{}            // guarded by mu: closed at the next change
}

type machine struct {
	name, place string
	entries     uint64
	inBox       ledger.Paise
	notes       map[ledger.Paise]int
	payments    int
	taken       ledger.Paise
	forks       int
	lastMs      uint64
	faults      map[event.DeviceFault]bool // open ones, by device and number
	log         ledger.LogID
	opened      bool
}

// fold is how far one branch of a log has been read, with the notes that are still open.
type fold struct {
	id     ledger.LogID
	next   uint64
	shared uint64 // entries before this one are counted with another branch
	author event.Author
	slot   uint32
	ord    uint32
	escrow map[uint64]ledger.Paise
}

// NewView returns an empty view that does nothing until Run, which keeps the books.
func NewView(l Ledger, n Network, books *book.Keeper, log *slog.Logger) *View {
	return &View{ledger: l, network: n, books: books, log: log, logs: map[ledger.LogID]*fold{}, taken: map[ledger.Position]bool{}, forked: map[ledger.LogID][]*fold{}, machines: map[uint32]*machine{}, changed: make(chan struct{})}
}

// booksRest is how many times as long the books rest as they worked: to look into each
// of 15,000 logs takes a tenth of a second, whatever is new, and news comes all the time.
const booksRest = 9

// Run follows the ledger until ctx ends.
func (v *View) Run(ctx context.Context) error {
	updates, cancel := v.ledger.Updates()
	defer cancel()
	rest := time.NewTimer(0)
	defer rest.Stop()
	stale, resting := true, true
	for {
		if err := v.refresh(); err != nil {
			return err
		}
		if stale && !resting {
			started := time.Now()
			if err := v.ask(); err != nil {
				return err
			}
			stale, resting = false, true
			rest.Reset(booksRest * time.Since(started))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-updates:
			stale = true
		case <-rest.C:
			resting = false
		}
	}
}

func (v *View) refresh() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	grew := false
	for _, l := range v.ledger.Logs() {
		f := v.fold(l)
		if f.next >= l.Size {
			continue
		}
		err := v.ledger.Range(l, f.next, l.Size, func(index uint64, raw []byte) error {
			f.next = index + 1
			return v.entry(l.ID, f, index, raw)
		})
		if err != nil {
			return fmt.Errorf("couldn't read log %s: %w", l.ID, err)
		}
		grew = true
	}
	if grew {
		v.notify()
	}
	return nil
}

// notify tells whoever waits for a change; the caller holds v.mu.
func (v *View) notify() {
	v.version++
	close(v.changed)
	v.changed = make(chan struct{})
}

// fold is how far a branch has been read. A further one marks its machine.
func (v *View) fold(l LogInfo) *fold {
	if l.Branch == 0 && v.logs[l.ID] != nil {
		return v.logs[l.ID]
	}
	if l.Branch > 0 && l.Branch <= len(v.forked[l.ID]) {
		return v.forked[l.ID][l.Branch-1]
	}
	m := l.Opened.Chain.Machine
	f := &fold{id: l.ID, author: l.Opened.Author(), slot: m.Slot, ord: l.Opened.Grant.Ordinal, escrow: map[uint64]ledger.Paise{}}
	if l.Branch == 0 {
		v.logs[l.ID] = f
		return f
	}
	f.shared = l.Departs
	v.forked[l.ID] = append(v.forked[l.ID], f)
	if m.Role == cert.RoleKiosk {
		v.machine(m.Slot).forks++ // the books ask about it
	}
	return f
}

func (v *View) machine(slot uint32) *machine {
	m := v.machines[slot]
	if m == nil {
		m = &machine{notes: map[ledger.Paise]int{}, faults: map[event.DeviceFault]bool{}}
		v.machines[slot] = m
	}
	return m
}

func (v *View) entry(id ledger.LogID, f *fold, index uint64, raw []byte) error {
	e, err := ledger.DecodeEntry(raw)
	if err != nil {
		return fmt.Errorf("entry %d: %w", index, err)
	}
	shared := index < f.shared
	if f.author.Role == cert.RoleKiosk && !shared {
		m := v.machine(f.slot)
		m.log, m.opened = id, true
		m.entries++
		m.lastMs = max(m.lastMs, e.Time.WallMs)
	}
	if !f.author.MayWrite(index, e.Kind) {
		return nil // the books list it
	}
	body, err := event.Decode(e)
	if errors.Is(err, ledger.ErrMalformed) {
		v.log.Warn("an entry breaks its kind's form", "log", id.String(), "index", index, "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("entry %d: %w", index, err)
	}
	if b, ok := body.(*event.MachineEnrolled); ok {
		m := v.machine(b.Chain.Machine.Slot)
		m.name, m.place = b.Name, b.Place
		m.opened = m.opened || b.Chain.Machine.Role == cert.RoleKiosk
		return nil
	}
	switch {
	case f.author.Role != cert.RoleKiosk:
	case shared:
		f.follow(index, body)
	default:
		v.fact(f, index, e, raw, body)
	}
	return nil
}

// follow keeps the open notes where the entry is counted with another branch.
func (f *fold) follow(index uint64, body event.Body) {
	switch b := body.(type) {
	case *event.NoteEscrowed:
		f.escrow[index] = b.Value
	case *event.NoteReturned:
		delete(f.escrow, b.Note)
	case *event.NoteStacked:
		delete(f.escrow, b.Note)
	case *event.NoteUnresolved:
		delete(f.escrow, b.Note)
	}
}

func (v *View) fact(f *fold, index uint64, e ledger.Entry, raw []byte, body event.Body) {
	m := v.machine(f.slot)
	switch b := body.(type) {
	case *event.NoteEscrowed:
		if !v.taken[ledger.Position{Log: f.id, Index: index}] {
			f.escrow[index] = b.Value
		}
	case *event.NoteReturned:
		delete(f.escrow, b.Note)
	case *event.NoteTakenOver:
		v.takeOver(f, index, b)
	case *event.NoteStacked:
		if value, open := f.escrow[b.Note]; open {
			m.inBox += value
			m.notes[value]++
			delete(f.escrow, b.Note)
		}
	case *event.NoteUnresolved:
		delete(f.escrow, b.Note)
	case *event.NoteOrphaned:
		m.inBox += b.Value
		m.notes[b.Value]++
	case *event.DeviceFault:
		m.fault(b)
	case *event.PaymentCommitted:
		v.paid(f, index, e, raw, Payment{Biller: b.Biller, Tendered: b.Tendered, Applied: b.Applied, Surplus: b.Surplus})
	case *event.SlipIssued:
		v.paid(f, index, e, raw, Payment{Biller: b.Biller, Slip: true, Tendered: b.Amount, Surplus: b.Amount})
	}
}

// takeOver takes a note over from an earlier log: where that is open there, or not read
// yet, this log says where it is.
func (v *View) takeOver(f *fold, index uint64, b *event.NoteTakenOver) {
	earlier := v.logs[b.Note.Log]
	if earlier == nil || earlier.next <= b.Note.Index {
		if b.Stacked {
			return // that log will say so
		}
		v.taken[ledger.Position{Log: b.Note.Log, Index: b.Note.Index}] = true
	} else if _, open := earlier.escrow[b.Note.Index]; !open {
		return // it is counted, or came back
	} else {
		delete(earlier.escrow, b.Note.Index)
	}
	f.escrow[index] = b.Value
}

func (v *View) paid(f *fold, index uint64, e ledger.Entry, raw []byte, p Payment) {
	m := v.machine(f.slot)
	p.Slot, p.At, p.Certain = f.slot, time.UnixMilli(int64(e.Time.WallMs)), e.Time.Quality != ledger.TimeNone
	p.Number = receipt.Number(f.slot, f.ord, index, ledger.LeafHash(raw))
	m.payments++
	m.taken += p.Tendered
	v.count++
	v.total += p.Tendered
	v.payments = append(v.payments, p)
	if len(v.payments) > 2*paymentsMax {
		v.payments = append([]Payment(nil), v.payments[len(v.payments)-paymentsMax:]...)
	}
}

// Changed returns a version that grows with the view, and a channel that closes when
// it does.
func (v *View) Changed() (uint64, <-chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.version, v.changed
}

// Snapshot returns what the page shows now. It may be called from any goroutine.
func (v *View) Snapshot() Snapshot {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := Snapshot{Count: v.count, Total: v.total, Asked: slices.Clone(v.asked), Open: v.questions()}
	for _, a := range v.asked {
		s.Questions += a.Count
	}
	for slot, m := range v.machines {
		if !m.opened {
			continue
		}
		k := v.kiosk(slot, m)
		s.InBoxes += k.InBox
		s.Kiosks = append(s.Kiosks, k)
	}
	sort.Slice(s.Kiosks, func(i, j int) bool { return s.Kiosks[i].Slot < s.Kiosks[j].Slot })
	s.Payments = append(s.Payments, v.payments[max(0, len(v.payments)-paymentsMax):]...)
	sort.SliceStable(s.Payments, func(i, j int) bool { return s.Payments[i].At.After(s.Payments[j].At) })
	for i := range s.Payments {
		s.Payments[i].Kiosk = v.machines[s.Payments[i].Slot].name
	}
	return s
}

func (v *View) kiosk(slot uint32, m *machine) Kiosk {
	k := Kiosk{
		Slot: slot, Name: m.name, Place: m.place, Entries: m.entries, InBox: m.inBox, Notes: map[ledger.Paise]int{},
		Payments: m.payments, Taken: m.taken, Questions: v.askedOf[slot], Forks: m.forks, Connected: v.network.Connected(slot),
	}
	for value, n := range m.notes {
		k.Notes[value] = n
	}
	if m.lastMs > 0 {
		k.LastEntry = time.UnixMilli(int64(m.lastMs))
	}
	k.Fault = faultWords(m.faults)
	k.Heard, k.EverHeard = v.network.LastHeard(m.log)
	return k
}
