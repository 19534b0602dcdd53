//go:build !unix

// Package rawconn gets at the descriptor behind a connection, where there are
// descriptors.
package rawconn

import (
	"net"
	"syscall"
)

// Of returns nil: reading and writing go through net.Conn.
func Of(net.Conn) syscall.RawConn { return nil }
