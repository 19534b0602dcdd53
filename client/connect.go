package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/sockeye-io/sockeye/client/engine"
)

// A conn is what the client needs of an [*engine.Conn]. Tests have one of their own.
type conn interface {
	ID() string
	Transport() string
	Send(ms ...engine.Message) error
	SendVolatile(ms ...engine.Message) bool
	Flush(ctx context.Context) error
	Expired() bool
	Close() error
}

// A dialFunc is [engine.Dial] to the server of the client.
type dialFunc func(ctx context.Context, accept func(conn) engine.Receiver) error

func (c *Client) dialEngine(ctx context.Context, accept func(conn) engine.Receiver) error {
	o := c.opts.engineOptions(c.history.onWebSocket())
	if o.HeaderFunc != nil {
		given := o.HeaderFunc
		o.HeaderFunc = func(ctx context.Context) (h http.Header, err error) {
			err = protect(func() error { h, err = given(ctx); return err })
			return h, err
		}
	}
	o.OnAttempt, o.Memory = c.record, &c.memory
	_, err := engine.Dial(ctx, c.url, &o, func(conn *engine.Conn) engine.Receiver { return accept(conn) })
	return err
}

// A connector is the goroutine that makes the connection. There is at most one that counts, c.connector; it gives up
// when it is not that any more.
type connector struct {
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{} // closed to end the wait; nil if there is none
}

// connect starts a connector unless there is a connection or one is being made. c.mu is held.
func (c *Client) connect() {
	if c.link != nil || c.connector != nil || c.closed {
		return
	}
	c.attempts = 0
	c.change(Change{To: Connecting})
	c.startConnector(0)
}

// startConnector is called with c.mu held.
func (c *Client) startConnector(delay time.Duration) {
	k := new(connector)
	k.ctx, k.cancel = context.WithCancel(c.ctx)
	c.connector = k
	wait := c.await(k, delay)
	c.work.start(func() { c.run(k, wait) })
}

// await returns what ends a wait. c.mu is held.
func (c *Client) await(k *connector, delay time.Duration) func() {
	if delay <= 0 {
		return func() {}
	}
	wake := make(chan struct{})
	k.wake = wake
	return func() {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-wake:
		case <-k.ctx.Done():
		}
	}
}

// run waits and tries until there is a connection or nobody wants one any more.
func (c *Client) run(k *connector, wait func()) {
	defer k.cancel()
	for wait != nil {
		wait()
		c.mu.Lock()
		k.wake = nil
		wanted := c.connector == k
		c.mu.Unlock()
		if !wanted {
			return
		}
		wait = c.attempt(k)
	}
}

