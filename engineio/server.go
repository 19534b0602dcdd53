package engineio

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Server answers Engine.IO requests. It is an http.Handler; make one with
// NewServer.
type Server struct {
	opts    Options
	accept  func(*Session) Receiver
	shards  [shardCount]shard
	count   atomic.Int64
	stopped atomic.Bool // refuse handshakes
	limiter limiter
	proxies proxyList
	flusher flusher
	eof     eofWatch
	stats   counters
	// Upgrades offered in the open packet, as JSON: to everyone, and to clients
	// that said that they know streaming.
	upgrades, upgradesStreaming string
}

// shardCount spreads the lock of the session table; 64 keeps two of 1,000
// concurrent handshakes from meeting more often than about once in 60.
const shardCount = 64

type shard struct {
	mu       sync.RWMutex
	sessions map[string]*Session
}

type counters struct {
	dropped, volatileDropped, outboxFull, refused atomic.Int64
}

// Stats are counts since the server was made, except Sessions.
type Stats struct {
	Sessions        int   // open now
	Refused         int64 // requests refused before they reached a session
	Dropped         int64 // messages lost to PolicyDropNewest or a full outbox
	VolatileDropped int64 // volatile messages that could not leave at once
	OutboxFull      int64 // sessions closed because their outbox was full
}

// NewServer returns a server with the given options; nil means all defaults.
// accept is called once for each new session and returns what consumes its
// messages; it may already send. NewServer panics if the options contradict
// themselves, since that is a mistake in the program.
func NewServer(opts *Options, accept func(*Session) Receiver) *Server {
	o, err := opts.withDefaults()
	if err != nil {
		panic(err)
	}
	if accept == nil {
		panic("engineio: NewServer needs an accept function")
	}
	srv := &Server{opts: o, accept: accept}
	srv.limiter.HandshakeLimit = o.Handshakes
	if len(o.TrustedProxies) > 0 {
		srv.proxies = proxyList(o.TrustedProxies).cleaned()
	}
	srv.flusher.limit = runtime.GOMAXPROCS(0)
	for i := range srv.shards {
		srv.shards[i].sessions = make(map[string]*Session)
	}
	srv.upgrades, srv.upgradesStreaming = "[]", "[]"
	if !o.NoUpgrades {
		var offered []string
		if slices.Contains(o.Transports, websocketName) {
			offered = append(offered, `"`+websocketName+`"`)
		}
		srv.upgrades = "[" + strings.Join(offered, ",") + "]"
		if slices.Contains(o.Transports, streamingName) {
			offered = append(offered, `"`+streamingName+`"`)
		}
		srv.upgradesStreaming = "[" + strings.Join(offered, ",") + "]"
	}
	return srv
}

