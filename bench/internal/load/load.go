//go:build linux

// Package load is the benchmark's load generator: Socket.IO clients over WebSocket and long-polling, thousands of them
// in one goroutine, that check every answer and read the server's processor time and memory from /proc.
//
// Only the server's own costs are reported. The generator shares the machine's cores with it, so throughput and latency
// are those of the pair; the processor time per operation is the figure to compare.
package load

import (
	"errors"
	"fmt"
	"time"

	"github.com/sockeye-io/sockeye/bench/internal/process"
)

// Mode names a kind of load.
type Mode string

const (
	// Connect opens Clients WebSocket connections, Parallel at a time, each up to the answer to its Socket.IO CONNECT,
	// and leaves them open. An operation is one of them. With Settle it then waits and reads the memory they take.
	Connect Mode = "connect"
	// Idle is Connect with Settle, and a collection of garbage first where Config.Collect allows it.
	Idle Mode = "idle"
	// Echo has InFlight events with acknowledgement under way on each of Clients connections. An operation is one
	// acknowledged event.
	Echo Mode = "echo"
	// Broadcast has one client send events that the server emits to all Clients, InFlight of them under way: the next
	// is sent when all have received the oldest. An operation is one delivery to one client.
	Broadcast Mode = "broadcast"
	// Rooms is Broadcast in rooms of RoomSize clients, each with a sender of its own.
	Rooms Mode = "rooms"
	// Polling is Echo over long-polling with one event in flight: a GET that waits, a POST that brings the event.
	Polling Mode = "polling"
	// Spread has Clients on several servers by turns, in rooms of RoomSize, and a sender in each room, by turns on each
	// server; Rate events a second are sent in all. An operation is one delivery to one client.
	Spread Mode = "spread"
	// Unicast is Spread with a room of one, by its id, that sends nothing: each client sends to another server's.
	Unicast Mode = "unicast"
)

// Modes lists every mode.
var Modes = []Mode{Idle, Connect, Echo, Broadcast, Rooms, Polling, Spread, Unicast}

// A Server is one of several under a load.
type Server struct {
	Addr string // host:port
	PID  int    // 0: its costs are not measured
}

// Config says what to do. Zero values stand for the default in each comment.
type Config struct {
	Mode     Mode
	Addr     string        // host:port of the server
	PID      int           // the server's process; 0: its costs are not measured
	Others   []Server      // Spread and Unicast: more servers; the processor time is that of all
	Broker   int           // Spread and Unicast: the process between them; 0: there is none
	Rate     int           // Spread and Unicast: events a second, in all: 100
	Clients  int           // 100; Broadcast and Rooms 1,000; Connect and Idle 10,000
	InFlight int           // 1; at most 64
	RoomSize int           // 10
	Parallel int           // connects under way at a time: 32
	Payload  int           // bytes in each message's string: 64; at least 16
	Warmup   time.Duration // load before the measured part: 500 ms
	Duration time.Duration // the measured part: 2 s
	Patience time.Duration // for one connect, and for the last answers at the end: 10 s
	Settle   time.Duration // Connect: wait before memory is read; 0: it isn't read
	Collect  bool          // the server answers SIGUSR2 with a garbage collection; another dies of it
}

// Result is what a run found.
type Result struct {
	Mode     Mode
	Clients  int
	InFlight int
	Ops      uint64        // operations in the measured part
	Elapsed  time.Duration // of the measured part
	CPU      time.Duration // the servers' processor time in it, user and system
	Broker   time.Duration // that of the process between them
	P50, P99 time.Duration // from sending a message to its answer or delivery; Connect: from dialling to CONNECT
	Lost     int           // messages never answered or delivered, or connections that failed
	Wrong    int           // answers out of order, to another's message, or damaged
	Failure  string        // the first thing that went wrong
	// Memory of Idle and of Connect with Settle, in bytes per client over what the server took before: after Settle as
	// it is, and after a collection (0 without Config.Collect).
	RSS, RSSCollected float64
}

// CPUPerOp is the server's processor time for one operation.
func (r *Result) CPUPerOp() time.Duration {
	if r.Ops == 0 {
		return 0
	}
	return r.CPU / time.Duration(r.Ops)
}

// OK reports whether every message came where it should, and none twice.
func (r *Result) OK() bool { return r.Lost == 0 && r.Wrong == 0 && r.Failure == "" }

