package clusterdemo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// Options of a [Demo].
type Options struct {
	Addr      string        // where the balancer listens, as HOST:PORT
	Balancer  string        // "auto": nginx if it is installed; "nginx"; "own"
	Redis     string        // the URL of a Redis, "start" for one of our own, empty for embedded NATS
	KillAfter time.Duration // when to kill a node without being told to; 0: never
	Command   []string      // what begins the command line of a node: the program and "serve"
	Keys      io.Reader     // single letters, see [Demo.Run]; may be nil
	Screen    *Screen
}

// A Demo is three nodes and a balancer.
type Demo struct {
	opts    Options
	screen  *Screen
	dir     string // for what belongs to nobody after us
	nodes   []*node
	front   *balancer
	redis   *process
	ended   chan *node // a process that has ended
	started time.Time
	wg      sync.WaitGroup
}

// nodeNames are the names of the nodes, and the keys that kill and start them.
var nodeNames = []string{"A", "B", "C"}

// errNotInstalled is that of a program that is missing.
var errNotInstalled = errors.New("not installed")

// Run runs the demo until ctx is done or somebody presses q. The keys are k: kill the node with the most connections,
// r: start those that were killed, a, b and c: kill or start that node, q: stop. Nothing is left behind.
func Run(ctx context.Context, o Options) (err error) {
	d := &Demo{opts: o, screen: o.Screen, ended: make(chan *node, len(nodeNames)), started: time.Now()}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() {
		d.screen.Status(nil)
		cancel()
		d.stop()
	}()
	if d.dir, err = os.MkdirTemp("", "sockeye-cluster-demo-"); err != nil {
		return err
	}
	if err := d.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // stopped while it was starting
		}
		return err
	}
	d.welcome()
	return d.loop(ctx)
}

// start starts everything, and returns when it works.
func (d *Demo) start(ctx context.Context) error {
	common := []string{"--trusted-proxies", "127.0.0.1", "--log", "error"}
	redisURL := d.opts.Redis
	if redisURL == "start" {
		var err error
		if d.redis, redisURL, err = startRedis(ctx, d.dir); err != nil {
			return err
		}
		d.opts.Redis = redisURL
	}
	ports, err := freePorts(2 * len(nodeNames))
	if err != nil {
		return err
	}
	var meeting []string
	for i := range nodeNames {
		meeting = append(meeting, "nats://"+local(ports[len(nodeNames)+i]))
	}
	secret := rand.Text()
	for i, name := range nodeNames {
		addr := local(ports[i])
		args := append([]string{"--addr", addr, "--node-id", name}, common...)
		if redisURL != "" {
			args = append(args, "--redis", redisURL)
		} else {
			args = append(args, "--cluster-listen", strings.TrimPrefix(meeting[i], "nats://"), "--cluster", strings.Join(meeting, ","))
		}
		d.nodes = append(d.nodes, &node{
			name: name, addr: addr, screen: d.screen, args: append(d.opts.Command[1:len(d.opts.Command):len(d.opts.Command)], args...),
			program: d.opts.Command[0], env: []string{"SOCKEYE_CLUSTER_SECRET=" + secret},
			ended: d.ended,
		})
	}
	for _, n := range d.nodes {
		if err := n.start(); err != nil {
			return err
		}
	}
	for _, n := range d.nodes {
		if err := n.await(ctx); err != nil {
			return err
		}
	}
	for _, n := range d.nodes {
		d.wg.Go(func() { n.watch(ctx) })
	}
	d.front, err = startBalancer(ctx, d.opts, d.dir, d.nodes)
	return err
}

func (d *Demo) welcome() {
	d.screen.Say("Three Sockeye servers act as one behind %s: every request goes to the next\nserver, and there are no sticky sessions.\n", d.front.name)
	if d.front.remark != "" {
		d.screen.Say("%s\n", d.front.remark)
	}
	d.screen.Say("  %s\n", d.screen.Bold(d.front.url))
	d.screen.Say("  Chat            /chat       open it in two tabs: the corner says which node each is on")
	d.screen.Say("  Transport lab   /lab\n")
	if d.opts.Redis == "" {
		d.screen.Say("  Between them    embedded NATS, no broker")
	} else {
		d.screen.Say("  Between them    Redis, %s", withoutPassword(d.opts.Redis))
	}
	for _, n := range d.nodes {
		d.screen.Say("  Node %s          http://%s", n.name, n.addr)
	}
	d.screen.Say("")
	if d.opts.Keys != nil {
		d.screen.Say("  k  kill the node with the most connections     a b c  kill or start that one\n  r  start again what was killed                 q      stop\n")
	} else {
		d.screen.Say("Press Ctrl+C to stop.\n")
	}
}

