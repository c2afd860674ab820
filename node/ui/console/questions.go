package console

import (
	"strconv"

	"rasid/ledger"
	"rasid/node/lang"
	"rasid/node/office"
)

// asked are the texts of a question by its reason: what it is, and what to do.
var asked = map[string][2]string{
	"fork":           {"office.questions.fork", "office.questions.fork_do"},
	"slot-twice":     {"office.questions.slot_twice", "office.questions.slot_twice_do"},
	"held":           {"office.questions.held", "office.questions.held_do"},
	"note-in-doubt":  {"office.questions.note_in_doubt", "office.questions.note_in_doubt_do"},
	"box-differs":    {"office.questions.box_differs", "office.questions.box_differs_do"},
	"notes-disagree": {"office.questions.notes_disagree", "office.questions.notes_disagree_do"},
	"disputed":       {"office.questions.disputed", "office.questions.disputed_do"},
	"unmatched":      {"office.questions.unmatched", "office.questions.unmatched_do"},
	"orphaned-note":  {"office.questions.orphaned_note", "office.questions.orphaned_note_do"},
	"sale-open":      {"office.questions.sale_open", "office.questions.sale_open_do"},
	"bill-twice":     {"office.questions.bill_twice", "office.questions.bill_twice_do"},
	"rejected":       {"office.questions.rejected", "office.questions.rejected_do"},
	"credit-open":    {"office.questions.credit_open", "office.questions.credit_open_do"},
	"refund-open":    {"office.questions.refund_open", "office.questions.refund_open_do"},
	"slip-open":      {"office.questions.slip_open", "office.questions.slip_open_do"},
	"paper":          {"office.questions.paper", "office.questions.paper_do"},
	"false-proof":    {"office.questions.false_proof", "office.questions.false_proof_do"},
	"target":         {"office.questions.target", "office.questions.target_do"},
	"waiting":        {"office.questions.waiting", "office.questions.waiting_do"},
	"role":           {"office.questions.role", "office.questions.role_do"},
	"malformed":      {"office.questions.malformed", "office.questions.malformed_do"},
	"rules":          {"office.questions.rules", "office.questions.rules_do"},
}

// ask says in words what is asked and what to do.
func ask(l lang.Lang, reason string) (what, do string) {
	if keys, ok := asked[reason]; ok {
		return lang.T(l, keys[0]), lang.T(l, keys[1])
	}
	return lang.T(l, "office.questions.other"), lang.T(l, "office.questions.other_do")
}

type askedRow struct{ What, Amount, Count string }

type questionRow struct{ What, Do, Machine, Entry, Amount, Since string }

func (m *model) questions(l lang.Lang, s office.Snapshot) {
	for _, a := range s.Asked {
		row := askedRow{Count: strconv.Itoa(a.Count), Amount: amount(a.Amount)}
		row.What, _ = ask(l, string(a.Reason))
		m.Asked = append(m.Asked, row)
	}
	for _, q := range s.Open {
		row := questionRow{Machine: kioskName(q.Kiosk, q.Slot), Entry: q.Entry, Amount: amount(q.Amount), Since: lang.T(l, "office.unknown")}
		row.What, row.Do = ask(l, string(q.Reason))
		if q.Office {
			row.Machine = lang.T(l, "office.questions.office")
		}
		if !q.Since.IsZero() {
			row.Since = lang.DateTime(l, q.Since)
		}
		m.Questions = append(m.Questions, row)
	}
	if more := s.Questions - len(s.Open); more > 0 {
		m.More = lang.T(l, "office.questions.more", "n", more)
	}
}

// amount is empty where nobody knows it.
func amount(p ledger.Paise) string {
	if p == 0 {
		return "—"
	}
	return lang.INR(int64(p))
}
