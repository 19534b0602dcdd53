package nats

import (
	"errors"
	"net/url"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/sockeye-io/sockeye/peers"
)

// DirectoryOptions configure [Broker.Directory].
type DirectoryOptions struct {
	// ID is the name of this server, as package peers has it.
	ID string
	// URL is where the other servers reach this one, such as "http://10.0.0.2:3000", or peers.ViaBroker.
	URL string
	// Interval is between two announcements. A server that announced nothing for 5 times as long is forgotten. Zero means
	// 2 s.
	Interval time.Duration
}

// A Directory knows where the servers of a cluster are because they tell each other. It is the Directory that package
// peers asks for. While NATS can't be reached nobody is forgotten: the servers may well reach each other. Everybody who
// may publish to NATS decides with it where requests are carried to.
type Directory struct {
	b    *Broker
	self entry
	opts DirectoryOptions
	stop chan struct{}
	done chan struct{}

	mu       sync.Mutex
	closed   bool
	servers  map[string]known
	conflict bool // it was logged that another server has the same name
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
	directoryName = "@directory" // no namespace has this token
	// maxServers bounds how many servers a directory knows.
	maxServers = 100_000
)

// Directory announces this server to the others, and learns of them. There is one for each broker; close it before the
// broker.
func (b *Broker) Directory(o DirectoryOptions) (*Directory, error) {
	e := entry{ID: o.ID, URL: o.URL}
	if o.ID == "" || !e.valid() {
		return nil, errors.New("nats: DirectoryOptions need an ID, and a URL such as http://10.0.0.2:3000")
	}
	if o.Interval <= 0 {
		o.Interval = 2 * time.Second
	}
	d := &Directory{
		b: b, self: e, opts: o, servers: make(map[string]known), stop: make(chan struct{}), done: make(chan struct{}),
	}
	b.mu.Lock()
	taken := b.taking[directoryName] != nil
	if !taken {
		b.taking[directoryName] = d
	}
	b.mu.Unlock()
	if taken {
		return nil, errors.New("nats: the broker has a directory already")
	}
	b.out.interest(subscribe, d.subject())
	d.announce(true)
	if !b.start(d.run) {
		return nil, ErrDown
	}
	return d, nil
}

func (d *Directory) subject() string { return d.b.opts.Prefix + "." + directoryName }

func (e *entry) valid() bool {
	u, err := url.Parse(e.URL)
	return e.URL == peers.ViaBroker || err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// announce says where this server is. What can't be sent now is soon said again.
func (d *Directory) announce(ask bool) {
	e := d.self
	e.Ask = ask
	d.publish(e)
}

func (d *Directory) publish(e entry) {
	payload, err := json.Marshal(e)
	if err == nil {
		_ = d.b.out.publish(d.subject(), payload)
	}
}

func (d *Directory) run() {
	defer close(d.done)
	ticker := time.NewTicker(d.opts.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-d.b.ctx.Done():
			return
		case now := <-ticker.C:
			d.announce(false)
			if d.b.state.Load() == up {
				d.expire(now)
			}
		}
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

// reconnected gives the others time to say that they are still there.
func (d *Directory) reconnected() {
	d.mu.Lock()
	now := time.Now()
	for id, k := range d.servers {
		k.at = now
		d.servers[id] = k
	}
	d.mu.Unlock()
	d.announce(true)
}

// take learns what another server says.
func (d *Directory) take(payload []byte) {
	var e entry
	if err := json.Unmarshal(payload, &e); err != nil || e.ID == "" || (e.URL != "" && !e.valid()) {
		d.b.log.Warn("nats: announcement not understood")
		return
	}
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return
	}
	conflict := e.ID == d.self.ID && e.URL != "" && !d.conflict
	switch {
	case e.ID == d.self.ID:
		d.conflict = d.conflict || e.URL != ""
	case e.URL == "":
		delete(d.servers, e.ID)
	case d.servers[e.ID].url != "" || len(d.servers) < maxServers:
		d.servers[e.ID] = known{e.URL, time.Now()}
	}
	d.mu.Unlock()
	if conflict {
		d.b.log.Error("nats: another server has the same name; requests for one of them go to the other", "id", e.ID)
	}
	if e.Ask {
		d.announce(false)
	}
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

// Close tells the others that this server has left, and forgets them.
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
	d.publish(entry{ID: d.self.ID})
	d.b.out.interest(unsubscribe, d.subject())
	d.b.mu.Lock()
	delete(d.b.taking, directoryName)
	d.b.mu.Unlock()
	return d.b.out.flush(closeTimeout)
}
