// Package announce lets the servers of a cluster tell each other where they are, by way of the adapter that they have
// anyway: with it, package peers needs no list of servers. [Directory] is the Directory that peers.Options asks for.
//
// It needs no more of an adapter than that ServerSideEmit mostly arrives. With adapter/nats, the broker has a Directory
// of its own that does the same.
package announce

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"time"

	"github.com/sockeye-io/sockeye/peers"
	"github.com/sockeye-io/sockeye/socketio"
)

// Options configure [New].
type Options struct {
	// ID is the name of this server, as package peers has it.
	ID string
	// URL is where the other servers reach this one, such as "http://10.0.0.2:3000", or peers.ViaBroker.
	URL string
	// Interval is between two announcements. A server that announced nothing for 5 times as long is forgotten. Zero means
	// 2 s.
	Interval time.Duration
}

// A Directory knows where the other servers are because they say so. While this server can't announce itself because the
// broker is away, it forgets nobody: the servers may well reach each other. Everybody who may send to the broker decides
// with it where requests are carried to. All methods are safe for concurrent use.
type Directory struct {
	ns   *socketio.Namespace
	self entry
	opts Options
	sub  socketio.Subscription
	ask  chan struct{}
	stop chan struct{}
	done chan struct{}

	mu      sync.Mutex
	closed  bool
	servers map[string]known
}

type known struct {
	url string
	at  time.Time
}

// An entry is what servers tell each other.
type entry struct {
	ID  string `json:"id"`
	URL string `json:"url,omitzero"` // none: the server has left
	Ask bool   `json:"ask,omitzero"` // the others are asked to say where they are
}

const (
	eventName = "sockeye:announce"
	// maxServers bounds how many servers a directory knows.
	maxServers = 100_000
)

// New announces this server to the others on a namespace that all of them have, and learns of them. There is one for each
// namespace; close it before the server.
func New(ns *socketio.Namespace, o Options) (*Directory, error) {
	e := entry{ID: o.ID, URL: o.URL}
	if o.ID == "" || !e.valid() {
		return nil, errors.New("announce: Options need an ID, and a URL such as http://10.0.0.2:3000")
	}
	if o.Interval <= 0 {
		o.Interval = 2 * time.Second
	}
	d := &Directory{ns: ns, self: e, opts: o, servers: make(map[string]known),
		ask: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	d.sub = ns.OnServerSide(eventName, d.take)
	go d.run()
	return d, nil
}

func (e *entry) valid() bool {
	u, err := url.Parse(e.URL)
	return e.URL == peers.ViaBroker || err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// run announces this server at once and asks who else is there, then regularly, and whenever it is asked.
func (d *Directory) run() {
	defer close(d.done)
	e := d.self
	e.Ask = true
	_ = d.ns.ServerSideEmit(eventName, e) // what can't be sent now is soon said again
	ticker := time.NewTicker(d.opts.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-d.ask:
			_ = d.ns.ServerSideEmit(eventName, d.self)
		case now := <-ticker.C:
			if err := d.ns.ServerSideEmit(eventName, d.self); err != nil {
				d.keep(now)
			} else {
				d.expire(now)
			}
		}
	}
}

// keep takes everybody for having been heard of now: who can't be heard has not gone.
func (d *Directory) keep(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, k := range d.servers {
		k.at = now
		d.servers[id] = k
	}
}

func (d *Directory) expire(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, k := range d.servers {
		if now.Sub(k.at) > 5*d.opts.Interval {
			delete(d.servers, id)
		}
	}
}

// take learns what another server says.
func (d *Directory) take(_ context.Context, m *socketio.Message) error {
	var e entry
	if err := m.Bind(&e); err != nil {
		return err
	}
	if e.ID == "" || (e.URL != "" && !e.valid()) {
		return errors.New("announce: announcement not understood")
	}
	d.mu.Lock()
	switch {
	case d.closed || e.ID == d.self.ID:
	case e.URL == "":
		delete(d.servers, e.ID)
	case d.servers[e.ID].url != "" || len(d.servers) < maxServers:
		d.servers[e.ID] = known{e.URL, time.Now()}
	}
	d.mu.Unlock()
	if e.Ask {
		select {
		case d.ask <- struct{}{}:
		default: // one answer is for all who ask
		}
	}
	return nil
}

// Lookup returns the base URL of a server.
func (d *Directory) Lookup(id string) (baseURL string, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k, ok := d.servers[id]
	return k.url, ok
}

// Len returns how many other servers are known.
func (d *Directory) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.servers)
}

// Close tells the others that this server has left, and forgets them. Closing again does nothing.
func (d *Directory) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	d.servers = nil
	d.mu.Unlock()
	close(d.stop)
	<-d.done
	d.sub.Close()
	return d.ns.ServerSideEmit(eventName, entry{ID: d.self.ID})
}
