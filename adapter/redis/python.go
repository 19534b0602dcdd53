package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/bridge"
	"github.com/sockeye-io/sockeye/adapter/cluster"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// A PythonVersion says how python-socketio writes what its servers tell one another.
type PythonVersion uint8

// The formats. A cluster has one: Python servers of different formats don't understand one another either.
const (
	// Python515 is JSON with a list of arguments: python-socketio 5.15.1 and later.
	Python515 PythonVersion = iota
	// Python514 is JSON with the value itself: 5.14.0 to 5.15.0. Several arguments arrive as one list, and before 5.14.2
	// binary does not arrive.
	Python514
	// PythonPickle is what 5.13 and earlier write. What is read is confined to plain values: nothing is constructed or
	// called, whatever a pickle asks for.
	PythonPickle
)

// PythonOptions configure [Broker.Python].
type PythonOptions struct {
	// Channel is what the Python servers give their manager. Empty means "socketio", the default of python-socketio; that
	// of Flask-SocketIO is "flask-socketio".
	Channel string
	// Version is the format of the cluster. Zero is that of current versions.
	Version PythonVersion
	// Strict has operations that python-socketio's queue can't express return [ErrPython], after they have been carried
	// to the Go servers. Otherwise they are only logged, once.
	Strict bool
}

// ErrPython is the error of operations that can't be carried to Python servers.
var ErrPython = errors.New("redis: python-socketio has nothing like it")

// Python returns the adapter for a cluster with servers of python-socketio or Flask-SocketIO and their RedisManager.
// Call it once for each channel of a broker.
//
// Among themselves Go servers use a channel of their own (that of the Python servers with "-sockeye" behind it), and
// have everything that other adapters have. With Python servers that is what their queue can express:
//
//   - events to all, to rooms and to sockets, with binary, except for sockets (but not except for rooms: such an event
//     is kept from all clients of Python servers, rather than reach those it is not meant for);
//   - events to one socket that ask for an acknowledgement. To rooms and to all they reach clients of Python servers
//     without asking. Binary in an acknowledgement becomes null on its way to Python, which can't carry it;
//   - single sockets, named by their id, that join, leave or are disconnected (5.10 and later know joining and leaving;
//     closing a connection closes only the namespace), and rooms that are closed: Leave of everybody in the room, or
//     of all;
//   - nothing else: Sockets, ServerSideEmit, and the rest of Join, Leave and Disconnect do not reach Python servers.
//
// Python knows no namespace or room without a name, and no event with null as its only argument.
func (b *Broker) Python(o PythonOptions) adapter.Factory {
	if o.Channel == "" {
		o.Channel = "socketio"
	}
	q := &pythonQueue{
		b: b, opts: o, hostID: pythonHostPrefix + cluster.NewUID(), goChannel: o.Channel + "-sockeye",
		namespaces: make(map[string]*python), pending: make(map[int64]*pythonAsk),
	}
	return func(host adapter.Host) adapter.Adapter {
		p := &python{q: q, host: host, ns: host.Namespace(), serving: make(map[*pythonServing]struct{})}
		bus := &pythonBus{q: q, uid: cluster.NewUID(), channel: q.goChannel + "#" + p.ns + "#"}
		bus.ready.Add(1)
		b.in.add(toChannel, bus.channel+bus.uid+"#", bus.receive)
		b.in.add(toChannel, bus.channel, bus.receive) // by which it is counted: the last
		bus.a = cluster.New(host, bus.uid, bus, &cluster.Options{Logger: b.log})
		bus.ready.Done()
		p.among = bus.a
		q.add(p)
		return p
	}
}

// pythonHostPrefix begins the names that Go servers have for Python servers. It tells their messages, which other Go
// servers get by a channel of their own, from those of Python servers, whose names are hexadecimal.
const pythonHostPrefix = "sockeye-"

// A pythonQueue is a server's part in a cluster of Python servers: one channel for all namespaces.
type pythonQueue struct {
	b         *Broker
	opts      PythonOptions
	hostID    string
	goChannel string // what Go servers subscribe to, in order to be counted
	warned    atomic.Bool

	mu         sync.Mutex
	namespaces map[string]*python
	pending    map[int64]*pythonAsk // acknowledgements of clients of Python servers
	lastID     int64
}

func (q *pythonQueue) add(p *python) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.namespaces[p.ns] = p
	if len(q.namespaces) == 1 {
		q.b.in.add(toChannel, q.goChannel, func(string, []byte) {})
		q.b.in.add(toChannel, q.opts.Channel, q.receive)
	}
}

