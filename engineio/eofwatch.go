package engineio

import (
	"sync"
	"time"
)

// eofWatch finds connections that the peer has closed unnoticed.
//
// A reader that has got less than it asked for knows that there is no more, and
// waits without trying: that try would be one of the three system calls of an
// echo. But a peer's last bytes and its end can come in one notification, and
// then no other follows. So who saved the try is looked at a little later, if
// nothing has come from it since.
type eofWatch struct {
	mu    sync.Mutex
	list  []*webSocket
	spare []*webSocket
	armed bool
}

// eofInterval bounds how late an end is noticed: by twice as much.
const eofInterval = 100 * time.Millisecond

// add has the connection looked at. It is called by its reader, before waiting.
func (e *eofWatch) add(c *webSocket) {
	if c.watched.Swap(true) {
		return // it is in the list
	}
	e.mu.Lock()
	e.list = append(e.list, c)
	if !e.armed {
		e.armed = true
		time.AfterFunc(eofInterval, e.look)
	}
	e.mu.Unlock()
}

func (e *eofWatch) look() {
	e.mu.Lock()
	list := e.list
	e.list = e.spare[:0]
	e.mu.Unlock()
	for _, c := range list {
		c.watched.Store(false)
		if atEOF(c.raw) {
			// Wakes the reader, for whom nothing else can come.
			_ = c.conn.SetReadDeadline(time.Unix(1, 0))
		}
	}
	clear(list)
	e.mu.Lock()
	e.spare = list[:0]
	if cap(list) > maxPooledBatch {
		e.spare = nil
	}
	e.armed = len(e.list) > 0
	if e.armed {
		time.AfterFunc(eofInterval, e.look)
	}
	e.mu.Unlock()
}
