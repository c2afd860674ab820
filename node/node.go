// Package node runs the actors of a program and decides what their end means.
package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// endMax is how long actors may take to end: longer than any of them waits for a device
// or a peer, shorter than a service manager waits before it kills.
const endMax = 45 * time.Second

// ErrLeft is returned by Run when an actor did not end: what it uses must not be closed.
var ErrLeft = errors.New("left behind as it did not end")

// Actor is something with a Run of its own: it owns its state, joins what it
// started, and returns when ctx ends.
type Actor struct {
	Name string
	Run  func(ctx context.Context) error
}

// Run runs all actors until ctx ends or one of them fails; then it ends the others
// and returns the first failure, naming the actor. An actor that ends on its own
// without an error before ctx does is a failure too: nothing else would notice. One that
// does not end, since a disk or a device lets it wait, is named and left behind: then
// the process must end, and all that it showed is durable as after any cut.
func Run(ctx context.Context, actors ...Actor) error {
	group, ctx := errgroup.WithContext(ctx)
	r := running{names: map[string]bool{}}
	for _, a := range actors {
		r.set(a.Name, true)
		group.Go(func() error {
			defer r.set(a.Name, false)
			return judge(ctx, a.Name, a.Run(ctx))
		})
	}
	ended := make(chan error, 1)
	go func() { ended <- group.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(endMax):
		err := fmt.Errorf("%s: %w within %s", r.list(), ErrLeft, endMax)
		if why := context.Cause(ctx); !errors.Is(why, context.Canceled) {
			err = errors.Join(why, err)
		}
		return err
	}
}

// judge is what the end of an actor means.
func judge(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return nil
	}
	if err == nil {
		return fmt.Errorf("%s ended by itself", name)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// running is which actors have not ended.
type running struct {
	mu    sync.Mutex
	names map[string]bool // guarded by mu
}

func (r *running) set(name string, runs bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names[name] = runs
}

func (r *running) list() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for name, runs := range r.names {
		if runs {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
