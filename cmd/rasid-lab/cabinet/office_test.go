package cabinet

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"rasid/hardware/paper/fonts"
	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/node/lang"
	"rasid/node/office"
	"rasid/node/ui/console"
)

// desk is an office's view that stands still.
type desk struct{ shows office.Snapshot }

func (d desk) Snapshot() office.Snapshot        { return d.shows }
func (desk) Changed() (uint64, <-chan struct{}) { return 1, nil }

// busyDesk is an office with every sort of question, more than it lists.
func busyDesk() office.Snapshot {
	s := office.Snapshot{Count: 12_345, Total: 1_23_45_678_00, InBoxes: 4_56_700_00}
	for i, place := range []string{"ग्राम पंचायत श्रीमाधोपुर, तहसील नीमकाथाना", "AEN office, Sikar"} {
		slot := uint32(101 + i)
		s.Kiosks = append(s.Kiosks, office.Kiosk{Slot: slot, Name: fmt.Sprintf("SKR-0%d", slot), Place: place, Entries: 4_321, InBox: 2_28_350_00, Notes: map[ledger.Paise]int{500_00: 412, 100_00: 223}, Connected: i == 0})
	}
	for i, r := range []book.Reason{
		book.ReasonFork, book.ReasonSlotTwice, book.ReasonHeld, book.ReasonFalseProof, book.ReasonNoteInDoubt, book.ReasonBoxDiffers, book.ReasonDisagree, book.ReasonDisputed, book.ReasonUnmatched,
		book.ReasonOrphanedNote, book.ReasonBillTwice, book.ReasonRejected, book.ReasonCreditOpen, book.ReasonRefundOpen, book.ReasonSlipOpen, book.ReasonPaper,
		book.ReasonTarget, book.ReasonWaiting, book.ReasonRole, book.ReasonMalformed, book.ReasonRules,
	} {
		amount := ledger.Paise(i%4) * 1_250_00
		s.Asked = append(s.Asked, office.Asked{Reason: r, Count: 1 + i%3, Amount: amount * 2})
		writer, byOffice := "K101-1", i%5 == 4
		if byOffice {
			writer = "O1-17-1"
		}
		s.Open = append(s.Open, office.Question{
			Reason: r, Entry: fmt.Sprintf("%s-%d-V71D", writer, 4_000+i), Slot: 101, Kiosk: "SKR-0101", Office: byOffice, Since: galleryNow.Add(-time.Duration(i*i) * time.Hour), Amount: amount,
		})
		s.Questions += 1 + i%3
	}
	return s
}

// TestOfficePage looks at the office's page in a real browser: with every sort of
// question, and with none. RASID_PICTURES names a folder that takes a picture of each.
func TestOfficePage(t *testing.T) {
	source, s := axe(t), chromium(t)
	for name, shows := range map[string]office.Snapshot{"office-busy": busyDesk(), "office-calm": {}} {
		page, err := console.New(console.Config{
			Fleet: "SKR-OFFICE", View: desk{shows}, Now: func() time.Time { return galleryNow }, Log: slog.New(slog.DiscardHandler), Beat: time.Hour,
			Fonts: map[string][]byte{"regular.ttf": fonts.Regular, "bold.ttf": fonts.Bold},
		})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(page)
		for l, wide := range map[lang.Lang]int64{lang.Hindi: 1440, lang.English: 1024} {
			at := fmt.Sprintf("%s-%s at %d", name, l, wide)
			s.do(chromedp.EmulateViewport(wide, 900), chromedp.Navigate(server.URL+"/?lang="+string(l)))
			s.wait("the fonts", `document.fonts.status === "loaded"`)
			s.check(t, source, at, "24")
			s.picture(os.Getenv("RASID_PICTURES"), at)
		}
		s.do(chromedp.Navigate("about:blank"))
		server.CloseClientConnections() // the live lines
		server.Close()
	}
}
