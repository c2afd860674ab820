package event_test

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/event"
	"rasid/ledger/internal/vector"
)

var at = ledger.Time{WallMs: 1795500000000, Quality: ledger.TimeOffice, BootMs: 1234567}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func opened(t testing.TB, role cert.Role, stream cert.Stream) *event.LogOpened {
	t.Helper()
	pub := func(name string) [32]byte { return [32]byte(vector.Public(name)) }
	issue := must[cert.Certificate](t)
	d := issue(cert.Issue(vector.Key("fleet"), cert.Certificate{Key: pub("district"), Slot: 1, Cell: 5000, Role: cert.RoleDistrict, NotAfter: 24000}))
	m := issue(cert.Issue(vector.Key("district"), cert.Certificate{Key: pub("machine"), Slot: 147, Cell: 3, Role: role, NotAfter: 22000}))
	g := must[cert.Grant](t)(cert.SignGrant(vector.Key("machine"), cert.Grant{LogKey: pub("log"), Stream: stream, Ordinal: 1, Reason: cert.ReasonEnrolled}))
	return &event.LogOpened{Chain: cert.Chain{District: d, Machine: m}, Grant: g, Currency: event.Currency, Rules: ledger.Hash{0x11, 0x22}}
}

// entryOf encodes a body without asking it whether it makes sense.
func entryOf(t testing.TB, b event.Body) []byte {
	t.Helper()
	raw := must[[]byte](t)(ledger.Encode(b))
	return must[[]byte](t)(ledger.EncodeEntry(ledger.Entry{Kind: b.Kind(), Time: at, Body: raw}))
}

// raw makes an entry of kind k whose body is given key by key.
func raw(t testing.TB, k ledger.Kind, body map[uint64]any) []byte {
	t.Helper()
	return must[[]byte](t)(ledger.EncodeEntry(ledger.Entry{Kind: k, Time: at, Body: must[[]byte](t)(ledger.Encode(body))}))
}

func payment(change func(*event.PaymentCommitted)) *event.PaymentCommitted {
	p := &event.PaymentCommitted{
		Sale: 1000, Biller: "JVVNL", Bill: event.BillKey{0xb1}, Due: 1264_00, Tendered: 1300_00, Applied: 1264_00,
		Surplus: 36_00, Rule: event.SurplusNextBill, Tender: event.TenderCash, Notes: event.RefNotes(1010, 1014, 1018, 1022),
	}
	if change != nil {
		change(p)
	}
	return p
}

func selected(change func(*event.BillSelected)) *event.BillSelected {
	b := &event.BillSelected{
		Sale: 1000, Biller: "JVVNL", Bill: event.BillKey{0xb1}, Account: event.BillKey{0xac}, Due: 1264_00, DueDay: 20789,
		Source: event.SourceDues, Dues: ledger.Hash{0xd0}, AsOfMs: 1795400000000, Surplus: event.SurplusNextBill,
	}
	if change != nil {
		change(b)
	}
	return b
}

// formerRef points into the log before.
var formerRef = event.Ref{Log: ledger.LogID{0xaa}, Index: 1002, Leaf: [event.LeafBytes]byte{0xbb}}

