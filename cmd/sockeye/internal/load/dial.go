package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/event"
)

// network connects users with package client.
type network struct {
	plan   *Plan
	locals []*net.TCPAddr // nil: the system's choice
	next   atomic.Int64
	shared []*http.Transport // one for each local address, for WebSockets
	log    *slog.Logger
}

func newDialer(p *Plan) (*network, error) {
	n := &network{plan: p, locals: []*net.TCPAddr{nil}, log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if len(p.Local) > 0 {
		n.locals = nil
		for _, text := range p.Local {
			ip := net.ParseIP(text)
			if ip == nil {
				return nil, fmt.Errorf("local address %q is no IP address", text)
			}
			n.locals = append(n.locals, &net.TCPAddr{IP: ip})
		}
	}
	for _, a := range n.locals {
		n.shared = append(n.shared, n.transport(a))
	}
	return n, nil
}

// transport makes what HTTP goes over. HTTP/1.1 only: a browser's polling may share a connection over HTTP/2, but a load
// whose clients share connections would say little about connections.
func (n *network) transport(local *net.TCPAddr) *http.Transport {
	d := &net.Dialer{Timeout: n.plan.Timeout, KeepAlive: -1, Control: lateBind}
	if local != nil {
		d.LocalAddr = local
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         d.DialContext,
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: n.plan.Insecure},
		TLSHandshakeTimeout: n.plan.Timeout,
		Protocols:           protocols,
		DisableCompression:  true,
		MaxIdleConnsPerHost: 2,
		IdleConnTimeout:     time.Minute,
	}
}

// dial implements dialer. It makes one attempt.
func (n *network) dial(ctx context.Context, u *user, sc *scope) (session, error) {
	p := n.plan
	// Cookies are a client's own: shared ones would send all of them to the same node behind a balancer.
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	i := int(n.next.Add(1)-1) % len(n.locals)
	transport := n.shared[i]
	var own *http.Transport
	if len(u.share.Transports) != 1 || u.share.Transports[0] != "websocket" {
		own = n.transport(n.locals[i]) // for connections that are nobody else's, as with a browser
		transport = own
	}
	opts := &client.Options{
		HTTPClient:     &http.Client{Transport: transport, Jar: jar},
		Header:         p.Header,
		Path:           p.Path,
		Transports:     u.share.Transports,
		ConnectTimeout: p.Timeout,
		Reconnect:      client.ReconnectOptions{Disabled: !p.Reconnect},
		Buffer:         client.BufferOptions{Policy: client.NoBuffer},
		Logger:         n.log,
	}
	if u.sc.auth != nil {
		auth := u.sc.auth.value(sc)
		opts.Auth = func(context.Context) (any, error) { return auth, nil }
	}
	c, err := client.New(p.URL, opts)
	if err != nil {
		return nil, err
	}
	s := &clientSession{socket: c.Of(u.sc.Namespace), own: own, listener: u}
	s.socket.OnAny(func(_ context.Context, m *event.Message) error {
		u.message(m)
		return nil
	})
	s.socket.OnDisconnect(func(reason client.Reason, err error) {
		if reason != client.ReasonClientDisconnect {
			u.lost(string(reason), err)
		}
	})
	s.socket.OnConnect(s.entered)
	failed := make(chan error, 1)
	if p.Reconnect {
		// The client would go on trying in silence. A failure is a failure, and users have their own way to try again.
		c.OnState(func(ch client.Change) {
			if ch.To == client.Reconnecting && ch.Err != nil && ch.Attempt > 0 {
				select {
				case failed <- ch.Err:
				default:
				}
			}
		})
	}
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	done := make(chan error, 1)
	if p.Reconnect {
		go func() { done <- s.socket.Connect(ctx) }()
		select {
		case err = <-done:
		case err = <-failed:
			cancel()
			<-done //nolint:errcheck // err says why
		}
	} else {
		err = s.socket.Connect(ctx)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// A clientSession is a session over package client.
type clientSession struct {
	socket   *client.Socket
	own      *http.Transport
	listener listener
	mu       sync.Mutex
	before   bool
}

// entered tells of connections but the first, which dial returns.
func (s *clientSession) entered() {
	s.mu.Lock()
	before := s.before
	s.before = true
	s.mu.Unlock()
	if before {
		s.listener.back()
	}
}

func (s *clientSession) Emit(name string, args ...any) error { return s.socket.Emit(name, args...) }

func (s *clientSession) EmitWithAck(ctx context.Context, name string, args ...any) (*event.Ack, error) {
	return s.socket.EmitWithAck(ctx, name, args...)
}

func (s *clientSession) Transport() string { return s.socket.Client().Transport() }

func (s *clientSession) Close() {
	_ = s.socket.Client().Close() // tells of what could not be sent, which the steps know
	if s.own != nil {
		s.own.CloseIdleConnections()
	}
}
