package storetest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

// mix writes sales as a kiosk does, of a realistic size and spread: bills that come
// once, a dues set for a week, one to six notes of the usual values.
type mix struct {
	rand   *rand.Rand
	at     ledger.Time
	next   uint64 // index of the next entry
	serial uint32
	counts event.Counters
	dues   ledger.Hash
}

func newMix(seed uint64) *mix {
	r := rand.New(rand.NewPCG(seed, 11))
	m := &mix{rand: r, serial: 1_870_000 + r.Uint32N(9999), next: 1}
	m.at = ledger.Time{WallMs: 1_795_500_000_000 + r.Uint64N(86_400_000), Quality: ledger.TimeOffice, BootMs: r.Uint64N(86_400_000)}
	return m
}

func (m *mix) wait(ms uint64) {
	d := ms/2 + m.rand.Uint64N(ms)
	m.at.WallMs += d
	m.at.BootMs += d
}

func (m *mix) random(b []byte) {
	for i := range b {
		b[i] = byte(m.rand.Uint32())
	}
}

// sale returns the entries of one whole sale, encoded.
func (m *mix) sale() ([][]byte, error) {
	var out [][]byte
	var errs []error
	put := func(b event.Body) uint64 {
		e, err := event.New(m.at, b)
		if err == nil {
			var raw []byte
			raw, err = ledger.EncodeEntry(e)
			out = append(out, raw)
		}
		errs = append(errs, err)
		m.next++
		return m.next - 1
	}
	if m.next == 1 || m.rand.IntN(200) == 0 { // a new week
		m.random(m.dues[:])
	}
	var bill, account event.BillKey
	m.random(bill[:])
	m.random(account[:])
	values := []ledger.Paise{100_00, 200_00, 500_00}
	notes := make([]ledger.Paise, 1+m.rand.IntN(6))
	var tendered ledger.Paise
	for i := range notes {
		notes[i] = values[m.rand.IntN(len(values))]
		tendered += notes[i]
	}
	surplus := ledger.Paise(m.rand.IntN(100) * 100 / 2)
	due := tendered - surplus
	m.wait(180_000)
	sale := put(&event.SaleOpened{Service: event.ServiceElectricity, Language: event.Hindi})
	m.wait(20_000)
	put(&event.BillSelected{Sale: sale, Biller: "JVVNL", Bill: bill, Account: account, Due: due, DueDay: uint32(20785 + m.rand.IntN(30)), Source: event.SourceDues, Dues: m.dues,
		AsOfMs: 1_795_400_000_000, Surplus: event.SurplusNextBill, Part: true})
	var stacked []uint64
	for _, value := range notes {
		m.wait(6000)
		note := put(&event.NoteEscrowed{Sale: sale, Value: value, Channel: 6, Serial: m.serial, Counters: m.counts})
		put(&event.StackIntent{Note: note})
		m.wait(2000)
		m.counts.Stacked++
		stacked = append(stacked, put(&event.NoteStacked{Note: note, Evidence: event.EvidenceEvent, Raw: []byte{0xEE, 6}}))
	}
	m.wait(3000)
	paid := put(&event.PaymentCommitted{Sale: sale, Biller: "JVVNL", Bill: bill, Due: due, Tendered: tendered, Applied: due, Surplus: surplus, Rule: event.SurplusNextBill, Tender: event.TenderCash, Notes: event.RefNotes(stacked...)})
	put(&event.SaleEnded{Sale: sale, Reason: event.EndPaid})
	put(&event.PrintIntent{Subject: paid, Copy: 1})
	m.wait(12_000)
	put(&event.Printed{Subject: paid, Copy: 1})
	return out, errors.Join(errs...)
}

// mixLog writes one log of the mix.
type mixLog struct {
	mix  *mix
	me   Machine
	log  ledger.Log
	left [][]byte // entries made and not yet in a run
}

// run returns the next run, of n entries.
func (l *mixLog) run(n int) (ledger.Run, error) {
	if l.log.End.Size == 0 {
		e, err := l.me.Open()
		if err != nil {
			return ledger.Run{}, err
		}
		raw, err := ledger.EncodeEntry(e)
		if err != nil {
			return ledger.Run{}, err
		}
		l.left = append(l.left, raw)
	}
	for len(l.left) < n {
		sale, err := l.mix.sale()
		if err != nil {
			return ledger.Run{}, err
		}
		l.left = append(l.left, sale...)
	}
	r, err := l.log.NewRun(l.me.LogKey, l.left[:n:n])
	if err != nil {
		return r, err
	}
	l.left = l.left[n:]
	l.log, _, err = l.log.Extend(r)
	return r, err
}

// WriteMix writes runs of about perRun entries of a realistic mix of sales, from
// logs kiosks by turns, until there are that many entries, and returns how many.
// Each run stands after its length, four bytes. The same arguments give the same
// bytes. The logs' fleet is NewFleet("mix").
func WriteMix(path string, entries, logs, perRun int) (written int, err error) {
	fleet, err := NewFleet("mix")
	if err != nil {
		return 0, err
	}
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	r := rand.New(rand.NewPCG(uint64(entries), uint64(logs)))
	all := make([]*mixLog, logs)
	for i := range all {
		me, err := fleet.Machine(cert.RoleKiosk, uint32(10+i))
		if err != nil {
			return 0, err
		}
		all[i] = &mixLog{mix: newMix(uint64(i)), me: me, log: ledger.Log{Key: me.Opened.Grant.PublicKey()}}
	}
	for i := 0; written < entries; i++ {
		run, err := all[i%logs].run(perRun/2 + r.IntN(perRun) + 1)
		if err != nil {
			return 0, fmt.Errorf("couldn't make a run: %w", err)
		}
		b, err := run.Encode()
		if err != nil {
			return 0, fmt.Errorf("couldn't make a run: %w", err)
		}
		if _, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)); err != nil {
			return 0, err
		}
		written += len(run.Entries)
	}
	return written, w.Flush()
}

// readMix calls f with every run that WriteMix wrote; f must not keep the bytes.
func readMix(path string, f func(b []byte) error) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	r := bufio.NewReaderSize(file, 1<<20)
	b := make([]byte, ledger.RunMaxBytes)
	for {
		var n [4]byte
		if _, err := io.ReadFull(r, n[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		size := binary.BigEndian.Uint32(n[:])
		if size > ledger.RunMaxBytes {
			return fmt.Errorf("%s: a run of %d bytes", path, size)
		}
		if _, err := io.ReadFull(r, b[:size]); err != nil {
			return err
		}
		if err := f(b[:size]); err != nil {
			return err
		}
	}
}
