package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/engineio"
)

// answering returns the address of a server that gives everyone the same answer.
func answering(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func dialFails(t *testing.T, ctx context.Context, address string, opts *engine.Options) *engine.DialError {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = quiet
	}
	c, err := engine.Dial(ctx, address, opts, func(*engine.Conn) engine.Receiver {
		t.Error("accept was called")
		return newRecorder(t)
	})
	var failed *engine.DialError
	if c != nil || !errors.As(err, &failed) {
		t.Fatalf("Dial returned %v, %v", c, err)
	}
	return failed
}

type wrappedTransport struct{ http.RoundTripper }

// TestWrappedDefaultTransport: programs replace http.DefaultTransport by something that traces their requests.
func TestWrappedDefaultTransport(t *testing.T) {
	usual := http.DefaultTransport
	http.DefaultTransport = wrappedTransport{usual}
	defer func() { http.DefaultTransport = usual }()
	s := newServer(t, nil)
	for _, transport := range []string{engine.WebSocket, engine.Polling} {
		c, _ := s.dial(nil, transport)
		c.Close()
	}
}

// TestSlowServer: the error says once who speaks, and for how long it waited.
func TestSlowServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemoryServer(t, nil)
		s.around = func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }
		ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
		defer cancel()
		failed := dialFails(t, ctx, s.url, s.options(nil))
		if want := "engine: websocket: no answer in 300ms; polling: no answer in 300ms; "; !strings.HasPrefix(failed.Error(), want) {
			t.Error(failed)
		}
		for _, a := range failed.Attempts[:2] {
			if a.Err.Error() != "engine: no answer in 300ms" {
				t.Error(a.Err)
			}
		}
	})
}

