package redis_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/redis"
)

// patience is how long a test waits for what must come, on a machine that is slow and busy.
const patience = time.Minute

// A host is a server's part of a namespace that notes what it gets.
type host struct {
	mu       sync.Mutex
	got      []string
	rooms    map[string]bool
	clients  int           // that are asked for acknowledgements
	deaf     bool          // does not answer
	asked    chan struct{} // closed when it is asked, if there is one
	sockets  []adapter.Socket
	received chan struct{}
}

func newHost(rooms ...string) *host {
	h := &host{rooms: make(map[string]bool), received: make(chan struct{}, 1)}
	for _, r := range rooms {
		h.rooms[r] = true
	}
	return h
}

func (h *host) Namespace() string { return "/" }

func (h *host) Broadcast(p *adapter.Packet, _ adapter.Target) {
	h.mu.Lock()
	h.got = append(h.got, string(p.Data))
	h.mu.Unlock()
	select {
	case h.received <- struct{}{}:
	default:
	}
}

func (h *host) BroadcastWithAck(_ *adapter.Packet, _ adapter.Target, answer func(*adapter.Packet)) (int, func()) {
	if h.asked != nil {
		close(h.asked)
	}
	if !h.deaf {
		for range h.clients {
			answer(&adapter.Packet{Data: jsontext.Value(`["yes"]`)})
		}
	}
	return h.clients, func() {}
}

func (h *host) Sockets(adapter.Target) []adapter.Socket { return h.sockets }
func (h *host) Join(adapter.Target, []string)           {}
func (h *host) Leave(adapter.Target, []string)          {}
func (h *host) Disconnect(adapter.Target, bool)         {}
func (h *host) ServerSideEmit(_ *adapter.Packet, answer func(*adapter.Packet)) {
	if answer != nil && !h.deaf {
		answer(&adapter.Packet{Data: jsontext.Value(`["yes"]`)})
	}
}
func (h *host) HasRoom(room string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rooms[room]
}
func (h *host) Rooms() []string { return nil }

func (h *host) events() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.got)
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); {
		if time.Now().After(end) {
			t.Fatalf("%s: still not so after %v", what, patience)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func event(name string) *adapter.Packet {
	return &adapter.Packet{Data: jsontext.Value(fmt.Sprintf("[%q]", name))}
}

// A member is one server of a cluster.
type member struct {
	adapter.Adapter
	host *host
	b    *redis.Broker
}

// members starts the servers of a cluster.
func (s *server) members(t testing.TB, n int, o redis.Options, factory func(*redis.Broker) adapter.Factory) []*member {
	t.Helper()
	list := make([]*member, n)
	for i := range list {
		m := &member{host: newHost(), b: s.open(t, o)}
		m.Adapter = factory(m.b)(m.host)
		t.Cleanup(func() { _ = m.Adapter.Close() })
		list[i] = m
	}
	for _, m := range list {
		eventually(t, "the number of servers", func() bool {
			got, err := m.Servers(context.Background())
			return err == nil && got == n
		})
	}
	return list
}

var factories = map[string]func(*redis.Broker) adapter.Factory{
	"Classic": (*redis.Broker).Classic,
	"Sharded": (*redis.Broker).Sharded,
}

// probes numbers the events of works.
var probes atomic.Int64

// works sends events from the first server until the second gets one of them.
func works(t *testing.T, a, b *member) {
	t.Helper()
	sent := make(map[string]bool)
	eventually(t, "events arrive", func() bool {
		p := event(fmt.Sprintf("probe-%d", probes.Add(1)))
		sent[string(p.Data)] = true
		_ = a.Broadcast(p, adapter.Target{}) // it may be down yet
		timer := time.After(50 * time.Millisecond)
		for !slices.ContainsFunc(b.host.events(), func(e string) bool { return sent[e] }) {
			select {
			case <-b.host.received: // perhaps another one
			case <-timer:
				return false
			}
		}
		return true
	})
}

// TestOutage has Redis die, or fall silent, and come back.
func TestOutage(t *testing.T) {
	for name, factory := range factories {
		for _, way := range []string{"killed", "silent"} {
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel()
				s := startRedis(t)
				list := s.members(t, 2, redis.Options{}, factory)
				a, b := list[0], list[1]
				if err := a.Broadcast(event("before"), adapter.Target{}); err != nil {
					t.Fatal(err)
				}
				eventually(t, "nothing is left to publish", func() bool {
					return a.b.Stats().Published > 0 && slices.Contains(b.host.events(), `["before"]`)
				})
				if way == "killed" {
					s.stop()
				} else if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
				// Operations are taken, though nobody answers, and counted as lost, and then refused.
				sent := 0
				eventually(t, "operations are refused", func() bool {
					err := a.Broadcast(event(fmt.Sprintf("lost-%d", sent)), adapter.Target{})
					if err == nil {
						sent++
					} else if !errors.Is(err, redis.ErrDown) {
						t.Fatal(err)
					}
					return err != nil
				})
				if sent == 0 {
					t.Error("it was known at once, or an operation waited until it was")
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				if _, err := a.Sockets(ctx, adapter.Target{}); err == nil {
					t.Error("sockets of servers that can't be reached")
				}
				cancel()
				// Some may have been sent, if Redis has only been silent. Heartbeats count, too.
				if lost := a.b.Stats().Lost; lost == 0 || lost > int64(sent)+5 || a.b.Stats().Connected {
					t.Errorf("sent %d, %+v", sent, a.b.Stats())
				}
				if way == "killed" {
					s.start()
				} else if err := s.cmd.Process.Signal(syscall.SIGCONT); err != nil {
					t.Fatal(err)
				}
				works(t, a, b)
				works(t, b, a)
				eventually(t, "connected", func() bool { return a.b.Stats().Connected && b.b.Stats().Connected })
				eventually(t, "the number of servers", func() bool {
					n, err := a.Servers(context.Background())
					return err == nil && n == 2
				})
				seen := make(map[string]bool)
				for _, e := range b.host.events() {
					if seen[e] {
						t.Errorf("%s came twice", e)
					}
					seen[e] = true
				}
			})
		}
	}
}

// TestCloseDuringOutage has Close not wait for Redis, which is silent until the end of the test.
func TestCloseDuringOutage(t *testing.T) {
	for name, factory := range factories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startRedis(t)
			list := s.members(t, 2, redis.Options{}, factory)
			if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			for range 100 {
				_ = list[0].Broadcast(event("lost"), adapter.Target{})
			}
			_ = list[0].Adapter.Close()
			if err := list[0].b.Close(); !errors.Is(err, redis.ErrDown) {
				t.Errorf("what could not be published is no error: %v", err)
			}
		})
	}
}