// attempt tries once. It returns the wait before the next attempt, nil if there is none.
func (c *Client) attempt(k *connector) (wait func()) {
	timeout := c.opts.ConnectTimeout
	c.mu.Lock()
	if !c.dialDeadline.IsZero() {
		timeout = min(timeout, time.Until(c.dialDeadline))
		c.dialDeadline = time.Time{}
	}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(k.ctx, timeout, errConnectTimeout)
	defer cancel()
	var l *link
	err := c.dial(ctx, func(conn conn) engine.Receiver {
		l = newLink(c, conn)
		c.connected(k, l)
		return l
	})
	if err == nil {
		return nil
	}
	if context.Cause(ctx) == errConnectTimeout {
		err = fmt.Errorf("%w: %w", errConnectTimeout, err)
	}
	if l != nil {
		// It had been accepted, and came to nothing after all.
		c.lost(l, ReasonTransportError, err)
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.connector != k {
		return nil
	}
	for _, s := range c.sockets {
		s.connectFailed(err)
	}
	delay, ok := c.retry("", err)
	if !ok {
		return nil
	}
	return c.await(k, delay)
}

// errConnectTimeout is a context.DeadlineExceeded too: whether the deadline of a Dial or the attempt that shares it ends
// first is chance.
var errConnectTimeout error = connectTimeoutError{}

type connectTimeoutError struct{}

func (connectTimeoutError) Error() string { return "client: no connection in time" }
func (connectTimeoutError) Unwrap() error { return context.DeadlineExceeded }
func (connectTimeoutError) Timeout() bool { return true }

// retry decides whether there is another attempt, and when. If not, nobody wants the connection any more. c.mu is held.
func (c *Client) retry(reason Reason, err error) (delay time.Duration, ok bool) {
	r := &c.opts.Reconnect
	if r.Disabled || (r.Attempts > 0 && c.attempts >= r.Attempts) {
		c.connector = nil
		for _, s := range c.sockets {
			if s.active {
				s.deactivate(err)
			}
		}
		c.change(Change{To: Closed, Reason: reason, Err: err, Attempt: c.attempts})
		return 0, false
	}
	delay = max(r.delay(c.attempts), retryAfter(err))
	c.attempts++
	c.change(Change{To: Reconnecting, Reason: reason, Err: err, Attempt: c.attempts, Delay: delay})
	return delay, true
}

// delay returns the time before an attempt, of which there were n before.
func (r *ReconnectOptions) delay(n int) time.Duration {
	d := float64(r.Delay) * float64(int64(1)<<min(n, 30))
	d *= 1 + r.Jitter*(2*rand.Float64()-1)
	return time.Duration(min(d, float64(r.MaxDelay)))
}

// maxRetryAfter bounds what a server may ask for: a wrong number in a proxy's page must not silence its clients for days.
const maxRetryAfter = time.Hour

// retryAfter returns how long the server asks to stay away, at most maxRetryAfter.
func retryAfter(err error) time.Duration {
	var d time.Duration
	visit(err, func(err error) {
		if refused, ok := err.(*engine.RefusedError); ok {
			d = max(d, refused.RetryAfter)
		}
	})
	return min(d, maxRetryAfter)
}

// visit calls f with err and all that it wraps.
func visit(err error, f func(error)) {
	if err == nil {
		return
	}
	f(err)
	switch x := err.(type) {
	case interface{ Unwrap() error }:
		visit(x.Unwrap(), f)
	case interface{ Unwrap() []error }:
		for _, err := range x.Unwrap() {
			visit(err, f)
		}
	}
}

// connected takes a connection into use, before anything is read from it.
func (c *Client) connected(k *connector, l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.connector != k {
		close(l.gone)
		c.discard(l)
		return
	}
	c.connector, c.link = nil, l
	c.change(Change{To: Connected, Attempt: c.attempts})
	c.attempts = 0
	for _, s := range c.sockets {
		if s.active {
			s.join()
		}
	}
}

// lost ends the use of a connection. Calls for one that is not in use do nothing.
func (c *Client) lost(l *link, reason Reason, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != l {
		return
	}
	c.link = nil
	close(l.gone)
	for _, s := range c.sockets {
		s.lost(reason, err)
	}
	if delay, ok := c.retry(reason, err); ok {
		c.startConnector(delay)
	}
}

// release lets go of the connection if no socket wants it. c.mu is held.
func (c *Client) release() {
	if slices.ContainsFunc(c.sockets, func(s *Socket) bool { return s.active }) {
		return
	}
	if l := c.detach(); l != nil {
		c.discard(l)
	}
}

// detach gives up the connection, which it returns, or the attempt to make one. c.mu is held.
func (c *Client) detach() *link {
	if k := c.connector; k != nil {
		k.cancel()
		c.connector = nil
	}
	l := c.link
	if l != nil {
		c.link = nil
		close(l.gone)
		for _, s := range c.sockets {
			s.lost(ReasonForcedClose, nil)
		}
	}
	if c.state != Closed {
		c.change(Change{To: Closed, Reason: ReasonForcedClose})
	}
	return l
}

// discard closes a connection that is not in use any more, after what was sent has left.
func (c *Client) discard(l *link) {
	c.work.start(func() { _ = l.conn.Close() }) // who left does not wait for the network
}

// RetryNow ends the wait before the next attempt, if there is one: for a program that knows that the network is back.
func (c *Client) RetryNow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.connector; k != nil && k.wake != nil {
		close(k.wake)
		k.wake = nil
	}
	for _, s := range c.sockets {
		s.rejoin()
	}
}
