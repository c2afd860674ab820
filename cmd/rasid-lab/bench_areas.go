package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"time"

	"rasid/cmd/rasid-lab/cabinet"
	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
	"rasid/node"
	"rasid/node/audit"
	"rasid/node/till"
	"rasid/node/till/slip"
	"rasid/sync/peer"
	"rasid/sync/peer/ondisk"
	"rasid/sync/simnet"
)

// benchLedger compares one note's intent, durable and signed, with a raw append and
// fdatasync of as many bytes: on the file system of dir and, where that is an ext4
// without a journal, on one with.
func benchLedger(ctx context.Context, dir string) ([]figure, error) {
	figures, err := benchCommits(ctx, dir, "ledger.")
	if err != nil {
		return nil, err
	}
	fs, err := fileSystem(dir)
	if err != nil || fs != ext4Bare || os.Geteuid() != 0 {
		return figures, err
	}
	err = onJournal(ctx, dir, func(dir string) error {
		more, err := benchCommits(ctx, dir, "ledger.journaled_")
		figures = append(figures, more...)
		return err
	})
	return figures, err
}

func benchCommits(ctx context.Context, dir, prefix string) ([]figure, error) {
	b, err := storetest.BenchCommit(ctx, dir)
	if err != nil {
		return nil, err
	}
	durable, err := benchDurable(ctx, dir, prefix)
	if err != nil {
		return nil, err
	}
	return append([]figure{
		{prefix + "commit_p50_over_raw", b.OneRatio, "x", "<= 2"},
		{prefix + "commit_16_writers_over_raw", b.SixteenRatio, "x", "<= 1"},
		{prefix + "commits_a_batch_at_16", b.Batch, "commits", ""},
	}, durable...), nil
}

// lines is a log in memory, for papers and exports.
type lines struct {
	key     ed25519.PrivateKey
	held    ledger.Log
	entries [][]byte
	points  []ledger.Checkpoint
}

func (l *lines) Entry(index uint64) ([]byte, error) {
	if index >= uint64(len(l.entries)) {
		return nil, errors.New("no such entry")
	}
	return l.entries[index], nil
}

func (l *lines) Covering(index uint64) (ledger.Checkpoint, error) {
	for _, c := range l.points {
		if c.Size > index {
			return c, nil
		}
	}
	return ledger.Checkpoint{}, errors.New("no checkpoint")
}

func (l *lines) commit(bodies ...event.Body) error {
	var raw [][]byte
	for _, b := range bodies {
		e, err := event.New(ledger.Time{WallMs: 1795500000000 + uint64(len(l.entries)), Quality: ledger.TimeOperator}, b)
		if err != nil {
			return err
		}
		bytes, err := ledger.EncodeEntry(e)
		if err != nil {
			return err
		}
		raw = append(raw, bytes)
	}
	r, err := l.held.NewRun(l.key, raw)
	if err != nil {
		return err
	}
	if l.held, _, err = l.held.Extend(r); err != nil {
		return err
	}
	l.entries, l.points = append(l.entries, raw...), append(l.points, r.End)
	return nil
}

// newLines opens a log of a machine; it returns its entry 0 too.
func newLines(m simnet.Machine, stream cert.Stream) (*lines, *event.LogOpened, cert.Grant, error) {
	g, err := cert.SignGrant(m.Key, cert.Grant{LogKey: [32]byte(m.Log.Public().(ed25519.PublicKey)), Stream: stream, Ordinal: 1, Reason: cert.ReasonEnrolled})
	if err != nil {
		return nil, nil, g, err
	}
	opened := &event.LogOpened{Chain: m.Chain, Grant: g, Currency: event.Currency, Rules: book.Newest()}
	l := &lines{key: m.Log, held: ledger.Log{Key: m.Log.Public().(ed25519.PublicKey)}}
	return l, opened, g, l.commit(opened)
}

// sale commits one whole sale as the till does, in its batches.
func (l *lines) sale(bill byte) error {
	first := uint64(len(l.entries))
	key := event.BillKey{bill}
	if err := l.commit(&event.SaleOpened{Service: event.ServiceElectricity, Language: event.Hindi},
		&event.BillSelected{Sale: first, Biller: "JVVNL", Bill: key, Due: 1264_00, DueDay: 20785, Source: event.SourceDues, AsOfMs: 1795500000000, Surplus: event.SurplusNextBill, Part: true}); err != nil {
		return err
	}
	var stacked []uint64
	for _, value := range []ledger.Paise{500_00, 500_00, 200_00, 100_00} {
		at := uint64(len(l.entries))
		if err := l.commit(&event.NoteEscrowed{Sale: first, Value: value, Channel: 6, Serial: 1873452}, &event.StackIntent{Note: at}); err != nil {
			return err
		}
		if err := l.commit(&event.NoteStacked{Note: at, Evidence: event.EvidenceEvent, Raw: []byte{0xEE, 6}}); err != nil {
			return err
		}
		stacked = append(stacked, at+2)
	}
	return l.commit(&event.PaymentCommitted{Sale: first, Biller: "JVVNL", Bill: key, Due: 1264_00, Tendered: 1300_00, Applied: 1264_00, Surplus: 36_00, Rule: event.SurplusNextBill, Tender: event.TenderCash, Notes: event.RefNotes(stacked...)},
		&event.SaleEnded{Sale: first, Reason: event.EndPaid}, &event.PrintIntent{Subject: uint64(len(l.entries)), Copy: 1})
}