func (c Config) withDefaults() (Config, error) {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	switch c.Mode {
	case Connect, Idle:
		def(&c.Clients, 10000)
	case Broadcast, Rooms:
		def(&c.Clients, 1000)
	case Spread:
		def(&c.Clients, 200)
		def(&c.RoomSize, 20)
	case Echo, Polling, Unicast:
		def(&c.Clients, 100)
	default:
		return c, fmt.Errorf("unknown mode %q", c.Mode)
	}
	def(&c.InFlight, 1)
	def(&c.RoomSize, 10)
	def(&c.Rate, 100)
	def(&c.Parallel, 32)
	def(&c.Payload, 64)
	defTime := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	defTime(&c.Warmup, 500*time.Millisecond)
	defTime(&c.Duration, 2*time.Second)
	defTime(&c.Patience, 10*time.Second)
	if c.Mode == Idle {
		defTime(&c.Settle, time.Second)
	}
	if c.InFlight < 1 || c.InFlight > maxInFlight {
		return c, fmt.Errorf("in flight: %d is not between 1 and %d", c.InFlight, maxInFlight)
	}
	if c.Clients < 1 || c.Parallel < 1 || c.RoomSize < 1 || c.Rate < 1 {
		return c, errors.New("clients, parallel, room size and rate must be positive")
	}
	if (c.Mode == Spread || c.Mode == Unicast) && len(c.Others) == 0 {
		return c, errors.New("one server can't pass on anything to others")
	}
	return c, nil
}

// Run does what cfg says. The error is about this side (a bad address, no descriptors left, a server that refuses
// everybody before the measured part); what the server does wrong under load is in the result.
func Run(cfg Config) (*Result, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	fill, err := newPayload(cfg.Payload)
	if err != nil {
		return nil, err
	}
	r := &run{cfg: cfg, payload: fill, broker: process.Process{PID: cfg.Broker}}
	for _, s := range append([]Server{{cfg.Addr, cfg.PID}}, cfg.Others...) {
		t, err := newTarget(s.Addr)
		if err != nil {
			return nil, err
		}
		r.targets = append(r.targets, t)
		r.servers = append(r.servers, process.Process{PID: s.PID})
	}
	r.target, r.server = r.targets[0], r.servers[0]
	r.result = Result{Mode: cfg.Mode, Clients: cfg.Clients, InFlight: cfg.InFlight}
	switch cfg.Mode {
	case Connect, Idle:
		err = r.connect()
	case Echo:
		err = r.echo()
	case Broadcast:
		err = r.broadcast()
	case Rooms:
		err = r.rooms()
	case Polling:
		err = r.polling()
	case Spread:
		err = r.spread()
	case Unicast:
		err = r.unicast()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Mode, err)
	}
	return &r.result, nil
}

const maxInFlight = 64

// run is one run's state that all modes share.
type run struct {
	cfg     Config
	target  target // the first, and the only one in most modes
	targets []target
	payload payload
	server  process.Process // the first
	servers []process.Process
	broker  process.Process
	result  Result

	ops      uint64
	latency  histogram
	stopping bool // send nothing new
	scratch  []byte
	frame    []byte
}

// measure runs warm-up, the measured part and the end of a load that is already going. missing returns how many
// answers are still to come.
func (r *run) measure(l *loop, missing func() int) error {
	l.run(r.cfg.Warmup)
	r.latency.reset()
	ops, start := r.ops, l.clock()
	cpu, broker, err := r.used()
	if err != nil {
		return err
	}
	l.run(r.cfg.Duration)
	cpuEnd, brokerEnd, err := r.used()
	if err != nil {
		return err
	}
	r.result.CPU, r.result.Broker = cpuEnd-cpu, brokerEnd-broker
	r.result.Elapsed = l.clock() - start
	r.result.Ops = r.ops - ops
	r.result.P50, r.result.P99 = r.latency.quantile(0.50), r.latency.quantile(0.99)
	r.stopping = true
	if !l.runUntil(r.cfg.Patience, func() bool { return missing() == 0 }) {
		r.result.Lost += missing()
		r.fail(fmt.Errorf("%d messages lost", missing()))
	}
	return nil
}

// used returns the processor time that the servers and what is between them have used.
func (r *run) used() (servers, broker time.Duration, err error) {
	for _, s := range r.servers {
		d, err := s.CPU()
		if err != nil {
			return 0, 0, err
		}
		servers += d
	}
	broker, err = r.broker.CPU()
	return servers, broker, err
}

// fail keeps the first thing that went wrong.
func (r *run) fail(err error) {
	if r.result.Failure == "" && err != nil {
		r.result.Failure = err.Error()
	}
}

// wrong counts an answer that is not what was asked for.
func (r *run) wrong(err error) {
	r.result.Wrong++
	r.fail(err)
}

// swarm connects the clients of a mode.
func (r *run) swarm() (*swarm, error) {
	s, err := newSwarm(r.targets...)
	if err != nil {
		return nil, err
	}
	lost, err := s.connectAll(r.cfg.Clients, r.cfg.Parallel, r.cfg.Patience)
	if err == nil && lost > 0 {
		err = fmt.Errorf("%d of %d clients can't connect: %w", lost, r.cfg.Clients, s.failure)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	s.onLost = func(*client) { r.fail(fmt.Errorf("a connection ended: %w", s.failure)) }
	return s, nil
}
