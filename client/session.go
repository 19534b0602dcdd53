package client

import (
	"bytes"
	"context"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// A session is a socket on one connection, from the moment in which it asks to join its namespace.
type session struct {
	socket *Socket
	link   *link
	ctx    context.Context // of handlers
	cancel context.CancelFunc
	number uint64 // counts the sessions of the socket

	// These are guarded by Client.mu.
	phase phase
	// unwanted: the socket has left while the server was asked; what the server answers is for nobody.
	unwanted bool
	held     []task // events that came before the answer
	heldSize int
	offset   string // of the last event in held

	recoverable bool // the server keeps what is missed; used on the read path only
}

type phase uint8

const (
	// authenticating is while Options.Auth is asked.
	authenticating phase = iota
	// joining is while the server is asked.
	joining
	joined
)

func newSession(s *Socket, l *link) *session {
	s.sessions++
	sess := &session{socket: s, link: l, number: s.sessions}
	sess.ctx, sess.cancel = context.WithCancel(context.Background())
	return sess
}

// sendAck answers an event of the server. An answer to a connection that is gone is for nobody.
func (sess *session) sendAck(id uint64, args []any) error {
	s := sess.socket
	c := s.client
	text, attachments, err := packet.AppendAck(nil, packet.Header{Namespace: s.namespace, ID: id}, args)
	if err != nil {
		return err
	}
	ms, err := c.frames(text, attachments)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.sess != sess || sess.phase != joined {
		return ErrDisconnected
	}
	return sendError(sess.link.conn.Send(ms...))
}

// receiveEvent returns what is to be queued for the handlers, nothing if the event has to wait for the answer to the
// CONNECT or is for nobody. The error is that of a server that sends too many before it answers. c.mu is held.
func (sess *session) receiveEvent(p *packet.Packet) (task, error) {
	if sess.unwanted || sess.phase == authenticating {
		return task{}, nil
	}
	var ack func(args ...any) error
	if p.HasID {
		id := p.ID
		ack = func(args ...any) error { return sess.sendAck(id, args) }
	}
	t := task{sess: sess, msg: event.NewMessage(p.Event, p.Data, p.Attachments, ack), size: len(p.Data) + taskOverhead}
	for _, a := range p.Attachments {
		t.size += len(a)
	}
	if sess.phase == joined {
		return t, nil
	}
	limits := &sess.socket.client.opts.Queue
	if len(sess.held) > 0 && (len(sess.held) >= limits.MaxEvents || sess.heldSize+t.size > limits.MaxBytes) {
		return task{}, errQueueFull
	}
	sess.held = append(sess.held, t)
	sess.heldSize += t.size
	if offset, ok := offsetOf(p); ok {
		sess.offset = offset
	}
	return task{}, nil
}

// offsetOf returns the place of an event in the stream of a server with connection state recovery: its last argument, if
// it asks for no acknowledgement and that is a string.
func offsetOf(p *packet.Packet) (string, bool) {
	if p.HasID || !bytes.HasSuffix(p.Data, []byte(`"]`)) {
		return "", false
	}
	var room [8]jsontext.Value
	values, err := packet.SplitArgs(p.Data, room[:0])
	if err != nil || len(values) < 2 { // the name alone is no argument
		return "", false
	}
	var offset string
	if packet.Unmarshal(values[len(values)-1], nil, &offset) != nil {
		return "", false
	}
	return offset, true
}

// received notes how far the stream of events has come, now that the event can't be missed any more.
func (sess *session) received(p *packet.Packet) {
	if !sess.recoverable {
		return
	}
	offset, ok := offsetOf(p)
	if !ok {
		return
	}
	s := sess.socket
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	if s.sess == sess {
		s.offset = offset
	}
}
