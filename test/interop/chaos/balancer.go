//go:build linux

package chaos

import (
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// A balancer is a TCP load balancer: each connection goes to the next server in turn that takes it.
type balancer struct {
	ln net.Listener

	mu    sync.Mutex
	back  []*backend
	next  int
	conns map[net.Conn]bool // of clients
	wg    sync.WaitGroup
}

// A backend is a server of a balancer.
type backend struct {
	addr string
	out  bool // takes no new connections: the server says that it is not ready
}

func newBalancer() (*balancer, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &balancer{ln: ln, conns: map[net.Conn]bool{}}
	b.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b.wg.Go(func() { b.carry(c) })
		}
	})
	return b, nil
}

func (b *balancer) url() string { return "http://" + b.ln.Addr().String() }

func (b *balancer) add(addr string) *backend {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := &backend{addr: addr}
	b.back = append(b.back, e)
	return e
}

// take says whether a server takes new connections.
func (b *balancer) take(e *backend, new bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.out = !new
}

// turn returns the servers in the order in which to try them.
func (b *balancer) turn() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var addrs []string
	for i := range b.back {
		if e := b.back[(b.next+i)%len(b.back)]; !e.out {
			addrs = append(addrs, e.addr)
		}
	}
	b.next++
	return addrs
}

func (b *balancer) carry(c net.Conn) {
	var s net.Conn
	for _, addr := range b.turn() {
		var err error
		if s, err = net.DialTimeout("tcp", addr, time.Second); err == nil {
			break
		}
	}
	if s == nil {
		abort(c)
		return
	}
	b.mu.Lock()
	b.conns[c] = true
	b.mu.Unlock()
	var other sync.WaitGroup
	other.Go(func() { through(s, c) })
	through(c, s)
	other.Wait()
	b.mu.Lock()
	delete(b.conns, c)
	b.mu.Unlock()
}

// through carries one direction. Its end is the end of both: Socket.IO has no half of a connection.
func through(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}

// cut resets the connections of some clients.
func (b *balancer) cut(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []net.Conn
	for c := range b.conns {
		all = append(all, c)
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, c := range slices.Clone(all[:min(n, len(all))]) {
		abort(c)
	}
}

func (b *balancer) close() {
	_ = b.ln.Close()
	b.cut(1 << 20)
	b.wg.Wait()
}