func goodBodies(t testing.TB) map[string]event.Body {
	counters := event.Counters{Stacked: 7, Stored: 7, Rejected: 4294967295}
	log := func(b byte) ledger.LogID { return ledger.LogID{b} }
	return map[string]event.Body{
		"log-opened-kiosk":        opened(t, cert.RoleKiosk, cert.StreamMain),
		"log-opened-office":       opened(t, cert.RoleOffice, cert.StreamCell+3),
		"sale-opened":             &event.SaleOpened{Service: event.ServiceElectricity, Language: event.Hindi},
		"bill-selected":           selected(nil),
		"bill-selected-part":      selected(func(b *event.BillSelected) { b.Part = true }),
		"sale-ended":              &event.SaleEnded{Sale: 1000, Reason: event.EndPaid},
		"note-escrowed":           &event.NoteEscrowed{Sale: 1000, Value: 500_00, Channel: 6, Serial: 4294967295, Counters: counters},
		"stack-intent":            &event.StackIntent{Note: 1002},
		"note-stacked":            &event.NoteStacked{Note: 1002, Evidence: event.EvidenceEvent, Raw: []byte{0xf0, 0xeb, 6}},
		"note-stacked-no-raw":     &event.NoteStacked{Note: 1002, Evidence: event.EvidenceCounters},
		"note-returned":           &event.NoteReturned{Note: 1002, Evidence: event.EvidencePowerUp, RejectCode: 0xff},
		"note-unresolved":         &event.NoteUnresolved{Note: 1002, Reason: event.DoubtContradiction, Counters: counters},
		"acceptor-seen":           &event.AcceptorSeen{Serial: 4294967295, Counters: counters},
		"acceptor-seen-new":       &event.AcceptorSeen{},
		"note-orphaned":           &event.NoteOrphaned{Value: 100_00, Serial: 12345, Counters: counters, Raw: []byte{0xcc}},
		"note-orphaned-unknown":   &event.NoteOrphaned{Serial: 12345},
		"device-fault":            &event.DeviceFault{Device: event.DevicePrinter, Fault: 3},
		"device-fault-printer":    &event.DeviceFault{Device: event.DevicePrinter, Fault: 6, Cleared: true},
		"device-fault-unnamed":    &event.DeviceFault{Device: event.DevicePrinter, Fault: 255},
		"device-fault-cleared":    &event.DeviceFault{Device: event.DeviceAcceptor, Fault: 3, Cleared: true},
		"note-taken-over":         &event.NoteTakenOver{Sale: 3, Note: formerRef, Value: 500_00, Channel: 6, Serial: 4294967295, Counters: counters, Stacked: true},
		"note-taken-over-open":    &event.NoteTakenOver{Sale: 3, Note: formerRef, Value: 10_00, Counters: counters},
		"paper-taken-over":        &event.PaperTakenOver{Subject: formerRef, Copy: 999},
		"paper-taken-over-new":    &event.PaperTakenOver{Subject: formerRef},
		"payment-committed":       payment(nil),
		"payment-committed-part":  payment(func(p *event.PaymentCommitted) { p.Tendered, p.Applied, p.Surplus = 100_00, 100_00, 0 }),
		"payment-committed-exact": payment(func(p *event.PaymentCommitted) { p.Tendered, p.Surplus, p.Rule = 1264_00, 0, event.SurplusRefused }),
		"slip-issued":             &event.SlipIssued{Sale: 1000, Amount: 500_00, Notes: event.RefNotes(1010), Biller: "JVVNL", Bill: &event.BillKey{0xb1}},
		"slip-issued-no-bill":     &event.SlipIssued{Sale: 1000, Amount: 500_00, Notes: event.RefNotes(1010)},
		"print-intent":            &event.PrintIntent{Subject: 1024, Copy: 1},
		"printed-duplicate":       &event.Printed{Subject: 1024, Copy: 2},
		"software-started":        &event.SoftwareStarted{Version: "0.1.0"},
		"machine-enrolled":        &event.MachineEnrolled{Chain: opened(t, cert.RoleKiosk, 0).Chain, Name: "SKR-0147", Place: "सीकर तहसील"},
		"dues-published":          &event.DuesPublished{Biller: "JVVNL", Object: ledger.Hash{0xd0}, Bytes: ledger.ObjectMaxBytes, AsOfMs: 1795400000000, Pepper: 1, Count: 5000},
		"acknowledged":            &event.Acknowledged{Held: []event.Held{{Log: log(1), Size: 5, Root: ledger.Hash{1}}, {Log: log(2), Size: 1 << 40}}},
		"blob-sealed":             &event.BlobSealed{Sale: 1000, Object: ledger.Hash{0xb0}, Bytes: ledger.BlobMaxBytes, Seal: 1},
		"erased":                  &event.Erased{Objects: []ledger.Hash{{0xb0}, {0xb1}}, Why: "asked for by the citizen"},
		"seal-key-renewed":        &event.SealKeyRenewed{Number: 2, Key: [32]byte{9}},
		"pepper-renewed":          &event.PepperRenewed{Number: 2, Object: ledger.Hash{0xe0}, Bytes: ledger.ObjectMaxBytes},
		"payment-committed-max-in": payment(func(p *event.PaymentCommitted) {
			p.Due, p.Tendered, p.Applied = 1_000_000_000_000, 1_000_000_000_000, 1_000_000_000_000
			p.Surplus = 0
		}),
	}
}

type badBody struct {
	name, class, reason string
	body                event.Body
}

