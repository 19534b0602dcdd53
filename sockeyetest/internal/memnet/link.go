package memnet

import (
	"context"
	"net"
	"sync"
)

// Link is the way of one machine into the network. All its connections can be
// broken or frozen together.
type Link struct {
	addr func() net.Addr // of each new connection

	mu     sync.Mutex
	conns  map[*Conn]struct{}
	frozen bool
	thawed chan struct{} // closed by Thaw; nil unless frozen
	gone   []*Conn       // closed while frozen
	down   bool
}

// NewLink returns a link. addr gives every connection its address.
func NewLink(addr func() net.Addr) *Link {
	return &Link{addr: addr, conns: map[*Conn]struct{}{}}
}

// Dial connects to the listener. While the link is down it fails at once, and
// while it is frozen it waits.
func (l *Link) Dial(ctx context.Context, to *Listener) (net.Conn, error) {
	from := l.addr()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		l.mu.Lock()
		switch {
		case l.down:
			l.mu.Unlock()
			return nil, refused(from, to.addr)
		case l.frozen:
			thawed := l.thawed
			l.mu.Unlock()
			select {
			case <-thawed:
			case <-ctx.Done():
				return nil, unreachable(ctx, from, to.addr)
			}
			continue
		}
		c, err := to.connect(from, l.forget)
		if err == nil {
			l.conns[c] = struct{}{}
		}
		l.mu.Unlock()
		if err != nil {
			return nil, err
		}
		return c, nil
	}
}

// forget is called when this end of a connection is closed. While the link is
// frozen, the other end must not learn of it.
func (l *Link) forget(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frozen {
		l.gone = append(l.gone, c)
		return
	}
	delete(l.conns, c)
}

// Cut breaks the connections that there are.
func (l *Link) Cut() {
	for _, c := range l.all() {
		c.cut()
	}
}

// Freeze lets nothing pass any more, and tells nobody.
func (l *Link) Freeze() {
	l.mu.Lock()
	if !l.frozen {
		l.frozen, l.thawed = true, make(chan struct{})
	}
	l.mu.Unlock()
	for _, c := range l.all() {
		c.freeze(true)
	}
}

// Frozen reports whether the link is frozen.
func (l *Link) Frozen() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.frozen
}

// Thaw lets pass what was held back, and everything from now on.
func (l *Link) Thaw() {
	l.mu.Lock()
	if l.frozen {
		l.frozen = false
		close(l.thawed)
		l.thawed = nil
	}
	gone := l.gone
	l.gone = nil
	l.mu.Unlock()
	for _, c := range l.all() {
		c.freeze(false)
	}
	for _, c := range gone {
		l.forget(c)
	}
}

// SetDown cuts what there is and refuses new connections, or allows them again.
func (l *Link) SetDown(down bool) {
	l.mu.Lock()
	l.down = down
	l.mu.Unlock()
	if down {
		l.Cut()
	}
}

func (l *Link) all() []*Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*Conn, 0, len(l.conns))
	for c := range l.conns {
		all = append(all, c)
	}
	return all
}
