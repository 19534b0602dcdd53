//go:build !linux

package load

import "syscall"

// Only Linux tells these as simply.

func localPorts() (int, bool) { return 0, false }

func lateBind(_, _ string, _ syscall.RawConn) error { return nil }

func residentBytes() int64 { return 0 }
