//go:build linux

package chaos

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sockeye-io/sockeye/test/interop/chaos/check"
)

// A Run is one way to treat a cluster.
type Run struct {
	Name string
	What string // what is done how often
	// Broker is set if it needs a broker, Isolated if it needs network namespaces.
	Broker, Isolated bool
	do               func(ctx context.Context, c *Cluster, times int) error
}

// Runs are all of them.
var Runs = []Run{
	{Name: "steady", What: "seconds in which nothing happens", do: steady},
	{Name: "kill", What: "servers killed (SIGKILL) and started again", do: kill},
	{Name: "broker", What: "times the broker is killed and started again", Broker: true, do: restartBroker},
	{Name: "cut", What: "times a server's cable to the broker and the other servers is pulled (network namespaces)", Isolated: true, do: pull},
	{Name: "hold", What: "times nothing comes through between a server and the broker, connections staying open", Broker: true, do: hold},
	{Name: "reset", What: "times a server's connections to the broker are reset, and refused for a while", Broker: true, do: resetLine},
	{Name: "rolling", What: "servers replaced one after the other (SIGTERM, drained)", do: rolling},
	{Name: "hop", What: "times connections of clients are cut, which then come to another server", do: hop},
}

// A Result is what came of a run.
type Result struct {
	Run, Adapter string
	Recovery     bool
	Times        int
	Report       *check.Report
	Fresh        int             // receivers that came back and were not recovered
	Back         []time.Duration // from each fault's end until all servers heard each other
	Took         time.Duration
}

// Do does it the given number of times, while messages are sent, and reports.
func (r *Run) Do(ctx context.Context, o Options, times int) (*Result, error) {
	began := time.Now()
	c, err := Start(ctx, o)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	sleep(ctx, c.rules.Settle)
	sending, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for _, s := range c.senders {
		wg.Go(func() { s.run(sending, c, o.pace()) })
	}
	err = r.do(ctx, c, times)
	stop()
	wg.Wait()
	if err != nil {
		return nil, err
	}
	if err := c.everybody(ctx); err != nil {
		return nil, err
	}
	result := &Result{Run: r.Name, Adapter: o.Adapter, Recovery: o.Recovery, Times: times, Report: c.settle(ctx), Back: c.back}
	for _, r := range c.receivers {
		r.mu.Lock()
		result.Fresh += r.fresh
		r.mu.Unlock()
	}
	result.Took = time.Since(began)
	return result, ctx.Err()
}

func (o *Options) pace() time.Duration {
	if o.Pace == 0 {
		return 20 * time.Millisecond
	}
	return o.Pace
}

// settle waits until nothing more comes, and reports.
func (c *Cluster) settle(ctx context.Context) *check.Report {
	const quiet = 5 * time.Second // nothing takes as long, unless it does not come at all
	last, since := c.receipts.Load(), time.Now()
	for {
		sleep(ctx, 300*time.Millisecond)
		n := c.receipts.Load()
		if n != last {
			last, since = n, time.Now()
			continue
		}
		r := c.check()
		if r.Lost == 0 || time.Since(since) > quiet || ctx.Err() != nil {
			return r
		}
	}
}