func badBodies(t testing.TB) []badBody {
	sel := func(f func(*event.BillSelected)) event.Body { return selected(f) }
	currency := opened(t, cert.RoleKiosk, 0)
	currency.Currency = 840
	chain := opened(t, cert.RoleKiosk, 0).Chain
	var many []event.Held
	for i := range 257 {
		many = append(many, event.Held{Log: ledger.LogID{byte(i >> 8), byte(i)}})
	}
	v, l := vector.Value, vector.Limit
	return slices.Concat(badMoney(), badPrivate(), []badBody{
		{"currency-dollar", v, "currency 840", currency},
		{"service-0", v, "service 0", &event.SaleOpened{Language: event.Hindi}},
		{"language-3", v, "language 3", &event.SaleOpened{Service: 1, Language: 3}},
		{"bill-due-0", v, "due 0", sel(func(b *event.BillSelected) { b.Due = 0 })},
		{"bill-due-negative", v, "due -1", sel(func(b *event.BillSelected) { b.Due = -1 })},
		{"bill-due-beyond-limit", l, "due 1000000000001", sel(func(b *event.BillSelected) { b.Due = 1_000_000_000_001 })},
		{"bill-source-2", v, "source 2", sel(func(b *event.BillSelected) { b.Source = 2 })},
		{"bill-day-beyond-9999", l, "day 2932897", sel(func(b *event.BillSelected) { b.DueDay = 2932897 })},
		{"bill-as-of-beyond-9999", l, "as of", sel(func(b *event.BillSelected) { b.AsOfMs = ledger.WallMaxMs + 1 })},
		{"bill-surplus-rule-0", v, "surplus rule 0", sel(func(b *event.BillSelected) { b.Surplus = 0 })},
		{"biller-empty", v, "biller of 0", sel(func(b *event.BillSelected) { b.Biller = "" })},
		{"biller-33-bytes", l, "biller of 33", sel(func(b *event.BillSelected) { b.Biller = strings.Repeat("J", 33) })},
		{"biller-new-line", v, "letters, digits and hyphens", sel(func(b *event.BillSelected) { b.Biller = "J\n  Assets:Cash" })},
		{"end-reason-5", v, "end reason 5", &event.SaleEnded{Reason: 5}},
		{"note-of-0", v, "note of 0", &event.NoteEscrowed{}},
		{"note-negative", v, "note of -500", &event.NoteEscrowed{Value: -500}},
		{"note-of-10001-rupees", l, "note of 1000100", &event.NoteEscrowed{Value: 10_001_00}},
		{"stacked-evidence-0", v, "evidence 0", &event.NoteStacked{}},
		{"stacked-raw-65-bytes", l, "raw event of 65", &event.NoteStacked{Evidence: 1, Raw: make([]byte, 65)}},
		{"returned-evidence-4", v, "evidence 4", &event.NoteReturned{Evidence: 4}},
		{"unresolved-reason-0", v, "doubt reason 0", &event.NoteUnresolved{}},
		{"orphaned-negative", v, "-1 paise", &event.NoteOrphaned{Value: -1}},
		{"taken-over-zero", v, "note of 0", &event.NoteTakenOver{Note: formerRef}},
		{"taken-over-of-10001-rupees", l, "note of 1000100", &event.NoteTakenOver{Note: formerRef, Value: 10_001_00}},
		{"paper-taken-over-copy-1000", l, "copy 1000", &event.PaperTakenOver{Subject: formerRef, Copy: 1000}},
		{"device-3", v, "device 3", &event.DeviceFault{Device: 3, Fault: 1}},
		{"device-fault-0", v, "fault 0", &event.DeviceFault{Device: 1}},
		{"print-copy-0", v, "copy 0", &event.PrintIntent{}},
		{"printed-copy-1000", l, "copy 1000", &event.Printed{Copy: 1000}},
		{"version-empty", v, "version of 0", &event.SoftwareStarted{}},
		{"version-65-bytes", l, "version of 65", &event.SoftwareStarted{Version: strings.Repeat("1", 65)}},
		{"version-escape", v, "control character", &event.SoftwareStarted{Version: "1\x1b[2J"}},
		{"machine-name-empty", v, "name of 0", &event.MachineEnrolled{Chain: chain}},
		{"machine-place-turned", v, "control character", &event.MachineEnrolled{Chain: chain, Name: "SKR-0147", Place: "a\u202eb"}},
		{"dues-of-0-bytes", v, "object of 0", &event.DuesPublished{Biller: "JVVNL"}},
		{"dues-beyond-limit", l, "object of 1048577", &event.DuesPublished{Biller: "JVVNL", Bytes: ledger.ObjectMaxBytes + 1}},
		{"acknowledged-none", v, "0 logs", &event.Acknowledged{}},
		{"acknowledged-257", l, "257 logs", &event.Acknowledged{Held: many}},
		{"acknowledged-unordered", v, "ascending", &event.Acknowledged{Held: []event.Held{{Log: ledger.LogID{2}}, {Log: ledger.LogID{1}}}}},
	})
}

