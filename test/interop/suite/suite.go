// Package suite holds the servers that the official protocol test suites, and the conformance tests written after
// them, need to talk to.
//
// "eio4" is an Engine.IO server at /engine.io/ that sends every message back. "sio5" is a Socket.IO server at
// /socket.io/: to each socket of the namespaces "/" and "/custom" it emits auth with the authentication payload of
// the handshake; in "/" it answers the event message by message-back with the same arguments, and acknowledges
// message-with-ack with its arguments. Both ping every 300 ms, wait 200 ms for the answer, take payloads of up to
// 1,000,000 bytes and allow any origin; the second closes connections that join no namespace within a second.
package suite

import (
	"testing"

	"github.com/sockeye-io/sockeye/test/interop/kit"
)

// Start runs the named server on a free port until the test ends and returns its base URL without a trailing slash.
func Start(t testing.TB, name string) string {
	t.Helper()
	if kit.OnNode() {
		n := kit.NewNodeServer(t, "suite/reference.mjs", map[string]any{"suite": name})
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.Stop)
		return "http://" + n.Addr()
	}
	h, stop, err := Handler(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return kit.Serve(t, h).URL()
}
