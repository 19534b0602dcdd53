package client

import (
	"errors"

	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// A link is one connection of a client, from the handshake to the end, and its receiver. When it is not c.link any more
// nothing that it still receives counts.
type link struct {
	client  *Client
	conn    conn
	gone    chan struct{} // closed when it is not in use any more
	decoder packet.Decoder
}

func newLink(c *Client, conn conn) *link {
	l := &link{client: c, conn: conn, gone: make(chan struct{})}
	l.decoder.Limits, l.decoder.Format = &c.opts.Limits, c.opts.Format
	return l
}

var errQueueFull = errors.New("client: the server sends events faster than they are handled")

// Message implements [engine.Receiver].
func (l *link) Message(binary bool, data []byte) {
	select {
	case <-l.gone:
		return
	default:
	}
	var p packet.Packet
	var complete bool
	var err error
	if binary {
		p, complete, err = l.decoder.Binary(data)
	} else {
		p, complete, err = l.decoder.Text(data)
	}
	if err != nil {
		l.end(ReasonParseError, err)
	} else if complete {
		l.receive(&p)
	}
}

// Closed implements [engine.Receiver].
func (l *link) Closed(reason engine.Reason, err error) {
	l.client.lost(l, Reason(reason), err)
}

// end gives up a connection with which something is wrong.
func (l *link) end(reason Reason, err error) {
	l.client.opts.Logger.Debug("client: closing connection", "host", l.client.host, "error", err)
	l.client.lost(l, reason, err)
	l.client.discard(l)
}

// receive runs on the read path.
func (l *link) receive(p *packet.Packet) {
	c := l.client
	c.mu.Lock()
	if c.link != l {
		c.mu.Unlock()
		return
	}
	s := c.find(p.Namespace)
	if s == nil || s.sess == nil {
		c.mu.Unlock()
		return // it has left, and the server will hear of it
	}
	if p.Type == packet.Event {
		sess := s.sess
		t, err := sess.receiveEvent(p)
		c.mu.Unlock()
		if err == nil && t.msg != nil {
			// It waits while there is no room for it.
			if s.queue.pushWithin(&c.work, t, &c.opts.Queue, l.gone) {
				sess.received(p)
			} else {
				err = errQueueFull
			}
		}
		if err != nil {
			l.end(ReasonQueueFull, err)
		}
		return
	}
	defer c.mu.Unlock()
	switch p.Type {
	case packet.Ack:
		if p.HasID {
			s.acknowledged(p.ID, event.NewAck(p.Data, p.Attachments))
		}
	case packet.Connect:
		s.accepted(p.Data)
	case packet.ConnectError:
		s.refused(parseConnectError(p.Data))
	case packet.Disconnect:
		s.expelled()
	}
}
