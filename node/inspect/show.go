package inspect

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/ledger/receipt"
)

// shown is one entry as show prints it.
type shown struct {
	Log     string `json:"log"`
	Branch  int    `json:"branch,omitempty"` // of a log that has forked; what it shares with another is shown there
	Index   uint64 `json:"index"`
	Number  string `json:"number"` // of a receipt of it
	Time    string `json:"time"`
	Quality uint8  `json:"quality"`
	Kind    uint16 `json:"kind"`
	Name    string `json:"name"`
	Body    any    `json:"body,omitempty"`
	Error   string `json:"error,omitempty"` // the body breaks its kind's form; without a name: what is not here
}

var errEnough = errors.New("enough")

func (a Asker) show(ctx context.Context, logs []Log, q Query, out io.Writer) error {
	wanted, err := kindOf(q.Kind)
	if err != nil {
		return err
	}
	for _, l := range logs {
		left := q.Count
		err := a.each(l, min(max(q.From, l.Departs), l.End.Size), func(gone shown) error { return print(out, gone, q.JSON) }, func(index uint64, raw []byte) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			e, err := ledger.DecodeEntry(raw)
			if err != nil {
				return fmt.Errorf("entry %d of log %s: %w", index, l.ID, err)
			}
			if wanted != nil && e.Kind != *wanted {
				return nil
			}
			if err := print(out, describe(l, index, e, raw), q.JSON); err != nil {
				return err
			}
			if left--; left == 0 {
				return errEnough
			}
			return nil
		})
		if err != nil && err != errEnough {
			return err
		}
	}
	return nil
}

// each calls f with a log's entries from an index on, and gap where some are pruned.
func (a Asker) each(l Log, from uint64, gap func(shown) error, f func(uint64, []byte) error) error {
	if l.PrunedTo > 0 && from < l.PrunedTo {
		if from < l.PrunedFrom {
			if err := a.Ledger.Range(l, from, l.PrunedFrom, f); err != nil {
				return err
			}
		}
		if err := gap(shown{Log: l.ID.String(), Branch: l.Branch, Index: l.PrunedFrom, Error: l.pruned()}); err != nil {
			return err
		}
		from = l.PrunedTo
	}
	return a.Ledger.Range(l, from, l.End.Size, f)
}

// kindOf reads a kind by number or by name; nil for none.
func kindOf(s string) (*ledger.Kind, error) {
	if s == "" {
		return nil, nil
	}
	if n, err := strconv.ParseUint(s, 10, 16); err == nil {
		k := ledger.Kind(n)
		return &k, nil
	}
	var names []string
	for _, k := range event.Kinds() {
		if strings.EqualFold(event.KindName(k), s) {
			return &k, nil
		}
		names = append(names, event.KindName(k))
	}
	return nil, fmt.Errorf("there is no kind %q: write a number or one of %s", s, strings.Join(names, ", "))
}

func describe(l Log, index uint64, e ledger.Entry, raw []byte) shown {
	s := shown{
		Log: l.ID.String(), Branch: l.Branch, Index: index, Kind: uint16(e.Kind), Name: event.KindName(e.Kind), Quality: uint8(e.Time.Quality),
		Time:   time.UnixMilli(int64(e.Time.WallMs)).UTC().Format("2006-01-02T15:04:05.000Z"),
		Number: receipt.Number(l.Opened.Chain.Machine.Slot, l.Opened.Grant.Ordinal, index, ledger.LeafHash(raw)),
	}
	body, err := event.Decode(e)
	if err != nil {
		s.Error = err.Error()
		return s
	}
	if _, unknown := body.(*event.Unknown); unknown {
		s.Body = hex.EncodeToString(e.Body)
		return s
	}
	s.Body = plain(reflect.ValueOf(body))
	return s
}

// plain turns a body into what JSON shows well: byte strings become hexadecimal.
func plain(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return plain(v.Elem())
	case reflect.Struct:
		fields := map[string]any{}
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "_" {
				fields[name] = plain(v.Field(i))
			}
		}
		return fields
	case reflect.Array, reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b := make([]byte, v.Len())
			reflect.Copy(reflect.ValueOf(b), v)
			return hex.EncodeToString(b)
		}
		list := []any{}
		for i := range v.Len() {
			list = append(list, plain(v.Index(i)))
		}
		return list
	}
	return v.Interface()
}

func print(out io.Writer, s shown, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(s)
	}
	body, err := json.Marshal(s.Body)
	if err != nil {
		return err
	}
	if s.Name == "" && s.Error != "" {
		_, err := fmt.Fprintf(out, "log %s: %s\n", s.Log, s.Error)
		return err
	}
	if s.Error != "" {
		body = []byte("MALFORMED " + s.Error)
	}
	_, err = fmt.Fprintf(out, "%-22s %s q%d %-16s %s\n", s.Number, s.Time, s.Quality, s.Name, body)
	return err
}
