package redis_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/redis"
	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/test/interop/kit"
)

type message = client.Message

// patience is how long a test waits for what must come.
const patience = time.Minute

// startRedis starts a redis-server on a socket and returns its name.
func startRedis(t testing.TB) string {
	t.Helper()
	bin := kit.Need(t, "redis-server")
	dir, err := os.MkdirTemp("", "redis") //nolint:usetesting // t.TempDir is too long for the name of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	addr := filepath.Join(dir, "s")
	cmd := exec.Command(bin, "--port", "0", "--unixsocket", addr, "--save", "", "--dir", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	c := goredis.NewClient(&goredis.Options{Addr: addr, Network: "unix"})
	defer c.Close()
	kit.Eventually(t, "redis-server answers", func() bool { return c.Ping(context.Background()).Err() == nil })
	return addr
}

// A mode is one kind of cluster.
type mode struct {
	name    string
	sharded bool
	options redis.Options
	node    map[string]any
}

var modes = []mode{
	{name: "Classic"},
	{name: "ClassicSpecific", options: redis.Options{SpecificResponses: true}},
	{name: "ClassicNodeSpecific", node: map[string]any{"specific": true}},
	{name: "ShardedDynamic", sharded: true, node: map[string]any{"mode": "dynamic"}},
	{name: "ShardedStatic", sharded: true, options: redis.Options{Static: true}, node: map[string]any{"mode": "static"}},
}

// A cluster is a Go server and two Node servers, with a client on each.
type cluster struct {
	t       testing.TB
	addr    string
	io      *socketio.Server
	broker  *redis.Broker
	nodes   []*node // the first with the package redis, the second with ioredis
	clients []*peer // of io and of the nodes
	mu      sync.Mutex
	heard   []string
}

func startCluster(t *testing.T, m mode) *cluster {
	t.Helper()
	c := &cluster{t: t, addr: startRedis(t)}
	o := m.options
	o.Redis = goredis.UniversalOptions{Addrs: []string{c.addr}}
	o.Logger = slog.New(slog.DiscardHandler)
	var err error
	if c.broker, err = redis.Open(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.broker.Close() })
	var factory adapter.Factory
	if m.sharded {
		factory = c.broker.Sharded()
	} else {
		factory = c.broker.Classic()
	}
	c.io = socketio.NewServer(&socketio.Options{Adapter: factory})
	t.Cleanup(func() { c.io.Close() })
	c.io.OnConnection(func(s *socketio.Socket) {
		s.SetData(map[string]any{"node": "go"})
		s.Join("go", "all")
	})
	c.io.OnServerSide("told", func(_ context.Context, m *socketio.Message) error {
		args, err := m.Args()
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.heard = append(c.heard, fmt.Sprint(args...))
		c.mu.Unlock()
		if m.WantsAck() {
			return m.Ack("go")
		}
		return nil
	})
	web := kit.Serve(t, c.io)
	urls := []string{web.URL()}
	for i, library := range []string{"redis", "ioredis"} {
		if m.sharded {
			library = "redis" // its dynamic mode is for either; ioredis has no sharded channels outside of Redis Cluster
		}
		name := fmt.Sprintf("node%d", i)
		options := map[string]any{
			"redis": c.addr, "library": library, "sharded": m.sharded, "name": name, "rooms": []string{name, "all", "nodes"},
		}
		for k, v := range m.node {
			options[k] = v
		}
		n := startNode(t, options)
		c.nodes = append(c.nodes, n)
		urls = append(urls, "http://"+n.Addr())
	}
	kit.Eventually(t, "all servers know of each other", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		n, err := c.io.Of("/").Servers(ctx)
		return err == nil && n == 3
	})
	for i, u := range urls {
		c.clients = append(c.clients, dial(t, i, u))
	}
	c.settle("all", "nodes", "go", "node0", "node1")
	return c
}

// settle waits until events to each of the rooms reach their members from everywhere: subscriptions to the channels of
// rooms take effect some time after the join.
func (c *cluster) settle(rooms ...string) {
	c.t.Helper()
	for _, room := range rooms {
		want := c.members(room)
		for from := range 3 {
			kit.Eventually(c.t, fmt.Sprintf("%s is reached from %d", room, from), func() bool {
				mark := fmt.Sprintf("settle%d", time.Now().UnixNano())
				c.emit(from, operation{Rooms: []string{room}, Event: mark})
				time.Sleep(30 * time.Millisecond) // how soon is not what is tested here
				return slices.Equal(c.have(mark), want)
			})
		}
	}
}

