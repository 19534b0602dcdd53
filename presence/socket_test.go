package presence_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/presence"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/sockeyetest"
)

type user struct{ Name string }

func describe(s *socketio.Socket) any {
	if u, ok := socketio.DataOf[user](s); ok {
		return u
	}
	return nil
}

// A site is a server and the network that leads to it.
type site struct {
	*sockeyetest.Server
	IO *socketio.Server
}

// cluster starts servers with what is common to all tests.
func cluster(t *testing.T, opts *presence.Options, recovery bool) (servers []*site, views []*presence.Presence) {
	hub := new(adapter.Hub)
	for range 2 {
		o := &socketio.Options{Adapter: hub.Adapter, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
		if recovery {
			o.Recovery = &socketio.RecoveryOptions{}
		}
		server := socketio.NewServer(o)
		view := presence.New(server.Of("/"), opts)
		server.OnConnection(func(s *socketio.Socket) {
			s.On("join", func(_ context.Context, m *socketio.Message) error {
				var room string
				err := m.Bind(&room)
				s.Join(room)
				return err
			})
			s.On("leave", func(_ context.Context, m *socketio.Message) error {
				var room string
				err := m.Bind(&room)
				s.Leave(room)
				return err
			})
		})
		servers = append(servers, &site{sockeyetest.Start(t, server), server})
		views = append(views, view)
	}
	return servers, views
}

func who(p *presence.Presence, room string) string {
	var names []string
	for _, m := range p.Members(room) {
		u := user{Name: "?"}
		if err := m.Data(&u); err != nil {
			u.Name = err.Error()
		}
		names = append(names, u.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// A diary has the events of a view.
type diary struct {
	mu  sync.Mutex
	log []string
}

func record(p *presence.Presence) *diary {
	d := new(diary)
	p.OnChange(func(e presence.Event) {
		u := user{Name: "?"}
		_ = e.Member.Data(&u)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.log = append(d.log, fmt.Sprint(u.Name, " ", e.Kind, " ", e.Room))
	})
	return d
}

func (d *diary) expect(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.log, want) {
		t.Errorf("events %q, want %q", d.log, want)
	}
	d.log = nil
}

// settle gives changes the time to arrive.
func settle() {
	time.Sleep(200 * time.Millisecond)
	synctest.Wait()
}

func TestSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers, views := cluster(t, &presence.Options{Describe: describe, MaxDataBytes: 100}, false)
		for _, srv := range servers {
			srv.IO.Use(func(_ context.Context, s *socketio.Socket) error {
				var u user
				if err := s.Auth(&u); err != nil {
					return err
				}
				s.SetData(u)
				s.Join("lobby")
				if u.Name == "Mallory" {
					time.Sleep(time.Second)
					return &socketio.ConnectError{Message: "no"}
				}
				return nil
			})
		}
		here, there := record(views[0]), record(views[1])
		ada := servers[0].Connect(t, "/", sockeyetest.Auth(user{"Ada"}))
		bob := servers[1].Connect(t, "/", sockeyetest.Auth(user{"Bob"}))
		synctest.Wait() // a client knows that it is connected before the server's presence does
		long := servers[1].Connect(t, "/", sockeyetest.Auth(user{strings.Repeat("x", 200)}))
		settle()
		for _, p := range views {
			if got := who(p, "lobby"); got != "? Ada Bob" {
				t.Errorf("in the lobby: %s", got)
			}
		}
		here.expect(t, "Ada joined lobby", "Bob joined lobby", "? joined lobby")
		there.expect(t, "Bob joined lobby", "? joined lobby", "Ada joined lobby")
		long.Disconnect()

		// Who is refused was never there.
		servers[0].Client(t, "/", sockeyetest.Auth(user{"Mallory"})).ExpectRefused(t)
		settle()
		here.expect(t, "? left lobby")

		ada.MustEmit(t, "join", "tea")
		bob.MustEmit(t, "join", "tea")
		settle()
		bob.MustEmit(t, "leave", "lobby")
		settle()
		if a, b := views[0].Count("tea"), views[1].Count("lobby"); a != 2 || b != 1 {
			t.Errorf("%d in tea, %d in the lobby", a, b)
		}
		// By a broadcast, from the other server.
		servers[1].IO.In("tea").Join("cake")
		settle()
		if got := who(views[1], "cake"); got != "Ada Bob" {
			t.Errorf("in cake: %s", got)
		}
		ada.Cut()
		settle()
		for _, p := range views {
			if got := who(p, "tea") + "," + who(p, "cake"); got != "Bob,Bob" {
				t.Errorf("without Ada: %s", got)
			}
		}
	})
}

// A presence that is made late knows the sockets that are there.
func TestLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers, _ := cluster(t, nil, false)
		c := servers[0].Connect(t, "/")
		c.MustEmit(t, "join", "tea")
		settle()
		late := presence.New(servers[0].IO.Of("/"), nil)
		if n := late.Count("tea"); n != 1 {
			t.Errorf("%d in tea", n)
		}
		late.Close()
	})
}

// A client that comes back to its session has never left, unless it takes long.
func TestRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := &presence.Options{Away: 20 * time.Second}
		servers, views := cluster(t, opts, true)
		days := []*diary{record(views[0]), record(views[1])}
		c := servers[0].Connect(t, "/")
		c.MustEmit(t, "join", "tea")
		c.MustEmit(t, "join", "cake")
		settle()
		for _, d := range days {
			d.expect(t, "? joined tea", "? joined cake")
		}
		for range 3 {
			c.Cut()
			if !c.ExpectConnect(t) {
				t.Fatal("not recovered")
			}
		}
		time.Sleep(time.Minute)
		for i, d := range days {
			d.expect(t)
			if views[i].Count("tea") != 1 {
				t.Error("not there after recovery")
			}
		}
		// What it was taken out of while it was away, it is not in when it is back.
		c.Offline()
		synctest.Wait()
		servers[1].IO.In("tea").Leave("cake")
		settle()
		c.Online()
		if !c.ExpectConnect(t) {
			t.Fatal("not recovered")
		}
		settle()
		for _, d := range days {
			d.expect(t, "? left cake")
		}
		c.Offline()
		time.Sleep(15 * time.Second)
		for _, d := range days {
			d.expect(t)
		}
		time.Sleep(10 * time.Second)
		for _, d := range days {
			d.expect(t, "? left tea")
		}
		c.Online()
		if !c.ExpectConnect(t) {
			t.Fatal("not recovered")
		}
		settle()
		for _, d := range days {
			d.expect(t, "? joined tea")
		}
	})
}

// With no time to be away.
func TestAwayAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers, views := cluster(t, &presence.Options{Away: -1}, true)
		c := servers[0].Connect(t, "/")
		c.MustEmit(t, "join", "tea")
		settle()
		c.Offline()
		settle()
		if n := views[1].Count("tea"); n != 0 {
			t.Errorf("%d in tea", n)
		}
	})
}
