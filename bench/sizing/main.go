//go:build linux

// Command sizing measures what the plan for many servers in docs/scaling.md is made of: what a connection costs a server
// and its kernel, with and without TLS, and what an event to another server costs the servers and what is between them.
//
//	cd bench && go run ./sizing
//
// It takes about three minutes, and wants redis-server for the part about Redis.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/sockeye-io/sockeye/bench/internal/process"
)

func main() {
	serve := flag.Bool("serve", false, "be the server that is measured (used by the program itself)")
	secure := flag.Bool("tls", false, "with -serve, use TLS")
	ping := flag.Duration("ping", 25*time.Second, "with -serve, the ping interval")
	n := flag.Int("n", 5000, "connections")
	events := flag.Int("events", 50_000, "events over each broker")
	only := flag.String("only", "", `measure only "connections", or the broker whose name begins like this, such as "Redis" or "NATS"`)
	flag.Parse()
	var err error
	if *serve {
		err = runServer(*secure, *ping)
	} else {
		err = measure(*n, *events, *only)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func measure(n, events int, only string) error {
	if only == "" || only == "connections" {
		if err := allConnections(n); err != nil || only != "" {
			return err
		}
	}
	return brokers(events, only)
}

func allConnections(n int) error {
	fmt.Printf("Connections (%d of them, WebSocket):\n\n", n)
	for _, secure := range []bool{false, true} {
		if err := connections(n, secure); err != nil {
			return err
		}
	}
	return nil
}

func brokers(events int, only string) error {
	fmt.Printf("\nEvents of 64 bytes to a room, published by one server:\n\n")
	fmt.Printf("  %-22s %-28s %9s %10s %12s %12s %14s\n", "broker", "other servers", "under way", "events/s", "CPU broker", "CPU servers", "bytes, broker")
	for _, kind := range []string{"Redis classic", "Redis sharded", "NATS embedded"} {
		if !strings.HasPrefix(kind, only) {
			continue
		}
		for _, c := range []struct{ others, interested int }{{1, 1}, {4, 4}, {4, 1}, {16, 16}, {16, 1}} {
			for _, window := range []int{1, 2000} {
				n := events
				if window == 1 {
					n /= 10
				}
				if err := broker(kind, c.others, c.interested, n, window); err != nil {
					return err
				}
			}
		}
	}
	fmt.Printf("\nWho has somebody in a room, with 100,000 rooms on one server:\n\n")
	for _, kind := range []string{"Redis sharded", "NATS embedded"} {
		if strings.HasPrefix(kind, only) {
			if err := rooms(kind, 100_000); err != nil {
				return err
			}
		}
	}
	return nil
}

// find looks for a program, also where Debian keeps daemons.
func find(name string) (string, error) {
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found, nil
		}
	}
	return "", errors.New(name + " is not installed")
}

func cpuOf(pid int) time.Duration {
	d, err := process.Process{PID: pid}.CPU()
	if err != nil {
		return 0
	}
	return d
}
