package engine

import (
	"runtime"
	"strings"
)

// The methods here are all that calls into the user's receiver: by their names on
// the stack Close knows that it must not wait for itself.

func (c *Conn) deliver(binary bool, data []byte) { c.receiver.Message(binary, data) }

func (c *Conn) announce() { c.receiver.Closed(c.reason, c.cause) }

func (c *Conn) ask(accept func(*Conn) Receiver) { c.receiver = accept(c) }

// insideReceiver reports whether the caller runs within a call to a receiver.
func insideReceiver() bool {
	var pcs [32]uintptr
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		if n == 0 {
			return false
		}
		frames := runtime.CallersFrames(pcs[:n])
		for {
			f, more := frames.Next()
			if _, method, ok := strings.Cut(f.Function, "client/engine.(*Conn)."); ok {
				if method == "deliver" || method == "announce" || method == "ask" {
					return true
				}
			}
			if !more {
				break
			}
		}
	}
}
