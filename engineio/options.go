package engineio

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Names of the transports, as in Options.Transports and on the wire.
const (
	pollingName   = "polling"
	websocketName = "websocket"
	streamingName = "streaming"
)

// Options configure a Server. The zero value of every field is a default that
// is safe on the open internet.
type Options struct {
	// Path is where the server answers; requests for other paths get 404. It
	// must be the path that requests have when they reach the handler. Zero
	// means "/engine.io/". A missing slash at its end is added, and requests
	// may leave it out.
	Path string

	// PingInterval is the time between two pings. Zero means 25 s. Keep it
	// under the idle timeout of every proxy between (commonly 60 s).
	PingInterval time.Duration
	// PingTimeout is how long to wait for the answer to a ping. Zero means 20 s.
	PingTimeout time.Duration
	// UpgradeTimeout is how long an upgrade may take. Zero means 10 s.
	UpgradeTimeout time.Duration

	// MaxPayload is the largest message or POST body accepted, in bytes, also
	// after decompression. It is announced to the client. Zero means 1,000,000.
	MaxPayload int

	// Transports lists what clients may use. Empty means polling, websocket and
	// streaming.
	Transports []string
	// NoUpgrades keeps sessions on the transport they began with.
	NoUpgrades bool

	// ShortPolling answers every poll at once, with a noop if there is nothing,
	// instead of holding it until there is. It costs requests and latency; it
	// is here for comparison and for intermediaries that allow nothing else.
	ShortPolling bool
	// MaxPollPackets is how many packets one polling response carries at most;
	// the rest waits for the next poll. Zero means 16: Python clients drop
	// larger responses.
	MaxPollPackets int
	// StreamMaxBytes is the size at which a streaming response ends and the
	// client opens the next one. Zero means 1 MiB: fetch in browsers keeps
	// everything it has read of a response.
	StreamMaxBytes int
	// StreamMaxAge is the age at which a streaming response ends. Zero means
	// 5 minutes: some proxies cut responses that last longer.
	StreamMaxAge time.Duration

	// AllowRequest decides about handshakes. An error refuses with 403 and its
	// text. It is called after the origin check.
	AllowRequest func(r *http.Request) error
	// CORS allows pages of other origins. Nil refuses them: a browser's request
	// from another origin gets 403, WebSocket included.
	CORS *CORS
	// Cookie has the session id sent as a cookie by the handshake response, for
	// load balancers. Nil sends none.
	Cookie *http.Cookie

	// Headers may add headers to any response, InitialHeaders to responses to
	// handshakes.
	Headers        func(h http.Header, r *http.Request)
	InitialHeaders func(h http.Header, r *http.Request)

	// InitialMessage, if not nil, is sent right after the open packet.
	InitialMessage []byte

	// CompressionThreshold is the size in bytes above which a polling response
	// is compressed with gzip, if the client accepts it. Zero means 1024;
	// negative turns compression off.
	CompressionThreshold int
	// Deflate turns on permessage-deflate for WebSocket. Nil is off: it costs
	// CPU and memory, and latency where messages are small.
	Deflate *Deflate

	// Outbox bounds what waits for a slow peer.
	Outbox OutboxOptions

	// MaxSessions bounds the number of sessions; further handshakes get 503.
	// Zero means 1,000,000; negative means no limit.
	MaxSessions int
	// Handshakes bounds how fast one address may open sessions.
	Handshakes HandshakeLimit

	// TrustedProxies are the networks of the proxies in front of the server.
	// Requests that come from one of them are taken for those of the client that
	// the proxy names: X-Forwarded-For decides Handshake.RemoteAddr and RemoteIP,
	// the address that Handshakes limits, and RemoteAddr and Host of the request
	// that functions of these options see; X-Forwarded-Proto decides Handshake.Secure;
	// X-Forwarded-Host decides the host that origins are compared with. If none
	// of the three is there, Forwarded (RFC 7239) does. Of several addresses it
	// is the rightmost that is not itself a trusted proxy's. Each of these
	// proxies must set or remove these headers: what it passes on unseen, clients
	// choose. The zero Prefix stands for peers without an IP address, as on a
	// Unix socket. Empty: nobody is trusted, and these headers mean nothing.
	TrustedProxies []netip.Prefix

	// GenerateID makes session ids. Nil makes 20 random characters. An id must
	// be unique, unguessable and of [A-Za-z0-9_-].
	GenerateID func(r *http.Request) (string, error)

	// Foreign is given every request for a session that is not here, before
	// anything else is done with it, and reports whether it has answered: it may
	// know which other server has the session (see package peers). Nil: there are
	// no other servers, or the load balancer knows.
	Foreign func(w http.ResponseWriter, r *http.Request, sid string) bool

	// OnConnectionError is told of every refused request.
	OnConnectionError func(*ConnectionError)
	// Logger receives what is worth an operator's attention: at level Warn the
	// sessions closed because the peer reads too slowly, at level Debug every
	// refused request and every closed session. Nil means slog.Default().
	Logger *slog.Logger
}