// badPrivate are the bodies of personal data and its keys.
func badPrivate() []badBody {
	v, l := vector.Value, vector.Limit
	return []badBody{
		{"blob-of-0-bytes", v, "blob of 0", &event.BlobSealed{Seal: 1}},
		{"blob-beyond-limit", l, "blob of 1025", &event.BlobSealed{Bytes: ledger.BlobMaxBytes + 1, Seal: 1}},
		{"blob-seal-key-0", v, "seal key number 0", &event.BlobSealed{Bytes: 1}},
		{"erased-none", v, "0 objects", &event.Erased{Why: "x"}},
		{"erased-257", l, "257 objects", &event.Erased{Objects: make([]ledger.Hash, 257), Why: "x"}},
		{"erased-twice", v, "ascending", &event.Erased{Objects: make([]ledger.Hash, 2), Why: "x"}},
		{"erased-no-reason", v, "reason of 0", &event.Erased{Objects: make([]ledger.Hash, 1)}},
		{"erased-reason-129-bytes", l, "reason of 129", &event.Erased{Objects: make([]ledger.Hash, 1), Why: strings.Repeat("w", 129)}},
		{"seal-key-zeros", v, "zeros", &event.SealKeyRenewed{Number: 1}},
		{"seal-key-number-0", v, "seal key number 0", &event.SealKeyRenewed{Key: [32]byte{9}}},
		{"pepper-set-of-0-bytes", v, "object of 0", &event.PepperRenewed{Number: 1}},
		{"pepper-set-beyond-limit", l, "object of 1048577", &event.PepperRenewed{Number: 1, Bytes: ledger.ObjectMaxBytes + 1}},
		{"pepper-number-0", v, "pepper number 0", &event.PepperRenewed{Bytes: 1}},
	}
}

// badMoney are the bodies of payments and slips.
func badMoney() []badBody {
	pay := func(f func(*event.PaymentCommitted)) event.Body { return payment(f) }
	notes := make([]uint64, 2049)
	for i := range notes {
		notes[i] = uint64(i)
	}
	v, l := vector.Value, vector.Limit
	return []badBody{
		{"payment-tender-2", v, "tender 2", pay(func(p *event.PaymentCommitted) { p.Tender = 2 })},
		{"payment-applied-0", v, "0 of 126400", pay(func(p *event.PaymentCommitted) { p.Applied, p.Tendered = 0, 3600 })},
		{"payment-applied-beyond-due", v, "130000 of 126400", pay(func(p *event.PaymentCommitted) { p.Applied, p.Surplus = 1300_00, 0 })},
		{"payment-surplus-negative", v, "-100 surplus", pay(func(p *event.PaymentCommitted) { p.Surplus, p.Tendered = -100, 1263_00 })},
		{"payment-sum-wrong", v, "are not tendered", pay(func(p *event.PaymentCommitted) { p.Tendered++ })},
		{"payment-beyond-limit", l, "1000000000001", pay(func(p *event.PaymentCommitted) {
			p.Due, p.Tendered, p.Applied, p.Surplus = 1_000_000_000_001, 1_000_000_000_001, 1_000_000_000_001, 0
		})},
		{"payment-int64-max", l, "9223372036854775807", pay(func(p *event.PaymentCommitted) {
			p.Due, p.Applied, p.Surplus, p.Tendered = 1<<63-1, 1<<63-1, 1, -1<<63
		})},
		{"payment-surplus-refused", v, "the biller refuses", pay(func(p *event.PaymentCommitted) { p.Rule = event.SurplusRefused })},
		{"payment-surplus-before-due", v, "before the bill is paid", pay(func(p *event.PaymentCommitted) { p.Applied, p.Surplus = 1000_00, 300_00 })},
		{"payment-no-notes", v, "0 notes", pay(func(p *event.PaymentCommitted) { p.Notes = nil })},
		{"payment-2049-notes", l, "2049 notes", pay(func(p *event.PaymentCommitted) { p.Notes = event.RefNotes(notes...) })},
		{"payment-note-twice", v, "note 5 twice", pay(func(p *event.PaymentCommitted) { p.Notes = event.NoteRefs{5, 0} })},
		{"payment-note-beyond", v, "a note beyond index", pay(func(p *event.PaymentCommitted) { p.Notes = event.NoteRefs{1 << 47, 1 << 47} })},
		{"slip-of-0", v, "slip of 0", &event.SlipIssued{Notes: event.RefNotes(1)}},
		{"slip-biller-without-bill", v, "slip of 100", &event.SlipIssued{Amount: 100, Notes: event.RefNotes(1), Biller: "JVVNL"}},
		{"slip-bill-without-biller", v, "slip of 100", &event.SlipIssued{Amount: 100, Notes: event.RefNotes(1), Bill: &event.BillKey{}}},
	}
}

