package cabinet

import (
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"rasid/hardware"
	"rasid/ledger"
	"rasid/ledger/event"
	"rasid/node/till"
	"rasid/node/ui/kiosk"
)

func galleryBill(due ledger.Paise) *till.Bill {
	return &till.Bill{
		Number: "210123456789", Masked: "श्री••• प्रा•••", Period: "2026-10", Due: due, DueDay: 20785, AsOf: galleryNow.Add(-31 * time.Hour),
		Biller: till.Biller{Code: "AVVNL", NameHi: "अजमेर विद्युत वितरण निगम", NameEn: "Ajmer Vidyut Vitran Nigam", Digits: [2]int{12, 12}, Surplus: event.SurplusNextBill, Part: true},
	}
}

// longBill is as wide as a bill may be.
func longBill() *till.Bill {
	b := galleryBill(1_99_987_50)
	b.Number, b.Masked = "21012345678901234567", "श्रीमती• राजेश्वरी••• कुँवर••• शेखावत•••"
	b.Biller.NameHi, b.Biller.NameEn = "जोधपुर विद्युत वितरण निगम लिमिटेड", "Jodhpur Vidyut Vitran Nigam Limited"
	return b
}

func offers(taken ...ledger.Paise) (notes []till.NoteOffer) {
	for _, value := range []ledger.Paise{10_00, 20_00, 50_00, 100_00, 200_00, 500_00} {
		notes = append(notes, till.NoteOffer{Value: value, Taken: slices.Contains(taken, value)})
	}
	return notes
}

var allNotes = []ledger.Paise{10_00, 20_00, 50_00, 100_00, 200_00, 500_00}

// selling is the view of an open sale.
func selling(step till.Step, due, inserted ledger.Paise, change ...func(*till.View)) till.View {
	v := till.View{
		Step: step, Bill: galleryBill(due), Inserted: inserted, Remaining: max(0, due-inserted), Surplus: max(0, inserted-due),
		Notes: offers(allNotes...), PartOK: inserted > 0 && inserted < due,
	}
	for _, c := range change {
		c(&v)
	}
	return v
}

func fault(f hardware.Fault) func(*till.View) {
	return func(v *till.View) { v.Fault, v.Notes = f, offers() }
}

func checking(v *till.View)                         { v.Checking, v.Notes = true, nil }
func long(v *till.View)                             { v.Bill = longBill() }
func doubt(values ...ledger.Paise) func(*till.View) { return func(v *till.View) { v.Claims = values } }
func left(seconds int) func(*till.View)             { return func(v *till.View) { v.LeftSec = seconds } }
func partRefused(v *till.View)                      { v.PartOK = false; v.Bill.Biller.Part = false }

func surplusRefused(v *till.View) {
	v.Bill.Biller.Surplus, v.Notes = event.SurplusRefused, offers(10_00, 20_00, 50_00)
}

func problem(key string, args ...any) till.Problem { return till.Problem{Key: key, Args: args} }

func payment(print till.PrintState, tendered, applied, due ledger.Paise) till.Paper {
	return till.Paper{Number: "K147-1-4021-7QXM-3", Value: tendered, Copy: 1, Print: print, Body: &event.PaymentCommitted{Tendered: tendered, Applied: applied, Due: due, Surplus: tendered - applied}}
}

func slip(print till.PrintState, amount ledger.Paise) till.Paper {
	return till.Paper{Number: "K147-1-4022-9ABD-1", Value: amount, Copy: 1, Print: print, Body: &event.SlipIssued{Amount: amount}}
}

func claim(index int, amount ledger.Paise) till.Paper {
	return till.Paper{Number: fmt.Sprintf("K147-1-%d-0CDE-8", index), Value: amount, Copy: 1, Print: till.PrintWaiting, Body: &event.NoteUnresolved{}}
}

// scenes is every state that a citizen may see, the rare ones too.
func scenes() []scene {
	at := func(step till.Step) till.View { return till.View{Step: step} }
	offline := kiosk.Standing{Dues: true, Unsent: 61, Heard: galleryNow.Add(-52 * time.Hour)}
	all := slices.Concat(firstScenes(at), duesScenes(), cashScenes(), endScenes(), failureScenes(at))
	for i := range all {
		if all[i].standing == (kiosk.Standing{}) {
			all[i].standing = offline
		}
	}
	return all
}

