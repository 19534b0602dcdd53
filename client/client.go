package client

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/internal/hooks"
)

// A Subscription removes what was added; see [event.Subscription].
type Subscription = event.Subscription

// A Handler handles one event; see [event.Handler].
type Handler = event.Handler

// A Message is an event that came in; see [event.Message].
type Message = event.Message

// An Ack is an acknowledgement that came in; see [event.Ack].
type Ack = event.Ack

// A State is what a client's connection is like.
type State uint8

const (
	// Closed is a client that has no connection and looks for none: no socket wants one, or it has given up.
	Closed State = iota
	// Connecting is the first attempt to connect.
	Connecting
	// Connected is a connection that stands. Whether a namespace is joined is [Socket.Connected].
	Connected
	// Reconnecting is a client that had a connection, or failed to get one, and waits for its next attempt or is at it.
	Reconnecting
)

// String returns the name of the state, such as "connected".
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Connecting:
		return "connecting"
	case Connected:
		return "connected"
	case Reconnecting:
		return "reconnecting"
	}
	return "unknown"
}

// A Change is a step of a client from one state to the next. One from Reconnecting to Reconnecting is an attempt that
// has failed, with another to follow.
type Change struct {
	From, To State
	// Reason is why a connection ended, if one did.
	Reason Reason
	// Err is what was wrong with the connection that ended, or why the last attempt failed.
	Err error
	// Attempt is the number of the attempt that is to come, counted from 1, if To is Reconnecting. If it is Connected or
	// Closed, it is how many attempts to connect again there were.
	Attempt int
	// Delay is the time until the next attempt, if To is Reconnecting.
	Delay time.Duration
}

// A Client is one connection to a server, which is made again whenever it is lost, and the sockets that share it. It
// connects when a socket wants to, and has no connection while none does.
type Client struct {
	url  string
	host string // for the log
	path string // of the URL: the namespace that Dial joins
	opts *Options
	dial dialFunc
	ctx  context.Context // ends with Close
	stop context.CancelFunc
	work work

	// mu guards the state of the client and of its sockets. Nothing that blocks is done under it, and no function of the
	// user is called; packets are sent under it, so that their order is that of what they are about.
	mu        sync.Mutex
	state     State
	closed    bool
	sockets   []*Socket
	link      *link      // while Connected
	connector *connector // while Connecting or Reconnecting
	attempts  int        // since the last success, the first one not counted
	// dialDeadline is that of the context of Dial, for the transports to share: one that hangs must not take it all.
	dialDeadline time.Time

	queue     queue // of changes and attempts, for those who listen
	onState   hooks.List[func(Change)]
	onAttempt hooks.List[func(engine.Attempt)]

	history history
	memory  engine.Memory
}

// New returns a client that is not connected and connects to nothing until one of its sockets is told to. The error is
// that of a URL or options that are wrong. The path of the URL does not count here: see [Client.Of].
func New(rawURL string, opts *Options) (*Client, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	switch u.Scheme {
	case "http", "https", "ws", "wss":
	default:
		return nil, fmt.Errorf("client: the URL must begin with http, https, ws or wss: %q", u.Redacted())
	}
	if u.Host == "" {
		return nil, fmt.Errorf("client: the URL names no host: %q", u.Redacted())
	}
	c := &Client{path: u.Path, host: u.Host, opts: o}
	u.Path, u.RawPath, u.Fragment = "", "", ""
	c.url = u.String()
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.dial = c.dialEngine
	return c, nil
}

// Dial connects to the namespace that is the path of the URL, which is http, https, ws or wss. It makes one attempt and
// returns its error, a [*ConnectError] if the server refused; nothing is left behind then. Once connected, the client
// connects again whenever the connection is lost, until [Client.Close], see [Socket.Client].
//
// What the server sends as soon as it has let the socket in may come before the caller has added listeners. Who must not
// miss it calls New, Of, On and Connect, in this order.
func Dial(ctx context.Context, rawURL string, opts *Options) (*Socket, error) {
	c, err := New(rawURL, opts)
	if err != nil {
		return nil, err
	}
	s := c.Of(c.path)
	c.dialDeadline, _ = ctx.Deadline() // nobody else has the client yet
	if err := s.connect(ctx, true); err != nil {
		_ = c.Close() // nothing was sent
		return nil, err
	}
	return s, nil
}