func eventVectors(t *testing.T) []vector.Vector {
	var out []vector.Vector
	for name, b := range allGood(t) {
		e := must[ledger.Entry](t)(event.New(at, b))
		out = append(out, vector.Vector{Name: name, Spec: "§6.2", Expect: vector.OK, Data: must[[]byte](t)(ledger.EncodeEntry(e))})
	}
	for _, b := range slices.Concat(badBodies(t), badBoxes(), badDecisions(t)) {
		if len(must[[]byte](t)(ledger.Encode(b.body))) > ledger.EntryMaxBytes-64 {
			if _, err := event.New(at, b.body); err == nil { // no entry can hold it anyway
				t.Errorf("%s is accepted", b.name)
			}
			continue
		}
		out = append(out, vector.Vector{Name: b.name, Spec: "§6.2", Expect: b.class, Reason: b.reason, Data: entryOf(t, b.body)})
	}
	for _, b := range []struct {
		name, class, reason string
		data                []byte
	}{
		{"intent-unknown-field", vector.Form, "unknown field", raw(t, event.KindStackIntent, map[uint64]any{0: 1, 1: 0})},
		{"intent-no-field", vector.Form, "another canonical form", raw(t, event.KindStackIntent, map[uint64]any{})},
		{"intent-null", vector.Canonical, "another canonical form", raw(t, event.KindStackIntent, map[uint64]any{0: nil})},
		{"intent-text", vector.Form, "malformed", raw(t, event.KindStackIntent, map[uint64]any{0: "1"})},
		{"stacked-raw-empty", vector.Canonical, "another canonical form", raw(t, event.KindNoteStacked, map[uint64]any{0: 1, 1: 1, 2: []byte{}})},
		{"stacked-raw-null", vector.Canonical, "another canonical form", raw(t, event.KindNoteStacked, map[uint64]any{0: 1, 1: 1, 2: nil})},
		{"stacked-evidence-256", vector.Limit, "overflow", raw(t, event.KindNoteStacked, map[uint64]any{0: 1, 1: 256})},
		{"acceptor-seen-two-counters", vector.Form, "different number of elements", raw(t, event.KindAcceptorSeen, map[uint64]any{0: 1, 1: []uint64{7, 7}})},
		{"acceptor-seen-no-counters", vector.Form, "another canonical form", raw(t, event.KindAcceptorSeen, map[uint64]any{0: 1})},
		{"acceptor-seen-serial-33-bits", vector.Limit, "overflow", raw(t, event.KindAcceptorSeen, map[uint64]any{0: uint64(1) << 32, 1: []uint64{7, 7, 7}})},
		{"taken-over-stacked-false", vector.Canonical, "another canonical form", raw(t, event.KindNoteTakenOver, map[uint64]any{0: 3, 1: formerRef, 2: 1000, 3: 1, 4: 9, 5: []uint64{7, 7, 7}, 6: false})},
		{"taken-over-note-as-index", vector.Form, "malformed", raw(t, event.KindNoteTakenOver, map[uint64]any{0: 3, 1: 2, 2: 1000, 3: 1, 4: 9, 5: []uint64{7, 7, 7}})},
		{"paper-taken-over-short-leaf", vector.Form, "another canonical form", raw(t, event.KindPaperTakenOver, map[uint64]any{0: []any{make([]byte, 16), 5, make([]byte, 7)}, 1: 1})},
		{"fault-cleared-as-number", vector.Form, "malformed", raw(t, event.KindDeviceFault, map[uint64]any{0: 1, 1: 1, 2: 1})},
		{"printer-fault-0", vector.Value, "fault 0 of device 2", raw(t, event.KindDeviceFault, map[uint64]any{0: 2, 1: 0, 2: false})},
		{"printer-fault-256", vector.Limit, "overflow", raw(t, event.KindDeviceFault, map[uint64]any{0: 2, 1: 256, 2: false})},
		{"slip-biller-empty-text", vector.Canonical, "another canonical form", raw(t, event.KindSlipIssued, map[uint64]any{0: 1, 1: 100, 2: event.RefNotes(1), 3: ""})},
		{"slip-bill-of-15-bytes", vector.Form, "another canonical form", raw(t, event.KindSlipIssued, map[uint64]any{0: 1, 1: 100, 2: event.RefNotes(1), 3: "JVVNL", 4: make([]byte, 15)})},
		{"slip-bill-of-17-bytes", vector.Form, "another canonical form", raw(t, event.KindSlipIssued, map[uint64]any{0: 1, 1: 100, 2: event.RefNotes(1), 3: "JVVNL", 4: make([]byte, 17)})},
	} {
		out = append(out, vector.Vector{Name: b.name, Spec: "§6.2", Expect: b.class, Reason: b.reason, Data: b.data})
	}
	return out
}