func firstScenes(at func(till.Step) till.View) []scene {
	out := []scene{
		{name: "attract", view: at(till.StepLanguage)},
		{name: "attract records missing", view: till.View{Step: till.StepLanguage, Missing: true}},
		{name: "attract records missing, closed", view: till.View{Step: till.StepLanguage, Missing: true, Closed: problem("kiosk.out.paper")}},
		{name: "attract online", view: at(till.StepLanguage), standing: kiosk.Standing{Online: true, Dues: true, Heard: galleryNow}},
		{name: "attract never heard, no dues", view: at(till.StepLanguage), standing: kiosk.Standing{Unsent: 1}},
		{name: "attract time uncertain", view: at(till.StepLanguage), standing: kiosk.Standing{Dues: true, Heard: galleryNow.Add(time.Hour)}},
		{name: "service", view: at(till.StepService)},
		{name: "service not offered", view: till.View{Step: till.StepService, Problem: problem("kiosk.services.not_now", "why", till.Reason("kiosk.why.not_offered"))}},
		{name: "service warning", view: till.View{Step: till.StepService, LeftSec: 12}},
		{name: "identify", view: at(till.StepIdentify)},
		{name: "identify one digit", view: till.View{Step: till.StepIdentify, Typed: "2"}},
		{name: "identify full", view: till.View{Step: till.StepIdentify, Typed: "210123456789"}},
		{name: "identify longest, warning", view: till.View{Step: till.StepIdentify, Typed: "21012345678901234567", LeftSec: 1, Problem: problem("kiosk.identify.error.unknown")}},
	}
	for _, key := range []string{"empty", "digits", "unknown", "paid_unknown", "no_list"} {
		out = append(out, scene{name: "identify error " + key, view: till.View{Step: till.StepIdentify, Typed: "21012345678", Problem: problem("kiosk.identify.error." + key)}})
	}
	for _, key := range []string{"short", "long"} {
		out = append(out, scene{name: "identify error " + key, view: till.View{Step: till.StepIdentify, Typed: "2101", Problem: problem("kiosk.identify.error."+key, "n", 4, "need", 12)}})
	}
	for _, key := range []string{"box_full", "box_removed", "jam", "acceptor", "paper", "printer", "disk"} {
		out = append(out, scene{name: "attract closed " + key, view: till.View{Step: till.StepLanguage, Closed: problem("kiosk.out." + key)}})
	}
	printer := till.PrinterNow{Paper: hardware.PaperOut, Offline: true, Faults: hardware.PrinterFaults(0).With(hardware.AllPrinterFaults()...)}
	out = append(out, scene{name: "attract closed by every fault of the printer", view: till.View{Step: till.StepLanguage, Closed: problem("kiosk.out.printer"), Printer: printer}})
	return out
}

func duesScenes() []scene {
	dues := func(due ledger.Paise, change func(*till.View)) till.View {
		v := till.View{Step: till.StepDues, Bill: galleryBill(due)}
		if change != nil {
			change(&v)
		}
		return v
	}
	say := func(key string, args ...any) func(*till.View) {
		return func(v *till.View) { v.Problem = problem("kiosk.dues."+key, args...) }
	}
	day := galleryNow.Add(-48 * time.Hour)
	old := func(v *till.View) { v.Bill.AsOf, v.Bill.DueDay = galleryNow.Add(-100*24*time.Hour), 20700 }
	return []scene{
		{name: "dues", view: dues(1264_00, nil)},
		{name: "dues old, overdue", view: dues(1264_00, old)},
		{name: "dues as of tomorrow", view: dues(1264_00, func(v *till.View) { v.Bill.AsOf = galleryNow.Add(20 * time.Hour) })},
		{name: "dues long", view: dues(0, func(v *till.View) { old(v); long(v); v.Bill.AsOf = galleryNow.Add(-80 * 24 * time.Hour) })},
		{name: "dues closed meanwhile, old, warning", view: dues(1264_00, func(v *till.View) { old(v); v.Closed, v.LeftSec = problem("kiosk.out.paper"), 9 })},
		{name: "dues nothing", view: dues(0, say("nothing"))},
		{name: "dues wait", view: dues(1264_00, say("wait"))},
		{name: "dues paid here", view: dues(0, say("paid_here", "date", day, "receipt", "K147-1-4021-7QXM-3"))},
		{name: "dues paid there", view: dues(0, say("paid_there", "date", day, "receipt", "102-1-4021-7QXM-3", "kiosk", "SKR-0102"))},
		{name: "dues part there", view: dues(264_00, say("part_there", "amount", ledger.Paise(1000_00), "date", day, "kiosk", "SKR-0102"))},
		{name: "dues part here", view: dues(264_00, say("part_here", "amount", ledger.Paise(1000_00), "date", day))},
		{name: "dues ceiling", view: dues(1_99_990_00, say("ceiling", "limit", ledger.Paise(20_000_00)))},
		{name: "dues not in notes", view: dues(1264_50, func(v *till.View) { old(v); say("not_in_notes", "amount", ledger.Paise(1264_50))(v) })},
	}
}

