//go:build linux

// Package process reads what a process that is measured uses, from /proc.
package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// Process is the measured process as /proc shows it. PID 0 means that there is none to look at: everything reads as 0.
type Process struct{ PID int }

// clockTick is the unit of CPU times in /proc: USER_HZ, which is 100 on every architecture Go knows.
const clockTick = 10 * time.Millisecond

// CPU returns the user and system time the process has used, all threads together.
func (p Process) CPU() (time.Duration, error) {
	if p.PID == 0 {
		return 0, nil
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	if err != nil {
		return 0, err
	}
	// The second field is the name in parentheses and may hold anything; utime and stime are the 14th and 15th.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %d fields", p.PID, len(f))
	}
	var ticks int64
	for _, s := range f[11:13] {
		n, err := strconv.ParseInt(string(s), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", p.PID, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// RSS returns the resident memory in bytes.
func (p Process) RSS() (int64, error) {
	if p.PID == 0 {
		return 0, nil
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			kb, err := strconv.ParseInt(string(bytes.Fields(rest)[0]), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status: no VmRSS", p.PID)
}

// Collect asks the process to collect its garbage. Programs that don't expect the signal die of it.
func (p Process) Collect() error {
	if p.PID == 0 {
		return nil
	}
	return syscall.Kill(p.PID, syscall.SIGUSR2)
}

// Collected returns the resident memory after a collection, once it has stopped shrinking.
func (p Process) Collected() (int64, error) {
	last, err := p.RSS()
	if err != nil || p.PID == 0 {
		return last, err
	}
	for range 2 { // what the first finds to be finalised, the second frees
		if err := p.Collect(); err != nil {
			return 0, err
		}
		for range 20 {
			time.Sleep(150 * time.Millisecond)
			now, err := p.RSS()
			if err != nil {
				return 0, err
			}
			if last-now < last/200 {
				break
			}
			last = now
		}
	}
	return p.RSS()
}
