package office

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/receipt"
)

// Sealed is where the ledger names a sealed blob, and what is needed to open it beside
// the key.
type Sealed struct {
	Log    ledger.LogID
	Slot   uint32
	Sale   uint64 // index of SaleOpened
	Bill   event.BillKey
	Biller string
	Due    ledger.Paise
	Object ledger.Hash
	Seal   uint32 // number of the seal key
}

// ErrNoBlob is returned when no entry held names the blob that was asked for.
var ErrNoBlob = errors.New("no sealed blob is named there")

var errFound = errors.New("found")

// FindBlob finds the sealed blob of a sale by the number on any of its papers, or by
// the blob's hash in hexadecimal. By number it reads a few entries, by hash every
// kiosk's log until it is found.
func FindBlob(l Ledger, what string) (Sealed, error) {
	what = strings.TrimSpace(what)
	if raw, err := hex.DecodeString(what); err == nil && len(raw) == ledger.HashBytes {
		return findByHash(l, ledger.Hash(raw))
	}
	if err := receipt.CheckNumber(what); err != nil {
		return Sealed{}, fmt.Errorf("%q is neither a receipt number nor a hash of 64 hexadecimal digits: %w", what, err)
	}
	return findByNumber(l, strings.ToUpper(what))
}

func findByHash(l Ledger, h ledger.Hash) (Sealed, error) {
	for _, log := range l.Logs() {
		if log.Opened.Author().Role != cert.RoleKiosk {
			continue
		}
		s, err := walk(l, log, 0, log.Size, func(b *event.BlobSealed) bool { return b.Object == h })
		if !errors.Is(err, ErrNoBlob) {
			return s, err
		}
	}
	return Sealed{}, fmt.Errorf("object %s: %w", h, ErrNoBlob)
}

// walk finds the first entry that names a wanted blob, with the bill of its sale.
func walk(l Ledger, log LogInfo, from, to uint64, wanted func(*event.BlobSealed) bool) (Sealed, error) {
	s := Sealed{Log: log.ID, Slot: log.Opened.Chain.Machine.Slot}
	var bill *event.BillSelected
	err := l.Range(log, from, to, func(_ uint64, raw []byte) error {
		e, err := ledger.DecodeEntry(raw)
		if err != nil {
			return err
		}
		if e.Kind != event.KindBillSelected && e.Kind != event.KindBlobSealed {
			return nil
		}
		body, err := event.Decode(e)
		if err != nil {
			return nil // the view lists it
		}
		switch b := body.(type) {
		case *event.BillSelected:
			bill = b
		case *event.BlobSealed:
			if bill == nil || bill.Sale != b.Sale || !wanted(b) {
				return nil
			}
			s.Sale, s.Bill, s.Biller, s.Due, s.Object, s.Seal = b.Sale, bill.Bill, bill.Biller, bill.Due, b.Object, b.Seal
			return errFound
		}
		return nil
	})
	switch {
	case errors.Is(err, errFound):
		return s, nil
	case err == nil:
		return Sealed{}, ErrNoBlob
	}
	return Sealed{}, fmt.Errorf("couldn't look for a blob: %w", err)
}

// findByNumber follows a paper to its sale: number, entry, sale, blob.
func findByNumber(l Ledger, number string) (Sealed, error) {
	index, err := strconv.ParseUint(strings.Split(number, "-")[2], 10, 64)
	if err != nil {
		return Sealed{}, fmt.Errorf("receipt number %s: %w", number, err)
	}
	for _, log := range l.Logs() {
		o := log.Opened
		if o.Author() != (event.Author{Role: cert.RoleKiosk, Stream: cert.StreamMain}) || index >= log.Size {
			continue
		}
		raw, body, err := one(l, log, index)
		if err != nil {
			return Sealed{}, err
		}
		if receipt.Number(o.Chain.Machine.Slot, o.Grant.Ordinal, index, ledger.LeafHash(raw)) != number {
			continue
		}
		sale, err := saleOf(l, log, body)
		if err != nil {
			return Sealed{}, fmt.Errorf("receipt number %s: %w", number, err)
		}
		// The blob is named by the batch of the sale's first money, before the paper or with it.
		s, err := walk(l, log, sale, min(log.Size, index+ledger.BatchMaxEntries), func(b *event.BlobSealed) bool { return b.Sale == sale })
		if err != nil {
			return Sealed{}, fmt.Errorf("receipt number %s: %w", number, err)
		}
		return s, nil
	}
	return Sealed{}, fmt.Errorf("receipt number %s: no entry held has it: it was mistyped, or its kiosk's log has not come so far", number)
}

func one(l Ledger, log LogInfo, index uint64) (raw []byte, body event.Body, err error) {
	err = l.Range(log, index, index+1, func(_ uint64, entry []byte) error {
		raw = append(raw, entry...)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't read entry %d of log %s: %w", index, log.ID, err)
	}
	e, err := ledger.DecodeEntry(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("entry %d of log %s: %w", index, log.ID, err)
	}
	if body, err = event.Decode(e); err != nil {
		body = &event.Unknown{Of: e.Kind} // it has no paper
	}
	return raw, body, nil
}

// saleOf is the sale that the subject of a paper belongs to.
func saleOf(l Ledger, log LogInfo, body event.Body) (uint64, error) {
	switch b := body.(type) {
	case *event.PaymentCommitted:
		return b.Sale, nil
	case *event.SlipIssued:
		return b.Sale, nil
	case *event.NoteUnresolved:
		_, note, err := one(l, log, b.Note)
		switch n := note.(type) {
		case *event.NoteEscrowed:
			return n.Sale, nil
		case *event.NoteTakenOver:
			return n.Sale, nil
		}
		return 0, errors.Join(err, ErrNoBlob)
	}
	return 0, fmt.Errorf("its entry is of kind %s, which has no paper: %w", event.KindName(body.Kind()), ErrNoBlob)
}
