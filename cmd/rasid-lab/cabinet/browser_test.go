package cabinet

import (
	"context"
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

// tap touches what the selector names and waits for the next page to show after.
func (s *screen) tap(selector, next string) {
	s.t.Helper()
	s.do(chromedp.Click(chromedp.CSS(selector)), chromedp.WaitVisible(chromedp.CSS(next)))
}

// shows waits until the element holds the text, while the page renews itself.
func (s *screen) shows(selector, text string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 40*time.Second)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Poll[bool](`!!(document.querySelector("`+selector+`")?.textContent.includes("`+text+`"))`))
	if err != nil {
		page, _ := chromedp.Run(s.ctx, chromedp.Evaluate[string]("document.body.innerText"))
		s.t.Fatalf("%s never showed %q: %v; the screen shows:\n%s", selector, text, err, page)
	}
}

// number types a consumer number on the pad, digit by digit.
func (s *screen) number(digits string) {
	s.t.Helper()
	for i := range digits {
		s.do(chromedp.Click(chromedp.CSS(`.pad button[value="` + digits[i:i+1] + `"]`)))
		s.do(chromedp.WaitVisible(chromedp.CSS(`#number[value="` + digits[:i+1] + `"]`)))
	}
}
