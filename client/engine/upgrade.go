package engine

import (
	"context"
	"time"

	"github.com/sockeye-io/sockeye/engineio/frame"
)

// candidate is a transport that a session may move to:
//
//	client                     server
//	opens the new transport
//	2probe            →
//	                  ←        3probe on the new transport, and what holds a GET of
//	                           the old one is answered
//	stops polling
//	5                 →        the new transport takes over
//
// A stream that is left goes on until the server ends it; what the new transport
// brings waits for that, so that the order is kept.
type candidate interface {
	opener
	// probe connects, and returns when the server has answered. ctx bounds it and
	// has no meaning afterwards.
	probe(ctx context.Context) error
}

// upgrade moves the connection to the first of the transports that works. It is a
// goroutine of the connection, and becomes the new transport's reader.
func (c *Conn) upgrade(names []string, chosen bool) {
	for _, name := range names {
		if t := c.upgradeTo(name, chosen); t != nil {
			t.serve()
			return
		}
	}
	c.leave()
}

// upgradeTo returns the transport if it has taken over.
func (c *Conn) upgradeTo(name string, chosen bool) transport {
	began := time.Now()
	c.mu.Lock()
	if c.state != stateOpen {
		c.mu.Unlock()
		return nil
	}
	old := c.transport.(*polling)
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(old.ctx), c.attemptTimeout, &noAnswerError{c.attemptTimeout})
	defer cancel()
	c.abandon = cancel
	c.mu.Unlock()

	next := c.opener(ctx, name, old.requests).(candidate)
	if p, ok := next.(*polling); ok {
		p.session = old.ctx
	}
	err := next.probe(ctx)
	if err == nil {
		err = c.switchTo(ctx, old, next)
	}
	if err != nil {
		next.drop()
		c.mu.Lock()
		c.abandon = nil
		switching, open := c.switching, c.state == stateOpen
		c.mu.Unlock()
		if open || switching {
			c.record(name, phaseUpgrade, began, err)
		}
		if switching {
			// The old transport has been told to stop; there is no way back.
			c.finish(ReasonTransportError, err)
		}
		return nil
	}
	c.record(name, phaseUpgrade, began, nil)
	c.memory.learn(c.key, name, chosen)
	if c.onUpgrade != nil {
		c.onUpgrade(old.name(), name)
	}
	c.awaitTail(old, name)
	return next
}

// switchTo makes next the transport.
func (c *Conn) switchTo(ctx context.Context, old *polling, next candidate) error {
	c.mu.Lock()
	if c.state != stateOpen {
		c.mu.Unlock()
		return ErrClosed
	}
	c.switching, old.paused = true, true
	err := c.wait(ctx, func() bool { return !c.flushing })
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if !old.streams {
		select {
		case <-old.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	stop := context.AfterFunc(ctx, next.kill)
	err = next.write([]frame.Packet{{Type: frame.Upgrade}}, false)
	if !stop() {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abandon = nil
	if c.state == stateClosed {
		return ErrClosed
	}
	c.transport, c.tail, c.switching = next, old, false
	c.kick()
	return nil
}

// awaitTail waits until the transport before the upgrade has delivered everything.
func (c *Conn) awaitTail(old *polling, name string) {
	timer := time.AfterFunc(c.attemptTimeout, old.kill)
	<-old.done
	timer.Stop()
	old.kill()
	c.mu.Lock()
	c.tail = nil
	var r *requests
	if name == WebSocket {
		r, c.requests = c.requests, nil // there are no more to make
	}
	c.mu.Unlock()
	if r != nil {
		r.release()
	}
}

// claim waits until nobody writes, and sees to it that nobody does until unclaim.
func (c *Conn) claim(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.wait(ctx, func() bool { return !c.flushing || c.state != stateOpen }); err != nil {
		return err
	}
	if c.state != stateOpen {
		return ErrClosed
	}
	c.flushing = true
	return nil
}

func (c *Conn) unclaim() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flushing = false
	c.wake()
	c.kick()
}