func TestEventVectors(t *testing.T) {
	vector.Keep(t, "event", eventVectors(t))
	seen := map[ledger.Kind]bool{}
	for _, v := range vector.Load(t, "event") {
		e, err := ledger.DecodeEntry(v.Data)
		if err != nil {
			t.Fatalf("%s: every envelope here is good: %v", v.Name, err)
		}
		b, err := event.Decode(e)
		v.Judge(t, err, ledger.ErrMalformed)
		if err != nil {
			continue
		}
		seen[b.Kind()] = true
		if again := must[ledger.Entry](t)(event.New(e.Time, b)); !bytes.Equal(must[[]byte](t)(ledger.EncodeEntry(again)), v.Data) {
			t.Errorf("%s: encodes as %x", v.Name, again.Body)
		}
	}
	for _, k := range event.Kinds() {
		if !seen[k] {
			t.Errorf("kind %d is in use and has no good vector", k)
		}
	}
}

// TestEveryFieldCounts takes each field out of each good body, and adds one: the
// body is refused, or it was one that may be absent.
func TestEveryFieldCounts(t *testing.T) {
	mayBeAbsent := map[ledger.Kind][]uint64{event.KindBillSelected: {10}, event.KindNoteStacked: {2}, event.KindNoteOrphaned: {3}, event.KindNoteTakenOver: {6}}
	for name, b := range allGood(t) {
		var fields map[uint64]ledger.RawCBOR
		if err := ledger.Decode(must[[]byte](t)(ledger.Encode(b)), &fields); err != nil {
			t.Fatal(err)
		}
		decode := func() error {
			_, err := event.Decode(ledger.Entry{Kind: b.Kind(), Body: must[[]byte](t)(ledger.Encode(fields))})
			return err
		}
		for key, value := range fields {
			delete(fields, key)
			if err := decode(); (err == nil) != slices.Contains(mayBeAbsent[b.Kind()], key) {
				t.Errorf("%s without field %d: %v", name, key, err)
			}
			fields[key] = value
		}
		fields[99] = ledger.RawCBOR{0}
		if decode() == nil {
			t.Errorf("%s with a field 99 is accepted", name)
		}
	}
}

func TestUnknownKindIsKept(t *testing.T) {
	for _, k := range []ledger.Kind{9, 99, 255, 256, 65535} {
		b, err := event.Decode(ledger.Entry{Kind: k, Body: ledger.RawCBOR{0xa0}})
		if _, ok := b.(*event.Unknown); err != nil || !ok || b.Kind() != k {
			t.Errorf("kind %d: %v, %v", k, b, err)
		}
	}
}

