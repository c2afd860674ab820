// Command rasid-audit verifies an exported ledger and single receipts, trusting
// nobody: no network, no office, no database.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// progressOn is where a line that overwrites itself goes: a terminal, and nowhere else,
// since a file or a pipe would keep every step of it.
func progressOn(f *os.File) io.Writer {
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return io.Discard
	}
	return f
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := command(os.Stdout, progressOn(os.Stderr)).ExecuteContext(ctx)
	switch {
	case err == nil:
	case errors.Is(err, errFound):
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "rasid-audit:", err)
		os.Exit(2)
	}
}
