package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// Servers that can't reach each other over HTTP are one chat all the same, for clients of every transport: requests are
// carried by way of the broker. One of them says so itself, and the others have addresses at which nobody is.
func TestClusterByBroker(t *testing.T) {
	t.Run("NATS", func(t *testing.T) {
		first := startProcess(t, "--node-url", "broker")
		talkByBroker(t, []*url.URL{
			first.url,
			startProcess(t, "--cluster", first.nats, "--node-url", "http://127.0.0.1:1").url,
			startProcess(t, "--cluster", first.nats, "--node-url", "broker").url,
		})
	})
	t.Run("Redis", func(t *testing.T) {
		bin, err := exec.LookPath("redis-server")
		if err != nil {
			t.Skip("redis-server is not installed (apt-get install redis-server)")
		}
		dir, err := os.MkdirTemp("", "redis") //nolint:usetesting // t.TempDir is too long for a socket's name
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		socket := filepath.Join(dir, "s")
		redis := exec.Command(bin, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir)
		if err := redis.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = redis.Process.Kill()
			_ = redis.Wait()
		})
		for end := time.Now().Add(longPatience); ; time.Sleep(10 * time.Millisecond) {
			if _, err := os.Stat(socket); err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatal("redis-server does not start")
			}
		}
		var urls []*url.URL
		for _, nodeURL := range []string{"broker", "http://127.0.0.1:1", "broker"} {
			urls = append(urls, startWithRedis(t, "unix://"+socket, nodeURL))
		}
		talkByBroker(t, urls)
	})
}

func startWithRedis(t *testing.T, redis, nodeURL string) *url.URL {
	t.Helper()
	out := newScreen()
	cmd := exec.Command(os.Args[0], "serve", "--addr", "127.0.0.1:0", "--redis", redis, "--node-url", nodeURL)
	cmd.Env = append(os.Environ(), "SOCKEYE_TEST_MAIN=1", "SOCKEYE_CLUSTER_SECRET=sixteen bytes or more")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("a server said:\n%s", out)
		}
	})
	u, err := url.Parse(out.waitFor(t, `(http://\S+)`))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// talkByBroker has clients of every transport talk through a balancer that sends each request
// to the next server.
func talkByBroker(t *testing.T, urls []*url.URL) {
	t.Helper()
	transport := new(http.Transport)
	var turn atomic.Int64
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(urls[int(turn.Add(1))%len(urls)])
			r.Out.Host = r.In.Host
		},
		Transport: transport, FlushInterval: -1,
	})
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
		transport.CloseIdleConnections()
	})
	var visitors []*visitor
	for i, transports := range [][]string{
		{"polling"}, {"streaming"}, {"websocket"}, {"polling", "websocket"}, {"streaming", "websocket"},
	} {
		visitors = append(visitors, visit(t, front.URL, fmt.Sprint("V", i), transports))
	}
	everybodyTalks(t, visitors, "hello")
	for _, v := range visitors {
		if !v.s.Connected() {
			t.Errorf("%s has lost its connection", v.name)
		}
	}
}