func cashScenes() []scene {
	bounced := func(key string) func(*till.View) {
		return func(v *till.View) { v.Bounced = problem("kiosk.returned." + key) }
	}
	out := []scene{
		{name: "cash", view: selling(till.StepCash, 1264_00, 0)},
		{name: "cash long, many notes", view: selling(till.StepCash, 1_99_987_50, 1_23_450_00, long)},
		{name: "cash note moving", view: selling(till.StepCash, 1264_00, 500_00, func(v *till.View) { v.Moving = true })},
		{name: "cash nothing fits", view: selling(till.StepCash, 1264_00, 1260_00, surplusRefused, func(v *till.View) { v.Notes = offers() })},
		{name: "cash surplus refused", view: selling(till.StepCash, 1260_00, 1200_00, surplusRefused)},
		{name: "cash surplus", view: selling(till.StepCash, 1264_00, 1300_00, func(v *till.View) { v.Notes = offers() })},
		{name: "cash checking", view: selling(till.StepCash, 1264_00, 500_00, checking)},
		{name: "cash doubt", view: selling(till.StepCash, 1264_00, 500_00, doubt(500_00))},
		{name: "cash worst: jam, two doubts, warning, long", view: selling(till.StepCash, 1_99_987_50, 1_23_450_00, long, fault(hardware.FaultJamUnsafe), doubt(500_00, 200_00), left(20))},
		{name: "cash warning", view: selling(till.StepCash, 1264_00, 1000_00, left(20))},
		{name: "cash warning, enough", view: selling(till.StepCash, 1264_00, 1300_00, left(1))},
	}
	for f, name := range []string{1: "jam safe", "jam unsafe", "stacker full", "box removed", "fraud", "path open", "device"} {
		if name != "" {
			out = append(out, scene{name: "cash fault " + name, view: selling(till.StepCash, 1264_00, 500_00, fault(hardware.Fault(f)))})
		}
	}
	for _, key := range []string{"unreadable", "not_now", "too_much", "two", "cancelled", "late", "unknown"} {
		out = append(out, scene{name: "cash note back " + key, view: selling(till.StepCash, 1264_00, 1000_00, bounced(key), func(v *till.View) { v.Notes = offers(10_00, 20_00, 50_00, 100_00, 200_00) })})
	}
	return out
}

func endScenes() []scene {
	done := func(papers ...till.Paper) till.View { return till.View{Step: till.StepDone, Papers: papers} }
	out := []scene{
		{name: "choice", view: selling(till.StepChoice, 1264_00, 1000_00)},
		{name: "choice no part, warning", view: selling(till.StepChoice, 1264_00, 1000_00, partRefused, left(15))},
		{name: "choice only doubt", view: selling(till.StepChoice, 1264_00, 0, doubt(500_00))},
		{name: "choice long, two doubts, warning", view: selling(till.StepChoice, 1_99_987_50, 1_23_450_00, long, doubt(500_00, 200_00), left(15))},
		{name: "finishing", view: selling(till.StepFinishing, 1264_00, 1300_00)},
		{name: "recover", view: selling(till.StepRecover, 1264_00, 1100_00)},
		{name: "recover enough", view: selling(till.StepRecover, 1264_00, 1300_00)},
		{name: "recover checking, doubt, warning, long", view: selling(till.StepRecover, 1_99_987_50, 1_23_450_00, long, checking, doubt(500_00), left(19))},
		{name: "recover without number", view: selling(till.StepRecover, 1264_00, 500_00, func(v *till.View) { v.Bill.Number, v.Bill.Masked = "", "" })},
		{name: "done exact", view: done(payment(till.PrintDone, 1260_00, 1260_00, 1260_00))},
		{name: "done part", view: done(payment(till.PrintSending, 1000_00, 1000_00, 1264_00))},
		{name: "done last copy", view: done(till.Paper{Number: "K147-1-4021-7QXM-3", Value: 1260_00, Copy: 9, Print: till.PrintDone, Body: &event.PaymentCommitted{Tendered: 1260_00, Applied: 1260_00, Due: 1260_00}})},
		{name: "done slip", view: done(slip(till.PrintDone, 1000_00))},
		{name: "done claim alone", view: done(claim(4023, 500_00))},
		{name: "done claim, lakhs", view: done(claim(4020, 500_00), payment(till.PrintDone, 1_99_990_00, 1_99_987_50, 1_99_987_50))},
		{name: "done two claims, part, no paper", view: done(claim(4018, 500_00), claim(4020, 200_00), payment(till.PrintNoPaper, 1_23_450_00, 1_23_450_00, 1_99_987_50))},
		{name: "done slip and claim, offline", view: done(claim(4020, 200_00), slip(till.PrintOffline, 1_23_450_00))},
	}
	for p, name := range []string{"waiting", "sending", "done", "no paper", "jam", "offline"} {
		out = append(out, scene{name: "done print " + name, view: done(payment(till.PrintState(p), 1300_00, 1264_00, 1264_00))})
	}
	return out
}

