package socketio

import (
	"context"
	"hash/maphash"
	"log/slog"
	"math"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/internal/hooks"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// A Server is a Socket.IO server. It is an [http.Handler] that must receive the requests for its path ("/socket.io/"
// unless Options.Engine.Path says otherwise) unchanged. All methods are safe for concurrent use.
type Server struct {
	opts   *Options
	limits *packet.Limits // shared by all decoders
	engine *engineio.Server
	log    *slog.Logger
	root   *Namespace
	store  *sessionStore // nil without recovery
	client *clientFiles  // nil if not served
	work   workers

	newNamespace hooks.List[func(*Namespace)]
	onClose      hooks.List[func()]
	closing      atomic.Bool
	aborted      atomic.Bool // by Close: events that are queued are not handled any more

	mu         sync.RWMutex
	namespaces map[string]*Namespace
	parents    []*Parent
	children   int       // of all parents
	emptied    time.Time // when empty children were forgotten for want of room
	closed     bool
}

// NewServer returns a server. Nil options are the defaults; options that contradict each other make it panic.
func NewServer(opts *Options) *Server {
	o, err := opts.withDefaults()
	if err != nil {
		panic(err.Error())
	}
	srv := &Server{
		opts:       o,
		limits:     o.packetLimits(),
		log:        o.Logger,
		namespaces: make(map[string]*Namespace),
	}
	if o.Recovery != nil {
		srv.store = newSessionStore(srv)
	}
	srv.root = srv.Of("/")
	srv.engine = engineio.NewServer(&o.Engine, srv.accept)
	if !o.NoClient {
		srv.client = newClientFiles(&o.Engine)
	}
	return srv
}

// ServeHTTP answers the requests of clients, and those for the browser client's files.
func (srv *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if srv.client != nil && srv.client.serve(w, r) {
		return
	}
	srv.engine.ServeHTTP(w, r)
}

// Engine returns the Engine.IO server below, for its numbers.
func (srv *Server) Engine() *engineio.Server { return srv.engine }

// Options returns the options in force, with defaults filled in.
func (srv *Server) Options() Options { return *srv.opts }

// Of returns the namespace with the name, which it makes if there is none. A missing slash at the start is added.
// A name that a pattern of [Server.OfRegexp] matches becomes a child of that pattern.
func (srv *Server) Of(name string) *Namespace {
	if name == "" || name[0] != '/' {
		name = "/" + name
	}
	srv.mu.RLock()
	ns := srv.namespaces[name]
	srv.mu.RUnlock()
	if ns != nil {
		return ns
	}
	parent, _ := srv.matchPattern(name)
	return srv.create(name, parent)
}

// OfRegexp lets clients join every namespace whose name the pattern matches; each is made when it is first joined.
func (srv *Server) OfRegexp(re *regexp.Regexp) *Parent {
	return srv.addParent(&Parent{server: srv, pattern: re})
}

// OfFunc lets clients join every namespace that f allows. It is called in a goroutine of its own, with the payload
// that the client sent for authentication (nil if none), and ctx ends when the client goes away. An error refuses the
// namespace as one that does not exist and is logged.
func (srv *Server) OfFunc(f func(ctx context.Context, name string, auth jsontext.Value) (bool, error)) *Parent {
	return srv.addParent(&Parent{server: srv, match: f})
}

func (srv *Server) addParent(p *Parent) *Parent {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.parents = append(srv.parents, p)
	return p
}

// OnNewNamespace is called with every namespace that is made from now on.
func (srv *Server) OnNewNamespace(f func(*Namespace)) Subscription { return srv.newNamespace.Add(f) }

// OnClose calls f when the server closes: after clients were disconnected, and before the adapters are closed, so that
// other servers can still be told something.
func (srv *Server) OnClose(f func()) Subscription { return srv.onClose.Add(f) }

// create returns the namespace with the name, and makes it if it is not there.
func (srv *Server) create(name string, parent *Parent) *Namespace {
	ns, _ := srv.createWithin(name, parent, math.MaxInt) // fails only at the limit
	return ns
}

// createForClient is create with the limit for what clients may ask for.
func (srv *Server) createForClient(name string, parent *Parent) (*Namespace, error) {
	ns, err := srv.createWithin(name, parent, srv.opts.Limits.MaxChildNamespaces)
	if err != nil && srv.forgetEmpty() {
		ns, err = srv.createWithin(name, parent, srv.opts.Limits.MaxChildNamespaces)
	}
	return ns, err
}

// forgetInterval keeps clients that are refused from making the server look for empty namespaces all the time.
const forgetInterval = 100 * time.Millisecond

// forgetEmpty makes room among the namespaces that clients asked for, by forgetting the empty ones, which somebody may
// have made up to keep others out. It reports whether it has looked.
func (srv *Server) forgetEmpty() bool {
	srv.mu.Lock()
	now := time.Now()
	due := now.Sub(srv.emptied) >= forgetInterval
	if due {
		srv.emptied = now
	}
	srv.mu.Unlock()
	if !due {
		return false
	}
	for _, ns := range srv.allNamespaces() {
		if ns.parent != nil {
			srv.forget(ns)
		}
	}
	return true
}

var errTooManyNamespaces = &ConnectError{Message: "Too many namespaces"}

func (srv *Server) createWithin(name string, parent *Parent, limit int) (*Namespace, error) {
	srv.mu.Lock()
	ns := srv.namespaces[name]
	if ns != nil {
		srv.mu.Unlock()
		return ns, nil
	}
	if parent != nil {
		if srv.children >= limit {
			srv.mu.Unlock()
			return nil, errTooManyNamespaces
		}
		srv.children++
	}
	ns = &Namespace{server: srv, name: name, parent: parent, ids: make(map[string]*member)}
	ns.offset.Store(firstOffset())
	ns.index.seed = maphash.MakeSeed()
	ns.index.events.failed = func(err error) { srv.failed(nil, "room listener", err) }
	if parent != nil {
		parent.adopt(ns)
	}
	if srv.opts.Adapter != nil {
		ns.attach(srv.opts.Adapter)
	}
	srv.namespaces[name] = ns
	srv.mu.Unlock()
	for _, f := range srv.newNamespace.Snapshot() {
		if err := protect(func() error { (*f)(ns); return nil }); err != nil {
			srv.failed(nil, "OnNewNamespace", err)
		}
	}
	return ns, nil
}

// matchPattern finds the parent whose pattern matches. If none does, it returns those that decide by a function.
func (srv *Server) matchPattern(name string) (*Parent, []*Parent) {
	srv.mu.RLock()
	parents := srv.parents
	srv.mu.RUnlock()
	var undecided []*Parent
	for _, p := range parents {
		if p.match != nil {
			undecided = append(undecided, p)
		} else if p.pattern.MatchString(name) {
			return p, nil
		}
	}
	return nil, undecided
}

// lookup finds the namespace for a client that wants to join. If it can't without waiting, it returns whom to ask.
func (srv *Server) lookup(name string) (*Namespace, []*Parent, error) {
	srv.mu.RLock()
	ns := srv.namespaces[name]
	none := len(srv.parents) == 0
	srv.mu.RUnlock()
	if ns != nil || none {
		return ns, nil, nil
	}
	parent, undecided := srv.matchPattern(name)
	if parent == nil {
		return nil, undecided, nil
	}
	ns, err := srv.createForClient(name, parent)
	return ns, nil, err
}

// forget drops a namespace that nobody uses.
func (srv *Server) forget(ns *Namespace) {
	srv.mu.Lock()
	ns.mu.Lock()
	idle := ns.users == 0 && !ns.closed
	if idle {
		ns.closed = true
		delete(srv.namespaces, ns.name)
		srv.children-- // only those are forgotten
	}
	ns.mu.Unlock()
	srv.mu.Unlock()
	if idle {
		ns.parent.disown(ns)
		ns.detach()
	}
}

func (srv *Server) allNamespaces() []*Namespace {
	srv.mu.RLock()
	defer srv.mu.RUnlock()
	all := make([]*Namespace, 0, len(srv.namespaces))
	for _, ns := range srv.namespaces {
		all = append(all, ns)
	}
	return all
}

// failed reports what went wrong in code of the user. The socket may be nil.
func (srv *Server) failed(s *Socket, what string, err error) {
	if p, ok := err.(*PanicError); ok {
		srv.log.Error("socketio: panic", "in", what, "panic", p.Value, "stack", string(p.Stack))
	}
	if f := srv.opts.OnError; f != nil {
		if err := protect(func() error { f(s, err); return nil }); err != nil {
			srv.log.Error("socketio: panic", "in", "OnError", "panic", err)
		}
	}
}

// Close disconnects everybody at once, with the reason [ReasonServerShutdown], and closes the adapters. It does not
// wait for handlers. The HTTP server in front is the caller's to close.
func (srv *Server) Close() error {
	if !srv.stop() {
		return ErrServerClosed
	}
	srv.aborted.Store(true)
	srv.disconnectAll()
	err := srv.engine.Close()
	srv.release()
	return err
}

// Shutdown is [Server.Drain] and then the end: when everybody is gone and the handlers have returned, or ctx is done, it
// closes what is left and the adapters. It returns ctx's error if something was left.
func (srv *Server) Shutdown(ctx context.Context) error {
	if !srv.stop() {
		return ErrServerClosed
	}
	err := srv.engine.Shutdown(ctx)
	srv.disconnectAll()
	if waitErr := srv.work.wait(ctx); err == nil {
		err = waitErr
	}
	if err != nil {
		srv.engine.Close()
	}
	srv.release()
	return err
}

// stop marks the server closed and reports whether it was not.
func (srv *Server) stop() bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.closed {
		return false
	}
	srv.closed = true
	srv.closing.Store(true)
	return true
}

func (srv *Server) disconnectAll() {
	for _, ns := range srv.allNamespaces() {
		for _, s := range ns.connected() {
			s.close(ReasonServerShutdown, nil)
		}
	}
}

func (srv *Server) release() {
	srv.work.stop()
	if srv.store != nil {
		srv.store.close()
	}
	for _, f := range srv.onClose.Snapshot() {
		if err := protect(func() error { (*f)(); return nil }); err != nil {
			srv.failed(nil, "OnClose", err)
		}
	}
	for _, ns := range srv.allNamespaces() {
		ns.detach()
	}
}
