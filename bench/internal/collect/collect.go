//go:build unix

// Package collect lets the benchmark ask a Go server for a garbage collection before it reads the server's memory, as
// the runtime itself does every two minutes. The Node server does the same on the same signal.
package collect

import (
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// OnSignal collects garbage and returns free memory to the system on every SIGUSR2, for as long as the process runs.
func OnSignal() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR2)
	go func() {
		for range c {
			debug.FreeOSMemory()
		}
	}()
}
