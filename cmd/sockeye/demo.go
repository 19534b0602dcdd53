package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/chat"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/lab"
	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/peers"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/web"
	"github.com/sockeye-io/sockeye/web/demo"
)

type demoOptions struct {
	path    string
	origins []string
	proxies []netip.Prefix
	log     *slog.Logger

	// In a cluster:
	adapter adapter.Factory
	peers   *peers.Peers
}

// demoServer is what "sockeye serve" serves: the pages, the chat, the lab, and some numbers about itself.
type demoServer struct {
	mux    *http.ServeMux
	io     *socketio.Server
	chat   *chat.Chat
	lab    *lab.Lab
	peers  *peers.Peers // nil: there are none
	events atomic.Int64
	stop   chan struct{}
	done   chan struct{}
}

// serverNumbers is what the pages show about the server.
type serverNumbers struct {
	Sessions   int            `json:"sessions"`
	Transports map[string]int `json:"transports"`
	Events     int64          `json:"events"` // a second, both directions
	People     int            `json:"people"`
	Visits     int            `json:"visits"`

	// In a cluster:
	Node    string `json:"node,omitzero"`
	Carried int64  `json:"carried,omitzero"` // requests passed on to other servers, since the start
}

var (
	clockCall    = event.NewCall[struct{}, struct{}]("clock")
	numbersEvent = event.New[serverNumbers]("server")
)

func newDemo(o demoOptions) (*demoServer, error) {
	d := &demoServer{mux: http.NewServeMux(), peers: o.peers, stop: make(chan struct{}), done: make(chan struct{})}
	opts := &socketio.Options{
		Engine:   engineio.Options{Path: o.path, MaxSessions: 2000, MaxPayload: 100_000, TrustedProxies: o.proxies},
		Recovery: &socketio.RecoveryOptions{MaxDisconnection: 30 * time.Second, RunMiddlewares: true},
		Logger:   o.log,
		Adapter:  o.adapter,
	}
	labOpts := lab.Options{Logger: o.log, Count: func(n int) { d.events.Add(int64(n)) }}
	if o.peers != nil {
		o.peers.Configure(&opts.Engine)
		// Visits of the lab are named like sessions, so that their requests find the server, too.
		labOpts.NewID = func() (string, error) { return o.peers.GenerateID(nil) }
		labOpts.Foreign = o.peers.Foreign
	}
	if len(o.origins) > 0 {
		opts.Engine.CORS = &engineio.CORS{Origins: o.origins}
	}
	var err error
	if d.lab, err = lab.New(labOpts); err != nil {
		return nil, err
	}
	d.io = socketio.NewServer(opts)
	d.io.OnConnection(func(s *socketio.Socket) {
		s.OnError(func(err error) { o.log.Debug("event refused", "err", err) })
		clockCall.On(s, func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil })
	})
	for _, ns := range []string{"/", "/chat", "/lab"} {
		d.io.Of(ns).OnConnection(func(s *socketio.Socket) {
			s.OnAny(func(context.Context, *socketio.Message) error { d.events.Add(1); return nil })
		})
	}
	d.chat = chat.New(d.io.Of("/chat"), chat.Limits{}, o.log, "lobby", "help", "random")
	if o.peers != nil {
		ctx, cancel := context.WithTimeout(context.Background(), meetTime)
		d.chat.Replicate(ctx, d.io.Of("/chat"))
		cancel()
	}
	d.lab.Control(d.io.Of("/lab"))

	d.mux.Handle(o.path, d.io)
	d.mux.Handle("/lab/{visit}/{lane}/", d.lab)
	d.health()
	files, err := pages(o.path, o.peers != nil)
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	d.mux.Handle("/", files)
	go d.tell()
	return d, nil
}

func (d *demoServer) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.mux.ServeHTTP(w, r) }

// tell sends the numbers to the front page and the lab once a second.
func (d *demoServer) tell() {
	defer close(d.done)
	t := time.NewTicker(time.Second)
	defer t.Stop()
	last := time.Now()
	for {
		select {
		case <-d.stop:
			return
		case now := <-t.C:
			n := serverNumbers{
				Transports: map[string]int{},
				Events:     int64(float64(d.events.Swap(0))/now.Sub(last).Seconds() + 0.5),
				People:     d.chat.People(),
				Visits:     d.lab.Visits(),
			}
			if d.peers != nil {
				n.Node, n.Carried = d.peers.ID(), d.peers.Stats().Carried
			}
			last = now
			for _, io := range append(d.lab.Servers(), d.io) {
				io.Engine().All(func(s *engineio.Session) bool {
					n.Sessions++
					n.Transports[s.Transport()]++
					return true
				})
			}
			for _, ns := range []string{"/", "/lab"} {
				_ = numbersEvent.Emit(d.io.Of(ns).Local().Volatile(), n)
			}
		}
	}
}

// shutdown lets clients go, spread over the time of ctx.
func (d *demoServer) shutdown(ctx context.Context) error {
	d.chat.Leave()
	err := d.io.Shutdown(ctx)
	return errors.Join(err, d.release())
}

// close ends everything at once.
func (d *demoServer) close() error {
	return errors.Join(d.io.Close(), d.release())
}

func (d *demoServer) release() error {
	close(d.stop)
	<-d.done
	d.chat.Close()
	return d.lab.Close()
}

// pages serves the embedded pages: "/chat" is chat.html, and so on. In a cluster they read the server's name from the id of
// their session.
func pages(socketPath string, cluster bool) (http.Handler, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(demo.Files, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files["/"+name], err = demo.Files.ReadFile(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"socket.io.esm.min.js", "socket.io.esm.min.js.map"} {
		if content, ok := web.File(name); ok {
			files["/assets/"+name] = content
		}
	}
	files["/assets/env.js"] = fmt.Appendf(nil, "export default { path: %q, cluster: %t };\n", socketPath, cluster)
	started := time.Now()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		name := r.URL.Path
		switch name {
		case "/":
			name = "/index.html"
		case "/chat", "/lab":
			name += ".html"
		}
		content, ok := files[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", contentType(name))
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Content-Security-Policy", "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'")
		http.ServeContent(w, r, "", started, bytes.NewReader(content))
	}), nil
}

// contentType knows the few kinds of files there are; the system's table may lack woff2 or call .js something else.
func contentType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".woff2":
		return "font/woff2"
	case ".map":
		return "application/json"
	default:
		return strings.TrimSpace(mime.TypeByExtension(ext))
	}
}
