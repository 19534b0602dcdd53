package engine

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The names of the transports.
const (
	WebSocket = "websocket"
	Polling   = "polling"
	Streaming = "streaming"
)

// Options configure Dial. The zero value of every field is a sensible default.
type Options struct {
	// HTTPClient makes all requests. It is used as it is, jar or no jar, but for its
	// Timeout, which would cut the long requests of polling: it is ignored. Its
	// Transport must hand out the connection as body of a response 101, as
	// http.Transport does. Connections that it keeps open for reuse, or goes on to
	// make when nobody waits for them any more, are its owner's to close, with
	// CloseIdleConnections.
	//
	// Nil means a client for this connection alone: proxy from the environment, a
	// cookie jar (that of Memory, if there is one), HTTP/2 where the server has it,
	// TLSConfig.
	HTTPClient *http.Client
	// TLSConfig is the TLS configuration of the client that is made when HTTPClient
	// is nil; with an HTTPClient it must be nil.
	TLSConfig *tls.Config

	// Header is added to every request.
	Header http.Header
	// HeaderFunc is asked once per Dial for further headers, such as a token that
	// may have changed; they replace those of Header with the same name and are
	// added to every request of the connection. Its error is Dial's.
	HeaderFunc func(ctx context.Context) (http.Header, error)
	// Query is added to the query of every request.
	Query url.Values
	// Path is where the server listens. Empty means "/socket.io/". A slash at its
	// end is added. The path of the URL does not count.
	Path string

	// Transports are tried in this order, and no others. Empty means websocket,
	// polling, streaming, beginning with the one that Memory remembers.
	Transports []string
	// NoUpgrade keeps a connection whose Transports begin with another than
	// websocket on the transport that connected.
	NoUpgrade bool
	// Memory is where it is kept what worked; share it between connections. Nil
	// means that nothing is remembered.
	Memory *Memory
	// AttemptTimeout is how long one transport may take while others are left, and
	// how long an upgrade may take. Zero means 4 s. If Dial's context has a
	// deadline, no transport but the last takes more than its share of the time.
	AttemptTimeout time.Duration

	// MaxMessage is the largest message taken from the server, in bytes. A larger
	// one ends the connection with "parse error". Zero means 16 MiB.
	MaxMessage int
	// MaxOutbox bounds what waits to be sent, in bytes, 32 for each message
	// included. Zero means 4 MiB. Into an empty outbox everything goes.
	MaxOutbox int

	// OnAttempt is told of every attempt, of upgrades and of the end, as they
	// happen. It must not block.
	OnAttempt func(Attempt)
	// OnUpgrade is told when the connection has moved to another transport.
	OnUpgrade func(from, to string)
	// Logger is told of attempts, at level Debug. Nil means slog.Default().
	Logger *slog.Logger

	// wall is the wall clock, if not time.Now. Tests set it.
	wall func() time.Time
}

func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.HTTPClient != nil && c.TLSConfig != nil {
		return c, fmt.Errorf("engine: Options.TLSConfig has no effect on Options.HTTPClient; configure its Transport instead")
	}
	c.Path = "/" + strings.Trim(c.Path, "/") + "/"
	switch {
	case o == nil || o.Path == "":
		c.Path = "/socket.io/"
	case c.Path == "//":
		c.Path = "/"
	}
	for i, name := range c.Transports {
		if name != WebSocket && name != Polling && name != Streaming {
			return c, fmt.Errorf("engine: unknown transport %q in Options.Transports (known: websocket, polling, streaming)", name)
		}
		if slices.Contains(c.Transports[:i], name) {
			return c, fmt.Errorf("engine: %q is twice in Options.Transports", name)
		}
	}
	if c.AttemptTimeout < 0 || c.MaxMessage < 0 || c.MaxOutbox < 0 {
		return c, fmt.Errorf("engine: AttemptTimeout, MaxMessage and MaxOutbox must not be negative")
	}
	if c.AttemptTimeout == 0 {
		c.AttemptTimeout = 4 * time.Second
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = 16 << 20
	}
	if c.MaxOutbox == 0 {
		c.MaxOutbox = 4 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Transports = slices.Clone(c.Transports)
	c.Header = c.Header.Clone()
	return c, nil
}
