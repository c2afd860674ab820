package event

import "rasid/ledger"

// NoteCount is how many notes of one value.
type NoteCount struct {
	_     struct{} `cbor:",toarray"`
	Value ledger.Paise
	Count uint32
}

// NoteCounts are notes by value, ascending; none for an empty box.
type NoteCounts []NoteCount

// valuesMax bounds how many values of notes a box is counted by.
const valuesMax = 32

// Sum is what the notes are worth, at most amountMax where check has passed.
func (c NoteCounts) Sum() ledger.Paise {
	var sum ledger.Paise
	for _, n := range c {
		sum += n.Value * ledger.Paise(n.Count)
	}
	return sum
}

func (c NoteCounts) check() error {
	if len(c) > valuesMax {
		return bad("%d values of notes, the limit is %d", len(c), valuesMax)
	}
	var sum ledger.Paise
	for i, n := range c {
		if err := checkValue(n.Value); err != nil {
			return err
		}
		if n.Count == 0 || i > 0 && n.Value <= c[i-1].Value {
			return bad("%d notes of %d paise: want values in ascending order, each with some", n.Count, n.Value)
		}
		// A value is at most 10^6 and a count below 2^33: no product overflows.
		if sum += n.Value * ledger.Paise(n.Count); sum > amountMax {
			return bad("notes of more than %d paise", amountMax)
		}
	}
	return nil
}

// CashBoxRemoved says that the cash box was taken out, in a sealed bag, with what
// the kiosk knows to be in it. Its index names the bag.
type CashBoxRemoved struct {
	Seal     string     `cbor:"0,keyasint"` // printed on the bag
	Counters Counters   `cbor:"1,keyasint"`
	Notes    NoteCounts `cbor:"2,keyasint"`
}

// Kind returns KindCashBoxRemoved.
func (*CashBoxRemoved) Kind() ledger.Kind { return KindCashBoxRemoved }
func (b *CashBoxRemoved) check() error {
	if len(b.Seal) == 0 || !plain(b.Seal, sealMaxBytes) {
		return bad("bag seal %q, want 1 to %d printable ASCII characters", b.Seal, sealMaxBytes)
	}
	return b.Notes.check()
}

const sealMaxBytes = 32

// CashBoxInserted says that an empty cash box was put in.
type CashBoxInserted struct {
	Counters Counters `cbor:"0,keyasint"`
}

// Kind returns KindCashBoxInserted.
func (*CashBoxInserted) Kind() ledger.Kind { return KindCashBoxInserted }
func (*CashBoxInserted) check() error      { return nil }

// BoxCounted is the office's count of what was in a bag: money, whatever the kiosk
// believed.
type BoxCounted struct {
	Bag   Ref        `cbor:"0,keyasint"` // CashBoxRemoved
	Notes NoteCounts `cbor:"1,keyasint"`
}

// Kind returns KindBoxCounted.
func (*BoxCounted) Kind() ledger.Kind { return KindBoxCounted }
func (b *BoxCounted) check() error    { return b.Notes.check() }

// DepositSeen says that the bank has received cash, as its own statement says.
type DepositSeen struct {
	Slip   string       `cbor:"0,keyasint"` // the bank's number of it
	Amount ledger.Paise `cbor:"1,keyasint"`
	Bags   []Ref        `cbor:"2,keyasint"` // CashBoxRemoved, ascending; none where nobody knows yet
}

const bagsMax = 64

// Kind returns KindDepositSeen.
func (*DepositSeen) Kind() ledger.Kind { return KindDepositSeen }
func (b *DepositSeen) check() error {
	if err := checkSome("deposit slip", b.Slip, referenceMaxBytes); err != nil {
		return err
	}
	if len(b.Bags) > bagsMax {
		return bad("a deposit of %d bags, the limit is %d", len(b.Bags), bagsMax)
	}
	for i := 1; i < len(b.Bags); i++ {
		if !b.Bags[i-1].before(b.Bags[i]) {
			return bad("bags are not in ascending order")
		}
	}
	return checkAmount("deposit", b.Amount)
}
