//go:build unix

package load

import (
	"syscall"
	"time"
)

// raiseFiles raises the limit of open files to what is wanted, or as far as it may, and returns it.
func raiseFiles(want int) (int, bool) {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0, false
	}
	if have := uint64(l.Cur); have < uint64(want) { //nolint:unconvert // it is signed on FreeBSD
		raised := l
		raised.Cur = l.Max
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
			l = raised
		}
	}
	return int(min(uint64(l.Cur), 1<<31)), true //nolint:unconvert // likewise
}

// A cpuClock tells how much CPU the process has used since it was first asked.
type cpuClock struct {
	begun bool
	base  float64
}

func (c *cpuClock) seconds() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	s := time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
	if !c.begun {
		c.begun, c.base = true, s
	}
	return s - c.base
}
