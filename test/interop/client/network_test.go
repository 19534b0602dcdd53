package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/test/interop/app"
	"github.com/sockeye-io/sockeye/test/interop/daemon"
	"github.com/sockeye-io/sockeye/test/interop/kit"
	"github.com/sockeye-io/sockeye/test/interop/proxy"
)

// converse proves that a connection carries something in both directions.
func converse(s *scene, sock *client.Socket) {
	s.Helper()
	s.equal("reply", s.ask(sock, "echo", "over here", []byte{1, 2}), []any{"over here", []byte{1, 2}})
	items, end := s.watch(sock, "item"), s.watch(sock, "burst-end")
	s.emit(sock, "burst", 40)
	end.wait(s, 1)
	s.equal("items", numbers(items.all()), upTo(40))
}

// TestProxies has each kind of bad proxy between client and server, and lists of transports that should survive it.
func TestProxies(t *testing.T) {
	all := []string{"websocket", "streaming", "polling"}
	for _, c := range []struct {
		name       string
		proxy      proxy.Options
		transports []string
		final      string
		failed     []string // transports that failed to connect, or to be upgraded to, before
	}{
		{"refused", proxy.Options{Upgrade: proxy.Refuse}, nil, "polling", []string{"websocket"}},
		{"stripped", proxy.Options{Upgrade: proxy.Strip}, nil, "polling", []string{"websocket"}},
		{"hanging", proxy.Options{Upgrade: proxy.Hang}, nil, "polling", []string{"websocket"}},
		{"dead", proxy.Options{Upgrade: proxy.Swallow}, nil, "polling", []string{"websocket"}},
		{"refused upgrade", proxy.Options{Upgrade: proxy.Refuse}, []string{"polling", "websocket"}, "polling", []string{"websocket"}},
		{"hanging upgrade", proxy.Options{Upgrade: proxy.Hang}, []string{"polling", "websocket"}, "polling", []string{"websocket"}},
		{"dead upgrade", proxy.Options{Upgrade: proxy.Swallow}, []string{"streaming", "websocket"}, "streaming", []string{"websocket"}},
		{"refused and buffering", proxy.Options{Upgrade: proxy.Refuse, Buffer: true}, all, "polling", []string{"websocket", "streaming"}},
		{"buffering", proxy.Options{Buffer: true}, []string{"streaming", "polling"}, "polling", []string{"streaming"}},
		{"streaming alone", proxy.Options{Upgrade: proxy.Refuse}, all, "streaming", []string{"websocket"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := app.Start(t, app.Options{Runtime: app.Sockeye})
			p := proxy.Start(t, a.Addr(), c.proxy)
			s := &scene{T: t, server: app.Sockeye, url: p.URL(), way: way{c.name, c.transports, c.final}}
			o := s.options()
			o.AttemptTimeout = time.Second
			sock := s.dialWith(s.url, "/", o)
			converse(s, sock)
			var failed []string
			kit.Eventually(t, fmt.Sprintf("%v to fail", c.failed), func() bool {
				failed = nil
				for _, a := range sock.Client().Attempts() {
					if a.Err != nil && !slices.Contains(failed, a.Transport) {
						failed = append(failed, a.Transport)
					}
				}
				return len(failed) >= len(c.failed)
			})
			s.equal("failed transports", failed, c.failed)
			s.equal("transport", sock.Client().Transport(), c.final)
			converse(s, sock)

			// What is known of the way is used when it is taken again.
			if c.transports == nil {
				again := connects(sock)
				before := len(sock.Client().Attempts())
				start := time.Now()
				p.Cut()
				again.wait(s, 1)
				for _, a := range sock.Client().Attempts()[before:] {
					if a.Phase == "connect" && a.Err != nil && a.Transport == "websocket" {
						s.Errorf("websocket was tried again, after %v: %v", time.Since(start), a.Err)
					}
				}
				converse(s, sock)
			}
		})
	}
}