func (c *Cluster) check() *check.Report {
	var messages []check.Message
	for _, s := range c.senders {
		messages = append(messages, s.log...)
	}
	var receivers []check.Receiver
	for _, r := range c.receivers {
		receivers = append(receivers, r.snapshot())
	}
	return check.Run(messages, receivers, c.rules)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// again waits until the servers hear each other after a fault that has ended, and notes how long that took. From the
// time given until then messages may be lost between these servers and others.
func (c *Cluster) again(ctx context.Context, from check.Times, nodes []string) error {
	ended := c.now()
	until, err := c.whole(ctx)
	if err != nil {
		return err
	}
	c.back = append(c.back, until-ended)
	if nodes == nil || len(nodes) > 0 {
		c.rules.Outages = append(c.rules.Outages, check.Outage{From: from, Until: until, Nodes: nodes})
	}
	return nil
}

// nobody is a list of servers between which and others nothing may be lost.
var nobody = []string{}

func steady(ctx context.Context, _ *Cluster, seconds int) error {
	sleep(ctx, time.Duration(seconds)*time.Second)
	return ctx.Err()
}

func kill(ctx context.Context, c *Cluster, times int) error {
	for i := range times {
		sleep(ctx, 300*time.Millisecond)
		s := c.nodes[i%len(c.nodes)]
		c.kill(s)
		sleep(ctx, 200*time.Millisecond)
		if err := c.startServer(s); err != nil {
			return err
		}
		if err := c.again(ctx, 0, nobody); err != nil {
			return fmt.Errorf("after killing %s: %w", s.config.Name, err)
		}
	}
	return nil
}

func restartBroker(ctx context.Context, c *Cluster, times int) error {
	for range times {
		sleep(ctx, 500*time.Millisecond)
		from := c.now()
		c.broker.kill()
		sleep(ctx, 300*time.Millisecond)
		if err := c.broker.start(ctx); err != nil {
			return err
		}
		if err := c.again(ctx, from, nil); err != nil {
			return fmt.Errorf("after restarting the broker: %w", err)
		}
	}
	return nil
}

// fault cuts a server off by one function, and mends it by another.
func (c *Cluster) fault(ctx context.Context, i int, lasts time.Duration, cut, mend func(s *server) error) error {
	sleep(ctx, 500*time.Millisecond)
	s := c.nodes[i%len(c.nodes)]
	from := c.now()
	if err := cut(s); err != nil {
		return err
	}
	sleep(ctx, lasts)
	if err := mend(s); err != nil {
		return err
	}
	if err := c.again(ctx, from, []string{s.config.Name}); err != nil {
		return fmt.Errorf("after cutting off %s: %w", s.config.Name, err)
	}
	return nil
}

// durations of outages: shorter and longer than it takes to notice them.
var durations = []time.Duration{1 * time.Second, 8 * time.Second, 4 * time.Second}

func pull(ctx context.Context, c *Cluster, times int) error {
	for i := range times {
		err := c.fault(ctx, i, durations[i%len(durations)],
			func(s *server) error { _, err := c.net.cut(s.index, true); return err },
			func(s *server) error { _, err := c.net.cut(s.index, false); return err })
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) setLine(to lineState) func(*server) error {
	return func(s *server) error {
		c.lines[s.index].set(to)
		return nil
	}
}

func hold(ctx context.Context, c *Cluster, times int) error {
	for i := range times {
		if err := c.fault(ctx, i, durations[i%len(durations)], c.setLine(holding), c.setLine(passing)); err != nil {
			return err
		}
	}
	return nil
}

func resetLine(ctx context.Context, c *Cluster, times int) error {
	for i := range times {
		if err := c.fault(ctx, i, 500*time.Millisecond, c.setLine(reset), c.setLine(passing)); err != nil {
			return err
		}
	}
	return nil
}

func rolling(ctx context.Context, c *Cluster, times int) error {
	for i := range times {
		sleep(ctx, 300*time.Millisecond)
		s := c.nodes[i%len(c.nodes)]
		if err := c.replace(s); err != nil {
			return err
		}
		if err := c.again(ctx, 0, nobody); err != nil {
			return fmt.Errorf("after replacing %s: %w", s.config.Name, err)
		}
	}
	return nil
}

func hop(ctx context.Context, c *Cluster, times int) error {
	for i := range times {
		sleep(ctx, 100*time.Millisecond)
		c.balancer.cut(1 + i%5)
	}
	return ctx.Err()
}

// Find returns the run of a name.
func Find(name string) (Run, bool) {
	i := slices.IndexFunc(Runs, func(r Run) bool { return r.Name == name })
	if i < 0 {
		return Run{}, false
	}
	return Runs[i], true
}