func (q *pythonQueue) remove(p *python) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.namespaces, p.ns)
	if len(q.namespaces) == 0 {
		q.b.in.remove(toChannel, q.opts.Channel)
		q.b.in.remove(toChannel, q.goChannel)
	}
}

// servers returns how many Python servers there are.
func (q *pythonQueue) servers(ctx context.Context) (int, error) {
	all, err := q.b.numSub(ctx, false, q.opts.Channel)
	if err != nil {
		return 0, err
	}
	ours, err := q.b.numSub(ctx, false, q.goChannel)
	return max(all-ours, 0), err
}

// python is the adapter of one namespace.
type python struct {
	q     *pythonQueue
	host  adapter.Host
	ns    string
	among *cluster.Adapter // the Go servers

	handling sync.Mutex // while something is received
	mu       sync.Mutex
	closed   bool
	serving  map[*pythonServing]struct{}
}

// publish sends a message to the Python servers.
func (p *python) publish(method string, members []member, args []jsontext.Value, attachments [][]byte) error {
	members = append([]member{{"method", quoted(method)}, {"namespace", quoted(p.ns)}}, members...)
	if method != methodCallback { // which is for the one that it names
		members = append(members, member{"host_id", quoted(p.q.hostID)})
	}
	name := ""
	if method == methodEmit || method == methodCallback {
		name = argsName(method)
	}
	payload, err := encodePython(p.q.opts.Version, members, name, args, attachments)
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return p.q.b.out.push(publication{channel: p.q.opts.Channel, payload: payload})
}

// cannot is for what Python servers can't be told.
func (p *python) cannot(what string) error {
	if p.q.opts.Strict {
		return fmt.Errorf("%w: %s", ErrPython, what)
	}
	if !p.q.warned.Swap(true) {
		p.q.b.log.Warn("redis: not carried to Python servers", "namespace", p.ns, "operation", what)
	}
	return nil
}

// isID reports whether a name is that of a socket and not a room's: ids have 20 characters in Go, Node and Python.
func isID(name string) bool { return len(name) == idLen }

func allIDs(names []string) bool {
	return !slices.ContainsFunc(names, func(s string) bool { return !isID(s) })
}

// except returns Except without what is no room.
func except(t adapter.Target) []string {
	if !slices.ContainsFunc(t.Except, bridge.Marked) {
		return t.Except
	}
	return slices.DeleteFunc(slices.Clone(t.Except), bridge.Marked)
}

// emit sends an event to the Python servers. Callback is "null" if no acknowledgement is wanted.
func (p *python) emit(x *adapter.Packet, t adapter.Target, callback string) error {
	skip := except(t)
	if !allIDs(skip) {
		return p.cannot("Except with a room")
	}
	args, err := packet.SplitArgs(x.Data, nil)
	if err != nil || len(args) == 0 {
		return fmt.Errorf("redis: event: %w", errors.Join(err, errPython))
	}
	return p.publish(methodEmit, []member{
		{"event", args[0]}, {"room", quotedList(t.Rooms)}, {"skip_sid", quotedList(skip)}, {"callback", jsontext.Value(callback)},
	}, args[1:], x.Attachments)
}

// Broadcast implements [adapter.Adapter].
func (p *python) Broadcast(x *adapter.Packet, t adapter.Target) error {
	if err := p.among.Broadcast(x, t); err != nil {
		return err
	}
	return p.emit(x, t, "null")
}

// Join implements [adapter.Adapter].
func (p *python) Join(t adapter.Target, rooms []string) error {
	if err := p.among.Join(t, rooms); err != nil {
		return err
	}
	return p.move(methodEnter, "Join", t, rooms)
}

