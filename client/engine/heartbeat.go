package engine

import "time"

// maxTick is how long the timer sleeps at most. A machine that slept is found out
// by the wall clock, at the first tick after it woke.
const maxTick = 10 * time.Second

// alive notes that something arrived.
func (c *Conn) alive() {
	now := time.Now()
	c.heard.Store(int64(now.Sub(c.opened)))
	if c.wall != nil {
		now = c.wall()
	}
	c.heardWall.Store(now.UnixNano())
}

// left is how long the server may go on being silent, by whichever clock says
// less.
func (c *Conn) left(now time.Time) time.Duration {
	patience := c.interval + c.timeout
	running := patience - (now.Sub(c.opened) - time.Duration(c.heard.Load()))
	if c.wall != nil {
		now = c.wall()
	}
	wall := patience - time.Duration(now.UnixNano()-c.heardWall.Load())
	return min(running, wall)
}

// Expired reports whether the server is overdue by the wall clock, as it is when
// the machine has slept: timers do not know yet. If so, the connection is being
// closed with "ping timeout". Ask before sending what must not be lost.
func (c *Conn) Expired() bool {
	if c.left(time.Now()) > 0 {
		return false
	}
	c.finish(ReasonPingTimeout, nil)
	return true
}

// watch begins the supervision. c.mu is held.
func (c *Conn) watch() {
	now := time.Now()
	d := c.tickAfter(now)
	if c.state == stateClosing {
		d = c.closeBy.Sub(now)
	}
	c.timer = time.AfterFunc(d, c.tick)
}

// tickAfter is when to look next. c.mu is held.
func (c *Conn) tickAfter(now time.Time) time.Duration {
	d := min(c.left(now), maxTick)
	if c.keepAlive > 0 && c.transport.name() == WebSocket {
		d = min(d, c.keepAlive-c.silence(now))
	}
	return max(d, time.Millisecond)
}

// silence is how long neither side has said anything.
func (c *Conn) silence(now time.Time) time.Duration {
	return now.Sub(c.opened) - time.Duration(max(c.heard.Load(), c.spoke.Load()))
}

func (c *Conn) tick() {
	now := time.Now()
	c.mu.Lock()
	switch {
	case c.state == stateClosed:
	case c.state == stateClosing && now.Before(c.closeBy):
		c.timer.Reset(c.closeBy.Sub(now))
	case c.state == stateClosing:
		c.mu.Unlock()
		c.finish(ReasonForcedClose, nil)
		return
	case c.left(now) <= 0:
		c.mu.Unlock()
		c.finish(ReasonPingTimeout, nil)
		return
	default:
		c.speakUp(now)
		c.timer.Reset(c.tickAfter(now))
	}
	c.mu.Unlock()
}
