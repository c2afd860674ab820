package cabinet

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"rasid/node/lang"
)

// programs returns the folder of the real programs: what make test built, or built
// here.
func programs(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("RASID_BUILD"); dir != "" {
		return dir
	}
	dir := t.TempDir()
	for _, name := range []string{"rasid-kiosk", "rasid-office", "rasid-audit"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, name), "rasid/cmd/"+name)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("couldn't build %s: %v\n%s", name, err, out)
		}
	}
	return dir
}

// start runs a cabinet until the test ends.
func start(t testing.TB, kiosks int) *Cabinet {
	t.Helper()
	return startWith(t, kiosks, func(*Cabinet) {})
}

// startWith changes the cabinet before it runs.
func startWith(t testing.TB, kiosks int, change func(*Cabinet)) *Cabinet {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	c, err := New(ctx, Config{Dir: dir, Programs: programs(t), Listen: "127.0.0.1:0", Kiosks: kiosks, Consumers: 200, Speed: 10, EscrowTimeout: 10 * time.Second})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	change(c)
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- c.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, k := range c.Kiosks() {
				if b, err := os.ReadFile(k.log.Name()); err == nil {
					t.Logf("%s:\n%s", k.Name, b)
				}
			}
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- nil
		t.Fatal(err)
	}
	return c
}

// citizen is somebody at a kiosk, by HTTP.
type citizen struct {
	t    testing.TB
	k    *Kiosk
	http *http.Client
	base string
}

func at(t testing.TB, k *Kiosk) *citizen {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &citizen{t: t, k: k, http: &http.Client{Jar: jar}}
	c.open()
	return c
}

// open goes to the screen of the kiosk's newest start.
func (c *citizen) open() {
	c.t.Helper()
	u, err := url.Parse(c.k.Screen())
	if err != nil {
		c.t.Fatal(err)
	}
	c.base = "http://" + u.Host
	c.get(c.k.Screen())
}

func (c *citizen) get(address string) string {
	c.t.Helper()
	r, err := c.http.Get(address)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.read(r)
}

func (c *citizen) read(r *http.Response) string {
	c.t.Helper()
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(b)
}

func (c *citizen) page() string { return c.get(c.base + "/k") }

var seqField = regexp.MustCompile(`name="seq" value="(\d+)"`)

// press sends a form of the page that is shown now.
func (c *citizen) press(fields ...string) string {
	c.t.Helper()
	m := seqField.FindStringSubmatch(c.page())
	if m == nil {
		c.t.Fatalf("no form on the page:\n%s", c.page())
	}
	form := url.Values{"seq": {m[1]}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	r, err := c.http.PostForm(c.base+"/k", form)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.read(r)
}

// until waits on the live stream until the page holds all texts, and returns it.
func (c *citizen) until(texts ...string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/k/live", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	stream, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = stream.Body.Close() }()
	for lines := bufio.NewScanner(stream.Body); lines.Scan(); {
		if !strings.HasPrefix(lines.Text(), "data:") {
			continue
		}
		if page := c.page(); containsAll(page, texts) {
			return page
		}
	}
	c.t.Fatalf("the page never showed %q; it shows:\n%s", texts, c.page())
	return ""
}

func containsAll(page string, texts []string) bool {
	for _, text := range texts {
		if !strings.Contains(page, text) {
			return false
		}
	}
	return true
}

// toCash goes from the first screen to feeding notes.
func (c *citizen) toCash(number string) {
	c.t.Helper()
	c.press("do", "language", "value", "hi")
	c.press("do", "service", "value", "1")
	if page := c.press("do", "look", "number", number); !strings.Contains(page, "₹1,264.00") {
		c.t.Fatalf("the bill is not shown:\n%s", page)
	}
	c.untilOpen()
	if page := c.press("do", "confirm"); !strings.Contains(page, `id="inserted"`) {
		c.t.Fatalf("no note can be fed:\n%s", page)
	}
}

// untilOpen waits until a sale can begin: acceptor and printer have answered.
func (c *citizen) untilOpen() {
	c.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		r, err := c.http.Get(c.base + "/readyz")
		if err != nil {
			c.t.Fatal(err)
		}
		c.read(r)
		if r.StatusCode == http.StatusOK {
			return
		}
	}
	c.t.Fatal("the kiosk is not ready")
}

// insert offers a note until the slot takes it, as a hand does.
func (k *Kiosk) insert(t testing.TB, rupees int) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if _, err = k.Acceptor.Do(t.Context(), fmt.Sprintf("insert %d", rupees)); err == nil {
			return
		}
	}
	t.Fatalf("the slot does not take ₹%d: %v", rupees, err)
}

func (k *Kiosk) acceptor(t testing.TB, line string) {
	t.Helper()
	if _, err := k.Acceptor.Do(t.Context(), line); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
}

// feed puts a note in and waits until the page shows the text; a sale that goes on
// must also say that the slot is free for the next note.
func (c *citizen) feed(rupees int, shown string) string {
	c.t.Helper()
	c.k.insert(c.t, rupees)
	if strings.Contains(shown, "inserted") {
		return c.until(shown, "न डालें")
	}
	return c.until(shown)
}

func TestPayInTheDark(t *testing.T) {
	c := start(t, 1)
	k := c.Kiosks()[0]
	p := at(t, k)
	p.untilOpen() // the dues have come
	k.SetOfficeCut(true)
	p.toCash(DemoNumber)
	p.feed(500, `id="inserted">₹500<`)
	k.acceptor(t, "tear next reply") // a torn frame on the serial line is asked for again
	p.feed(500, `id="inserted">₹1,000<`)
	k.acceptor(t, "corrupt next reply")
	p.feed(200, `id="inserted">₹1,200<`)
	page := p.feed(100, `id="receipt"`)
	if !strings.Contains(page, "₹36.00") {
		t.Errorf("the credit to the next bill is not shown:\n%s", page)
	}
	p.until(lang.T(lang.Hindi, "kiosk.print.printed"))
	if s := k.Printer.State(); len(s.Sheets) != 1 {
		t.Errorf("%d sheets", len(s.Sheets))
	}
	if got := k.Acceptor.Truth().BoxPaise(); got != 1300_00 {
		t.Errorf("the box holds %d paise", got)
	}
	raw, _ := json.Marshal(k.Printer.State())
	t.Logf("%s", raw)
}
