package redis

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/cluster"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// receive takes a message of a Python server, or of a program that emits.
func (q *pythonQueue) receive(channel string, payload []byte) {
	m, err := decodePython(q.opts.Version, payload)
	if err != nil {
		q.b.log.Warn("redis: message not understood", "channel", channel, "error", err)
		return
	}
	if m.method == methodCallback {
		if m.hostID == q.hostID {
			q.answered(m)
		}
		return
	}
	if strings.HasPrefix(m.hostID, pythonHostPrefix) {
		return // this server's, or another Go server's, which uses the other channel, too
	}
	q.mu.Lock()
	p := q.namespaces[m.namespace]
	q.mu.Unlock()
	if p == nil {
		return
	}
	p.handling.Lock()
	defer p.handling.Unlock()
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return
	}
	q.b.stats.received.Add(1)
	p.handle(m)
}

func (q *pythonQueue) answered(m *pythonMessage) {
	id, err := strconv.ParseInt(string(m.id), 10, 64)
	if err != nil {
		return
	}
	q.mu.Lock()
	ask := q.pending[id]
	delete(q.pending, id)
	q.mu.Unlock()
	if ask != nil {
		q.b.stats.received.Add(1)
		ask.answer <- m.packet // has room for the only one
	}
}

func (p *python) handle(m *pythonMessage) {
	socket := adapter.Target{Rooms: []string{m.sid}}
	switch m.method {
	case methodEmit:
		t := adapter.Target{Rooms: m.rooms, Except: m.skip}
		if m.callback == nil {
			p.host.Broadcast(m.packet, t)
		} else {
			p.serve(m, t)
		}
	case methodDisconnect:
		p.host.Disconnect(socket, false)
	case methodEnter:
		p.host.Join(socket, m.rooms)
	case methodLeave:
		p.host.Leave(socket, m.rooms)
	case methodClose:
		p.host.Leave(adapter.Target{Rooms: m.rooms}, m.rooms)
	}
}

// pythonServeTimeout is how long acknowledgements are collected for Python servers, whose call waits 60 s by default.
const pythonServeTimeout = time.Minute

// A pythonServing collects acknowledgements of this server's clients for a Python server.
type pythonServing struct {
	cancel func()
	timer  *time.Timer
	once   sync.Once
}

func (s *pythonServing) end() {
	s.once.Do(func() {
		s.timer.Stop()
		s.cancel()
	})
}

func (p *python) serve(m *pythonMessage, t adapter.Target) {
	callback, err := packet.SplitArgs(m.callback, nil)
	if err != nil || len(callback) != 3 {
		p.host.Broadcast(m.packet, t)
		return
	}
	s := &pythonServing{}
	var mu sync.Mutex
	answers, asked := 0, -1
	t.Timeout = pythonServeTimeout
	n, cancel := p.host.BroadcastWithAck(m.packet, t, func(x *adapter.Packet) {
		if x != nil {
			p.respond(m.hostID, callback, x)
		}
		mu.Lock()
		defer mu.Unlock()
		if answers++; answers == asked {
			go p.forget(s) // which waits for this function to return
		}
	})
	if n == 0 {
		cancel()
		return
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		cancel()
		return
	}
	s.cancel = cancel
	s.timer = time.AfterFunc(pythonServeTimeout, func() { p.forget(s) })
	p.serving[s] = struct{}{}
	p.mu.Unlock()
	mu.Lock()
	asked = n
	done := answers == n
	mu.Unlock()
	if done {
		p.forget(s)
	}
}

func (p *python) forget(s *pythonServing) {
	p.mu.Lock()
	delete(p.serving, s)
	p.mu.Unlock()
	s.end()
}

// respond sends an acknowledgement to the Python server that wanted it.
func (p *python) respond(hostID string, callback []jsontext.Value, x *adapter.Packet) {
	args, err := packet.SplitArgs(x.Data, nil)
	if err != nil {
		return
	}
	attachments := x.Attachments
	if len(attachments) > 0 && p.q.opts.Version != PythonPickle {
		p.q.b.log.Warn("redis: binary in an acknowledgement does not reach Python servers", "namespace", p.ns)
		for i, a := range args {
			args[i] = withoutBinary(a, attachments)
		}
		attachments = nil
	}
	err = p.publish(methodCallback, []member{
		{"host_id", quoted(hostID)}, {"sid", callback[0]}, {"id", callback[2]},
	}, args, attachments)
	if err != nil {
		p.q.b.log.Warn("redis: acknowledgement not sent", "namespace", p.ns, "error", err)
	}
}

// withoutBinary returns a value with null for what is binary.
func withoutBinary(v jsontext.Value, attachments [][]byte) jsontext.Value {
	pickled, err := appendPickle(nil, v, attachments)
	if err != nil {
		return jsontext.Value("null")
	}
	plain, err := unpickle(append(pickled, '.'))
	if err != nil {
		return jsontext.Value("null")
	}
	t := &translator{budget: 64*len(v) + 1024, noBinary: true}
	text, err := t.append(nil, plain, 0)
	if err != nil {
		return jsontext.Value("null")
	}
	return text
}

// pythonBus connects the Go servers of one namespace.
type pythonBus struct {
	q            *pythonQueue
	uid, channel string
	a            *cluster.Adapter
	ready        sync.WaitGroup

	handling sync.Mutex
	closed   bool // guarded by handling
}

// Publish implements [cluster.Bus].
func (s *pythonBus) Publish(m *cluster.Message) error { return s.send(s.channel, m) }

// Respond implements [cluster.Bus].
func (s *pythonBus) Respond(uid string, m *cluster.Message) error {
	return s.send(s.channel+uid+"#", m)
}

func (s *pythonBus) send(channel string, m *cluster.Message) error {
	payload, err := encode(m)
	if err != nil {
		return err
	}
	return s.q.b.out.push(publication{channel: channel, payload: payload})
}

// Servers implements [cluster.Bus].
func (s *pythonBus) Servers(ctx context.Context) (int, error) {
	return s.q.b.numSub(ctx, false, s.channel)
}

func (s *pythonBus) receive(channel string, payload []byte) {
	s.ready.Wait()
	m, err := decode(payload)
	if err != nil {
		s.q.b.log.Warn("redis: message not understood", "channel", channel, "error", err)
		return
	}
	s.handling.Lock()
	defer s.handling.Unlock()
	if !s.closed && m.UID != s.uid {
		s.q.b.stats.received.Add(1)
		s.a.Receive(m)
	}
}

// Close implements [cluster.Bus].
func (s *pythonBus) Close() error {
	s.q.b.in.remove(toChannel, s.channel)
	s.q.b.in.remove(toChannel, s.channel+s.uid+"#")
	s.handling.Lock()
	defer s.handling.Unlock()
	s.closed = true
	return nil
}
