package doctor

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/engineio"
)

func TestCached(t *testing.T) {
	var mu sync.Mutex
	stored := map[string]*httptest.ResponseRecorder{}
	h := wrap(sockeye(t, engineio.Options{}), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method != http.MethodGet || r.URL.Query().Has("sid") || r.Header.Get("Upgrade") != "" || r.URL.Query().Get("transport") != "polling" {
			next.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		rec := stored[r.URL.String()]
		if rec == nil {
			rec = httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			stored[r.URL.String()] = rec
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
	r := examine(t, serve(t, h), Options{})
	expect(t, r, "polling", Problem, "cached")
}

// A server that handles one request at a time can't do long-polling: the GET that waits keeps the POST out.
func TestOneRequestAtATime(t *testing.T) {
	waiting, left := make(chan struct{}), make(chan struct{})
	var once sync.Once
	h := wrap(sockeye(t, engineio.Options{}), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		switch {
		case r.Method == http.MethodGet && r.URL.Query().Has("sid"):
			once.Do(func() {
				close(waiting)
				defer close(left)
				next.ServeHTTP(w, r)
			})
		case strings.HasPrefix(string(body), "40"):
			select {
			case <-waiting:
				<-left
			case <-r.Context().Done():
			}
			next.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
	r := examine(t, serve(t, h), Options{Timeout: 2 * time.Second})
	expect(t, r, "polling", Problem, "one-request")
}

func TestPostRefused(t *testing.T) {
	h := wrap(sockeye(t, engineio.Options{}), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost {
			http.Error(w, "CSRF token mismatch", 419)
			return
		}
		next.ServeHTTP(w, r)
	})
	r := examine(t, serve(t, h), Options{})
	expect(t, r, "polling", Problem, "post-refused")
	expect(t, r, "websocket", OK, "")
}

// Engine.IO without Socket.IO on top of it.
func TestBareEngineIO(t *testing.T) {
	h := engineio.NewServer(&engineio.Options{Path: "/engine.io/", Logger: slog.New(slog.DiscardHandler)}, func(*engineio.Session) engineio.Receiver { return deaf{} })
	defer h.Close()
	r := examine(t, serve(t, h), Options{Path: "/engine.io/", Timeout: 3 * time.Second})
	expect(t, r, "polling", OK, "")
	expect(t, r, "websocket", OK, "")
	expect(t, r, "connect", Problem, "connect-silent")
	expect(t, r, "payload", OK, "")
}

type deaf struct{}

func TestClosedAfter101(t *testing.T) {
	h := wrap(sockeye(t, engineio.Options{}), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("Upgrade") == "" {
			next.ServeHTTP(w, r)
			return
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", acceptKey(r.Header.Get("Sec-WebSocket-Key")))
	})
	r := examine(t, serve(t, h), Options{})
	expect(t, r, "websocket", Problem, "closed-after-101")
}

func TestHandshakeRefused(t *testing.T) {
	r := examine(t, serve(t, sockeye(t, engineio.Options{AllowRequest: func(*http.Request) error { return fmt.Errorf("members only") }})), Options{})
	f := expect(t, r, "polling", Problem, "handshake-refused")
	if !strings.Contains(f.Text, "members only") {
		t.Errorf("the server's words are missing: %s", f.Text)
	}
	expect(t, r, "websocket", Problem, "upgrade-refused")
}

func TestPayload(t *testing.T) {
	h := wrap(sockeye(t, engineio.Options{}), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.ContentLength > 5000 {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		next.ServeHTTP(w, r)
	})
	f := expect(t, examine(t, serve(t, h), Options{}), "payload", Problem, "payload-413")
	if !strings.Contains(f.Text, "1000000 bytes") || !strings.Contains(f.Config, "client_max_body_size") {
		t.Errorf("%+v", f)
	}
}

func TestIdle(t *testing.T) {
	o := engineio.Options{PingInterval: 70 * time.Second}
	expect(t, examine(t, serve(t, sockeye(t, o)), Options{}), "idle", Warning, "interval-long")
	o = engineio.Options{PingTimeout: time.Second}
	expect(t, examine(t, serve(t, sockeye(t, o)), Options{}), "idle", Warning, "timeout-short")
	o = engineio.Options{PingInterval: 100 * time.Millisecond}
	var told atomic.Int64
	r := examine(t, serve(t, sockeye(t, o)), Options{Idle: 2500 * time.Millisecond, Progress: func(title string, _, _ int64) {
		if strings.HasPrefix(title, "idle") {
			told.Add(1)
		}
	}})
	expect(t, r, "idle", OK, "")
	if told.Load() == 0 {
		t.Error("there was no progress")
	}
	if s := r.Step("idle").Summary; !strings.Contains(s, "keep connections open") {
		t.Errorf("heartbeats were seen, and it says %q", s)
	}
}

func TestRateLimit(t *testing.T) {
	o := engineio.Options{Handshakes: engineio.HandshakeLimit{PerSecond: 0.001, Burst: 12, IncludePrivate: true}}
	r := examine(t, serve(t, sockeye(t, o)), Options{Sessions: 20})
	expect(t, r, "sticky", Warning, "rate-limited")
}

// A heartbeat came, and the connection is cut all the same: not for being idle.
func TestLifetime(t *testing.T) {
	o := engineio.Options{PingInterval: 50 * time.Millisecond, Transports: []string{"websocket"}}
	h := wrap(sockeye(t, o), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&cutAfter{w, 4}, r)
	})
	r := examine(t, serve(t, h), Options{Idle: time.Minute})
	expect(t, r, "idle", Warning, "lifetime-cut")
}

// cutAfter gives a connection that ends when the server has written so many pings to it.
type cutAfter struct {
	http.ResponseWriter
	pings int
}

func (c *cutAfter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(c.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return &cutConn{Conn: conn, left: c.pings}, rw, nil
}

type cutConn struct {
	net.Conn
	left int
}

func (c *cutConn) Write(b []byte) (int, error) {
	if string(b) == "\x81\x012" {
		if c.left--; c.left < 0 {
			c.Close()
		}
	}
	return c.Conn.Write(b)
}

func TestLargeMessagesByWebSocket(t *testing.T) {
	h := wrap(sockeye(t, engineio.Options{}), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&small{w}, r)
	})
	r := examine(t, serve(t, h), Options{})
	expect(t, r, "payload", Problem, "websocket-payload")
	expect(t, r, "websocket", OK, "")
}

// small gives connections that break off when more than 128 KiB were read.
type small struct{ http.ResponseWriter }

func (s *small) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(s.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return &smallConn{Conn: conn}, rw, nil
}

func (s *small) Unwrap() http.ResponseWriter { return s.ResponseWriter }

type smallConn struct {
	net.Conn
	read int
}

func (c *smallConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.read += n; c.read > 128<<10 {
		c.Close()
		return 0, io.EOF
	}
	return n, err
}

// Requests go over HTTP/2 where a browser's would, and WebSocket over HTTP/1.1.
func TestHTTP2(t *testing.T) {
	s := httptest.NewUnstartedServer(sockeye(t, engineio.Options{}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	r := examine(t, s.URL, Options{})
	expect(t, r, "tls", Problem, "tls-self-signed") // all else is in order
	for _, id := range []string{"polling", "websocket", "streaming", "sticky", "payload", "idle"} {
		expect(t, r, id, OK, "")
	}
	if text := strings.Join(r.Step("polling").Evidence, "\n"); !strings.Contains(text, "HTTP/2.0") {
		t.Errorf("polling went over %s", text)
	}
}