// TestIdleCut is behind a proxy that closes connections on which nothing moved for a while, which is less than the
// server's ping interval: the client comes back, and learns to keep the connection busy.
func TestIdleCut(t *testing.T) {
	atOnce(t, waysTo(app.Sockeye), way.String, func(t *testing.T, w way) {
		const idle = 2 * time.Second
		a := app.Start(t, app.Options{Runtime: app.Sockeye})
		p := proxy.Start(t, a.Addr(), proxy.Options{Idle: idle})
		s := &scene{T: t, server: app.Sockeye, url: p.URL(), way: w}
		sock := s.settled(s.dial("/"))
		lost, again := losses(sock), connects(sock)
		lost.wait(s, 1)
		again.wait(s, 1)
		s.equal("reply", s.ask(sock, "echo", 1), []any{1.0})
		// A connection that stays for longer than an idle one may.
		quiet, known := time.Now(), len(lost.all())
		kit.Eventually(t, "a connection that lasts", func() bool {
			if n := len(lost.all()); n != known {
				quiet, known = time.Now(), n
			}
			return time.Since(quiet) > 3*idle
		})
		s.equal("reply", s.ask(sock, "echo", 2), []any{2.0})
		t.Logf("%d connections were lost", known)
	})
}

// TestCutInAMessage cuts the connection in the middle of a large message, in each direction: the message is not half
// there, and what comes after is whole.
func TestCutInAMessage(t *testing.T) {
	for _, w := range waysTo(app.Sockeye) {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			a := app.Start(t, app.Options{Runtime: app.Sockeye, PingInterval: 2 * time.Second, PingTimeout: 3 * time.Second})
			for _, fault := range []proxy.Fault{proxy.Reset, proxy.Close} {
				l := proxy.StartLine(t, a.Addr())
				s := &scene{T: t, server: app.Sockeye, url: l.URL(), way: w}
				sock := s.settled(s.dial("/"))
				lost, again, echoes := losses(sock), connects(sock), s.watch(sock, "echo")
				data := pattern(400_000)

				cut := l.Cut(fault, 200_000)
				s.emit(sock, "echo", data)
				<-cut
				lost.wait(s, 1)
				again.wait(s, 1)
				s.settled(sock)

				// What doesn't compress, from the server.
				admin, said := s.dialWith(a.URL(), "/admin", nil), s.watch(sock, "said")
				random := make([]byte, 300_000)
				_, _ = rand.Read(random)
				s.ask(sock, "join", "room")
				cut = l.Cut(fault, 200_000)
				s.ask(admin, "tell", "room", base64.StdEncoding.EncodeToString(random))
				<-cut
				again.wait(s, 2)
				if got := s.ask(sock, "echo", data); !bytes.Equal(got[0].([]byte), data) {
					s.Error("the message after the cut is different")
				}
				if n := len(echoes.all()) + len(said.all()); n != 0 {
					s.Errorf("%d half messages came", n)
				}
				sock.Client().Close()
			}
		})
	}
}

// TestNginx goes through nginx as it is usually set up, and as it is by default, which is not meant for WebSocket.
func TestNginx(t *testing.T) {
	for _, c := range []struct {
		name, directives string
		final            func(way) string
	}{
		{"upgrade", daemon.NginxUpgrade, func(w way) string { return w.final }},
		{"default", daemon.NginxDefault, func(w way) string {
			if w.name == "default" {
				return "polling"
			}
			return w.transports[0]
		}},
	} {
		for _, server := range servers {
			t.Run(c.name+"/"+string(server), func(t *testing.T) {
				t.Parallel()
				kit.Need(t, "nginx")
				a := app.Start(t, app.Options{Runtime: server})
				front := "http://" + daemon.Nginx(t, a.Addr(), c.directives)
				for _, w := range waysTo(server) {
					if c.name == "default" && w.name == "websocket" {
						continue
					}
					if server != app.PythonThreading {
						w.final = c.final(w)
					}
					t.Run(w.name, func(t *testing.T) {
						t.Parallel()
						s := &scene{T: t, server: server, url: front, way: w}
						if c.name == "default" && s.python() && server != app.PythonThreading && w.name == "upgrade" {
							t.Skip("python-engineio takes an upgrade without its header for a poll, and answers it with what the poll waits for")
						}
						sock := s.settled(s.dial("/"))
						converse(s, sock)
						s.equal("transport", s.whoami(sock).Transport, w.final)
					})
				}
			})
		}
	}
}

