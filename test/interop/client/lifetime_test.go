package client

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/test/interop/app"
	"github.com/sockeye-io/sockeye/test/interop/proxy"
)

// TestComesBack cuts the connection, and then restarts the server: the client comes back by itself and brings what was
// emitted meanwhile.
func TestComesBack(t *testing.T) {
	atOnce(t, servers, func(r app.Runtime) string { return string(r) }, func(t *testing.T, server app.Runtime) {
		a := app.Start(t, app.Options{Runtime: server, PingInterval: 2 * time.Second, PingTimeout: 3 * time.Second})
		var cut sync.WaitGroup // all have survived the cut
		cut.Add(len(waysTo(server)))
		restarted := make(chan struct{})
		go func() {
			defer close(restarted)
			cut.Wait()
			a.Stop()
			if err := a.Restart(); err != nil {
				t.Error(err)
			}
		}()
		atOnce(t, waysTo(server), way.String, func(t *testing.T, w way) {
			done := sync.OnceFunc(cut.Done)
			defer done()
			p := proxy.Start(t, a.Addr(), proxy.Options{})
			s := &scene{T: t, server: server, url: p.URL(), way: w}
			sock := s.settled(s.dial("/"))
			lost, again, echoes := losses(sock), connects(sock), s.watch(sock, "echo")

			p.Cut()
			reason := lost.wait(s, 1)[0][0].(string)
			if reason != "transport close" && reason != "transport error" {
				s.Errorf("the cut is a %q", reason)
			}
			for i := range 20 {
				s.emit(sock, "echo", i)
			}
			again.wait(s, 1)
			s.equal("echoes", numbers(echoes.wait(s, 20)), upTo(20))
			s.settled(sock)

			done()
			lost.wait(s, 2)
			for i := range 20 {
				s.emit(sock, "echo", 20+i)
			}
			<-restarted
			ids := again.wait(s, 2)
			if ids[0][0] == ids[1][0] {
				s.Error("the new server gave the old id")
			}
			s.equal("echoes", numbers(echoes.wait(s, 40)), upTo(40))
		})
	})
}

// TestRecovers cuts the connection of a client whose server keeps what it misses.
func TestRecovers(t *testing.T) {
	// A polling client that is cut off between two requests is missed only by the heartbeat.
	o := app.Options{Recovery: true, PingInterval: 2 * time.Second, PingTimeout: 3 * time.Second}
	everywhere(t, []app.Runtime{app.Sockeye, app.Node}, o, func(t *testing.T, a *app.App, s *scene) {
		p := proxy.Start(t, a.Addr(), proxy.Options{})
		s.url = p.URL()
		sock := s.settled(s.dial("/"))
		admin := s.dialWith(a.URL(), "/admin", nil)
		s.ask(sock, "join", "room "+s.Name())
		said, lost, again := s.watch(sock, "said"), losses(sock), connects(sock)
		id := sock.ID()
		tell := func(n int) { s.ask(admin, "tell", "room "+s.Name(), n) }
		tell(0)
		tell(1)
		said.wait(s, 2)
		if sock.Recovered() {
			s.Error("recovered at the first connection")
		}
		for round := range 3 {
			p.Down()
			lost.wait(s, round+1)
			// Node keeps a session from when it has noticed the loss.
			s.ask(admin, "reason", id)
			tell(2 + 2*round)
			tell(3 + 2*round)
			p.Up()
			s.equal("id", again.wait(s, round+1)[round][0], id)
			s.equal("recovered", sock.Recovered(), true)
			s.equal("said", numbers(said.wait(s, 4+2*round)), upTo(4+2*round))
			s.equal("the server's recovered", s.whoami(sock).Recovered, true)
		}
	})
}

// TestRetries has the network cut while an event is on its way to a server that knows nothing of repeats.
func TestRetries(t *testing.T) {
	o := app.Options{PingInterval: 2 * time.Second, PingTimeout: 3 * time.Second}
	everywhere(t, servers, o, func(t *testing.T, a *app.App, s *scene) {
		l := proxy.StartLine(t, a.Addr())
		s.url = l.URL()
		o := s.options()
		o.Retries, o.AckTimeout = 10, 2*time.Second
		sock := s.dialWith(s.url, "/", o)
		for i := range 10 {
			cut := l.Cut(proxy.Reset, 300)
			for j := range 10 {
				s.equal("reply", s.ask(sock, "echo", i*10+j), []any{float64(i*10 + j)})
			}
			select {
			case <-cut:
			case <-time.After(limit):
				s.Fatal("there was no cut")
			}
		}
	})
}