// TestOpenLogVectors verifies entry 0 of a log up to the fleet's key.
func TestOpenLogVectors(t *testing.T) {
	with := map[string]string{"fleet-key": hex.EncodeToString(vector.Public("fleet")), "log": ledger.LogIDOf(vector.Public("log")).String()}
	var vectors []vector.Vector
	add := func(name, class, reason string, b event.Body, more map[string]string) {
		w := map[string]string{"fleet-key": with["fleet-key"], "log": with["log"]}
		for k, v := range more {
			w[k] = v
		}
		vectors = append(vectors, vector.Vector{Name: name, Spec: "§6.1", Expect: class, Reason: reason, Data: entryOf(t, b), With: w})
	}
	add("kiosk", vector.OK, "", opened(t, cert.RoleKiosk, cert.StreamMain), nil)
	add("office-authority", vector.OK, "", opened(t, cert.RoleOffice, cert.StreamAuthority), nil)
	add("kiosk-authority", vector.Role, "writes no stream 1", opened(t, cert.RoleKiosk, cert.StreamAuthority), nil)
	add("office-main", vector.Role, "writes no stream 0", opened(t, cert.RoleOffice, cert.StreamMain), nil)
	add("auditor", vector.Role, "auditor writes no stream", opened(t, cert.RoleAuditor, cert.StreamAuthority), nil)
	add("other-log", vector.Signature, "it stands in 00", opened(t, cert.RoleKiosk, 0), map[string]string{"log": strings.Repeat("0", 32)})
	add("other-fleet", vector.Signature, "not signed by its issuer", opened(t, cert.RoleKiosk, 0), map[string]string{"fleet-key": hex.EncodeToString(vector.Public("other fleet"))})
	grant := opened(t, cert.RoleKiosk, 0)
	grant.Grant.Sig[0] ^= 1
	add("grant-altered", vector.Signature, "not signed by the machine", grant, nil)
	vector.Keep(t, "openlog", vectors)
	for _, v := range vector.Load(t, "openlog") {
		id := must[ledger.LogID](t)(ledger.ParseLogID(v.With["log"]))
		_, err := event.OpenLog(v.Hex(t, "fleet-key"), id, v.Data)
		v.Judge(t, err, cert.ErrRefused)
	}
	if _, err := event.OpenLog(vector.Public("fleet"), ledger.LogID{}, entryOf(t, &event.StackIntent{})); err == nil {
		t.Error("a log opens with an intent")
	}
}

// TestStrangersWriteNothing: what is no log of the table, and kinds not in use.
func TestStrangersWriteNothing(t *testing.T) {
	for _, k := range append(event.Kinds(), 9, 999) {
		for _, a := range []event.Author{
			{}, {Role: cert.RoleDistrict, Stream: cert.StreamAuthority}, {Role: cert.RoleAuditor}, {Role: cert.RoleOffice}, {Role: cert.RoleOffice, Stream: 3},
			{Role: cert.RoleOffice, Stream: cert.StreamCell - 1}, {Role: cert.RoleKiosk, Stream: cert.StreamAuthority}, {Role: cert.RoleKiosk, Stream: cert.StreamCell},
		} {
			if a.MayWrite(0, k) || a.MayWrite(1, k) {
				t.Errorf("kind %d may be written by a %s in stream %d", k, a.Role, a.Stream)
			}
		}
	}
	for name, a := range authors {
		if a.MayWrite(1, 9) || a.MayWrite(1, 999) {
			t.Errorf("a kind not in use means something in the log %s", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, family := range []string{"event", "openlog"} {
		for _, v := range vector.Load(f, family) {
			e, err := ledger.DecodeEntry(v.Data)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint16(e.Kind), []byte(e.Body))
		}
	}
	f.Fuzz(func(t *testing.T, kind uint16, body []byte) {
		b, err := event.Decode(ledger.Entry{Kind: ledger.Kind(kind), Body: body})
		if _, unknown := b.(*event.Unknown); err != nil || unknown {
			return
		}
		e, err := event.New(at, b)
		if err != nil || !bytes.Equal(e.Body, body) {
			t.Errorf("kind %d: %x encodes as %x, %v", kind, body, e.Body, err)
		}
		if o, ok := b.(*event.LogOpened); ok {
			_ = o.Verify(ledger.LogID{}) // must not panic
		}
	})
}
