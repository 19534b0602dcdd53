package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

// Options of a [Lab].
type Options struct {
	MaxVisits int              // pages at a time; 0: 12
	Count     func(events int) // told how many events went through, for a display; may be nil
	Logger    *slog.Logger     // nil: none

	// NewID names a visit; nil: at random.
	NewID func() (string, error)
	// Foreign answers a request for a visit that another server of a cluster may have, and reports whether it did; nil:
	// there is none.
	Foreign func(w http.ResponseWriter, r *http.Request, visit string) bool
}

// Lab is the transport lab: a control namespace, the servers behind the lanes, and the lanes.
type Lab struct {
	opts  Options
	log   *slog.Logger
	fleet []*backend

	mu     sync.Mutex
	visits map[string]*visit
	closed bool
}

// backend is a Socket.IO server that only the lanes reach, on a port of the loopback interface.
type backend struct {
	io   *socketio.Server
	http *http.Server
	addr string
	done chan struct{}
}

type (
	clockReply struct {
		At float64 `json:"at"`
	}
	visitNotice struct {
		ID    string            `json:"id"`
		Lanes map[string]string `json:"lanes"` // name → path
	}
	laneAuth struct {
		Visit string `json:"visit"`
		Lane  string `json:"lane"`
	}
)

// The events of the control namespace and of the lanes, as the package's documentation lists them.
var (
	clockCall    = event.NewCall[struct{}, clockReply]("clock")
	settingsCall = event.NewCall[Settings, Settings]("settings")
	visitEvent   = event.New[visitNotice]("visit")
	figuresEvent = event.New[figures]("figures")
	tickEvent    = event.New[event.Triple[uint64, float64, string]]("tick")
	upEvent      = event.New[event.Triple[uint64, float64, string]]("up")
)

// New starts the servers behind the lanes.
func New(opts Options) (*Lab, error) {
	if opts.MaxVisits == 0 {
		opts.MaxVisits = 12
	}
	if opts.Count == nil {
		opts.Count = func(int) {}
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.NewID == nil {
		opts.NewID = func() (string, error) { return rand.Text(), nil }
	}
	if opts.Foreign == nil {
		opts.Foreign = func(http.ResponseWriter, *http.Request, string) bool { return false }
	}
	l := &Lab{opts: opts, log: opts.Logger, visits: map[string]*visit{}}
	for _, short := range []bool{false, true} {
		b, err := l.startBackend(short)
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		l.fleet = append(l.fleet, b)
	}
	return l, nil
}

func (l *Lab) startBackend(short bool) (*backend, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	b := &backend{addr: ln.Addr().String(), done: make(chan struct{})}
	b.io = socketio.NewServer(&socketio.Options{
		// The usual limit of packets in a response is for clients that can't take more; ours can, and two polls a second
		// would not keep up with the quickest stream.
		Engine:   engineio.Options{ShortPolling: short, MaxSessions: 8 * l.opts.MaxVisits, MaxPollPackets: 2 * MaxRate},
		NoClient: true,
		Logger:   l.log,
	})
	b.io.Use(l.admit)
	b.io.OnConnection(l.laneConnected)
	b.http = &http.Server{Handler: b.io, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(b.done)
		_ = b.http.Serve(ln) // ends with Close
	}()
	return b, nil
}

// admit lets only lanes of open visits in.
func (l *Lab) admit(_ context.Context, s *socketio.Socket) error {
	var auth laneAuth
	if err := s.Auth(&auth); err != nil || l.lane(auth.Visit, auth.Lane) == nil {
		return &socketio.ConnectError{Message: "This visit of the lab is over."}
	}
	s.SetData(auth)
	return nil
}

func (l *Lab) laneConnected(s *socketio.Socket) {
	auth := s.Data().(laneAuth)
	s.OnError(func(err error) { l.log.Debug("lane event refused", "lane", auth.Lane, "err", err) })
	if auth.Lane == "auto" {
		return // it shows which transport is chosen, and takes no part in the measuring
	}
	s.Join(auth.Visit)
	upEvent.On(s, func(_ context.Context, up event.Triple[uint64, float64, string]) error {
		l.opts.Count(1)
		if v := l.visit(auth.Visit); v != nil && !math.IsNaN(up.Second) {
			v.received(auth.Lane, up.Second)
		}
		return nil
	})
}

// Control opens the lab to pages on a namespace of the main server.
func (l *Lab) Control(ns *socketio.Namespace) {
	ns.Use(func(context.Context, *socketio.Socket) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.closed || len(l.visits) >= l.opts.MaxVisits {
			return &socketio.ConnectError{Message: fmt.Sprintf("All %d places in the lab are taken. Please come back in a few minutes.", l.opts.MaxVisits)}
		}
		return nil
	})
	ns.OnConnection(l.pageConnected)
}

