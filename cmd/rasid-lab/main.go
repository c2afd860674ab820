// Command rasid-lab is the workshop: a cabinet made of software, simulated devices,
// power cuts, benchmarks. It is never shipped: a field program must not contain a
// device that accepts imaginary money.
package main

import (
	"context"
	"errors"
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
		code := 1
		if c := (interface{ ExitCode() int })(nil); errors.As(err, &c) {
			code = c.ExitCode()
		}
		os.Exit(code)
	}
}
