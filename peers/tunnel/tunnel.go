// Package tunnel carries requests between servers that can't reach each other over HTTP, by way of the broker that both
// reach. It makes connections out of messages: ordered streams of bytes in both directions, over which package peers
// speaks HTTP as over any other, so that polls, streams and WebSockets need nothing of their own.
//
// A broker may lose messages. What goes from one server to another is numbered, and where a number is missing all
// connections between the two end, so that nothing is ever passed on with a hole. Every message is signed with the secret
// that the servers share; it is not encrypted, so who may listen at the broker can read it, as with everything else that
// servers send each other there.
package tunnel

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"io"
)

// A Bus takes messages from server to server, in order. It may lose some. adapter/nats and adapter/redis have one.
type Bus interface {
	// Send sends a message to a server. It does not wait, and keeps the payload.
	Send(to string, payload []byte) error
	// Receive has f called for each message to a server, one call at a time, until stop is called. f does not block.
	Receive(id string, f func(payload []byte)) (stop func(), err error)
}

// Options configure [New].
type Options struct {
	// ID is the name of this server, as package peers has it.
	ID string
	// Bus carries messages.
	Bus Bus
	// Secret is what the servers share, 16 bytes or more.
	Secret []byte
	// Handler serves requests that other servers carry here; usually what serves clients.
	Handler http.Handler
	// MaxConns is how many connections one other server may have to this one at a time, and this one to it. A poll that
	// is held, a stream and a WebSocket need one each. Zero means 10,000.
	MaxConns int
	// Logger receives, at level Warn, that connections to another server ended because messages are missing or nothing is
	// heard of it. Nil means slog.Default().
	Logger *slog.Logger
}

const (
	window    = 256 << 10 // bytes that may be under way on one connection, each way
	chunk     = 16 << 10  // bytes of one message
	beat      = 2 * time.Second
	deaf      = 8 * time.Second // nothing heard for so long: the other server is gone
	greet     = 3 * time.Second // for the first answer of a server
	idle      = time.Minute     // a link without connections ends after that
	maxLinks  = 4096            // other servers that have connections to this one
	maxHeader = 64 << 10        // of a request
)

// Errors of connections.
var (
	ErrClosed   = errors.New("tunnel: closed")
	ErrTooMany  = errors.New("tunnel: too many connections to the server")
	errSilent   = errors.New("tunnel: nothing is heard of the server")
	errGap      = errors.New("tunnel: messages of the server are missing")
	errProtocol = errors.New("tunnel: message of the server not understood")
	errEnded    = errors.New("tunnel: ended by the server")
)

// A Tunnel makes and accepts connections. All methods are safe for concurrent use.
type Tunnel struct {
	o      Options
	key    []byte
	http   *http.Server
	accept chan net.Conn
	stop   func()
	done   chan struct{}
	wg     sync.WaitGroup

	mu     sync.Mutex
	closed bool
	out    map[string]*link  // links that this server began, by the name of the other
	links  map[linkKey]*link // all
}

type linkKey struct {
	id    linkID
	began bool // by this server
}

// New begins to serve what other servers carry here.
func New(o Options) (*Tunnel, error) {
	if o.ID == "" || len(o.ID) > 255 || o.Bus == nil || o.Handler == nil || len(o.Secret) < 16 {
		return nil, errors.New("tunnel: Options need an ID, a Bus, a Handler and a Secret of 16 bytes or more")
	}
	if o.MaxConns <= 0 {
		o.MaxConns = 10_000
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	t := &Tunnel{o: o, key: sum(o.Secret, []byte("sockeye tunnel 1")), accept: make(chan net.Conn), done: make(chan struct{}),
		out: make(map[string]*link), links: make(map[linkKey]*link)}
	t.http = &http.Server{Handler: o.Handler, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: maxHeader,
		IdleTimeout: 2 * idle, ErrorLog: log.New(io.Discard, "", 0)}
	stop, err := o.Bus.Receive(o.ID, t.receive)
	if err != nil {
		return nil, err
	}
	t.stop = stop
	t.wg.Go(func() { _ = t.http.Serve(listener{t}) })
	return t, nil
}

// Dial connects to another server.
func (t *Tunnel) Dial(ctx context.Context, id string) (net.Conn, error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil, ErrClosed
	}
	l := t.out[id]
	fresh := l == nil
	if fresh {
		l = t.newLink(id, true)
		rand.Read(l.id[:]) // never fails
		t.out[id], t.links[linkKey{l.id, true}] = l, l
		t.wg.Go(l.run)
	}
	t.mu.Unlock()
	if fresh {
		if err := t.o.Bus.Send(id, t.greeting(typeHello, id, l.id, linkID{}, time.Now())); err != nil {
			l.fail(err)
		}
	}
	select {
	case <-l.ready:
		return l.open()
	case <-l.done:
		return nil, l.reason()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close ends all connections.
func (t *Tunnel) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	all := make([]*link, 0, len(t.links))
	for _, l := range t.links {
		all = append(all, l)
	}
	t.mu.Unlock()
	for _, l := range all {
		l.end()
	}
	close(t.done)
	err := t.http.Close()
	t.stop()
	t.wg.Wait()
	return err
}

// listener is where the HTTP server gets connections of other servers.
type listener struct{ t *Tunnel }

func (l listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.t.accept:
		return c, nil
	case <-l.t.done:
		return nil, net.ErrClosed
	}
}
func (l listener) Close() error   { return nil }
func (l listener) Addr() net.Addr { return address(l.t.o.ID) }

// address is the name of a server.
type address string

func (a address) Network() string { return "sockeye" }
func (a address) String() string  { return string(a) }

func sum(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, key)
	for _, p := range parts {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(p)))
		mac.Write(n[:])
		mac.Write(p)
	}
	return mac.Sum(nil)
}
