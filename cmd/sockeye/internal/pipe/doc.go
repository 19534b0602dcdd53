// Package pipe carries events between a Socket.IO server and the standard streams: lines of input are emitted, and what
// arrives is written as lines.
package pipe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sockeye-io/sockeye/client"
)

// untilGone returns a context that ends, with the reason as its cause, when the socket is disconnected for good.
func untilGone(ctx context.Context, s *client.Socket) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := watch(s, cancel)
	if !s.Active() { // it was before anybody watched
		cancel(errors.New("disconnected"))
	}
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// watch calls gone when the socket is disconnected for good, until stop is called.
func watch(s *client.Socket, gone func(error)) (stop func()) {
	lost := s.OnDisconnect(func(reason client.Reason, err error) {
		if s.Active() {
			return
		}
		if err != nil {
			gone(fmt.Errorf("disconnected: %s: %w", reason, err))
		} else {
			gone(fmt.Errorf("disconnected: %s", reason))
		}
	})
	refused := s.OnConnectError(func(err error) {
		if !s.Active() {
			gone(fmt.Errorf("disconnected: %w", err))
		}
	})
	return func() {
		lost.Close()
		refused.Close()
	}
}

// cause is what an error comes of: that of a context that has ended because of something else than time.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil && !errors.Is(c, context.Canceled) && !errors.Is(c, context.DeadlineExceeded) {
		return c
	}
	return err
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
