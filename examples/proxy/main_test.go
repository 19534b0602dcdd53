package main

import (
	"net/http"
	"testing"

	"github.com/sockeye-io/sockeye/examples/internal/try"
)

func TestMain(m *testing.M) { try.Main(m, main) }

func TestProxy(t *testing.T) {
	p := try.Start(t)
	p.HasPage(t)
	p.Streams(t)
	for transport, c := range map[string]*try.Client{
		"websocket": p.WebSocket(t, nil).Joined(),
		"polling":   p.Polling(t, nil).Joined(),
	} {
		var who map[string]string
		if failed := c.Ask(&who, "who am I"); failed != nil {
			t.Fatal(failed)
		}
		if who["transport"] != transport || (who["address"] != "127.0.0.1" && who["address"] != "::1") {
			t.Errorf("over %s: %v", transport, who)
		}
	}
}

func TestProxyOrigins(t *testing.T) {
	p := try.Start(t)
	for origin, status := range map[string]int{
		p.URL:                  http.StatusOK,
		"http://evil.example":  http.StatusForbidden,
		"http://localhost:1":   http.StatusForbidden,
		"https://" + p.URL[7:]: http.StatusOK, // TLS may end at the proxy
	} {
		req, err := http.NewRequest(http.MethodGet, p.URL+"/socket.io/?EIO=4&transport=polling", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", origin)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("a page of %s gets %s", origin, res.Status)
		}
	}
}
