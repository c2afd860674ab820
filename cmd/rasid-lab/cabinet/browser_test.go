package cabinet

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"rasid/internal/testtool"
)

// screen is a real browser in front of a kiosk.
type screen struct {
	t   testing.TB
	ctx context.Context
}

// chromium starts a browser that the test's end closes.
func chromium(t testing.TB) *screen {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(testtool.Need(t, "chromium", "chromium")), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.UserDataDir(t.TempDir()))
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, stop := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("couldn't close the browser: %v", err)
		}
		stop()
		stopAlloc()
	})
	s := &screen{t: t, ctx: ctx}
	// The first call owns the browser: it must have no deadline of its own.
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 1024), chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *screen) do(steps ...chromedp.Action[chromedp.Void]) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 40*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		page, _ := chromedp.Run(s.ctx, chromedp.Evaluate[string]("document.body.innerText"))
		s.t.Fatalf("%v; the screen shows:\n%s", err, page)
	}
}

// open goes to the screen of the kiosk's newest start, as its launcher does.
func (s *screen) open(k *Kiosk) { s.do(chromedp.Navigate(k.Screen())) }

// tap presses what the selector names and waits for the next page to show after. The
// press is the page's own click: the checks ask the browser for its whole document,
// which makes it forget the nodes that a remote-controlled mouse would aim at.
func (s *screen) tap(selector, next string) {
	s.t.Helper()
	s.click(selector)
	s.wait(next, `!!document.querySelector(`+quote(next)+`)?.checkVisibility()`)
}

func (s *screen) click(selector string) {
	s.t.Helper()
	s.wait(selector, `(e => e && (e.click(), true))(document.querySelector(`+quote(selector)+`))`)
}

// wait asks the page until the expression is true. While the page goes from one to the
// next the question may fail: it is asked again.
func (s *screen) wait(what, expression string) {
	s.t.Helper()
	var err error
	for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline); {
		var is bool
		if is, err = chromedp.Run(s.ctx, chromedp.Evaluate[bool]("!!("+expression+")")); err == nil && is {
			return
		}
	}
	page, _ := chromedp.Run(s.ctx, chromedp.Evaluate[string]("document.body.innerText"))
	s.t.Fatalf("waited for %s, %v; the screen shows:\n%s", what, err, page)
}

// shows waits until the element holds the text, while the page renews itself.
func (s *screen) shows(selector, text string) {
	s.t.Helper()
	s.wait(selector+" with "+text, `document.querySelector(`+quote(selector)+`)?.textContent.includes(`+quote(text)+`)`)
}

// number types a consumer number on the pad, digit by digit.
func (s *screen) number(digits string) {
	s.t.Helper()
	for i := range digits {
		s.click(`.pad button[value="` + digits[i:i+1] + `"]`)
		s.wait("the digits typed", `document.querySelector("#number")?.value === `+quote(digits[:i+1]))
	}
}

func quote(s string) string { return strconv.Quote(s) }
