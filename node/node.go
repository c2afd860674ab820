// Package node runs the actors of a program and decides what their end means.
package node

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// Actor is something with a Run of its own: it owns its state, joins what it
// started, and returns when ctx ends.
type Actor struct {
	Name string
	Run  func(ctx context.Context) error
}

// Run runs all actors until ctx ends or one of them fails; then it ends the others
// and returns the first failure, naming the actor. An actor that ends on its own
// without an error before ctx does is a failure too: nothing else would notice.
func Run(ctx context.Context, actors ...Actor) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, a := range actors {
		group.Go(func() error {
			err := a.Run(ctx)
			if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
				return nil
			}
			if err == nil {
				return fmt.Errorf("%s ended by itself", a.Name)
			}
			return fmt.Errorf("%s: %w", a.Name, err)
		})
	}
	return group.Wait()
}
