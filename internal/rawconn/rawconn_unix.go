//go:build unix

// Package rawconn gets at the descriptor behind a connection. The server and the
// client both read WebSockets through it, so that one at rest holds no buffer.
package rawconn

import (
	"net"
	"syscall"
)

// Of returns access to the descriptor behind a plain TCP or unix connection, or
// nil.
func Of(conn net.Conn) syscall.RawConn {
	var sc syscall.Conn
	switch c := conn.(type) {
	case *net.TCPConn:
		sc = c
	case *net.UnixConn:
		sc = c
	default:
		return nil // a wrapper may count, encrypt or delay
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
