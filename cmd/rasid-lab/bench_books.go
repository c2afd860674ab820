package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"time"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

const (
	booksLogs    = 50
	booksEntries = 20_000 // of each log
)

// bookedLog is a kiosk's log for the books, which believe what a store has verified:
// it has no signatures.
type bookedLog struct {
	slot    uint32
	entries [][]byte
	err     error
}

func (l *bookedLog) add(bodies ...event.Body) {
	for _, b := range bodies {
		e, err := event.New(ledger.Time{WallMs: 1795500000000 + uint64(len(l.entries))*1000, Quality: ledger.TimeOperator}, b)
		if err == nil {
			var raw []byte
			if raw, err = ledger.EncodeEntry(e); err == nil {
				l.entries = append(l.entries, raw)
			}
		}
		if err != nil && l.err == nil {
			l.err = err
		}
	}
}

// sale is one sale of four notes; of twenty bills one is paid at another kiosk too.
func (l *bookedLog) sale(n uint64) {
	var bill event.BillKey
	binary.BigEndian.PutUint64(bill[:], n)
	if n%20 != 0 {
		binary.BigEndian.PutUint32(bill[8:], l.slot)
	}
	sale := uint64(len(l.entries))
	l.add(&event.SaleOpened{Service: event.ServiceElectricity, Language: event.Hindi},
		&event.BillSelected{Sale: sale, Biller: "JVVNL", Bill: bill, Due: 1264_00, DueDay: 20785, Source: event.SourceDues, AsOfMs: 1795500000000, Surplus: event.SurplusNextBill, Part: true})
	var stacked []uint64
	for _, value := range []ledger.Paise{500_00, 500_00, 200_00, 100_00} {
		at := uint64(len(l.entries))
		l.add(&event.NoteEscrowed{Sale: sale, Value: value, Channel: 6, Serial: 1873452}, &event.StackIntent{Note: at}, &event.NoteStacked{Note: at, Evidence: event.EvidenceEvent, Raw: []byte{0xEE, 6}})
		stacked = append(stacked, at+2)
	}
	l.add(&event.PaymentCommitted{Sale: sale, Biller: "JVVNL", Bill: bill, Due: 1264_00, Tendered: 1300_00, Applied: 1264_00, Surplus: 36_00, Rule: event.SurplusNextBill, Tender: event.TenderCash, Notes: event.RefNotes(stacked...)},
		&event.SaleEnded{Sale: sale, Reason: event.EndPaid}, &event.PrintIntent{Subject: uint64(len(l.entries)), Copy: 1}, &event.Printed{Subject: uint64(len(l.entries)), Copy: 1})
}

// log is the log as far as it is written when the books read it.
func (l *bookedLog) log() book.Log {
	return book.Log{ID: ledger.LogID{byte(l.slot)}, Slot: l.slot, Ordinal: 1, Author: event.Author{Role: cert.RoleKiosk}, Rules: book.Newest(), Each: func(from uint64, f func(uint64, []byte) error) error {
		for i := from; i < uint64(len(l.entries)); i++ {
			if err := f(i, l.entries[i]); err != nil {
				return err
			}
		}
		return nil
	}}
}

// benchBooks computes the books of a million entries, and then of one sale more.
func benchBooks(context.Context, string) ([]figure, error) {
	var kiosks []*bookedLog
	var logs []book.Log
	total := 0
	for slot := range uint32(booksLogs) {
		l := &bookedLog{slot: slot + 1}
		l.add(&event.LogOpened{Currency: event.Currency})
		for n := uint64(0); len(l.entries) < booksEntries; n++ {
			l.sale(n)
		}
		if l.err != nil {
			return nil, l.err
		}
		total += len(l.entries)
		kiosks, logs = append(kiosks, l), append(logs, l.log())
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	k := book.NewKeeper(nil)
	begin := time.Now()
	if err := k.Take(logs); err != nil {
		return nil, err
	}
	whole := time.Since(begin)
	runtime.GC()
	runtime.ReadMemStats(&after)
	var steps []time.Duration
	for range 50 {
		kiosks[7].sale(uint64(len(kiosks[7].entries)))
		begin := time.Now()
		if err := k.Take(logs); err != nil {
			return nil, err
		}
		steps = append(steps, time.Since(begin))
	}
	full, err := book.Of(nil, logs)
	if err != nil {
		return nil, err
	}
	if k.Balance("Liabilities:Biller:JVVNL") != full.Balances["Liabilities:Biller:JVVNL"] || k.Balance("Liabilities:Biller:JVVNL") == 0 {
		return nil, fmt.Errorf("the keeper owes JVVNL %d, the whole books %d", k.Balance("Liabilities:Biller:JVVNL"), full.Balances["Liabilities:Biller:JVVNL"])
	}
	return []figure{
		{"books.entries", float64(total), "entries", ">= 1000000"},
		{"books.whole", whole.Seconds(), "s", "<= 10"},
		{"books.whole_rate", float64(total) / whole.Seconds(), "entries/s", ">= 100000"},
		{"books.held_in_memory", float64(after.HeapAlloc-before.HeapAlloc) / (1 << 20), "MiB", ""},
		{"books.one_sale_more_p50", quantile(steps, 0.5), "ms", "<= 5"},
	}, nil
}
