package event_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/ledger/internal/vector"
)

var pepper = event.Pepper(sha256.Sum256([]byte("rasid/test/pepper")))

// keyVector's data is the key; what it is made from stands in the headers.
func keyVector(name, spec, class, reason string, data []byte, biller, account, period string) vector.Vector {
	with := map[string]string{"pepper": hex.EncodeToString(pepper[:]), "biller": biller, "account": account}
	if period != "" {
		with["period"] = period
	}
	return vector.Vector{Name: name, Spec: spec, Expect: class, Reason: reason, Data: data, With: with}
}

func TestBillKeyVectors(t *testing.T) {
	make := func(name, class, reason, biller, account, period string) vector.Vector {
		k, _ := event.BillKeyOf(pepper, biller, account, period)
		return keyVector(name, "§6.3", class, reason, k[:], biller, account, period)
	}
	vector.Keep(t, "billkey", []vector.Vector{
		make("jvvnl-november", vector.OK, "", "JVVNL", "210123456789", "2026-11"),
		make("jvvnl-december", vector.OK, "", "JVVNL", "210123456789", "2026-12"),
		make("avvnl-november", vector.OK, "", "AVVNL", "210123456789", "2026-11"),
		make("account-with-space", vector.Value, "account number of 13 bytes", "JVVNL", "2101 23456789", "2026-11"),
		make("account-hindi-digits", vector.Value, "account number of", "JVVNL", "२१०", "2026-11"),
		make("account-33-bytes", vector.Limit, "account number of 33", "JVVNL", strings.Repeat("2", 33), "2026-11"),
		make("biller-33-bytes", vector.Limit, "biller of 33", strings.Repeat("J", 33), "2101", "2026-11"),
		make("period-17-bytes", vector.Limit, "bill period", "JVVNL", "2101", strings.Repeat("2", 17)),
		make("period-with-space", vector.Value, "bill period", "JVVNL", "2101", "Nov 2026"),
	})
	for _, v := range vector.Load(t, "billkey") {
		p := event.Pepper(v.Hex(t, "pepper"))
		got, err := event.BillKeyOf(p, v.With["biller"], v.With["account"], v.With["period"])
		v.Judge(t, err, ledger.ErrMalformed)
		if want := byHand(p, "rasid/bill/1", v.With["biller"], v.With["account"], v.With["period"]); err == nil && (!bytes.Equal(got[:], v.Data) || !bytes.Equal(got[:], want)) {
			t.Errorf("%s: %x, by hand %x", v.Name, got, want)
		}
	}
}

func TestAccountKeyVectors(t *testing.T) {
	make := func(name, class, reason, biller, account string) vector.Vector {
		k, _ := event.AccountKeyOf(pepper, biller, account)
		return keyVector(name, "§6.3", class, reason, k[:], biller, account, "")
	}
	vector.Keep(t, "accountkey", []vector.Vector{
		make("jvvnl", vector.OK, "", "JVVNL", "210123456789"),
		make("avvnl", vector.OK, "", "AVVNL", "210123456789"),
		make("account-with-line", vector.Value, "account number of 5 bytes", "JVVNL", "2101\u007f"),
		make("biller-lines", vector.Value, "letters, digits and hyphens", "J:VVNL", "2101"),
	})
	for _, v := range vector.Load(t, "accountkey") {
		p := event.Pepper(v.Hex(t, "pepper"))
		got, err := event.AccountKeyOf(p, v.With["biller"], v.With["account"])
		v.Judge(t, err, ledger.ErrMalformed)
		if want := byHand(p, "rasid/account/1", v.With["biller"], v.With["account"]); err == nil && (!bytes.Equal(got[:], v.Data) || !bytes.Equal(got[:], want)) {
			t.Errorf("%s: %x, by hand %x", v.Name, got, want)
		}
	}
}

// byHand writes the CBOR byte by byte from the specification.
func byHand(p event.Pepper, texts ...string) []byte {
	msg := []byte{0x80 | byte(len(texts))}
	for _, s := range texts {
		if len(s) < 24 {
			msg = append(msg, 0x60|byte(len(s)))
		} else {
			msg = append(msg, 0x78, byte(len(s)))
		}
		msg = append(msg, s...)
	}
	mac := hmac.New(sha256.New, p[:])
	mac.Write(msg)
	return mac.Sum(nil)[:16]
}

func TestKeysTellNothing(t *testing.T) {
	if s := fmt.Sprintf("%v %s %+v %#v", pepper, pepper, pepper, pepper); strings.Contains(s, hex.EncodeToString(pepper[:4])) || strings.Count(s, "(pepper)") != 4 {
		t.Errorf("the pepper prints as %s", s)
	}
	for _, empty := range [][2]string{{"", "2026-11"}, {"2101", ""}} {
		if _, err := event.BillKeyOf(pepper, "JVVNL", empty[0], empty[1]); !errors.Is(err, ledger.ErrMalformed) {
			t.Errorf("account %q and period %q make a key: %v", empty[0], empty[1], err)
		}
	}
	if _, err := event.AccountKeyOf(pepper, "JVVNL", "21012345678X 9"); err == nil || strings.Contains(err.Error(), "21012345678X") {
		t.Errorf("the account number stands in the error: %v", err)
	}
}