func (l *Lab) pageConnected(s *socketio.Socket) {
	v := l.open()
	if v == nil {
		s.Disconnect(false)
		return
	}
	s.OnError(func(err error) { l.log.Debug("lab event refused", "err", err) })
	stop := make(chan struct{})
	s.OnDisconnect(func(socketio.Reason, error) {
		close(stop)
		l.end(v)
	})
	clockCall.On(s, func(context.Context, struct{}) (clockReply, error) { return clockReply{v.now()}, nil })
	settingsCall.On(s, func(_ context.Context, wanted Settings) (Settings, error) { return v.set(wanted), nil })

	notice := visitNotice{ID: v.id, Lanes: map[string]string{}}
	for _, name := range LaneNames {
		notice.Lanes[name] = "/lab/" + v.id + "/" + name + "/"
	}
	_ = visitEvent.Emit(s, notice)
	go func() {
		t := time.NewTicker(250 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				_ = figuresEvent.Emit(s, v.look())
			case <-stop:
				return
			case <-v.done:
				return
			}
		}
	}()
}

// open begins a visit; nil: there is no place left.
func (l *Lab) open() *visit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.visits) >= l.opts.MaxVisits {
		return nil
	}
	id, err := l.opts.NewID()
	if err != nil {
		return nil
	}
	v := newVisit(id, targets{normal: l.fleet[0].addr, short: l.fleet[1].addr}, l.log, func(t tick) {
		for _, b := range l.fleet {
			_ = tickEvent.Emit(b.io.To(id), event.Triple[uint64, float64, string]{First: t.n, Second: t.at, Third: t.padding})
		}
		l.opts.Count(len(LaneNames) - 1)
	})
	l.visits[id] = v
	return v
}

func (l *Lab) end(v *visit) {
	l.mu.Lock()
	delete(l.visits, v.id)
	l.mu.Unlock()
	v.close()
}

func (l *Lab) visit(id string) *visit {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.visits[id]
}

func (l *Lab) lane(visit, name string) *lane {
	if v := l.visit(visit); v != nil {
		return v.lanes[name]
	}
	return nil
}

// Visits counts the open pages.
func (l *Lab) Visits() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.visits)
}

// Servers returns the servers behind the lanes, for a display.
func (l *Lab) Servers() []*socketio.Server {
	servers := make([]*socketio.Server, 0, len(l.fleet))
	for _, b := range l.fleet {
		servers = append(servers, b.io)
	}
	return servers
}

// ServeHTTP carries the requests of the lanes: it is mounted at /lab/{visit}/{lane}/.
func (l *Lab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	visit, name := r.PathValue("visit"), r.PathValue("lane")
	lane := l.lane(visit, name)
	if lane == nil {
		if l.opts.Foreign(w, r, visit) {
			return
		}
		http.Error(w, "this visit of the lab is over", http.StatusNotFound)
		return
	}
	http.StripPrefix("/lab/"+visit+"/"+name, lane).ServeHTTP(w, r)
}

// Close ends all visits and the servers behind.
func (l *Lab) Close() error {
	l.mu.Lock()
	l.closed = true
	open := make([]*visit, 0, len(l.visits))
	for _, v := range l.visits {
		open = append(open, v)
	}
	clear(l.visits)
	l.mu.Unlock()
	var errs []error
	for _, v := range open {
		v.close()
	}
	for _, b := range l.fleet {
		errs = append(errs, b.io.Close(), b.http.Close())
		<-b.done
	}
	return errors.Join(errs...)
}
