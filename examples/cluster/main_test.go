package main

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/peers"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/sockeyetest"
)

// Two servers joined by an adapter.Hub in place of Redis, and something in front that deals requests out in turn.
func start(t *testing.T) *sockeyetest.Server {
	t.Helper()
	var hub adapter.Hub
	directory := peers.Static{}
	var servers []*socketio.Server
	for _, id := range []string{"A", "B"} {
		p, err := peers.New(peers.Options{ID: id, Directory: directory, Secret: []byte("a secret of the two")})
		if err != nil {
			t.Fatal(err)
		}
		io := newServer(hub.Adapter, p)
		node := httptest.NewServer(io)
		directory[id] = node.URL
		servers = append(servers, io)
		t.Cleanup(func() {
			_ = io.Close()
			node.CloseClientConnections()
			node.Close()
			_ = p.Close()
		})
	}
	var turn atomic.Int64
	return sockeyetest.Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		servers[turn.Add(1)%2].ServeHTTP(w, r)
	}), servers...)
}

func TestTwoServersActAsOne(t *testing.T) {
	for _, transport := range []string{"polling", "streaming", "websocket"} {
		t.Run(transport, func(t *testing.T) {
			srv := start(t)
			one := srv.Connect(t, "/", sockeyetest.Transports(transport))
			two := srv.Connect(t, "/", sockeyetest.Transports(transport))
			for _, c := range []*sockeyetest.Client{one, two} {
				if err := say.Emit(c, "hello"); err != nil {
					t.Fatal(err)
				}
				home := server(c.Client())
				for _, other := range []*sockeyetest.Client{one, two} {
					sockeyetest.Expect(t, other, heard, said{home, "hello"})
				}
			}
		})
	}
}

// server returns the name of the server that a client is on.
func server(c *client.Client) string { return c.SessionID()[:1] }

func TestParsePeers(t *testing.T) {
	d, err := parsePeers("A=http://a:1, B=http://b:2")
	if err != nil || len(d) != 2 || d["B"] != "http://b:2" {
		t.Errorf("%v, %v", d, err)
	}
	if _, err := parsePeers(""); err == nil {
		t.Error("no peers are no error")
	}
}
