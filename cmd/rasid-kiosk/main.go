// Command rasid-kiosk runs a payment kiosk: screens, note acceptor, printer, ledger
// and sync with its neighbours and the office.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "rasid-kiosk:", err)
		os.Exit(1)
	}
}
