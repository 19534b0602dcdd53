package client

import (
	"context"
	"errors"
	"time"

	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/event"
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
	// Attempt is how many attempts in a row have failed. Once Connected, it is how many had.
	Attempt int
	// Delay is the time until the next attempt, if To is Reconnecting.
	Delay time.Duration
}

// A Client is one connection to a server, which is made again whenever it is lost, and the sockets that share it. It
// connects when a socket wants to, and has no connection while none does.
type Client struct{}

// Dial connects to the namespace that is the path of the URL, which is http, https, ws or wss. It makes one attempt and
// returns its error, a [*ConnectError] if the server refused; nothing is left behind then. Once connected, the client
// connects again whenever the connection is lost, until [Client.Close], see [Socket.Client].
func Dial(ctx context.Context, rawURL string, opts *Options) (*Socket, error) {
	return nil, errors.ErrUnsupported
}

// New returns a client that is not connected and connects to nothing until one of its sockets is told to. The error is
// that of a URL or options that are wrong. The path of the URL does not count here: see [Client.Of].
func New(rawURL string, opts *Options) (*Client, error) { return nil, errors.ErrUnsupported }

// Of returns the socket of a namespace, the same one every time. A slash in front is added, and "" means "/". It is not
// connected by this.
func (c *Client) Of(namespace string) *Socket { return nil }

// State returns what the connection is like.
func (c *Client) State() State { return Closed }

// OnState calls f with every change of the state, one at a time and in order, on a goroutine of the client.
func (c *Client) OnState(f func(Change)) Subscription { return Subscription{} }

// OnAttempt calls f with every new entry of the history of transports, likewise.
func (c *Client) OnAttempt(f func(engine.Attempt)) Subscription { return Subscription{} }

// Attempts returns the last 100 entries of the history of transports, the oldest first.
func (c *Client) Attempts() []engine.Attempt { return nil }

// Transport returns the name of the transport in use, "" without a connection.
func (c *Client) Transport() string { return "" }

// SessionID returns the id of the connection, "" without one. It is not the id of a socket.
func (c *Client) SessionID() string { return "" }

// RetryNow ends the wait before the next attempt, if there is one: for a program that knows that the network is back.
func (c *Client) RetryNow() {}

// Close disconnects every socket, after what was emitted has been sent, and closes the connection. It returns when all
// goroutines of the client and all handlers have ended, except a handler that calls it. The error tells of events that
// were emitted and could not be sent. Further calls wait likewise and return nil.
func (c *Client) Close() error { return nil }
