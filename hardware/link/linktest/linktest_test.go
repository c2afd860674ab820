package linktest_test

import (
	"io"
	"strings"
	"testing"

	"rasid/hardware/link/linktest"
)

func open(t *testing.T, trace string) (*linktest.Playback, io.ReadWriteCloser) {
	t.Helper()
	p, err := linktest.New(trace)
	if err != nil {
		t.Fatal(err)
	}
	port, err := p.Port()
	if err != nil {
		t.Fatal(err)
	}
	return p, port
}

func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("the error is %v, want one with %q", err, text)
	}
}

func TestCloseNoticesWhatIsLeft(t *testing.T) {
	p, port := open(t, "> 01 02\n< 03")
	wantError(t, p.Close(), "line 1")
	if _, err := port.Write([]byte{1, 2}); err != nil {
		t.Fatal(err)
	}
	wantError(t, p.Close(), "line 2, < 03")
	if n, err := port.Read(make([]byte, 9)); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestWrongOrExtraBytesFail(t *testing.T) {
	p, port := open(t, "> 01 02")
	_, err := port.Write([]byte{1, 3})
	wantError(t, err, "line 1 of the trace")
	wantError(t, p.Close(), "wrote 01 03")
	p, port = open(t, "> 01")
	_, err = port.Write([]byte{1, 2})
	wantError(t, err, "after the end")
	wantError(t, p.Close(), "wrote 02 after the end")
}

func TestFailureOfTheLine(t *testing.T) {
	_, port := open(t, "!")
	if _, err := port.Read(make([]byte, 1)); err == nil {
		t.Error("the port did not fail")
	}
}

func TestBadTraces(t *testing.T) {
	for trace, text := range map[string]string{"": "no exchange", "= 01": "begins with none of", "> 0": "line 1", "> 01\n< xx": "line 2"} {
		_, err := linktest.New(trace)
		wantError(t, err, text)
	}
}
