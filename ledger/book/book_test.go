package book

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

// vectorLog is one log of a case, or one branch of it: its entries in hexadecimal.
// The log key is that of entry 0. So is the machine key; where it is zeros, it begins
// with the slot.
type vectorLog struct {
	ID      string   `json:"id"`
	Slot    uint32   `json:"slot"`
	Ordinal uint32   `json:"ordinal"`
	Log     string   `json:"log"`             // of the kind table: kiosk, authority, settlement or cell
	Rules   int      `json:"rules,omitempty"` // the set that entry 0 states, 0 for that of the file
	Entries []string `json:"entries"`
}

// vector is one case of the rule set: entries, and what they post.
type vectorCase struct {
	Name         string        `json:"name"`
	Fleet        string        `json:"fleet,omitempty"`   // public key in hexadecimal, where a proof needs it
	Extends      string        `json:"extends,omitempty"` // first line of a later file: the set whose cases hold too
	Logs         []vectorLog   `json:"logs"`
	Transactions []Transaction `json:"transactions"`
	Questions    []Question    `json:"questions"`
	Unknown      int           `json:"unknown"`
	Ungoverned   int           `json:"ungoverned"`
}

// input is the log under the given rules.
func (v vectorLog) input(t testing.TB, rules ledger.Hash) Log {
	t.Helper()
	id, err := ledger.ParseLogID(v.ID)
	if err != nil {
		t.Fatal(err)
	}
	var raw [][]byte
	for _, s := range v.Entries {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, b)
	}
	author, ok := authors[v.Log]
	if !ok {
		t.Fatalf("there is no log %q", v.Log)
	}
	if v.Rules > 0 {
		rules = ruleSets()[v.Rules-1]
	}
	l := Log{ID: id, Slot: v.Slot, Ordinal: v.Ordinal, Author: author, Rules: rules, Each: eachOf(&raw)}
	l.Machine, l.Key = keysOf(v.Slot, raw)
	return l
}

// eachOf reads entries that a test may add to.
func eachOf(raw *[][]byte) func(uint64, func(uint64, []byte) error) error {
	return func(from uint64, f func(uint64, []byte) error) error {
		for i := from; i < uint64(len(*raw)); i++ {
			if err := f(i, (*raw)[i]); err != nil {
				return err
			}
		}
		return nil
	}
}

func (v vectorCase) books(t testing.TB) Books { return v.booksUnder(t, Rules1()) }

func (v vectorCase) booksUnder(t testing.TB, rules ledger.Hash) Books {
	t.Helper()
	var logs []Log
	for _, l := range v.Logs {
		logs = append(logs, l.input(t, rules))
	}
	fleet, err := hex.DecodeString(v.Fleet)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Of(fleet, logs)
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	return b
}

var authors = map[string]event.Author{
	"kiosk":      {Role: cert.RoleKiosk, Stream: cert.StreamMain},
	"authority":  {Role: cert.RoleOffice, Stream: cert.StreamAuthority},
	"settlement": {Role: cert.RoleOffice, Stream: cert.StreamSettlement},
	"cell":       {Role: cert.RoleOffice, Stream: cert.StreamCell + 3},
}

// script writes entries in order; the millisecond of each is its index plus late.
type script struct {
	t       testing.TB
	id      ledger.LogID
	slot    uint32
	ordinal uint32
	log     string
	late    uint64
	rules   int // 0: as the file
	raw     []string
	key     ed25519.PrivateKey // of a log whose entries are proven, else nil
}

// newScript begins a log with its entry 0, whose keys and signatures are zeros: the
// books believe what the store has verified.
func newScript(t testing.TB, id byte, slot uint32, log string, late uint64) *script {
	s := &script{t: t, id: ledger.LogID{id}, slot: slot, ordinal: 1, log: log, late: late}
	a := authors[log]
	s.add(&event.LogOpened{Chain: cert.Chain{Machine: cert.Certificate{Slot: slot, Role: a.Role}}, Grant: cert.Grant{Stream: a.Stream, Ordinal: 1}, Currency: event.Currency})
	return s
}

func newKiosk(t testing.TB, slot byte, late uint64) *script {
	return newScript(t, slot, uint32(slot), "kiosk", late)
}

// end is the log as far as it is written.
func (s *script) end() vectorLog {
	return vectorLog{s.id.String(), s.slot, s.ordinal, s.log, s.rules, slices.Clone(s.raw)}
}

