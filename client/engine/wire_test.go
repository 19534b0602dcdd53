package engine_test

import (
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/sockeye-io/sockeye/client/engine"
)

var noTLS = &tls.Config{MinVersion: tls.VersionTLS12}

// hijackWebSocket opens a WebSocket by hand.
func hijackWebSocket(t testing.TB, w http.ResponseWriter, r *http.Request) net.Conn {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		panic(http.ErrAbortHandler)
	}
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", acceptKey(r))
	return conn
}

func acceptKey(r *http.Request) string {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// roundTrip sends something each way.
func roundTrip(t *testing.T, s *server, c *engine.Conn, r *recorder) {
	t.Helper()
	p := s.accepted.pop(t)
	send(t, c, text("there"), binary("\x01"))
	p.expect("there")
	p.send(false, "back")
	r.expect("back")
}

// A server with HTTP/2 carries polling and streaming over that, and a WebSocket
// over HTTP/1.1.
func TestTLS(t *testing.T) {
	for _, order := range [][]string{{engine.WebSocket}, {engine.Polling}, {engine.Streaming}, {engine.Polling, engine.WebSocket}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			s := makeServer(t, nil)
			var protocols [2]atomic.Int32
			ts := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if upgrade := r.Header.Get("Upgrade") != ""; upgrade != (r.ProtoMajor == 1) {
					t.Errorf("%s over %s", r.URL.Query().Get("transport"), r.Proto)
				}
				protocols[r.ProtoMajor-1].Add(1)
				s.ServeHTTP(w, r)
			}))
			ts.EnableHTTP2 = true
			ts.StartTLS()
			defer ts.Close()
			defer s.engine.Close()
			s.url = ts.URL
			moved := make(chan struct{}, 1)
			c, r := s.dial(&engine.Options{
				TLSConfig: ts.Client().Transport.(*http.Transport).TLSClientConfig,
				OnUpgrade: func(_, _ string) { moved <- struct{}{} },
			}, order...)
			if len(order) > 1 {
				<-moved
			}
			roundTrip(t, s, c, r)
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

// A certificate that is not trusted is not looked at three times.
func TestTLSUntrusted(t *testing.T) {
	ts := httptest.NewUnstartedServer(http.NotFoundHandler())
	ts.Config.ErrorLog = quietLog
	ts.StartTLS()
	defer ts.Close()
	failed := dialFails(t, t.Context(), ts.URL, &engine.Options{})
	if len(failed.Attempts) != 1 {
		t.Errorf("%v", failed)
	}
}

// proxy is a forward proxy: CONNECT for https, and plain requests for http.
func proxy(t *testing.T) (address *url.URL, connects, plain *atomic.Int32) {
	connects, plain = new(atomic.Int32), new(atomic.Int32)
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			plain.Add(1)
			if r.Header.Get("Upgrade") != "" {
				http.Error(w, "no upgrades here", http.StatusNotImplemented)
				return
			}
			r.RequestURI = ""
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			defer resp.Body.Close()
			w.WriteHeader(resp.StatusCode)
			_, _ = io.Copy(w, resp.Body)
			return
		}
		connects.Add(1)
		out, err := net.Dial("tcp", r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer out.Close()
		in, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer in.Close()
		_, _ = io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(out, in)
			_ = out.(*net.TCPConn).CloseWrite()
		}()
		_, _ = io.Copy(in, out)
		_ = in.Close()
		<-done
	}))
	t.Cleanup(func() {
		ts.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	address, _ = url.Parse(ts.URL)
	return address, connects, plain
}

func TestProxy(t *testing.T) {
	t.Run("https", func(t *testing.T) {
		s := makeServer(t, nil)
		ts := httptest.NewTLSServer(s)
		defer ts.Close()
		defer s.engine.Close()
		address, connects, _ := proxy(t)
		s.url = ts.URL
		transport := ts.Client().Transport.(*http.Transport).Clone()
		transport.Proxy = http.ProxyURL(address)
		defer transport.CloseIdleConnections()
		c, r := s.dial(&engine.Options{HTTPClient: &http.Client{Transport: transport}})
		roundTrip(t, s, c, r)
		if c.Transport() != engine.WebSocket || connects.Load() != 1 {
			t.Errorf("%s, %d times CONNECT", c.Transport(), connects.Load())
		}
		c.Close()
	})
	// A proxy that passes no Upgrade on leaves polling.
	t.Run("http", func(t *testing.T) {
		s := newServer(t, nil)
		address, _, plain := proxy(t)
		transport := &http.Transport{Proxy: http.ProxyURL(address)}
		defer transport.CloseIdleConnections()
		c, r := s.dial(&engine.Options{HTTPClient: &http.Client{Transport: transport}})
		roundTrip(t, s, c, r)
		if c.Transport() != engine.Polling || plain.Load() < 3 {
			t.Errorf("%s, %d requests", c.Transport(), plain.Load())
		}
		c.Close()
	})
}

// roundTripper wraps the body of a response 101, so that its connection is not to
// be had but through it.
type roundTripper struct{ http.RoundTripper }

type onlyBody struct{ io.ReadWriteCloser }

func (r roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.RoundTripper.RoundTrip(req.WithContext(context.WithoutCancel(context.Background())))
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body = onlyBody{resp.Body.(io.ReadWriteCloser)}
	}
	return resp, err
}

// A RoundTripper that tells nothing of its connections will do.
func TestForeignRoundTripper(t *testing.T) {
	s := newServer(t, nil)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	s.client = &http.Client{Transport: roundTripper{transport}}
	c, r := s.dial(nil, engine.WebSocket)
	roundTrip(t, s, c, r)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	c, r = s.dial(nil, engine.WebSocket)
	c.Abort()
	r.expectClosed(engine.ReasonForcedClose)
}
