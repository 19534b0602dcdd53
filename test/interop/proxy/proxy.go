// Package proxy is a reverse proxy that misbehaves the way proxies in front of real users do, over real sockets: it
// refuses, hangs or strips WebSocket upgrades, holds back responses until they are complete, and closes connections
// that are idle. It can also cut every connection at once and play dead, which is what a lost network looks like.
package proxy

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// UpgradeMode says what the proxy does with requests that carry an Upgrade header.
type UpgradeMode int

const (
	Pass    UpgradeMode = iota // as a good proxy does
	Refuse                     // answers 403 itself
	Hang                       // takes the request and never answers
	Strip                      // forwards it as a plain request, without the headers that make it an upgrade
	Swallow                    // passes the handshake, then drops every byte in both directions
)

// Options of a proxy. The zero value is a good proxy.
type Options struct {
	Upgrade UpgradeMode
	// Buffer holds each response back until its end has arrived. A response that stays open never arrives.
	Buffer bool
	// Idle closes connections on which nothing moved for that long; 0 never does.
	Idle time.Duration
}

// Proxy is a running proxy.
type Proxy struct {
	options Options
	target  string
	ln      *listener
	server  *http.Server
	reverse *httputil.ReverseProxy

	upgrades, streams, idled atomic.Int64
}

// Start starts a proxy on a free port for the server at target (host:port) and stops it when the test ends.
func Start(t testing.TB, target string, o Options) *Proxy {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{options: o, target: target}
	p.ln = &listener{Listener: inner, proxy: p, conns: map[*conn]struct{}{}}
	p.reverse = httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: target})
	p.reverse.FlushInterval = -1
	p.reverse.ErrorLog = log.New(io.Discard, "", 0)
	// A transport of its own: its idle connections end with the proxy and are not shared with other tests.
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	p.reverse.Transport = transport
	if o.Buffer {
		p.reverse.ModifyResponse = hold
	}
	p.server = &http.Server{Handler: p, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.server.Serve(p.ln)
	}()
	t.Cleanup(func() {
		p.Down()
		_ = p.server.Close()
		<-done
		transport.CloseIdleConnections()
	})
	return p
}

// Addr returns host:port of the proxy.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// URL returns the base URL without a trailing slash.
func (p *Proxy) URL() string { return "http://" + p.Addr() }

// Upgrades counts the requests that asked for an upgrade.
func (p *Proxy) Upgrades() int64 { return p.upgrades.Load() }

// Streams counts the requests of the streaming transport.
func (p *Proxy) Streams() int64 { return p.streams.Load() }

// Idled counts the connections closed because nothing moved on them.
func (p *Proxy) Idled() int64 { return p.idled.Load() }

// Cut resets every open connection; new ones are accepted.
func (p *Proxy) Cut() { p.ln.cut() }

// Down resets every open connection and every new one, until Up.
func (p *Proxy) Down() {
	p.ln.down.Store(true)
	p.ln.cut()
}

// Up accepts connections again.
func (p *Proxy) Up() { p.ln.down.Store(false) }

// ServeHTTP carries one request, or doesn't.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("transport") == "streaming" && r.Method == http.MethodGet {
		p.streams.Add(1)
	}
	if r.Header.Get("Upgrade") == "" {
		p.reverse.ServeHTTP(w, r)
		return
	}
	p.upgrades.Add(1)
	switch p.options.Upgrade {
	case Refuse:
		http.Error(w, "upgrades are not allowed here", http.StatusForbidden)
	case Hang:
		<-r.Context().Done()
	case Strip:
		r.Header.Del("Upgrade")
		r.Header.Del("Connection")
		for name := range r.Header {
			if strings.HasPrefix(name, "Sec-Websocket-") {
				r.Header.Del(name)
			}
		}
		p.reverse.ServeHTTP(w, r)
	case Swallow:
		p.swallow(w, r)
	default:
		p.reverse.ServeHTTP(w, r)
	}
}

// swallow passes the server's answer to the handshake and nothing after it.
func (p *Proxy) swallow(w http.ResponseWriter, r *http.Request) {
	backend, err := net.Dial("tcp", p.target)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer backend.Close()
	if err := r.Write(backend); err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	head, err := readHead(backend)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	if _, err := client.Write(head); err != nil {
		return
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, backend)
		client.Close()
	}()
	_, _ = io.Copy(io.Discard, client)
	backend.Close()
	<-gone
}

// readHead reads up to the empty line that ends the header, a byte at a time so as to take nothing after it.
func readHead(c net.Conn) ([]byte, error) {
	var head []byte
	one := make([]byte, 1)
	for len(head) < 4 || string(head[len(head)-4:]) != "\r\n\r\n" {
		if _, err := io.ReadFull(c, one); err != nil {
			return nil, err
		}
		head = append(head, one[0])
	}
	return head, nil
}

// hold reads a response to its end before the first byte of it goes on.
func hold(res *http.Response) error {
	if res.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	res.Body = io.NopCloser(strings.NewReader(string(body)))
	res.ContentLength = int64(len(body))
	res.TransferEncoding = nil
	return nil
}

// listener hands out connections that it can cut and that watch for idleness.
type listener struct {
	net.Listener
	proxy *Proxy
	down  atomic.Bool

	mu    sync.Mutex
	conns map[*conn]struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		inner, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: inner, l: l}
		l.mu.Lock()
		l.conns[c] = struct{}{}
		l.mu.Unlock()
		// Looked at after the registration, so that a concurrent Down either sees the connection or is seen.
		if l.down.Load() {
			c.reset()
			continue
		}
		if idle := l.proxy.options.Idle; idle > 0 {
			c.timer.Store(time.AfterFunc(idle, func() {
				l.proxy.idled.Add(1)
				c.reset()
			}))
		}
		return c, nil
	}
}

func (l *listener) cut() {
	l.mu.Lock()
	conns := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		conns = append(conns, c)
	}
	l.mu.Unlock()
	for _, c := range conns {
		c.reset()
	}
}

type conn struct {
	net.Conn
	l     *listener
	timer atomic.Pointer[time.Timer]
}

func (c *conn) moved(n int) {
	if n == 0 {
		return
	}
	// Stop reports false once the timer has fired: the connection is being closed and must not be watched again.
	if t := c.timer.Load(); t != nil && t.Stop() {
		t.Reset(c.l.proxy.options.Idle)
	}
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.moved(n)
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.moved(n)
	return n, err
}

func (c *conn) Close() error {
	if t := c.timer.Load(); t != nil {
		t.Stop()
	}
	c.l.mu.Lock()
	delete(c.l.conns, c)
	c.l.mu.Unlock()
	return c.Conn.Close()
}

// reset closes the connection the way a dying middlebox does, with what was not yet sent thrown away.
func (c *conn) reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
