package cluster

import (
	"context"
	"time"
)

// emitterUID is the name that programs use which are no servers.
const emitterUID = "emitter"

// heard notes that the sender of a message is there, or has left. It reports false if this adapter is closed.
func (a *Adapter) heard(m *Message) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	switch {
	case m.UID == "" || m.UID == emitterUID:
	case m.Type == Goodbye:
		a.gone(m.UID)
	default:
		a.servers[m.UID] = time.Now()
		if a.check == nil && !a.counting {
			a.check = time.AfterFunc(checkInterval, a.sweep)
		}
	}
	return true
}

// gone forgets a server: nobody waits for it any more. a.mu is held.
func (a *Adapter) gone(uid string) {
	delete(a.servers, uid)
	for _, r := range a.requests {
		r.gone(uid)
	}
}

// checkInterval is how often silent servers are looked for.
const checkInterval = time.Second

func (a *Adapter) sweep() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	now := time.Now()
	for uid, at := range a.servers {
		if now.Sub(at) > a.opts.HeartbeatTimeout {
			a.gone(uid)
		}
	}
	a.check = nil
	if len(a.servers) > 0 {
		a.check = time.AfterFunc(checkInterval, a.sweep)
	}
}

// heartbeat says that this server is there, if it has been silent.
func (a *Adapter) heartbeat() {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return
	}
	silent := time.Since(a.spoke)
	due := silent >= a.opts.HeartbeatInterval
	if due {
		silent = 0
	}
	a.beat = time.AfterFunc(a.opts.HeartbeatInterval-silent, a.heartbeat)
	a.mu.Unlock()
	if due {
		a.publishQuietly(&Message{Type: Heartbeat})
	}
}

// Servers implements [adapter.Adapter].
func (a *Adapter) Servers(ctx context.Context) (int, error) {
	if a.counting {
		n, err := a.bus.Servers(ctx)
		return max(n, 1), err
	}
	if err := a.settle(ctx); err != nil {
		return 1, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.servers) + 1, nil
}

// settle waits until the others have had time to say that they are there.
func (a *Adapter) settle(ctx context.Context) error {
	if a.settled == nil {
		return nil
	}
	select {
	case <-a.settled:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
