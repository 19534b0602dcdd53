//go:build !unix

package engineio

import "syscall"

func (c *webSocket) readRaw() error { return c.readPlain() }

func atEOF(syscall.RawConn) bool { return false }

func writeFD(uintptr, []byte) (int, error) { return 0, syscall.EINVAL }
