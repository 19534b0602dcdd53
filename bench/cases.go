//go:build linux

package main

import (
	"time"

	"github.com/sockeye-io/sockeye/bench/internal/load"
)

// scenario is one load that every server is put under.
type scenario struct {
	name   string // for -only
	config load.Config
	skip   string // name of a server that can't do it
}

var scenarios = []scenario{
	{name: "connect", config: load.Config{Mode: load.Connect, Clients: 10000, Parallel: 32, Settle: time.Second, Collect: true}},
	{name: "echo1", config: load.Config{Mode: load.Echo, Clients: 100, InFlight: 1}},
	{name: "echo16", config: load.Config{Mode: load.Echo, Clients: 50, InFlight: 16}},
	{name: "broadcast1", config: load.Config{Mode: load.Broadcast, Clients: 1000, InFlight: 1}},
	{name: "broadcast10", config: load.Config{Mode: load.Broadcast, Clients: 1000, InFlight: 10}},
	{name: "rooms", config: load.Config{Mode: load.Rooms, Clients: 1000, RoomSize: 10, InFlight: 1}},
	{name: "polling", config: load.Config{Mode: load.Polling, Clients: 50}, skip: "floor"},
}

// budget is what our server must reach: at most limit times the value of the server named against in the same run, or
// limit itself where against is empty.
type budget struct {
	against string
	limit   float64
}

// line is one line of the table: a figure of a scenario, for every server.
type line struct {
	scenario string
	title    string
	unit     string // "µs", "KB" or ""
	value    func(*load.Result) float64
	budget   *budget
}

func cpuMicros(r *load.Result) float64 { return float64(r.CPUPerOp()) / float64(time.Microsecond) }

var lines = []line{
	{"connect", "Memory of an idle WebSocket client", "KB", func(r *load.Result) float64 { return r.RSSCollected / 1000 }, &budget{"", 6}},
	{"echo1", "CPU for an echo with acknowledgement, 1 in flight on each of 100 clients", "µs", cpuMicros, &budget{"floor", 1.25}},
	{"echo16", "the same, 16 in flight on each of 50", "µs", cpuMicros, &budget{"floor", 0.6}},
	{"broadcast1", "CPU for a delivered message, broadcast to 1,000, one at a time", "µs", cpuMicros, &budget{"floor", 1.15}},
	{"broadcast10", "the same, 10 in flight", "µs", cpuMicros, &budget{"floor", 0.35}},
	{"rooms", "CPU for a delivered message, 100 rooms of 10, one in flight in each", "µs", cpuMicros, nil},
	{"polling", "CPU for an echo over long-polling (POST + GET), 50 clients", "µs", cpuMicros, &budget{"node", 0.5}},
	{"connect", "CPU for a WebSocket connect", "µs", cpuMicros, &budget{"floor", 2.5}},
	{"connect", "Connections lost of 10,000, 32 at a time", "", func(r *load.Result) float64 { return float64(r.Lost) }, &budget{"", 0}},
}

// clientScenario is what the client programs are put to. Their server is ours: it costs the least, and is the same for
// all of them.
type clientScenario struct {
	name              string // for -only
	clients, inFlight int    // inFlight 0: they are only connected
}

var clientScenarios = []clientScenario{
	{"client-connect", 5000, 0},
	{"client-echo1", 100, 1},
	{"client-echo16", 50, 16},
}

var clientLines = []line{
	{"client-connect", "Memory of an idle WebSocket client", "KB", func(r *load.Result) float64 { return r.RSSCollected / 1000 }, &budget{"", 10}},
	{"client-echo1", "CPU for an echo with acknowledgement, 1 in flight on each of 100 clients", "µs", cpuMicros, &budget{"node", 0.75}},
	{"client-echo16", "the same, 16 in flight on each of 50", "µs", cpuMicros, &budget{"node", 0.5}},
	{"client-connect", "CPU for a WebSocket connect", "µs", cpuMicros, &budget{"node", 0.75}},
}
