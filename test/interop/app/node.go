package app

import (
	"net/http"
	"testing"

	"github.com/sockeye-io/sockeye/test/interop/kit"
)

// node is the application on the Node server.
type node struct{ server *kit.NodeServer }

func newNode(t testing.TB, o Options) *node {
	return &node{kit.NewNodeServer(t, "app/reference.mjs", map[string]any{
		"pingInterval": o.PingInterval.Milliseconds(),
		"pingTimeout":  o.PingTimeout.Milliseconds(),
		"maxPayload":   o.MaxPayload,
		"transports":   o.Transports,
		"recovery":     o.Recovery,
	})}
}

func (n *node) start() error          { return n.server.Start() }
func (n *node) stop()                 { n.server.Stop() }
func (n *node) addr() string          { return n.server.Addr() }
func (n *node) handler() http.Handler { return proxyTo(n.addr()) }
