//go:build linux

// Command load puts one kind of load on a Socket.IO server that follows the benchmark's contract, and prints what it
// cost the server: see package internal/load.
//
//	load -addr 127.0.0.1:3000 -pid 1234 -mode echo -clients 50 -inflight 16
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sockeye-io/sockeye/bench/internal/load"
)

func main() {
	var cfg load.Config
	flag.StringVar((*string)(&cfg.Mode), "mode", "echo", fmt.Sprint("one of ", load.Modes))
	flag.StringVar(&cfg.Addr, "addr", "127.0.0.1:3000", "the server's `host:port`")
	flag.IntVar(&cfg.PID, "pid", 0, "the server's process, to measure what it uses; 0: don't")
	others := flag.String("others", "", "spread and unicast: more servers, comma-separated `host:port:pid`; pid 0: don't measure")
	flag.IntVar(&cfg.Broker, "broker", 0, "spread and unicast: the process between the servers, to measure what it uses")
	flag.IntVar(&cfg.Rate, "rate", 100, "spread and unicast: events a second, in all")
	flag.IntVar(&cfg.Clients, "clients", 0, "connections; 0: 100 for echo, polling and unicast, 200 for spread, 1000 for broadcast and rooms, else 10000")
	flag.IntVar(&cfg.InFlight, "inflight", 1, "messages under way on a connection (echo), or in all (broadcast)")
	flag.IntVar(&cfg.RoomSize, "roomsize", 10, "clients in a room")
	flag.IntVar(&cfg.Parallel, "parallel", 32, "connects under way at a time")
	flag.IntVar(&cfg.Payload, "payload", 64, "bytes in a message's string, at least 16")
	flag.DurationVar(&cfg.Warmup, "warmup", 500*time.Millisecond, "load before the measured part")
	flag.DurationVar(&cfg.Duration, "duration", 2*time.Second, "the measured part")
	flag.DurationVar(&cfg.Settle, "settle", 0, "connect, idle: wait before memory is read; 0: 1s for idle, no reading for connect")
	flag.BoolVar(&cfg.Collect, "collect", false, "ask the server for a garbage collection with SIGUSR2 before memory is read; servers that don't know the signal die of it")
	asJSON := flag.Bool("json", false, "print the whole result as JSON, durations in nanoseconds")
	flag.Parse()
	for s := range strings.SplitSeq(*others, ",") {
		if s == "" {
			continue
		}
		i := max(strings.LastIndexByte(s, ':'), 0)
		pid, err := strconv.Atoi(strings.TrimPrefix(s[i:], ":"))
		if err != nil {
			fmt.Fprintf(os.Stderr, "-others: %q is not host:port:pid\n", s)
			os.Exit(2)
		}
		cfg.Others = append(cfg.Others, load.Server{Addr: s[:i], PID: pid})
	}

	r, err := load.Run(cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if *asJSON {
		_ = json.NewEncoder(os.Stdout).Encode(r)
	} else {
		fmt.Printf("%s, %d clients, %d in flight: %d operations in %v, %.0f/s\n", r.Mode, r.Clients, r.InFlight,
			r.Ops, r.Elapsed.Round(time.Millisecond), float64(r.Ops)/r.Elapsed.Seconds())
		fmt.Printf("server CPU per operation %v; latency p50 %v, p99 %v; lost %d, wrong %d\n", r.CPUPerOp(), r.P50, r.P99, r.Lost, r.Wrong)
		if r.Broker != 0 && r.Ops > 0 {
			fmt.Printf("CPU of what is between the servers, per operation %v\n", r.Broker/time.Duration(r.Ops))
		}
		if r.RSS != 0 {
			fmt.Printf("memory per client %.0f B, after a collection %.0f B\n", r.RSS, r.RSSCollected)
		}
	}
	if !r.OK() {
		fmt.Fprintln(os.Stderr, r.Failure)
		os.Exit(1)
	}
}
