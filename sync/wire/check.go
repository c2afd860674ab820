package wire

import (
	"bytes"
	"fmt"
	"unicode"

	"rasid/ledger"
)

func bad(t Type, format string, args ...any) error {
	return fmt.Errorf("%w %s: %s", ledger.ErrMalformed, t, fmt.Sprintf(format, args...))
}

func (m *Hello) check() error {
	if m.Min == 0 || m.Max < m.Min {
		return bad(TypeHello, "versions %d to %d", m.Min, m.Max)
	}
	return nil
}

func (m *Frontier) check() error {
	if len(m.Scope) > ScopeMaxCells {
		return bad(TypeFrontier, "a scope of %d cells, the limit is %d", len(m.Scope), ScopeMaxCells)
	}
	for i := 1; i < len(m.Scope); i++ {
		if m.Scope[i] <= m.Scope[i-1] {
			return bad(TypeFrontier, "cell %d after %d", m.Scope[i], m.Scope[i-1])
		}
	}
	if len(m.Logs) > FrontierPartMaxLogs {
		return bad(TypeFrontier, "%d logs, the limit is %d", len(m.Logs), FrontierPartMaxLogs)
	}
	for i, l := range m.Logs {
		if i > 0 && bytes.Compare(m.Logs[i-1].Log[:], l.Log[:]) >= 0 {
			return bad(TypeFrontier, "log %s after %s", l.Log, m.Logs[i-1].Log)
		}
		if len(l.Tips) == 0 {
			return bad(TypeFrontier, "log %s without a tip", l.Log)
		}
		if err := checkTips(TypeFrontier, l.Tips); err != nil {
			return err
		}
	}
	if m.More && (m.Credit != 0 || len(m.Logs) == 0) {
		return bad(TypeFrontier, "a part that is not the last has %d logs and grants %d", len(m.Logs), m.Credit)
	}
	return checkCredit(TypeFrontier, m.Credit)
}

func checkCredit(t Type, n uint32) error {
	if n > CreditMax {
		return bad(t, "a credit of %d bytes, the limit is %d", n, CreditMax)
	}
	return nil
}

func checkTips(t Type, tips []ledger.Tip) error {
	if len(tips) > TipsMax {
		return bad(t, "%d tips of one log, the limit is %d", len(tips), TipsMax)
	}
	for i, tip := range tips {
		if tip.Size == 0 {
			return bad(t, "a tip of size 0")
		}
		if i == 0 {
			continue
		}
		before := tips[i-1]
		if tip.Size < before.Size || tip.Size == before.Size && bytes.Compare(before.Root[:], tip.Root[:]) >= 0 {
			return bad(t, "tip %d after %d", tip.Size, before.Size)
		}
	}
	return nil
}

func (m *Have) check() error {
	if m.Plea > PleaHush {
		return bad(TypeHave, "plea %d", m.Plea)
	}
	return checkTips(TypeHave, m.Tips)
}
func (m *Notice) check() error { return checkTips(TypeNotice, []ledger.Tip{m.Tip}) }
func (m *Run) check() error    { return nil } // ledger.DecodeRun and Run.Encode check
func (m *Want) check() error   { return checkHashes(TypeWant, m.Hashes) }
func (m *Lack) check() error   { return checkHashes(TypeLack, m.Hashes) }
func (m *Offer) check() error  { return checkHashes(TypeOffer, m.Hashes) }

func checkHashes(t Type, hashes []ledger.Hash) error {
	if len(hashes) == 0 || len(hashes) > HashesMax {
		return bad(t, "%d hashes, want 1 to %d", len(hashes), HashesMax)
	}
	for i := 1; i < len(hashes); i++ {
		if bytes.Compare(hashes[i-1][:], hashes[i][:]) >= 0 {
			return bad(t, "hash %s after %s", hashes[i], hashes[i-1])
		}
	}
	return nil
}

func (m *Object) check() error {
	if len(m.Bytes) == 0 || len(m.Bytes) > ledger.ObjectMaxBytes {
		return bad(TypeObject, "%d bytes, want 1 to %d", len(m.Bytes), ledger.ObjectMaxBytes)
	}
	return nil
}

func (m *Credit) check() error {
	if m.Bytes == 0 {
		return bad(TypeCredit, "a credit of nothing")
	}
	return checkCredit(TypeCredit, m.Bytes)
}

func (m *Fault) check() error {
	if m.Code == 0 {
		return bad(TypeFault, "code 0")
	}
	return nil
}

func (m *Pruned) check() error {
	if m.From == 0 || m.From > ledger.LogMaxEntries {
		return bad(TypePruned, "from entry %d", m.From)
	}
	return nil
}

func (m *Bye) check() error {
	if m.Code == 0 {
		return bad(TypeBye, "code 0")
	}
	if len(m.Text) > TextMaxBytes {
		return bad(TypeBye, "a text of %d bytes, the limit is %d", len(m.Text), TextMaxBytes)
	}
	for _, r := range m.Text {
		if !unicode.IsPrint(r) { // it goes to logs and terminals
			return bad(TypeBye, "the text has the control character %U", r)
		}
	}
	return nil
}