const notAfter = 60000 // days since 1970

// benchPaper makes the receipt of a sale as the kiosk does: sign, lay out, shape, PDF.
func benchPaper(context.Context, string) ([]figure, error) {
	m, err := simnet.NewFleet("bench").Enrol(7, cert.RoleKiosk, notAfter)
	if err != nil {
		return nil, err
	}
	l, _, grant, err := newLines(m, cert.StreamMain)
	if err != nil {
		return nil, err
	}
	if err := l.sale(1); err != nil {
		return nil, err
	}
	maker := &slip.Maker{Source: slip.Source{Key: m.Log, Grant: grant, Log: l}, Chain: m.Chain, Name: "SKR-0147", Place: "सीकर", Helpline: "181", Personal: func(event.BillKey) (till.Bill, bool) {
		return till.Bill{Number: "210123456789", Masked: "श्रीमती प्रा••• शे•••", Period: "2026-10", Biller: till.Biller{NameHi: "जयपुर विद्युत वितरण निगम"}}, true
	}}
	subject := uint64(len(l.entries) - 3)
	const rounds = 30
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var times []time.Duration
	size := 0
	for range rounds {
		begin := time.Now()
		job, err := maker.Make(subject, 1)
		if err != nil {
			return nil, err
		}
		times = append(times, time.Since(begin))
		size = len(job.Document)
	}
	runtime.ReadMemStats(&after)
	return []figure{
		{"paper.receipt_p50", quantile(times, 0.5), "ms", "<= 60"},
		{"paper.receipt_allocated", float64(after.TotalAlloc-before.TotalAlloc) / rounds / (1 << 20), "MiB", "<= 20"},
		{"paper.receipt_size", float64(size) / 1024, "KiB", "<= 60"},
	}, nil
}

// benchSync measures from before a commit to a neighbour's word that it holds the
// entry, two real hosts over loopback, both stores on disk.
func benchSync(ctx context.Context, dir string) ([]figure, error) {
	fleet := simnet.NewFleet("bench")
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var hosts []*peer.Host
	var writer *store.Writer
	var actors []node.Actor
	var author simnet.Machine
	for slot := range uint32(2) {
		m, err := fleet.Enrol(slot+1, cert.RoleKiosk, notAfter)
		if err != nil {
			return nil, err
		}
		s, err := store.Open(store.Config{Dir: filepath.Join(dir, fmt.Sprint(slot)), Fleet: fleet.Public, Machine: m.Key.Public().(ed25519.PublicKey)})
		if err != nil {
			return nil, err
		}
		defer func() { _ = s.Close() }() // the folder goes anyway
		w, err := s.OpenOwn(m.Log)
		if err != nil {
			return nil, err
		}
		disk := ondisk.Store{Store: s}
		cfg := peer.Config{Machine: m.Key, Chain: m.Chain, Fleet: fleet.Public, Store: disk, Objects: disk, Describe: disk.Describe, Listen: "127.0.0.1:0"}
		if slot == 1 {
			cfg.Peers, writer, author = []string{hosts[0].Addr()}, w, m
		}
		h, err := peer.New(cfg)
		if err != nil {
			return nil, err
		}
		if err := h.Listen(ctx); err != nil {
			return nil, err
		}
		hosts = append(hosts, h)
		actors = append(actors, node.Actor{Name: "a store", Run: s.Run}, node.Actor{Name: "a host", Run: h.Run})
	}
	var took []time.Duration
	measured := errors.New("measured")
	actors = append(actors, node.Actor{Name: "the measurement", Run: func(ctx context.Context) (err error) {
		if took, err = measureHeld(ctx, hosts[1], writer, author); err != nil {
			return err
		}
		return measured
	}})
	if err := node.Run(ctx, actors...); !errors.Is(err, measured) {
		return nil, err
	}
	return []figure{{"sync.held_at_neighbour_p50", quantile(took, 0.5), "ms", "<= 5"}, {"sync.held_at_neighbour_p99", quantile(took, 0.99), "ms", "<= 50"}}, nil
}

