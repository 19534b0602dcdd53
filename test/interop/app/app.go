// Package app is the application that the clients of the interoperability tests talk to, and the way to start it: on
// Sockeye, in the test's own process, or on the Node server when SOCKEYE_INTEROP_SERVER=node, which is how the tests
// of foreign clients themselves are proven. The tests of our own client start it on every server there is.
//
// Every socket of the namespaces "/", "/chat", "/dyn-<number>" and "/auth" answers the same events:
//
//	echo(args…)            the same arguments back, as an acknowledgement if one is wanted, else as event echo
//	ask(v)                 sends question(v), waits for the acknowledgement, sends answered(reply)
//	askall(v)              question(v) to all of the namespace; acknowledges the sorted replies
//	join, leave(room)      acknowledged when done; rooms() acknowledges the sorted list without the socket's own
//	say(room, args…)       said(args…) to the room
//	others(args…)          others(args…) to all but the sender
//	except(room, args…)    excepted(args…) to all but the room
//	everyone(args…)        everyone(args…) to the namespace
//	burst(n)               item(0) … item(n-1), then burst-end(n)
//	ticks(n)               volatile tick(0) … tick(n-1), then ticks-end(n)
//	blob(n)                acknowledges n bytes, byte i being i mod 251
//	size(v)                acknowledges the length of a string or of bytes
//	kick(close)            the server disconnects the socket, with its connection if close
//	whoami()               acknowledges {id, auth, transport, recovered}
//
// "/auth" lets in who sends the token "secret" and refuses others with "not authorised" and data. "/admin" has
// reason(id), which acknowledges the reason for which the server lost that socket of the others as soon as it is
// known, and tell(room, v), said(v) to a room of "/", acknowledged when sent. Any other namespace is invalid.
package app

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/test/interop/kit"
)

// Runtime is a server that the application runs on.
type Runtime string

// The runtimes. Those on Python are python-socketio under several servers: see reference.py for what it lacks.
const (
	Sockeye         Runtime = "sockeye"
	Node            Runtime = "socket.io"    // the current version
	NodeV3          Runtime = "socket.io-v3" // the last of the 3.x line: no askall, no except, no recovery
	NodeV2          Runtime = "socket.io-v2" // speaks a protocol that is not ours: connecting to it fails
	PythonAIOHTTP   Runtime = "aiohttp"
	PythonASGI      Runtime = "asgi" // uvicorn
	PythonEventlet  Runtime = "eventlet"
	PythonThreading Runtime = "threading" // Werkzeug, which has no WebSocket by itself
)

// Options of the application's server. Zero values are the server's own defaults.
type Options struct {
	// Runtime is what the application runs on. The zero value is Sockeye, or the current Node server when
	// SOCKEYE_INTEROP_SERVER says so.
	Runtime Runtime

	PingInterval, PingTimeout time.Duration
	MaxPayload                int
	Transports                []string
	Recovery                  bool
	// Msgpack makes packets those of socket.io-msgpack-parser.
	Msgpack bool
	// Pages answers what is not for the Socket.IO server, on the same address.
	Pages http.Handler
}

// App is a running application.
type App struct {
	impl backend
}

// backend is a server that the application runs on.
type backend interface {
	start() error
	stop()
	addr() string
	handler() http.Handler
}

// Start starts the application on a free port and stops it when the test ends.
func Start(t testing.TB, o Options) *App {
	t.Helper()
	if o.Runtime == "" {
		o.Runtime = Sockeye
		if kit.OnNode() {
			o.Runtime = Node
		}
	}
	var a App
	if o.Runtime == Sockeye {
		a.impl = newSockeye(o)
	} else {
		a.impl = newForeign(t, o)
	}
	if err := a.impl.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.impl.stop)
	return &a
}

// Addr is the host:port the application listens on. It stays the same over Restart.
func (a *App) Addr() string { return a.impl.addr() }

// URL is the base URL, without a trailing slash.
func (a *App) URL() string { return "http://" + a.impl.addr() }

// Handler serves the application for a test that mounts it in a server of its own, until the next Stop.
func (a *App) Handler() http.Handler { return a.impl.handler() }

// Stop ends the server as the end of its process would: its sessions are gone.
func (a *App) Stop() { a.impl.stop() }

// Restart stops the server and starts a new one on the same address, which knows none of the old sessions.
func (a *App) Restart() error {
	a.impl.stop()
	return a.impl.start()
}

// proxyTo is a handler that carries requests to a server in another process.
func proxyTo(addr string) http.Handler {
	p := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
	p.FlushInterval = -1
	p.ErrorHandler = func(w http.ResponseWriter, r *http.Request, err error) {
		if context.Cause(r.Context()) == nil {
			w.WriteHeader(http.StatusBadGateway)
		}
	}
	return p
}

// beside serves pages next to the Socket.IO server.
func beside(server, pages http.Handler) http.Handler {
	if pages == nil {
		return server
	}
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", server)
	mux.Handle("/", pages)
	return mux
}
