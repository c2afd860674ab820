package cabinet

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/chromedp"

	"rasid/node/lang"
)

// axe returns the accessibility checker that the Makefile fetches.
func axe(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(os.Getenv("RASID_NPM"), "node_modules", "axe-core", "axe.min.js"))
	if err == nil {
		return string(b)
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("axe-core is missing: make test fetches it: %v", err)
	}
	t.Skip("axe-core is missing; run make test, which fetches it")
	return ""
}

// looked is what the checks see of a page.
type looked struct {
	Axe      []string `json:"axe"`
	Overflow string   `json:"overflow"`
	Sideways string   `json:"sideways"`
	Small    []string `json:"small"`
}

// lookScript runs axe and the checks that axe does not make: nothing is clipped, nothing
// scrolls sideways, every target is large enough for a finger.
const lookScript = `(async (least) => {
  const r = await axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"] });
  const main = document.querySelector("main"), out = { overflow: "", sideways: "", small: [] };
  out.axe = r.violations.map(v => v.id + ": " + v.nodes.map(n => n.target.join(" ") + " " + n.failureSummary).join("; "));
  if (least >= 60 && main.scrollHeight > main.clientHeight + 1) out.overflow = main.scrollHeight + " of " + main.clientHeight;
  if (document.documentElement.scrollWidth > innerWidth) out.sideways = document.documentElement.scrollWidth + " of " + innerWidth;
  for (const e of document.querySelectorAll("body *")) if (least >= 60 && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && getComputedStyle(e).display !== "inline") out.sideways += " " + e.tagName + "." + e.className + ": " + e.textContent.trim().slice(0, 20);
  for (const e of document.querySelectorAll("button, a")) {
    const b = e.getBoundingClientRect();
    if (b.width > 0 && (b.width < least || b.height < least)) out.small.push(e.textContent.trim() + " " + b.width + "×" + b.height);
  }
  return JSON.stringify(out);
})`

// looks runs lookScript on the page that is shown now; axeSource is empty where axe is there.
func (s *screen) looks(t *testing.T, name, axeSource, least string) {
	t.Helper()
	raw, err := chromedp.Run(s.ctx, chromedp.Evaluate[string](axeSource+";"+lookScript+"("+least+")", chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var l looked
	if err := json.Unmarshal([]byte(raw), &l); err != nil {
		t.Fatal(err)
	}
	if len(l.Axe) > 0 || l.Overflow != "" || l.Sideways != "" || len(l.Small) > 0 {
		t.Errorf("%s: %+v", name, l)
	}
}

// check looks at the page that is shown now, and at its fonts and texts.
func (s *screen) check(t *testing.T, axeSource, name, least string) {
	t.Helper()
	s.looks(t, name, axeSource, least)
	if foreign := s.foreignFonts(t); len(foreign) > 0 {
		t.Errorf("%s: drawn with fonts that are not ours: %v", name, foreign)
	}
	text, err := chromedp.Run(s.ctx, chromedp.Evaluate[string]("document.body.innerText"))
	if err != nil || lang.Faulty(text) {
		t.Errorf("%s: a text is missing, or %v:\n%s", name, err, text)
	}
}

// foreignFonts lists the system fonts that stand in where ours lacks a character.
func (s *screen) foreignFonts(t *testing.T) []string {
	t.Helper()
	if _, err := chromedp.Call(s.ctx, dom.Enable, dom.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(s.ctx, css.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	var nodes dom.QuerySelectorAllResult
	for try := 0; ; try++ { // the page may renew itself between the two calls
		root, err := chromedp.Call(s.ctx, dom.GetDocument, dom.GetDocumentParams{})
		if err == nil {
			nodes, err = chromedp.Call(s.ctx, dom.QuerySelectorAll, dom.QuerySelectorAllParams{NodeID: root.Root.NodeID, Selector: "body *"})
		}
		if err == nil {
			break
		}
		if try == 20 {
			t.Fatal(err)
		}
	}
	var foreign []string
	for _, id := range nodes.NodeIDs {
		used, err := chromedp.Call(s.ctx, css.GetPlatformFontsForNode, css.GetPlatformFontsForNodeParams{NodeID: id})
		if err != nil {
			continue // the page renewed itself under us: the node is gone
		}
		for _, f := range used.Fonts {
			if !f.IsCustomFont && f.GlyphCount > 0 {
				foreign = append(foreign, f.FamilyName)
			}
		}
	}
	return foreign
}

// TestScreens walks a real kiosk and the office page in both languages and looks at
// every screen.
func TestScreens(t *testing.T) {
	source := axe(t)
	s := chromium(t)
	s.do(chromedp.Navigate(`data:text/html,<p>😀`))
	seen := false
	for try := 0; try < 100 && !seen; try++ { // the page may be there before it is drawn
		seen = len(s.foreignFonts(t)) > 0
	}
	if !seen {
		t.Error("the font check does not see an emoji: it cannot fail")
	}
	for _, l := range []string{"hi", "en"} {
		t.Run(l, func(t *testing.T) {
			c := start(t, 1)
			k := c.Kiosks()[0]
			at(t, k).untilOpen()
			s.t = t
			walk(t, s, k, source, l)
			s.do(chromedp.Navigate(c.OfficeURL() + "?lang=" + l))
			s.check(t, source, l+" office", "24")
		})
	}
}

// walk pays a bill with every turn that a citizen may take.
func walk(t *testing.T, s *screen, k *Kiosk, source, l string) {
	look := func(name string) { s.check(t, source, l+" "+name, "60") }
	s.open(k)
	look("attract")
	s.tap("#"+l, "#electricity")
	look("services")
	s.tap("#electricity", "#number")
	look("number")
	s.tap("#show", ".notice")
	look("number with an error")
	s.number(DemoNumber)
	s.tap("#show", "#confirm")
	look("dues")
	s.tap("#confirm", "#inserted")
	look("cash")
	k.insert(t, 500)
	s.shows("#inserted", "₹500")
	look("cash with money")
	k.acceptor(t, "insert unreadable")
	s.shows("#slot", lang.T(lang.Lang(l), "kiosk.returned.title"))
	look("cash with a note back")
	s.tap(`button[value="cancel"]`, "#slip")
	look("choice")
	k.Process.Kill()
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.open(k)
	s.shows("#recovered", "₹500")
	look("recover")
	s.tap("#continue", "#inserted")
	for _, n := range []int{500, 200} {
		k.insert(t, n)
	}
	s.shows("#inserted", "₹1,200")
	k.printer(t, "paper out")
	k.insert(t, 100)
	s.shows("#receipt", "-1-")
	s.shows(".state", strings.Split(lang.T(lang.Lang(l), "kiosk.print.paper_out"), ".")[0][:12])
	look("done without paper")
	k.printer(t, "refill")
	s.shows(".state", lang.T(lang.Lang(l), "kiosk.print.printed"))
	look("done")
	s.do(chromedp.Navigate(strings.Split(k.Screen(), "/start")[0] + "/nowhere"))
	look("no such page")
}
