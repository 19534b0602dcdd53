package main

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/sockeye-io/sockeye/examples/internal/try"
	"github.com/sockeye-io/sockeye/sockeyetest"
)

func TestMain(m *testing.M) { try.Main(m, main) }

// inMemory returns the proxy and the server behind it.
func inMemory(t *testing.T) *sockeyetest.Server {
	t.Helper()
	site, io := newBackend()
	backend := sockeyetest.Start(t, site, io)
	address, err := url.Parse(backend.URL())
	if err != nil {
		t.Fatal(err)
	}
	proxy := through(address)
	proxy.Transport = backend.HTTP().Transport
	return sockeyetest.Start(t, proxy, io)
}

func TestProxy(t *testing.T) {
	front := inMemory(t)
	for _, transport := range []string{"websocket", "polling", "streaming"} {
		c := front.Connect(t, "/", sockeyetest.Transports(transport), sockeyetest.Address("203.0.113.7"))
		var who map[string]string
		if err := c.Call(t, "who am I").Bind(&who); err != nil {
			t.Fatal(err)
		}
		if who["transport"] != transport || who["address"] != "203.0.113.7" {
			t.Errorf("over %s: %v", transport, who)
		}
	}
}

func TestProxyOrigins(t *testing.T) {
	front := inMemory(t)
	for origin, status := range map[string]int{
		front.URL():            http.StatusOK,
		"http://evil.example":  http.StatusForbidden,
		"http://localhost:1":   http.StatusForbidden,
		"https://sockeye.test": http.StatusOK, // TLS may end at the proxy
	} {
		req, err := http.NewRequest(http.MethodGet, front.URL()+"/socket.io/?EIO=4&transport=polling", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", origin)
		res, err := front.HTTP().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("a page of %s gets %s", origin, res.Status)
		}
	}
}

func TestProgram(t *testing.T) {
	p := try.Start(t)
	p.HasPage(t)
	p.Streams(t)
	p.Connects(t, nil)
}