func TestRefusals(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for name, test := range map[string]struct {
		status      int
		header      string // Retry-After
		contentType string
		body        string
		want        any
	}{
		"engine.io's":        {400, "", "application/json", `{"code":5,"message":"Unsupported protocol version"}`, engine.RefusedError{Status: 400, Code: 5, Message: "Unsupported protocol version"}},
		"code 0":             {400, "", "application/json", `{"code":0,"message":"Transport unknown"}`, engine.RefusedError{Status: 400, Code: 0, Message: "Transport unknown"}},
		"forbidden":          {403, "", "application/json", `{"code":4,"message":"no token"}`, engine.RefusedError{Status: 403, Code: 4, Message: "no token"}},
		"as text":            {400, "", "text/html", `Forbidden`, engine.RefusedError{Status: 400, Code: -1, Message: "Forbidden"}},
		"python's":           {400, "", "application/json", `"The client is using an unsupported version"`, engine.RefusedError{Status: 400, Code: -1, Message: "The client is using an unsupported version"}},
		"overloaded":         {503, "7", "text/plain", `busy`, engine.RefusedError{Status: 503, Code: -1, Message: "busy", RetryAfter: 7 * time.Second}},
		"nonsense to wait":   {503, "-7", "text/plain", `busy`, engine.RefusedError{Status: 503, Code: -1, Message: "busy"}},
		"proxy's page":       {502, "", "text/html", `<html><h1>Bad Gateway</h1></html>`, engine.RefusedError{Status: 502, Code: -1}},
		"long":               {500, "", "text/plain", long, engine.RefusedError{Status: 500, Code: -1}},
		"empty":              {401, "", "", ``, engine.RefusedError{Status: 401, Code: -1}},
		"other JSON":         {500, "", "application/json", `{"message":"oops"}`, engine.RefusedError{Status: 500, Code: -1, Message: `{"message":"oops"}`}},
		"no such path":       {404, "", "text/plain", "404 page not found\n", engine.NotEngineIOError{Status: 404, ContentType: "text/plain"}},
		"page":               {200, "", "text/html", "<!DOCTYPE html><title>Shop</title>", engine.NotEngineIOError{Status: 200, ContentType: "text/html"}},
		"application's data": {200, "", "application/json", `{"ok":true}`, engine.NotEngineIOError{Status: 200, ContentType: "application/json"}},
		"no content":         {204, "", "", ``, engine.NotEngineIOError{Status: 204}},
		"nothing":            {200, "", "text/plain", ``, engine.NotEngineIOError{Status: 200, ContentType: "text/plain"}},
	} {
		t.Run(name, func(t *testing.T) {
			address := answering(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", test.contentType)
				if test.header != "" {
					w.Header().Set("Retry-After", test.header)
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			failed := dialFails(t, t.Context(), address, &engine.Options{Query: url.Values{"token": {"secret"}}})
			if len(failed.Attempts) != 3 {
				t.Fatalf("%d attempts", len(failed.Attempts))
			}
			for i, a := range failed.Attempts {
				if want := []string{"websocket", "polling", "streaming"}[i]; a.Transport != want || a.Phase != "connect" || a.At.IsZero() {
					t.Errorf("attempt %d: %+v", i, a)
				}
				if strings.Contains(a.Err.Error(), "secret") {
					t.Errorf("the error tells the query: %v", a.Err)
				}
				if test.status == 200 && test.body == "" && a.Transport == "streaming" {
					continue // an empty stream
				}
				var refused *engine.RefusedError
				var stranger *engine.NotEngineIOError
				switch want := test.want.(type) {
				case engine.RefusedError:
					if !errors.As(a.Err, &refused) || *refused != want {
						t.Errorf("%s: %#v, want %#v", a.Transport, a.Err, want)
					}
				case engine.NotEngineIOError:
					if !errors.As(a.Err, &stranger) || stranger.Status != want.Status || stranger.ContentType != want.ContentType {
						t.Errorf("%s: %#v, want %#v", a.Transport, a.Err, want)
					} else if stranger.URL != address+"/socket.io/" || stranger.Hint == "" ||
						strings.Contains(stranger.Hint, "switch to WebSocket") && a.Transport != engine.WebSocket {
						t.Errorf("%s: URL %q, hint %q", a.Transport, stranger.URL, stranger.Hint)
					}
				}
			}
		})
	}
}

func TestWrongHandshakes(t *testing.T) {
	for name, test := range map[string]struct{ body, want string }{
		"version 3":      {`97:0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":5000}2:40`, "version 3"},
		"version 3, bin": {"\x00\x09\x07\xff" + `0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":5000}`, "version 3"},
		"no JSON":        {`0{"sid":`, "does not parse"},
		"no id":          {`0{"upgrades":[],"pingInterval":25000,"pingTimeout":20000}`, "lacks"},
		"no interval":    {`0{"sid":"x","pingTimeout":20000}`, "lacks"},
		"types":          {`0{"sid":1,"pingInterval":25000,"pingTimeout":20000}`, "does not parse"},
		"endless":        {`0{"sid":"x","pingInterval":-1,"pingTimeout":20000}`, "lacks"},
	} {
		t.Run(name, func(t *testing.T) {
			address := answering(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				_, _ = io.WriteString(w, test.body)
			})
			failed := dialFails(t, t.Context(), address, &engine.Options{Transports: []string{engine.Polling}})
			if err := failed.Attempts[0].Err; !errors.Is(err, engine.ErrProtocol) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestBadArguments(t *testing.T) {
	for name, test := range map[string]struct {
		url  string
		opts engine.Options
	}{
		"scheme":       {"ftp://example.com", engine.Options{}},
		"no scheme":    {"example.com", engine.Options{}},
		"no host":      {"http://", engine.Options{}},
		"no port":      {"http://x:99999", engine.Options{}},
		"no URL":       {"http://%", engine.Options{}},
		"transport":    {"http://example.com", engine.Options{Transports: []string{"carrier pigeon"}}},
		"twice":        {"http://example.com", engine.Options{Transports: []string{"polling", "polling"}}},
		"negative":     {"http://example.com", engine.Options{MaxMessage: -1}},
		"two configs":  {"http://example.com", engine.Options{HTTPClient: http.DefaultClient, TLSConfig: noTLS}},
		"header error": {"http://example.com", engine.Options{HeaderFunc: func(context.Context) (http.Header, error) { return nil, errors.New("no token") }}},
	} {
		_, err := engine.Dial(t.Context(), test.url, &test.opts, nil)
		var failed *engine.DialError
		if err == nil || errors.As(err, &failed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An address that cannot be reached is not tried three times.
func TestUnreachable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + ln.Addr().String()
	ln.Close()
	failed := dialFails(t, t.Context(), address, &engine.Options{})
	var op *net.OpError
	if len(failed.Attempts) != 1 || !errors.As(failed, &op) {
		t.Errorf("%v", failed)
	}
}

func TestRequests(t *testing.T) {
	for _, transport := range []string{engine.WebSocket, engine.Polling, engine.Streaming} {
		t.Run(transport, func(t *testing.T) {
			s := newServer(t, nil)
			var asked atomic.Int32
			var seen = newQueue[*http.Request]()
			s.around = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				seen.push(r.Clone(context.Background()))
				next.ServeHTTP(w, r)
			}
			s.url = strings.Replace(s.url, "http://", "ws://user:pass@", 1) + "/ignored?a=1&b=1"
			c, _ := s.dial(&engine.Options{
				Header: http.Header{"X-Kept": {"1"}, "x-replaced": {"old"}},
				HeaderFunc: func(context.Context) (http.Header, error) {
					return http.Header{"X-Replaced": {fmt.Sprint(asked.Add(1))}}, nil
				},
				Query: url.Values{"b": {"2"}, "c": {"3", "4"}, "EIO": {"3"}},
			}, transport)
			p := s.accepted.pop(t)
			send(t, c, text("x"))
			p.expect("x")
			c.Close()
			n := 0
			for ; seen.len() > 0; n++ {
				r := seen.pop(t)
				q := r.URL.Query()
				if r.URL.Path != "/socket.io/" || q.Get("EIO") != "4" || q.Get("transport") != transport || q.Get("a") != "1" || q.Get("b") != "2" || !slices.Equal(q["c"], []string{"3", "4"}) {
					t.Errorf("%s", r.URL)
				}
				user, pass, _ := r.BasicAuth()
				if r.Header.Get("X-Kept") != "1" || r.Header.Get("X-Replaced") != "1" || user != "user" || pass != "pass" {
					t.Errorf("%v", r.Header)
				}
				if (q.Get("t") == "") != (transport == engine.WebSocket) || (q.Get("sid") == "") != (n == 0) {
					t.Errorf("%s", r.URL)
				}
			}
			if n < 1 || transport != engine.WebSocket && n < 3 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestCookies(t *testing.T) {
	s := newServer(t, &engineio.Options{Cookie: &http.Cookie{Name: "route"}})
	cookies := newQueue[string]()
	s.around = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		cookies.push(r.URL.Query().Get("transport") + " " + r.Header.Get("Cookie"))
		next.ServeHTTP(w, r)
	}
	moved := make(chan struct{})
	c, _ := s.dial(&engine.Options{OnUpgrade: func(_, _ string) { close(moved) }}, engine.Polling, engine.WebSocket)
	<-moved
	c.Close()
	if first := cookies.pop(t); first != "polling " {
		t.Errorf("first request: %s", first)
	}
	websocket := false
	for cookies.len() > 0 {
		got := cookies.pop(t)
		websocket = websocket || strings.HasPrefix(got, "websocket ")
		if !strings.HasSuffix(got, " route="+c.ID()) {
			t.Errorf("later request: %s", got)
		}
	}
	if !websocket {
		t.Error("no request for a WebSocket")
	}
}

func TestRedirect(t *testing.T) {
	for _, transport := range []string{engine.WebSocket, engine.Polling, engine.Streaming} {
		t.Run(transport, func(t *testing.T) {
			s := newServer(t, nil)
			real := s.url
			var n atomic.Int32
			s.url = answering(t, func(w http.ResponseWriter, r *http.Request) {
				n.Add(1)
				http.Redirect(w, r, real+r.URL.RequestURI(), http.StatusMovedPermanently)
			})
			c, r := s.dial(nil, transport)
			p := s.accepted.pop(t)
			send(t, c, text("there"))
			p.expect("there")
			p.send(false, "back")
			r.expect("back")
			if n.Load() != 1 {
				t.Errorf("%d requests took the detour", n.Load())
			}
		})
	}
}

// A WebSocket that opens and then passes nothing is given up after AttemptTimeout;
// what worked instead comes first the next time, until it is forgotten.
func TestFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemoryServer(t, nil)
		var deaf atomic.Bool
		deaf.Store(true)
		s.around = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if deaf.Load() && r.Header.Get("Upgrade") != "" {
				<-r.Context().Done()
				return
			}
			next.ServeHTTP(w, r)
		}
		opts := &engine.Options{Memory: new(engine.Memory)}
		began := time.Now()
		c, _ := s.dial(opts)
		if took := time.Since(began); c.Transport() != engine.Polling || took != 4*time.Second {
			t.Errorf("%s after %v", c.Transport(), took)
		}
		a := c.Attempts()
		var slow interface{ Timeout() bool }
		if len(a) != 2 || a[0].Transport != "websocket" || !errors.As(a[0].Err, &slow) || a[0].Took != 4*time.Second || a[1].Transport != "polling" || a[1].Err != nil {
			t.Errorf("%+v", a)
		}
		c.Close()
		if a := c.Attempts(); len(a) != 3 || a[2].Phase != "close" || a[2].Err != nil {
			t.Errorf("%+v", a)
		}

		began = time.Now()
		c, _ = s.dial(opts)
		if took := time.Since(began); c.Transport() != engine.Polling || took != 0 {
			t.Errorf("%s after %v, remembered", c.Transport(), took)
		}
		c.Close()
		deaf.Store(false)
		time.Sleep(11 * time.Minute)
		c, _ = s.dial(opts)
		if c.Transport() != engine.WebSocket {
			t.Errorf("%s after ten minutes", c.Transport())
		}
		c.Close()
	})
}

// A deadline is shared out, so that the last transport has its turn.
func TestFallbackWithinDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemoryServer(t, nil)
		s.around = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.URL.Query().Get("transport") != engine.Streaming {
				<-r.Context().Done()
				return
			}
			next.ServeHTTP(w, r)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		c, err := engine.Dial(ctx, s.url, s.options(nil), func(*engine.Conn) engine.Receiver { return newRecorder(t) })
		if err != nil || c.Transport() != engine.Streaming {
			t.Fatal(err)
		}
		c.Close()
	})
}

// Dial can be given up at any point, and then nothing is left: the bubble sees
// goroutines, the listener connections.
func TestCancel(t *testing.T) {
	const open = `0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000}`
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	half := func(said string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, said)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	}
	for name, test := range map[string]struct {
		transport string
		handler   http.HandlerFunc
	}{
		"websocket, no response":    {engine.WebSocket, hang},
		"polling, no response":      {engine.Polling, hang},
		"polling, no body":          {engine.Polling, half("")},
		"polling, half a body":      {engine.Polling, half(open[:20])},
		"streaming, no response":    {engine.Streaming, hang},
		"streaming, half a record":  {engine.Streaming, half(open)},
		"websocket, half a refusal": {engine.WebSocket, half("abc")},
		"websocket, no handshake": {engine.WebSocket, func(w http.ResponseWriter, r *http.Request) {
			rw := hijackWebSocket(t, w, r)
			defer rw.Close()
			_, _ = io.Copy(io.Discard, rw)
		}},
		"websocket, half a frame": {engine.WebSocket, func(w http.ResponseWriter, r *http.Request) {
			rw := hijackWebSocket(t, w, r)
			defer rw.Close()
			_, _ = rw.Write([]byte("\x81\x7e\x00"))
			_, _ = io.Copy(io.Discard, rw)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMemoryServer(t, nil)
				s.around = func(w http.ResponseWriter, r *http.Request, next http.Handler) { test.handler(w, r) }
				ctx, cancel := context.WithCancel(t.Context())
				cause := make(chan struct{})
				go func() {
					defer close(cause)
					synctest.Wait()
					cancel()
				}()
				failed := dialFails(t, ctx, s.url, s.options(nil, test.transport))
				<-cause
				if !errors.Is(failed, context.Canceled) {
					t.Errorf("%v", failed)
				}
			})
		})
	}
	t.Run("no connection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			failed := dialFails(t, ctx, "http://memory.test", &engine.Options{HTTPClient: &http.Client{Transport: transport}})
			transport.CloseIdleConnections() // net/http goes on dialing
			if !errors.Is(failed, context.DeadlineExceeded) {
				t.Errorf("%v", failed)
			}
		})
	})
}
