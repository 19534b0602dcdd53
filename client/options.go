package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// Format is how packets are written.
type Format = packet.Format

const (
	// JSON is the format of every server that was not told otherwise.
	JSON = packet.JSON
	// Msgpack is that of servers with socket.io-msgpack-parser.
	Msgpack = packet.Msgpack
)

// Options configure a [Client]. The zero value of every field is a default that works with any server.
type Options struct {
	// HTTPClient makes the requests, the one that becomes a WebSocket included. Nil is one of the client's own, with
	// TLSConfig, the proxy that the environment names, and a cookie jar, so that a load balancer's cookie holds.
	HTTPClient *http.Client
	// TLSConfig is for the client's own HTTPClient; nil is the default of package crypto/tls.
	TLSConfig *tls.Config
	// Header is added to every request.
	Header http.Header
	// HeaderFunc is asked for more header fields before every connection: for a token that expires.
	HeaderFunc func(context.Context) (http.Header, error)
	// Query is added to the query of every request, and wins over that of the URL.
	Query url.Values
	// Path is what the server listens on. Empty means "/socket.io/".
	Path string
	// Transports are tried in this order, and the list is kept to the letter. Nil means "websocket", "polling",
	// "streaming", beginning with the one that worked last.
	Transports []string
	// NoUpgrade stays with the transport that connected. Otherwise a list that begins with another transport than
	// "websocket" goes on to a later one of the list once it is connected.
	NoUpgrade bool
	// RememberUpgrade begins with "websocket" when it is in a list that is given, and the connection before got as far.
	// Without a list the client always begins with what worked last; how often a silent connection has to be kept
	// alive is remembered in any case. Nothing outlives the Client.
	RememberUpgrade bool
	// AttemptTimeout is how long one transport may take to connect while others are left to try. Zero means 4 s.
	AttemptTimeout time.Duration
	// ConnectTimeout is how long an attempt to connect may take over all transports, and also how long Auth may. Zero
	// means 20 s.
	ConnectTimeout time.Duration
	// MaxMessage is how many bytes a message of the server may have. Zero means 16 MiB.
	MaxMessage int
	// MaxOutbox is how many bytes may wait to be written to a connection. Zero means 4 MiB.
	MaxOutbox int

	// Auth returns what the server gets for authentication; it must encode as a JSON object, nil sends none. It is
	// called at every connect of every namespace, so that a token can be fresh; [Socket.SetAuth] replaces it for one.
	// Its ctx ends after ConnectTimeout, and when the connection is lost. An error is told to OnConnectError and counts
	// as a failed attempt, after which there is another.
	Auth func(context.Context) (any, error)
	// Format is how packets are written; it must be the server's. Zero is JSON.
	Format Format
	// Limits bound the packets that the server sends. Zero means the defaults of package packet, except that
	// MaxAttachments is 1,000: servers are not held to what Node's parser takes from clients.
	Limits packet.Limits
	// Reconnect says how connections are made again.
	Reconnect ReconnectOptions
	// Buffer says what becomes of events that are emitted while there is no connection.
	Buffer BufferOptions
	// Queue bounds the events that wait for handlers.
	Queue QueueOptions
	// AckTimeout is how long EmitWithAck waits if neither its context nor Timeout says, and how long the acknowledgement
	// of one try may take with Retries. Zero means 30 s.
	AckTimeout time.Duration
	// MaxPendingAcks is how many acknowledgements the server may owe one socket. Zero means 10,000.
	MaxPendingAcks int
	// Retries is how often an event is sent again that is not acknowledged within AckTimeout, or before its connection
	// breaks. Zero is never. Otherwise every event that is not volatile asks for an acknowledgement, and the next is
	// sent when it has come; events wait within Buffer's limits. After Retries+1 tries the event is given up, see
	// [NotAcknowledgedError].
	//
	// An event may then be handled more than once, unless the server knows repeats: each has the acknowledgement id of
	// the first try, and the CONNECT packet carries, as "once", 22 characters that name this client and namespace as
	// long as it lives. socketio.DropRepeats is what uses that; other servers can.
	Retries int
	// Logger receives errors that nobody listens for, and at level debug how connecting goes. Nil means slog.Default().
	Logger *slog.Logger
}

// ReconnectOptions say how a connection is made again that was lost, or that could not be made.
type ReconnectOptions struct {
	// Disabled gives up instead.
	Disabled bool
	// Attempts is how often to try again, after a loss or a failure, before giving up. Zero means without end.
	Attempts int
	// Delay is the time before the first attempt; before each further one it is twice as long. Zero means 1 s.
	Delay time.Duration
	// MaxDelay is the longest delay, except that a server's Retry-After is respected, up to an hour. Zero means 5 s, or Delay if that is
	// longer.
	MaxDelay time.Duration
	// Jitter is how far a delay may stray at random, as a part of it from 0 to 1, so that clients don't come back all at
	// once. Zero means 0.5, a negative number none.
	Jitter float64
}

// A BufferPolicy says what becomes of an event that is emitted while there is no connection.
type BufferPolicy uint8

