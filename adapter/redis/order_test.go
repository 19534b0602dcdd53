package redis_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/redis"
)

// TestOrder has many goroutines of several servers emit numbered events, to all, to a room and to one socket by turns,
// while rooms come and go: every server gets those of each goroutine in their order, and each once.
func TestOrder(t *testing.T) {
	const servers, emitters, events = 3, 8, 500
	for name, factory := range factories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startRedis(t)
			list := s.members(t, servers, redis.Options{}, factory)
			const id = "ABCDEFGHIJKLMNOPQRST"
			for _, m := range list {
				m.host.rooms["room"], m.host.rooms[id] = true, true
				if w, ok := m.Adapter.(adapter.RoomWatcher); ok {
					w.RoomCreated("room")
				}
			}
			for i, from := range list {
				for _, to := range list {
					if from != to {
						eventually(t, "the room", func() bool {
							_ = from.Broadcast(&adapter.Packet{Data: jsontext.Value(fmt.Sprintf(`["probe",%d]`, i))}, adapter.Target{Rooms: []string{"room"}})
							for _, e := range to.host.events() {
								if e == fmt.Sprintf(`["probe",%d]`, i) {
									return true
								}
							}
							return false
						})
					}
				}
			}
			var wg sync.WaitGroup
			for i, m := range list {
				for g := range emitters {
					wg.Go(func() {
						for n := range events {
							target := adapter.Target{}
							switch (n + g) % 3 {
							case 1:
								target.Rooms = []string{"room"}
							case 2:
								target.Rooms = []string{id}
							}
							p := &adapter.Packet{Data: jsontext.Value(fmt.Sprintf(`["ev",%d,%d]`, i*emitters+g, n))}
							if err := m.Broadcast(p, target); err != nil {
								t.Error(err)
							}
							if w, ok := m.Adapter.(adapter.RoomWatcher); ok && n%10 == 0 {
								w.RoomCreated(fmt.Sprintf("passing-%d-%d", g, n))
								w.RoomDeleted(fmt.Sprintf("passing-%d-%d", g, n))
							}
						}
					})
				}
			}
			wg.Wait()
			for i, m := range list {
				eventually(t, "all events", func() bool {
					count := 0
					for _, e := range m.host.events() {
						if e[:4] == `["ev` {
							count++
						}
					}
					return count >= (servers-1)*emitters*events
				})
				next := make(map[int]int)
				for _, e := range m.host.events() {
					var g, n int
					if _, err := fmt.Sscanf(e, `["ev",%d,%d]`, &g, &n); err != nil {
						continue
					}
					if n != next[g] {
						t.Fatalf("server %d got %d of goroutine %d after %d", i, n, g, next[g]-1)
					}
					next[g]++
				}
				if len(next) != (servers-1)*emitters {
					t.Errorf("server %d heard of %d goroutines", i, len(next))
				}
			}
		})
	}
}
