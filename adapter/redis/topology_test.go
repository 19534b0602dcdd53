package redis_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/redis"
)

var allFactories = map[string]func(*redis.Broker) adapter.Factory{
	"Classic": (*redis.Broker).Classic,
	"Sharded": (*redis.Broker).Sharded,
	"Streams": (*redis.Broker).Streams,
}

// A process is a redis-server that listens on a port, as members of a Redis Cluster and Sentinels must.
type process struct {
	*goredis.Client
	addr string
	bus  string // its port for the other members of a Redis Cluster
	cmd  *exec.Cmd
}

// freePort returns a port that nobody listens on, at this moment.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
}

// startProcess starts a redis-server with the lines of a configuration. With another one if its port was taken
// meanwhile.
func startProcess(t *testing.T, sentinel bool, lines ...string) *process {
	t.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		skip(t, "redis-server is not installed (apt-get install redis-server)")
	}
	for range 5 {
		p := &process{bus: freePort(t)}
		port := freePort(t)
		p.addr = "127.0.0.1:" + port
		dir := t.TempDir()
		config := filepath.Join(dir, "redis.conf")
		all := append([]string{"port " + port, "bind 127.0.0.1", "dir " + dir, "protected-mode no"}, lines...)
		args := []string{config}
		if sentinel {
			args = append(args, "--sentinel")
		} else {
			all = append(all, `save ""`, "cluster-port "+p.bus)
		}
		if err := os.WriteFile(config, []byte(strings.Join(all, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		p.cmd = exec.Command(bin, args...)
		p.cmd.Stdout, p.cmd.Stderr = io.Discard, io.Discard
		if err := p.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = p.cmd.Wait()
		}()
		p.Client = goredis.NewClient(&goredis.Options{Addr: p.addr, MaxRetries: -1})
		t.Cleanup(func() {
			_ = p.Client.Close()
			p.kill()
			<-ended
		})
		up := false
		eventually(t, "redis-server answers or ends", func() bool {
			select {
			case <-ended:
				return true
			default:
			}
			up = p.Ping(context.Background()).Err() == nil
			return up
		})
		if up {
			return p
		}
	}
	t.Fatal("redis-server does not stay")
	return nil
}

func (p *process) kill() { _ = p.cmd.Process.Kill() }

func (p *process) do(t *testing.T, args ...any) {
	t.Helper()
	if err := p.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(args, err)
	}
}

// deliver checks that events to all and to a room arrive in order, and that a question reaches the other server.
func deliver(t *testing.T, from, to *member) {
	t.Helper()
	works(t, from, to)
	if w, ok := to.Adapter.(adapter.RoomWatcher); ok {
		w.RoomCreated("room")
	}
	to.host.mu.Lock()
	to.host.rooms["room"] = true
	to.host.clients = 2
	to.host.mu.Unlock()
	eventually(t, "the room", func() bool {
		_ = from.Broadcast(event("room"), adapter.Target{Rooms: []string{"room"}})
		return slices.Contains(to.host.events(), `["room"]`)
	})
	const n = 300
	for i := range n {
		target := adapter.Target{}
		if i%2 == 0 {
			target.Rooms = []string{"room"}
		}
		if err := from.Broadcast(event(fmt.Sprint(i)), target); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.Broadcast(event("end"), adapter.Target{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end", func() bool { return slices.Contains(to.host.events(), `["end"]`) })
	if got := to.host.events(); len(got) < n+1 || !slices.Equal(got[len(got)-n-1:], numbered(n)) {
		t.Errorf("in another order: %q", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	answers := 0
	asked, err := from.BroadcastWithAck(ctx, event("ask"), adapter.Target{}, func(p *adapter.Packet) {
		if p != nil {
			answers++
		}
	})
	if asked != 2 || answers != 2 || err != nil {
		t.Errorf("asked %d, answers %d, %v", asked, answers, err)
	}
}

// TestRedisCluster has servers of a Redis Cluster of three masters.
func TestRedisCluster(t *testing.T) {
	var nodes []*process
	var addrs []string
	for range 3 {
		p := startProcess(t, false, "cluster-enabled yes", "appendonly no")
		nodes, addrs = append(nodes, p), append(addrs, p.addr)
	}
	for i, p := range nodes {
		p.do(t, "cluster", "addslotsrange", i*16384/3, (i+1)*16384/3-1)
		host, port, _ := net.SplitHostPort(nodes[0].addr)
		if i > 0 {
			p.do(t, "cluster", "meet", host, port, nodes[0].bus)
		}
	}
	eventually(t, "the cluster", func() bool {
		for _, p := range nodes {
			info, err := p.ClusterInfo(t.Context()).Result()
			slots, err2 := p.Do(t.Context(), "cluster", "slots").Slice()
			if err != nil || err2 != nil || len(slots) != len(nodes) || !strings.Contains(info, "cluster_state:ok") {
				return false
			}
		}
		return true
	})
	s := &server{t: t, cluster: goredis.UniversalOptions{Addrs: addrs}}
	for name, factory := range allFactories {
		t.Run(name, func(t *testing.T) {
			list := s.members(t, 2, redis.Options{Prefix: name}, factory)
			deliver(t, list[0], list[1])
		})
	}
}

// TestSentinel has the master die that a Sentinel watches: a replica takes its place, and everything goes on there.
func TestSentinel(t *testing.T) {
	master := startProcess(t, false, "repl-diskless-sync-delay 0")
	host, port, _ := net.SplitHostPort(master.addr)
	replica := startProcess(t, false, "replicaof "+host+" "+port)
	eventually(t, "the replica", func() bool {
		info, err := replica.Info(t.Context(), "replication").Result()
		return err == nil && strings.Contains(info, "master_link_status:up")
	})
	sentinel := startProcess(t, true, "sentinel monitor main "+host+" "+port+" 1",
		"sentinel down-after-milliseconds main 1000", "sentinel failover-timeout main 5000")
	eventually(t, "the Sentinel knows the replica", func() bool {
		list, err := sentinel.Do(t.Context(), "sentinel", "replicas", "main").Slice()
		return err == nil && len(list) == 1
	})
	s := &server{t: t, cluster: goredis.UniversalOptions{Addrs: []string{sentinel.addr}, MasterName: "main"}}
	lists := make(map[string][]*member)
	for name, factory := range allFactories {
		lists[name] = s.members(t, 2, redis.Options{Prefix: name}, factory)
		works(t, lists[name][0], lists[name][1])
	}
	master.kill()
	eventually(t, "the failover", func() bool { return replica.Set(t.Context(), "x", 1, time.Minute).Err() == nil })
	for name, list := range lists { // the servers are those of before
		works(t, list[0], list[1])
		works(t, list[1], list[0])
		eventually(t, "the number of servers of "+name, func() bool {
			n, err := list[0].Servers(t.Context())
			return err == nil && n == 2
		})
	}
}
