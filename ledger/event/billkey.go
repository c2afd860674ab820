package event

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"rasid/ledger"
)

// BillKeyBytes is the length of bill and account keys.
const BillKeyBytes = 16

// BillKey names a bill, or an account, without telling the consumer number:
// HMAC under the fleet's pepper (LEDGER.md §6.3).
type BillKey [BillKeyBytes]byte

// Pepper is the fleet's secret that bill and account keys are made with. Whoever
// has it can find consumer numbers by trying them all, so it is never written to a
// log, a page or a message.
type Pepper [32]byte

// String hides the secret from messages and logs.
func (Pepper) String() string { return "(pepper)" }

// GoString hides the secret from %#v as well.
func (Pepper) GoString() string { return "(pepper)" }

const (
	billDomain    = "rasid/bill/1"
	accountDomain = "rasid/account/1"
	accountMax    = 32
	periodMax     = 16
)

// BillKeyOf names one bill: HMAC-SHA256 under the pepper over the canonical CBOR of
// ["rasid/bill/1", biller, account, period], the first 16 bytes (LEDGER.md §6.3).
// Account is the canonical account number, after the biller's renumbering table;
// both account and period are as node/catalogue writes them, never as typed.
func BillKeyOf(p Pepper, biller, account, period string) (BillKey, error) {
	if len(period) == 0 || !plain(period, periodMax) {
		return BillKey{}, bad("bill period %q, want 1 to %d printable ASCII characters", period, periodMax)
	}
	return keyed(p, billDomain, biller, account, period)
}

// AccountKeyOf names an account across its bills, over ["rasid/account/1", biller,
// account] (LEDGER.md §6.3).
func AccountKeyOf(p Pepper, biller, account string) (BillKey, error) {
	return keyed(p, accountDomain, biller, account)
}

func keyed(p Pepper, domain, biller, account string, more ...string) (BillKey, error) {
	if err := checkBiller(biller); err != nil {
		return BillKey{}, err
	}
	// The error never holds the account number: errors reach logs.
	if len(account) == 0 || !plain(account, accountMax) {
		return BillKey{}, bad("account number of %d bytes, want 1 to %d printable ASCII characters", len(account), accountMax)
	}
	msg, err := ledger.Encode(append([]string{domain, biller, account}, more...))
	if err != nil {
		return BillKey{}, fmt.Errorf("couldn't make a key of biller %s: %w", biller, err)
	}
	mac := hmac.New(sha256.New, p[:])
	mac.Write(msg)
	return BillKey(mac.Sum(nil)[:BillKeyBytes]), nil
}

// plain reports whether s is printable ASCII without spaces, at most maxBytes.
func plain(s string, maxBytes int) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) <= maxBytes
}
