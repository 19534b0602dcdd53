package load

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// localPorts returns how many ports the system hands out for outgoing connections.
func localPorts() (int, bool) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0, false
	}
	var from, to int
	if _, err := fmt.Sscan(string(text), &from, &to); err != nil || to < from {
		return 0, false
	}
	return to - from + 1, true
}

// ipBindAddressNoPort is IP_BIND_ADDRESS_NO_PORT of ip(7), which package syscall lacks.
const ipBindAddressNoPort = 24

// lateBind lets the system choose the local port when it knows the other side: chosen before, a port serves one
// connection of an address instead of one to each server.
func lateBind(network, _ string, c syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	return c.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipBindAddressNoPort, 1) // Linux 4.2
	})
}

// residentBytes returns the memory of the process.
func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}
