//go:build unix

package engineio

import (
	"io"
	"syscall"
)

// readRaw reads frames until the connection ends. Between messages nothing but
// the goroutine's stack is held: a buffer is taken when there is something to
// read.
//
// Everything happens within one call of RawConn.Read, which also means that the
// connection must not be closed from in here: closing waits for the call to
// return.
func (c *webSocket) readRaw() error {
	var failure error
	err := c.raw.Read(func(fd uintptr) bool {
		for {
			b := readBuffers.Get().(*readBuffer)
			n, err := syscall.Read(int(fd), b.bytes[:])
			if n > 0 {
				c.feed(b, b.bytes[:n])
			}
			readBuffers.Put(b)
			switch {
			case n > 0 && n < readSize && !c.in.deep:
				c.session.server.eof.add(c)
				return false
			case n > 0:
				continue
			case err == syscall.EINTR:
				continue
			case err == syscall.EAGAIN && c.in.deep:
				c.in.deep = false
				failure = errStackGrown
			case err == syscall.EAGAIN:
				return false
			case err != nil:
				failure = err
			default:
				failure = io.EOF
			}
			return true
		}
	})
	if err != nil {
		return err
	}
	return failure
}

// atEOF reports whether the peer has closed its half and everything before that
// has been read.
func atEOF(raw syscall.RawConn) bool {
	eof := false
	err := raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		eof = n == 0 && err == nil
	})
	return err == nil && eof
}

// writeFD writes what the kernel takes at once.
func writeFD(fd uintptr, p []byte) (int, error) {
	written := 0
	for written < len(p) {
		n, err := syscall.Write(int(fd), p[written:])
		if n > 0 {
			written += n
		}
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return written, nil
		case err != nil:
			return written, err
		}
	}
	return written, nil
}