// TestHeartbeat stays with a server whose pings are frequent for many of them, and leaves one that has fallen silent.
func TestHeartbeat(t *testing.T) {
	o := app.Options{PingInterval: time.Second, PingTimeout: 3 * time.Second}
	everywhere(t, servers, o, func(t *testing.T, a *app.App, s *scene) {
		l := proxy.StartLine(t, a.Addr())
		s.url = l.URL()
		sock := s.settled(s.dial("/"))
		lost := losses(sock)
		// Without pongs every server would have ended the connection by now.
		<-time.After(o.PingInterval + o.PingTimeout + 2*time.Second)
		if got := lost.all(); len(got) != 0 {
			s.Fatalf("lost: %v", got)
		}
		again := connects(sock)
		for len(lost.all()) == 0 {
			<-l.Cut(proxy.Silent, 0) // between two polls there may be no connection that it could silence
			for end := time.Now().Add(3 * (o.PingInterval + o.PingTimeout)); len(lost.all()) == 0 && time.Now().Before(end); {
				time.Sleep(10 * time.Millisecond)
			}
		}
		s.equal("reason", lost.wait(s, 1)[0][0], "ping timeout")
		again.wait(s, 1)
		s.equal("reply", s.ask(sock, "echo", 1), []any{1.0})
	})
}

// TestFreshAuth has every connection authenticated anew.
func TestFreshAuth(t *testing.T) {
	o := app.Options{PingInterval: 2 * time.Second, PingTimeout: 3 * time.Second}
	everywhere(t, servers, o, func(t *testing.T, a *app.App, s *scene) {
		p := proxy.Start(t, a.Addr(), proxy.Options{})
		s.url = p.URL()
		o := s.options()
		calls := 0.0
		o.Auth = func(context.Context) (any, error) {
			calls++
			return map[string]any{"token": "secret", "call": calls}, nil
		}
		sock := s.settled(s.dialWith(s.url, "/auth", o))
		s.equal("call", s.whoami(sock).Auth["call"], 1.0)
		again := connects(sock)
		p.Cut()
		again.wait(s, 1)
		s.equal("call", s.whoami(sock).Auth["call"], 2.0)
	})
}

// TestMsgpack speaks the published msgpack codec.
func TestMsgpack(t *testing.T) {
	for _, server := range []app.Runtime{app.Sockeye, app.Node} {
		t.Run(string(server), func(t *testing.T) {
			t.Parallel()
			a := app.Start(t, app.Options{Runtime: server, Msgpack: true})
			for i, w := range waysTo(server) {
				t.Run(w.name, func(t *testing.T) {
					t.Parallel()
					for _, c := range cases {
						if !slices.Contains([]string{
							"acknowledges in both directions", "carries binary at any depth", "mixes binary and text in order",
							"keeps the order of many events", "is refused by an unknown namespace", "is refused with data and comes again",
						}, c.name) {
							continue
						}
						t.Run(c.name, func(t *testing.T) {
							c.run(&scene{T: t, server: server, url: a.URL(), way: w, ns: ways[i%len(ways)].name, format: client.Msgpack})
						})
					}
				})
			}
		})
	}
}

// TestClosesInTheMiddle makes sure that a client which is closed in the middle of everything leaves nothing behind: see
// TestMain.
func TestClosesInTheMiddle(t *testing.T) {
	for _, w := range waysTo(app.Sockeye) {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			a := app.Start(t, app.Options{Runtime: app.Sockeye})
			s := &scene{T: t, server: app.Sockeye, url: a.URL(), way: w}
			for i := range 30 {
				sock := s.lazy("/", s.options())
				sock.Open()
				s.emit(sock, "echo", i)
				if i%3 > 0 {
					if err := sock.Connect(s.soon()); err != nil {
						s.Fatal(err)
					}
				}
				if i%3 > 1 {
					s.emit(sock, "burst", 50)
				}
				if err := sock.Client().Close(); err != nil && i%3 > 0 {
					s.Errorf("close: %v", err)
				}
			}
		})
	}
}
