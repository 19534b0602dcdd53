package app

import (
	"net/http"
	"testing"

	"github.com/sockeye-io/sockeye/test/interop/kit"
)

// node is the application on the Node server.
type node struct {
	server *kit.NodeServer
	pages  http.Handler
	front  kit.Server // in front of the process if there are pages
}

func newNode(t testing.TB, o Options) *node {
	return &node{pages: o.Pages, server: kit.NewNodeServer(t, "app/reference.mjs", map[string]any{
		"pingInterval": o.PingInterval.Milliseconds(),
		"pingTimeout":  o.PingTimeout.Milliseconds(),
		"maxPayload":   o.MaxPayload,
		"transports":   o.Transports,
		"recovery":     o.Recovery,
		"msgpack":      o.Msgpack,
	})}
}

func (n *node) start() error {
	if err := n.server.Start(); err != nil || n.pages == nil {
		return err
	}
	return n.front.Start(beside(proxyTo(n.server.Addr()), n.pages))
}

func (n *node) stop() {
	n.front.Stop()
	n.server.Stop()
}

func (n *node) addr() string {
	if n.pages != nil {
		return n.front.Addr
	}
	return n.server.Addr()
}

func (n *node) handler() http.Handler { return proxyTo(n.server.Addr()) }
