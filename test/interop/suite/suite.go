// Package suite holds the servers that the official protocol test suites, and the conformance tests written after
// them, need to talk to.
//
// "eio4" is an Engine.IO server at /engine.io/ that sends every message back. "sio5" is a Socket.IO server at
// /socket.io/: to each socket of the namespaces "/" and "/custom" it emits auth with the authentication payload of
// the handshake; in "/" it answers the event message by message-back with the same arguments, and acknowledges
// message-with-ack with its arguments. Both take payloads of up to 1,000,000 bytes and allow any origin.
package suite

import (
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/test/interop/kit"
)

// Times of the servers. ConnectTimeout, within which a connection must join a namespace, is for Socket.IO.
type Times struct{ PingInterval, PingTimeout, ConnectTimeout time.Duration }

// Official are the times that the official suites expect.
var Official = Times{300 * time.Millisecond, 200 * time.Millisecond, time.Second}

// Start runs the named server on a free port until the test ends and returns its base URL without a trailing slash.
func Start(t testing.TB, name string, times Times) string {
	t.Helper()
	if kit.OnNode() {
		n := kit.NewNodeServer(t, "suite/reference.mjs", map[string]any{
			"suite":          name,
			"pingInterval":   times.PingInterval.Milliseconds(),
			"pingTimeout":    times.PingTimeout.Milliseconds(),
			"connectTimeout": times.ConnectTimeout.Milliseconds(),
		})
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.Stop)
		return "http://" + n.Addr()
	}
	h, stop, err := Handler(name, times)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return kit.Serve(t, h).URL()
}