// bytes are the entry at an index.
func (s *script) bytes(index uint64) []byte {
	s.t.Helper()
	b, err := hex.DecodeString(s.raw[index])
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// ref points at an entry.
func (s *script) ref(index uint64) event.Ref {
	s.t.Helper()
	return event.RefTo(ledger.Position{Log: s.id, Index: index}, s.bytes(index))
}

// last points at the newest entry of a kind.
func (s *script) last(k ledger.Kind) event.Ref {
	s.t.Helper()
	for i := len(s.raw) - 1; i >= 0; i-- {
		if e, err := ledger.DecodeEntry(s.bytes(uint64(i))); err == nil && e.Kind == k {
			return s.ref(uint64(i))
		}
	}
	s.t.Fatalf("no entry of kind %d", k)
	return event.Ref{}
}

func (s *script) add(bodies ...event.Body) uint64 {
	s.t.Helper()
	for _, b := range bodies {
		e, err := event.New(ledger.Time{WallMs: 1795500000000 + s.late + uint64(len(s.raw))}, b)
		if err != nil {
			s.t.Fatal(err)
		}
		s.addRaw(e)
	}
	return uint64(len(s.raw) - 1)
}

func (s *script) addRaw(e ledger.Entry) {
	s.t.Helper()
	b, err := ledger.EncodeEntry(e)
	if err != nil {
		s.t.Fatal(err)
	}
	s.raw = append(s.raw, hex.EncodeToString(b))
}

// open begins a sale for a bill and feeds notes; it returns the sale and the stacked.
func (s *script) open(bill byte, due ledger.Paise, rule event.SurplusRule, notes ...ledger.Paise) (sale uint64, stacked []uint64) {
	s.t.Helper()
	sale = s.add(&event.SaleOpened{Service: event.ServiceElectricity, Language: event.Hindi})
	s.add(&event.BillSelected{Sale: sale, Biller: "JVVNL", Bill: event.BillKey{bill}, Due: due, Source: event.SourceDues, Surplus: rule, Part: true})
	for _, n := range notes {
		note := s.add(&event.NoteEscrowed{Sale: sale, Value: n, Channel: 1, Serial: 9})
		s.add(&event.StackIntent{Note: note})
		stacked = append(stacked, s.add(&event.NoteStacked{Note: note, Evidence: event.EvidenceEvent}))
	}
	return sale, stacked
}

func (s *script) pay(sale uint64, bill byte, due, tendered ledger.Paise, rule event.SurplusRule, stacked []uint64) {
	s.t.Helper()
	applied := min(due, tendered)
	s.add(&event.PaymentCommitted{Sale: sale, Biller: "JVVNL", Bill: event.BillKey{bill}, Due: due, Tendered: tendered, Applied: applied, Surplus: tendered - applied, Rule: rule, Tender: event.TenderCash, Notes: event.RefNotes(stacked...)},
		&event.SaleEnded{Sale: sale, Reason: event.EndPaid})
}

func (s *script) whole(bill byte, due ledger.Paise, rule event.SurplusRule, notes ...ledger.Paise) *script {
	s.t.Helper()
	sale, stacked := s.open(bill, due, rule, notes...)
	var sum ledger.Paise
	for _, n := range notes {
		sum += n
	}
	s.pay(sale, bill, due, sum, rule, stacked)
	return s
}

// scripted are the cases of rule set 1.
func scripted(t testing.TB) []vectorCase {
	one := func(name string, write func(s *script)) vectorCase {
		s := newKiosk(t, 7, 0)
		write(s)
		return vectorCase{Name: name, Logs: []vectorLog{s.end()}}
	}
	two := func(name string, a, b *script) vectorCase {
		return vectorCase{Name: name, Logs: []vectorLog{a.end(), b.end()}}
	}
	next, refused := event.SurplusNextBill, event.SurplusRefused
	foreign := newScript(t, 1, 1, "authority", 0)
	foreign.open(1, 100_00, next, 100_00)
	return append([]vectorCase{
		one("paid to the paisa", func(s *script) { s.whole(1, 600_00, refused, 500_00, 100_00) }),
		one("surplus to the next bill", func(s *script) { s.whole(1, 1264_00, next, 500_00, 500_00, 200_00, 100_00) }),
		one("part payment", func(s *script) { s.whole(1, 1264_00, next, 500_00) }),
		one("two parts of one bill", func(s *script) { s.whole(1, 1264_00, next, 500_00, 500_00).whole(1, 264_00, next, 200_00, 100_00) }),
		one("sale still open", func(s *script) { s.open(1, 1264_00, next, 500_00) }),
		one("credit slip", func(s *script) {
			sale, stacked := s.open(1, 1264_00, next, 500_00)
			key := event.BillKey{1}
			s.add(&event.SlipIssued{Sale: sale, Amount: 500_00, Notes: event.RefNotes(stacked...), Biller: "JVVNL", Bill: &key}, &event.SaleEnded{Sale: sale, Reason: event.EndSlip})
		}),
		one("note returned", func(s *script) {
			sale, _ := s.open(1, 1264_00, next)
			note := s.add(&event.NoteEscrowed{Sale: sale, Value: 500_00, Channel: 1, Serial: 9})
			s.add(&event.StackIntent{Note: note}, &event.NoteReturned{Note: note, Evidence: event.EvidenceCounters, RejectCode: 0xFF})
		}),
		one("note in doubt", func(s *script) {
			sale, _ := s.open(1, 1264_00, next)
			note := s.add(&event.NoteEscrowed{Sale: sale, Value: 500_00, Channel: 1, Serial: 9})
			s.add(&event.StackIntent{Note: note}, &event.NoteUnresolved{Note: note, Reason: event.DoubtNoEvidence})
		}),
		one("orphaned note of known value", func(s *script) { s.add(&event.NoteOrphaned{Value: 200_00, Serial: 9}) }),
		one("orphaned note of unknown value", func(s *script) { s.add(&event.NoteOrphaned{Serial: 9}) }),
		two("one bill at two kiosks", newKiosk(t, 7, 0).whole(1, 1264_00, next, 500_00, 500_00, 500_00), newKiosk(t, 8, 500).whole(1, 1264_00, next, 500_00, 500_00, 500_00)),
		two("one bill at two kiosks, the other first", newKiosk(t, 7, 500).whole(1, 1264_00, next, 500_00, 500_00, 500_00), newKiosk(t, 8, 0).whole(1, 1264_00, next, 500_00, 500_00, 500_00)),
		two("one bill twice, the biller refuses a surplus", newKiosk(t, 7, 0).whole(1, 600_00, refused, 500_00, 100_00), newKiosk(t, 8, 9).whole(1, 600_00, refused, 500_00, 100_00)),
		two("a part and the whole", newKiosk(t, 7, 0).whole(1, 1264_00, next, 500_00), newKiosk(t, 8, 500).whole(1, 1264_00, next, 500_00, 500_00, 500_00)),
		one("payment of more than its notes", func(s *script) {
			sale, stacked := s.open(1, 1264_00, next, 500_00)
			s.pay(sale, 1, 1264_00, 1000_00, next, stacked)
		}),
		one("a note spent twice", func(s *script) {
			sale, stacked := s.open(1, 500_00, next, 500_00)
			s.pay(sale, 1, 500_00, 500_00, next, stacked)
			key := event.BillKey{1}
			s.add(&event.SlipIssued{Sale: sale, Amount: 500_00, Notes: event.RefNotes(stacked...), Biller: "JVVNL", Bill: &key})
		}),
		{Name: "written without the role", Logs: []vectorLog{foreign.end()}},
		one("unknown kind", func(s *script) { s.addRaw(ledger.Entry{Kind: 250, Body: ledger.RawCBOR{0xa0}}) }),
		one("malformed body", func(s *script) { s.addRaw(ledger.Entry{Kind: event.KindNoteStacked, Body: ledger.RawCBOR{0xa0}}) }),
	}, slices.Concat(contradictions(t), hardCases(t))...)
}

// contradictions are the cases in which a log says two things of one note.
func contradictions(t testing.TB) []vectorCase {
	one := func(name string, write func(s *script)) vectorCase {
		s := newKiosk(t, 7, 0)
		write(s)
		return vectorCase{Name: name, Logs: []vectorLog{s.end()}}
	}
	next := event.SurplusNextBill
	return []vectorCase{
		one("a note stacked twice", func(s *script) {
			_, stacked := s.open(1, 1264_00, next, 500_00)
			s.add(&event.NoteStacked{Note: stacked[0] - 2, Evidence: event.EvidenceEvent})
		}),
		one("a note returned and then stacked", func(s *script) {
			sale, _ := s.open(1, 1264_00, next)
			note := s.add(&event.NoteEscrowed{Sale: sale, Value: 500_00, Channel: 1, Serial: 9})
			s.add(&event.StackIntent{Note: note}, &event.NoteReturned{Note: note, Evidence: event.EvidenceEvent}, &event.NoteStacked{Note: note, Evidence: event.EvidenceEvent})
		}),
		one("a note stacked and then returned and in doubt", func(s *script) {
			_, stacked := s.open(1, 1264_00, next, 500_00)
			s.add(&event.NoteReturned{Note: stacked[0] - 2, Evidence: event.EvidenceEvent}, &event.NoteUnresolved{Note: stacked[0] - 2, Reason: event.DoubtNoEvidence})
		}),
		one("a note stacked that was never in escrow", func(s *script) { s.add(&event.NoteStacked{Note: 99, Evidence: event.EvidenceEvent}) }),
	}
}

// ruleSets are the names of the sets, the first one first.
func ruleSets() []ledger.Hash { return []ledger.Hash{Rules1(), Rules2(), Rules3()} }

// TestRuleSets reads every case of the embedded files and computes it anew, under its own
// rule set and every later one. RASID_UPDATE_VECTORS=1 writes the newest; once a log
// names a file, it may not change.
func TestRuleSets(t *testing.T) {
	if os.Getenv("RASID_UPDATE_VECTORS") == "1" {
		writeRules(t)
	}
	written := []int{len(scripted(t)), 1 + len(takenOver(t)), 1 + len(thirdCases(t))}
	for i := range ruleSets() {
		cases := readRules(t, fmt.Sprintf("rules/%d.jsonl", i+1))
		if len(cases) != written[i] {
			t.Fatalf("rule set %d has %d cases, the test writes %d", i+1, len(cases), written[i])
		}
		if i > 0 {
			if cases[0].Extends != ruleSets()[i-1].String() {
				t.Fatalf("rule set %d extends %q", i+1, cases[0].Extends)
			}
			cases = cases[1:]
		}
		for _, v := range cases {
			for _, rules := range ruleSets()[i:] {
				v.holdsUnder(t, rules)
			}
		}
	}
	t.Logf("%v cases, rule sets %v", written, ruleSets())
}

func readRules(t *testing.T, file string) (cases []vectorCase) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	for d.More() {
		var v vectorCase
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, v)
	}
	return cases
}

