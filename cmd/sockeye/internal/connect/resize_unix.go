//go:build unix

package connect

import (
	"os"
	"os/signal"
	"syscall"
)

// onResize calls f whenever the size of the terminal changes, until stop is called.
func onResize(f func()) (stop func()) {
	ch, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(ch, syscall.SIGWINCH)
	go func() {
		for {
			select {
			case <-ch:
				f()
			case <-over:
				return
			}
		}
	}()
	return func() {
		signal.Stop(ch)
		close(over)
	}
}