// Deflate configures permessage-deflate (RFC 7692). Context takeover is never
// used: it would cost more than a megabyte for each connection, and a broadcast
// could not be compressed once for all.
type Deflate struct {
	// Threshold is the size in bytes under which messages are sent as they
	// are. Zero means 1024.
	Threshold int
	// Level is the compression level of compress/flate. Zero means 1, the
	// fastest.
	Level int
}

// withDefaults returns a copy with every zero value replaced, or an error that
// says what contradicts what.
func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	c.Path = cleanPath(c.Path, "/engine.io/")
	defaultTo(&c.PingInterval, 25*time.Second)
	defaultTo(&c.PingTimeout, 20*time.Second)
	defaultTo(&c.UpgradeTimeout, 10*time.Second)
	defaultTo(&c.MaxPayload, 1_000_000)
	defaultTo(&c.MaxPollPackets, 16)
	defaultTo(&c.StreamMaxBytes, 1<<20)
	defaultTo(&c.StreamMaxAge, 5*time.Minute)
	defaultTo(&c.CompressionThreshold, 1024)
	defaultTo(&c.Outbox.MaxBytes, 1<<20)
	defaultTo(&c.MaxSessions, 1_000_000)
	c.Handshakes = c.Handshakes.withDefaults()
	if len(c.Transports) == 0 {
		c.Transports = []string{pollingName, websocketName, streamingName}
	}
	c.Transports = slices.Clone(c.Transports)
	if c.Deflate != nil {
		d := *c.Deflate
		defaultTo(&d.Threshold, 1024)
		defaultTo(&d.Level, 1)
		c.Deflate = &d
	}
	if c.Cookie != nil {
		cookie := *c.Cookie
		if cookie.Name == "" {
			cookie.Name = "io"
		}
		if cookie.Path == "" {
			cookie.Path = "/"
		}
		if cookie.SameSite == 0 {
			cookie.SameSite = http.SameSiteLaxMode
		}
		c.Cookie = &cookie
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, c.validate()
}

func (o *Options) validate() error {
	for _, t := range o.Transports {
		if t != pollingName && t != websocketName && t != streamingName {
			return fmt.Errorf("engineio: unknown transport %q in Options.Transports (known: polling, websocket, streaming)", t)
		}
	}
	for name, d := range map[string]time.Duration{
		"PingInterval":   o.PingInterval,
		"PingTimeout":    o.PingTimeout,
		"UpgradeTimeout": o.UpgradeTimeout,
		"StreamMaxAge":   o.StreamMaxAge,
	} {
		if d < time.Millisecond {
			return fmt.Errorf("engineio: Options.%s is %v; it must be a millisecond or more", name, d)
		}
	}
	if o.MaxPayload < 0 || o.MaxPollPackets < 0 || o.StreamMaxBytes < 0 {
		return fmt.Errorf("engineio: MaxPayload, MaxPollPackets and StreamMaxBytes must not be negative")
	}
	for _, p := range o.TrustedProxies {
		if !p.IsValid() && p != (netip.Prefix{}) {
			return fmt.Errorf("engineio: Options.TrustedProxies has %v, which is no network", p)
		}
	}
	if o.Cookie != nil {
		probe := *o.Cookie
		probe.Value = "x"
		if err := probe.Valid(); err != nil {
			return fmt.Errorf("engineio: Options.Cookie: %w", err)
		}
	}
	if o.Deflate != nil && (o.Deflate.Level < -2 || o.Deflate.Level > 9) {
		return fmt.Errorf("engineio: Options.Deflate.Level is %d; compress/flate knows -2 to 9", o.Deflate.Level)
	}
	return o.CORS.validate()
}

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func cleanPath(path, fallback string) string {
	if path == "" {
		return fallback
	}
	return "/" + strings.Trim(path, "/") + strings.Repeat("/", min(1, len(strings.Trim(path, "/"))))
}
