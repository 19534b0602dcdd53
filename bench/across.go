//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sockeye-io/sockeye/bench/internal/load"
)

// A broker is what can be between servers.
type broker struct {
	adapter string // as the servers know it
	title   string
	node    bool // Node has an adapter for it
}

var brokers = []broker{
	{"redis-classic", "Redis", true},
	{"redis-sharded", "Redis, sharded", true},
	{"nats", "NATS", false},
	{"embedded", "NATS, embedded", false},
}

// acrossLoad is what several servers are put under.
type acrossLoad struct {
	name, title string
	config      load.Config
}

var acrossLoads = []acrossLoad{
	{"unicast", "to one client of another server", load.Config{Mode: load.Unicast, Clients: 96, Rate: 1000}},
	{"room20", "to rooms of 20", load.Config{Mode: load.Spread, Clients: 200, RoomSize: 20, Rate: 400}},
	{"room1000", "to a room of 1,000", load.Config{Mode: load.Spread, Clients: 1000, RoomSize: 1000, Rate: 16}},
}

// acrossServers are the numbers of servers.
var acrossServers = []int{2, 3}

// acrossBudget is the part of Node's cost that ours may be.
const acrossBudget = 1.0 / 3

// acrossName names a load over a broker among the scenarios.
func acrossName(l acrossLoad, b broker, servers int) string {
	return fmt.Sprintf("%s/%s/%d", l.name, b.adapter, servers)
}

// acrossLines are the lines of the table; those for the picture are of the most servers.
func acrossLines() []line {
	var lines []line
	for _, n := range acrossServers {
		for _, l := range acrossLoads {
			for _, b := range brokers {
				x := line{acrossName(l, b, n), fmt.Sprintf("%d servers, %s, over %s", n, l.title, b.title), "µs", cpuMicros, nil}
				if b.node {
					x.budget = &budget{"node", acrossBudget}
				}
				lines = append(lines, x)
			}
		}
	}
	return lines
}

// acrossPrograms are the servers and brokers of a cluster.
type acrossPrograms struct {
	servers     []*program
	redis, nats *program // nil: it is not there
}

// prepareAcross builds and installs what prepare does for one server. What this machine can't run is left out.
func prepareAcross(ctx context.Context, dir string, names []string, log io.Writer) (*acrossPrograms, error) {
	p := &acrossPrograms{}
	if bin, err := exec.LookPath("redis-server"); err != nil {
		fmt.Fprintf(log, "Redis is left out: %v\n", err)
	} else {
		p.redis = &program{name: "redis", argv: []string{
			bin, "--port", "$PORT", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir,
		}}
	}
	p.nats = &program{name: "nats", argv: []string{filepath.Join(dir, "natsd")}}
	if err := command(ctx, ".", "go", "build", "-o", p.nats.argv[0], "./natsd"); err != nil {
		return nil, err
	}
	for _, name := range names {
		switch name {
		case "target":
			s := &program{name: name, title: "Sockeye", argv: []string{filepath.Join(dir, "member")}}
			if err := command(ctx, ".", "go", "build", "-o", s.argv[0], "./member"); err != nil {
				return nil, err
			}
			p.servers = append(p.servers, s)
		case "node":
			s := &program{name: name}
			if err := prepareNode(ctx, s, "socket.io", "member.js"); err != nil {
				fmt.Fprintf(log, "Node is left out: %v\n", err)
				continue
			}
			p.servers = append(p.servers, s)
		}
	}
	return p, nil
}

// runs reports whether there are the broker and an adapter of the server for it.
func (p *acrossPrograms) runs(s *program, b broker) bool {
	return (s.name == ours || b.node) && (p.redis != nil || !strings.HasPrefix(b.adapter, "redis"))
}

// acrossRounds is how many rounds there are: one less than of a single server, for the time they take.
func acrossRounds(o *options) int { return max(o.repeat-1, 1) }

// measureAcross measures servers of one cluster.
func measureAcross(ctx context.Context, o *options, p *acrossPrograms, log io.Writer) (*measurements, error) {
	m := &measurements{results: map[string]map[string][]*load.Result{}}
	rounds, servers := acrossRounds(o), acrossServers
	if o.quick {
		servers = servers[:1]
	}
	for round := range rounds {
		for _, n := range servers {
			for _, b := range brokers {
				for _, s := range p.servers {
					if !p.runs(s, b) {
						continue
					}
					if err := measureCluster(ctx, o, p, s, b, n, m, fmt.Sprintf("round %d/%d", round+1, rounds), log); err != nil {
						if ctx.Err() != nil {
							return nil, ctx.Err()
						}
						return nil, fmt.Errorf("%s over %s: %w", s.name, b.title, err)
					}
				}
			}
		}
	}
	return m, nil
}

