package kiosk

import (
	"context"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"rasid/ledger/event"
	"rasid/node/lang"
	"rasid/node/till"
)

// counter is a till that counts what changes it. The page shown is number 7.
type counter struct {
	language event.Language
	did      []till.Event
}

func (c *counter) View() (till.View, uint64, <-chan struct{}) {
	return till.View{Seq: 7, Step: till.StepIdentify, Typed: "2101", Language: c.language}, 3, make(chan struct{})
}

func (c *counter) Do(_ context.Context, seq uint64, action till.Event) error {
	if seq != 7 {
		return till.ErrStale
	}
	c.did = append(c.did, action)
	return nil
}

func screens(t *testing.T, c *counter) *Screens {
	t.Helper()
	s, err := New(Config{
		Slot: 5, Name: "SKR-0005", Helpline: "181", Till: c, Standing: func() Standing { return Standing{Dues: true} }, Now: time.Now,
		Rand: strings.NewReader("sixteen bytes..."), Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Fonts: map[string][]byte{"regular.ttf": {1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func send(s *Screens, method, path, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.AddCookie(&http.Cookie{Name: s.cookieName(), Value: s.secret})
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func cookie(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del("Cookie")
		if name != "" {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
	}
}

func TestEveryRouteNeedsTheCookieOfThisBoot(t *testing.T) {
	c := &counter{}
	s := screens(t, c)
	for _, route := range []struct{ method, path string }{
		{"GET", "/"}, {"GET", "/k"}, {"HEAD", "/k"}, {"POST", "/k"}, {"DELETE", "/k"}, {"GET", "/k/live"}, {"GET", "/assets/style.css"},
		{"GET", "/assets/regular.ttf"}, {"GET", "/nowhere"}, {"GET", "/start"}, {"GET", "/start?key="}, {"GET", "/start?key=0123456789abcdef0123456789abcdef"},
	} {
		for name, change := range map[string]func(*http.Request){
			"no cookie": cookie("", ""), "empty": cookie(s.cookieName(), ""), "wrong": cookie(s.cookieName(), strings.Repeat("0", 32)),
			"longer": cookie(s.cookieName(), s.secret+"0"), "shorter": cookie(s.cookieName(), s.secret[:31]), "another kiosk's": cookie("rasid_k6", s.secret),
		} {
			w := send(s, route.method, route.path, "seq=7&do=cancel", change)
			if w.Code != http.StatusUnauthorized {
				t.Errorf("%s %s with %s: %d, want 401", route.method, route.path, name, w.Code)
			}
			for _, l := range lang.All() {
				if !strings.Contains(w.Body.String(), html.EscapeString(lang.T(l, "kiosk.error.unauthorized"))) && route.method != http.MethodHead {
					t.Errorf("%s %s with %s does not say why in %s", route.method, route.path, name, l)
				}
			}
			if strings.Contains(w.Body.String(), "2101\"") || w.Header().Get("Set-Cookie") != "" {
				t.Errorf("%s %s with %s gives the sale or the cookie away", route.method, route.path, name)
			}
		}
	}
	if len(c.did) > 0 {
		t.Errorf("strangers did %v", c.did)
	}
}

func TestStartGivesTheCookie(t *testing.T) {
	s := screens(t, &counter{})
	w := send(s, "GET", s.StartPath(), "", cookie("", ""))
	got := w.Result().Cookies()
	if w.Code != http.StatusSeeOther || len(got) != 1 || got[0].Value != s.secret || !got[0].HttpOnly || got[0].SameSite != http.SameSiteStrictMode {
		t.Fatalf("%d, cookies %v", w.Code, got)
	}
	if w := send(s, "GET", "/k", "", nil); w.Code != http.StatusOK {
		t.Errorf("with the cookie: %d", w.Code)
	}
}

func TestGoodForms(t *testing.T) {
	for body, want := range map[string]till.Event{
		"do=language&value=en":        till.ChooseLanguage{Language: event.English},
		"do=language&value=hi":        till.ChooseLanguage{Language: event.Hindi},
		"do=service&value=1":          till.ChooseService{Service: event.ServiceElectricity},
		"do=look&number=2101":         till.Typed{Number: "2101"},
		"do=look&number=2101&pad=5":   till.Enter{Number: "21015"},
		"do=look&number=21&pad=erase": till.Enter{Number: "2"},
		"do=look&number=&pad=erase":   till.Enter{},
		"do=look&number=21&pad=clear": till.Enter{},
		"do=confirm":                  till.ConfirmBill{}, "do=back": till.Back{}, "do=cancel": till.Cancel{}, "do=continue": till.Continue{},
		"do=part": till.PayPart{}, "do=slip": till.TakeSlip{}, "do=finish": till.Finish{}, "do=again": till.PrintAgain{},
	} {
		c := &counter{}
		w := send(screens(t, c), "POST", "/k", "seq=7&"+body, nil)
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/k" || len(c.did) != 1 || c.did[0] != want {
			t.Errorf("%s: %d, did %v, want %v", body, w.Code, c.did, want)
		}
	}
}

// refusal is a form that must change nothing, and what is answered.
type refusal struct {
	method, body string
	change       func(*http.Request)
	status       int
	key          string
}

func refusals() map[string]refusal {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	const bad = "kiosk.error.bad_form"
	return map[string]refusal{
		"stale page":               {"POST", "seq=6&do=cancel", nil, 409, "kiosk.error.wrong_step"},
		"page of the future":       {"POST", "seq=8&do=cancel", nil, 409, "kiosk.error.wrong_step"},
		"empty":                    {"POST", "", nil, 400, bad},
		"no page":                  {"POST", "do=cancel", nil, 400, bad},
		"no button":                {"POST", "seq=7", nil, 400, bad},
		"page is a word":           {"POST", "seq=seven&do=cancel", nil, 400, bad},
		"page is negative":         {"POST", "seq=-7&do=cancel", nil, 400, bad},
		"page beyond 64 bits":      {"POST", "seq=18446744073709551623&do=cancel", nil, 400, bad},
		"unknown button":           {"POST", "seq=7&do=fly", nil, 400, bad},
		"button in other case":     {"POST", "seq=7&do=Cancel", nil, 400, bad},
		"no language":              {"POST", "seq=7&do=language", nil, 400, bad},
		"unknown language":         {"POST", "seq=7&do=language&value=raj", nil, 400, bad},
		"no service":               {"POST", "seq=7&do=service", nil, 400, bad},
		"service is a word":        {"POST", "seq=7&do=service&value=water", nil, 400, bad},
		"service beyond 16 bits":   {"POST", "seq=7&do=service&value=65537", nil, 400, bad},
		"no number":                {"POST", "seq=7&do=look", nil, 400, bad},
		"number too long":          {"POST", "seq=7&do=look&number=" + strings.Repeat("1", 65), nil, 400, bad},
		"number is no text":        {"POST", "seq=7&do=look&number=%ff%fe", nil, 400, bad},
		"unknown key of the pad":   {"POST", "seq=7&do=look&number=1&pad=x", nil, 400, bad},
		"two keys of the pad":      {"POST", "seq=7&do=look&number=1&pad=12", nil, 400, bad},
		"broken escape":            {"POST", "seq=7&do=%zz", nil, 400, bad},
		"in the address":           {"POST", "", func(r *http.Request) { r.URL.RawQuery = "seq=7&do=cancel" }, 400, bad},
		"JSON":                     {"POST", `{"seq":7,"do":"cancel"}`, header("Content-Type", "application/json"), 400, bad},
		"multipart":                {"POST", "seq=7&do=cancel", header("Content-Type", "multipart/form-data; boundary=x"), 400, bad},
		"plain text":               {"POST", "seq=7&do=cancel", header("Content-Type", "text/plain"), 400, bad},
		"huge":                     {"POST", "seq=7&do=cancel&x=" + strings.Repeat("1", 1<<20), nil, 413, bad},
		"PUT":                      {"PUT", "seq=7&do=cancel", nil, 405, bad},
		"DELETE":                   {"DELETE", "", nil, 405, bad},
		"another site by metadata": {"POST", "seq=7&do=cancel", header("Sec-Fetch-Site", "cross-site"), 403, bad},
		"another port by metadata": {"POST", "seq=7&do=cancel", header("Sec-Fetch-Site", "same-site"), 403, bad},
		"another origin":           {"POST", "seq=7&do=cancel", header("Origin", "http://127.0.0.1:9999"), 403, bad},
		"no origin at all":         {"POST", "seq=7&do=cancel", header("Origin", "null"), 403, bad},
	}
}

// A refused form changes nothing, says why in the citizen's language, and shows the
// page where the citizen is.
func TestRefusedForms(t *testing.T) {
	for name, want := range refusals() {
		for l, code := range map[lang.Lang]event.Language{lang.Hindi: event.Hindi, lang.English: event.English} {
			c := &counter{language: code}
			w := send(screens(t, c), want.method, "/k", want.body, want.change)
			page := w.Body.String()
			if w.Code != want.status {
				t.Errorf("%s: %d, want %d", name, w.Code, want.status)
			}
			if !strings.Contains(page, lang.T(l, want.key)) || strings.Contains(page, lang.T(l.Other(), want.key)) {
				t.Errorf("%s: the page does not say why in %s alone", name, l)
			}
			if !strings.Contains(page, `name="number" value="2101"`) || !strings.Contains(page, `name="seq" value="7"`) {
				t.Errorf("%s: the page is not where the citizen is", name)
			}
			if len(c.did) > 0 {
				t.Errorf("%s: it did %v", name, c.did)
			}
		}
	}
}

// The browser's own forms carry an origin, or null beside the word that it is our own.
func TestOurOwnOriginMayPress(t *testing.T) {
	for name, set := range map[string]url.Values{
		"origin": {"Origin": {"http://example.com"}}, "metadata": {"Sec-Fetch-Site": {"same-origin"}, "Origin": {"null"}},
	} {
		c := &counter{}
		w := send(screens(t, c), "POST", "/k", "seq=7&do=cancel", func(r *http.Request) {
			for k, v := range set {
				r.Header[k] = v
			}
		})
		if w.Code != http.StatusSeeOther || len(c.did) != 1 {
			t.Errorf("%s: %d, did %v", name, w.Code, c.did)
		}
	}
}

func TestOtherMethodsAreNamed(t *testing.T) {
	s := screens(t, &counter{})
	for path, allow := range map[string]string{"/k": "GET, POST", "/k/live": "GET", "/start": "GET", "/assets/style.css": "GET", "/": "GET"} {
		w := send(s, http.MethodPatch, path, "", nil)
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != allow {
			t.Errorf("PATCH %s: %d, Allow %q", path, w.Code, w.Header().Get("Allow"))
		}
	}
	if w := send(s, "GET", "/assets/steps.html", "", nil); w.Code != http.StatusNotFound {
		t.Errorf("a template is served: %d", w.Code)
	}
}
