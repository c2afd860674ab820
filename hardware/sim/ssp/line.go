package ssp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"rasid/hardware/ssp"
)

// unlockEvery is how often exclusive use of the line is taken back.
const unlockEvery = 50 * time.Millisecond

// plug makes the line and starts its reader.
func (d *Device) plug(ctx context.Context, parts *sync.WaitGroup) error {
	open := d.config.Wire
	if open == nil {
		open = func() (io.ReadWriteCloser, error) { return openTerminal(d.config.Link) }
	}
	wire, err := open()
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.wire = wire
	d.mu.Unlock()
	d.control.Publish("plugged", nil)
	parts.Go(func() { d.listen(ctx, wire) })
	return nil
}

// listen decodes what the host sends. Frames beyond the buffer are lost, as
// they are on a real line when the device is busy: a writer never blocks on us.
func (d *Device) listen(ctx context.Context, wire io.Reader) {
	var decoder ssp.Decoder
	buffer := make([]byte, 512)
	for ctx.Err() == nil {
		n, err := wire.Read(buffer)
		d.mu.Lock()
		life := d.machine.life
		d.mu.Unlock()
		decoder.Decode(buffer[:n], func(f ssp.Frame) {
			select {
			case d.frames <- received{f, life}:
			default:
			}
		})
		if err != nil {
			return
		}
	}
}

func (d *Device) unplug() {
	d.mu.Lock()
	wire := d.wire
	d.wire = nil
	d.mu.Unlock()
	if wire != nil {
		_ = wire.Close() // nothing is lost with it
		d.control.Publish("unplugged", nil)
	}
}

// terminal is a pseudo-terminal that the host opens by a symbolic link. It
// holds the host's side open too: without that, reads fail whenever no host is
// there, and nobody could take back the exclusive use (TIOCEXCL) that a serial
// library claims and that outlives the killed host as long as any of its
// descriptors does. Without taking it back an ordinary user could not open the
// line again (root could, so that tests as root alone would not see it).
type terminal struct {
	*os.File
	slave *os.File
	link  string
	stop  chan struct{}
	ended sync.WaitGroup
	once  sync.Once
}

func openTerminal(link string) (*terminal, error) {
	master, slave, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("couldn't make a pseudo-terminal: %w", err)
	}
	if master, err = pollable(master); err != nil {
		_ = slave.Close()
		return nil, err
	}
	t := &terminal{File: master, slave: slave, link: link, stop: make(chan struct{})}
	for _, prepare := range []func() error{t.raw, t.admit, t.announce} {
		if err := prepare(); err != nil {
			_ = master.Close()
			_ = slave.Close()
			return nil, fmt.Errorf("couldn't make the acceptor's line: %w", err)
		}
	}
	t.ended.Go(func() {
		ticker := time.NewTicker(unlockEvery)
		defer ticker.Stop()
		for {
			select {
			case <-t.stop:
				return
			case <-ticker.C:
				_ = t.ioctl(func(fd int) error { return unix.IoctlSetInt(fd, unix.TIOCNXCL, 0) })
			}
		}
	})
	return t, nil
}

// pollable returns f under a descriptor that Go's poller waits on: pty.Open
// leaves it blocking, and closing it would then not end a read, so that the host
// would never see the unplugging.
func pollable(f *os.File) (*os.File, error) {
	defer func() { _ = f.Close() }()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return nil, fmt.Errorf("couldn't prepare the pseudo-terminal: %w", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

func (t *terminal) ioctl(f func(fd int) error) error {
	conn, err := t.slave.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := conn.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// raw keeps the terminal from echoing, translating or signalling.
func (t *terminal) raw() error {
	return t.ioctl(func(fd int) error {
		mode, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		mode.Iflag, mode.Oflag, mode.Lflag = 0, 0, 0
		mode.Cflag = mode.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8 | unix.CREAD | unix.CLOCAL
		mode.Cc[unix.VMIN], mode.Cc[unix.VTIME] = 1, 0
		return unix.IoctlSetTermios(fd, unix.TCSETS, mode)
	})
}

// admit lets any user open the line, as the group dialout would on a kiosk.
func (t *terminal) admit() error { return os.Chmod(t.slave.Name(), 0o666) }

// announce makes the link, in the place of a stale one and of nothing else.
func (t *terminal) announce() error {
	info, err := os.Lstat(t.link)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink == 0:
		return fmt.Errorf("something that is no symbolic link is at %s", t.link)
	default:
		if err := os.Remove(t.link); err != nil {
			return err
		}
	}
	return os.Symlink(t.slave.Name(), t.link)
}

// Close unplugs: the host's next read or write fails.
func (t *terminal) Close() error {
	var err error
	t.once.Do(func() {
		close(t.stop)
		t.ended.Wait()
		err = errors.Join(os.Remove(t.link), t.File.Close(), t.slave.Close())
	})
	return err
}
