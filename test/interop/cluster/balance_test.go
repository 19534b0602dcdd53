// Package cluster tests several servers behind load balancers.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/peers"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/test/interop/daemon"
	"github.com/sockeye-io/sockeye/test/interop/kit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// servers starts three servers, A, B and C, which carry requests for one another if wanted. In any case the ids of
// their sessions begin with their names.
func servers(t *testing.T, carry bool) (addresses []string) {
	t.Helper()
	directory := peers.Static{}
	for i := range 3 {
		id := string(rune('A' + i))
		p, err := peers.New(peers.Options{
			ID: id, Directory: directory, Secret: []byte("a secret of all servers"), Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		var o socketio.Options
		p.Configure(&o.Engine)
		if !carry {
			o.Engine.Foreign = nil
		}
		o.Engine.Cookie = &http.Cookie{Name: "io", HttpOnly: true}
		io := socketio.NewServer(&o)
		io.OnConnection(func(s *socketio.Socket) {
			s.On("who", func(_ context.Context, m *socketio.Message) error { return m.Ack(id) })
		})
		srv := kit.Serve(t, io)
		t.Cleanup(func() {
			_ = io.Close()
			_ = p.Close()
		})
		directory[id] = "http://" + srv.Addr
		addresses = append(addresses, srv.Addr)
	}
	return addresses
}

// A balancer is a way to spread requests over three servers.
type balancer struct {
	carry bool // the servers carry requests for one another
	start func(t *testing.T, a []string) string
	// Who finds his session again, of clients that keep cookies and of those that don't: everybody with every
	// transport, or only those on WebSocket.
	withCookies, without bool
}

var balancers = map[string]balancer{
	"nginx round robin and servers that carry": {true, nginxRoundRobin, true, true},
	"nginx round robin alone":                  {false, nginxRoundRobin, false, false},
	"nginx by the name in the session id": {false, func(t *testing.T, a []string) string {
		return daemon.NginxBalancer(t, fmt.Sprintf(`map $arg_sid $by_sid { default any; ~^A %s; ~^B %s; ~^C %s; }
			upstream any { server %[1]s; server %[2]s; server %[3]s; }`, a[0], a[1], a[2]),
			"server "+a[0]+";", location("$by_sid"))
	}, true, true},
	"nginx by its own cookie": {false, func(t *testing.T, a []string) string {
		return daemon.NginxBalancer(t, daemon.NginxRoute+`
			map $cookie_route $key { default $cookie_route; '' $request_id; }`,
			fmt.Sprintf("hash $key consistent; server %s; server %s; server %s;", a[0], a[1], a[2]), location("backend"))
	}, true, false},
	"HAProxy round robin and servers that carry": {true, func(t *testing.T, a []string) string {
		return daemon.HAProxyBalancer(t, haproxyServers("balance roundrobin", a))
	}, true, true},
	"HAProxy by its own cookie": {false, func(t *testing.T, a []string) string {
		return daemon.HAProxyBalancer(t, haproxyServers("balance roundrobin\n\tcookie serverid insert indirect nocache", a))
	}, true, false},
	"HAProxy by the name in the session id": {false, func(t *testing.T, a []string) string {
		return daemon.HAProxyBalancer(t, haproxyServers(`balance roundrobin
	use-server A if { url_param(sid) -m beg A }
	use-server B if { url_param(sid) -m beg B }
	use-server C if { url_param(sid) -m beg C }`, a))
	}, true, true},
	"HAProxy by what it has seen": {false, func(t *testing.T, a []string) string {
		return daemon.HAProxyBalancer(t, haproxyServers(`balance roundrobin
	stick-table type string len 32 size 100k expire 5m
	stick match url_param(sid)
	stick store-response res.cook(io)`, a))
	}, true, true},
}

// location is what nginx does with a request.
func location(upstream string) string {
	return `proxy_pass http://` + upstream + `;
			proxy_http_version 1.1;
			proxy_set_header Host $http_host;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_upgrade;
			proxy_next_upstream off;`
}

func nginxRoundRobin(t *testing.T, a []string) string {
	return daemon.NginxBalancer(t, "", fmt.Sprintf("server %s; server %s; server %s;", a[0], a[1], a[2]), location("backend"))
}

func haproxyServers(lines string, a []string) string {
	for i, address := range a {
		id := string(rune('A' + i))
		lines += fmt.Sprintf("\n\tserver %s %s cookie %[1]s", id, address)
	}
	return lines
}

var ways = map[string][]string{
	"websocket": {"websocket"},
	"polling":   {"polling"},
	"streaming": {"streaming"},
	"upgrade":   {"polling", "websocket"},
}

func TestBalancers(t *testing.T) {
	t.Parallel()
	for name, b := range balancers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			front := "http://" + b.start(t, servers(t, b.carry))
			for way, transports := range ways {
				t.Run(way, func(t *testing.T) {
					t.Run("cookies", func(t *testing.T) {
						check(t, front, transports, nil, b.withCookies || way == "websocket")
					})
					t.Run("no cookies", func(t *testing.T) {
						transport := &http.Transport{}
						defer transport.CloseIdleConnections()
						check(t, front, transports, &http.Client{Transport: transport}, b.without || way == "websocket")
					})
				})
			}
		})
	}
}

// sessions is how many are tried: with three servers and requests that go anywhere, the chance that none of so many goes
// wrong is nil.
const sessions = 9

// check opens sessions, one after the other, and tries whether each finds its server again.
func check(t *testing.T, front string, transports []string, hc *http.Client, want bool) {
	t.Helper()
	good := 0
	homes := map[string]int{}
	for i := range sessions {
		home, err := session(t, front, transports, hc, 5+i%3)
		if err == nil {
			good++
			homes[home]++
		} else if want {
			t.Errorf("session lost: %v", err)
		}
		if i%2 == 0 {
			stray(t, front)
		}
	}
	switch {
	case want && len(homes) < 2:
		t.Errorf("the sessions are not spread: %v", homes)
	case !want && good == sessions:
		t.Errorf("all sessions are well, but they can't be")
	}
}

// stray makes a request of no session: where every session makes a multiple of three requests, the next one would begin
// at the same server.
func stray(t *testing.T, front string) {
	t.Helper()
	resp, err := http.Get(front + "/stray")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close() // of no use
}

// session opens one, calls so many times, and returns the server that it is on.
func session(t *testing.T, front string, transports []string, hc *http.Client, calls int) (home string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := client.Dial(ctx, front, &client.Options{
		Transports: transports, HTTPClient: hc, Reconnect: client.ReconnectOptions{Disabled: true},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return "", err
	}
	defer s.Client().Close()
	for range calls {
		ack, err := s.EmitWithAck(ctx, "who")
		if err != nil {
			return "", err
		}
		var who string
		if err := ack.Bind(&who); err != nil {
			return "", err
		}
		if home != "" && who != home {
			return "", errors.New("two servers answer for one session")
		}
		home = who
	}
	return home, nil
}