func (v vectorCase) holdsUnder(t *testing.T, rules ledger.Hash) {
	t.Helper()
	got := v.booksUnder(t, rules)
	if !same(t, got.Transactions, v.Transactions) || !same(t, got.Questions, v.Questions) || got.Unknown != v.Unknown || got.Ungoverned != v.Ungoverned {
		t.Errorf("%s:\ngot  %v %v %d\nwant %v %v %d", v.Name, got.Transactions, got.Questions, got.Unknown, v.Transactions, v.Questions, v.Unknown)
	}
}

func same(t *testing.T, a, b any) bool {
	t.Helper()
	x, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(x, y)
}

func writeRules(t *testing.T) {
	t.Helper()
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	if err := e.Encode(vectorCase{Name: "rule set 2 holds", Extends: Rules2().String()}); err != nil {
		t.Fatal(err)
	}
	for _, h := range thirdCases(t) {
		v := h.vectorCase
		b := v.booksUnder(t, Rules3())
		v.Transactions, v.Questions, v.Unknown, v.Ungoverned = b.Transactions, b.Questions, b.Unknown, b.Ungoverned
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile("rules/3.jsonl", out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// What the cases must say, whatever the file says.
func TestHardCases(t *testing.T) {
	want := map[string]map[string]ledger.Paise{
		"paid to the paisa":        {"Assets:Cash:K7": 600_00, "Liabilities:Biller:JVVNL": -600_00},
		"surplus to the next bill": {"Assets:Cash:K7": 1300_00, "Liabilities:Biller:JVVNL": -1264_00, "Liabilities:Advance:JVVNL": -36_00},
		"part payment":             {"Assets:Cash:K7": 500_00, "Liabilities:Biller:JVVNL": -500_00},
		"two parts of one bill":    {"Assets:Cash:K7": 1300_00, "Liabilities:Biller:JVVNL": -1264_00, "Liabilities:Advance:JVVNL": -36_00},
		"sale still open":          {"Assets:Cash:K7": 500_00, "Liabilities:Sale:K7-1-1": -500_00},
		"credit slip":              {"Assets:Cash:K7": 500_00, "Liabilities:Slip:K7-1-6": -500_00},
		"note returned":            {}, "note in doubt": {}, "orphaned note of unknown value": {},
		"orphaned note of known value":                 {"Assets:Cash:K7": 200_00, "Liabilities:Unallocated:K7": -200_00},
		"one bill at two kiosks":                       {"Assets:Cash:K7": 1500_00, "Assets:Cash:K8": 1500_00, "Liabilities:Biller:JVVNL": -1264_00, "Liabilities:Advance:JVVNL": -1736_00},
		"one bill at two kiosks, the other first":      {"Assets:Cash:K7": 1500_00, "Assets:Cash:K8": 1500_00, "Liabilities:Biller:JVVNL": -1264_00, "Liabilities:Advance:JVVNL": -1736_00},
		"one bill twice, the biller refuses a surplus": {"Assets:Cash:K7": 600_00, "Assets:Cash:K8": 600_00, "Liabilities:Biller:JVVNL": -600_00, "Liabilities:Citizen:K8-1-9": -600_00},
		"a part and the whole":                         {"Assets:Cash:K7": 500_00, "Assets:Cash:K8": 1500_00, "Liabilities:Biller:JVVNL": -1264_00, "Liabilities:Advance:JVVNL": -736_00},
		"payment of more than its notes":               {"Assets:Cash:K7": 500_00, "Liabilities:Biller:JVVNL": -1000_00, "Liabilities:Sale:K7-1-1": 500_00},
		"a note stacked twice":                         {"Assets:Cash:K7": 500_00, "Liabilities:Sale:K7-1-1": -500_00},
		"a note returned and then stacked":             {}, "a note stacked that was never in escrow": {},
		"a note stacked and then returned and in doubt": {"Assets:Cash:K7": 500_00, "Liabilities:Sale:K7-1-1": -500_00},
		"written without the role":                      {}, "unknown kind": {}, "malformed body": {},
	}
	asks := map[string]Reason{
		"credit slip": ReasonSlipOpen, "note in doubt": ReasonNoteInDoubt, "orphaned note of known value": ReasonOrphanedNote, "orphaned note of unknown value": ReasonOrphanedNote,
		"one bill at two kiosks": ReasonBillTwice, "payment of more than its notes": ReasonDisagree, "a note spent twice": ReasonDisagree, "written without the role": ReasonRole, "malformed body": ReasonMalformed,
		"a note stacked twice": ReasonDisagree, "a note returned and then stacked": ReasonDisagree, "a note stacked and then returned and in doubt": ReasonDisagree, "a note stacked that was never in escrow": ReasonDisagree,
	}
	for _, v := range scripted(t) {
		b := v.books(t)
		var sum ledger.Paise
		b.Balances = bare(b.Balances)
		for account, p := range b.Balances {
			sum += p
			if w, ok := want[v.Name]; ok && p != w[account] {
				t.Errorf("%s: %s has %d, want %d", v.Name, account, p, w[account])
			}
		}
		for account, p := range want[v.Name] {
			if b.Balances[account] != p {
				t.Errorf("%s: %s has %d, want %d", v.Name, account, b.Balances[account], p)
			}
		}
		if sum != 0 {
			t.Errorf("%s: the books sum to %d", v.Name, sum)
		}
		if r, ok := asks[v.Name]; ok && !slices.ContainsFunc(b.Questions, func(q Question) bool { return q.Reason == r }) {
			t.Errorf("%s: questions %v, want %s", v.Name, b.Questions, r)
		}
	}
}

func TestUnknownRulesPostNothing(t *testing.T) {
	s := newKiosk(t, 7, 0).whole(1, 600_00, event.SurplusRefused, 500_00, 100_00)
	b, err := Of(nil, []Log{s.end().input(t, ledger.Hash{1})})
	if err != nil || len(b.Transactions) != 0 || b.Ungoverned != len(s.raw) || len(b.Questions) != 1 || b.Questions[0].Reason != ReasonRules {
		t.Errorf("%d transactions, questions %v, %v", len(b.Transactions), b.Questions, err)
	}
}

var tagged = regexp.MustCompile(`^(.*-\d+)-[0-9A-Z]{4}(-[0-9A-Z]{8})*$`)

// bare takes the tags of entries out of account names: what is told apart is summed.
func bare(balances map[string]ledger.Paise) map[string]ledger.Paise {
	out := map[string]ledger.Paise{}
	for account, p := range balances {
		out[tagged.ReplaceAllString(account, "$1")] += p
	}
	return out
}
