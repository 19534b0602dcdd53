package socketio

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// Format is how packets are written.
type Format = packet.Format

const (
	// JSON is the format of every client that was not told otherwise.
	JSON = packet.JSON
	// Msgpack is that of clients with socket.io-msgpack-parser.
	Msgpack = packet.Msgpack
)

// Options configure a [Server]. The zero value of every field is a default that is safe on the open internet.
type Options struct {
	// Engine configures the connections below: path (here "/socket.io/" if empty), transports, heartbeat, CORS, sizes.
	// Its Logger defaults to the one below.
	Engine engineio.Options

	// ConnectTimeout is how long a connection may last without joining a namespace. Zero means 45 s.
	ConnectTimeout time.Duration
	// AckTimeout is how long EmitWithAck waits if neither its context nor Timeout says. Zero means 30 s.
	AckTimeout time.Duration
	// Format is how packets are written. Every client of the server must use the same: [Msgpack] is for those
	// that have socket.io-msgpack-parser. Zero is JSON, what clients use if nobody tells them otherwise.
	Format Format
	// NoClient turns off the serving of the browser client, at <path>/socket.io.js and its variants.
	NoClient bool
	// Recovery turns on connection state recovery; nil is off.
	Recovery *RecoveryOptions
	// CleanupEmptyNamespaces forgets a namespace that a pattern made (see [Server.OfRegexp]) when its last socket left.
	CleanupEmptyNamespaces bool
	// Limits bound what one client can make the server hold.
	Limits Limits
	// Adapter connects the namespaces with those of other servers; nil means that this server stands alone.
	Adapter adapter.Factory

	// OnError is told of what goes wrong in handlers and middlewares (errors they return, panics) and of violations of
	// the protocol, in addition to [Socket.OnError]. The socket is the one concerned.
	OnError func(s *Socket, err error)
	// Logger receives what is worth an operator's attention, without credentials. Nil means slog.Default().
	Logger *slog.Logger
}

// Limits bound what one client can make the server hold or do. Zero means the default; a negative value is refused.
type Limits struct {
	// MaxNamespaces is how many namespaces one connection may join. Default 32.
	MaxNamespaces int
	// MaxChildNamespaces is how many namespaces that patterns and functions make (see [Server.OfRegexp]) may exist at a
	// time because clients asked for them: one client can name any number. At the limit empty ones are forgotten, as
	// CleanupEmptyNamespaces does at once; if there are none, the client is refused. Default 10,000, about 20 MB.
	MaxChildNamespaces int
	// MaxAuthBytes bounds what a client sends for authentication when it joins: it is kept as long as the socket, and
	// comes from anybody. Default 65,536 bytes.
	MaxAuthBytes int
	// MaxPendingAcks is how many acknowledgements one socket may owe. Default 10,000.
	MaxPendingAcks int
	// MaxAttachments is how many binary attachments one packet may have. Default 10, as in Node.
	MaxAttachments int
	// MaxAttachmentBytes bounds the attachments of one packet together. Default 10,000,000 bytes.
	MaxAttachmentBytes int
	// AttachmentTimeout is how long a packet may wait for its attachments. Default 20 s.
	AttachmentTimeout time.Duration
	// MaxDepth is how deep JSON may nest. Default 64.
	MaxDepth int
	// MaxNamespaceLen bounds the name of a namespace. Default 1024 bytes.
	MaxNamespaceLen int
	// MaxQueuedEvents and MaxQueuedBytes bound the events of one socket that wait for its handlers. When there is no
	// room, nothing more is read from the connection for up to QueueTimeout; then it is closed.
	// Defaults 1024 events, 4 MiB, 5 s. Keep QueueTimeout under Engine.PingTimeout.
	MaxQueuedEvents int
	MaxQueuedBytes  int
	QueueTimeout    time.Duration
}

