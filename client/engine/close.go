package engine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// closeTimeout bounds Close: time for what is queued to leave, and for the server
// to say goodbye. Closing before the server has could destroy what it has not read
// yet.
const closeTimeout = 2 * time.Second

var errServerClosed = errors.New("engine: closed by the server")

// Close sends what is queued, tells the server, and closes the connection, all of
// that within 2 seconds; the reason is "forced close". It returns when Closed has
// returned and the connection's goroutines have ended, at once if it is called
// from a Receiver or from the accept function. The error is ErrUnsent, or that of
// the network, if something that was queued has not been sent. Further calls wait
// likewise.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.state == stateOpen {
		c.state = stateClosing
		c.over.Store(true)
		c.closeBy = time.Now().Add(closeTimeout)
		if c.timer != nil {
			c.timer.Reset(closeTimeout)
		}
		if c.abandon != nil && !c.switching {
			c.abandon()
		}
		c.kick()
	}
	c.mu.Unlock()
	if insideReceiver() {
		return nil
	}
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.reason != ReasonForcedClose || !c.unsent:
		return nil
	case c.cause != nil:
		return c.cause
	}
	return ErrUnsent
}

// Abort closes the connection at once, discards what is queued, and does not wait.
func (c *Conn) Abort() { c.finish(ReasonForcedClose, nil) }

// finish ends the connection. Only the first call counts. What remains is done by
// the goroutines on their way out.
func (c *Conn) finish(reason Reason, cause error) {
	c.mu.Lock()
	if c.state == stateClosed {
		c.mu.Unlock()
		return
	}
	if c.state == stateClosing {
		reason = ReasonForcedClose
	}
	c.state = stateClosed
	c.reason, c.cause = reason, cause
	c.over.Store(true)
	c.unsent = c.waiting > 0
	if c.bye && !c.flushing {
		c.cause = nil // everything has been said: however it ended, it was the end
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.queue != nil {
		c.waiting -= c.queue.cost
		c.queue.release()
		c.queue = nil
	}
	if c.abandon != nil {
		c.abandon()
	}
	c.wake()
	t, tail := c.transport, c.tail
	c.mu.Unlock()
	t.kill()
	if tail != nil {
		tail.kill()
	}
}

// settle waits until a Close that is under way has written its last. The server may
// have answered before the one who wrote knows that he has.
func (c *Conn) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == stateClosing {
		_ = c.wait(context.Background(), func() bool { return !c.flushing || c.state == stateClosed })
	}
}

// end is what the last goroutine does.
func (c *Conn) end() {
	c.mu.Lock()
	t, r, reason, cause := c.transport, c.requests, c.reason, c.cause
	c.requests = nil
	c.mu.Unlock()
	if r != nil {
		r.release()
	}
	var err error
	switch {
	case reason == ReasonForcedClose:
	case cause != nil:
		err = fmt.Errorf("%s: %w", reason, cause)
	default:
		err = errors.New(string(reason))
	}
	c.mourn(reason)
	c.record(t.name(), phaseClose, c.opened, err)
	c.announce()
	close(c.done)
}

// lost ends what the transport was for, when its reader has ended.
func (c *Conn) lost(t transport, err error) {
	c.mu.Lock()
	current := c.transport == t
	// Whether the server has been told that this is the end, the POST that tells it
	// knows best; a GET may well meet a session that is gone.
	leaving := c.bye && t.name() != WebSocket
	c.mu.Unlock()
	if err == nil || !current || leaving {
		return
	}
	var violation *protocolError
	switch {
	case err == errServerClosed, err == errPeerClosed:
		c.finish(ReasonTransportClose, nil)
	case errors.As(err, &violation):
		c.finish(ReasonParseError, err)
	case errors.Is(err, errGone), errors.Is(err, errPeerClosed):
		c.finish(ReasonTransportClose, err)
	default:
		c.finish(ReasonTransportError, err)
	}
}
