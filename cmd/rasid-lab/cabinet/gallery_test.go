package cabinet

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"rasid/hardware/paper/fonts"
	"rasid/ledger/event"
	"rasid/node/lang"
	"rasid/node/till"
	"rasid/node/ui/kiosk"
)

// stage is a till that stands still in one state.
type stage struct {
	view till.View
	err  error // of every press
}

func (s *stage) View() (till.View, uint64, <-chan struct{}) { return s.view, 1, nil }

func (s *stage) Do(context.Context, uint64, till.Event) error { return s.err }

// scene is one state of the screens, with how the page came to be shown.
type scene struct {
	name     string
	view     till.View
	standing kiosk.Standing
	err      error  // of the press, when form is given
	form     string // a form that was sent, else the page was opened
	path     string // of the page, if it is not /k
	stranger bool   // without the cookie
}

// galleryNow is the time on all screens: an evening in Sikar.
var galleryNow = time.Date(2026, 11, 24, 13, 5, 0, 0, time.UTC)

// render returns the page of a scene as the kiosk would send it.
func (s scene) render(t *testing.T, l event.Language) string {
	t.Helper()
	on := &stage{view: s.view, err: s.err}
	on.view.Seq, on.view.Language = 7, l
	screens, err := kiosk.New(kiosk.Config{
		Slot: 147, Name: "SKR-0147", Place: "ग्राम पंचायत श्रीमाधोपुर, तहसील नीमकाथाना", Helpline: "01572-270181", Till: on,
		Standing: func() kiosk.Standing { return s.standing }, Now: func() time.Time { return galleryNow },
		Rand: strings.NewReader("sixteen bytes..."), Fonts: map[string][]byte{"regular.ttf": fonts.Regular, "bold.ttf": fonts.Bold},
	})
	if err != nil {
		t.Fatal(err)
	}
	key := strings.TrimPrefix(screens.StartPath(), "/start?key=")
	path := "/k"
	if s.path != "" {
		path = s.path
	}
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if s.form != "" {
		r = httptest.NewRequest(http.MethodPost, path, strings.NewReader(s.form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if !s.stranger {
		r.AddCookie(&http.Cookie{Name: "rasid_k147", Value: key})
	}
	w := httptest.NewRecorder()
	screens.ServeHTTP(w, r)
	return w.Body.String()
}

// gallery renders every scene in both languages: name → page.
func gallery(t *testing.T) (names []string, pages map[string]string) {
	t.Helper()
	pages = map[string]string{}
	for _, s := range scenes() {
		for l, code := range map[lang.Lang]event.Language{lang.Hindi: event.Hindi, lang.English: event.English} {
			pages[s.name+"-"+string(l)] = s.render(t, code)
		}
		names = append(names, s.name+"-hi", s.name+"-en")
	}
	return names, pages
}

// TestGalleryIsComplete fails when a state that the till can show is in no scene, or a
// text of the screens on no page.
func TestGalleryIsComplete(t *testing.T) {
	var views []till.View
	for _, s := range scenes() {
		views = append(views, s.view)
	}
	for _, missing := range notInViews(t, views) {
		t.Errorf("%s is in no scene of the gallery; add one to scenes", missing)
	}
	_, pages := gallery(t)
	for _, l := range lang.All() {
		var all strings.Builder
		for name, page := range pages {
			if lang.Faulty(page) {
				t.Errorf("%s: a text is missing: %s", name, regexp.MustCompile(`\[\[.*?\]\]`).FindString(page))
			}
			if strings.HasSuffix(name, "-"+string(l)) {
				all.WriteString(page)
			}
		}
		for _, key := range lang.Keys() {
			if strings.HasPrefix(key, "kiosk.") && !strings.Contains(all.String(), longest(l, key)) {
				t.Errorf("%s: the text %s stands on no page of the gallery", l, key)
			}
		}
	}
}

// longest returns the longest piece of a text between its placeholders, as HTML.
func longest(l lang.Lang, key string) string {
	var pairs []any
	names, _ := lang.Placeholders(key)
	for _, name := range names {
		if name == "n" {
			pairs = append(pairs, name, 9)
			continue
		}
		pairs = append(pairs, name, "\x00")
	}
	best := ""
	for _, piece := range strings.FieldsFunc(lang.T(l, key, pairs...), func(r rune) bool { return r == 0 || r == '9' }) {
		if len(piece) > len(best) {
			best = piece
		}
	}
	return strings.ReplaceAll(best, "'", "&#39;")
}

// TestGallery looks at every scene in a real browser, on the two screens that kiosks
// have. RASID_PICTURES names a folder that takes a picture of each.
func TestGallery(t *testing.T) {
	source, s := axe(t), chromium(t)
	names, pages := gallery(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch name := strings.TrimPrefix(r.URL.Path, "/"); {
		case pages[name] != "":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte(pages[name]))
		case r.URL.Path == "/assets/regular.ttf":
			_, _ = w.Write(fonts.Regular)
		case r.URL.Path == "/assets/bold.ttf":
			_, _ = w.Write(fonts.Bold)
		case r.URL.Path == "/assets/style.css":
			http.ServeFile(w, r, filepath.Join("..", "..", "..", "node", "ui", "kiosk", "assets", "style.css"))
		case r.URL.Path == "/assets/live.js": // a scene stands still
			w.Header().Set("Content-Type", "text/javascript")
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	s.do(chromedp.EmulateViewport(1280, 800), chromedp.Navigate(server.URL+"/"+url.PathEscape(names[0])))
	if _, err := chromedp.Run(s.ctx, chromedp.Evaluate[bool](source+"; true")); err != nil {
		t.Fatal(err)
	}
	folder, last := os.Getenv("RASID_PICTURES"), ""
	for _, size := range []struct{ wide, high int64 }{{1280, 800}, {1024, 768}} {
		s.do(chromedp.EmulateViewport(size.wide, size.high))
		for _, name := range names {
			at := fmt.Sprintf("%s at %dx%d", name, size.wide, size.high)
			s.swap(name)
			s.looks(t, at, "", "60")
			s.picture(folder, at)
			last += pages[name]
		}
	}
	// A character that our font lacks is missing on one page as on another: one page that
	// holds them all answers for them.
	if _, err := chromedp.Run(s.ctx, chromedp.Evaluate[bool](`!!(document.querySelector("main").textContent = `+quote(distinct(last))+`)`)); err != nil {
		t.Fatal(err)
	}
	if foreign := s.foreignFonts(t); len(foreign) > 0 {
		t.Errorf("drawn with fonts that are not ours: %v", foreign)
	}
}

// swap puts the body of another scene in place, which is many times faster than to load
// its page.
func (s *screen) swap(name string) {
	s.t.Helper()
	_, err := chromedp.Run(s.ctx, chromedp.Evaluate[bool](`(async (name) => {
  const next = new DOMParser().parseFromString(await (await fetch("/" + encodeURIComponent(name))).text(), "text/html");
  document.documentElement.lang = next.documentElement.lang;
  document.title = next.title;
  document.body.replaceWith(next.body);
  await document.fonts.ready;
  return true;
})(`+quote(name)+`)`, chromedp.EvalAwaitPromise))
	if err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
}

// distinct returns the characters of pages, each once.
func distinct(pages string) string {
	var out strings.Builder
	for _, r := range html.UnescapeString(pages) {
		if r > ' ' && !strings.ContainsRune(out.String(), r) {
			out.WriteRune(r)
		}
	}
	return out.String()
}

// picture keeps what the screen shows, if somebody wants to look.
func (s *screen) picture(folder, name string) {
	s.t.Helper()
	if folder == "" {
		return
	}
	png, err := chromedp.Run(s.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, strings.ReplaceAll(name, " ", "-")+".png"), png, 0o600)
	}
	if err != nil {
		s.t.Fatal(fmt.Errorf("couldn't keep the picture of %s: %w", name, err))
	}
}