// ServeHTTP answers one request of any transport.
func (srv *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !srv.Owns(r.URL.Path) {
		http.NotFound(w, r)
		return
	}
	q := request{Request: r, query: parseQuery(r.URL.RawQuery), upgrade: isWebSocketUpgrade(r)}
	srv.proxies.resolve(&q)
	r = q.Request // in which the client's address and host are, from here on
	if srv.foreign(w, &q) {
		return
	}
	if srv.opts.Headers != nil {
		srv.opts.Headers(w.Header(), r)
	}
	if srv.opts.CORS.apply(w.Header(), r) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s, refusal := srv.verify(&q)
	if refusal != nil {
		srv.refuse(w, &q, refusal)
		return
	}
	switch {
	case q.upgrade:
		srv.serveWebSocket(w, &q, s)
	case s == nil:
		srv.serveHandshake(w, &q)
	case r.Method == http.MethodGet:
		s.serveGet(w, &q)
	case r.Method == http.MethodPost:
		s.servePost(w, &q)
	default:
		// As the Node server answers; the session is not disturbed.
		dropBody(w, r)
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// foreign has a request answered that is for a session of another server. Preflights are the same everywhere.
func (srv *Server) foreign(w http.ResponseWriter, q *request) bool {
	if srv.opts.Foreign == nil || q.Method == http.MethodOptions {
		return false
	}
	sid := single(q.query, "sid")
	return sid != "" && srv.Session(sid) == nil && srv.opts.Foreign(w, q.Request, sid)
}

// debug logs what is worth it only to who asks. The attributes are gathered only then.
func (srv *Server) debug(message string, attributes func() []any) {
	if l := srv.opts.Logger; l.Enabled(context.Background(), slog.LevelDebug) {
		l.Debug(message, attributes()...)
	}
}

// Owns reports whether the server answers at path: Options.Path with or
// without its last slash, and nothing below it.
func (srv *Server) Owns(path string) bool {
	return path == srv.opts.Path || len(path) == len(srv.opts.Path)-1 && strings.HasPrefix(srv.opts.Path, path)
}

// Options returns the options in force, with defaults filled in.
func (srv *Server) Options() Options { return srv.opts }

// Stats returns the server's counters.
func (srv *Server) Stats() Stats {
	return Stats{
		Sessions:        srv.Sessions(),
		Refused:         srv.stats.refused.Load(),
		Dropped:         srv.stats.dropped.Load(),
		VolatileDropped: srv.stats.volatileDropped.Load(),
		OutboxFull:      srv.stats.outboxFull.Load(),
	}
}

// Sessions returns the number of open sessions.
func (srv *Server) Sessions() int { return int(srv.count.Load()) }

// Session returns the open session with the given id, or nil.
func (srv *Server) Session(id string) *Session {
	sh := srv.shard(id)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.sessions[id]
}

// All calls f for every open session until it returns false. Sessions that
// come or go meanwhile may be missed.
func (srv *Server) All(f func(*Session) bool) {
	for i := range srv.shards {
		sh := &srv.shards[i]
		sh.mu.RLock()
		all := make([]*Session, 0, len(sh.sessions))
		for _, s := range sh.sessions {
			all = append(all, s)
		}
		sh.mu.RUnlock()
		for _, s := range all {
			if !f(s) {
				return
			}
		}
	}
}

func (srv *Server) shard(id string) *shard {
	h := uint32(2166136261) // FNV-1a
	for i := range len(id) {
		h = (h ^ uint32(id[i])) * 16777619
	}
	return &srv.shards[h%shardCount]
}

var errDuplicateID = errors.New("engineio: GenerateID returned an id that is in use")

// open makes a session on the given transport and publishes it. The transport
// is not ready yet: nothing is written before the caller says so.
func (srv *Server) open(q *request, t transport, attach func(*Session)) (*Session, *refusal) {
	id := newID()
	if srv.opts.GenerateID != nil {
		var err error
		if id, err = srv.opts.GenerateID(q.Request); err != nil {
			return nil, badRequest("ID_GENERATION_ERROR", "error", err.Error())
		}
	}
	s := &Session{
		server:    srv,
		id:        id,
		handshake: newHandshake(q),
		interval:  srv.grantInterval(q.query),
		transport: t,
	}
	attach(s)
	sh := srv.shard(id)
	sh.mu.Lock()
	if sh.sessions[id] != nil {
		sh.mu.Unlock()
		return nil, badRequest("ID_GENERATION_ERROR", "error", errDuplicateID.Error())
	}
	sh.sessions[id] = s
	sh.mu.Unlock()
	srv.count.Add(1)

	s.mu.Lock() // the timer must not fire before the receiver is there
	s.timer = time.AfterFunc(s.interval, s.tick)
	s.mu.Unlock()
	// If the session ends meanwhile, Closed waits until there is a receiver.
	s.delivery.Lock()
	s.receiver = srv.accept(s)
	s.delivery.Unlock()
	if s.receiver == nil {
		panic("engineio: the accept function returned no Receiver")
	}
	s.announceEnd()
	if srv.stopped.Load() {
		s.finish(ReasonServerShutdown, ErrServerClosed, endAbort)
	}
	return s, nil
}

func (srv *Server) forget(s *Session) {
	sh := srv.shard(s.id)
	sh.mu.Lock()
	if sh.sessions[s.id] == s {
		delete(sh.sessions, s.id)
		srv.count.Add(-1)
	}
	sh.mu.Unlock()
}

// offered returns the upgrades for the open packet of a session that begins
// with the given transport.
func (srv *Server) offered(transport string, query url.Values) string {
	switch {
	case transport == websocketName:
		return "[]"
	case transport == pollingName && query.Get("streaming") == "1":
		return srv.upgradesStreaming
	}
	return srv.upgrades
}

// handshakeHeaders adds what only the response to a handshake carries.
func (srv *Server) handshakeHeaders(h http.Header, r *http.Request, s *Session) {
	if srv.opts.Cookie != nil {
		cookie := *srv.opts.Cookie
		cookie.Value = s.id
		h.Add("Set-Cookie", cookie.String())
	}
	if srv.opts.InitialHeaders != nil {
		srv.opts.InitialHeaders(h, r)
	}
}

// serveHandshake opens a session on polling or streaming.
func (srv *Server) serveHandshake(w http.ResponseWriter, q *request) {
	if q.transport == streamingName {
		srv.openStreaming(w, q)
		return
	}
	p := &polling{hold{wake: make(chan struct{}, 1)}}
	s, refusal := srv.open(q, p, func(s *Session) { p.session = s })
	if refusal != nil {
		srv.refuse(w, q, refusal)
		return
	}
	srv.handshakeHeaders(w.Header(), q.Request, s)
	b := batchPool.Get().(*batch)
	b.push(s.openPacket(srv.offered(pollingName, q.query)))
	if srv.opts.InitialMessage != nil {
		b.push(NewMessage(false, srv.opts.InitialMessage))
	}
	err := s.writePayload(w, q, b)
	b.release()
	if err != nil {
		s.finish(ReasonTransportError, err, endAbort)
	}
}

func (srv *Server) seconds(d time.Duration) string {
	return strconv.Itoa(max(1, int((d+time.Second-1)/time.Second)))
}
