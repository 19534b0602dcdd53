//go:build !unix

package engine

import (
	"net"
	"syscall"
)

// rawConn returns nil: reading goes through net.Conn.
func rawConn(net.Conn) syscall.RawConn { return nil }

func (w *webSocket) readRaw() error { return w.readPlain() }