const (
	// Refuse keeps it; if the buffer is full the caller gets [ErrBufferFull].
	Refuse BufferPolicy = iota
	// DropOldest keeps it; if the buffer is full the oldest are dropped, and OnError gets a [DroppedError] for each.
	DropOldest
	// NoBuffer keeps nothing: the caller gets [ErrDisconnected].
	NoBuffer
)

// BufferOptions say what becomes of events that are emitted while there is no connection. The limits are for each socket.
type BufferOptions struct {
	Policy    BufferPolicy
	MaxEvents int // zero means 1024
	MaxBytes  int // zero means 1 MiB
}

// QueueOptions bound the events of one socket that wait for its handlers. When there is no room, nothing more is read
// from the connection for up to Timeout; then it is closed, with [ReasonQueueFull], and made again.
type QueueOptions struct {
	MaxEvents int           // zero means 1024
	MaxBytes  int           // zero means 4 MiB
	Timeout   time.Duration // zero means 5 s; the server's patience is its ping timeout
}

// withDefaults returns a copy that is complete, or what is wrong with the options.
func (o *Options) withDefaults() (*Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf("client: Options."+format, args...)) }
	setDuration := func(name string, d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
		if *d < 0 {
			wrong("%s is negative", name)
		}
	}
	setInt := func(name string, n *int, def int) {
		if *n == 0 {
			*n = def
		}
		if *n < 0 {
			wrong("%s is negative", name)
		}
	}
	setDuration("AttemptTimeout", &c.AttemptTimeout, 4*time.Second)
	setDuration("ConnectTimeout", &c.ConnectTimeout, 20*time.Second)
	setDuration("AckTimeout", &c.AckTimeout, 30*time.Second)
	setInt("MaxPendingAcks", &c.MaxPendingAcks, 10_000)
	setInt("MaxMessage", &c.MaxMessage, 16<<20)
	setInt("MaxOutbox", &c.MaxOutbox, 4<<20)
	setInt("Retries", &c.Retries, 0)
	setInt("Limits.MaxAttachments", &c.Limits.MaxAttachments, 1000)
	setInt("Buffer.MaxEvents", &c.Buffer.MaxEvents, 1024)
	setInt("Buffer.MaxBytes", &c.Buffer.MaxBytes, 1<<20)
	setInt("Queue.MaxEvents", &c.Queue.MaxEvents, 1024)
	setInt("Queue.MaxBytes", &c.Queue.MaxBytes, 4<<20)
	setDuration("Queue.Timeout", &c.Queue.Timeout, 5*time.Second)
	r := &c.Reconnect
	setInt("Reconnect.Attempts", &r.Attempts, 0)
	setDuration("Reconnect.Delay", &r.Delay, time.Second)
	setDuration("Reconnect.MaxDelay", &r.MaxDelay, max(5*time.Second, r.Delay))
	switch {
	case r.Jitter == 0:
		r.Jitter = 0.5
	case r.Jitter < 0:
		r.Jitter = 0
	case r.Jitter > 1:
		wrong("Reconnect.Jitter is more than 1")
	}
	if r.MaxDelay < r.Delay {
		wrong("Reconnect.MaxDelay is less than Delay")
	}
	if c.Buffer.Policy > NoBuffer {
		wrong("Buffer.Policy is %d", c.Buffer.Policy)
	}
	if c.Format > Msgpack {
		wrong("Format is %d", c.Format)
	}
	if c.HTTPClient != nil && c.TLSConfig != nil {
		wrong("TLSConfig has no effect with an HTTPClient: set it on its transport")
	}
	if c.Transports != nil && len(c.Transports) == 0 {
		wrong("Transports is empty")
	}
	for i, name := range c.Transports {
		switch {
		case name != engine.WebSocket && name != engine.Polling && name != engine.Streaming:
			wrong("Transports has %q (known: websocket, polling, streaming)", name)
		case slices.Contains(c.Transports[:i], name):
			wrong("Transports has %q twice", name)
		}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Header, c.Query = c.Header.Clone(), cloneQuery(c.Query)
	return &c, errors.Join(errs...)
}

func cloneQuery(q url.Values) url.Values {
	return url.Values(http.Header(q).Clone())
}

// engineOptions are the part that one connection is about. Upgraded says whether the connection before ended up on
// WebSocket.
func (o *Options) engineOptions(upgraded bool) engine.Options {
	transports := o.Transports
	if o.RememberUpgrade && upgraded && slices.Contains(transports, engine.WebSocket) {
		transports = slices.DeleteFunc(slices.Clone(transports), func(name string) bool { return name == engine.WebSocket })
		transports = slices.Insert(transports, 0, engine.WebSocket)
	}
	return engine.Options{
		HTTPClient:     o.HTTPClient,
		TLSConfig:      o.TLSConfig,
		Header:         o.Header,
		HeaderFunc:     o.HeaderFunc,
		Query:          o.Query,
		Path:           o.Path,
		Transports:     transports,
		NoUpgrade:      o.NoUpgrade,
		AttemptTimeout: o.AttemptTimeout,
		MaxMessage:     o.MaxMessage,
		MaxOutbox:      o.MaxOutbox,
		Logger:         o.Logger,
	}
}
