//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/nats"
	"github.com/sockeye-io/sockeye/adapter/nats/embedded"
	"github.com/sockeye-io/sockeye/adapter/redis"
)

const room = "room"

// A host stands for a server's sockets: it counts events, and some of them have somebody in the room.
type host struct {
	adapter.Host // what is not used here
	member       bool
	got          *atomic.Int64
}

func (h *host) Namespace() string { return "/" }

func (h *host) Broadcast(*adapter.Packet, adapter.Target) { h.got.Add(1) }

func (h *host) HasRoom(name string) bool { return h.member && name == room }

func (h *host) Sockets(adapter.Target) []adapter.Socket { return nil }

func (h *host) ServerSideEmit(*adapter.Packet, func(*adapter.Packet)) {}

func (h *host) Rooms() []string {
	if h.member {
		return []string{room}
	}
	return nil
}

var quiet = slog.New(slog.DiscardHandler)

// A node is one of the servers: how it makes adapters, and how it ends.
type node struct {
	factory adapter.Factory
	ready   func() bool
	close   func()
}

// A cluster is servers and what is between them.
type cluster struct {
	nodes    []node
	redisPID int                   // 0: there is none
	info     func(...string) int64 // adds up what Redis says of itself
	close    func()
}

func startCluster(kind string, servers int) (c *cluster, err error) {
	c = &cluster{info: func(...string) int64 { return 0 }}
	var ends []func()
	c.close = func() {
		for _, n := range c.nodes {
			n.close()
		}
		for _, end := range ends {
			end()
		}
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if kind == "NATS embedded" {
		var meet []string
		for range servers {
			s, err := embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Peers: meet, Secret: []byte("the secret of this measurement"), Logger: quiet})
			if err != nil {
				return nil, err
			}
			if meet == nil {
				meet = []string{s.Addr().String()}
			}
			b, err := s.Open(nats.Options{Logger: quiet})
			if err != nil {
				return nil, errors.Join(err, s.Close())
			}
			c.nodes = append(c.nodes, node{b.Adapter(), func() bool { return s.Peers() == servers-1 },
				func() { _ = errors.Join(b.Close(), s.Close()) }})
		}
		return c, nil
	}
	cmd, addr, err := startRedis()
	if err != nil {
		return nil, err
	}
	client := goredis.NewClient(&goredis.Options{Addr: addr})
	ends = append(ends, func() {
		_ = client.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	c.redisPID = cmd.Process.Pid
	c.info = func(names ...string) int64 { return redisInfo(client, names) }
	for range servers {
		b, err := redis.Open(redis.Options{Redis: goredis.UniversalOptions{Addrs: []string{addr}}, Logger: quiet})
		if err != nil {
			return nil, err
		}
		f := b.Classic()
		if kind == "Redis sharded" {
			f = b.Sharded()
		}
		c.nodes = append(c.nodes, node{f, func() bool { return b.Stats().Connected }, func() { _ = b.Close() }})
	}
	return c, nil
}

// await waits until the servers have found each other.
func (c *cluster) await() error {
	for _, n := range c.nodes {
		for end := time.Now().Add(20 * time.Second); !n.ready(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				return errors.New("a server does not find the others")
			}
		}
	}
	return nil
}

// rooms measures what it takes to know that a server has somebody in a room.
func rooms(kind string, n int) error {
	heap2, broker, err := roomsOf(kind, 2, n)
	if err != nil {
		return err
	}
	heap4, _, err := roomsOf(kind, 4, n)
	if err != nil {
		return err
	}
	other := (heap4 - heap2) / 2
	fmt.Printf("  %-22s  each room: %d bytes on the server that has it, %d on each other one, %d in the broker\n",
		kind, heap2-other, other, broker)
	return nil
}

// roomsOf returns what the heap of all servers together, and Redis, grow by for each room on one of them.
func roomsOf(kind string, servers, n int) (heap, broker int64, err error) {
	c, err := startCluster(kind, servers)
	if err != nil {
		return 0, 0, err
	}
	defer c.close()
	var first adapter.RoomWatcher
	for i, x := range c.nodes {
		a := x.factory(&host{got: new(atomic.Int64)})
		defer a.Close()
		if w, ok := a.(adapter.RoomWatcher); ok && i == 0 {
			first = w
		}
	}
	if first == nil {
		return 0, 0, fmt.Errorf("%s does not watch rooms", kind)
	}
	if err := c.await(); err != nil {
		return 0, 0, err
	}
	settled := func() (heap, redis int64) {
		for {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			now := c.info("used_memory:")
			if int64(m.HeapAlloc)-heap < 1<<16 && now-redis < 1<<16 {
				return int64(m.HeapAlloc), now
			}
			heap, redis = int64(m.HeapAlloc), now
			time.Sleep(500 * time.Millisecond)
		}
	}
	heap, broker = settled()
	for i := range n {
		first.RoomCreated(fmt.Sprintf("room %08d", i))
	}
	heapNow, brokerNow := settled()
	return (heapNow - heap) / int64(n), (brokerNow - broker) / int64(n), nil
}

