package client

import (
	"runtime"
	"runtime/debug"
	"sync"
)

// work counts the goroutines that Close has to wait for.
type work struct {
	mu      sync.Mutex
	busy    int
	closers int           // of busy: those that wait here themselves
	changed chan struct{} // closed at the next change; made by who waits
}

func (w *work) add() {
	w.mu.Lock()
	w.busy++
	w.mu.Unlock()
}

func (w *work) done() {
	w.mu.Lock()
	w.busy--
	w.notify()
	w.mu.Unlock()
}

// start runs f on a goroutine that Close waits for.
func (w *work) start(f func()) {
	w.add()
	go func() {
		defer w.done()
		f()
	}()
}

func (w *work) notify() {
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

// wait returns when nothing is busy. A caller that is itself a part of the work waits for the others, except those that
// wait here likewise.
func (w *work) wait() {
	part := inCallback()
	w.mu.Lock()
	defer w.mu.Unlock()
	if part {
		w.closers++
		defer func() { w.closers-- }()
		w.notify()
	}
	for w.busy > 0 && (!part || w.busy > w.closers) {
		if w.changed == nil {
			w.changed = make(chan struct{})
		}
		changed := w.changed
		w.mu.Unlock()
		<-changed
		w.mu.Lock()
	}
}

// protect calls a function that the user gave, and turns a panic into a *PanicError. All that is called on a goroutine of
// the client is called from here: that is how inCallback knows.
//
//go:noinline
func protect(f func() error) error { return recovered(f) }

// recovered is protect for what is called on a goroutine of the user.
func recovered(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}

const protectName = "github.com/sockeye-io/sockeye/client.protect"

// inCallback reports whether this goroutine is within protect. Looking at the stack costs nothing until it is needed,
// unlike anything that every call of a handler would have to note.
func inCallback() bool {
	var pcs [64]uintptr
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		if n == 0 {
			return false
		}
		frames := runtime.CallersFrames(pcs[:n])
		for {
			frame, more := frames.Next()
			if frame.Function == protectName {
				return true
			}
			if !more {
				break
			}
		}
	}
}
