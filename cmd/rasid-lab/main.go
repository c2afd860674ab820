// Command rasid-lab is the workshop: a cabinet made of software, simulated devices,
// benchmarks. It is never shipped: a field program must not contain a device that
// accepts imaginary money.
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
		fmt.Fprintln(os.Stderr, "rasid-lab:", err)
		os.Exit(1)
	}
}
