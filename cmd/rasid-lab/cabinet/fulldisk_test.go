package cabinet

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rasid/cmd/rasid-lab/powercut"
	"rasid/internal/testtool"
	"rasid/ledger/book"
)

const mib = 1 << 20

// smallDisk is a real file system for one kiosk, which somebody else fills.
type smallDisk struct {
	t      *testing.T
	path   string
	filler *os.File
}

// onSmallDisk moves the kiosk's data folder to a disk of its own and says how much of
// that it is to keep free. False where this machine does not let us mount one.
func onSmallDisk(t *testing.T, c *Cabinet) (*smallDisk, bool) {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil, false
	}
	testtool.Need(t, "mkfs.ext4", "e2fsprogs")
	path, done, err := powercut.Mount(t.Context(), 160*mib)
	if errors.Is(err, powercut.ErrUnsupported) {
		return nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	d := &smallDisk{t: t, path: path}
	t.Cleanup(func() {
		if d.filler != nil {
			_ = d.filler.Close() // it was never to be read
		}
		if err := done(); err != nil {
			t.Error(err)
		}
	})
	k := c.Kiosks()[0]
	dir := filepath.Join(path, k.Name)
	run(t, "cp", "-a", k.Dir, dir) // with their modes
	k.Dir = dir
	k.Process.Args = append(k.Process.Args, "--dir", dir, "--room-mib", "32", "--reserve-mib", "8")
	return d, true
}

func (d *smallDisk) free() uint64 {
	d.t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(d.path, &st); err != nil {
		d.t.Fatal(err)
	}
	return st.Bavail * uint64(st.Bsize)
}

// fill writes until so many bytes are free; 0: until the file system takes no more.
func (d *smallDisk) fill(left uint64) {
	d.t.Helper()
	if d.filler == nil {
		var err error
		if d.filler, err = os.Create(filepath.Join(d.path, "filler")); err != nil {
			d.t.Fatal(err)
		}
	}
	junk := make([]byte, mib/4)
	for d.free() > left || left == 0 {
		if _, err := d.filler.Write(junk); errors.Is(err, unix.ENOSPC) {
			if len(junk) == 1 {
				return
			}
			junk = junk[:len(junk)/2]
			continue
		} else if err == nil {
			err = d.filler.Sync() // blocks that are only promised count as free
			if err == nil {
				continue
			}
			d.t.Fatal(err)
		}
	}
}

func (d *smallDisk) empty() {
	d.t.Helper()
	if err := errors.Join(d.filler.Truncate(0), d.filler.Sync(), d.filler.Close(), os.Remove(d.filler.Name())); err != nil {
		d.t.Fatal(err)
	}
	d.filler = nil
}

// TestFullDisk runs the real programs while somebody else fills the kiosk's disk: money
// is refused with the reason on the screen while there is room left, the open sale ends
// on a disk without a byte, a start there shows the closed screen, and when there is
// room again money is taken, with nobody's help. Not a paisa differs in the end.
func TestFullDisk(t *testing.T) {
	var d *smallDisk
	mounted := false
	c := startWith(t, 1, func(c *Cabinet) { d, mounted = onSmallDisk(t, c) })
	if !mounted {
		t.Log("no real disk is filled: only root may mount one; package ledger/store fills one made of numbers")
		return
	}
	k := c.Kiosks()[0]
	p := at(t, k)
	p.untilOpen()
	figure := func(name string) float64 { t.Helper(); return p.scrape(p.base + "/metrics")(name) }
	physically(t, "the reserve is made", func() bool { return figure("kiosk_disk_reserve_bytes") >= 8*mib })
	p.toCash(DemoNumber)
	p.feed(500, `id="inserted">₹500<`)

	d.fill(20 * mib)
	p.until(hindi("kiosk.out.disk"))
	if d.free() < mib {
		t.Fatal("money was refused only when the disk was full")
	}
	for deadline := time.Now().Add(20 * time.Second); k.Acceptor.Truth().Returned[500] == 0 && time.Now().Before(deadline); {
		_, err := k.Acceptor.Do(t.Context(), "insert 500")
		if err != nil { // the slot is shut
			break
		}
	}
	pid := k.Process.Pid()
	d.fill(0)
	physically(t, "the reserve is given up", func() bool { return figure("kiosk_disk_reserve_bytes") == 0 })
	d.fill(0) // and taken by the other
	if figure("kiosk_disk_low") != 1 || d.free() > 0 {
		t.Errorf("disk_low %v, %d bytes free", figure("kiosk_disk_low"), d.free())
	}
	p.press("do", "cancel")
	p.until(`id="slip"`)
	p.press("do", "slip")
	p.until(hindi("kiosk.print.printed"))
	p.press("do", "finish")
	if got := k.Acceptor.Truth().BoxPaise(); got != 500_00 || k.Process.Pid() != pid || !k.Process.Running() {
		t.Fatalf("the box holds %d paise; running %v", got, k.Process.Running())
	}
	officeShows(t, c, "₹500.00")

	p.startsClosed()
	d.empty()
	p.untilOpen()
	p.pay()
	p.until(hindi("kiosk.print.printed"))
	physically(t, "the reserve is made again", func() bool { return figure("kiosk_disk_reserve_bytes") >= 8*mib })
	officeShows(t, c, "₹1,800.00")
	physically(t, "the office holds everything", func() bool { return figure("kiosk_unsent_entries") == 0 })
	sameMoney(t, c, k, 1800_00)
}

// startsClosed pulls the plug of a kiosk on a full disk and plugs it in again.
func (p *citizen) startsClosed() {
	t, k := p.t, p.k
	t.Helper()
	k.Process.Kill()
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.open()
	figure := p.scrape(p.base + "/metrics")
	if page := p.page(); !strings.Contains(page, hindi("kiosk.out.disk")) || figure("kiosk_ready") != 0 || figure("kiosk_disk_low") != 1 {
		t.Errorf("a start on a full disk shows:\n%s", page)
	}
	if page := p.get(p.base + "/readyz"); !strings.Contains(page, "kiosk.out.disk") {
		t.Errorf("readyz says %s", page)
	}
}

// sameMoney wants box and books to agree, and nothing open but the slip.
func sameMoney(t *testing.T, c *Cabinet, k *Kiosk, want int64) {
	t.Helper()
	report := verifyExport(t, c)
	box, cash := k.Acceptor.Truth().BoxPaise(), report.Books.Balances["Assets:Cash:K2"]
	if box != want || int64(cash) != want || len(report.Books.Questions) != 1 || report.Books.Questions[0].Reason != book.ReasonSlipOpen {
		t.Errorf("the box holds %d paise, the books say %d, want %d; questions %v", box, cash, want, report.Books.Questions)
	}
}
