package socketio_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/socketio"
)

// clusterSites serves with recovery on several servers that have one log.
func clusterSites(t testing.TB, n int, hub *adapter.LogHub) (sites []*site, gone chan string) {
	t.Helper()
	gone = make(chan string, 1000)
	for range n {
		st := serve(t, &socketio.Options{Recovery: &socketio.RecoveryOptions{MaxDisconnection: time.Hour}, Adapter: hub.Adapter})
		st.io.OnConnection(func(s *socketio.Socket) {
			s.OnDisconnect(func(socketio.Reason, error) { gone <- s.ID() })
		})
		sites = append(sites, st)
	}
	return sites, gone
}

// Random emits, joins and disconnects on three servers, where clients come back to any of them and some of what is on its
// way is lost: every client gets every event that was for it exactly once, in order.
func TestClusterRecoveryModel(t *testing.T) {
	sites, gone := clusterSites(t, 3, new(adapter.LogHub))
	rooms := []string{"a", "b", "c"}
	rapid.Check(t, func(rt *rapid.T) {
		type client struct {
			session
			rooms map[string]bool
			data  float64
			due   []int // events that must still come, in order
			maybe map[int]bool
			up    bool
		}
		pickSite := func(rt *rapid.T) *site { return rapid.SampledFrom(sites).Draw(rt, "site") }
		clients := make([]*client, rapid.IntRange(1, 3).Draw(rt, "clients"))
		for i := range clients {
			clients[i] = &client{session: session{st: pickSite(rt)}, rooms: map[string]bool{}, maybe: map[int]bool{}, up: true}
			clients[i].connect()
		}
		n := 0
		next := func(to func(*client) bool, volatile bool) int {
			n++
			for _, c := range clients {
				switch {
				case !to(c):
				case !volatile:
					c.due = append(c.due, n)
				case c.up:
					c.maybe[n] = true
				}
			}
			return n
		}
		read := func(c *client, count int) {
			for count > 0 {
				_, args := c.event()
				got := int(args[0].(float64))
				if c.maybe[got] {
					delete(c.maybe, got)
					continue
				}
				if len(c.due) == 0 || c.due[0] != got {
					rt.Fatalf("received %d, due are %v", got, c.due)
				}
				c.due = c.due[1:]
				count--
			}
		}
		check := func(err error) {
			if err != nil {
				rt.Fatal(err)
			}
		}
		reconnect := func(rt *rapid.T, c *client) {
			c.st = pickSite(rt)
			c.connect()
			if !c.recovered {
				rt.Fatal("not recovered")
			}
			c.up = true
			clear(c.maybe)
			s := c.st.io.Of("/").Socket(c.id)
			got := s.Rooms()[1:]
			slices.Sort(got)
			var want []string
			for room := range c.rooms {
				want = append(want, room)
			}
			slices.Sort(want)
			if !slices.Equal(got, want) {
				rt.Fatalf("in %v, want %v", got, want)
			}
			if data, _ := s.Data().(float64); data != c.data {
				rt.Fatalf("data %v, want %v", s.Data(), c.data)
			}
		}
		pick := func(rt *rapid.T) *client { return clients[rapid.IntRange(0, len(clients)-1).Draw(rt, "client")] }
		rt.Repeat(map[string]func(*rapid.T){
			"emit to one": func(rt *rapid.T) {
				c := pick(rt)
				check(pickSite(rt).io.To(c.id).Emit("n", next(func(o *client) bool { return o == c }, false)))
			},
			"emit by the socket": func(rt *rapid.T) {
				if c := pick(rt); c.up {
					check(c.st.io.Of("/").Socket(c.id).Emit("n", next(func(o *client) bool { return o == c }, false)))
				}
			},
			"emit to all": func(rt *rapid.T) {
				check(pickSite(rt).io.Emit("n", next(func(c *client) bool { return true }, false)))
			},
			"emit binary": func(rt *rapid.T) {
				check(pickSite(rt).io.Emit("n", next(func(c *client) bool { return true }, false), []byte("x")))
			},
			"emit volatile": func(rt *rapid.T) {
				check(pickSite(rt).io.Volatile().Emit("n", next(func(c *client) bool { return true }, true)))
			},
			"emit to rooms": func(rt *rapid.T) {
				to := rapid.SliceOfNDistinct(rapid.SampledFrom(rooms), 1, 2, rapid.ID).Draw(rt, "to")
				except := rapid.SliceOfNDistinct(rapid.SampledFrom(rooms), 0, 1, rapid.ID).Draw(rt, "except")
				in := func(c *client, names []string) bool {
					return slices.ContainsFunc(names, func(name string) bool { return c.rooms[name] })
				}
				check(pickSite(rt).io.To(to...).Except(except...).Emit("n", next(func(c *client) bool { return in(c, to) && !in(c, except) }, false)))
			},
			"join": func(rt *rapid.T) {
				c, room := pick(rt), rapid.SampledFrom(rooms).Draw(rt, "room")
				check(pickSite(rt).io.In(c.id).Join(room))
				c.rooms[room] = true
			},
			"join by the socket": func(rt *rapid.T) {
				if c, room := pick(rt), rapid.SampledFrom(rooms).Draw(rt, "room"); c.up {
					c.st.io.Of("/").Socket(c.id).Join(room)
					c.rooms[room] = true
				}
			},
			"leave": func(rt *rapid.T) {
				c, room := pick(rt), rapid.SampledFrom(rooms).Draw(rt, "room")
				check(pickSite(rt).io.In(c.id).Leave(room))
				delete(c.rooms, room)
			},
			"leave by the socket": func(rt *rapid.T) {
				if c, room := pick(rt), rapid.SampledFrom(rooms).Draw(rt, "room"); c.up {
					c.st.io.Of("/").Socket(c.id).Leave(room)
					delete(c.rooms, room)
				}
			},
			"data": func(rt *rapid.T) {
				if c := pick(rt); c.up {
					c.data++
					c.st.io.Of("/").Socket(c.id).SetData(c.data)
				}
			},
			"read": func(rt *rapid.T) {
				if c := pick(rt); c.up {
					read(c, rapid.IntRange(0, len(c.due)).Draw(rt, "count"))
				}
			},
			"disconnect": func(rt *rapid.T) {
				if c := pick(rt); c.up {
					read(c, rapid.IntRange(0, len(c.due)).Draw(rt, "count"))
					c.p.close()
					if id := receive(sites[0].t, gone); id != c.id {
						rt.Fatalf("%s was disconnected, not %s", id, c.id)
					}
					c.up = false
				}
			},
			"reconnect": func(rt *rapid.T) {
				if c := pick(rt); !c.up {
					reconnect(rt, c)
				}
			},
		})
		for _, c := range clients {
			if !c.up {
				reconnect(rt, c)
			}
			read(c, len(c.due))
			check(pickSite(rt).io.In(c.id).Disconnect(true))
			receive(sites[0].t, gone)
			if got, _ := c.p.poll(); !strings.HasPrefix(got, "41") && !strings.HasPrefix(got, "42") {
				rt.Fatalf("received %q after all", got)
			}
		}
	})
}
