package redis

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"

	"github.com/sockeye-io/sockeye/adapter"
)

// Classic returns the adapter that is compatible with @socket.io/redis-adapter 8.3 (createAdapter) and
// @socket.io/redis-emitter.
//
// Every server is sent every event: Redis patterns can't tell rooms that somebody is in. A server drops those to one
// room that it doesn't have before it looks into them.
func (b *Broker) Classic() adapter.Factory {
	return func(host adapter.Host) adapter.Adapter {
		prefix := b.opts.Prefix
		ns := host.Namespace()
		c := &classic{
			b: b, host: host, uid: newUID(),
			events:    prefix + "#" + ns + "#",
			requests:  prefix + "-request#" + ns + "#",
			responses: prefix + "-response#" + ns + "#",
			pending:   make(map[string]*request), serving: make(map[string]*serving),
		}
		b.in.add(toPattern, c.events+"*", c.receiveEvent)
		b.in.add(toChannel, c.responses, c.receiveResponse)
		b.in.add(toChannel, c.responses+c.uid+"#", c.receiveResponse)
		b.in.add(toChannel, c.requests, c.receiveRequest) // by which it is counted: the last
		return c
	}
}

// classic is the adapter of one namespace.
type classic struct {
	b                           *Broker
	host                        adapter.Host
	uid                         string
	events, requests, responses string // channels

	handling sync.Mutex // while something is received
	mu       sync.Mutex
	closed   bool
	pending  map[string]*request // asked by this server
	serving  map[string]*serving // acknowledgements that this server collects for others
}

// newUID returns the name of a server for others, 6 characters as in Node.
func newUID() string { return strings.ToLower(rand.Text()[:6]) }

func newRequestID() string { return rand.Text()[:16] }

// publish sends something to all servers.
func (c *classic) publish(channel string, payload []byte) error {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return adapter.ErrClosed
	}
	return c.b.out.push(publication{channel: channel, payload: payload})
}

// Broadcast implements [adapter.Adapter].
func (c *classic) Broadcast(p *adapter.Packet, t adapter.Target) error {
	payload, err := appendEvent(nil, c.uid, c.host.Namespace(), p, t)
	if err != nil {
		return err
	}
	return c.publish(eventChannel(c.events, t), payload)
}

// eventChannel returns where an event is published: what is for one room has a channel that says so.
func eventChannel(events string, t adapter.Target) string {
	if len(t.Rooms) == 1 {
		return events + t.Rooms[0] + "#"
	}
	return events
}

// receiveEvent takes an event of another server or of an emitter.
func (c *classic) receiveEvent(channel string, payload []byte) {
	c.handling.Lock()
	defer c.handling.Unlock()
	if room, ok := strings.CutSuffix(channel[len(c.events):], "#"); ok && !c.host.HasRoom(room) {
		return
	}
	uid, ns, p, t, err := decodeEvent(payload, c.uid)
	switch {
	case err != nil:
		c.misunderstood(channel, err)
	case uid == c.uid || ns != c.host.Namespace() || c.isClosed():
	default:
		c.b.stats.received.Add(1)
		c.host.Broadcast(p, t)
	}
}

func (c *classic) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *classic) misunderstood(channel string, err error) {
	c.b.log.Warn("redis: message not understood", "channel", channel, "error", err)
}

// command sends a request that wants no answer.
func (c *classic) command(m *message) error {
	m.UID = c.uid
	payload, err := m.encode()
	if err != nil {
		return err
	}
	return c.publish(c.requests, payload)
}

// Join implements [adapter.Adapter].
func (c *classic) Join(t adapter.Target, rooms []string) error {
	return c.command(&message{Type: typeJoin, Target: &t, Rooms: rooms})
}

// Leave implements [adapter.Adapter].
func (c *classic) Leave(t adapter.Target, rooms []string) error {
	return c.command(&message{Type: typeLeave, Target: &t, Rooms: rooms})
}

// Disconnect implements [adapter.Adapter].
func (c *classic) Disconnect(t adapter.Target, closeConn bool) error {
	return c.command(&message{Type: typeDisconnect, Target: &t, Close: closeConn})
}

// ServerSideEmit implements [adapter.Adapter].
func (c *classic) ServerSideEmit(p *adapter.Packet) error {
	return c.command(&message{Type: typeServerSide, Data: p.Data, Binary: p.Attachments})
}

// Servers implements [adapter.Adapter].
func (c *classic) Servers(ctx context.Context) (int, error) {
	n, err := c.b.numSub(ctx, false, c.requests)
	return max(n, 1), err
}

// Close implements [adapter.Adapter].
func (c *classic) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return adapter.ErrClosed
	}
	c.closed = true
	for _, r := range c.pending {
		r.end(adapter.ErrClosed)
	}
	collecting := c.serving
	c.serving = make(map[string]*serving)
	c.mu.Unlock()
	for _, s := range collecting {
		s.end()
	}
	c.b.in.remove(toPattern, c.events+"*")
	c.b.in.remove(toChannel, c.requests)
	c.b.in.remove(toChannel, c.responses)
	c.b.in.remove(toChannel, c.responses+c.uid+"#")
	c.handling.Lock() // what is being handled comes to its end
	defer c.handling.Unlock()
	return nil
}