// loop does what keys say until the end.
func (d *Demo) loop(ctx context.Context) error {
	keys := make(chan byte)
	if d.opts.Keys != nil {
		// Not waited for: nothing ends a read from a terminal.
		go readKeys(ctx, d.opts.Keys, keys)
	}
	var kill <-chan time.Time
	if d.opts.KillAfter > 0 {
		timer := time.NewTimer(d.opts.KillAfter)
		defer timer.Stop()
		kill = timer.C
	}
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	d.screen.Status(d.status())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-kill:
			d.kill(d.fullest())
		case key := <-keys:
			if key == 'q' || key == ctrlC || key == ctrlD {
				return nil
			}
			if err := d.press(key); err != nil {
				return err
			}
		case n := <-d.ended:
			if how, wanted := n.reap(); !wanted {
				d.screen.Say("%s  node %s has ended: %s", d.clock(), n.name, how)
			}
		case err := <-d.front.failed:
			return fmt.Errorf("%s has ended: %w", d.front.name, err)
		case <-ticker.C:
		}
		for _, n := range d.nodes {
			if n.returned() {
				d.screen.Say("%s  node %s serves again", d.clock(), n.name)
			}
		}
		d.screen.Status(d.status())
	}
}

const (
	ctrlC = 3
	ctrlD = 4
)

// readKeys passes single bytes on.
func readKeys(ctx context.Context, in io.Reader, keys chan<- byte) {
	var b [1]byte
	for {
		n, err := in.Read(b[:])
		if n == 1 {
			select {
			case keys <- b[0]:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return // with no keys it goes on until a signal
		}
	}
}

// press does what a key says.
func (d *Demo) press(key byte) error {
	switch {
	case key == 'k':
		d.kill(d.fullest())
	case key == 'r':
		for _, n := range d.nodes {
			if err := d.revive(n); err != nil {
				return err
			}
		}
	case key >= 'a' && int(key-'a') < len(d.nodes):
		n := d.nodes[key-'a']
		if n.running() {
			d.kill(n)
			return nil
		}
		return d.revive(n)
	}
	return nil
}

// fullest returns the node with the most connections.
func (d *Demo) fullest() *node {
	var best *node
	most := -1
	for _, n := range d.nodes {
		if sessions := n.look().sessions; n.running() && sessions > most {
			best, most = n, sessions
		}
	}
	return best
}

func (d *Demo) kill(n *node) {
	alive := 0
	for _, other := range d.nodes {
		if other.running() {
			alive++
		}
	}
	if alive <= 1 {
		d.screen.Say("%s  only one node is left; r starts the others again", d.clock())
		return
	}
	d.screen.Say("%s  killing node %s (SIGKILL): its clients connect to the others", d.clock(), n.name)
	n.kill()
}

func (d *Demo) revive(n *node) error {
	if n.running() {
		return nil
	}
	d.screen.Say("%s  starting node %s", d.clock(), n.name)
	return n.start()
}

func (d *Demo) clock() string { return time.Now().Format("15:04:05") }

// status returns a line for each node.
func (d *Demo) status() []string {
	var lines []string
	for _, n := range d.nodes {
		lines = append(lines, d.screen.node(n.name, n.look()))
	}
	return lines
}

// stop ends everything that was started.
func (d *Demo) stop() {
	if d.front != nil {
		d.front.stop()
	}
	for _, n := range d.nodes {
		n.stop()
	}
	if d.redis != nil {
		d.redis.stop()
	}
	d.wg.Wait()
	_ = os.RemoveAll(d.dir) // what can't be removed is in the system's folder for that
}

// freePorts returns ports of this machine that nobody uses now. Somebody may before we do; then starting fails.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close() // held until all are known, so that they differ
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
