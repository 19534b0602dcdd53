//go:build unix

package engine

import "syscall"

// readRaw reads frames until the connection ends. Between messages nothing but the
// goroutine's stack is held: a buffer is taken when there is something to read.
//
// Everything happens within one call of RawConn.Read, which also means that the
// connection must not be closed from in here: closing waits for the call to
// return.
func (w *webSocket) readRaw() error {
	var failure error
	err := w.raw.Read(func(fd uintptr) bool {
		for {
			if w.killed.Load() {
				failure = errGone
				return true
			}
			b := readBuffers.Get().(*readBuffer)
			n, err := syscall.Read(int(fd), b.bytes[:])
			var broken error
			if n > 0 {
				broken = w.feed(b, b.bytes[:n])
			}
			readBuffers.Put(b)
			switch {
			case broken != nil:
				failure = broken
			case n > 0, err == syscall.EINTR:
				continue
			case err == syscall.EAGAIN && w.in.deep:
				w.in.deep = false
				failure = errStackGrown
			case err == syscall.EAGAIN:
				return false
			case err != nil:
				failure = err
			default:
				failure = errGone
			}
			return true
		}
	})
	if failure != nil {
		return failure
	}
	return err
}