// broker measures events from one server to some others, of which so many have somebody in the room. At most window
// of them are under way, or a quarter more.
func broker(kind string, others, interested, events, window int) error {
	pid := os.Getpid()
	c, err := startCluster(kind, others+1)
	if err != nil {
		return err
	}
	defer c.close()
	nodes, redisPID := c.nodes, c.redisPID
	bytes := func() int64 { return c.info("total_net_input_bytes:", "total_net_output_bytes:") }
	var got atomic.Int64
	var adapters []adapter.Adapter
	for i, n := range nodes {
		a := n.factory(&host{member: i >= 1 && i <= interested, got: &got})
		defer a.Close()
		adapters = append(adapters, a)
		if w, ok := a.(adapter.RoomWatcher); ok && i >= 1 && i <= interested {
			w.RoomCreated(room)
		}
	}
	if err := c.await(); err != nil {
		return err
	}
	p := &adapter.Packet{Data: []byte(`["message","` + strings.Repeat("x", 64) + `"]`)}
	t := adapter.Target{Rooms: []string{room}}
	// Until subscriptions are known everywhere, and everything is warm.
	expect := int64(interested)
	if kind == "Redis classic" {
		expect = int64(others) // to everybody, who look whether it concerns them
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		got.Store(0)
		if err := adapters[0].Broadcast(p, t); err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
		if n := got.Load(); n == expect || n == int64(interested) {
			expect = n
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: %d of %d servers hear", kind, got.Load(), expect)
		}
	}
	got.Store(0)
	cpu, redisCPU, sent, began := cpuOf(pid), cpuOf(redisPID), bytes(), time.Now()
	pause := 500 * time.Microsecond
	if window == 1 {
		pause = 50 * time.Microsecond
	}
	for i := range events {
		for adapters[0].Broadcast(p, t) != nil { // its queue is full
			time.Sleep(time.Millisecond)
		}
		// Brokers drop what a server does not take for long, so no more is under way than all have taken.
		for end := time.Now().Add(20 * time.Second); i%max(window/4, 1) == 0 && got.Load() < expect*int64(i+1-window) && time.Now().Before(end); {
			time.Sleep(pause)
		}
	}
	for end := time.Now().Add(60 * time.Second); got.Load() < expect*int64(events); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%s: only %d of %d events arrived", kind, got.Load(), expect*int64(events))
		}
	}
	took := time.Since(began)
	per := func(d time.Duration) string {
		if d == 0 {
			return "–"
		}
		return fmt.Sprintf("%.2f µs", float64(d.Nanoseconds())/1000/float64(events))
	}
	onBroker := "–"
	if n := bytes() - sent; n > 0 {
		onBroker = fmt.Sprint(n / int64(events))
	}
	fmt.Printf("  %-22s %-28s %9d %10.0f %12s %12s %14s\n", kind, fmt.Sprintf("%d, %d with somebody there", others, interested), window,
		float64(events)/took.Seconds(), per(cpuOf(redisPID)-redisCPU), per(cpuOf(pid)-cpu), onBroker)
	return nil
}

func startRedis() (*exec.Cmd, string, error) {
	path, err := find("redis-server")
	if err != nil {
		return nil, "", err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	port := ln.Addr().(*net.TCPAddr).Port
	if err := ln.Close(); err != nil {
		return nil, "", err
	}
	cmd := exec.Command(path, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--client-output-buffer-limit", "pubsub 1gb 1gb 60")
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	addr := "127.0.0.1:" + strconv.Itoa(port)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return cmd, addr, conn.Close()
		}
		if time.Now().After(end) {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			return nil, "", err
		}
	}
}

// redisInfo adds up numbers that Redis tells about itself.
func redisInfo(c *goredis.Client, names []string) int64 {
	info, err := c.Info(context.Background(), "stats", "memory").Result()
	if err != nil {
		return 0
	}
	var total int64
	for line := range strings.Lines(info) {
		for _, name := range names {
			if rest, ok := strings.CutPrefix(line, name); ok {
				n, _ := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
				total += n
			}
		}
	}
	return total
}
