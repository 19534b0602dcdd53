package adapter

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// ErrClosed is returned by an adapter that was closed.
var ErrClosed = errors.New("adapter: closed")

// A Hub joins servers of one process, as a broker joins those of many: give [Hub.Adapter] to each of them as its
// adapter. The zero value is ready for use.
type Hub struct {
	mu    sync.RWMutex
	peers map[string][]*hubAdapter // by namespace
}

// Adapter is a [Factory].
func (h *Hub) Adapter(host Host) Adapter {
	a := &hubAdapter{hub: h, host: host}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.peers == nil {
		h.peers = make(map[string][]*hubAdapter)
	}
	name := host.Namespace()
	h.peers[name] = append(slices.Clone(h.peers[name]), a)
	return a
}

// hubAdapter calls the other hosts directly: they don't wait for anything, and so the order is that of the calls.
type hubAdapter struct {
	hub  *Hub
	host Host
}

// others returns the hosts of the other servers.
func (a *hubAdapter) others() ([]Host, error) {
	a.hub.mu.RLock()
	all := a.hub.peers[a.host.Namespace()]
	a.hub.mu.RUnlock()
	if !slices.Contains(all, a) {
		return nil, ErrClosed
	}
	hosts := make([]Host, 0, len(all)-1)
	for _, p := range all {
		if p != a {
			hosts = append(hosts, p.host)
		}
	}
	return hosts, nil
}

func (a *hubAdapter) each(f func(Host)) error {
	hosts, err := a.others()
	for _, h := range hosts {
		f(h)
	}
	return err
}

func (a *hubAdapter) Broadcast(p *Packet, t Target) error {
	return a.each(func(h Host) { h.Broadcast(p, t) })
}

func (a *hubAdapter) Join(t Target, rooms []string) error {
	return a.each(func(h Host) { h.Join(t, rooms) })
}

func (a *hubAdapter) Leave(t Target, rooms []string) error {
	return a.each(func(h Host) { h.Leave(t, rooms) })
}

func (a *hubAdapter) Disconnect(t Target, closeConn bool) error {
	return a.each(func(h Host) { h.Disconnect(t, closeConn) })
}

func (a *hubAdapter) ServerSideEmit(p *Packet) error {
	return a.each(func(h Host) { h.ServerSideEmit(p, nil) })
}

func (a *hubAdapter) Sockets(ctx context.Context, t Target) (sockets []Socket, err error) {
	err = a.each(func(h Host) { sockets = append(sockets, h.Sockets(t)...) })
	return sockets, err
}

func (a *hubAdapter) Servers(ctx context.Context) (int, error) {
	hosts, err := a.others()
	return len(hosts) + 1, err
}

func (a *hubAdapter) BroadcastWithAck(ctx context.Context, p *Packet, t Target, answer func(*Packet)) (asked int, err error) {
	hosts, err := a.others()
	answers := make(chan *Packet)
	ended := make(chan struct{})
	for _, h := range hosts {
		n, cancel := h.BroadcastWithAck(p, t, func(p *Packet) {
			// The caller may hold locks of its own: it must not wait for us.
			go func() {
				select {
				case answers <- p:
				case <-ended:
				}
			}()
		})
		asked += n
		defer cancel()
	}
	defer close(ended)
	for range asked {
		select {
		case p := <-answers:
			answer(p)
		case <-ctx.Done():
			return asked, err
		}
	}
	return asked, err
}

func (a *hubAdapter) ServerSideEmitWithAck(ctx context.Context, p *Packet) ([]*Packet, error) {
	hosts, err := a.others()
	answers := make(chan *Packet, len(hosts))
	for _, h := range hosts {
		h.ServerSideEmit(p, func(p *Packet) { answers <- p })
	}
	var got []*Packet
	for range hosts {
		select {
		case p := <-answers:
			got = append(got, p)
		case <-ctx.Done():
			return got, &MissingError{Expected: len(hosts), Received: len(got), Err: ctx.Err()}
		}
	}
	return got, err
}

func (a *hubAdapter) Close() error {
	a.hub.mu.Lock()
	defer a.hub.mu.Unlock()
	name := a.host.Namespace()
	a.hub.peers[name] = slices.DeleteFunc(slices.Clone(a.hub.peers[name]), func(p *hubAdapter) bool { return p == a })
	return nil
}
