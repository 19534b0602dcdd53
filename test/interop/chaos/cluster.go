//go:build linux

// Package chaos starts clusters of servers, kills, cuts off and replaces what they are made of, and has package check
// look at what became of the messages meanwhile.
//
// Servers and brokers are processes of their own. Clients, of package client, come by way of a balancer that knows no
// stickiness, and connect again whenever they have to. Some of them ask their servers to emit numbered messages to rooms
// and to single sockets; a server acknowledges that when Emit has returned nil. The others note what they get.
package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sockeye-io/sockeye/test/interop/chaos/check"
	"github.com/sockeye-io/sockeye/test/interop/chaos/node"
)

// Options say what to try.
type Options struct {
	Adapter   string // a key of node.Adapters
	Recovery  bool
	Receivers int           // zero means 12
	Senders   int           // zero means 6
	Pace      time.Duration // between two messages of a sender; zero means 20 ms
	Drain     time.Duration // how long a server takes to leave; zero means 2 s
	Reach     time.Duration // check.Rules.Reach and Settle; zero means 1 s
	Verbose   bool          // servers log to standard error
}

// patience is how long is waited for what must come.
const patience = 2 * time.Minute

// rooms are what messages go to that don't go to one receiver.
var rooms = []string{"all", "left", "right"}

const servers = 3

// A Cluster is three servers, their broker, and clients.
type Cluster struct {
	o         Options
	began     time.Time
	net       network
	broker    broker
	lines     []*line
	balancer  *balancer
	nodes     []*server
	receivers []*receiver
	senders   []*sender
	controls  []*control
	round     int
	receipts  atomic.Int64
	rules     check.Rules
	back      []time.Duration // how long it took until all was well, after each fault
}

// A server is a place for processes, one after the other.
type server struct {
	config  node.Config
	index   int
	lives   int
	backend *backend
	p       *process
}

// Child is to be called first in a program: it is what servers and brokers run, as processes of the same program.
func Child() {
	if len(os.Args) == 3 && os.Args[1] == "chaos-node" {
		os.Exit(node.Main(os.Args[2]))
	}
	if len(os.Args) == 2 && os.Args[1] == "chaos-nats" {
		os.Exit(node.NATS())
	}
}

// Start starts a cluster and waits until its servers hear each other and everybody is connected.
func Start(ctx context.Context, o Options) (_ *Cluster, err error) {
	if o.Receivers == 0 {
		o.Receivers = 12
	}
	if o.Senders == 0 {
		o.Senders = 6
	}
	if o.Pace == 0 {
		o.Pace = 20 * time.Millisecond
	}
	if o.Drain == 0 {
		o.Drain = 2 * time.Second
	}
	if o.Reach == 0 {
		o.Reach = time.Second
	}
	c := &Cluster{o: o, began: time.Now()}
	c.rules = check.Rules{Recovery: o.Recovery, Settle: o.Reach, Reach: o.Reach, Killed: map[string]check.Times{}}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if err := c.startServers(ctx); err != nil {
		return nil, err
	}
	if err := c.startClients(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Cluster) startServers(ctx context.Context) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if c.net = network(newLoopback()); Isolated() {
		if err := setUp(); err != nil {
			return err
		}
		n, err := newNamespaces(servers)
		if err != nil {
			return err
		}
		c.net = n
	}
	if c.broker, err = newBroker(c.o.Adapter, []string{self, "chaos-nats"}); err != nil {
		return err
	}
	if c.broker != nil {
		if err := c.broker.start(ctx); err != nil {
			return err
		}
	}
	if c.balancer, err = newBalancer(); err != nil {
		return err
	}
	for i := range servers {
		s := &server{index: i, config: node.Config{
			Name: string(rune('A' + i)), Adapter: c.o.Adapter, Recovery: c.o.Recovery, Drain: c.o.Drain, Verbose: c.o.Verbose,
			Listen: c.net.front(i) + ":3000", Cluster: c.net.back(i) + ":6222",
		}}
		for other := range servers {
			if other != i {
				s.config.Peers = append(s.config.Peers, c.net.back(other)+":6222")
			}
		}
		if c.broker != nil {
			l, err := newLine(c.net.broker(), c.broker.dial)
			if err != nil {
				return err
			}
			c.lines = append(c.lines, l)
			s.config.Broker = l.addr()
		}
		s.backend = c.balancer.add(s.config.Listen)
		c.nodes = append(c.nodes, s)
	}
	failed := make(chan error, servers)
	for _, s := range c.nodes {
		go func() { failed <- c.startServer(s) }()
	}
	var errs []error
	for range servers {
		errs = append(errs, <-failed)
	}
	return errors.Join(errs...)
}

func (c *Cluster) startServer(s *server) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	s.lives++
	s.config.Process = fmt.Sprintf("%s%d", s.config.Name, s.lives)
	config, err := json.Marshal(&s.config)
	if err != nil {
		return err
	}
	if s.p, err = start(c.net.command(s.index, []string{self, "chaos-node", string(config)})); err != nil {
		return err
	}
	text, err := s.p.line()
	if err == nil && text != node.Ready {
		s.p.kill()
		err = fmt.Errorf("server %s says %q", s.config.Process, text)
	}
	return err
}

func (c *Cluster) startClients(ctx context.Context) error {
	for _, s := range c.nodes {
		k, err := c.newControl("control-"+s.config.Name, s.config.Listen)
		if err != nil {
			return err
		}
		c.controls = append(c.controls, k)
	}
	for i := range c.o.Receivers {
		r, err := c.newReceiver(fmt.Sprintf("r%d", i), "all", rooms[1+i%2])
		if err != nil {
			return err
		}
		c.receivers = append(c.receivers, r)
	}
	for i := range c.o.Senders {
		s, err := c.newSender(fmt.Sprintf("s%d", i))
		if err != nil {
			return err
		}
		c.senders = append(c.senders, s)
	}
	return c.everybody(ctx)
}

// everybody waits until all servers hear each other and all clients are connected.
func (c *Cluster) everybody(ctx context.Context) error {
	if _, err := c.whole(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		away := slices.ContainsFunc(c.receivers, func(r *receiver) bool { _, ok := r.there(); return !ok }) ||
			slices.ContainsFunc(c.senders, func(s *sender) bool { return !s.c.Of("/").Connected() })
		if !away {
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("not everybody is connected: %w", ctx.Err())
		}
	}
}

// now is the clock of a run.
func (c *Cluster) now() check.Times { return time.Since(c.began) }

// Close ends everything.
func (c *Cluster) Close() {
	for _, k := range c.controls {
		_ = k.c.Close()
	}
	for _, r := range c.receivers {
		_ = r.c.Close()
	}
	for _, s := range c.senders {
		_ = s.c.Close()
	}
	if c.balancer != nil {
		c.balancer.close()
	}
	for _, s := range c.nodes {
		if s.p != nil {
			s.p.kill()
		}
	}
	for _, l := range c.lines {
		l.close()
	}
	if c.broker != nil {
		c.broker.close()
	}
	if c.net != nil {
		c.net.close()
	}
}

// kill kills a server.
func (c *Cluster) kill(s *server) {
	c.rules.Killed[s.config.Process] = c.now()
	s.p.kill()
}

// replace has a server leave as in a rolling restart, and starts another in its place.
func (c *Cluster) replace(s *server) error {
	c.balancer.take(s.backend, false)
	if err := s.p.end(syscall.SIGTERM); err != nil {
		return fmt.Errorf("server %s: %w", s.config.Process, err)
	}
	err := c.startServer(s)
	c.balancer.take(s.backend, true)
	return err
}
