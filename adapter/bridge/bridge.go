// Package bridge puts a server into several clusters at once, and passes on what happens in one of them to the others,
// so that servers that speak different languages serve the same rooms:
//
//	io := socketio.NewServer(&socketio.Options{Adapter: bridge.Join(bridge.Options{}, broker.Classic(), broker.Python(redis.PythonOptions{}))})
//
// Events, joins, leaves and disconnections that come from one cluster are carried out here and published in the other
// ones, once and in their order. An event for one socket that asks for an acknowledgement is asked on; one for rooms or
// for all reaches clients of the other clusters without asking. Questions that come from a cluster, such as Sockets, are
// answered for this server only, and events between servers stay in their cluster.
//
// What this server does itself goes to all clusters, and answers of all are put together. Events between servers go to
// the first cluster.
//
// Usually one server is a bridge, and the others are in one of the clusters. If several are in the same clusters, all of
// them must have joined these in the same order and with the same Options.Name, and only one of them may pass things on,
// see Options.Forward. The adapters must be such that a server receives what concerns rooms that nobody here is in:
// of Redis, for instance, Classic, Streams and Python, and Sharded if all servers of the cluster are static.
package bridge

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/sockeye-io/sockeye/adapter"
)

// Options configure [Join].
type Options struct {
	// Name tells the bridges between some clusters from those between others. It may be empty if there are none.
	Name string
	// Forward is asked whether this server passes things on, for each of them. Where several servers are in the same
	// clusters it must be true for one of them at a time; while it is for none, nothing is passed on. It must not block.
	// Nil means always.
	Forward func() bool
}

// Join returns the adapter of a server that is in several clusters.
func Join(o Options, clusters ...adapter.Factory) adapter.Factory {
	if o.Forward == nil {
		o.Forward = func() bool { return true }
	}
	clusters = slices.Clone(clusters)
	return func(host adapter.Host) adapter.Adapter {
		b := &bridge{opts: o, host: host, marks: newMarks(o.Name), ready: make(chan struct{})}
		b.ctx, b.cancel = context.WithCancel(context.Background())
		for i, f := range clusters {
			b.members = append(b.members, f(&side{Host: host, b: b, index: i}))
		}
		close(b.ready)
		return b
	}
}

// bridge is the adapter of one namespace.
type bridge struct {
	opts    Options
	host    adapter.Host
	marks   marks
	members []adapter.Adapter
	ready   chan struct{} // closed when members is complete
	ctx     context.Context
	cancel  context.CancelFunc

	mu     sync.Mutex
	closed bool
	asking sync.WaitGroup // questions that are asked on
}

// each does something in all clusters, even if it fails in some.
func (b *bridge) each(f func(adapter.Adapter) error) error {
	var err error
	for _, m := range b.members {
		err = errors.Join(err, f(m))
	}
	return err
}

// Broadcast implements [adapter.Adapter].
func (b *bridge) Broadcast(p *adapter.Packet, t adapter.Target) error {
	t = with(t, b.marks.own)
	return b.each(func(m adapter.Adapter) error { return m.Broadcast(p, t) })
}

// Join implements [adapter.Adapter].
func (b *bridge) Join(t adapter.Target, rooms []string) error {
	t = with(t, b.marks.own)
	return b.each(func(m adapter.Adapter) error { return m.Join(t, rooms) })
}

// Leave implements [adapter.Adapter].
func (b *bridge) Leave(t adapter.Target, rooms []string) error {
	t = with(t, b.marks.own)
	return b.each(func(m adapter.Adapter) error { return m.Leave(t, rooms) })
}

// Disconnect implements [adapter.Adapter].
func (b *bridge) Disconnect(t adapter.Target, closeConn bool) error {
	t = with(t, b.marks.own)
	return b.each(func(m adapter.Adapter) error { return m.Disconnect(t, closeConn) })
}

// ServerSideEmit implements [adapter.Adapter].
func (b *bridge) ServerSideEmit(p *adapter.Packet) error { return b.members[0].ServerSideEmit(p) }

// ServerSideEmitWithAck implements [adapter.Adapter].
func (b *bridge) ServerSideEmitWithAck(ctx context.Context, p *adapter.Packet) ([]*adapter.Packet, error) {
	return b.members[0].ServerSideEmitWithAck(ctx, p)
}

// BroadcastWithAck implements [adapter.Adapter].
func (b *bridge) BroadcastWithAck(ctx context.Context, p *adapter.Packet, t adapter.Target, answer func(*adapter.Packet)) (int, error) {
	return b.ask(ctx, b.members, p, with(t, b.marks.own), answer)
}

// ask asks in some clusters at the same time. An event for one socket is done with when that socket has answered,
// whatever clusters that it is not in have to say.
func (b *bridge) ask(ctx context.Context, members []adapter.Adapter, p *adapter.Packet, t adapter.Target, answer func(*adapter.Packet)) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		asked int
		err   error
	}
	var mu sync.Mutex
	results := make(chan result, len(members))
	for _, m := range members {
		go func() {
			n, err := m.BroadcastWithAck(ctx, p, t, func(p *adapter.Packet) {
				mu.Lock()
				defer mu.Unlock()
				answer(p)
			})
			results <- result{n, err}
		}()
	}
	var sum int
	var err error
	for range members {
		r := <-results
		sum += r.asked
		err = errors.Join(err, r.err)
		if one(t) && r.asked > 0 {
			cancel()
		}
	}
	if one(t) && sum > 0 {
		err = nil
	}
	return sum, err
}

// one reports whether a target is one socket. Ids have 20 characters.
func one(t adapter.Target) bool { return len(t.Rooms) == 1 && len(t.Rooms[0]) == 20 }

// Sockets implements [adapter.Adapter].
func (b *bridge) Sockets(ctx context.Context, t adapter.Target) ([]adapter.Socket, error) {
	type result struct {
		sockets []adapter.Socket
		err     error
	}
	results := make([]result, len(b.members))
	var wg sync.WaitGroup
	for i, m := range b.members {
		wg.Go(func() { results[i].sockets, results[i].err = m.Sockets(ctx, t) })
	}
	wg.Wait()
	var all []adapter.Socket
	var err error
	seen := make(map[string]bool)
	for _, r := range results {
		err = errors.Join(err, r.err)
		for _, s := range r.sockets {
			if !seen[s.ID] { // it may be on a server that is in several clusters
				seen[s.ID] = true
				all = append(all, s)
			}
		}
	}
	return all, err
}

// Servers implements [adapter.Adapter]. Of other servers that are in several clusters each counts several times.
func (b *bridge) Servers(ctx context.Context) (int, error) {
	sum := 1
	err := b.each(func(m adapter.Adapter) error {
		n, err := m.Servers(ctx)
		sum += max(n-1, 0)
		return err
	})
	return sum, err
}

// RoomCreated implements [adapter.RoomWatcher].
func (b *bridge) RoomCreated(room string) {
	for _, m := range b.members {
		if w, ok := m.(adapter.RoomWatcher); ok {
			w.RoomCreated(room)
		}
	}
}

// RoomDeleted implements [adapter.RoomWatcher].
func (b *bridge) RoomDeleted(room string) {
	for _, m := range b.members {
		if w, ok := m.(adapter.RoomWatcher); ok {
			w.RoomDeleted(room)
		}
	}
}

// Close implements [adapter.Adapter].
func (b *bridge) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return adapter.ErrClosed
	}
	b.closed = true
	b.mu.Unlock()
	b.cancel()
	err := b.each(adapter.Adapter.Close)
	b.asking.Wait()
	return err
}
