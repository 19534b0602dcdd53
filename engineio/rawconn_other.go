//go:build !unix

package engineio

import (
	"net"
	"syscall"
)

// rawConn returns nil: reading and writing go through net.Conn.
func rawConn(net.Conn) syscall.RawConn { return nil }

func (c *webSocket) readRaw() error { return c.readPlain() }

func atEOF(syscall.RawConn) bool { return false }

func writeFD(uintptr, []byte) (int, error) { return 0, syscall.EINVAL }
