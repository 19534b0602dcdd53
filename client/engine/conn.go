package engine

import (
	"context"
	"errors"
	"time"
)

// Receiver consumes what happens on a connection.
type Receiver interface {
	// Message is called for each message from the server, one call at a time, in
	// order. data is valid only during the call. It runs on the path that also
	// reads heartbeats, so it must not block.
	Message(binary bool, data []byte)
	// Closed is called exactly once, last, when the connection's goroutines have
	// ended. err may be nil.
	Closed(reason Reason, err error)
}

// Reason says why a connection ended, in the words of the stock client.
type Reason string

const (
	// ReasonTransportClose: the server closed the connection.
	ReasonTransportClose Reason = "transport close"
	// ReasonTransportError: the connection broke; the error says how.
	ReasonTransportError Reason = "transport error"
	// ReasonPingTimeout: nothing was heard of the server for too long.
	ReasonPingTimeout Reason = "ping timeout"
	// ReasonParseError: the server sent something that is no Engine.IO, or too much
	// of it.
	ReasonParseError Reason = "parse error"
	// ReasonForcedClose: Close or Abort was called.
	ReasonForcedClose Reason = "forced close"
)

// Message is what Send sends. Data must not be changed afterwards. Data that is
// not Binary must be UTF-8, and for polling and streaming it must not contain the
// character U+001E, which has no escape there; JSON has none.
type Message struct {
	Binary bool
	Data   []byte
}

// Conn is one connection to a server, over whichever transport it uses at the
// moment. Its methods are safe for concurrent use.
type Conn struct{}

// Dial connects to the server at rawURL (http, https, ws or wss): it tries the
// transports until the handshake of one has arrived. Then it calls accept, once,
// before anything else is read; what accept returns receives. accept may send.
//
// ctx bounds Dial and nothing later. If it ends, nothing is left behind. The error
// is a *DialError, that of Options.HeaderFunc, or says what is wrong with rawURL
// or opts.
func Dial(ctx context.Context, rawURL string, opts *Options, accept func(*Conn) Receiver) (*Conn, error) {
	return nil, errors.ErrUnsupported
}

// ID returns the session, as the server calls it.
func (c *Conn) ID() string { return "" }

// Transport returns the name of the transport in use.
func (c *Conn) Transport() string { return "" }

// PingInterval returns the time between two pings of the server.
func (c *Conn) PingInterval() time.Duration { return 0 }

// PingTimeout returns how late a ping may be.
func (c *Conn) PingTimeout() time.Duration { return 0 }

// MaxPayload returns the most bytes that the server takes in one message or POST.
// Zero: it did not say.
func (c *Conn) MaxPayload() int { return 0 }

// Send queues messages, all or none, with nothing between them, and never waits
// for the network. The error is ErrClosed, ErrOutboxFull or a *TooLargeError; the
// connection lives on.
func (c *Conn) Send(ms ...Message) error { return nil }

// SendVolatile sends the messages if they leave at once, and reports whether they
// do: not if others wait, the network is slow, or the transport is changing.
func (c *Conn) SendVolatile(ms ...Message) bool { return false }

// Flush waits until everything that was sent before has been handed to the
// network; over polling and streaming, until the server has answered for it. The
// error is ctx's, or ErrClosed if the connection ended before.
func (c *Conn) Flush(ctx context.Context) error { return nil }

// Buffered returns how many bytes wait to be sent, 32 for each message included.
func (c *Conn) Buffered() int { return 0 }

// Expired reports whether the server is overdue by the wall clock, as it is when
// the machine has slept: timers do not know yet. If so, the connection is being
// closed with "ping timeout". Ask before sending what must not be lost.
func (c *Conn) Expired() bool { return false }

// Close sends what is queued, tells the server, and closes the connection, all of
// that within 2 seconds; the reason is "forced close". It returns when Closed has
// returned and the connection's goroutines have ended, at once if it is called
// from a Receiver or from the accept function. The error is ErrUnsent, or that of
// the network, if something that was queued has not been sent. Further calls wait
// likewise.
func (c *Conn) Close() error { return nil }

// Abort closes the connection at once, discards what is queued, and does not wait.
func (c *Conn) Abort() {}

// Attempts returns the history of the connection so far, failed attempts and
// upgrades included.
func (c *Conn) Attempts() []Attempt { return nil }
