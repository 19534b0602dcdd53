package redis

import (
	"context"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// A request waits for answers of the other servers. Node's do not say who they are, so they are only counted.
type request struct {
	mu       sync.Mutex
	expected int // servers that were asked
	answered int
	departed int // servers that Redis does not know of any more
	sockets  []adapter.Socket
	packets  []*adapter.Packet // answers that have come; nil is a client that went away
	clients  int               // that were asked
	asked    map[string]int    // clients that have not answered, of servers that say who they are
	err      error
	changed  chan struct{} // has room for one: something came
}

func (r *request) wake() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *request) end(err error) {
	r.mu.Lock()
	r.err = err
	r.mu.Unlock()
	r.wake()
}

// reported is called with r.mu held.
func (r *request) reported() bool { return r.answered+r.departed >= r.expected }

// ask sends a request to the other servers.
func (c *classic) ask(ctx context.Context, m *message) (*request, error) {
	n, err := c.b.numSub(ctx, false, c.requests)
	if err != nil {
		return nil, err
	}
	r := &request{expected: max(n-1, 0), asked: make(map[string]int), changed: make(chan struct{}, 1)}
	m.UID, m.RequestID = c.uid, newRequestID()
	payload, err := m.encode()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, adapter.ErrClosed
	}
	c.pending[m.RequestID] = r
	c.mu.Unlock()
	if err := c.publish(c.requests, payload); err != nil {
		c.drop(m.RequestID)
		return nil, err
	}
	return r, nil
}

func (c *classic) drop(id string) {
	c.mu.Lock()
	delete(c.pending, id)
	c.mu.Unlock()
}

// receiveResponse takes an answer.
func (c *classic) receiveResponse(channel string, payload []byte) {
	c.handling.Lock()
	defer c.handling.Unlock()
	m, err := decodeMessage(payload)
	if err != nil {
		c.misunderstood(channel, err)
		return
	}
	c.mu.Lock()
	r := c.pending[m.RequestID]
	c.mu.Unlock()
	if r == nil {
		return // another server's, or too late
	}
	c.b.stats.received.Add(1)
	r.mu.Lock()
	switch m.Type {
	case typeNone, typeFetch:
		r.answered++
		r.sockets = append(r.sockets, m.Sockets...)
	case typeServerSide:
		r.answered++
		data := jsontext.Value("[]")
		if len(m.Data) > 0 {
			data = append(append(jsontext.Value{'['}, m.Data...), ']')
		}
		r.packets = append(r.packets, &adapter.Packet{Data: data, Attachments: m.Binary})
	case typeClientCount:
		r.answered++
		r.clients += m.Clients
		if m.UID != "" {
			r.asked[m.UID] += m.Clients
		}
	case typeAck:
		if m.UID != "" && r.asked[m.UID] <= 0 {
			break // of a server that was taken for dead: it is counted already
		}
		p := m.Packet
		if m.Left {
			p = nil
		}
		r.packets = append(r.packets, p)
		if m.UID != "" {
			r.asked[m.UID]--
		}
	}
	r.mu.Unlock()
	r.wake()
}

// recountInterval is how often Redis is asked whether the servers are still there that have not answered.
const recountInterval = 500 * time.Millisecond

// wait waits until every server has answered, and done, which is called with r.mu held, says that it is enough. Take
// hands out what has come.
func (c *classic) wait(ctx context.Context, id string, r *request, take func([]*adapter.Packet), done func() bool) error {
	defer c.drop(id)
	ticker := time.NewTicker(recountInterval)
	defer ticker.Stop()
	for {
		if take != nil {
			r.mu.Lock()
			packets := r.packets
			r.packets = nil
			r.mu.Unlock()
			take(packets)
		}
		r.mu.Lock()
		err := r.err
		finished := err != nil || (r.reported() && done())
		r.mu.Unlock()
		if finished {
			return r.result(err)
		}
		select {
		case <-r.changed:
		case <-ticker.C:
			c.recount(ctx, r)
		case <-ctx.Done():
			return r.result(ctx.Err())
		}
	}
}

// result makes the error of a request that has ended.
func (r *request) result(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == adapter.ErrClosed || r.answered < r.expected {
		if err == adapter.ErrClosed {
			return err
		}
		return &adapter.MissingError{Expected: r.expected, Received: r.answered, Err: err}
	}
	return nil // acknowledgements that are missing are the caller's affair
}

// recount finds out whether servers have gone.
func (c *classic) recount(ctx context.Context, r *request) {
	if n, err := c.b.numSub(ctx, false, c.requests); err == nil {
		r.mu.Lock()
		there := max(n-1, r.answered)
		r.departed = max(r.departed, r.expected-there)
		r.mu.Unlock()
	}
	r.mu.Lock()
	var owing []string
	for uid, n := range r.asked {
		if n > 0 {
			owing = append(owing, uid)
		}
	}
	r.mu.Unlock()
	for _, uid := range owing {
		n, err := c.b.numSub(ctx, false, c.responses+uid+"#")
		if err != nil || n > 0 {
			continue
		}
		r.mu.Lock()
		for ; r.asked[uid] > 0; r.asked[uid]-- {
			r.packets = append(r.packets, nil) // its clients won't answer
		}
		r.mu.Unlock()
	}
	r.wake()
}

func always() bool { return true }

// bounded returns a context that ends when answers are not waited for any more.
func (c *classic) bounded(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout <= 0 {
		if _, ok := ctx.Deadline(); ok {
			return ctx, func() {}
		}
		timeout = c.b.opts.RequestTimeout
	}
	return context.WithTimeout(ctx, timeout)
}

