package load

import (
	"syscall"
	"time"
)

// raiseFiles: Windows has no such limit.
func raiseFiles(int) (int, bool) { return 0, false }

// A cpuClock tells how much CPU the process has used since it was first asked.
type cpuClock struct {
	begun bool
	base  float64
}

func (c *cpuClock) seconds() float64 {
	h, err := syscall.GetCurrentProcess()
	if err != nil {
		return 0
	}
	var created, ended, kernel, user syscall.Filetime
	if syscall.GetProcessTimes(h, &created, &ended, &kernel, &user) != nil {
		return 0
	}
	ticks := func(f syscall.Filetime) int64 { return int64(f.HighDateTime)<<32 | int64(f.LowDateTime) } // of 100 ns
	s := time.Duration((ticks(kernel) + ticks(user)) * 100).Seconds()
	if !c.begun {
		c.begun, c.base = true, s
	}
	return s - c.base
}