// Of returns the socket of a namespace, the same one every time. A slash in front is added, and "" means "/". It is not
// connected by this.
func (c *Client) Of(namespace string) *Socket {
	if !strings.HasPrefix(namespace, "/") {
		namespace = "/" + namespace
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.find(namespace); s != nil {
		return s
	}
	s := newSocket(c, namespace)
	c.sockets = append(c.sockets, s)
	return s
}

// find returns the socket of a namespace or nil. c.mu is held.
func (c *Client) find(namespace string) *Socket {
	for _, s := range c.sockets {
		if s.namespace == namespace {
			return s
		}
	}
	return nil
}

// State returns what the connection is like.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// change goes to another state and tells who listens. c.mu is held.
func (c *Client) change(ch Change) {
	ch.From, c.state = c.state, ch.To
	log := c.opts.Logger.Enabled(c.ctx, slog.LevelDebug)
	if !log && len(c.onState.Snapshot()) == 0 {
		return
	}
	c.queue.push(&c.work, task{run: func() {
		if log {
			c.opts.Logger.Debug("client: "+ch.To.String(), "host", c.host, "from", ch.From.String(),
				"reason", string(ch.Reason), "error", ch.Err, "attempt", ch.Attempt, "delay", ch.Delay)
		}
		for _, f := range c.onState.Snapshot() {
			c.logPanic(protect(func() error { (*f)(ch); return nil }))
		}
	}})
}

func (c *Client) logPanic(err error) {
	if err != nil {
		c.opts.Logger.Error("client: panic", "host", c.host, "panic", err)
	}
}

// OnState calls f with every change of the state, one at a time and in order, on a goroutine of the client.
func (c *Client) OnState(f func(Change)) Subscription { return c.onState.Add(f) }

// OnAttempt calls f with every new entry of the history of transports, likewise.
func (c *Client) OnAttempt(f func(engine.Attempt)) Subscription { return c.onAttempt.Add(f) }

// Attempts returns the last 100 entries of the history of transports, the oldest first.
func (c *Client) Attempts() []engine.Attempt { return c.history.all() }

// Transport returns the name of the transport in use, "" without a connection.
func (c *Client) Transport() string {
	if conn := c.conn(); conn != nil {
		return conn.Transport()
	}
	return ""
}

// SessionID returns the id of the connection, "" without one. It is not the id of a socket.
func (c *Client) SessionID() string {
	if conn := c.conn(); conn != nil {
		return conn.ID()
	}
	return ""
}

func (c *Client) conn() conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil {
		return nil
	}
	return c.link.conn
}

// Close disconnects every socket, after what was emitted has been sent, and closes the connection. It returns when all
// goroutines of the client and all handlers have ended, except a handler that calls it. Events that wait for handlers
// are not handled any more. The error is an [*UnsentError] if events were emitted that could not be sent. Further calls
// wait likewise and return nil.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		c.work.wait()
		return nil
	}
	c.closed = true
	unsent := 0
	for _, s := range c.sockets {
		unsent += s.shut()
	}
	l := c.detach()
	c.work.add()
	c.mu.Unlock()

	c.stop()
	var err error
	if l != nil {
		err = l.conn.Close()
	}
	c.work.done()
	c.work.wait()
	if unsent > 0 || err != nil {
		return &UnsentError{Events: unsent, Err: err}
	}
	return nil
}

// A history is what is known of the transports that were tried. It has a lock of its own: connections add to it while
// they hold theirs.
type history struct {
	mu       sync.Mutex
	list     []engine.Attempt
	upgraded bool // the last connection that was made got as far as WebSocket
}

const maxHistory = 100

func (h *history) add(a engine.Attempt) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.list) == maxHistory {
		h.list = slices.Delete(h.list, 0, 1)
	}
	h.list = append(h.list, a)
	if a.Phase != "close" && (a.Err == nil || a.Transport == engine.WebSocket) {
		h.upgraded = a.Err == nil && a.Transport == engine.WebSocket
	}
}

func (h *history) onWebSocket() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.upgraded
}

func (h *history) all() []engine.Attempt {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.list)
}

// record takes a new entry of the history.
func (c *Client) record(a engine.Attempt) {
	c.history.add(a)
	if len(c.onAttempt.Snapshot()) == 0 {
		return
	}
	c.queue.push(&c.work, task{run: func() {
		for _, f := range c.onAttempt.Snapshot() {
			c.logPanic(protect(func() error { (*f)(a); return nil }))
		}
	}})
}