// TestConnectionsKilled has Redis close all connections, as an operator's CLIENT KILL does.
func TestConnectionsKilled(t *testing.T) {
	for name, factory := range factories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startRedis(t)
			list := s.members(t, 2, redis.Options{}, factory)
			c := s.client()
			defer c.Close()
			for range 3 {
				for _, kind := range []string{"normal", "pubsub"} {
					if err := c.Do(context.Background(), "client", "kill", "type", kind, "skipme", "yes").Err(); err != nil {
						t.Fatal(err)
					}
				}
				works(t, list[0], list[1])
				works(t, list[1], list[0])
			}
		})
	}
}

// TestDead has a server die that was asked for something: nobody waits for it longer than it takes to notice.
func TestDead(t *testing.T) {
	for name, factory := range factories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startRedis(t)
			list := s.members(t, 3, redis.Options{}, factory)
			asking, fine, dying := list[0], list[1], list[2]
			fine.host.clients, dying.host.clients, dying.host.deaf = 2, 3, true
			dying.host.asked = make(chan struct{})
			published := dying.b.Stats().Published
			var died sync.WaitGroup
			died.Go(func() {
				<-dying.host.asked
				eventually(t, "its number of clients", func() bool { return dying.b.Stats().Published > published })
				_ = dying.b.Close() // its adapter does not say goodbye
			})
			answers, gone := 0, 0
			asked, err := asking.BroadcastWithAck(context.Background(), event("ask"), adapter.Target{Timeout: patience}, func(p *adapter.Packet) {
				if p == nil {
					gone++
				} else {
					answers++
				}
			})
			died.Wait()
			// If it had waited for the whole timeout, there would be an error.
			if asked != 5 || answers != 2 || gone != 3 || err != nil {
				t.Errorf("asked %d, answers %d, gone %d, %v", asked, answers, gone, err)
			}
		})
	}
}

// TestInterest has a server not get the events to rooms in which it has nobody.
func TestInterest(t *testing.T) {
	s := startRedis(t)
	list := s.members(t, 3, redis.Options{}, (*redis.Broker).Sharded)
	from, inside, other := list[0], list[1], list[2]
	inside.Adapter.(adapter.RoomWatcher).RoomCreated("room")
	eventually(t, "the subscription", func() bool {
		_ = from.Broadcast(event("probe"), adapter.Target{Rooms: []string{"room"}})
		return len(inside.host.events()) > 0
	})
	before := other.b.Stats().Received
	const n = 1000
	for i := range n {
		if err := from.Broadcast(event(fmt.Sprint(i)), adapter.Target{Rooms: []string{"room"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.Broadcast(event("end"), adapter.Target{}); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*member{inside, other} {
		eventually(t, "the end", func() bool { return slices.Contains(m.host.events(), `["end"]`) })
	}
	if got := other.b.Stats().Received - before; got != 1 {
		t.Errorf("it got %d messages, and 1 was for it", got)
	}
	if got := inside.host.events(); len(got) < n+1 || !slices.Equal(got[len(got)-n-1:], numbered(n)) {
		t.Errorf("the member of the room got %d", len(got))
	}
}

func numbered(n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`["%d"]`, i))
	}
	return append(list, `["end"]`)
}