// RecoveryOptions configure connection state recovery: a client whose connection broke may come back to its session,
// with its id, rooms and data, and receives what it missed, exactly once and in order. Two kinds of events are not sent
// again: those that ask for an acknowledgement, whose sender gets an error when the connection breaks, and volatile ones.
//
// Every other event carries one more argument, a string, that tells the client where it is.
//
// A client that is back before the server knows that its connection is gone has that one asked for a sign of life, for
// up to 2 seconds: a connection that is alive keeps its session, and who claimed it gets a new one.
//
// With an adapter that is an [adapter.Log], and the same setting on all servers, the client may come back to any of
// them. Then Emit puts what can be recovered into the log, and returns when it has come back from there and is on its
// way to the sockets of this server. With an error nobody gets it, unless that is an [adapter.ErrUncertain]: then it
// may still be delivered, once. Volatile events, those that ask for an acknowledgement, and Broadcast.Local don't go
// through the log. MaxPackets and MaxBytes then bound what one client is sent that comes back.
type RecoveryOptions struct {
	// MaxDisconnection is how long a session is kept. Zero means 2 minutes.
	MaxDisconnection time.Duration
	// RunMiddlewares runs the middlewares of the namespace also for clients that come back.
	RunMiddlewares bool
	// MaxPackets is how many packets are kept for one session. Zero means 1024.
	MaxPackets int
	// MaxBytes bounds what is kept for all sessions of the server together; a packet counts for every session that
	// may miss it, although it is in memory once. Sessions that are away longest lose theirs first. Zero means 64 MiB.
	MaxBytes int
	// MaxSessions bounds how many sessions are kept while their clients are away. Zero means 100,000.
	MaxSessions int
	// Data makes the data of a socket (see [Socket.SetData]) of what was kept of it for other servers, which is JSON. Nil
	// makes map[string]any and the like of it. With an adapter that has a log (see [adapter.Log]) that concerns clients
	// that come back to the same server, too. An error lets the client start anew.
	Data func(text []byte) (any, error)
}

func (o *Options) withDefaults() (*Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Engine.Path == "" {
		c.Engine.Path = "/socket.io/"
	}
	if c.Engine.Logger == nil {
		c.Engine.Logger = c.Logger
	}
	var err error
	setDuration := func(name string, d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
		if *d < 0 {
			err = fmt.Errorf("socketio: Options.%s is negative", name)
		}
	}
	setInt := func(name string, n *int, def int) {
		if *n == 0 {
			*n = def
		}
		if *n < 0 {
			err = fmt.Errorf("socketio: Options.%s is negative", name)
		}
	}
	setDuration("ConnectTimeout", &c.ConnectTimeout, 45*time.Second)
	setDuration("AckTimeout", &c.AckTimeout, 30*time.Second)
	l := &c.Limits
	setInt("Limits.MaxNamespaces", &l.MaxNamespaces, 32)
	setInt("Limits.MaxChildNamespaces", &l.MaxChildNamespaces, 10_000)
	setInt("Limits.MaxAuthBytes", &l.MaxAuthBytes, 65_536)
	setInt("Limits.MaxPendingAcks", &l.MaxPendingAcks, 10_000)
	setInt("Limits.MaxAttachments", &l.MaxAttachments, 10)
	setInt("Limits.MaxAttachmentBytes", &l.MaxAttachmentBytes, 10_000_000)
	setDuration("Limits.AttachmentTimeout", &l.AttachmentTimeout, 20*time.Second)
	setInt("Limits.MaxDepth", &l.MaxDepth, 64)
	setInt("Limits.MaxNamespaceLen", &l.MaxNamespaceLen, 1024)
	setInt("Limits.MaxQueuedEvents", &l.MaxQueuedEvents, 1024)
	setInt("Limits.MaxQueuedBytes", &l.MaxQueuedBytes, 4<<20)
	setDuration("Limits.QueueTimeout", &l.QueueTimeout, 5*time.Second)
	if c.Recovery != nil {
		r := *c.Recovery
		setDuration("Recovery.MaxDisconnection", &r.MaxDisconnection, 2*time.Minute)
		setInt("Recovery.MaxPackets", &r.MaxPackets, 1024)
		setInt("Recovery.MaxBytes", &r.MaxBytes, 64<<20)
		setInt("Recovery.MaxSessions", &r.MaxSessions, 100_000)
		c.Recovery = &r
	}
	return &c, err
}

// packetLimits are shared by the decoders of all connections.
func (o *Options) packetLimits() *packet.Limits {
	return &packet.Limits{
		MaxAttachments:     o.Limits.MaxAttachments,
		MaxAttachmentBytes: o.Limits.MaxAttachmentBytes,
		MaxDepth:           o.Limits.MaxDepth,
		MaxNamespaceLen:    o.Limits.MaxNamespaceLen,
	}
}
