package node

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

var errDevice = errors.New("the device is gone")

// What actors do, as a test sees it.
var (
	obeys = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	fails = func(context.Context) error { return errDevice }
	ends  = func(context.Context) error { return nil }
)

func TestFirstFailureEndsAll(t *testing.T) {
	for name, c := range map[string]struct {
		run  func(context.Context) error
		want string
	}{"failure": {fails, "the till: the device is gone"}, "end": {ends, "the till ended by itself"}} {
		t.Run(name, func(t *testing.T) {
			err := Run(t.Context(), Actor{"sync", obeys}, Actor{"the till", c.run})
			if err == nil || err.Error() != c.want {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, Actor{"sync", obeys}, Actor{"the till", ends}); err != nil {
		t.Error(err)
	}
}

// An actor that does not end keeps neither a failure nor a wish from ending the process.
func TestActorThatDoesNotEnd(t *testing.T) {
	for name, c := range map[string]struct {
		other func(context.Context) error
		want  string
	}{
		"a failure": {fails, "the till: the device is gone\nsync, the disk: left behind as it did not end within 45s"},
		"a wish":    {obeys, "sync, the disk: left behind as it did not end within 45s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				never := make(chan struct{})
				hangs := func(context.Context) error { <-never; return nil }
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				if name == "a wish" {
					cancel()
				}
				err := Run(ctx, Actor{"sync", hangs}, Actor{"the till", c.other}, Actor{"the disk", hangs})
				if err == nil || err.Error() != c.want {
					t.Errorf("error %v, want %s", err, c.want)
				}
				close(never)
			})
		})
	}
}