// measureCluster puts n servers of a kind under all the loads, one after the other.
func measureCluster(ctx context.Context, o *options, p *acrossPrograms, s *program, b broker, n int, m *measurements, round string, log io.Writer) error {
	loads := slices.DeleteFunc(slices.Clone(acrossLoads), func(l acrossLoad) bool {
		return o.only != nil && !slices.Contains(o.only, l.name)
	})
	if len(loads) == 0 {
		return nil
	}
	c, err := p.start(ctx, s, b, n)
	if err != nil {
		return err
	}
	defer c.stop()
	for _, l := range loads {
		cfg := l.config
		cfg.Warmup, cfg.Duration = 700*time.Millisecond, 1800*time.Millisecond
		if o.quick {
			cfg.Warmup, cfg.Duration = 300*time.Millisecond, time.Second
		}
		cfg.Broker = c.brokerPID
		for i, x := range c.servers {
			if i == 0 {
				cfg.Addr, cfg.PID = x.addr, x.cmd.Process.Pid
			} else {
				cfg.Others = append(cfg.Others, load.Server{Addr: x.addr, PID: x.cmd.Process.Pid})
			}
		}
		r, err := load.Run(cfg)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, c.output())
		}
		name := acrossName(l, b, n)
		fmt.Fprintf(log, "%s  %-26s %-8s %8.2f µs, broker %.2f µs, p50 %v, p99 %v\n", round, name, s.name, cpuMicros(r),
			brokerMicros(r), r.P50.Round(10*time.Microsecond), r.P99.Round(10*time.Microsecond))
		if !r.OK() {
			m.failures = append(m.failures, fmt.Sprintf("%s, %s: lost %d, wrong %d: %s", s.name, name, r.Lost, r.Wrong, r.Failure))
		}
		if m.results[name] == nil {
			m.results[name] = map[string][]*load.Result{}
		}
		m.results[name][s.name] = append(m.results[name][s.name], r)
	}
	return nil
}

func brokerMicros(r *load.Result) float64 {
	if r.Ops == 0 {
		return 0
	}
	return float64(r.Broker) / float64(r.Ops) / float64(time.Microsecond)
}

// acrossTimings is what each server and broker took together with the generator, and what the broker did.
func acrossTimings(m *measurements, servers []*program) string {
	head := []string{"work"}
	for _, s := range servers {
		head = append(head, s.title+" p50", "p99", "broker's CPU")
	}
	out := [][]string{head}
	for _, l := range acrossLines() {
		cells, any := []string{l.title}, false
		for _, s := range servers {
			results := m.results[l.scenario][s.name]
			if len(results) == 0 {
				cells = append(cells, "", "", "")
				continue
			}
			any = true
			t := newTiming(l.scenario, s.title, results)
			var cpu []float64
			for _, r := range results {
				cpu = append(cpu, brokerMicros(r))
			}
			used := "in the servers'"
			if v := median(cpu); !strings.Contains(l.scenario, "/embedded/") {
				used = number(v) + " µs"
			}
			cells = append(cells, millis(t.p50), millis(t.p99), used)
		}
		if any {
			out = append(out, cells)
		}
	}
	return markdownTable(out)
}

// acrossChart draws what the most servers cost.
func (rep *report) acrossChart() string {
	drawn := *rep
	last := rep.rows[len(rep.rows)-1].scenario
	servers := last[strings.LastIndexByte(last, '/'):]
	drawn.rows = slices.DeleteFunc(slices.Clone(rep.rows), func(r row) bool { return !strings.HasSuffix(r.scenario, servers) })
	return drawn.chart("What a delivered message costs servers that act as one")
}

// A running is a cluster that is.
type running struct {
	servers   []*instance
	broker    *instance
	brokerPID int // 0: there is none
}

func (c *running) stop() {
	for _, s := range c.servers {
		s.stop()
	}
	if c.broker != nil {
		c.broker.stop()
	}
}

func (c *running) output() string {
	var out strings.Builder
	for _, s := range c.servers {
		out.WriteString(s.output.String())
	}
	return out.String()
}

// start runs the broker, a fresh one, and the servers.
func (p *acrossPrograms) start(ctx context.Context, s *program, b broker, n int) (c *running, err error) {
	c = &running{}
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	prog, address := p.redis, ""
	switch b.adapter {
	case "embedded":
		prog = nil
	case "nats":
		prog = p.nats
	}
	if prog != nil {
		if c.broker, err = prog.start(ctx); err != nil {
			return c, err
		}
		address, c.brokerPID = c.broker.addr, c.broker.cmd.Process.Pid
	}
	for range n {
		env := []string{"ADAPTER=" + b.adapter, "BROKER=" + address}
		if prog == nil {
			listen, err := freeAddr()
			if err != nil {
				return c, err
			}
			env = append(env, "LISTEN="+listen)
			address = strings.TrimPrefix(address+","+listen, ",")
		}
		i, err := s.start(ctx, env...)
		if err != nil {
			return c, errors.Join(err, ctx.Err())
		}
		c.servers = append(c.servers, i)
	}
	return c, nil
}