// Leave implements [adapter.Adapter].
func (p *python) Leave(t adapter.Target, rooms []string) error {
	if err := p.among.Leave(t, rooms); err != nil {
		return err
	}
	everybody := len(t.Rooms) == 0 || (len(t.Rooms) == 1 && len(rooms) == 1 && t.Rooms[0] == rooms[0])
	if !everybody || len(except(t)) > 0 {
		return p.move(methodLeave, "Leave", t, rooms)
	}
	for _, room := range rooms {
		if err := p.publish(methodClose, []member{{"room", quoted(room)}}, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// move has sockets enter or leave rooms.
func (p *python) move(method, name string, t adapter.Target, rooms []string) error {
	if len(t.Rooms) == 0 || !allIDs(t.Rooms) || len(except(t)) > 0 {
		return p.cannot(name + " of others than sockets named by their ids")
	}
	for _, sid := range t.Rooms {
		for _, room := range rooms {
			if err := p.publish(method, []member{{"sid", quoted(sid)}, {"room", quoted(room)}}, nil, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// Disconnect implements [adapter.Adapter].
func (p *python) Disconnect(t adapter.Target, closeConn bool) error {
	if err := p.among.Disconnect(t, closeConn); err != nil {
		return err
	}
	if len(t.Rooms) == 0 || !allIDs(t.Rooms) || len(except(t)) > 0 {
		return p.cannot("Disconnect of others than sockets named by their ids")
	}
	for _, sid := range t.Rooms {
		if err := p.publish(methodDisconnect, []member{{"sid", quoted(sid)}}, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// missing returns the error of a question that Python servers don't answer, if there are any and it is wanted.
func (p *python) missing(ctx context.Context) error {
	if !p.q.opts.Strict {
		return nil
	}
	n, err := p.q.servers(ctx)
	if err != nil || n == 0 {
		return err
	}
	return &adapter.MissingError{Expected: n, Err: ErrPython}
}

// Sockets implements [adapter.Adapter].
func (p *python) Sockets(ctx context.Context, t adapter.Target) ([]adapter.Socket, error) {
	sockets, err := p.among.Sockets(ctx, t)
	if err != nil {
		return sockets, err
	}
	return sockets, p.missing(ctx)
}

// ServerSideEmit implements [adapter.Adapter].
func (p *python) ServerSideEmit(x *adapter.Packet) error { return p.among.ServerSideEmit(x) }

// ServerSideEmitWithAck implements [adapter.Adapter].
func (p *python) ServerSideEmitWithAck(ctx context.Context, x *adapter.Packet) ([]*adapter.Packet, error) {
	answers, err := p.among.ServerSideEmitWithAck(ctx, x)
	if err != nil {
		return answers, err
	}
	return answers, p.missing(ctx)
}

// Servers implements [adapter.Adapter]. Python servers count for every namespace: nobody knows which ones they have.
func (p *python) Servers(ctx context.Context) (int, error) {
	n, err := p.among.Servers(ctx)
	if err != nil {
		return n, err
	}
	others, err := p.q.servers(ctx)
	return n + others, err
}

// A pythonAsk is a question to a client that may be with a Python server.
type pythonAsk struct{ answer chan *adapter.Packet }

// BroadcastWithAck implements [adapter.Adapter].
func (p *python) BroadcastWithAck(ctx context.Context, x *adapter.Packet, t adapter.Target, answer func(*adapter.Packet)) (int, error) {
	timeout := t.Timeout
	if _, ok := ctx.Deadline(); !ok && timeout <= 0 {
		timeout = p.q.b.opts.RequestTimeout
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	if len(t.Rooms) != 1 || !isID(t.Rooms[0]) || slices.Contains(t.Except, t.Rooms[0]) {
		if err := p.emit(x, t, "null"); err != nil {
			return 0, err
		}
		return p.among.BroadcastWithAck(ctx, x, t, answer)
	}
	if len(p.host.Sockets(adapter.Target{Rooms: t.Rooms})) > 0 {
		return 0, nil // it is here, and nowhere else
	}
	ask := &pythonAsk{make(chan *adapter.Packet, 1)}
	q := p.q
	q.mu.Lock()
	q.lastID++
	id := q.lastID
	q.pending[id] = ask
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.pending, id)
	}()
	callback := fmt.Sprintf("[%s,%s,%d]", quoted(t.Rooms[0]), quoted(p.ns), id)
	if err := p.emit(x, t, callback); err != nil {
		return 0, err
	}
	n, err := p.among.BroadcastWithAck(ctx, x, t, answer)
	if n > 0 || errors.Is(err, adapter.ErrClosed) {
		return n, err // it is with a Go server
	}
	return p.awaitPython(ctx, ask, answer, err)
}

// awaitPython waits for the answer of a client that is with no Go server. It may be with none at all, which Python
// servers don't say: as long as there are any, an answer is waited for.
func (p *python) awaitPython(ctx context.Context, ask *pythonAsk, answer func(*adapter.Packet), among error) (int, error) {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		n, err := p.q.servers(ctx)
		if err == nil && n == 0 {
			return 0, among
		}
		select {
		case x := <-ask.answer:
			if x == nil {
				return 0, adapter.ErrClosed
			}
			answer(x)
			return 1, nil
		case <-ticker.C:
		case <-ctx.Done():
			return 0, &adapter.MissingError{Expected: max(n, 1), Err: ctx.Err()}
		}
	}
}

// Close implements [adapter.Adapter].
func (p *python) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return adapter.ErrClosed
	}
	p.closed = true
	serving := p.serving
	p.serving = nil
	p.mu.Unlock()
	for s := range serving {
		s.end()
	}
	p.q.remove(p)
	err := p.among.Close()
	p.handling.Lock() // what is being handled comes to its end
	defer p.handling.Unlock()
	return err
}
