package lab

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Trouble is what the simulated network does to every lane of a visit.
type Trouble struct {
	Delay        time.Duration // added to each direction
	Buffer       bool          // a proxy keeps responses until they are complete, or bufferBytes long
	BlockUpgrade bool          // a proxy removes the Upgrade header, as those do that don't know WebSocket
}

// bufferBytes is how much of an unfinished response the simulated proxy collects before it passes it on.
const bufferBytes = 64 << 10

// maxInFlight bounds the requests that one lane has at the server at a time.
const maxInFlight = 16

// lane carries one transport of one visit: a proxy between the browser and the server that sees everything on the wire.
type lane struct {
	name   string
	target string        // host:port of the server behind
	pace   time.Duration // polls reach the server no faster than this; 0: as they come

	trouble atomic.Pointer[Trouble]
	traffic [kinds]traffic
	started time.Time // spans count from here
	proxy   *httputil.ReverseProxy
	wire    *http.Transport
	slots   chan struct{}

	mu       sync.Mutex
	conns    map[*meteredConn]struct{}
	spans    []span // requests that ended, or are open, since the last look
	open     map[*span]struct{}
	lastPoll time.Time
	closed   bool
}

// span is one request as the wire strip of the page draws it. Times are milliseconds since the visit began.
type span struct {
	ID    int64   `json:"id"`
	Kind  string  `json:"kind"`
	Start float64 `json:"start"`
	End   float64 `json:"end,omitzero"` // 0 while it is open
}

// maxSpans bounds what is kept for a page that doesn't look.
const maxSpans = 256

func newLane(name, target string, pace time.Duration, started time.Time, log *slog.Logger) *lane {
	l := &lane{
		name: name, target: target, pace: pace, started: started,
		slots: make(chan struct{}, maxInFlight),
		conns: map[*meteredConn]struct{}{}, open: map[*span]struct{}{},
	}
	l.trouble.Store(&Trouble{})
	l.wire = &http.Transport{
		DialContext:         l.dial,
		DisableCompression:  true, // the browser's own Accept-Encoding passes
		MaxIdleConnsPerHost: maxInFlight,
		IdleConnTimeout:     time.Minute,
	}
	l.proxy = &httputil.ReverseProxy{
		// Rewrite instead of Director: it adds no X-Forwarded headers, which would be counted.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", target
			r.Out.Host = r.In.Host
		},
		Transport:     l.wire,
		FlushInterval: -1,
		ModifyResponse: func(r *http.Response) error {
			if l.trouble.Load().Buffer && r.StatusCode != http.StatusSwitchingProtocols {
				r.Body = &holdingBody{body: r.Body}
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			log.Debug("lab request failed", "lane", name, "method", r.Method, "err", err)
			w.WriteHeader(http.StatusBadGateway)
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return l
}

// ServeHTTP carries one request. The path has lost the lane's prefix.
func (l *lane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	default:
		http.Error(w, "too many requests at a time on this lane", http.StatusTooManyRequests)
		return
	}
	k := kindOf(r)
	if k == kindSocket && l.trouble.Load().BlockUpgrade {
		r.Header.Del("Upgrade")
		r.Header.Del("Connection")
		k = kindGet
	}
	if k == kindGet && l.pace > 0 && r.URL.Query().Has("sid") && !l.waitTurn(r.Context()) {
		return
	}
	done := l.begin(k)
	defer done()
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if c, ok := info.Conn.(*meteredConn); ok {
			c.kind.Store(int32(k))
		}
	}}
	l.proxy.ServeHTTP(w, r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
}

func kindOf(r *http.Request) kind {
	switch {
	case strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		return kindSocket
	case r.Method == http.MethodPost:
		return kindPost
	}
	return kindGet
}

// waitTurn holds a poll back until the pace allows it; false: the browser went away.
func (l *lane) waitTurn(ctx context.Context) bool {
	l.mu.Lock()
	now := time.Now()
	turn := l.lastPoll.Add(l.pace)
	if turn.Before(now) {
		turn = now
	}
	l.lastPoll = turn
	l.mu.Unlock()
	t := time.NewTimer(time.Until(turn))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (l *lane) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		c.Close()
		return nil, net.ErrClosed
	}
	m := meter(c, l)
	l.conns[m] = struct{}{}
	return m, nil
}

func (l *lane) delay() time.Duration { return l.trouble.Load().Delay }

// set changes the trouble. What can't be changed under way, a response that was not buffered or an upgrade that was let
// through, is cut off, as a change of network would do.
func (l *lane) set(t Trouble) {
	old := l.trouble.Swap(&t)
	if old.Buffer != t.Buffer || old.BlockUpgrade != t.BlockUpgrade {
		l.cut()
	}
}

// cut closes every connection to the server.
func (l *lane) cut() {
	l.mu.Lock()
	conns := make([]*meteredConn, 0, len(l.conns))
	for c := range l.conns {
		conns = append(conns, c)
	}
	l.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
}

func (l *lane) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cut()
	l.wire.CloseIdleConnections()
}

func (l *lane) forget(m *meteredConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, m)
}

// begin notes the start of a request and returns what notes its end.
func (l *lane) begin(k kind) func() {
	id := l.traffic[k].requests.Add(1)
	s := &span{ID: id*int64(kinds) + int64(k), Kind: k.String(), Start: l.now()}
	l.mu.Lock()
	l.open[s] = struct{}{}
	l.mu.Unlock()
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.open, s)
		s.End = l.now()
		if len(l.spans) < maxSpans {
			l.spans = append(l.spans, *s)
		}
	}
}

// takeSpans returns the requests that ended since the last call, and those that are open.
func (l *lane) takeSpans() []span {
	l.mu.Lock()
	defer l.mu.Unlock()
	spans := append([]span{}, l.spans...)
	l.spans = l.spans[:0]
	for s := range l.open {
		spans = append(spans, *s)
	}
	return spans
}

func (l *lane) now() float64 { return float64(time.Since(l.started).Microseconds()) / 1000 }

// holdingBody reads a response as a buffering proxy does: nothing comes out until it is complete or the buffer is full.
type holdingBody struct {
	body io.ReadCloser
	held []byte
	err  error
}

func (h *holdingBody) Read(p []byte) (int, error) {
	if len(h.held) == 0 && h.err == nil {
		var n int
		buf := make([]byte, bufferBytes)
		n, h.err = io.ReadFull(h.body, buf)
		h.held = buf[:n]
		if h.err == io.ErrUnexpectedEOF {
			h.err = io.EOF
		}
	}
	if len(h.held) == 0 {
		return 0, h.err
	}
	n := copy(p, h.held)
	h.held = h.held[n:]
	return n, nil
}

func (h *holdingBody) Close() error { return h.body.Close() }