func measureHeld(ctx context.Context, h *peer.Host, w *store.Writer, m simnet.Machine) ([]time.Duration, error) {
	first, err := ledger.DecodeEntry(m.Entry)
	if err != nil {
		return nil, err
	}
	commit := func(entry ledger.Entry) func(ctx context.Context) (uint64, error) {
		return func(ctx context.Context) (uint64, error) {
			c, err := w.Commit(ctx, func(uint64) ([]ledger.Entry, error) { return []ledger.Entry{entry}, nil })
			return c.End.Size, err
		}
	}
	if _, err := h.MeasureHeld(ctx, w.ID(), 1, commit(first)); err != nil {
		return nil, err
	}
	e, err := event.New(ledger.Time{WallMs: 1795500000000}, &event.StackIntent{Note: 1})
	if err != nil {
		return nil, err
	}
	return h.MeasureHeld(ctx, w.ID(), 500, commit(e))
}

// benchAudit exports and verifies a ledger of whole sales.
func benchAudit(_ context.Context, dir string) ([]figure, error) {
	fleet := simnet.NewFleet("bench")
	in := audit.Input{Fleet: fleet.Public, Now: time.UnixMilli(1795600000000)}
	total := 0
	for slot := range uint32(5) {
		role, stream := cert.RoleKiosk, cert.StreamMain
		if slot == 0 {
			role, stream = cert.RoleOffice, cert.StreamAuthority
		}
		m, err := fleet.Enrol(slot+1, role, notAfter)
		if err != nil {
			return nil, err
		}
		l, opened, _, err := newLines(m, stream)
		if err != nil {
			return nil, err
		}
		if slot == 0 {
			in.Authority = m.Log
		}
		for i := 0; slot > 0 && i < 1200; i++ {
			if err := l.sale(byte(i)); err != nil {
				return nil, err
			}
		}
		total += len(l.entries)
		in.Logs = append(in.Logs, audit.LogSource{ID: m.ID(), Opened: opened, Checkpoints: l.points, Each: func(f func(uint64, []byte) error) error {
			for i, e := range l.entries {
				if err := f(uint64(i), e); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	target := filepath.Join(dir, "export")
	begin := time.Now()
	if _, err := audit.Export(target, in); err != nil {
		return nil, err
	}
	exported := time.Since(begin)
	begin = time.Now()
	report, err := audit.Verify(target, fleet.Public, nil)
	if err != nil || len(report.Findings) > 0 {
		return nil, fmt.Errorf("findings %v: %w", report.Findings, err)
	}
	verified := time.Since(begin)
	return []figure{
		{"audit.export", float64(total) / exported.Seconds(), "entries/s", ">= 50000"},
		{"audit.verify", float64(total) / verified.Seconds(), "entries/s", ">= 30000"},
		{"audit.entries", float64(total), "entries", ""},
	}, nil
}

var seqField = regexp.MustCompile(`name="seq" value="(\d+)"`)

// benchScreens measures from pressing a button to the next screen, against a real
// kiosk over loopback: POST, 303, GET.
func benchScreens(ctx context.Context, dir string) ([]figure, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c, err := cabinet.New(ctx, cabinet.Config{Dir: dir, Programs: filepath.Dir(self), Listen: "127.0.0.1:0", Kiosks: 1, Consumers: 50})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var times []time.Duration
	var failed error
	err = c.Run(ctx, func() {
		times, failed = press(c.Kiosks()[0].Screen(), 400)
		stop()
	})
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	return []figure{{"screens.post_to_next_p50", quantile(times, 0.5), "ms", "<= 20"}, {"screens.post_to_next_p99", quantile(times, 0.99), "ms", "<= 100"}}, nil
}

// press goes back and forth between the first two screens.
func press(start string, n int) ([]time.Duration, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Jar: jar}
	read := func(r *http.Response, err error) (string, error) {
		if err != nil {
			return "", err
		}
		defer func() { _ = r.Body.Close() }() // read to its end
		b, err := io.ReadAll(r.Body)
		return string(b), err
	}
	page, err := read(client.Get(start))
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(start)
	if err != nil {
		return nil, err
	}
	var times []time.Duration
	for i := range n {
		m := seqField.FindStringSubmatch(page)
		if m == nil {
			return nil, errors.New("a screen without a form")
		}
		form := url.Values{"seq": {m[1]}, "do": {"language"}, "value": {"hi"}}
		if i%2 == 1 {
			form = url.Values{"seq": {m[1]}, "do": {"back"}}
		}
		begin := time.Now()
		if page, err = read(client.PostForm("http://"+u.Host+"/k", form)); err != nil {
			return nil, err
		}
		times = append(times, time.Since(begin))
	}
	return times, nil
}
