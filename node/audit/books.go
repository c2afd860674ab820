package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"sort"
	"time"

	"rasid/ledger"
	"rasid/ledger/book"
)

// bookFiles returns the derived books as files. The bytes depend on the entries and
// the fleet's key alone.
func bookFiles(fleet ed25519.PublicKey, logs []*logEntries) ([]file, book.Books, error) {
	var in []book.Log
	for _, l := range logs {
		in = append(in, l.book())
	}
	books, err := book.Of(fleet, in)
	if err != nil {
		return nil, books, fmt.Errorf("couldn't compute the books: %w", err)
	}
	postings, err := postingLines(books)
	if err != nil {
		return nil, books, err
	}
	named := names(logs)
	return []file{{journalName, journal(books, named)}, {beancountName, beancount(books, named)}, {postingsName, postings}}, books, nil
}

// beancountName is the file of the second format in an export folder.
const beancountName = "books/ledger.beancount"

const unchanged = "; Rasid: books derived from the entries; change nothing here, it is verified byte by byte\n"

// journal writes the books in hledger's format.
func journal(b book.Books, named map[uint32]string) []byte {
	var w bytes.Buffer
	w.WriteString(unchanged)
	w.WriteString("decimal-mark .\ncommodity INR 1000.00\n\n")
	writeNames(&w, named)
	for _, a := range accounts(b) {
		fmt.Fprintf(&w, "account %s\n", a)
	}
	for _, t := range b.Transactions {
		fmt.Fprintf(&w, "\n%s * %s  ; kind:%d, log:%s, index:%d\n", istDate(t.WallMs), t.Entry, t.Kind, t.At.Log, t.At.Index)
		for _, p := range t.Postings {
			fmt.Fprintf(&w, "    %s  INR %s\n", p.Account, decimal(p.Amount))
		}
	}
	writeQuestions(&w, b)
	return w.Bytes()
}

// beancountLastDay is the last that beancount can read: a clock may be beyond it by
// the hours that India is ahead.
const beancountLastDay = "9999-12-31"

// beancount writes the books in beancount's format.
func beancount(b book.Books, named map[uint32]string) []byte {
	var w bytes.Buffer
	w.WriteString(unchanged)
	w.WriteString("option \"operating_currency\" \"INR\"\n\n")
	writeNames(&w, named)
	for _, a := range accounts(b) {
		fmt.Fprintf(&w, "1970-01-01 open %s INR\n", a)
	}
	for _, t := range b.Transactions {
		day := istDate(t.WallMs)
		if len(day) > len(beancountLastDay) {
			day = beancountLastDay
		}
		fmt.Fprintf(&w, "\n%s * \"%s\"\n  kind: %d\n  log: \"%s\"\n  index: %d\n", day, t.Entry, t.Kind, t.At.Log, t.At.Index)
		for _, p := range t.Postings {
			fmt.Fprintf(&w, "  %s  %s INR\n", p.Account, decimal(p.Amount))
		}
	}
	writeQuestions(&w, b)
	return w.Bytes()
}

func writeNames(w *bytes.Buffer, named map[uint32]string) {
	var slots []int
	for slot := range named {
		slots = append(slots, int(slot))
	}
	sort.Ints(slots)
	for _, slot := range slots {
		fmt.Fprintf(w, "; K%d = %s\n", slot, named[uint32(slot)])
	}
}

func writeQuestions(w *bytes.Buffer, b book.Books) {
	if len(b.Questions) > 0 {
		w.WriteString("\n; open questions\n")
	}
	for _, q := range b.Questions {
		fmt.Fprintf(w, "; %s %s INR %s\n", q.Entry, q.Reason, decimal(q.Amount))
	}
}

// accounts are all that a posting names, those that are zero again too.
func accounts(b book.Books) []string {
	seen := map[string]bool{}
	var names []string
	for _, t := range b.Transactions {
		for _, p := range t.Postings {
			if !seen[p.Account] {
				seen[p.Account] = true
				names = append(names, p.Account)
			}
		}
	}
	sort.Strings(names)
	return names
}

// istDate is the day in India, five and a half hours before UTC's.
func istDate(ms uint64) string {
	return time.UnixMilli(int64(ms)).UTC().Add(5*time.Hour + 30*time.Minute).Format(time.DateOnly)
}

func decimal(p ledger.Paise) string {
	sign := ""
	if p < 0 {
		sign, p = "-", -p
	}
	return fmt.Sprintf("%s%d.%02d", sign, p/100, p%100)
}

// postingLines writes one JSON object a transaction, for other programs.
func postingLines(b book.Books) ([]byte, error) {
	var w bytes.Buffer
	enc := json.NewEncoder(&w)
	for _, t := range b.Transactions {
		if err := enc.Encode(t); err != nil {
			return nil, fmt.Errorf("couldn't write postings: %w", err)
		}
	}
	return w.Bytes(), nil
}