// TestBalancer spreads clients over two servers that know nothing of each other.
func TestBalancer(t *testing.T) {
	kit.Need(t, "nginx")
	for _, server := range []app.Runtime{app.Sockeye, app.Node, app.PythonASGI} {
		t.Run(string(server), func(t *testing.T) {
			t.Parallel()
			one, two := app.Start(t, app.Options{Runtime: server}), app.Start(t, app.Options{Runtime: server})
			backends := fmt.Sprintf("server %s; server %s;", one.Addr(), two.Addr())
			byIP := "http://" + daemon.NginxBalancer(t, "", "ip_hash; "+backends, daemon.NginxUpgrade)
			byCookie := "http://" + daemon.NginxBalancer(t, daemon.NginxRoute, "hash $route consistent; "+backends, daemon.NginxUpgrade)
			inTurn := "http://" + daemon.NginxBalancer(t, "", backends, daemon.NginxUpgrade)
			for _, w := range waysTo(server) {
				t.Run(w.name, func(t *testing.T) {
					s := &scene{T: t, server: server, way: w}
					for name, front := range map[string]string{"by address": byIP, "by cookie": byCookie} {
						for i := range 6 {
							sock, err := client.Dial(s.soon(), front, s.options())
							if err != nil {
								t.Fatalf("%s, client %d: %v", name, i, err)
							}
							s.settled(sock)
							converse(s, sock)
							sock.Client().Close()
						}
					}
				})
			}
			// The proof that it is the cookie jar: without one, requests go to the servers in turn.
			t.Run("without a jar", func(t *testing.T) {
				s := &scene{T: t, server: server, way: way{"polling", []string{"polling"}, "polling"}}
				transport := &http.Transport{}
				defer transport.CloseIdleConnections()
				for _, front := range []string{byCookie, inTurn} {
					failed := 0
					for range 8 {
						o := s.options()
						o.HTTPClient = &http.Client{Transport: transport}
						o.Reconnect.Disabled = true
						ctx, cancel := context.WithTimeout(t.Context(), limit)
						sock, err := client.Dial(ctx, front, o)
						if err == nil {
							if _, err = sock.EmitWithAck(ctx, "echo", 1); err == nil {
								_, err = sock.EmitWithAck(ctx, "echo", 2)
							}
							sock.Client().Close()
						}
						cancel()
						if err != nil {
							failed++
						}
					}
					if failed == 0 {
						t.Error("eight clients got through without a cookie")
					}
				}
			})
		})
	}
}

// TestAttempts has the history name what was tried, for whoever must find out why a network is slow.
func TestAttempts(t *testing.T) {
	a := app.Start(t, app.Options{Runtime: app.Sockeye})
	p := proxy.Start(t, a.Addr(), proxy.Options{Upgrade: proxy.Refuse})
	s := &scene{T: t, server: app.Sockeye, url: p.URL()}
	sock := s.lazy("/", s.options())
	told := newJournal()
	sock.Client().OnAttempt(func(a engine.Attempt) { told.add(a.Transport, a.Phase, a.Err != nil) })
	if err := sock.Connect(s.soon()); err != nil {
		t.Fatal(err)
	}
	s.equal("attempts", told.wait(s, 2)[:2], [][]any{{"websocket", "connect", true}, {"polling", "connect", false}})
}
