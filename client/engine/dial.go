package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"
)

// errNoHandshake: what answered did not begin with a handshake.
var errNoHandshake = errors.New("engine: no handshake")

// noAnswerError is a transport that took too long.
type noAnswerError struct{ after time.Duration }

func (e *noAnswerError) Error() string { return fmt.Sprintf("engine: no answer in %v", e.after) }

// Timeout makes it a net.Error's timeout to those who ask.
func (e *noAnswerError) Timeout() bool { return true }

// dialing is what Dial knows.
type dialing struct {
	conn     *Conn
	opts     *Options
	requests *requests
	order    []string
	way      way
	accept   func(*Conn) Receiver
}

// opener is a transport on its way.
type opener interface {
	transport
	// open connects and returns the server's handshake. ctx bounds it and has no
	// meaning afterwards; extra is added to the query.
	open(ctx context.Context, extra map[string]string) (handshake, error)
	// drop lets go of a transport that is not going to be served.
	drop()
}

// Dial connects to the server at rawURL (http, https, ws or wss): it tries the
// transports until the handshake of one has arrived. Then it calls accept, once,
// before anything else is read; what accept returns, which must not be nil,
// receives. accept may send.
//
// ctx bounds Dial and nothing later. If it ends, nothing is left behind. The error
// is a *DialError, that of Options.HeaderFunc, or says what is wrong with rawURL
// or opts.
func Dial(ctx context.Context, rawURL string, opts *Options, accept func(*Conn) Receiver) (*Conn, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	r, err := newRequests(ctx, rawURL, &o)
	if err != nil {
		return nil, err
	}
	d := &dialing{opts: &o, requests: r, accept: accept, order: o.Transports}
	d.conn = &Conn{
		maxMessage: o.MaxMessage, maxOutbox: o.MaxOutbox, attemptTimeout: o.AttemptTimeout,
		onAttempt: o.OnAttempt, onUpgrade: o.OnUpgrade, log: o.Logger, wall: o.wall,
		memory: o.Memory, key: r.key(), done: make(chan struct{}),
	}
	d.way = o.Memory.recall(d.conn.key)
	if len(d.order) == 0 {
		d.order = defaultOrder(d.way.transport)
	}
	if err := d.dial(ctx); err != nil {
		r.release()
		return nil, err
	}
	return d.conn, nil
}

func (d *dialing) dial(ctx context.Context) error {
	share := d.opts.AttemptTimeout
	if deadline, ok := ctx.Deadline(); ok {
		share = min(share, time.Until(deadline)/time.Duration(len(d.order)))
		share = max(share.Round(time.Millisecond), time.Millisecond) // errors name it
	}
	for i, name := range d.order {
		began := time.Now()
		attempt, cancel := ctx, context.CancelFunc(func() {})
		if i < len(d.order)-1 {
			attempt, cancel = context.WithTimeoutCause(ctx, share, &noAnswerError{share})
		}
		t := d.conn.opener(ctx, name, d.requests)
		h, err := t.open(attempt, d.extra())
		if err == nil {
			err = context.Cause(attempt)
		}
		cancel()
		if err == nil {
			d.establish(t, h, began, d.order[i+1:])
			return nil
		}
		t.drop()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		d.conn.record(name, phaseConnect, began, err)
		if ctx.Err() != nil || sameForAll(err) {
			break
		}
	}
	return &DialError{Attempts: d.conn.history}
}

// sameForAll reports whether another transport would fare no better.
func sameForAll(err error) bool {
	var dial *net.OpError
	var name *net.DNSError
	var cert *tls.CertificateVerificationError
	return errors.As(err, &dial) && dial.Op == "dial" || errors.As(err, &name) || errors.As(err, &cert)
}

// opener returns a transport whose requests have the values of ctx.
func (c *Conn) opener(ctx context.Context, name string, r *requests) opener {
	if name == WebSocket {
		return &webSocket{conn: c, requests: r}
	}
	return newPolling(ctx, c, r, name == Streaming)
}

// extra is what only a handshake's query says.
func (d *dialing) extra() map[string]string {
	extra := map[string]string{}
	if d.way.heartbeat > 0 {
		extra["heartbeat"] = strconv.FormatInt(d.way.heartbeat.Milliseconds(), 10)
	}
	if d.upgrades() && slices.Contains(d.order, Streaming) {
		extra["streaming"] = "1" // without it the server does not offer that
	}
	return extra
}

// upgrades reports whether the connection goes on to a later transport.
func (d *dialing) upgrades() bool {
	return !d.opts.NoUpgrade && len(d.opts.Transports) > 0 && d.opts.Transports[0] != WebSocket
}

// establish makes a connection of a transport whose handshake has arrived.
func (d *dialing) establish(t opener, h handshake, began time.Time, later []string) {
	c := d.conn
	c.id, c.interval, c.timeout, c.maxPayload = h.ID, h.Interval, h.Timeout, h.MaxPayload
	c.opened = time.Now()
	c.alive()
	if d.way.heartbeat > 0 && d.way.heartbeat < c.interval {
		c.keepAlive = d.way.heartbeat // the server did not grant it
	}
	c.transport = t
	c.running = 1
	if t.name() != WebSocket {
		c.requests = d.requests
	}
	lost := slices.ContainsFunc(c.history, func(a Attempt) bool { return a.Transport == WebSocket })
	c.record(t.name(), phaseConnect, began, nil)
	c.memory.learn(c.key, t.name(), len(d.opts.Transports) == 0)
	if t.name() == WebSocket {
		d.requests.release()
	}

	var next []string
	if d.upgrades() {
		for _, name := range later {
			if slices.Contains(h.Upgrades, name) {
				next = append(next, name)
			}
		}
	}
	// A WebSocket that used to work and now does not may have met a server that was
	// just starting. It gets one more chance, so that a restart does not leave the
	// client on a lesser transport.
	if lost && d.way.worked && slices.Contains(h.Upgrades, WebSocket) {
		next = []string{WebSocket}
	}

	c.state = stateOpen
	c.ask(d.accept)
	c.mu.Lock()
	if c.state != stateClosed {
		c.watch()
	}
	if c.state == stateOpen && len(next) > 0 {
		c.start(func() { c.upgrade(next, len(d.opts.Transports) == 0) })
	}
	c.mu.Unlock()
	go t.serve()
}