func (c *cluster) members(room string) []int {
	switch room {
	case "all":
		return []int{0, 1, 2}
	case "nodes":
		return []int{1, 2}
	case "go":
		return []int{0}
	case "node0":
		return []int{1}
	case "node1":
		return []int{2}
	}
	c.t.Fatalf("no room %q", room)
	return nil
}

// emit emits from one of the servers.
func (c *cluster) emit(from int, o operation) {
	c.t.Helper()
	if from > 0 {
		o.Op = "emit"
		c.nodes[from-1].do(o, nil)
		return
	}
	if err := c.on(o).Emit(o.Event, goArgs(o.Args)...); err != nil {
		c.t.Errorf("emit: %v", err)
	}
}

func (c *cluster) on(o operation) socketio.Broadcast {
	b := c.io.Of("/").To(o.Rooms...).Except(o.Except...)
	if o.NSP != "" {
		b = c.io.Of(o.NSP).To(o.Rooms...).Except(o.Except...)
	}
	if o.Volatile {
		b = b.Volatile()
	}
	if o.Timeout > 0 {
		b = b.Timeout(time.Duration(o.Timeout) * time.Millisecond)
	}
	return b
}

// have returns which clients have received an event.
func (c *cluster) have(event string) []int {
	var got []int
	for i, p := range c.clients {
		if p.has(event) {
			got = append(got, i)
		}
	}
	return got
}

// reach emits an event from a server, and then one to all that comes after it, and returns which clients got the first.
func (c *cluster) reach(from int, o operation) string {
	c.t.Helper()
	if o.Event == "" {
		o.Event = fmt.Sprintf("ev%d", time.Now().UnixNano())
	}
	c.emit(from, o)
	c.fence(from, o.NSP)
	var got []string
	for i, p := range c.clients {
		for range p.count(o.Event) {
			got = append(got, fmt.Sprint(i))
		}
	}
	return strings.Join(got, " ")
}

func (c *cluster) fence(from int, nsp string) {
	c.t.Helper()
	end := fmt.Sprintf("end%d", time.Now().UnixNano())
	c.emit(from, operation{Event: end, NSP: nsp})
	for _, p := range c.clients {
		p.await(end)
	}
}

// A peer is a client of one of the servers.
type peer struct {
	*client.Socket
	t    testing.TB
	mu   sync.Mutex
	seen map[string][]string // arguments by name of the event
	come chan struct{}
	gone chan struct{}
}

func dial(t testing.TB, i int, url string) *peer { return dialBy(t, "websocket", i, url) }

func dialBy(t testing.TB, transport string, i int, url string) *peer {
	t.Helper()
	cl, err := client.New(url, &client.Options{Transports: []string{transport}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cl.Close() })
	p := &peer{Socket: cl.Of("/"), t: t, seen: make(map[string][]string), come: make(chan struct{}, 1), gone: make(chan struct{})}
	p.OnAny(func(_ context.Context, m *client.Message) error {
		args, err := m.Args()
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.seen[m.Event()] = append(p.seen[m.Event()], fmt.Sprintf("%v", args))
		p.mu.Unlock()
		select {
		case p.come <- struct{}{}:
		default:
		}
		if m.WantsAck() && m.Event() != "silent" {
			return m.Ack(i)
		}
		return nil
	})
	p.OnDisconnect(sync.OnceValue(func() func(client.Reason, error) {
		var once sync.Once
		return func(client.Reason, error) { once.Do(func() { close(p.gone) }) }
	})())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *peer) count(event string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.seen[event])
}

func (p *peer) has(event string) bool { return p.count(event) > 0 }

func (p *peer) args(event string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.seen[event], " ")
}

func (p *peer) await(event string) {
	p.t.Helper()
	deadline := time.After(patience)
	for !p.has(event) {
		select {
		case <-p.come:
		case <-deadline:
			p.t.Fatalf("%s did not come", event)
		}
	}
}
