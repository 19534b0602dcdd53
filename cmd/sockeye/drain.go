package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// errTerminated is why the context of [untilSignal] is done after SIGTERM.
var errTerminated = errors.New("terminated")

// untilSignal returns a context that ends with the first SIGINT or SIGTERM. A second one is not ours any more, and ends
// the process at once.
func untilSignal() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case sig := <-signals:
			signal.Stop(signals)
			if sig == syscall.SIGTERM {
				cancel(errTerminated)
			}
			cancel(nil) // only the first cause counts
		case <-ctx.Done():
			signal.Stop(signals)
		}
	}()
	return ctx, func() { cancel(nil) }
}

// drain lets the clients go elsewhere, spread over the time, if a supervisor has ended the server: somebody at a terminal
// does not want to wait. That some clients are slow to go is no error; they are closed afterwards.
func (d *demoServer) drain(ctx context.Context, s streams, over time.Duration) {
	if !errors.Is(context.Cause(ctx), errTerminated) || over <= 0 {
		return
	}
	fmt.Fprintf(s.out, "Draining, for %v at most…\n", over)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), over)
	defer cancel()
	_ = d.io.Drain(ctx)
}
