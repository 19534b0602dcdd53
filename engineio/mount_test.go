package engineio_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/engineio"
)

// everyTransport checks that the server is reachable by each of its transports.
func everyTransport(t *testing.T, s *server) {
	t.Helper()
	s.onMessage = echo
	p := s.poll()
	p.post("4by polling", "bAQID")
	p.expectPoll("4by polling\x1ebAQID")
	w := p.upgrade()
	w.send("4by websocket")
	w.expect("4by websocket")

	for _, accept := range []string{"Accept: */*", sse} {
		c := s.streaming("", accept)
		for range 3 {
			c.post("4by streaming")
			c.expect("4by streaming")
		}
		c.stream.close()
		c.poller.peer.expectClosed(engineio.ReasonTransportError)
	}

	w = s.ws()
	big := "4" + repeat("x", 300_000)
	w.send(big)
	w.expect(big)
	w.close()
	w.peer.expectClosed(engineio.ReasonTransportClose)

	if r := s.refusedUpgrade("EIO=4&transport=tobi"); r.status != 400 || r.body != "Transport unknown" {
		t.Errorf("refused upgrade: %v", r)
	}
	if r := s.get("EIO=4&transport=tobi"); r.status != 400 || r.body != unknownTransport {
		t.Errorf("refused request: %v", r)
	}
}

// mounted starts an HTTP server whose handler is made of the engine.
func mounted(t *testing.T, opts *engineio.Options, ln net.Listener, mount func(*engineio.Server) http.Handler,
	dial func(addr string) (net.Conn, error)) *server {
	t.Helper()
	addr := ln.Addr().String()
	s := serveOn(t, opts, ln, realGuard, func() (net.Conn, error) { return dial(addr) })
	s.mount(mount(s.engine))
	return s
}

// mount has requests served by h instead of the engine itself.
func (s *server) mount(h http.Handler) { s.handler.Store(&h) }

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func dialTCP(addr string) (net.Conn, error) { return net.Dial("tcp", addr) }

func TestBehindServeMux(t *testing.T) {
	everyTransport(t, mounted(t, nil, listen(t), func(e *engineio.Server) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/engine.io/", e)
		mux.HandleFunc("/", http.NotFound)
		return mux
	}, dialTCP))
}

// Middleware wraps the ResponseWriter; what is under it is found by Unwrap.
func TestBehindMiddleware(t *testing.T) {
	everyTransport(t, mounted(t, nil, listen(t), func(e *engineio.Server) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			e.ServeHTTP(&wrapper{w}, r)
		})
	}, dialTCP))
}

type wrapper struct{ http.ResponseWriter }

func (w *wrapper) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// A wrapper that hides the connection makes WebSocket impossible, and nothing else.
func TestBehindOpaqueMiddleware(t *testing.T) {
	s := mounted(t, nil, listen(t), func(e *engineio.Server) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			e.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
		})
	}, dialTCP)
	s.onMessage = echo
	p := s.poll()
	p.post("4x")
	p.expectPoll("4x")
	for _, query := range []string{wsQuery, wsQuery + "&sid=" + p.sid} {
		if r := s.refusedUpgrade(query); r.status < 400 {
			t.Errorf("%s: %v", query, r)
		}
	}
	p.post("4y")
	p.expectPoll("4y")
	if n := s.engine.Sessions(); n != 1 {
		t.Errorf("%d sessions, want the polling one", n)
	}
}

// The prefix of a mount point that takes itself off the path.
func TestBehindStripPrefix(t *testing.T) {
	s := mounted(t, &engineio.Options{Path: "/"}, listen(t), func(e *engineio.Server) http.Handler {
		return http.StripPrefix("/engine.io", e)
	}, dialTCP)
	everyTransport(t, s)
}

func TestOverTLS(t *testing.T) {
	web := httptest.NewUnstartedServer(nil)
	web.StartTLS() // for its certificate
	config := &tls.Config{Certificates: web.TLS.Certificates}
	web.Close()
	s := mounted(t, nil, tls.NewListener(listen(t), config), func(e *engineio.Server) http.Handler { return e },
		func(addr string) (net.Conn, error) {
			return tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		})
	everyTransport(t, s)
	if !s.poll().peer.Handshake().Secure() || !s.ws().peer.Handshake().Secure() {
		t.Error("Secure is false over TLS")
	}
}

func TestOverUnixSocket(t *testing.T) {
	name := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	everyTransport(t, mounted(t, nil, ln, func(e *engineio.Server) http.Handler { return e },
		func(string) (net.Conn, error) { return net.Dial("unix", name) }))
}

func TestBehindReverseProxy(t *testing.T) {
	s := newServer(t, nil)
	direct := s.dial
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "backend.test"})
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return direct() }}
	proxy.Transport = transport
	proxy.ErrorLog = s.http.ErrorLog
	front := httptest.NewServer(proxy)
	s.dial = func() (net.Conn, error) { return net.Dial("tcp", front.Listener.Addr().String()) }
	everyTransport(t, s)
	_ = s.engine.Close()
	front.Close()
	transport.CloseIdleConnections()
}

func TestRemoteAddr(t *testing.T) {
	s := newServer(t, nil)
	conn, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, upgradeRequest(wsQuery)); err != nil {
		t.Fatal(err)
	}
	if got, want := s.nextPeer().Handshake().RemoteAddr(), conn.LocalAddr().String(); got != want {
		t.Errorf("RemoteAddr %q, want %q", got, want)
	}
	// Headers that anybody can set are not believed.
	p := s.poll()
	r := s.get(pollingQuery, "X-Forwarded-For: 203.0.113.1")
	if got := s.peerOf(sidOf(t, r.body)).Handshake().RemoteAddr(); !strings.HasPrefix(got, "127.0.0.1:") {
		t.Errorf("RemoteAddr %q", got)
	}
	p.post("1")
}