func failureScenes(at func(till.Step) till.View) []scene {
	return []scene{
		{name: "failure no such page", path: "/nowhere", view: at(till.StepService)},
		{name: "failure stranger", stranger: true, view: at(till.StepService)},
		{name: "failure inside", form: "seq=7&do=confirm", err: errors.New("the till stopped"), view: at(till.StepDues)},
		{name: "refused stale", form: "seq=3&do=confirm", err: till.ErrStale, view: selling(till.StepCash, 1264_00, 500_00)},
		{name: "refused bad form", form: "seq=7&do=fly", view: selling(till.StepCash, 1264_00, 500_00, doubt(500_00))},
	}
}

// notInViews names every value of the till's enumerations, every field of its view and
// every problem it knows that none of the views holds. It reads the sources, so that a
// state added there is missed here.
func notInViews(t *testing.T, views []till.View) (missing []string) {
	t.Helper()
	root := filepath.Join("..", "..", "..")
	seen := map[string]bool{}
	shape := reflect.TypeFor[till.View]()
	for _, v := range views {
		seen["till.Step."+fmt.Sprint(uint8(v.Step))] = true
		seen["hardware.Fault."+fmt.Sprint(uint8(v.Fault))] = true
		for _, p := range v.Papers {
			seen["till.PrintState."+fmt.Sprint(uint8(p.Print))] = true
		}
		if v.Bill != nil {
			seen["event.SurplusRule."+fmt.Sprint(uint8(v.Bill.Biller.Surplus))] = true
		}
		for _, p := range []till.Problem{v.Problem, v.Closed, v.Bounced} {
			seen[p.Key] = true
		}
		for i := range shape.NumField() {
			if !reflect.ValueOf(v).Field(i).IsZero() {
				seen["till.View."+shape.Field(i).Name] = true
			}
		}
	}
	want := map[string]string{}
	for _, e := range []struct{ dir, pkg, name string }{{"node/till", "till", "Step"}, {"node/till", "till", "PrintState"}, {"hardware", "hardware", "Fault"}, {"ledger/event", "event", "SurplusRule"}} {
		for value, name := range members(t, filepath.Join(root, e.dir), e.name) {
			want[e.pkg+"."+e.name+"."+value] = name
		}
	}
	for i := range shape.NumField() {
		if name := shape.Field(i).Name; name != "Seq" && name != "Language" { // the gallery sets them
			want["till.View."+name] = "the field " + name
		}
	}
	for _, dir := range []string{"node/till", "node/catalogue"} {
		for _, key := range problemKeys(t, filepath.Join(root, dir)) {
			want[key] = "the problem " + key
		}
	}
	if len(want) < 60 {
		t.Fatalf("only %d states were found in the sources", len(want))
	}
	for id, name := range want {
		if !seen[id] {
			missing = append(missing, name+" ("+id+")")
		}
	}
	slices.Sort(missing)
	return missing
}

// members returns the constants of a type: value → name.
func members(t *testing.T, dir, typeName string) map[string]string {
	t.Helper()
	set := token.NewFileSet()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var parsed []*ast.File
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
	}
	// What is imported is not resolved: the constants need nothing of it.
	conf := types.Config{Importer: importer.ForCompiler(set, "none", nil), Error: func(error) {}}
	pkg, _ := conf.Check(dir, set, parsed, nil)
	out := map[string]string{}
	for _, name := range pkg.Scope().Names() {
		c, ok := pkg.Scope().Lookup(name).(*types.Const)
		if !ok {
			continue
		}
		if named, ok := c.Type().(*types.Named); ok && named.Obj().Name() == typeName {
			value, _ := constant.Int64Val(c.Val())
			out[fmt.Sprint(value)] = name
		}
	}
	if len(out) == 0 {
		t.Fatalf("no constant of %s found in %s", typeName, dir)
	}
	return out
}

// problemKeys returns the texts that a package's problems name.
func problemKeys(t *testing.T, dir string) (keys []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`"(kiosk\.[a-z_.]+)"`)
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range form.FindAllStringSubmatch(string(src), -1) {
			if m[1] != "kiosk.error.wrong_step" && m[1] != "kiosk.why.not_offered" { // a notice and a reason, not the view's problem
				keys = append(keys, m[1])
			}
		}
	}
	return keys
}
