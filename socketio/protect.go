package socketio

import "runtime/debug"

// protect calls f and turns a panic into a *PanicError.
func protect(f func() error) (err error) {
	defer recovered(&err)
	return f()
}

// recovered, deferred, turns a panic into a *PanicError.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{Value: v, Stack: debug.Stack()}
	}
}