// Sockets implements [adapter.Adapter].
func (c *classic) Sockets(ctx context.Context, t adapter.Target) ([]adapter.Socket, error) {
	ctx, cancel := c.bounded(ctx, t.Timeout)
	defer cancel()
	m := &message{Type: typeFetch, Target: &t}
	r, err := c.ask(ctx, m)
	if err != nil {
		return nil, err
	}
	err = c.wait(ctx, m.RequestID, r, nil, always)
	return r.sockets, err
}

// ServerSideEmitWithAck implements [adapter.Adapter].
func (c *classic) ServerSideEmitWithAck(ctx context.Context, p *adapter.Packet) ([]*adapter.Packet, error) {
	ctx, cancel := c.bounded(ctx, 0)
	defer cancel()
	m := &message{Type: typeServerSide, Data: p.Data, Binary: p.Attachments}
	r, err := c.ask(ctx, m)
	if err != nil {
		return nil, err
	}
	err = c.wait(ctx, m.RequestID, r, nil, always)
	return r.packets, err
}

// BroadcastWithAck implements [adapter.Adapter].
func (c *classic) BroadcastWithAck(ctx context.Context, p *adapter.Packet, t adapter.Target, answer func(*adapter.Packet)) (int, error) {
	ctx, cancel := c.bounded(ctx, t.Timeout)
	defer cancel()
	m := &message{Type: typeBroadcast, Packet: p, Namespace: c.host.Namespace(), Target: &t, Leavers: true}
	r, err := c.ask(ctx, m)
	if err != nil {
		return 0, err
	}
	received := 0
	err = c.wait(ctx, m.RequestID, r, func(packets []*adapter.Packet) {
		for _, p := range packets {
			received++
			answer(p)
		}
	}, func() bool { return received >= r.clients })
	return r.clients, err
}

// receiveRequest does what another server asks for.
func (c *classic) receiveRequest(channel string, payload []byte) {
	c.handling.Lock()
	defer c.handling.Unlock()
	m, err := decodeMessage(payload)
	if err != nil {
		c.misunderstood(channel, err)
		return
	}
	if m.UID == c.uid || c.isClosed() {
		return
	}
	c.b.stats.received.Add(1)
	var t adapter.Target
	if m.Target != nil {
		t = *m.Target
	}
	switch m.Type {
	case typeSockets:
		c.answerSockets(m)
	case typeRooms:
		c.answer(m, &message{Type: typeNone, Rooms: c.allRooms()})
	case typeJoin, typeLeave:
		c.receiveRooms(m, t)
	case typeDisconnect:
		if m.Target == nil {
			t.Rooms = []string{m.SID}
		}
		c.host.Disconnect(t, m.Close)
	case typeFetch:
		sockets := c.host.Sockets(t)
		if sockets == nil {
			sockets = []adapter.Socket{}
		}
		c.answer(m, &message{Type: typeNone, Sockets: sockets})
	case typeServerSide:
		c.receiveServerSide(m)
	case typeBroadcast:
		c.collect(m, t)
	}
}

// answer answers a request where the option says.
func (c *classic) answer(m, answer *message) {
	answer.RequestID = m.RequestID
	channel := c.responses
	if c.b.opts.SpecificResponses && m.UID != "" {
		channel += m.UID + "#"
	}
	c.sendAnswer(channel, answer)
}

func (c *classic) sendAnswer(channel string, answer *message) {
	payload, err := answer.encode()
	if err == nil {
		err = c.publish(channel, payload)
	}
	if err != nil && err != adapter.ErrClosed {
		c.b.log.Warn("redis: cannot answer another server", "error", err)
	}
}

// allRooms returns the rooms of this server, those of single sockets included.
func (c *classic) allRooms() []string {
	rooms := c.host.Rooms()
	for _, s := range c.host.Sockets(adapter.Target{}) {
		rooms = append(rooms, s.ID)
	}
	return rooms
}

// answerSockets answers with the ids of sockets alone, as old servers want it.
func (c *classic) answerSockets(m *message) {
	var ids []string
	for _, s := range c.host.Sockets(adapter.Target{Rooms: m.Rooms}) {
		ids = append(ids, s.ID)
	}
	o := newObject(nil)
	o.text("requestId", m.RequestID)
	o.texts("sockets", ids)
	channel := c.responses
	if c.b.opts.SpecificResponses && m.UID != "" {
		channel += m.UID + "#"
	}
	if err := c.publish(channel, o.end()); err != nil && err != adapter.ErrClosed {
		c.b.log.Warn("redis: cannot answer another server", "error", err)
	}
}

func (c *classic) receiveRooms(m *message, t adapter.Target) {
	rooms := m.Rooms
	if m.Target == nil { // an old server, which wants to be told when it is done
		if m.SID == "" || !c.host.HasRoom(m.SID) {
			return
		}
		t.Rooms, rooms = []string{m.SID}, []string{m.Room}
	}
	if m.Type == typeJoin {
		c.host.Join(t, rooms)
	} else {
		c.host.Leave(t, rooms)
	}
	if m.Target == nil {
		o := newObject(nil)
		o.text("requestId", m.RequestID)
		_ = c.publish(c.responses, o.end()) // it asks again if it hears nothing
	}
}

func (c *classic) receiveServerSide(m *message) {
	if !isEvent(m.Data) {
		return
	}
	var answer func(*adapter.Packet)
	if m.RequestID != "" {
		answer = func(p *adapter.Packet) {
			a := &message{Type: typeServerSide, RequestID: m.RequestID}
			if args, _ := packet.SplitArgs(p.Data, nil); len(args) > 0 {
				a.Data, a.Binary = args[0], p.Attachments
			}
			c.sendAnswer(c.responses, a) // always this channel, as in Node
		}
	}
	c.host.ServerSideEmit(&adapter.Packet{Data: m.Data, Attachments: m.Binary}, answer)
}
