package link_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/creack/pty"

	"rasid/hardware/link"
	"rasid/hardware/link/linktest"
)

// lines takes each byte 0x0A-ended run for a frame.
type lines struct{ rest []byte }

func (d *lines) Decode(p []byte, emit func(string)) {
	d.rest = append(d.rest, p...)
	for {
		i := bytes.IndexByte(d.rest, '\n')
		if i < 0 {
			return
		}
		emit(string(d.rest[:i]))
		d.rest = d.rest[i+1:]
	}
}

func run(t *testing.T, port io.ReadWriteCloser) *link.Line[string] {
	l := link.NewLine[string](port, &lines{}, link.Wall{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return l
}

func TestSerialOverAPseudoTerminal(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slave.Close() }()
	open := link.Serial(link.Settings{Path: slave.Name(), BaudRate: 9600, DataBits: 8, StopBits: 2})
	port, err := open()
	if err != nil {
		t.Fatal(err)
	}
	l := run(t, port)
	if err := l.Send(t.Context(), []byte("to the device\n"), time.Minute); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 14)
	if _, err := io.ReadFull(master, b); err != nil || string(b) != "to the device\n" {
		t.Fatalf("the device got %q, %v", b, err)
	}
	if _, err := master.Write([]byte("to the\nhost\n")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"to the", "host"} {
		if got, err := l.Receive(t.Context(), nil); err != nil || got != want {
			t.Fatalf("the host got %q, %v", got, err)
		}
	}
	_ = master.Close() // unplugged
	if _, err := l.Receive(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "couldn't read from the line") {
		t.Errorf("after the unplugging: %v", err)
	}
}

func TestOpenSaysWhatIsMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no-such-line")
	_, err := link.Serial(link.Settings{Path: path, BaudRate: 9600, DataBits: 8})()
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("open: %v", err)
	}
}

func TestDeadlineAndResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := linktest.New("> 41 0A # A\n< 42 0A 43\n< 0A 44 0A")
		if err != nil {
			t.Fatal(err)
		}
		port, _ := p.Port()
		l := run(t, port)
		if _, err := l.Receive(t.Context(), time.After(time.Second)); !errors.Is(err, link.ErrTimeout) {
			t.Errorf("silence: %v", err)
		}
		if err := l.Send(t.Context(), []byte("A\n"), time.Second); err != nil {
			t.Fatal(err)
		}
		if got, err := l.Receive(t.Context(), nil); err != nil || got != "B" {
			t.Errorf("received %q, %v", got, err)
		}
		synctest.Wait()
		l.Resync()
		if _, err := l.Receive(t.Context(), time.After(time.Second)); !errors.Is(err, link.ErrTimeout) {
			t.Errorf("after Resync: %v", err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

// stuck is a port whose device never reads.
type stuck struct{ closed chan struct{} }

func (s stuck) Read([]byte) (int, error)  { <-s.closed; return 0, io.EOF }
func (s stuck) Write([]byte) (int, error) { <-s.closed; return 0, io.EOF }
func (s stuck) Close() error              { close(s.closed); return nil }

func TestSendDoesNotBlockForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := run(t, stuck{make(chan struct{})})
		_ = l.Send(t.Context(), []byte("1\n"), time.Second) // the writer takes it and blocks
		if err := l.Send(t.Context(), []byte("2\n"), time.Second); !errors.Is(err, link.ErrTimeout) {
			t.Errorf("Send to a device that does not read: %v", err)
		}
	})
}

func TestBackoff(t *testing.T) {
	b := link.Backoff{Min: 200 * time.Millisecond, Max: 5 * time.Second}
	for i, want := range []int{200, 400, 800, 1600, 3200, 5000, 5000} {
		if got := b.Next(); got != time.Duration(want)*time.Millisecond {
			t.Errorf("wait %d is %v, want %d ms", i, got, want)
		}
	}
	b.Reset()
	if got := b.Next(); got != 200*time.Millisecond {
		t.Errorf("after Reset: %v", got)
	}
}
