package engine

import (
	"net/http"
	"net/http/cookiejar"
	"slices"
	"sync"
	"time"

	"github.com/sockeye-io/sockeye/engineio/frame"
)

// Memory keeps, for ten minutes and for each server, what Dial and the
// connections have learned of the way to it: the transport that worked, and how
// often something must be sent lest the network cuts the connection. It also keeps
// cookies, as long as they say, unless Options.HTTPClient is given: a load balancer
// that goes by them leads to the same server again, which may still know the
// session. The zero value is ready to use; share it between the connections of one
// client. It is safe for concurrent use.
type Memory struct {
	mu      sync.Mutex
	servers map[string]*way
	jar     http.CookieJar
}

// way is what is known of the way to one server.
type way struct {
	transport string        // that worked after those before it did not
	heartbeat time.Duration // how often something has to be sent
	at        time.Time     // when these were learned: networks change
	idle      time.Duration // how long the last connection that broke had been silent
	worked    bool          // whether a WebSocket to the server ever opened
}

// wayLifetime is how long a way is believed in.
const wayLifetime = 10 * time.Minute

// cookies returns the jar, one for a single connection if there is no memory.
func (m *Memory) cookies() http.CookieJar {
	fresh, _ := cookiejar.New(nil) // never fails
	if m == nil {
		return fresh
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.jar == nil {
		m.jar = fresh
	}
	return m.jar
}

// Forget forgets all but the cookies, as is right when the network changes.
func (m *Memory) Forget() {
	m.mu.Lock()
	m.servers = nil
	m.mu.Unlock()
}

// recall returns what is known of the way to a server.
func (m *Memory) recall(key string) way {
	if m == nil {
		return way{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return *m.way(key)
}

// way returns the entry of a server. m.mu is held.
func (m *Memory) way(key string) *way {
	w := m.servers[key]
	if w == nil {
		if m.servers == nil {
			m.servers = make(map[string]*way)
		}
		w = new(way)
		m.servers[key] = w
	}
	if time.Since(w.at) > wayLifetime {
		w.transport, w.heartbeat = "", 0
	}
	return w
}

// learn notes that a transport works; chosen says that the order was the default
// one, so that what works best is worth remembering.
func (m *Memory) learn(key, transport string, chosen bool) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.way(key)
	best := transport
	if transport == WebSocket {
		w.worked = true
		best = ""
	}
	if chosen && w.transport != best {
		w.transport = best
		w.at = time.Now()
	}
}

// defaultOrder is the order of the transports, the one that worked last first.
func defaultOrder(best string) []string {
	order := []string{WebSocket, Polling, Streaming}
	if i := slices.Index(order, best); i > 0 {
		order = slices.Insert(slices.Delete(order, i, i+1), 0, best)
	}
	return order
}

// minHeartbeat is the shortest heartbeat that is asked for.
const minHeartbeat = 500 * time.Millisecond

// mourn finds out whether the network cuts connections that are silent for long:
// two in a row, after the same time.
func (c *Conn) mourn(reason Reason) {
	if c.memory == nil || reason == ReasonForcedClose {
		return
	}
	m := c.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.way(c.key)
	limit := c.interval
	if w.heartbeat > 0 {
		limit = min(limit, w.heartbeat)
	}
	idle := c.silence(time.Now())
	if reason == ReasonPingTimeout {
		// A cut that nobody told us of shows as a ping that never came. How long it
		// took to happen is a guess.
		idle = limit / 2
	}
	before := w.idle
	w.idle = 0
	if idle < minHeartbeat || idle >= limit {
		return
	}
	if before > 0 && (idle-before).Abs() < before*3/10 {
		w.heartbeat = max(minHeartbeat, idle/2)
		w.at = time.Now()
	} else {
		w.idle = idle
	}
}

// speakUp sends something where the network cuts silent connections and the
// server did not agree to do so itself. c.mu is held.
func (c *Conn) speakUp(now time.Time) {
	if c.keepAlive > 0 && c.transport.name() == WebSocket && c.silence(now) >= c.keepAlive && c.queue == nil && !c.flushing {
		c.push(frame.Packet{Type: frame.Noop})
		c.kick()
	}
}
